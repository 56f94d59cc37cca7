//! URLs, read strictly: what another reader might take for another place is none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest URL, in bytes.
const URL_BYTES_MAX: usize = 8 << 10;

/// How a destination is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

/// Whom a URL leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name in lower case.
    Name(String),
    /// An address; an IPv4 address within an IPv6 one counts as itself.
    Address(IpAddr),
}

/// An absolute URL without user and fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// The host.
    pub host: Host,
    /// The port, also where it was left out.
    pub port: u16,
    /// Host and port as they were written.
    pub authority: String,
    /// Path and query, starting with a slash.
    pub target: String,
}

impl Url {
    /// Reads a URL, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > URL_BYTES_MAX {
            return Err("the URL is too long");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return Err("the URL has characters that have to be percent-encoded");
        }
        let (scheme, rest) = text.split_once("://").ok_or("the URL is not absolute")?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err("the scheme of the URL is neither https nor http"),
        };
        if rest.contains('#') {
            return Err("the URL has a fragment");
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return Err("the URL has a user part");
        }
        let (host, port) = split_port(authority)?;
        let default = match scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        };
        Ok(Self {
            scheme,
            host: host_of(host).ok_or("the URL has no host that is one")?,
            port: port.unwrap_or(default),
            authority: authority.to_owned(),
            target: if target.starts_with('/') { target.to_owned() } else { format!("/{target}") },
        })
    }
}

/// Splits a port off.
fn split_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            let number = port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok()).flatten();
            let number = number.filter(|number| *number != 0).ok_or("the URL has a port that is none")?;
            Ok((host, Some(number)))
        }
        _ => Ok((authority, None)),
    }
}

/// A host in the one spelling that everybody reads alike: `127.1`, `0x7f.1` and `2130706433` are no host.
pub fn host_of(text: &str) -> Option<Host> {
    if let Some(bare) = text.strip_prefix('[') {
        let address: Ipv6Addr = bare.strip_suffix(']')?.parse().ok()?;
        return Some(Host::Address(IpAddr::V6(address).to_canonical()));
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(Host::Address(address.into()));
    }
    is_name(text).then(|| Host::Name(text.to_ascii_lowercase()))
}

/// Whether a text is the name of a host, and not an address in some spelling.
pub fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    let is_number = last.starts_with("0x") || last.starts_with("0X") || last.bytes().all(|byte| byte.is_ascii_digit());
    !is_number && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::{Host, Scheme, Url};

    #[test]
    fn an_absolute_url_is_read() {
        let url = Url::parse("https://API.example.com:8443/v1/x?y=%20").expect("a URL");
        assert_eq!((url.scheme, url.port), (Scheme::Https, 8443));
        assert_eq!(url.host, Host::Name("api.example.com".to_owned()));
        assert_eq!((url.authority.as_str(), url.target.as_str()), ("API.example.com:8443", "/v1/x?y=%20"));
        for (text, port, target) in [
            ("https://a.example", 443, "/"),
            ("http://a.example", 80, "/"),
            ("http://a.example?q", 80, "/?q"),
            ("http://[::1]:1/", 1, "/"),
            ("http://127.0.0.1:65535", 65_535, "/"),
        ] {
            let url = Url::parse(text).expect("a URL");
            assert_eq!((url.port, url.target.as_str()), (port, target), "{text}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_none() {
        for text in [
            "",
            "not a url",
            "/path",
            "//a.example/",
            "a.example",
            "HTTPS://a.example",
            "ftp://a.example",
            "https://",
            "https:///path",
            "https://a.example\\@b.example/",
            "https://me@a.example/",
            "https://me:pw@a.example/",
            "https://a.example#x",
            "https://a.example/ x",
            "https://a.example/ä",
            "https://a%2eexample/",
            "https://a..example/",
            "https://a.example.:443/",
            "https://a.example:/",
            "https://a.example:0/",
            "https://a.example:+1/",
            "https://a.example:65536/",
            "https://127.1/",
            "https://0x7f.1/",
            "https://0x7f000001/",
            "https://2130706433/",
            "https://0177.0.0.1/",
            "https://1.2.3.4.5/",
            "https://[::1/",
            "https://[127.0.0.1]/",
            "https://[fe80::1%25eth0]/",
        ] {
            assert!(Url::parse(text).is_err(), "{text}: {:?}", Url::parse(text));
        }
        let long = format!("https://a.example/{}", "a".repeat(8 << 10));
        assert!(Url::parse(&long).is_err());
    }
}
