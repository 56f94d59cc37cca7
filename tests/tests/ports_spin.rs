//! The port suite against `adapter-spin`, the built component, on stand-ins for Spin's interfaces.
//!
//! Each call of a port goes to a fresh instance, as each request does under Spin.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::json;
use souk_store::Clock;
use souk_store::values::{Batch, Condition, Entry, KvError, Read, Snapshot, SqlError};
use souk_tests::ports_suite::{Backend, Ears, Fixture};
use souk_tests::spin::bindings::{Spin, SpinPre};
use souk_tests::spin::{Granted, Instance, engine, linker, load, ports};
use souk_tests::{folder::Folder, shop::root};
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
        ports::migrate(folder.path(), fixture).await;
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
            database: Some(self.folder.path().join(ports::DATABASE)),
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

impl Backend for OnSpin {
    async fn query(&self, component: &str, reads: Vec<Read>, batch_id: Option<&str>) -> Result<Snapshot, SqlError> {
        let (mut store, adapter) = self.adapter(component).await;
        let answer = adapter.souk_shop_sql().call_query(&mut store, &ports::reads(reads), batch_id).await;
        answer.expect("the adapter does not trap").map(ports::snapshot).map_err(ports::sql_error)
    }

    async fn commit(&self, component: &str, batch: Batch) -> Result<Vec<u64>, SqlError> {
        let (mut store, adapter) = self.adapter(component).await;
        let answer = adapter.souk_shop_sql().call_commit(&mut store, &ports::batch(batch)).await;
        answer.expect("the adapter does not trap").map_err(ports::sql_error)
    }

    async fn get(&self, component: &str, key: &str) -> Result<Option<Entry>, KvError> {
        let (mut store, adapter) = self.adapter(component).await;
        let answer = adapter.souk_shop_kv().call_get(&mut store, key).await;
        let entry = answer.expect("the adapter does not trap").map_err(ports::kv_error)?;
        Ok(entry.map(ports::entry))
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
        let answer = kv.call_set(&mut store, key, value, ports::condition(condition), ttl_seconds).await;
        answer.expect("the adapter does not trap").map_err(ports::kv_error)
    }

    async fn delete(&self, component: &str, key: &str, condition: Condition) -> Result<(), KvError> {
        let (mut store, adapter) = self.adapter(component).await;
        let answer = adapter.souk_shop_kv().call_delete(&mut store, key, ports::condition(condition)).await;
        answer.expect("the adapter does not trap").map_err(ports::kv_error)
    }

    async fn increment(&self, component: &str, key: &str, by: i64, ttl_seconds: Option<u64>) -> Result<i64, KvError> {
        let (mut store, adapter) = self.adapter(component).await;
        let answer = adapter.souk_shop_kv().call_increment(&mut store, key, by, ttl_seconds).await;
        answer.expect("the adapter does not trap").map_err(ports::kv_error)
    }

    fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    async fn deliver_due(&self, ears: Ears) {
        let mut last = None;
        loop {
            let (mut store, adapter) = self.adapter("drain").await;
            let next = adapter.souk_shop_outbox().call_next(&mut store, last.as_ref()).await;
            let next = next.expect("the adapter does not trap").expect("the outbox is there");
            let Some(delivery) = next else { return };
            last = Some(ports::hand_over(&ears, delivery));
        }
    }
}

mod adapter_on_spin {
    souk_tests::port_suite!(crate::OnSpin::open);
}
