//! The ports as traits, so that everything above them runs natively in tests.
//!
//! In a component `guest::Host` stands behind them; in tests `testing::TestPorts` does.

use crate::bindings::souk::shop::{kv, passwords, sql};
use crate::types::{Actor, Context, Instant};

/// What accompanies every use case: on whose behalf, and when. Read once, in `component.rs`.
#[derive(Clone, Debug)]
pub struct Call {
    /// On whose behalf.
    pub ctx: Context,
    /// The present, for all that this call decides.
    pub now: Instant,
}

impl Call {
    /// Who acts, as it is recorded: a user id, `guest` or `system:...`.
    pub fn actor(&self) -> String {
        match &self.ctx.actor {
            Actor::Guest => "guest".to_owned(),
            Actor::User(id) | Actor::Staff(id) => id.clone(),
            Actor::System(what) => format!("system:{what}"),
        }
    }

    /// Whether staff or Souk itself acts, and may see what belongs to anyone.
    pub fn sees_all(&self) -> bool {
        match &self.ctx.actor {
            Actor::Guest | Actor::User(_) => false,
            Actor::Staff(_) | Actor::System(_) => true,
        }
    }

    /// The same call on behalf of Souk itself: a service that asks another for what its own rules need.
    pub fn as_system(&self, what: &str) -> Context {
        Context { actor: Actor::System(what.to_owned()), ..self.ctx.clone() }
    }
}

/// Durable rows: see `wit/sql.wit`.
pub trait Sql {
    /// Runs reads in one snapshot and says whether the batch was committed.
    fn query(&self, reads: &[sql::Read], batch_id: Option<&str>) -> Result<sql::Snapshot, sql::SqlError>;
    /// Commits one batch, all or nothing, once.
    fn commit(&self, batch: &sql::Batch) -> Result<Vec<u64>, sql::SqlError>;
}

/// Small values by key: see `wit/kv.wit`.
pub trait Kv {
    /// Reads a key.
    fn get(&self, key: &str) -> Result<Option<kv::Entry>, kv::KvError>;
    /// Writes a key when the condition holds; answers its new version.
    fn set(
        &self,
        key: &str,
        value: &str,
        condition: kv::Condition,
        ttl_seconds: Option<u64>,
    ) -> Result<u64, kv::KvError>;
    /// Removes a key when the condition holds.
    fn delete(&self, key: &str, condition: kv::Condition) -> Result<(), kv::KvError>;
    /// Adds to a number.
    fn increment(&self, key: &str, by: i64, ttl_seconds: Option<u64>) -> Result<i64, kv::KvError>;
}

/// Slow hashes: see `wit/passwords.wit`.
pub trait Passwords {
    /// Hashes with a fresh salt.
    fn hash(&self, password: &str) -> Result<String, passwords::PasswordError>;
    /// Compares in constant time; an empty hash costs the same and is wrong.
    fn verify(&self, password: &str, hash: &str) -> Result<passwords::Verdict, passwords::PasswordError>;
}

/// Named values of the manifest: see `wit/config.wit`.
pub trait Config {
    /// Reads a value.
    fn get(&self, name: &str) -> Option<String>;
}
