//! SQLite: one file for the rows, keys, batches and events of all components.
//!
//! One thread writes ([`writer`]), any thread reads ([`reader`]), and [`session`] and [`guard`] keep components
//! apart. What has been acknowledged was flushed to the disk before. Another process on the same
//! directory is refused by a lock, since the order of versions lives in the writer's memory.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use prometheus::Registry;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::engine::{Claim, Depth, Due, Failure, Settled, Taken, Wanted};
use crate::limits::Checked;
use crate::metrics::Metrics;
use crate::migrations;
use crate::values::{Condition, Entry, KvError, Read, Snapshot, SqlError};
use crate::{Database, DeadLetter, Replay, Subscribers};
use backup::{Backup, Tap};
use metrics::WriterMetrics;
use reader::Readers;
use session::{Access, Session};
use writer::{Tx, Writer};

mod backup;
mod batch;
mod events;
mod guard;
mod kv;
pub mod memory;
mod metrics;
mod migrate;
mod reader;
mod session;
mod writer;

pub use backup::restore::{Restored, restore};

/// The database in the data directory.
const FILE: &str = "souk.db";
/// Locked while a host has the directory open.
const LOCK: &str = "souk.lock";
/// The version of `schema.sql`. A later one comes with statements that lead there from each before it.
const SCHEMA_VERSION: i64 = 1;

/// How long a look at the outbox or at the list of migrations may take.
const READ_TIME_MAX: Duration = Duration::from_secs(5);
/// How long the relay sleeps at most: only a wall clock that jumps goes unnoticed for that long.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The database of one host.
pub(crate) struct Sqlite {
    // Dropped in this order: the writer's connection, closed last, copies the log into the database; then the backup stores
    // the rest, and the lock goes.
    readers: Readers,
    writer: Writer,
    _backup: Option<Backup>,
    clock: Clock,
    _lock: File,
}

impl Sqlite {
    /// Opens or makes the database and starts its writer.
    pub(crate) fn open(
        data: &Path,
        clock: Clock,
        metrics: Arc<Metrics>,
        registry: &Registry,
        wake: Arc<Notify>,
        backup: Option<PathBuf>,
    ) -> anyhow::Result<Sqlite> {
        Sqlite::start(data.join(FILE), Access::Write, clock, metrics, registry, wake, backup)
    }

    /// Opens or makes a database that belongs to another platform.
    pub(crate) fn visit(
        file: &Path,
        clock: Clock,
        metrics: Arc<Metrics>,
        registry: &Registry,
        wake: Arc<Notify>,
    ) -> anyhow::Result<Sqlite> {
        Sqlite::start(file.to_owned(), Access::Visit, clock, metrics, registry, wake, None)
    }

    fn start(
        path: PathBuf,
        access: Access,
        clock: Clock,
        metrics: Arc<Metrics>,
        registry: &Registry,
        wake: Arc<Notify>,
        backup: Option<PathBuf>,
    ) -> anyhow::Result<Sqlite> {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let lock = lock(directory)?;
        let session = Session::open(&path, access).with_context(|| format!("cannot open {}", path.display()))?;
        check(session.connection()).with_context(|| format!("cannot trust {}; restore a backup", path.display()))?;
        make_schema(session.connection()).with_context(|| format!("cannot prepare {}", path.display()))?;
        // The names of new files are durable only with their directory.
        File::open(directory)?.sync_all()?;
        let counted = Arc::new(WriterMetrics::new(registry).context("cannot register the writer's metrics")?);
        let tap = backup.is_some().then(|| Arc::new(Tap::new(clock.clone())));
        if tap.is_some() {
            // How much of an older log counts is not known without reading it; nobody reads, so this empties it.
            session.connection().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
        let writer = Writer::start(session, clock.clone(), counted, metrics, wake, tap.clone())?;
        let backup = tap.zip(backup).map(|(tap, dir)| Backup::start(&path, dir, tap, clock.clone(), registry));
        Ok(Sqlite { readers: Readers::new(path), writer, _backup: backup.transpose()?, clock, _lock: lock })
    }

    /// `sql.query`.
    pub(crate) async fn query(
        &self,
        component: &str,
        reads: &[Read],
        batch_id: Option<&str>,
        deadline: Instant,
    ) -> Result<Snapshot, SqlError> {
        self.readers.with(deadline, |session| reader::query(session, component, reads, batch_id))
    }

    /// `sql.commit`, with the subscribers of each topic as they are now.
    pub(crate) async fn commit(
        &self,
        component: &Arc<str>,
        batch: Checked,
        subscribers: Arc<Subscribers>,
        deadline: Instant,
    ) -> Result<Vec<u64>, SqlError> {
        match batch {
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

    /// `kv.get`.
    pub(crate) async fn kv_get(&self, component: &str, key: &str, deadline: Instant) -> Result<Option<Entry>, KvError> {
        let now = self.clock.now_ms();
        self.readers.with(deadline, |session| kv::get(session, component, key, now))
    }

    /// `kv.set`.
    pub(crate) async fn kv_set(
        &self,
        component: &Arc<str>,
        key: String,
        value: String,
        condition: Condition,
        ttl_ms: Option<i64>,
        deadline: Instant,
    ) -> Result<u64, KvError> {
        let component = Arc::clone(component);
        let work = move |tx: &Tx<'_>| kv::set(tx, &component, &key, &value, condition, ttl_ms);
        self.writer.submit(Some(deadline), work).await
    }

    /// `kv.delete`.
    pub(crate) async fn kv_delete(
        &self,
        component: &Arc<str>,
        key: String,
        condition: Condition,
        deadline: Instant,
    ) -> Result<(), KvError> {
        let component = Arc::clone(component);
        let work = move |tx: &Tx<'_>| kv::delete(tx, &component, &key, condition);
        self.writer.submit(Some(deadline), work).await
    }

    /// `kv.increment`.
    pub(crate) async fn kv_increment(
        &self,
        component: &Arc<str>,
        key: String,
        by: i64,
        ttl_ms: Option<i64>,
        deadline: Instant,
    ) -> Result<i64, KvError> {
        let component = Arc::clone(component);
        let work = move |tx: &Tx<'_>| kv::increment(tx, &component, &key, by, ttl_ms);
        self.writer.submit(Some(deadline), work).await
    }

    /// Applies a component's migrations that have not been applied; answers how many that were.
    pub(crate) async fn migrate(&self, component: &str, dir: &Path) -> anyhow::Result<u32> {
        let files = migrations::files(dir, "sqlite")?;
        let applied = self.read(migrate::applied).map_err(anyhow::Error::msg)?;
        let pending = migrations::pending(&applied, component, files)?;
        let mut count = 0;
        for file in pending {
            let component: Arc<str> = component.into();
            let name = file.name.clone();
            let done: Result<(), Failure> =
                self.writer.submit(None, move |tx: &Tx<'_>| migrate::apply(tx, &component, &file)).await;
            done.map_err(|failure| anyhow::anyhow!("{}: {failure}", dir.join(name).display()))?;
            count += 1;
        }
        Ok(count)
    }

    /// The oldest dead letters.
    pub(crate) async fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, Failure> {
        self.read(|session| events::dead_letters(session, limit))
    }

    /// Puts dead letters back among the events to deliver; answers how many.
    pub(crate) async fn replay(&self, which: Replay) -> Result<u64, Failure> {
        self.writer.submit(None, move |tx: &Tx<'_>| events::replay(tx, which)).await
    }

    /// An open database is ready.
    pub(crate) async fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    /// What is due, as far as there is room. What is under way is known to this process alone.
    pub(crate) async fn take_due(&self, wanted: &Wanted<'_>) -> Result<Taken, Failure> {
        let mut taken = Taken::default();
        for (subscriber, room) in wanted.rooms {
            let room = (*room).min(wanted.room - taken.due.len());
            self.take_for(subscriber, room, wanted, &mut taken.due).await?;
            let next = self.read(|session| events::next_due(session, subscriber, wanted.now))?;
            taken.next_at = taken.next_at.into_iter().chain(next).min();
        }
        Ok(taken)
    }

    async fn take_for(
        &self,
        subscriber: &str,
        room: usize,
        wanted: &Wanted<'_>,
        taken: &mut Vec<Due>,
    ) -> Result<(), Failure> {
        let full = taken.len() + room;
        // What is under way is still among the due, and so is what was taken a moment ago.
        let busy = wanted.under_way.keys().filter(|queue| queue.subscriber == subscriber).count();
        while taken.len() < full {
            let due = self.read(|session| events::due(session, subscriber, wanted.now, room + busy))?;
            let (blocked, free): (Vec<_>, Vec<_>) = due.into_iter().partition(|candidate| candidate.blocked);
            let is_taken = |due: &Due, taken: &[Due]| {
                wanted.under_way.contains_key(&due.claim.queue)
                    || taken.iter().any(|other| other.claim.queue == due.claim.queue)
            };
            for candidate in free {
                if taken.len() < full && !is_taken(&candidate.due, taken) {
                    taken.push(candidate.due);
                }
            }
            if blocked.is_empty() {
                return Ok(());
            }
            // They took the places of others; out of the way with them, and once more.
            let park =
                move |tx: &Tx<'_>| blocked.iter().try_for_each(|candidate| events::park(tx, &candidate.due.claim));
            self.writer.submit(None, park).await?;
        }
        Ok(())
    }

    /// No other host could take what is under way.
    pub(crate) async fn renew(&self, _claims: &[Claim]) -> Result<(), Failure> {
        Ok(())
    }

    /// Stores the outcome of a delivery.
    pub(crate) async fn settle(&self, claim: Claim, outcome: Result<(), String>) -> Result<Settled, Failure> {
        self.writer.submit(None, move |tx: &Tx<'_>| events::settle(tx, &claim, &outcome)).await
    }

    /// How much waits in the outbox.
    pub(crate) async fn depth(&self) -> Result<Depth, Failure> {
        let now = self.clock.now_ms();
        self.read(|session| events::depth(session, now))
    }

    /// How long the relay may sleep.
    pub(crate) fn look_every(&self) -> Duration {
        LOOK_EVERY
    }

    /// Lends a read-only connection for the host's own work.
    fn read<T>(&self, work: impl FnOnce(&Session) -> Result<T, Stop<Failure>>) -> Result<T, Failure> {
        self.readers.with(Instant::now() + READ_TIME_MAX, work)
    }
}

/// Copies the database of a data directory, in use or not, to a new file, as it was at one instant. Blocks.
pub fn backup(database: &Database, to: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(!to.exists(), "{} exists; name a new file", to.display());
    let from = match database {
        Database::Sqlite(data) => data.join(FILE),
        Database::SqliteFile(file) => file.clone(),
        #[cfg(feature = "postgres")]
        Database::Postgres(_) => anyhow::bail!(
            "this copies a database of SQLite; copy one of Postgres with pg_dump --format=custom, which is of one instant too"
        ),
    };
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
    check(&copy)?;
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

/// Refuses a database with damaged pages. Takes half a second for 100 MB.
fn check(connection: &Connection) -> anyhow::Result<()> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    anyhow::ensure!(verdict == "ok", "it is damaged: {verdict}");
    Ok(())
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

/// Whether the disk failed, or gave back something else than was written to it.
fn is_broken(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// Sorts a failure of SQLite's.
fn classify(error: &rusqlite::Error) -> Failure {
    let reason = error.to_string();
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::ConstraintViolation => Failure::Constraint(reason),
            ErrorCode::TooBig => Failure::TooLarge(reason),
            ErrorCode::OperationInterrupted => Failure::Unavailable("the deadline has passed".into()),
            ErrorCode::DiskFull => Failure::StorageFull,
            ErrorCode::DatabaseBusy
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
