//! From an edge's answer to what may be sent.

use crate::request::is_hop_by_hop;

/// A response as values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// Says what makes this no answer that can be sent, if anything does.
    pub fn check(&self) -> Result<(), String> {
        if !(200..600).contains(&self.status) {
            return Err(format!("the status {} is not from 200 to 599", self.status));
        }
        for (name, value) in &self.headers {
            if !is_name(name) {
                return Err(format!("`{name}` is no header name in lower case"));
            }
            if is_hop_by_hop(name) || matches!(name.as_str(), "content-length" | "date" | "x-request-id") {
                return Err(format!("the header `{name}` is the host's to set"));
            }
            if value.bytes().any(|byte| byte != b'\t' && (byte < b' ' || byte == 0x7f)) {
                return Err(format!("the header `{name}` has control characters"));
            }
        }
        Ok(())
    }

    /// Whether the status allows a body, and so a length (RFC 9110, sections 8.6 and 15).
    pub fn has_length(&self) -> bool {
        !matches!(self.status, 204 | 304)
    }
}

fn is_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

#[cfg(test)]
mod tests {
    use super::Response;

    #[test]
    fn an_answer_that_is_none_is_not_sent() {
        let fits = |status, headers: &[(&str, &str)]| {
            let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            Response { status, headers, body: b"body".to_vec() }.check().is_ok()
        };
        assert!(fits(201, &[("set-cookie", "a=1"), ("set-cookie", "b=ä\t2")]));
        for (status, headers) in [
            (0, vec![]),
            (100, vec![]),
            (199, vec![]),
            (600, vec![]),
            (200, vec![("content-length", "5")]),
            (200, vec![("transfer-encoding", "chunked")]),
            (200, vec![("connection", "close")]),
            (200, vec![("x-request-id", "other")]),
            (200, vec![("Content-Type", "text/plain")]),
            (200, vec![("a b", "c")]),
            (200, vec![("", "c")]),
            (200, vec![("x", "a\r\nb: c")]),
        ] {
            assert!(!fits(status, &headers), "{status} {headers:?}");
        }
    }
}
