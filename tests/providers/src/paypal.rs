//! PayPal's checkout: orders, authorizations, captures, refunds, request ids and events, as a state machine.
//!
//! Sources: <https://developer.paypal.com/docs/api/orders/v2/>, <https://developer.paypal.com/docs/api/payments/v2/>. It
//! opens no socket and reads no clock. What PayPal has and this does not is refused by name, so that nobody takes
//! silence for support.
//!
//! | room | what is there |
//! |---|---|
//! | [`command`] | requests, judged without the account |
//! | `orders`, `payments` | what they do |
//! | [`objects`] | what is shown, and what shoppers pay with |
//! | [`money`], [`time`] | amounts and instants as PayPal writes them |
//! | [`signature`] | what signs webhooks |

pub mod command;
pub mod error;
pub mod money;
pub mod objects;
mod orders;
mod payments;
pub mod signature;
#[cfg(test)]
mod tests;
pub mod time;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use command::Command;
use error::Refusal;
use objects::{Authorization, Capture, Order, Reauthorization, Refund, Writer, minimal};

use crate::faults::Fault;
use crate::hooks::{Delivery, Webhook};
use crate::keys::Keys;
use crate::provider::{Provider, RefundPolicy};

pub use orders::Shopper;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// How long an access token is taken, in milliseconds.
pub const TOKEN_MS: i64 = 9 * HOUR_MS;
/// How long the request id of a call about an order is kept, in milliseconds.
pub const ORDER_KEY_MS: i64 = 6 * HOUR_MS;
/// How long the request id of a call about a payment is kept, in milliseconds.
pub const PAYMENT_KEY_MS: i64 = 45 * DAY_MS;
/// How long an order waits for its shopper and its merchant, in milliseconds.
pub const ORDER_MS: i64 = 3 * HOUR_MS;
/// How long PayPal promises the money of an authorization, in milliseconds.
pub const HONOR_MS: i64 = 3 * DAY_MS;
/// How long an authorization is, in milliseconds.
pub const AUTHORIZATION_MS: i64 = 29 * DAY_MS;
/// How long a capture can be given back, in milliseconds.
pub const REFUNDABLE_MS: i64 = 180 * DAY_MS;
/// How long PayPal looks at what it looks at, in milliseconds.
pub const REVIEW_MS: i64 = 60_000;
/// Longest request id, in bytes.
pub const KEY_BYTES_MAX: usize = 108;

/// One request, taken out of HTTP.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`, `POST` or `PATCH`.
    pub method: &'a str,
    /// The path without its query.
    pub path: &'a str,
    /// A form when a token is asked for, JSON otherwise.
    pub body: &'a str,
    /// The header `Authorization`.
    pub authorization: Option<&'a str>,
    /// The header `PayPal-Request-Id`.
    pub request_id: Option<&'a str>,
    /// Whether it comes with `Prefer: return=representation`.
    pub wants_all: bool,
}

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The JSON; null when there is none.
    pub body: Value,
}

/// An account at PayPal.
#[derive(Clone, Debug)]
pub struct PayPal {
    /// `Basic` with the client id and the secret.
    basic: String,
    /// Where the page is.
    url: String,
    seed: u32,
    refund_policy: RefundPolicy,
    made: u64,
    orders: BTreeMap<String, Order>,
    authorizations: BTreeMap<String, Authorization>,
    reauthorizations: BTreeMap<String, Reauthorization>,
    captures: BTreeMap<String, Capture>,
    refunds: BTreeMap<String, Refund>,
    invoices: BTreeSet<(Kind, String)>,
    /// Access tokens, each as if it was a key.
    tokens: Keys<()>,
    keys: Keys<Object>,
    /// What happens by itself, by when.
    timers: BTreeSet<(i64, Timer)>,
    events: BTreeMap<String, Value>,
    /// The ids of those that were not yet taken.
    news: Vec<String>,
}

/// What a request is about or has made, by its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Object {
    Order(String),
    Authorization(String),
    Capture(String),
    Refund(String),
}

/// Among what an invoice id is unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Order,
    Capture,
    Refund,
}

/// What ends by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Order(String),
    Authorization(String),
    Review(Object),
}

impl Provider for PayPal {
    const EVENT_TYPE: &str = "event_type";

    /// The credentials are `client-id:secret`.
    fn new(credentials: &str, url: &str, seed: u32) -> Self {
        Self {
            basic: format!("Basic {}", BASE64_STANDARD.encode(credentials)),
            url: url.trim_end_matches('/').to_owned(),
            seed,
            refund_policy: RefundPolicy::Capped,
            made: 0,
            orders: BTreeMap::new(),
            authorizations: BTreeMap::new(),
            reauthorizations: BTreeMap::new(),
            captures: BTreeMap::new(),
            refunds: BTreeMap::new(),
            invoices: BTreeSet::new(),
            tokens: Keys::default(),
            keys: Keys::default(),
            timers: BTreeSet::new(),
            events: BTreeMap::new(),
            news: Vec::new(),
        }
    }

    fn check_refunds(&mut self, policy: RefundPolicy) {
        self.refund_policy = policy;
    }

    fn advance(&mut self, now: i64) {
        while let Some((at, _)) = self.timers.first()
            && *at <= now
        {
            let (at, timer) = self.timers.pop_first().expect("there is a first one");
            match timer {
                Timer::Order(id) => self.end_order(&id),
                Timer::Authorization(id) => self.end_authorization(at, &id),
                Timer::Review(object) => self.end_review(at, &object),
            }
        }
        self.keys.prune(now);
        self.tokens.prune(now);
    }

    fn take_events(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.news).into_iter().map(|id| self.events[&id].clone()).collect()
    }

    fn objects(&self) -> Value {
        let all = |ids: Vec<Object>| ids.iter().map(|object| self.show(object)).collect::<Vec<_>>();
        json!({
            "orders": all(self.orders.keys().cloned().map(Object::Order).collect()),
            "authorizations": all(self.authorizations.keys().cloned().map(Object::Authorization).collect()),
            "captures": all(self.captures.keys().cloned().map(Object::Capture).collect()),
            "refunds": all(self.refunds.keys().cloned().map(Object::Refund).collect()),
        })
    }

    /// The secret is the id of the webhook, of which there is one.
    fn webhook(delivery: &Delivery, secrets: &[&str], at: i64) -> Webhook {
        signature::webhook(delivery, secrets.first().unwrap_or(&""), at)
    }
}

impl PayPal {
    /// Answers one request at `now`, milliseconds since 1970. None when the reply is lost.
    pub fn handle(&mut self, now: i64, request: &Request<'_>, fault: Option<Fault>) -> Option<Response> {
        self.advance(now);
        let refusal = match fault {
            None => return Some(self.answer(now, request)),
            Some(Fault::LostBefore) => return None,
            Some(Fault::LostAfter) => {
                self.answer(now, request);
                return None;
            }
            // A failure is kept for no request id: a repeat goes on from what was done.
            Some(Fault::ErrorAfter) => {
                self.answer(now, request);
                Refusal::server()
            }
            Some(Fault::ErrorBefore) => Refusal::server(),
            Some(Fault::RateLimited) => Refusal::rate_limited(),
            Some(Fault::KeyInUse) => Refusal::in_progress(),
        };
        Some(self.refuse(refusal))
    }

    fn answer(&mut self, now: i64, request: &Request<'_>) -> Response {
        self.try_answer(now, request).unwrap_or_else(|refusal| self.refuse(refusal))
    }

    fn try_answer(&mut self, now: i64, request: &Request<'_>) -> Result<Response, Refusal> {
        if (request.method, request.path) == ("POST", "/v1/oauth2/token") {
            return self.give_token(now, request);
        }
        let token = request.authorization.and_then(|value| value.strip_prefix("Bearer "));
        token.and_then(|token| self.tokens.get(token)).ok_or_else(Refusal::bad_token)?;
        let done = |body| Ok(Response { status: 200, body });
        if (request.method, request.path) == ("POST", "/v1/notifications/verify-webhook-signature") {
            let is_genuine = signature::verify(request.body).ok_or_else(|| Refusal::missing("/"))?;
            return done(json!({"verification_status": if is_genuine { "SUCCESS" } else { "FAILURE" }}));
        }
        if let ("GET", Some(id)) = (request.method, request.path.strip_prefix("/v1/notifications/webhooks-events/")) {
            return done(self.events.get(id).cloned().ok_or_else(Refusal::no_such)?);
        }
        let command = command::read(request.method, request.path, request.body)?;
        let key = self.key(&command, request.request_id)?;
        if let Some(object) = key.as_ref().and_then(|(key, _)| self.keys.get(key)) {
            // What it has made by now, not what was answered then.
            let is_gone = matches!(object, Object::Order(id) if !self.orders.contains_key(id));
            return if is_gone { Err(Refusal::no_such()) } else { done(self.shown(object, request.wants_all)) };
        }
        let is_read = request.method == "GET";
        let is_renaming = matches!(command, Command::Rename(..));
        let is_void = matches!(command, Command::Void(_));
        let object = self.run(now, command)?;
        if let Some((key, kept_for)) = key {
            self.keys.keep(key, object.clone(), now + kept_for);
        }
        if is_renaming {
            return Ok(Response { status: 204, body: Value::Null });
        }
        Ok(match (is_read, is_void) {
            (true, _) => Response { status: 200, body: self.show(&object) },
            (false, true) if request.wants_all => Response { status: 200, body: self.show(&object) },
            (false, true) => Response { status: 204, body: Value::Null },
            (false, false) => Response { status: 201, body: self.shown(&object, request.wants_all) },
        })
    }

    fn give_token(&mut self, now: i64, request: &Request<'_>) -> Result<Response, Refusal> {
        if request.authorization != Some(&self.basic) {
            return Err(Refusal::stranger());
        }
        let token = format!("A21AA{}", self.name());
        self.tokens.keep(token.clone(), (), now + TOKEN_MS);
        let body = json!({"scope": "https://uri.paypal.com/services/payments/payment", "access_token": token,
            "token_type": "Bearer", "app_id": "APP-SIMULATOR", "expires_in": TOKEN_MS / 1_000, "nonce": "simulated"});
        Ok(Response { status: 200, body })
    }

    /// Under what a request is kept, and for how long: request ids are unique for each kind of call.
    fn key(&self, command: &Command, request_id: Option<&str>) -> Result<Option<(String, i64)>, Refusal> {
        let (kind, kept_for) = match command {
            Command::CreateOrder(create) if create.source.is_some() && request_id.is_none() => {
                return Err(Refusal::no_request_id());
            }
            Command::CreateOrder(_) => ("create", ORDER_KEY_MS),
            Command::AuthorizeOrder(_) => ("authorize", ORDER_KEY_MS),
            Command::CaptureOrder(_) => ("capture order", ORDER_KEY_MS),
            Command::Capture(..) => ("capture", PAYMENT_KEY_MS),
            Command::Void(_) => ("void", PAYMENT_KEY_MS),
            Command::Reauthorize(..) => ("reauthorize", PAYMENT_KEY_MS),
            Command::Refund(..) => ("refund", PAYMENT_KEY_MS),
            Command::ReadOrder(_)
            | Command::Rename(..)
            | Command::ReadAuthorization(_)
            | Command::ReadCapture(_)
            | Command::ReadRefund(_) => return Ok(None),
        };
        match request_id {
            Some(id) if id.len() > KEY_BYTES_MAX => Err(Refusal::syntax("PayPal-Request-Id")),
            Some(id) => Ok(Some((format!("{kind} {id}"), kept_for))),
            None => Ok(None),
        }
    }

    fn run(&mut self, now: i64, command: Command) -> Result<Object, Refusal> {
        let known = |is_known: bool, object: Object| if is_known { Ok(object) } else { Err(Refusal::no_such()) };
        match command {
            Command::CreateOrder(create) => Ok(self.create(now, create)),
            Command::ReadOrder(id) => known(self.orders.contains_key(&id), Object::Order(id)),
            Command::Rename(id, custom_id) => self.rename(now, &id, custom_id),
            Command::AuthorizeOrder(id) => self.authorize_order(now, &id),
            Command::CaptureOrder(id) => self.capture_order(now, &id),
            Command::ReadAuthorization(id) => {
                let is_known = self.authorizations.contains_key(&id) || self.reauthorizations.contains_key(&id);
                known(is_known, Object::Authorization(id))
            }
            Command::Capture(id, capture) => self.capture(now, &id, capture),
            Command::Void(id) => self.void(now, &id),
            Command::Reauthorize(id, amount) => self.reauthorize(now, &id, amount),
            Command::ReadCapture(id) => known(self.captures.contains_key(&id), Object::Capture(id)),
            Command::Refund(id, refund) => self.refund(now, &id, refund),
            Command::ReadRefund(id) => known(self.refunds.contains_key(&id), Object::Refund(id)),
        }
    }

    fn shown(&self, object: &Object, wants_all: bool) -> Value {
        let value = self.show(object);
        if wants_all { value } else { minimal(value) }
    }

    fn show(&self, object: &Object) -> Value {
        let writer = Writer(&self.url);
        match object {
            Object::Order(id) => {
                let order = &self.orders[id];
                let held = order.authorizations.iter().map(|id| writer.authorization(&self.authorizations[id]));
                let taken = order.captures.iter().map(|id| writer.capture(&self.captures[id]));
                let given = self.refunds.values().filter(|given| order.captures.contains(&given.capture));
                let given = given.map(|given| writer.refund(given));
                writer.order(order, [held.collect(), taken.collect(), given.collect()])
            }
            Object::Authorization(id) => match self.reauthorizations.get(id) {
                None => writer.authorization(&self.authorizations[id]),
                Some(again) => {
                    let parent = self.authorizations[&again.parent].clone();
                    writer.authorization(&Authorization { id: id.clone(), created: again.created, ..parent })
                }
            },
            Object::Capture(id) => writer.capture(&self.captures[id]),
            Object::Refund(id) => writer.refund(&self.refunds[id]),
        }
    }

    fn refuse(&mut self, refusal: Refusal) -> Response {
        let mut body = refusal.error;
        if body["name"].is_string() {
            body["debug_id"] = json!(self.name().to_lowercase());
        }
        Response { status: refusal.status, body }
    }

    /// Takes an invoice id, which was not yet taken.
    fn claim_invoice(&mut self, kind: Kind, id: Option<&str>) -> Result<(), Refusal> {
        match id.map(|id| self.invoices.insert((kind, id.to_owned()))) {
            None | Some(true) => Ok(()),
            Some(false) => Err(Refusal::semantic("DUPLICATE_INVOICE_ID")),
        }
    }

    /// A name that follows from how many there were, so the order of names is that of making.
    fn name(&mut self) -> String {
        self.made += 1;
        format!("{:08X}{:09}", self.seed, self.made)
    }

    fn tell(&mut self, now: i64, kind: &str, object: &Object) {
        let id = format!("WH-{}", self.name());
        let (resource_type, resource) = (
            match object {
                Object::Order(_) => "checkout-order",
                Object::Authorization(_) => "authorization",
                Object::Capture(_) => "capture",
                Object::Refund(_) => "refund",
            },
            self.show(object),
        );
        let href = format!("{}/v1/notifications/webhooks-events/{id}", self.url);
        let event = json!({"id": id, "event_version": "1.0", "create_time": time::date_time(now),
            "resource_type": resource_type, "resource_version": "2.0", "event_type": kind,
            "summary": format!("{kind} (simulated)"), "resource": resource,
            "links": [{"href": href, "rel": "self", "method": "GET"}]});
        self.events.insert(id.clone(), event);
        self.news.push(id);
    }
}
