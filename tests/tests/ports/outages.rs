//! Connections that break, and a database that is away.

use std::time::{Duration, Instant};

use souk_store::Database;
use souk_store::values::{Batch, SqlError};
use souk_tests::ports_suite::{
    ALPHA, Backend, FIXTURE, batch, committed, deliver, event, guarded, integer, item, read, refused, write,
};
use souk_tests::postgres::{Cluster, number, run};
use souk_tests::values;
use souk_tests::wait::{SOON, eventually};

use super::proxy::{Mode, Proxy};
use crate::{Clock, Directory, OwnHost, START_MS, open};

/// How long a store may take to say that its database is away.
const QUICKLY: Duration = Duration::from_secs(10);
/// Connections that a store has, at most. It lends the one that has waited longest, so as many calls in a row use each.
const CONNECTIONS_MAX: usize = 16;

/// A store that reaches its database over a network of the test's own.
async fn through_a_proxy() -> (OwnHost, Proxy, String) {
    let url = Cluster::shared().database();
    let proxy = Proxy::to(Cluster::shared().port()).await;
    let database = Database::Postgres(proxy.through(&url));
    (OwnHost::open(database, Directory::new(), &FIXTURE).await, proxy, url)
}

/// Adds one to a row, and states it.
fn more(id: &str) -> Batch {
    let sql = "INSERT INTO alpha_items (id, qty) VALUES ('x', $1)
               ON CONFLICT (id) DO UPDATE SET qty = alpha_items.qty + excluded.qty";
    Batch { events: vec![event("thing.happened", id, None)], ..batch(id, vec![guarded(1, sql, values![1])]) }
}

/// Calls until every connection that the store has knows the statements of this file.
async fn warm_up(host: &OwnHost) {
    committed(host, more("warm")).await;
    // Before the others, since the relay and the sweep have connections opened.
    deliver(host).await;
    for call in 0..CONNECTIONS_MAX {
        committed(host, Batch { events: vec![], ..more(&format!("warm {call}")) }).await;
    }
    for _ in 0..CONNECTIONS_MAX {
        quantity(host).await;
    }
}

async fn quantity(host: &OwnHost) -> i64 {
    integer(host, "SELECT coalesce(max(qty), 0) FROM alpha_items").await
}

/// Nothing is answered before all is sent, so a store that waited for anything in between would wait for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_and_a_query_are_one_round_trip_each() {
    let (host, proxy, _) = through_a_proxy().await;
    warm_up(&host).await;
    let before = quantity(&host).await;

    proxy.set(Mode::AnswerAfterTheFlight);
    assert_eq!(host.commit(ALPHA, more("one")).await, Ok(vec![1]));
    assert_eq!(proxy.mode(), Mode::Pass, "the commit went through");

    let reads = vec![read("SELECT coalesce(max(qty), 0) FROM alpha_items", vec![]); 3];
    proxy.set(Mode::AnswerAfterTheFlight);
    let snapshot = host.query(ALPHA, reads, Some("one")).await.expect("it reads");
    assert_eq!(proxy.mode(), Mode::Pass, "the query went through");
    assert!(snapshot.committed);
    assert_eq!(quantity(&host).await, before + 1);

    // A missed guard and a repeat are answered as fast.
    for (id, writes, expected) in [
        ("two", vec![guarded(1, "UPDATE alpha_items SET qty = $1 WHERE id = 'none'", values![1])], "guard-missed"),
        ("three", vec![write("UPDATE alpha_items SET qty = -1", vec![])], "constraint"),
    ] {
        for _ in 0..CONNECTIONS_MAX {
            refused(id, host.commit(ALPHA, batch(id, writes.clone())).await, expected);
        }
        proxy.set(Mode::AnswerAfterTheFlight);
        refused(id, host.commit(ALPHA, batch(id, writes)).await, expected);
        assert_eq!(proxy.mode(), Mode::Pass, "{id}");
    }
    proxy.set(Mode::AnswerAfterTheFlight);
    assert_eq!(host.commit(ALPHA, more("one")).await, Ok(vec![1]));
    assert_eq!(proxy.mode(), Mode::Pass, "the repeat went through");
    assert_eq!(quantity(&host).await, before + 1);
}

/// As Postgres says it when its disk is full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_takes_no_writes_until_there_is_room() {
    let (host, _proxy, url) = through_a_proxy().await;
    warm_up(&host).await;
    let before = quantity(&host).await;
    let admin = url.replace("//souk@", "//admin@");
    run(
        &admin,
        "CREATE FUNCTION souk_alpha.no_room() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
         GRANT EXECUTE ON FUNCTION souk_alpha.no_room() TO PUBLIC;
         CREATE TRIGGER no_room BEFORE INSERT OR UPDATE ON souk_alpha.alpha_items
             FOR EACH STATEMENT EXECUTE FUNCTION souk_alpha.no_room()",
    );
    refused("full", host.commit(ALPHA, more("full")).await, "storage-full");
    assert_eq!(quantity(&host).await, before, "reads go on");
    run(&admin, "DROP TRIGGER no_room ON souk_alpha.alpha_items");
    assert_eq!(host.commit(ALPHA, more("full")).await, Ok(vec![1]));
    assert_eq!(quantity(&host).await, before + 1);
}

/// The store asks again by itself, and the id tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_lost_is_asked_for_again() {
    let (host, proxy, url) = through_a_proxy().await;
    warm_up(&host).await;
    let before = quantity(&host).await;
    for round in 1..=5 {
        proxy.set(Mode::CutAfterTheCommit);
        let id = format!("lost {round}");
        assert_eq!(host.commit(ALPHA, more(&id)).await, Ok(vec![1]));
        assert_eq!(proxy.mode(), Mode::Pass, "the connection was cut");
        assert_eq!(quantity(&host).await, before + round);
        assert_eq!(deliver(&host).await, [format!("ear-a alpha/{id}/0 1")]);
    }
    assert_eq!(number(&url, "SELECT count(*) FROM souk.batches WHERE id LIKE 'lost%'"), 5);
}

/// In the middle of any message of the flight.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_anywhere_commits_once() {
    let (host, proxy, _) = through_a_proxy().await;
    warm_up(&host).await;
    let before = quantity(&host).await;
    let mut cuts = 0;
    for bytes in (1..).step_by(23) {
        proxy.set(Mode::CutAfterBytes(bytes));
        let id = format!("cut {bytes}");
        assert_eq!(host.commit(ALPHA, more(&id)).await, Ok(vec![1]), "{id}");
        let was_cut = proxy.mode() == Mode::Pass;
        proxy.set(Mode::Pass);
        cuts += 1;
        assert_eq!(deliver(&host).await, [format!("ear-a alpha/{id}/0 1")]);
        assert_eq!(quantity(&host).await, before + cuts, "{id}");
        if !was_cut {
            break;
        }
    }
    assert!(cuts > 10, "the flight is longer than {cuts} cuts");
}

/// Starting, reading, writing and delivering say so, and all of it goes on by itself when the database is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_is_said_quickly_and_found_again() {
    let cluster = Cluster::start();
    let url = cluster.database();
    tokio::task::block_in_place(|| cluster.stop_immediately());

    let clock = Clock::manual(START_MS);
    let directory = Directory::new();
    let store = open(Database::Postgres(url), &clock, &FIXTURE);
    assert!(store.ready().await.is_err());
    assert!(store.migrate(ALPHA, &directory.0).await.is_err());
    tokio::task::block_in_place(|| cluster.restart());
    for (component, sql) in FIXTURE.components {
        let migrations = directory.0.join(component);
        std::fs::create_dir_all(&migrations).expect("the temporary directory can be written");
        std::fs::write(migrations.join("0001_tables.sql"), sql).expect("the directory can be written");
        assert_eq!(store.migrate(component, &migrations).await.expect("the database is there"), 1);
    }
    assert_eq!(store.ready().await, Ok(()));
    let host = OwnHost { store, clock, _directory: directory };
    committed(&host, more("before")).await;

    for round in 0..3 {
        tokio::task::block_in_place(|| cluster.stop_immediately());
        let begin = Instant::now();
        let id = format!("away {round}");
        refused("away", host.commit(ALPHA, more(&id)).await, "unavailable");
        let select = || vec![read("SELECT qty FROM alpha_items", vec![])];
        refused("away", host.query(ALPHA, select(), None).await, "unavailable");
        assert!(host.store.ready().await.is_err());
        assert!(begin.elapsed() < QUICKLY, "it took {:?}", begin.elapsed());

        tokio::task::block_in_place(|| cluster.restart());
        assert_eq!(host.commit(ALPHA, more(&id)).await, Ok(vec![1]));
        assert_eq!(host.store.ready().await, Ok(()));
    }
    assert_eq!(quantity(&host).await, 4);
    assert_eq!(deliver(&host).await.len(), 4);
}

/// While many commit: what was answered is there, and each batch once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_the_database_loses_nothing_that_was_answered() {
    let cluster = Cluster::start();
    let url = cluster.database();
    let host = OwnHost::open(Database::Postgres(url.clone()), Directory::new(), &FIXTURE).await;
    let host = std::sync::Arc::new(host);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let host = std::sync::Arc::clone(&host);
        tasks.spawn(async move {
            for round in 0..60 {
                let id = format!("{task}-{round}");
                let mine = batch(&id, vec![item(&id, round)]);
                // As a caller does: the same batch until it is known.
                while let Err(error) = host.commit(ALPHA, mine.clone()).await {
                    assert!(matches!(error, SqlError::Unavailable(_)), "{error:?}");
                }
            }
        });
    }
    for crash in 1..=3 {
        eventually(SOON, "some batches are committed", async || {
            let committed = tokio::task::block_in_place(|| number(&url, "SELECT count(*) FROM souk.batches"));
            (committed >= crash * 100).then_some(())
        })
        .await;
        tokio::task::block_in_place(|| cluster.restart_immediately());
    }
    tasks.join_all().await;
    assert_eq!(integer(&*host, "SELECT count(*) FROM alpha_items").await, 8 * 60);
    assert_eq!(number(&url, "SELECT count(*) FROM souk.batches"), 8 * 60);
}
