//! The door of the store: checks what needs no database, and asks the engine.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use anyhow::Context as _;
use prometheus::Registry;
use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use crate::engine::{Engine, on};
use crate::limits::{check_batch, check_kv_key, check_kv_value, check_reads, check_ttl};
use crate::metrics::Metrics;
use crate::relay::Relay;
use crate::values::{Batch, Condition, Entry, Event, KvError, Read, Snapshot, SqlError};

/// Delivers one event to one subscriber, which is named first. The text of an error is for a person.
pub type Deliver = Arc<dyn Fn(String, Event) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// Components that hear a topic, by topic.
pub type Subscribers = BTreeMap<String, Vec<String>>;

/// Where the rows are kept.
#[derive(Clone)]
pub enum Database {
    /// In a file of this directory, which is made when it is missing. One process at a time has it open.
    #[cfg(feature = "sqlite")]
    Sqlite(PathBuf),
    /// In this file, whose directory is made when it is missing. It belongs to another platform that has our tables in it,
    /// so it keeps the journal that every program knows, and the platform need not be stopped for a short visit.
    #[cfg(feature = "sqlite")]
    SqliteFile(PathBuf),
    /// In a database of Postgres, `postgres://user@host/database`, which many processes may share.
    #[cfg(feature = "postgres")]
    Postgres(String),
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "sqlite")]
            Database::Sqlite(data) => write!(f, "Sqlite({})", data.display()),
            #[cfg(feature = "sqlite")]
            Database::SqliteFile(file) => write!(f, "SqliteFile({})", file.display()),
            // The address may hold a password.
            #[cfg(feature = "postgres")]
            Database::Postgres(_) => f.write_str("Postgres"),
        }
    }
}

/// How a store is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the rows are kept.
    pub database: Database,
    /// Who hears which topic.
    pub subscribers: Subscribers,
    /// The time that expiry, delivery and components see.
    pub clock: Clock,
    /// Where a database of a data directory is backed up continuously, if it is: a directory that is made when it is missing.
    pub backup: Option<PathBuf>,
}

impl Settings {
    /// Settings with the system's clock and no subscribers.
    pub fn new(database: Database) -> Settings {
        Settings { database, subscribers: Subscribers::new(), clock: Clock::system(), backup: None }
    }
}

/// An event that one subscriber failed to take ten times.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Names it for [`Store::replay`].
    pub id: i64,
    /// The subscriber that failed.
    pub subscriber: String,
    /// The event, with the number of deliveries in `attempt`.
    pub event: Event,
    /// What the last delivery said.
    pub error: String,
    /// When it was given up, in milliseconds since 1970.
    pub died_at: i64,
}

/// Which dead letters to deliver again.
#[derive(Clone, Copy, Debug)]
pub enum Replay {
    /// The one with this id.
    One(i64),
    /// All of them.
    All,
}

/// The rows, keys and events of all components of one application.
pub struct Store {
    pub(crate) engine: Engine,
    clock: Clock,
    subscribers: RwLock<Arc<Subscribers>>,
    pub(crate) metrics: Arc<Metrics>,
    /// Rung after a commit that stored events.
    pub(crate) wake: Arc<Notify>,
}

impl Store {
    /// Opens the store and registers what it counts. A file is made when it is missing; a database of Postgres
    /// need not be there yet.
    pub fn open(settings: Settings, registry: &Registry) -> anyhow::Result<Arc<Store>> {
        let metrics = Arc::new(Metrics::new(registry).context("cannot register the store's metrics")?);
        let wake = Arc::new(Notify::new());
        let Settings { database, subscribers, clock, backup } = settings;
        let engine = Engine::open(database, clock.clone(), Arc::clone(&metrics), registry, Arc::clone(&wake), backup)?;
        let subscribers = RwLock::new(Arc::new(subscribers));
        Ok(Arc::new(Store { engine, clock, subscribers, metrics, wake }))
    }

    /// The time that components see.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Who hears which topic.
    pub fn subscribers(&self) -> Arc<Subscribers> {
        Arc::clone(&self.subscribers.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes who hears which topic. Events that were stored before keep their subscribers; deliveries to one that
    /// hears nothing any more wait until it does.
    pub fn set_subscribers(&self, subscribers: Subscribers) {
        *self.subscribers.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(subscribers);
        self.wake.notify_one();
    }

    /// Whether the database can be asked now, or why not, for a person.
    pub async fn ready(&self) -> Result<(), String> {
        on!(self.engine, engine => engine.ready().await)
    }

    /// Applies the migrations in a component's directory that have not been applied, each whole or not at all; answers
    /// how many that were.
    pub async fn migrate(&self, component: &str, dir: &Path) -> anyhow::Result<u32> {
        on!(self.engine, engine => engine.migrate(component, dir).await)
    }

    /// The oldest dead letters.
    pub async fn dead_letters(&self, limit: u32) -> anyhow::Result<Vec<DeadLetter>> {
        on!(self.engine, engine => engine.dead_letters(limit).await).map_err(|failure| anyhow::anyhow!("{failure}"))
    }

    /// Puts dead letters back among the events to deliver, behind what waits; answers how many.
    pub async fn replay(&self, which: Replay) -> anyhow::Result<u64> {
        on!(self.engine, engine => engine.replay(which).await).map_err(|failure| anyhow::anyhow!("{failure}"))
    }

    /// Delivers events until `shutdown` turns true, and then waits for the deliveries under way.
    pub async fn run_relay(self: Arc<Self>, deliver: Deliver, shutdown: watch::Receiver<bool>) {
        Relay::new(self, deliver).run(shutdown).await;
    }

    /// Delivers everything that is due now, and what becomes due by it; answers how many deliveries there were.
    pub async fn deliver_due(self: Arc<Self>, deliver: Deliver) -> anyhow::Result<u64> {
        Relay::new(self, deliver).drain().await.map_err(|failure| anyhow::anyhow!("{failure}"))
    }

    /// `sql.query`.
    pub async fn query(
        &self,
        component: &str,
        reads: &[Read],
        batch_id: Option<&str>,
        deadline: Instant,
    ) -> Result<Snapshot, SqlError> {
        check_reads(reads)?;
        on!(self.engine, engine => engine.query(component, reads, batch_id, deadline).await)
    }

    /// `sql.commit`.
    pub async fn commit(&self, component: &Arc<str>, batch: Batch, deadline: Instant) -> Result<Vec<u64>, SqlError> {
        on!(self.engine, engine => engine.commit(component, check_batch(batch)?, self.subscribers(), deadline).await)
    }

    /// `kv.get`.
    pub async fn kv_get(&self, component: &str, key: &str, deadline: Instant) -> Result<Option<Entry>, KvError> {
        check_kv_key(key)?;
        on!(self.engine, engine => engine.kv_get(component, key, deadline).await)
    }

    /// `kv.set`.
    pub async fn kv_set(
        &self,
        component: &Arc<str>,
        key: String,
        value: String,
        condition: Condition,
        ttl_seconds: Option<u64>,
        deadline: Instant,
    ) -> Result<u64, KvError> {
        check_kv_key(&key)?;
        check_kv_value(&value)?;
        let ttl_ms = check_ttl(ttl_seconds)?;
        on!(self.engine, engine => engine.kv_set(component, key, value, condition, ttl_ms, deadline).await)
    }

    /// `kv.delete`.
    pub async fn kv_delete(
        &self,
        component: &Arc<str>,
        key: String,
        condition: Condition,
        deadline: Instant,
    ) -> Result<(), KvError> {
        check_kv_key(&key)?;
        if matches!(condition, Condition::Absent) {
            return Err(KvError::Invalid("what is absent cannot be deleted".into()));
        }
        on!(self.engine, engine => engine.kv_delete(component, key, condition, deadline).await)
    }

    /// `kv.increment`.
    pub async fn kv_increment(
        &self,
        component: &Arc<str>,
        key: String,
        by: i64,
        ttl_seconds: Option<u64>,
        deadline: Instant,
    ) -> Result<i64, KvError> {
        check_kv_key(&key)?;
        let ttl_ms = check_ttl(ttl_seconds)?;
        on!(self.engine, engine => engine.kv_increment(component, key, by, ttl_ms, deadline).await)
    }
}
