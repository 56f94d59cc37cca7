//! A database in memory for one thread that brings its own time: nothing waits, nothing is flushed.
//!
//! Statements, fences and the outbox are those of the file, so that a simulation of hosts which share one database decides
//! alone when a batch is done and what becomes of its answer. Everything since [`Memory::begin`] can be undone at once, which
//! is how thousands of simulated shops start from the same rows.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use prometheus::Registry;
use rusqlite::Connection;

use super::session::{Access, Session};
use super::writer::{Tx, sweep};
use super::{Stop, batch, classify, events, kv, make_schema, migrate, reader};
use crate::Subscribers;
use crate::engine::{Claim, Failure};
use crate::limits::{Checked, check_batch, check_kv_key, check_kv_value, check_reads, check_ttl};
use crate::metrics::Metrics;
use crate::migrations;
use crate::values::{Batch, Condition, Entry, Event, KvError, Read, Snapshot, SqlError};

/// Prepared statements that are kept: those of all components, and of whoever looks at their rows.
const STATEMENTS_MAX: usize = 1024;
/// Milliseconds between two sweeps of expired rows.
const SWEEP_EVERY_MS: i64 = 60_000;

/// An event that is due for one subscriber.
#[derive(Clone, Debug)]
pub struct Delivery {
    claim: Claim,
    /// What is delivered.
    pub event: Event,
}

impl Delivery {
    /// Who hears it.
    pub fn subscriber(&self) -> &str {
        &self.claim.queue.subscriber
    }
}

/// A database in memory.
pub struct Memory {
    session: Session,
    metrics: Arc<Metrics>,
    version: Cell<i64>,
    version_at_begin: Cell<i64>,
    swept_at: Cell<i64>,
}

impl Memory {
    /// Makes an empty one with the host's own tables.
    pub fn open() -> anyhow::Result<Memory> {
        let session = Session::open(Path::new(":memory:"), Access::Write)?;
        session.connection().set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        make_schema(session.connection())?;
        let metrics = Arc::new(Metrics::new(&Registry::new())?);
        let zero = || Cell::new(0);
        Ok(Memory { session, metrics, version: zero(), version_at_begin: zero(), swept_at: zero() })
    }

    /// Applies a component's migrations.
    pub fn migrate(&self, component: &str, dir: &Path, now: i64) -> anyhow::Result<()> {
        let applied = migrate::applied(&self.session).map_err(|stop| anyhow::anyhow!("{}", self.failure(stop)))?;
        for file in migrations::pending(&applied, component, migrations::files(dir, "sqlite")?)? {
            let done: Result<(), Failure> = self.work(now, |tx| migrate::apply(tx, component, &file));
            done.map_err(|failure| anyhow::anyhow!("{failure}"))
                .with_context(|| dir.join(&file.name).display().to_string())?;
        }
        Ok(())
    }

    /// Marks the present state as the one to go back to.
    pub fn begin(&self) -> anyhow::Result<()> {
        self.session.connection().execute_batch("BEGIN")?;
        self.version_at_begin.set(self.version.get());
        self.swept_at.set(0);
        Ok(())
    }

    /// Undoes everything since [`Memory::begin`].
    pub fn undo(&self) -> anyhow::Result<()> {
        self.session.connection().execute_batch("ROLLBACK")?;
        self.version.set(self.version_at_begin.get());
        Ok(())
    }

    /// Calls `hook` for every row that is written, with its table and number, also when that is undone later. Tables without
    /// numbers of rows are left out.
    pub fn on_change(&mut self, hook: impl FnMut(&str, i64) + Send + 'static) -> anyhow::Result<()> {
        Ok(self.session.on_change(hook)?)
    }

    /// The connection, for who looks at all rows.
    pub fn connection(&self) -> &Connection {
        self.session.connection()
    }

    /// `sql.query`.
    pub fn query(&self, component: &str, reads: &[Read], batch_id: Option<&str>) -> Result<Snapshot, SqlError> {
        check_reads(reads)?;
        reader::read_all(&self.session, component, reads, batch_id).map_err(|stop| self.refusal(stop))
    }

    /// `sql.commit`.
    pub fn commit(
        &self,
        component: &str,
        batch: Batch,
        subscribers: &Subscribers,
        now: i64,
    ) -> Result<Vec<u64>, SqlError> {
        match check_batch(batch)? {
            Checked::Fits(batch) => self.work(now, |tx| batch::apply(tx, component, &batch, subscribers)),
            Checked::Unfit(id, refusal) => {
                let known = reader::outcome(&self.session, component, &id);
                known.map_err(|error| SqlError::from(classify(&error)))?.ok_or(refusal)
            }
        }
    }

    /// `kv.get`.
    pub fn kv_get(&self, component: &str, key: &str, now: i64) -> Result<Option<Entry>, KvError> {
        check_kv_key(key)?;
        kv::get(&self.session, component, key, now).map_err(|stop| self.refusal(stop))
    }

    /// `kv.set`.
    pub fn kv_set(
        &self,
        component: &str,
        key: &str,
        value: &str,
        condition: Condition,
        ttl_seconds: Option<u64>,
        now: i64,
    ) -> Result<u64, KvError> {
        check_kv_key(key)?;
        check_kv_value(value)?;
        let ttl_ms = check_ttl(ttl_seconds)?;
        self.work(now, |tx| kv::set(tx, component, key, value, condition, ttl_ms))
    }

    /// `kv.delete`.
    pub fn kv_delete(&self, component: &str, key: &str, condition: Condition, now: i64) -> Result<(), KvError> {
        check_kv_key(key)?;
        self.work(now, |tx| kv::delete(tx, component, key, condition))
    }

    /// `kv.increment`.
    pub fn kv_increment(
        &self,
        component: &str,
        key: &str,
        by: i64,
        ttl_seconds: Option<u64>,
        now: i64,
    ) -> Result<i64, KvError> {
        check_kv_key(key)?;
        let ttl_ms = check_ttl(ttl_seconds)?;
        self.work(now, |tx| kv::increment(tx, component, key, by, ttl_ms))
    }

    /// What is due for a subscriber, the longest due first; of each key only what is first in its queue.
    pub fn due(&self, subscriber: &str, now: i64, limit: usize) -> Result<Vec<Delivery>, SqlError> {
        loop {
            let due = events::due(&self.session, subscriber, now, limit).map_err(|stop| self.failure(stop))?;
            let (blocked, free): (Vec<_>, Vec<_>) = due.into_iter().partition(|candidate| candidate.blocked);
            if blocked.is_empty() {
                let delivery = |free: events::Candidate| Delivery { claim: free.due.claim, event: free.due.event };
                return Ok(free.into_iter().map(delivery).collect());
            }
            let park = |tx: &Tx<'_>| blocked.iter().try_for_each(|candidate| events::park(tx, &candidate.due.claim));
            self.work::<_, Failure>(now, park)?;
        }
    }

    /// When the next delivery to a subscriber that is not due yet will be.
    pub fn next_due(&self, subscriber: &str, now: i64) -> Result<Option<i64>, SqlError> {
        Ok(events::next_due(&self.session, subscriber, now).map_err(|stop| self.failure(stop))?)
    }

    /// Stores the outcome of a delivery.
    pub fn settle(&self, delivery: &Delivery, outcome: &Result<(), String>, now: i64) -> Result<(), SqlError> {
        self.work::<_, Failure>(now, |tx| events::settle(tx, &delivery.claim, outcome))?;
        Ok(())
    }

    /// Runs one piece of work, all of it or nothing.
    fn work<T, E: From<Failure>>(&self, now: i64, work: impl FnOnce(&Tx<'_>) -> Result<T, Stop<E>>) -> Result<T, E> {
        let run = |sql: &str| self.session.host(sql).and_then(|mut statement| statement.raw_execute());
        let engine = |error: rusqlite::Error| E::from(classify(&error));
        run("SAVEPOINT piece").map_err(engine)?;
        let events = Cell::new(false);
        let done = work(&Tx::new(&self.session, &self.metrics, now, &self.version, &events));
        if done.is_err() {
            run("ROLLBACK TO piece").map_err(engine)?;
        } else if now - self.swept_at.get() >= SWEEP_EVERY_MS {
            sweep(&self.session, now).map_err(engine)?;
            self.swept_at.set(now);
        }
        run("RELEASE piece").map_err(engine)?;
        done.map_err(|stop| self.refusal(stop))
    }

    fn refusal<E: From<Failure>>(&self, stop: Stop<E>) -> E {
        match stop {
            Stop::Refused(refusal) => refusal,
            Stop::Engine(error) => E::from(classify(&error)),
        }
    }

    fn failure(&self, stop: Stop<Failure>) -> Failure {
        self.refusal(stop)
    }
}
