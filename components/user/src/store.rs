//! The only SQL of this service: rows to domain and back.
//!
//! Whoever changes an account and whoever opens a session both write its row in `user_users` first, so they wait for
//! each other on every database, and the guard of the later one sees what the earlier one did. The order is always
//! `user_staffing`, `user_users`, then the rest, so no two batches wait for each other in a circle.

pub mod accounts;
pub mod addresses;
pub mod audit;
pub mod mail_tokens;
pub mod sessions;

use souk_kit::Sql;
use souk_kit::events::NewEvent;
use souk_kit::sql::{Batch, SqlError, Write};
use souk_kit::user::UserError;

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Commit {
    /// All of it is durable.
    Done,
    /// A guard was missed and nothing happened: someone else came first.
    Missed,
}

/// Commits one batch.
pub fn commit(
    ports: &impl Sql,
    id: impl Into<String>,
    writes: Vec<Write>,
    events: Vec<NewEvent>,
) -> Result<Commit, UserError> {
    match ports.commit(&Batch { id: id.into(), writes, events }) {
        Ok(_) => Ok(Commit::Done),
        Err(SqlError::GuardMissed(_)) => Ok(Commit::Missed),
        Err(error) => Err(failed(error)),
    }
}

/// A failure of the database as this service passes it on.
fn failed(error: SqlError) -> UserError {
    match error {
        SqlError::StorageFull => UserError::StorageFull,
        error => UserError::Unavailable(error.describe()),
    }
}
