//! Events on their way to the shop: repeated, out of order, late, and beside them what a stranger sends.
//!
//! No company promises an order, and each may send an event more than once.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::random::Random;

/// How often an event is sent before it is given up.
pub const ATTEMPTS_MAX: u32 = 4;
/// How long after the first failure it is sent again, in milliseconds; four times as long after each other one.
pub const RETRY_MS: i64 = 5_000;
/// How long one that is out of order waits at most, in milliseconds.
pub const REORDER_MS: u64 = 3_000;
/// How long a late one waits at most, in milliseconds.
pub const LATE_MS: u64 = 600_000;

/// How many of a hundred events have what happen to them.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Disorder {
    /// Sent twice.
    pub duplicates: u8,
    /// Sent after others that happened later.
    pub reordered: u8,
    /// Sent minutes later.
    pub late: u8,
    /// A stranger sends something like it.
    pub forged: u8,
}

/// What is wrong with a webhook that must not be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// It is signed under another secret.
    Secret,
    /// The body was changed after it was signed.
    Body,
    /// It is genuine, and was sent long ago.
    Stale,
}

/// One webhook to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The event.
    pub event: Value,
    /// Set when it must not be believed.
    pub forgery: Option<Forgery>,
    /// How often it was sent before.
    pub attempts: u32,
}

/// A delivery as it goes over HTTP.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    /// What signs it, beside other headers.
    pub headers: Vec<(&'static str, String)>,
    /// What is signed.
    pub body: Vec<u8>,
}

/// The webhooks that wait.
#[derive(Clone, Debug)]
pub struct Outbox {
    random: Random,
    disorder: Disorder,
    added: u64,
    /// By when they are due, and then in the order in which they came.
    waiting: BTreeMap<(i64, u64), Delivery>,
}

impl Outbox {
    /// Every event once and in order, until something else is asked for.
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), disorder: Disorder::default(), added: 0, waiting: BTreeMap::new() }
    }

    /// From now on so much goes wrong.
    pub fn disorder(&mut self, disorder: Disorder) {
        self.disorder = disorder;
    }

    /// Takes events in, oldest first. `now` is in milliseconds since 1970.
    pub fn add(&mut self, now: i64, events: Vec<Value>) {
        for event in events {
            let copies = if self.random.percent(self.disorder.duplicates) { 2 } else { 1 };
            for _ in 0..copies {
                let due_at = now + self.delay();
                self.put(due_at, Delivery { event: event.clone(), forgery: None, attempts: 0 });
            }
            if self.random.percent(self.disorder.forged) {
                let forgeries = [Forgery::Secret, Forgery::Body, Forgery::Stale];
                let forgery = forgeries[usize::try_from(self.random.below(3)).expect("it is one of three")];
                self.put(now, Delivery { event, forgery: Some(forgery), attempts: 0 });
            }
        }
    }

    /// Takes out what is due, in the order in which it is to be sent.
    pub fn take_due(&mut self, now: i64) -> Vec<Delivery> {
        let later = self.waiting.split_off(&(now.saturating_add(1), 0));
        std::mem::replace(&mut self.waiting, later).into_values().collect()
    }

    /// A delivery was not taken. It is sent again later, unless that was tried often enough or it is a stranger's.
    pub fn failed(&mut self, now: i64, delivery: Delivery) {
        let attempts = delivery.attempts + 1;
        if attempts < ATTEMPTS_MAX && delivery.forgery.is_none() {
            let due_at = now + RETRY_MS * 4_i64.pow(delivery.attempts);
            self.put(due_at, Delivery { attempts, ..delivery });
        }
    }

    fn delay(&mut self) -> i64 {
        let most = match (self.random.percent(self.disorder.late), self.random.percent(self.disorder.reordered)) {
            (true, _) => LATE_MS,
            (false, true) => REORDER_MS,
            (false, false) => return 0,
        };
        i64::try_from(1 + self.random.below(most)).expect("a delay is a few minutes")
    }

    fn put(&mut self, due_at: i64, delivery: Delivery) {
        self.added += 1;
        self.waiting.insert((due_at, self.added), delivery);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_790_000_000_000;

    #[test]
    fn webhooks_come_twice_late_out_of_order_and_forged() {
        let sent = |seed: u64| {
            let mut outbox = Outbox::new(seed);
            outbox.disorder(Disorder { duplicates: 30, reordered: 30, late: 10, forged: 10 });
            for n in 0..1_000 {
                outbox.add(NOW + n, vec![json!({"id": n})]);
            }
            outbox.take_due(i64::MAX - 1)
        };
        assert_eq!(sent(1), sent(1));
        let all = sent(1);
        let genuine: Vec<i64> = all
            .iter()
            .filter(|sent| sent.forgery.is_none())
            .map(|sent| sent.event["id"].as_i64().expect("a number"))
            .collect();
        let different: BTreeSet<i64> = genuine.iter().copied().collect();
        assert_eq!(different.len(), 1_000, "none is lost");
        assert!((1_250..1_350).contains(&genuine.len()), "{}", genuine.len());
        assert!((70..130).contains(&(all.len() - genuine.len())));
        let behind = genuine.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert!(behind > 100, "{behind} come before an older one");
    }

    #[test]
    fn a_webhook_that_was_not_taken_comes_again_and_ends() {
        let mut outbox = Outbox::new(1);
        outbox.add(NOW, vec![json!({"id": 1})]);
        let mut now = NOW;
        for attempt in 0..ATTEMPTS_MAX {
            let mut due = outbox.take_due(now);
            let delivery = due.pop().expect("it is due");
            assert_eq!((delivery.attempts, due.len()), (attempt, 0));
            outbox.failed(now, delivery);
            assert_eq!(outbox.take_due(now), [], "not at once");
            now += 24 * 3_600_000;
        }
        assert_eq!(outbox.take_due(now), []);
    }
}
