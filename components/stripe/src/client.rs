//! One exchange with Stripe through the port `http-out`.

use serde::de::DeserializeOwned;
use souk_kit::bindings::souk::shop::http_out::{HttpOutError, InResponse, OutRequest};
use souk_kit::ports::Config;

use crate::domain::{Failure, Reply, hear};
use crate::wire::{Request, VERSION};

/// How long a question may take, in milliseconds.
pub const READ_TIMEOUT_MS: u32 = 3_000;
/// How long a call that moves money may take, in milliseconds: banks are asked meanwhile.
pub const WRITE_TIMEOUT_MS: u32 = 8_000;

const API_BASE: &str = "https://api.stripe.com";

/// The way to the network: see `wit/http-out.wit`.
pub trait Network {
    /// Sends one request.
    fn send(&self, request: &OutRequest) -> Result<InResponse, HttpOutError>;
}

/// What the use cases need.
pub trait Ports: Network + Config {}

impl<T: Network + Config> Ports for T {}

/// An account at Stripe, and the way there.
pub struct Client<'a, P: Ports> {
    ports: &'a P,
    base: String,
    secret_key: String,
    /// Whether the key is one with which money moves.
    pub livemode: bool,
}

/// An answer, and whether it is the one that Stripe gave before to the same key.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// The object. Repeated answers show it as it was then.
    pub told: T,
    /// Whether the answer is a repeated one.
    pub replayed: bool,
}

/// Whether a key is for the live mode; none when it is no secret key.
pub fn mode(secret_key: &str) -> Option<bool> {
    let rest = secret_key.strip_prefix("sk_").or_else(|| secret_key.strip_prefix("rk_"))?;
    if rest.starts_with("live_") {
        Some(true)
    } else if rest.starts_with("test_") {
        Some(false)
    } else {
        None
    }
}

impl<'a, P: Ports> Client<'a, P> {
    /// The account of the configuration; `not-done` when there is none.
    pub fn open(ports: &'a P) -> Result<Self, Failure> {
        let secret_key = ports.get("stripe_secret_key").unwrap_or_default();
        let livemode = mode(&secret_key)
            .ok_or_else(|| Failure::NotDone("stripe_secret_key is not a secret key of Stripe".to_owned()))?;
        let base = ports.get("stripe_api_base").filter(|base| !base.is_empty());
        let base = base.as_deref().unwrap_or(API_BASE).trim_end_matches('/').to_owned();
        Ok(Self { ports, base, secret_key, livemode })
    }

    /// Sends one request and reads its answer.
    pub fn send<T: DeserializeOwned>(&self, request: &Request) -> Result<Answer<T>, Failure> {
        let reply = self.exchange(request)?;
        Ok(Answer { told: hear(&reply)?, replayed: reply.replayed })
    }

    fn exchange(&self, request: &Request) -> Result<Reply, Failure> {
        let mut headers = vec![
            ("authorization".to_owned(), format!("Bearer {}", self.secret_key)),
            ("stripe-version".to_owned(), VERSION.to_owned()),
        ];
        let (method, path, body, timeout_ms) = match request {
            Request::Read(path) => ("GET", path, Vec::new(), READ_TIMEOUT_MS),
            Request::Write { path, form, key } => {
                headers.push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
                headers.push(("idempotency-key".to_owned(), key.clone()));
                ("POST", path, form.clone().into_bytes(), WRITE_TIMEOUT_MS)
            }
        };
        let url = format!("{}{path}", self.base);
        let answer = self.ports.send(&OutRequest { method: method.to_owned(), url, headers, body, timeout_ms });
        match answer {
            Ok(InResponse { status, headers, body }) => {
                let replayed = headers.iter().any(|(name, value)| name == "idempotent-replayed" && value == "true");
                Ok(Reply { status, replayed, body })
            }
            Err(HttpOutError::Invalid(why) | HttpOutError::NotGranted(why) | HttpOutError::NotSent(why)) => {
                Err(Failure::NotDone(why))
            }
            Err(HttpOutError::Unknown(why)) => Err(Failure::Unknown(why)),
        }
    }
}
