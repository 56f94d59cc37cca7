//! `sql.commit`: one batch within a group, in a savepoint that the writer keeps or undoes.

use super::reader;
use super::writer::Tx;
use super::{Stop, events};
use crate::Subscribers;
use crate::limits::event_id;
use crate::shape::Verb;
use crate::values::{Batch, MissedGuard, SqlError, Write};

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
        events::store(tx, component, &event_id(component, &batch.id, place), event, subscribers)?;
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
