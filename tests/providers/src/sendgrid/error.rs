//! Errors as SendGrid writes them: <https://www.twilio.com/docs/sendgrid/api-reference/mail-send/errors>.

use serde_json::{Value, json};

use super::Response;

const HELP: &str = "http://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html";

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What stands in `errors`.
    pub errors: Vec<Value>,
}

impl Refusal {
    fn plain(status: u16, message: &str) -> Self {
        Self { status, errors: vec![json!({"message": message, "field": null, "help": null})] }
    }

    /// Fields that do not hold, each with its message. The help is about the field without its places in lists.
    pub fn fields(found: Vec<(String, String)>) -> Self {
        let errors = found.into_iter().map(|(field, message)| {
            let names = field.split('.').filter(|part| part.parse::<usize>().is_err());
            let help = format!("{HELP}#message.{}", names.collect::<Vec<_>>().join("."));
            json!({"message": message, "field": field, "help": help})
        });
        Self { status: 400, errors: errors.collect() }
    }

    /// No JSON, or JSON whose types are others: SendGrid does not say where.
    pub fn bad_request() -> Self {
        Self::plain(400, "Bad Request")
    }

    /// There is no key.
    pub fn nobody() -> Self {
        Self::plain(401, "authorization required")
    }

    /// The key is not that of the account.
    pub fn stranger() -> Self {
        Self::plain(401, "The provided authorization grant is invalid, expired, or revoked")
    }

    /// There is no such path.
    pub fn no_such() -> Self {
        Self::plain(404, "Not Found")
    }

    /// The path is there, and has no such method.
    pub fn method() -> Self {
        Self::plain(405, "method not allowed")
    }

    /// Longer than a request may be.
    pub fn too_large() -> Self {
        Self::plain(413, "Payload Too Large")
    }

    /// Too many requests at once; nothing was begun.
    pub fn rate_limited() -> Self {
        Self::plain(429, "too many requests")
    }

    /// SendGrid's own failure.
    pub fn server() -> Self {
        Self::plain(500, "Internal Server Error")
    }

    /// It as an answer.
    pub fn answer(self) -> Response {
        Response { status: self.status, headers: Vec::new(), body: json!({"errors": self.errors}) }
    }
}
