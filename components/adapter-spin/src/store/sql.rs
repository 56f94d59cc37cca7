//! `sql`: reads in one snapshot, batches in one transaction.

use souk_store::limits::{self, Checked};
use souk_store::packing::{Cell as Packed, Packer, Room};
use souk_store::shape::{self, Verb};
use souk_store::values::{Batch, MissedGuard, Read, Rows, Snapshot, SqlError, Value, Write};

use super::outbox::{self, Topics};
use super::{Answer, Cell, Connection, Failure, first, run, text, transaction, write};
use crate::guard;

/// How long the id of a batch is kept, in milliseconds. Seven days are promised.
const BATCH_ID_KEPT_MS: i64 = 8 * 24 * 3_600 * 1_000;

/// `sql.query`.
pub fn query(
    connection: &impl Connection,
    component: &str,
    reads: &[Read],
    batch_id: Option<&str>,
) -> Result<Snapshot, SqlError> {
    limits::check_reads(reads)?;
    let prefix = shape::prefix(component).map_err(SqlError::Invalid)?;
    let judged = reads.iter().map(|read| judge(&prefix, Verb::Read, &read.sql, &read.params));
    let judged = judged.collect::<Result<Vec<_>, _>>()?;
    // One statement is a snapshot by itself.
    let several = reads.len() + usize::from(batch_id.is_some()) > 1;
    if several {
        run(connection, "BEGIN", &[])?;
    }
    let snapshot = read_all(connection, component, reads, judged, batch_id);
    if several {
        // The end of the connection, which comes next, ends the snapshot too.
        let _ = connection.run("ROLLBACK", &[]);
    }
    snapshot
}

fn read_all(
    connection: &impl Connection,
    component: &str,
    reads: &[Read],
    judged: Vec<Vec<Value>>,
    batch_id: Option<&str>,
) -> Result<Snapshot, SqlError> {
    let committed = match batch_id {
        Some(id) => outcome(connection, component, id)?.is_some(),
        None => false,
    };
    let mut room = Room::new();
    let results = reads.iter().zip(judged).map(|(read, params)| {
        let answer = run(connection, &read.sql, &params)?;
        pack(answer, &mut room)
    });
    Ok(Snapshot { committed, results: results.collect::<Result<_, _>>()? })
}

fn pack(answer: Answer, room: &mut Room) -> Result<Rows, SqlError> {
    let mut packer = Packer::new(answer.columns, room);
    for row in answer.rows {
        for cell in row {
            packer.cell(match &cell {
                Cell::Null => Packed::Null,
                Cell::Integer(integer) => Packed::Integer(*integer),
                Cell::Text(text) => Packed::Text(text),
                Cell::Foreign(what) => {
                    return Err(SqlError::Invalid(format!("a cell is a {what}; there are integers and texts")));
                }
            })?;
        }
        packer.end_row()?;
    }
    Ok(packer.finish())
}

/// Refuses a statement that a component may not run; answers its parameters in the order in which SQLite counts them,
/// which is that of their first appearance.
fn judge(prefix: &str, verb: Verb, sql: &str, params: &[Value]) -> Result<Vec<Value>, SqlError> {
    limits::check_statement(sql)?;
    let numbers = shape::shape(sql, verb).map_err(SqlError::Invalid)?;
    limits::check_params(numbers.len(), params.len())?;
    guard::check(sql, verb, prefix).map_err(SqlError::Invalid)?;
    for param in params {
        if let Value::Text(text) = param {
            limits::check_text(text)?;
        }
    }
    Ok(numbers.into_iter().map(|number| params[usize::from(number) - 1].clone()).collect())
}

/// `sql.commit`, with those who hear each topic.
pub fn commit(
    connection: &impl Connection,
    component: &str,
    batch: Batch,
    topics: &Topics,
    now: i64,
) -> Result<Vec<u64>, SqlError> {
    let prefix = shape::prefix(component).map_err(SqlError::Invalid)?;
    let judged = match limits::check_batch(batch)? {
        Checked::Fits(batch) => {
            let judge = |write: &Write| judge(&prefix, Verb::Write, &write.sql, &write.params);
            match batch.writes.iter().map(judge).collect::<Result<Vec<_>, _>>() {
                Ok(params) => Ok((batch, params)),
                Err(refusal) => Err((batch.id, refusal)),
            }
        }
        Checked::Unfit(id, refusal) => Err((id, refusal)),
    };
    match judged {
        Ok((batch, params)) => {
            // On in the SQLite that comes with Spin; a build without it would let orphans in silently.
            run(connection, "PRAGMA foreign_keys = ON", &[])?;
            transaction(connection, || apply(connection, component, &batch, params, topics, now))
        }
        // Whatever a batch holds, one that was committed under its id has its answer.
        Err((id, refusal)) => outcome(connection, component, &id)?.ok_or(refusal),
    }
}

/// Does the batch, or answers what it answered the first time.
fn apply(
    connection: &impl Connection,
    component: &str,
    batch: &Batch,
    params: Vec<Vec<Value>>,
    topics: &Topics,
    now: i64,
) -> Result<Vec<u64>, SqlError> {
    if let Some(touched) = outcome(connection, component, &batch.id)? {
        return Ok(touched);
    }
    let mut touched = Vec::with_capacity(batch.writes.len());
    for (place, (statement, params)) in (0..).zip(batch.writes.iter().zip(params)) {
        let rows = write(connection, &statement.sql, &params)?;
        if let Some(expected) = statement.expect.filter(|expected| *expected != rows) {
            return Err(SqlError::GuardMissed(MissedGuard { write: place, expected, touched: rows }));
        }
        touched.push(rows);
    }
    for (place, event) in batch.events.iter().enumerate() {
        outbox::store(connection, component, &limits::event_id(component, &batch.id, place), event, topics, now)?;
    }
    let outcome = touched.iter().map(u64::to_string).collect::<Vec<_>>().join(" ");
    write(
        connection,
        "INSERT INTO souk_batches (component, id, outcome, committed_at) VALUES (?1, ?2, ?3, ?4)",
        &[text(component), text(&batch.id), text(&outcome), Value::Integer(now)],
    )?;
    Ok(touched)
}

/// The stored answer of a batch that has been committed.
fn outcome(connection: &impl Connection, component: &str, id: &str) -> Result<Option<Vec<u64>>, Failure> {
    let sql = "SELECT outcome FROM souk_batches WHERE component = ?1 AND id = ?2";
    let row = first(connection, sql, &[text(component), text(id)])?;
    let counts = |text: String| text.split_whitespace().map(|count| count.parse().unwrap_or_default()).collect();
    row.map(|mut row| row.text().map(counts)).transpose()
}

/// Removes some ids of batches that are older than what is promised.
pub fn sweep(connection: &impl Connection, now: i64, rows_max: i64) -> Result<(), Failure> {
    // Ids are given in the order of commits, so the oldest come first without an index on the instant.
    let sql = "DELETE FROM souk_batches WHERE committed_at < ?1 AND seq IN
             (SELECT seq FROM souk_batches ORDER BY seq LIMIT ?2)";
    write(connection, sql, &[Value::Integer(now - BATCH_ID_KEPT_MS), Value::Integer(rows_max)])?;
    Ok(())
}
