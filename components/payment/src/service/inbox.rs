//! Webhooks and connectors' events: kept before they are answered, then a reason to ask the provider. Their own word
//! moves nothing.

use souk_kit::payment::PaymentError;
use souk_kit::payment_extension::{Hook, HookError};
use souk_kit::ports::{Call, Sql};
use souk_kit::sql::SqlError;
use souk_kit::types::Id;

use super::provider::ask;
use super::{Ports, reload, unavailable};
use crate::domain::inbox::{Received, receive};
use crate::store::inbox as store;

/// Why a webhook is parked whose object is nobody's.
const NOBODYS: &str = "no payment is known for it";

/// Has the connector check a webhook and keeps what it is about. Only what is genuine is kept, and it is kept once.
pub fn take_hook(ports: &impl Ports, call: &Call, provider: &str, hook: &Hook) -> Result<(), HookError> {
    let Some(news) = ports.read_hook(&call.ctx, provider, hook)? else { return Ok(()) };
    let hook = receive(provider, news, call.now).map_err(HookError::Malformed)?;
    keep(ports, &hook).map_err(|error| match error {
        SqlError::StorageFull => HookError::StorageFull,
        error => HookError::Unavailable(error.describe()),
    })
}

/// A connector's event says that its object changed: the same as a webhook that names the payment. The event is
/// answered for once it is kept, since nobody knows for how long the provider cannot be asked.
pub fn provider_changed(
    ports: &impl Sql,
    call: &Call,
    event_id: &str,
    provider: &str,
    payment_id: &Id,
) -> Result<(), PaymentError> {
    let hook = Received::of_event(event_id, provider, payment_id, call.now);
    keep(ports, &hook).map_err(unavailable)
}

/// Keeps what was received; what is kept already stays as it is.
fn keep(ports: &impl Sql, hook: &Received) -> Result<(), SqlError> {
    match store::insert(ports, hook) {
        Ok(()) | Err(SqlError::GuardMissed(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A timer: asks the provider about the payment that a webhook is about. Without such a payment, or without an
/// answer that is believed, the webhook is parked and tried again.
pub fn news_due(ports: &impl Ports, call: &Call, hook_id: &Id, attempt: u64) -> Result<(), PaymentError> {
    let (hook, payment_id) = store::load(ports, hook_id).map_err(unavailable)?;
    // A timer that was delivered before, or whose webhook was removed, has nothing to do.
    let Some(hook) = hook.filter(|hook| hook.handled_at.is_none() && u64::from(hook.attempts) == attempt) else {
        return Ok(());
    };
    let asked = match payment_id {
        Some(payment_id) => reload(ports, &payment_id).and_then(|loaded| ask(ports, call, loaded)).map_err(why),
        None => Err(NOBODYS.to_owned()),
    };
    let stored = match asked {
        Ok(_) => store::handled(ports, &hook, call.now),
        Err(problem) => store::park(ports, &hook, &problem, hook.retry_at(call.now)),
    };
    match stored {
        Ok(()) | Err(SqlError::GuardMissed(_)) => Ok(()),
        Err(error) => Err(unavailable(error)),
    }
}

fn why(error: PaymentError) -> String {
    match error {
        PaymentError::Unavailable(why) => why,
        PaymentError::Refused(decline) => decline.message,
        PaymentError::UnknownProvider => "no payment provider has this name at present".to_owned(),
        PaymentError::Conflict => "the payment changed too often meanwhile".to_owned(),
        PaymentError::StorageFull => "the storage is full".to_owned(),
        error @ (PaymentError::Invalid(_)
        | PaymentError::NotFound
        | PaymentError::WrongState(_)
        | PaymentError::Exceeds(_)) => format!("{error:?}"),
    }
}
