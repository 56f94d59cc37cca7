//! Which destinations a component may reach: Spin's `allowed_outbound_hosts`, and what counts as private.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use reqwest::Url;

/// One entry of `allowed_outbound_hosts`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Destination {
    scheme: Scheme,
    host: Host,
    ports: RangeInclusive<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Scheme {
    Http,
    Https,
    Either,
}

#[derive(Clone, Debug, PartialEq)]
enum Host {
    Any,
    /// Every name below this one, which starts with a dot.
    Below(String),
    Name(String),
    Address(IpAddr),
}

/// Reads one entry, or says what is wrong with it and what to write.
pub(super) fn parse(entry: &str) -> Result<Destination, String> {
    let wrong = |reason: &str| {
        format!(
            "`{entry}` {reason}; write a destination like `https://api.example.com`, `https://*.example.com` or `http://127.0.0.1:8080`"
        )
    };
    let (scheme, rest) = entry.split_once("://").ok_or_else(|| wrong("has no scheme"))?;
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        "*" => Scheme::Either,
        _ => return Err(wrong("has another scheme than http and https")),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#', '@']) {
        return Err(wrong("has more than a scheme, a host and a port"));
    }
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let ports = match (port, scheme) {
        (None, Scheme::Http) => 80..=80,
        (None, Scheme::Https) => 443..=443,
        (None, Scheme::Either) => return Err(wrong("has neither scheme nor port")),
        (Some("*"), _) => 1..=u16::MAX,
        (Some(port), _) => ports(port).ok_or_else(|| wrong("has a port that is not a number"))?,
    };
    let host = parse_host(host).ok_or_else(|| wrong("has a host that is not one"))?;
    Ok(Destination { scheme, host, ports })
}

fn ports(text: &str) -> Option<RangeInclusive<u16>> {
    match text.split_once("..") {
        // As in Spin, the end is not part of the range.
        Some((first, end)) => Some(first.parse().ok()?..=end.parse::<u16>().ok()?.checked_sub(1)?),
        None => text.parse().ok().map(|port: u16| port..=port),
    }
}

fn parse_host(host: &str) -> Option<Host> {
    if host == "*" {
        return Some(Host::Any);
    }
    if let Some(below) = host.strip_prefix('*') {
        let is_below = below.starts_with('.') && is_name(&below[1..]);
        return is_below.then(|| Host::Below(below.to_ascii_lowercase()));
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if let Ok(address) = bare.unwrap_or(host).parse::<IpAddr>() {
        return Some(Host::Address(address.to_canonical()));
    }
    is_name(host).then(|| Host::Name(host.to_ascii_lowercase()))
}

fn is_name(text: &str) -> bool {
    // A last label of digits would be read as an address by some and as a name by others.
    let last_is_word = text.rsplit('.').next().is_some_and(|label| !label.bytes().all(|b| b.is_ascii_digit()));
    last_is_word
        && text.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

/// Whether a URL is granted, before its name is resolved. An address in it must be public or named literally.
pub(super) fn check(destinations: &[Destination], url: &Url) -> Result<(), String> {
    let refused = || format!("`{}` is not among `allowed_outbound_hosts`", origin(url));
    let port = url.port_or_known_default().ok_or_else(refused)?;
    let scheme = if url.scheme() == "https" { Scheme::Https } else { Scheme::Http };
    let target = Target::of(url).ok_or_else(refused)?;
    let fits = |destination: &&Destination| {
        (destination.scheme == Scheme::Either || destination.scheme == scheme)
            && destination.ports.contains(&port)
            && destination.host.covers(&target)
    };
    if destinations.iter().any(|destination| fits(&destination)) { Ok(()) } else { Err(refused()) }
}

/// Whether `localhost` is named, which allows loopback addresses for that name alone.
pub(super) fn names_localhost(destinations: &[Destination]) -> bool {
    destinations.iter().any(|destination| matches!(&destination.host, Host::Name(name) if name == LOCALHOST))
}

/// The one name that may stand for a private address.
pub(super) const LOCALHOST: &str = "localhost";

/// The scheme, host and port of a URL, for an error text: its path may hold a secret.
fn origin(url: &Url) -> impl fmt::Display {
    url.origin().ascii_serialization()
}

/// The host of a URL.
enum Target {
    Name(String),
    Address(IpAddr),
}

impl Target {
    fn of(url: &Url) -> Option<Target> {
        let host = url.host_str()?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        // The URL's parser has turned every spelling of an address, octal and hexadecimal ones too, into the usual one.
        match bare.parse::<IpAddr>() {
            Ok(address) => Some(Target::Address(address.to_canonical())),
            Err(_) => Some(Target::Name(host.to_ascii_lowercase())),
        }
    }
}

impl Host {
    fn covers(&self, target: &Target) -> bool {
        match (self, target) {
            (Host::Any, Target::Name(_)) => true,
            (Host::Any, Target::Address(address)) => is_public(*address),
            (Host::Below(below), Target::Name(name)) => name.len() > below.len() && name.ends_with(below.as_str()),
            (Host::Name(granted), Target::Name(name)) => granted == name,
            (Host::Address(granted), Target::Address(address)) => granted == address,
            (Host::Below(_) | Host::Name(_), Target::Address(_)) | (Host::Address(_), Target::Name(_)) => false,
        }
    }
}

/// Whether an address belongs to the public internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// IPv4 blocks that are not public: address and length of the prefix (IANA's special-purpose registry).
const PRIVATE_V4: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 52, 193, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(192, 175, 48, 0), 24),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = u32::from(address);
    !PRIVATE_V4.iter().any(|&(block, length)| (bits ^ u32::from(block)) >> (32 - length) == 0)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // Only 2000::/3 is given out. Within it: protocols that carry an IPv4 address inside, documentation and tests.
    let given_out = first & 0xe000 == 0x2000;
    let protocols = first == 0x2001 && second < 0x0200;
    let documentation = (first == 0x2001 && second == 0x0db8) || first & 0xfff0 == 0x3ff0;
    let six_to_four = first == 0x2002;
    given_out && !protocols && !documentation && !six_to_four
}

#[cfg(test)]
mod tests {
    use super::{check, is_public, parse};
    use reqwest::Url;

    #[test]
    fn a_destination_is_a_scheme_a_host_and_a_port() {
        for entry in [
            "https://api.stripe.com",
            "https://api.stripe.com/",
            "https://*.paypal.com",
            "http://127.0.0.1:8420",
            "http://[::1]:8420",
            "http://localhost:3000",
            "*://example.com:*",
            "https://example.com:8000..8010",
            "https://*",
        ] {
            assert!(parse(entry).is_ok(), "{entry}: {:?}", parse(entry));
        }
        for entry in [
            "",
            "api.stripe.com",
            "ftp://a.b",
            "https://",
            "https://a.b/path",
            "https://u@a.b",
            "*://a.b",
            "https://a.b:x",
            "https://a.b:9..9x",
            "https://*a.b",
            "https://*.",
            "https://a..b",
            "https://1.2.3",
            "https://a.b:5..0",
            "self",
        ] {
            assert!(parse(entry).is_err(), "{entry}: {:?}", parse(entry));
        }
    }

    #[test]
    fn only_what_is_granted_is_reached() {
        let table: &[(&[&str], &str, bool)] = &[
            (&["https://api.stripe.com"], "https://api.stripe.com/v1/x?y", true),
            (&["https://api.stripe.com"], "https://API.stripe.com/", true),
            (&["https://api.stripe.com"], "http://api.stripe.com/", false),
            (&["https://api.stripe.com"], "https://api.stripe.com:8443/", false),
            (&["https://api.stripe.com"], "https://api.stripe.com.evil.example/", false),
            (&["https://api.stripe.com"], "https://evil.example/api.stripe.com", false),
            (&["https://*.paypal.com"], "https://api.paypal.com/", true),
            (&["https://*.paypal.com"], "https://a.b.paypal.com/", true),
            (&["https://*.paypal.com"], "https://paypal.com/", false),
            (&["https://*.paypal.com"], "https://evilpaypal.com/", false),
            (&["http://127.0.0.1:8420"], "http://127.0.0.1:8420/", true),
            (&["http://127.0.0.1:8420"], "http://127.0.0.1:8421/", false),
            (&["http://127.0.0.1:8420"], "http://0x7f.1:8420/", true),
            (&["http://127.0.0.1:8420"], "http://localhost:8420/", false),
            (&["http://127.0.0.1:8420"], "http://127.0.0.2:8420/", false),
            (&["http://*:*"], "http://127.0.0.1/", false),
            (&["http://*:*"], "http://2130706433/", false),
            (&["http://*:*"], "http://0x7f000001/", false),
            (&["http://*:*"], "http://0177.0.0.1/", false),
            (&["http://*:*"], "http://127.1/", false),
            (&["http://*:*"], "http://[::ffff:127.0.0.1]/", false),
            (&["http://*:*"], "http://[::ffff:7f00:1]/", false),
            (&["http://*:*"], "http://[::1]/", false),
            (&["http://*:*"], "http://[fe80::1]/", false),
            (&["http://*:*"], "http://[64:ff9b::7f00:1]/", false),
            (&["http://*:*"], "http://169.254.169.254/latest/meta-data", false),
            (&["http://*:*"], "http://8.8.8.8/", true),
            (&["http://*:8000..8010"], "http://a.example:8009/", true),
            (&["http://*:8000..8010"], "http://a.example:8010/", false),
            (&[], "https://api.stripe.com/", false),
        ];
        for (grants, url, expected) in table {
            let destinations: Vec<_> =
                grants.iter().map(|entry| parse(entry).expect("the grants of this table are well formed")).collect();
            let url = Url::parse(url).expect("the URLs of this table are well formed");
            assert_eq!(check(&destinations, &url).is_ok(), *expected, "{grants:?} {url}");
        }
    }

    #[test]
    fn private_addresses_are_known() {
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(address.parse().expect("an address")), "{address}");
        }
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(is_public(address.parse().expect("an address")), "{address}");
        }
    }
}
