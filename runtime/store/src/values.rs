//! What crosses the ports, as plain values: the same shapes and names as in `wit/sql.wit`, `wit/kv.wit` and
//! `wit/events.wit`, which say what each of them means and promises.
//!
//! Whoever speaks WIT moves its generated values into these and back. Nothing here knows how.

/// One cell of a row, or one parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// A 64-bit integer.
    Integer(i64),
    /// Text.
    Text(String),
}

/// A read.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    /// The statement.
    pub sql: String,
    /// The parameters.
    pub params: Vec<Value>,
}

/// The rows of one read, packed.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// Cells in a row.
    pub columns: u32,
    /// The cells.
    pub packed: Vec<u8>,
}

/// What a query saw, all of it at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Whether the batch asked about had been committed.
    pub committed: bool,
    /// The rows of each read.
    pub results: Vec<Rows>,
}

/// A write.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// The statement.
    pub sql: String,
    /// The parameters.
    pub params: Vec<Value>,
    /// The guard: how many rows it must touch.
    pub expect: Option<u64>,
}

/// Writes and events that happen together or not at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The identity of the batch within the component.
    pub id: String,
    /// The writes.
    pub writes: Vec<Write>,
    /// The events.
    pub events: Vec<NewEvent>,
}

/// A guard that was missed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MissedGuard {
    /// The place in the writes, from zero.
    pub write: u32,
    /// Rows the guard asked for.
    pub expected: u64,
    /// Rows the write touched.
    pub touched: u64,
}

/// Why nothing was read or written. After `Unavailable` a commit may have happened.
#[derive(Clone, Debug, PartialEq)]
pub enum SqlError {
    /// The statement is at fault.
    Invalid(String),
    /// Something is over its limit.
    TooLarge(String),
    /// A constraint refused a write.
    Constraint(String),
    /// A guard was missed.
    GuardMissed(MissedGuard),
    /// There is no room for a write; nothing of it was done.
    StorageFull,
    /// The database is away or busy past the deadline.
    Unavailable(String),
}

/// A fact to be stored with a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// What happened.
    pub topic: String,
    /// What it happened to.
    pub key: String,
    /// The fact as a JSON object.
    pub payload: String,
    /// Not delivered before this instant, in milliseconds since 1970.
    pub not_before: Option<i64>,
}

/// A fact as it is delivered.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The identity of the event: the component, the batch's id and the place in the batch.
    pub id: String,
    /// What happened.
    pub topic: String,
    /// What it happened to.
    pub key: String,
    /// The fact as a JSON object.
    pub payload: String,
    /// When the batch that holds it was committed, in milliseconds since 1970.
    pub committed_at: i64,
    /// Which delivery to this subscriber it is, from 1.
    pub attempt: u32,
}

/// A value of a key and its version.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The value.
    pub value: String,
    /// The version that a conditional write names.
    pub version: u64,
}

/// When a write of a key may happen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Condition {
    /// In any case.
    Always,
    /// Only when the key is absent.
    Absent,
    /// Only when the key still has this version.
    Version(u64),
}

/// Why no key was read or written. After `Unavailable` a write may have happened.
#[derive(Clone, Debug, PartialEq)]
pub enum KvError {
    /// A key, a value, a time to live or a sum is at fault.
    Invalid(String),
    /// The condition did not hold.
    Conflict,
    /// There is no room for a write; nothing of it was done.
    StorageFull,
    /// The store is away.
    Unavailable(String),
}
