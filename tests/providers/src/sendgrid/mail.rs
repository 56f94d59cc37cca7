//! Requests to send mail, judged without the account:
//! <https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send>.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::error::Refusal;

/// Most personalizations of a request, and most recipients of all of them.
pub const RECIPIENTS_MAX: usize = 1_000;
/// Most categories.
pub const CATEGORIES_MAX: usize = 10;
/// Longest category, in characters.
pub const CATEGORY_CHARS_MAX: usize = 255;
/// Most bytes of custom arguments for one recipient, names included.
pub const CUSTOM_ARGS_BYTES_MAX: usize = 10_000;

const KNOWN: [&str; 10] = [
    "personalizations",
    "from",
    "reply_to",
    "subject",
    "content",
    "headers",
    "categories",
    "custom_args",
    "tracking_settings",
    "mail_settings",
];

/// A request that holds.
#[derive(Clone, Debug)]
pub struct Mail {
    /// As it came.
    pub request: Value,
    /// What it is counted under.
    pub categories: Vec<String>,
    personalizations: Vec<Personalization>,
    custom_args: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    personalizations: Vec<Personalization>,
    from: Option<Address>,
    reply_to: Option<Address>,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    content: Vec<Content>,
    #[serde(default)]
    categories: Vec<String>,
    #[serde(default)]
    custom_args: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Personalization {
    #[serde(default)]
    to: Vec<Address>,
    #[serde(default)]
    cc: Vec<Address>,
    #[serde(default)]
    bcc: Vec<Address>,
    #[serde(default)]
    subject: String,
    #[serde(default, rename = "headers")]
    _headers: BTreeMap<String, String>,
    #[serde(default)]
    custom_args: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Address {
    #[serde(default)]
    email: String,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    value: String,
}

impl Personalization {
    fn lists(&self) -> [(&'static str, &Vec<Address>); 3] {
        [("to", &self.to), ("cc", &self.cc), ("bcc", &self.bcc)]
    }

    fn recipients(&self) -> impl Iterator<Item = &str> {
        [&self.to, &self.cc, &self.bcc].into_iter().flatten().map(|address| address.email.as_str())
    }
}

impl Mail {
    /// Reads a request. All that is wrong with it is found at once.
    pub fn read(body: &str) -> Result<Self, Refusal> {
        let request: Value = serde_json::from_str(body).map_err(|_| Refusal::bad_request())?;
        let fields = request.as_object().ok_or_else(Refusal::bad_request)?;
        let unknown = fields.keys().filter(|name| !KNOWN.contains(&name.as_str()));
        let why = "The simulator does not have this.".to_owned();
        let mut found: Vec<(String, String)> = unknown.map(|name| (name.clone(), why.clone())).collect();
        let body: Body = serde_json::from_value(request.clone()).map_err(|_| Refusal::bad_request())?;
        body.judge(&mut found);
        if !found.is_empty() {
            return Err(Refusal::fields(found));
        }
        let Body { personalizations, categories, custom_args, .. } = body;
        Ok(Self { request, categories, personalizations, custom_args })
    }

    /// To whom a copy goes, and what stands in every event about it: custom arguments, of which those of a
    /// personalization go before those of the request.
    pub fn copies(&self) -> impl Iterator<Item = (String, BTreeMap<String, String>)> {
        self.personalizations.iter().flat_map(|each| {
            let mut args = self.custom_args.clone();
            args.extend(each.custom_args.clone());
            each.recipients().map(move |email| (email.to_lowercase(), args.clone()))
        })
    }
}

impl Body {
    fn judge(&self, found: &mut Vec<(String, String)>) {
        let mut no = |field: String, message: &str| found.push((field, message.to_owned()));
        match &self.from {
            None => no(
                "from.email".to_owned(),
                "The from object must be provided for every email send. It is an object that requires the email \
                 parameter, but may also contain a name parameter.  e.g. {\"email\" : \"example@example.com\"}  or \
                 {\"email\" : \"example@example.com\", \"name\" : \"Example Recipient\"}.",
            ),
            Some(from) if !is_address(&from.email) => {
                no("from.email".to_owned(), "The from email does not contain a valid address.")
            }
            Some(_) => {}
        }
        if self.reply_to.as_ref().is_some_and(|to| !is_address(&to.email)) {
            no("reply_to.email".to_owned(), "The reply_to email does not contain a valid address.");
        }
        if self.subject.is_empty()
            && (self.personalizations.is_empty() || self.personalizations.iter().any(|each| each.subject.is_empty()))
        {
            no(
                "subject".to_owned(),
                "The subject is required. You can get around this requirement if you use a template with a subject \
                 defined or if every personalization has a subject defined.",
            );
        }
        if self.content.is_empty() {
            no(
                "content".to_owned(),
                "Unless a valid template_id is provided, the content parameter is required. There must be at least \
                 one defined content block. We typically suggest both text/plain and text/html blocks are included, \
                 but only one block is required.",
            );
        }
        for (n, content) in self.content.iter().enumerate() {
            if content.kind.is_empty() {
                no(format!("content.{n}.type"), "The content type must be a string at least one character in length.");
            }
            if content.value.is_empty() {
                no(
                    format!("content.{n}.value"),
                    "The content value must be a string at least one character in length.",
                );
            }
        }
        if self.content.windows(2).any(|pair| rank(&pair[0].kind) > rank(&pair[1].kind)) {
            no(
                "content".to_owned(),
                "If present, text/plain must be first, followed by text/html, followed by any other content.",
            );
        }
        if self.categories.len() > CATEGORIES_MAX {
            no("categories".to_owned(), "The category parameter is limited to 10 categories.");
        }
        if self.categories.iter().any(|category| category.chars().count() > CATEGORY_CHARS_MAX) {
            no("categories".to_owned(), "The category must be a string and less than 255 characters.");
        }
        if self.categories.iter().collect::<BTreeSet<_>>().len() < self.categories.len() {
            no("categories".to_owned(), "The category parameter must contain unique values.");
        }
        self.judge_recipients(found);
    }

    fn judge_recipients(&self, found: &mut Vec<(String, String)>) {
        let mut no = |field: String, message: String| found.push((field, message));
        let count = self.personalizations.len();
        if count == 0 {
            no(
                "personalizations".to_owned(),
                "The personalizations field is required and must have at least one personalization.".to_owned(),
            );
        }
        if count > RECIPIENTS_MAX {
            no(
                "personalizations".to_owned(),
                format!(
                    "The personalization block is limited to 1000 personalizations per API request. You have \
                     provided {count} personalizations. Please consider splitting this into multiple requests and \
                     resending your request."
                ),
            );
        } else if self.personalizations.iter().flat_map(Personalization::recipients).count() > RECIPIENTS_MAX {
            no(
                "personalizations".to_owned(),
                "There is a limit of 1000 total recipients (to + cc + bcc) per request.".to_owned(),
            );
        }
        for (n, each) in self.personalizations.iter().enumerate() {
            if each.to.is_empty() {
                no(
                    format!("personalizations.{n}.to"),
                    "The to array is required for all personalization objects, \
                 and must have at least one email object with a valid email address."
                        .to_owned(),
                );
            }
            let mut seen = BTreeSet::new();
            for (list, addresses) in each.lists() {
                for (place, Address { email }) in addresses.iter().enumerate() {
                    if !is_address(email) {
                        no(
                            format!("personalizations.{n}.{list}.{place}.email"),
                            "Does not contain a valid address.".to_owned(),
                        );
                    }
                    if !seen.insert(email.to_lowercase()) {
                        no(
                            format!("personalizations.{n}"),
                            format!(
                                "Each email address in the personalization block should be unique between to, cc, \
                                 and bcc. We found the first duplicate instance of [{email}] in the \
                                 personalizations.{n}.{list} field."
                            ),
                        );
                    }
                }
            }
            let length = |args: &BTreeMap<String, String>| {
                args.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
            };
            if length(&self.custom_args) + length(&each.custom_args) > CUSTOM_ARGS_BYTES_MAX {
                no(
                    format!("personalizations.{n}.custom_args"),
                    "Substitutions/custom arguments are limited to 10000 bytes per personalization block.".to_owned(),
                );
            }
        }
    }
}

/// Where a kind of content stands among others.
fn rank(kind: &str) -> u8 {
    match kind {
        "text/plain" => 0,
        "text/html" => 1,
        _ => 2,
    }
}

fn is_address(text: &str) -> bool {
    let Some((name, host)) = text.split_once('@') else { return false };
    let holds =
        |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c == '@' || c.is_control());
    holds(name) && holds(host) && host.contains('.') && !host.starts_with('.') && !host.ends_with('.')
}
