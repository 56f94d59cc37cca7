//! Signs webhooks as Stripe does: <https://docs.stripe.com/webhooks/signature>.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

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
