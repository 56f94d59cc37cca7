//! What is refused before an edge sees it, and how the rest becomes values.
//!
//! The platform's server has parsed the request already; where servers differ in what they let through, the
//! strictest reading counts here. Nothing is forwarded as it came.

use crate::problem::Problem;

/// Headers of a request.
pub const HEADERS_MAX: usize = 100;
/// Bytes of all names and values of a request's headers.
pub const HEADER_BYTES_MAX: usize = 16 << 10;
/// Bytes of a path and its query.
const TARGET_BYTES_MAX: usize = 8 << 10;
/// Bytes of a host with its port.
const HOST_BYTES_MAX: usize = 255;
/// The longest request id that is taken over from a client, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// What the platform says about a request before its body.
#[derive(Clone, Debug)]
pub struct Head {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: Option<String>,
    /// The host that the client named.
    pub host: Option<String>,
    /// Names and values, in the order of their arrival.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// What an edge is told about a request before its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The method in upper case.
    pub method: String,
    /// The whole path as it was sent.
    pub path: String,
    /// What came after the question mark.
    pub query: String,
    /// Host and port that the client named.
    pub host: String,
    /// Headers, names in lower case, without those of the connection.
    pub headers: Vec<(String, String)>,
    /// How long the body claims to be.
    pub announced: Option<u64>,
}

/// Refuses heads that are over a limit or could be read in two ways.
pub fn check(head: Head) -> Result<Checked, Problem> {
    let bytes: usize = head.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    if head.headers.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        return Err(Problem::HeadersTooLarge);
    }
    if matches!(head.method.as_str(), "CONNECT" | "TRACE") {
        return Err(Problem::Malformed("CONNECT and TRACE are not answered here."));
    }
    if head.method.is_empty() || !head.method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(Problem::Malformed("The method is not in upper-case letters."));
    }
    let target = head.target.unwrap_or_default();
    if !target.starts_with('/') {
        return Err(Problem::Malformed("The target is not a path that starts with a slash."));
    }
    if target.len() > TARGET_BYTES_MAX {
        return Err(Problem::Malformed("The path is too long."));
    }
    let host = head.host.filter(|host| is_host(host)).ok_or(Problem::Malformed("The host header is no host."))?;
    let headers = headers(head.headers)?;
    let mut lengths = headers.iter().filter(|(name, _)| name == "content-length");
    let announced = match (lengths.next(), lengths.next()) {
        (None, _) => None,
        (Some((_, length)), None) => {
            let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
            let length = length.parse().ok().filter(|_| digits);
            Some(length.ok_or(Problem::Malformed("The length of the body is no number."))?)
        }
        (Some(_), Some(_)) => return Err(Problem::Malformed("The body has two lengths.")),
    };
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Ok(Checked { path: path.into(), query: query.into(), method: head.method, host, headers, announced })
}

fn is_host(host: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    (1..=HOST_BYTES_MAX).contains(&host.len()) && host.bytes().all(allowed)
}

fn headers(given: Vec<(String, Vec<u8>)>) -> Result<Vec<(String, String)>, Problem> {
    let mut headers = Vec::with_capacity(given.len());
    for (mut name, value) in given {
        name.make_ascii_lowercase();
        if is_hop_by_hop(&name) {
            continue;
        }
        let visible = value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
        let value = String::from_utf8(value).ok().filter(|_| visible);
        let value = value.ok_or(Problem::Malformed("A header has bytes that are not visible ASCII."))?;
        headers.push((name, value));
    }
    Ok(headers)
}

/// Headers that are about one connection (RFC 9110, section 7.6.1).
pub fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection" | "keep-alive" | "proxy-connection" | "te" | "trailer" | "transfer-encoding" | "upgrade"
    )
}

/// The client's request id when it is well formed.
pub fn request_id(headers: &[(String, String)]) -> Option<&str> {
    let (_, id) = headers.iter().find(|(name, _)| name == "x-request-id")?;
    let well_formed = (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    well_formed.then_some(id)
}

/// A new request id: `req_` and 32 hexadecimal digits that sort by time.
pub fn minted_id(now_ms: u64, chance: [u8; 10]) -> String {
    let chance: String = chance.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("req_{:012x}{chance}", now_ms & 0xffff_ffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::{Head, check, minted_id, request_id};
    use crate::problem::Problem;

    fn head(method: &str, target: &str, host: &str, headers: &[(&str, &[u8])]) -> Head {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
        Head { method: method.into(), target: Some(target.into()), host: Some(host.into()), headers }
    }

    #[test]
    fn a_request_becomes_values() {
        let headers: &[(&str, &[u8])] = &[
            ("Accept", b"text/html"),
            ("connection", b"close"),
            ("Transfer-Encoding", b"chunked"),
            ("cookie", b"a=1"),
            ("cookie", b"b=2"),
            ("content-length", b"12"),
        ];
        let checked = check(head("POST", "/a%20b?c=d?e", "shop.example:8080", headers)).expect("it is fine");
        assert_eq!((checked.path.as_str(), checked.query.as_str()), ("/a%20b", "c=d?e"));
        assert_eq!((checked.host.as_str(), checked.announced), ("shop.example:8080", Some(12)));
        let names: Vec<_> = checked.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["accept", "cookie", "cookie", "content-length"]);
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        let plain: &[(&str, &[u8])] = &[];
        let twice: &[(&str, &[u8])] = &[("content-length", b"1"), ("Content-Length", b"2")];
        let signed: &[(&str, &[u8])] = &[("content-length", b"+1")];
        let bytes: &[(&str, &[u8])] = &[("x-a", b"\xff")];
        for (method, target, host, headers) in [
            ("GET", "/", "", plain),
            ("GET", "/", "shop.example/path", plain),
            ("GET", "/", "user@shop.example", plain),
            ("GET", "http://other.example/", "shop.example", plain),
            ("CONNECT", "/", "shop.example", plain),
            ("TRACE", "/", "shop.example", plain),
            ("get", "/", "shop.example", plain),
            ("", "/", "shop.example", plain),
            ("OPTIONS", "*", "shop.example", plain),
            ("POST", "/", "shop.example", twice),
            ("POST", "/", "shop.example", signed),
            ("GET", "/", "shop.example", bytes),
        ] {
            let refused = check(head(method, target, host, headers));
            assert!(matches!(refused, Err(Problem::Malformed(_))), "{method} {target} {host}: {refused:?}");
        }
        let nowhere = Head { target: None, host: None, ..head("GET", "/", "a", plain) };
        assert!(check(nowhere).is_err());
    }

    #[test]
    fn heads_over_a_limit_are_refused() {
        let long = "x".repeat(17 << 10);
        let refused = check(head("GET", "/", "a", &[("x-long", long.as_bytes())]));
        assert_eq!(refused, Err(Problem::HeadersTooLarge));
        let many: Vec<(&str, &[u8])> = std::iter::repeat_n(("x-many", b"1".as_slice()), 101).collect();
        assert_eq!(check(head("GET", "/", "a", &many)), Err(Problem::HeadersTooLarge));
        assert!(check(head("GET", &format!("/{}", "x".repeat(9 << 10)), "a", &[])).is_err());
    }

    #[test]
    fn a_client_may_name_its_request() {
        let with = |id: &str| vec![("x-request-id".to_owned(), id.to_owned())];
        assert_eq!(request_id(&with("abc-1_2")), Some("abc-1_2"));
        for id in ["", "a b", "ä", &"x".repeat(65)] {
            assert_eq!(request_id(&with(id)), None, "{id}");
        }
        let id = minted_id(1_800_000_000_000, [0xab; 10]);
        assert_eq!((id.len(), &id[..4]), (36, "req_"));
        assert_eq!(request_id(&with(&id)), Some(id.as_str()));
    }
}
