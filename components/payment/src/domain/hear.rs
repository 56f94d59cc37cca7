//! What a provider's word does to a payment.
//!
//! A word is believed only when it fits the intent; it only ever raises what is known, so words that come late,
//! twice or in another order end in the same state.

use souk_kit::ids;
use souk_kit::payment::PaymentState;
use souk_kit::payment_extension::{Decline, ProviderPayment, ProviderState};
use souk_kit::types::Instant;

use super::ledger::{self, Account};
use super::{
    Command, CommandChange, Fact, Kind, LATE_HOLD, Payment, Progress, Step, TAKEN_AFTER_PERCENT, reverse, settle,
};

const URL_BYTES_MAX: usize = 2_000;
const REFERENCE_BYTES_MAX: usize = 200;

/// How a word was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The provider answered the very command that is on its way: its totals must be ours to the unit.
    Answer,
    /// The provider was asked how its object looks: what is more than ours was done elsewhere, and is adopted.
    Lookup,
}

/// What is to be done about money that the provider holds for a payment that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetGo {
    /// It is held.
    Void,
    /// It was taken.
    Refund(i64),
}

/// Applies the provider's word, or says why it is not believed.
///
/// The word must have been asked for after `payment` was read, and the commit be guarded by its version: only then
/// is a total below ours a contradiction and not an old word.
pub fn hear(payment: &Payment, told: &ProviderPayment, how: Heard, now: Instant) -> Result<Step, String> {
    believe(payment, told)?;
    let mut step = Step::from(payment);
    step.next.reference.clone_from(&told.reference);
    step.next.problem.clear();
    step.next.heard_at = now;
    match payment.state {
        PaymentState::Pending | PaymentState::RequiresAction => hear_open(&mut step, told, now),
        PaymentState::Authorized => hear_authorized(&mut step, told, how, now)?,
        PaymentState::Declined | PaymentState::Voided => hear_over(&mut step, payment, told),
    }
    Ok(step.sound(payment))
}

/// What the provider holds for a payment that is over, if anything.
pub fn leftover(payment: &Payment, told: &ProviderPayment) -> Option<LetGo> {
    match (payment.state, &told.state) {
        (PaymentState::Declined | PaymentState::Voided, ProviderState::Authorized) => {
            match told.captured - told.refunded {
                0 if told.captured == 0 => Some(LetGo::Void),
                0 => None,
                kept => Some(LetGo::Refund(kept)),
            }
        }
        (
            PaymentState::Declined | PaymentState::Voided,
            ProviderState::Processing
            | ProviderState::RequiresAction(_)
            | ProviderState::Declined(_)
            | ProviderState::Voided,
        )
        | (PaymentState::Pending | PaymentState::RequiresAction | PaymentState::Authorized, _) => None,
    }
}

/// Whether a word fits what was asked for.
fn believe(payment: &Payment, told: &ProviderPayment) -> Result<(), String> {
    let wrong = |what: &str, told: &dyn std::fmt::Display, known: &dyn std::fmt::Display| {
        Err(format!("the provider told {what} {told} where {known} was expected"))
    };
    if told.order_id != payment.order_id {
        return wrong("order", &told.order_id, &payment.order_id);
    }
    if told.amount.currency != payment.currency {
        return wrong("currency", &told.amount.currency, &payment.currency);
    }
    if told.amount.minor != payment.amount {
        return wrong("amount", &told.amount.minor, &payment.amount);
    }
    if told.reference.is_empty() || told.reference.len() > REFERENCE_BYTES_MAX {
        return wrong("a reference of bytes", &told.reference.len(), &format!("1 to {REFERENCE_BYTES_MAX}"));
    }
    if !payment.reference.is_empty() && told.reference != payment.reference {
        return wrong("reference", &told.reference, &payment.reference);
    }
    if !(0..=payment.amount).contains(&told.captured) {
        return wrong("captured", &told.captured, &format!("0 to {}", payment.amount));
    }
    if !(0..=told.captured).contains(&told.refunded) {
        return wrong("refunded", &told.refunded, &format!("0 to {}", told.captured));
    }
    match &told.state {
        ProviderState::Authorized => Ok(()),
        ProviderState::RequiresAction(url) if !is_web_address(url) => wrong("action", url, &"a web address"),
        ProviderState::Processing
        | ProviderState::RequiresAction(_)
        | ProviderState::Declined(_)
        | ProviderState::Voided => match told.captured {
            0 => Ok(()),
            captured => wrong("captured", &captured, &"nothing before an authorization"),
        },
    }
}

/// A shopper's browser is sent there, so it is a page: of this origin, or over HTTP.
fn is_web_address(url: &str) -> bool {
    let page =
        (url.starts_with('/') && !url.starts_with("//")) || url.starts_with("https://") || url.starts_with("http://");
    page && url.len() <= URL_BYTES_MAX && url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

fn hear_open(step: &mut Step, told: &ProviderPayment, now: Instant) {
    match &told.state {
        ProviderState::Processing => {
            step.next.state = PaymentState::Pending;
            step.next.action_url.clear();
        }
        ProviderState::RequiresAction(url) => {
            step.next.state = PaymentState::RequiresAction;
            step.next.action_url.clone_from(url);
        }
        // The shopper is too late: a void is on its way, and it will be sent again.
        ProviderState::Authorized if step.next.in_flight.is_some() && told.captured == 0 => {}
        ProviderState::Authorized => authorize(step, told, now),
        ProviderState::Declined(why) => {
            step.next.decline = Some(why.clone());
            settle(step, PaymentState::Declined);
            step.end(Progress::Done);
        }
        ProviderState::Voided => {
            settle(step, PaymentState::Voided);
            step.end(Progress::Done);
        }
    }
}

fn authorize(step: &mut Step, told: &ProviderPayment, now: Instant) {
    settle(step, PaymentState::Authorized);
    step.end(Progress::Refused(already_taken()));
    let id = step.next.id.clone();
    step.next.authorized = step.next.amount;
    step.transfer(format!("{id}/authorized"), Account::Shopper, Account::Held, step.next.amount);
    step.next.captured = told.captured;
    step.transfer(format!("{id}/captured"), Account::Held, Account::ProviderClearing, told.captured);
    adopt_refund(step, told.refunded, now);
    if step.next.is_held() {
        step.next.take_by = take_by(told, now);
        step.arm(step.next.next_look(now));
    }
}

/// When what is held since now is to be taken by itself.
fn take_by(told: &ProviderPayment, now: Instant) -> Instant {
    told.held_until.map_or(0, |until| now + (until - now).max(0) / 100 * TAKEN_AFTER_PERCENT)
}

fn hear_authorized(step: &mut Step, told: &ProviderPayment, how: Heard, now: Instant) -> Result<(), String> {
    match &told.state {
        // An old word: the payment is past this.
        ProviderState::Processing | ProviderState::RequiresAction(_) => Ok(()),
        ProviderState::Declined(_) => Err("the provider told declined after it had authorized".to_owned()),
        ProviderState::Voided => hear_voided(step),
        ProviderState::Authorized => hear_amounts(step, told, how, now),
    }
}

/// The hold was let go: by our void, by a person at the provider, or because it expired there.
fn hear_voided(step: &mut Step) -> Result<(), String> {
    let progress = match step.next.in_flight.as_ref().map(|command| command.kind) {
        Some(Kind::Capture) => Progress::Refused(hold_is_gone()),
        Some(Kind::Void) | Some(Kind::Refund) | None => Progress::Done,
    };
    reverse(step);
    if step.next.captured > 0 {
        return Err(format!("the provider told voided after {} had been captured", step.next.captured));
    }
    step.end(progress);
    let held = step.next.authorized;
    step.next.authorized = 0;
    step.transfer(format!("{}/voided", step.next.id), Account::Held, Account::Shopper, held);
    settle(step, PaymentState::Voided);
    Ok(())
}

fn hear_amounts(step: &mut Step, told: &ProviderPayment, how: Heard, now: Instant) -> Result<(), String> {
    let on_the_way = step.next.in_flight.clone();
    let capturing = ledger::balance(&step.next, Account::CaptureInTransit);
    let refunding = ledger::balance(&step.next, Account::RefundInTransit);
    let captured_since = told.captured - (step.next.captured - capturing);
    let refunded_since = told.refunded - (step.next.refunded - refunding);
    if captured_since < 0 || refunded_since < 0 {
        return Err(format!(
            "the provider told captured {} and refunded {}, less than it had confirmed",
            told.captured, told.refunded
        ));
    }
    match how {
        Heard::Lookup => {}
        Heard::Answer if on_the_way.as_ref().is_some_and(|command| command.kind == Kind::Void) => {
            return Err("the provider answered a void and still holds the money".to_owned());
        }
        Heard::Answer if (captured_since, refunded_since) == (capturing, refunding) => {}
        Heard::Answer => {
            return Err(format!(
                "the provider answered captured {} and refunded {}, which is not what was asked for",
                told.captured, told.refunded
            ));
        }
    }
    let (mut captured_elsewhere, mut refunded_elsewhere) = (captured_since, refunded_since);
    if let Some(command) = on_the_way {
        match command.kind {
            Kind::Capture if captured_since >= capturing => {
                captured_elsewhere -= capturing;
                step.end(Progress::Done);
                let id = format!("{}/confirmed", command.id);
                step.transfer(id, Account::CaptureInTransit, Account::ProviderClearing, capturing);
            }
            Kind::Refund if refunded_since >= refunding => {
                refunded_elsewhere -= refunding;
                step.end(Progress::Done);
                let id = format!("{}/confirmed", command.id);
                step.transfer(id, Account::RefundInTransit, Account::Shopper, refunding);
            }
            Kind::Void if captured_since > 0 => step.end(Progress::Refused(already_taken())),
            // It has not happened. What was done elsewhere in the same column is adopted after it has ended.
            Kind::Capture => captured_elsewhere = 0,
            Kind::Refund => refunded_elsewhere = 0,
            Kind::Void => {}
        }
    }
    if captured_elsewhere > 0 {
        step.next.captured += captured_elsewhere;
        let id = format!("{}/captured-elsewhere/{}", step.next.id, step.next.version);
        step.transfer(id, Account::Held, Account::ProviderClearing, captured_elsewhere);
    }
    adopt_refund(step, refunded_elsewhere, now);
    if how == Heard::Lookup && (!step.transfers.is_empty() || !step.commands.is_empty()) {
        step.facts.push(Fact::Changed);
    }
    Ok(())
}

/// A refund that a person made at the provider becomes one of ours, so that refunds always add up.
fn adopt_refund(step: &mut Step, amount: i64, now: Instant) {
    if amount == 0 {
        return;
    }
    step.next.refunded += amount;
    let id = ids::derive("rfd", &[&step.next.id, "elsewhere", &step.next.version.to_string()]);
    step.transfer(format!("{id}/confirmed"), Account::ProviderClearing, Account::Shopper, amount);
    step.commands.push(CommandChange::Added(Command {
        id,
        payment_id: step.next.id.clone(),
        kind: Kind::Refund,
        amount,
        reason: "made at the payment provider".to_owned(),
        progress: Progress::Done,
        created_at: now,
    }));
}

/// A payment that is over changes no more. Money that turns up at the provider is written down when it has been let go.
fn hear_over(step: &mut Step, before: &Payment, told: &ProviderPayment) {
    if leftover(before, told).is_some() {
        LATE_HOLD.clone_into(&mut step.next.problem);
    } else if before.problem == LATE_HOLD {
        let (id, amount) = (before.id.clone(), before.amount);
        step.transfer(format!("{id}/late/authorized"), Account::Shopper, Account::Held, amount);
        step.transfer(format!("{id}/late/captured"), Account::Held, Account::ProviderClearing, told.captured);
        step.transfer(format!("{id}/late/refunded"), Account::ProviderClearing, Account::Shopper, told.captured);
        step.transfer(format!("{id}/late/voided"), Account::Held, Account::Shopper, amount - told.captured);
    }
}

fn already_taken() -> Decline {
    Decline { code: "rejected".to_owned(), message: "The money was taken already.".to_owned() }
}

fn hold_is_gone() -> Decline {
    Decline { code: "rejected".to_owned(), message: "The money is not held any more.".to_owned() }
}
