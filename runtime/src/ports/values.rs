//! Moves the ports' generated values into the store's plain ones and back.

use souk_store::values;

use super::bindings::souk::shop::{events, kv, sql};

impl From<sql::Value> for values::Value {
    fn from(value: sql::Value) -> values::Value {
        match value {
            sql::Value::Null => values::Value::Null,
            sql::Value::Integer(integer) => values::Value::Integer(integer),
            sql::Value::Text(text) => values::Value::Text(text),
        }
    }
}

impl From<sql::Read> for values::Read {
    fn from(read: sql::Read) -> values::Read {
        values::Read { sql: read.sql, params: all(read.params) }
    }
}

impl From<sql::Write> for values::Write {
    fn from(write: sql::Write) -> values::Write {
        values::Write { sql: write.sql, params: all(write.params), expect: write.expect }
    }
}

impl From<sql::Batch> for values::Batch {
    fn from(batch: sql::Batch) -> values::Batch {
        values::Batch { id: batch.id, writes: all(batch.writes), events: all(batch.events) }
    }
}

impl From<events::NewEvent> for values::NewEvent {
    fn from(event: events::NewEvent) -> values::NewEvent {
        let events::NewEvent { topic, key, payload, not_before } = event;
        values::NewEvent { topic, key, payload, not_before }
    }
}

impl From<values::Rows> for sql::Rows {
    fn from(rows: values::Rows) -> sql::Rows {
        sql::Rows { columns: rows.columns, packed: rows.packed }
    }
}

impl From<values::Snapshot> for sql::Snapshot {
    fn from(snapshot: values::Snapshot) -> sql::Snapshot {
        sql::Snapshot { committed: snapshot.committed, results: all(snapshot.results) }
    }
}

impl From<values::SqlError> for sql::SqlError {
    fn from(error: values::SqlError) -> sql::SqlError {
        match error {
            values::SqlError::Invalid(reason) => sql::SqlError::Invalid(reason),
            values::SqlError::TooLarge(reason) => sql::SqlError::TooLarge(reason),
            values::SqlError::Constraint(reason) => sql::SqlError::Constraint(reason),
            values::SqlError::GuardMissed(values::MissedGuard { write, expected, touched }) => {
                sql::SqlError::GuardMissed(sql::MissedGuard { write, expected, touched })
            }
            values::SqlError::StorageFull => sql::SqlError::StorageFull,
            values::SqlError::Unavailable(reason) => sql::SqlError::Unavailable(reason),
        }
    }
}

impl From<values::Entry> for kv::Entry {
    fn from(entry: values::Entry) -> kv::Entry {
        kv::Entry { value: entry.value, version: entry.version }
    }
}

impl From<kv::Condition> for values::Condition {
    fn from(condition: kv::Condition) -> values::Condition {
        match condition {
            kv::Condition::Always => values::Condition::Always,
            kv::Condition::Absent => values::Condition::Absent,
            kv::Condition::Version(version) => values::Condition::Version(version),
        }
    }
}

impl From<values::KvError> for kv::KvError {
    fn from(error: values::KvError) -> kv::KvError {
        match error {
            values::KvError::Invalid(reason) => kv::KvError::Invalid(reason),
            values::KvError::Conflict => kv::KvError::Conflict,
            values::KvError::StorageFull => kv::KvError::StorageFull,
            values::KvError::Unavailable(reason) => kv::KvError::Unavailable(reason),
        }
    }
}

/// Moves every value of a list.
pub(super) fn all<A, B: From<A>>(list: Vec<A>) -> Vec<B> {
    list.into_iter().map(B::from).collect()
}
