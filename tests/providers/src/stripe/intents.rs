//! What requests do to payment intents.

use serde_json::{Value, json};

use super::cards::{Verdict, card};
use super::command::{Capture, Confirm, Create, Methods};
use super::error::Refusal;
use super::objects::{Charge, Intent, Status};
use super::{HOLD_MS, Stripe, Timer};
use crate::provider::Provider as _;

/// What the shopper did at the page of 3-D Secure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shopper {
    /// It is them.
    Approves,
    /// It is not, or they gave up.
    Refuses,
}

impl Stripe {
    /// The shopper finishes 3-D Secure. The payment intent as it is then; none when it does not wait for it.
    pub fn finish_action(&mut self, now: i64, id: &str, shopper: Shopper) -> Option<Value> {
        self.advance(now);
        let intent = self.intents.get(id).filter(|intent| intent.status == Status::RequiresAction)?;
        let (_, card) = intent.method.as_ref().expect("what waits for its shopper has a card");
        match (shopper, card.verdict) {
            (Shopper::Approves, Verdict::Approved) => self.hold(now, id),
            (Shopper::Approves, Verdict::Declined(why)) => {
                let charge = self.charge(now, id, Some(why.error()));
                self.fail(now, id, why.error(), Some(charge));
            }
            (Shopper::Refuses, _) => {
                let why = json!({"type": "invalid_request_error", "code": "payment_intent_authentication_failure",
                    "message": "The provided PaymentMethod has failed authentication."});
                self.fail(now, id, why, None);
            }
        }
        Some(self.intents[id].value())
    }

    /// A payment intent that waits at its page of 3-D Secure: it, and where the shopper comes back to.
    pub fn waits(&self, id: &str) -> Option<(Value, Option<String>)> {
        let intent = self.intents.get(id).filter(|intent| intent.status == Status::RequiresAction)?;
        Some((intent.value(), intent.return_url.clone()))
    }

    pub(super) fn create(&mut self, now: i64, create: Create) -> Result<Value, Refusal> {
        let method = create.method.map(|method| known(&method).map(|card| (method, card))).transpose()?;
        if let Some(confirm) = &create.confirm {
            may_confirm(create.methods, method.is_some(), confirm)?;
        }
        let status = if method.is_some() { Status::RequiresConfirmation } else { Status::RequiresPaymentMethod };
        let intent = Intent {
            id: self.name("pi"),
            created: now / 1_000,
            status,
            amount: create.amount,
            received: 0,
            currency: create.currency,
            capture: create.capture,
            methods: create.methods,
            metadata: create.metadata,
            description: create.description,
            method,
            return_url: None,
            action_url: None,
            last_error: None,
            charge: None,
            refunds: Vec::new(),
            canceled_at: None,
            cancellation_reason: None,
        };
        let (id, value) = (intent.id.clone(), intent.value());
        self.intents.insert(id.clone(), intent);
        self.tell(now, "payment_intent.created", value.clone());
        match create.confirm {
            Some(confirm) => self.confirm(now, &id, confirm),
            None => Ok(value),
        }
    }

    pub(super) fn confirm(&mut self, now: i64, id: &str, confirm: Confirm) -> Result<Value, Refusal> {
        let intent = self.intent(id)?;
        match intent.status {
            Status::RequiresPaymentMethod | Status::RequiresConfirmation => {}
            Status::RequiresAction | Status::RequiresCapture | Status::Succeeded | Status::Canceled => {
                return Err(unexpected(intent, "confirmed"));
            }
        }
        let given =
            confirm.method.as_ref().map(|method| known(method).map(|card| (method.clone(), card))).transpose()?;
        let method = given.or_else(|| intent.method.clone());
        may_confirm(intent.methods, method.is_some(), &confirm)?;
        let (name, card) = method.expect("it was just checked");
        let url = format!("{}/3d_secure/{id}", self.url);
        let intent = self.change(id);
        intent.method = Some((name, card));
        intent.return_url = confirm.return_url;
        if card.authenticates {
            intent.status = Status::RequiresAction;
            intent.action_url = Some(url);
            let value = intent.value();
            self.tell(now, "payment_intent.requires_action", value.clone());
            return Ok(value);
        }
        match card.verdict {
            Verdict::Approved => self.hold(now, id),
            Verdict::Declined(why) => {
                let charge = self.charge(now, id, Some(why.error()));
                self.fail(now, id, why.error(), Some(charge.clone()));
                let mut error = why.error();
                error["charge"] = json!(charge);
                error["payment_intent"] = self.intents[id].value();
                return Err(Refusal { status: 402, error });
            }
        }
        self.intent(id).map(Intent::value)
    }

    pub(super) fn capture(&mut self, now: i64, id: &str, amount: Option<i64>) -> Result<Value, Refusal> {
        let intent = self.intent(id)?;
        if intent.status != Status::RequiresCapture {
            return Err(unexpected(intent, "captured"));
        }
        let amount = amount.unwrap_or(intent.amount);
        if amount > intent.amount {
            return Err(Refusal::param("amount_too_large", "amount_to_capture", "That is more than is held."));
        }
        self.take(now, id, amount);
        self.intent(id).map(Intent::value)
    }

    pub(super) fn cancel(&mut self, now: i64, id: &str, reason: Option<String>) -> Result<Value, Refusal> {
        let intent = self.intent(id)?;
        match intent.status {
            Status::Succeeded | Status::Canceled => return Err(unexpected(intent, "canceled")),
            Status::RequiresPaymentMethod
            | Status::RequiresConfirmation
            | Status::RequiresAction
            | Status::RequiresCapture => {}
        }
        self.let_go(now, id, reason);
        self.intent(id).map(Intent::value)
    }

    /// A hold that nobody took ends. One that was taken or let go meanwhile is none.
    pub(super) fn end_hold(&mut self, now: i64, id: &str) {
        if self.intents[id].status == Status::RequiresCapture {
            self.let_go(now, id, Some("automatic".to_owned()));
        }
    }

    fn change(&mut self, id: &str) -> &mut Intent {
        self.intents.get_mut(id).expect("the caller has found it")
    }

    fn charge(&mut self, now: i64, id: &str, failure: Option<Value>) -> String {
        let name = self.name("ch");
        let intent = self.change(id);
        intent.charge = Some(name.clone());
        let charge = Charge {
            id: name.clone(),
            intent: id.to_owned(),
            created: now / 1_000,
            amount: intent.amount,
            captured: 0,
            refunded: 0,
            currency: intent.currency.clone(),
            capture_before: (now + HOLD_MS) / 1_000,
            failure,
        };
        self.charges.insert(name.clone(), charge);
        name
    }

    fn fail(&mut self, now: i64, id: &str, mut error: Value, charge: Option<String>) {
        if let Some(charge) = charge {
            error["charge"] = json!(charge);
        }
        let intent = self.change(id);
        intent.status = Status::RequiresPaymentMethod;
        intent.method = None;
        intent.last_error = Some(error);
        let value = intent.value();
        self.tell(now, "payment_intent.payment_failed", value);
    }

    fn hold(&mut self, now: i64, id: &str) {
        self.charge(now, id, None);
        let intent = self.change(id);
        intent.last_error = None;
        intent.status = Status::RequiresCapture;
        match intent.capture {
            Capture::Manual => {
                let value = intent.value();
                self.timers.insert((now + HOLD_MS, Timer::HoldEnds(id.to_owned())));
                self.tell(now, "payment_intent.amount_capturable_updated", value);
            }
            Capture::Automatic | Capture::AutomaticAsync => {
                let amount = intent.amount;
                self.take(now, id, amount);
            }
        }
    }

    fn take(&mut self, now: i64, id: &str, amount: i64) {
        let intent = self.change(id);
        let rest = intent.amount - amount;
        intent.status = Status::Succeeded;
        intent.received = amount;
        let charge = intent.charge.clone().expect("what is held has a charge");
        self.charges.get_mut(&charge).expect("it is there").captured = amount;
        self.release(now, id, rest);
        let value = self.intents[id].value();
        self.tell(now, "payment_intent.succeeded", value);
    }

    fn let_go(&mut self, now: i64, id: &str, reason: Option<String>) {
        let intent = self.change(id);
        let held = if intent.status == Status::RequiresCapture { intent.amount } else { 0 };
        intent.status = Status::Canceled;
        intent.canceled_at = Some(now / 1_000);
        intent.cancellation_reason = reason;
        self.release(now, id, held);
        let value = self.intents[id].value();
        self.tell(now, "payment_intent.canceled", value);
    }
}

fn known(method: &str) -> Result<super::cards::Card, Refusal> {
    card(method).ok_or_else(|| Refusal::names_no("PaymentMethod", method, "payment_method"))
}

/// With the payment methods of the dashboard some may need a page, so Stripe asks for where the shopper comes back to.
fn may_confirm(methods: Methods, has_method: bool, confirm: &Confirm) -> Result<(), Refusal> {
    if !has_method {
        let why = "You cannot confirm this PaymentIntent because it's missing a payment method.";
        return Err(Refusal::state("payment_intent_unexpected_state", why));
    }
    match methods {
        Methods::Any if confirm.return_url.is_none() => {
            Err(Refusal::plain("return_url", "Some payment methods redirect, so a `return_url` must be given."))
        }
        Methods::Any | Methods::Cards | Methods::WithoutRedirects => Ok(()),
    }
}

fn unexpected(intent: &Intent, done: &str) -> Refusal {
    let why = format!("This PaymentIntent could not be {done} because it has a status of {}.", intent.status.word());
    let mut refusal = Refusal::state("payment_intent_unexpected_state", &why);
    refusal.error["payment_intent"] = intent.value();
    refusal
}
