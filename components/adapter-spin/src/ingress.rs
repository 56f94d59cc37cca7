//! Who sent a request, from what Spin says and what a trusted proxy says.
//!
//! Spin appends its own headers behind those that the client sent, whatever their names, so only the last one of a name
//! is Spin's word (Spin 4.0.2, `trigger-http/src/headers.rs`).

use std::net::{IpAddr, SocketAddr};

/// The variable with the addresses of proxies that are believed, separated by commas; `*` believes whoever connects.
pub const TRUSTED_PROXIES: &str = "trusted_proxies";

/// Who sent a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Scheme, host and port that the client used.
    pub origin: String,
    /// The network address of the client; empty when Spin does not say it.
    pub client: String,
}

/// Reads who sent a request with this host and these headers.
pub fn identify(host: &str, headers: &[(String, String)], trusted_proxies: &str) -> Sender {
    let last = |name: &str| headers.iter().rev().find_map(|(n, value)| (n == name).then_some(value.as_str()));
    let peer =
        last("spin-client-addr").and_then(|address| address.parse::<SocketAddr>().ok()).map(|address| address.ip());
    let trusted = trusted_proxies.split(',').map(str::trim).any(|trusted| {
        trusted == "*"
            || trusted.parse::<IpAddr>().is_ok_and(|trusted| peer.map(|peer| peer.to_canonical()) == Some(trusted))
    });
    let forwarded = |name: &str| last(name).filter(|_| trusted);
    // The last entry is the one that our own proxy added; those before it are the client's word.
    let named = forwarded("x-forwarded-for").and_then(|all| all.rsplit(',').next()?.trim().parse::<IpAddr>().ok());
    let client = named.or(peer).map(|address| address.to_canonical().to_string()).unwrap_or_default();
    let scheme = match forwarded("x-forwarded-proto") {
        Some("https") => "https",
        Some(_) => "http",
        None if last("spin-full-url").is_some_and(|url| url.starts_with("https://")) => "https",
        None => "http",
    };
    let host = forwarded("x-forwarded-host").filter(|host| is_host(host)).unwrap_or(host);
    Sender { origin: format!("{scheme}://{host}"), client }
}

fn is_host(host: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    (1..=255).contains(&host.len()) && host.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::identify;

    const SPOOFED: &[(&str, &str)] = &[
        ("spin-client-addr", "203.0.113.66:1"),
        ("spin-full-url", "https://evil.example/"),
        ("x-forwarded-for", "203.0.113.9, 198.51.100.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.example"),
        ("spin-full-url", "http://10.0.0.1:3000/a"),
        ("spin-client-addr", "192.0.2.1:40000"),
    ];

    fn sender(headers: &[(&str, &str)], trusted: &str) -> (String, String) {
        let headers: Vec<_> = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let sender = identify("10.0.0.1:3000", &headers, trusted);
        (sender.origin, sender.client)
    }

    fn is(origin: &str, client: &str) -> (String, String) {
        (origin.to_owned(), client.to_owned())
    }

    #[test]
    fn only_spin_and_a_named_proxy_are_believed() {
        for trusted in ["", "198.51.100.7", "203.0.113.66", "x"] {
            assert_eq!(sender(SPOOFED, trusted), is("http://10.0.0.1:3000", "192.0.2.1"), "{trusted}");
        }
        for trusted in ["192.0.2.1", "10.0.0.9, 192.0.2.1", "*"] {
            assert_eq!(sender(SPOOFED, trusted), is("https://shop.example", "198.51.100.7"), "{trusted}");
        }
    }

    #[test]
    fn what_spin_does_not_say_is_empty() {
        assert_eq!(sender(&[("x-forwarded-for", "203.0.113.9")], ""), is("http://10.0.0.1:3000", ""));
        let tls = [("spin-full-url", "https://10.0.0.1:3000/"), ("spin-client-addr", "[::ffff:192.0.2.1]:1")];
        assert_eq!(sender(&tls, ""), is("https://10.0.0.1:3000", "192.0.2.1"));
    }
}
