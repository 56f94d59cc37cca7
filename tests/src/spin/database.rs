//! Spin's SQLite in one file: a connection per `open`, statements one at a time, failures as text.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::types::{FromSql, FromSqlResult, Value, ValueRef};
use wasmtime::component::Resource;

use super::Instance;
use super::bindings::spin::sqlite::sqlite;

/// What Spin lets a result hold, in bytes.
const RESULT_BYTES_MAX: usize = 128 << 20;

/// One connection, opened with its first statement.
#[derive(Clone)]
pub struct Database {
    file: PathBuf,
    connection: Arc<Mutex<Option<rusqlite::Connection>>>,
}

impl Database {
    fn with<T>(&self, work: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T>) -> Result<T, sqlite::Error> {
        let io = |error: rusqlite::Error| sqlite::Error::Io(error.to_string());
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match &mut *connection {
            Some(connection) => connection,
            none => none.insert(rusqlite::Connection::open(&self.file).map_err(io)?),
        };
        work(connection).map_err(io)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, sqlite::Error> + Send + 'static,
    ) -> Result<T, sqlite::Error> {
        let database = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&database)).await;
        done.unwrap_or_else(|_| Err(sqlite::Error::Io("internal runtime error".into())))
    }
}

impl sqlite::Host for Instance {}

impl sqlite::HostConnection for Instance {
    async fn open(&mut self, database: String) -> wasmtime::Result<Result<Resource<Database>, sqlite::Error>> {
        let Some(file) = self.granted.database.clone().filter(|_| database == "default") else {
            return Ok(Err(sqlite::Error::AccessDenied));
        };
        Ok(Ok(self.table.push(Database { file, connection: Arc::default() })?))
    }

    async fn execute(
        &mut self,
        connection: Resource<Database>,
        statement: String,
        parameters: Vec<sqlite::Value>,
    ) -> wasmtime::Result<Result<sqlite::QueryResult, sqlite::Error>> {
        let database = self.table.get(&connection)?.clone();
        let params: Vec<Value> = parameters.into_iter().map(param).collect();
        Ok(database.blocking(move |database| database.with(|connection| query(connection, &statement, params))).await)
    }

    async fn last_insert_rowid(&mut self, connection: Resource<Database>) -> wasmtime::Result<i64> {
        let database = self.table.get(&connection)?.clone();
        Ok(database.with(|connection| Ok(connection.last_insert_rowid()))?)
    }

    async fn changes(&mut self, connection: Resource<Database>) -> wasmtime::Result<u64> {
        let database = self.table.get(&connection)?.clone();
        Ok(database.with(|connection| Ok(connection.changes()))?)
    }

    async fn drop(&mut self, connection: Resource<Database>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

fn query(connection: &rusqlite::Connection, sql: &str, params: Vec<Value>) -> rusqlite::Result<sqlite::QueryResult> {
    let mut statement = connection.prepare_cached(sql)?;
    let columns: Vec<String> = statement.column_names().map(ToOwned::to_owned).collect();
    let mut rows = statement.query(rusqlite::params_from_iter(params))?;
    let mut result = sqlite::QueryResult { columns, rows: Vec::new() };
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let cells = (0..result.columns.len()).map(|column| Ok(row.get::<_, Cell>(column)?.0));
        let values = cells.collect::<rusqlite::Result<Vec<_>>>()?;
        bytes += values.iter().map(size).sum::<usize>();
        if bytes > RESULT_BYTES_MAX {
            let text = format!("query result exceeds limit of {RESULT_BYTES_MAX} bytes");
            return Err(rusqlite::Error::ToSqlConversionFailure(text.into()));
        }
        result.rows.push(sqlite::RowResult { values });
    }
    Ok(result)
}

fn param(value: sqlite::Value) -> Value {
    match value {
        sqlite::Value::Null => Value::Null,
        sqlite::Value::Integer(integer) => Value::Integer(integer),
        sqlite::Value::Real(real) => Value::Real(real),
        sqlite::Value::Text(text) => Value::Text(text),
        sqlite::Value::Blob(blob) => Value::Blob(blob),
    }
}

fn size(value: &sqlite::Value) -> usize {
    match value {
        sqlite::Value::Null | sqlite::Value::Integer(_) | sqlite::Value::Real(_) => 8,
        sqlite::Value::Text(text) => text.len(),
        sqlite::Value::Blob(blob) => blob.len(),
    }
}

struct Cell(sqlite::Value);

impl FromSql for Cell {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(Cell(match value {
            ValueRef::Null => sqlite::Value::Null,
            ValueRef::Integer(integer) => sqlite::Value::Integer(integer),
            ValueRef::Real(real) => sqlite::Value::Real(real),
            // Spin too panics here, in a task of its own, which becomes "internal runtime error".
            ValueRef::Text(text) => sqlite::Value::Text(String::from_utf8(text.to_vec()).expect("text is UTF-8")),
            ValueRef::Blob(blob) => sqlite::Value::Blob(blob.to_vec()),
        }))
    }
}
