//! Pictures that the shop stores itself, under `/media` and in the store API.

use souk_kit::http::Response;

use crate::exchange::Exchange;
use crate::reply;
use crate::routes::{Access, Answer, Route};

/// The routes of this file in the store API.
pub const ROUTES: &[Route] = &[Route::get("media/{id}", Access::Open, get_media)];

/// The routes of this file at the root of the host.
pub const HOST_ROUTES: &[Route] = &[Route::get("media/{id}", Access::Open, get_media_of_host)];

/// Caches may keep a picture for good: its id is the digest of its content.
const FOREVER: &str = "public, max-age=31536000, immutable";

/// A picture that is opened by itself runs nothing and loads nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// Reads a picture.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/store/media/{id}", tag = "products",
    params(("id" = String, Path, description = "`med_...`")),
    responses((status = 200, description = "The picture.", body = Vec<u8>, content_type = "image/*"),
        (status = 304, description = "What If-None-Match names is still what is there."))))]
pub fn get_media(exchange: &Exchange<'_>) -> Answer {
    let id = exchange.id("id", "med")?;
    let file = exchange.ports.get_media(&exchange.ctx, id)?;
    let response = Response::new(200, &file.content_type, file.bytes)
        .with("cache-control", FOREVER)
        .with("content-security-policy", POLICY);
    Ok(reply::tagged(exchange.request, response, &format!("\"{id}\"")))
}

/// Reads a picture, where products refer to it.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/media/{id}", tag = "products",
    params(("id" = String, Path, description = "`med_...`")),
    responses((status = 200, description = "The picture.", body = Vec<u8>, content_type = "image/*"),
        (status = 304, description = "What If-None-Match names is still what is there."))))]
pub fn get_media_of_host(exchange: &Exchange<'_>) -> Answer {
    get_media(exchange)
}
