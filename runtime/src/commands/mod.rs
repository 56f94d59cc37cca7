//! The verbs of the command line, one file each.

pub mod audit;
pub mod backup;
pub mod compose;
pub mod dead_letters;
pub mod external;
pub mod inspect;
pub mod migrate;
pub mod operator;
pub mod restore;
pub mod seed;
pub mod up;

use std::{fmt, path::PathBuf, sync::Arc};

use clap::Args;
use souk_store::{Database, Settings, Store};

use crate::{
    app::{Host, Parts},
    engine::Engine,
    manifest::{self, Finding, Manifest},
    metrics::Metrics,
    providers::Providers,
    readiness::Readiness,
    variables::{Make, Sources, Values},
};

/// How a command ended when it did what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Good,
    /// It found something that is not well.
    Found,
}

/// Everything that is wrong with the configuration.
#[derive(Debug)]
pub struct Misconfigured(pub Vec<Finding>);

impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.0 {
            writeln!(f, "error: {finding}")?;
        }
        match self.0.len() {
            1 => f.write_str("1 error in the configuration; nothing was started"),
            many => write!(f, "{many} errors in the configuration; nothing was started"),
        }
    }
}

impl std::error::Error for Misconfigured {}

/// Where an application and its data are.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// The manifest of the application.
    #[arg(long, global = true, value_name = "FILE", default_value = "spin.toml")]
    pub manifest: PathBuf,
    /// The directory for the database, generated secrets and compiled code. Made when it is missing.
    #[arg(long, global = true, value_name = "DIR", default_value = ".souk")]
    pub data: PathBuf,
    /// Values of variables, as lines of name = "value". The environment (SPIN_VARIABLE_NAME) is stronger.
    #[arg(long, global = true, value_name = "FILE")]
    pub variables: Option<PathBuf>,
    /// A database of Postgres in place of the data directory's file: postgres://user@host/database. Several hosts may
    /// share it. Give an address with a password in the environment, where no list of processes shows it.
    #[arg(long, global = true, value_name = "ADDRESS", env = "SOUK_SQL", hide_env_values = true)]
    pub sql: Option<String>,
    /// A file of SQLite in place of the data directory's own: that of another platform with our tables, like Spin's
    /// .spin/sqlite_db.db.
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "sql")]
    pub database: Option<PathBuf>,
}

impl Place {
    /// Loads and checks everything, without touching the database. Only here is anything compiled.
    pub fn load(&self, engine: &Engine, make: Make) -> Result<Parts, Misconfigured> {
        let (manifest, mut findings) = Manifest::load(&self.manifest);
        // With a manifest that cannot be trusted no secret is made yet.
        let make = if findings.is_empty() { make } else { Make::Nothing };
        let sources = Sources::read(&manifest, self.variables.as_deref(), &self.data, make).unwrap_or_else(|found| {
            findings.extend(found);
            Sources::default()
        });
        let (values, found) = Values::resolve(&manifest, &sources);
        findings.extend(found);
        Parts::load(engine, manifest, &values, findings).map_err(|found| Misconfigured(manifest::sorted(found)))
    }

    /// Starts an engine whose compiled code is kept in the data directory.
    pub fn engine(&self) -> anyhow::Result<Engine> {
        Engine::new(self.data.join("cache"))
    }

    /// Opens the database of the application.
    pub fn open(&self, engine: Engine, parts: &Parts) -> anyhow::Result<Host> {
        self.open_with_backup(engine, parts, None)
    }

    /// Opens the database of the application, and backs it up continuously to a directory if there is one.
    pub fn open_with_backup(&self, engine: Engine, parts: &Parts, backup: Option<PathBuf>) -> anyhow::Result<Host> {
        let metrics = Arc::new(Metrics::new()?);
        let mut settings = Settings::new(self.database());
        settings.subscribers = parts.manifest.topics();
        settings.backup = backup;
        let providers = Providers::open(settings, &metrics.registry)?;
        Ok(Host { engine, providers, metrics, readiness: Readiness::new() })
    }

    /// Opens the database alone, for commands that need no component.
    pub fn store(&self) -> anyhow::Result<Arc<Store>> {
        if self.sql.is_none() && self.database.is_none() {
            let exists = self.data.is_dir();
            anyhow::ensure!(exists, "{} does not exist; name the data directory with --data DIR", self.data.display());
        }
        Store::open(Settings::new(self.database()), &prometheus::Registry::new())
    }

    fn database(&self) -> Database {
        match (&self.sql, &self.database) {
            (Some(address), _) => Database::Postgres(address.clone()),
            (None, Some(file)) => Database::SqliteFile(file.clone()),
            (None, None) => Database::Sqlite(self.data.clone()),
        }
    }
}
