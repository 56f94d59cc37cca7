//! Errors as PayPal writes them: <https://developer.paypal.com/api/rest/responses/#link-errormessages>.

use serde_json::{Value, json};

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The error without its `debug_id`.
    pub error: Value,
}

impl Refusal {
    fn new(status: u16, name: &str, message: &str, details: Value) -> Self {
        Self { status, error: json!({"name": name, "message": message, "details": details, "links": []}) }
    }

    fn field(issue: &str, field: &str, why: &str) -> Self {
        let details = json!([{"field": field, "location": "body", "issue": issue, "description": why}]);
        let message = "Request is not well-formed, syntactically incorrect, or violates schema.";
        Self::new(400, "INVALID_REQUEST", message, details)
    }

    /// The body is no JSON.
    pub fn no_json() -> Self {
        Self::field("MALFORMED_REQUEST_JSON", "/", "The request JSON is not well formed.")
    }

    /// A field that has to be there is not.
    pub fn missing(field: &str) -> Self {
        Self::field("MISSING_REQUIRED_PARAMETER", field, "A required field / parameter is missing.")
    }

    /// A field is written otherwise than it has to be.
    pub fn syntax(field: &str) -> Self {
        Self::field("INVALID_PARAMETER_SYNTAX", field, "The value of a field does not conform to the expected format.")
    }

    /// PayPal may have the field, and the simulator does not.
    pub fn not_supported(field: &str) -> Self {
        Self::field("NOT_SUPPORTED", field, "This field is not currently supported by the simulator.")
    }

    /// A payment is to be made without a request id.
    pub fn no_request_id() -> Self {
        let why = "A PayPal-Request-Id is required if you are trying to process payment for an Order.";
        Self::field("PAYPAL_REQUEST_ID_REQUIRED", "PayPal-Request-Id", why)
    }

    /// There is no such object, or no such path.
    pub fn no_such() -> Self {
        let details = json!([{"issue": "INVALID_RESOURCE_ID", "description": "Specified resource ID does not exist. \
            Please check the resource ID and try again."}]);
        Self::new(404, "RESOURCE_NOT_FOUND", "The specified resource does not exist.", details)
    }

    /// The state of an object, or what is asked, does not allow it.
    pub fn semantic(issue: &str) -> Self {
        let message =
            "The requested action could not be performed, semantically incorrect, or failed business validation.";
        let details = json!([{"issue": issue, "description": issue.replace('_', " ").to_lowercase()}]);
        Self::new(422, "UNPROCESSABLE_ENTITY", message, details)
    }

    /// Another request about the same is under way.
    pub fn in_progress() -> Self {
        let details = json!([{"issue": "PREVIOUS_REQUEST_IN_PROGRESS", "description": "A previous request on this \
            resource is currently in progress. Please wait for sometime and try again."}]);
        Self::new(
            409,
            "RESOURCE_CONFLICT",
            "The server has detected a conflict while processing this request.",
            details,
        )
    }

    /// Too many requests at once; nothing was begun.
    pub fn rate_limited() -> Self {
        Self::new(429, "RATE_LIMIT_REACHED", "Too many requests. Blocked due to rate limiting.", json!([]))
    }

    /// PayPal's own failure.
    pub fn server() -> Self {
        Self::new(500, "INTERNAL_SERVER_ERROR", "An internal server error has occurred.", json!([]))
    }

    /// The client id and the secret are not those of the account.
    pub fn stranger() -> Self {
        let error = json!({"error": "invalid_client", "error_description": "Client Authentication failed"});
        Self { status: 401, error }
    }

    /// The token was never given, or is too old.
    pub fn bad_token() -> Self {
        let error = json!({"error": "invalid_token", "error_description": "Token signature verification failed"});
        Self { status: 401, error }
    }
}
