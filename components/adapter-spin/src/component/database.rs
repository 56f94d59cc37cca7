//! Spin's SQLite. Each `open` is a new connection, and it ends with the port call that opened it.

use souk_store::values::Value;

use super::bindings::spin::sqlite::sqlite;
use crate::store::{Answer, Cell, Connection, Failure};

/// The label of the database.
const LABEL: &str = "default";

/// One connection.
pub struct Database(sqlite::Connection);

impl Database {
    /// Opens a connection.
    pub fn open() -> Result<Database, Failure> {
        sqlite::Connection::open(LABEL).map(Database).map_err(|error| Failure::Unavailable(text(error)))
    }
}

impl Connection for Database {
    fn run(&self, sql: &str, params: &[Value]) -> Result<Answer, String> {
        let params: Vec<_> = params.iter().map(param).collect();
        let result = self.0.execute(sql, &params).map_err(text)?;
        let rows = result.rows.into_iter().map(|row| row.values.into_iter().map(cell).collect());
        Ok(Answer { columns: result.columns.len(), rows: rows.collect() })
    }

    fn touched(&self) -> u64 {
        self.0.changes()
    }

    fn last_row(&self) -> i64 {
        self.0.last_insert_rowid()
    }
}

fn param(value: &Value) -> sqlite::Value {
    match value {
        Value::Null => sqlite::Value::Null,
        Value::Integer(integer) => sqlite::Value::Integer(*integer),
        Value::Text(text) => sqlite::Value::Text(text.clone()),
    }
}

fn cell(value: sqlite::Value) -> Cell {
    match value {
        sqlite::Value::Null => Cell::Null,
        sqlite::Value::Integer(integer) => Cell::Integer(integer),
        sqlite::Value::Text(text) => Cell::Text(text),
        sqlite::Value::Real(_) => Cell::Foreign("float"),
        sqlite::Value::Blob(_) => Cell::Foreign("blob"),
    }
}

/// What Spin says. Only `io` comes from SQLite itself.
fn text(error: sqlite::Error) -> String {
    match error {
        sqlite::Error::NoSuchDatabase => format!("unable to open database file: Spin knows no database `{LABEL}`"),
        sqlite::Error::AccessDenied => {
            format!("access permission denied: write sqlite_databases = [\"{LABEL}\"] to the component in spin.toml")
        }
        sqlite::Error::InvalidConnection => "unable to open database file: the connection is closed".into(),
        sqlite::Error::DatabaseFull => "database or disk is full".into(),
        sqlite::Error::Io(text) => text,
    }
}
