//! What the store promises: batches, migrations, restarts, dead letters, backups, full and damaged disks.
//!
//! The whole contract of the ports is tested by the port suite in `tests/`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::writer::QUEUE_MAX;
use super::{FILE, Sqlite, Stop, Tx, backup};
use crate::engine::{Engine, Failure};
use crate::values::{Batch, Condition, Event, NewEvent, Read, SqlError, Value, Write};
use crate::{Clock, Database, Deliver, Replay, Settings, Store, Subscribers};

mod batches;
mod migrations;

const START_MS: i64 = 1_800_000_000_000;

/// A directory that ends with its test.
pub(super) struct Directory(pub(super) PathBuf);

impl Directory {
    pub(super) fn new() -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("souk-store-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the temporary directory can be written");
        Directory(path)
    }

    /// Writes the migrations of a component and answers their directory.
    fn migrations(&self, component: &str, files: &[(&str, &str)]) -> PathBuf {
        let dir = self.0.join("migrations").join(component);
        std::fs::create_dir_all(&dir).expect("the directory can be written");
        for (name, sql) in files {
            std::fs::write(dir.join(name), sql).expect("the directory can be written");
        }
        dir
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed lies in the system's temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Shop {
    store: Arc<Store>,
    clock: Clock,
    directory: Directory,
    registry: prometheus::Registry,
}

impl Shop {
    /// Opens a data directory with one table of `alpha`.
    async fn open() -> Shop {
        let shop = Shop::open_in(Directory::new(), Clock::manual(START_MS));
        let table = "CREATE TABLE alpha_items (id TEXT PRIMARY KEY, qty BIGINT NOT NULL);";
        let dir = shop.directory.migrations("alpha", &[("0001_items.sql", table)]);
        assert_eq!(shop.store.migrate("alpha", &dir).await.expect("the migration is well formed"), 1);
        shop
    }

    fn open_in(directory: Directory, clock: Clock) -> Shop {
        let registry = prometheus::Registry::new();
        let settings = Settings {
            subscribers: Subscribers::from([("thing.happened".into(), vec!["ear".into()])]),
            clock: clock.clone(),
            ..Settings::new(Database::Sqlite(directory.0.join("data")))
        };
        let store = Store::open(settings, &registry).expect("the directory opens");
        Shop { store, clock, directory, registry }
    }

    /// Closes and opens again, as a restart does.
    fn restart(self) -> Shop {
        let Shop { store, clock, directory, .. } = self;
        drop(store);
        Shop::open_in(directory, clock)
    }

    fn sqlite(&self) -> &Sqlite {
        match &self.store.engine {
            Engine::Sqlite(sqlite) => sqlite,
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => unreachable!("the shop was opened in a directory"),
        }
    }

    async fn commit(&self, batch: Batch) -> Result<Vec<u64>, SqlError> {
        self.store.commit(&"alpha".into(), batch, soon()).await
    }

    async fn count(&self) -> usize {
        let read = Read { sql: "SELECT id FROM alpha_items".into(), params: Vec::new() };
        let snapshot = self.store.query("alpha", &[read], None, soon()).await.expect("it reads");
        // A cell with an id of one character has six bytes.
        snapshot.results[0].packed.len() / 6
    }

    /// Delivers what is due to an ear that answers this; answers `id attempt` of each delivery.
    async fn deliver(&self, answer: Result<(), String>) -> Vec<String> {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&heard);
        let deliver: Deliver = Arc::new(move |_: String, event: Event| {
            notes.lock().expect("no holder panics").push(format!("{} {}", event.id, event.attempt));
            let answer = answer.clone();
            Box::pin(async move { answer })
        });
        Arc::clone(&self.store).deliver_due(deliver).await.expect("the outbox can be read");
        heard.lock().expect("no holder panics").clone()
    }

    /// The value of a metric without labels, or the sum over its labels.
    fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).expect("the metric is registered");
        let values = family.get_metric().iter().map(|metric| {
            metric.get_counter().get_value()
                + metric.get_gauge().get_value()
                + metric.get_histogram().get_sample_count() as f64
        });
        values.sum()
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn item(id: &str, qty: i64) -> Write {
    Write {
        sql: "INSERT INTO alpha_items (id, qty) VALUES ($1, $2)".into(),
        params: vec![Value::Text(id.into()), Value::Integer(qty)],
        expect: None,
    }
}

fn batch(id: &str, writes: Vec<Write>) -> Batch {
    Batch { id: id.into(), writes, events: Vec::new() }
}

fn fact(id: &str) -> Batch {
    let event = NewEvent { topic: "thing.happened".into(), key: "k".into(), payload: "{}".into(), not_before: None };
    Batch { events: vec![event], ..batch(id, Vec::new()) }
}

#[tokio::test]
async fn a_restart_loses_nothing() {
    let shop = Shop::open().await;
    assert_eq!(shop.commit(batch("a", vec![item("a", 1)])).await, Ok(vec![1]));
    assert_eq!(shop.commit(fact("e")).await, Ok(vec![]));
    assert_eq!(shop.deliver(Err("later".into())).await, ["alpha/e/0 1"]);
    let first = shop.store.kv_set(&"alpha".into(), "k".into(), "v".into(), Condition::Always, None, soon()).await;
    shop.store.kv_delete(&"alpha".into(), "k".into(), Condition::Always, soon()).await.expect("it is deleted");

    let shop = shop.restart();
    assert_eq!(shop.commit(batch("a", vec![item("b", 1)])).await, Ok(vec![1]), "the id is remembered");
    assert_eq!(shop.count().await, 1);
    let second = shop.store.kv_set(&"alpha".into(), "k".into(), "v".into(), Condition::Always, None, soon()).await;
    assert!(second.expect("it is set") > first.expect("it is set"), "a version is not used again");
    assert!(shop.deliver(Ok(())).await.is_empty(), "the delay goes on");
    shop.clock.advance(Duration::from_secs(1));
    assert_eq!(shop.deliver(Ok(())).await, ["alpha/e/0 2"]);
}

#[tokio::test]
async fn two_hosts_do_not_share_a_directory() {
    let shop = Shop::open().await;
    let settings = Settings::new(Database::Sqlite(shop.directory.0.join("data")));
    let Err(refusal) = Store::open(settings, &prometheus::Registry::new()) else {
        panic!("the directory is in use");
    };
    assert!(format!("{refusal:#}").contains("in use by another souk"), "{refusal:#}");
}

#[tokio::test]
async fn dead_letters_are_kept_and_replayed() {
    let shop = Shop::open().await;
    for id in ["a", "b"] {
        shop.commit(fact(id)).await.expect("it is committed");
    }
    for _ in 0..20 {
        shop.deliver(Err("no".into())).await;
        shop.clock.advance(Duration::from_secs(3_600));
    }
    let letters = shop.store.dead_letters(10).await.expect("it reads");
    let seen: Vec<_> = letters.iter().map(|letter| (letter.event.id.as_str(), letter.event.attempt)).collect();
    assert_eq!(seen, [("alpha/a/0", 10), ("alpha/b/0", 10)]);
    assert_eq!((letters[0].subscriber.as_str(), letters[0].error.as_str()), ("ear", "no"));
    assert_eq!(shop.store.dead_letters(1).await.expect("it reads").len(), 1);

    assert_eq!(shop.store.replay(Replay::One(letters[1].id)).await.expect("it is there"), 1);
    assert_eq!(shop.store.replay(Replay::One(letters[1].id)).await.expect("it was"), 0);
    assert_eq!(shop.deliver(Ok(())).await, ["alpha/b/0 1"]);
    assert_eq!(shop.store.replay(Replay::All).await.expect("it is there"), 1);
    assert_eq!(shop.deliver(Ok(())).await, ["alpha/a/0 1"]);
    assert!(shop.store.dead_letters(10).await.expect("it reads").is_empty());
    assert_eq!(shop.metric("souk_outbox_depth"), 0.0);
}

#[tokio::test]
async fn the_relay_delivers_at_once_and_stops_when_told() {
    let shop = Shop::open().await;
    let (heard, mut ears) = mpsc::unbounded_channel();
    let deliver: Deliver = Arc::new(move |subscriber: String, event: Event| {
        let heard = heard.clone();
        Box::pin(async move { heard.send((subscriber, event.id)).map_err(|error| error.to_string()) })
    });
    let (stop, stopped) = watch::channel(false);
    let relay = tokio::spawn(Arc::clone(&shop.store).run_relay(deliver, stopped));
    for n in 0..100 {
        shop.commit(fact(&n.to_string())).await.expect("it is committed");
        assert_eq!(ears.recv().await, Some(("ear".into(), format!("alpha/{n}/0"))));
    }
    stop.send(true).expect("the relay listens");
    relay.await.expect("the relay has no reason to panic");
    assert_eq!(shop.metric("souk_event_deliveries_total"), 100.0);
    assert!(shop.deliver(Ok(())).await.is_empty(), "what was delivered before the stop is settled");
}

#[tokio::test]
async fn a_long_queue_behind_a_failing_event_is_not_looked_at() {
    let shop = Shop::open().await;
    for n in 0..5 {
        let mut batch = fact(&n.to_string());
        batch.events = vec![batch.events[0].clone(); 100];
        shop.commit(batch).await.expect("it is committed");
    }
    let ready = || async {
        let count = |tx: &Tx<'_>| -> Result<i64, Stop<Failure>> {
            Ok(tx.host("SELECT count(*) FROM souk_deliveries WHERE ready = 1")?.query_row([], |row| row.get(0))?)
        };
        shop.sqlite().writer.submit(None, count).await.expect("it counts")
    };
    assert_eq!(ready().await, 1);
    assert_eq!(shop.deliver(Err("no".into())).await.len(), 1);
    assert_eq!(ready().await, 1);
    shop.clock.advance(Duration::from_secs(1));
    assert_eq!(shop.deliver(Ok(())).await.len(), 500);
    assert_eq!(shop.metric("souk_outbox_depth"), 0.0);
}

#[tokio::test]
async fn a_backup_is_one_instant_and_opens() {
    let shop = Shop::open().await;
    for id in ["a", "b", "c"] {
        shop.commit(batch(id, vec![item(id, 1)])).await.expect("it is committed");
    }
    let copy = Directory::new();
    std::fs::create_dir_all(copy.0.join("data")).expect("the directory can be written");
    let to = copy.0.join("data/souk.db");
    let database = Database::Sqlite(shop.directory.0.join("data"));
    backup(&database, &to).expect("it is copied");
    shop.commit(batch("d", vec![item("d", 1)])).await.expect("it is committed");
    let refusal = backup(&database, &to).expect_err("the file exists");
    assert!(format!("{refusal:#}").contains("exists"), "{refusal:#}");

    let copied = Shop::open_in(copy, Clock::manual(START_MS));
    assert_eq!(copied.count().await, 3);
    assert_eq!(copied.commit(batch("a", vec![item("z", 1)])).await, Ok(vec![1]), "ids are copied too");
}

#[tokio::test]
async fn a_full_disk_takes_no_writes_until_there_is_room() {
    let shop = Shop::open().await;
    let limit = |pages: i64| {
        let work = move |tx: &Tx<'_>| -> Result<(), Stop<Failure>> {
            let sql = format!("PRAGMA max_page_count = {pages}");
            tx.session().connection().query_row(&sql, [], |_| Ok(()))?;
            Ok(())
        };
        shop.sqlite().writer.submit(None, work)
    };
    let large = |id: &str| {
        let sql = "INSERT INTO alpha_items (id, qty) VALUES ($1, 1)";
        let write = Write { sql: sql.into(), params: vec![Value::Text("a".repeat(500_000))], expect: None };
        Batch { events: fact("e").events, ..batch(id, vec![item("s", 1), write]) }
    };
    shop.commit(batch("before", vec![item("a", 1)])).await.expect("there is room");
    limit(1).await.expect("it is set to what there is");
    assert_eq!(shop.commit(large("large")).await, Err(SqlError::StorageFull));
    assert_eq!(shop.count().await, 1, "reads go on");
    assert!(shop.deliver(Ok(())).await.is_empty());
    limit(1_000_000).await.expect("it is set");
    assert_eq!(shop.commit(large("large")).await, Ok(vec![1, 1]));
}

#[tokio::test]
async fn damaged_pages_are_never_served() {
    let mut shop = Shop::open().await;
    shop.commit(batch("before", vec![item("a", 1)])).await.expect("the disk is well");
    shop = shop.restart();
    let file = shop.directory.0.join("data").join(FILE);
    let mut bytes = std::fs::read(&file).expect("the file is there");
    bytes[4096..].fill(0xff);
    std::fs::write(&file, bytes).expect("the file can be written");
    let read = Read { sql: "SELECT id FROM alpha_items".into(), params: vec![] };
    let answer = shop.sqlite().query("alpha", &[read], None, soon()).await;
    assert!(matches!(answer, Err(SqlError::Unavailable(_))), "{answer:?}");

    let Shop { store, directory, .. } = shop;
    drop(store);
    let settings = Settings::new(Database::Sqlite(directory.0.join("data")));
    let refused = Store::open(settings, &prometheus::Registry::new()).err().expect("it is damaged");
    assert!(format!("{refused:#}").contains("restore a backup"), "{refused:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_a_group_breaks_alone() {
    let shop = Arc::new(Shop::open().await);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..64 {
        let shop = Arc::clone(&shop);
        tasks.spawn(async move {
            if n % 8 > 0 {
                let id = char::from_u32(0x100 + n).expect("it is a letter").to_string();
                assert_eq!(shop.commit(batch(&id, vec![item(&n.to_string(), 1)])).await, Ok(vec![1]));
                return;
            }
            let broken = |tx: &Tx<'_>| -> Result<(), Stop<Failure>> {
                // As SQLite does by itself when it interrupts a write or runs out of memory.
                tx.session().connection().execute_batch("ROLLBACK")?;
                tx.session().connection().execute_batch("no such statement")?;
                Ok(())
            };
            assert!(shop.sqlite().writer.submit(None, broken).await.is_err());
        });
    }
    tasks.join_all().await;
    let read = Read { sql: "SELECT count(*) FROM alpha_items".into(), params: Vec::new() };
    let snapshot = shop.store.query("alpha", &[read], None, soon()).await.expect("it reads");
    assert_eq!(snapshot.results[0].packed, [1, 56, 0, 0, 0, 0, 0, 0, 0]);
}

#[tokio::test]
async fn nothing_runs_past_its_deadline() {
    let shop = Shop::open().await;
    let endless = "WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up) SELECT count(*) FROM up";
    let read = || [Read { sql: endless.into(), params: Vec::new() }];
    for (reads, batch_id) in [(read(), None), (read(), Some("a"))] {
        let deadline = Instant::now() + Duration::from_millis(30);
        let answer = shop.store.query("alpha", &reads, batch_id, deadline).await;
        assert!(matches!(answer, Err(SqlError::Unavailable(_))), "{answer:?}");
        assert!(deadline.elapsed() < Duration::from_secs(3));
    }
    assert_eq!(shop.count().await, 0, "the connection is fine");
    let answer = shop.store.commit(&"alpha".into(), batch("a", vec![]), Instant::now()).await;
    assert!(matches!(answer, Err(SqlError::Unavailable(_)) | Ok(_)), "{answer:?}");
}

/// What a future answers without waiting, if it does.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context| match std::pin::Pin::new(&mut *future).poll(context) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[tokio::test]
async fn work_beyond_a_full_queue_is_refused_at_once() {
    let shop = Shop::open().await;
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let holding = shop.sqlite().writer.submit(None, move |_: &Tx<'_>| -> Result<(), Stop<Failure>> {
        // Until the test lets it go on, or is over.
        let _ = wait.recv();
        Ok(())
    });
    let mut holding = Box::pin(holding);
    assert!(poll_once(&mut holding).await.is_none());
    let mut waiting = Vec::new();
    let refusal = loop {
        assert!(waiting.len() <= 2 * QUEUE_MAX, "the queue has no end");
        let mut next = Box::pin(shop.commit(batch(&waiting.len().to_string(), vec![])));
        match poll_once(&mut next).await {
            Some(answer) => break answer,
            None => waiting.push(next),
        }
    };
    assert_eq!(refusal, Err(SqlError::Unavailable("the writer's queue is full".into())));
    go.send(()).expect("the writer listens");
    assert!(holding.await.is_ok());
    for commit in waiting {
        assert_eq!(commit.await, Ok(vec![]), "whoever was in the queue is served");
    }
}

#[tokio::test]
async fn old_rows_are_swept() {
    let shop = Shop::open().await;
    let rows = |table: &'static str| {
        let count = move |tx: &Tx<'_>| -> Result<i64, Stop<Failure>> {
            Ok(tx.host(&format!("SELECT count(*) FROM {table}"))?.query_row([], |row| row.get(0))?)
        };
        shop.sqlite().writer.submit(None, count)
    };
    for n in 0..20 {
        let key = n.to_string();
        shop.commit(batch(&key, vec![])).await.expect("it is committed");
        let ttl = (n < 15).then_some(60);
        let set = shop.store.kv_set(&"alpha".into(), key, "v".into(), Condition::Always, ttl, soon()).await;
        set.expect("it is set");
    }
    shop.clock.advance(Duration::from_secs(7 * 24 * 3_600));
    for _ in 0..3 {
        shop.commit(batch("tick", vec![])).await.expect("it is committed");
        shop.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(rows("souk_kv").await.expect("it counts"), 5);
    assert_eq!(rows("souk_batches").await.expect("it counts"), 21, "ids are kept for seven days");
    shop.clock.advance(Duration::from_secs(24 * 3_600));
    shop.commit(batch("tock", vec![])).await.expect("it is committed");
    assert_eq!(rows("souk_batches").await.expect("it counts"), 2);
}

#[tokio::test]
async fn the_writer_is_counted() {
    let shop = Shop::open().await;
    let (kept, flushes) = (shop.metric("souk_writer_work_total"), shop.metric("souk_writer_flush_seconds"));
    shop.commit(batch("a", vec![item("a", 1)])).await.expect("it is committed");
    shop.commit(batch("b", vec![item("a", 1)])).await.expect_err("the key is taken");
    shop.commit(fact("c")).await.expect("it is committed");
    assert_eq!(shop.metric("souk_writer_work_total"), kept + 3.0);
    assert_eq!(shop.metric("souk_writer_flush_seconds"), flushes + 3.0);
    assert_eq!(shop.metric("souk_events_stored_total"), 1.0);
    assert_eq!(shop.metric("souk_writer_queue"), 0.0);
    shop.clock.advance(Duration::from_secs(7));
    shop.deliver(Err("no".into())).await;
    assert_eq!(shop.metric("souk_outbox_depth"), 1.0);
    shop.clock.advance(Duration::from_secs(10));
    shop.deliver(Err("no".into())).await;
    assert_eq!(shop.metric("souk_outbox_age_seconds"), 0.0, "a repeat is due only after its delay");
}
