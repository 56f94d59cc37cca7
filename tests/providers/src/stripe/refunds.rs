//! What requests and time do to refunds.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cards::RefundFate;
use super::command;
use super::error::Refusal;
use super::objects::{Charge, Refund, RefundStatus, Status};
use super::{REFUND_SETTLES_MS, Stripe, Timer};
use crate::provider::RefundPolicy;

impl Stripe {
    pub(super) fn refund(&mut self, now: i64, asked: command::Refund) -> Result<Value, Refusal> {
        let of_charge = |id: &String| self.charges.get(id).map(|charge| charge.intent.clone());
        let named = match (&asked.intent, &asked.charge) {
            (Some(intent), _) => {
                let found = self.intents.get(intent).map(|intent| intent.id.clone());
                found.ok_or_else(|| Refusal::names_no("payment_intent", intent, "payment_intent"))?
            }
            (None, Some(charge)) => of_charge(charge).ok_or_else(|| Refusal::names_no("charge", charge, "charge"))?,
            (None, None) => unreachable!("the command names one of them"),
        };
        let intent = &self.intents[&named];
        let Some(charge) = intent.charge.clone().filter(|_| intent.status == Status::Succeeded) else {
            let why = format!("This PaymentIntent ({named}) does not have a successful charge to refund.");
            return Err(Refusal::plain("payment_intent", &why));
        };
        let (_, card) = intent.method.as_ref().expect("what is paid has a card");
        let fate = card.refunds;
        let held = &self.charges[&charge];
        let left = held.amount - held.refunded;
        let amount = asked.amount.unwrap_or(left);
        match self.refund_policy {
            RefundPolicy::Capped if left <= 0 => {
                let why = format!("Charge {charge} has already been refunded.");
                return Err(Refusal::state("charge_already_refunded", &why));
            }
            RefundPolicy::Capped if amount > left => {
                let why = format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({left})");
                return Err(Refusal::plain("amount", &why));
            }
            RefundPolicy::Capped | RefundPolicy::Uncapped => {}
        }
        let transaction = self.name("txn");
        let id = self.give_back(now, &named, amount, asked.reason, asked.metadata, Some(transaction));
        let settles_at = now + REFUND_SETTLES_MS;
        match fate {
            RefundFate::Succeeds => {}
            RefundFate::Fails => {
                self.timers.insert((settles_at, Timer::RefundFails(id.clone())));
            }
            RefundFate::Pends => {
                self.made_refund(&id).status = RefundStatus::Pending;
                self.timers.insert((settles_at, Timer::RefundSucceeds(id.clone())));
            }
        }
        let value = self.refunds[&id].value();
        self.tell(now, "charge.refunded", self.charges[&charge].value());
        self.tell(now, "refund.created", value.clone());
        Ok(value)
    }

    /// Shows what was held and not taken as given back: without a transaction, since it never was on the balance.
    pub(super) fn release(&mut self, now: i64, intent: &str, rest: i64) {
        if rest > 0 {
            self.give_back(now, intent, rest, None, BTreeMap::new(), None);
            let charge = self.intents[intent].charge.as_ref().map(|charge| self.charges[charge].value());
            self.tell(now, "charge.refunded", charge.expect("what is held has a charge"));
        }
    }

    /// The bank sends it back, and the money is the account's again.
    pub(super) fn fail_refund(&mut self, now: i64, id: &str) {
        let refund = self.made_refund(id);
        refund.status = RefundStatus::Failed;
        let (charge, amount, value) = (refund.charge.clone(), refund.amount, refund.value());
        self.paid(&charge).refunded -= amount;
        self.tell(now, "refund.updated", value.clone());
        self.tell(now, "refund.failed", value);
    }

    pub(super) fn finish_refund(&mut self, now: i64, id: &str) {
        let refund = self.made_refund(id);
        refund.status = RefundStatus::Succeeded;
        let value = refund.value();
        self.tell(now, "refund.updated", value);
    }

    fn give_back(
        &mut self,
        now: i64,
        intent: &str,
        amount: i64,
        reason: Option<String>,
        metadata: BTreeMap<String, String>,
        transaction: Option<String>,
    ) -> String {
        let id = self.name("re");
        let of = self.intents.get_mut(intent).expect("the caller has found it");
        of.refunds.push(id.clone());
        let charge = of.charge.clone().expect("what is given back was charged");
        let currency = of.currency.clone();
        self.paid(&charge).refunded += amount;
        let refund = Refund {
            id: id.clone(),
            created: now / 1_000,
            amount,
            currency,
            status: RefundStatus::Succeeded,
            intent: intent.to_owned(),
            charge,
            reason,
            metadata,
            transaction,
        };
        self.refunds.insert(id.clone(), refund);
        id
    }

    fn made_refund(&mut self, id: &str) -> &mut Refund {
        self.refunds.get_mut(id).expect("the caller has found it")
    }

    fn paid(&mut self, id: &str) -> &mut Charge {
        self.charges.get_mut(id).expect("the caller has found it")
    }
}
