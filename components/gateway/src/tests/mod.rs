//! The gateway against a shop of paper: no request is too strange for a problem document.

mod document;
mod keys;
mod refused;
mod samples;
mod shop;
mod stories;
mod transcripts;

use souk_kit::http::Request;

use shop::Shop;

/// Who sends a request.
#[derive(Clone, Copy, Debug)]
enum As {
    Guest,
    Shopper,
    Staff,
}

/// A request from one line: a method, a path with its query, and a JSON body if there is one.
fn request(shop: &Shop, sender: As, line: &str) -> Request {
    let mut words = line.trim().splitn(3, ' ');
    let method = words.next().expect("a method").to_owned();
    let target = words.next().expect("a path");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let body = words.next().unwrap_or_default().trim().as_bytes().to_vec();
    let mut headers = vec![("user-agent".to_owned(), "tests".to_owned())];
    if !body.is_empty() {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    let token = match sender {
        As::Guest => None,
        As::Shopper => Some(shop.token(samples::USER, false)),
        As::Staff => Some(shop.token(samples::STAFF, true)),
    };
    headers.extend(token.map(|token| ("authorization".to_owned(), format!("Bearer {token}"))));
    Request {
        id: "req-1".to_owned(),
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        origin: "https://shop.example".to_owned(),
        client: "192.0.2.1".to_owned(),
        headers,
        body,
    }
}

/// The same with a header.
fn with(mut request: Request, name: &str, value: &str) -> Request {
    request.headers.push((name.to_owned(), value.to_owned()));
    request
}

/// The code of a problem document, or the status of another answer.
fn outcome(response: &souk_kit::http::Response) -> String {
    if response.header("content-type") != Some("application/problem+json") {
        return response.status.to_string();
    }
    let problem: serde_json::Value = serde_json::from_slice(&response.body).expect("a problem document is JSON");
    assert_eq!(problem["status"], response.status);
    assert_eq!(problem["request_id"], "req-1");
    assert_eq!(problem["type"], format!("urn:souk:problem:{}", problem["code"].as_str().expect("a code")));
    assert!(problem["instance"].as_str().is_some_and(|path| path.starts_with('/')), "{problem}");
    assert!(response.status < 500 || matches!(response.status, 503 | 507), "{problem}");
    let errors = problem["errors"].as_array().into_iter().flatten();
    let errors: Vec<String> = errors
        .map(|error| format!(" {}:{}", error["pointer"].as_str().unwrap_or("?"), error["code"].as_str().unwrap_or("?")))
        .collect();
    format!("{} {}{}", response.status, problem["code"].as_str().unwrap_or("?"), errors.concat())
}
