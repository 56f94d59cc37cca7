//! Errors as Stripe writes them: <https://docs.stripe.com/api/errors>.

use serde_json::{Value, json};

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What stands under `error`.
    pub error: Value,
}

impl Refusal {
    fn new(status: u16, code: Option<&str>, param: Option<&str>, message: &str) -> Self {
        let mut error = json!({"type": "invalid_request_error", "message": message});
        if let Some(code) = code {
            error["code"] = json!(code);
            error["doc_url"] = json!(format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-")));
        }
        if let Some(param) = param {
            error["param"] = json!(param);
        }
        Self { status, error }
    }

    /// A parameter that does not hold.
    pub fn param(code: &str, param: &str, message: &str) -> Self {
        Self::new(400, Some(code), Some(param), message)
    }

    /// A parameter that does not hold, for which Stripe has no code.
    pub fn plain(param: &str, message: &str) -> Self {
        Self::new(400, None, Some(param), message)
    }

    /// The state of an object does not allow it.
    pub fn state(code: &str, message: &str) -> Self {
        Self::new(400, Some(code), None, message)
    }

    /// An object of the path is not there.
    pub fn no_such(kind: &str, id: &str, param: &str) -> Self {
        Self::new(404, Some("resource_missing"), Some(param), &format!("No such {kind}: '{id}'"))
    }

    /// An object that a parameter names is not there.
    pub fn names_no(kind: &str, id: &str, param: &str) -> Self {
        Self::new(400, Some("resource_missing"), Some(param), &format!("No such {kind}: '{id}'"))
    }

    /// There is no such path.
    pub fn no_url(method: &str, path: &str) -> Self {
        Self::new(404, None, None, &format!("Unrecognized request URL ({method}: {path})."))
    }

    /// The key is not that of the account.
    pub fn stranger() -> Self {
        Self::new(401, None, None, "Invalid API Key provided")
    }

    /// Another version of the API than the one that is spoken.
    pub fn version(version: &str) -> Self {
        Self::new(400, None, None, &format!("Invalid Stripe API version: {version}"))
    }

    /// Too many requests at once; nothing was begun.
    pub fn rate_limited() -> Self {
        Self::new(429, Some("rate_limit"), None, "Request rate limit exceeded.")
    }

    /// Another request with the key is under way.
    pub fn key_in_use() -> Self {
        let why = "There is currently another in-progress request using this Idempotent Key.";
        Self::new(409, Some("idempotency_key_in_use"), None, why)
    }

    /// The key was used for another request.
    pub fn other_parameters() -> Self {
        let why = "Keys for idempotent requests can only be used with the same parameters they were first used with.";
        Self { status: 400, error: json!({"type": "idempotency_error", "message": why}) }
    }

    /// Stripe's own failure.
    pub fn server() -> Self {
        Self { status: 500, error: json!({"type": "api_error", "message": "An unknown error occurred"}) }
    }
}
