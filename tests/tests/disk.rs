//! The own host with SQLite on a disk that loses its power, fills up or fails. What was acknowledged stays, whatever happens to
//! the disk; what was not is finished or undone.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::{Connection, config::DbConfig};
use serde_json::json;
use souk_tests::{
    checker::{Books, settle},
    client::{Answer, Client},
    disk::{Disk, Fault},
    shop::Shop,
    shoppers::{Checkout, Tally, dice_of, fill, number_of, survive},
    wait::eventually,
};

/// Names how often the power is cut, when not as often as below.
const CUTS_VARIABLE: &str = "SOUK_POWER_CUTS";
/// How often the power is cut under load.
const CUTS: usize = 3;
/// Names how many calls lie between two that fail, when not as many as below; 1 lets each fail once.
const STRIDE_VARIABLE: &str = "SOUK_DISK_STRIDE";
/// Calls between two that fail.
const STRIDE: usize = 300;
/// Writes that go with one flush, about: flushes are walked through in smaller steps.
const WRITES_OF_A_FLUSH: u64 = 12;
/// Names how many disks fail at once, when not as many as below.
const DISKS_VARIABLE: &str = "SOUK_DISKS";
/// Disks that fail at once: most of a run is waiting for a timer.
const DISKS: usize = 4;
/// Rows that a writer acknowledges before the power is cut.
const ROWS: i64 = 50;
/// Power cuts that a writer is tried with.
const WRITER_CUTS: u64 = 20;
/// What is bought on a disk that fails: a card that is good, one that is declined, and one whose provider does not answer.
const PURCHASES: [(&str, &str); 3] =
    [("tok_success", "confirmed"), ("tok_declined", "canceled"), ("tok_timeout_after", "confirmed")];
/// How long until a shop takes orders again after its disk has room, or after a restart.
const RECOVERY_MAX: Duration = Duration::from_secs(120);
/// How long a shop may take to settle: the timer of a checkout comes after half a minute.
const SETTLE_MAX: Duration = Duration::from_secs(240);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn power_cuts_lose_nothing_that_was_acknowledged() {
    let mut dice = dice_of("power cuts");
    let mut disk = Disk::empty();
    let mut shop = Shop::start_in(&disk.path());
    let rounds = number_of(CUTS_VARIABLE, CUTS);
    survive(&mut shop, &mut dice, (rounds, "power cuts"), |shop, _, dice| {
        shop.kill();
        disk.cut_power(dice.roll());
        assert_eq!(Books::of(shop).findings(), [], "the books add up at any moment");
        let begin = Instant::now();
        shop.launch();
        begin.elapsed()
    })
    .await;
}

/// Acknowledges rows and loses the power; answers how many are left.
fn rows_left(disk: &mut Disk, synchronous: &str, seed: u64) -> i64 {
    let file = disk.path().join("rows.db");
    disk.reset();
    let db = Connection::open(&file).expect("the disk takes a file");
    db.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE rows (n INTEGER); PRAGMA synchronous = {synchronous}"
    ))
    .expect("the disk takes a table");
    std::fs::File::open(disk.path()).and_then(|folder| folder.sync_all()).expect("a folder can be flushed");
    for n in 0..ROWS {
        db.execute("INSERT INTO rows VALUES (?1)", [n]).expect("the disk takes a row");
    }
    // It is cut off, so it copies nothing into place when it goes.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).expect("it is a setting");
    drop(db);
    disk.cut_power(seed);
    let db = Connection::open(&file).expect("the file is there");
    db.query_row("SELECT COUNT(*) FROM rows", [], |row| row.get(0)).expect("the table is there")
}

#[test]
fn the_disk_catches_a_writer_that_acknowledges_before_it_flushes() {
    let mut disk = Disk::empty();
    let full = (0..WRITER_CUTS).map(|seed| rows_left(&mut disk, "FULL", seed));
    assert!(full.into_iter().all(|left| left == ROWS), "who flushes first loses nothing");
    let normal: Vec<i64> = (0..WRITER_CUTS).map(|seed| rows_left(&mut disk, "NORMAL", seed)).collect();
    println!("synchronous=NORMAL: of {ROWS} acknowledged rows {normal:?} were left after a power cut");
    assert!(normal.iter().all(|left| *left < ROWS), "who does not is caught: {normal:?}");
}

/// What became of one run on a disk that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// No call met the fault.
    Clean,
    /// The host went on.
    WentOn,
    /// The host ended itself at once.
    Ended,
}

/// A shop with something to sell, kept on a disk; answers the variant.
async fn prepare(disk: &mut Disk) -> String {
    let mut shop = Shop::start_in(&disk.path());
    let variant = Client::staff(&shop).await.stocked_variant("durable", 1_000).await;
    settle(&shop, SETTLE_MAX).await;
    shop.kill();
    disk.keep();
    variant
}

/// A few checkouts and a stop while the `nth` call fails, and then the same shop on what is durable: nothing is lost.
async fn one_run(disk: &mut Disk, variant: &str, fault: Fault, nth: u64) -> (End, Tally) {
    disk.reset();
    let mut shop = Shop::start_in(&disk.path());
    disk.fail(fault, nth);
    let client = Client::guest(&shop);
    let mut acknowledged: Vec<(Checkout, Answer)> = Vec::new();
    let mut unanswered: Vec<Checkout> = Vec::new();
    for (place, token) in PURCHASES.into_iter().enumerate() {
        if let Some(checkout) = fill(&client, variant, format!("disk-{place}"), token).await {
            match checkout.send(&client).await {
                Some(answer) => acknowledged.push((checkout, answer)),
                None => unanswered.push(checkout),
            }
        }
    }
    let mut met = false;
    if fault == Fault::Full {
        client.get("/api/v1/store/products").await.expect(200);
        if disk.calls().writes >= nth {
            let refused = client.post("/api/v1/store/carts", &json!({"currency": "USD"})).await;
            assert_eq!((refused.status, refused.problem().as_str()), (507, "storage_full"), "{nth}");
            assert!(refused.header("retry-after").is_some(), "{nth}");
        }
        met = disk.heal();
        eventually(RECOVERY_MAX, "a shop that has room again takes orders", async || {
            fill(&client, variant, "room".into(), PURCHASES[0]).await
        })
        .await;
    }
    let (well, log) = shop.stop();
    met |= disk.heal();
    assert!(well || (met && fault != Fault::Full), "{fault:?} {nth}:\n{log}");
    assert!(well || log.contains("aborting so that a restart recovers what is durable"), "{fault:?} {nth}:\n{log}");

    disk.cut_power(nth);
    shop.launch();
    let client = Client::guest(&shop);
    for (checkout, first) in &acknowledged {
        let repeated = resend(&client, checkout).await;
        assert_eq!((repeated.status, &repeated.text), (first.status, &first.text), "{fault:?} {nth}");
    }
    for checkout in unanswered {
        let answer = resend(&client, &checkout).await;
        acknowledged.push((checkout, answer));
    }
    settle(&shop, SETTLE_MAX).await;
    shop.kill();
    let books = Books::of(&shop);
    assert_eq!(books.findings_at_rest(), [], "{fault:?} {nth}");
    let tally = Tally::of(&books, &acknowledged, &[]);
    assert!(tally.is_sound(), "{fault:?} {nth}: {tally}");
    let end = match (met, well) {
        (false, _) => End::Clean,
        (true, true) => End::WentOn,
        (true, false) => End::Ended,
    };
    (end, tally)
}

async fn resend(client: &Client, checkout: &Checkout) -> Answer {
    eventually(RECOVERY_MAX, "a checkout that is sent again is answered", async || checkout.send(client).await).await
}

/// Fails one call after the other until the shop's work is done without meeting one; prints what became of each.
fn walk(fault: Fault, stride: u64) {
    let next = AtomicU64::new(1);
    let runs: Mutex<(BTreeMap<u64, End>, Tally)> = Mutex::default();
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..number_of(DISKS_VARIABLE, DISKS) {
            scope.spawn(|| {
                let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
                let mut disk = Disk::empty();
                let variant = runtime.block_on(prepare(&mut disk));
                let is_over = || runs.lock().expect("no run panics in here").0.values().any(|end| *end == End::Clean);
                while !is_over() {
                    let nth = next.fetch_add(stride, Ordering::Relaxed);
                    let (end, tally) = runtime.block_on(one_run(&mut disk, &variant, fault, nth));
                    let mut runs = runs.lock().expect("no run panics in here");
                    runs.0.insert(nth, end);
                    runs.1 += tally;
                }
            });
        }
    });
    let (ends, tally) = runs.into_inner().expect("no run panics in here");
    let count = |wanted: End| ends.values().filter(|end| **end == wanted).count();
    let clean = ends.iter().find(|(_, end)| **end == End::Clean).map(|(nth, _)| *nth);
    let (went_on, ended) = (count(End::WentOn), count(End::Ended));
    println!(
        "tally: disk, {fault:?}: every {stride}. call failed once, {} runs until clean at call {}: {went_on} went on, {ended} \
         ended and were started again; {tally}; {:.0?}",
        ends.len(),
        clean.unwrap_or_default(),
        begin.elapsed(),
    );
    assert!(tally.is_sound(), "{tally}");
    assert!(went_on + ended > 0, "the fault was met");
    match fault {
        Fault::Full => assert_eq!(ended, 0, "a full disk ends nothing"),
        Fault::Write | Fault::Flush => assert!(ended > 0, "a disk that fails ends the host"),
    }
}

fn stride() -> u64 {
    u64::try_from(number_of(STRIDE_VARIABLE, STRIDE)).expect("it is small")
}

#[test]
fn a_full_disk_refuses_orders_until_there_is_room() {
    walk(Fault::Full, stride());
}

#[test]
fn a_write_that_fails_loses_nothing_that_was_acknowledged() {
    walk(Fault::Write, stride());
}

#[test]
fn a_flush_that_fails_loses_nothing_that_was_acknowledged() {
    walk(Fault::Flush, stride().div_ceil(WRITES_OF_A_FLUSH));
}
