//! The outbox: what is due, to whom it belongs, and what becomes of it. `schema.sql` says how queues work.

use std::time::Duration;

use super::failure::Stop;
use super::pool::Connection;
use crate::engine::{Claim, Depth, Due, Failure, LEASE, Queue, Settled, Taken, Wanted};
use crate::outbox::{Next, after_failures, kept};
use crate::values::Event;
use crate::{DeadLetter, Replay};

/// How long the relay sleeps at most: what another host commits is noticed after it, and so is a timer.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(200);

const TAKE_DUE: &str = "SELECT * FROM souk.take_due($1, $2, $3, $4, $5, $6, $7, $8)";
// Locked in the order in which commits lock them.
const RENEW: &str = "
    WITH held AS (
        SELECT q.subscriber, q.topic, q.key FROM souk.queues q
        JOIN unnest($2::TEXT[], $3::TEXT[], $4::TEXT[], $5::BIGINT[]) AS c (s, t, k, l)
            ON q.subscriber = c.s AND q.topic = c.t AND q.key = c.k AND q.lease = c.l
        ORDER BY q.subscriber, q.topic, q.key FOR UPDATE OF q)
    UPDATE souk.queues q SET leased_until = clock_timestamp() + $1 * interval '1 millisecond'
    FROM held WHERE q.subscriber = held.subscriber AND q.topic = held.topic AND q.key = held.key";
const SETTLE: &str = "SELECT souk.settle($1, $2, $3, $4, $5, $6, $7, $8)";
const DEPTH: &str = "
    SELECT (SELECT count(*) FROM souk.deliveries), (SELECT min(next_at) FROM souk.queues WHERE next_at <= $1)";
const DEAD_LETTERS: &str = "
    SELECT id, subscriber, event_id, topic, key, payload, committed_at, attempts, error, died_at
    FROM souk.dead_letters ORDER BY id LIMIT $1";
const REPLAY: &str = "SELECT id, subscriber FROM souk.replay($1, $2, $3)";

/// Takes what is due.
pub(super) async fn take_due(connection: &mut Connection, wanted: &Wanted<'_>) -> Result<Taken, Stop<Failure>> {
    let statement = connection.own(TAKE_DUE).await?;
    let subscribers: Vec<&str> = wanted.rooms.iter().map(|(subscriber, _)| subscriber.as_str()).collect();
    let rooms: Vec<i64> = wanted.rooms.iter().map(|(_, room)| counted(*room)).collect();
    let busy = || wanted.under_way.keys();
    let rows = connection
        .client
        .query(
            &statement,
            &[
                &wanted.now,
                &milliseconds(LEASE),
                &counted(wanted.room),
                &subscribers,
                &rooms,
                &busy().map(|queue| queue.subscriber.as_str()).collect::<Vec<_>>(),
                &busy().map(|queue| queue.topic.as_str()).collect::<Vec<_>>(),
                &busy().map(|queue| queue.key.as_str()).collect::<Vec<_>>(),
            ],
        )
        .await?;
    let due = rows.iter().map(|row| {
        let queue = Queue { subscriber: row.get(1), topic: row.get(2), key: row.get(3) };
        let event = Event {
            id: row.get(5),
            topic: queue.topic.clone(),
            key: queue.key.clone(),
            payload: row.get(6),
            committed_at: row.get(7),
            attempt: attempts(row.get(8)) + 1,
        };
        Due { claim: Claim { queue, seq: row.get(4), lease: row.get(0) }, event }
    });
    // The relay looks again so soon that timers need no announcement.
    Ok(Taken { due: due.collect(), next_at: None })
}

/// Keeps claims this host's own for another while.
pub(super) async fn renew(connection: &mut Connection, claims: &[Claim]) -> Result<(), Stop<Failure>> {
    let statement = connection.own(RENEW).await?;
    connection
        .client
        .execute(
            &statement,
            &[
                &(LEASE.as_millis() as f64),
                &claims.iter().map(|claim| claim.queue.subscriber.as_str()).collect::<Vec<_>>(),
                &claims.iter().map(|claim| claim.queue.topic.as_str()).collect::<Vec<_>>(),
                &claims.iter().map(|claim| claim.queue.key.as_str()).collect::<Vec<_>>(),
                &claims.iter().map(|claim| claim.lease).collect::<Vec<_>>(),
            ],
        )
        .await?;
    Ok(())
}

/// Stores the outcome of a delivery. Doing it twice changes nothing.
pub(super) async fn settle(
    connection: &mut Connection,
    claim: &Claim,
    outcome: &Result<(), String>,
    now: i64,
) -> Result<Settled, Stop<Failure>> {
    let statement = connection.own(SETTLE).await?;
    let Claim { queue: Queue { subscriber, topic, key }, seq, lease } = claim;
    // U+0000 is the one character that Postgres does not store.
    let error = outcome.as_ref().err().map(|error| kept(error).replace('\0', "\u{fffd}"));
    let row =
        connection.client.query_one(&statement, &[subscriber, topic, key, seq, lease, &now, &error, &delays()]).await?;
    Ok(match row.get::<_, &str>(0) {
        "dead" => Settled::Dead,
        "retried" => Settled::Retried,
        _ => Settled::Delivered,
    })
}

/// After how many milliseconds each failure but the last is repeated.
fn delays() -> Vec<i64> {
    let delay = |failures| match after_failures(failures) {
        Next::RepeatAfter(ms) => Some(ms),
        Next::Dead => None,
    };
    (1..).map_while(delay).collect()
}

/// How much waits.
pub(super) async fn depth(connection: &mut Connection, now: i64) -> Result<Depth, Stop<Failure>> {
    let statement = connection.own(DEPTH).await?;
    let row = connection.client.query_one(&statement, &[&now]).await?;
    Ok(Depth { waiting: row.get(0), oldest_due_at: row.get(1) })
}

/// The oldest dead letters.
pub(super) async fn dead_letters(connection: &mut Connection, limit: u32) -> Result<Vec<DeadLetter>, Stop<Failure>> {
    let statement = connection.own(DEAD_LETTERS).await?;
    let rows = connection.client.query(&statement, &[&i64::from(limit)]).await?;
    let letter = |row: &tokio_postgres::Row| DeadLetter {
        id: row.get(0),
        subscriber: row.get(1),
        event: Event {
            id: row.get(2),
            topic: row.get(3),
            key: row.get(4),
            payload: row.get(5),
            committed_at: row.get(6),
            attempt: attempts(row.get(7)),
        },
        error: row.get(8),
        died_at: row.get(9),
    };
    Ok(rows.iter().map(letter).collect())
}

/// Puts dead letters back into their queues, each in a transaction of its own; answers how many.
pub(super) async fn replay(connection: &mut Connection, which: Replay, now: i64) -> Result<u64, Stop<Failure>> {
    let statement = connection.own(REPLAY).await?;
    let (mut from, last) = match which {
        Replay::One(id) => (id, id),
        Replay::All => (i64::MIN, i64::MAX),
    };
    let mut replayed = 0;
    while let Some(row) = connection.client.query_opt(&statement, &[&from, &last, &now]).await? {
        let (id, subscriber): (i64, &str) = (row.get(0), row.get(1));
        tracing::info!(dead_letter = id, subscriber, "replayed");
        replayed += 1;
        from = id.saturating_add(1);
    }
    Ok(replayed)
}

fn attempts(stored: i64) -> u32 {
    u32::try_from(stored).unwrap_or(u32::MAX)
}

fn counted(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
