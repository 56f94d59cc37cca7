//! What a continuous backup holds, what a restore refuses, and what becomes of the log meanwhile.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::restore::restore;
use super::tap::HELD_FRAMES_MAX;
use super::*;
use crate::sqlite::session::{Access, Session};
use crate::sqlite::tests::Directory;
use crate::{Database, Settings, Store};

/// 2027-01-15T08:00:00Z.
const START_MS: i64 = 1_800_000_000_000;
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// A database with one table of numbers, written and backed up step by step.
struct Desk {
    copier: Copier,
    session: Session,
    tap: Arc<Tap>,
    clock: Clock,
    frames: Arc<AtomicI32>,
    directory: Directory,
}

impl Desk {
    /// A database with the number 1 in its log, and no generation yet.
    fn new() -> Desk {
        let directory = Directory::new();
        let path = directory.0.join("souk.db");
        let mut session = Session::open(&path, Access::Write).expect("it opens");
        session.connection().execute_batch("CREATE TABLE numbers (n INTEGER PRIMARY KEY)").expect("it is made");
        let frames = Arc::new(AtomicI32::new(0));
        let seen = Arc::clone(&frames);
        let hook = move |_: &mut rusqlite::hooks::Wal, pages| {
            seen.store(pages, Ordering::Relaxed);
            Ok(())
        };
        session.on_commit(hook).expect("it can be watched");
        let clock = Clock::manual(START_MS);
        let tap = Arc::new(Tap::new(clock.clone()));
        let copier = Copier::new(&path, directory.0.join("backup"), Arc::clone(&tap), clock.clone()).expect("it opens");
        let desk = Desk { copier, session, tap, clock, frames, directory };
        desk.empty_log();
        desk.commit(1);
        desk
    }

    /// Writes a number, which is flushed, and says so.
    fn commit(&self, number: i64) {
        self.write(number);
        self.tap.flushed(self.frames.load(Ordering::Relaxed).cast_unsigned());
    }

    fn write(&self, number: i64) {
        self.session.connection().execute("INSERT INTO numbers VALUES (?1)", [number]).expect("it is written");
    }

    /// Has the log checkpointed, as the writer does, so that it starts over.
    fn checkpoint(&self) {
        self.tap.checkpoint(|| {
            let run = "PRAGMA wal_checkpoint(PASSIVE)";
            let frames = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
            let (all, done) = self.session.connection().query_row(run, [], frames).expect("it is checkpointed");
            assert_eq!(all, done, "nobody reads");
        });
    }

    fn empty_log(&self) {
        let run = "PRAGMA wal_checkpoint(TRUNCATE)";
        self.session.connection().query_row(run, [], |_| Ok(())).expect("it is checkpointed");
    }

    /// A second passes, and what was committed is stored.
    fn store(&mut self) -> anyhow::Result<Option<i64>> {
        self.clock.advance(Duration::from_secs(1));
        self.copier.store()
    }

    fn backup(&self) -> PathBuf {
        self.directory.0.join("backup")
    }

    /// The file of a segment of the last generation.
    fn segment(&self, number: u64) -> PathBuf {
        path(&generations(&self.backup()).expect("it is there").last().expect("there is one").1, number)
    }

    /// The numbers of a restored database.
    fn restored(&self, at: Option<&str>) -> anyhow::Result<Vec<i64>> {
        let file = self.directory.0.join("restored.db");
        restore(&self.backup(), &file, at)?;
        let numbers = numbers(&file);
        fs::remove_file(file)?;
        Ok(numbers)
    }

    /// Why a restore is refused.
    #[track_caller]
    fn refusal(&self, at: Option<&str>) -> String {
        let refusal = format!("{:#}", self.restored(at).expect_err("it is refused"));
        assert!(!self.directory.0.join("restored.db").exists(), "nothing is left of what was refused");
        assert!(!self.directory.0.join("restored.db.part").exists(), "nothing is left of what was refused");
        refusal
    }
}

fn numbers(file: &Path) -> Vec<i64> {
    let db = Connection::open(file).expect("it opens");
    let mut rows = db.prepare("SELECT n FROM numbers ORDER BY n").expect("the table is there");
    let numbers = rows.query_map([], |row| row.get(0)).expect("it reads");
    numbers.collect::<Result<_, _>>().expect("it reads")
}

/// A snapshot with 1, and a segment for each of 2, 3 and 4, a second apart.
fn desk_of_four() -> Desk {
    let mut desk = Desk::new();
    desk.copier.begin().expect("it begins");
    for number in 2..=4 {
        desk.commit(number);
        desk.store().expect("it is stored");
    }
    desk
}

#[test]
fn the_end_of_a_backup_and_every_instant_of_it_are_restored() {
    let desk = desk_of_four();
    assert_eq!(desk.restored(None).expect("it is whole"), [1, 2, 3, 4]);
    for (at, numbers) in [
        ("2027-01-15T08:00:00.001Z", &[1][..]),
        ("2027-01-15T08:00:00.999Z", &[1]),
        ("2027-01-15T08:00:01Z", &[1, 2]),
        ("2027-01-15T08:00:02.5Z", &[1, 2, 3]),
        ("2027-01-15 08:00:03", &[1, 2, 3, 4]),
        ("2030-01-01T00:00:00Z", &[1, 2, 3, 4]),
    ] {
        assert_eq!(desk.restored(Some(at)).expect("it is whole"), numbers, "{at}");
    }
    assert!(desk.refusal(Some("2027-01-15T08:00:00Z")).contains("begins at 2027-01-15T08:00:00.001Z"));
    assert!(desk.refusal(Some("2026-12-31T23:59:59Z")).contains("holds no backup, or none that is so old"));
    assert!(desk.refusal(Some("yesterday, at noon")).contains("is no instant"));
    let file = desk.directory.0.join("souk.db");
    let refusal = restore(&desk.backup(), &file, None).expect_err("the file is there");
    assert!(refusal.to_string().contains("exists; name a new file"), "{refusal}");
}

#[test]
fn a_damaged_segment_is_refused_and_what_is_before_it_restored() {
    let desk = desk_of_four();
    let third = desk.segment(3);
    let whole = fs::read(&third).expect("it is there");
    let damages: [(&str, &dyn Fn()); 5] = [
        ("missing", &|| fs::remove_file(&third).expect("it goes")),
        ("empty", &|| fs::write(&third, []).expect("it is written")),
        ("torn", &|| fs::write(&third, &whole[..whole.len() - 1]).expect("it is written")),
        ("longer", &|| fs::write(&third, [&whole[..], &[0]].concat()).expect("it is written")),
        ("another", &|| fs::copy(desk.segment(2), &third).map(|_| ()).expect("it is written")),
    ];
    for (damage, bring_about) in damages {
        bring_about();
        let refusal = desk.refusal(None);
        assert!(refusal.contains(&third.display().to_string()), "{damage}: {refusal}");
        let (_, before) = refusal.split_once("can be restored with --at ").expect("it says what can be");
        assert_eq!(before, "2027-01-15T08:00:01.000Z", "{damage}");
        assert_eq!(desk.restored(Some(before)).expect("that is whole"), [1, 2], "{damage}");
        fs::write(&third, &whole).expect("it is written");
    }
    assert_eq!(desk.restored(None).expect("it is whole again"), [1, 2, 3, 4]);
}

#[test]
fn every_flipped_bit_is_noticed() {
    let desk = desk_of_four();
    for number in [0, 1, 4] {
        let segment = desk.segment(number);
        let whole = fs::read(&segment).expect("it is there");
        for place in (0..whole.len()).step_by(13).chain(0..60).chain(whole.len() - 8..whole.len()) {
            let mut damaged = whole.clone();
            damaged[place] ^= 1 << (place % 8);
            fs::write(&segment, damaged).expect("it is written");
            assert!(desk.refusal(None).contains("is damaged or missing"), "bit of byte {place} of segment {number}");
        }
        fs::write(&segment, whole).expect("it is written");
    }
    assert_eq!(desk.restored(None).expect("it is whole again"), [1, 2, 3, 4]);
}

#[test]
fn a_damaged_snapshot_leaves_the_generation_before_it() {
    let mut desk = desk_of_four();
    desk.clock.advance(DAY);
    assert!(desk.copier.is_due());
    desk.copier.begin().expect("it begins");
    desk.commit(5);
    desk.store().expect("it is stored");
    assert_eq!(desk.restored(None).expect("it is whole"), [1, 2, 3, 4, 5]);
    fs::write(desk.segment(1), []).expect("it is written");
    let refusal = desk.refusal(None);
    assert!(refusal.ends_with("can be restored with --at 2027-01-15T08:00:03.000Z"), "{refusal}");
    assert_eq!(desk.restored(Some("2027-01-15T08:00:03.000Z")).expect("that is whole"), [1, 2, 3, 4]);
}

#[test]
fn nothing_is_lost_when_the_log_starts_over() {
    let mut desk = Desk::new();
    desk.copier.begin().expect("it begins");
    let mut expected = vec![1];
    for round in 1..=20 {
        for number in 0..round {
            expected.push(round * 100 + number);
            desk.commit(round * 100 + number);
        }
        desk.checkpoint();
        // The next commit is the first of a new log.
        assert_eq!(desk.frames.swap(0, Ordering::Relaxed) > 0, round > 0);
        if round % 3 == 0 {
            desk.store().expect("it is stored");
        }
        if round % 7 == 0 {
            desk.empty_log();
        }
    }
    desk.store().expect("it is stored");
    assert_eq!(desk.frames.load(Ordering::Relaxed), 0, "the log was used anew");
    assert_eq!(desk.restored(None).expect("it is whole"), expected);
}

#[test]
fn a_generation_begins_with_a_log_in_any_state() {
    let mut desk = Desk::new();
    let mut expected = vec![1];
    for number in 2..=9 {
        desk.commit(number);
        expected.push(number);
        match number % 3 {
            0 => desk.checkpoint(),
            1 => desk.empty_log(),
            _ => {}
        }
        desk.clock.advance(DAY);
        desk.copier.begin().expect("it begins");
        assert_eq!(desk.restored(None).expect("it is whole"), expected, "{number}");
    }
}

#[test]
fn a_generation_holds_what_a_reader_keeps_from_being_checkpointed() {
    let mut desk = Desk::new();
    let reader = Connection::open(desk.directory.0.join("souk.db")).expect("it opens");
    reader.execute_batch("BEGIN; SELECT * FROM numbers").expect("it reads");
    desk.commit(2);
    let run = "PRAGMA wal_checkpoint(PASSIVE)";
    desk.session.connection().query_row(run, [], |_| Ok(())).expect("it does what it can");
    desk.tap.flushed(0); // a group that wrote nothing
    desk.copier.begin().expect("it begins");
    assert_eq!(desk.restored(None).expect("it is whole"), [1, 2]);
}

#[test]
fn what_is_not_flushed_is_not_copied() {
    let mut desk = Desk::new();
    desk.copier.begin().expect("it begins");
    desk.commit(2);
    desk.write(3); // in the log, and the writer has not said that it is durable
    desk.store().expect("it is stored");
    assert_eq!(desk.restored(None).expect("it is whole"), [1, 2]);
    desk.commit(4);
    desk.store().expect("it is stored");
    assert_eq!(desk.restored(None).expect("it is whole"), [1, 2, 3, 4]);
}

#[test]
fn a_log_that_is_damaged_is_not_copied() {
    let mut desk = Desk::new();
    desk.copier.begin().expect("it begins");
    desk.commit(2);
    let log = desk.directory.0.join("souk.db-wal");
    let mut bytes = fs::read(&log).expect("it is there");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&log, bytes).expect("it is written");
    assert!(desk.store().is_err(), "a checksum of the log does not fit");
    assert_eq!(desk.restored(None).expect("what was stored is whole"), [1]);
}

#[test]
fn a_snapshot_keeps_the_log_until_that_grows_too_long() {
    let desk = Desk::new();
    let checkpoints = || {
        let mut ran = false;
        desk.tap.checkpoint(|| ran = true);
        ran
    };
    assert!(checkpoints());
    desk.tap.hold();
    assert!(!checkpoints(), "the file stays as it is");
    desk.tap.check_held().expect("it did");
    desk.tap.flushed(HELD_FRAMES_MAX);
    assert!(checkpoints(), "the shop goes first");
    assert!(desk.tap.check_held().is_err(), "the snapshot is not used");
}

#[test]
fn a_backup_whose_directory_is_gone_begins_again() {
    let mut desk = desk_of_four();
    fs::remove_dir_all(desk.backup()).expect("it goes");
    desk.commit(5);
    desk.store().expect_err("it has no place");
    assert!(desk.copier.is_due());
    desk.commit(6);
    desk.checkpoint();
    assert_eq!(desk.store().expect("nothing is stored meanwhile"), None);
    desk.copier.begin().expect("it begins again");
    desk.commit(7);
    desk.store().expect("it is stored");
    assert_eq!(desk.restored(None).expect("it is whole"), [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_snapshot_that_was_interrupted_is_removed_and_nothing_else() {
    let mut desk = desk_of_four();
    let interrupted = desk.backup().join(name(START_MS + 5));
    fs::create_dir(&interrupted).expect("it is made");
    fs::write(unfinished(&interrupted), "half").expect("it is written");
    fs::write(desk.backup().join("notes.txt"), "mine").expect("it is written");
    assert_eq!(desk.restored(None).expect("it counts for nothing"), [1, 2, 3, 4]);
    desk.clock.advance(DAY);
    desk.copier.begin().expect("it begins");
    assert!(!interrupted.exists() && desk.backup().join("notes.txt").exists());
}

#[test]
fn generations_are_kept_for_a_week_and_never_too_many() {
    let mut desk = Desk::new();
    for _ in 0..20 {
        desk.copier.begin().expect("it begins");
        assert!(!desk.copier.is_due());
        desk.clock.advance(DAY);
        assert!(desk.copier.is_due());
    }
    let kept = generations(&desk.backup()).expect("it is there");
    let week_ago = desk.clock.now_ms() - DAY.as_millis() as i64 - RETENTION_MS;
    assert_eq!(kept.len(), 9, "seven days, the one that they begin in and the present one");
    assert!(kept[0].0 <= week_ago, "a week back can be restored");
    for _ in 0..2 * GENERATIONS_MAX {
        desk.copier.begin().expect("it begins");
    }
    assert_eq!(generations(&desk.backup()).expect("it is there").len(), GENERATIONS_MAX);
    assert_eq!(desk.restored(None).expect("the last is whole"), [1]);
}

#[test]
fn two_shops_do_not_share_a_backup() {
    let desk = desk_of_four();
    let mut other = Desk::new();
    other.copier.dir = desk.backup();
    let refusal = other.copier.begin().expect_err("it is in use");
    assert!(format!("{refusal:#}").contains("in use by another souk"), "{refusal:#}");
}

#[tokio::test]
async fn a_shop_that_closes_has_stored_everything() {
    let directory = Directory::new();
    let registry = Registry::new();
    let settings = Settings {
        backup: Some(directory.0.join("backup")),
        ..Settings::new(Database::Sqlite(directory.0.join("data")))
    };
    let store = Store::open(settings, &registry).expect("it opens");
    let stored_at = || {
        let families = registry.gather();
        let family = families.iter().find(|family| family.name() == "souk_backup_timestamp_seconds");
        family.expect("it is counted").get_metric()[0].get_gauge().get_value()
    };
    let end = Instant::now() + Duration::from_secs(60);
    while stored_at() == 0.0 {
        assert!(Instant::now() < end, "a generation begins");
        tokio::task::yield_now().await;
    }
    let soon = Instant::now() + Duration::from_secs(30);
    for n in 0..50 {
        let (key, always) = (format!("k{n}"), crate::values::Condition::Always);
        store.kv_set(&"alpha".into(), key, "v".into(), always, None, soon).await.expect("it is set");
    }
    drop(store);
    let file = directory.0.join("restored.db");
    restore(&directory.0.join("backup"), &file, None).expect("it is whole");
    let db = Connection::open(&file).expect("it opens");
    let count: i64 = db.query_row("SELECT COUNT(*) FROM souk_kv", [], |row| row.get(0)).expect("it reads");
    assert_eq!(count, 50);
}
