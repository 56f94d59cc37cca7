//! Migrations: numbered SQL files of one component, each applied once.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use crate::shape;

/// The longest migration file, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// A migration that has been applied.
pub(crate) struct Applied {
    /// The component.
    pub(crate) component: String,
    /// Its place in the order.
    pub(crate) number: u32,
    /// What its text was.
    pub(crate) digest: String,
}

/// One migration.
#[derive(Debug)]
pub(crate) struct Migration {
    /// Its place in the order.
    pub(crate) number: u32,
    /// The name of the file.
    pub(crate) name: String,
    /// Its text.
    pub(crate) sql: String,
    /// The SHA-256 of the text, in hexadecimal.
    pub(crate) digest: String,
}

/// Dialects that a file's name may be marked with.
const DIALECTS: [&str; 2] = ["sqlite", "postgres"];

/// Reads the migrations for one dialect in a directory, in their order. A file is `NNNN_name.sql`, or where the
/// dialects differ `NNNN_name.sqlite.sql` and `NNNN_name.postgres.sql`.
pub(crate) fn files(dir: &Path, dialect: &str) -> anyhow::Result<Vec<Migration>> {
    let other = |stem: &str| DIALECTS.iter().any(|name| *name != dialect && stem.ends_with(&format!(".{name}")));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.strip_suffix(".sql").is_some_and(|stem| !other(stem)) {
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

/// Compares the files of a component with what has been applied of all components, and answers those that have not been applied.
pub(crate) fn pending(applied: &[Applied], component: &str, files: Vec<Migration>) -> anyhow::Result<Vec<Migration>> {
    let prefix = shape::prefix(component).map_err(anyhow::Error::msg)?;
    for Applied { component: other, .. } in applied {
        // `cart` would see the tables of `cart-extra`.
        let other_prefix = shape::prefix(other).map_err(anyhow::Error::msg)?;
        anyhow::ensure!(
            other == component || !(prefix.starts_with(&*other_prefix) || other_prefix.starts_with(&*prefix)),
            "the tables of `{component}` and `{other}` cannot be told apart; rename one of the components"
        );
    }
    let own: Vec<_> = applied.iter().filter(|applied| applied.component == component).collect();
    let latest = own.iter().map(|applied| applied.number).max().unwrap_or_default();
    let mut pending = Vec::new();
    for migration in files {
        match own.iter().find(|applied| applied.number == migration.number) {
            Some(applied) => anyhow::ensure!(
                applied.digest == migration.digest,
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
