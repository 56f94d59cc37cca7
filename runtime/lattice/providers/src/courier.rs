//! The courier: a queue in JetStream that carries due events to whichever instance is free, and says what came of them.
//!
//! It is no ledger. A parcel is taken off the queue before it is handed over and is never put back; it lies there for
//! seconds and then is thrown away. Whoever sent it waits that long for the outcome, and what has none is a failed
//! delivery that Postgres repeats. So the queue may be lost at any time, and nothing is handed over after its sender has
//! given up, which keeps the events of one key in order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_nats::HeaderMap;
use async_nats::connection::State;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::{Config, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, Message};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use serde::{Deserialize, Serialize};
use souk_store::values::Event;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::bindings::souk::shop::events;
use crate::events::{HEAR_TIME_MAX, Subscribers};

/// How long a parcel waits to be taken.
const QUEUE_TIME_MAX: Duration = Duration::from_secs(10);
/// How long the sender tries to put a parcel on the queue, which is made again soon after it was lost.
const PUT_TIME_MAX: Duration = Duration::from_secs(5);
/// What NATS may take longer than it should.
const SLACK: Duration = Duration::from_secs(1);
/// How long the sender waits for the outcome: until nobody can be at it any more.
const OUTCOME_TIME_MAX: Duration =
    PUT_TIME_MAX.saturating_add(QUEUE_TIME_MAX).saturating_add(HEAR_TIME_MAX).saturating_add(SLACK);
/// Parcels in the queue; more are refused. Each instance has at most sixteen on the way.
const PARCELS_MAX: i64 = 10_000;
/// Parcels in one instance's hands at once.
const HANDS: u32 = 16;
/// How long a request for a parcel stands.
const ASK_TIME: Duration = Duration::from_secs(5);
/// The pause before a queue that is away is tried again.
const PAUSE: Duration = Duration::from_millis(500);
/// The header that says where the outcome is awaited.
const OUTCOME: &str = "Souk-Outcome";

/// One end of the queue.
pub struct Courier {
    nats: Arc<async_nats::Client>,
    jetstream: jetstream::Context,
    stream: String,
    subject: String,
    /// Rung when a parcel could not be put on the queue: it may have to be made again.
    refused: Notify,
}

/// An event on its way to one subscriber.
#[derive(Serialize, Deserialize)]
struct Parcel {
    subscriber: String,
    id: String,
    topic: String,
    key: String,
    payload: String,
    committed_at: i64,
    attempt: u32,
}

impl Courier {
    /// A courier of one lattice.
    pub fn new(nats: Arc<async_nats::Client>, lattice: &str) -> Courier {
        let jetstream = jetstream::new((*nats).clone());
        let (stream, subject) = (format!("SOUK_EVENTS_{lattice}"), format!("souk.events.{lattice}"));
        Courier { nats, jetstream, stream, subject, refused: Notify::new() }
    }

    /// Sends an event to a subscriber and waits for the outcome.
    pub async fn send(&self, subscriber: String, event: Event) -> Result<(), String> {
        let deadline = Instant::now() + OUTCOME_TIME_MAX;
        let Event { id, topic, key, payload, committed_at, attempt } = event;
        let parcel = Parcel { subscriber, id, topic, key, payload, committed_at, attempt };
        let sent = timeout_at(deadline, self.carried(&parcel)).await;
        sent.unwrap_or_else(|_| Err(anyhow::anyhow!("no outcome within {OUTCOME_TIME_MAX:?}")))
            .unwrap_or_else(|error| Err(format!("not carried: {error:#}")))
    }

    async fn carried(&self, parcel: &Parcel) -> anyhow::Result<Result<(), String>> {
        let inbox = self.nats.new_inbox();
        let mut outcomes = self.nats.subscribe(inbox.clone()).await?;
        let payload = Bytes::from(serde_json::to_vec(parcel)?);
        let deadline = Instant::now() + PUT_TIME_MAX;
        while let Err(error) = self.put(&inbox, &payload).await {
            anyhow::ensure!(Instant::now() < deadline, "{error:#}");
            self.refused.notify_one();
            sleep(PAUSE).await;
        }
        let outcome = outcomes.next().await.context("the connection ended")?;
        Ok(serde_json::from_slice(&outcome.payload)?)
    }

    /// Puts a parcel on the queue. It is there once, however often this is done for one inbox.
    async fn put(&self, inbox: &str, payload: &Bytes) -> anyhow::Result<()> {
        let mut headers = HeaderMap::new();
        headers.insert(OUTCOME, inbox);
        headers.insert(NATS_MESSAGE_ID, inbox);
        let sent = self.jetstream.publish_with_headers(self.subject.clone(), headers, payload.clone());
        sent.await.context("the queue cannot be reached")?.await.context("the queue takes nothing")?;
        Ok(())
    }

    /// Takes parcels and hands them over until `stop` turns true; `up` says whether the queue is there.
    pub async fn work(&self, subscribers: Subscribers, up: &watch::Sender<bool>, mut stop: watch::Receiver<bool>) {
        let hands = Arc::new(Semaphore::new(HANDS as usize));
        loop {
            let working = async {
                let worked = self.hand_over(&subscribers, &hands, up).await;
                if up.send_replace(false) {
                    tracing::warn!(
                        error = worked.err().map(|error| format!("{error:#}")),
                        "the queue of events is away"
                    );
                }
                sleep(PAUSE).await;
            };
            tokio::select! {
                () = working => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        if timeout(HEAR_TIME_MAX, hands.acquire_many(HANDS)).await.is_err() {
            tracing::warn!("events were still being heard when the time to finish was over");
        }
    }

    /// Sets up the queue and takes parcels from it for as long as it is there.
    async fn hand_over(
        &self,
        subscribers: &Subscribers,
        hands: &Arc<Semaphore>,
        up: &watch::Sender<bool>,
    ) -> anyhow::Result<()> {
        let queue = timeout(ASK_TIME, self.queue()).await.context("no answer")??;
        // What was refused before is no news of this queue, and whoever heeds it drops the parcel that comes first.
        let _heeded = self.refused.notified().now_or_never();
        up.send_replace(true);
        loop {
            let hand = Arc::clone(hands).acquire_owned().await?;
            // One at a time, so that no parcel lies here while another instance is free.
            let mut parcels = queue.batch().max_messages(1).expires(ASK_TIME).messages().await?;
            let parcel = tokio::select! {
                parcel = parcels.next() => parcel,
                () = self.refused.notified() => anyhow::bail!("a parcel was refused"),
            };
            let Some(message) = parcel.transpose().map_err(anyhow::Error::from_boxed)? else {
                anyhow::ensure!(self.nats.connection_state() == State::Connected, "not connected");
                continue;
            };
            message.ack().await.map_err(anyhow::Error::from_boxed)?;
            let (nats, subscribers) = (Arc::clone(&self.nats), subscribers.clone());
            tokio::spawn(async move {
                if let Err(error) = opened(&nats, &subscribers, &message).await {
                    tracing::warn!(error = format!("{error:#}"), "a parcel was lost; it will be sent again");
                }
                drop(hand);
            });
        }
    }

    /// The queue, made when it is missing.
    async fn queue(&self) -> anyhow::Result<PullConsumer> {
        let stream = self.jetstream.get_or_create_stream(Config {
            name: self.stream.clone(),
            subjects: vec![self.subject.clone()],
            retention: RetentionPolicy::WorkQueue,
            storage: StorageType::Memory,
            max_messages: PARCELS_MAX,
            max_age: QUEUE_TIME_MAX,
            duplicate_window: QUEUE_TIME_MAX,
            ..Config::default()
        });
        let consumer = pull::Config {
            durable_name: Some("souk-events".to_owned()),
            ack_policy: AckPolicy::Explicit,
            max_deliver: 1,
            memory_storage: true,
            ..pull::Config::default()
        };
        Ok(stream.await?.get_or_create_consumer("souk-events", consumer).await?)
    }
}

/// Hands a parcel over and tells its sender what came of it.
async fn opened(nats: &async_nats::Client, subscribers: &Subscribers, message: &Message) -> anyhow::Result<()> {
    let parcel: Parcel = serde_json::from_slice(&message.payload)?;
    let headers = message.headers.as_ref();
    let inbox = headers.and_then(|headers| headers.get(OUTCOME)).context("it says not where the outcome is awaited")?;
    let Parcel { subscriber, id, topic, key, payload, committed_at, attempt } = parcel;
    let event = events::Event { id, topic, key, payload, committed_at, attempt };
    let outcome = subscribers.hear(&subscriber, event).await;
    nats.publish(inbox.to_string(), serde_json::to_vec(&outcome)?.into()).await?;
    nats.flush().await?;
    Ok(())
}
