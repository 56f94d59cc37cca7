//! What a webhook says: that a payment intent, or a refund of one, changed.

use serde::Deserialize;
use serde_json::Value;
use souk_kit::ids;
use souk_kit::payment_extension::{HookError, News};

use crate::domain::is_reference;
use crate::wire::{Metadata, PAYMENT};

/// The types of events that are of interest. Others are genuine, and are not acted upon.
///
/// Captures, holds that expire and refunds made by hand all show as one of these. A dispute does not: it is settled
/// between the shop and Stripe, and no payment here changes by it.
pub const TYPES: [&str; 9] = [
    "payment_intent.amount_capturable_updated",
    "payment_intent.canceled",
    "payment_intent.payment_failed",
    "payment_intent.processing",
    "payment_intent.requires_action",
    "payment_intent.succeeded",
    "refund.created",
    "refund.failed",
    "refund.updated",
];

/// Longest id of an event, in bytes.
const EVENT_ID_BYTES_MAX: usize = 200;

#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    livemode: bool,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Value,
}

/// The part of a payment intent or a refund that says whose it is.
#[derive(Deserialize)]
struct Subject {
    object: String,
    id: String,
    #[serde(default)]
    payment_intent: Option<String>,
    #[serde(default)]
    metadata: Option<Metadata>,
}

/// Reads a body whose signature holds. None when it is of no interest: another type, the other mode (test or live),
/// or a payment that is not of this shop.
pub fn read(body: &[u8], livemode: bool) -> Result<Option<News>, HookError> {
    let event: Event = serde_json::from_slice(body).map_err(|error| malformed(&error.to_string()))?;
    if event.livemode != livemode || !TYPES.contains(&event.kind.as_str()) {
        return Ok(None);
    }
    if !(1..=EVENT_ID_BYTES_MAX).contains(&event.id.len()) {
        return Err(malformed("the event's id is empty or too long"));
    }
    let subject: Subject = serde_json::from_value(event.data.object).map_err(|error| malformed(&error.to_string()))?;
    let key = subject.metadata.as_ref().and_then(|metadata| metadata.get(PAYMENT));
    let key = key.filter(|key| ids::is_id("pay", key)).cloned();
    let reference = match subject.object.as_str() {
        // Whoever else takes money with this account does not name a payment of ours.
        "payment_intent" if key.is_none() => return Ok(None),
        "payment_intent" => subject.id,
        // One that was made by hand names nothing; its payment intent tells whose it is.
        "refund" => match subject.payment_intent {
            Some(reference) => reference,
            None => return Ok(None),
        },
        _ => return Err(malformed("the type of the event is not that of its object")),
    };
    if !is_reference(&reference) {
        return Err(malformed("the payment intent's id has not its form"));
    }
    Ok(Some(News { event_id: event.id, reference, key }))
}

fn malformed(why: &str) -> HookError {
    HookError::Malformed(why.to_owned())
}
