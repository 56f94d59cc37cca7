//! A browser without JavaScript: follows links and redirects, keeps cookies, and sends the forms of pages as they are.

use std::collections::BTreeMap;

use crate::{
    client::{Answer, Client},
    shop::Shop,
};

/// Longest chain of redirects.
const REDIRECTS_MAX: usize = 5;

/// A page as it came.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its path, after all redirects.
    pub path: String,
    /// The answer.
    pub answer: Answer,
}

impl Page {
    /// The same page, when it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.answer.status, status, "{}: {}", self.path, self.answer.text);
        self
    }

    /// Asserts that it says this.
    #[track_caller]
    pub fn says(&self, words: &str) {
        assert!(self.answer.text.contains(words), "{} does not say {words:?}: {}", self.path, self.answer.text);
    }

    /// Asserts that it does not say this.
    #[track_caller]
    pub fn is_silent_about(&self, words: &str) {
        assert!(!self.answer.text.contains(words), "{} says {words:?}: {}", self.path, self.answer.text);
    }

    /// The first link whose target starts so.
    #[track_caller]
    pub fn link(&self, start: &str) -> String {
        let links = tags(&self.answer.text).into_iter().filter(|tag| tag.name == "a");
        let mut targets = links.filter_map(|tag| tag.attribute("href"));
        let found = targets.find(|target| target.starts_with(start));
        found.unwrap_or_else(|| panic!("no link to {start} on {}: {}", self.path, self.answer.text))
    }

    /// The fields of the form that is sent to this path, with the values that they have; none when there is no such form.
    pub fn form(&self, action: &str) -> Option<Vec<(String, String)>> {
        let tags = tags(&self.answer.text);
        let mut inside = false;
        let mut select: Option<String> = None;
        let mut found: Option<Vec<(String, String)>> = None;
        for tag in tags {
            match tag.name.as_str() {
                "form" => {
                    inside = found.is_none() && tag.attribute("action").as_deref().unwrap_or(&self.path) == action;
                    if inside {
                        found = Some(Vec::new());
                    }
                }
                "/form" => inside = false,
                "/select" => select = None,
                _ => {}
            }
            let Some(fields) = found.as_mut().filter(|_| inside) else { continue };
            let value = || tag.attribute("value").unwrap_or_default();
            match (tag.name.as_str(), tag.attribute("name")) {
                ("input", Some(name)) => {
                    let picked = matches!(tag.attribute("type").as_deref(), Some("radio" | "checkbox"));
                    if !picked || tag.attribute("checked").is_some() {
                        fields.push((name, value()));
                    }
                }
                ("select", Some(name)) => select = Some(name),
                ("option", _) => {
                    let name = select.clone().expect("an option stands in a select");
                    let known = fields.iter_mut().find(|(other, _)| *other == name);
                    match known {
                        None => fields.push((name, value())),
                        Some(field) if tag.attribute("selected").is_some() => field.1 = value(),
                        Some(_) => {}
                    }
                }
                _ => {}
            }
        }
        found
    }
}

/// Someone with a browser.
pub struct Browser {
    client: Client,
    url: String,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// A fresh one, in front of a shop.
    pub fn new(shop: &Shop) -> Self {
        Self { client: Client::guest(shop), url: shop.url.clone(), cookies: BTreeMap::new() }
    }

    /// A cookie that it keeps.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    /// Forgets a cookie, as happens when its time is over.
    pub fn forget(&mut self, name: &str) {
        self.cookies.remove(name);
    }

    /// Opens a page.
    pub async fn open(&mut self, path: &str) -> Page {
        let answer = self.send("GET", path, &[], None).await;
        self.follow(path, answer).await
    }

    /// Sends a form of a page with the values that it has, but for those named here. A button is a field, too.
    pub async fn submit(&mut self, page: &Page, action: &str, changes: &[(&str, &str)]) -> Page {
        let form = page.form(action);
        let mut fields = form.unwrap_or_else(|| panic!("no form to {action} on {}: {}", page.path, page.answer.text));
        for (name, value) in changes {
            match fields.iter_mut().find(|(other, _)| other == name) {
                Some(field) => field.1 = (*value).to_owned(),
                None => fields.push(((*name).to_owned(), (*value).to_owned())),
            }
        }
        let origin = self.url.clone();
        let own = [("origin", origin.as_str()), ("sec-fetch-site", "same-origin")];
        let answer = self.post(action, &own, &fields).await;
        self.follow(action, answer).await
    }

    /// Sends any fields anywhere, whatever a page says, and follows nowhere.
    pub async fn post(&mut self, path: &str, headers: &[(&str, &str)], fields: &[(String, String)]) -> Answer {
        let pairs: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let mut headers = headers.to_vec();
        headers.push(("content-type", "application/x-www-form-urlencoded"));
        self.send("POST", path, &headers, Some(pairs.join("&").into_bytes())).await
    }

    async fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Vec<u8>>) -> Answer {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut headers = headers.to_vec();
        if !cookies.is_empty() {
            headers.push(("cookie", &cookies));
        }
        let answer = self.client.send(method, path, &headers, body).await;
        for cookie in answer.headers.get_all("set-cookie") {
            self.keep(cookie.to_str().expect("cookies are ASCII"));
        }
        assert_guarded(path, &answer);
        answer
    }

    async fn follow(&mut self, from: &str, first: Answer) -> Page {
        let (mut path, mut answer) = (from.to_owned(), first);
        for _ in 0..REDIRECTS_MAX {
            let Some(to) = answer.header("location").filter(|_| (300..400).contains(&answer.status)) else {
                return Page { path, answer };
            };
            let to = to.strip_prefix(&self.url).unwrap_or(to);
            assert!(to.starts_with('/'), "{path} leads out of the shop, to {to}");
            path = to.split('#').next().unwrap_or_default().to_owned();
            answer = self.send("GET", &path, &[], None).await;
        }
        panic!("{from} leads on and on, at last to {path}");
    }

    /// Takes a cookie as browsers do, and asserts that it is of the safest kind.
    fn keep(&mut self, header: &str) {
        let mut parts = header.split("; ");
        let (name, value) = parts.next().and_then(|first| first.split_once('=')).expect("a cookie has a name");
        let rest: Vec<&str> = parts.collect();
        assert!(name.starts_with("__Host-"), "{header}");
        for wanted in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
            assert!(rest.contains(&wanted), "{header} lacks {wanted}");
        }
        if rest.contains(&"Max-Age=0") {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// What holds for every page of the shop and of the test provider, those that refuse included.
#[track_caller]
fn assert_guarded(path: &str, answer: &Answer) {
    assert!(answer.status < 500, "{path}: {} {}", answer.status, answer.text);
    let bare = answer.text.is_empty();
    assert!(bare || answer.header("x-content-type-options") == Some("nosniff"), "{path}");
    if answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
        let policy = answer.header("content-security-policy").unwrap_or_default();
        for part in ["default-src 'none'", "style-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{path}: {policy}");
        assert!(answer.header("cache-control").is_some_and(|control| control.contains("no-store")), "{path}");
        assert!(answer.header("referrer-policy").is_some(), "{path}");
    }
}

/// A tag of a page with its attributes as they stand.
struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    /// The value of an attribute, empty when it has none.
    fn attribute(&self, name: &str) -> Option<String> {
        self.attributes.iter().find_map(|(other, value)| (other == name).then(|| value.clone()))
    }
}

/// All tags of a page. Our templates quote every attribute and escape `<` and `>` in text, so no parser is needed.
fn tags(html: &str) -> Vec<Tag> {
    let starts = html.split('<').skip(1);
    starts.filter_map(|piece| piece.split_once('>')).map(|(tag, _)| read(tag)).collect()
}

fn read(tag: &str) -> Tag {
    let (name, mut rest) = tag.split_once(|c: char| c.is_whitespace()).unwrap_or((tag, ""));
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Tag { name: name.to_ascii_lowercase(), attributes };
        }
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let key = rest[..end].to_owned();
        rest = &rest[end..];
        let quoted = rest.strip_prefix("=\"").and_then(|after| after.split_once('"'));
        let value = match quoted {
            Some((value, after)) => {
                rest = after;
                unescaped(value)
            }
            None => {
                rest = rest.trim_start_matches('=');
                String::new()
            }
        };
        attributes.push((key, value));
    }
}

fn unescaped(text: &str) -> String {
    let mut pieces = text.split('&');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, after) = piece.split_once(';').expect("templates escape ampersands");
        let letter = match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            other => {
                let code = other.strip_prefix('#').and_then(|digits| digits.parse().ok()).and_then(char::from_u32);
                code.unwrap_or_else(|| panic!("what is &{other};?"))
            }
        };
        plain.push(letter);
        plain.push_str(after);
    }
    plain
}

/// A text as forms and queries have it.
pub fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(one).collect()
}
