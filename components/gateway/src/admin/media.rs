//! Pictures, as staff upload them.

use serde::Serialize;
use souk_kit::catalog;

use crate::exchange::Exchange;
use crate::input;
use crate::problem::{Code, Problem};
use crate::reply;
use crate::routes::{Access, Answer, Keyed, Route};

/// The routes of this file.
pub const ROUTES: &[Route] = &[Route::post("media", Access::Staff, Keyed::Optional, upload_media)];

/// Largest picture, in bytes: 512 KiB.
const MEDIA_BYTES_MAX: usize = 512 * 1024;

/// What a picture may be.
const CONTENT_TYPES: [&str; 4] = ["image/png", "image/jpeg", "image/webp", "image/svg+xml"];

/// A picture that was stored.
#[derive(Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct StoredMedia {
    /// `med_...`, the digest of its content: the same picture is stored once.
    pub id: String,
    /// Its path, for the `media` of a product.
    pub url: String,
}

/// Stores a picture: the body is the picture itself.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/admin/media", tag = "admin: catalog",
    request_body(content((Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg"), (Vec<u8> = "image/webp"), (Vec<u8> = "image/svg+xml"))),
    responses((status = 201, body = StoredMedia))))]
pub fn upload_media(exchange: &Exchange<'_>) -> Answer {
    let request = exchange.request;
    let sent = request.header("content-type").map(input::media_type).unwrap_or_default().to_ascii_lowercase();
    if !CONTENT_TYPES.contains(&sent.as_str()) {
        return Err(Problem::new(Code::UnsupportedMediaType, format!("one of {}", CONTENT_TYPES.join(", "))));
    }
    if request.body.len() > MEDIA_BYTES_MAX {
        return Err(Problem::new(Code::TooLarge, format!("at most {MEDIA_BYTES_MAX} bytes")));
    }
    if request.body.is_empty() {
        return Err(Problem::field("", "required", "the body is the picture"));
    }
    let file = catalog::MediaFile { content_type: sent, bytes: request.body.clone() };
    let id = exchange.ports.put_media(&exchange.ctx, &file)?;
    let url = format!("/media/{id}");
    Ok(reply::created(&url, &StoredMedia { id, url: url.clone() }))
}
