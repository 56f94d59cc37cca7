//! Commands on an order that was placed: cancel, capture, refund, ship.
//!
//! What is to be done is decided once and stored before the first call to the outside, under the command's id; the
//! outcome is a second commit. A repeat and a timer both find the stored decision and go on with it.

use souk_kit::catalog::{CatalogError, StockLine};
use souk_kit::check::Check;
use souk_kit::order::{FulfillmentLine, OrderError, OrderView};
use souk_kit::payment::{PaymentError, PaymentView};
use souk_kit::{Call, Context, ids};

use super::saga::rejected;
use super::{
    DECISIONS_MAX, Guests, SELF, answer, check_command_id, commit, go_on, invalid, refused_outside, reload,
    visible_with, words,
};
use crate::domain::decide::{Asker, Shelf, Step};
use crate::domain::task::{OpenCommand, Outcome, Outside, Request, Task};
use crate::domain::{Funds, LINES_MAX, Order, Stage, Units, funds_of};
use crate::ports::Ports;
use crate::store::Loaded;

/// The reason of a cancellation for which none was given.
const NO_REASON: &str = "requested";

/// Carries out a command. A repeat with the same id answers what became of it.
pub fn execute(
    ports: &impl Ports,
    call: &Call,
    command_id: &str,
    order_id: &str,
    request: Request,
) -> Result<OrderView, OrderError> {
    check(command_id, &request)?;
    let by = if call.sees_all() { Asker::Staff } else { Asker::Shopper };
    let guests = match (&request, by) {
        (Request::Cancel { .. }, Asker::Shopper | Asker::Staff) => Guests::ById,
        (Request::Capture { .. } | Request::Refund { .. } | Request::Ship { .. }, Asker::Staff) => Guests::Never,
        (Request::Capture { .. } | Request::Refund { .. } | Request::Ship { .. }, Asker::Shopper) => {
            return Err(OrderError::NotFound);
        }
    };
    let digest = request.digest();
    let request = with_reason(request);
    for _ in 0..DECISIONS_MAX {
        let Loaded { order, command } = visible_with(ports, call, order_id, Some(command_id), guests)?;
        if let Some(known) = command {
            if known.digest != digest {
                return Err(invalid("/command_id", "taken", "another command has this id"));
            }
            match known.outcome {
                Outcome::Done => return Ok(answer(call, &order)),
                Outcome::Refused(outside) => return Err(refused_outside(outside)),
                Outcome::Open => {
                    let order = go_on(ports, call, order)?;
                    if order.stage.is_moving() {
                        return Ok(answer(call, &order)); // it waits for the payment provider
                    }
                    continue;
                }
            }
        }
        // What is on its way ends first: it decides what is left for this one.
        let order = match order.stage {
            Stage::GivingUp | Stage::Canceling => go_on(ports, call, order)?,
            Stage::Confirmed | Stage::Completed if order.open.is_some() => go_on(ports, call, order)?,
            Stage::Pending | Stage::AwaitingAction | Stage::Confirmed | Stage::Completed | Stage::Canceled => order,
        };
        let step = Step::Ask { id: command_id.to_owned(), request: request.clone(), by, digest: digest.clone() };
        // Two different commands under one id must not pass for one another.
        match commit(ports, call, &order, &format!("ask-{command_id}-{}", &digest[..16]), step)? {
            Some(next) if next.open.is_none() => return Ok(answer(call, &next)),
            Some(_) | None => {} // read again: the command goes on, or another writer came first
        }
    }
    Err(OrderError::Conflict)
}

/// Makes the effects of the open command of an order that stands, and stores how it ended.
pub fn run(ports: &impl Ports, call: &Call, order: Order) -> Result<Order, OrderError> {
    let Some(open) = order.open.clone() else { return Ok(order) };
    let (name, step) = match effects(ports, &call.as_system(SELF), &order, &open) {
        Ok((funds, shelf)) => ("done", Step::Finish { funds, shelf }),
        Err(Failure::Refused(outside)) => ("refused", Step::Refuse(outside)),
        Err(Failure::Unknown(why)) => return Err(OrderError::Unavailable(why)),
        Err(Failure::StorageFull) => return Err(OrderError::StorageFull),
    };
    match commit(ports, call, &order, &format!("{name}-{}", open.id), step)? {
        Some(next) => Ok(next),
        None => reload(ports, &order.id),
    }
}

/// Why an effect was not made.
enum Failure {
    /// Refused for good: nothing happened.
    Refused(Outside),
    /// Not known, or not yet: the same call again will tell.
    Unknown(String),
    /// Not yet: a write found no room. The same call again will tell.
    StorageFull,
}

fn effects(
    ports: &impl Ports,
    ctx: &Context,
    order: &Order,
    open: &OpenCommand,
) -> Result<(Option<Funds>, Shelf), Failure> {
    let id = |effect: &str| ids::derive("cmd", &[&order.id, &open.id, effect]);
    let payment_id = order.payment_id();
    match &open.task {
        Task::Capture { amount } => {
            let answer = ports.capture(ctx, &id("capture"), &payment_id, &order.money(*amount));
            Ok((Some(funds(order, answer)?), Shelf::Stocked))
        }
        Task::Refund { amount, reason, restock } => {
            let answer = ports.refund(ctx, &id("refund"), &payment_id, &order.money(*amount), reason);
            let funds = funds(order, answer)?;
            Ok((Some(funds), put_back(ports, ctx, &id("restock"), order, restock)?))
        }
        Task::Ship { capture, .. } => {
            let answer = ports.capture(ctx, &id("capture"), &payment_id, &order.money(*capture));
            let funds = funds(order, answer)?;
            if funds.captured < order.total() {
                return Err(Failure::Refused(Outside::Exceeds { left: order.total() - funds.captured }));
            }
            Ok((Some(funds), Shelf::Stocked))
        }
        Task::Cancel { .. } => unreachable!("the stage of a canceled order carries it"),
    }
}

fn funds(order: &Order, answer: Result<PaymentView, PaymentError>) -> Result<Funds, Failure> {
    match answer {
        Ok(payment) if payment.in_flight => {
            Err(Failure::Unknown("the payment provider's answer is awaited".to_owned()))
        }
        Ok(payment) => funds_of(order, &payment).map_err(Failure::Unknown),
        Err(PaymentError::Exceeds(left)) => Err(Failure::Refused(Outside::Exceeds { left })),
        Err(PaymentError::Refused(decline)) => {
            Err(Failure::Refused(Outside::PaymentRefused { code: decline.code, message: decline.message }))
        }
        Err(
            error @ (PaymentError::Invalid(_)
            | PaymentError::NotFound
            | PaymentError::UnknownProvider
            | PaymentError::WrongState(_)),
        ) => {
            let decline = rejected(&error);
            Err(Failure::Refused(Outside::PaymentRefused { code: decline.code, message: decline.message }))
        }
        Err(PaymentError::StorageFull) => Err(Failure::StorageFull),
        Err(error @ (PaymentError::Conflict | PaymentError::Unavailable(_))) => {
            Err(Failure::Unknown(words::payment(&error)))
        }
    }
}

/// Puts units back on the shelf. The money is back already, so a refusal of the catalog is noted and ends nothing.
fn put_back(
    ports: &impl Ports,
    ctx: &Context,
    command_id: &str,
    order: &Order,
    units: &Units,
) -> Result<Shelf, Failure> {
    if units.is_empty() {
        return Ok(Shelf::Stocked);
    }
    let lines: Vec<StockLine> = units
        .iter()
        .map(|(variant_id, quantity)| StockLine { variant_id: variant_id.clone(), quantity: *quantity })
        .collect();
    match ports.restock(ctx, command_id, &order.id, &lines) {
        Ok(()) => Ok(Shelf::Stocked),
        Err(
            CatalogError::Invalid(_)
            | CatalogError::NotFound
            | CatalogError::OutOfStock(_)
            | CatalogError::Expired
            | CatalogError::Settled
            | CatalogError::InUse,
        ) => Ok(Shelf::Refused),
        Err(CatalogError::StorageFull) => Err(Failure::StorageFull),
        Err(error @ (CatalogError::Conflict | CatalogError::Unavailable(_))) => {
            Err(Failure::Unknown(words::catalog(&error)))
        }
    }
}

fn with_reason(request: Request) -> Request {
    match request {
        Request::Cancel { reason } if reason.is_empty() => Request::Cancel { reason: NO_REASON.to_owned() },
        other @ (Request::Cancel { .. } | Request::Capture { .. } | Request::Refund { .. } | Request::Ship { .. }) => {
            other
        }
    }
}

/// What can be said of a command without its order.
fn check(command_id: &str, request: &Request) -> Result<(), OrderError> {
    let mut check = Check::new();
    check_command_id(&mut check, command_id);
    match request {
        Request::Cancel { reason } => check.text("/reason", reason, 0, 500),
        Request::Capture { amount } => {
            if let Some(amount) = amount {
                check.range("/amount/minor", amount.minor, 1, souk_kit::money::AMOUNT_MAX);
            }
        }
        Request::Refund { amount, reason, restock } => {
            check.range("/amount/minor", amount.minor, 1, souk_kit::money::AMOUNT_MAX);
            check.text("/reason", reason, 0, 500);
            check_lines(&mut check, "/restock", restock);
        }
        Request::Ship { lines, carrier, tracking_number } => {
            check_lines(&mut check, "/lines", lines);
            check.text("/carrier", carrier, 0, 100);
            check.text("/tracking_number", tracking_number, 0, 100);
        }
    }
    check.done().map_err(OrderError::Invalid)
}

fn check_lines(check: &mut Check, pointer: &str, lines: &[FulfillmentLine]) {
    if lines.len() > LINES_MAX {
        check.fail(pointer, "too_long", format!("at most {LINES_MAX} lines"));
    }
    for (place, line) in lines.iter().enumerate().take(LINES_MAX) {
        check.range(&format!("{pointer}/{place}/quantity"), i64::from(line.quantity), 1, 999);
    }
}
