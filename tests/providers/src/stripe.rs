//! Stripe's card payments: payment intents, refunds, idempotency keys and events, as a state machine.
//!
//! Source: <https://docs.stripe.com/api>. It opens no socket and reads no clock. What Stripe has and this does not is
//! refused by name, so that nobody takes silence for support.
//!
//! | room | what is there |
//! |---|---|
//! | [`command`] | requests, judged without the account |
//! | `intents`, `refunds` | what they do |
//! | [`objects`] | what is shown |
//! | [`cards`] | which test payment method does what |
//! | [`signature`] | what signs webhooks |

pub mod cards;
pub mod command;
pub mod error;
pub mod form;
mod intents;
pub mod objects;
mod refunds;
pub mod signature;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use command::{Command, Page};
use error::Refusal;
use objects::{Charge, Intent, Refund};

use crate::faults::Fault;
use crate::hooks::{Delivery, Webhook};
use crate::keys::Keys;
use crate::provider::{Provider, RefundPolicy};

pub use intents::Shopper;

/// The one version of the API that is spoken.
pub const VERSION: &str = "2026-10-28.endive";
/// How long an idempotency key is kept, in milliseconds.
pub const KEY_TTL_MS: i64 = 24 * 3_600_000;
/// How long a card is held, in milliseconds.
pub const HOLD_MS: i64 = 7 * 24 * 3_600_000;
/// When a refund that does not succeed at once goes on, in milliseconds.
pub const REFUND_SETTLES_MS: i64 = 60_000;
/// Longest idempotency key, in bytes.
pub const KEY_BYTES_MAX: usize = 255;

/// One request, taken out of HTTP.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// The path without its query.
    pub path: &'a str,
    /// The query of a `GET`, the body of a `POST`; form-encoded, with bracketed keys.
    pub form: &'a str,
    /// The secret key.
    pub secret_key: Option<&'a str>,
    /// The idempotency key.
    pub key: Option<&'a str>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Whether it goes out with `Idempotent-Replayed: true`.
    pub replayed: bool,
    /// The JSON.
    pub body: Value,
}

/// An account at Stripe.
#[derive(Clone, Debug)]
pub struct Stripe {
    secret_key: String,
    /// Where the pages of 3-D Secure are.
    url: String,
    seed: u32,
    refund_policy: RefundPolicy,
    made: u64,
    intents: BTreeMap<String, Intent>,
    charges: BTreeMap<String, Charge>,
    refunds: BTreeMap<String, Refund>,
    keys: Keys<Kept>,
    /// What happens by itself, by when.
    timers: BTreeSet<(i64, Timer)>,
    events: Vec<Value>,
}

/// The first answer to an idempotency key.
#[derive(Clone, Debug)]
struct Kept {
    request: String,
    response: Response,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    HoldEnds(String),
    RefundFails(String),
    RefundSucceeds(String),
}

impl Provider for Stripe {
    const EVENT_TYPE: &str = "type";

    fn new(secret_key: &str, url: &str, seed: u32) -> Self {
        Self {
            secret_key: secret_key.to_owned(),
            url: url.trim_end_matches('/').to_owned(),
            seed,
            refund_policy: RefundPolicy::Capped,
            made: 0,
            intents: BTreeMap::new(),
            charges: BTreeMap::new(),
            refunds: BTreeMap::new(),
            keys: Keys::default(),
            timers: BTreeSet::new(),
            events: Vec::new(),
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
                Timer::HoldEnds(intent) => self.end_hold(at, &intent),
                Timer::RefundFails(refund) => self.fail_refund(at, &refund),
                Timer::RefundSucceeds(refund) => self.finish_refund(at, &refund),
            }
        }
        self.keys.prune(now);
    }

    fn take_events(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.events)
    }

    fn objects(&self) -> Value {
        json!({
            "payment_intents": self.intents.values().map(Intent::value).collect::<Vec<_>>(),
            "charges": self.charges.values().map(Charge::value).collect::<Vec<_>>(),
            "refunds": self.refunds.values().map(Refund::value).collect::<Vec<_>>(),
        })
    }

    fn webhook(delivery: &Delivery, secrets: &[&str], at: i64) -> Webhook {
        let (body, signature) = signature::sign_delivery(delivery, secrets, at / 1_000);
        Webhook { headers: vec![("stripe-signature", signature)], body }
    }
}

impl Stripe {
    /// Answers one request at `now`, milliseconds since 1970. None when the reply is lost.
    pub fn handle(&mut self, now: i64, request: &Request<'_>, fault: Option<Fault>) -> Option<Response> {
        self.advance(now);
        match fault {
            None => Some(self.answer(now, request, None)),
            Some(Fault::LostBefore) => None,
            Some(Fault::LostAfter) => {
                self.answer(now, request, None);
                None
            }
            Some(Fault::RateLimited) => Some(Response::refused(Refusal::rate_limited())),
            Some(Fault::KeyInUse) => Some(Response::refused(Refusal::key_in_use())),
            Some(Fault::ErrorBefore) => Some(self.answer(now, request, Some(Failure::BeforeEffect))),
            Some(Fault::ErrorAfter) => Some(self.answer(now, request, Some(Failure::AfterEffect))),
        }
    }

    fn answer(&mut self, now: i64, request: &Request<'_>, failure: Option<Failure>) -> Response {
        if request.secret_key != Some(&self.secret_key) {
            return Response::refused(Refusal::stranger());
        }
        let key = request.key.filter(|_| request.method == "POST");
        if key.is_some_and(|key| key.len() > KEY_BYTES_MAX) {
            return Response::refused(Refusal::plain("idempotency_key", "The idempotency key is too long."));
        }
        let text = format!("{} {}", request.path, request.form);
        if let Some(kept) = key.and_then(|key| self.keys.get(key)) {
            if kept.request == text {
                return Response { replayed: true, ..kept.response.clone() };
            }
            return Response::refused(Refusal::other_parameters());
        }
        // Nothing is kept for a request that did not begin: its key stays free.
        let (command, expand) = match command::read(request.method, request.path, request.form) {
            Ok(read) => read,
            Err(refusal) => return Response::refused(refusal),
        };
        let response = match failure {
            Some(Failure::BeforeEffect) => Response::refused(Refusal::server()),
            Some(Failure::AfterEffect) => {
                let _ = self.run(now, command);
                Response::refused(Refusal::server())
            }
            None => match self.run(now, command) {
                Ok(mut body) => {
                    objects::expand(&mut body, &expand, &|id| self.find(id));
                    Response { status: 200, replayed: false, body }
                }
                Err(refusal) => Response::refused(refusal),
            },
        };
        if let Some(key) = key {
            let kept = Kept { request: text, response: response.clone() };
            self.keys.keep(key.to_owned(), kept, now + KEY_TTL_MS);
        }
        response
    }

    fn run(&mut self, now: i64, command: Command) -> Result<Value, Refusal> {
        match command {
            Command::Create(create) => self.create(now, create),
            Command::Read(id) => self.intent(&id).map(Intent::value),
            Command::ListIntents(page) => {
                let all = self.intents.values().rev().map(|intent| (&intent.id, intent.created, intent));
                list("/v1/payment_intents", "payment_intent", all, &page, Intent::value)
            }
            Command::Confirm(id, confirm) => self.confirm(now, &id, confirm),
            Command::Capture(id, amount) => self.capture(now, &id, amount),
            Command::Cancel(id, reason) => self.cancel(now, &id, reason),
            Command::Refund(refund) => self.refund(now, refund),
            Command::ReadRefund(id) => {
                self.refunds.get(&id).map(Refund::value).ok_or_else(|| Refusal::no_such("refund", &id, "refund"))
            }
            Command::ListRefunds(page, of) => {
                let ids: Vec<&String> = match &of {
                    Some(id) => {
                        let intent = self.intents.get(id);
                        let missing = || Refusal::names_no("payment_intent", id, "payment_intent");
                        intent.ok_or_else(missing)?.refunds.iter().rev().collect()
                    }
                    None => self.refunds.keys().rev().collect(),
                };
                let all = ids.into_iter().map(|id| &self.refunds[id]);
                let all = all.map(|refund| (&refund.id, refund.created, refund));
                list("/v1/refunds", "refund", all, &page, Refund::value)
            }
        }
    }

    fn find(&self, id: &str) -> Option<Value> {
        let charge = || self.charges.get(id).map(Charge::value);
        charge().or_else(|| self.intents.get(id).map(Intent::value))
    }

    fn intent(&self, id: &str) -> Result<&Intent, Refusal> {
        self.intents.get(id).ok_or_else(|| Refusal::no_such("payment_intent", id, "intent"))
    }

    /// A name that follows from how many there were, so the order of names is that of making.
    fn name(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}_3{:08x}{:015}", self.seed, self.made)
    }

    fn tell(&mut self, now: i64, kind: &str, object: Value) {
        let id = self.name("evt");
        self.events.push(json!({"id": id, "object": "event", "api_version": VERSION, "created": now / 1_000,
            "data": {"object": object}, "livemode": false, "pending_webhooks": 1, "request": null, "type": kind}));
    }
}

/// A failure of Stripe's own; it stays the answer to its idempotency key.
#[derive(Clone, Copy)]
enum Failure {
    BeforeEffect,
    AfterEffect,
}

impl Response {
    fn refused(refusal: Refusal) -> Self {
        Self { status: refusal.status, replayed: false, body: json!({"error": refusal.error}) }
    }
}

/// A page of objects that come newest first, each with its id and when it was made.
fn list<'a, T: 'a>(
    url: &str,
    kind: &str,
    all: impl Iterator<Item = (&'a String, i64, &'a T)>,
    page: &Page,
    show: impl Fn(&T) -> Value,
) -> Result<Value, Refusal> {
    let mut all = all;
    if let Some(after) = &page.after {
        all.find(|(id, ..)| *id == after).ok_or_else(|| Refusal::names_no(kind, after, "starting_after"))?;
    }
    let found =
        all.skip_while(|(_, created, _)| *created > page.to).take_while(|(_, created, _)| *created >= page.from);
    let mut data: Vec<Value> = found.take(page.limit + 1).map(|(.., object)| show(object)).collect();
    let has_more = data.len() > page.limit;
    data.truncate(page.limit);
    Ok(json!({"object": "list", "url": url, "has_more": has_more, "data": data}))
}
