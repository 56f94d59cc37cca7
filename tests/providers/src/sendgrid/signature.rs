//! Signs batches of events as SendGrid does:
//! <https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features>.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::EncodePublicKey;
use sha2::{Digest, Sha256};

use crate::hooks::{Delivery, Forgery, Webhook};

/// How old the signature of a forgery is that was once genuine, in seconds.
pub const STALE_SECONDS: i64 = 3_600;

/// A delivery at `at`, milliseconds since 1970, signed with the key that follows from a secret.
///
/// SendGrid sets no limit to the age of a signature; whoever hears one chooses.
pub fn webhook(delivery: &Delivery, secret: &str, at: i64) -> Webhook {
    let mut body = delivery.event["events"].to_string().into_bytes();
    let (secret, age) = match delivery.forgery {
        None | Some(Forgery::Body) => (secret, 0),
        Some(Forgery::Secret) => ("a stranger's", 0),
        Some(Forgery::Stale) => (secret, STALE_SECONDS),
    };
    let timestamp = (at / 1_000 - age).to_string();
    let signature: Signature = key(secret).sign(&[timestamp.as_bytes(), &body].concat());
    if delivery.forgery == Some(Forgery::Body) {
        body.push(b' ');
    }
    let headers = vec![
        ("x-twilio-email-event-webhook-signature", BASE64_STANDARD.encode(signature.to_der())),
        ("x-twilio-email-event-webhook-timestamp", timestamp),
    ];
    Webhook { headers, body }
}

/// What verifies the signatures that are made with a secret, as SendGrid shows it: DER in base64.
pub fn public_key(secret: &str) -> String {
    let der = key(secret).verifying_key().to_public_key_der().expect("a public key can be written");
    BASE64_STANDARD.encode(der.as_bytes())
}

/// SendGrid draws its keys. Here each follows from a text, so that a run can be repeated.
fn key(secret: &str) -> SigningKey {
    SigningKey::from_slice(&Sha256::digest(secret)).expect("one hash of 2^32 is no key, and nobody finds its text")
}
