//! The outbox: events on their way to subscribers, and those that none could take.
//!
//! An event is stored once and has one delivery per subscriber. `schema.sql` says how deliveries of one
//! key queue up. This module decides what is due and what an outcome means; it delivers nothing.

use rusqlite::OptionalExtension;

use super::Stop;
use super::session::Session;
use super::writer::Tx;
use crate::engine::{Claim, Depth, Due, Failure, Queue, Settled};
use crate::outbox::{self, Next};
use crate::values::{Event, NewEvent, SqlError};
use crate::{DeadLetter, Replay, Subscribers};

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

/// A delivery whose instant has come, and whether an earlier one of its queue has to be delivered first.
pub(super) struct Candidate {
    pub(super) due: Due,
    pub(super) blocked: bool,
}

/// The deliveries of one subscriber whose instant has come, the longest due first.
pub(super) fn due(
    session: &Session,
    subscriber: &str,
    now: i64,
    limit: usize,
) -> Result<Vec<Candidate>, Stop<Failure>> {
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
        let claim = Claim { seq: row.get(2)?, lease: 0, queue };
        Ok(Candidate { due: Due { claim, event }, blocked: row.get(7)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// When the next delivery that is not due yet will be.
pub(super) fn next_due(session: &Session, subscriber: &str, now: i64) -> Result<Option<i64>, Stop<Failure>> {
    let mut statement = session.host(
        "SELECT next_at FROM souk_deliveries WHERE subscriber = ?1 AND ready = 1 AND next_at > ?2
         ORDER BY next_at LIMIT 1",
    )?;
    Ok(statement.query_row((subscriber, now), |row| row.get(0)).optional()?)
}

/// How many deliveries wait, and since when the oldest due one has been due.
pub(super) fn depth(session: &Session, now: i64) -> Result<Depth, Stop<Failure>> {
    let waiting = session.host("SELECT count(*) FROM souk_deliveries")?.query_row([], |row| row.get(0))?;
    let oldest_due_at = session
        .host("SELECT min(next_at) FROM souk_deliveries WHERE ready = 1 AND next_at <= ?1")?
        .query_row([now], |row| row.get(0))?;
    Ok(Depth { waiting, oldest_due_at })
}

/// Takes a delivery that is blocked out of those that are looked at. The end of the one before it brings it back.
pub(super) fn park(tx: &Tx<'_>, Claim { queue, seq, .. }: &Claim) -> Result<(), Stop<Failure>> {
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

/// Stores the outcome of a delivery.
pub(super) fn settle(
    tx: &Tx<'_>,
    Claim { queue, seq, .. }: &Claim,
    outcome: &Result<(), String>,
) -> Result<Settled, Stop<Failure>> {
    let error = match outcome {
        Ok(()) => {
            end(tx, queue, *seq)?;
            return Ok(Settled::Delivered);
        }
        Err(error) => outbox::kept(error),
    };
    let attempts = tx
        .host(
            "SELECT attempts + 1 FROM souk_deliveries
             WHERE subscriber = ?1 AND topic = ?2 AND key = ?3 AND seq = ?4",
        )?
        .query_row((&queue.subscriber, &queue.topic, &queue.key, seq), |row| row.get(0))
        .optional()?;
    let Some(attempts) = attempts else { return Ok(Settled::Delivered) };
    match outbox::after_failures(attempts) {
        Next::Dead => {
            tx.host(
                "INSERT INTO souk_dead_letters (id, subscriber, event_id, component, topic, key, payload, committed_at,
                     attempts, error, died_at)
                 SELECT ?6, ?1, id, component, topic, key, payload, committed_at, ?3, ?4, ?5
                 FROM souk_events WHERE seq = ?2",
            )?
            .execute((&queue.subscriber, seq, attempts, error, tx.now, tx.next_version()))?;
            end(tx, queue, *seq)?;
            Ok(Settled::Dead)
        }
        Next::RepeatAfter(delay_ms) => {
            tx.host(
                "UPDATE souk_deliveries SET attempts = ?5, next_at = ?6
                 WHERE subscriber = ?1 AND topic = ?2 AND key = ?3 AND seq = ?4",
            )?
            .execute((&queue.subscriber, &queue.topic, &queue.key, seq, attempts, tx.now + delay_ms))?;
            Ok(Settled::Retried)
        }
    }
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
pub(super) fn dead_letters(session: &Session, limit: u32) -> Result<Vec<DeadLetter>, Stop<Failure>> {
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
pub(super) fn replay(tx: &Tx<'_>, which: Replay) -> Result<u64, Stop<Failure>> {
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
