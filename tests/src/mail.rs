//! What arrives in the mailbox of a test shop.

use serde_json::Value;

use crate::{
    client::Client,
    wait::{SOON, eventually},
};

/// A mail.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Its subject.
    pub subject: String,
    /// What it says, as plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

impl Mail {
    /// The path of the first link in it whose path starts so, with its query.
    #[track_caller]
    pub fn link(&self, start: &str) -> String {
        let words = self.text.split_whitespace().filter_map(|word| word.strip_prefix("http://"));
        let mut paths = words.filter_map(|rest| rest.find('/').map(|at| &rest[at..]));
        let found = paths.find(|path| path.starts_with(start));
        found.unwrap_or_else(|| panic!("no link to {start} in:\n{}", self.text)).to_owned()
    }

    /// The token in the first link whose path starts so.
    #[track_caller]
    pub fn token(&self, start: &str) -> String {
        let link = self.link(start);
        let (_, token) = link.split_once("token=").unwrap_or_else(|| panic!("no token in {link}"));
        assert!(!token.contains('%') && !token.contains('&'), "{token}");
        token.to_owned()
    }
}

/// All mail to an address, newest first.
pub async fn mail_to(client: &Client, address: &str) -> Vec<Mail> {
    let answer = client.get(&format!("/dev/mailbox.json?to={}", address.replace('+', "%2B"))).await.expect(200);
    let mails = answer.json.as_array().expect("the mailbox answers a list");
    let text = |mail: &Value, name: &str| mail[name].as_str().expect("a mail has texts").to_owned();
    let read =
        |mail: &Value| Mail { subject: text(mail, "subject"), text: text(mail, "text"), html: text(mail, "html") };
    mails.iter().map(read).collect()
}

/// Waits for a mail to an address whose subject has these words.
pub async fn mail_about(client: &Client, address: &str, words: &str) -> Mail {
    let what = format!("a mail to {address} about {words}");
    eventually(SOON, &what, async || {
        mail_to(client, address).await.into_iter().find(|mail| mail.subject.to_lowercase().contains(words))
    })
    .await
}
