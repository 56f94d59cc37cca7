//! What stands behind the ports: one file per port and backend.
//!
//! [`Providers`] is the seam. The functions of the ports, of the relay and of the command line are asked here,
//! whatever keeps the rows. It never knows which component is asked for what reason.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::{Notify, watch};

use crate::ports::bindings::souk::shop::events::Event;
use crate::ports::bindings::souk::shop::http_out::{HttpOutError, InResponse, OutRequest};
use crate::ports::bindings::souk::shop::kv::{Condition, Entry, KvError};
use crate::ports::bindings::souk::shop::passwords::{PasswordError, Verdict};
use crate::ports::bindings::souk::shop::sql::{Batch, Read, Snapshot, SqlError};
use crate::ports::{Grants, RequestInfo};
use http_out::HttpOut;
use metrics::Metrics;
use passwords::Passwords;
use relay::Relay;
use sqlite::{Failure, Sqlite, Tx, events, kv};

pub use clock::Clock;
pub use http_out::check_outbound_host;

mod clock;
mod http_out;
mod metrics;
mod passwords;
mod relay;
mod sqlite;

/// How long a command of a person may take to read.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(10);

/// Delivers one event to one subscriber, which is named first. The text of an error is for a person.
pub type Deliver = Arc<dyn Fn(String, Event) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// Components that hear a topic, by topic.
pub type Subscribers = BTreeMap<String, Vec<String>>;

/// How the providers are set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directory of the database file. Made when it is missing.
    pub data: PathBuf,
    /// Who hears which topic.
    pub subscribers: Subscribers,
    /// The time that expiry, delivery and components see.
    pub clock: Clock,
}

impl Settings {
    /// Settings with the system's clock and no subscribers.
    pub fn new(data: impl Into<PathBuf>) -> Settings {
        Settings { data: data.into(), subscribers: Subscribers::new(), clock: Clock::system() }
    }
}

/// An event that one subscriber failed to take ten times.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Names it for [`Providers::replay`].
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

/// Every provider of one host.
pub struct Providers {
    sqlite: Sqlite,
    http_out: HttpOut,
    passwords: Passwords,
    subscribers: RwLock<Arc<Subscribers>>,
    metrics: Arc<Metrics>,
    /// Rung after a commit that stored events.
    wake: Arc<Notify>,
    data: PathBuf,
}

impl Providers {
    /// Opens or makes the database, starts its writer and registers what is counted.
    pub fn open(settings: Settings, registry: &prometheus::Registry) -> anyhow::Result<Arc<Providers>> {
        let metrics = Arc::new(Metrics::new(registry).context("cannot register the providers' metrics")?);
        let wake = Arc::new(Notify::new());
        let sqlite = Sqlite::open(&settings.data, settings.clock, Arc::clone(&metrics), Arc::clone(&wake))?;
        Ok(Arc::new(Providers {
            sqlite,
            http_out: HttpOut::default(),
            passwords: Passwords::new(Arc::clone(&metrics)),
            subscribers: RwLock::new(Arc::new(settings.subscribers)),
            metrics,
            wake,
            data: settings.data,
        }))
    }

    /// The time that components see.
    pub fn clock(&self) -> &Clock {
        &self.sqlite.clock
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

    /// Applies the migrations in a component's directory that have not been applied, each whole or not at all; answers
    /// how many that were. Blocks.
    pub fn migrate(&self, component: &str, dir: &Path) -> anyhow::Result<u32> {
        self.sqlite.migrate(component, dir)
    }

    /// Copies the database to a new file, as it was at one instant, while it is in use. Blocks.
    pub fn backup(&self, to: &Path) -> anyhow::Result<()> {
        backup(&self.data, to)
    }

    /// The oldest dead letters.
    pub fn dead_letters(&self, limit: u32) -> anyhow::Result<Vec<DeadLetter>> {
        let deadline = Instant::now() + COMMAND_TIME_MAX;
        self.sqlite
            .read(deadline, |session| events::dead_letters(session, limit))
            .map_err(|failure: Failure| anyhow::anyhow!("{failure}"))
    }

    /// Puts dead letters back among the events to deliver, behind what waits; answers how many. Blocks.
    pub fn replay(&self, which: Replay) -> anyhow::Result<u64> {
        self.sqlite
            .write_blocking(move |tx: &Tx<'_>| events::replay(tx, which))
            .map_err(|failure: Failure| anyhow::anyhow!("{failure}"))
    }

    /// Delivers events until `shutdown` turns true, and then waits for the deliveries under way.
    pub async fn run_relay(self: Arc<Self>, deliver: Deliver, shutdown: watch::Receiver<bool>) {
        Relay::new(self, deliver).run(shutdown).await;
    }

    /// Delivers everything that is due now, and what becomes due by it; answers how many deliveries there were.
    pub async fn deliver_due(self: Arc<Self>, deliver: Deliver) -> anyhow::Result<u64> {
        Relay::new(self, deliver).drain().await.map_err(anyhow::Error::msg)
    }

    /// `sql.query`.
    pub async fn query(
        &self,
        component: &str,
        reads: &[Read],
        batch_id: Option<&str>,
        deadline: Instant,
    ) -> Result<Snapshot, SqlError> {
        self.sqlite.query(component, reads, batch_id, deadline)
    }

    /// `sql.commit`.
    pub async fn commit(&self, component: &Arc<str>, batch: Batch, deadline: Instant) -> Result<Vec<u64>, SqlError> {
        self.sqlite.commit(component, batch, self.subscribers(), deadline).await
    }

    /// `kv.get`.
    pub async fn kv_get(&self, component: &str, key: &str, deadline: Instant) -> Result<Option<Entry>, KvError> {
        kv::check_key(key)?;
        let now = self.clock().now_ms();
        self.sqlite.read(deadline, |session| kv::get(session, component, key, now))
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
        kv::check_key(&key)?;
        kv::check_value(&value)?;
        let ttl_ms = kv::check_ttl(ttl_seconds)?;
        let component = Arc::clone(component);
        let work = move |tx: &Tx<'_>| kv::set(tx, &component, &key, &value, condition, ttl_ms);
        self.sqlite.write(Some(deadline), work).await
    }

    /// `kv.delete`.
    pub async fn kv_delete(
        &self,
        component: &Arc<str>,
        key: String,
        condition: Condition,
        deadline: Instant,
    ) -> Result<(), KvError> {
        kv::check_key(&key)?;
        let component = Arc::clone(component);
        let work = move |tx: &Tx<'_>| kv::delete(tx, &component, &key, condition);
        self.sqlite.write(Some(deadline), work).await
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
        kv::check_key(&key)?;
        let ttl_ms = kv::check_ttl(ttl_seconds)?;
        let component = Arc::clone(component);
        let work = move |tx: &Tx<'_>| kv::increment(tx, &component, &key, by, ttl_ms);
        self.sqlite.write(Some(deadline), work).await
    }

    /// `http-out.send`.
    pub async fn http_send(
        &self,
        grants: &Grants,
        info: &RequestInfo,
        request: OutRequest,
    ) -> Result<InResponse, HttpOutError> {
        self.http_out.send(grants, info, request).await
    }

    /// `passwords.hash`.
    pub async fn password_hash(&self, password: String) -> Result<String, PasswordError> {
        self.passwords.hash(password).await
    }

    /// `passwords.verify`.
    pub async fn password_verify(&self, password: String, hash: String) -> Result<Verdict, PasswordError> {
        self.passwords.verify(password, hash).await
    }
}

/// Copies the database of a data directory, whether a host has it open or not, to a new file. Blocks.
pub fn backup(data: &Path, to: &Path) -> anyhow::Result<()> {
    sqlite::backup(data, to)
}
