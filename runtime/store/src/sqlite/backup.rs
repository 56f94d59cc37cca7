//! The continuous backup: a directory, on another disk, that is at most a second behind the database.
//!
//! A *generation* is a snapshot of the database's file and the pages of every commit since, a numbered segment file
//! ([`segment`]) for each half second in which there were some. The writer says what is flushed ([`tap`]), and that is
//! read from the log ([`log`]). A new generation begins with every start of the host, when the log was lost, daily, and when the
//! last one has grown long; meanwhile the last one goes on. [`restore`] makes a database of it.
//!
//! A backup that fails stops nothing: it is logged, counted, and begun again.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use prometheus::{Gauge, IntCounter, Registry};

use self::log::Pages;
use self::segment::{Draft, Header};
pub(super) use self::tap::Tap;
use crate::clock::Clock;

mod log;
pub(super) mod restore;
mod segment;
mod tap;

/// How long commits are collected. With the time to store them it stays below the second that is promised.
const STORE_EVERY: Duration = Duration::from_millis(500);
/// How long until a generation is begun again after a failure.
const BEGIN_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// How long a closing shop waits for the last commits to be stored.
const END_MAX: Duration = Duration::from_secs(10);
/// Milliseconds after which a new generation begins.
const GENERATION_MS_MAX: i64 = 24 * 3_600 * 1_000;
/// Bytes of segments past which a new generation begins, or as many as its snapshot has, if that is more: a restore reads them
/// all.
const GENERATION_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// How far back the database can be restored, in milliseconds.
const RETENTION_MS: i64 = 7 * 24 * 3_600 * 1_000;
/// Generations that are kept at most, however young they are.
const GENERATIONS_MAX: usize = 30;
/// Pages of the snapshot that are copied and flushed at once: 16 MiB.
const CHUNK_PAGES: u32 = 4_096;
/// Digits in the name of a generation, its milliseconds since 1970, and of a segment.
const DIGITS: usize = 16;
/// How the names of segments end.
const ENDING: &str = "segment";

/// What is counted.
struct BackupMetrics {
    stored_at: Gauge,
    failures: IntCounter,
}

impl BackupMetrics {
    fn new(registry: &Registry) -> prometheus::Result<BackupMetrics> {
        let metrics = BackupMetrics {
            stored_at: Gauge::new(
                "souk_backup_timestamp_seconds",
                "Up to when commits are in the backup, since 1970; time() minus this is how far it is behind",
            )?,
            failures: IntCounter::new(
                "souk_backup_failures_total",
                "Times that the backup failed and was begun again",
            )?,
        };
        registry.register(Box::new(metrics.stored_at.clone()))?;
        registry.register(Box::new(metrics.failures.clone()))?;
        Ok(metrics)
    }
}

/// The thread that stores what the writer has flushed. Dropped after the writer, it stores the rest.
pub(super) struct Backup {
    tap: Arc<Tap>,
    /// To close any handle of a file ends this process's locks on it, SQLite's too, so this one goes with the backup, when every
    /// connection is closed: <https://www.sqlite.org/howtocorrupt.html>, section 2.2.
    _database: Arc<File>,
}

impl Backup {
    /// Starts the thread for a database that is open and whose log is empty.
    pub(super) fn start(
        database: &Path,
        dir: PathBuf,
        tap: Arc<Tap>,
        clock: Clock,
        registry: &Registry,
    ) -> anyhow::Result<Backup> {
        let metrics = BackupMetrics::new(registry).context("cannot register the backup's metrics")?;
        let copier = Copier::new(database, dir, Arc::clone(&tap), clock)?;
        let file = Arc::clone(&copier.database);
        std::thread::Builder::new().name("souk-backup".into()).spawn(move || run(copier, &metrics))?;
        Ok(Backup { tap, _database: file })
    }
}

impl Drop for Backup {
    fn drop(&mut self) {
        if !self.tap.end(END_MAX) {
            tracing::error!("the last commits are not in the backup: it takes too long");
        }
    }
}

fn run(mut copier: Copier, metrics: &BackupMetrics) {
    let mut begin_at = Instant::now();
    let mut ended = false;
    while !ended {
        if Instant::now() >= begin_at
            && copier.is_due()
            && let Err(error) = copier.begin()
        {
            metrics.failures.inc();
            tracing::error!(error = %format!("{error:#}"), "the backup cannot begin a generation or remove an old one; it will be tried again");
            begin_at = Instant::now() + BEGIN_AGAIN_AFTER;
        }
        ended = copier.tap.wait(STORE_EVERY);
        match copier.store() {
            Ok(Some(stored_at)) => metrics.stored_at.set(stored_at as f64 / 1_000.0),
            Ok(None) => {}
            Err(error) => {
                metrics.failures.inc();
                tracing::error!(error = %format!("{error:#}"), "the backup is interrupted; it will be begun again");
                begin_at = Instant::now() + BEGIN_AGAIN_AFTER;
            }
        }
    }
    copier.tap.stored();
}

/// The thread's own state.
struct Copier {
    database: Arc<File>,
    log: PathBuf,
    dir: PathBuf,
    tap: Arc<Tap>,
    clock: Clock,
    lock: Option<File>,
    generation: Option<Generation>,
}

/// The generation that goes on.
struct Generation {
    dir: PathBuf,
    /// Its last segment.
    last: Header,
    snapshot_bytes: u64,
    segment_bytes: u64,
}

impl Copier {
    fn new(database: &Path, dir: PathBuf, tap: Arc<Tap>, clock: Clock) -> anyhow::Result<Copier> {
        let mut log = database.as_os_str().to_owned();
        log.push("-wal");
        let file = File::open(database).with_context(|| format!("cannot read {}", database.display()))?;
        Ok(Copier { database: Arc::new(file), log: log.into(), dir, tap, clock, lock: None, generation: None })
    }

    /// Whether it is time for a new generation.
    fn is_due(&self) -> bool {
        self.generation.as_ref().is_none_or(|generation| {
            self.clock.now_ms() - generation.last.generation >= GENERATION_MS_MAX
                || generation.segment_bytes > GENERATION_BYTES_MAX.max(generation.snapshot_bytes)
        })
    }

    /// Begins a generation, and goes on with the one before until the new one can be restored.
    fn begin(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        fs::create_dir_all(&self.dir).with_context(|| format!("cannot make {}", self.dir.display()))?;
        if self.lock.is_none() {
            self.lock = Some(super::lock(&self.dir)?);
        }
        remove_unfinished(&self.dir)?;
        let newest = generations(&self.dir)?.last().map_or(0, |(id, _)| *id);
        let id = self.clock.now_ms().max(newest + 1);
        let dir = self.dir.join(name(id));
        self.tap.hold();
        let begun = self.fill(id, &dir);
        self.tap.release();
        if begun.is_err() {
            // What is left of it has no snapshot, so nobody takes it for one; the next try removes it.
            let _ = fs::remove_dir_all(&dir);
        }
        let generation = begun.with_context(|| format!("cannot write {}", dir.display()))?;
        tracing::info!(
            generation = id,
            bytes = generation.snapshot_bytes,
            millis = started.elapsed().as_millis() as u64,
            "a generation of the backup begins"
        );
        self.generation = Some(generation);
        prune(&self.dir, self.clock.now_ms())
    }

    /// Copies the database's file, and then what the log holds beyond it.
    fn fill(&mut self, id: i64, dir: &Path) -> anyhow::Result<Generation> {
        fs::create_dir(dir)?;
        let (name, unnamed) = (path(dir, 0), unfinished(dir));
        let snapshot = self.snapshot(id, &unnamed)?;
        let snapshot_bytes = fs::metadata(&unnamed)?.len();
        self.tap.check_held()?;
        let (log, pages, now) = self.tap.whole(self.log.clone())?;
        let mut generation = Generation { dir: dir.to_owned(), last: snapshot, snapshot_bytes, segment_bytes: 0 };
        generation.append(&pages, now)?;
        // Whoever sees the snapshot may restore it.
        fs::rename(&unnamed, &name)?;
        File::open(dir)?.sync_all()?;
        File::open(&self.dir)?.sync_all()?;
        self.tap.follow(log)?;
        Ok(generation)
    }

    /// Copies the database's file, which nobody changes meanwhile.
    fn snapshot(&mut self, id: i64, to: &Path) -> anyhow::Result<Header> {
        // Section 1.3 of the file format: bytes 16 and 17 are the size of a page, 1 stands for 65536.
        let mut size = [0; 2];
        self.database.read_exact_at(&mut size, 16)?;
        let page_size = match u16::from_be_bytes(size) {
            1 => 65_536,
            size => u32::from(size),
        };
        ensure!(page_size.is_power_of_two() && page_size >= 512, "the database has no header");
        let pages = u32::try_from(self.database.metadata()?.len() / u64::from(page_size))?;
        let header = Header { generation: id, number: 0, taken_at: id, page_size, database_pages: pages, pages };
        let mut draft = Draft::create(to, &header)?;
        let mut chunk = vec![0; (CHUNK_PAGES * page_size) as usize];
        let mut stored = Instant::now();
        for first in (0..pages).step_by(CHUNK_PAGES as usize) {
            let count = CHUNK_PAGES.min(pages - first);
            let bytes = &mut chunk[..(count * page_size) as usize];
            self.database.read_exact_at(bytes, u64::from(first) * u64::from(page_size))?;
            for (number, page) in (first + 1..).zip(bytes.chunks_exact(page_size as usize)) {
                draft.page(number, page)?;
            }
            draft.flush()?;
            if stored.elapsed() >= STORE_EVERY {
                self.store()?;
                self.tap.check_held()?;
                stored = Instant::now();
            }
        }
        draft.finish()?;
        Ok(header)
    }

    /// Stores what was committed since the last time; answers up to when that is, if there is a generation.
    fn store(&mut self) -> anyhow::Result<Option<i64>> {
        let Some(generation) = &mut self.generation else { return Ok(None) };
        let stored = self.tap.take().and_then(|(pages, now)| {
            if !pages.images.is_empty() {
                generation.append(&pages, now)?;
            }
            Ok(Some(now))
        });
        if stored.is_err() {
            self.generation = None;
            self.tap.lose();
        }
        stored
    }
}

impl Generation {
    /// Adds a segment. It has its name when it is whole and flushed.
    fn append(&mut self, pages: &Pages, now: i64) -> anyhow::Result<()> {
        let header = Header {
            number: self.last.number + 1,
            // Later than the one before, also when the clock was set back.
            taken_at: now.max(self.last.taken_at + 1),
            database_pages: if pages.images.is_empty() { self.last.database_pages } else { pages.database_pages },
            pages: u32::try_from(pages.images.len())?,
            ..self.last
        };
        let (name, unnamed) = (path(&self.dir, header.number), path(&self.dir, header.number).with_extension("part"));
        let mut draft = Draft::create(&unnamed, &header)?;
        for (number, bytes) in &pages.images {
            draft.page(*number, bytes)?;
        }
        draft.finish()?;
        fs::rename(&unnamed, &name)?;
        File::open(&self.dir)?.sync_all()?;
        self.segment_bytes += fs::metadata(&name)?.len();
        self.last = header;
        Ok(())
    }
}

/// The folder of a generation.
fn name(generation: i64) -> String {
    format!("{generation:0DIGITS$}")
}

/// The file of a segment.
fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:0DIGITS$}.{ENDING}"))
}

/// The snapshot's file while its generation cannot be restored yet.
fn unfinished(dir: &Path) -> PathBuf {
    path(dir, 0).with_extension("part")
}

/// Every folder of a generation, the oldest first, those without a snapshot too.
fn folders(dir: &Path) -> io::Result<Vec<(i64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let id = name.to_str().filter(|name| name.len() == DIGITS).and_then(|name| name.parse().ok());
        found.extend(id.map(|id| (id, entry.path())));
    }
    found.sort();
    Ok(found)
}

/// The generations that can be restored, the oldest first.
fn generations(dir: &Path) -> io::Result<Vec<(i64, PathBuf)>> {
    Ok(folders(dir)?.into_iter().filter(|(_, folder)| path(folder, 0).exists()).collect())
}

/// Removes what a host that ended early has left.
fn remove_unfinished(dir: &Path) -> io::Result<()> {
    folders(dir)?
        .into_iter()
        .filter(|(_, folder)| !path(folder, 0).exists())
        .try_for_each(|(_, folder)| fs::remove_dir_all(folder))
}

/// Removes generations that no instant within the retention needs, and those that are too many.
fn prune(dir: &Path, now: i64) -> anyhow::Result<()> {
    let kept = generations(dir)?;
    for (place, pair) in kept.windows(2).enumerate() {
        // What is of the time since the next one began, the next one restores.
        if pair[1].0 < now - RETENTION_MS || kept.len() - place > GENERATIONS_MAX {
            let folder = &pair[0].1;
            // Without its snapshot it is none, should this end halfway.
            fs::remove_file(path(folder, 0))
                .and_then(|()| fs::remove_dir_all(folder))
                .with_context(|| format!("cannot remove {}", folder.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
