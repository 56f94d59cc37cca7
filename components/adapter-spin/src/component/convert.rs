//! Values of the exported ports to those of the store and back.

use souk_store::values;

use super::bindings::exports::souk::shop::{kv, outbox, sql};
use crate::store::outbox::Claim;

/// A read.
pub fn read(read: sql::Read) -> values::Read {
    values::Read { sql: read.sql, params: params(read.params) }
}

fn params(params: Vec<sql::Value>) -> Vec<values::Value> {
    let param = |value| match value {
        sql::Value::Null => values::Value::Null,
        sql::Value::Integer(integer) => values::Value::Integer(integer),
        sql::Value::Text(text) => values::Value::Text(text),
    };
    params.into_iter().map(param).collect()
}

/// A batch.
pub fn batch(batch: sql::Batch) -> values::Batch {
    let write =
        |write: sql::Write| values::Write { sql: write.sql, params: params(write.params), expect: write.expect };
    let event = |event: souk_kit::events::NewEvent| values::NewEvent {
        topic: event.topic,
        key: event.key,
        payload: event.payload,
        not_before: event.not_before,
    };
    values::Batch {
        id: batch.id,
        writes: batch.writes.into_iter().map(write).collect(),
        events: batch.events.into_iter().map(event).collect(),
    }
}

/// What a query saw.
pub fn snapshot(snapshot: values::Snapshot) -> sql::Snapshot {
    let rows = |rows: values::Rows| sql::Rows { columns: rows.columns, packed: rows.packed };
    sql::Snapshot { committed: snapshot.committed, results: snapshot.results.into_iter().map(rows).collect() }
}

/// An error of `sql`.
pub fn sql_error(error: values::SqlError) -> sql::SqlError {
    match error {
        values::SqlError::Invalid(reason) => sql::SqlError::Invalid(reason),
        values::SqlError::TooLarge(reason) => sql::SqlError::TooLarge(reason),
        values::SqlError::Constraint(reason) => sql::SqlError::Constraint(reason),
        values::SqlError::GuardMissed(missed) => sql::SqlError::GuardMissed(sql::MissedGuard {
            write: missed.write,
            expected: missed.expected,
            touched: missed.touched,
        }),
        values::SqlError::StorageFull => sql::SqlError::StorageFull,
        values::SqlError::Unavailable(reason) => sql::SqlError::Unavailable(reason),
    }
}

/// A value of a key and its version.
pub fn entry(entry: values::Entry) -> kv::Entry {
    kv::Entry { value: entry.value, version: entry.version }
}

/// When a write of a key may happen.
pub fn condition(condition: kv::Condition) -> values::Condition {
    match condition {
        kv::Condition::Always => values::Condition::Always,
        kv::Condition::Absent => values::Condition::Absent,
        kv::Condition::Version(version) => values::Condition::Version(version),
    }
}

/// An error of `kv`.
pub fn kv_error(error: values::KvError) -> kv::KvError {
    match error {
        values::KvError::Invalid(reason) => kv::KvError::Invalid(reason),
        values::KvError::Conflict => kv::KvError::Conflict,
        values::KvError::StorageFull => kv::KvError::StorageFull,
        values::KvError::Unavailable(reason) => kv::KvError::Unavailable(reason),
    }
}

/// A claim that comes back with its outcome.
pub fn claim(claim: outbox::Claim) -> Claim {
    let outbox::Claim { subscriber, topic, key, place, until } = claim;
    Claim { subscriber, topic, key, place, until }
}
