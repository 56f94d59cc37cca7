//! Signs callbacks as Twilio does: <https://www.twilio.com/docs/usage/security>.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha1::Sha1;

use crate::hooks::{Delivery, Forgery, Webhook};

/// A delivery, signed with the account's token.
///
/// No time is signed, so one that is long underway cannot be told from a new one. In its stead a stale forgery is the
/// signature of another callback: the one to the URL without what follows its last slash.
pub fn webhook(delivery: &Delivery, token: &str) -> Webhook {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let url = text(&delivery.event["url"]);
    let params = delivery.event["params"].as_object().into_iter().flatten();
    let mut params: Vec<(String, String)> = params.map(|(name, value)| (name.clone(), text(value))).collect();
    params.sort();
    let signature = match delivery.forgery {
        None | Some(Forgery::Body) => sign(token, &url, &params),
        Some(Forgery::Secret) => sign("a stranger's", &url, &params),
        Some(Forgery::Stale) => sign(token, url.rsplit_once('/').map_or("", |(before, _)| before), &params),
    };
    if delivery.forgery == Some(Forgery::Body) {
        params.push(("Forged".to_owned(), "true".to_owned()));
    }
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish().into_bytes();
    Webhook { headers: vec![("x-twilio-signature", signature)], body }
}

/// The header `X-Twilio-Signature`: the URL and then each name with its value, in the order of names.
pub fn sign(token: &str, url: &str, params: &[(String, String)]) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(url.as_bytes());
    for (name, value) in params {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}
