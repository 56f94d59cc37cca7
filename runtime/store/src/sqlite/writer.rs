//! The writer: one thread that owns the only connection which writes and checkpoints.
//!
//! It takes all work that waits, runs each piece in a savepoint of one transaction, flushes once and then
//! answers everyone. A piece that refuses or fails is undone alone. Nothing is answered before the flush.
//!
//! When the disk fails to write or to flush, the process aborts: what the kernel then holds is unknown,
//! and only a restart, which reads the log back from the disk, knows again what is durable. A full
//! disk is not a failing one: the group is undone and its callers may try again.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::CachedStatement;
use rusqlite::hooks::Wal;
use tokio::sync::{Notify, oneshot};

use super::backup::Tap;
use super::metrics::WriterMetrics;
use super::session::Session;
use super::{Stop, classify, is_broken};
use crate::clock::Clock;
use crate::engine::Failure;
use crate::metrics::Metrics;

/// Work that may wait; more is refused as `unavailable`.
pub(super) const QUEUE_MAX: usize = 1024;
/// Pieces of work that share one flush.
const GROUP_MAX: usize = 256;
/// The longest that one piece of work may run.
const WORK_TIME_MAX: Duration = Duration::from_secs(2);
/// How long the writer sleeps before it looks for expired rows by itself.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Milliseconds between two sweeps of expired rows.
const SWEEP_EVERY_MS: i64 = 1_000;
/// Rows that one sweep removes at most from each table.
const SWEEP_ROWS_MAX: u32 = 500;
/// How long the id of a batch is kept, in milliseconds. Seven days are promised.
const BATCH_ID_KEPT_MS: i64 = 8 * 24 * 3_600 * 1_000;
/// Pages in the log past which it is copied into the database: 4 MiB.
const CHECKPOINT_PAGES: i32 = 1_000;
/// Pages in the log past which the writer waits for readers so that the log can start over: 128 MiB.
const LOG_PAGES_MAX: i32 = 32_000;

/// What work sees of the transaction it runs in.
pub(super) struct Tx<'a> {
    session: &'a Session,
    metrics: &'a Metrics,
    /// The instant of the group, in milliseconds since 1970.
    pub(super) now: i64,
    version: &'a Cell<i64>,
    events: &'a Cell<bool>,
}

impl<'a> Tx<'a> {
    /// A transaction that the caller has begun.
    pub(super) fn new(
        session: &'a Session,
        metrics: &'a Metrics,
        now: i64,
        version: &'a Cell<i64>,
        events: &'a Cell<bool>,
    ) -> Tx<'a> {
        Tx { session, metrics, now, version, events }
    }

    /// The connection.
    pub(super) fn session(&self) -> &'a Session {
        self.session
    }

    /// A statement of the host's own, kept prepared.
    pub(super) fn host(&self, sql: &str) -> rusqlite::Result<CachedStatement<'a>> {
        self.session.host(sql)
    }

    /// A number above all that were given out before, in this process or an earlier one.
    pub(super) fn next_version(&self) -> i64 {
        self.version.set(self.version.get() + 1);
        self.version.get()
    }

    /// Says that there are new events to deliver once the group is durable.
    pub(super) fn wake_relay(&self) {
        self.events.set(true);
    }

    /// What the store counts.
    pub(super) fn metrics(&self) -> &'a Metrics {
        self.metrics
    }
}

/// A handle of the writer. The last one dropped ends the thread, after what waits has been done.
pub(super) struct Writer {
    queue: Option<SyncSender<Box<dyn Work>>>,
    metrics: Arc<WriterMetrics>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(
        session: Session,
        clock: Clock,
        metrics: Arc<WriterMetrics>,
        outbox: Arc<Metrics>,
        wake: Arc<Notify>,
        backup: Option<Arc<Tap>>,
    ) -> anyhow::Result<Writer> {
        let (queue, work) = sync_channel(QUEUE_MAX);
        let engine = Engine::new(session, clock, Arc::clone(&metrics), outbox, wake, backup)?;
        let thread = std::thread::Builder::new().name("souk-writer".into()).spawn(move || engine.run(&work))?;
        Ok(Writer { queue: Some(queue), metrics, thread: Some(thread) })
    }

    /// Runs `work` in the next group and answers when it is durable, or at the deadline that it may have happened.
    pub(super) async fn submit<T, E, F>(&self, deadline: Option<Instant>, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Failure> + Send + 'static,
        F: FnMut(&Tx<'_>) -> Result<T, Stop<E>> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        self.send(Box::new(Task { work, outcome: None, reply: sender }))?;
        let answer = match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline.into(), answer)
                .await
                .map_err(|_| Failure::Unavailable("the deadline has passed".into()))?,
            None => answer.await,
        };
        answer.unwrap_or_else(|_| Err(stopped().into()))
    }

    fn send(&self, work: Box<dyn Work>) -> Result<(), Failure> {
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        // Counted before, since the writer may be done with it before this thread goes on.
        self.metrics.queue.inc();
        queue.try_send(work).map_err(|error| {
            self.metrics.queue.dec();
            match error {
                TrySendError::Full(_) => Failure::Unavailable("the writer's queue is full".into()),
                TrySendError::Disconnected(_) => stopped(),
            }
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has aborted the process, so there is nothing to learn here.
            let _ = thread.join();
        }
    }
}

fn stopped() -> Failure {
    Failure::Unavailable("the database is closed".into())
}

/// A piece of work as the writer sees it.
trait Work: Send {
    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;
    /// Does the work, and keeps the answer.
    fn run(&mut self, tx: &Tx<'_>) -> Ran;
    /// Answers: what was kept when the group is durable, otherwise why it is not.
    fn answer(self: Box<Self>, lost: Option<Failure>);
}

/// How a piece of work ended.
enum Ran {
    /// What it wrote stays.
    Kept,
    /// What it wrote is undone; its answer is a refusal.
    Undone,
    /// SQLite has undone the whole group.
    Lost(Failure),
}

struct Task<T, E, F> {
    work: F,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Work for Task<T, E, F>
where
    T: Send,
    E: From<Failure> + Send,
    F: FnMut(&Tx<'_>) -> Result<T, Stop<E>> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(&mut self, tx: &Tx<'_>) -> Ran {
        let (outcome, ran) = match (self.work)(tx) {
            Ok(answer) => (Ok(answer), Ran::Kept),
            Err(Stop::Refused(refusal)) => (Err(refusal), Ran::Undone),
            Err(Stop::Engine(error)) => {
                abort_if_broken(&error);
                let failure = classify(&error);
                if tx.session.connection().is_autocommit() {
                    return Ran::Lost(failure);
                }
                (Err(failure.into()), Ran::Undone)
            }
        };
        self.outcome = Some(outcome);
        ran
    }

    fn answer(self: Box<Self>, lost: Option<Failure>) {
        let outcome = match (lost, self.outcome) {
            // A refusal needs no flush to be true.
            (Some(failure), Some(Ok(_)) | None) => Err(failure.into()),
            (_, Some(outcome)) => outcome,
            (None, None) => Err(stopped().into()),
        };
        // Whoever no longer waits has had its deadline and will ask again by the same id.
        drop(self.reply.send(outcome));
    }
}

/// Ends the process when the storage under the writer cannot be trusted any more.
fn abort_if_broken(error: &rusqlite::Error) {
    if is_broken(error) {
        tracing::error!(%error, "the database cannot be written; aborting so that a restart recovers what is durable");
        eprintln!(
            "souk: the database cannot be written ({error}); aborting so that a restart recovers what is durable"
        );
        std::process::abort();
    }
}

/// The thread's own state.
struct Engine {
    session: Session,
    clock: Clock,
    metrics: Arc<WriterMetrics>,
    outbox: Arc<Metrics>,
    wake: Arc<Notify>,
    version: Cell<i64>,
    log_pages: Arc<AtomicI32>,
    swept_at: i64,
    backup: Option<Arc<Tap>>,
}

impl Engine {
    fn new(
        mut session: Session,
        clock: Clock,
        metrics: Arc<WriterMetrics>,
        outbox: Arc<Metrics>,
        wake: Arc<Notify>,
        backup: Option<Arc<Tap>>,
    ) -> anyhow::Result<Engine> {
        let version =
            session.host("SELECT value FROM souk_counters WHERE name = 'version'")?.query_row([], |row| row.get(0))?;
        let log_pages = Arc::new(AtomicI32::new(0));
        let seen = Arc::clone(&log_pages);
        session.on_commit(move |_: &mut Wal, pages| {
            seen.store(pages, Ordering::Relaxed);
            Ok(())
        })?;
        Ok(Engine {
            session,
            clock,
            metrics,
            outbox,
            wake,
            version: Cell::new(version),
            log_pages,
            swept_at: 0,
            backup,
        })
    }

    fn run(mut self, queue: &Receiver<Box<dyn Work>>) {
        let _alive = AbortOnPanic;
        loop {
            let mut group = Vec::new();
            match queue.recv_timeout(IDLE_MAX) {
                Ok(work) => group.push(work),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            group.extend(queue.try_iter().take(GROUP_MAX - group.len()));
            self.metrics.queue.sub(i64::try_from(group.len()).unwrap_or_default());
            group.retain(|work| !work.is_abandoned());
            self.commit(group);
            self.checkpoint();
        }
        if let Some(backup) = &self.backup {
            backup.close();
        }
    }

    /// Does a group and answers it. One that fails as a whole is done again piece by piece, so that
    /// whatever broke it fails alone.
    fn commit(&mut self, mut group: Vec<Box<dyn Work>>) {
        self.metrics.group_size.observe(group.len() as f64);
        match self.attempt(&mut group) {
            Ok(()) => group.into_iter().for_each(|work| work.answer(None)),
            Err(failure) if group.len() == 1 => {
                group.into_iter().for_each(|work| work.answer(Some(failure.clone())));
            }
            Err(_) => {
                for work in group {
                    let mut alone = vec![work];
                    let failure = self.attempt(&mut alone).err();
                    alone.into_iter().for_each(|work| work.answer(failure.clone()));
                }
            }
        }
    }

    /// One transaction, one flush.
    fn attempt(&mut self, group: &mut [Box<dyn Work>]) -> Result<(), Failure> {
        let events = Cell::new(false);
        let outcome = self.transaction(group, &events);
        self.session.set_deadline(None);
        if let Err(failure) = outcome {
            if !self.session.connection().is_autocommit()
                && let Err(error) = self.session.connection().execute_batch("ROLLBACK")
            {
                abort_if_broken(&error);
            }
            self.metrics.work.with_label_values(&["lost"]).inc_by(group.len() as u64);
            return Err(failure);
        }
        if events.get() {
            self.wake.notify_one();
        }
        Ok(())
    }

    fn transaction(&mut self, group: &mut [Box<dyn Work>], events: &Cell<bool>) -> Result<(), Failure> {
        let engine = |error: rusqlite::Error| {
            abort_if_broken(&error);
            classify(&error)
        };
        let run = |sql: &str| -> Result<(), Failure> {
            self.session.host(sql).and_then(|mut statement| statement.raw_execute()).map_err(engine)?;
            Ok(())
        };
        let now = self.clock.now_ms();
        let version = self.version.get();
        run("BEGIN IMMEDIATE")?;
        let tx = Tx::new(&self.session, &self.outbox, now, &self.version, events);
        for work in group.iter_mut() {
            run("SAVEPOINT piece")?;
            self.session.set_deadline(Some(Instant::now() + WORK_TIME_MAX));
            let ran = work.run(&tx);
            self.session.set_deadline(None);
            match ran {
                Ran::Kept => {
                    self.metrics.work.with_label_values(&["kept"]).inc();
                }
                Ran::Undone => {
                    self.metrics.work.with_label_values(&["undone"]).inc();
                    run("ROLLBACK TO piece")?;
                }
                Ran::Lost(failure) => return Err(failure),
            }
            run("RELEASE piece")?;
        }
        if self.version.get() != version {
            let mut keep =
                self.session.host("UPDATE souk_counters SET value = ?1 WHERE name = 'version'").map_err(engine)?;
            keep.execute([self.version.get()]).map_err(engine)?;
        }
        if now - self.swept_at >= SWEEP_EVERY_MS {
            sweep(&self.session, now).map_err(engine)?;
            self.swept_at = now;
        }
        let started = Instant::now();
        run("COMMIT")?;
        self.metrics.flush_seconds.observe(started.elapsed().as_secs_f64());
        if let Some(backup) = &self.backup {
            // Nothing before this line is in the backup: what was not flushed may yet be gone.
            backup.flushed(self.log_pages.load(Ordering::Relaxed).cast_unsigned());
        }
        Ok(())
    }

    /// Copies the log into the database when it has grown, after everyone has been answered.
    fn checkpoint(&self) {
        let pages = self.log_pages.load(Ordering::Relaxed);
        if pages < CHECKPOINT_PAGES {
            return;
        }
        match &self.backup {
            Some(backup) => backup.checkpoint(|| self.checkpoint_now(pages)),
            None => self.checkpoint_now(pages),
        }
    }

    fn checkpoint_now(&self, pages: i32) {
        // Readers end within their deadlines, so waiting for them is bounded; it is done only when the log is long.
        let mode = if pages < LOG_PAGES_MAX { "PASSIVE" } else { "TRUNCATE" };
        let done = self
            .session
            .connection()
            .query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get::<_, i64>(0));
        match done {
            Ok(_) => self.log_pages.store(0, Ordering::Relaxed),
            Err(error) => {
                abort_if_broken(&error);
                tracing::warn!(%error, "the log could not be checkpointed; it will be tried again");
            }
        }
    }
}

/// Removes some rows whose time is over.
pub(super) fn sweep(session: &Session, now: i64) -> rusqlite::Result<()> {
    session
        .host(
            "DELETE FROM souk_kv WHERE rowid IN
                 (SELECT rowid FROM souk_kv WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
        )?
        .execute((now, SWEEP_ROWS_MAX))?;
    // Ids are given in the order of commits, so the oldest come first without an index on the instant.
    session
        .host(
            "DELETE FROM souk_batches WHERE committed_at < ?1 AND seq IN
                 (SELECT seq FROM souk_batches ORDER BY seq LIMIT ?2)",
        )?
        .execute((now - BATCH_ID_KEPT_MS, SWEEP_ROWS_MAX))?;
    Ok(())
}

/// Without the writer nothing can be acknowledged, so its panic is the end of the process.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}
