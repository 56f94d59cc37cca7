//! The ports as a component has them, and their values as the suite has them.

#![allow(missing_docs, reason = "generated from WIT, where every item is documented")]
#![allow(clippy::all, reason = "generated")]
#![allow(unused_qualifications, reason = "generated")]

use souk_store::values as plain;

use souk::shop::{events, kv, sql};

wit_bindgen_wrpc::generate!({
    path: "../../../wit",
    inline: "
        package souk:suite;

        world component {
            import souk:shop/sql@0.1.0;
            import souk:shop/kv@0.1.0;
            export souk:shop/subscriber@0.1.0;
        }
    ",
    world: "souk:suite/component",
    generate_all,
});

fn values(values: Vec<plain::Value>) -> Vec<sql::Value> {
    let value = |value| match value {
        plain::Value::Null => sql::Value::Null,
        plain::Value::Integer(integer) => sql::Value::Integer(integer),
        plain::Value::Text(text) => sql::Value::Text(text),
    };
    values.into_iter().map(value).collect()
}

impl From<plain::Read> for sql::Read {
    fn from(read: plain::Read) -> Self {
        Self { sql: read.sql, params: values(read.params) }
    }
}

impl From<plain::Batch> for sql::Batch {
    fn from(batch: plain::Batch) -> Self {
        let write =
            |write: plain::Write| sql::Write { sql: write.sql, params: values(write.params), expect: write.expect };
        let event = |event: plain::NewEvent| {
            let plain::NewEvent { topic, key, payload, not_before } = event;
            events::NewEvent { topic, key, payload, not_before }
        };
        Self {
            id: batch.id,
            writes: batch.writes.into_iter().map(write).collect(),
            events: batch.events.into_iter().map(event).collect(),
        }
    }
}

impl From<sql::Snapshot> for plain::Snapshot {
    fn from(snapshot: sql::Snapshot) -> Self {
        let rows = |rows: sql::Rows| plain::Rows { columns: rows.columns, packed: rows.packed.into() };
        Self { committed: snapshot.committed, results: snapshot.results.into_iter().map(rows).collect() }
    }
}

impl From<sql::SqlError> for plain::SqlError {
    fn from(error: sql::SqlError) -> Self {
        match error {
            sql::SqlError::Invalid(reason) => Self::Invalid(reason),
            sql::SqlError::TooLarge(reason) => Self::TooLarge(reason),
            sql::SqlError::Constraint(reason) => Self::Constraint(reason),
            sql::SqlError::GuardMissed(missed) => {
                let sql::MissedGuard { write, expected, touched } = missed;
                Self::GuardMissed(plain::MissedGuard { write, expected, touched })
            }
            sql::SqlError::StorageFull => Self::StorageFull,
            sql::SqlError::Unavailable(reason) => Self::Unavailable(reason),
        }
    }
}

impl From<plain::Condition> for kv::Condition {
    fn from(condition: plain::Condition) -> Self {
        match condition {
            plain::Condition::Always => Self::Always,
            plain::Condition::Absent => Self::Absent,
            plain::Condition::Version(version) => Self::Version(version),
        }
    }
}

impl From<kv::Entry> for plain::Entry {
    fn from(entry: kv::Entry) -> Self {
        Self { value: entry.value, version: entry.version }
    }
}

impl From<kv::KvError> for plain::KvError {
    fn from(error: kv::KvError) -> Self {
        match error {
            kv::KvError::Invalid(reason) => Self::Invalid(reason),
            kv::KvError::Conflict => Self::Conflict,
            kv::KvError::StorageFull => Self::StorageFull,
            kv::KvError::Unavailable(reason) => Self::Unavailable(reason),
        }
    }
}

impl From<events::Event> for plain::Event {
    fn from(event: events::Event) -> Self {
        let events::Event { id, topic, key, payload, committed_at, attempt } = event;
        Self { id, topic, key, payload, committed_at, attempt }
    }
}
