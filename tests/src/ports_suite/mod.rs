//! The port suite: every sentence of `sql.wit`, `kv.wit` and `events.wit` as a case.
//!
//! The cases are written once, against [`Backend`]. `tests/ports.rs` runs them with each implementation of the
//! ports; [`port_suite!`](crate::port_suite) makes a test of every case. A case gets a backend of its own, empty but
//! for the [`FIXTURE`]. The suite never sleeps: time is the backend's, and moves when a case says so.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use souk_store::values::{
    Batch, Condition, Entry, Event, KvError, NewEvent, Read, Rows, Snapshot, SqlError, Value, Write,
};

pub mod commit;
pub mod events;
pub mod kv;
pub mod query;

/// What is there before a case begins.
pub struct Fixture {
    /// Components and the migration that makes their tables.
    pub components: &'static [(&'static str, &'static str)],
    /// Topics and the components that hear them.
    pub subscribers: &'static [(&'static str, &'static [&'static str])],
}

/// The fixture of every case.
pub const FIXTURE: Fixture = Fixture {
    components: &[
        (
            ALPHA,
            "CREATE TABLE alpha_items (
                 id   TEXT   NOT NULL PRIMARY KEY,
                 qty  BIGINT NOT NULL CHECK (qty >= 0),
                 note TEXT,
                 code TEXT   UNIQUE
             );
             CREATE TABLE alpha_parts (
                 id      TEXT NOT NULL PRIMARY KEY,
                 item_id TEXT NOT NULL REFERENCES alpha_items (id)
             );
             CREATE TABLE alpha_cells (
                 id      BIGINT NOT NULL PRIMARY KEY,
                 number  BIGINT,
                 word    TEXT
             );",
        ),
        (BETA, "CREATE TABLE beta_items (id TEXT NOT NULL PRIMARY KEY, qty BIGINT NOT NULL);"),
        (GAMMA, "CREATE TABLE gamma_ray_items (id TEXT NOT NULL PRIMARY KEY, qty BIGINT NOT NULL);"),
    ],
    subscribers: &[("thing.shared", &["ear-a", "ear-b"]), ("thing.happened", &["ear-a"]), ("thing.ended", &["ear-a"])],
};

/// The component that most cases act as.
pub const ALPHA: &str = "alpha";
/// Another component.
pub const BETA: &str = "beta";
/// A component with a hyphen in its name.
pub const GAMMA: &str = "gamma-ray";

/// What a subscriber does with an event: the name of the subscriber, the event, and its answer.
pub type Ears = Arc<dyn Fn(&str, &Event) -> Result<(), String> + Send + Sync>;

/// One implementation of the ports, opened for one case.
pub trait Backend: Send + Sync + 'static {
    /// `sql.query`, as a component.
    fn query(
        &self,
        component: &str,
        reads: Vec<Read>,
        batch_id: Option<&str>,
    ) -> impl Future<Output = Result<Snapshot, SqlError>> + Send;

    /// `sql.commit`, as a component.
    fn commit(&self, component: &str, batch: Batch) -> impl Future<Output = Result<Vec<u64>, SqlError>> + Send;

    /// `kv.get`, as a component.
    fn get(&self, component: &str, key: &str) -> impl Future<Output = Result<Option<Entry>, KvError>> + Send;

    /// `kv.set`, as a component.
    fn set(
        &self,
        component: &str,
        key: &str,
        value: &str,
        condition: Condition,
        ttl_seconds: Option<u64>,
    ) -> impl Future<Output = Result<u64, KvError>> + Send;

    /// `kv.delete`, as a component.
    fn delete(
        &self,
        component: &str,
        key: &str,
        condition: Condition,
    ) -> impl Future<Output = Result<(), KvError>> + Send;

    /// `kv.increment`, as a component.
    fn increment(
        &self,
        component: &str,
        key: &str,
        by: i64,
        ttl_seconds: Option<u64>,
    ) -> impl Future<Output = Result<i64, KvError>> + Send;

    /// The present, in milliseconds since 1970.
    fn now_ms(&self) -> i64;

    /// Moves time forward.
    fn advance(&self, by: Duration);

    /// Delivers every event that is due by now, and what becomes due by that.
    fn deliver_due(&self, ears: Ears) -> impl Future<Output = ()> + Send;
}

/// Makes a test of every case of the suite, each with a backend that `$open` opens.
#[macro_export]
macro_rules! port_suite {
    ($open:path) => {
        mod query {
            $crate::query_cases!($open);
        }
        mod commit {
            $crate::commit_cases!($open);
        }
        mod kv {
            $crate::kv_cases!($open);
        }
        mod events {
            $crate::events_cases!($open);
        }
    };
}

/// Makes a test of each named case of one module.
#[macro_export]
macro_rules! port_cases {
    ($open:path, $module:ident: $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let backend = ::std::sync::Arc::new($open(&$crate::ports_suite::FIXTURE).await);
                $crate::ports_suite::$module::$case(backend).await;
            }
        )*
    };
}

/// What can be a parameter in a case.
pub trait IntoValue {
    /// The parameter.
    fn into_value(self) -> Value;
}

impl IntoValue for i64 {
    fn into_value(self) -> Value {
        Value::Integer(self)
    }
}

impl IntoValue for &str {
    fn into_value(self) -> Value {
        Value::Text(self.to_owned())
    }
}

impl IntoValue for String {
    fn into_value(self) -> Value {
        Value::Text(self)
    }
}

impl IntoValue for Value {
    fn into_value(self) -> Value {
        self
    }
}

/// Parameters: `values![1, "a", Value::Null]`.
#[macro_export]
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::ports_suite::IntoValue::into_value($value)),*] };
}

/// A read.
pub fn read(sql: &str, params: Vec<Value>) -> Read {
    Read { sql: sql.to_owned(), params }
}

/// A write without a guard.
pub fn write(sql: &str, params: Vec<Value>) -> Write {
    Write { sql: sql.to_owned(), params, expect: None }
}

/// A write that must touch this many rows.
pub fn guarded(expect: u64, sql: &str, params: Vec<Value>) -> Write {
    Write { sql: sql.to_owned(), params, expect: Some(expect) }
}

/// A batch without events.
pub fn batch(id: &str, writes: Vec<Write>) -> Batch {
    Batch { id: id.to_owned(), writes, events: Vec::new() }
}

/// A batch of one event and no writes.
pub fn fact(id: &str, topic: &str, key: &str) -> Batch {
    Batch { id: id.to_owned(), writes: Vec::new(), events: vec![event(topic, key, None)] }
}

/// An event with a small payload.
pub fn event(topic: &str, key: &str, not_before: Option<i64>) -> NewEvent {
    NewEvent { topic: topic.to_owned(), key: key.to_owned(), payload: r#"{"n": 1}"#.to_owned(), not_before }
}

/// Writes an item.
pub fn item(id: &str, qty: i64) -> Write {
    write("INSERT INTO alpha_items (id, qty) VALUES ($1, $2)", crate::values![id, qty])
}

/// Takes the packed form apart, strictly.
pub fn unpack(rows: &Rows) -> Vec<Vec<Value>> {
    let mut packed = rows.packed.as_slice();
    let mut cells = Vec::new();
    while let Some((tag, rest)) = packed.split_first() {
        packed = rest;
        cells.push(match tag {
            0 => Value::Null,
            1 => {
                let (integer, rest) = packed.split_first_chunk().expect("an integer has eight bytes");
                packed = rest;
                Value::Integer(i64::from_le_bytes(*integer))
            }
            2 => {
                let (length, rest) = packed.split_first_chunk().expect("a length has four bytes");
                let (text, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
                packed = rest;
                Value::Text(std::str::from_utf8(text).expect("a text is UTF-8").to_owned())
            }
            other => panic!("there is no tag {other}"),
        });
    }
    let columns = rows.columns as usize;
    assert!(columns > 0 && cells.len().is_multiple_of(columns), "{} cells in rows of {columns}", cells.len());
    cells.chunks(columns).map(<[Value]>::to_vec).collect()
}

/// Runs one read as [`ALPHA`] and answers its rows.
pub async fn rows(backend: &impl Backend, sql: &str, params: Vec<Value>) -> Vec<Vec<Value>> {
    let snapshot = backend.query(ALPHA, vec![read(sql, params)], None).await.expect("the case's own read works");
    unpack(&snapshot.results[0])
}

/// Runs one read as [`ALPHA`] that answers one integer.
pub async fn integer(backend: &impl Backend, sql: &str) -> i64 {
    match rows(backend, sql, Vec::new()).await.as_slice() {
        [row] => match row.as_slice() {
            [Value::Integer(integer)] => *integer,
            other => panic!("{sql}: {other:?}"),
        },
        other => panic!("{sql}: {other:?}"),
    }
}

/// Commits a batch as [`ALPHA`] that a case relies on.
pub async fn committed(backend: &impl Backend, batch: Batch) -> Vec<u64> {
    backend.commit(ALPHA, batch).await.expect("the case's own batch is fine")
}

/// The name of an error's case.
pub fn case(error: &SqlError) -> &'static str {
    match error {
        SqlError::Invalid(_) => "invalid",
        SqlError::TooLarge(_) => "too-large",
        SqlError::Constraint(_) => "constraint",
        SqlError::GuardMissed(_) => "guard-missed",
        SqlError::StorageFull => "storage-full",
        SqlError::Unavailable(_) => "unavailable",
    }
}

/// Asserts that an answer is an error of this case.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(what: &str, answer: Result<T, SqlError>, expected: &str) {
    match answer {
        Err(error) if case(&error) == expected => {}
        other => panic!("{what}: expected {expected}, got {other:?}"),
    }
}

/// What subscribers heard, in the order in which they heard it.
#[derive(Clone, Default)]
pub struct Heard(Arc<Mutex<Vec<(String, Event)>>>);

impl Heard {
    /// Notes one delivery.
    pub fn note(&self, subscriber: &str, event: &Event) {
        self.lock().push((subscriber.to_owned(), event.clone()));
    }

    /// Takes what was heard so far.
    pub fn take(&self) -> Vec<(String, Event)> {
        std::mem::take(&mut *self.lock())
    }

    /// Takes what was heard so far as `subscriber id attempt`, sorted by subscriber and otherwise in order.
    pub fn lines(&self) -> Vec<String> {
        let mut heard = self.take();
        heard.sort_by(|(a, _), (b, _)| a.cmp(b));
        heard.iter().map(|(ear, event)| format!("{ear} {} {}", event.id, event.attempt)).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(String, Event)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Delivers what is due to subscribers that take everything; answers the lines of [`Heard`].
pub async fn deliver(backend: &impl Backend) -> Vec<String> {
    deliver_to(backend, |_, _| true).await
}

/// Delivers what is due to subscribers that take what `takes` says; answers the lines of [`Heard`], failures too.
pub async fn deliver_to(
    backend: &impl Backend,
    takes: impl Fn(&str, &Event) -> bool + Send + Sync + 'static,
) -> Vec<String> {
    let heard = Heard::default();
    let notes = heard.clone();
    let ears: Ears = Arc::new(move |subscriber, event| {
        notes.note(subscriber, event);
        if takes(subscriber, event) { Ok(()) } else { Err("not now".to_owned()) }
    });
    backend.deliver_due(ears).await;
    heard.lines()
}
