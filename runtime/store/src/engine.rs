//! The seam between [`Store`](crate::Store) and what keeps the rows.
//!
//! Every engine has the same methods, and [`on!`] asks the one that is there. Limits that need no database were checked
//! before ([`crate::limits`]), but for the texts of statements, which an engine judges when a connection first meets
//! them. Where a shared check has words for a refusal, an engine uses those.
//!
//! The relay relies on this: of one [`Queue`] at most one delivery is under way, over all hosts that share the
//! database. `take_due` gives deliveries whose instant has come, the longest due first, within the room there is, and none
//! of a queue that this host is delivering from already. What is taken belongs to this host until it is settled, or
//! until it was not renewed for [`LEASE`] by the database's clock. To settle what another host has taken over changes nothing.
//! SQLite serves one process, so there a claim is the relay's own memory and ends with it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::store::Database;
use crate::values::{Event, KvError, SqlError};

/// What keeps the rows.
pub(crate) enum Engine {
    /// One file, one process.
    #[cfg(feature = "sqlite")]
    Sqlite(crate::sqlite::Sqlite),
    /// One database, many processes.
    #[cfg(feature = "postgres")]
    Postgres(crate::postgres::Postgres),
}

impl Engine {
    /// Opens the engine of a database.
    pub(crate) fn open(
        database: Database,
        clock: Clock,
        metrics: Arc<Metrics>,
        registry: &Registry,
        wake: Arc<Notify>,
        backup: Option<PathBuf>,
    ) -> anyhow::Result<Engine> {
        match database {
            #[cfg(feature = "sqlite")]
            Database::Sqlite(data) => {
                crate::sqlite::Sqlite::open(&data, clock, metrics, registry, wake, backup).map(Engine::Sqlite)
            }
            #[cfg(feature = "sqlite")]
            Database::SqliteFile(file) => {
                refuse(backup)?;
                crate::sqlite::Sqlite::visit(&file, clock, metrics, registry, wake).map(Engine::Sqlite)
            }
            #[cfg(feature = "postgres")]
            Database::Postgres(url) => {
                refuse(backup)?;
                crate::postgres::Postgres::open(&url, clock, metrics, registry, wake).map(Engine::Postgres)
            }
        }
    }
}

/// Only what one process alone writes can be followed.
fn refuse(backup: Option<PathBuf>) -> anyhow::Result<()> {
    anyhow::ensure!(backup.is_none(), "only a data directory's own file of SQLite is backed up continuously");
    Ok(())
}

/// Asks the engine that is there: `on!(store.engine, engine => engine.ready().await)`.
macro_rules! on {
    ($engine:expr, $name:ident => $ask:expr) => {
        match &$engine {
            #[cfg(feature = "sqlite")]
            crate::engine::Engine::Sqlite($name) => $ask,
            #[cfg(feature = "postgres")]
            crate::engine::Engine::Postgres($name) => $ask,
        }
    };
}
pub(crate) use on;

/// How often what is under way is renewed.
pub(crate) const RENEW_EVERY: Duration = Duration::from_secs(5);
/// How long a delivery belongs to a host that says nothing more: after this another host repeats it.
pub(crate) const LEASE: Duration = Duration::from_secs(20);

/// Which deliveries one subscriber is to be given in their order: one queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Queue {
    /// Who hears.
    pub(crate) subscriber: String,
    /// What happened.
    pub(crate) topic: String,
    /// What it happened to.
    pub(crate) key: String,
}

/// A delivery that belongs to this host.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    /// Where it stands.
    pub(crate) queue: Queue,
    /// Its place in the queue.
    pub(crate) seq: i64,
    /// Tells this claim from a later one of the same delivery, where several hosts share the store.
    pub(crate) lease: i64,
}

/// A delivery whose instant has come.
#[derive(Debug)]
pub(crate) struct Due {
    /// By what right this host delivers it.
    pub(crate) claim: Claim,
    /// What is delivered.
    pub(crate) event: Event,
}

/// What the relay has room for.
pub(crate) struct Wanted<'a> {
    /// The present, in milliseconds since 1970.
    pub(crate) now: i64,
    /// Subscribers and how many deliveries each may be given more; also those with room for none.
    pub(crate) rooms: &'a [(String, usize)],
    /// How many deliveries in all.
    pub(crate) room: usize,
    /// What this host is delivering already.
    pub(crate) under_way: &'a HashMap<Queue, Claim>,
}

/// What the relay gets.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// To be delivered now.
    pub(crate) due: Vec<Due>,
    /// When something of these subscribers that is not due yet will be, in milliseconds since 1970.
    pub(crate) next_at: Option<i64>,
}

/// What a delivery came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// The subscriber took it.
    Delivered,
    /// It will be repeated.
    Retried,
    /// It is among the dead letters.
    Dead,
}

/// How much waits in the outbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Depth {
    /// Deliveries that wait, timers included.
    pub(crate) waiting: i64,
    /// Since when the oldest due one has been due, in milliseconds since 1970.
    pub(crate) oldest_due_at: Option<i64>,
}

/// What an engine's failures mean to a port.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    /// The statement is at fault.
    Invalid(String),
    /// A limit of the engine's is exceeded.
    TooLarge(String),
    /// A constraint refused.
    Constraint(String),
    /// There is no room for a write, and it was undone.
    StorageFull,
    /// The database is away or busy.
    Unavailable(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Invalid(reason)
            | Failure::TooLarge(reason)
            | Failure::Constraint(reason)
            | Failure::Unavailable(reason) => f.write_str(reason),
            Failure::StorageFull => f.write_str("the storage is full"),
        }
    }
}

impl From<Failure> for SqlError {
    fn from(failure: Failure) -> SqlError {
        match failure {
            Failure::Invalid(reason) => SqlError::Invalid(reason),
            Failure::TooLarge(reason) => SqlError::TooLarge(reason),
            Failure::Constraint(reason) => SqlError::Constraint(reason),
            Failure::StorageFull => SqlError::StorageFull,
            Failure::Unavailable(reason) => SqlError::Unavailable(reason),
        }
    }
}

impl From<Failure> for KvError {
    fn from(failure: Failure) -> KvError {
        match failure {
            Failure::Invalid(reason) | Failure::TooLarge(reason) => KvError::Invalid(reason),
            Failure::StorageFull => KvError::StorageFull,
            // No row of the keys has a constraint that a caller could break.
            Failure::Constraint(reason) | Failure::Unavailable(reason) => KvError::Unavailable(reason),
        }
    }
}
