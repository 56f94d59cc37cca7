//! What may happen to an order, and what it becomes then.

use souk_kit::order::OrderState;
use souk_kit::payment_extension::Decline;
use souk_kit::{Id, Instant};

use super::ask::{ask, finish, take_open};
use super::facts::Fact;
use super::task::{Outcome, Outside, Request, Task};
use super::{Funds, Order, Stage};

/// Something that happened, or that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The payment's answer is not known yet: whoever hears it goes on.
    AwaitAnswer(Funds),
    /// The shopper must go somewhere.
    AwaitAction {
        /// The payment as it told.
        funds: Funds,
        /// Where the shopper must go.
        url: String,
    },
    /// Stock is sold, and the money is held or taken.
    Confirm(Funds),
    /// The checkout cannot succeed: from now on it is undone.
    GiveUp {
        /// Why.
        reason: &'static str,
        /// What the payment provider said.
        decline: Option<Decline>,
        /// Whether somebody must be told: whoever waits and is not being answered.
        announce: bool,
    },
    /// The payment provider will not give the money back: the order stays as it was agreed.
    Stay(Decline),
    /// Everything the order held is let go, except money that the provider refused to give back.
    Undone {
        /// The payment as it told; none when there never was one.
        funds: Option<Funds>,
        /// Whether somebody must be told.
        announce: bool,
    },
    /// Somebody asks for something.
    Ask {
        /// The identity of the command.
        id: Id,
        /// What is asked.
        request: Request,
        /// Digest of what was asked, as it came.
        digest: String,
        /// Who asks.
        by: Asker,
    },
    /// The effects of the open command are made.
    Finish {
        /// The payment as it told; none when the command did not concern it.
        funds: Option<Funds>,
        /// What became of the units that were to go back on the shelf.
        shelf: Shelf,
    },
    /// An effect of the open command was refused for good.
    Refuse(Outside),
    /// The payment told that its amounts changed.
    Sync(Funds),
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// Whose order it is.
    Shopper,
    /// Staff, or Souk itself.
    Staff,
}

/// What became of the units that a refund puts back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shelf {
    /// They are back, or there were none.
    Stocked,
    /// The catalog would not take them.
    Refused,
}

/// Why something may not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A field of the command makes no sense for this order.
    Invalid {
        /// JSON pointer to the field.
        pointer: String,
        /// Stable code.
        code: &'static str,
        /// For a person.
        detail: String,
    },
    /// The order is not in a state for this; these are the states from which it would be.
    WrongState(Vec<OrderState>),
    /// More than is left.
    Exceeds(i64),
    /// Goods would leave that nobody can be made to pay for.
    Unpaid,
    /// Another command is on its way.
    Busy,
}

/// What a step makes of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The order afterwards.
    pub next: Order,
    /// What the timeline says: kind and detail.
    pub entries: Vec<(&'static str, String)>,
    /// What others hear.
    pub facts: Vec<Fact>,
    /// What becomes of a command.
    pub command: Option<CommandChange>,
}

/// What becomes of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandChange {
    /// It is stored with what was decided.
    Accepted {
        /// The command.
        id: Id,
        /// Digest of what was asked.
        digest: String,
        /// What was decided.
        task: Task,
        /// Open while its effects are being made.
        outcome: Outcome,
    },
    /// It ended.
    Ended {
        /// The command.
        id: Id,
        /// How.
        outcome: Outcome,
    },
}

/// Applies one step, or says why it may not be applied.
pub fn decide(order: &Order, step: Step, now: Instant) -> Result<Change, Refusal> {
    let next = Order { version: order.version + 1, ..order.clone() };
    let mut change = Change { next, entries: Vec::new(), facts: Vec::new(), command: None };
    match step {
        Step::AwaitAnswer(funds) => await_answer(&mut change, funds)?,
        Step::AwaitAction { funds, url } => await_action(&mut change, funds, url)?,
        Step::Confirm(funds) => confirm(&mut change, funds, now)?,
        Step::GiveUp { reason, decline, announce } => {
            in_checkout(order.stage)?;
            change.next.decline = decline;
            leave(&mut change, Stage::GivingUp, reason, announce);
        }
        Step::Stay(decline) => stay(&mut change, decline)?,
        Step::Undone { funds, announce } => undone(&mut change, funds, announce, now)?,
        Step::Ask { id, request, digest, by } => {
            let (task, outcome) = ask(&mut change, &id, request, by, now)?;
            change.command = Some(CommandChange::Accepted { id, digest, task, outcome });
        }
        Step::Finish { funds, shelf } => finish(&mut change, funds, shelf, now)?,
        Step::Refuse(outside) => {
            let open = take_open(&mut change)?;
            change.entries.push(("refused", refused(&open.task, &outside)));
            change.command = Some(CommandChange::Ended { id: open.id, outcome: Outcome::Refused(outside) });
        }
        Step::Sync(funds) => {
            in_agreement_or_after(order.stage)?;
            change.next.funds = funds;
            change.entries.push(("payment_changed", String::new()));
        }
    }
    change.next.assert_sound();
    Ok(change)
}

fn in_checkout(stage: Stage) -> Result<(), Refusal> {
    match stage {
        Stage::Pending | Stage::AwaitingAction => Ok(()),
        Stage::GivingUp | Stage::Confirmed | Stage::Canceling | Stage::Completed | Stage::Canceled => {
            Err(Refusal::WrongState(vec![OrderState::Pending, OrderState::AwaitingAction]))
        }
    }
}

fn in_agreement_or_after(stage: Stage) -> Result<(), Refusal> {
    match stage {
        Stage::Confirmed | Stage::Completed | Stage::Canceled => Ok(()),
        Stage::Pending | Stage::AwaitingAction | Stage::GivingUp | Stage::Canceling => {
            Err(Refusal::WrongState(vec![OrderState::Confirmed, OrderState::Completed, OrderState::Canceled]))
        }
    }
}

fn await_answer(change: &mut Change, funds: Funds) -> Result<(), Refusal> {
    in_checkout(change.next.stage)?;
    change.next.stage = Stage::Pending;
    change.next.action_url.clear();
    change.next.funds = funds;
    change.entries.push(("payment_pending", String::new()));
    Ok(())
}

fn await_action(change: &mut Change, funds: Funds, url: String) -> Result<(), Refusal> {
    in_checkout(change.next.stage)?;
    change.next.stage = Stage::AwaitingAction;
    change.next.action_url = url;
    change.next.funds = funds;
    change.entries.push(("action_required", String::new()));
    Ok(())
}

fn confirm(change: &mut Change, funds: Funds, now: Instant) -> Result<(), Refusal> {
    let next = &mut change.next;
    in_checkout(next.stage)?;
    assert!(funds.authorized == next.total(), "an order is confirmed only when all of it is held");
    next.stage = Stage::Confirmed;
    next.funds = funds;
    next.action_url.clear();
    next.payment_token.clear();
    next.confirmed_at = Some(now);
    change.entries.push(("stock_reserved", String::new()));
    if next.needs_payment() {
        change.entries.push(("payment_authorized", next.payment_provider.clone()));
    }
    if funds.captured > 0 {
        change.entries.push(("captured", String::new()));
    }
    change.entries.push(("confirmed", String::new()));
    change.facts.push(Fact::Placed);
    Ok(())
}

/// Sets out to undo the order.
pub(super) fn leave(change: &mut Change, stage: Stage, reason: &str, announce: bool) {
    let next = &mut change.next;
    next.stage = stage;
    next.cancel_reason = reason.to_owned();
    next.announce = announce;
    next.action_url.clear();
    next.payment_token.clear();
    change.entries.push(("canceling", reason.to_owned()));
}

/// Money comes first when an order is undone, so a refusal finds everything else as it was.
fn stay(change: &mut Change, decline: Decline) -> Result<(), Refusal> {
    let next = &mut change.next;
    match next.stage {
        Stage::Canceling => {}
        Stage::Pending
        | Stage::AwaitingAction
        | Stage::GivingUp
        | Stage::Confirmed
        | Stage::Completed
        | Stage::Canceled => return Err(Refusal::WrongState(Vec::new())),
    }
    let open = next.open.take().expect("an order that had been agreed is undone by command alone");
    let outside = Outside::PaymentRefused { code: decline.code, message: decline.message };
    next.stage = Stage::Confirmed;
    next.cancel_reason.clear();
    next.announce = false;
    change.entries.push(("refused", refused(&open.task, &outside)));
    change.command = Some(CommandChange::Ended { id: open.id, outcome: Outcome::Refused(outside) });
    Ok(())
}

fn undone(change: &mut Change, funds: Option<Funds>, announce: bool, now: Instant) -> Result<(), Refusal> {
    let next = &mut change.next;
    match next.stage {
        Stage::GivingUp | Stage::Canceling => {}
        Stage::Pending | Stage::AwaitingAction | Stage::Confirmed | Stage::Completed | Stage::Canceled => {
            return Err(Refusal::WrongState(Vec::new()));
        }
    }
    next.stage = Stage::Canceled;
    next.canceled_at = Some(now);
    next.funds = funds.unwrap_or(next.funds);
    next.announce |= announce;
    let open = next.open.take();
    change.entries.push(("canceled", next.cancel_reason.clone()));
    if next.funds.held() + next.funds.refundable() > 0 {
        change.entries.push(("money_owed", String::new()));
    }
    if next.announce {
        change.facts.push(Fact::Canceled);
    }
    change.command = open.map(|open| CommandChange::Ended { id: open.id, outcome: Outcome::Done });
    Ok(())
}

fn refused(task: &Task, outside: &Outside) -> String {
    let what = match task {
        Task::Cancel { .. } => "cancel",
        Task::Capture { .. } => "capture",
        Task::Refund { .. } => "refund",
        Task::Ship { .. } => "ship",
    };
    match outside {
        Outside::Exceeds { left } => format!("{what}: only {left} is left"),
        Outside::PaymentRefused { code, .. } => format!("{what}: {code}"),
    }
}
