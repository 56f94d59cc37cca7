//! The inbox of webhooks and of connectors' events: what each says has changed, and for how long that is tried to be
//! acted upon.
//!
//! Either is a reason to ask the provider and no more: no amount and no state of it ever comes here.

use souk_kit::ids;
use souk_kit::payment_extension::News;
use souk_kit::types::{Id, Instant};

use super::DAY_MS;

/// First wait until a webhook that could not be handled is tried again; each wait is twice as long as the one before.
pub const RETRY_DELAY_MIN_MS: i64 = 1_000;
/// Longest wait between two tries.
pub const RETRY_DELAY_MAX_MS: i64 = 3_600_000;
/// After this long it is not tried again; `audit` has told of it since its first hour. As long as Stripe and PayPal
/// repeat a delivery.
pub const RETRY_AGE_MAX_MS: i64 = 3 * DAY_MS;
/// How long an event is remembered, so that a repeat does nothing.
pub const KEPT_MS: i64 = 90 * DAY_MS;

/// Enough to come from the shortest wait to the longest.
const DOUBLINGS_MAX: u32 = 12;
const TEXT_BYTES_MAX: usize = 200;

/// One webhook, or one event of a connector, in the inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// `hook_...`, derived from the provider and the event.
    pub id: Id,
    /// Name of the payment provider.
    pub provider: String,
    /// The provider's id of the event, or a digest of ours.
    pub event_id: String,
    /// The provider's name for the object that changed; the payment's id where a connector's event says it.
    pub reference: String,
    /// The payment that the event names.
    pub key: Option<Id>,
    /// When it came.
    pub received_at: Instant,
    /// How often it could not be handled.
    pub attempts: u32,
    /// When it was handled, if it was.
    pub handled_at: Option<Instant>,
}

/// Takes news of a provider, or says why they cannot be kept.
pub fn receive(provider: &str, news: News, now: Instant) -> Result<Received, String> {
    for (what, text) in [("event id", &news.event_id), ("reference", &news.reference)] {
        if !(1..=TEXT_BYTES_MAX).contains(&text.len()) || text.chars().any(char::is_control) {
            return Err(format!("the {what} is not a text of 1 to {TEXT_BYTES_MAX} bytes"));
        }
    }
    Ok(Received {
        id: ids::derive("hook", &[provider, &news.event_id]),
        provider: provider.to_owned(),
        event_id: news.event_id,
        reference: news.reference,
        // What has not the form of our ids was written by somebody else who uses the same account.
        key: news.key.filter(|key| ids::is_id("pay", key)),
        received_at: now,
        attempts: 0,
        handled_at: None,
    })
}

impl Received {
    /// What a connector's event says: that the object of this payment changed.
    pub fn of_event(event_id: &str, provider: &str, payment_id: &Id, now: Instant) -> Self {
        Self {
            id: ids::derive("hook", &[provider, event_id]),
            provider: provider.to_owned(),
            // The id holds that of a batch, which may be longer than what is kept.
            event_id: ids::digest(&[event_id]),
            reference: payment_id.clone(),
            key: Some(payment_id.clone()),
            received_at: now,
            attempts: 0,
            handled_at: None,
        }
    }

    /// When to try again after one more failure; none when it has been tried for long enough.
    pub fn retry_at(&self, now: Instant) -> Option<Instant> {
        let delay = (RETRY_DELAY_MIN_MS << self.attempts.min(DOUBLINGS_MAX)).min(RETRY_DELAY_MAX_MS);
        (now - self.received_at < RETRY_AGE_MAX_MS).then(|| now + delay)
    }

    /// What its timers are about, so that those of one object keep their order.
    pub fn subject(&self) -> &str {
        self.key.as_deref().unwrap_or(&self.reference)
    }
}
