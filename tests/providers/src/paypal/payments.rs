//! What requests and time do to money that is held, taken and given back.

use super::command;
use super::error::Refusal;
use super::money::Money;
use super::objects::{Authorization, AuthorizationStatus, Capture, Instrument, Progress, Reauthorization, Refund};
use super::{HONOR_MS, Kind, Object, PayPal, REFUNDABLE_MS, REVIEW_MS, Timer};
use crate::provider::RefundPolicy;

impl PayPal {
    pub(super) fn capture(&mut self, now: i64, id: &str, asked: command::Capture) -> Result<Object, Refusal> {
        let held = self.held(now, id)?;
        let amount = asked.amount.unwrap_or_else(|| held.amount.of(held.amount.minor - held.captured));
        if amount.currency != held.amount.currency {
            return Err(Refusal::semantic("AUTH_CAPTURE_CURRENCY_MISMATCH"));
        }
        if held.captured + amount.minor > most(&held.amount) {
            return Err(Refusal::semantic("MAX_CAPTURE_AMOUNT_EXCEEDED"));
        }
        self.claim_invoice(Kind::Capture, asked.invoice_id.as_deref())?;
        let made = self.name();
        let change = self.change(&held.id);
        change.captured += amount.minor;
        let is_spent = asked.is_final || change.captured >= change.amount.minor;
        change.status = if is_spent { AuthorizationStatus::Captured } else { AuthorizationStatus::PartiallyCaptured };
        change.updated = now;
        let taken = Capture {
            id: made.clone(),
            order: held.order,
            authorization: Some(id.to_owned()),
            created: now,
            updated: now,
            amount,
            refunded: 0,
            progress: Progress::Pending,
            is_final: asked.is_final,
            instrument: held.instrument,
            invoice_id: asked.invoice_id.or(held.invoice_id),
            custom_id: held.custom_id,
        };
        self.take(now, taken);
        Ok(Object::Capture(made))
    }

    pub(super) fn void(&mut self, now: i64, id: &str) -> Result<Object, Refusal> {
        if self.reauthorizations.contains_key(id) {
            return Err(Refusal::semantic("CANNOT_BE_VOIDED"));
        }
        match self.authorizations.get(id).ok_or_else(Refusal::no_such)?.status {
            AuthorizationStatus::Captured => Err(Refusal::semantic("PREVIOUSLY_CAPTURED")),
            AuthorizationStatus::Voided => Err(Refusal::semantic("PREVIOUSLY_VOIDED")),
            AuthorizationStatus::Denied => Err(Refusal::semantic("AUTHORIZATION_DENIED")),
            AuthorizationStatus::Created | AuthorizationStatus::Pending | AuthorizationStatus::PartiallyCaptured => {
                Ok(self.let_go(now, id))
            }
        }
    }

    /// A new honor period, which PayPal shows as an authorization of its own. It holds no money beside its parent's.
    pub(super) fn reauthorize(&mut self, now: i64, id: &str, amount: Option<Money>) -> Result<Object, Refusal> {
        let held = self.held(now, id)?;
        if held.id != id {
            return Err(Refusal::semantic("REAUTHORIZATION_NOT_SUPPORTED"));
        }
        // Named as in Payments v1: which name v2 has is written nowhere.
        if now < held.honored_from + HONOR_MS {
            return Err(Refusal::semantic("REAUTHORIZATION_TOO_SOON"));
        }
        if amount.is_some_and(|amount| amount != held.amount) {
            return Err(Refusal::not_supported("/amount"));
        }
        self.change(id).honored_from = now;
        let made = self.name();
        self.reauthorizations.insert(made.clone(), Reauthorization { parent: id.to_owned(), created: now });
        Ok(Object::Authorization(made))
    }

    pub(super) fn refund(&mut self, now: i64, id: &str, asked: command::Refund) -> Result<Object, Refusal> {
        let taken = self.captures.get(id).ok_or_else(Refusal::no_such)?.clone();
        match taken.progress {
            Progress::Pending => return Err(Refusal::semantic("PENDING_CAPTURE")),
            Progress::Failed => return Err(Refusal::semantic("REFUND_NOT_ALLOWED")),
            Progress::Completed => {}
        }
        if now >= taken.created + REFUNDABLE_MS {
            return Err(Refusal::semantic("REFUND_TIME_LIMIT_EXCEEDED"));
        }
        let left = taken.amount.of(taken.amount.minor - taken.refunded);
        let amount = asked.amount.unwrap_or_else(|| left.clone());
        if amount.currency != left.currency {
            return Err(Refusal::semantic("REFUND_CAPTURE_CURRENCY_MISMATCH"));
        }
        match self.refund_policy {
            RefundPolicy::Capped if left.minor <= 0 => return Err(Refusal::semantic("CAPTURE_FULLY_REFUNDED")),
            RefundPolicy::Capped if amount.minor > left.minor => {
                return Err(Refusal::semantic("REFUND_AMOUNT_EXCEEDED"));
            }
            RefundPolicy::Capped | RefundPolicy::Uncapped => {}
        }
        self.claim_invoice(Kind::Refund, asked.invoice_id.as_deref())?;
        let pends = matches!(taken.instrument, Instrument::Reviewed | Instrument::Closed);
        let given = Refund {
            id: self.name(),
            capture: id.to_owned(),
            created: now,
            updated: now,
            progress: if pends { Progress::Pending } else { Progress::Completed },
            invoice_id: asked.invoice_id,
            custom_id: asked.custom_id,
            note: asked.note,
            amount,
        };
        let change = self.captures.get_mut(id).expect("it was just found");
        change.refunded += given.amount.minor;
        change.updated = now;
        let object = Object::Refund(given.id.clone());
        self.refunds.insert(given.id.clone(), given);
        if pends {
            self.timers.insert((now + REVIEW_MS, Timer::Review(object.clone())));
            self.tell(now, "PAYMENT.REFUND.PENDING", &object);
        } else {
            self.tell(now, "PAYMENT.CAPTURE.REFUNDED", &object);
        }
        Ok(object)
    }

    /// Keeps a capture, which is done at once unless PayPal looks at it.
    pub(super) fn take(&mut self, now: i64, mut taken: Capture) {
        // What was looked at when it was held is not looked at again.
        let pends =
            taken.authorization.is_none() && matches!(taken.instrument, Instrument::Reviewed | Instrument::Rejected);
        taken.progress = if pends { Progress::Pending } else { Progress::Completed };
        let object = Object::Capture(taken.id.clone());
        self.orders.get_mut(&taken.order).expect("money is taken for an order").captures.push(taken.id.clone());
        self.captures.insert(taken.id.clone(), taken);
        if pends {
            self.timers.insert((now + REVIEW_MS, Timer::Review(object.clone())));
            self.tell(now, "PAYMENT.CAPTURE.PENDING", &object);
        } else {
            self.tell(now, "PAYMENT.CAPTURE.COMPLETED", &object);
        }
    }

    /// PayPal has looked at it.
    pub(super) fn end_review(&mut self, now: i64, object: &Object) {
        let kind = match object {
            Object::Order(_) => unreachable!("orders are not looked at"),
            Object::Authorization(id) => {
                let held = self.change(id);
                if held.status != AuthorizationStatus::Pending {
                    return;
                }
                held.updated = now;
                if held.instrument == Instrument::Rejected {
                    held.status = AuthorizationStatus::Denied;
                    "PAYMENT.AUTHORIZATION.DENIED"
                } else {
                    held.status = AuthorizationStatus::Created;
                    "PAYMENT.AUTHORIZATION.CREATED"
                }
            }
            Object::Capture(id) => {
                let taken = self.captures.get_mut(id).expect("what is made stays");
                taken.updated = now;
                if taken.instrument == Instrument::Rejected {
                    taken.progress = Progress::Failed;
                    "PAYMENT.CAPTURE.DENIED"
                } else {
                    taken.progress = Progress::Completed;
                    "PAYMENT.CAPTURE.COMPLETED"
                }
            }
            Object::Refund(id) => {
                let given = self.refunds.get_mut(id).expect("what is made stays");
                let taken = self.captures.get_mut(&given.capture).expect("what is made stays");
                given.updated = now;
                if taken.instrument == Instrument::Closed {
                    given.progress = Progress::Failed;
                    taken.refunded -= given.amount.minor;
                    "PAYMENT.REFUND.FAILED"
                } else {
                    given.progress = Progress::Completed;
                    "PAYMENT.CAPTURE.REFUNDED"
                }
            }
        };
        self.tell(now, kind, object);
    }

    /// It is too old.
    pub(super) fn end_authorization(&mut self, now: i64, id: &str) {
        match self.authorizations[id].status {
            AuthorizationStatus::Created | AuthorizationStatus::Pending | AuthorizationStatus::PartiallyCaptured => {
                self.let_go(now, id);
            }
            AuthorizationStatus::Denied | AuthorizationStatus::Captured | AuthorizationStatus::Voided => {}
        }
    }

    fn let_go(&mut self, now: i64, id: &str) -> Object {
        let held = self.change(id);
        held.status = AuthorizationStatus::Voided;
        held.updated = now;
        let object = Object::Authorization(id.to_owned());
        self.tell(now, "PAYMENT.AUTHORIZATION.VOIDED", &object);
        object
    }

    /// An authorization of which more may be taken now: the parent of the one that is named, if it has one.
    fn held(&self, now: i64, id: &str) -> Result<Authorization, Refusal> {
        let parent = self.reauthorizations.get(id).map_or(id, |again| &again.parent);
        let held = self.authorizations.get(parent).ok_or_else(Refusal::no_such)?;
        if now >= held.ends && held.status == AuthorizationStatus::Voided {
            return Err(Refusal::semantic("AUTHORIZATION_EXPIRED"));
        }
        match held.status {
            AuthorizationStatus::Created | AuthorizationStatus::PartiallyCaptured => {}
            AuthorizationStatus::Captured => return Err(Refusal::semantic("AUTHORIZATION_ALREADY_CAPTURED")),
            AuthorizationStatus::Voided => return Err(Refusal::semantic("AUTHORIZATION_VOIDED")),
            AuthorizationStatus::Denied => return Err(Refusal::semantic("AUTHORIZATION_DENIED")),
            AuthorizationStatus::Pending => return Err(Refusal::semantic("TRANSACTION_REFUSED")),
        }
        if held.instrument == Instrument::Fleeting && now >= held.honored_from + HONOR_MS {
            return Err(Refusal::semantic("PAYER_CANNOT_PAY"));
        }
        Ok(held.clone())
    }

    fn change(&mut self, id: &str) -> &mut Authorization {
        self.authorizations.get_mut(id).expect("the caller has found it")
    }
}

/// What may be taken of an authorization in all: up to 115 %, and no more than 75 of the currency beyond it.
fn most(held: &Money) -> i64 {
    let unit = if held.value()["value"].as_str().is_some_and(|text| text.contains('.')) { 100 } else { 1 };
    held.minor + (held.minor * 15 / 100).min(75 * unit)
}
