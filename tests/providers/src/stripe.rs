//! Stripe's card payments: payment intents, refunds, idempotency keys and events, as a state machine.
//!
//! Source: <https://docs.stripe.com/api>. It opens no socket and reads no clock.

pub mod signature;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The one version of the API that is spoken.
pub const VERSION: &str = "2026-10-28.endive";
/// How long an idempotency key is kept, in milliseconds.
pub const KEY_TTL_MS: i64 = 24 * 3_600_000;
/// How long a card is held, in milliseconds.
pub const HOLD_MS: i64 = 7 * 24 * 3_600_000;
/// Most objects on one page of a list.
pub const PAGE_MAX: usize = 100;
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

/// A failure of Stripe's own; it stays the answer to its idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerError {
    /// Nothing was done.
    BeforeEffect,
    /// All was done.
    AfterEffect,
}

/// How refunds are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundPolicy {
    /// No more than was taken.
    Capped,
    /// Wrongly, anything.
    Uncapped,
}

#[derive(Clone, Debug)]
struct Intent {
    value: Value,
    /// When the hold ends, milliseconds since 1970; zero while nothing is held.
    hold_ends_at: i64,
}

#[derive(Clone, Debug)]
struct Kept {
    request: String,
    response: Response,
    at: i64,
}

/// An account at Stripe.
#[derive(Clone, Debug)]
pub struct Stripe {
    secret_key: String,
    refund_policy: RefundPolicy,
    made: u64,
    intents: BTreeMap<String, Intent>,
    refunds: Vec<Value>,
    keys: BTreeMap<String, Kept>,
    events: Vec<Value>,
}

type Fields = BTreeMap<String, String>;
type Answer = Result<Value, (u16, Value)>;

fn refuse(status: u16, kind: &str, code: &str, message: &str) -> (u16, Value) {
    (status, json!({"type": kind, "code": code, "message": message}))
}

fn invalid(code: &str, message: &str) -> (u16, Value) {
    refuse(400, "invalid_request_error", code, message)
}

impl Stripe {
    /// An account without payments.
    pub fn new(secret_key: &str, refund_policy: RefundPolicy) -> Self {
        Self {
            secret_key: secret_key.to_owned(),
            refund_policy,
            made: 0,
            intents: BTreeMap::new(),
            refunds: Vec::new(),
            keys: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    /// Answers one request at `now`, milliseconds since 1970. A lost reply is an answer that the caller drops.
    pub fn handle(&mut self, now: i64, request: &Request<'_>, fault: Option<ServerError>) -> Response {
        self.advance(now);
        let answer = |answer: Answer| match answer {
            Ok(body) => Response { status: 200, replayed: false, body },
            Err((status, error)) => Response { status, replayed: false, body: json!({"error": error}) },
        };
        if request.secret_key != Some(&self.secret_key) {
            return answer(Err((401, json!({"type": "invalid_request_error", "message": "Invalid API Key provided"}))));
        }
        let key = request.key.filter(|_| request.method == "POST");
        if key.is_some_and(|key| key.len() > KEY_BYTES_MAX) {
            return answer(Err(invalid("invalid_idempotency_key", "The idempotency key is too long.")));
        }
        let text = format!("{} {}", request.path, request.form);
        if let Some(kept) = key.and_then(|key| self.keys.get(key)) {
            if kept.request == text {
                return Response { replayed: true, ..kept.response.clone() };
            }
            let why =
                "Keys for idempotent requests can only be used with the same parameters they were first used with.";
            return answer(Err((400, json!({"type": "idempotency_error", "message": why}))));
        }
        let mut response = match fault {
            Some(ServerError::BeforeEffect) => Response { status: 500, replayed: false, body: Value::Null },
            Some(ServerError::AfterEffect) | None => answer(self.route(now, request)),
        };
        // A request whose parameters do not hold began nothing, so its key stays free.
        let is_begun = fault.is_some() || !matches!(response.status, 400 | 404);
        if fault.is_some() {
            response.status = 500;
            response.body = json!({"error": {"type": "api_error", "message": "An unknown error occurred"}});
        }
        if let Some(key) = key.filter(|_| is_begun) {
            self.keys.insert(key.to_owned(), Kept { request: text, response: response.clone(), at: now });
        }
        response
    }

    /// Lets time pass: holds end and keys are forgotten.
    pub fn advance(&mut self, now: i64) {
        self.keys.retain(|_, kept| now < kept.at + KEY_TTL_MS);
        let ended: Vec<String> = self
            .intents
            .iter()
            .filter(|(_, i)| is(i, "requires_capture") && i.hold_ends_at <= now)
            .map(|(id, _)| id.clone())
            .collect();
        for id in ended {
            self.release(now, &id, "automatic");
        }
    }

    /// Takes the events since the last call, oldest first; the caller signs, repeats and shuffles them.
    pub fn take_events(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.events)
    }

    /// The shopper finishes 3-D Secure. None when the intent does not wait for it.
    pub fn finish_action(&mut self, now: i64, id: &str, is_shopper: bool) -> Option<Value> {
        self.advance(now);
        self.intents.get(id).filter(|intent| is(intent, "requires_action"))?;
        if is_shopper {
            self.hold(now, id);
        } else {
            self.fail(now, id, "payment_intent_authentication_failure", None);
        }
        Some(self.intents[id].value.clone())
    }

    fn route(&mut self, now: i64, request: &Request<'_>) -> Answer {
        let fields: Fields = form_urlencoded::parse(request.form.as_bytes()).into_owned().collect();
        let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        match (request.method, parts.as_slice()) {
            ("POST", ["v1", "payment_intents"]) => self.create(now, &fields),
            ("GET", ["v1", "payment_intents"]) => {
                let mut all: Vec<&Value> = self.intents.values().map(|intent| &intent.value).collect();
                all.reverse();
                page(all, &fields)
            }
            ("GET", ["v1", "payment_intents", id]) => self.read(id),
            ("POST", ["v1", "payment_intents", id, "confirm"]) => self.confirm(now, id, &fields),
            ("POST", ["v1", "payment_intents", id, "capture"]) => self.capture(now, id, &fields),
            ("POST", ["v1", "payment_intents", id, "cancel"]) => self.cancel(now, id),
            ("POST", ["v1", "refunds"]) => self.refund(now, &fields),
            ("GET", ["v1", "refunds"]) => {
                let of = fields.get("payment_intent");
                page(
                    self.refunds.iter().rev().filter(|r| of.is_none_or(|of| r["payment_intent"] == **of)).collect(),
                    &fields,
                )
            }
            ("GET", ["v1", "refunds", id]) => {
                self.refunds.iter().find(|refund| refund["id"] == **id).cloned().ok_or_else(missing)
            }
            _ => Err(missing()),
        }
    }

    fn id(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}_{:024}", self.made)
    }

    fn tell(&mut self, now: i64, kind: &str, object: Value) {
        let id = self.id("evt");
        self.events.push(json!({"id": id, "object": "event", "api_version": VERSION, "created": now / 1_000,
            "livemode": false, "type": kind, "data": {"object": object}}));
    }

    fn read(&self, id: &str) -> Answer {
        Ok(self.intents.get(id).ok_or_else(missing)?.value.clone())
    }

    fn create(&mut self, now: i64, fields: &Fields) -> Answer {
        let amount = amount(fields, "amount")?.ok_or_else(|| invalid("parameter_missing", "amount"))?;
        let currency = fields.get("currency").ok_or_else(|| invalid("parameter_missing", "currency"))?;
        let capture = fields.get("capture_method").map_or("automatic", String::as_str);
        let id = self.id("pi");
        let value = json!({"id": id, "object": "payment_intent", "livemode": false, "created": now / 1_000,
            "status": "requires_payment_method", "amount": amount, "currency": currency.to_ascii_lowercase(),
            "amount_received": 0, "amount_capturable": 0, "capture_method": capture, "metadata": metadata(fields),
            "client_secret": format!("{id}_secret"), "next_action": null, "last_payment_error": null,
            "latest_charge": null, "payment_method": null, "canceled_at": null});
        self.intents.insert(id.clone(), Intent { value: value.clone(), hold_ends_at: 0 });
        self.tell(now, "payment_intent.created", value);
        if fields.get("confirm").is_some_and(|confirm| confirm == "true") {
            return self.confirm(now, &id, fields);
        }
        if let Some(method) = fields.get("payment_method") {
            let intent = self.intents.get_mut(&id).expect("it was just made");
            intent.value["payment_method"] = json!(method);
            intent.value["status"] = json!("requires_confirmation");
        }
        self.read(&id)
    }

    fn confirm(&mut self, now: i64, id: &str, fields: &Fields) -> Answer {
        let intent = self.intents.get_mut(id).ok_or_else(missing)?;
        if !is(intent, "requires_payment_method") && !is(intent, "requires_confirmation") {
            return Err(unexpected(intent));
        }
        if let Some(method) = fields.get("payment_method") {
            intent.value["payment_method"] = json!(method);
        }
        let method = intent.value["payment_method"].as_str().unwrap_or_default().to_owned();
        match method.as_str() {
            "pm_card_visa" => self.hold(now, id),
            "pm_card_authenticationRequired" => {
                intent.value["status"] = json!("requires_action");
                intent.value["next_action"] = json!({"type": "redirect_to_url", "redirect_to_url":
                    {"url": format!("/3ds/{id}"), "return_url": fields.get("return_url")}});
                let value = intent.value.clone();
                self.tell(now, "payment_intent.requires_action", value);
            }
            "pm_card_chargeDeclined" => return Err(self.fail(now, id, "card_declined", Some("generic_decline"))),
            "pm_card_chargeDeclinedInsufficientFunds" => {
                return Err(self.fail(now, id, "card_declined", Some("insufficient_funds")));
            }
            _ => return Err(invalid("resource_missing", "No such PaymentMethod")),
        }
        self.read(id)
    }

    fn fail(&mut self, now: i64, id: &str, code: &str, decline_code: Option<&str>) -> (u16, Value) {
        let intent = self.intents.get_mut(id).expect("the caller has found it");
        let mut error = json!({"type": "card_error", "code": code, "message": "Your card was declined."});
        if let Some(decline_code) = decline_code {
            error["decline_code"] = json!(decline_code);
        }
        intent.value["status"] = json!("requires_payment_method");
        intent.value["next_action"] = Value::Null;
        intent.value["payment_method"] = Value::Null;
        intent.value["last_payment_error"] = error.clone();
        let value = intent.value.clone();
        error["payment_intent"] = value.clone();
        self.tell(now, "payment_intent.payment_failed", value);
        (402, error)
    }

    fn hold(&mut self, now: i64, id: &str) {
        let charge = self.id("ch");
        let intent = self.intents.get_mut(id).expect("the caller has found it");
        let amount = intent.value["amount"].clone();
        intent.hold_ends_at = now + HOLD_MS;
        intent.value["next_action"] = Value::Null;
        intent.value["last_payment_error"] = Value::Null;
        intent.value["latest_charge"] = json!({"id": charge, "object": "charge", "amount": amount, "amount_captured": 0,
            "amount_refunded": 0, "captured": false, "payment_intent": id,
            "payment_method_details": {"card": {"capture_before": intent.hold_ends_at / 1_000}}});
        intent.value["amount_capturable"] = amount.clone();
        intent.value["status"] = json!("requires_capture");
        if intent.value["capture_method"] == "manual" {
            let value = intent.value.clone();
            self.tell(now, "payment_intent.amount_capturable_updated", value);
        } else {
            self.take(now, id, amount.as_i64().expect("amounts are integers"));
        }
    }

    fn take(&mut self, now: i64, id: &str, amount: i64) {
        let intent = self.intents.get_mut(id).expect("the caller has found it");
        let held = int(&intent.value["amount"]);
        intent.value["status"] = json!("succeeded");
        intent.value["amount_received"] = json!(amount);
        intent.value["amount_capturable"] = json!(0);
        intent.value["latest_charge"]["captured"] = json!(true);
        intent.value["latest_charge"]["amount_captured"] = json!(amount);
        // Stripe shows what was held and not taken as refunded.
        intent.value["latest_charge"]["amount_refunded"] = json!(held - amount);
        let value = intent.value.clone();
        self.tell(now, "payment_intent.succeeded", value);
    }

    fn release(&mut self, now: i64, id: &str, reason: &str) {
        let intent = self.intents.get_mut(id).expect("the caller has found it");
        if intent.value["latest_charge"].is_object() {
            intent.value["latest_charge"]["amount_refunded"] = intent.value["amount"].clone();
        }
        intent.value["status"] = json!("canceled");
        intent.value["amount_capturable"] = json!(0);
        intent.value["next_action"] = Value::Null;
        intent.value["canceled_at"] = json!(now / 1_000);
        intent.value["cancellation_reason"] = json!(reason);
        let value = intent.value.clone();
        self.tell(now, "payment_intent.canceled", value);
    }

    fn capture(&mut self, now: i64, id: &str, fields: &Fields) -> Answer {
        let intent = self.intents.get(id).ok_or_else(missing)?;
        if !is(intent, "requires_capture") {
            return Err(unexpected(intent));
        }
        let held = int(&intent.value["amount_capturable"]);
        let amount = amount(fields, "amount_to_capture")?.unwrap_or(held);
        if amount > held {
            return Err(invalid("amount_too_large", "The amount to capture is more than what is held."));
        }
        self.take(now, id, amount);
        self.read(id)
    }

    fn cancel(&mut self, now: i64, id: &str) -> Answer {
        let intent = self.intents.get(id).ok_or_else(missing)?;
        if is(intent, "succeeded") || is(intent, "canceled") {
            return Err(unexpected(intent));
        }
        self.release(now, id, "requested_by_customer");
        self.read(id)
    }

    fn refund(&mut self, now: i64, fields: &Fields) -> Answer {
        let of = fields.get("payment_intent").ok_or_else(|| invalid("parameter_missing", "payment_intent"))?;
        let intent = self.intents.get(of).ok_or_else(missing)?;
        if !is(intent, "succeeded") {
            return Err(unexpected(intent));
        }
        let given: i64 = self.refunds.iter().filter(|r| r["payment_intent"] == **of).map(|r| int(&r["amount"])).sum();
        let left = int(&intent.value["amount_received"]) - given;
        let amount = amount(fields, "amount")?.unwrap_or(left);
        match self.refund_policy {
            RefundPolicy::Capped if left <= 0 => return Err(invalid("charge_already_refunded", "Already refunded.")),
            RefundPolicy::Capped if amount > left => return Err(invalid("amount_too_large", "More than is left.")),
            RefundPolicy::Capped | RefundPolicy::Uncapped => {}
        }
        let id = self.id("re");
        let transaction = self.id("txn");
        let intent = self.intents.get_mut(of).expect("it was just read");
        let refunded = int(&intent.value["latest_charge"]["amount_refunded"]) + amount;
        intent.value["latest_charge"]["amount_refunded"] = json!(refunded);
        let charge = intent.value["latest_charge"].clone();
        let refund = json!({"id": id, "object": "refund", "amount": amount, "currency": intent.value["currency"],
            "created": now / 1_000, "status": "succeeded", "payment_intent": of, "charge": charge["id"],
            "balance_transaction": transaction, "metadata": metadata(fields)});
        self.refunds.push(refund.clone());
        self.tell(now, "charge.refunded", charge);
        self.tell(now, "refund.created", refund.clone());
        Ok(refund)
    }
}

fn is(intent: &Intent, status: &str) -> bool {
    intent.value["status"] == status
}

fn int(value: &Value) -> i64 {
    value.as_i64().expect("amounts are integers")
}

fn missing() -> (u16, Value) {
    refuse(404, "invalid_request_error", "resource_missing", "No such object")
}

fn unexpected(intent: &Intent) -> (u16, Value) {
    let (status, mut error) = invalid("payment_intent_unexpected_state", "The state does not allow this.");
    error["payment_intent"] = intent.value.clone();
    (status, error)
}

fn amount(fields: &Fields, name: &str) -> Result<Option<i64>, (u16, Value)> {
    let Some(text) = fields.get(name) else { return Ok(None) };
    let amount: Option<i64> = text.parse().ok().filter(|amount| (1..=99_999_999).contains(amount));
    amount.map(Some).ok_or_else(|| invalid("parameter_invalid_integer", name))
}

fn metadata(fields: &Fields) -> BTreeMap<&str, &str> {
    let inner = |key: &'_ str| key.strip_prefix("metadata[").and_then(|key| key.strip_suffix(']')).map(str::len);
    fields.iter().filter_map(|(key, value)| inner(key).map(|n| (&key[9..9 + n], value.as_str()))).collect()
}

/// A page, newest first.
fn page(all: Vec<&Value>, fields: &Fields) -> Answer {
    let number = |name: &str| fields.get(name).and_then(|text| text.parse::<i64>().ok());
    let limit = number("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(10).clamp(1, PAGE_MAX);
    let from = number("created[gte]").unwrap_or(i64::MIN);
    let to = number("created[lte]").unwrap_or(i64::MAX);
    let mut found = all.into_iter().filter(|value| (from..=to).contains(&int(&value["created"])));
    if let Some(after) = fields.get("starting_after") {
        found.find(|value| value["id"] == **after).ok_or_else(missing)?;
    }
    let mut data: Vec<&Value> = found.take(limit + 1).collect();
    let has_more = data.len() > limit;
    data.truncate(limit);
    Ok(json!({"object": "list", "data": data, "has_more": has_more}))
}
