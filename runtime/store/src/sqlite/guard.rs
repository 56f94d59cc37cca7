//! What a component's SQL may touch: its own tables.
//!
//! The [`Scope`] answers SQLite's authorizer, which sees every table, column and function that a statement
//! really touches, whatever the text looked like. It never knows what the tables mean.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use crate::shape::{FUNCTIONS, is_one_of};

/// Tables that SQLite makes up and whose names have no underscore.
const EPONYMOUS: &[&str] = &["dbstat", "bytecode"];

/// What a connection is doing, for the authorizer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mode {
    /// The host's own statements.
    Host,
    /// A component's read; the text is the prefix of its tables.
    Read(Arc<str>),
    /// A component's write.
    Write(Arc<str>),
    /// A component's migration.
    Migrate(Arc<str>),
}

/// The mode of one connection, shared with its authorizer.
pub(super) struct Scope(Mutex<State>);

struct State {
    mode: Mode,
    refusal: Option<String>,
}

impl Scope {
    pub(super) fn new() -> Arc<Scope> {
        Arc::new(Scope(Mutex::new(State { mode: Mode::Host, refusal: None })))
    }

    /// Says on whose behalf the next statement runs. SQLite asks when it prepares one, and again when
    /// the schema changed before it runs.
    pub(super) fn enter(&self, mode: Mode) {
        let mut state = self.state();
        state.mode = mode;
        state.refusal = None;
    }

    /// Why the authorizer refused the last statement.
    pub(super) fn refusal(&self) -> Option<String> {
        self.state().refusal.clone()
    }

    /// Answers SQLite's authorizer.
    pub(super) fn judge(&self, context: AuthContext<'_>) -> Authorization {
        let mut state = self.state();
        match verdict(&state.mode, context.action) {
            Ok(()) => Authorization::Allow,
            Err(refusal) => {
                state.refusal = Some(refusal);
                Authorization::Deny
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn verdict(mode: &Mode, action: AuthAction<'_>) -> Result<(), String> {
    match mode {
        Mode::Host => Ok(()),
        Mode::Read(prefix) => may_read(prefix, action),
        Mode::Write(prefix) => match action {
            AuthAction::Insert { table_name }
            | AuthAction::Delete { table_name }
            | AuthAction::Update { table_name, .. } => own(prefix, table_name),
            other => may_read(prefix, other),
        },
        Mode::Migrate(prefix) => may_migrate(prefix, action),
    }
}

fn may_read(prefix: &str, action: AuthAction<'_>) -> Result<(), String> {
    match action {
        AuthAction::Select | AuthAction::Recursive => Ok(()),
        // An empty column is a table that is only counted. The name of a common table expression comes here
        // too, and nothing tells it from a table, but every table has an underscore.
        AuthAction::Read { table_name, column_name: "" }
            if !table_name.contains('_') && !is_one_of(EPONYMOUS, table_name) =>
        {
            Ok(())
        }
        AuthAction::Read { table_name, .. } => own(prefix, table_name),
        AuthAction::Function { function_name } if is_one_of(FUNCTIONS, function_name) => Ok(()),
        AuthAction::Function { function_name } => {
            Err(format!("the function `{function_name}` is not in the portable part of SQL"))
        }
        other => Err(format!("not allowed here: {other:?}")),
    }
}

fn may_migrate(prefix: &str, action: AuthAction<'_>) -> Result<(), String> {
    match action {
        AuthAction::CreateTable { table_name }
        | AuthAction::DropTable { table_name }
        | AuthAction::AlterTable { table_name, .. } => own(prefix, table_name),
        AuthAction::CreateIndex { index_name, table_name } | AuthAction::DropIndex { index_name, table_name } => {
            own(prefix, table_name)?;
            if index_name.starts_with("sqlite_autoindex_") { Ok(()) } else { own(prefix, index_name) }
        }
        // Every change of the schema writes SQLite's own catalog; only SQLite itself can, since
        // the connection is in defensive mode.
        AuthAction::Insert { table_name }
        | AuthAction::Delete { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Read { table_name, .. }
            if matches!(table_name, "sqlite_master" | "sqlite_schema" | "sqlite_temp_master") =>
        {
            Ok(())
        }
        // ALTER TABLE calls functions of SQLite's own to rewrite the catalog.
        AuthAction::Function { function_name }
            if function_name.starts_with("sqlite_") || matches!(function_name, "like" | "printf") =>
        {
            Ok(())
        }
        // An index is filled when it is made.
        AuthAction::Reindex { index_name } => own(prefix, index_name),
        AuthAction::Insert { table_name }
        | AuthAction::Delete { table_name }
        | AuthAction::Update { table_name, .. } => own(prefix, table_name),
        other => may_read(prefix, other),
    }
}

fn own(prefix: &str, name: &str) -> Result<(), String> {
    let is_own = name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    if is_own { Ok(()) } else { Err(format!("`{name}` does not start with `{prefix}`")) }
}
