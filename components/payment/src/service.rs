//! The use cases: load, decide, commit; and between two commits, the call to the provider.

mod inbox;
mod provider;

pub use inbox::{news_due, provider_changed, take_hook};
pub use provider::lookup;
use provider::{Via, ask, send, start, take_in_time};
use souk_kit::payment::{Authorization, PaymentError, PaymentState, PaymentView};
use souk_kit::payment_extension::{
    Hook, HookError, News, ProviderAuthorization, ProviderCommand, ProviderError, ProviderObject, ProviderPayment,
};
use souk_kit::ports::{Call, Config, Sql};
use souk_kit::sql::SqlError;
use souk_kit::types::{Context, FieldError, Id, Money};

use crate::domain::{self, CHECK_SLACK_MS, Command, Kind, Progress, Step};
use crate::store::{self, Loaded};

/// How often a decision is made anew after another writer came first.
pub const DECISIONS_MAX: u32 = 4;

/// Orders of one answer to [`paid_orders`].
const PAID_ORDERS_MAX: u32 = 200;

/// All payment providers by name: see `payment-providers` in `wit/extensions.wit`.
pub trait Providers {
    /// Holds an amount.
    fn authorize(
        &self,
        ctx: &Context,
        provider: &str,
        authorization: &ProviderAuthorization,
    ) -> Result<ProviderPayment, ProviderError>;
    /// Reads an object.
    fn lookup(&self, ctx: &Context, provider: &str, object: &ProviderObject) -> Result<ProviderPayment, ProviderError>;
    /// Takes an amount that is held.
    fn capture(
        &self,
        ctx: &Context,
        provider: &str,
        object: &ProviderObject,
        command: &ProviderCommand,
        amount: &Money,
    ) -> Result<ProviderPayment, ProviderError>;
    /// Lets go of what is held.
    fn void(
        &self,
        ctx: &Context,
        provider: &str,
        object: &ProviderObject,
        command: &ProviderCommand,
    ) -> Result<ProviderPayment, ProviderError>;
    /// Gives an amount back.
    fn refund(
        &self,
        ctx: &Context,
        provider: &str,
        object: &ProviderObject,
        command: &ProviderCommand,
        amount: &Money,
    ) -> Result<ProviderPayment, ProviderError>;
    /// Checks a webhook and says what it is about.
    fn read_hook(&self, ctx: &Context, provider: &str, hook: &Hook) -> Result<Option<News>, HookError>;
}

/// What the use cases need.
pub trait Ports: Sql + Config + Providers {}

impl<T: Sql + Config + Providers> Ports for T {}

/// A capture, void or refund as it is asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Minted by the caller.
    pub command_id: Id,
    /// The payment.
    pub payment_id: Id,
    /// What to do.
    pub kind: Kind,
    /// How much; none for a void.
    pub amount: Option<Money>,
    /// Why; empty but for refunds.
    pub reason: String,
}

/// Names of the payment providers on offer: `payment_providers` of the configuration, with commas; `test` when it is absent.
pub fn list_providers(ports: &impl Config) -> Vec<String> {
    let names = ports.get("payment_providers").unwrap_or_else(|| "test".to_owned());
    names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Stores the intent, asks the provider to hold the amount, and stores the outcome.
pub fn authorize(ports: &impl Ports, call: &Call, asked: &Authorization) -> Result<PaymentView, PaymentError> {
    domain::check_authorization(asked).map_err(PaymentError::Invalid)?;
    for _ in 0..DECISIONS_MAX {
        let (loaded, active) =
            store::load_with_active(ports, &asked.payment_id, &asked.order_id).map_err(unavailable)?;
        if let Some(loaded) = loaded {
            return authorize_again(ports, call, asked, loaded);
        }
        if let Some(other) = active {
            return Err(taken("/order_id", format!("the order has the payment {other} already")));
        }
        if !list_providers(ports).contains(&asked.provider) {
            return Err(PaymentError::UnknownProvider);
        }
        let step = domain::intend(asked, call.now);
        match store::insert(ports, &step, call.now) {
            Ok(()) => return start(ports, call, Loaded { payment: step.next, refunds: Vec::new() }).map(view),
            Err(SqlError::GuardMissed(_)) => {}
            Err(error) => return Err(unavailable(error)),
        }
    }
    Err(PaymentError::Conflict)
}

/// The intent is stored already. While its answer is unknown the provider is asked about the same object.
fn authorize_again(
    ports: &impl Ports,
    call: &Call,
    asked: &Authorization,
    loaded: Loaded,
) -> Result<PaymentView, PaymentError> {
    if loaded.payment.request != domain::request_digest(asked) {
        return Err(taken("/payment_id", "another authorization has this id".to_owned()));
    }
    if loaded.payment.state != PaymentState::Pending {
        return Ok(view(loaded));
    }
    // When the provider is away the payment is still pending, and that is the answer.
    let loaded = ask_quietly(ports, call, loaded)?;
    if loaded.payment.problem.is_empty() {
        Ok(view(loaded))
    } else {
        Err(PaymentError::Unavailable(loaded.payment.problem))
    }
}

/// Asks the provider about a payment that awaits it, and brings it up to date.
pub fn refresh(ports: &impl Ports, call: &Call, payment_id: &Id) -> Result<PaymentView, PaymentError> {
    let loaded = reload(ports, payment_id)?;
    if !loaded.payment.is_open() && !loaded.payment.is_watched(call.now) {
        return Ok(view(loaded));
    }
    ask(ports, call, loaded).map(view)
}

/// Reads a payment.
pub fn get(ports: &impl Ports, payment_id: &Id) -> Result<PaymentView, PaymentError> {
    reload(ports, payment_id).map(view)
}

/// Orders that money was asked for, by id, after this one.
pub fn paid_orders(ports: &impl Sql, after: &Id, limit: u32) -> Result<Vec<Id>, PaymentError> {
    store::orders_after(ports, after, limit.min(PAID_ORDERS_MAX)).map_err(unavailable)
}

/// Captures, voids or refunds: reserves, asks the provider, settles. A repeat with the same command id asks about the same command.
pub fn command(ports: &impl Ports, call: &Call, wish: &Wish) -> Result<PaymentView, PaymentError> {
    domain::check_command(&wish.command_id, wish.amount.as_ref(), &wish.reason).map_err(PaymentError::Invalid)?;
    for _ in 0..DECISIONS_MAX {
        let (loaded, known) =
            store::load_with_command(ports, &wish.payment_id, &wish.command_id).map_err(unavailable)?;
        if let Some(known) = &known {
            check_repeat(wish, known, loaded.as_ref())?;
            if known.progress == Progress::InFlight {
                ask(ports, call, loaded.ok_or(PaymentError::NotFound)?)?;
            }
            return conclude(ports, wish);
        }
        let loaded = loaded.ok_or(PaymentError::NotFound)?;
        check_currency(wish, &loaded)?;
        if wish.kind == Kind::Void && loaded.payment.state == PaymentState::Voided {
            return Ok(view(loaded));
        }
        // Another command is on its way: its end decides what is left for this one.
        let loaded = match &loaded.payment.in_flight {
            Some(_) => ask_quietly(ports, call, loaded)?,
            None => loaded,
        };
        let step = domain::request(&loaded.payment, new_command(wish, call))?;
        match commit(ports, call, &loaded, &step) {
            Ok(reserved) => {
                send(ports, call, reserved, Via::Caller)?;
                return conclude(ports, wish);
            }
            Err(PaymentError::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
    Err(PaymentError::Conflict)
}

fn new_command(wish: &Wish, call: &Call) -> Command {
    Command {
        id: wish.command_id.clone(),
        payment_id: wish.payment_id.clone(),
        kind: wish.kind,
        amount: wish.amount.as_ref().map_or(0, |amount| amount.minor),
        reason: wish.reason.clone(),
        progress: Progress::InFlight,
        created_at: call.now,
    }
}

fn check_repeat(wish: &Wish, known: &Command, loaded: Option<&Loaded>) -> Result<(), PaymentError> {
    let same = known.payment_id == wish.payment_id
        && known.kind == wish.kind
        && known.amount == wish.amount.as_ref().map_or(0, |amount| amount.minor)
        && known.reason == wish.reason;
    if !same {
        return Err(taken("/command_id", "another command has this id".to_owned()));
    }
    loaded.map_or(Ok(()), |loaded| check_currency(wish, loaded))
}

fn check_currency(wish: &Wish, loaded: &Loaded) -> Result<(), PaymentError> {
    match &wish.amount {
        Some(amount) if amount.currency != loaded.payment.currency => Err(PaymentError::Invalid(vec![FieldError {
            pointer: "/amount/currency".to_owned(),
            code: "malformed".to_owned(),
            detail: format!("the payment is in {}", loaded.payment.currency),
        }])),
        Some(_) | None => Ok(()),
    }
}

/// How a command stands after the provider was asked.
fn conclude(ports: &impl Ports, wish: &Wish) -> Result<PaymentView, PaymentError> {
    let (loaded, known) = store::load_with_command(ports, &wish.payment_id, &wish.command_id).map_err(unavailable)?;
    let (loaded, known) = loaded.zip(known).expect("a command that was stored is never removed");
    match known.progress {
        Progress::Done => Ok(view(loaded)),
        // A void that came too late is no refusal of the provider's: something was taken.
        Progress::Refused(_) if wish.kind == Kind::Void && loaded.payment.captured > 0 => {
            Err(PaymentError::WrongState(loaded.payment.state))
        }
        Progress::Refused(decline) => Err(PaymentError::Refused(decline)),
        Progress::InFlight => {
            let why = if loaded.payment.problem.is_empty() {
                "the provider's answer is not known yet"
            } else {
                &loaded.payment.problem
            };
            Err(PaymentError::Unavailable(why.to_owned()))
        }
    }
}

/// A timer: asks again, and plans the next question while one is needed.
pub fn check_due(ports: &impl Ports, call: &Call, payment_id: &Id) -> Result<(), PaymentError> {
    let loaded = reload(ports, payment_id)?;
    let replaced = loaded.payment.check_at > call.now + CHECK_SLACK_MS;
    if replaced || loaded.payment.next_check(call.now).is_none() {
        return Ok(());
    }
    // Whatever the provider said, or did not: the next question is planned below.
    let heard = ask(ports, call, loaded).and_then(|loaded| take_in_time(ports, call, loaded)).is_ok();
    for _ in 0..DECISIONS_MAX {
        let loaded = reload(ports, payment_id)?;
        let Some(at) = loaded.payment.next_check(call.now) else { return Ok(()) };
        if loaded.payment.check_at > call.now + CHECK_SLACK_MS {
            return Ok(());
        }
        let mut step = Step::from(&loaded.payment);
        step.arm(at);
        if heard {
            step.next.heard_at = call.now;
        }
        match commit(ports, call, &loaded, &step) {
            Ok(_) => return Ok(()),
            Err(PaymentError::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
    Err(PaymentError::Conflict)
}

/// Asks, and goes on with the payment as it is when nobody answers.
fn ask_quietly(ports: &impl Ports, call: &Call, loaded: Loaded) -> Result<Loaded, PaymentError> {
    let id = loaded.payment.id.clone();
    match ask(ports, call, loaded) {
        Ok(loaded) => Ok(loaded),
        Err(_) => reload(ports, &id),
    }
}

/// Commits a step; `conflict` when another writer came first.
fn commit(ports: &impl Sql, call: &Call, loaded: &Loaded, step: &Step) -> Result<Loaded, PaymentError> {
    match store::commit(ports, &loaded.payment, step, call.now) {
        Ok(()) => {}
        Err(SqlError::GuardMissed(_)) => return Err(PaymentError::Conflict),
        Err(error) => return Err(unavailable(error)),
    }
    // A refund that began or ended changes the list; only then is it read anew.
    if !step.commands.is_empty() {
        return reload(ports, &step.next.id);
    }
    let mut payment = step.next.clone();
    payment.version = loaded.payment.version + 1;
    Ok(Loaded { payment, refunds: loaded.refunds.clone() })
}

fn reload(ports: &impl Sql, payment_id: &Id) -> Result<Loaded, PaymentError> {
    store::load(ports, payment_id).map_err(unavailable)?.ok_or(PaymentError::NotFound)
}

fn view(loaded: Loaded) -> PaymentView {
    let Loaded { payment, refunds } = loaded;
    PaymentView {
        id: payment.id,
        order_id: payment.order_id,
        provider: payment.provider,
        provider_reference: payment.reference,
        state: payment.state,
        amount: Money::new(payment.amount, &payment.currency),
        authorized: payment.authorized,
        captured: payment.captured,
        refunded: payment.refunded,
        in_flight: payment.in_flight.is_some(),
        action_url: payment.action_url,
        decline: payment.decline,
        refunds,
        created_at: payment.created_at,
    }
}

fn taken(pointer: &str, detail: String) -> PaymentError {
    PaymentError::Invalid(vec![FieldError { pointer: pointer.to_owned(), code: "taken".to_owned(), detail }])
}

fn unavailable(error: SqlError) -> PaymentError {
    match error {
        SqlError::StorageFull => PaymentError::StorageFull,
        error => PaymentError::Unavailable(error.describe()),
    }
}
