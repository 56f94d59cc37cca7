//! The generated values of the lattice and the plain ones of the store, moved into each other.

use souk_store::values as plain;

use crate::bindings::exports::souk::shop::{kv, sql};
use crate::bindings::souk::shop::events;

impl From<sql::Value> for plain::Value {
    fn from(value: sql::Value) -> Self {
        match value {
            sql::Value::Null => Self::Null,
            sql::Value::Integer(integer) => Self::Integer(integer),
            sql::Value::Text(text) => Self::Text(text),
        }
    }
}

fn values(values: Vec<sql::Value>) -> Vec<plain::Value> {
    values.into_iter().map(Into::into).collect()
}

impl From<sql::Read> for plain::Read {
    fn from(read: sql::Read) -> Self {
        Self { sql: read.sql, params: values(read.params) }
    }
}

impl From<sql::Write> for plain::Write {
    fn from(write: sql::Write) -> Self {
        Self { sql: write.sql, params: values(write.params), expect: write.expect }
    }
}

impl From<events::NewEvent> for plain::NewEvent {
    fn from(event: events::NewEvent) -> Self {
        Self { topic: event.topic, key: event.key, payload: event.payload, not_before: event.not_before }
    }
}

impl From<sql::Batch> for plain::Batch {
    fn from(batch: sql::Batch) -> Self {
        Self {
            id: batch.id,
            writes: batch.writes.into_iter().map(Into::into).collect(),
            events: batch.events.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<plain::Snapshot> for sql::Snapshot {
    fn from(snapshot: plain::Snapshot) -> Self {
        let rows = |rows: plain::Rows| sql::Rows { columns: rows.columns, packed: rows.packed.into() };
        Self { committed: snapshot.committed, results: snapshot.results.into_iter().map(rows).collect() }
    }
}

impl From<plain::SqlError> for sql::SqlError {
    fn from(error: plain::SqlError) -> Self {
        match error {
            plain::SqlError::Invalid(reason) => Self::Invalid(reason),
            plain::SqlError::TooLarge(reason) => Self::TooLarge(reason),
            plain::SqlError::Constraint(reason) => Self::Constraint(reason),
            plain::SqlError::GuardMissed(missed) => {
                let plain::MissedGuard { write, expected, touched } = missed;
                Self::GuardMissed(sql::MissedGuard { write, expected, touched })
            }
            plain::SqlError::StorageFull => Self::StorageFull,
            plain::SqlError::Unavailable(reason) => Self::Unavailable(reason),
        }
    }
}

impl From<kv::Condition> for plain::Condition {
    fn from(condition: kv::Condition) -> Self {
        match condition {
            kv::Condition::Always => Self::Always,
            kv::Condition::Absent => Self::Absent,
            kv::Condition::Version(version) => Self::Version(version),
        }
    }
}

impl From<plain::Entry> for kv::Entry {
    fn from(entry: plain::Entry) -> Self {
        Self { value: entry.value, version: entry.version }
    }
}

impl From<plain::KvError> for kv::KvError {
    fn from(error: plain::KvError) -> Self {
        match error {
            plain::KvError::Invalid(reason) => Self::Invalid(reason),
            plain::KvError::Conflict => Self::Conflict,
            plain::KvError::StorageFull => Self::StorageFull,
            plain::KvError::Unavailable(reason) => Self::Unavailable(reason),
        }
    }
}
