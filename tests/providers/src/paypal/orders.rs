//! What requests, shoppers and time do to orders.

use super::command::{Create, Intent};
use super::error::Refusal;
use super::objects::{
    Authorization, AuthorizationStatus, Capture, Instrument, Order, OrderStatus, PAYER, Progress, Writer,
};
use super::{AUTHORIZATION_MS, Kind, ORDER_MS, Object, PayPal, REVIEW_MS, Timer};
use crate::provider::Provider as _;

/// What the shopper did at the page of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shopper {
    /// They pay with this.
    Approves(Instrument),
    /// They do not pay.
    Cancels,
}

impl PayPal {
    /// An order that waits for its shopper: its amount, as PayPal writes it.
    pub fn waits(&self, id: &str) -> Option<String> {
        let order = self.orders.get(id).filter(|order| order.status != OrderStatus::Completed)?;
        let amount = order.amount.value();
        let part = |name: &str| amount[name].as_str().unwrap_or_default().to_owned();
        Some(format!("{} {}", part("value"), part("currency_code")))
    }

    /// The shopper decides about an order that waits. Answers where they go then.
    pub fn decide(&mut self, now: i64, id: &str, shopper: Shopper) -> Option<String> {
        self.advance(now);
        let order = self.orders.get_mut(id).filter(|order| order.status != OrderStatus::Completed)?;
        let (url, query) = match shopper {
            Shopper::Approves(instrument) => {
                order.status = OrderStatus::Approved;
                order.instrument = Some(instrument);
                order.updated = now;
                (order.return_url.clone(), format!("token={id}&PayerID={PAYER}"))
            }
            Shopper::Cancels => (order.cancel_url.clone(), format!("token={id}")),
        };
        if matches!(shopper, Shopper::Approves(_)) {
            self.tell(now, "CHECKOUT.ORDER.APPROVED", &Object::Order(id.to_owned()));
        }
        let url = url.unwrap_or_else(|| format!("{}/closed", self.url));
        let joint = if url.contains('?') { '&' } else { '?' };
        Some(format!("{url}{joint}{query}"))
    }

    pub(super) fn create(&mut self, now: i64, create: Create) -> Object {
        let id = self.name();
        let status = if create.source.is_some() { OrderStatus::PayerActionRequired } else { OrderStatus::Created };
        let order = Order {
            id: id.clone(),
            created: now,
            updated: now,
            intent: create.intent,
            status,
            amount: create.amount,
            unit: create.unit,
            source: create.source,
            return_url: create.return_url,
            cancel_url: create.cancel_url,
            instrument: None,
            authorizations: Vec::new(),
            captures: Vec::new(),
        };
        self.orders.insert(id.clone(), order);
        self.timers.insert((now + ORDER_MS, Timer::Order(id.clone())));
        Object::Order(id)
    }

    /// Nobody finished it in time, and PayPal does not know it any more.
    pub(super) fn end_order(&mut self, id: &str) {
        if self.orders[id].status != OrderStatus::Completed {
            self.orders.remove(id);
        }
    }

    pub(super) fn authorize_order(&mut self, now: i64, id: &str) -> Result<Object, Refusal> {
        let (order, instrument) = self.approved(id, Intent::Authorize)?;
        let pending = matches!(instrument, Instrument::Reviewed | Instrument::Rejected);
        let status = if pending { AuthorizationStatus::Pending } else { AuthorizationStatus::Created };
        let held = Authorization {
            id: self.name(),
            order: id.to_owned(),
            created: now,
            updated: now,
            ends: now + AUTHORIZATION_MS,
            honored_from: now,
            captured: 0,
            status,
            instrument,
            invoice_id: order.text("invoice_id"),
            custom_id: order.text("custom_id"),
            amount: order.amount,
        };
        let made = held.id.clone();
        self.timers.insert((held.ends, Timer::Authorization(made.clone())));
        self.authorizations.insert(made.clone(), held);
        self.complete(now, id).authorizations.push(made.clone());
        let object = Object::Authorization(made);
        if pending {
            self.timers.insert((now + REVIEW_MS, Timer::Review(object)));
        } else {
            self.tell(now, "PAYMENT.AUTHORIZATION.CREATED", &object);
        }
        Ok(Object::Order(id.to_owned()))
    }

    pub(super) fn capture_order(&mut self, now: i64, id: &str) -> Result<Object, Refusal> {
        let (order, instrument) = self.approved(id, Intent::Capture)?;
        let taken = Capture {
            id: self.name(),
            order: id.to_owned(),
            authorization: None,
            created: now,
            updated: now,
            refunded: 0,
            progress: Progress::Pending,
            is_final: true,
            instrument,
            invoice_id: order.text("invoice_id"),
            custom_id: order.text("custom_id"),
            amount: order.amount,
        };
        self.complete(now, id);
        self.take(now, taken);
        Ok(Object::Order(id.to_owned()))
    }

    pub(super) fn rename(&mut self, now: i64, id: &str, custom_id: String) -> Result<Object, Refusal> {
        let order = self.orders.get_mut(id).ok_or_else(Refusal::no_such)?;
        if order.status == OrderStatus::Completed {
            return Err(Refusal::semantic("ORDER_ALREADY_COMPLETED"));
        }
        order.unit["custom_id"] = custom_id.into();
        order.updated = now;
        Ok(Object::Order(id.to_owned()))
    }

    /// An order whose money may be held or taken now, and what it is paid with.
    fn approved(&mut self, id: &str, intent: Intent) -> Result<(Order, Instrument), Refusal> {
        let order = self.orders.get(id).ok_or_else(Refusal::no_such)?;
        if order.intent != intent {
            return Err(Refusal::semantic("ACTION_DOES_NOT_MATCH_INTENT"));
        }
        let instrument = match (order.status, order.instrument) {
            (OrderStatus::Approved, Some(Instrument::Declined)) => {
                let mut refusal = Refusal::semantic("INSTRUMENT_DECLINED");
                let page = Writer(&self.url).page(id);
                refusal.error["links"] = serde_json::json!([{"href": page, "rel": "redirect", "method": "GET"}]);
                return Err(refusal);
            }
            (OrderStatus::Approved, Some(instrument)) => instrument,
            (OrderStatus::Completed, _) => {
                return Err(Refusal::semantic(match intent {
                    Intent::Capture => "ORDER_ALREADY_CAPTURED",
                    Intent::Authorize => "ORDER_ALREADY_AUTHORIZED",
                }));
            }
            (OrderStatus::Created | OrderStatus::PayerActionRequired | OrderStatus::Approved, _) => {
                return Err(Refusal::semantic("ORDER_NOT_APPROVED"));
            }
        };
        let order = order.clone();
        self.claim_invoice(Kind::Order, order.text("invoice_id").as_deref())?;
        Ok((order, instrument))
    }

    fn complete(&mut self, now: i64, id: &str) -> &mut Order {
        let order = self.orders.get_mut(id).expect("the caller has found it");
        order.status = OrderStatus::Completed;
        order.updated = now;
        order
    }
}
