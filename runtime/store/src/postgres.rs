//! Postgres: one database for the rows, keys, batches and events of all components, shared by many hosts.
//!
//! Every component has a role and a schema of its own ([`schema`]), its statements are judged before they are sent
//! ([`guard`]), and what it reads or commits is one flight on one connection ([`flight`]). A host keeps nothing that the
//! others would have to know: what is decided between hosts is decided by the database.
//!
//! A database that is away is no reason to end: every call says so within seconds, and works again when it is back.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use deadpool::managed::Object;
use prometheus::Registry;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::engine::{Claim, Depth, Failure, Settled, Taken, Wanted};
use crate::limits::Checked;
use crate::metrics::Metrics;
use crate::values::{Condition, Entry, KvError, Read, Snapshot, SqlError};
use crate::{DeadLetter, Replay, Subscribers};
use address::Address;
use batch::{Commit, Deliveries};
use failure::{Stop, Trouble};
use kv::Key;
use metrics::PostgresMetrics;
use pool::{Connection, Connections};

mod address;
mod batch;
mod codec;
mod events;
mod failure;
mod flight;
mod guard;
mod kv;
mod lexer;
mod metrics;
mod migrate;
mod pool;
mod reader;
mod schema;
mod sweep;

/// How long work of the host's own may take.
const OWN_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a command of a person may take.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(60);
/// How long a question about readiness may take.
const READY_TIME_MAX: Duration = Duration::from_secs(2);
/// How long work is tried again while there is no connection to be had; a database that restarts is back sooner.
const AWAY_TIME_MAX: Duration = Duration::from_secs(3);
/// The pause before work is done again, doubled each time.
const PAUSE_FIRST: Duration = Duration::from_millis(10);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// Milliseconds between two sweeps of rows whose time is over.
const SWEEP_EVERY_MS: i64 = 10_000;

/// The database as one host sees it.
pub(crate) struct Postgres {
    pool: Connections,
    clock: Clock,
    metrics: Arc<Metrics>,
    counted: PostgresMetrics,
    wake: Arc<Notify>,
    swept_at: AtomicI64,
    sweeping: Arc<AtomicBool>,
}

/// Whether work may be done again when it is unknown whether it happened.
#[derive(Clone, Copy, PartialEq)]
enum Repeat {
    /// Doing it twice is doing it once.
    Harmless,
    /// It may happen once only.
    Never,
}

/// One piece of work on a connection, as often as it takes: `ask!(self, deadline, repeat, connection => work)`.
///
/// A macro, since the compiler cannot yet see that the future of an async closure which borrows its argument may move
/// between threads.
macro_rules! ask {
    ($self:ident, $deadline:expr, $repeat:expr, $connection:ident => $work:expr) => {{
        let mut attempts = Attempts::new($deadline, $repeat);
        loop {
            let answer = match $self.lend(&attempts).await {
                Ok(mut lent) => {
                    let $connection = &mut *lent;
                    let done = tokio::time::timeout_at(attempts.deadline.into(), $work).await;
                    finish(lent, done)
                }
                Err(trouble) => Err(Stop::Engine(trouble)),
            };
            match answer {
                Ok(answer) => break Ok(answer),
                Err(Stop::Refused(refusal)) => break Err(refusal),
                Err(Stop::Engine(trouble)) => {
                    if let Err(failure) = $self.again(&mut attempts, trouble).await {
                        break Err(failure.into());
                    }
                }
            }
        }
    }};
}

/// How often work was tried, and how long it may be.
struct Attempts {
    deadline: Instant,
    /// When a database that is away is given up.
    away_until: Instant,
    /// Whether a connection was lost on the way.
    lost: bool,
    repeat: Repeat,
    pause: Duration,
}

impl Attempts {
    fn new(deadline: Instant, repeat: Repeat) -> Attempts {
        let away_until = deadline.min(Instant::now() + AWAY_TIME_MAX);
        Attempts { deadline, away_until, lost: false, repeat, pause: PAUSE_FIRST }
    }

    /// When work whose connection was lost is given up. Work may have gone on for long by then, so the database is waited
    /// for anew; once, since work that breaks every connection must end.
    fn lost_until(&mut self) -> Instant {
        if !std::mem::replace(&mut self.lost, true) {
            self.away_until = self.deadline.min(Instant::now() + AWAY_TIME_MAX);
        }
        self.away_until
    }
}

/// Gives a connection back, if it was left as it was found.
fn finish<T, E>(
    mut lent: Object<pool::Connector>,
    done: Result<Result<T, Stop<E>>, tokio::time::error::Elapsed>,
) -> Result<T, Stop<E>> {
    let Ok(answer) = done else {
        return Err(Trouble::Failed(Failure::Unavailable("the deadline has passed".into())).into());
    };
    // The answer of the last request has come, so nothing is left on the way.
    lent.in_use = matches!(answer, Err(Stop::Engine(Trouble::Lost(_) | Trouble::Away(_))));
    answer
}

impl Postgres {
    /// Reads the address. The database need not be there.
    pub(crate) fn open(
        url: &str,
        clock: Clock,
        metrics: Arc<Metrics>,
        registry: &Registry,
        wake: Arc<Notify>,
    ) -> anyhow::Result<Postgres> {
        let pool = pool::connections(Address::parse(url)?)?;
        let counted = PostgresMetrics::new(registry).context("cannot register the metrics of Postgres")?;
        let (swept_at, sweeping) = (AtomicI64::new(0), Arc::new(AtomicBool::new(false)));
        Ok(Postgres { pool, clock, metrics, counted, wake, swept_at, sweeping })
    }

    /// `sql.query`.
    pub(crate) async fn query(
        &self,
        component: &str,
        reads: &[Read],
        batch_id: Option<&str>,
        deadline: Instant,
    ) -> Result<Snapshot, SqlError> {
        ask!(self, deadline, Repeat::Harmless, connection =>
            reader::query(connection, component, reads, batch_id, deadline))
    }

    /// `sql.commit`, with the subscribers of each topic as they are now. The same batch is sent again when it is unknown
    /// whether it was committed: its id tells.
    pub(crate) async fn commit(
        &self,
        component: &Arc<str>,
        batch: Checked,
        subscribers: Arc<Subscribers>,
        deadline: Instant,
    ) -> Result<Vec<u64>, SqlError> {
        let batch = match batch {
            Checked::Fits(batch) => batch,
            Checked::Unfit(id, refusal) => {
                return ask!(self, deadline, Repeat::Harmless, connection =>
                    batch::first_or(connection, component, &id, refusal.clone()));
            }
        };
        let deliveries = Deliveries::of(component, &batch, &subscribers);
        let timer = self.counted.commit_seconds.start_timer();
        let answer = ask!(self, deadline, Repeat::Harmless, connection => {
            let now = self.clock.now_ms();
            let commit = Commit { component, batch: &batch, deliveries: &deliveries, now, deadline };
            async move { batch::apply(connection, &commit).await }
        });
        timer.observe_duration();
        if answer.is_ok() {
            self.metrics.events_stored.inc_by(deliveries.heard);
            self.metrics.events_unheard.inc_by(deliveries.unheard);
            if deliveries.heard > 0 {
                self.wake.notify_one();
            }
            self.sweep();
        }
        answer
    }

    /// `kv.get`.
    pub(crate) async fn kv_get(&self, component: &str, key: &str, deadline: Instant) -> Result<Option<Entry>, KvError> {
        let at = Key { component, key, now: self.clock.now_ms() };
        ask!(self, deadline, Repeat::Harmless, connection => kv::get(connection, at))
    }

    /// `kv.set`.
    pub(crate) async fn kv_set(
        &self,
        component: &Arc<str>,
        key: String,
        value: String,
        condition: Condition,
        ttl_ms: Option<i64>,
        deadline: Instant,
    ) -> Result<u64, KvError> {
        let at = Key { component, key: &key, now: self.clock.now_ms() };
        self.sweep();
        ask!(self, deadline, Repeat::Never, connection => kv::set(connection, at, &value, condition, ttl_ms))
    }

    /// `kv.delete`.
    pub(crate) async fn kv_delete(
        &self,
        component: &Arc<str>,
        key: String,
        condition: Condition,
        deadline: Instant,
    ) -> Result<(), KvError> {
        let at = Key { component, key: &key, now: self.clock.now_ms() };
        ask!(self, deadline, Repeat::Never, connection => kv::delete(connection, at, condition))
    }

    /// `kv.increment`.
    pub(crate) async fn kv_increment(
        &self,
        component: &Arc<str>,
        key: String,
        by: i64,
        ttl_ms: Option<i64>,
        deadline: Instant,
    ) -> Result<i64, KvError> {
        let at = Key { component, key: &key, now: self.clock.now_ms() };
        ask!(self, deadline, Repeat::Never, connection => kv::increment(connection, at, by, ttl_ms))
    }

    /// Applies a component's migrations that have not been applied; answers how many that were.
    pub(crate) async fn migrate(&self, component: &str, dir: &Path) -> anyhow::Result<u32> {
        let lent = pool::lend(&self.pool, Instant::now() + OWN_TIME_MAX).await;
        let lent = lent.map_err(|trouble| anyhow::anyhow!("{}", Failure::from(trouble)))?;
        migrate::migrate(Object::take(lent), component, dir, self.clock.now_ms()).await
    }

    /// The oldest dead letters.
    pub(crate) async fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, Failure> {
        ask!(self, Instant::now() + COMMAND_TIME_MAX, Repeat::Harmless, connection =>
            events::dead_letters(connection, limit))
    }

    /// Puts dead letters back among the events to deliver; answers how many.
    pub(crate) async fn replay(&self, which: Replay) -> Result<u64, Failure> {
        let now = self.clock.now_ms();
        ask!(self, Instant::now() + COMMAND_TIME_MAX, Repeat::Never, connection =>
            events::replay(connection, which, now))
    }

    /// Whether the database answers.
    pub(crate) async fn ready(&self) -> Result<(), String> {
        let deadline = Instant::now() + READY_TIME_MAX;
        let mut lent = pool::lend(&self.pool, deadline).await.map_err(|trouble| Failure::from(trouble).to_string())?;
        lent.in_use = true;
        let answer = tokio::time::timeout_at(deadline.into(), lent.client.batch_execute("SELECT 1")).await;
        match answer {
            Ok(Ok(())) => {
                lent.in_use = false;
                Ok(())
            }
            Ok(Err(error)) => Err(failure::said(&error)),
            Err(_) => Err(format!("no answer from the database within {READY_TIME_MAX:?}")),
        }
    }

    /// Takes what is due, for this host alone.
    pub(crate) async fn take_due(&self, wanted: &Wanted<'_>) -> Result<Taken, Failure> {
        self.sweep();
        ask!(self, Instant::now() + OWN_TIME_MAX, Repeat::Never, connection => events::take_due(connection, wanted))
    }

    /// Keeps what is under way this host's own.
    pub(crate) async fn renew(&self, claims: &[Claim]) -> Result<(), Failure> {
        ask!(self, Instant::now() + OWN_TIME_MAX, Repeat::Harmless, connection => events::renew(connection, claims))
    }

    /// Stores the outcome of a delivery.
    pub(crate) async fn settle(&self, claim: Claim, outcome: Result<(), String>) -> Result<Settled, Failure> {
        let now = self.clock.now_ms();
        ask!(self, Instant::now() + OWN_TIME_MAX, Repeat::Harmless, connection =>
            events::settle(connection, &claim, &outcome, now))
    }

    /// How much waits in the outbox.
    pub(crate) async fn depth(&self) -> Result<Depth, Failure> {
        let status = self.pool.status();
        self.counted.connections.set(i64::try_from(status.size).unwrap_or(i64::MAX));
        self.counted.waiting.set(i64::try_from(status.waiting).unwrap_or(i64::MAX));
        let now = self.clock.now_ms();
        ask!(self, Instant::now() + OWN_TIME_MAX, Repeat::Harmless, connection => events::depth(connection, now))
    }

    /// How long the relay may sleep.
    pub(crate) fn look_every(&self) -> Duration {
        events::LOOK_EVERY
    }

    async fn lend(&self, attempts: &Attempts) -> Result<Object<pool::Connector>, Trouble> {
        let mut lent = pool::lend(&self.pool, attempts.deadline).await?;
        // Until it is said otherwise: whoever asked may stop waiting at any moment.
        lent.in_use = true;
        Ok(lent)
    }

    /// Waits before work is done again, or says why it is not.
    async fn again(&self, attempts: &mut Attempts, trouble: Trouble) -> Result<(), Failure> {
        let (reason, until) = match trouble {
            Trouble::Conflict(_) => ("conflict", attempts.deadline),
            Trouble::Away(_) => ("away", attempts.away_until),
            Trouble::Lost(_) if attempts.repeat == Repeat::Harmless => ("lost", attempts.lost_until()),
            Trouble::Lost(_) | Trouble::Failed(_) => return Err(trouble.into()),
        };
        if Instant::now() + attempts.pause >= until {
            return Err(trouble.into());
        }
        self.counted.repeats.with_label_values(&[reason]).inc();
        tokio::time::sleep(attempts.pause).await;
        attempts.pause = (attempts.pause * 2).min(PAUSE_MAX);
        Ok(())
    }

    /// Removes rows whose time is over, once in a while and beside what is asked.
    fn sweep(&self) {
        let now = self.clock.now_ms();
        if now - self.swept_at.load(Ordering::Relaxed) < SWEEP_EVERY_MS || self.sweeping.swap(true, Ordering::Relaxed) {
            return;
        }
        self.swept_at.store(now, Ordering::Relaxed);
        let (pool, sweeping) = (self.pool.clone(), Arc::clone(&self.sweeping));
        tokio::spawn(async move {
            if let Err(trouble) = swept(&pool, now).await {
                tracing::debug!(?trouble, "rows whose time is over could not be removed; it is tried again");
            }
            sweeping.store(false, Ordering::Relaxed);
        });
    }
}

async fn swept(pool: &Connections, now: i64) -> Result<(), Trouble> {
    let mut lent = pool::lend(pool, Instant::now() + OWN_TIME_MAX).await?;
    lent.in_use = true;
    let connection: &mut Connection = &mut lent;
    sweep::sweep(connection, now).await?;
    lent.in_use = false;
    Ok(())
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Failure {
        match trouble {
            Trouble::Failed(failure) => failure,
            Trouble::Conflict(reason) | Trouble::Away(reason) | Trouble::Lost(reason) => Failure::Unavailable(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is tried again, by how it failed, after longer than a database that is away is waited for.
    #[tokio::test]
    async fn a_lost_connection_is_replaced_however_late_it_is_lost() {
        let registry = Registry::new();
        let metrics = Arc::new(Metrics::new(&registry).expect("the registry is empty"));
        let url = "postgres://souk@127.0.0.1:1/shop?sslmode=disable";
        let store =
            Postgres::open(url, Clock::system(), metrics, &registry, Arc::default()).expect("it need not be there");
        let (away, lost) = (|| Trouble::Away("away".into()), || Trouble::Lost("lost".into()));
        let conflict = || Trouble::Conflict("conflict".into());
        for (repeat, troubles, tried_again) in [
            (Repeat::Harmless, vec![conflict(), conflict()], 2),
            (Repeat::Harmless, vec![away()], 0),
            (Repeat::Harmless, vec![lost(), lost(), away()], 3),
            (Repeat::Never, vec![conflict(), conflict()], 2),
            (Repeat::Never, vec![away()], 0),
            (Repeat::Never, vec![lost()], 0),
        ] {
            let now = Instant::now();
            let mut attempts = Attempts { away_until: now, ..Attempts::new(now + OWN_TIME_MAX, repeat) };
            let mut tries = 0;
            for trouble in troubles {
                tries += usize::from(store.again(&mut attempts, trouble).await.is_ok());
            }
            assert_eq!(tries, tried_again);
        }
        let now = Instant::now();
        let mut attempts =
            Attempts { away_until: now, lost: true, ..Attempts::new(now + OWN_TIME_MAX, Repeat::Harmless) };
        assert!(store.again(&mut attempts, lost()).await.is_err(), "it is waited for once");
    }
}
