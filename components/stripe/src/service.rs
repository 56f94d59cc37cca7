//! The use cases. A write is sent under its key; what an answer does not tell for certain is read from the object.

use serde::de::DeserializeOwned;
use souk_kit::payment_extension::{
    Hook, HookError, News, ProviderAuthorization, ProviderCommand, ProviderError, ProviderObject, ProviderPayment,
};
use souk_kit::ports::{Call, Config};
use souk_kit::types::{Id, Instant, Money};

use crate::client::{Answer, Client, Ports, mode};
use crate::domain::{self, Failure, tell, tell_after_write};
use crate::wire::{self, Intent, PAYMENT, Page, Refund, Request, Status};
use crate::{hook, signature};

/// Pages of 100 that are looked through for an object whose answer was never heard, for each of the two ranges.
pub const INTENT_PAGES_MAX: u32 = 10;
/// Pages of 100 that the refunds of one payment may fill.
pub const REFUND_PAGES_MAX: u32 = 3;

/// How a write went.
enum Sent<T, F> {
    /// Stripe answered it.
    Answered(Answer<T>),
    /// Its answer was a failure, and what it was to do is done all the same.
    Seen(F),
}

/// Holds an amount, or takes it. A repeat with the same key answers the same object as it is now; once the key may be
/// forgotten, only what is there already.
pub fn authorize(
    ports: &impl Ports,
    call: &Call,
    asked: &ProviderAuthorization,
) -> Result<ProviderPayment, ProviderError> {
    let client = Client::open(ports).map_err(tell)?;
    let request = domain::open(asked).map_err(ProviderError::Refused)?;
    let object = ProviderObject { key: asked.key.clone(), reference: String::new(), asked_at: asked.asked_at };
    if domain::is_too_late(asked.asked_at, call.now) {
        let reference = find(&client, &object, call.now).map_err(tell)?;
        let reference = reference.ok_or_else(|| ProviderError::Refused(domain::too_late()))?;
        return show(&client, &asked.key, &reference).map_err(tell);
    }
    let seen = || find(&client, &object, call.now);
    match write::<Intent, String>(&client, &request, &asked.key, asked.asked_at, call.now, seen) {
        Ok(Sent::Answered(Answer { told, replayed: false })) => view(&client, &asked.key, told),
        Ok(Sent::Answered(Answer { told: Intent { id: reference, .. }, replayed: true }) | Sent::Seen(reference)) => {
            show(&client, &asked.key, &reference)
        }
        // The bank refused: the payment intent was made, and says so.
        Err(Failure::Refused(_, Some(intent))) => show_refused(&client, &asked.key, *intent),
        Err(Failure::Missing) => return Err(ProviderError::Refused(domain::nothing_made())),
        Err(failure @ (Failure::Refused(_, None) | Failure::NotDone(_) | Failure::Unknown(_) | Failure::Stuck(_))) => {
            return Err(tell(failure));
        }
    }
    .map_err(tell_after_write)
}

/// Reads the object made with a key.
pub fn lookup(ports: &impl Ports, call: &Call, object: &ProviderObject) -> Result<ProviderPayment, ProviderError> {
    let client = Client::open(ports).map_err(tell)?;
    let reference = resolve(&client, object, call.now).map_err(tell)?;
    show(&client, &object.key, &reference).map_err(tell)
}

/// Takes an amount, once: what is left is let go by Stripe.
pub fn capture(
    ports: &impl Ports,
    call: &Call,
    object: &ProviderObject,
    command: &ProviderCommand,
    amount: &Money,
) -> Result<ProviderPayment, ProviderError> {
    let client = Client::open(ports).map_err(tell)?;
    let amount = domain::amount(amount).map_err(ProviderError::Refused)?;
    let reference = resolve(&client, object, call.now).map_err(tell)?;
    let request = wire::capture(&reference, &command.id, amount);
    change(&client, call, object, command, &request, &reference, Status::Succeeded)
}

/// Lets go of what is held, or of an object that holds nothing yet.
pub fn void(
    ports: &impl Ports,
    call: &Call,
    object: &ProviderObject,
    command: &ProviderCommand,
) -> Result<ProviderPayment, ProviderError> {
    let client = Client::open(ports).map_err(tell)?;
    let reference = resolve(&client, object, call.now).map_err(tell)?;
    let request = wire::cancel(&reference, &command.id);
    change(&client, call, object, command, &request, &reference, Status::Canceled)
}

/// Captures or cancels. Stripe does either once, whatever the key, so no age forbids it.
fn change(
    client: &Client<'_, impl Ports>,
    call: &Call,
    object: &ProviderObject,
    command: &ProviderCommand,
    request: &Request,
    reference: &str,
    wanted: Status,
) -> Result<ProviderPayment, ProviderError> {
    let seen = || Ok(Some(read(client, &object.key, reference)?).filter(|intent| intent.status == wanted));
    match write::<Intent, Intent>(client, request, &command.id, command.asked_at, call.now, seen) {
        Ok(Sent::Answered(Answer { told, replayed: false }) | Sent::Seen(told)) => view(client, &object.key, told),
        Ok(Sent::Answered(Answer { replayed: true, .. })) => show(client, &object.key, reference),
        // What is held no more cannot be taken or let go. That it is gone is the answer then.
        Err(Failure::Refused(why, _)) => match read(client, &object.key, reference) {
            Ok(intent) if intent.status == Status::Canceled => view(client, &object.key, intent),
            Ok(_) => return Err(ProviderError::Refused(why)),
            Err(failure) => Err(failure),
        },
        Err(failure @ (Failure::Missing | Failure::NotDone(_) | Failure::Unknown(_) | Failure::Stuck(_))) => {
            return Err(tell(failure));
        }
    }
    .map_err(tell_after_write)
}

/// Gives an amount back. The refunds that are there are read first, and one that carries the command is its effect.
///
/// That is why a refund is sent at any age, unlike an authorization: a call that came so long ago that its key may be
/// forgotten shows in the list, and one too young to show is still known by its key.
pub fn refund(
    ports: &impl Ports,
    call: &Call,
    object: &ProviderObject,
    command: &ProviderCommand,
    amount: &Money,
) -> Result<ProviderPayment, ProviderError> {
    let client = Client::open(ports).map_err(tell)?;
    let stripes = domain::amount(amount).map_err(ProviderError::Refused)?;
    let reference = resolve(&client, object, call.now).map_err(tell)?;
    let made = |reference: &str| -> Result<Option<Refund>, Failure> {
        Ok(refunds(&client, reference)?.into_iter().find(|refund| refund.is_of(&command.id)))
    };
    let refund = match made(&reference).map_err(tell)? {
        Some(refund) => refund,
        None => {
            let request = wire::refund(&reference, &object.key, &command.id, stripes);
            let seen = || made(&reference);
            match write(&client, &request, &command.id, command.asked_at, call.now, seen).map_err(tell)? {
                Sent::Answered(Answer { told, .. }) | Sent::Seen(told) => told,
            }
        }
    };
    refund.is_what(&reference, stripes, &amount.currency).map_err(tell_after_write)?;
    if !refund.stands() {
        return Err(ProviderError::Refused(domain::refund_failed()));
    }
    show(&client, &object.key, &reference).map_err(tell_after_write)
}

/// Checks a webhook and says what it is about.
pub fn read_hook(ports: &impl Config, call: &Call, hook: &Hook) -> Result<Option<News>, HookError> {
    let secrets = ports.get("stripe_webhook_secrets").unwrap_or_default();
    signature::verify(&hook.headers, &hook.body, &secrets, call.now)?;
    let livemode = ports.get("stripe_secret_key").as_deref().and_then(mode);
    let livemode = livemode.ok_or_else(|| HookError::Unavailable("there is no secret key of Stripe".to_owned()))?;
    hook::read(&hook.body, livemode)
}

/// Sends a write under its key. A failure that Stripe keeps would be the answer for a day: once the object shows that
/// nothing came of it, the write is sent under the next key, which derives from the first.
///
/// No two keys have an effect: a key is used only after each before it was just answered by a failure that is kept, so
/// its request is over, and after the object, looked for since, showed that it did nothing.
fn write<T: DeserializeOwned, F>(
    client: &Client<'_, impl Ports>,
    request: &Request,
    id: &Id,
    asked_at: Instant,
    now: Instant,
    seen: impl Fn() -> Result<Option<F>, Failure>,
) -> Result<Sent<T, F>, Failure> {
    let mut attempt = 1;
    loop {
        let why = match client.send(&request.under(&domain::key(id, attempt))) {
            Ok(answer) => return Ok(Sent::Answered(answer)),
            Err(Failure::Stuck(why)) => why,
            Err(failure) => return Err(failure),
        };
        match seen() {
            Ok(Some(found)) => return Ok(Sent::Seen(found)),
            Ok(None) => {}
            Err(_) => return Err(Failure::Unknown(why)),
        }
        attempt += 1;
        if !domain::may_attempt(attempt, asked_at, now) {
            return Err(Failure::Unknown(why));
        }
    }
}

/// Stripe's name for an object; `missing` when there is none.
fn resolve(client: &Client<'_, impl Ports>, object: &ProviderObject, now: Instant) -> Result<String, Failure> {
    if object.reference.is_empty() {
        return find(client, object, now)?.ok_or(Failure::Missing);
    }
    if domain::is_reference(&object.reference) { Ok(object.reference.clone()) } else { Err(Failure::Missing) }
}

/// Looks for an object whose answer was never heard among those made since it was asked for. Unknown when there are
/// more than are looked through.
fn find(client: &Client<'_, impl Ports>, object: &ProviderObject, now: Instant) -> Result<Option<String>, Failure> {
    for (from, to) in domain::made_between(object, now) {
        let intents = list(client, INTENT_PAGES_MAX, |after| wire::list_intents(from, to, after), |i: &Intent| &i.id);
        let (intents, whole) = intents?;
        let ours = intents.into_iter().filter(|intent| intent.metadata.get(PAYMENT) == Some(&object.key));
        if let Some(intent) = ours.max_by_key(Intent::rank) {
            intent.is_for(&object.key, client.livemode)?;
            return Ok(Some(intent.id));
        }
        if !whole {
            return Err(Failure::Unknown("too many payments were made meanwhile to look through".to_owned()));
        }
    }
    Ok(None)
}

fn refunds(client: &Client<'_, impl Ports>, reference: &str) -> Result<Vec<Refund>, Failure> {
    let page = |after: Option<&str>| wire::list_refunds(reference, after);
    match list(client, REFUND_PAGES_MAX, page, |refund: &Refund| &refund.id)? {
        (refunds, true) => Ok(refunds),
        (_, false) => Err(Failure::Unknown("the payment has too many refunds to count".to_owned())),
    }
}

/// Reads a list page by page, and says whether that was all of it.
fn list<T: DeserializeOwned>(
    client: &Client<'_, impl Ports>,
    pages_max: u32,
    page: impl Fn(Option<&str>) -> Request,
    id: impl Fn(&T) -> &String,
) -> Result<(Vec<T>, bool), Failure> {
    let mut items: Vec<T> = Vec::new();
    for _ in 0..pages_max {
        let after = items.last().map(&id).cloned();
        let Page { data, has_more } = client.send::<Page<T>>(&page(after.as_deref()))?.told;
        let is_empty = data.is_empty();
        items.extend(data);
        if !has_more || is_empty {
            return Ok((items, true));
        }
    }
    Ok((items, false))
}

/// Reads an object as it is now.
fn read(client: &Client<'_, impl Ports>, key: &Id, reference: &str) -> Result<Intent, Failure> {
    let intent: Intent = client.send(&wire::read(reference))?.told;
    if intent.id != reference {
        return Err(Failure::Unknown("Stripe told of another payment intent".to_owned()));
    }
    intent.is_for(key, client.livemode)?;
    Ok(intent)
}

fn show(client: &Client<'_, impl Ports>, key: &Id, reference: &str) -> Result<ProviderPayment, Failure> {
    view(client, key, read(client, key, reference)?)
}

/// The payment intent of a refusal comes as it was at the first answer to its key, so it is read anew.
fn show_refused(client: &Client<'_, impl Ports>, key: &Id, intent: Intent) -> Result<ProviderPayment, Failure> {
    intent.is_for(key, client.livemode)?;
    show(client, key, &intent.id)
}

fn view(client: &Client<'_, impl Ports>, key: &Id, intent: Intent) -> Result<ProviderPayment, Failure> {
    intent.is_for(key, client.livemode)?;
    let refunded = match intent.refunded_charge()? {
        Some(charge) => domain::refunded(charge, &refunds(client, &intent.id)?)?,
        None => 0,
    };
    intent.view(refunded)
}
