//! The signature of a webhook: HMAC-SHA256 over the time stamp, a dot and the raw body, in the header
//! `stripe-signature: t=1492774577,v1=5257a8...,v1=...`.
//!
//! Source: <https://docs.stripe.com/webhooks/signature>; the verdicts are those of Stripe's own libraries, but for two:
//! they look at the past alone, and some of them take a time that is not written in digits alone.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use souk_kit::payment_extension::HookError;
use souk_kit::types::Instant;

/// Oldest signature that is believed, in milliseconds.
pub const PAST_MAX_MS: i64 = 300_000;
/// How far ahead Stripe's clock may be, in milliseconds.
pub const FUTURE_MAX_MS: i64 = 60_000;
/// Most signatures that are looked at; Stripe sends one for every secret that is in use.
pub const SIGNATURES_MAX: usize = 16;
/// Most secrets that are tried.
pub const SECRETS_MAX: usize = 8;

const HEADER: &str = "stripe-signature";
const TIME: &str = "t";
const SCHEME: &str = "v1";
const DIGEST_BYTES: usize = 32;

/// The header, taken apart.
struct Header {
    /// Seconds since 1970.
    at: i64,
    signatures: Vec<[u8; DIGEST_BYTES]>,
}

/// Checks a webhook under any of the secrets, which stand with commas between them.
pub fn verify(headers: &[(String, String)], body: &[u8], secrets: &str, now: Instant) -> Result<(), HookError> {
    let header = read(headers)?;
    let mut secrets = secrets.split(',').map(str::trim).filter(|secret| !secret.is_empty()).take(SECRETS_MAX);
    if !secrets.any(|secret| holds(&header, body, secret)) {
        return Err(HookError::Forged("no signature holds under a secret of ours".to_owned()));
    }
    let age = now.saturating_sub(header.at.saturating_mul(1_000));
    if age > PAST_MAX_MS {
        return Err(HookError::Forged("the signature is too old".to_owned()));
    }
    if age < -FUTURE_MAX_MS {
        return Err(HookError::Forged("the signature is from the future".to_owned()));
    }
    Ok(())
}

fn read(headers: &[(String, String)]) -> Result<Header, HookError> {
    let malformed = |why: &str| HookError::Malformed(why.to_owned());
    let mut values = headers.iter().filter(|(name, _)| name == HEADER).map(|(_, value)| value.as_str());
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(malformed("there is not one header stripe-signature"));
    };
    let mut at = None;
    let mut signatures = Vec::new();
    for part in value.split(',') {
        // What stands behind a second equals sign is not looked at.
        let mut fields = part.split('=');
        match (fields.next(), fields.next()) {
            (Some(TIME | SCHEME), None) => return Err(malformed("a part of the signature has no value")),
            (Some(TIME), Some(digits)) if at.is_none() => at = Some(digits),
            (Some(SCHEME), Some(hex)) if signatures.len() < SIGNATURES_MAX => signatures.push(hex),
            _ => {}
        }
    }
    let at = at.ok_or_else(|| malformed("the signature has no time"))?;
    if at.is_empty() || !at.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed("the time is not a number"));
    }
    let at = at.parse().map_err(|_| malformed("the time is not a number"))?;
    let signatures = signatures.into_iter().filter_map(digest).collect();
    Ok(Header { at, signatures })
}

/// Lower-case digits alone: that is how Stripe writes them, and all that its libraries take.
fn digest(hex: &str) -> Option<[u8; DIGEST_BYTES]> {
    let nibble = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let hex = hex.as_bytes();
    if hex.len() != DIGEST_BYTES * 2 {
        return None;
    }
    let mut bytes = [0; DIGEST_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

/// Compares in constant time, which `verify_slice` promises.
fn holds(header: &Header, body: &[u8], secret: &str) -> bool {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(header.at.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    header.signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
}
