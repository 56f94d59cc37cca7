//! Several hosts on one database.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use souk_store::values::{Batch, Event};
use souk_store::{Database, Deliver, Store};
use souk_tests::ports_suite::{ALPHA, Backend, Ears, FIXTURE, Heard, batch, committed, deliver, event, fact};
use souk_tests::postgres::{Cluster, number, run};
use souk_tests::wait::{SOON, eventually};
use tokio::sync::{Notify, watch};

use crate::{OwnHost, open, to};

/// A host with tables, and another store on its database and clock.
async fn two() -> (OwnHost, Arc<Store>, String) {
    let url = Cluster::shared().database();
    let host = OwnHost::open(Database::Postgres(url.clone()), crate::Directory::new(), &FIXTURE).await;
    let other = open(Database::Postgres(url.clone()), &host.clock, &FIXTURE);
    (host, other, url)
}

/// Lets every lease end now.
fn end_leases(url: &str) {
    run(url, "UPDATE souk.queues SET leased_until = clock_timestamp() - interval '1 second' WHERE lease IS NOT NULL");
}

/// Who is hearing what, and what was heard.
#[derive(Default)]
struct Stage {
    under_way: BTreeSet<(String, String, String)>,
    heard: Vec<(String, Event)>,
}

/// Subscribers that check that nobody else delivers from the same queue, and take their time.
fn jealous(stage: &Arc<Mutex<Stage>>) -> Deliver {
    let stage = Arc::clone(stage);
    Arc::new(move |subscriber: String, event: Event| {
        let stage = Arc::clone(&stage);
        Box::pin(async move {
            let queue = (subscriber.clone(), event.topic.clone(), event.key.clone());
            let alone = lock(&stage).under_way.insert(queue.clone());
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            let mut stage = lock(&stage);
            stage.under_way.remove(&queue);
            stage.heard.push((subscriber, event));
            if alone { Ok(()) } else { Err("somebody else delivers from this queue".into()) }
        })
    })
}

fn lock(stage: &Mutex<Stage>) -> std::sync::MutexGuard<'_, Stage> {
    stage.lock().unwrap_or_else(PoisonError::into_inner)
}

/// 20 keys, 20 batches, two subscribers, two relays that start before the first batch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_share_deliveries_without_losing_or_doubling_any() {
    let (host, other, url) = two().await;
    let stage = Arc::new(Mutex::new(Stage::default()));
    let (end, ended) = watch::channel(false);
    let relays: Vec<_> = [&host.store, &other]
        .map(|store| tokio::spawn(Arc::clone(store).run_relay(jealous(&stage), ended.clone())))
        .into();
    for round in 0..20 {
        let events = (0..20).map(|key| event("thing.shared", &format!("k{key}"), None)).collect();
        let batch = Batch { events, ..batch(&format!("{round:02}"), vec![]) };
        // By turns, so that each hears of what the other committed by looking.
        match round % 2 {
            0 => committed(&host, batch).await,
            _ => other.commit(&ALPHA.into(), batch, crate::soon()).await.expect("it commits"),
        };
    }
    eventually(SOON, "800 deliveries", async || (lock(&stage).heard.len() >= 800).then_some(())).await;
    end.send_replace(true);
    for relay in relays {
        relay.await.expect("a relay has no reason to panic");
    }

    let heard = std::mem::take(&mut lock(&stage).heard);
    let mut queues: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for (subscriber, event) in heard {
        assert_eq!(event.attempt, 1, "{event:?}");
        queues.entry((subscriber, event.key)).or_default().push(event.id);
    }
    assert_eq!(queues.len(), 40);
    for (queue, ids) in queues {
        assert_eq!(ids.len(), 20, "{queue:?}");
        assert!(ids.is_sorted(), "{queue:?}: {ids:?}");
    }
    assert_eq!(number(&url, "SELECT count(*) FROM souk.deliveries"), 0);
    assert_eq!(number(&url, "SELECT count(*) FROM souk.queues"), 0);
}

/// Takes what is due and never answers; rings when it has begun.
fn stuck(begun: &Arc<Notify>) -> Deliver {
    let begun = Arc::clone(begun);
    Arc::new(move |_, _| {
        begun.notify_one();
        Box::pin(std::future::pending())
    })
}

/// When the lease ends, in their order; not before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_host_had_taken_comes_back() {
    let (host, other, url) = two().await;
    for id in ["a", "b", "c"] {
        committed(&host, fact(id, "thing.happened", "x")).await;
    }
    let begun = Arc::new(Notify::new());
    let (_end, ended) = watch::channel(false);
    let killed = tokio::spawn(other.run_relay(stuck(&begun), ended));
    tokio::time::timeout(SOON, begun.notified()).await.expect("a delivery begins");
    killed.abort();
    assert!(killed.await.is_err_and(|error| error.is_cancelled()));

    assert!(deliver(&host).await.is_empty(), "the queue belongs to the other host");
    end_leases(&url);
    assert_eq!(deliver(&host).await, ["ear-a alpha/a/0 1", "ear-a alpha/b/0 1", "ear-a alpha/c/0 1"]);
}

/// Whatever it says in the end: the delivery is the other host's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_was_slow_changes_nothing_any_more() {
    let (host, other, url) = two().await;
    committed(&host, fact("a", "thing.happened", "x")).await;
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow: Deliver = {
        let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
        Arc::new(move |_, _| {
            let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
            Box::pin(async move {
                begun.notify_one();
                go.notified().await;
                Err("too late".into())
            })
        })
    };
    let slow = tokio::spawn(other.deliver_due(slow));
    tokio::time::timeout(SOON, begun.notified()).await.expect("the delivery begins");
    end_leases(&url);

    // The host that took it over fails too, once; that is the only failure that counts.
    let heard = Heard::default();
    let notes = heard.clone();
    let ears: Ears = Arc::new(move |subscriber, event| {
        notes.note(subscriber, event);
        Err("not now".into())
    });
    Arc::clone(&host.store).deliver_due(to(ears)).await.expect("the outbox can be read");
    assert_eq!(heard.lines(), ["ear-a alpha/a/0 1"]);
    go.notify_one();
    slow.await.expect("it ends").expect("the outbox can be read");

    host.advance(Duration::from_secs(1));
    assert_eq!(deliver(&host).await, ["ear-a alpha/a/0 2"]);
    assert_eq!(number(&url, "SELECT count(*) FROM souk.deliveries"), 0);
}

/// At the same moment, on an empty database: each file is applied once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_start_together_migrate_once() {
    let url = Cluster::shared().database();
    let directory = crate::Directory::new();
    for (number, table) in ["one", "two", "three"].iter().enumerate() {
        let sql = format!("CREATE TABLE alpha_{table} (id TEXT NOT NULL PRIMARY KEY)");
        std::fs::write(directory.0.join(format!("000{}_{table}.sql", number + 1)), sql).expect("it can be written");
    }
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let store = open(Database::Postgres(url.clone()), &souk_store::Clock::system(), &FIXTURE);
        let directory = directory.0.clone();
        tasks.spawn(async move { store.migrate(ALPHA, &directory).await.expect("it migrates") });
    }
    let applied: Vec<u32> = tasks.join_all().await;
    assert_eq!(applied.iter().sum::<u32>(), 3, "{applied:?}");
}

/// Expired keys and ids of batches that are older than promised go; the others stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_is_swept() {
    let (host, _, url) = two().await;
    host.set(ALPHA, "short", "v", souk_store::values::Condition::Always, Some(1)).await.expect("it is set");
    host.set(ALPHA, "long", "v", souk_store::values::Condition::Always, None).await.expect("it is set");
    committed(&host, batch("old", vec![])).await;
    host.advance(Duration::from_secs(7 * 24 * 3_600));
    committed(&host, batch("week", vec![])).await;
    host.advance(Duration::from_secs(2 * 24 * 3_600));
    committed(&host, batch("new", vec![])).await;
    let count = |sql: &str| tokio::task::block_in_place(|| number(&url, sql));
    eventually(SOON, "old rows go", async || {
        // Whoever looks for events looks for old rows now and then.
        host.advance(Duration::from_secs(11));
        deliver(&host).await;
        (count("SELECT count(*) FROM souk.batches") == 2 && count("SELECT count(*) FROM souk.kv") == 1).then_some(())
    })
    .await;
    assert_eq!(count("SELECT count(*) FROM souk.batches WHERE id = 'old'"), 0);
    assert_eq!(count("SELECT count(*) FROM souk.kv WHERE key = 'long'"), 1);
}
