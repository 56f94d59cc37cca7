//! The port suite against the capability providers, over the wire.
//!
//! Every call goes through a real NATS as a component's would: encoded, routed to the provider, decoded by it, and
//! kept under the name that the link gives to the caller. Events go from the outbox through JetStream to a subscriber
//! that is called over wRPC. The providers run in this process, because the suite moves their clock.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use nkeys::XKey;
use souk_lattice::postgres;
use souk_providers::bindings::exports::souk::shop as provided;
use souk_providers::courier::Courier;
use souk_providers::events::{self, Subscribers};
use souk_providers::ports::Ports;
use souk_providers::provider;
use souk_store::values::{Batch, Condition, Entry, Event, KvError, Read, Snapshot, SqlError};
use souk_store::{Clock, Database, Settings, Store};
use tokio::sync::watch;
use wasmcloud_provider_sdk::Context;
use wasmcloud_provider_sdk::provider::{ProviderConnection, WrpcClient};

use bindings::exports::souk::shop::subscriber;
use bindings::souk::shop::{kv, sql};
use ports_suite::{Backend, Ears, Fixture};

#[path = "ports/bindings.rs"]
mod bindings;
#[path = "ports/servers.rs"]
mod servers;
// The suite belongs to the workspace of the shop, whose version of wasmtime has no place here.
#[path = "../../../../tests/src/ports_suite/mod.rs"]
mod ports_suite;

/// When the cases begin, in milliseconds since 1970.
const START_MS: i64 = 1_800_000_000_000;
/// How long one call may take before its case fails.
const CALL_TIME_MAX: Duration = Duration::from_secs(30);

/// A lattice of one case, with a database of its own.
struct OnLattice {
    name: String,
    nats: Arc<async_nats::Client>,
    store: Arc<Store>,
    clock: Clock,
    courier: Arc<Courier>,
    /// Who hears at the moment.
    ears: Arc<Mutex<Option<Ears>>>,
    /// Ends the providers with the case.
    _stop: watch::Sender<bool>,
}

/// Where the components of a case call.
const SQL: &str = "souk-sql";
const KV: &str = "souk-kv";

impl OnLattice {
    async fn open(fixture: &Fixture) -> OnLattice {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("case{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let servers = servers::servers();
        let clock = Clock::manual(START_MS);
        let store = store(&name, servers.postgres, clock.clone(), fixture).await;
        let nats = async_nats::connect(format!("127.0.0.1:{}", servers.nats)).await.expect("NATS answers");
        let courier = Arc::new(Courier::new(Arc::new(nats.clone()), &name));
        let (stop, stopped) = watch::channel(false);
        let ears = Arc::default();
        let case = OnLattice { name, nats: Arc::new(nats), store, clock, courier, ears, _stop: stop };

        let ports = Ports::new(Arc::clone(&case.store));
        for (component, _) in fixture.components {
            ports.link(&id(component), component);
        }
        let client = case.client(SQL, SQL).await;
        let calls = provided::sql::serve_interface(&client, ports.clone()).await.expect("sql is served");
        tokio::spawn(provider::serve(calls.into(), stopped.clone()));
        let client = case.client(KV, KV).await;
        let calls = provided::kv::serve_interface(&client, ports).await.expect("kv is served");
        tokio::spawn(provider::serve(calls.into(), stopped.clone()));

        let subscribers = Subscribers::default();
        for component in fixture.subscribers.iter().flat_map(|(_, hear)| *hear) {
            let client = case.client(&id(component), &id(component)).await;
            let ear = Ear { component, ears: Arc::clone(&case.ears) };
            let calls = subscriber::serve_interface(&client, ear).await.expect("the subscriber is served");
            tokio::spawn(provider::serve(calls.into(), stopped.clone()));
            subscribers.link(component, &id(component), case.client("souk-events", &id(component)).await);
        }
        let (up, mut is_up) = watch::channel(false);
        let courier = Arc::clone(&case.courier);
        tokio::spawn(async move { courier.work(subscribers, &up, stopped).await });
        is_up.wait_for(|up| *up).await.expect("the queue is made");
        // What was subscribed above is known to the server before anybody calls.
        case.nats.flush().await.expect("NATS answers");
        case
    }

    /// What `source` calls `target` by, or `target` answers with.
    async fn client(&self, source: &str, target: &str) -> WrpcClient {
        // For secrets in links, of which there are none here; to make them costs more than a call.
        static KEY: LazyLock<Arc<XKey>> = LazyLock::new(|| Arc::new(XKey::new()));
        let (nats, lattice) = (Arc::clone(&self.nats), self.name.as_str());
        ProviderConnection::new(nats, source, lattice, String::new(), [].into(), Arc::clone(&KEY), Arc::clone(&KEY))
            .expect("a connection needs no asking")
            .get_wrpc_client_custom(target, Some(CALL_TIME_MAX))
            .await
            .expect("NATS answers")
    }

    async fn caller(&self, component: &str, target: &str) -> WrpcClient {
        self.client(&id(component), target).await
    }
}

/// A component's id on the lattice, which is not its name.
fn id(component: &str) -> String {
    format!("id-of-{component}")
}

/// A store in a new database.
async fn store(name: &str, port: u16, clock: Clock, fixture: &Fixture) -> Arc<Store> {
    let url = postgres::make_database(port, name).await.expect("a new database");
    let hear = |ears: &[&str]| ears.iter().map(|ear| (*ear).to_owned()).collect();
    let settings = Settings {
        subscribers: fixture.subscribers.iter().map(|(topic, ears)| ((*topic).to_owned(), hear(ears))).collect(),
        clock,
        ..Settings::new(Database::Postgres(url))
    };
    let store = Store::open(settings, &prometheus::Registry::new()).expect("the address is one");
    let migrations = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("ports").join(name);
    for (component, sql) in fixture.components {
        let dir = migrations.join(component);
        std::fs::create_dir_all(&dir).expect("the target folder can be written");
        std::fs::write(dir.join("0001_tables.sql"), sql).expect("the target folder can be written");
        assert_eq!(store.migrate(component, &dir).await.expect("the fixture is well formed"), 1);
    }
    store
}

impl Backend for OnLattice {
    async fn query(&self, component: &str, reads: Vec<Read>, batch_id: Option<&str>) -> Result<Snapshot, SqlError> {
        let client = self.caller(component, SQL).await;
        let reads: Vec<sql::Read> = reads.into_iter().map(Into::into).collect();
        let answer = sql::query(&client, None, &reads, batch_id).await.expect("the provider answers");
        answer.map(Into::into).map_err(Into::into)
    }

    async fn commit(&self, component: &str, batch: Batch) -> Result<Vec<u64>, SqlError> {
        let client = self.caller(component, SQL).await;
        let answer = sql::commit(&client, None, &batch.into()).await.expect("the provider answers");
        answer.map_err(Into::into)
    }

    async fn get(&self, component: &str, key: &str) -> Result<Option<Entry>, KvError> {
        let client = self.caller(component, KV).await;
        let answer = kv::get(&client, None, key).await.expect("the provider answers");
        answer.map(|entry| entry.map(Into::into)).map_err(Into::into)
    }

    async fn set(
        &self,
        component: &str,
        key: &str,
        value: &str,
        condition: Condition,
        ttl_seconds: Option<u64>,
    ) -> Result<u64, KvError> {
        let client = self.caller(component, KV).await;
        let answer = kv::set(&client, None, key, value, &condition.into(), ttl_seconds).await;
        answer.expect("the provider answers").map_err(Into::into)
    }

    async fn delete(&self, component: &str, key: &str, condition: Condition) -> Result<(), KvError> {
        let client = self.caller(component, KV).await;
        kv::delete(&client, None, key, &condition.into()).await.expect("the provider answers").map_err(Into::into)
    }

    async fn increment(&self, component: &str, key: &str, by: i64, ttl_seconds: Option<u64>) -> Result<i64, KvError> {
        let client = self.caller(component, KV).await;
        kv::increment(&client, None, key, by, ttl_seconds).await.expect("the provider answers").map_err(Into::into)
    }

    fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    async fn deliver_due(&self, ears: Ears) {
        *self.ears.lock().unwrap_or_else(PoisonError::into_inner) = Some(ears);
        let deliver = events::deliver(Arc::clone(&self.courier));
        Arc::clone(&self.store).deliver_due(deliver).await.expect("the outbox can be read");
    }
}

/// A component that hears.
#[derive(Clone)]
struct Ear {
    component: &'static str,
    ears: Arc<Mutex<Option<Ears>>>,
}

impl subscriber::Handler<Option<Context>> for Ear {
    async fn handle(
        &self,
        _: Option<Context>,
        _: subscriber::Context,
        event: subscriber::Event,
    ) -> anyhow::Result<Result<(), String>> {
        let ears = self.ears.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let ears = ears.expect("nothing is delivered before somebody hears");
        Ok(ears(self.component, &Event::from(event)))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_lost_loses_no_event() {
    let case = OnLattice::open(&ports_suite::FIXTURE).await;
    for n in 0..20 {
        ports_suite::committed(&case, ports_suite::fact(&n.to_string(), "thing.happened", "one")).await;
        // What a server does that comes back with an empty disk.
        let jetstream = async_nats::jetstream::new((*case.nats).clone());
        jetstream.delete_stream(format!("SOUK_EVENTS_{}", case.name)).await.expect("the queue was there");
        let wanted = format!("ear-a alpha/{n}/0 1");
        assert_eq!(ports_suite::deliver(&case).await, [wanted], "at once, and in order");
    }
}

mod lattice {
    crate::port_suite!(crate::OnLattice::open);
}
