//! What is refused before anything is sent.

use crate::url::Url;

/// Headers of a request.
const HEADERS_MAX: usize = 50;
/// The body of a request, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;
/// The longest exchange, in milliseconds.
const TIMEOUT_MS_MAX: u32 = 30_000;

/// Headers that the host sets itself, or that speak about the connection.
const HEADERS_REFUSED: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "traceparent",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// How a request is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Does.
    Post,
    /// Sets.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

/// Reads method and URL and refuses what is malformed or over a limit; the text is for a person.
pub fn check(
    method: &str,
    url: &str,
    headers: &[(String, String)],
    body_bytes: usize,
    timeout_ms: u32,
) -> Result<(Method, Url), String> {
    let method = match method {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        _ => return Err("the method is not GET, POST, PUT, PATCH or DELETE".to_owned()),
    };
    let url = Url::parse(url)?;
    if body_bytes > BODY_BYTES_MAX {
        return Err(format!("the body is over {BODY_BYTES_MAX} bytes"));
    }
    if timeout_ms == 0 || timeout_ms > TIMEOUT_MS_MAX {
        return Err(format!("the timeout is not 1 to {TIMEOUT_MS_MAX} milliseconds"));
    }
    if headers.len() > HEADERS_MAX {
        return Err(format!("there are over {HEADERS_MAX} headers"));
    }
    for (name, value) in headers {
        if HEADERS_REFUSED.contains(&name.as_str()) {
            return Err(format!("the host sets `{name}` itself"));
        }
        if !is_name(name) {
            return Err(format!("`{name}` is not a header's name in lower case"));
        }
        if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
            return Err(format!("the header `{name}` has control characters"));
        }
    }
    Ok((method, url))
}

/// Whether a text is a token (RFC 9110) in lower case.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::{Method, check};

    fn outcome(method: &str, header: (&str, &str), count: usize, body: usize, timeout: u32) -> Result<Method, String> {
        let headers = vec![(header.0.to_owned(), header.1.to_owned()); count];
        check(method, "https://api.example.com/", &headers, body, timeout).map(|(method, _)| method)
    }

    #[test]
    fn what_is_malformed_or_too_large_is_refused() {
        let plain = ("accept", "text/plain");
        assert_eq!(outcome("GET", plain, 50, 1 << 20, 30_000), Ok(Method::Get));
        assert_eq!(outcome("DELETE", ("x-a", "ä\t"), 1, 0, 1), Ok(Method::Delete));
        for (why, outcome) in [
            ("method", outcome("TRACE", plain, 0, 0, 1)),
            ("method in lower case", outcome("get", plain, 0, 0, 1)),
            ("timeout zero", outcome("GET", plain, 0, 0, 0)),
            ("timeout too long", outcome("GET", plain, 0, 0, 30_001)),
            ("body", outcome("POST", plain, 0, (1 << 20) + 1, 1)),
            ("many headers", outcome("GET", plain, 51, 0, 1)),
            ("host", outcome("GET", ("host", "a"), 1, 0, 1)),
            ("content-length", outcome("GET", ("content-length", "1"), 1, 0, 1)),
            ("traceparent", outcome("GET", ("traceparent", "a"), 1, 0, 1)),
            ("upper case", outcome("GET", ("X-A", "a"), 1, 0, 1)),
            ("no name", outcome("GET", ("", "a"), 1, 0, 1)),
            ("blank in a name", outcome("GET", ("x a", "a"), 1, 0, 1)),
            ("line break", outcome("GET", ("x-a", "a\r\nb: c"), 1, 0, 1)),
        ] {
            assert!(outcome.is_err(), "{why}: {outcome:?}");
        }
        assert!(check("GET", "ftp://a.example/", &[], 0, 1).is_err());
    }
}
