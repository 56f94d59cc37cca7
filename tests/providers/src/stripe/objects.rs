//! The objects of an account, and how Stripe writes them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::cards::Card;
use super::command::{Capture, Methods};

/// Where a payment intent is: <https://docs.stripe.com/payments/paymentintents/lifecycle>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing to pay with, or it failed.
    RequiresPaymentMethod,
    /// Not yet tried.
    RequiresConfirmation,
    /// 3-D Secure waits for the shopper.
    RequiresAction,
    /// Held.
    RequiresCapture,
    /// Taken.
    Succeeded,
    /// Let go.
    Canceled,
}

impl Status {
    /// As Stripe writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::RequiresPaymentMethod => "requires_payment_method",
            Self::RequiresConfirmation => "requires_confirmation",
            Self::RequiresAction => "requires_action",
            Self::RequiresCapture => "requires_capture",
            Self::Succeeded => "succeeded",
            Self::Canceled => "canceled",
        }
    }
}

/// A payment intent. Amounts are in the currency's smallest unit, `created` and `canceled_at` in seconds since 1970.
#[derive(Clone, Debug)]
pub struct Intent {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) status: Status,
    pub(super) amount: i64,
    pub(super) received: i64,
    pub(super) currency: String,
    pub(super) capture: Capture,
    pub(super) methods: Methods,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) description: Option<String>,
    /// The payment method and the card behind it.
    pub(super) method: Option<(String, Card)>,
    pub(super) return_url: Option<String>,
    /// The page of 3-D Secure.
    pub(super) action_url: Option<String>,
    pub(super) last_error: Option<Value>,
    pub(super) charge: Option<String>,
    /// Refunds of the charge, oldest first.
    pub(super) refunds: Vec<String>,
    pub(super) canceled_at: Option<i64>,
    pub(super) cancellation_reason: Option<String>,
}

impl Intent {
    /// What Stripe shows of it, with the charge as its id.
    pub(super) fn value(&self) -> Value {
        let capturable = if self.status == Status::RequiresCapture { self.amount } else { 0 };
        let capture = match self.capture {
            Capture::Automatic => "automatic",
            Capture::AutomaticAsync => "automatic_async",
            Capture::Manual => "manual",
        };
        let automatic = match self.methods {
            Methods::Cards => Value::Null,
            Methods::Any => json!({"allow_redirects": "always", "enabled": true}),
            Methods::WithoutRedirects => json!({"allow_redirects": "never", "enabled": true}),
        };
        json!({
            "id": self.id, "object": "payment_intent", "amount": self.amount, "amount_capturable": capturable,
            "amount_received": self.received, "automatic_payment_methods": automatic, "canceled_at": self.canceled_at,
            "cancellation_reason": self.cancellation_reason, "capture_method": capture,
            "client_secret": format!("{}_secret_simulated", self.id), "confirmation_method": "automatic",
            "created": self.created, "currency": self.currency, "customer": null, "description": self.description,
            "last_payment_error": self.last_error, "latest_charge": self.charge, "livemode": false,
            "metadata": self.metadata, "next_action": self.next_action(),
            "payment_method": self.method.as_ref().map(|(name, _)| name), "payment_method_types": ["card"],
            "processing": null, "status": self.status.word(),
        })
    }

    /// With a URL to come back to the shopper goes to a page; without one Stripe's script opens it in the shop's own.
    fn next_action(&self) -> Value {
        let url = self.action_url.as_ref().filter(|_| self.status == Status::RequiresAction);
        match (url, &self.return_url) {
            (None, _) => Value::Null,
            (Some(url), Some(back)) => {
                json!({"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": back}})
            }
            (Some(url), None) => json!({"type": "use_stripe_sdk",
                "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url}}),
        }
    }
}

/// A charge.
#[derive(Clone, Debug)]
pub struct Charge {
    pub(super) id: String,
    pub(super) intent: String,
    pub(super) created: i64,
    pub(super) amount: i64,
    pub(super) captured: i64,
    /// Given back, including what was held and never taken.
    pub(super) refunded: i64,
    pub(super) currency: String,
    /// When a hold ends, seconds since 1970.
    pub(super) capture_before: i64,
    /// Why the bank declined.
    pub(super) failure: Option<Value>,
}

impl Charge {
    /// What Stripe shows of it.
    pub(super) fn value(&self) -> Value {
        let failure = self.failure.as_ref();
        json!({
            "id": self.id, "object": "charge", "amount": self.amount, "amount_captured": self.captured,
            "amount_refunded": self.refunded, "billing_details": {}, "captured": self.captured > 0, "created": self.created,
            "currency": self.currency, "disputed": false, "failure_code": failure.map(|error| &error["code"]),
            "failure_message": failure.map(|error| &error["message"]), "livemode": false, "metadata": {},
            "paid": failure.is_none(), "payment_intent": self.intent, "refunded": self.refunded >= self.amount,
            "payment_method_details": {"type": "card", "card": {
                "capture_before": self.capture_before, "exp_month": 12, "exp_year": 2034,
            }},
            "status": if failure.is_none() { "succeeded" } else { "failed" },
        })
    }
}

/// How far a refund is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundStatus {
    /// On its way.
    Pending,
    /// Done.
    Succeeded,
    /// It did not arrive.
    Failed,
}

/// A refund.
#[derive(Clone, Debug)]
pub struct Refund {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) status: RefundStatus,
    pub(super) intent: String,
    pub(super) charge: String,
    pub(super) reason: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
    /// None with the rest that a capture let go: it never was on the balance.
    pub(super) transaction: Option<String>,
}

impl Refund {
    /// What Stripe shows of it.
    pub(super) fn value(&self) -> Value {
        let status = match self.status {
            RefundStatus::Pending => "pending",
            RefundStatus::Succeeded => "succeeded",
            RefundStatus::Failed => "failed",
        };
        json!({
            "id": self.id, "object": "refund", "amount": self.amount, "balance_transaction": self.transaction,
            "charge": self.charge, "created": self.created, "currency": self.currency, "metadata": self.metadata,
            "payment_intent": self.intent, "reason": self.reason, "status": status,
        })
    }
}

/// Writes objects out where their ids stand, at paths that the command allows: `latest_charge`, or
/// `data.latest_charge` in a list.
pub(super) fn expand(value: &mut Value, paths: &[String], find: &impl Fn(&str) -> Option<Value>) {
    for path in paths {
        match path.strip_prefix("data.") {
            Some(name) => {
                let items = value.get_mut("data").and_then(Value::as_array_mut);
                items.into_iter().flatten().for_each(|item| expand_field(item, name, find));
            }
            None => expand_field(value, path, find),
        }
    }
}

fn expand_field(value: &mut Value, name: &str, find: &impl Fn(&str) -> Option<Value>) {
    if let Some(field) = value.get_mut(name)
        && let Some(object) = field.as_str().and_then(find)
    {
        *field = object;
    }
}
