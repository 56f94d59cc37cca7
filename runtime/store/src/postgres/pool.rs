//! Connections: how one is opened and made fit, what it keeps, and when it may be used again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{Manager, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult, Timeouts};
use tokio::task::AbortHandle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Statement};

use super::address::Address;
use super::codec::{check_columns, type_of};
use super::failure::{Stop, Trouble, classify, said};
use super::flight::{Sent, send};
use super::guard;
use super::schema;
use crate::engine::Failure;
use crate::limits::{check_params, check_statement, check_text};
use crate::shape::{Verb, shape};
use crate::values::{SqlError, Value};

/// Connections of one host. A server takes 100 unless it is told otherwise, and several hosts share it.
const CONNECTIONS_MAX: usize = 16;
/// How long opening a connection may take, and how long a caller waits for one.
const WAIT_MAX: Duration = Duration::from_secs(3);
/// Statements that a connection keeps prepared; past that it forgets all and prepares again.
const STATEMENTS_MAX: usize = 512;

/// What every session is set to. Durability may be set higher than here by the server, and not lower. The other limits
/// end what a caller no longer waits for.
const SETTINGS: &str = "
    SELECT set_config('synchronous_commit', 'on', false)
        WHERE current_setting('synchronous_commit') IN ('off', 'local');
    SET search_path = '';
    SET standard_conforming_strings = on;
    SET statement_timeout = '60s';
    SET idle_in_transaction_session_timeout = '10s';
    SET jit = off;";
/// Becomes a component until the transaction ends: its role, and its schema alone.
pub(super) const ENTER: &str = "SELECT set_config('role', $1, true), set_config('search_path', $2, true)";
/// Becomes the host again.
pub(super) const LEAVE: &str = "RESET ROLE; SET LOCAL search_path = ''";

/// Parameters of a statement of the host's own.
pub(super) type Params<'a, const N: usize> = [&'a (dyn ToSql + Sync); N];

/// Opens connections.
pub(super) struct Connector {
    address: Address,
}

/// All connections of one host.
pub(super) type Connections = Pool<Connector>;

/// Makes the pool. It connects when it is first asked.
pub(super) fn connections(address: Address) -> anyhow::Result<Connections> {
    let pool = Pool::builder(Connector { address }).max_size(CONNECTIONS_MAX).runtime(Runtime::Tokio1);
    Ok(pool.build()?)
}

/// Lends a connection, or says that none can be had.
pub(super) async fn lend(pool: &Connections, deadline: Instant) -> Result<Object<Connector>, Trouble> {
    let wait = WAIT_MAX.min(deadline.saturating_duration_since(Instant::now()));
    let timeouts = Timeouts { wait: Some(wait), create: Some(wait), recycle: None };
    pool.timeout_get(&timeouts).await.map_err(|error| match error {
        PoolError::Backend(trouble) => trouble,
        PoolError::Timeout(_) => Trouble::Away(format!("no connection to the database within {wait:?}")),
        PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
            Trouble::Away("the database is closed".into())
        }
    })
}

impl Manager for Connector {
    type Type = Connection;
    type Error = Trouble;

    async fn create(&self) -> Result<Connection, Trouble> {
        Connection::open(&self.address).await
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<Trouble> {
        match connection.in_use || connection.abandoned || connection.client.is_closed() {
            true => Err(RecycleError::message("broken or left in the middle of something")),
            false => Ok(()),
        }
    }
}

/// A connection to the database.
pub(super) struct Connection {
    /// Asks.
    pub(super) client: Client,
    /// The name of the database.
    pub(super) database: String,
    /// Set while somebody uses it, so that one left in the middle of something is not used again.
    pub(super) in_use: bool,
    /// Set when it still answers what nobody wants any more.
    pub(super) abandoned: bool,
    own: HashMap<&'static str, Statement>,
    statements: HashMap<String, Known>,
    driver: AbortHandle,
}

/// A component's statement that was judged and is kept prepared.
#[derive(Clone)]
struct Known {
    statement: Statement,
    parameters: usize,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Not left to read the rest of a result that nobody wants.
        self.driver.abort();
    }
}

impl Connection {
    /// Opens a connection, and makes the schema when it is the first of all.
    pub(super) async fn open(address: &Address) -> Result<Connection, Trouble> {
        let away = |reason: String| Trouble::Away(format!("the database cannot be reached: {reason}"));
        let opened = tokio::time::timeout(WAIT_MAX, address.connect()).await;
        let (client, connection) =
            opened.map_err(|_| away(format!("no answer within {WAIT_MAX:?}")))?.map_err(|error| away(said(&error)))?;
        let driver = tokio::spawn(async move {
            // Whoever asks next is told, too.
            if let Err(error) = connection.await {
                tracing::debug!(error = said(&error), "a connection to the database ended");
            }
        });
        let mut connection = Connection {
            client,
            database: String::new(),
            in_use: false,
            abandoned: false,
            own: HashMap::new(),
            statements: HashMap::new(),
            driver: driver.abort_handle(),
        };
        connection.client.batch_execute(SETTINGS).await.map_err(|error| away(said(&error)))?;
        connection.database = schema::ensure(&connection.client).await.map_err(away)?;
        Ok(connection)
    }

    /// A statement of the host's own, kept prepared.
    pub(super) async fn own(&mut self, sql: &'static str) -> Result<Statement, Trouble> {
        if let Some(statement) = self.own.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await.map_err(|error| classify(&error))?;
        self.own.insert(sql, statement.clone());
        Ok(statement)
    }

    /// A component's statements, judged and prepared, with the texts of their parameters checked.
    pub(super) async fn statements<'a>(
        &mut self,
        component: &str,
        verb: Verb,
        asked: impl Iterator<Item = (&'a str, &'a [Value])>,
    ) -> Result<Vec<Statement>, Stop<SqlError>> {
        if self.statements.len() > STATEMENTS_MAX {
            self.statements.clear();
        }
        let mut keys = Vec::new();
        let mut missing: Vec<New> = Vec::new();
        for (sql, params) in asked {
            for param in params {
                if let Value::Text(text) = param {
                    check_text(text).map_err(Stop::Refused)?;
                }
            }
            let types: Vec<Type> = params.iter().map(type_of).collect();
            let key = key(component, verb, sql, &types);
            match self.statements.get(&key) {
                Some(known) => check_params(known.parameters, params.len()).map_err(Stop::Refused)?,
                None if missing.iter().any(|new| new.key == key) => {}
                None => missing.push(judge(key.clone(), verb, sql, types).map_err(Stop::Refused)?),
            }
            keys.push(key);
        }
        if !missing.is_empty() {
            self.prepare(component, verb, missing).await?;
        }
        let known = keys.iter().filter_map(|key| self.statements.get(key));
        Ok(known.map(|known| known.statement.clone()).collect())
    }

    /// Prepares statements as their component, which alone finds its tables.
    async fn prepare(&mut self, component: &str, verb: Verb, missing: Vec<New>) -> Result<(), Stop<SqlError>> {
        let enter = self.own(ENTER).await?;
        let (role, schema) = (schema::role(&self.database, component), schema::name(component));
        let client = &self.client;
        let component_is: Params<'_, 2> = [&role, &schema];
        let began = send(client.batch_execute("BEGIN"));
        let entered = send(client.execute(&enter, &component_is));
        let prepared: Vec<Sent<_>> =
            missing.iter().map(|new| send(client.prepare_typed(&new.text, &new.types))).collect();
        let ended = send(client.batch_execute("ROLLBACK"));
        let answers = async {
            began.answer().await?;
            entered.answer().await.map_err(|error| no_tables(component, &error))?;
            let mut statements = Vec::new();
            for statement in prepared {
                statements.push(statement.answer().await?);
            }
            Ok::<_, Stop<SqlError>>(statements)
        };
        let statements = answers.await;
        ended.answer().await?;
        for (new, statement) in missing.into_iter().zip(statements?) {
            if verb == Verb::Read {
                check_columns(&statement).map_err(Stop::Refused)?;
            }
            self.statements.insert(new.key, Known { statement, parameters: new.parameters });
        }
        Ok(())
    }
}

/// Says why a component could not be entered.
pub(super) fn no_tables(component: &str, error: &tokio_postgres::Error) -> Trouble {
    match error.code().map(tokio_postgres::error::SqlState::code) {
        Some("22023") => Trouble::Failed(Failure::Invalid(format!("`{component}` has no tables"))),
        _ => classify(error),
    }
}

/// A statement that this connection has not met.
struct New {
    key: String,
    text: String,
    types: Vec<Type>,
    parameters: usize,
}

fn judge(key: String, verb: Verb, sql: &str, types: Vec<Type>) -> Result<New, SqlError> {
    check_statement(sql)?;
    let parameters = shape(sql, verb).map_err(SqlError::Invalid)?.len();
    check_params(parameters, types.len())?;
    let text = guard::check(sql, verb).map_err(SqlError::Invalid)?;
    let mut types = types;
    let text = match verb {
        Verb::Read => text.to_owned(),
        // The rows are counted and the guard is checked where the write happens, so that a missed one ends the
        // transaction without another round trip.
        Verb::Write => {
            types.push(Type::INT8);
            let guard = types.len();
            format!("WITH souk_write AS (\n{text}\nRETURNING 1) SELECT souk.guard(count(*), ${guard}) FROM souk_write")
        }
    };
    Ok(New { key, text, types, parameters })
}

fn key(component: &str, verb: Verb, sql: &str, types: &[Type]) -> String {
    let types: String = types
        .iter()
        .map(|kind| match *kind {
            Type::INT8 => 'i',
            Type::TEXT => 't',
            _ => 'n',
        })
        .collect();
    let verb = match verb {
        Verb::Read => 'r',
        Verb::Write => 'w',
    };
    format!("{component} {verb} {types} {sql}")
}
