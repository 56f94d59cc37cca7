//! The connector beside a network that answers what the test wrote down, in the shapes of Stripe's API reference.

mod answers;
mod calls;
mod hooks;
mod lost;

use std::cell::RefCell;
use std::collections::VecDeque;

use serde_json::{Value, json};
use souk_kit::bindings::souk::shop::http_out::{HttpOutError, InResponse, OutRequest};
use souk_kit::payment_extension::{
    CapturePolicy, ProviderAuthorization, ProviderCommand, ProviderError, ProviderObject, ProviderPayment,
    ProviderState,
};
use souk_kit::ports::{Call, Config};
use souk_kit::testing::{START, TestPorts};
use souk_kit::types::{Actor, Money};

use crate::client::Network;
use crate::service;

const PAY: &str = "pay_00000000000000000000000000000001";
const ORD: &str = "ord_00000000000000000000000000000001";
const CMD: &str = "cmd_00000000000000000000000000000001";
const PI: &str = "pi_3MtwBwLkdIwHu7ix28a3tqPa";

type Exchange = Result<InResponse, HttpOutError>;

/// The ports, and a network whose answers are written down beforehand.
struct World {
    ports: TestPorts,
    script: RefCell<VecDeque<Exchange>>,
    sent: RefCell<Vec<OutRequest>>,
}

impl Network for World {
    fn send(&self, request: &OutRequest) -> Exchange {
        self.sent.borrow_mut().push(request.clone());
        self.script.borrow_mut().pop_front().expect("the test wrote an answer for every request")
    }
}

impl Config for World {
    fn get(&self, name: &str) -> Option<String> {
        self.ports.get(name)
    }
}

impl World {
    fn new(script: Vec<Exchange>) -> Self {
        let ports = TestPorts::new("stripe", &[]);
        ports.configure("stripe_secret_key", "sk_test_4eC39HqLyjWDarjtT1zdp7dc");
        ports.configure("stripe_webhook_secrets", "whsec_new, whsec_old");
        Self { ports, script: RefCell::new(script.into()), sent: RefCell::default() }
    }

    fn call(&self) -> Call {
        self.ports.call(Actor::System("test".to_owned()))
    }

    fn authorize(&self, capture: CapturePolicy) -> Result<ProviderPayment, ProviderError> {
        service::authorize(self, &self.call(), &asked(capture))
    }

    fn lookup(&self, reference: &str) -> Result<ProviderPayment, ProviderError> {
        service::lookup(self, &self.call(), &object(reference))
    }

    fn capture(&self, amount: i64) -> Result<ProviderPayment, ProviderError> {
        service::capture(self, &self.call(), &object(PI), &command(), &usd(amount))
    }

    fn void(&self) -> Result<ProviderPayment, ProviderError> {
        service::void(self, &self.call(), &object(PI), &command())
    }

    fn refund(&self, amount: i64) -> Result<ProviderPayment, ProviderError> {
        service::refund(self, &self.call(), &object(PI), &command(), &usd(amount))
    }

    /// What was sent: method, path without the version, and the idempotency key with our ids in short.
    fn sent(&self) -> Vec<String> {
        assert!(self.script.borrow().is_empty(), "every answer was asked for");
        let line = |request: &OutRequest| {
            let path = request.url.strip_prefix("https://api.stripe.com/v1/").expect("the API");
            let path = path.split('?').next().expect("a path");
            let key = request.headers.iter().find(|(name, _)| name == "idempotency-key");
            let key = key.map_or_else(String::new, |(_, key)| format!(" {key}"));
            format!("{} {path}{key}", request.method).replace(PI, "PI").replace(PAY, "PAY").replace(CMD, "CMD")
        };
        self.sent.borrow().iter().map(line).collect()
    }

    fn bodies(&self) -> Vec<String> {
        self.sent.borrow().iter().map(|request| String::from_utf8_lossy(&request.body).into_owned()).collect()
    }
}

fn usd(minor: i64) -> Money {
    Money::new(minor, "USD")
}

fn asked(capture: CapturePolicy) -> ProviderAuthorization {
    ProviderAuthorization {
        key: PAY.to_owned(),
        order_id: ORD.to_owned(),
        amount: usd(2_000),
        token: "pm_1Nv0FGQ9RKHgCVdK".to_owned(),
        return_url: "https://shop.example/orders/1/return?a=b&c".to_owned(),
        capture,
        asked_at: START,
    }
}

fn object(reference: &str) -> ProviderObject {
    ProviderObject { key: PAY.to_owned(), reference: reference.to_owned(), asked_at: START }
}

fn command() -> ProviderCommand {
    ProviderCommand { id: CMD.to_owned(), asked_at: START }
}

/// A payment intent of 20.00 USD, with these fields instead.
fn intent(status: &str, with: Value) -> Value {
    let mut intent = json!({
        "id": PI, "object": "payment_intent", "amount": 2000, "amount_capturable": 0, "amount_received": 0,
        "canceled_at": null, "cancellation_reason": null, "capture_method": "automatic",
        "confirmation_method": "automatic", "created": 1_767_225_600, "currency": "usd", "last_payment_error": null,
        "latest_charge": null, "livemode": false, "metadata": { "souk_payment": PAY, "souk_order": ORD },
        "next_action": null, "payment_method": "pm_1Nv0FGQ9RKHgCVdK", "payment_method_types": ["card"],
        "return_url": null, "status": status,
    });
    merge(&mut intent, with);
    intent
}

/// One of which `received` was taken, with its charge.
fn taken(received: i64, charge_refunded: i64) -> Value {
    intent("succeeded", json!({ "amount_received": received, "latest_charge": charge(received, charge_refunded) }))
}

/// One that is held.
fn held() -> Value {
    intent("requires_capture", json!({ "amount_capturable": 2000, "latest_charge": charge(0, 0) }))
}

fn charge(captured: i64, refunded: i64) -> Value {
    json!({
        "id": "ch_3MmlLrLkdIwHu7ix0snN0B15", "object": "charge", "amount": 2000, "amount_captured": captured,
        "amount_refunded": refunded, "captured": captured > 0, "disputed": false, "payment_intent": PI,
        "refunded": refunded == 2000, "status": "succeeded",
    })
}

/// A refund of ours, with these fields instead.
fn refund(id: &str, amount: i64, with: Value) -> Value {
    let mut refund = json!({
        "id": id, "object": "refund", "amount": amount, "balance_transaction": "txn_1Nispe2eZvKYlo2CYezqFhEx",
        "charge": "ch_3MmlLrLkdIwHu7ix0snN0B15", "created": 1_767_225_700, "currency": "usd",
        "metadata": { "souk_payment": PAY, "souk_command": CMD }, "payment_intent": PI, "reason": null,
        "status": "succeeded",
    });
    merge(&mut refund, with);
    refund
}

fn page(items: &[Value], has_more: bool) -> Value {
    json!({ "object": "list", "url": "/v1/list", "has_more": has_more, "data": items })
}

fn error(with: Value) -> Value {
    let mut error = json!({ "type": "invalid_request_error", "message": "No." });
    merge(&mut error, with);
    json!({ "error": error })
}

fn merge(into: &mut Value, with: Value) {
    let (Value::Object(into), Value::Object(with)) = (into, with) else { panic!("both are objects") };
    into.extend(with);
}

fn answer(status: u16, body: &Value) -> Exchange {
    let headers = vec![("request-id".to_owned(), "req_1".to_owned())];
    Ok(InResponse { status, headers, body: body.to_string().into_bytes() })
}

/// The answer that Stripe gave before to the same key.
fn again(status: u16, body: &Value) -> Exchange {
    answer(status, body).map(|mut response| {
        response.headers.push(("idempotent-replayed".to_owned(), "true".to_owned()));
        response
    })
}

fn lost() -> Exchange {
    Err(HttpOutError::Unknown("no reply".to_owned()))
}

fn broken() -> Value {
    json!({ "error": { "type": "api_error", "message": "An unknown error occurred" } })
}

/// An outcome in one line: state and amounts, or the error.
fn short(outcome: &Result<ProviderPayment, ProviderError>) -> String {
    match outcome {
        Ok(told) => {
            assert_eq!((told.reference.as_str(), told.order_id.as_str()), (PI, ORD));
            assert_eq!(told.amount, usd(2_000));
            let state = match &told.state {
                ProviderState::Processing => "processing",
                ProviderState::RequiresAction(url) => url,
                ProviderState::Authorized => "authorized",
                ProviderState::Declined(why) => &why.code,
                ProviderState::Voided => "voided",
            };
            format!("{state} {} {}", told.captured, told.refunded)
        }
        Err(ProviderError::Refused(why)) => format!("refused {}", why.code),
        Err(ProviderError::NotFound) => "not-found".to_owned(),
        Err(ProviderError::NotSent(_)) => "not-sent".to_owned(),
        Err(ProviderError::Unknown(_)) => "unknown".to_owned(),
        Err(error @ (ProviderError::UnknownProvider | ProviderError::Unavailable(_))) => format!("{error:?}"),
    }
}
