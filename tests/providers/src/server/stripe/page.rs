//! The page of 3-D Secure, where a shopper approves or refuses a payment.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use crate::server::Shared;
use crate::stripe::{Shopper, Stripe};

pub(super) fn routes() -> Router<Shared<Stripe>> {
    Router::new().route("/3d_secure/{id}", get(show).post(finish))
}

async fn show(State(shared): State<Shared<Stripe>>, Path(id): Path<String>) -> Response {
    let Some((intent, _)) = shared.lock().provider.waits(&id) else { return gone() };
    // Its parts are numbers and three letters, so nothing in it has to be escaped.
    let amount = format!("{} {}", intent["amount"], intent["currency"].as_str().unwrap_or_default().to_uppercase());
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>3D Secure (simulated)</title>\
         <h1>Is this you?</h1><p>A payment of {amount}, in the smallest unit. Nothing is charged.</p>\
         <form method=\"post\"><button name=\"shopper\" value=\"approves\">Approve</button> \
         <button name=\"shopper\" value=\"refuses\">Refuse</button></form></html>"
    ))
    .into_response()
}

async fn finish(State(shared): State<Shared<Stripe>>, Path(id): Path<String>, body: String) -> Response {
    let shopper = match body.as_str() {
        "shopper=approves" => Shopper::Approves,
        "shopper=refuses" => Shopper::Refuses,
        _ => return (StatusCode::BAD_REQUEST, "shopper is `approves` or `refuses`").into_response(),
    };
    let mut state = shared.lock();
    let Some((_, return_url)) = state.provider.waits(&id) else { return gone() };
    let now = state.clock.now();
    let Some(intent) = state.provider.finish_action(now, &id, shopper) else { return gone() };
    state.post_events();
    let Some(return_url) = return_url else { return Html("You can close this page.").into_response() };
    let status = if intent["last_payment_error"].is_null() { "succeeded" } else { "failed" };
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("payment_intent", &id)
        .append_pair("payment_intent_client_secret", intent["client_secret"].as_str().unwrap_or_default())
        .append_pair("redirect_status", status)
        .finish();
    let joint = if return_url.contains('?') { '&' } else { '?' };
    let location = format!("{return_url}{joint}{query}");
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

fn gone() -> Response {
    (StatusCode::NOT_FOUND, "This payment does not wait for anybody.").into_response()
}
