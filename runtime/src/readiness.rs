//! Whether requests can be answered: the database is there and the tables are up to date.
//!
//! The host starts with the database away, prepares it when it appears, and notices when it goes and comes back.
//! Until it has been prepared once, requests are refused at the door and no event is delivered: components would
//! meet tables that they do not know. After that an outage is the ports' to report, call by call.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use souk_store::{Store, values};
use tokio::sync::watch;

use crate::{
    app::{Host, Parts},
    commands::migrate,
};

/// How often the database is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long the fingerprint of the secrets may take to compare.
const COMPARE_TIME_MAX: Duration = Duration::from_secs(5);
/// Whose keys the host's own are. No component has such a name.
const OWNER: &str = "souk:host";
/// Under which key the fingerprint of the secrets is kept.
const SECRETS_KEY: &str = "secrets";

/// What the host knows of its database.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// It has not been prepared yet, for this reason.
    Unprepared(String),
    /// It answers.
    Ready,
    /// It does not answer at the moment, for this reason.
    Away(String),
}

/// What all of the host sees of the database's state.
#[derive(Debug)]
pub struct Readiness(watch::Sender<State>);

impl Readiness {
    /// A database that has not been prepared yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(watch::Sender::new(State::Unprepared("not looked at yet".into()))))
    }

    /// Whether it has ever been prepared.
    pub fn is_prepared(&self) -> bool {
        !matches!(*self.0.borrow(), State::Unprepared(_))
    }

    /// Why requests would be in vain, in words that anybody may read.
    pub fn unready(&self) -> Option<&'static str> {
        match *self.0.borrow() {
            State::Unprepared(_) => Some("the database is not ready yet"),
            State::Away(_) => Some("the database is away"),
            State::Ready => None,
        }
    }

    /// The same with the database's own words, which may name hosts and users.
    pub fn reason(&self) -> Option<String> {
        match &*self.0.borrow() {
            State::Unprepared(reason) => Some(format!("the database is not ready yet: {reason}")),
            State::Away(reason) => Some(format!("the database is away: {reason}")),
            State::Ready => None,
        }
    }

    /// Returns once the database has been prepared.
    pub async fn prepared(&self) {
        // The sender is our own, so this ends in no other way.
        let _ = self.0.subscribe().wait_for(|state| !matches!(state, State::Unprepared(_))).await;
    }

    /// Prepares the database if it is there. An error means that it is there and preparing it failed.
    pub async fn prepare(&self, preparation: &Preparation) -> anyhow::Result<()> {
        match self.try_to_prepare(preparation).await {
            // It may come of an outage that is over by now.
            Err(_) => self.try_to_prepare(preparation).await,
            Ok(()) => Ok(()),
        }
    }

    async fn try_to_prepare(&self, preparation: &Preparation) -> anyhow::Result<()> {
        let state = match preparation.store().ready().await {
            Ok(()) => {
                preparation.run().await?;
                State::Ready
            }
            Err(reason) => State::Unprepared(reason),
        };
        self.set(state);
        Ok(())
    }

    /// Looks at the database for as long as the process lives, and prepares it when that has not been done.
    pub async fn watch(&self, preparation: &Preparation) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            match preparation.store().ready().await {
                Err(reason) if self.is_prepared() => self.set(State::Away(reason)),
                Err(reason) => self.set(State::Unprepared(reason)),
                Ok(()) if self.is_prepared() => self.set(State::Ready),
                Ok(()) => {
                    if let Err(failed) = self.prepare(preparation).await {
                        self.set(State::Unprepared(format!("{failed:#}")));
                    }
                }
            }
        }
    }

    /// Remembers a state, and logs it when it is news.
    fn set(&self, state: State) {
        let news = self.0.send_if_modified(|old| {
            let news = *old != state;
            *old = state;
            news
        });
        if !news {
            return;
        }
        match self.reason() {
            Some(reason) => tracing::warn!(reason, "not ready; requests that need the database are refused"),
            None => tracing::info!("ready"),
        }
    }
}

/// What is done to a database before components see it. Several hosts may do it at once.
pub struct Preparation {
    /// The host.
    pub host: Host,
    /// The components.
    pub parts: Arc<Parts>,
    /// What is done to the tables.
    pub tables: Tables,
    /// What is done about the secrets of this host.
    pub secrets: Secrets,
}

/// What is done to the tables of components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tables {
    /// They are brought up to date.
    Migrated,
    /// They stay as they are.
    LeftAlone,
}

/// What is done about the secrets of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// They lie beside the database, which no other host has open.
    Beside,
    /// They must be those with which the database has been used, if it has.
    Same,
    /// They take the place of those with which the database has been used.
    Replaced,
}

impl Preparation {
    fn store(&self) -> &Store {
        &self.host.providers.store
    }

    /// Does it.
    pub async fn run(&self) -> anyhow::Result<()> {
        self.compare_secrets().await?;
        match self.tables {
            Tables::Migrated => self.migrate().await,
            Tables::LeftAlone => Ok(()),
        }
    }

    async fn migrate(&self) -> anyhow::Result<()> {
        for (component, applied) in migrate::apply(self.store(), &self.parts).await? {
            if applied > 0 {
                tracing::info!(component, applied, "migrated");
            }
        }
        Ok(())
    }

    /// Refuses a database that has been used with other secrets: half of the sessions and links that one host gives
    /// out would be void at another.
    async fn compare_secrets(&self) -> anyhow::Result<()> {
        let (store, deadline) = (self.store(), Instant::now() + COMPARE_TIME_MAX);
        let owner = OWNER.into();
        let keep = |condition| {
            let fingerprint = self.parts.fingerprint.clone();
            store.kv_set(&owner, SECRETS_KEY.into(), fingerprint, condition, None, deadline)
        };
        let kept = match self.secrets {
            Secrets::Beside => return Ok(()),
            Secrets::Same => keep(values::Condition::Absent).await,
            Secrets::Replaced => keep(values::Condition::Always).await,
        };
        match kept {
            Ok(_) => return Ok(()),
            Err(values::KvError::Conflict) => {}
            Err(error) => anyhow::bail!("the fingerprint of the secrets cannot be stored: {error:?}"),
        }
        let known = store.kv_get(OWNER, SECRETS_KEY, deadline).await;
        let known =
            known.map_err(|error| anyhow::anyhow!("the fingerprint of the secrets cannot be read: {error:?}"))?;
        anyhow::ensure!(
            known.is_some_and(|known| known.value == self.parts.fingerprint),
            "the database is used with other secrets than this host has: give it the secrets.toml of the first host's data \
             directory with --variables FILE, or start it with --replace-secrets if the others are gone"
        );
        Ok(())
    }
}
