//! The port suite against `adapter-spin`, the built component, on stand-ins for Spin's interfaces.
//!
//! Each call of a port goes to a fresh instance, as each request does under Spin.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::json;
use souk_store::values::{self, Batch, Condition, Entry, KvError, Read, Snapshot, SqlError};
use souk_store::{Clock, Database, Settings, Store};
use souk_tests::ports_suite::{Backend, Ears, Fixture};
use souk_tests::shop::{Folder, root};
use souk_tests::spin::bindings::exports::souk::shop::{kv, outbox, sql};
use souk_tests::spin::bindings::{Spin, SpinPre};
use souk_tests::spin::{Granted, Instance, engine, linker, load};
use wasmtime::Engine;

/// When the cases begin, in milliseconds since 1970.
const START_MS: i64 = 1_800_000_000_000;

/// The adapter, compiled once for all cases.
fn adapter() -> &'static (Engine, SpinPre<Instance>) {
    static ADAPTER: OnceLock<(Engine, SpinPre<Instance>)> = OnceLock::new();
    ADAPTER.get_or_init(|| {
        let engine = engine().expect("the engine starts");
        let file = root().join("target/wasm32-unknown-unknown/component/souk_adapter_spin.wasm");
        let component = load(&engine, &file).expect("the adapter is built");
        let linker = linker(&engine).expect("the stand-ins fit their WIT");
        let pre = linker.instantiate_pre(&component).expect("the adapter imports what Spin has");
        (engine, SpinPre::new(pre).expect("the adapter exports the ports"))
    })
}

/// An application on Spin: one database, and an adapter for each component.
struct OnSpin {
    folder: Folder,
    clock: Clock,
    topics: serde_json::Value,
}

impl OnSpin {
    async fn open(fixture: &Fixture) -> OnSpin {
        let folder = Folder::new();
        migrate(folder.path(), fixture).await;
        let topics = fixture.subscribers.iter().map(|(topic, ears)| ((*topic).to_owned(), json!(ears))).collect();
        OnSpin { folder, clock: Clock::manual(START_MS), topics }
    }

    /// An adapter that serves this component, in a store of its own.
    async fn adapter(&self, component: &str) -> (wasmtime::Store<Instance>, Spin) {
        let (engine, pre) = adapter();
        let identity = json!({
            "component": component, "variables": [], "outbound_hosts": [], "topics": self.topics, "body_bytes": 0,
        });
        let granted = Granted {
            database: Some(self.folder.path().join("souk.db")),
            variables: Arc::default(),
            itself: None,
            clock: self.clock.clone(),
            identity: identity.to_string().into(),
        };
        let mut store = Instance::store(engine, granted);
        let adapter = pre.instantiate_async(&mut store).await.expect("there is room for an instance");
        (store, adapter)
    }
}

/// Makes the tables as `souk migrate` does, and leaves the file as Spin finds it.
async fn migrate(folder: &Path, fixture: &Fixture) {
    let settings = Settings::new(Database::Sqlite(folder.to_owned()));
    let store = Store::open(settings, &prometheus::Registry::new()).expect("an empty folder opens");
    for (component, sql) in fixture.components {
        let migrations = folder.join(component);
        std::fs::create_dir_all(&migrations).expect("the folder can be written");
        std::fs::write(migrations.join("0001_tables.sql"), sql).expect("the folder can be written");
        store.migrate(component, &migrations).await.expect("the fixture is well formed");
    }
    drop(store);
    let connection = rusqlite::Connection::open(folder.join("souk.db")).expect("the database is there");
    connection.pragma_update(None, "journal_mode", "DELETE").expect("nobody else has it open");
}

impl Backend for OnSpin {
    async fn query(&self, component: &str, reads: Vec<Read>, batch_id: Option<&str>) -> Result<Snapshot, SqlError> {
        let (mut store, adapter) = self.adapter(component).await;
        let reads: Vec<_> =
            reads.into_iter().map(|read| sql::Read { sql: read.sql, params: params(read.params) }).collect();
        let answer = adapter.souk_shop_sql().call_query(&mut store, &reads, batch_id).await;
        let snapshot = answer.expect("the adapter does not trap").map_err(sql_error)?;
        let rows = |rows: sql::Rows| values::Rows { columns: rows.columns, packed: rows.packed };
        Ok(Snapshot { committed: snapshot.committed, results: snapshot.results.into_iter().map(rows).collect() })
    }

    async fn commit(&self, component: &str, batch: Batch) -> Result<Vec<u64>, SqlError> {
        let (mut store, adapter) = self.adapter(component).await;
        let write =
            |write: values::Write| sql::Write { sql: write.sql, params: params(write.params), expect: write.expect };
        let event = |event: values::NewEvent| sql::NewEvent {
            topic: event.topic,
            key: event.key,
            payload: event.payload,
            not_before: event.not_before,
        };
        let batch = sql::Batch {
            id: batch.id,
            writes: batch.writes.into_iter().map(write).collect(),
            events: batch.events.into_iter().map(event).collect(),
        };
        let answer = adapter.souk_shop_sql().call_commit(&mut store, &batch).await;
        answer.expect("the adapter does not trap").map_err(sql_error)
    }

    async fn get(&self, component: &str, key: &str) -> Result<Option<Entry>, KvError> {
        let (mut store, adapter) = self.adapter(component).await;
        let answer = adapter.souk_shop_kv().call_get(&mut store, key).await;
        let entry = answer.expect("the adapter does not trap").map_err(kv_error)?;
        Ok(entry.map(|entry| Entry { value: entry.value, version: entry.version }))
    }

    async fn set(
        &self,
        component: &str,
        key: &str,
        value: &str,
        condition: Condition,
        ttl_seconds: Option<u64>,
    ) -> Result<u64, KvError> {
        let (mut store, adapter) = self.adapter(component).await;
        let kv = adapter.souk_shop_kv();
        let answer = kv.call_set(&mut store, key, value, kv_condition(condition), ttl_seconds).await;
        answer.expect("the adapter does not trap").map_err(kv_error)
    }

    async fn delete(&self, component: &str, key: &str, condition: Condition) -> Result<(), KvError> {
        let (mut store, adapter) = self.adapter(component).await;
        let answer = adapter.souk_shop_kv().call_delete(&mut store, key, kv_condition(condition)).await;
        answer.expect("the adapter does not trap").map_err(kv_error)
    }

    async fn increment(&self, component: &str, key: &str, by: i64, ttl_seconds: Option<u64>) -> Result<i64, KvError> {
        let (mut store, adapter) = self.adapter(component).await;
        let answer = adapter.souk_shop_kv().call_increment(&mut store, key, by, ttl_seconds).await;
        answer.expect("the adapter does not trap").map_err(kv_error)
    }

    fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    async fn deliver_due(&self, ears: Ears) {
        let mut last: Option<outbox::Outcome> = None;
        loop {
            let (mut store, adapter) = self.adapter("drain").await;
            let next = adapter.souk_shop_outbox().call_next(&mut store, last.as_ref()).await;
            let next = next.expect("the adapter does not trap").expect("the outbox is there");
            let Some(outbox::Delivery { claim, event }) = next else { return };
            let event = values::Event {
                id: event.id,
                topic: event.topic,
                key: event.key,
                payload: event.payload,
                committed_at: event.committed_at,
                attempt: event.attempt,
            };
            let heard = std::panic::catch_unwind(AssertUnwindSafe(|| ears(&claim.subscriber, &event)));
            let failure = heard.unwrap_or_else(|_| Err("it panicked".to_owned())).err();
            last = Some(outbox::Outcome { claim, failure });
        }
    }
}

fn params(params: Vec<values::Value>) -> Vec<sql::Value> {
    let param = |value| match value {
        values::Value::Null => sql::Value::Null,
        values::Value::Integer(integer) => sql::Value::Integer(integer),
        values::Value::Text(text) => sql::Value::Text(text),
    };
    params.into_iter().map(param).collect()
}

fn sql_error(error: sql::SqlError) -> SqlError {
    match error {
        sql::SqlError::Invalid(reason) => SqlError::Invalid(reason),
        sql::SqlError::TooLarge(reason) => SqlError::TooLarge(reason),
        sql::SqlError::Constraint(reason) => SqlError::Constraint(reason),
        sql::SqlError::GuardMissed(missed) => SqlError::GuardMissed(values::MissedGuard {
            write: missed.write,
            expected: missed.expected,
            touched: missed.touched,
        }),
        sql::SqlError::Unavailable(reason) => SqlError::Unavailable(reason),
    }
}

fn kv_error(error: kv::KvError) -> KvError {
    match error {
        kv::KvError::Invalid(reason) => KvError::Invalid(reason),
        kv::KvError::Conflict => KvError::Conflict,
        kv::KvError::Unavailable(reason) => KvError::Unavailable(reason),
    }
}

fn kv_condition(condition: Condition) -> kv::Condition {
    match condition {
        Condition::Always => kv::Condition::Always,
        Condition::Absent => kv::Condition::Absent,
        Condition::Version(version) => kv::Condition::Version(version),
    }
}

mod adapter_on_spin {
    souk_tests::port_suite!(crate::OnSpin::open);
}
