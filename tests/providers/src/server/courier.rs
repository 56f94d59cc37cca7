//! Sends webhooks to the shop, one after the other.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::{Shared, wall};
use crate::provider::Provider;

/// Longest wait for an answer of the shop.
pub const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);
/// How often it is looked whether something is due.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What became of one delivery.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The event's id.
    pub event: String,
    /// The event's type.
    pub kind: String,
    /// Whether it must not be believed.
    pub is_forged: bool,
    /// What the shop answered; none when it did not.
    pub status: Option<u16>,
}

/// Sends what is due, again and again.
pub(super) async fn run<P: Provider>(shared: Shared<P>) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = shared.lock().clock.now();
        deliver(&shared, now).await;
    }
}

/// Sends what is due at `until`, milliseconds since 1970. What has no address waits.
///
/// The signature is of the machine's time: the shop judges it by its own clock, which nobody moves.
pub(super) async fn deliver<P: Provider>(shared: &Shared<P>, until: i64) -> Vec<Outcome> {
    let (due, endpoint) = {
        let mut state = shared.lock();
        state.post_events();
        let has_address = P::CALLS_BACK || state.endpoint.url.is_some();
        let due = if has_address { state.outbox.take_due(until) } else { Vec::new() };
        (due, state.endpoint.clone())
    };
    let secrets: Vec<&str> = endpoint.secrets.iter().map(String::as_str).collect();
    let mut outcomes = Vec::new();
    for delivery in due {
        let webhook = P::webhook(&delivery, &secrets, wall());
        let url = if P::CALLS_BACK { delivery.event["url"].as_str() } else { endpoint.url.as_deref() };
        let mut request = shared.http.post(url.unwrap_or_default()).header("content-type", P::CONTENT_TYPE);
        for (name, value) in webhook.headers {
            request = request.header(name, value);
        }
        let answer = request.body(webhook.body).send().await;
        let status = answer.ok().map(|answer| answer.status().as_u16());
        let text = |name: &str| delivery.event[name].as_str().unwrap_or_default().to_owned();
        outcomes.push(Outcome {
            event: text("id"),
            kind: text(P::EVENT_TYPE),
            is_forged: delivery.forgery.is_some(),
            status,
        });
        if !status.is_some_and(|status| (200..300).contains(&status)) {
            let mut state = shared.lock();
            let now = state.clock.now();
            state.outbox.failed(now, delivery);
        }
    }
    outcomes
}
