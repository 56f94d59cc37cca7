//! Signs webhooks, and verifies them as PayPal does for those who ask it to:
//! <https://developer.paypal.com/api/rest/webhooks/rest/>.
//!
//! PayPal signs with a private key, which those who ask PayPal never see. An HMAC stands in for it here.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::time::date_time;
use crate::hooks::{Delivery, Forgery, Webhook};

const KEY: &str = "the simulator's own";
const ALGORITHM: &str = "SHA256withRSA";
const CERTIFICATE: &str = "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-simulator";

/// A delivery at `at`, milliseconds since 1970, to the webhook with this id.
pub fn webhook(delivery: &Delivery, webhook_id: &str, at: i64) -> Webhook {
    let (mut event, mut time) = (delivery.event.clone(), date_time(at));
    let id = format!("{}-{}", event["id"].as_str().unwrap_or_default().to_lowercase(), delivery.attempts);
    let key = if delivery.forgery == Some(Forgery::Secret) { "a stranger's" } else { KEY };
    let signature = sign(key, [&id, &time, webhook_id, &text(&event)]);
    match delivery.forgery {
        None | Some(Forgery::Secret) => {}
        Some(Forgery::Body) => event["resource"]["id"] = "FORGED".into(),
        Some(Forgery::Stale) => time = date_time(at + 1_000),
    }
    let headers = vec![
        ("paypal-transmission-id", id),
        ("paypal-transmission-time", time),
        ("paypal-transmission-sig", signature),
        ("paypal-cert-url", CERTIFICATE.to_owned()),
        ("paypal-auth-algo", ALGORITHM.to_owned()),
    ];
    Webhook { headers, body: text(&event).into_bytes() }
}

/// Whether what somebody asks about was signed here. None when a field is missing.
///
/// As at PayPal, the event has to stand in the question byte for byte as it was sent.
pub fn verify(question: &str) -> Option<bool> {
    let asked: Value = serde_json::from_str(question).ok()?;
    let field = |name: &str| asked[name].as_str();
    let event = asked["webhook_event"].as_object().map(|_| text(&asked["webhook_event"]))?;
    let parts = [field("transmission_id")?, field("transmission_time")?, field("webhook_id")?, &event];
    let is_signed = sign(KEY, parts) == field("transmission_sig")?;
    let is_named = (field("auth_algo")?, field("cert_url")?) == (ALGORITHM, CERTIFICATE);
    Some(is_signed && is_named && question.contains(&event))
}

fn sign(key: &str, parts: [&str; 4]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(parts.join("|").as_bytes());
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

/// An event with its id first, as PayPal writes it.
fn text(event: &Value) -> String {
    let mut rest = event.clone();
    let id = rest.as_object_mut().and_then(|fields| fields.remove("id")).unwrap_or_default();
    format!("{{\"id\":{id},{}", &rest.to_string()[1..])
}
