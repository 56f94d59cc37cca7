//! SQLite: one file for the rows, keys, batches and events of all components.
//!
//! One thread writes ([`writer`]), any thread reads ([`reader`]), and [`session`] and [`guard`] keep components
//! apart. What has been acknowledged was flushed to the disk before. Another process on the same
//! directory is refused by a lock, since the order of versions lives in the writer's memory.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::Notify;

use super::clock::Clock;
use super::metrics::Metrics;
use crate::ports::bindings::souk::shop::sql::{Batch, Read, Snapshot, SqlError};
use batch::Checked;
use reader::Readers;
use session::Access;
pub(super) use session::Session;
pub(super) use writer::Tx;
use writer::Writer;

mod batch;
pub(super) mod events;
mod guard;
pub(super) mod kv;
mod migrate;
mod reader;
mod session;
mod writer;

/// The database in the data directory.
const FILE: &str = "souk.db";
/// Locked while a host has the directory open.
const LOCK: &str = "souk.lock";
/// The version of `schema.sql`. A later one comes with statements that lead there from each before it.
const SCHEMA_VERSION: i64 = 1;

/// The database of one host.
pub(super) struct Sqlite {
    // Dropped in this order: the writer's connection, closed last, copies the log into the database; then the lock goes.
    readers: Readers,
    writer: Writer,
    pub(super) clock: Clock,
    _lock: File,
}

impl Sqlite {
    /// Opens or makes the database and starts its writer.
    pub(super) fn open(data: &Path, clock: Clock, metrics: Arc<Metrics>, wake: Arc<Notify>) -> anyhow::Result<Sqlite> {
        std::fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
        let lock = lock(data)?;
        let path = data.join(FILE);
        let session = Session::open(&path, Access::Write).with_context(|| format!("cannot open {}", path.display()))?;
        make_schema(session.connection()).with_context(|| format!("cannot prepare {}", path.display()))?;
        // The names of new files are durable only with their directory.
        File::open(data)?.sync_all()?;
        let writer = Writer::start(session, clock.clone(), metrics, wake)?;
        Ok(Sqlite { writer, readers: Readers::new(path), clock, _lock: lock })
    }

    /// `sql.query`.
    pub(super) fn query(
        &self,
        component: &str,
        reads: &[Read],
        batch_id: Option<&str>,
        deadline: Instant,
    ) -> Result<Snapshot, SqlError> {
        self.readers.with(deadline, |session| reader::query(session, component, reads, batch_id))
    }

    /// `sql.commit`, with the subscribers of each topic as they are now.
    pub(super) async fn commit(
        &self,
        component: &Arc<str>,
        batch: Batch,
        subscribers: Arc<super::Subscribers>,
        deadline: Instant,
    ) -> Result<Vec<u64>, SqlError> {
        match batch::check(batch)? {
            Checked::Fits(batch) => {
                let component = Arc::clone(component);
                let work = move |tx: &Tx<'_>| batch::apply(tx, &component, &batch, &subscribers);
                self.writer.submit(Some(deadline), work).await
            }
            // Whatever a batch holds, one that was committed under its id has its answer.
            Checked::Unfit(id, refusal) => {
                let known = self
                    .readers
                    .with(deadline, |session| Ok::<_, Stop<SqlError>>(reader::outcome(session, component, &id)?))?;
                known.ok_or(refusal)
            }
        }
    }

    /// Runs `work` in a savepoint of the next group, and answers when it is durable.
    pub(super) async fn write<T, E, F>(&self, deadline: Option<Instant>, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Failure> + Send + 'static,
        F: FnMut(&Tx<'_>) -> Result<T, Stop<E>> + Send + 'static,
    {
        self.writer.submit(deadline, work).await
    }

    /// The same for a caller that may block.
    pub(super) fn write_blocking<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Failure> + Send + 'static,
        F: FnMut(&Tx<'_>) -> Result<T, Stop<E>> + Send + 'static,
    {
        self.writer.submit_blocking(work)
    }

    /// Lends a read-only connection.
    pub(super) fn read<T, E: From<Failure>>(
        &self,
        deadline: Instant,
        work: impl FnOnce(&Session) -> Result<T, Stop<E>>,
    ) -> Result<T, E> {
        self.readers.with(deadline, work)
    }

    /// Applies a component's migrations that have not been applied; answers how many that were.
    pub(super) fn migrate(&self, component: &str, dir: &Path) -> anyhow::Result<u32> {
        let files = migrate::files(dir)?;
        let mut applied = 0;
        for file in migrate::pending(&self.readers, component, files)? {
            let component: Arc<str> = component.into();
            let name = file.name.clone();
            self.write_blocking(move |tx: &Tx<'_>| migrate::apply(tx, &component, &file))
                .map_err(|failure: Failure| anyhow::anyhow!("{}: {failure}", dir.join(name).display()))?;
            applied += 1;
        }
        Ok(applied)
    }
}

/// Copies the database of a data directory, in use or not, to a new file, as it was at one instant.
pub(super) fn backup(data: &Path, to: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(!to.exists(), "{} exists; name a new file", to.display());
    let from = data.join(FILE);
    let source = Connection::open_with_flags(&from, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .with_context(|| format!("cannot open {}", from.display()))?;
    let unfinished = unfinished(to);
    let copied =
        copy(&source, &unfinished).and_then(|()| std::fs::rename(&unfinished, to).context("cannot name the copy"));
    if copied.is_err() {
        // What is left of a failed copy is not a backup; that it cannot be removed either changes nothing.
        let _ = std::fs::remove_file(&unfinished);
    }
    copied.with_context(|| format!("cannot copy to {}", to.display()))
}

fn unfinished(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn copy(source: &Connection, to: &Path) -> anyhow::Result<()> {
    let mut copy = Connection::open(to)?;
    // All pages in one step: one snapshot, which no writer can make it start over.
    let step = rusqlite::backup::Backup::new(source, &mut copy)?.step(-1)?;
    anyhow::ensure!(step == rusqlite::backup::StepResult::Done, "the database is busy");
    // One file, complete without a log beside it.
    copy.pragma_update(None, "journal_mode", "DELETE")?;
    let verdict: String = copy.query_row("PRAGMA quick_check", [], |row| row.get(0))?;
    anyhow::ensure!(verdict == "ok", "the copy is damaged: {verdict}");
    drop(copy);
    File::open(to)?.sync_all()?;
    Ok(())
}

fn lock(data: &Path) -> anyhow::Result<File> {
    let path = data.join(LOCK);
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            anyhow::bail!("{} is in use by another souk; stop it first", data.display())
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

fn make_schema(connection: &Connection) -> anyhow::Result<()> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        SCHEMA_VERSION => Ok(()),
        0 => {
            let schema = include_str!("sqlite/schema.sql");
            connection.execute_batch(&format!(
                "BEGIN IMMEDIATE; {schema}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            ))?;
            Ok(())
        }
        other => anyhow::bail!("it was made by another version of souk (schema {other})"),
    }
}

/// Why work on the database ended early.
pub(super) enum Stop<E> {
    /// The work refuses, for a reason of its port.
    Refused(E),
    /// SQLite failed.
    Engine(rusqlite::Error),
}

impl<E> From<rusqlite::Error> for Stop<E> {
    fn from(error: rusqlite::Error) -> Stop<E> {
        Stop::Engine(error)
    }
}

/// What SQLite's failures mean to a port.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The statement is at fault.
    Invalid(String),
    /// A limit of SQLite's is exceeded.
    TooLarge(String),
    /// A constraint refused.
    Constraint(String),
    /// The database is away, busy or full.
    Unavailable(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Invalid(reason)
            | Failure::TooLarge(reason)
            | Failure::Constraint(reason)
            | Failure::Unavailable(reason) => f.write_str(reason),
        }
    }
}

/// Sorts a failure of SQLite's.
fn classify(error: &rusqlite::Error) -> Failure {
    let reason = error.to_string();
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::ConstraintViolation => Failure::Constraint(reason),
            ErrorCode::TooBig => Failure::TooLarge(reason),
            ErrorCode::OperationInterrupted => Failure::Unavailable("the deadline has passed".into()),
            ErrorCode::DiskFull
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::CannotOpen
            | ErrorCode::OutOfMemory
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::SchemaChanged
            | ErrorCode::SystemIoFailure => Failure::Unavailable(reason),
            _ => Failure::Invalid(reason),
        },
        // Everything else is said about the text of a statement.
        _ => Failure::Invalid(reason),
    }
}

#[cfg(test)]
mod tests;
