//! Migrations: numbered SQL files of one component, each applied once.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::reader::Readers;
use super::writer::Tx;
use super::{Failure, Stop, guard};

/// The longest migration file, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// How long the list of applied migrations may take to read.
const READ_TIME_MAX: Duration = Duration::from_secs(5);

/// One migration.
#[derive(Debug)]
pub(super) struct Migration {
    /// Its place in the order.
    number: u32,
    /// The name of the file.
    pub(super) name: String,
    sql: String,
    digest: String,
}

/// Reads the migrations for SQLite in a directory, in their order. A file is `NNNN_name.sql`, or where the
/// dialects differ `NNNN_name.sqlite.sql` and `NNNN_name.postgres.sql`.
pub(super) fn files(dir: &Path) -> anyhow::Result<Vec<Migration>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.ends_with(".sql") && !name.ends_with(".postgres.sql") {
            found.push(file(&path, name).with_context(|| path.display().to_string())?);
        }
    }
    found.sort_by_key(|migration| migration.number);
    for pair in found.windows(2) {
        anyhow::ensure!(
            pair[0].number != pair[1].number,
            "{} and {} in {} have the same number; renumber the newer one",
            pair[0].name,
            pair[1].name,
            dir.display()
        );
    }
    Ok(found)
}

fn file(path: &PathBuf, name: &str) -> anyhow::Result<Migration> {
    let number = name.split_once('_').map_or("", |(number, _)| number);
    anyhow::ensure!(number.len() == 4, "its name is not `0001_what_it_does.sql`");
    let number = number.parse().context("its name does not start with four digits")?;
    anyhow::ensure!(path.metadata()?.len() <= FILE_BYTES_MAX, "it is over {FILE_BYTES_MAX} bytes");
    let sql = std::fs::read_to_string(path)?;
    let digest = Sha256::digest(sql.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Migration { number, name: name.into(), sql, digest })
}

/// Compares the files with what has been applied and answers those that have not.
pub(super) fn pending(readers: &Readers, component: &str, files: Vec<Migration>) -> anyhow::Result<Vec<Migration>> {
    let prefix = guard::prefix(component).map_err(anyhow::Error::msg)?;
    let applied = applied(readers)?;
    for (other, ..) in &applied {
        // `cart` would see the tables of `cart-extra`.
        let other_prefix = guard::prefix(other).map_err(anyhow::Error::msg)?;
        anyhow::ensure!(
            other == component || !(prefix.starts_with(&*other_prefix) || other_prefix.starts_with(&*prefix)),
            "the tables of `{component}` and `{other}` cannot be told apart; rename one of the components"
        );
    }
    let own: Vec<_> = applied.into_iter().filter(|(name, ..)| name == component).collect();
    let latest = own.last().map_or(0, |(_, number, _)| *number);
    let mut pending = Vec::new();
    for migration in files {
        match own.iter().find(|(_, number, _)| *number == migration.number) {
            Some((.., digest)) => anyhow::ensure!(
                *digest == migration.digest,
                "{} of `{component}` has been applied and was edited since; undo the edit and write a new migration",
                migration.name
            ),
            None => {
                anyhow::ensure!(
                    migration.number > latest,
                    "{} of `{component}` comes before {latest:04}, which has been applied; give it a higher number",
                    migration.name
                );
                pending.push(migration);
            }
        }
    }
    Ok(pending)
}

/// Components, numbers and digests, in order.
fn applied(readers: &Readers) -> anyhow::Result<Vec<(String, u32, String)>> {
    readers
        .with(Instant::now() + READ_TIME_MAX, |session| {
            let mut statement =
                session.host("SELECT component, number, digest FROM souk_migrations ORDER BY component, number")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            Ok(rows.collect::<Result<Vec<_>, _>>()?)
        })
        .map_err(|failure: Failure| anyhow::anyhow!("{failure}"))
}

/// Applies one migration, all of it or nothing.
pub(super) fn apply(tx: &Tx<'_>, component: &str, migration: &Migration) -> Result<(), Stop<Failure>> {
    // An index over many rows takes its time; nothing else waits for the first answer of a new release.
    tx.session().set_deadline(None);
    let invalid = |reason: String| Stop::Refused(Failure::Invalid(reason));
    let prefix = guard::prefix(component).map_err(invalid)?;
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
