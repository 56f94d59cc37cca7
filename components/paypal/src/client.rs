//! One exchange with PayPal through the port `http-out`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use souk_kit::bindings::souk::shop::http_out::{HttpOutError, InResponse, OutRequest};
use souk_kit::ports::Config;

use crate::domain::{Failure, hear};
use crate::wire::{Nothing, Request, Token};

/// How long a question may take, in milliseconds.
pub const READ_TIMEOUT_MS: u32 = 3_000;
/// How long a call that moves money may take, in milliseconds.
pub const WRITE_TIMEOUT_MS: u32 = 8_000;

const API_BASE: &str = "https://api-m.paypal.com";

/// The way to the network: see `wit/http-out.wit`.
pub trait Network {
    /// Sends one request.
    fn send(&self, request: &OutRequest) -> Result<InResponse, HttpOutError>;
}

/// What the use cases need.
pub trait Ports: Network + Config {}

impl<T: Network + Config> Ports for T {}

/// An account at PayPal, and the way there.
pub struct Client<'a, P: Ports> {
    ports: &'a P,
    base: String,
    /// `Bearer ...`, good for hours; this client lives for one call.
    authorization: String,
}

impl<'a, P: Ports> Client<'a, P> {
    /// Signs in to the account of the configuration; `not-done` when there is none, or PayPal does not let it in.
    pub fn open(ports: &'a P) -> Result<Self, Failure> {
        let setting = |name| ports.get(name).filter(|value| !value.is_empty());
        let base = setting("paypal_api_base").unwrap_or_else(|| API_BASE.to_owned()).trim_end_matches('/').to_owned();
        let (Some(id), Some(secret)) = (setting("paypal_client_id"), setting("paypal_client_secret")) else {
            return Err(Failure::NotDone("there is no client id and secret of PayPal".to_owned()));
        };
        let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
        let client = Self { ports, base, authorization: basic };
        // Whatever goes wrong here, nothing was asked of an order yet.
        let token: Token = client.send(&Request::SignIn).map_err(|failure| Failure::NotDone(failure.describe()))?;
        Ok(Self { authorization: format!("Bearer {}", token.access_token), ..client })
    }

    /// Sends one request and reads its answer.
    pub fn send<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Failure> {
        let (status, body) = self.exchange(request)?;
        hear(status, &body)
    }

    /// Sends one request whose answer has no body.
    pub fn order(&self, request: &Request) -> Result<(), Failure> {
        let (status, body) = self.exchange(request)?;
        if status == 204 { Ok(()) } else { hear::<Nothing>(status, &body).map(|_| ()) }
    }

    fn exchange(&self, request: &Request) -> Result<(u16, Vec<u8>), Failure> {
        let mut headers = vec![("authorization".to_owned(), self.authorization.clone())];
        let mut header = |name: &str, value: &str| headers.push((name.to_owned(), value.to_owned()));
        let (method, path, body, timeout_ms) = match request {
            Request::SignIn => {
                header("content-type", "application/x-www-form-urlencoded");
                ("POST", "/v1/oauth2/token", "grant_type=client_credentials", READ_TIMEOUT_MS)
            }
            Request::Read(path) => ("GET", path.as_str(), "", READ_TIMEOUT_MS),
            Request::Ask { path, json } => {
                header("content-type", "application/json");
                ("POST", path.as_str(), json.as_str(), READ_TIMEOUT_MS)
            }
            Request::Mark { path, json } => {
                header("content-type", "application/json");
                ("PATCH", path.as_str(), json.as_str(), WRITE_TIMEOUT_MS)
            }
            Request::Write { path, json, key } => {
                header("content-type", "application/json");
                header("paypal-request-id", key);
                header("prefer", "return=representation");
                ("POST", path.as_str(), json.as_str(), WRITE_TIMEOUT_MS)
            }
        };
        let url = format!("{}{path}", self.base);
        let body = body.as_bytes().to_vec();
        match self.ports.send(&OutRequest { method: method.to_owned(), url, headers, body, timeout_ms }) {
            Ok(InResponse { status, body, .. }) => Ok((status, body)),
            Err(HttpOutError::Invalid(why) | HttpOutError::NotGranted(why) | HttpOutError::NotSent(why)) => {
                Err(Failure::NotDone(why))
            }
            Err(HttpOutError::Unknown(why)) => Err(Failure::Unknown(why)),
        }
    }
}
