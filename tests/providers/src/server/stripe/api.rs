//! The API: takes a request out of HTTP and puts its answer back.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::any;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::server::{Shared, lost};
use crate::stripe::error::Refusal;
use crate::stripe::{Request, Stripe, VERSION};

pub(super) fn routes() -> Router<Shared<Stripe>> {
    Router::new().route("/v1/{*path}", any(api))
}

async fn api(
    State(shared): State<Shared<Stripe>>,
    method: Method,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(version) = text("stripe-version").filter(|version| *version != VERSION) {
        let refusal = Refusal::version(version);
        return answer(refusal.status, false, None, &serde_json::json!({"error": refusal.error}));
    }
    let form = match method {
        Method::POST => String::from_utf8_lossy(&body).into_owned(),
        _ => query.unwrap_or_default(),
    };
    let secret_key = text("authorization").and_then(secret_key);
    let key = text("idempotency-key");
    let request =
        Request { method: method.as_str(), path: uri.path(), form: &form, secret_key: secret_key.as_deref(), key };
    let mut state = shared.lock();
    let fault = state.faults.draw(method.as_str());
    let now = state.clock.now();
    let told = state.provider.handle(now, &request, fault);
    state.post_events();
    match told {
        Some(told) => answer(told.status, told.replayed, key, &told.body),
        None => lost(),
    }
}

/// The key as a bearer token, or as the user's name without a password.
fn secret_key(authorization: &str) -> Option<String> {
    if let Some(token) = authorization.strip_prefix("Bearer ") {
        return Some(token.to_owned());
    }
    let pair = BASE64_STANDARD.decode(authorization.strip_prefix("Basic ")?).ok()?;
    Some(String::from_utf8(pair).ok()?.split(':').next()?.to_owned())
}

fn answer(status: u16, replayed: bool, key: Option<&str>, body: &serde_json::Value) -> Response {
    let mut response = Response::builder()
        .status(StatusCode::from_u16(status).expect("Stripe's statuses are statuses"))
        .header(header::CONTENT_TYPE, "application/json")
        .header("stripe-version", VERSION);
    if let Some(key) = key {
        response = response.header("idempotency-key", key);
    }
    if replayed {
        response = response.header("idempotent-replayed", "true");
    }
    response.body(Body::from(body.to_string())).expect("the headers came as headers")
}
