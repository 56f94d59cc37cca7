//! The checkout, backward: let go of the money, give back the stock, open the cart.
//!
//! In the reverse order of taking, each call harmless to repeat. It asks what is there instead of remembering what was
//! taken, so it also undoes what a late call of a slow run did.

use souk_kit::catalog::{CatalogError, Reservation, ReservationState, StockLine};
use souk_kit::order::OrderError;
use souk_kit::payment::{PaymentError, PaymentState, PaymentView};
use souk_kit::payment_extension::Decline;
use souk_kit::{Call, Context, ids};

use super::saga::{Named, catalog, close_cart, nobody_hears};
use super::{SELF, words};
use crate::domain::decide::Step;
use crate::domain::{Funds, Order, Stage, funds_of};
use crate::ports::Ports;

/// Most questions to the payment in one run: void, too late, refund, look.
const MONEY_TRIES_MAX: u32 = 4;

/// How long what the provider refused to give back is not asked for again. It is never asked for less: the shopper got
/// nothing for it.
pub const REFUSAL_MILLIS: i64 = 60 * 60 * 1000;

/// The next step of an order that is being undone; none while the payment's answer is awaited.
pub fn undo(ports: &impl Ports, call: &Call, order: &Order) -> Result<Named, OrderError> {
    let funds = match let_everything_go(ports, call, order)? {
        Money::Gone(funds) => funds,
        Money::OnItsWay => return Ok(None),
        Money::Kept(_, decline) if stands_with_its_money(order) => {
            return Ok(Some(("stay".to_owned(), Step::Stay(decline))));
        }
        Money::Kept(funds, _) => Some(funds),
    };
    Ok(Some(("undone".to_owned(), Step::Undone { funds, announce: nobody_hears(call) })))
}

/// Whether an order that is being undone had been agreed: if its money cannot go back it stays as it was agreed. One
/// that never was ends without its money; that is asked for again afterwards.
fn stands_with_its_money(order: &Order) -> bool {
    match order.stage {
        Stage::Canceling => true,
        Stage::Pending
        | Stage::AwaitingAction
        | Stage::GivingUp
        | Stage::Confirmed
        | Stage::Completed
        | Stage::Canceled => false,
    }
}

/// What became of the money.
pub enum Money {
    /// Nothing is held any more, as the payment told; none when there never was a payment.
    Gone(Option<Funds>),
    /// The provider's answer is awaited. The stock stays until it is known.
    OnItsWay,
    /// The provider refused to give it back, as the payment told, and why.
    Kept(Funds, Decline),
}

/// Lets go of all that an order holds, and tells what became of the money. Stock follows the money, except where an order
/// that was never agreed has lost its money to a refusal: its stock goes back without it.
pub fn let_everything_go(ports: &impl Ports, call: &Call, order: &Order) -> Result<Money, OrderError> {
    let ctx = call.as_system(SELF);
    let money = let_money_go(ports, call, &ctx, order)?;
    let ends = match money {
        Money::Gone(_) => true,
        Money::OnItsWay => false,
        Money::Kept(..) => !stands_with_its_money(order),
    };
    if ends {
        give_stock_back(ports, &ctx, order)?;
        close_cart(ports, call, order)?;
    }
    Ok(money)
}

fn let_money_go(ports: &impl Ports, call: &Call, ctx: &Context, order: &Order) -> Result<Money, OrderError> {
    if !order.needs_payment() {
        return Ok(Money::Gone(None));
    }
    let id = order.payment_id();
    let attempt = attempt(call, order);
    for _ in 0..MONEY_TRIES_MAX {
        let payment = match ports.refresh(ctx, &id) {
            Ok(payment) => payment,
            Err(PaymentError::NotFound) => return Ok(Money::Gone(None)),
            Err(error) => return Err(unknown(&error)),
        };
        let funds = funds_of(order, &payment).map_err(OrderError::Unavailable)?;
        let answer = match payment.state {
            PaymentState::Declined | PaymentState::Voided => return Ok(Money::Gone(Some(funds))),
            PaymentState::Pending | PaymentState::RequiresAction => void(ports, ctx, order, &attempt),
            PaymentState::Authorized if funds.captured == 0 => void(ports, ctx, order, &attempt),
            PaymentState::Authorized if funds.refundable() > 0 => refund(ports, ctx, order, &attempt, &funds),
            PaymentState::Authorized if payment.in_flight => return Ok(Money::OnItsWay),
            PaymentState::Authorized => return Ok(Money::Gone(Some(funds))),
        };
        match answer {
            Ok(_) => {}
            // It was taken in the meantime, or somebody else gave some back: look again.
            Err(PaymentError::WrongState(_) | PaymentError::Exceeds(_) | PaymentError::Conflict) => {}
            Err(PaymentError::Refused(decline)) => return Ok(Money::Kept(funds, decline)),
            Err(
                error @ (PaymentError::Invalid(_)
                | PaymentError::NotFound
                | PaymentError::UnknownProvider
                | PaymentError::StorageFull
                | PaymentError::Unavailable(_)),
            ) => return Err(unknown(&error)),
        }
    }
    Ok(Money::OnItsWay)
}

/// Names an attempt to let the money go. A command that was refused stays refused under its name, so whoever asks for the
/// cancellation anew gets another name, and an order that was given up gets another one for each [`REFUSAL_MILLIS`].
fn attempt(call: &Call, order: &Order) -> String {
    match &order.open {
        Some(open) => open.id.clone(),
        None => (call.now / REFUSAL_MILLIS).to_string(),
    }
}

fn void(ports: &impl Ports, ctx: &Context, order: &Order, attempt: &str) -> Result<PaymentView, PaymentError> {
    ports.void(ctx, &ids::derive("cmd", &[&order.id, "undo", "void", attempt]), &order.payment_id())
}

/// Gives all back that was taken. The command is named by what had moved before: a repeat that finds the same asks for
/// the same.
fn refund(
    ports: &impl Ports,
    ctx: &Context,
    order: &Order,
    attempt: &str,
    funds: &Funds,
) -> Result<PaymentView, PaymentError> {
    let (captured, refunded) = (funds.captured.to_string(), funds.refunded.to_string());
    let command_id = ids::derive("cmd", &[&order.id, "undo", "refund", attempt, &captured, &refunded]);
    let amount = order.money(funds.refundable());
    ports.refund(ctx, &command_id, &order.payment_id(), &amount, "order canceled")
}

/// Releases what was promised, or puts back what was sold.
fn give_stock_back(ports: &impl Ports, ctx: &Context, order: &Order) -> Result<(), OrderError> {
    match ports.release_reservation(ctx, &order.id) {
        Ok(Reservation { state: ReservationState::Held | ReservationState::Released, .. })
        | Err(CatalogError::NotFound) => Ok(()),
        Ok(Reservation { state: ReservationState::Committed, .. }) | Err(CatalogError::Settled) => {
            put_back(ports, ctx, order)
        }
        Err(error) => Err(catalog(&error)),
    }
}

fn put_back(ports: &impl Ports, ctx: &Context, order: &Order) -> Result<(), OrderError> {
    let lines: Vec<StockLine> =
        order.taken().into_iter().map(|(variant_id, quantity)| StockLine { variant_id, quantity }).collect();
    if lines.is_empty() {
        return Ok(());
    }
    let command_id = ids::derive("cmd", &[&order.id, "undo", "restock"]);
    match ports.restock(ctx, &command_id, &order.id, &lines) {
        Ok(()) => Ok(()),
        Err(error) => Err(catalog(&error)),
    }
}

fn unknown(error: &PaymentError) -> OrderError {
    match error {
        PaymentError::StorageFull => OrderError::StorageFull,
        error => OrderError::Unavailable(words::payment(error)),
    }
}
