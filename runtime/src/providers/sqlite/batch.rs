//! `sql.commit`: one batch within a group, in a savepoint that the writer keeps or undoes.

use super::guard::Verb;
use super::reader;
use super::session::{PARAMS_MAX, too_many_params};
use super::writer::Tx;
use super::{Stop, events};
use crate::ports::bindings::souk::shop::sql::{Batch, MissedGuard, SqlError, Value, Write};
use crate::providers::Subscribers;

/// The longest identity of a batch, in bytes.
const ID_BYTES_MAX: usize = 200;
/// Writes of one batch.
const WRITES_MAX: usize = 1_000;
/// Events of one batch.
const EVENTS_MAX: usize = 100;
/// Texts and payloads of one batch together, in bytes.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A batch after the checks that need no database.
pub(super) enum Checked {
    /// It may go to the writer.
    Fits(Batch),
    /// It is refused, unless a batch with this id has been committed before.
    Unfit(String, SqlError),
}

/// Checks everything that can be checked without the database, on the caller's thread. An error means that even the id
/// is not one.
pub(super) fn check(batch: Batch) -> Result<Checked, SqlError> {
    if batch.id.is_empty() || batch.id.contains('\0') {
        return Err(SqlError::Invalid("the id of a batch is empty or holds U+0000".into()));
    }
    if batch.id.len() > ID_BYTES_MAX {
        return Err(SqlError::TooLarge(format!("the id of a batch has at most {ID_BYTES_MAX} bytes")));
    }
    Ok(match check_content(&batch) {
        Ok(()) => Checked::Fits(batch),
        Err(refusal) => Checked::Unfit(batch.id, refusal),
    })
}

fn check_content(batch: &Batch) -> Result<(), SqlError> {
    if batch.writes.len() > WRITES_MAX {
        return Err(SqlError::TooLarge(format!("a batch has at most {WRITES_MAX} writes")));
    }
    if batch.events.len() > EVENTS_MAX {
        return Err(SqlError::TooLarge(format!("a batch has at most {EVENTS_MAX} events")));
    }
    if batch.writes.iter().any(|write| write.params.len() > PARAMS_MAX) {
        return Err(too_many_params());
    }
    if size(batch) > BATCH_BYTES_MAX {
        return Err(SqlError::TooLarge(format!("a batch has at most {BATCH_BYTES_MAX} bytes of texts")));
    }
    batch.events.iter().try_for_each(events::check)
}

fn size(batch: &Batch) -> usize {
    let text = |value: &Value| match value {
        Value::Null | Value::Integer(_) => 0,
        Value::Text(text) => text.len(),
    };
    let writes = batch.writes.iter().map(|write| write.params.iter().map(text).sum::<usize>());
    writes.sum::<usize>() + batch.events.iter().map(|event| event.payload.len()).sum::<usize>()
}

/// Does the batch, or answers what it answered the first time.
pub(super) fn apply(
    tx: &Tx<'_>,
    component: &str,
    batch: &Batch,
    subscribers: &Subscribers,
) -> Result<Vec<u64>, Stop<SqlError>> {
    if let Some(touched) = reader::outcome(tx.session(), component, &batch.id)? {
        return Ok(touched);
    }
    let mut touched = Vec::with_capacity(batch.writes.len());
    for (place, write) in (0..).zip(&batch.writes) {
        touched.push(apply_write(tx, component, place, write)?);
    }
    for (place, event) in batch.events.iter().enumerate() {
        events::store(tx, component, &format!("{}/{place}", batch.id), event, subscribers)?;
    }
    let outcome = touched.iter().map(u64::to_string).collect::<Vec<_>>().join(" ");
    tx.host("INSERT INTO souk_batches (component, id, outcome, committed_at) VALUES (?1, ?2, ?3, ?4)")?
        .execute((component, &batch.id, outcome, tx.now))?;
    Ok(touched)
}

fn apply_write(tx: &Tx<'_>, component: &str, place: u32, write: &Write) -> Result<u64, Stop<SqlError>> {
    let (mut statement, _) = tx.session().statement(component, Verb::Write, &write.sql, &write.params)?;
    let touched = statement.raw_execute()? as u64;
    match write.expect {
        Some(expected) if expected != touched => {
            Err(Stop::Refused(SqlError::GuardMissed(MissedGuard { write: place, expected, touched })))
        }
        _ => Ok(touched),
    }
}
