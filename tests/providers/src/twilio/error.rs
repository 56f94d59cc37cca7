//! Errors as Twilio writes them: <https://www.twilio.com/docs/usage/twilios-response>.

use serde_json::json;

use super::Response;

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    status: u16,
    code: u32,
    message: String,
}

impl Refusal {
    fn new(status: u16, code: u32, message: &str) -> Self {
        Self { status, code, message: message.to_owned() }
    }

    /// A parameter that does not hold, by the code of the reason.
    pub fn param(code: u32, message: &str) -> Self {
        Self::new(400, code, message)
    }

    /// The credentials are not those of the account.
    pub fn stranger() -> Self {
        Self::new(401, 20003, "Authenticate")
    }

    /// There is no such resource.
    pub fn no_such(path: &str) -> Self {
        Self::new(404, 20404, &format!("The requested resource {path} was not found"))
    }

    /// Too many requests at once; nothing was begun.
    pub fn rate_limited() -> Self {
        Self::new(429, 20429, "Too Many Requests")
    }

    /// Twilio's own failure.
    pub fn server() -> Self {
        Self::new(500, 20500, "An internal server error has occurred")
    }

    /// It as an answer.
    pub fn answer(self) -> Response {
        let Self { status, code, message } = self;
        let more_info = format!("https://www.twilio.com/docs/errors/{code}");
        Response { status, body: json!({"code": code, "message": message, "more_info": more_info, "status": status}) }
    }
}
