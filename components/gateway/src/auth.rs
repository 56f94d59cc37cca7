//! The door: who brings a token, whether it is good, and whether the route lets them pass.
//!
//! A token is verified here with the public key of the configuration, without a call. Whether a subject is the
//! bearer's is said by the service that owns it.

use souk_kit::http::Request;
use souk_kit::tokens::{self, Claims};
use souk_kit::{Config, Instant};

use crate::ports::Ports;
use crate::problem::{Code, Problem};
use crate::routes::Access;

/// Name of the public key in the configuration.
const PUBLIC_KEY: &str = "token_public_key";

/// Lets a request pass, with what its token says, or refuses it.
pub fn admit(ports: &dyn Ports, access: Access, request: &Request, now: Instant) -> Result<Option<Claims>, Problem> {
    let bearer = match access {
        Access::Open => None,
        Access::Anyone | Access::SignedIn | Access::Staff => bearer(ports, request, now)?,
    };
    match (access, &bearer) {
        (Access::SignedIn | Access::Staff, None) => {
            Err(Problem::from(Code::AuthenticationRequired).header("www-authenticate", r#"Bearer realm="souk""#))
        }
        (Access::Staff, Some(claims)) if !claims.staff => Err(Code::Forbidden.into()),
        (Access::Open | Access::Anyone, _) | (Access::SignedIn | Access::Staff, Some(_)) => Ok(bearer),
    }
}

fn bearer(ports: &dyn Ports, request: &Request, now: Instant) -> Result<Option<Claims>, Problem> {
    if !anonymous(request) {
        let key = Config::get(ports, PUBLIC_KEY)
            .ok_or_else(|| Problem::new(Code::Unavailable, "this shop has no key to verify tokens with yet"))?;
        let token = request.header("authorization").and_then(token);
        return match token.and_then(|token| tokens::verify(&key, token, now)) {
            Some(claims) => Ok(Some(claims)),
            None => Err(invalid_token()),
        };
    }
    Ok(None)
}

/// Whether a request brings no token at all.
pub fn anonymous(request: &Request) -> bool {
    !request.headers.iter().any(|(name, _)| name == "authorization")
}

/// What a token that is unknown, used, expired or revoked is answered with.
pub fn invalid_token() -> Problem {
    Problem::from(Code::InvalidToken).header("www-authenticate", r#"Bearer realm="souk", error="invalid_token""#)
}

fn token(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
