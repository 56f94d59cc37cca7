//! The relay: hands due events to their subscribers, and their outcomes to the store.
//!
//! At most one delivery of a queue (a subscriber, topic and key) is under way, so what reaches a subscriber
//! about one key is in order. What was under way when the process died is delivered again. Where several hosts
//! share a store each has a relay, and the engine says which of them delivers what.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::engine::{Claim, Due, Failure, Queue, RENEW_EVERY, Settled, Wanted, on};
use crate::store::{Deliver, Store};

/// Deliveries under way at once.
const DELIVERIES_MAX: usize = 16;
/// Deliveries under way at once to one subscriber, so that a slow one leaves room for others.
const DELIVERIES_PER_SUBSCRIBER_MAX: usize = 8;
/// The longest that one delivery may take. The host's own limit for a call ends it earlier.
const DELIVERY_TIME_MAX: Duration = Duration::from_secs(120);
/// How long a failed look at the store, or a lost outcome, waits for the next try.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the depth and age of the outbox are measured.
const MEASURE_EVERY: Duration = Duration::from_secs(5);

/// Deliveries under way.
pub(crate) struct Relay {
    store: Arc<Store>,
    deliver: Deliver,
    claims: HashMap<Queue, Claim>,
    tasks: JoinSet<Queue>,
    renew: Interval,
    /// Whether the last look at the outbox failed, so that an outage is one line in the log.
    failing: bool,
}

impl Relay {
    pub(crate) fn new(store: Arc<Store>, deliver: Deliver) -> Relay {
        // What was taken a moment ago needs no renewal.
        let mut renew = tokio::time::interval_at(Instant::now() + RENEW_EVERY, RENEW_EVERY);
        renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Relay { store, deliver, claims: HashMap::new(), tasks: JoinSet::new(), renew, failing: false }
    }

    /// Delivers until `shutdown` turns true or its sender is gone; then waits for what is under way.
    pub(crate) async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        let store = Arc::clone(&self.store);
        let mut measure = tokio::time::interval(MEASURE_EVERY);
        measure.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !*shutdown.borrow_and_update() {
            let sleep = self.look().await;
            tokio::select! {
                Some(ended) = self.tasks.join_next() => self.ended(ended),
                _ = self.renew.tick() => self.renew().await,
                () = store.wake.notified() => {}
                () = tokio::time::sleep(sleep) => {}
                _ = measure.tick() => self.measure().await,
                changed = shutdown.changed() => if changed.is_err() { break },
            }
        }
        while self.one_ended().await {}
    }

    /// Delivers everything that is due now and what becomes due by it; answers how many deliveries there were.
    pub(crate) async fn drain(mut self) -> Result<u64, Failure> {
        let mut delivered = 0;
        loop {
            self.fill().await?;
            let before = self.claims.len();
            if !self.one_ended().await {
                break;
            }
            delivered += (before - self.claims.len()) as u64;
        }
        self.measure().await;
        Ok(delivered)
    }

    /// Starts what is due; answers how long there is nothing more to start.
    async fn look(&mut self) -> Duration {
        let filled = self.fill().await;
        let failed = filled.is_err();
        if failed != self.failing {
            match &filled {
                Ok(_) => tracing::info!("the outbox can be read again"),
                Err(failure) => tracing::warn!(%failure, "the outbox cannot be read; it is tried again every second"),
            }
        }
        self.failing = failed;
        filled.unwrap_or(PAUSE)
    }

    /// Starts what is due, as far as there is room; answers how long there is nothing more to start.
    async fn fill(&mut self) -> Result<Duration, Failure> {
        let longest = on!(self.store.engine, engine => engine.look_every());
        let room = DELIVERIES_MAX - self.tasks.len();
        if room == 0 {
            return Ok(longest);
        }
        let subscribers: HashSet<String> = self.store.subscribers().values().flatten().cloned().collect();
        let rooms: Vec<_> = subscribers
            .into_iter()
            .map(|subscriber| {
                let busy = self.claims.keys().filter(|queue| queue.subscriber == subscriber).count();
                (subscriber, DELIVERIES_PER_SUBSCRIBER_MAX - busy)
            })
            .collect();
        let now = self.store.clock().now_ms();
        let wanted = Wanted { now, rooms: &rooms, room, under_way: &self.claims };
        let taken = on!(self.store.engine, engine => engine.take_due(&wanted).await)?;
        for due in taken.due {
            self.start(due);
        }
        let until = taken.next_at.map_or(longest, |at| Duration::from_millis(at.abs_diff(now)));
        Ok(until.min(longest))
    }

    fn start(&mut self, due: Due) {
        let Due { claim, event } = due;
        self.claims.insert(claim.queue.clone(), claim.clone());
        let store = Arc::clone(&self.store);
        let deliver = Arc::clone(&self.deliver);
        self.tasks.spawn(async move {
            // In a task of its own, so that a panic in it is a failed delivery and no more.
            let mut delivery = tokio::spawn(deliver(claim.queue.subscriber.clone(), event));
            let outcome = match tokio::time::timeout(DELIVERY_TIME_MAX, &mut delivery).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(panicked)) => Err(panicked.to_string()),
                Err(_) => {
                    delivery.abort();
                    Err(format!("no answer within {DELIVERY_TIME_MAX:?}"))
                }
            };
            let queue = claim.queue.clone();
            settle(&store, claim, outcome).await;
            queue
        });
    }

    /// Waits until a delivery has ended, and keeps the others this host's own meanwhile; false when there is none.
    async fn one_ended(&mut self) -> bool {
        while !self.tasks.is_empty() {
            tokio::select! {
                Some(ended) = self.tasks.join_next() => {
                    self.ended(ended);
                    return true;
                }
                _ = self.renew.tick() => self.renew().await,
            }
        }
        false
    }

    /// Notes that a delivery has ended, and any others that have.
    fn ended(&mut self, ended: Result<Queue, JoinError>) {
        for ended in std::iter::once(ended).chain(std::iter::from_fn(|| self.tasks.try_join_next())) {
            let queue = ended.expect("a delivery's task catches panics of the subscriber and has none of its own");
            self.claims.remove(&queue);
        }
    }

    async fn renew(&self) {
        let claims: Vec<Claim> = self.claims.values().cloned().collect();
        if claims.is_empty() {
            return;
        }
        if let Err(failure) = on!(self.store.engine, engine => engine.renew(&claims).await) {
            tracing::warn!(%failure, "deliveries under way could not be renewed; another host may repeat them");
        }
    }

    async fn measure(&self) {
        let now = self.store.clock().now_ms();
        match on!(self.store.engine, engine => engine.depth().await) {
            Ok(depth) => {
                let metrics = &self.store.metrics;
                metrics.outbox_depth.set(depth.waiting);
                metrics.outbox_age_seconds.set(depth.oldest_due_at.map_or(0, |at| (now - at) / 1_000));
            }
            Err(failure) => tracing::debug!(%failure, "the outbox cannot be measured"),
        }
    }
}

/// Stores an outcome. When that fails, the event is delivered again, after a pause.
async fn settle(store: &Store, claim: Claim, outcome: Result<(), String>) {
    let Queue { subscriber, topic, key } = claim.queue.clone();
    if let Err(error) = &outcome {
        tracing::warn!(subscriber, topic, key, error, "an event was not taken");
    }
    let outcome = match on!(store.engine, engine => engine.settle(claim, outcome).await) {
        Ok(Settled::Delivered) => "delivered",
        Ok(Settled::Retried) => "retried",
        Ok(Settled::Dead) => "dead",
        Err(failure) => {
            tracing::warn!(subscriber, %failure, "the outcome of a delivery was not stored");
            tokio::time::sleep(PAUSE).await;
            "lost"
        }
    };
    store.metrics.deliveries.with_label_values(&[subscriber.as_str(), outcome]).inc();
}
