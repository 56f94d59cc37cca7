//! Which destinations a component may reach: `allowed_outbound_hosts`, in Spin's notation.

use std::{net::IpAddr, ops::RangeInclusive};

use crate::url::{Host, Scheme, Url, host_of, is_name};

/// One entry of `allowed_outbound_hosts`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Destination {
    /// None means either.
    scheme: Option<Scheme>,
    host: Granted,
    ports: RangeInclusive<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Granted {
    /// Every name, and no address.
    Any,
    /// Every name below this one, which starts with a dot.
    Below(String),
    Name(String),
    Address(IpAddr),
}

/// Whether one of the entries grants the URL; the text says why not. It never holds the path, which may hold a secret.
pub fn check(entries: &[String], value: impl Fn(&str) -> Option<String>, url: &Url) -> Result<(), String> {
    for entry in entries {
        let filled = fill(entry, &value)?;
        let destination =
            parse(&filled).ok_or_else(|| format!("`{entry}` of `allowed_outbound_hosts` is no destination"))?;
        if destination.covers(url) {
            return Ok(());
        }
    }
    Err(format!("`{}` is not among `allowed_outbound_hosts`", url.authority))
}

/// Puts values in place of `{{ name }}`.
fn fill(entry: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = entry;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or_else(|| format!("`{entry}` has a `{{{{` without its end"))?;
        let name = name.trim();
        filled.push_str(before);
        filled.push_str(
            &value(name).ok_or_else(|| format!("`{entry}` names the variable `{name}`, which has no value"))?,
        );
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn parse(entry: &str) -> Option<Destination> {
    let (scheme, rest) = entry.split_once("://")?;
    let scheme = match scheme {
        "http" => Some(Scheme::Http),
        "https" => Some(Scheme::Https),
        "*" => None,
        _ => return None,
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let ports = match (port, scheme) {
        (None, Some(Scheme::Http)) => 80..=80,
        (None, Some(Scheme::Https)) => 443..=443,
        (None, None) => return None,
        (Some("*"), _) => 1..=u16::MAX,
        (Some(port), _) => ports(port)?,
    };
    let host = match host.strip_prefix('*') {
        Some("") => Granted::Any,
        Some(below) => {
            let is_below = below.strip_prefix('.').is_some_and(is_name);
            is_below.then(|| Granted::Below(below.to_ascii_lowercase()))?
        }
        None => match host_of(host)? {
            Host::Name(name) => Granted::Name(name),
            Host::Address(address) => Granted::Address(address),
        },
    };
    Some(Destination { scheme, host, ports })
}

fn ports(text: &str) -> Option<RangeInclusive<u16>> {
    match text.split_once("..") {
        // As in Spin, the end is not part of the range.
        Some((first, end)) => Some(first.parse().ok()?..=end.parse::<u16>().ok()?.checked_sub(1)?),
        None => text.parse().ok().map(|port: u16| port..=port),
    }
}

impl Destination {
    fn covers(&self, url: &Url) -> bool {
        self.scheme.is_none_or(|scheme| scheme == url.scheme)
            && self.ports.contains(&url.port)
            && self.host.covers(&url.host)
    }
}

impl Granted {
    fn covers(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, Host::Name(_)) => true,
            (Self::Below(below), Host::Name(name)) => name.len() > below.len() && name.ends_with(below.as_str()),
            (Self::Name(granted), Host::Name(name)) => granted == name,
            (Self::Address(granted), Host::Address(address)) => granted == address,
            (Self::Any | Self::Below(_) | Self::Name(_), Host::Address(_)) | (Self::Address(_), Host::Name(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{check, parse};
    use crate::url::Url;

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
            assert!(parse(entry).is_some(), "{entry}");
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
            assert!(parse(entry).is_none(), "{entry}: {:?}", parse(entry));
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
            (&["https://a.example", "https://b.example"], "https://b.example", true),
            (&["https://*.paypal.com"], "https://api.paypal.com/", true),
            (&["https://*.paypal.com"], "https://a.b.paypal.com/", true),
            (&["https://*.paypal.com"], "https://paypal.com/", false),
            (&["https://*.paypal.com"], "https://evilpaypal.com/", false),
            (&["http://127.0.0.1:8420"], "http://127.0.0.1:8420/", true),
            (&["http://127.0.0.1:8420"], "http://[::ffff:127.0.0.1]:8420/", true),
            (&["http://127.0.0.1:8420"], "http://127.0.0.1:8421/", false),
            (&["http://127.0.0.1:8420"], "http://localhost:8420/", false),
            (&["http://*:*"], "http://127.0.0.1/", false),
            (&["http://*:*"], "http://8.8.8.8/", false),
            (&["http://*:*"], "http://[::1]/", false),
            (&["http://*:8000..8010"], "http://a.example:8009/", true),
            (&["http://*:8000..8010"], "http://a.example:8010/", false),
            (&["https://{{ host }}"], "https://filled.example/", true),
            (&["https://{{ host }}"], "https://other.example/", false),
            (&["https://{{ absent }}"], "https://filled.example/", false),
            (&[], "https://api.stripe.com/", false),
        ];
        for (entries, url, expected) in table {
            let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
            let url = Url::parse(url).expect("the URLs of this table are well formed");
            let value = |name: &str| (name == "host").then(|| "filled.example".to_owned());
            assert_eq!(check(&entries, value, &url).is_ok(), *expected, "{entries:?} {url:?}");
        }
    }

    #[test]
    fn a_refusal_holds_no_path() {
        let url = Url::parse("https://a.example/secret").expect("a URL");
        let refusal = check(&[], |_| None, &url).expect_err("nothing is granted");
        assert!(!refusal.contains("secret"), "{refusal}");
    }
}
