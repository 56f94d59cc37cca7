//! Access tokens: PASETO v4.public (Ed25519), signed by `user` and verified by the edges without a call.
//!
//! There is one algorithm and one purpose, so a token cannot choose how it is checked. The form is that of the PASETO
//! specification, version 4, with an empty footer; tests compare it with an independent implementation.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::types::{Id, Instant};

/// How every token starts.
const HEADER: &str = "v4.public.";

/// The implicit assertion: a token signed for anything else does not verify.
const PURPOSE: &[u8] = b"souk access token v1";

/// Longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 1024;

/// What a token says of its bearer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// `usr_...`
    pub user_id: Id,
    /// `ses_...`
    pub session_id: Id,
    /// Whether the bearer is staff.
    pub staff: bool,
    /// From then on the token says nothing.
    pub expires_at: Instant,
}

/// Signs claims with a secret key: 64 bytes, seed and public key, in base64url without padding. None when it is not such a key.
pub fn sign(secret_key: &str, claims: &Claims) -> Option<String> {
    let pair: [u8; 64] = URL_SAFE_NO_PAD.decode(secret_key.trim()).ok()?.try_into().ok()?;
    let key = SigningKey::from_keypair_bytes(&pair).ok()?;
    let mut message = serde_json::to_vec(claims).expect("claims are always JSON");
    let signature = key.sign(&signed_bytes(&message));
    message.extend(signature.to_bytes());
    Some(format!("{HEADER}{}", URL_SAFE_NO_PAD.encode(message)))
}

/// Verifies a token with the public key, 32 bytes in base64url without padding. None for anything but a token of ours that has not expired.
pub fn verify(public_key: &str, token: &str, now: Instant) -> Option<Claims> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let key: [u8; 32] = URL_SAFE_NO_PAD.decode(public_key.trim()).ok()?.try_into().ok()?;
    let body = URL_SAFE_NO_PAD.decode(token.strip_prefix(HEADER)?).ok()?;
    let (message, signature) = body.split_last_chunk::<64>()?;
    let key = VerifyingKey::from_bytes(&key).ok()?;
    key.verify_strict(&signed_bytes(message), &Signature::from_bytes(signature)).ok()?;
    let claims: Claims = serde_json::from_slice(message).ok()?;
    (now < claims.expires_at).then_some(claims)
}

/// PASETO's pre-authentication encoding of header, message, empty footer and purpose (specification, `PAE`).
fn signed_bytes(message: &[u8]) -> Vec<u8> {
    let pieces = [HEADER.as_bytes(), message, b"", PURPOSE];
    let mut bytes = (pieces.len() as u64).to_le_bytes().to_vec();
    for piece in pieces {
        bytes.extend((piece.len() as u64).to_le_bytes());
        bytes.extend(piece);
    }
    bytes
}

/// A pair of keys, `(secret, public)`, in the form that [`sign`] and [`verify`] take. For tests.
#[cfg(any(test, feature = "test-ports"))]
pub fn test_keys() -> (String, String) {
    let key = SigningKey::from_bytes(&[7; 32]);
    (URL_SAFE_NO_PAD.encode(key.to_keypair_bytes()), URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes()))
}

#[cfg(test)]
mod tests {
    use pasetors::Public;
    use pasetors::keys::{AsymmetricPublicKey, AsymmetricSecretKey};
    use pasetors::token::UntrustedToken;
    use pasetors::version4::{PublicToken, V4};

    use super::*;

    fn claims() -> Claims {
        Claims { user_id: "usr_1".to_owned(), session_id: "ses_1".to_owned(), staff: false, expires_at: 1000 }
    }

    fn bytes(key: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(key).expect("test keys are base64url")
    }

    #[test]
    fn a_token_verifies_until_it_expires_and_in_no_other_form() {
        let (secret, public) = test_keys();
        let token = sign(&secret, &claims()).expect("the key is one");
        assert_eq!(verify(&public, &token, 999), Some(claims()));
        assert_eq!(verify(&public, &token, 1000), None, "expired");
        for at in [12, token.len() / 2, token.len() - 2] {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(verify(&public, &String::from_utf8(forged).expect("ASCII"), 1), None, "byte {at}");
        }
        for other in ["", "v4.public.", "v4.local.AAAA", "eyJhbGciOiJub25lIn0.e30.", &"v".repeat(2000)] {
            assert_eq!(verify(&public, other, 1), None, "{other}");
        }
    }

    #[test]
    fn another_implementation_of_paseto_agrees() {
        let (secret, public) = test_keys();
        let token = sign(&secret, &claims()).expect("the key is one");
        let key = AsymmetricPublicKey::<V4>::from(&bytes(&public)).expect("a key");
        let untrusted = UntrustedToken::<Public, V4>::try_from(token.as_str()).expect("the form is PASETO's");
        PublicToken::verify(&key, &untrusted, None, Some(PURPOSE)).expect("ours is theirs");

        let key = AsymmetricSecretKey::<V4>::from(&bytes(&secret)).expect("a key");
        let message = serde_json::to_vec(&claims()).expect("claims are JSON");
        let theirs = PublicToken::sign(&key, &message, None, Some(PURPOSE)).expect("it signs");
        assert_eq!(verify(&public, &theirs, 1), Some(claims()), "theirs is ours");
        let other = PublicToken::sign(&key, &message, None, Some(b"another purpose")).expect("it signs");
        assert_eq!(verify(&public, &other, 1), None, "another purpose");
    }
}
