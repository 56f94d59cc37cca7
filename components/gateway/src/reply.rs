//! Answers: JSON, pages, entity tags, and what caches may do.

use serde::Serialize;
use souk_kit::http::{self, Request, Response};

use crate::auth;
use crate::exchange::Exchange;
use crate::shapes::List;

/// What shared caches may do with what anyone may see.
const PUBLIC: &str = "public, max-age=0, s-maxage=30, stale-while-revalidate=60";

/// An answer in JSON.
pub fn json(status: u16, body: &impl Serialize) -> Response {
    Response::new(status, "application/json", serde_json::to_vec(body).expect("our shapes are always JSON"))
}

/// Something was made, and this is where it is.
pub fn created(location: &str, body: &impl Serialize) -> Response {
    json(201, body).with("location", location)
}

/// It is done, and there is nothing to say.
pub fn nothing() -> Response {
    Response { status: 204, ..Response::default() }
}

/// It was taken, and will be done.
pub fn accepted() -> Response {
    Response { status: 202, ..Response::default() }
}

/// One page of a list, with a link to the next.
pub fn page<T: Serialize>(exchange: &Exchange<'_>, data: Vec<T>, next: Option<String>) -> Response {
    let link = next.as_deref().map(|cursor| next_link(exchange.request, cursor));
    let response = json(200, &List { data, has_more: next.is_some(), next_cursor: next });
    match link {
        Some(link) => response.with("link", link),
        None => response,
    }
}

/// A whole list.
pub fn list<T: Serialize>(data: Vec<T>) -> Response {
    json(200, &List { data, has_more: false, next_cursor: None })
}

/// The same for anyone: caches may keep it when nobody in particular asked.
pub fn public(exchange: &Exchange<'_>, response: Response) -> Response {
    let control = if auth::anonymous(exchange.request) { PUBLIC } else { "private, no-store" };
    response.with("cache-control", control).with("vary", "authorization")
}

/// The entity tag of a version.
pub fn tag(version: u64) -> String {
    format!("\"{version}\"")
}

/// The version that an entity tag of [`tag`] stands for.
pub fn version_of(tag: &str) -> Option<u64> {
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
    if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// The same with an entity tag; or 304 when that is what the client has already.
pub fn tagged(request: &Request, response: Response, tag: &str) -> Response {
    let known = request.header("if-none-match").is_some_and(|tags| {
        // RFC 9110 compares weakly here.
        tags.split(',').map(str::trim).any(|t| t == "*" || t.strip_prefix("W/").unwrap_or(t) == tag)
    });
    let response = response.with("etag", tag);
    if !known {
        return response;
    }
    let kept = |name: &str| matches!(name, "etag" | "cache-control" | "vary" | "content-location" | "expires");
    let headers = response.headers.into_iter().filter(|(name, _)| kept(name)).collect();
    Response { status: 304, headers, body: Vec::new() }
}

/// What all answers have. Nothing is kept by caches unless the handler said so.
pub fn finish(request: &Request, mut response: Response) -> Response {
    if response.header("cache-control").is_none() {
        response = response.with("cache-control", "private, no-store");
    }
    if request.method == "HEAD" {
        response.body = Vec::new();
    }
    response.with("x-content-type-options", "nosniff")
}

fn next_link(request: &Request, cursor: &str) -> String {
    let mut link = format!("<{}?", request.path);
    // Decoded and encoded again, so that nothing a client sent can end the link early.
    for (name, value) in request.query_pairs().iter().filter(|(name, _)| name != "cursor") {
        link.extend([&http::encode(name), "=", &http::encode(value), "&"]);
    }
    link.extend(["cursor=", &http::encode(cursor), ">; rel=\"next\""]);
    link
}
