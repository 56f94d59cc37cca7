//! The checkout, forward: freeze the cart, promise stock, hold the money, sell the stock, confirm.
//!
//! Only three places hold an order's progress: its row, the payment and the reservation. Every run makes every call
//! again, since each is harmless to repeat, so nothing has to be remembered between two of them and a
//! checkout that goes well costs two commits here. What a run did is worth nothing until the guarded step to
//! `Confirmed`; a run that finds itself overtaken by a cancellation undoes it again.

use souk_kit::cart::CartError;
use souk_kit::catalog::{CatalogError, StockLine};
use souk_kit::order::OrderError;
use souk_kit::payment::{Authorization, PaymentError, PaymentState, PaymentView};
use souk_kit::payment_extension::Decline;
use souk_kit::{Actor, Call, Context};

use super::undo::{self, undo};
use super::{SELF, commit, reload, words};
use crate::domain::decide::Step;
use crate::domain::{
    ABANDONED, CHECKOUT_MILLIS_MAX, Funds, OUT_OF_STOCK, Order, PAYMENT_DECLINED, PRICE_CHANGED, RESERVATION_SECONDS,
    Stage, funds_of,
};
use crate::ports::Ports;

/// Most steps of one run: each is a commit or a guard that another run met first.
const STEPS_MAX: u32 = 10;

/// Goes on until the order is at rest or waits for somebody.
pub fn advance(ports: &impl Ports, call: &Call, mut order: Order) -> Result<Order, OrderError> {
    let mut went_forward = false;
    for _ in 0..STEPS_MAX {
        let step = match order.stage {
            Stage::Pending | Stage::AwaitingAction => {
                went_forward = true;
                forward(ports, call, &order)?
            }
            Stage::GivingUp | Stage::Canceling => undo(ports, call, &order)?,
            Stage::Canceled if went_forward => {
                // Somebody else ended it, and what this run did may have come after that.
                undo::let_everything_go(ports, call, &order)?;
                None
            }
            Stage::Confirmed | Stage::Completed | Stage::Canceled => None,
        };
        let Some((name, step)) = step else { return Ok(order) };
        let before = order.stage;
        order = match commit(ports, call, &order, &name, step)? {
            Some(next) => next,
            None => reload(ports, &order.id)?,
        };
        if before != Stage::Confirmed && order.stage == Stage::Confirmed {
            // The order stands whether this succeeds or not; the timer closes the cart if it does not.
            let _ = close_cart(ports, call, &order);
        }
    }
    Err(OrderError::Conflict)
}

/// Tells the cart what became of its order. Harmless to repeat.
pub fn close_cart(ports: &impl Ports, call: &Call, order: &Order) -> Result<(), OrderError> {
    let confirmed = order.confirmed_at.is_some();
    match ports.end_checkout(&call.as_system(SELF), &order.cart_id, &order.id, confirmed) {
        Ok(()) => Ok(()),
        // The cart is not in this order's checkout, or is gone: there is nothing left to end.
        Err(CartError::NotFound | CartError::Closed | CartError::Invalid(_)) => Ok(()),
        Err(
            error @ (CartError::NotSold
            | CartError::LimitReached
            | CartError::Conflict
            | CartError::StorageFull
            | CartError::Unavailable(_)),
        ) => Err(cart(&error)),
    }
}

/// A step by its name; none while the order waits for somebody.
pub type Named = Option<(String, Step)>;

/// What the payment says of a checkout.
enum Heard {
    /// All of it is held or taken.
    Held(Funds),
    /// The shopper must go there.
    Action(Funds, String),
    /// Nobody knows yet.
    Unknown(Funds),
    /// It will not be held.
    Declined(Option<Decline>),
}

fn forward(ports: &impl Ports, call: &Call, order: &Order) -> Result<Named, OrderError> {
    let ctx = call.as_system(SELF);
    let overdue = call.now - order.placed_at > CHECKOUT_MILLIS_MAX;
    if overdue && !is_held(ports, &ctx, order) {
        return Ok(give_up(call, ABANDONED, None));
    }
    match ports.begin_checkout(&ctx, &order.cart_id, order.cart_version, &order.id) {
        Ok(_) => {}
        Err(CartError::Conflict | CartError::Closed | CartError::NotFound) => {
            return Ok(give_up(call, PRICE_CHANGED, None));
        }
        Err(
            error @ (CartError::Invalid(_)
            | CartError::NotSold
            | CartError::LimitReached
            | CartError::StorageFull
            | CartError::Unavailable(_)),
        ) => return Err(cart(&error)),
    }
    if !reserve(ports, &ctx, order)? {
        return Ok(give_up(call, OUT_OF_STOCK, None));
    }
    match hear(ports, &ctx, order)? {
        Heard::Held(funds) => {
            let step = sell(ports, &ctx, &order.id)?.then_some(("confirm".to_owned(), Step::Confirm(funds)));
            Ok(step.or_else(|| give_up(call, OUT_OF_STOCK, None)))
        }
        Heard::Action(funds, url) => {
            let known = order.stage == Stage::AwaitingAction && order.action_url == url;
            Ok((!known).then(|| ("await-action".to_owned(), Step::AwaitAction { funds, url })))
        }
        // Noting that the answer is awaited makes the payment's news resume the order at once; the run that
        // noted it asks once more, since the news may have come before the note.
        Heard::Unknown(funds) => {
            let known = order.stage == Stage::Pending && order.funds.state == Some(PaymentState::Pending);
            Ok((!known).then(|| ("await-answer".to_owned(), Step::AwaitAnswer(funds))))
        }
        Heard::Declined(decline) => Ok(give_up(call, PAYMENT_DECLINED, decline)),
    }
}

fn give_up(call: &Call, reason: &'static str, decline: Option<Decline>) -> Named {
    Some((format!("give-up-{reason}"), Step::GiveUp { reason, decline, announce: nobody_hears(call) }))
}

/// Whether the shopper gets no answer to this call, and must be told in another way.
pub fn nobody_hears(call: &Call) -> bool {
    match call.ctx.actor {
        Actor::System(_) => true,
        Actor::Guest | Actor::User(_) | Actor::Staff(_) => false,
    }
}

/// Promises the stock; false when it is gone.
fn reserve(ports: &impl Ports, ctx: &Context, order: &Order) -> Result<bool, OrderError> {
    let lines: Vec<StockLine> = order
        .lines
        .iter()
        .map(|line| StockLine { variant_id: line.item.variant_id.clone(), quantity: line.item.quantity })
        .collect();
    match ports.reserve(ctx, &order.id, &lines, RESERVATION_SECONDS) {
        // One that has expired is taken again when it is sold, or is not.
        Ok(_) => Ok(true),
        Err(CatalogError::OutOfStock(_) | CatalogError::NotFound) => Ok(false),
        Err(error) => Err(catalog(&error)),
    }
}

/// Sells what was promised; false when it had expired and is gone.
fn sell(ports: &impl Ports, ctx: &Context, order_id: &str) -> Result<bool, OrderError> {
    match ports.commit_reservation(ctx, order_id) {
        Ok(_) => Ok(true),
        Err(CatalogError::Expired | CatalogError::Settled | CatalogError::OutOfStock(_)) => Ok(false),
        Err(error) => Err(catalog(&error)),
    }
}

/// Holds the money, or asks about it when that was begun before.
fn hear(ports: &impl Ports, ctx: &Context, order: &Order) -> Result<Heard, OrderError> {
    if !order.needs_payment() {
        return Ok(Heard::Held(Funds::NONE));
    }
    let authorization = Authorization {
        payment_id: order.payment_id(),
        order_id: order.id.clone(),
        amount: order.totals.total.clone(),
        provider: order.payment_provider.clone(),
        token: order.payment_token.clone(),
        return_url: order.return_url.clone(),
        capture: order.capture,
    };
    let answer = match order.stage {
        // An authorization that waits for the shopper is not asked for again but asked about.
        Stage::AwaitingAction => ports.refresh(ctx, &authorization.payment_id),
        Stage::Pending | Stage::GivingUp | Stage::Confirmed | Stage::Canceling | Stage::Completed | Stage::Canceled => {
            ports.authorize(ctx, &authorization)
        }
    };
    match answer {
        Ok(payment) => heard(order, payment),
        Err(PaymentError::StorageFull | PaymentError::Unavailable(_) | PaymentError::Conflict) => {
            Ok(Heard::Unknown(Funds { state: Some(PaymentState::Pending), ..order.funds }))
        }
        Err(PaymentError::Refused(decline)) => Ok(Heard::Declined(Some(decline))),
        Err(
            error @ (PaymentError::Invalid(_)
            | PaymentError::NotFound
            | PaymentError::UnknownProvider
            | PaymentError::WrongState(_)
            | PaymentError::Exceeds(_)),
        ) => Ok(Heard::Declined(Some(rejected(&error)))),
    }
}

fn heard(order: &Order, payment: PaymentView) -> Result<Heard, OrderError> {
    let funds = funds_of(order, &payment).map_err(OrderError::Unavailable)?;
    match payment.state {
        PaymentState::Pending => Ok(Heard::Unknown(funds)),
        PaymentState::RequiresAction => Ok(Heard::Action(funds, payment.action_url)),
        PaymentState::Authorized if funds.authorized == order.total() => Ok(Heard::Held(funds)),
        PaymentState::Authorized => Err(OrderError::Unavailable(format!(
            "payment {} holds {} of {}",
            payment.id,
            funds.authorized,
            order.total()
        ))),
        PaymentState::Declined | PaymentState::Voided => Ok(Heard::Declined(payment.decline)),
    }
}

/// Whether the payment of an overdue checkout came through all the same.
fn is_held(ports: &impl Ports, ctx: &Context, order: &Order) -> bool {
    order.needs_payment()
        && ports.refresh(ctx, &order.payment_id()).is_ok_and(|payment| payment.state == PaymentState::Authorized)
}

/// A refusal that names no reason a shopper could act upon.
pub fn rejected(error: &PaymentError) -> Decline {
    Decline { code: "rejected".to_owned(), message: words::payment(error) }
}

/// A failure of the cart that says nothing about its lines.
pub fn cart(error: &CartError) -> OrderError {
    match error {
        CartError::StorageFull => OrderError::StorageFull,
        error => OrderError::Unavailable(words::cart(error)),
    }
}

/// A failure of the catalog that says nothing about the stock.
pub fn catalog(error: &CatalogError) -> OrderError {
    match error {
        CatalogError::StorageFull => OrderError::StorageFull,
        error => OrderError::Unavailable(words::catalog(error)),
    }
}
