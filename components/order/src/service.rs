//! The use cases: load, decide, commit.

use souk_kit::check::Check;
use souk_kit::order::{OrderError, OrderView};
use souk_kit::sql::SqlError;
use souk_kit::{Actor, Call, Config, FieldError, Sql};

use crate::domain::decide::{Refusal, Step, decide};
use crate::domain::task::Outside;
use crate::domain::terms::Terms;
use crate::domain::{Funds, Order};
use crate::store::{self, Cause, Loaded};

pub mod audit;
pub mod command;
pub mod events;
pub mod place;
pub mod read;
mod saga;
mod undo;
mod words;

/// How often a decision is made anew after another writer came first.
pub const DECISIONS_MAX: u32 = 5;

/// How long after a checkout or a command began a timer looks whether it has ended.
pub const DUE_MILLIS: i64 = 30 * 1000;

/// The name under which an order calls the services below it.
const SELF: &str = "order";

/// Resumes what is unfinished: the shopper came back, or wants to know.
pub fn resume(ports: &impl crate::ports::Ports, call: &Call, order_id: &str) -> Result<OrderView, OrderError> {
    let order = load_visible(ports, call, order_id, Guests::ById)?.order;
    let order = go_on(ports, call, order)?;
    Ok(answer(call, &order))
}

/// Goes on with whatever is unfinished.
fn go_on(ports: &impl crate::ports::Ports, call: &Call, order: Order) -> Result<Order, OrderError> {
    let order = saga::advance(ports, call, order)?;
    if order.open.is_some() && !order.stage.is_moving() { command::run(ports, call, order) } else { Ok(order) }
}

/// Which orders of guests a guest may reach by their ids.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guests {
    /// Those whose id they know. It moves a checkout on or ends it, and shows nothing of who the shopper is.
    ById,
    /// None: a guest reads by `find`.
    Never,
}

fn load_visible(ports: &impl Sql, call: &Call, order_id: &str, guests: Guests) -> Result<Loaded, OrderError> {
    visible_with(ports, call, order_id, None, guests)
}

fn visible_with(
    ports: &impl Sql,
    call: &Call,
    order_id: &str,
    command_id: Option<&str>,
    guests: Guests,
) -> Result<Loaded, OrderError> {
    let loaded = store::load(ports, order_id, command_id).map_err(unavailable)?.ok_or(OrderError::NotFound)?;
    let sees = match (&call.ctx.actor, &loaded.order.user_id) {
        (Actor::Staff(_) | Actor::System(_), _) => true,
        (Actor::User(user), Some(owner)) => user == owner,
        (Actor::User(_) | Actor::Guest, None) => guests == Guests::ById,
        (Actor::Guest, Some(_)) => false,
    };
    if sees { Ok(loaded) } else { Err(OrderError::NotFound) }
}

/// An order as its reader may see it. Who only knows the id of a guest's order learns how it goes, not whose it is:
/// ids travel through providers, logs and addresses of pages.
fn answer(call: &Call, order: &Order) -> OrderView {
    let view = order.view();
    let knows_only_the_id = match (&call.ctx.actor, &order.user_id) {
        (Actor::User(_) | Actor::Guest, None) => true,
        (Actor::User(_) | Actor::Guest, Some(_)) | (Actor::Staff(_) | Actor::System(_), _) => false,
    };
    if !knows_only_the_id {
        return view;
    }
    let nobody = souk_kit::Address {
        name: String::new(),
        company: String::new(),
        line1: String::new(),
        line2: String::new(),
        city: String::new(),
        region: String::new(),
        postal_code: String::new(),
        country: String::new(),
        phone: String::new(),
    };
    OrderView {
        access_token: String::new(),
        cart_id: String::new(),
        email: String::new(),
        shipping_address: nobody.clone(),
        billing_address: nobody,
        ..view
    }
}

/// Commits a step; none when another writer came first.
fn commit(ports: &impl Sql, call: &Call, order: &Order, name: &str, step: Step) -> Result<Option<Order>, OrderError> {
    let change = decide(order, step, call.now).map_err(refused)?;
    // A checkout has its timer from the start; a command that stays open gets one of its own.
    let opened = order.open.is_none() && change.next.open.is_some();
    let due_at = opened.then_some(call.now + DUE_MILLIS);
    let cause = Cause { step: name, actor: &call.actor(), now: call.now, due_at };
    match store::save(ports, order, &change, &cause) {
        Ok(()) => Ok(Some(change.next)),
        Err(SqlError::GuardMissed(_)) => Ok(None),
        Err(error) => Err(unavailable(error)),
    }
}

/// Reads an order that is known to exist.
fn reload(ports: &impl Sql, order_id: &str) -> Result<Order, OrderError> {
    let loaded = store::load(ports, order_id, None).map_err(unavailable)?;
    loaded.map(|loaded| loaded.order).ok_or(OrderError::NotFound)
}

fn terms(ports: &impl Config) -> Result<Terms, OrderError> {
    let value = |name| ports.get(name);
    let (rates, methods, capture) = (value("tax_rates"), value("shipping_methods"), value("capture"));
    Terms::parse(rates.as_deref(), methods.as_deref(), capture.as_deref()).map_err(OrderError::Unavailable)
}

/// Names the step that stores what the payment told.
fn sync_name(funds: &Funds) -> String {
    let state = funds.state.map_or("none", words::payment_state);
    format!("sync-{state}-{}-{}-{}", funds.authorized, funds.captured, funds.refunded)
}

fn unavailable(error: SqlError) -> OrderError {
    match error {
        SqlError::StorageFull => OrderError::StorageFull,
        error => OrderError::Unavailable(error.describe()),
    }
}

fn invalid(pointer: &str, code: &str, detail: &str) -> OrderError {
    OrderError::Invalid(vec![FieldError {
        pointer: pointer.to_owned(),
        code: code.to_owned(),
        detail: detail.to_owned(),
    }])
}

fn refused(refusal: Refusal) -> OrderError {
    match refusal {
        Refusal::Invalid { pointer, code, detail } => invalid(&pointer, code, &detail),
        Refusal::WrongState(states) => OrderError::WrongState(states),
        Refusal::Exceeds(left) => OrderError::Exceeds(left),
        Refusal::Unpaid => refused_outside(Outside::PaymentRefused {
            code: "rejected".to_owned(),
            message: "less than the total is held, and nothing leaves unpaid".to_owned(),
        }),
        Refusal::Busy => OrderError::Unavailable("another command on this order awaits its answer".to_owned()),
    }
}

fn refused_outside(outside: Outside) -> OrderError {
    match outside {
        Outside::Exceeds { left } => OrderError::Exceeds(left),
        Outside::PaymentRefused { code, message } => {
            OrderError::PaymentRefused(souk_kit::payment_extension::Decline { code, message })
        }
    }
}

fn check_command_id(check: &mut Check, id: &str) {
    check.text("/command_id", id, 1, souk_kit::ids::ID_BYTES_MAX);
    if !id.bytes().all(|b| b.is_ascii_graphic()) {
        check.fail("/command_id", "malformed", "an id is printable ASCII without spaces");
    }
}
