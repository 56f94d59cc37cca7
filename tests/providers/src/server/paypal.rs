//! PayPal over HTTP: its API, and the page where a shopper approves an order.

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get};
use serde::Deserialize;

use super::{Shared, Site, lost};
use crate::paypal::objects::INSTRUMENTS;
use crate::paypal::{PayPal, Request, Shopper};

impl Site for PayPal {
    fn routes() -> Router<Shared<Self>> {
        Router::new()
            .route("/v1/{*path}", any(api))
            .route("/v2/{*path}", any(api))
            .route("/checkoutnow", get(show).post(decide))
            .route("/closed", get(async || "You can close this page."))
    }
}

async fn api(
    State(shared): State<Shared<PayPal>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let request = Request {
        method: method.as_str(),
        path: uri.path(),
        body: &body,
        authorization: text("authorization"),
        request_id: text("paypal-request-id"),
        wants_all: text("prefer") == Some("return=representation"),
    };
    let mut state = shared.lock();
    // What only asks, about a token or a webhook, fails when nothing arrives, as other reads do.
    let kind = if request.path.starts_with("/v1/") { "GET" } else { request.method };
    let fault = state.faults.draw(kind);
    let now = state.clock.now();
    let told = state.provider.handle(now, &request, fault);
    state.post_events();
    let Some(told) = told else { return lost() };
    let status = StatusCode::from_u16(told.status).expect("PayPal's statuses are statuses");
    if told.body.is_null() {
        return status.into_response();
    }
    (status, [(header::CONTENT_TYPE, "application/json")], Body::from(told.body.to_string())).into_response()
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

async fn show(State(shared): State<Shared<PayPal>>, Query(Token { token }): Query<Token>) -> Response {
    let Some(amount) = shared.lock().provider.waits(&token) else { return gone() };
    let approve =
        INSTRUMENTS.map(|(name, _)| format!("<button name=\"approve\" value=\"{name}\">Pay: {name}</button> "));
    // An amount has nothing in it that has to be escaped.
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>PayPal (simulated)</title>\
         <h1>Pay {amount}?</h1><p>Nothing is charged.</p><form method=\"post\">{}\
         <button name=\"cancel\">Cancel</button></form></html>",
        approve.concat()
    ))
    .into_response()
}

async fn decide(State(shared): State<Shared<PayPal>>, Query(Token { token }): Query<Token>, body: String) -> Response {
    let chosen = INSTRUMENTS.into_iter().find(|(name, _)| body == format!("approve={name}"));
    let shopper = match (chosen, body.as_str()) {
        (Some((_, instrument)), _) => Shopper::Approves(instrument),
        (None, "cancel=") => Shopper::Cancels,
        (None, _) => return (StatusCode::BAD_REQUEST, "`approve` with what is paid with, or `cancel`").into_response(),
    };
    let mut state = shared.lock();
    let now = state.clock.now();
    let Some(location) = state.provider.decide(now, &token, shopper) else { return gone() };
    state.post_events();
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

fn gone() -> Response {
    (StatusCode::NOT_FOUND, "This order does not wait for anybody.").into_response()
}
