//! The use cases: load, decide, commit.

use souk_kit::Sql;
use souk_kit::payment_extension::{ProviderAuthorization, ProviderError, ProviderPayment};
use souk_kit::ports::Call;
use souk_kit::sql::SqlError;
use souk_kit::types::{Id, Money};

use crate::domain::{self, Choice, Kind, Object, Scenario, scenario};
use crate::store::{self, Command};

/// How often a decision is made anew after another writer came first.
pub const DECISIONS_MAX: u32 = 4;

/// A capture, void or refund as it is asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The object's key.
    pub key: Id,
    /// The idempotency key.
    pub command_id: Id,
    /// What to do.
    pub kind: Kind,
    /// How much; none for a void.
    pub amount: Option<Money>,
}

/// Holds an amount, or whatever the token says. A repeat with the same key answers the same object.
pub fn authorize(
    ports: &impl Sql,
    call: &Call,
    asked: &ProviderAuthorization,
) -> Result<ProviderPayment, ProviderError> {
    for _ in 0..DECISIONS_MAX {
        let (object, was_lost) = store::load(ports, &asked.key).map_err(not_sent)?;
        if let Some(object) = object {
            if !object.is_for(asked) {
                return Err(ProviderError::Refused(domain::rejected("The key was used for something else.")));
            }
            match present(ports, call, object).map_err(not_known)? {
                Some(object) => return Ok(object.view()),
                None => continue,
            }
        }
        let object = domain::open(asked, call.now).map_err(ProviderError::Refused)?;
        let scenario = scenario(&asked.token);
        if scenario == Scenario::TimeoutBefore && !was_lost {
            store::lose(ports, &asked.key).map_err(not_known)?;
            return Err(lost_on_purpose());
        }
        match store::insert(ports, asked, &object) {
            Ok(()) if scenario == Scenario::TimeoutAfter => return Err(lost_on_purpose()),
            Ok(()) => return Ok(object.view()),
            Err(SqlError::GuardMissed(_)) => {}
            Err(error) => return Err(not_known(error)),
        }
    }
    Err(changed_too_often())
}

/// Reads the object made with a key.
pub fn lookup(ports: &impl Sql, call: &Call, key: &Id) -> Result<ProviderPayment, ProviderError> {
    for _ in 0..DECISIONS_MAX {
        let (object, _) = store::load(ports, key).map_err(not_sent)?;
        let object = object.ok_or(ProviderError::NotFound)?;
        if let Some(object) = present(ports, call, object).map_err(not_sent)? {
            return Ok(object.view());
        }
    }
    Err(changed_too_often())
}

/// The object as it is now, or none when another writer came first. A decision that has fallen by itself is kept before
/// anybody hears of it: the clock of another host may be behind, and what was told is not taken back.
fn present(ports: &impl Sql, call: &Call, object: Object) -> Result<Option<Object>, SqlError> {
    let next = object.clone().at(call.now);
    if next.state == object.state {
        return Ok(Some(object));
    }
    match store::decide(ports, &object, &next) {
        Ok(()) => Ok(Some(Object { version: object.version + 1, ..next })),
        Err(SqlError::GuardMissed(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Captures, voids or refunds. A repeat with the same command id does nothing and gets the first answer, with the
/// object as it is now.
pub fn command(ports: &impl Sql, call: &Call, wish: &Wish) -> Result<ProviderPayment, ProviderError> {
    for _ in 0..DECISIONS_MAX {
        let (object, known) = store::load_with_command(ports, &wish.key, &wish.command_id).map_err(not_sent)?;
        let object = object.ok_or(ProviderError::NotFound)?;
        let Some(object) = present(ports, call, object).map_err(not_sent)? else { continue };
        let mut command = new_command(wish);
        if let Some(known) = known {
            return repeat(object, &command, known);
        }
        let decision = match &wish.amount {
            Some(amount) if amount.currency != object.amount.currency => {
                Err(domain::rejected("The payment is in another currency."))
            }
            Some(_) | None => domain::decide(&object, wish.kind, command.amount),
        };
        let stored = match &decision {
            Ok(next) => store::apply(ports, &object, next, &command, call.now),
            Err(why) => {
                command.refused = Some(why.clone());
                store::insert_refused(ports, &command, call.now)
            }
        };
        match stored {
            Ok(()) => {}
            Err(SqlError::GuardMissed(_)) => continue,
            Err(error) => return Err(not_known(error)),
        }
        let lost = wish.kind == Kind::Refund && scenario(&object.token) == Scenario::RefundTimeout;
        return match decision {
            Ok(_) if lost => Err(lost_on_purpose()),
            Ok(next) => Ok(next.view()),
            Err(why) => Err(ProviderError::Refused(why)),
        };
    }
    Err(changed_too_often())
}

fn new_command(wish: &Wish) -> Command {
    Command {
        id: wish.command_id.clone(),
        key: wish.key.clone(),
        kind: wish.kind,
        amount: wish.amount.as_ref().map_or(0, |amount| amount.minor.max(0)),
        refused: None,
    }
}

fn repeat(object: Object, command: &Command, known: Command) -> Result<ProviderPayment, ProviderError> {
    if (&known.key, known.kind, known.amount) != (&command.key, command.kind, command.amount) {
        return Err(ProviderError::Refused(domain::rejected("The command id was used for something else.")));
    }
    known.refused.map_or(Ok(object.view()), |why| Err(ProviderError::Refused(why)))
}

/// The object of a page.
pub fn by_reference(ports: &impl Sql, call: &Call, reference: &str) -> Result<Option<Object>, SqlError> {
    Ok(store::load_by_reference(ports, reference)?.map(|object| object.at(call.now)))
}

/// Takes the shopper's choice and answers the object. A second choice changes nothing.
pub fn choose(ports: &impl Sql, call: &Call, reference: &str, choice: Choice) -> Result<Option<Object>, SqlError> {
    for _ in 0..DECISIONS_MAX {
        let Some(object) = by_reference(ports, call, reference)? else { return Ok(None) };
        let Some(next) = domain::choose(&object, choice) else { return Ok(Some(object)) };
        match store::choose(ports, &object, &next) {
            Ok(()) => return Ok(Some(next)),
            Err(SqlError::GuardMissed(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(SqlError::Unavailable("the object changed too often".to_owned()))
}

/// Nothing happened: the rows could not even be read.
fn not_sent(error: SqlError) -> ProviderError {
    ProviderError::NotSent(error.describe())
}

/// A commit that failed may have happened.
fn not_known(error: SqlError) -> ProviderError {
    ProviderError::Unknown(error.describe())
}

fn changed_too_often() -> ProviderError {
    ProviderError::Unknown("the object changed too often".to_owned())
}

fn lost_on_purpose() -> ProviderError {
    ProviderError::Unknown("the token asks for a lost answer".to_owned())
}
