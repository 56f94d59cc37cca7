//! The objects of an account, and how PayPal writes them.

use serde_json::{Value, json};

use super::command::Intent;
use super::money::Money;
use super::time::date_time;

/// What the shopper pays with: chosen at the page where an order is approved, and how all goes from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instrument {
    /// Works.
    Balance,
    /// Is declined when the money is held or taken, after which the shopper may choose another one.
    Declined,
    /// PayPal looks at each payment for a while, and then it works. Refunds pend for as long.
    Reviewed,
    /// PayPal looks at each payment for a while, and then refuses it.
    Rejected,
    /// Works, and has nothing left when the honor period is over.
    Fleeting,
    /// Works, and takes no refunds: they pend, and then fail.
    Closed,
}

/// All, with their names at the page.
pub const INSTRUMENTS: [(&str, Instrument); 6] = [
    ("balance", Instrument::Balance),
    ("declined", Instrument::Declined),
    ("reviewed", Instrument::Reviewed),
    ("rejected", Instrument::Rejected),
    ("fleeting", Instrument::Fleeting),
    ("closed", Instrument::Closed),
];

/// Where an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderStatus {
    /// Waits for its shopper, who may come by any way.
    Created,
    /// Waits for its shopper at PayPal's page.
    PayerActionRequired,
    /// The shopper agreed.
    Approved,
    /// The money was held or taken.
    Completed,
}

/// An order with one purchase unit. Instants are in milliseconds since 1970.
#[derive(Clone, Debug)]
pub struct Order {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) updated: i64,
    pub(super) intent: Intent,
    pub(super) status: OrderStatus,
    pub(super) amount: Money,
    /// As it came.
    pub(super) unit: Value,
    /// As it came.
    pub(super) source: Option<Value>,
    pub(super) return_url: Option<String>,
    pub(super) cancel_url: Option<String>,
    pub(super) instrument: Option<Instrument>,
    pub(super) authorizations: Vec<String>,
    pub(super) captures: Vec<String>,
}

impl Order {
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.unit[name].as_str().map(str::to_owned)
    }
}

/// Where an authorization is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationStatus {
    /// Held.
    Created,
    /// PayPal looks at it.
    Pending,
    /// PayPal refused it.
    Denied,
    /// Some was taken, and more may be.
    PartiallyCaptured,
    /// Nothing more can be taken.
    Captured,
    /// Let go, by the merchant or because it was too old.
    Voided,
}

impl AuthorizationStatus {
    fn word(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Pending => "PENDING",
            Self::Denied => "DENIED",
            Self::PartiallyCaptured => "PARTIALLY_CAPTURED",
            Self::Captured => "CAPTURED",
            Self::Voided => "VOIDED",
        }
    }
}

/// Money held.
#[derive(Clone, Debug)]
pub struct Authorization {
    pub(super) id: String,
    pub(super) order: String,
    pub(super) created: i64,
    pub(super) updated: i64,
    /// When it ends.
    pub(super) ends: i64,
    /// When the last honor period began.
    pub(super) honored_from: i64,
    pub(super) amount: Money,
    pub(super) captured: i64,
    pub(super) status: AuthorizationStatus,
    pub(super) instrument: Instrument,
    pub(super) invoice_id: Option<String>,
    pub(super) custom_id: Option<String>,
}

/// A later honor period of an authorization, which has its money and its state.
#[derive(Clone, Debug)]
pub struct Reauthorization {
    pub(super) parent: String,
    pub(super) created: i64,
}

/// How far money is that was taken or given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// On its way.
    Pending,
    /// There.
    Completed,
    /// It did not arrive.
    Failed,
}

/// Money taken.
#[derive(Clone, Debug)]
pub struct Capture {
    pub(super) id: String,
    pub(super) order: String,
    pub(super) authorization: Option<String>,
    pub(super) created: i64,
    pub(super) updated: i64,
    pub(super) amount: Money,
    pub(super) refunded: i64,
    pub(super) progress: Progress,
    pub(super) is_final: bool,
    pub(super) instrument: Instrument,
    pub(super) invoice_id: Option<String>,
    pub(super) custom_id: Option<String>,
}

/// Money given back.
#[derive(Clone, Debug)]
pub struct Refund {
    pub(super) id: String,
    pub(super) capture: String,
    pub(super) created: i64,
    pub(super) updated: i64,
    pub(super) amount: Money,
    pub(super) progress: Progress,
    pub(super) invoice_id: Option<String>,
    pub(super) custom_id: Option<String>,
    pub(super) note: Option<String>,
}

/// Writes objects, with links below the address of the simulator.
pub(super) struct Writer<'a>(pub(super) &'a str);

impl Writer<'_> {
    fn link(&self, path: &str, rel: &str, method: &str) -> Value {
        json!({"href": format!("{}{path}", self.0), "rel": rel, "method": method})
    }

    /// The page where the shopper approves an order.
    pub(super) fn page(&self, id: &str) -> String {
        format!("{}/checkoutnow?token={id}", self.0)
    }

    /// An order, with its authorizations, captures and refunds as they are shown.
    pub(super) fn order(&self, order: &Order, [authorizations, captures, refunds]: [Vec<Value>; 3]) -> Value {
        let (path, act) = (
            format!("/v2/checkout/orders/{}", order.id),
            match order.intent {
                Intent::Capture => "capture",
                Intent::Authorize => "authorize",
            },
        );
        let mut links = vec![self.link(&path, "self", "GET")];
        let approve = if order.source.is_some() { "payer-action" } else { "approve" };
        let status = match order.status {
            OrderStatus::Created => "CREATED",
            OrderStatus::PayerActionRequired => "PAYER_ACTION_REQUIRED",
            OrderStatus::Approved => "APPROVED",
            OrderStatus::Completed => "COMPLETED",
        };
        if matches!(order.status, OrderStatus::Created | OrderStatus::PayerActionRequired) {
            links.push(self.link(&format!("/checkoutnow?token={}", order.id), approve, "GET"));
        }
        if matches!(order.status, OrderStatus::Created | OrderStatus::Approved) {
            links.push(self.link(&format!("{path}/{act}"), act, "POST"));
        }
        let mut unit = order.unit.clone();
        unit["amount"] = order.amount.value();
        if unit["reference_id"].is_null() {
            unit["reference_id"] = json!("default");
        }
        let payments =
            without_empty(json!({"authorizations": authorizations, "captures": captures, "refunds": refunds}));
        if payments != json!({}) {
            unit["payments"] = payments;
        }
        let payer = order.instrument.map(|_| json!({"payer_id": PAYER, "email_address": "shopper@example.com"}));
        without_empty(json!({
            "id": order.id, "intent": act.to_uppercase(), "status": status, "purchase_units": [unit],
            "create_time": date_time(order.created), "update_time": date_time(order.updated),
            "payment_source": order.source, "payer": payer, "links": links,
        }))
    }

    pub(super) fn authorization(&self, held: &Authorization) -> Value {
        let path = format!("/v2/payments/authorizations/{}", held.id);
        let mut links = vec![self.link(&path, "self", "GET")];
        for act in ["capture", "void", "reauthorize"] {
            links.push(self.link(&format!("{path}/{act}"), act, "POST"));
        }
        links.push(self.link(&format!("/v2/checkout/orders/{}", held.order), "up", "GET"));
        let is_pending = held.status == AuthorizationStatus::Pending;
        without_empty(json!({
            "id": held.id, "status": held.status.word(), "amount": held.amount.value(),
            "status_details": is_pending.then(|| json!({"reason": "PENDING_REVIEW"})),
            "invoice_id": held.invoice_id, "custom_id": held.custom_id,
            "create_time": date_time(held.created), "update_time": date_time(held.updated),
            "expiration_time": date_time(held.ends),
            "supplementary_data": {"related_ids": {"order_id": held.order}}, "links": links,
        }))
    }

    pub(super) fn capture(&self, taken: &Capture) -> Value {
        let path = format!("/v2/payments/captures/{}", taken.id);
        let up = match &taken.authorization {
            Some(id) => format!("/v2/payments/authorizations/{id}"),
            None => format!("/v2/checkout/orders/{}", taken.order),
        };
        let links = [
            self.link(&path, "self", "GET"),
            self.link(&format!("{path}/refund"), "refund", "POST"),
            self.link(&up, "up", "GET"),
        ];
        let status = match taken.progress {
            Progress::Pending => "PENDING",
            Progress::Failed => "DECLINED",
            Progress::Completed if taken.refunded == 0 => "COMPLETED",
            Progress::Completed if taken.refunded < taken.amount.minor => "PARTIALLY_REFUNDED",
            Progress::Completed => "REFUNDED",
        };
        let is_pending = taken.progress == Progress::Pending;
        without_empty(json!({
            "id": taken.id, "status": status, "amount": taken.amount.value(), "final_capture": taken.is_final,
            "status_details": is_pending.then(|| json!({"reason": "PENDING_REVIEW"})),
            "invoice_id": taken.invoice_id, "custom_id": taken.custom_id,
            "create_time": date_time(taken.created), "update_time": date_time(taken.updated),
            "supplementary_data": {"related_ids": without_empty(json!({
                "order_id": taken.order, "authorization_id": taken.authorization}))},
            "links": links,
        }))
    }

    pub(super) fn refund(&self, given: &Refund) -> Value {
        let links = [
            self.link(&format!("/v2/payments/refunds/{}", given.id), "self", "GET"),
            self.link(&format!("/v2/payments/captures/{}", given.capture), "up", "GET"),
        ];
        let status = match given.progress {
            Progress::Pending => "PENDING",
            Progress::Completed => "COMPLETED",
            Progress::Failed => "FAILED",
        };
        let is_done = given.progress == Progress::Completed;
        without_empty(json!({
            "id": given.id, "status": status, "amount": given.amount.value(),
            "status_details": (!is_done).then(|| json!({"reason": "ECHECK"})),
            "invoice_id": given.invoice_id, "custom_id": given.custom_id, "note_to_payer": given.note,
            "create_time": date_time(given.created), "update_time": date_time(given.updated), "links": links,
        }))
    }
}

/// The one shopper's id.
pub const PAYER: &str = "SHOPPERSIMULA";

/// What is shown when nobody asked for more: `Prefer: return=minimal`.
pub(super) fn minimal(mut value: Value) -> Value {
    let fields = value.as_object_mut().expect("an object is an object");
    // Money that was just held or taken is shown even so.
    let unit = fields.get("purchase_units").map(|units| units[0].clone()).filter(|unit| unit["payments"].is_object());
    fields.retain(|name, _| ["id", "status", "status_details", "payment_source", "links"].contains(&name.as_str()));
    if let Some(unit) = unit {
        let unit = json!({"reference_id": unit["reference_id"], "payments": unit["payments"]});
        value["purchase_units"] = json!([unit]);
    }
    value
}

/// PayPal leaves out what there is not.
fn without_empty(mut value: Value) -> Value {
    let fields = value.as_object_mut().expect("the caller wrote an object");
    fields.retain(|_, field| !field.is_null() && *field != json!([]));
    value
}
