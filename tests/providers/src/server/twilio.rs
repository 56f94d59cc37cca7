//! Twilio over HTTP: its API.

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use super::{Shared, Site, lost};
use crate::twilio::{Request, Twilio};

impl Site for Twilio {
    fn routes() -> Router<Shared<Self>> {
        Router::new().route("/2010-04-01/{*path}", any(api))
    }
}

async fn api(
    State(shared): State<Shared<Twilio>>,
    method: Method,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: String,
) -> Response {
    let form = if method == Method::POST { body } else { query.unwrap_or_default() };
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
    let request = Request { method: method.as_str(), path: uri.path(), form: &form, authorization };
    let mut state = shared.lock();
    let fault = state.faults.draw(request.method);
    let now = state.clock.now();
    let told = state.provider.handle(now, &request, fault);
    state.post_events();
    let Some(told) = told else { return lost() };
    let status = StatusCode::from_u16(told.status).expect("Twilio's statuses are statuses");
    (status, axum::Json(told.body)).into_response()
}
