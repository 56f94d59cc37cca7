//! The use cases. The object is read first wherever it may already tell; a write is sent under its key, and what its
//! answer does not tell for certain is read from the object.

use souk_kit::payment_extension::{
    Hook, HookError, News, ProviderAuthorization, ProviderCommand, ProviderError, ProviderObject, ProviderPayment,
};
use souk_kit::ports::Call;
use souk_kit::types::{Id, Money};

use crate::client::{Client, Ports};
use crate::domain::{self, Failure, Mark, tell, tell_after_write};
use crate::hook::{self, Subject};
use crate::wire::{self, AuthorizationStatus, Capture, CaptureStatus, Order, Refund, RefundStatus, Verdict};

/// Makes an order that the shopper is to approve. A repeat with the same key answers the same order as it is now. Once
/// the key may be forgotten none is made: one whose answer was never heard moves nothing, since no shopper knows its page.
pub fn authorize(
    ports: &impl Ports,
    call: &Call,
    asked: &ProviderAuthorization,
) -> Result<ProviderPayment, ProviderError> {
    let request = domain::open(asked).map_err(ProviderError::Refused)?;
    if domain::is_too_late(asked.asked_at, call.now) {
        return Err(ProviderError::Refused(domain::too_late()));
    }
    let client = Client::open(ports).map_err(tell)?;
    let order: Order = client.send(&request).map_err(tell)?;
    order.unit(&asked.key).map_err(tell_after_write)?;
    // A repeated answer may show the order as it was at first.
    follow(&client, &asked.key, &order.id).map_err(tell_after_write)
}

/// Reads an order, and holds or takes what its shopper has approved.
pub fn lookup(ports: &impl Ports, _call: &Call, object: &ProviderObject) -> Result<ProviderPayment, ProviderError> {
    let reference = reference(object)?;
    let client = Client::open(ports).map_err(tell)?;
    follow(&client, &object.key, reference).map_err(tell)
}

fn follow(client: &Client<'_, impl Ports>, key: &Id, reference: &str) -> Result<ProviderPayment, Failure> {
    let order = read(client, key, reference)?;
    if !order.is_to_be_taken(key)? {
        return order.view(key);
    }
    match client.order(&wire::take(&order, key)) {
        Ok(()) => {}
        // PayPal would let the shopper choose something else; here an order is paid in one way or is not.
        Err(Failure::Refused(why)) if domain::is_declined(&why) => mark(client, key, &order, Mark::Declined)?,
        // Somebody was faster, or the shopper has to go there again: the order says which.
        Err(Failure::Refused(_)) => {}
        Err(failure @ (Failure::Missing | Failure::NotDone(_) | Failure::Unknown(_))) => {
            return Err(Failure::Unknown(failure.describe()));
        }
    }
    read(client, key, reference)?.view(key)
}

/// Takes an amount of what is held, once: the rest is let go by PayPal.
pub fn capture(
    ports: &impl Ports,
    _call: &Call,
    object: &ProviderObject,
    command: &ProviderCommand,
    amount: &Money,
) -> Result<ProviderPayment, ProviderError> {
    let reference = reference(object)?;
    let paypals = domain::amount(amount).map_err(ProviderError::Refused)?;
    let client = Client::open(ports).map_err(tell)?;
    let order = read(&client, &object.key, reference).map_err(tell)?;
    let payments = &order.unit(&object.key).map_err(tell)?.payments;
    let known = payments.of_capture(&command.id).cloned();
    let capture: Capture = match (known, payments.held()) {
        (Some(capture), _) => capture,
        (None, Some(held)) => client.send(&wire::capture(&held.id, &command.id, &paypals)).map_err(tell)?,
        // That what was held is gone is the answer; else it was taken before.
        (None, None) if payments.is_taken() => return Err(ProviderError::Refused(domain::not_held())),
        (None, None) => return order.view(&object.key).map_err(tell),
    };
    if capture.amount.read().map_err(tell_after_write)? != *amount || capture.invoice_id != command.id {
        return Err(ProviderError::Unknown(format!("{} is not what was asked for", capture.id)));
    }
    match capture.status {
        CaptureStatus::Completed => show(&client, &object.key, reference),
        CaptureStatus::Declined => Err(ProviderError::Refused(domain::not_held())),
        CaptureStatus::Pending => Err(ProviderError::Unknown("PayPal looks at the capture".to_owned())),
        CaptureStatus::Other => Err(ProviderError::Unknown("PayPal tells of a state that is not known".to_owned())),
    }
}

/// Lets go of what is held. An order that nobody approved is marked: PayPal cannot cancel it, and it is not taken.
pub fn void(
    ports: &impl Ports,
    _call: &Call,
    object: &ProviderObject,
    command: &ProviderCommand,
) -> Result<ProviderPayment, ProviderError> {
    let reference = reference(object)?;
    let client = Client::open(ports).map_err(tell)?;
    let order = read(&client, &object.key, reference).map_err(tell)?;
    let unit = order.unit(&object.key).map_err(tell)?;
    let held = unit
        .payments
        .authorizations
        .iter()
        .rev()
        .find(|held| matches!(held.status, AuthorizationStatus::Created | AuthorizationStatus::Pending));
    if unit.payments.is_taken() {
        return Err(ProviderError::Refused(domain::taken()));
    }
    match held {
        Some(held) => match client.order(&wire::void(&held.id, &command.id)) {
            // It was let go or taken meanwhile: the order says which.
            Ok(()) | Err(Failure::Refused(_)) => {}
            Err(failure) => return Err(tell(failure)),
        },
        None if unit.mark().is_none() && unit.payments.authorizations.is_empty() => {
            mark(&client, &object.key, &order, Mark::Voided).map_err(tell)?;
        }
        None => {}
    }
    let after = read(&client, &object.key, reference).map_err(tell_after_write)?;
    if after.unit(&object.key).map_err(tell_after_write)?.payments.is_taken() {
        return Err(ProviderError::Refused(domain::taken()));
    }
    after.view(&object.key).map_err(tell_after_write)
}

/// Marks an order that is not to be paid any more. PayPal refuses that once it is paid, which its payments then tell.
fn mark(client: &Client<'_, impl Ports>, key: &Id, order: &Order, mark: Mark) -> Result<(), Failure> {
    match client.order(&wire::mark(&order.id, &mark.on(order.unit(key)?.order_id()))) {
        Ok(()) | Err(Failure::Refused(_)) => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// Gives an amount back. The refunds that are there are read first, and one that carries the command is its effect. That
/// is why a refund is sent at any age: one that came so long ago that its key is forgotten (45 days) shows in the order.
pub fn refund(
    ports: &impl Ports,
    _call: &Call,
    object: &ProviderObject,
    command: &ProviderCommand,
    amount: &Money,
) -> Result<ProviderPayment, ProviderError> {
    let reference = reference(object)?;
    let paypals = domain::amount(amount).map_err(ProviderError::Refused)?;
    let client = Client::open(ports).map_err(tell)?;
    let order = read(&client, &object.key, reference).map_err(tell)?;
    let payments = &order.unit(&object.key).map_err(tell)?.payments;
    let taken = payments.captures.iter().find(|capture| capture.status == CaptureStatus::Completed);
    let refund: Refund = match (payments.of_refund(&command.id).cloned(), taken) {
        (Some(refund), _) => refund,
        (None, Some(taken)) => client.send(&wire::refund(&taken.id, &command.id, &paypals)).map_err(tell)?,
        (None, None) => return Err(ProviderError::Refused(domain::not_held())),
    };
    if refund.amount.read().map_err(tell_after_write)? != *amount || refund.custom_id != command.id {
        return Err(ProviderError::Unknown("the refund is not what was asked for".to_owned()));
    }
    match refund.status {
        RefundStatus::Completed | RefundStatus::Pending => show(&client, &object.key, reference),
        RefundStatus::Failed => Err(ProviderError::Refused(domain::refund_failed())),
        RefundStatus::Other => Err(ProviderError::Unknown("PayPal tells of a state that is not known".to_owned())),
    }
}

/// Asks PayPal whether a webhook is genuine, and says what it is about. What is too old, from the future or names no
/// certificate of PayPal's is forged without a question.
pub fn read_hook(ports: &impl Ports, call: &Call, hook: &Hook) -> Result<Option<News>, HookError> {
    let ids = ports.get("paypal_webhook_ids").unwrap_or_default();
    let base = ports.get("paypal_api_base").unwrap_or_default();
    let transmission = hook::Transmission::read(&hook.headers, &base, call.now)?;
    let subject = hook::read(&hook.body)?;
    let unavailable = |failure: Failure| HookError::Unavailable(failure.describe());
    let client = Client::open(ports).map_err(unavailable)?;
    for id in ids.split(',').map(str::trim).filter(|id| !id.is_empty()).take(hook::REGISTRATIONS_MAX) {
        let asked = transmission.question(id, &hook.body)?;
        let verdict: Verdict = client.send(&asked).map_err(unavailable)?;
        if verdict.verification_status == "SUCCESS" {
            return news(&client, subject).map_err(unavailable);
        }
    }
    Err(HookError::Forged("PayPal says that it is not its own".to_owned()))
}

/// The order that an event is about. A refund names its capture alone, and that is asked.
fn news(client: &Client<'_, impl Ports>, subject: Subject) -> Result<Option<News>, Failure> {
    let (event_id, capture) = match subject {
        Subject::Other => return Ok(None),
        Subject::Order(news) => return Ok(Some(news)),
        Subject::Refund { event_id, capture } => (event_id, capture),
    };
    match client.send::<Capture>(&wire::read_capture(&capture)) {
        Ok(capture) => {
            let order = capture.supplementary_data.related_ids.order_id.filter(|order| domain::is_reference(order));
            Ok(order.map(|reference| News { event_id, reference, key: None }))
        }
        // It was taken for another account, or by other means than an order.
        Err(Failure::Missing) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// PayPal's name for an order. One whose answer was never heard moves nothing, so it is as good as none.
fn reference(object: &ProviderObject) -> Result<&str, ProviderError> {
    if domain::is_reference(&object.reference) { Ok(&object.reference) } else { Err(ProviderError::NotFound) }
}

fn read(client: &Client<'_, impl Ports>, key: &Id, reference: &str) -> Result<Order, Failure> {
    let order: Order = client.send(&wire::read(reference))?;
    if order.id != reference {
        return Err(Failure::Unknown("PayPal told of another order".to_owned()));
    }
    order.unit(key)?;
    Ok(order)
}

fn show(client: &Client<'_, impl Ports>, key: &Id, reference: &str) -> Result<ProviderPayment, ProviderError> {
    read(client, key, reference).and_then(|order| order.view(key)).map_err(tell_after_write)
}
