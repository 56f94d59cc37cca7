//! The OpenAPI document and its page, as they were generated from this code and checked in: see `openapi.rs`.

use souk_kit::http::Response;

use crate::exchange::Exchange;
use crate::reply;
use crate::routes::{Access, Answer, Route};

/// The routes of this file.
pub const ROUTES: &[Route] =
    &[Route::get("api/openapi.json", Access::Open, get_openapi), Route::get("api/docs", Access::Open, get_docs)];

/// OpenAPI 3.1, in JSON.
pub const OPENAPI: &[u8] = include_bytes!("../openapi.json");

/// The same as a page.
pub const PAGE: &[u8] = include_bytes!("../docs.html");

/// The page loads nothing from anywhere and runs nothing.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Reads this document.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/openapi.json", tag = "documentation",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object))))]
pub fn get_openapi(exchange: &Exchange<'_>) -> Answer {
    Ok(reply::public(exchange, Response::new(200, "application/json", OPENAPI)))
}

/// Reads this document as a page.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/docs", tag = "documentation",
    responses((status = 200, description = "A page.", body = String, content_type = "text/html"))))]
pub fn get_docs(exchange: &Exchange<'_>) -> Answer {
    let page = Response::new(200, "text/html; charset=utf-8", PAGE).with("content-security-policy", POLICY);
    Ok(reply::public(exchange, page))
}
