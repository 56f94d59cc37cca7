//! Events on their way to the shop: signed, repeated, out of order, late, and beside them what a stranger sends.
//!
//! Source: <https://docs.stripe.com/webhooks>. Stripe promises no order, and may send an event more than once.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::signature;
use crate::random::Random;

/// How often an event is sent before it is given up.
pub const ATTEMPTS_MAX: u32 = 4;
/// How long after the first failure it is sent again, in milliseconds; four times as long after each other one.
pub const RETRY_MS: i64 = 5_000;
/// How long one that is out of order waits at most, in milliseconds.
pub const REORDER_MS: u64 = 3_000;
/// How long a late one waits at most, in milliseconds.
pub const LATE_MS: u64 = 600_000;
/// How old the signature of a forgery is that was once genuine, in seconds.
pub const STALE_SECONDS: i64 = 301;

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

impl Delivery {
    /// The body, and the header `stripe-signature` of a delivery at `at` seconds since 1970.
    pub fn sign(&self, secrets: &[&str], at: i64) -> (Vec<u8>, String) {
        let body = self.event.to_string().into_bytes();
        match self.forgery {
            None => {
                let header = signature::sign(&body, at, secrets);
                (body, header)
            }
            Some(Forgery::Secret) => {
                let header = signature::sign(&body, at, &["whsec_of_a_stranger"]);
                (body, header)
            }
            Some(Forgery::Body) => {
                let header = signature::sign(&body, at, secrets);
                ([body, b" ".to_vec()].concat(), header)
            }
            Some(Forgery::Stale) => {
                let header = signature::sign(&body, at - STALE_SECONDS, secrets);
                (body, header)
            }
        }
    }
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
