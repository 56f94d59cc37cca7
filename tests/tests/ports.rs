//! The port suite against the implementations of the ports that run in this process.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use souk_store::values::{Batch, Condition, Entry, Event, KvError, Read, Snapshot, SqlError};
use souk_store::{Clock, Database, Deliver, Settings, Store};
use souk_tests::ports_suite::{Backend, Ears, Fixture};
use souk_tests::postgres::Cluster;

#[path = "ports/kit.rs"]
mod kit;
#[path = "ports/postgres.rs"]
mod own_host_on_postgres;

/// When the cases begin, in milliseconds since 1970.
const START_MS: i64 = 1_800_000_000_000;
/// How long one call may take before its case fails.
const CALL_TIME_MAX: Duration = Duration::from_secs(30);

/// The store of our own host.
struct OwnHost {
    store: Arc<Store>,
    clock: Clock,
    _directory: Directory,
}

/// A directory that ends with its case.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("souk-ports-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the temporary directory can be written");
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed lies in the system's temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl OwnHost {
    async fn on_sqlite(fixture: &Fixture) -> OwnHost {
        let directory = Directory::new();
        let database = Database::Sqlite(directory.0.join("data"));
        OwnHost::open(database, directory, fixture).await
    }

    async fn on_postgres(fixture: &Fixture) -> OwnHost {
        OwnHost::open(Database::Postgres(Cluster::shared().database()), Directory::new(), fixture).await
    }

    async fn open(database: Database, directory: Directory, fixture: &Fixture) -> OwnHost {
        let clock = Clock::manual(START_MS);
        let store = open(database, &clock, fixture);
        for (component, sql) in fixture.components {
            let migrations = directory.0.join(component);
            std::fs::create_dir_all(&migrations).expect("the temporary directory can be written");
            std::fs::write(migrations.join("0001_tables.sql"), sql).expect("the directory can be written");
            assert_eq!(store.migrate(component, &migrations).await.expect("the fixture is well formed"), 1);
        }
        OwnHost { store, clock, _directory: directory }
    }
}

/// Opens a store whose tables may be there or not.
fn open(database: Database, clock: &Clock, fixture: &Fixture) -> Arc<Store> {
    let hear = |ears: &[&str]| ears.iter().map(|ear| (*ear).to_owned()).collect();
    let settings = Settings {
        subscribers: fixture.subscribers.iter().map(|(topic, ears)| ((*topic).to_owned(), hear(ears))).collect(),
        clock: clock.clone(),
        ..Settings::new(database)
    };
    Store::open(settings, &prometheus::Registry::new()).expect("a database opens, there or not")
}

fn soon() -> Instant {
    Instant::now() + CALL_TIME_MAX
}

impl Backend for OwnHost {
    async fn query(&self, component: &str, reads: Vec<Read>, batch_id: Option<&str>) -> Result<Snapshot, SqlError> {
        self.store.query(component, &reads, batch_id, soon()).await
    }

    async fn commit(&self, component: &str, batch: Batch) -> Result<Vec<u64>, SqlError> {
        self.store.commit(&component.into(), batch, soon()).await
    }

    async fn get(&self, component: &str, key: &str) -> Result<Option<Entry>, KvError> {
        self.store.kv_get(component, key, soon()).await
    }

    async fn set(
        &self,
        component: &str,
        key: &str,
        value: &str,
        condition: Condition,
        ttl_seconds: Option<u64>,
    ) -> Result<u64, KvError> {
        self.store.kv_set(&component.into(), key.into(), value.into(), condition, ttl_seconds, soon()).await
    }

    async fn delete(&self, component: &str, key: &str, condition: Condition) -> Result<(), KvError> {
        self.store.kv_delete(&component.into(), key.into(), condition, soon()).await
    }

    async fn increment(&self, component: &str, key: &str, by: i64, ttl_seconds: Option<u64>) -> Result<i64, KvError> {
        self.store.kv_increment(&component.into(), key.into(), by, ttl_seconds, soon()).await
    }

    fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    fn deliver_due(&self, ears: Ears) -> impl Future<Output = ()> + Send {
        let delivered = Arc::clone(&self.store).deliver_due(to(ears));
        async move {
            delivered.await.expect("the outbox can be read");
        }
    }
}

/// Delivers to subscribers of the suite.
fn to(ears: Ears) -> Deliver {
    Arc::new(move |subscriber: String, event: Event| {
        let ears = Arc::clone(&ears);
        Box::pin(async move { ears(&subscriber, &event) })
    })
}

mod own_host_on_sqlite {
    souk_tests::port_suite!(crate::OwnHost::on_sqlite);
}
