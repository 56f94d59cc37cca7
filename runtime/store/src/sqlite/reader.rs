//! Reads: `sql.query` on read-only connections, on the thread that asks.
//!
//! A read takes microseconds, and moving it to another thread would cost more than it does. What it may
//! take at most is bounded by the caller's deadline, which SQLite looks at while it works.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::OptionalExtension;
use rusqlite::types::ValueRef;

use super::session::{Access, Session};
use super::{Stop, classify, is_broken};
use crate::engine::Failure;
use crate::packing::{Cell, Packer, Room};
use crate::shape::Verb;
use crate::values::{Read, Rows, Snapshot, SqlError};

/// The longest that a snapshot lives, whatever the deadline: an old one would keep the log from being checkpointed.
const SNAPSHOT_AGE_MAX: Duration = Duration::from_secs(5);

/// The read-only connections that are not in use; there are never more than threads that read at once.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Session>>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Readers {
        Readers { path, idle: Mutex::new(Vec::new()) }
    }

    /// Lends a connection. One that served last is lent first, with its pages still in the processor's cache.
    pub(super) fn with<T, E: From<Failure>>(
        &self,
        deadline: Instant,
        work: impl FnOnce(&Session) -> Result<T, Stop<E>>,
    ) -> Result<T, E> {
        let idle = self.idle().pop();
        let session = match idle {
            Some(session) => session,
            None => Session::open(&self.path, Access::Read).map_err(|error| E::from(classify(&error)))?,
        };
        session.set_deadline(Some(deadline.min(Instant::now() + SNAPSHOT_AGE_MAX)));
        let answer = work(&session);
        session.set_deadline(None);
        // A connection left inside a snapshot would see the past; it is closed instead.
        if session.connection().is_autocommit() {
            self.idle().push(session);
        }
        answer.map_err(|stop| match stop {
            Stop::Refused(refusal) => refusal,
            Stop::Engine(error) => {
                if is_broken(&error) {
                    tracing::error!(%error, "the database cannot be read; the call is refused");
                }
                E::from(classify(&error))
            }
        })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `sql.query`.
pub(super) fn query(
    session: &Session,
    component: &str,
    reads: &[Read],
    batch_id: Option<&str>,
) -> Result<Snapshot, Stop<SqlError>> {
    // One statement is a snapshot by itself.
    if reads.len() + usize::from(batch_id.is_some()) < 2 {
        return read_all(session, component, reads, batch_id);
    }
    session.host("BEGIN")?.raw_execute()?;
    let snapshot = read_all(session, component, reads, batch_id);
    session.host("ROLLBACK")?.raw_execute()?;
    snapshot
}

/// Reads without a transaction of its own, within what the connection is in.
pub(super) fn read_all(
    session: &Session,
    component: &str,
    reads: &[Read],
    batch_id: Option<&str>,
) -> Result<Snapshot, Stop<SqlError>> {
    let committed = match batch_id {
        Some(id) => outcome(session, component, id)?.is_some(),
        None => false,
    };
    let mut room = Room::new();
    let results = reads.iter().map(|read| rows(session, component, read, &mut room));
    Ok(Snapshot { committed, results: results.collect::<Result<_, _>>()? })
}

/// The stored answer of a batch that has been committed.
pub(super) fn outcome(session: &Session, component: &str, id: &str) -> rusqlite::Result<Option<Vec<u64>>> {
    let mut statement = session.host("SELECT outcome FROM souk_batches WHERE component = ?1 AND id = ?2")?;
    statement
        .query_row((component, id), |row| {
            let touched = row.get_ref(0)?.as_str()?;
            Ok(touched.split_whitespace().map(|count| count.parse().unwrap_or_default()).collect())
        })
        .optional()
}

fn rows(session: &Session, component: &str, read: &Read, room: &mut Room) -> Result<Rows, Stop<SqlError>> {
    let (mut statement, columns) = session.statement(component, Verb::Read, &read.sql, &read.params)?;
    let mut packer = Packer::new(columns, room);
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        for column in 0..columns {
            let cell = cell(row.get_ref(column)?).map_err(Stop::Refused)?;
            packer.cell(cell).map_err(Stop::Refused)?;
        }
        packer.end_row().map_err(Stop::Refused)?;
    }
    Ok(packer.finish())
}

fn cell(value: ValueRef<'_>) -> Result<Cell<'_>, SqlError> {
    match value {
        ValueRef::Null => Ok(Cell::Null),
        ValueRef::Integer(integer) => Ok(Cell::Integer(integer)),
        // A cast can make a text of any bytes.
        ValueRef::Text(text) => {
            std::str::from_utf8(text).map(Cell::Text).map_err(|_| SqlError::Invalid("a cell is not UTF-8".into()))
        }
        ValueRef::Real(_) => Err(SqlError::Invalid("a cell is a float; there are integers and texts".into())),
        ValueRef::Blob(_) => Err(SqlError::Invalid("a cell is a blob; there are integers and texts".into())),
    }
}
