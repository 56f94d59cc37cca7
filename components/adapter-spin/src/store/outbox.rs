//! The outbox: events on their way, each given to one deliverer at a time.
//!
//! The tables say what is due as they do on Souk's own host (`runtime/store/src/sqlite/events.rs`), which has one relay.
//! Here any number of deliverers take turns, so a delivery is claimed first: its `next_at` moves to the end of the claim,
//! and its attempt is counted. While it is claimed it blocks its queue like any delivery that waits for a repeat, and when
//! the deliverer is gone the event comes again by itself, ten times at most.

use std::collections::{BTreeMap, BTreeSet};

use souk_store::outbox::{Next, after_failures, kept};
use souk_store::values::{Event, NewEvent, Value};

use super::{Connection, Failure, Row, first, kv, sql, text, transaction, write};

/// How long a deliverer has for one event, in milliseconds. Longer than any delivery of the shop takes.
pub const CLAIM_MS: i64 = 120_000;
/// How long after it began or took an event a deliverer counts as busy, in milliseconds. A slow subscriber holds up others
/// no longer than this.
pub const BUSY_MS: i64 = 5_000;
/// Deliveries without an answer that one call gives up before it leaves the rest to the next.
const GIVEN_UP_MAX: usize = 100;
/// What is said about a delivery whose deliverer was gone ten times.
const NO_ANSWER: &str = "the last delivery ended without an answer";
/// Rows that one sweep removes at most from each table.
const SWEEP_ROWS_MAX: i64 = 500;

/// Components that hear a topic, by topic.
pub type Topics = BTreeMap<String, Vec<String>>;

/// One event on its way to one subscriber, given to one deliverer for a limited time.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Who hears.
    pub subscriber: String,
    /// What happened.
    pub topic: String,
    /// What it happened to.
    pub key: String,
    /// The place of the event in the order of commits.
    pub place: i64,
    /// The end of the claim, in milliseconds since 1970.
    pub until: i64,
}

/// An event that is to be delivered now.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// What the outcome is stored under.
    pub claim: Claim,
    /// The event.
    pub event: Event,
}

/// Stores an event and one delivery for each of its subscribers. One that nobody hears is not stored.
pub(super) fn store(
    connection: &impl Connection,
    component: &str,
    id: &str,
    event: &NewEvent,
    topics: &Topics,
    now: i64,
) -> Result<(), Failure> {
    let Some(hearers) = topics.get(&event.topic).filter(|hearers| !hearers.is_empty()) else { return Ok(()) };
    let pending = i64::try_from(hearers.len()).unwrap_or(i64::MAX);
    write(
        connection,
        "INSERT INTO souk_events (id, component, topic, key, payload, committed_at, pending)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        &[
            text(id),
            text(component),
            text(&event.topic),
            text(&event.key),
            text(&event.payload),
            Value::Integer(now),
            Value::Integer(pending),
        ],
    )?;
    let place = Value::Integer(connection.last_row());
    let not_before = Value::Integer(event.not_before.unwrap_or_default().max(0));
    for subscriber in hearers {
        write(
            connection,
            "INSERT INTO souk_deliveries (subscriber, topic, key, seq, not_before, next_at, attempts, ready)
             VALUES (?1, ?2, ?3, ?4, ?5, max(?5, ?6), 0,
                 ?5 > ?6 OR NOT EXISTS (SELECT 1 FROM souk_deliveries
                     WHERE subscriber = ?1 AND topic = ?2 AND key = ?3 AND not_before <= ?6))",
            &[
                text(subscriber),
                text(&event.topic),
                text(&event.key),
                place.clone(),
                not_before.clone(),
                Value::Integer(now),
            ],
        )?;
    }
    Ok(())
}

/// Whether anything is due and no deliverer is busy. Takes no lock.
pub fn needs_deliverer(connection: &impl Connection, topics: &Topics, now: i64) -> Result<bool, Failure> {
    Ok(!is_busy(connection, now)? && due(connection, topics, now)?.is_some())
}

/// Begins a deliverer's round, and answers until when it counts as busy. None when another is busy: each is an instance with
/// all who hear inside, and of those that many responses ask for at once one goes on.
pub fn begin(connection: &impl Connection, now: i64) -> Result<Option<i64>, Failure> {
    // Looking first keeps the write lock free.
    if is_busy(connection, now)? {
        return Ok(None);
    }
    transaction(connection, || {
        if is_busy(connection, now)? {
            return Ok(None);
        }
        busy_until(connection, now + BUSY_MS)?;
        Ok(Some(now + BUSY_MS))
    })
}

fn is_busy(connection: &impl Connection, now: i64) -> Result<bool, Failure> {
    let until = first(connection, "SELECT value FROM souk_counters WHERE name = 'busy_until'", &[])?;
    Ok(until.map(|mut row| row.integer()).transpose()?.is_some_and(|until| until > now))
}

/// Says until when a deliverer is busy.
fn busy_until(connection: &impl Connection, until: i64) -> Result<(), Failure> {
    let sql = "INSERT INTO souk_counters (name, value) VALUES ('busy_until', ?1)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    write(connection, sql, &[Value::Integer(until)])?;
    Ok(())
}

/// Stores what came of the last delivery, if there was one, and claims the next that is due.
pub fn next(
    connection: &impl Connection,
    last: Option<(&Claim, Option<&str>)>,
    topics: &Topics,
    now: i64,
) -> Result<Option<Delivery>, Failure> {
    // Looking first keeps the write lock free for the shop while there is nothing to deliver.
    if last.is_none() && due(connection, topics, now)?.is_none() {
        return Ok(None);
    }
    transaction(connection, || {
        if let Some((claim, failure)) = last {
            settle(connection, claim, failure, now)?;
        }
        for _ in 0..GIVEN_UP_MAX {
            let Some(found) = due(connection, topics, now)? else { return Ok(None) };
            match after_failures(found.attempts) {
                // Nobody came back with an outcome of the last attempt, or it would be gone.
                Next::Dead => bury(connection, &found.claim, NO_ANSWER, found.attempts, now)?,
                Next::RepeatAfter(_) => return take(connection, found, now).map(Some),
            }
        }
        Ok(None)
    })
}

/// Stores what came of the last delivery.
pub fn conclude(connection: &impl Connection, claim: &Claim, failure: Option<&str>, now: i64) -> Result<(), Failure> {
    transaction(connection, || settle(connection, claim, failure, now))
}

/// What is due and free, the longest due first.
struct Due {
    claim: Claim,
    attempts: i64,
    id: String,
    payload: String,
    committed_at: i64,
}

fn due(connection: &impl Connection, topics: &Topics, now: i64) -> Result<Option<Due>, Failure> {
    let hearers: BTreeSet<&String> = topics.values().flatten().collect();
    let mut oldest: Option<Due> = None;
    for subscriber in hearers {
        // One subscriber at a time, since the index starts with it: timers of months to come are never looked at.
        let row = first(
            connection,
            "SELECT d.topic, d.key, d.seq, d.next_at, d.attempts, e.id, e.payload, e.committed_at
             FROM souk_deliveries d JOIN souk_events e ON e.seq = d.seq
             WHERE d.subscriber = ?1 AND d.ready = 1 AND d.next_at <= ?2 AND NOT EXISTS
                 (SELECT 1 FROM souk_deliveries p
                  WHERE p.subscriber = ?1 AND p.topic = d.topic AND p.key = d.key AND p.seq < d.seq
                      AND p.not_before <= ?2)
             ORDER BY d.next_at, d.seq LIMIT 1",
            &[text(subscriber), Value::Integer(now)],
        )?;
        let Some(row) = row else { continue };
        let found = read(row, subscriber)?;
        let place = |due: &Due| (due.claim.until, due.claim.place);
        if oldest.as_ref().is_none_or(|oldest| place(&found) < place(oldest)) {
            oldest = Some(found);
        }
    }
    Ok(oldest)
}

fn read(mut row: Row, subscriber: &str) -> Result<Due, Failure> {
    let claim = Claim {
        subscriber: subscriber.to_owned(),
        topic: row.text()?,
        key: row.text()?,
        place: row.integer()?,
        until: row.integer()?,
    };
    Ok(Due { claim, attempts: row.integer()?, id: row.text()?, payload: row.text()?, committed_at: row.integer()? })
}

/// Claims a delivery.
fn take(connection: &impl Connection, due: Due, now: i64) -> Result<Delivery, Failure> {
    busy_until(connection, now + BUSY_MS)?;
    let attempts = due.attempts + 1;
    let claim = Claim { until: now + CLAIM_MS, ..due.claim };
    let mut params = at(&claim);
    params.extend([Value::Integer(attempts), Value::Integer(claim.until)]);
    write(
        connection,
        "UPDATE souk_deliveries SET attempts = ?5, next_at = ?6
         WHERE subscriber = ?1 AND topic = ?2 AND key = ?3 AND seq = ?4",
        &params,
    )?;
    let event = Event {
        id: due.id,
        topic: claim.topic.clone(),
        key: claim.key.clone(),
        payload: due.payload,
        committed_at: due.committed_at,
        attempt: u32::try_from(attempts).unwrap_or(u32::MAX),
    };
    Ok(Delivery { claim, event })
}

/// The parameters that name a delivery.
fn at(claim: &Claim) -> Vec<Value> {
    vec![text(&claim.subscriber), text(&claim.topic), text(&claim.key), Value::Integer(claim.place)]
}

fn settle(connection: &impl Connection, claim: &Claim, failure: Option<&str>, now: i64) -> Result<(), Failure> {
    // An event that was taken was taken, even when the claim had run out by then.
    let Some(failure) = failure else { return end(connection, claim) };
    let mut params = at(claim);
    params.push(Value::Integer(claim.until));
    let row = first(
        connection,
        "SELECT attempts FROM souk_deliveries
         WHERE subscriber = ?1 AND topic = ?2 AND key = ?3 AND seq = ?4 AND next_at = ?5",
        &params,
    )?;
    let Some(mut row) = row else { return Ok(()) };
    let attempts = row.integer()?;
    match after_failures(attempts) {
        Next::Dead => bury(connection, claim, failure, attempts, now),
        Next::RepeatAfter(delay) => {
            let mut params = at(claim);
            params.push(Value::Integer(now + delay));
            write(
                connection,
                "UPDATE souk_deliveries SET next_at = ?5
                 WHERE subscriber = ?1 AND topic = ?2 AND key = ?3 AND seq = ?4",
                &params,
            )?;
            Ok(())
        }
    }
}

/// Moves a delivery to the dead letters.
fn bury(connection: &impl Connection, claim: &Claim, failure: &str, attempts: i64, now: i64) -> Result<(), Failure> {
    // Above the letters that are there, too: our own host, when it visits this file, keeps the counter in its memory.
    write(
        connection,
        "UPDATE souk_counters SET value = 1 + max(value, (SELECT coalesce(max(id), 0) FROM souk_dead_letters))
         WHERE name = 'version'",
        &[],
    )?;
    write(
        connection,
        "INSERT INTO souk_dead_letters (id, subscriber, event_id, component, topic, key, payload, committed_at,
             attempts, error, died_at)
         SELECT (SELECT value FROM souk_counters WHERE name = 'version'), ?1, id, component, topic, key, payload,
             committed_at, ?3, ?4, ?5
         FROM souk_events WHERE seq = ?2",
        &[
            text(&claim.subscriber),
            Value::Integer(claim.place),
            Value::Integer(attempts),
            text(kept(failure)),
            Value::Integer(now),
        ],
    )?;
    end(connection, claim)
}

/// Removes a delivery, lets the next of its queue come up, and removes its event when no one else waits for it.
fn end(connection: &impl Connection, claim: &Claim) -> Result<(), Failure> {
    let ended = write(
        connection,
        "DELETE FROM souk_deliveries WHERE subscriber = ?1 AND topic = ?2 AND key = ?3 AND seq = ?4",
        &at(claim),
    )?;
    if ended == 0 {
        return Ok(());
    }
    write(
        connection,
        "UPDATE souk_deliveries SET ready = 1
         WHERE subscriber = ?1 AND topic = ?2 AND key = ?3 AND seq =
             (SELECT seq FROM souk_deliveries
              WHERE subscriber = ?1 AND topic = ?2 AND key = ?3 AND ready = 0 ORDER BY seq LIMIT 1)",
        &at(claim)[..3],
    )?;
    let place = [Value::Integer(claim.place)];
    if write(connection, "DELETE FROM souk_events WHERE seq = ?1 AND pending = 1", &place)? == 0 {
        write(connection, "UPDATE souk_events SET pending = pending - 1 WHERE seq = ?1", &place)?;
    }
    Ok(())
}

/// Ends the round of the deliverer that counted as busy until `until`: it no longer does, while one that has taken over
/// still does. Some of what has expired is removed.
pub fn finish(connection: &impl Connection, until: i64, now: i64) -> Result<(), Failure> {
    transaction(connection, || {
        let mine = [Value::Integer(until)];
        write(connection, "UPDATE souk_counters SET value = 0 WHERE name = 'busy_until' AND value = ?1", &mine)?;
        kv::sweep(connection, now, SWEEP_ROWS_MAX)?;
        sql::sweep(connection, now, SWEEP_ROWS_MAX)
    })
}
