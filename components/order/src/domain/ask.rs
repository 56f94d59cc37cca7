//! Commands on an order that stands: what is to be done, and what has become of it when it is.

use souk_kit::order::{FulfillmentLine, OrderState, Shipment};
use souk_kit::{Id, Instant, Money};

use super::decide::{Asker, Change, CommandChange, Refusal, Shelf, leave};
use super::facts::Fact;
use super::task::{OpenCommand, Outcome, Request, Task};
use super::{Funds, Line, Order, Stage, Units, funds_are_paid};

/// Decides on a command: what is to be done, and whether it is done already.
pub(super) fn ask(
    change: &mut Change,
    id: &Id,
    request: Request,
    by: Asker,
    now: Instant,
) -> Result<(Task, Outcome), Refusal> {
    let order = &change.next;
    let task = match request {
        Request::Cancel { reason } => cancel(order, reason, by)?,
        Request::Capture { amount } => capture(order, amount)?,
        Request::Refund { amount, reason, restock } => refund(order, amount, reason, restock)?,
        Request::Ship { lines, carrier, tracking_number } => ship(order, lines, carrier, tracking_number)?,
    };
    if order.open.is_some() {
        return Err(Refusal::Busy);
    }
    let stage = if order.confirmed_at.is_some() { Stage::Canceling } else { Stage::GivingUp };
    // What has no effect outside is done in this very step.
    let outcome = match &task {
        Task::Ship { capture: 0, units, carrier, tracking_number } => {
            hand_over(change, id, units, carrier, tracking_number, now);
            Outcome::Done
        }
        Task::Cancel { .. } | Task::Capture { .. } | Task::Refund { .. } | Task::Ship { .. } => {
            change.next.open = Some(OpenCommand { id: id.clone(), task: task.clone(), opened_at: now });
            Outcome::Open
        }
    };
    if let Task::Cancel { reason } = &task {
        leave(change, stage, reason, true);
    }
    Ok((task, outcome))
}

fn cancel(order: &Order, reason: String, by: Asker) -> Result<Task, Refusal> {
    let allowed = match by {
        Asker::Shopper => vec![OrderState::Pending, OrderState::AwaitingAction],
        Asker::Staff => vec![OrderState::Pending, OrderState::AwaitingAction, OrderState::Confirmed],
    };
    match (order.stage, by) {
        (Stage::Pending | Stage::AwaitingAction, Asker::Shopper | Asker::Staff) => Ok(Task::Cancel { reason }),
        (Stage::Confirmed, Asker::Staff) => {
            let (_, fulfilled, _) = order.units();
            // What was handed over is given back by a refund; no state leads from there to a cancellation.
            if fulfilled > 0 { Err(Refusal::WrongState(Vec::new())) } else { Ok(Task::Cancel { reason }) }
        }
        (Stage::Confirmed, Asker::Shopper)
        | (Stage::GivingUp | Stage::Canceling | Stage::Completed | Stage::Canceled, Asker::Shopper | Asker::Staff) => {
            Err(Refusal::WrongState(allowed))
        }
    }
}

/// Money is moved by command only while the order stands.
fn stands(order: &Order) -> Result<(), Refusal> {
    match order.stage {
        Stage::Confirmed | Stage::Completed => Ok(()),
        Stage::Pending | Stage::AwaitingAction | Stage::GivingUp | Stage::Canceling | Stage::Canceled => {
            Err(Refusal::WrongState(vec![OrderState::Confirmed, OrderState::Completed]))
        }
    }
}

fn capture(order: &Order, amount: Option<Money>) -> Result<Task, Refusal> {
    let amount = amount.map(|amount| in_currency(order, &amount)).transpose()?;
    stands(order)?;
    let left = order.funds.held();
    let amount = amount.unwrap_or(left);
    if left == 0 || amount > left { Err(Refusal::Exceeds(left)) } else { Ok(Task::Capture { amount }) }
}

fn refund(order: &Order, amount: Money, reason: String, restock: Vec<FulfillmentLine>) -> Result<Task, Refusal> {
    let amount = in_currency(order, &amount)?;
    let restock = units_of(order, &restock, "/restock")?;
    stands(order)?;
    let left = order.funds.refundable();
    if amount > left {
        return Err(Refusal::Exceeds(left));
    }
    within(order, &restock, Line::restockable)?;
    Ok(Task::Refund { amount, reason, restock })
}

fn ship(order: &Order, lines: Vec<FulfillmentLine>, carrier: String, tracking_number: String) -> Result<Task, Refusal> {
    let mut units = units_of(order, &lines, "/lines")?;
    match order.stage {
        Stage::Confirmed => {}
        Stage::Pending
        | Stage::AwaitingAction
        | Stage::GivingUp
        | Stage::Canceling
        | Stage::Completed
        | Stage::Canceled => return Err(Refusal::WrongState(vec![OrderState::Confirmed])),
    }
    if units.is_empty() {
        let left = order.lines.iter().map(|line| (line.item.variant_id.clone(), line.left()));
        units = left.filter(|(_, left)| *left > 0).collect();
    }
    if units.is_empty() {
        return Err(Refusal::Exceeds(0));
    }
    within(order, &units, Line::left)?;
    let capture = order.funds.held();
    if order.funds.captured + capture < order.total() {
        return Err(Refusal::Unpaid);
    }
    Ok(Task::Ship { capture, units, carrier, tracking_number })
}

fn in_currency(order: &Order, amount: &Money) -> Result<i64, Refusal> {
    let wrong = |pointer: &str, code, detail: String| Refusal::Invalid { pointer: pointer.to_owned(), code, detail };
    let currency = &order.totals.total.currency;
    if amount.currency != *currency {
        return Err(wrong("/amount/currency", "unknown", format!("the order is in {currency}")));
    }
    if amount.minor <= 0 {
        return Err(wrong("/amount/minor", "out_of_range", "the amount is above zero".to_owned()));
    }
    Ok(amount.minor)
}

fn units_of(order: &Order, lines: &[FulfillmentLine], pointer: &str) -> Result<Units, Refusal> {
    let mut units = Units::new();
    for (place, line) in lines.iter().enumerate() {
        let wrong = |field, code, detail: &str| Refusal::Invalid {
            pointer: format!("{pointer}/{place}/{field}"),
            code,
            detail: detail.to_owned(),
        };
        if !order.lines.iter().any(|known| known.item.variant_id == line.variant_id) {
            return Err(wrong("variant_id", "unknown", "the order has no such variant"));
        }
        let sum = units.entry(line.variant_id.clone()).or_insert(0u32);
        match sum.checked_add(line.quantity).filter(|_| line.quantity > 0) {
            Some(more) => *sum = more,
            None => return Err(wrong("quantity", "out_of_range", "at least 1")),
        }
    }
    Ok(units)
}

fn within(order: &Order, units: &Units, limit: impl Fn(&Line) -> u32) -> Result<(), Refusal> {
    let exceeded = order.lines.iter().find(|line| {
        let wanted = units.get(&line.item.variant_id).copied().unwrap_or(0);
        wanted > limit(line)
    });
    exceeded.map_or(Ok(()), |line| Err(Refusal::Exceeds(i64::from(limit(line)))))
}

pub(super) fn take_open(change: &mut Change) -> Result<OpenCommand, Refusal> {
    // In any other stage only a cancellation is open, and that ends with the stage.
    stands(&change.next)?;
    change.next.open.take().ok_or(Refusal::WrongState(Vec::new()))
}

pub(super) fn finish(change: &mut Change, funds: Option<Funds>, shelf: Shelf, now: Instant) -> Result<(), Refusal> {
    let open = take_open(change)?;
    change.next.funds = funds.unwrap_or(change.next.funds);
    match &open.task {
        Task::Capture { amount } => change.entries.push(("captured", amount.to_string())),
        Task::Refund { amount, reason, restock } => {
            change.entries.push(("refunded", amount.to_string()));
            change.facts.push(Fact::Refunded { amount: *amount, reason: reason.clone() });
            match shelf {
                Shelf::Stocked => put_back(change, restock),
                Shelf::Refused => change.entries.push(("restock_refused", String::new())),
            }
        }
        Task::Ship { capture, units, carrier, tracking_number } => {
            assert!(funds_are_paid(&change.next), "nothing leaves unpaid");
            change.entries.push(("captured", capture.to_string()));
            hand_over(change, &open.id, units, carrier, tracking_number, now);
        }
        Task::Cancel { .. } => unreachable!("a cancellation ends with the stage that carries it"),
    }
    change.command = Some(CommandChange::Ended { id: open.id, outcome: Outcome::Done });
    Ok(())
}

fn hand_over(change: &mut Change, id: &Id, units: &Units, carrier: &str, tracking_number: &str, now: Instant) {
    let next = &mut change.next;
    for line in &mut next.lines {
        line.item.fulfilled += units.get(&line.item.variant_id).copied().unwrap_or(0);
    }
    let lines = units
        .iter()
        .map(|(variant_id, quantity)| FulfillmentLine { variant_id: variant_id.clone(), quantity: *quantity });
    let shipment = Shipment {
        id: id.clone(),
        lines: lines.collect(),
        carrier: carrier.to_owned(),
        tracking_number: tracking_number.to_owned(),
        at: now,
    };
    change.facts.push(Fact::Shipped { shipment: shipment.clone() });
    change.entries.push(("shipped", [carrier, tracking_number].join(" ").trim().to_owned()));
    next.shipments.push(shipment);
    complete(change);
}

/// Units go back on the shelf: those that were not handed over first, since they must not be handed over any more.
fn put_back(change: &mut Change, restock: &Units) {
    if restock.is_empty() {
        return;
    }
    for line in &mut change.next.lines {
        let units = restock.get(&line.item.variant_id).copied().unwrap_or(0);
        let withdrawn = units.min(line.left());
        line.withdrawn += withdrawn;
        line.returned += units - withdrawn;
    }
    change.entries.push(("restocked", restock.values().sum::<u32>().to_string()));
    complete(change);
}

/// An order of which something was handed over and nothing is left is complete.
fn complete(change: &mut Change) {
    let (agreed, fulfilled, withdrawn) = change.next.units();
    if change.next.stage == Stage::Confirmed && fulfilled > 0 && fulfilled + withdrawn == agreed {
        change.next.stage = Stage::Completed;
        change.entries.push(("completed", String::new()));
    }
}
