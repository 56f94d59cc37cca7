//! SendGrid over HTTP: its API, and the key that verifies its webhooks.

use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router, body::Bytes};
use serde_json::{Value, json};

use super::{Shared, Site, lost};
use crate::sendgrid::error::Refusal;
use crate::sendgrid::{self, Request, SendGrid, signature};

/// Longest request that SendGrid takes, in bytes.
const MAIL_BYTES_MAX: usize = 30 << 20;

impl Site for SendGrid {
    fn routes() -> Router<Shared<Self>> {
        Router::new()
            .route("/v3/user/webhooks/event/settings/signed", get(public_key))
            // A client hears that it said too much only when all of it is read.
            .route("/v3/{*path}", any(api).layer(DefaultBodyLimit::max(2 * MAIL_BYTES_MAX)))
    }
}

/// The key is the simulator's own affair and not the account's, so this asks for no credentials.
async fn public_key(State(shared): State<Shared<SendGrid>>) -> Json<Value> {
    let secret = shared.lock().endpoint.secrets.first().cloned().unwrap_or_default();
    Json(json!({"public_key": signature::public_key(&secret)}))
}

async fn api(
    State(shared): State<Shared<SendGrid>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = body.ok().filter(|body| body.len() <= MAIL_BYTES_MAX);
    let Some(body) = body else { return answer(Refusal::too_large().answer()) };
    let Ok(body) = std::str::from_utf8(&body) else { return answer(Refusal::bad_request().answer()) };
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
    let request = Request { method: method.as_str(), path: uri.path(), body, authorization };
    let mut state = shared.lock();
    let fault = state.faults.draw(request.method);
    let now = state.clock.now();
    let told = state.provider.handle(now, &request, fault);
    state.post_events();
    told.map_or_else(lost, answer)
}

fn answer(told: sendgrid::Response) -> Response {
    let status = StatusCode::from_u16(told.status).expect("SendGrid's statuses are statuses");
    if told.body.is_null() {
        return (status, axum::response::AppendHeaders(told.headers)).into_response();
    }
    let json = [(header::CONTENT_TYPE, "application/json")];
    (status, axum::response::AppendHeaders(told.headers), json, told.body.to_string()).into_response()
}
