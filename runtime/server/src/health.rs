//! What machines ask to know whether to send requests here.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};

use crate::{Shared, edge::Application};

/// Answers `/healthz` (the process runs) and `/readyz` (it takes new requests).
pub fn health<A: Application>(shared: &Shared<A>, path: &str) -> Option<Response<Full<Bytes>>> {
    match path {
        "/healthz" => Some(text(StatusCode::OK, "ok\n")),
        "/readyz" if shared.draining() => Some(text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")),
        "/readyz" => Some(match shared.app.load().unready() {
            Some(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
            None => text(StatusCode::OK, "ready\n"),
        }),
        _ => None,
    }
}

/// An answer in plain text.
pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    // The version is that of Prometheus' text format; to everybody else it is plain text.
    let plain = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
