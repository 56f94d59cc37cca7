//! The relay: hands due events to their subscribers, and their outcomes to the store.
//!
//! At most one delivery of a queue (a subscriber, topic and key) is under way, so what reaches a subscriber
//! about one key is in order. What was under way when the process died is delivered again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::sqlite::events::{self, Due, Queue, Settled};
use super::sqlite::{Failure, Session, Stop, Tx};
use super::{Deliver, Providers};

/// Deliveries under way at once.
const DELIVERIES_MAX: usize = 16;
/// Deliveries under way at once to one subscriber, so that a slow one leaves room for others.
const DELIVERIES_PER_SUBSCRIBER_MAX: usize = 8;
/// The longest that one delivery may take. The host's own limit for a call ends it earlier.
const DELIVERY_TIME_MAX: Duration = Duration::from_secs(120);
/// The longest sleep. A wall clock that jumps is noticed after it.
const SLEEP_MAX: Duration = Duration::from_secs(30);
/// How long a failed look at the store, or a lost outcome, waits for the next try.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a look at the store may take.
const READ_TIME_MAX: Duration = Duration::from_secs(5);
/// How often the depth and age of the outbox are measured.
const MEASURE_EVERY: Duration = Duration::from_secs(5);

/// Deliveries under way.
pub(super) struct Relay {
    providers: Arc<Providers>,
    deliver: Deliver,
    queues: HashSet<Queue>,
    by_subscriber: HashMap<String, usize>,
    tasks: JoinSet<Queue>,
}

impl Relay {
    pub(super) fn new(providers: Arc<Providers>, deliver: Deliver) -> Relay {
        Relay { providers, deliver, queues: HashSet::new(), by_subscriber: HashMap::new(), tasks: JoinSet::new() }
    }

    /// Delivers until `shutdown` turns true or its sender is gone; then waits for what is under way.
    pub(super) async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        let mut measure = tokio::time::interval(MEASURE_EVERY);
        while !*shutdown.borrow_and_update() {
            let sleep = self.fill().await.unwrap_or_else(|reason| {
                tracing::warn!(reason, "the outbox cannot be read; it will be tried again");
                PAUSE
            });
            tokio::select! {
                Some(ended) = self.tasks.join_next() => self.ended(ended),
                () = self.providers.wake.notified() => {}
                () = tokio::time::sleep(sleep) => {}
                _ = measure.tick() => self.measure(),
                changed = shutdown.changed() => if changed.is_err() { break },
            }
        }
        while let Some(ended) = self.tasks.join_next().await {
            self.ended(ended);
        }
    }

    /// Delivers everything that is due now and what becomes due by it; answers how many deliveries there were.
    pub(super) async fn drain(mut self) -> Result<u64, String> {
        let mut delivered = 0;
        loop {
            self.fill().await?;
            let Some(ended) = self.tasks.join_next().await else { break };
            self.ended(ended);
            delivered += 1;
        }
        self.measure();
        Ok(delivered)
    }

    /// Starts what is due, as far as there is room; answers how long there is nothing more to start.
    async fn fill(&mut self) -> Result<Duration, String> {
        let now = self.providers.clock().now_ms();
        let mut next: Option<i64> = None;
        let subscribers: HashSet<String> = self.providers.subscribers().values().flatten().cloned().collect();
        for subscriber in subscribers {
            self.fill_for(&subscriber, now).await?;
            let due = self.read(|session| events::next_due(session, &subscriber, now))?;
            next = next.into_iter().chain(due).min();
        }
        let until = next.map_or(SLEEP_MAX, |at| Duration::from_millis(at.abs_diff(now)));
        Ok(until.min(SLEEP_MAX))
    }

    async fn fill_for(&mut self, subscriber: &str, now: i64) -> Result<(), String> {
        loop {
            let busy = self.by_subscriber.get(subscriber).copied().unwrap_or_default();
            let room =
                DELIVERIES_PER_SUBSCRIBER_MAX.saturating_sub(busy).min(DELIVERIES_MAX.saturating_sub(self.tasks.len()));
            if room == 0 {
                return Ok(());
            }
            // What is under way is still among the due.
            let due = self.read(|session| events::due(session, subscriber, now, room + busy))?;
            let (blocked, free): (Vec<Due>, Vec<Due>) = due.into_iter().partition(|due| due.blocked);
            let free = free.into_iter().filter(|due| !self.queues.contains(&due.queue));
            for due in free.take(room).collect::<Vec<_>>() {
                self.start(due);
            }
            if blocked.is_empty() {
                return Ok(());
            }
            // They took the places of others; out of the way with them, and once more.
            let park = move |tx: &Tx<'_>| blocked.iter().try_for_each(|due| events::park(tx, &due.queue, due.seq));
            let parked: Result<(), Failure> = self.providers.sqlite.write(None, park).await;
            parked.map_err(|failure| failure.to_string())?;
        }
    }

    fn start(&mut self, due: Due) {
        self.queues.insert(due.queue.clone());
        *self.by_subscriber.entry(due.queue.subscriber.clone()).or_default() += 1;
        let providers = Arc::clone(&self.providers);
        let deliver = Arc::clone(&self.deliver);
        self.tasks.spawn(async move {
            let Due { queue, seq, event, .. } = due;
            // In a task of its own, so that a panic in it is a failed delivery and no more.
            let mut delivery = tokio::spawn(deliver(queue.subscriber.clone(), event));
            let outcome = match tokio::time::timeout(DELIVERY_TIME_MAX, &mut delivery).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(panicked)) => Err(panicked.to_string()),
                Err(_) => {
                    delivery.abort();
                    Err(format!("no answer within {DELIVERY_TIME_MAX:?}"))
                }
            };
            settle(&providers, queue.clone(), seq, outcome).await;
            queue
        });
    }

    fn ended(&mut self, ended: Result<Queue, tokio::task::JoinError>) {
        let queue = ended.expect("a delivery's task catches panics of the subscriber and has none of its own");
        self.queues.remove(&queue);
        if let Some(busy) = self.by_subscriber.get_mut(&queue.subscriber) {
            *busy -= 1;
        }
    }

    fn read<T>(&self, work: impl FnOnce(&Session) -> Result<T, Stop<Failure>>) -> Result<T, String> {
        let deadline = Instant::now() + READ_TIME_MAX;
        self.providers.sqlite.read(deadline, work).map_err(|failure| failure.to_string())
    }

    fn measure(&self) {
        let now = self.providers.clock().now_ms();
        match self.read(|session| events::depth(session, now)) {
            Ok((depth, oldest)) => {
                let metrics = &self.providers.metrics;
                metrics.outbox_depth.set(depth);
                metrics.outbox_age_seconds.set(oldest.map_or(0, |at| (now - at) / 1_000));
            }
            Err(reason) => tracing::warn!(reason, "the outbox cannot be measured"),
        }
    }
}

/// Stores an outcome. When that fails, the event is delivered again, after a pause.
async fn settle(providers: &Providers, queue: Queue, seq: i64, outcome: Result<(), String>) {
    let subscriber = queue.subscriber.clone();
    if let Err(error) = &outcome {
        tracing::warn!(subscriber, topic = queue.topic, key = queue.key, error, "an event was not taken");
    }
    let work = move |tx: &Tx<'_>| events::settle(tx, &queue, seq, &outcome);
    let settled: Result<Settled, Failure> = providers.sqlite.write(None, work).await;
    let outcome = match settled {
        Ok(Settled::Delivered) => "delivered",
        Ok(Settled::Retried) => "retried",
        Ok(Settled::Dead) => "dead",
        Err(failure) => {
            tracing::warn!(subscriber, %failure, "the outcome of a delivery was not stored");
            tokio::time::sleep(PAUSE).await;
            "lost"
        }
    };
    providers.metrics.deliveries.with_label_values(&[subscriber.as_str(), outcome]).inc();
}
