//! Fields for a card, as a checkout frames them: a stand-in for Stripe.js, and the frame behind it.

use axum::Router;
use axum::http::header;
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::get;
use serde_json::{Value, json};

use crate::server::Shared;
use crate::stripe::{Stripe, cards};

const SCRIPT: &str = include_str!("../../../assets/stripe.js");
const FRAME: &str = include_str!("../../../assets/elements.html");

pub(super) fn routes() -> Router<Shared<Stripe>> {
    Router::new().route("/stripe.js", get(script)).route("/elements", get(async || Html(FRAME)).post(name))
}

async fn script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT).into_response()
}

/// The payment method that stands for a card: `number=4242424242424242`.
async fn name(body: String) -> Json<Value> {
    let number = form_urlencoded::parse(body.as_bytes()).find(|(name, _)| name == "number");
    Json(match number.and_then(|(_, number)| cards::method(&number)) {
        Some(method) => json!({"paymentMethod": {"id": method, "object": "payment_method", "type": "card"}}),
        None => json!({"error": {"type": "card_error", "code": "incorrect_number",
            "message": "Your card number is not one of the simulator's."}}),
    })
}
