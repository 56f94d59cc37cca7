//! Who may ask for a round, and what they hear.

use serde_json::json;
use souk_kit::http::{Request, Response};

use crate::round::Report;

/// How the value of the header `authorization` starts; the secret follows.
const SCHEME: &str = "Bearer ";

/// Lets in whoever knows the secret. To everyone else there is nothing here.
pub fn check(request: &Request, secret: Option<&str>) -> Result<(), Response> {
    let sent = request.header("authorization").and_then(|value| value.strip_prefix(SCHEME));
    let known = matches!((sent, secret), (Some(sent), Some(secret)) if !secret.is_empty() && same(sent, secret));
    if !known {
        return Err(problem(request, 404, "not_found", "There is nothing here"));
    }
    match request.method.as_str() {
        "POST" => Ok(()),
        _ => Err(problem(request, 405, "method_not_allowed", "Only POST is answered here").with("allow", "POST")),
    }
}

/// Compares two texts in a time that tells nothing but their lengths.
fn same(one: &str, other: &str) -> bool {
    let pairs = one.bytes().zip(other.bytes());
    // Without the hint an optimizer may stop at the first difference.
    let difference = pairs.fold(0, |all, (a, b)| std::hint::black_box(all | (a ^ b)));
    one.len() == other.len() && difference == 0
}

/// The answer to a round.
pub fn answer(request: &Request, report: &Result<Report, String>) -> Response {
    match report {
        Ok(Report { delivered, failed, more }) => {
            let report = json!({ "delivered": delivered, "failed": failed, "more": more });
            Response::new(200, "application/json", report.to_string()).with("cache-control", "no-store")
        }
        Err(_) => problem(request, 503, "unavailable", "The outbox is away").with("retry-after", "60"),
    }
}

fn problem(request: &Request, status: u16, code: &str, title: &str) -> Response {
    let document = json!({
        "type": format!("urn:souk:problem:{code}"),
        "title": title,
        "status": status,
        "code": code,
        "request_id": request.id,
    });
    Response::new(status, "application/problem+json", document.to_string()).with("cache-control", "no-store")
}

#[cfg(test)]
mod tests {
    use souk_kit::http::Request;

    use super::{answer, check};
    use crate::round::Report;

    #[test]
    fn only_the_secret_opens() {
        let table = [
            ("POST", Some("Bearer secret"), Some("secret"), None),
            ("GET", Some("Bearer secret"), Some("secret"), Some(405)),
            ("POST", Some("Bearer secreT"), Some("secret"), Some(404)),
            ("POST", Some("Bearer secret1"), Some("secret"), Some(404)),
            ("POST", Some("Bearer secre"), Some("secret"), Some(404)),
            ("POST", Some("bearer secret"), Some("secret"), Some(404)),
            ("POST", Some("Bearer "), Some(""), Some(404)),
            ("POST", Some("Bearer secret"), None, Some(404)),
            ("POST", None, Some("secret"), Some(404)),
            ("GET", None, Some("secret"), Some(404)),
        ];
        for (method, sent, secret, expected) in table {
            let headers = sent.map(|value| ("authorization".to_owned(), value.to_owned())).into_iter().collect();
            let request = Request { method: method.into(), headers, ..Request::default() };
            let refused = check(&request, secret).err().map(|response| response.status);
            assert_eq!(refused, expected, "{method} {sent:?} {secret:?}");
        }
    }

    #[test]
    fn a_round_is_reported() {
        let report = Ok(Report { delivered: 2, failed: 1, more: false });
        let body = answer(&Request::default(), &report).body;
        assert_eq!(body, br#"{"delivered":2,"failed":1,"more":false}"#);
        assert_eq!(answer(&Request::default(), &Err("away".into())).status, 503);
    }
}
