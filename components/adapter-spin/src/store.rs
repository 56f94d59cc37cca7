//! Rows, keys and the outbox on a SQLite that is asked one statement at a time.
//!
//! The tables are those of Souk's own host (`runtime/store/src/sqlite/schema.sql`), so its commands read the same file.
//! Every function here is one port call on one connection, and holds the write lock from `BEGIN IMMEDIATE` to `COMMIT`
//! or not at all. Clocks and chance come in as arguments. It knows no WebAssembly.

use souk_store::values::{KvError, SqlError, Value};

pub mod kv;
pub mod outbox;
pub mod sql;

/// A connection to the database.
pub trait Connection {
    /// Runs one statement; answers its rows, or what the database says about it.
    fn run(&self, sql: &str, params: &[Value]) -> Result<Answer, String>;
    /// The rows that the last `INSERT`, `UPDATE` or `DELETE` touched. After any other statement it still is that number.
    fn touched(&self) -> u64;
    /// The place of the last row that was inserted.
    fn last_row(&self) -> i64;
}

/// The rows of a statement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Cells in a row.
    pub columns: usize,
    /// The rows.
    pub rows: Vec<Vec<Cell>>,
}

/// One cell as SQLite answers it.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// SQL NULL.
    Null,
    /// An integer.
    Integer(i64),
    /// Text.
    Text(String),
    /// What the port does not carry, by its name.
    Foreign(&'static str),
}

/// What a failure of SQLite's means to a port.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The statement is at fault.
    Invalid(String),
    /// A limit of SQLite's is exceeded.
    TooLarge(String),
    /// A constraint refused.
    Constraint(String),
    /// There is no room for a write.
    StorageFull,
    /// The database is away or busy, or not prepared.
    Unavailable(String),
}

/// How the texts of constraints start.
const CONSTRAINTS: &[&str] = &[
    "UNIQUE constraint failed",
    "CHECK constraint failed",
    "NOT NULL constraint failed",
    "FOREIGN KEY constraint failed",
    "PRIMARY KEY constraint failed",
    "constraint failed",
];

/// How the text starts when there is no room.
const STORAGE_FULL: &str = "database or disk is full";

/// How the texts of those failures start that say nothing about the statement. A text of SQLite's may quote the
/// statement behind its own words, so only its start is looked at.
const UNAVAILABLE: &[&str] = &[
    "database is locked",
    "database table is locked",
    "database schema is locked",
    "database schema has changed",
    "database disk image is malformed",
    "disk I/O error",
    "file is not a database",
    "unable to open database file",
    "attempt to write a readonly database",
    "access permission denied",
    "locking protocol",
    "out of memory",
    "interrupted",
    "too many connections opened",
    "internal runtime error",
    // The tables of the host itself: nothing works before they are made.
    "no such table: souk_",
];

impl Failure {
    /// Sorts a text of SQLite's.
    pub fn of(text: String) -> Failure {
        let starts = |with: &[&str]| with.iter().any(|start| text.starts_with(start));
        if starts(CONSTRAINTS) {
            Failure::Constraint(text)
        } else if text.starts_with(STORAGE_FULL) {
            Failure::StorageFull
        } else if starts(UNAVAILABLE) {
            Failure::Unavailable(text)
        } else if starts(&["string or blob too big", "query result exceeds limit"]) {
            Failure::TooLarge(text)
        } else {
            Failure::Invalid(text)
        }
    }
}

impl From<Failure> for SqlError {
    fn from(failure: Failure) -> SqlError {
        match failure {
            Failure::Invalid(reason) => SqlError::Invalid(reason),
            Failure::TooLarge(reason) => SqlError::TooLarge(reason),
            Failure::Constraint(reason) => SqlError::Constraint(reason),
            Failure::StorageFull => SqlError::StorageFull,
            Failure::Unavailable(reason) => SqlError::Unavailable(reason),
        }
    }
}

impl From<Failure> for KvError {
    fn from(failure: Failure) -> KvError {
        match failure {
            Failure::StorageFull => KvError::StorageFull,
            // The statements are ours and no row of that table has a constraint that a caller could break.
            Failure::Invalid(reason)
            | Failure::TooLarge(reason)
            | Failure::Constraint(reason)
            | Failure::Unavailable(reason) => KvError::Unavailable(reason),
        }
    }
}

impl From<Failure> for String {
    fn from(failure: Failure) -> String {
        match failure {
            Failure::Invalid(reason)
            | Failure::TooLarge(reason)
            | Failure::Constraint(reason)
            | Failure::Unavailable(reason) => reason,
            Failure::StorageFull => STORAGE_FULL.to_owned(),
        }
    }
}

/// How often a statement waits for a lock, five seconds each time; Spin sets no other time.
const LOCK_WAITS_MAX: u32 = 4;

/// Runs a statement and waits for the lock it needs: a write for other writes, a read for a commit that reaches the disk, a
/// commit for the reads before it. What did not get its lock did nothing, and may be asked for again.
fn run(connection: &impl Connection, sql: &str, params: &[Value]) -> Result<Answer, Failure> {
    let mut waits = 1;
    loop {
        match connection.run(sql, params) {
            Err(text) if text.starts_with("database is locked") && waits < LOCK_WAITS_MAX => waits += 1,
            answer => return answer.map_err(Failure::of),
        }
    }
}

/// Runs one write; answers how many rows it touched.
fn write(connection: &impl Connection, sql: &str, params: &[Value]) -> Result<u64, Failure> {
    run(connection, sql, params)?;
    Ok(connection.touched())
}

/// Runs one statement and answers its first row.
fn first(connection: &impl Connection, sql: &str, params: &[Value]) -> Result<Option<Row>, Failure> {
    let answer = run(connection, sql, params)?;
    Ok(answer.rows.into_iter().next().map(|cells| Row(cells.into_iter())))
}

/// Runs `work` in one transaction that holds the write lock, and undoes it when `work` refuses.
fn transaction<T, E: From<Failure>>(connection: &impl Connection, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    run(connection, "BEGIN IMMEDIATE", &[])?;
    let done = work().and_then(|done| match run(connection, "COMMIT", &[]) {
        Ok(_) => Ok(done),
        // What found no room is undone.
        Err(Failure::StorageFull) => Err(Failure::StorageFull.into()),
        // Whatever else it says: the statements were fine, and whether they are kept is not known.
        Err(failure) => Err(Failure::Unavailable(failure.into()).into()),
    });
    if done.is_err() {
        // When this fails too, the end of the connection undoes the transaction.
        let _ = connection.run("ROLLBACK", &[]);
    }
    done
}

/// The cells of one of our own rows, taken one after the other.
struct Row(std::vec::IntoIter<Cell>);

impl Row {
    fn integer(&mut self) -> Result<i64, Failure> {
        match self.0.next() {
            Some(Cell::Integer(integer)) => Ok(integer),
            other => Err(unexpected(other)),
        }
    }

    fn optional_integer(&mut self) -> Result<Option<i64>, Failure> {
        match self.0.next() {
            Some(Cell::Null) => Ok(None),
            Some(Cell::Integer(integer)) => Ok(Some(integer)),
            other => Err(unexpected(other)),
        }
    }

    fn text(&mut self) -> Result<String, Failure> {
        match self.0.next() {
            Some(Cell::Text(text)) => Ok(text),
            other => Err(unexpected(other)),
        }
    }
}

fn unexpected(cell: Option<Cell>) -> Failure {
    Failure::Unavailable(format!("a row of the host's own tables holds {cell:?}; was it made by another version?"))
}

/// A parameter.
fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// A parameter that may be missing.
fn optional(integer: Option<i64>) -> Value {
    integer.map_or(Value::Null, Value::Integer)
}

#[cfg(test)]
mod tests;
