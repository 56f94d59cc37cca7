//! What an order hears: its own timers, and news of its payment. Each only pokes what a repeat of `place` would do.

use serde::Deserialize;
use souk_kit::events::Event;
use souk_kit::payment::{PaymentError, PaymentState};
use souk_kit::{Call, Id, ids};

use super::undo::{self, Money};
use super::{commit, go_on, saga, sync_name, words};
use crate::domain::decide::Step;
use crate::domain::{Order, Stage, funds_of};
use crate::ports::Ports;
use crate::store;

/// Longest wait between two looks at an order that is unfinished.
const LOOK_MILLIS_MAX: i64 = 60 * 60 * 1000;

/// How long the calls that an order's run had sent off may still have effects after it was canceled.
const LATE_CALL_MILLIS_MAX: i64 = 5 * 60 * 1000;

/// Longest wait between two attempts to get money back that the provider keeps for a canceled order.
const KEPT_LOOK_MILLIS_MAX: i64 = DAY_MILLIS;

/// How long after the cancellation that is attempted. The audit tells of it all the while, and afterwards.
const KEPT_MILLIS_MAX: i64 = 30 * DAY_MILLIS;

const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// How long the call that placed an order may take. Until then it needs no help, and news of its payment is its own.
const PLACE_CALL_MILLIS_MAX: i64 = super::DUE_MILLIS;

/// How often news of a payment is tried before a timer is left to follow it, in about a quarter of a minute.
const NEWS_TRIES_MAX: u32 = 5;

/// What is read of the payloads of the topics that are heard here.
#[derive(Deserialize)]
struct About {
    order_id: Id,
    /// In `payment.settled` alone.
    state: Option<String>,
}

/// Takes one event.
pub fn handle(ports: &impl Ports, call: &Call, event: &Event) -> Result<(), String> {
    let about: About = serde_json::from_str(&event.payload).map_err(|error| format!("the payload: {error}"))?;
    let loaded = store::load(ports, &about.order_id, None).map_err(|error| error.describe())?;
    let Some(loaded) = loaded else { return Err(format!("there is no order {}", about.order_id)) };
    // The news of nearly every order: the call that placed it knew it first.
    let known = about.state.as_deref() == Some("authorized")
        && loaded.order.confirmed_at.is_some()
        && loaded.order.funds.state == Some(PaymentState::Authorized);
    match event.topic.as_str() {
        "payment.settled" if known => Ok(()),
        "order.checkout-due" => due(ports, call, event, loaded.order),
        "payment.settled" | "payment.changed" => news(ports, call, event, loaded.order),
        other => Err(format!("nobody here hears {other}")),
    }
}

/// A timer: goes on with what is unfinished, and sets the next timer as long as anything may still come.
fn due(ports: &impl Ports, call: &Call, event: &Event, order: Order) -> Result<(), String> {
    let id = order.id.clone();
    let outcome = match order.stage {
        Stage::Pending
        | Stage::AwaitingAction
        | Stage::GivingUp
        | Stage::Confirmed
        | Stage::Canceling
        | Stage::Completed => go_on(ports, call, order)
            .and_then(|order| {
                // The run that confirmed it may have ended before it told the cart.
                let confirmed = order.confirmed_at.is_some() && !order.stage.is_moving();
                if confirmed { saga::close_cart(ports, call, &order) } else { Ok(()) }
            })
            .map(|()| Money::Gone(None))
            .map_err(|error| words::order(&error)),
        Stage::Canceled => mend(ports, call, &order),
    };
    let order = super::reload(ports, &id).map_err(|error| words::order(&error))?;
    let next = match outcome {
        Ok(Money::Kept(..)) => return ask_for_kept_money(ports, call, &order),
        // A call that was on its way while the order was canceled may have held something since.
        Ok(Money::Gone(_)) if !order.is_unfinished() => {
            order.canceled_at.map(|at| at + LATE_CALL_MILLIS_MAX).filter(|at| call.now < *at)
        }
        Ok(Money::Gone(_) | Money::OnItsWay) | Err(_) => {
            let since = order.open.as_ref().map_or(order.placed_at, |open| open.opened_at);
            Some(call.now + (call.now - since).clamp(super::DUE_MILLIS, LOOK_MILLIS_MAX))
        }
    };
    match next {
        None => Ok(()),
        // The event that asks for the next one names it, so that a redelivery sets no second timer.
        Some(at) => store::look_again(ports, &id, &ids::digest(&[&event.id]), at).map_err(|error| error.describe()),
    }
}

/// Sets the timer for the next attempt to get money back for a canceled order: after an hour, then after twice the
/// time. Timers stand on full hours and are named by them, so that whatever asks for one there is one.
fn ask_for_kept_money(ports: &impl Ports, call: &Call, order: &Order) -> Result<(), String> {
    let since = order.canceled_at.unwrap_or(order.placed_at);
    if call.now - since > KEPT_MILLIS_MAX {
        return Ok(());
    }
    let wait = (call.now - since).clamp(undo::REFUSAL_MILLIS, KEPT_LOOK_MILLIS_MAX);
    let at = (call.now + wait) / undo::REFUSAL_MILLIS * undo::REFUSAL_MILLIS;
    store::look_again(ports, &order.id, &at.to_string(), at).map_err(|error| error.describe())
}

/// News of a payment. What it says is read from the payment itself, so news may come twice and in any order.
fn news(ports: &impl Ports, call: &Call, event: &Event, order: Order) -> Result<(), String> {
    let awaited = match order.stage {
        Stage::Pending => order.funds.state.is_some() || call.now - order.placed_at >= PLACE_CALL_MILLIS_MAX,
        Stage::AwaitingAction
        | Stage::GivingUp
        | Stage::Confirmed
        | Stage::Canceling
        | Stage::Completed
        | Stage::Canceled => true,
    };
    if !awaited {
        return Ok(()); // the call that places the order hears it at this moment; its timer looks after it otherwise
    }
    let id = order.id.clone();
    match follow(ports, call, order) {
        Err(why) if event.attempt >= NEWS_TRIES_MAX => leave_to_timer(ports, call, event, &id, why),
        outcome => outcome,
    }
}

/// Goes on as the payment now allows, and stores what it tells.
fn follow(ports: &impl Ports, call: &Call, order: Order) -> Result<(), String> {
    let order = go_on(ports, call, order).map_err(|error| words::order(&error))?;
    match order.stage {
        Stage::Pending | Stage::AwaitingAction | Stage::GivingUp | Stage::Canceling => Ok(()),
        Stage::Confirmed | Stage::Completed => sync(ports, call, &order),
        Stage::Canceled => match mend(ports, call, &order)? {
            Money::Kept(..) => ask_for_kept_money(ports, call, &order),
            Money::Gone(_) | Money::OnItsWay => Ok(()),
        },
    }
}

/// Lets go of what an order has held since it was canceled, and stores what the payment tells of it.
fn mend(ports: &impl Ports, call: &Call, order: &Order) -> Result<Money, String> {
    let money = undo::let_everything_go(ports, call, order).map_err(|error| words::order(&error))?;
    sync(ports, call, order)?;
    Ok(money)
}

/// An event is given up after some repeats, and the payment provider may be away for longer: what needs it is left to
/// a timer, which asks for as long as it takes.
fn leave_to_timer(ports: &impl Ports, call: &Call, event: &Event, id: &Id, why: String) -> Result<(), String> {
    let order = super::reload(ports, id).map_err(|error| words::order(&error))?;
    if order.is_unfinished() {
        return Ok(()); // it has its timer
    }
    if order.stage != Stage::Canceled {
        return Err(why); // nothing here asks the provider
    }
    let at = call.now + super::DUE_MILLIS;
    store::look_again(ports, id, &ids::digest(&[&event.id]), at).map_err(|error| error.describe())
}

/// Stores what the payment tells, if it is something new.
fn sync(ports: &impl Ports, call: &Call, order: &Order) -> Result<(), String> {
    if !order.needs_payment() {
        return Ok(());
    }
    let payment = match ports.get_payment(&call.as_system(super::SELF), &order.payment_id()) {
        Ok(payment) => payment,
        Err(PaymentError::NotFound) => return Ok(()), // it was canceled before any money was asked for
        Err(error) => return Err(words::payment(&error)),
    };
    let funds = funds_of(order, &payment)?;
    // An amount that is on its way may still come back; its end is told as well.
    let known = funds == order.funds || payment.in_flight;
    if known {
        return Ok(());
    }
    match commit(ports, call, order, &sync_name(&funds), Step::Sync(funds)) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err("the order changed meanwhile".to_owned()),
        Err(error) => Err(words::order(&error)),
    }
}
