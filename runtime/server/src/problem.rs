//! Answers that the host makes itself when something is wrong: RFC 9457 problem documents.
//!
//! The codes are stable and part of the HTTP contract. Edges write their own problems in the same form.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};

/// What a type URI starts with; the code follows.
const TYPE_PREFIX: &str = "urn:souk:problem:";
/// Bytes of a path that are repeated in a problem.
const INSTANCE_BYTES_MAX: usize = 200;

/// Why the host answers in an edge's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The request is not proper HTTP.
    Malformed(&'static str),
    /// No route takes the path.
    NotFound,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The body is over the limit of the route, in bytes.
    PayloadTooLarge(usize),
    /// There are too many headers, or they are too long.
    HeadersTooLarge,
    /// This client sent too many requests; seconds until the next may come.
    RateLimited(u64),
    /// A component ended abnormally, or gave an answer that is none.
    Internal,
    /// All turns are taken.
    Overloaded,
    /// The host is about to stop.
    Draining,
    /// The answer took too long.
    DeadlineExceeded,
    /// What is needed to answer is away. Nothing was done.
    Unavailable,
    /// What was asked ended without an answer.
    Lost,
}

impl Problem {
    /// The status code.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::PayloadTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Overloaded | Self::Draining | Self::Unavailable | Self::Lost => StatusCode::SERVICE_UNAVAILABLE,
            Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed_request",
            Self::NotFound => "not_found",
            Self::RequestTimeout => "request_timeout",
            Self::PayloadTooLarge(_) => "payload_too_large",
            Self::HeadersTooLarge => "headers_too_large",
            Self::RateLimited(_) => "rate_limited",
            Self::Internal => "internal_error",
            Self::Overloaded => "overloaded",
            Self::Draining => "draining",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Unavailable | Self::Lost => "unavailable",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Malformed(_) => "The request is not valid HTTP",
            Self::NotFound => "There is nothing here",
            Self::RequestTimeout => "The request took too long to arrive",
            Self::PayloadTooLarge(_) => "The body is too large",
            Self::HeadersTooLarge => "The headers are too large",
            Self::RateLimited(_) => "Too many requests",
            Self::Internal => "Something went wrong here",
            Self::Overloaded => "Too busy at the moment",
            Self::Draining => "About to stop",
            Self::DeadlineExceeded => "The answer took too long",
            Self::Unavailable | Self::Lost => "Something that this needs is away for the moment",
        }
    }

    fn detail(self) -> String {
        match self {
            Self::Malformed(reason) => reason.into(),
            Self::NotFound => "No route takes this path.".into(),
            Self::RequestTimeout => "Send the body without long pauses.".into(),
            Self::PayloadTooLarge(limit) => format!("At most {limit} bytes are taken here."),
            Self::HeadersTooLarge => "At most 100 headers and 16 KiB together are taken.".into(),
            Self::RateLimited(seconds) => format!("Try again in {seconds} s."),
            Self::Internal => "It has been logged under the request id. The same request may succeed later.".into(),
            Self::Overloaded | Self::Unavailable => "Nothing was done. Try again soon.".into(),
            Self::Draining => "Nothing was done. Try again.".into(),
            Self::DeadlineExceeded | Self::Lost => {
                "Whether it was done is not known. A repeat with the same idempotency key is safe.".into()
            }
        }
    }

    fn retry_after(self) -> Option<u64> {
        match self {
            Self::RateLimited(seconds) => Some(seconds),
            Self::Overloaded | Self::Draining | Self::Unavailable | Self::Lost => Some(1),
            Self::Malformed(_)
            | Self::NotFound
            | Self::RequestTimeout
            | Self::PayloadTooLarge(_)
            | Self::HeadersTooLarge
            | Self::Internal
            | Self::DeadlineExceeded => None,
        }
    }

    /// The whole answer.
    pub fn response(self, request_id: &str, path: &str) -> Response<Full<Bytes>> {
        let status = self.status();
        let document = serde_json::json!({
            "type": format!("{TYPE_PREFIX}{}", self.code()),
            "title": self.title(),
            "status": status.as_u16(),
            "detail": self.detail(),
            "instance": &path[..path.floor_char_boundary(INSTANCE_BYTES_MAX)],
            "code": self.code(),
            "request_id": request_id,
        });
        let mut response = Response::new(Full::new(Bytes::from(document.to_string())));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
