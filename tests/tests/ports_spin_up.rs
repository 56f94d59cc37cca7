//! The port suite on `spin up` itself: `adapter-spin` in composites that Spin serves, with a process of Spin for each case.
//!
//! `tests/probe` is the edge of the composites: a request is one port call, so each goes to a fresh instance, as it does in a
//! shop. Spin asks the system for the time, so libfaketime stands between the two and answers what a file says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use souk::compose::{Options, compose};
use souk::manifest::Manifest;
use souk_store::Clock;
use souk_store::values::{Batch, Condition, Entry, KvError, Read, Snapshot, SqlError};
use souk_tests::ports_suite::{ALPHA, Backend, Ears, Fixture};
use souk_tests::spin::bindings::exports::souk::shop::{kv, outbox, sql};
use souk_tests::spin::ports;
use souk_tests::time::FAKETIME;
use souk_tests::{
    folder::Folder,
    shop::{Replica, root},
};
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

/// When the cases begin, in milliseconds since 1970.
const START_MS: i64 = 1_800_000_000_000;
/// Processes of Spin at once.
const SPINS_MAX: usize = 2;
/// Longest wait for one answer.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);
/// Bytes of a call; the largest that a manifest may allow.
const BODY_BYTES_MAX: usize = 64 << 20;
/// What a composite may import, all of which Spin has; as in `tests/spin.sh`.
const PLATFORM: [&str; 7] = [
    "wasi:clocks/",
    "wasi:random/",
    "wasi:io/",
    "wasi:cli/stderr@",
    "wasi:http/",
    "spin:sqlite/",
    "fermyon:spin/variables@",
];
/// A call of a port as the probe reads it (`tests/probe/src/component.rs`).
#[derive(Serialize)]
enum Call<'a> {
    Query { reads: Vec<sql::Read>, batch_id: Option<&'a str> },
    Commit(sql::Batch),
    Get { key: &'a str },
    Set { key: &'a str, value: &'a str, condition: kv::Condition, ttl_seconds: Option<u64> },
    Delete { key: &'a str, condition: kv::Condition },
    Increment { key: &'a str, by: i64, ttl_seconds: Option<u64> },
    Next(Option<outbox::Outcome>),
}

/// The files of the application before a case begins, made once.
struct Application(Vec<(PathBuf, Vec<u8>)>);

impl Application {
    async fn make(fixture: &Fixture) -> Application {
        let folder = Folder::new();
        ports::migrate(folder.path(), fixture).await;
        let database = fs::read(folder.path().join(ports::DATABASE)).expect("it was made");
        let manifest = describe(fixture);
        let mut files = vec![("spin.toml".into(), manifest.clone().into_bytes()), (DATABASE.into(), database)];
        let (manifest, findings) = Manifest::parse("spin.toml", &manifest, folder.path());
        assert!(findings.is_empty(), "{findings:?}");
        let options = Options {
            follow: true,
            adapters: &[built("souk_adapter_spin.wasm")],
            edge: Some(&built("souk_adapter_wasi_http.wasm")),
            allow: &PLATFORM.map(str::to_owned),
        };
        for (component, _) in fixture.components {
            let composite = compose(&manifest, component, &options).expect("the probe fits between the adapters");
            files.push((format!("{component}.wasm").into(), composite.bytes));
        }
        Application(files)
    }
}

/// Where the database is, from the folder of the application.
const DATABASE: &str = "state/sqlite_db.db";

fn built(file: &str) -> PathBuf {
    root().join("target/wasm32-unknown-unknown/component").join(file)
}

/// The manifest: a probe for each component of the fixture, and those that hear events, which nobody calls.
fn describe(fixture: &Fixture) -> String {
    let mut text = "spin_manifest_version = 2\napplication = { name = \"ports\" }\n".to_owned();
    let probe = built("souk_probe.wasm");
    for (component, _) in fixture.components {
        text += &format!(
            r#"
            [[trigger.http]]
            route = "/{component}"
            component = "{component}"

            [component.{component}]
            source = "{component}.wasm"
            sqlite_databases = ["default"]

            [component.{component}.tool.souk]
            source = "{probe}"
            limits = {{ body_bytes = {BODY_BYTES_MAX} }}
            "#,
            probe = probe.display()
        );
    }
    let mut ears: Vec<&str> = fixture.subscribers.iter().flat_map(|(_, ears)| *ears).copied().collect();
    ears.sort_unstable();
    ears.dedup();
    for ear in ears {
        let hears = fixture.subscribers.iter().filter(|(_, ears)| ears.contains(&ear));
        let topics: Vec<&str> = hears.map(|(topic, _)| *topic).collect();
        text += &format!(
            r#"
            [component.{ear}]
            source = "{probe}"

            [component.{ear}.tool.souk]
            topics = {topics:?}
            "#,
            probe = probe.display()
        );
    }
    text
}

/// The application of one case, and the process of Spin that serves it.
struct SpinUp {
    folder: Folder,
    clock: Clock,
    spin: Option<Replica>,
    url: String,
    http: reqwest::Client,
    _place: SemaphorePermit<'static>,
}

impl SpinUp {
    async fn open(fixture: &Fixture) -> SpinUp {
        static APPLICATION: OnceCell<Application> = OnceCell::const_new();
        static PLACES: Semaphore = Semaphore::const_new(SPINS_MAX);
        let place = PLACES.acquire().await.expect("it is never closed");
        let folder = Folder::new();
        fs::create_dir(folder.path().join("state")).expect("the folder can be written");
        for (name, bytes) in &APPLICATION.get_or_init(|| Application::make(fixture)).await.0 {
            fs::write(folder.path().join(name), bytes).expect("the folder can be written");
        }
        let clock = Clock::manual(START_MS);
        show(&clock, folder.path());
        let mut command = Command::new("spin");
        command.env("LD_PRELOAD", FAKETIME).env("FAKETIME_TIMESTAMP_FILE", folder.path().join(CLOCK)).envs([
            ("TZ", "UTC"),
            ("FAKETIME_FMT", "%s"),
            ("FAKETIME_NO_CACHE", "1"),
            // Waits take the time that they take, and files are as old as they are.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
        ]);
        let spin = Replica::spin(command, &folder.path().join("spin.toml"), &folder.path().join("state"));
        let http =
            reqwest::Client::builder().timeout(ANSWER_WAIT_MAX).no_proxy().build().expect("a client can be made");
        SpinUp { folder, clock, url: spin.url(), spin: Some(spin), http, _place: place }
    }

    /// Makes one call as this component; answers what the port answers.
    async fn call<T: DeserializeOwned>(&self, component: &str, call: Call<'_>) -> T {
        let body = serde_json::to_vec(&call).expect("values of the ports have text for keys");
        let answer = self.http.post(format!("{}/{component}", self.url)).body(body).send().await;
        let answer = answer.expect("Spin answers");
        let status = answer.status();
        let body = answer.bytes().await.expect("Spin answers to the end");
        assert_eq!(status, 200, "{component}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).expect("the probe answers what the port does")
    }
}

impl Drop for SpinUp {
    fn drop(&mut self) {
        // Not killed: libfaketime has something to remove.
        let log = self.spin.take().map(|spin| spin.stop().1);
        if let Some(log) = log.filter(|_| std::thread::panicking()) {
            eprintln!("log of Spin:\n{log}");
        }
    }
}

/// Where the time stands, from the folder of the application.
const CLOCK: &str = "clock";

/// Has Spin see the time of a clock.
fn show(clock: &Clock, folder: &Path) {
    let now = clock.now_ms();
    let draft = folder.join("clock.draft");
    // The fraction is read as a binary one and cut off, so it stands in the middle of the millisecond.
    fs::write(&draft, format!("{}.{:03}5\n", now / 1_000, now % 1_000)).expect("the folder can be written");
    // Renamed into place, so that nobody reads half of it.
    fs::rename(&draft, folder.join(CLOCK)).expect("the folder can be written");
}

impl Backend for SpinUp {
    async fn query(&self, component: &str, reads: Vec<Read>, batch_id: Option<&str>) -> Result<Snapshot, SqlError> {
        let call = Call::Query { reads: ports::reads(reads), batch_id };
        let answer: Result<sql::Snapshot, sql::SqlError> = self.call(component, call).await;
        answer.map(ports::snapshot).map_err(ports::sql_error)
    }

    async fn commit(&self, component: &str, batch: Batch) -> Result<Vec<u64>, SqlError> {
        let answer: Result<Vec<u64>, sql::SqlError> = self.call(component, Call::Commit(ports::batch(batch))).await;
        answer.map_err(ports::sql_error)
    }

    async fn get(&self, component: &str, key: &str) -> Result<Option<Entry>, KvError> {
        let answer: Result<Option<kv::Entry>, kv::KvError> = self.call(component, Call::Get { key }).await;
        answer.map(|entry| entry.map(ports::entry)).map_err(ports::kv_error)
    }

    async fn set(
        &self,
        component: &str,
        key: &str,
        value: &str,
        condition: Condition,
        ttl_seconds: Option<u64>,
    ) -> Result<u64, KvError> {
        let call = Call::Set { key, value, condition: ports::condition(condition), ttl_seconds };
        let answer: Result<u64, kv::KvError> = self.call(component, call).await;
        answer.map_err(ports::kv_error)
    }

    async fn delete(&self, component: &str, key: &str, condition: Condition) -> Result<(), KvError> {
        let call = Call::Delete { key, condition: ports::condition(condition) };
        let answer: Result<(), kv::KvError> = self.call(component, call).await;
        answer.map_err(ports::kv_error)
    }

    async fn increment(&self, component: &str, key: &str, by: i64, ttl_seconds: Option<u64>) -> Result<i64, KvError> {
        let answer: Result<i64, kv::KvError> = self.call(component, Call::Increment { key, by, ttl_seconds }).await;
        answer.map_err(ports::kv_error)
    }

    fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
        show(&self.clock, self.folder.path());
    }

    async fn deliver_due(&self, ears: Ears) {
        let mut last = None;
        loop {
            // The outbox is the application's, whichever component looks into it.
            let next: Result<Option<outbox::Delivery>, String> = self.call(ALPHA, Call::Next(last)).await;
            let Some(delivery) = next.expect("the outbox is there") else { return };
            last = Some(ports::hand_over(&ears, delivery));
        }
    }
}

mod spin_up {
    souk_tests::port_suite!(crate::SpinUp::open);
}
