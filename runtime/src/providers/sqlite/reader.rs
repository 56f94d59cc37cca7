//! Reads: `sql.query` on read-only connections, on the thread that asks.
//!
//! A read takes microseconds, and moving it to another thread would cost more than it does. What it may
//! take at most is bounded by the caller's deadline, which SQLite looks at while it works.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::OptionalExtension;
use rusqlite::types::ValueRef;

use super::guard::Verb;
use super::session::{Access, PARAMS_MAX, Session, too_many_params};
use super::{Stop, classify};
use crate::ports::bindings::souk::shop::sql::{Read, Rows, Snapshot, SqlError};

/// Reads of one query.
const READS_MAX: usize = 20;
/// Rows in all results of one query.
const ROWS_MAX: usize = 10_000;
/// Bytes in all results of one query.
const RESULT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The longest that a snapshot lives, whatever the deadline: an old one would keep the log from being checkpointed.
const SNAPSHOT_AGE_MAX: Duration = Duration::from_secs(5);

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const TEXT: u8 = 2;

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
    pub(super) fn with<T, E: From<super::Failure>>(
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
            Stop::Engine(error) => E::from(classify(&error)),
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
    if reads.len() > READS_MAX {
        let reason = format!("a query has at most {READS_MAX} reads");
        return Err(Stop::Refused(SqlError::TooLarge(reason)));
    }
    // One statement is a snapshot by itself.
    if reads.len() + usize::from(batch_id.is_some()) < 2 {
        return read_all(session, component, reads, batch_id);
    }
    session.host("BEGIN")?.raw_execute()?;
    let snapshot = read_all(session, component, reads, batch_id);
    session.host("ROLLBACK")?.raw_execute()?;
    snapshot
}

fn read_all(
    session: &Session,
    component: &str,
    reads: &[Read],
    batch_id: Option<&str>,
) -> Result<Snapshot, Stop<SqlError>> {
    let committed = match batch_id {
        Some(id) => outcome(session, component, id)?.is_some(),
        None => false,
    };
    let mut room = Room { rows: ROWS_MAX, bytes: RESULT_BYTES_MAX };
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

/// What the results of a query may still hold.
struct Room {
    rows: usize,
    bytes: usize,
}

fn rows(session: &Session, component: &str, read: &Read, room: &mut Room) -> Result<Rows, Stop<SqlError>> {
    if read.params.len() > PARAMS_MAX {
        return Err(Stop::Refused(too_many_params()));
    }
    let (mut statement, plan) = session.statement(component, Verb::Read, &read.sql, &read.params)?;
    let mut packed = Vec::new();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        for column in 0..plan.columns {
            pack(row.get_ref(column)?, &mut packed).map_err(Stop::Refused)?;
        }
        if room.rows == 0 || packed.len() > room.bytes {
            let reason = format!("the results of a query hold at most {ROWS_MAX} rows and {RESULT_BYTES_MAX} bytes");
            return Err(Stop::Refused(SqlError::TooLarge(reason)));
        }
        room.rows -= 1;
    }
    room.bytes -= packed.len();
    Ok(Rows { columns: u32::try_from(plan.columns).unwrap_or(u32::MAX), packed })
}

fn pack(cell: ValueRef<'_>, packed: &mut Vec<u8>) -> Result<(), SqlError> {
    match cell {
        ValueRef::Null => packed.push(NULL),
        ValueRef::Integer(integer) => {
            packed.push(INTEGER);
            packed.extend_from_slice(&integer.to_le_bytes());
        }
        ValueRef::Text(text) => {
            // A cast can make a text of any bytes.
            if std::str::from_utf8(text).is_err() {
                return Err(SqlError::Invalid("a cell is not UTF-8".into()));
            }
            let length = u32::try_from(text.len()).map_err(|_| SqlError::TooLarge("a cell is over 4 GiB".into()))?;
            packed.push(TEXT);
            packed.extend_from_slice(&length.to_le_bytes());
            packed.extend_from_slice(text);
        }
        ValueRef::Real(_) => {
            return Err(SqlError::Invalid("a cell is a float; there are integers and texts".into()));
        }
        ValueRef::Blob(_) => {
            return Err(SqlError::Invalid("a cell is a blob; there are integers and texts".into()));
        }
    }
    Ok(())
}
