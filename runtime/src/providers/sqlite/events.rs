//! The outbox: events on their way to subscribers, and those that none could take.
//!
//! An event is stored once and has one delivery per subscriber. `schema.sql` says how deliveries of one
//! key queue up. This module decides what is due and what an outcome means; it delivers nothing.

use rusqlite::OptionalExtension;

use super::session::Session;
use super::writer::Tx;
use super::{Failure, Stop};
use crate::ports::bindings::souk::shop::events::{Event, NewEvent};
use crate::ports::bindings::souk::shop::sql::SqlError;
use crate::providers::{DeadLetter, Replay, Subscribers};

/// The longest topic, in bytes.
const TOPIC_BYTES_MAX: usize = 100;
/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 200;
/// The longest payload, in bytes.
const PAYLOAD_BYTES_MAX: usize = 64 * 1024;
/// Failures after which a delivery is given up.
const ATTEMPTS_MAX: i64 = 10;
/// How long after the first failure a delivery is repeated, in milliseconds. Doubled each time.
const BACKOFF_FIRST_MS: i64 = 1_000;
/// The longest time between two deliveries, in milliseconds.
const BACKOFF_MAX_MS: i64 = 3_600_000;
/// How much of a subscriber's error is kept, in bytes.
const ERROR_BYTES_MAX: usize = 1_000;

/// Checks an event that is to be stored.
pub(super) fn check(event: &NewEvent) -> Result<(), SqlError> {
    let too_large =
        |what: &str, max: usize| SqlError::TooLarge(format!("the {what} of an event has at most {max} bytes"));
    if event.topic.len() > TOPIC_BYTES_MAX {
        return Err(too_large("topic", TOPIC_BYTES_MAX));
    }
    if event.key.len() > KEY_BYTES_MAX {
        return Err(too_large("key", KEY_BYTES_MAX));
    }
    if event.payload.len() > PAYLOAD_BYTES_MAX {
        return Err(too_large("payload", PAYLOAD_BYTES_MAX));
    }
    let is_topic = event.topic.split_once('.').is_some_and(|(service, fact)| {
        [service, fact].iter().all(|part| !part.is_empty() && !part.contains(char::is_control))
    });
    if !is_topic {
        return Err(SqlError::Invalid(format!("the topic `{}` is not `service.fact`", event.topic)));
    }
    if event.key.contains('\0') {
        return Err(SqlError::Invalid("the key of an event holds U+0000".into()));
    }
    let is_object = event.payload.trim_start().starts_with('{')
        && serde_json::from_str::<serde::de::IgnoredAny>(&event.payload).is_ok();
    if !is_object {
        return Err(SqlError::Invalid("the payload of an event is not a JSON object".into()));
    }
    Ok(())
}

/// Stores an event and one delivery for each of its subscribers. One that nobody hears is only counted.
pub(super) fn store(
    tx: &Tx<'_>,
    component: &str,
    id: &str,
    event: &NewEvent,
    subscribers: &Subscribers,
) -> Result<(), Stop<SqlError>> {
    let Some(hearers) = subscribers.get(&event.topic).filter(|hearers| !hearers.is_empty()) else {
        tx.metrics().events_unheard.inc();
        return Ok(());
    };
    let stored =
        Stored { id, component, topic: &event.topic, key: &event.key, payload: &event.payload, committed_at: tx.now };
    insert(tx, &stored, event.not_before, hearers.iter().map(String::as_str))?;
    Ok(())
}

/// An event as its row holds it.
struct Stored<'a> {
    id: &'a str,
    component: &'a str,
    topic: &'a str,
    key: &'a str,
    payload: &'a str,
    committed_at: i64,
}

fn insert<'a>(
    tx: &Tx<'_>,
    event: &Stored<'_>,
    not_before: Option<i64>,
    hearers: impl ExactSizeIterator<Item = &'a str>,
) -> rusqlite::Result<()> {
    tx.metrics().events_stored.inc();
    tx.wake_relay();
    let pending = i64::try_from(hearers.len()).unwrap_or(i64::MAX);
    let seq = tx
        .host(
            "INSERT INTO souk_events (id, component, topic, key, payload, committed_at, pending)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .insert((event.id, event.component, event.topic, event.key, event.payload, event.committed_at, pending))?;
    let not_before = not_before.unwrap_or_default().max(0);
    let mut delivery = tx.host(
        "INSERT INTO souk_deliveries (subscriber, topic, key, seq, not_before, next_at, attempts, ready)
         VALUES (?1, ?2, ?3, ?4, ?5, max(?5, ?6), 0,
             ?5 > ?6 OR NOT EXISTS (SELECT 1 FROM souk_deliveries
                 WHERE subscriber = ?1 AND topic = ?2 AND key = ?3 AND not_before <= ?6))",
    )?;
    for subscriber in hearers {
        delivery.execute((subscriber, event.topic, event.key, seq, not_before, tx.now))?;
    }
    Ok(())
}

/// Which deliveries one subscriber is to be given in their order: one queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::providers) struct Queue {
    /// Who hears.
    pub(in crate::providers) subscriber: String,
    /// What happened.
    pub(in crate::providers) topic: String,
    /// What it happened to.
    pub(in crate::providers) key: String,
}

/// A delivery whose instant has come.
#[derive(Debug)]
pub(in crate::providers) struct Due {
    /// Where it stands.
    pub(in crate::providers) queue: Queue,
    /// Its place in the queue.
    pub(in crate::providers) seq: i64,
    /// What is delivered.
    pub(in crate::providers) event: Event,
    /// Whether an earlier one of the queue has to be delivered first.
    pub(in crate::providers) blocked: bool,
}

/// The deliveries of one subscriber whose instant has come, the longest due first.
pub(in crate::providers) fn due(
    session: &Session,
    subscriber: &str,
    now: i64,
    limit: usize,
) -> Result<Vec<Due>, Stop<Failure>> {
    let mut statement = session.host(
        "SELECT d.topic, d.key, d.seq, d.attempts, e.id, e.payload, e.committed_at,
             EXISTS (SELECT 1 FROM souk_deliveries p
                 WHERE p.subscriber = d.subscriber AND p.topic = d.topic AND p.key = d.key
                     AND p.seq < d.seq AND p.not_before <= ?2)
         FROM souk_deliveries d JOIN souk_events e ON e.seq = d.seq
         WHERE d.subscriber = ?1 AND d.ready = 1 AND d.next_at <= ?2
         ORDER BY d.next_at, d.seq LIMIT ?3",
    )?;
    let rows = statement.query_map((subscriber, now, limit as i64), |row| {
        let queue = Queue { subscriber: subscriber.into(), topic: row.get(0)?, key: row.get(1)? };
        let event = Event {
            id: row.get(4)?,
            topic: queue.topic.clone(),
            key: queue.key.clone(),
            payload: row.get(5)?,
            committed_at: row.get(6)?,
            attempt: row.get::<_, u32>(3)? + 1,
        };
        Ok(Due { seq: row.get(2)?, blocked: row.get(7)?, queue, event })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// When the next delivery that is not due yet will be.
pub(in crate::providers) fn next_due(
    session: &Session,
    subscriber: &str,
    now: i64,
) -> Result<Option<i64>, Stop<Failure>> {
    let mut statement = session.host(
        "SELECT next_at FROM souk_deliveries WHERE subscriber = ?1 AND ready = 1 AND next_at > ?2
         ORDER BY next_at LIMIT 1",
    )?;
    Ok(statement.query_row((subscriber, now), |row| row.get(0)).optional()?)
}

/// How many deliveries wait, and since when the oldest due one has been due.
pub(in crate::providers) fn depth(session: &Session, now: i64) -> Result<(i64, Option<i64>), Stop<Failure>> {
    let depth = session.host("SELECT count(*) FROM souk_deliveries")?.query_row([], |row| row.get(0))?;
    let oldest = session
        .host("SELECT min(next_at) FROM souk_deliveries WHERE ready = 1 AND next_at <= ?1")?
        .query_row([now], |row| row.get(0))?;
    Ok((depth, oldest))
}

/// Takes a delivery that is blocked out of those that are looked at. The end of the one before it brings it back.
pub(in crate::providers) fn park(tx: &Tx<'_>, queue: &Queue, seq: i64) -> Result<(), Stop<Failure>> {
    // Asked again here: the one before it may have ended since it was read.
    tx.host(
        "UPDATE souk_deliveries AS d SET ready = 0
         WHERE subscriber = ?1 AND topic = ?2 AND key = ?3 AND seq = ?4 AND EXISTS
             (SELECT 1 FROM souk_deliveries p
              WHERE p.subscriber = ?1 AND p.topic = ?2 AND p.key = ?3 AND p.seq < ?4 AND p.not_before <= ?5)",
    )?
    .execute((&queue.subscriber, &queue.topic, &queue.key, seq, tx.now))?;
    Ok(())
}

/// What a delivery came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::providers) enum Settled {
    /// The subscriber took it.
    Delivered,
    /// It will be repeated.
    Retried,
    /// It is among the dead letters.
    Dead,
}

/// Stores the outcome of a delivery.
pub(in crate::providers) fn settle(
    tx: &Tx<'_>,
    queue: &Queue,
    seq: i64,
    outcome: &Result<(), String>,
) -> Result<Settled, Stop<Failure>> {
    let error = match outcome {
        Ok(()) => {
            end(tx, queue, seq)?;
            return Ok(Settled::Delivered);
        }
        Err(error) => &error[..error.floor_char_boundary(ERROR_BYTES_MAX)],
    };
    let attempts = tx
        .host(
            "SELECT attempts + 1 FROM souk_deliveries
             WHERE subscriber = ?1 AND topic = ?2 AND key = ?3 AND seq = ?4",
        )?
        .query_row((&queue.subscriber, &queue.topic, &queue.key, seq), |row| row.get(0))
        .optional()?;
    match attempts {
        None => Ok(Settled::Delivered),
        Some(attempts) if attempts >= ATTEMPTS_MAX => {
            tx.host(
                "INSERT INTO souk_dead_letters (id, subscriber, event_id, component, topic, key, payload, committed_at,
                     attempts, error, died_at)
                 SELECT ?6, ?1, id, component, topic, key, payload, committed_at, ?3, ?4, ?5
                 FROM souk_events WHERE seq = ?2",
            )?
            .execute((&queue.subscriber, seq, attempts, error, tx.now, tx.next_version()))?;
            end(tx, queue, seq)?;
            Ok(Settled::Dead)
        }
        Some(attempts) => {
            tx.host(
                "UPDATE souk_deliveries SET attempts = ?5, next_at = ?6
                 WHERE subscriber = ?1 AND topic = ?2 AND key = ?3 AND seq = ?4",
            )?
            .execute((
                &queue.subscriber,
                &queue.topic,
                &queue.key,
                seq,
                attempts,
                tx.now + backoff(attempts),
            ))?;
            Ok(Settled::Retried)
        }
    }
}

/// How long to wait after this many failures, in milliseconds.
fn backoff(attempts: i64) -> i64 {
    let doublings = u32::try_from(attempts - 1).unwrap_or_default().min(30);
    (BACKOFF_FIRST_MS << doublings).min(BACKOFF_MAX_MS)
}

/// Removes a delivery, lets the next of its queue come up, and removes its event when no one else waits for it.
fn end(tx: &Tx<'_>, queue: &Queue, seq: i64) -> rusqlite::Result<()> {
    let place = (&queue.subscriber, &queue.topic, &queue.key, seq);
    let ended = tx
        .host("DELETE FROM souk_deliveries WHERE subscriber = ?1 AND topic = ?2 AND key = ?3 AND seq = ?4")?
        .execute(place)?;
    if ended == 0 {
        return Ok(());
    }
    tx.host(
        "UPDATE souk_deliveries SET ready = 1
         WHERE subscriber = ?1 AND topic = ?2 AND key = ?3 AND seq =
             (SELECT seq FROM souk_deliveries
              WHERE subscriber = ?1 AND topic = ?2 AND key = ?3 AND ready = 0 ORDER BY seq LIMIT 1)",
    )?
    .execute((&queue.subscriber, &queue.topic, &queue.key))?;
    let last = tx.host("DELETE FROM souk_events WHERE seq = ?1 AND pending = 1")?.execute([seq])?;
    if last == 0 {
        tx.host("UPDATE souk_events SET pending = pending - 1 WHERE seq = ?1")?.execute([seq])?;
    }
    Ok(())
}

/// The oldest dead letters.
pub(in crate::providers) fn dead_letters(session: &Session, limit: u32) -> Result<Vec<DeadLetter>, Stop<Failure>> {
    let mut statement = session.host(
        "SELECT id, subscriber, event_id, topic, key, payload, committed_at, attempts, error, died_at
         FROM souk_dead_letters ORDER BY id LIMIT ?1",
    )?;
    let rows = statement.query_map([limit], |row| {
        Ok(DeadLetter {
            id: row.get(0)?,
            subscriber: row.get(1)?,
            event: Event {
                id: row.get(2)?,
                topic: row.get(3)?,
                key: row.get(4)?,
                payload: row.get(5)?,
                committed_at: row.get(6)?,
                attempt: row.get(7)?,
            },
            error: row.get(8)?,
            died_at: row.get(9)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Puts dead letters back into their queues, behind what waits there, with their attempts forgotten.
pub(in crate::providers) fn replay(tx: &Tx<'_>, which: Replay) -> Result<u64, Stop<Failure>> {
    let (first, last) = match which {
        Replay::One(id) => (id, id),
        Replay::All => (i64::MIN, i64::MAX),
    };
    let mut replayed = 0;
    let mut from = first;
    // One at a time: a payload is up to 64 KiB, and there may be many.
    while let Some((id, subscriber)) = replay_next(tx, from, last)? {
        tracing::info!(dead_letter = id, subscriber, "replayed");
        replayed += 1;
        from = id.saturating_add(1);
    }
    Ok(replayed)
}

fn replay_next(tx: &Tx<'_>, from: i64, last: i64) -> rusqlite::Result<Option<(i64, String)>> {
    let mut statement = tx.host(
        "SELECT id, subscriber, event_id, component, topic, key, payload, committed_at
         FROM souk_dead_letters WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT 1",
    )?;
    let mut rows = statement.query((from, last))?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let (id, subscriber): (i64, String) = (row.get(0)?, row.get(1)?);
    let text = |column: usize| -> rusqlite::Result<&str> { Ok(row.get_ref(column)?.as_str()?) };
    let stored = Stored {
        id: text(2)?,
        component: text(3)?,
        topic: text(4)?,
        key: text(5)?,
        payload: text(6)?,
        committed_at: row.get(7)?,
    };
    insert(tx, &stored, None, [subscriber.as_str()].into_iter())?;
    tx.host("DELETE FROM souk_dead_letters WHERE id = ?1")?.execute([id])?;
    Ok(Some((id, subscriber)))
}
