//! The ports as `adapter-spin` exports them, for the port suite: tables, and values to those of the bindings and back.

use std::panic::AssertUnwindSafe;
use std::path::Path;

use souk_store::values::{self, Batch, Condition, Entry, Event, KvError, NewEvent, Read, Snapshot, SqlError, Write};
use souk_store::{Database, Settings, Store};

use super::bindings::exports::souk::shop::{kv, outbox, sql};
use crate::ports_suite::{Ears, Fixture};

/// The file that `migrate` makes.
pub const DATABASE: &str = "souk.db";

/// Makes the tables as `souk migrate` does, and leaves the file as Spin finds it.
pub async fn migrate(folder: &Path, fixture: &Fixture) {
    let settings = Settings::new(Database::Sqlite(folder.to_owned()));
    let store = Store::open(settings, &prometheus::Registry::new()).expect("an empty folder opens");
    for (component, sql) in fixture.components {
        let migrations = folder.join(component);
        std::fs::create_dir_all(&migrations).expect("the folder can be written");
        std::fs::write(migrations.join("0001_tables.sql"), sql).expect("the folder can be written");
        store.migrate(component, &migrations).await.expect("the fixture is well formed");
    }
    drop(store);
    let connection = rusqlite::Connection::open(folder.join(DATABASE)).expect("the database is there");
    connection.pragma_update(None, "journal_mode", "DELETE").expect("nobody else has it open");
}

/// Reads.
pub fn reads(reads: Vec<Read>) -> Vec<sql::Read> {
    reads.into_iter().map(|read| sql::Read { sql: read.sql, params: params(read.params) }).collect()
}

fn params(params: Vec<values::Value>) -> Vec<sql::Value> {
    let param = |value| match value {
        values::Value::Null => sql::Value::Null,
        values::Value::Integer(integer) => sql::Value::Integer(integer),
        values::Value::Text(text) => sql::Value::Text(text),
    };
    params.into_iter().map(param).collect()
}

/// A batch.
pub fn batch(batch: Batch) -> sql::Batch {
    let write = |write: Write| sql::Write { sql: write.sql, params: params(write.params), expect: write.expect };
    let event = |event: NewEvent| sql::NewEvent {
        topic: event.topic,
        key: event.key,
        payload: event.payload,
        not_before: event.not_before,
    };
    sql::Batch {
        id: batch.id,
        writes: batch.writes.into_iter().map(write).collect(),
        events: batch.events.into_iter().map(event).collect(),
    }
}

/// What a query saw.
pub fn snapshot(snapshot: sql::Snapshot) -> Snapshot {
    let rows = |rows: sql::Rows| values::Rows { columns: rows.columns, packed: rows.packed };
    Snapshot { committed: snapshot.committed, results: snapshot.results.into_iter().map(rows).collect() }
}

/// An error of `sql`.
pub fn sql_error(error: sql::SqlError) -> SqlError {
    match error {
        sql::SqlError::Invalid(reason) => SqlError::Invalid(reason),
        sql::SqlError::TooLarge(reason) => SqlError::TooLarge(reason),
        sql::SqlError::Constraint(reason) => SqlError::Constraint(reason),
        sql::SqlError::GuardMissed(missed) => SqlError::GuardMissed(values::MissedGuard {
            write: missed.write,
            expected: missed.expected,
            touched: missed.touched,
        }),
        sql::SqlError::StorageFull => SqlError::StorageFull,
        sql::SqlError::Unavailable(reason) => SqlError::Unavailable(reason),
    }
}

/// A value of a key and its version.
pub fn entry(entry: kv::Entry) -> Entry {
    Entry { value: entry.value, version: entry.version }
}

/// When a write of a key may happen.
pub fn condition(condition: Condition) -> kv::Condition {
    match condition {
        Condition::Always => kv::Condition::Always,
        Condition::Absent => kv::Condition::Absent,
        Condition::Version(version) => kv::Condition::Version(version),
    }
}

/// An error of `kv`.
pub fn kv_error(error: kv::KvError) -> KvError {
    match error {
        kv::KvError::Invalid(reason) => KvError::Invalid(reason),
        kv::KvError::Conflict => KvError::Conflict,
        kv::KvError::StorageFull => KvError::StorageFull,
        kv::KvError::Unavailable(reason) => KvError::Unavailable(reason),
    }
}

/// Hands a delivery to its subscriber; answers what came of it. A subscriber that panics has not taken it.
pub fn hand_over(ears: &Ears, delivery: outbox::Delivery) -> outbox::Outcome {
    let outbox::Delivery { claim, event } = delivery;
    let event = Event {
        id: event.id,
        topic: event.topic,
        key: event.key,
        payload: event.payload,
        committed_at: event.committed_at,
        attempt: event.attempt,
    };
    let heard = std::panic::catch_unwind(AssertUnwindSafe(|| ears(&claim.subscriber, &event)));
    let failure = heard.unwrap_or_else(|_| Err("it panicked".to_owned())).err();
    outbox::Outcome { claim, failure }
}
