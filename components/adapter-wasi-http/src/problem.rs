//! Answers in the edge's place when a request or the edge's own answer is wrong: RFC 9457 problem documents.
//!
//! The codes are those of Souk's own host and part of the HTTP contract.

use serde_json::json;

use crate::request::{HEADER_BYTES_MAX, HEADERS_MAX};
use crate::response::Response;

/// Bytes of a path that are repeated in a problem.
const INSTANCE_BYTES_MAX: usize = 200;

/// Why the edge does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The request is not proper HTTP.
    Malformed(&'static str),
    /// The body did not arrive in time.
    RequestTimeout,
    /// The body is over the limit of the edge, in bytes.
    PayloadTooLarge(usize),
    /// There are too many headers, or they are too long.
    HeadersTooLarge,
    /// The edge gave an answer that is none.
    Internal,
}

impl Problem {
    /// The status code, the stable code, a title and what to do about it.
    fn terms(self) -> (u16, &'static str, &'static str, String) {
        match self {
            Self::Malformed(reason) => (400, "malformed_request", "The request is not valid HTTP", reason.into()),
            Self::RequestTimeout => (
                408,
                "request_timeout",
                "The request took too long to arrive",
                "Send the body without long pauses.".into(),
            ),
            Self::PayloadTooLarge(limit) => {
                (413, "payload_too_large", "The body is too large", format!("At most {limit} bytes are taken here."))
            }
            Self::HeadersTooLarge => (
                431,
                "headers_too_large",
                "The headers are too large",
                format!("At most {HEADERS_MAX} headers and {} KiB together are taken.", HEADER_BYTES_MAX >> 10),
            ),
            Self::Internal => (
                500,
                "internal_error",
                "Something went wrong here",
                "It has been logged under the request id. The same request may succeed later.".into(),
            ),
        }
    }

    /// The whole answer.
    pub fn response(self, request_id: &str, path: &str) -> Response {
        let (status, code, title, detail) = self.terms();
        let document = json!({
            "type": format!("urn:souk:problem:{code}"),
            "title": title,
            "status": status,
            "detail": detail,
            "instance": &path[..path.floor_char_boundary(INSTANCE_BYTES_MAX)],
            "code": code,
            "request_id": request_id,
        });
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = vec![header("content-type", "application/problem+json"), header("cache-control", "no-store")];
        Response { status, headers, body: document.to_string().into_bytes() }
    }
}
