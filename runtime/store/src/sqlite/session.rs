//! One connection: how it is opened, fenced and asked.
//!
//! A component's statement is judged when a connection first meets it, and then kept prepared. What is kept is
//! keyed by the component too, so that no component runs a statement that only another was allowed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::hooks::{Action, AuthContext, Wal};
use rusqlite::limits::Limit;
use rusqlite::types::Null;
use rusqlite::{CachedStatement, Connection, OpenFlags};

use super::Stop;
use super::guard::{Mode, Scope};
use crate::limits::{check_params, check_statement, check_text};
use crate::shape::{self, Verb};
use crate::values::{SqlError, Value};

/// Prepared statements that one connection keeps.
const STATEMENTS_MAX: usize = 256;
/// Judged statements that one connection remembers; past that it forgets all and judges again.
const PLANS_MAX: usize = 1024;
/// How long a connection waits for another process that holds the database.
const BUSY_WAIT: Duration = Duration::from_secs(5);
/// Virtual machine instructions between two looks at the deadline.
const OPERATIONS_BETWEEN_LOOKS: i32 = 1000;
/// The longest row or text that SQLite handles, in bytes: over all limits of the port.
const SQLITE_LENGTH_MAX: i32 = 32 * 1024 * 1024;

/// What a connection may do.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Access {
    /// Read and write: the writer's.
    Write,
    /// Read and write a file that another program has open too.
    Visit,
    /// Read only.
    Read,
}

/// A connection with its fences.
pub(super) struct Session {
    connection: Connection,
    scope: Arc<Scope>,
    deadline: Arc<Deadline>,
    known: RefCell<Known>,
}

/// Statements that the authorizer has allowed on this connection, by component and text.
#[derive(Default)]
struct Known {
    components: HashMap<Box<str>, Component>,
    plans: usize,
}

struct Component {
    prefix: Arc<str>,
    reads: HashMap<Box<str>, Plan>,
    writes: HashMap<Box<str>, Plan>,
}

/// What must be known to bind a statement's parameters and read its rows.
#[derive(Clone)]
struct Plan {
    /// How many parameters it has.
    parameters: usize,
    /// For each parameter as SQLite counts them its own number, where the two differ.
    order: Option<Arc<[u16]>>,
    /// Cells of a row.
    columns: usize,
}

/// When a statement is interrupted.
struct Deadline {
    base: Instant,
    after_ns: AtomicU64,
}

impl Deadline {
    fn new() -> Arc<Deadline> {
        Arc::new(Deadline { base: Instant::now(), after_ns: AtomicU64::new(u64::MAX) })
    }

    fn set(&self, deadline: Option<Instant>) {
        let after = deadline.map_or(u64::MAX, |at| {
            u64::try_from(at.saturating_duration_since(self.base).as_nanos()).unwrap_or(u64::MAX)
        });
        self.after_ns.store(after, Ordering::Relaxed);
    }

    fn has_passed(&self) -> bool {
        let after = self.after_ns.load(Ordering::Relaxed);
        after != u64::MAX && self.base.elapsed().as_nanos() > u128::from(after)
    }
}

impl Session {
    /// Opens a connection and puts up its fences.
    pub(super) fn open(path: &Path, access: Access) -> rusqlite::Result<Session> {
        let flags = match access {
            Access::Write | Access::Visit => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
            Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        };
        let mut connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY_WAIT)?;
        connection.execute_batch(match access {
            // Checkpoints happen between groups, where no one waits for an answer.
            Access::Write => {
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
                 PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384;"
            }
            Access::Visit => "PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL;",
            Access::Read => "PRAGMA cache_size = -4096; PRAGMA query_only = ON;",
        })?;
        connection.execute_batch("PRAGMA foreign_keys = ON; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;")?;
        for (setting, on) in [
            (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
            (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
            (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
            (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
            // Otherwise every new value of a parameter that the planner looked at prepares the statement anew.
            (DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true),
        ] {
            connection.set_db_config(setting, on)?;
        }
        connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, SQLITE_LENGTH_MAX)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);

        let scope = Scope::new();
        let judge = Arc::clone(&scope);
        connection.authorizer(Some(move |context: AuthContext<'_>| judge.judge(context)))?;
        let deadline = Deadline::new();
        let watch = Arc::clone(&deadline);
        connection.progress_handler(OPERATIONS_BETWEEN_LOOKS, Some(move || watch.has_passed()))?;
        Ok(Session { connection, scope, deadline, known: RefCell::default() })
    }

    /// The connection, for what the host itself does.
    pub(super) fn connection(&self) -> &Connection {
        self.scope.enter(Mode::Host);
        &self.connection
    }

    /// Calls `hook` after each commit with the number of pages in the log.
    pub(super) fn on_commit<F>(&mut self, hook: F) -> rusqlite::Result<()>
    where
        F: FnMut(&mut Wal, i32) -> rusqlite::Result<()> + Send + 'static,
    {
        self.connection.wal_hook(Some(hook))
    }

    /// Calls `hook` for every row that is written, with its table and number. Tables without numbers of rows are left out.
    pub(super) fn on_change<F>(&mut self, mut hook: F) -> rusqlite::Result<()>
    where
        F: FnMut(&str, i64) + Send + 'static,
    {
        self.connection.update_hook(Some(move |_: Action, _: &str, table: &str, row: i64| hook(table, row)))
    }

    /// Interrupts statements that run past this instant.
    pub(super) fn set_deadline(&self, deadline: Option<Instant>) {
        self.deadline.set(deadline);
    }

    /// A statement of the host's own, kept prepared.
    pub(super) fn host(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.connection().prepare_cached(sql)
    }

    /// Runs a migration's text within the fences of its component.
    pub(super) fn migrate(&self, component: &str, sql: &str) -> Result<(), String> {
        shape::check_migration(sql)?;
        self.scope.enter(Mode::Migrate(shape::prefix(component)?));
        let done = self.connection.execute_batch(sql);
        done.map_err(|error| match self.scope.refusal() {
            Some(refusal) => refusal,
            None => error.to_string(),
        })
    }

    /// A component's statement with its parameters bound, ready to run, and the number of cells in a row.
    pub(super) fn statement(
        &self,
        component: &str,
        verb: Verb,
        sql: &str,
        params: &[Value],
    ) -> Result<(CachedStatement<'_>, usize), Stop<SqlError>> {
        let (mut statement, plan) = match self.plan(component, verb, sql) {
            Some(plan) => (self.prepare(sql)?, plan),
            None => self.judge(component, verb, sql)?,
        };
        check_params(plan.parameters, params.len()).map_err(Stop::Refused)?;
        for place in 0..params.len() {
            let number = plan.order.as_ref().map_or(place, |order| usize::from(order[place]) - 1);
            let index = place + 1;
            match &params[number] {
                Value::Null => statement.raw_bind_parameter(index, Null)?,
                Value::Integer(integer) => statement.raw_bind_parameter(index, integer)?,
                Value::Text(text) => {
                    check_text(text).map_err(Stop::Refused)?;
                    statement.raw_bind_parameter(index, text.as_str())?;
                }
            }
        }
        Ok((statement, plan.columns))
    }

    /// The plan of a statement that was judged before, with the scope set for it: SQLite asks again where the
    /// schema has changed since.
    fn plan(&self, component: &str, verb: Verb, sql: &str) -> Option<Plan> {
        let known = self.known.borrow();
        let component = known.components.get(component)?;
        let (plans, mode) = match verb {
            Verb::Read => (&component.reads, Mode::Read(Arc::clone(&component.prefix))),
            Verb::Write => (&component.writes, Mode::Write(Arc::clone(&component.prefix))),
        };
        let plan = plans.get(sql)?;
        self.scope.enter(mode);
        Some(plan.clone())
    }

    /// Judges a statement that is new to this connection.
    fn judge(&self, component: &str, verb: Verb, sql: &str) -> Result<(CachedStatement<'_>, Plan), Stop<SqlError>> {
        let invalid = |reason: String| Stop::Refused(SqlError::Invalid(reason));
        check_statement(sql).map_err(Stop::Refused)?;
        let numbers = shape::shape(sql, verb).map_err(invalid)?;
        let prefix = shape::prefix(component).map_err(invalid)?;
        self.scope.enter(match verb {
            Verb::Read => Mode::Read(Arc::clone(&prefix)),
            Verb::Write => Mode::Write(Arc::clone(&prefix)),
        });
        // Not the kept statement, if there is one: it was judged for another component.
        let columns = {
            let fresh = self.connection.prepare(sql).map_err(|error| self.refused(error))?;
            let counted = (1..).map_while(|index| fresh.parameter_name(index));
            if !counted.eq(numbers.iter().map(|number| format!("${number}"))) {
                return Err(invalid("a parameter is written $1, $2, ...".into()));
            }
            fresh.column_count()
        };
        if verb == Verb::Write && columns > 0 {
            return Err(invalid("a write has no RETURNING".into()));
        }
        let in_order = numbers.iter().zip(1..).all(|(&number, place)| number == place);
        let plan = Plan { parameters: numbers.len(), order: (!in_order).then(|| numbers.into()), columns };
        self.remember(component, verb, sql, prefix, plan.clone());
        Ok((self.prepare(sql)?, plan))
    }

    fn remember(&self, component: &str, verb: Verb, sql: &str, prefix: Arc<str>, plan: Plan) {
        let mut known = self.known.borrow_mut();
        if known.plans >= PLANS_MAX {
            *known = Known::default();
        }
        known.plans += 1;
        let component = known.components.entry(component.into()).or_insert_with(|| Component {
            prefix,
            reads: HashMap::new(),
            writes: HashMap::new(),
        });
        let plans = match verb {
            Verb::Read => &mut component.reads,
            Verb::Write => &mut component.writes,
        };
        plans.insert(sql.into(), plan);
    }

    fn prepare(&self, sql: &str) -> Result<CachedStatement<'_>, Stop<SqlError>> {
        self.connection.prepare_cached(sql).map_err(|error| self.refused(error))
    }

    /// Turns the authorizer's plain "not authorized" into its reason.
    fn refused(&self, error: rusqlite::Error) -> Stop<SqlError> {
        match self.scope.refusal() {
            Some(refusal) => Stop::Refused(SqlError::Invalid(refusal)),
            None => Stop::Engine(error),
        }
    }
}
