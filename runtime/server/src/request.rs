//! From HTTP to the values an edge gets, and everything that is refused on the way.
//!
//! What could be read in two ways is refused here, so that no edge and no proxy disagree about where a request
//! ends or who it is for. Nothing is forwarded as it came.

use std::{net::IpAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Method, Version,
    body::{Body, Incoming},
    header::{CONTENT_LENGTH, EXPECT, HOST, HeaderName},
    http::request::Parts,
};

use crate::problem::Problem;

/// Headers of a request.
const HEADERS_MAX: usize = 100;
/// Bytes of all names and values of a request's headers.
const HEADER_BYTES_MAX: usize = 16 << 10;
/// Bytes of a path and its query.
const TARGET_BYTES_MAX: usize = 8 << 10;
/// Bytes of a host with its port.
const HOST_BYTES_MAX: usize = 255;
/// How long a client may pause within a body.
const BODY_PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long a body may take altogether.
const BODY_MAX: Duration = Duration::from_secs(30);
/// Bytes of a refused body that are read and dropped: a client that is busy sending sees no answer that comes with
/// a closed connection.
const BODY_BYTES_DROPPED_MAX: u64 = 16 << 20;
/// How long a refused body is read for.
const BODY_DROPPED_MAX: Duration = Duration::from_secs(5);
/// What is set aside for a body before its first byte has come, whatever its length claims to be.
const BODY_BYTES_AHEAD: usize = 64 << 10;

/// What is known about a connection before its first request.
#[derive(Clone)]
pub struct Connection {
    /// The address at the other end.
    peer: IpAddr,
    /// Whether that is a proxy that is believed.
    trusted: bool,
}

impl Connection {
    /// A connection from an address.
    pub fn new(peer: IpAddr, trusted_proxies: &[IpAddr]) -> Self {
        Self { peer, trusted: trusted_proxies.contains(&peer) }
    }

    /// The client's address: the peer's, or what a trusted proxy says it is.
    pub fn client(&self, headers: &HeaderMap) -> IpAddr {
        let named = || {
            // The last entry is the one that our own proxy added; those before it are the client's word.
            let value = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
            value.rsplit(',').next()?.trim().parse::<IpAddr>().ok()
        };
        if self.trusted { named().unwrap_or(self.peer).to_canonical() } else { self.peer }
    }

    /// Scheme, host and port that the client used.
    pub fn origin(&self, headers: &HeaderMap, host: &str) -> String {
        let forwarded = |name: &str| headers.get(name).filter(|_| self.trusted).and_then(|value| value.to_str().ok());
        let scheme = match forwarded("x-forwarded-proto") {
            Some("https") => "https",
            _ => "http",
        };
        let host = forwarded("x-forwarded-host").filter(|host| is_host(host)).unwrap_or(host);
        format!("{scheme}://{host}")
    }
}

/// How often a head says where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Once, or not at all.
    Once,
    /// By a length and by chunks.
    Twice,
}

/// Refuses heads that are over a limit or could be read in two ways. Answers with the host.
pub fn check(head: &Parts, framing: Framing) -> Result<&str, Problem> {
    let headers = &head.headers;
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if headers.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        return Err(Problem::HeadersTooLarge);
    }
    if head.version != Version::HTTP_11 && head.version != Version::HTTP_10 {
        return Err(Problem::Malformed("Only HTTP/1.1 is spoken here."));
    }
    if head.method == Method::CONNECT || head.method == Method::TRACE {
        return Err(Problem::Malformed("CONNECT and TRACE are not answered here."));
    }
    if !head.method.as_str().bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(Problem::Malformed("The method is not in upper-case letters."));
    }
    let target = head.uri.path_and_query().map_or("", |target| target.as_str());
    if head.uri.scheme().is_some() || !target.starts_with('/') {
        return Err(Problem::Malformed("The target is not a path that starts with a slash."));
    }
    if target.len() > TARGET_BYTES_MAX {
        return Err(Problem::Malformed("The path is too long."));
    }
    if framing == Framing::Twice || headers.get_all(CONTENT_LENGTH).iter().count() > 1 {
        return Err(Problem::Malformed("The body has two lengths."));
    }
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Problem::Malformed("There is not exactly one host header."));
    };
    let host = host.to_str().ok().filter(|host| is_host(host));
    host.ok_or(Problem::Malformed("The host header is no host."))
}

fn is_host(host: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    (1..=HOST_BYTES_MAX).contains(&host.len()) && host.bytes().all(allowed)
}

/// The headers as an edge gets them. What belongs to the connection and not to the request is left out.
pub fn headers(map: &HeaderMap) -> Result<Vec<(String, String)>, Problem> {
    let mut headers = Vec::with_capacity(map.len());
    for (name, value) in map {
        if is_hop_by_hop(name) {
            continue;
        }
        let value = value.to_str().map_err(|_| Problem::Malformed("A header has bytes that are not visible ASCII."))?;
        headers.push((name.as_str().to_owned(), value.to_owned()));
    }
    Ok(headers)
}

/// Headers that are about one connection (RFC 9110, section 7.6.1).
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "proxy-connection" | "te" | "trailer" | "transfer-encoding" | "upgrade"
    )
}

/// Reads a body, up to a limit and not forever.
pub async fn body(mut incoming: Incoming, headers: &HeaderMap, limit: usize) -> Result<Vec<u8>, Problem> {
    if incoming.is_end_stream() {
        return Ok(Vec::new());
    }
    let announced = incoming.size_hint().lower();
    let collected = if announced > limit as u64 {
        Err(Problem::PayloadTooLarge(limit))
    } else {
        tokio::time::timeout(BODY_MAX, collect(&mut incoming, limit, announced as usize))
            .await
            .unwrap_or(Err(Problem::RequestTimeout))
    };
    // Whoever asked first has not sent it yet, and reads the answer before they do.
    if matches!(collected, Err(Problem::PayloadTooLarge(_))) && !headers.contains_key(EXPECT) {
        let dropped = discard(&mut incoming);
        // What is too long even for this ends with the connection.
        let _ = tokio::time::timeout(BODY_DROPPED_MAX, dropped).await;
    }
    collected
}

/// Reads on to the end of a body that is refused, unless that is far.
async fn discard(incoming: &mut Incoming) {
    let mut left = BODY_BYTES_DROPPED_MAX;
    while left > 0 && incoming.size_hint().lower() <= left {
        let Some(Ok(frame)) = incoming.frame().await else { return };
        left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
    }
}

async fn collect(incoming: &mut Incoming, limit: usize, announced: usize) -> Result<Vec<u8>, Problem> {
    let mut collected = BytesMut::with_capacity(announced.min(BODY_BYTES_AHEAD));
    loop {
        let frame = tokio::time::timeout(BODY_PAUSE_MAX, incoming.frame());
        let data: Bytes = match frame.await {
            Err(_) => return Err(Problem::RequestTimeout),
            Ok(None) => return Ok(collected.into()),
            Ok(Some(Err(_))) => return Err(Problem::Malformed("The body ended early or is not well formed.")),
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => data,
                Err(_) => continue, // trailers mean nothing here
            },
        };
        if collected.len() + data.len() > limit {
            return Err(Problem::PayloadTooLarge(limit));
        }
        collected.extend_from_slice(&data);
    }
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, Request, header::HeaderValue};

    use super::{Connection, Framing, check};
    use crate::problem::Problem;

    fn outcome(method: &str, target: &str, headers: &[(&'static str, &str)]) -> Result<String, u16> {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        check(&head, Framing::Once).map(str::to_owned).map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        let host = ("host", "shop.example:8080");
        assert_eq!(outcome("GET", "/", &[host]), Ok("shop.example:8080".into()));
        for (method, target, headers) in [
            ("GET", "/", vec![]),
            ("GET", "/", vec![host, host]),
            ("GET", "/", vec![("host", "shop.example/path")]),
            ("GET", "/", vec![("host", "user@shop.example")]),
            ("GET", "http://other.example/", vec![host]),
            ("CONNECT", "shop.example:443", vec![host]),
            ("TRACE", "/", vec![host]),
            ("get", "/", vec![host]),
            ("OPTIONS", "*", vec![host]),
            ("POST", "/", vec![host, ("content-length", "1"), ("content-length", "2")]),
        ] {
            assert_eq!(outcome(method, target, &headers), Err(400), "{method} {target} {headers:?}");
        }
        let (head, ()) = Request::builder().header("host", "a").body(()).expect("a request").into_parts();
        assert!(check(&head, Framing::Once).is_ok() && check(&head, Framing::Twice).is_err());
    }

    #[test]
    fn heads_over_a_limit_are_refused() {
        let long = "x".repeat(17 << 10);
        assert_eq!(outcome("GET", "/", &[("host", "a"), ("x-long", &long)]), Err(431));
        let many: Vec<_> = std::iter::repeat_n(("x-many", "1"), 101).collect();
        assert_eq!(outcome("GET", "/", &many), Err(431));
        let target = format!("/{}", "x".repeat(9 << 10));
        assert_eq!(outcome("GET", &target, &[("host", "a")]), Err(Problem::Malformed("").status().as_u16()));
    }

    #[test]
    fn only_a_named_proxy_is_believed() {
        let peer = "192.0.2.1".parse().expect("an address");
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.9, 198.51.100.7"));
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        headers.insert("x-forwarded-host", HeaderValue::from_static("shop.example"));
        let believed = Connection::new(peer, &[peer]);
        assert_eq!(believed.client(&headers).to_string(), "198.51.100.7");
        assert_eq!(believed.origin(&headers, "10.0.0.1:3000"), "https://shop.example");
        let stranger = Connection::new(peer, &[]);
        assert_eq!(stranger.client(&headers), peer);
        assert_eq!(stranger.origin(&headers, "10.0.0.1:3000"), "http://10.0.0.1:3000");
    }
}
