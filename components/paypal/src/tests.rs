//! The connector beside a network that answers what the test wrote down, in the shapes of PayPal's API reference.

mod answers;
mod calls;
mod hooks;

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
const ID: &str = "5O190127TN364715T";
const AUTH: &str = "0AW2184448108334S";
const CAPTURE: &str = "2GG279541U471931P";
const PAGE: &str = "https://www.paypal.com/checkoutnow?token=5O190127TN364715T";

type Exchange = Result<InResponse, HttpOutError>;

/// The ports, and a network that signs in whoever asks and otherwise answers what is written down.
struct World {
    ports: TestPorts,
    script: RefCell<VecDeque<Exchange>>,
    sent: RefCell<Vec<OutRequest>>,
}

impl Network for World {
    fn send(&self, request: &OutRequest) -> Exchange {
        if request.url.ends_with("/v1/oauth2/token") {
            assert_eq!(request.body, b"grant_type=client_credentials");
            let basic = ("authorization".to_owned(), "Basic YXBwOnNlY3JldA==".to_owned());
            assert!(request.headers.contains(&basic), "{:?}", request.headers);
            return answer(200, &json!({ "access_token": "A21AA", "token_type": "Bearer", "expires_in": 31_668 }));
        }
        assert!(request.headers.contains(&("authorization".to_owned(), "Bearer A21AA".to_owned())));
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
        let ports = TestPorts::new("paypal", &[]);
        ports.configure("paypal_client_id", "app");
        ports.configure("paypal_client_secret", "secret");
        ports.configure("paypal_webhook_ids", "WH-NEW, WH-OLD");
        Self { ports, script: RefCell::new(script.into()), sent: RefCell::default() }
    }

    fn call(&self) -> Call {
        self.ports.call(Actor::System("test".to_owned()))
    }

    fn authorize(&self, capture: CapturePolicy) -> Result<ProviderPayment, ProviderError> {
        service::authorize(self, &self.call(), &asked(capture))
    }

    fn lookup(&self) -> Result<ProviderPayment, ProviderError> {
        service::lookup(self, &self.call(), &object(ID))
    }

    fn capture(&self, amount: i64) -> Result<ProviderPayment, ProviderError> {
        service::capture(self, &self.call(), &object(ID), &command(), &usd(amount))
    }

    fn void(&self) -> Result<ProviderPayment, ProviderError> {
        service::void(self, &self.call(), &object(ID), &command())
    }

    fn refund(&self, amount: i64) -> Result<ProviderPayment, ProviderError> {
        service::refund(self, &self.call(), &object(ID), &command(), &usd(amount))
    }

    /// What was sent: method, path, and the request's id, with our ids in short.
    fn sent(&self) -> Vec<String> {
        assert!(self.script.borrow().is_empty(), "every answer was asked for");
        let line = |request: &OutRequest| {
            let path = request.url.strip_prefix("https://api-m.paypal.com/").expect("the API");
            let key = request.headers.iter().find(|(name, _)| name == "paypal-request-id");
            let key = key.map_or_else(String::new, |(_, key)| format!(" {key}"));
            let line = format!("{} {path}{key}", request.method);
            [(ID, "ID"), (AUTH, "AUTH"), (CAPTURE, "CAPTURE"), (PAY, "PAY"), (CMD, "CMD")]
                .iter()
                .fold(line, |line, (long, short)| line.replace(long, short))
        };
        self.sent.borrow().iter().map(line).collect()
    }

    fn body(&self, at: usize) -> Value {
        serde_json::from_slice(&self.sent.borrow()[at].body).expect("bodies are JSON")
    }
}

fn usd(minor: i64) -> Money {
    Money::new(minor, "USD")
}

fn amount(value: &str) -> Value {
    json!({ "currency_code": "USD", "value": value })
}

fn asked(capture: CapturePolicy) -> ProviderAuthorization {
    ProviderAuthorization {
        key: PAY.to_owned(),
        order_id: ORD.to_owned(),
        amount: usd(2_000),
        token: "paypal".to_owned(),
        return_url: "https://shop.example/orders/1/return".to_owned(),
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

/// An order of 20.00 USD, with this of it moved.
fn order(status: &str, payments: Value) -> Value {
    marked(status, ORD, payments)
}

fn marked(status: &str, custom_id: &str, payments: Value) -> Value {
    json!({
        "id": ID, "intent": "CAPTURE", "status": status, "create_time": "2026-01-01T00:00:00Z",
        "purchase_units": [{
            "reference_id": "default", "amount": amount("20.00"), "invoice_id": PAY, "custom_id": custom_id,
            "payments": payments,
        }],
        "links": [
            { "rel": "self", "method": "GET", "href": format!("https://api-m.paypal.com/v2/checkout/orders/{ID}") },
            { "rel": "payer-action", "method": "GET", "href": PAGE },
        ],
    })
}

fn authorization(status: &str) -> Value {
    json!({
        "id": AUTH, "status": status, "amount": amount("20.00"), "invoice_id": PAY,
        "create_time": "2026-01-01T00:00:00Z", "expiration_time": "2026-01-30T00:00:00Z",
    })
}

fn capture(status: &str, value: &str, invoice: &str) -> Value {
    json!({ "id": CAPTURE, "status": status, "amount": amount(value), "invoice_id": invoice, "final_capture": true })
}

fn refund(status: &str, value: &str) -> Value {
    json!({ "id": "1JU08902781691411", "status": status, "amount": amount(value), "custom_id": CMD, "invoice_id": CMD })
}

fn held() -> Value {
    order("COMPLETED", json!({ "authorizations": [authorization("CREATED")] }))
}

fn taken() -> Value {
    order("COMPLETED", json!({ "captures": [capture("COMPLETED", "20.00", PAY)] }))
}

fn trouble(name: &str, issue: &str) -> Value {
    json!({ "name": name, "message": "No.", "debug_id": "90957fca61718", "details": [{ "issue": issue }] })
}

fn refusal(issue: &str) -> Exchange {
    answer(422, &trouble("UNPROCESSABLE_ENTITY", issue))
}

fn answer(status: u16, body: &Value) -> Exchange {
    Ok(InResponse { status, headers: Vec::new(), body: body.to_string().into_bytes() })
}

fn empty() -> Exchange {
    Ok(InResponse { status: 204, headers: Vec::new(), body: Vec::new() })
}

fn lost() -> Exchange {
    Err(HttpOutError::Unknown("no reply".to_owned()))
}

/// An outcome in one line: state and amounts, or the error.
fn short(outcome: &Result<ProviderPayment, ProviderError>) -> String {
    match outcome {
        Ok(told) => {
            assert_eq!((told.reference.as_str(), told.order_id.as_str()), (ID, ORD));
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
