//! Signs webhooks as Stripe does: <https://docs.stripe.com/webhooks/signature>.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::hooks::{Delivery, Forgery};

/// How old the signature of a forgery is that was once genuine, in seconds.
pub const STALE_SECONDS: i64 = 301;

/// The body, and the header `stripe-signature` of a delivery at `at` seconds since 1970.
pub fn sign_delivery(delivery: &Delivery, secrets: &[&str], at: i64) -> (Vec<u8>, String) {
    let mut body = delivery.event.to_string().into_bytes();
    let header = match delivery.forgery {
        None | Some(Forgery::Body) => sign(&body, at, secrets),
        Some(Forgery::Secret) => sign(&body, at, &["whsec_of_a_stranger"]),
        Some(Forgery::Stale) => sign(&body, at - STALE_SECONDS, secrets),
    };
    if delivery.forgery == Some(Forgery::Body) {
        body.push(b' ');
    }
    (body, header)
}

/// The header `stripe-signature` of a body sent at `at` seconds since 1970: one `v1` for every secret in use.
pub fn sign(body: &[u8], at: i64, secrets: &[&str]) -> String {
    let mut header = format!("t={at}");
    for secret in secrets {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
        mac.update(format!("{at}.").as_bytes());
        mac.update(body);
        header.push_str(",v1=");
        for byte in mac.finalize().into_bytes() {
            header.push_str(&format!("{byte:02x}"));
        }
    }
    header
}
