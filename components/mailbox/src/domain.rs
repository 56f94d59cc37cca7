//! What a kept message is, and which ones are acceptable.

use souk_kit::Instant;
use souk_kit::notification_extension::RenderedMessage;

/// Messages that are kept; older ones go.
pub const MESSAGES_MAX: u32 = 1000;

/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 200;

/// Longest recipient and longest subject, in bytes.
pub const LINE_BYTES_MAX: usize = 1000;

/// Longest text and longest HTML, in bytes.
pub const BODY_BYTES_MAX: usize = 512 * 1024;

/// A message that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What a list shows of it.
    pub summary: Summary,
    /// Plain text.
    pub text: String,
    /// HTML; may be empty.
    pub html: String,
}

/// What a list shows of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The key that it came with.
    pub key: String,
    /// Where it would have gone.
    pub recipient: String,
    /// Its subject.
    pub subject: String,
    /// When it came.
    pub sent_at: Instant,
}

/// Takes a message, or says why it is not acceptable. A mail server would refuse the same: whoever breaks a header here
/// learns it in test mode.
pub fn accept(message: RenderedMessage, now: Instant) -> Result<Message, String> {
    let RenderedMessage { key, recipient, subject, text, html } = message;
    for (what, value, most) in [
        ("key", &key, KEY_BYTES_MAX),
        ("recipient", &recipient, LINE_BYTES_MAX),
        ("subject", &subject, LINE_BYTES_MAX),
        ("text", &text, BODY_BYTES_MAX),
        ("html", &html, BODY_BYTES_MAX),
    ] {
        if value.len() > most {
            return Err(format!("the {what} has more than {most} bytes"));
        }
        if value.contains('\0') {
            return Err(format!("the {what} holds a U+0000"));
        }
    }
    for (what, value) in [("key", &key), ("recipient", &recipient)] {
        if value.is_empty() {
            return Err(format!("the {what} is empty"));
        }
    }
    for (what, value) in [("key", &key), ("recipient", &recipient), ("subject", &subject)] {
        if value.chars().any(char::is_control) {
            return Err(format!("the {what} holds a control character"));
        }
    }
    Ok(Message { summary: Summary { key, recipient, subject, sent_at: now }, text, html })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_mail_server_would_refuse_is_refused() {
        let good = RenderedMessage {
            key: "ntf_1-0".to_owned(),
            recipient: "ada@example.org".to_owned(),
            subject: String::new(),
            text: "Hello\r\n\tAda".to_owned(),
            html: String::new(),
        };
        assert!(accept(good.clone(), 1).is_ok());
        for (bad, reason) in [
            (RenderedMessage { key: String::new(), ..good.clone() }, "the key is empty"),
            (RenderedMessage { key: "k".repeat(201), ..good.clone() }, "the key has more than 200 bytes"),
            (RenderedMessage { recipient: String::new(), ..good.clone() }, "the recipient is empty"),
            (
                RenderedMessage { recipient: "a@b\r\nBcc: c@d".to_owned(), ..good.clone() },
                "the recipient holds a control character",
            ),
            (
                RenderedMessage { subject: "Hi\nBcc: c@d".to_owned(), ..good.clone() },
                "the subject holds a control character",
            ),
            (RenderedMessage { text: "\0".to_owned(), ..good.clone() }, "the text holds a U+0000"),
            (
                RenderedMessage { html: "x".repeat(BODY_BYTES_MAX + 1), ..good.clone() },
                "the html has more than 524288 bytes",
            ),
        ] {
            assert_eq!(accept(bad, 1), Err(reason.to_owned()));
        }
    }
}
