//! Talking with the provider: which question comes next, and what its answer does.
//!
//! Every call here may be made twice, by two instances at once, and after a crash: the keys are the payment's and
//! the command's ids, and each outcome is committed under the version that was read before the call.

use souk_kit::ids;
use souk_kit::payment::{PaymentError, PaymentState};
use souk_kit::payment_extension::{
    Decline, ProviderAuthorization, ProviderCommand, ProviderError, ProviderObject, ProviderPayment,
};
use souk_kit::ports::Call;
use souk_kit::types::Money;

use super::{DECISIONS_MAX, Ports, commit, reload};
use crate::domain::hear::{Heard, LetGo, hear, leftover};
use crate::domain::{self, Fact, Kind, LATE_HOLD, Payment, Step};
use crate::store::Loaded;

/// Who gets the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// The one who gave the command, at once.
    Caller,
    /// Nobody in particular: the answer had been lost, so others are told by an event.
    Later,
}

/// Asks the provider for the hold that was just stored as an intent.
pub(super) fn start(ports: &impl Ports, call: &Call, loaded: Loaded) -> Result<Loaded, PaymentError> {
    match hold(ports, call, &loaded.payment) {
        // Nothing was sent, and nothing was before: the intent is let go, and the order may choose another provider.
        Err(ProviderError::UnknownProvider) => {
            end(ports, call, &loaded, |payment| domain::abandon(payment, call.now))?;
            Err(PaymentError::UnknownProvider)
        }
        answer => {
            let loaded = held(ports, call, loaded, answer)?;
            // The payment was abandoned while the provider was asked: what it holds now is let go at once.
            if loaded.payment.problem == LATE_HOLD { ask(ports, call, loaded) } else { Ok(loaded) }
        }
    }
}

fn hold(ports: &impl Ports, call: &Call, payment: &Payment) -> Result<ProviderPayment, ProviderError> {
    let authorization = ProviderAuthorization {
        key: payment.id.clone(),
        order_id: payment.order_id.clone(),
        amount: Money::new(payment.amount, &payment.currency),
        token: payment.token.clone(),
        return_url: payment.return_url.clone(),
        capture: payment.capture,
        asked_at: payment.created_at,
    };
    ports.authorize(&call.ctx, &payment.provider, &authorization)
}

/// The provider's object of a payment.
fn object(payment: &Payment) -> ProviderObject {
    ProviderObject { key: payment.id.clone(), reference: payment.reference.clone(), asked_at: payment.created_at }
}

/// Reads the provider's object of a payment.
pub fn lookup(ports: &impl Ports, call: &Call, payment: &Payment) -> Result<ProviderPayment, ProviderError> {
    ports.lookup(&call.ctx, &payment.provider, &object(payment))
}

/// What the answer to an authorization does. Without one the payment stays pending, and its timer asks.
fn held(
    ports: &impl Ports,
    call: &Call,
    loaded: Loaded,
    answer: Result<ProviderPayment, ProviderError>,
) -> Result<Loaded, PaymentError> {
    match answer {
        Ok(told) => heard(ports, call, loaded, &told, Heard::Answer, Via::Caller),
        Err(ProviderError::Refused(why)) => end(ports, call, &loaded, |payment| domain::decline(payment, &why)),
        Err(
            ProviderError::NotFound
            | ProviderError::UnknownProvider
            | ProviderError::NotSent(_)
            | ProviderError::Unknown(_)
            | ProviderError::Unavailable(_),
        ) => Ok(loaded),
    }
}

/// Ends an open payment, unless another writer did something to it first.
fn end(
    ports: &impl Ports,
    call: &Call,
    loaded: &Loaded,
    decide: impl Fn(&Payment) -> Step,
) -> Result<Loaded, PaymentError> {
    let mut loaded = loaded.clone();
    for _ in 0..DECISIONS_MAX {
        if !matches!(loaded.payment.state, PaymentState::Pending | PaymentState::RequiresAction) {
            return Ok(loaded);
        }
        let step = decide(&loaded.payment);
        match commit(ports, call, &loaded, &step) {
            Err(PaymentError::Conflict) => loaded = reload(ports, &loaded.payment.id)?,
            outcome => return outcome,
        }
    }
    Err(PaymentError::Conflict)
}

/// Looks at the provider's object, and does next what it shows to be missing: an authorization that never
/// arrived, or the command on its way, again under the same id.
pub(super) fn ask(ports: &impl Ports, call: &Call, loaded: Loaded) -> Result<Loaded, PaymentError> {
    match lookup(ports, call, &loaded.payment) {
        Ok(told) => {
            let loaded = heard(ports, call, loaded, &told, Heard::Lookup, Via::Later)?;
            match leftover(&loaded.payment, &told) {
                Some(what) => let_go(ports, call, loaded, what),
                None => send(ports, call, loaded, Via::Later),
            }
        }
        Err(ProviderError::NotFound) => absent(ports, call, loaded),
        Err(error) => Err(unknown(&error)),
    }
}

/// The provider has no object with our key.
fn absent(ports: &impl Ports, call: &Call, loaded: Loaded) -> Result<Loaded, PaymentError> {
    match loaded.payment.state {
        PaymentState::Pending | PaymentState::RequiresAction => {
            if loaded.payment.in_flight.is_some() {
                return end(ports, call, &loaded, |payment| domain::abandon(payment, call.now));
            }
            if loaded.payment.state == PaymentState::RequiresAction {
                return doubt(ports, call, loaded, "the provider has lost an object that it had");
            }
            let answer = hold(ports, call, &loaded.payment);
            held(ports, call, loaded, answer)
        }
        PaymentState::Authorized => doubt(ports, call, loaded, "the provider has lost an object that it had"),
        PaymentState::Declined | PaymentState::Voided => Ok(loaded),
    }
}

/// Takes what is held before it expires. Once refused it is not asked for again: the row of the command stays.
pub(super) fn take_in_time(ports: &impl Ports, call: &Call, loaded: Loaded) -> Result<Loaded, PaymentError> {
    if !loaded.payment.is_to_be_taken(call.now) {
        return Ok(loaded);
    }
    let step = domain::request(&loaded.payment, domain::last_capture(&loaded.payment, call.now))?;
    let reserved = commit(ports, call, &loaded, &step)?;
    send(ports, call, reserved, Via::Later)
}

/// Sends the command on its way, if there is one, for the first time or again under the same id, and applies the answer.
pub(super) fn send(ports: &impl Ports, call: &Call, loaded: Loaded, via: Via) -> Result<Loaded, PaymentError> {
    let Payment { provider, currency, in_flight, .. } = &loaded.payment;
    // Between the commit of a command and this, whoever asked the provider meanwhile may have heard its end.
    let Some(command) = in_flight.clone() else { return Ok(loaded) };
    let amount = Money::new(command.amount, currency);
    let object = object(&loaded.payment);
    let asked = ProviderCommand { id: command.id.clone(), asked_at: command.created_at };
    let answer = match command.kind {
        Kind::Capture => ports.capture(&call.ctx, provider, &object, &asked, &amount),
        Kind::Void => ports.void(&call.ctx, provider, &object, &asked),
        Kind::Refund => ports.refund(&call.ctx, provider, &object, &asked, &amount),
    };
    match answer {
        Ok(told) => heard(ports, call, loaded, &told, Heard::Answer, via),
        Err(ProviderError::Refused(why)) => refused(ports, call, loaded, &command.id, &why, via),
        Err(ProviderError::NotFound) if command.kind == Kind::Void => absent(ports, call, loaded),
        // A capture or refund of what the provider does not know: nothing moved there, and a person must look.
        Err(ProviderError::NotFound) => doubt(ports, call, loaded, "the provider has lost an object that it had"),
        Err(
            error @ (ProviderError::UnknownProvider
            | ProviderError::NotSent(_)
            | ProviderError::Unknown(_)
            | ProviderError::Unavailable(_)),
        ) => Err(unknown(&error)),
    }
}

/// The provider refused for good. A void is refused because the object is past it: then its state is what counts.
fn refused(
    ports: &impl Ports,
    call: &Call,
    mut loaded: Loaded,
    command_id: &str,
    why: &Decline,
    via: Via,
) -> Result<Loaded, PaymentError> {
    let is_on_its_way = |payment: &Payment| payment.in_flight.as_ref().is_some_and(|command| command.id == command_id);
    if loaded.payment.in_flight.as_ref().is_some_and(|command| command.kind == Kind::Void) {
        match lookup(ports, call, &loaded.payment) {
            Ok(told) => loaded = heard(ports, call, loaded, &told, Heard::Lookup, Via::Later)?,
            Err(error) => return Err(unknown(&error)),
        }
    }
    for _ in 0..DECISIONS_MAX {
        if !is_on_its_way(&loaded.payment) {
            return Ok(loaded);
        }
        let step = tell(domain::refuse(&loaded.payment, why), via);
        match commit(ports, call, &loaded, &step) {
            Err(PaymentError::Conflict) => loaded = reload(ports, &loaded.payment.id)?,
            outcome => return outcome,
        }
    }
    Err(PaymentError::Conflict)
}

/// Lets others know of a command that ended after its answer had been lost.
fn tell(mut step: Step, via: Via) -> Step {
    match via {
        Via::Caller => {}
        Via::Later if step.commands.is_empty() || !step.facts.is_empty() => {}
        Via::Later => step.facts.push(Fact::Changed),
    }
    step
}

/// Applies the provider's word. When another writer came first the word is older than what is known, so the
/// provider is asked anew.
fn heard(
    ports: &impl Ports,
    call: &Call,
    mut loaded: Loaded,
    told: &ProviderPayment,
    mut how: Heard,
    mut via: Via,
) -> Result<Loaded, PaymentError> {
    let mut told = told.clone();
    for _ in 0..DECISIONS_MAX {
        let (step, problem) = match hear(&loaded.payment, &told, how, call.now) {
            Ok(step) => (tell(step, via), None),
            Err(problem) => (domain::quarantine(&loaded.payment, &problem, call.now), Some(problem)),
        };
        match write(ports, call, loaded.clone(), &step) {
            Ok(loaded) => return problem.map_or(Ok(loaded), |problem| Err(PaymentError::Unavailable(problem))),
            Err(PaymentError::Conflict) => {}
            Err(error) => return Err(error),
        }
        loaded = reload(ports, &loaded.payment.id)?;
        told = lookup(ports, call, &loaded.payment).map_err(|error| unknown(&error))?;
        (how, via) = (Heard::Lookup, Via::Later);
    }
    Err(PaymentError::Conflict)
}

/// Commits a step that changes something.
fn write(ports: &impl Ports, call: &Call, loaded: Loaded, step: &Step) -> Result<Loaded, PaymentError> {
    if step.changes(&loaded.payment) { commit(ports, call, &loaded, step) } else { Ok(loaded) }
}

/// Quarantines a payment.
fn doubt(ports: &impl Ports, call: &Call, loaded: Loaded, problem: &str) -> Result<Loaded, PaymentError> {
    let step = domain::quarantine(&loaded.payment, problem, call.now);
    write(ports, call, loaded, &step)?;
    Err(PaymentError::Unavailable(problem.to_owned()))
}

/// Lets go of what the provider holds for a payment that is over. That it is to be done is in the row already;
/// the command's id derives from the payment, so that a repeat is the same command.
fn let_go(ports: &impl Ports, call: &Call, loaded: Loaded, what: LetGo) -> Result<Loaded, PaymentError> {
    let Payment { id, provider, currency, .. } = &loaded.payment;
    let object = object(&loaded.payment);
    // When it was asked for first is not kept; it was not before the payment.
    let command = |parts: &[&str]| ProviderCommand { id: ids::derive("cmd", parts), asked_at: object.asked_at };
    let answer = match what {
        LetGo::Void => ports.void(&call.ctx, provider, &object, &command(&[id, "late-void"])),
        LetGo::Refund(kept) => {
            let command = command(&[id, "late-refund", &kept.to_string()]);
            ports.refund(&call.ctx, provider, &object, &command, &Money::new(kept, currency))
        }
    };
    match answer {
        Ok(told) => heard(ports, call, loaded, &told, Heard::Lookup, Via::Later),
        Err(error) => Err(unknown(&error)),
    }
}

fn unknown(error: &ProviderError) -> PaymentError {
    PaymentError::Unavailable(match error {
        ProviderError::NotFound => "the provider has no such payment".to_owned(),
        ProviderError::Refused(why) => format!("the provider refused: {}", why.message),
        ProviderError::UnknownProvider => "no payment provider has this name at present".to_owned(),
        ProviderError::NotSent(why) => format!("the provider was not reached: {why}"),
        ProviderError::Unknown(why) => format!("the provider's answer is not known: {why}"),
        ProviderError::Unavailable(why) => format!("the connector failed: {why}"),
    })
}
