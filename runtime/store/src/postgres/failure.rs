//! What Postgres' failures mean.

use tokio_postgres::Error;
use tokio_postgres::error::DbError;

use crate::engine::Failure;

/// Why work on the database ended early.
pub(super) enum Stop<E> {
    /// The work refuses, for a reason of its port. The connection is fine.
    Refused(E),
    /// Postgres or the connection to it failed.
    Engine(Trouble),
}

/// A failure of Postgres or of the connection to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Trouble {
    /// Nothing happened, and the same again fails the same way.
    Failed(Failure),
    /// Nothing happened: it met the work of others. The same again may succeed at once.
    Conflict(String),
    /// Nothing happened: no connection could be had.
    Away(String),
    /// The connection broke before the answer: it may have happened.
    Lost(String),
}

impl<E> From<Trouble> for Stop<E> {
    fn from(trouble: Trouble) -> Stop<E> {
        Stop::Engine(trouble)
    }
}

impl<E> From<Error> for Stop<E> {
    fn from(error: Error) -> Stop<E> {
        Stop::Engine(classify(&error))
    }
}

/// Sorts a failure by its SQLSTATE.
pub(super) fn classify(error: &Error) -> Trouble {
    let Some(database) = error.as_db_error() else {
        return Trouble::Lost(said(error));
    };
    let code = database.code().code();
    let reason = reason(database);
    match (code, &code[..2]) {
        ("40001" | "40P01", _) => Trouble::Conflict(reason),
        // Too many connections, a session that idled too long, or a server that starts or stops.
        ("53300" | "25P03" | "57P01" | "57P02" | "57P03" | "57P05", _) | (_, "08") => Trouble::Lost(reason),
        ("53100", _) => Trouble::Failed(Failure::StorageFull),
        ("57014", _) => Trouble::Failed(Failure::Unavailable("the deadline has passed".into())),
        (_, "23") => Trouble::Failed(Failure::Constraint(reason)),
        (_, "54") => Trouble::Failed(Failure::TooLarge(reason)),
        // A table was migrated, and the rows of a statement that this connection keeps look different now.
        ("0A000", _) if database.routine() == Some("RevalidateCachedQuery") => Trouble::Lost(reason),
        // Data, transaction mode, names and grammar: said about the text of a statement.
        (_, "0A" | "21" | "22" | "25" | "2B" | "3F" | "42" | "44") => Trouble::Failed(Failure::Invalid(reason)),
        _ => Trouble::Failed(Failure::Unavailable(reason)),
    }
}

/// Why a transaction does not even begin: the session is broken, or that of a server that only reads.
pub(super) fn unfit(error: &Error) -> Trouble {
    Trouble::Lost(said(error))
}

/// What a person needs to know of an error.
pub(super) fn said(error: &Error) -> String {
    match error.as_db_error() {
        Some(database) => reason(database),
        None => match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}

fn reason(error: &DbError) -> String {
    match error.constraint() {
        Some(constraint) if !error.message().contains(constraint) => format!("{} ({constraint})", error.message()),
        _ => error.message().to_owned(),
    }
}
