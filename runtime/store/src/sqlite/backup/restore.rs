//! Makes a database of a backup: the newest state, or that of an instant.
//!
//! Whatever does not fit its checksum, or is missing, is refused, with the instant up to which the rest can be restored.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, ensure};
use rusqlite::Connection;

use super::segment::Segment;
use super::{ENDING, generations, path};

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// Up to when everything that was acknowledged is in it: an instant of UTC.
    pub until: String,
    /// How many segments were read, the snapshot among them.
    pub segments: u64,
}

/// Makes a new file of a continuous backup: as of its end, or as it was at an instant of UTC such as `2027-01-31T09:30:00Z`.
/// Blocks.
pub fn restore(dir: &Path, file: &Path, at: Option<&str>) -> anyhow::Result<Restored> {
    ensure!(!file.exists(), "{} exists; name a new file", file.display());
    let at = at.map(parse).transpose()?;
    let from = choose(dir, at)?;
    let unfinished = super::super::unfinished(file);
    let restored = fill(&from, &unfinished, at.unwrap_or(i64::MAX))
        .and_then(|restored| fs::rename(&unfinished, file).context("cannot name the file").map(|()| restored));
    if restored.is_err() {
        // What is left of a failed restore is no database; that it cannot be removed either changes nothing.
        let _ = fs::remove_file(&unfinished);
    }
    restored
}

/// The generations up to the one to restore: the last that can be restored to the instant.
fn choose(dir: &Path, at: Option<i64>) -> anyhow::Result<Vec<PathBuf>> {
    let found = generations(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut from: Vec<PathBuf> = Vec::new();
    let mut first = None;
    for (id, folder) in found {
        if at.is_some_and(|at| at < id) {
            break;
        }
        // A snapshot counts from the first segment on. One that cannot be read is refused when it is restored.
        let begins = Segment::open(&path(&folder, 1)).map_or(id, |segment| segment.header.taken_at);
        first.get_or_insert(begins);
        if at.is_none_or(|at| begins <= at) {
            from.push(folder);
        }
    }
    match (from.is_empty(), first) {
        (false, _) => Ok(from),
        (true, Some(first)) => Err(anyhow!("{} begins at {}", dir.display(), show(first)?)),
        (true, None) => Err(anyhow!("{} holds no backup, or none that is so old", dir.display())),
    }
}

/// Fills a file from the last of these generations.
fn fill(generations: &[PathBuf], to: &Path, at: i64) -> anyhow::Result<Restored> {
    let (folder, before) = generations.split_last().context("there is a generation")?;
    let last = last_number(folder)?;
    let file = File::create(to).with_context(|| format!("cannot make {}", to.display()))?;
    let mut until = None;
    let mut segments = 0;
    for number in 0..=last.max(1) {
        // The one after it may be damaged, and is not asked for.
        if until == Some(at) {
            break;
        }
        let applied = apply(folder, number, &file, at);
        let applied = applied.map_err(|why| refused(&path(folder, number), &why, number, until, before))?;
        let Some(taken_at) = applied else { break };
        until = Some(taken_at);
        segments += 1;
    }
    file.sync_all()?;
    drop(file);
    verify(to)?;
    Ok(Restored { until: show(until.context("a generation has a snapshot")?)?, segments })
}

/// Writes the pages of a segment, unless it is later than the instant; answers up to when it reaches.
fn apply(folder: &Path, number: u64, file: &File, at: i64) -> anyhow::Result<Option<i64>> {
    let segment = Segment::open(&path(folder, number))?;
    let header = segment.header;
    let is_named_so = folder.file_name().is_some_and(|name| name.to_str() == Some(&super::name(header.generation)));
    ensure!(header.number == number && is_named_so, "it is another segment's file");
    if header.taken_at > at {
        return Ok(None);
    }
    let page_size = u64::from(header.page_size);
    segment.read(|page, bytes| file.write_all_at(bytes, u64::from(page - 1) * page_size))?;
    file.set_len(u64::from(header.database_pages) * page_size)?;
    Ok(Some(header.taken_at))
}

/// The error for a segment, with what can be restored in its place.
fn refused(segment: &Path, why: &anyhow::Error, number: u64, until: Option<i64>, before: &[PathBuf]) -> anyhow::Error {
    // Before its first segment a generation has no instant that can be restored.
    let until = until.filter(|_| number > 1).or_else(|| before.iter().rev().find_map(|folder| reach(folder)));
    let rest = match until.map(show) {
        Some(Ok(until)) => format!("what is before it can be restored with --at {until}"),
        _ => "nothing before it can be restored".into(),
    };
    anyhow!("{} is damaged or missing: {why:#}; {rest}", segment.display())
}

/// Up to when a generation goes.
fn reach(folder: &Path) -> Option<i64> {
    Some(Segment::open(&path(folder, last_number(folder).ok()?)).ok()?.header.taken_at)
}

/// The number of a generation's last segment.
fn last_number(folder: &Path) -> anyhow::Result<u64> {
    let mut last = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            last = last.max(number.with_context(|| format!("{} is not ours", path.display()))?);
        }
    }
    Ok(last)
}

/// Checks the whole database, and makes it one file that needs no log beside it.
fn verify(file: &Path) -> anyhow::Result<()> {
    let connection = Connection::open(file)?;
    connection.pragma_update(None, "journal_mode", "DELETE")?;
    let verdict: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    ensure!(verdict == "ok", "what was restored is damaged: {verdict}");
    Ok(())
}

/// The milliseconds since 1970 of an instant of UTC.
fn parse(text: &str) -> anyhow::Result<i64> {
    let known = || format!("`{text}` is no instant such as 2027-01-31T09:30:00Z");
    // SQLite also reads words and days' numbers.
    ensure!(text.len() >= 16 && text.as_bytes()[4] == b'-', known());
    let sql = "SELECT CAST(round(unixepoch(?1, 'subsec') * 1000) AS INTEGER)";
    let read: Option<i64> = Connection::open_in_memory()?.query_row(sql, [text], |row| row.get(0))?;
    read.with_context(known)
}

/// An instant of UTC for people, which [`parse`] reads.
fn show(instant: i64) -> anyhow::Result<String> {
    let sql = "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', ?1 / 1000.0, 'unixepoch')";
    Ok(Connection::open_in_memory()?.query_row(sql, [instant], |row| row.get(0))?)
}
