//! The port suite against the implementations of the ports that run in this process.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use souk::ports::bindings::souk::shop::events::Event;
use souk::ports::bindings::souk::shop::kv::{Condition, Entry, KvError};
use souk::ports::bindings::souk::shop::sql::{Batch, Read, Snapshot, SqlError};
use souk::providers::{Clock, Deliver, Providers, Settings};
use souk_tests::ports_suite::{Backend, Ears, Fixture};

#[path = "ports/kit.rs"]
mod kit;

/// When the cases begin, in milliseconds since 1970.
const START_MS: i64 = 1_800_000_000_000;
/// How long one call may take before its case fails.
const CALL_TIME_MAX: Duration = Duration::from_secs(30);

/// The host's own providers on SQLite.
struct OwnHost {
    providers: Arc<Providers>,
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
    async fn open(fixture: &Fixture) -> OwnHost {
        let directory = Directory::new();
        let clock = Clock::manual(START_MS);
        let hear = |ears: &[&str]| ears.iter().map(|ear| (*ear).to_owned()).collect();
        let settings = Settings {
            subscribers: fixture.subscribers.iter().map(|(topic, ears)| ((*topic).to_owned(), hear(ears))).collect(),
            clock: clock.clone(),
            ..Settings::new(directory.0.join("data"))
        };
        let providers = Providers::open(settings, &prometheus::Registry::new()).expect("an empty directory opens");
        for (component, sql) in fixture.components {
            let migrations = directory.0.join(component);
            std::fs::create_dir_all(&migrations).expect("the temporary directory can be written");
            std::fs::write(migrations.join("0001_tables.sql"), sql).expect("the directory can be written");
            assert_eq!(providers.migrate(component, &migrations).expect("the fixture is well formed"), 1);
        }
        OwnHost { providers, clock, _directory: directory }
    }
}

fn soon() -> Instant {
    Instant::now() + CALL_TIME_MAX
}

impl Backend for OwnHost {
    async fn query(&self, component: &str, reads: Vec<Read>, batch_id: Option<&str>) -> Result<Snapshot, SqlError> {
        self.providers.query(component, &reads, batch_id, soon()).await
    }

    async fn commit(&self, component: &str, batch: Batch) -> Result<Vec<u64>, SqlError> {
        self.providers.commit(&component.into(), batch, soon()).await
    }

    async fn get(&self, component: &str, key: &str) -> Result<Option<Entry>, KvError> {
        self.providers.kv_get(component, key, soon()).await
    }

    async fn set(
        &self,
        component: &str,
        key: &str,
        value: &str,
        condition: Condition,
        ttl_seconds: Option<u64>,
    ) -> Result<u64, KvError> {
        self.providers.kv_set(&component.into(), key.into(), value.into(), condition, ttl_seconds, soon()).await
    }

    async fn delete(&self, component: &str, key: &str, condition: Condition) -> Result<(), KvError> {
        self.providers.kv_delete(&component.into(), key.into(), condition, soon()).await
    }

    async fn increment(&self, component: &str, key: &str, by: i64, ttl_seconds: Option<u64>) -> Result<i64, KvError> {
        self.providers.kv_increment(&component.into(), key.into(), by, ttl_seconds, soon()).await
    }

    fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    fn deliver_due(&self, ears: Ears) -> impl Future<Output = ()> + Send {
        let deliver: Deliver = Arc::new(move |subscriber: String, event: Event| {
            let ears = Arc::clone(&ears);
            Box::pin(async move { ears(&subscriber, &event) })
        });
        let delivered = Arc::clone(&self.providers).deliver_due(deliver);
        async move {
            delivered.await.expect("the outbox can be read");
        }
    }
}

mod own_host_on_sqlite {
    souk_tests::port_suite!(crate::OwnHost::open);
}
