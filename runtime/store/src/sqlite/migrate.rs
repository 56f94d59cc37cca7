//! How migrations are applied: each in one piece of the writer's work.

use super::Stop;
use super::session::Session;
use super::writer::Tx;
use crate::engine::Failure;
use crate::migrations::{Applied, Migration};
use crate::shape;

/// What has been applied of all components.
pub(super) fn applied(session: &Session) -> Result<Vec<Applied>, Stop<Failure>> {
    let mut statement = session.host("SELECT component, number, digest FROM souk_migrations")?;
    let rows = statement
        .query_map([], |row| Ok(Applied { component: row.get(0)?, number: row.get(1)?, digest: row.get(2)? }))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Applies one migration, all of it or nothing.
pub(super) fn apply(tx: &Tx<'_>, component: &str, migration: &Migration) -> Result<(), Stop<Failure>> {
    // An index over many rows takes its time; nothing else waits for the first answer of a new release.
    tx.session().set_deadline(None);
    let invalid = |reason: String| Stop::Refused(Failure::Invalid(reason));
    let prefix = shape::prefix(component).map_err(invalid)?;
    let before = foreign(tx, &prefix)?;
    tx.session().migrate(component, &migration.sql).map_err(invalid)?;
    // The authorizer is not told the new name in a RENAME TO.
    if foreign(tx, &prefix)? != before {
        return Err(invalid(format!("it makes a name that does not start with `{prefix}`")));
    }
    tx.host("INSERT INTO souk_migrations (component, number, name, digest, applied_at) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute((component, migration.number, &migration.name, &migration.digest, tx.now))?;
    Ok(())
}

/// The tables and indexes that are not the component's.
fn foreign(tx: &Tx<'_>, prefix: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = tx.host(
        "SELECT name FROM sqlite_schema
         WHERE substr(name, 1, length(?1)) <> ?1 AND name NOT LIKE 'sqlite_autoindex_%' ORDER BY name",
    )?;
    let names = statement.query_map([prefix], |row| row.get(0))?;
    names.collect()
}
