//! What every service leans on: a batch is done once, whole and for good, and a key changes on its condition alone.

use std::time::Duration;

use super::{Shop, batch, fact, item, soon};
use crate::engine::Failure;
use crate::sqlite::{Stop, Tx};
use crate::values::{Batch, Condition, KvError, MissedGuard, SqlError, Write};

fn guarded(id: &str, touches: u64) -> Write {
    Write { expect: Some(touches), ..item(id, 1) }
}

#[tokio::test]
async fn a_missed_guard_undoes_its_batch_and_remembers_nothing() {
    let shop = Shop::open().await;
    for expected in [0, 2] {
        let refused = Batch { events: fact("x").events, ..batch("x", vec![item("a", 1), guarded("b", expected)]) };
        let missed = MissedGuard { write: 1, expected, touched: 1 };
        assert_eq!(shop.commit(refused).await, Err(SqlError::GuardMissed(missed)));
        assert_eq!(shop.count().await, 0);
        assert!(shop.deliver(Ok(())).await.is_empty());
    }
    assert_eq!(shop.commit(batch("x", vec![guarded("a", 1)])).await, Ok(vec![1]), "the refusal was not kept");
}

#[tokio::test]
async fn a_repeat_is_answered_and_tells_nobody_again() {
    let shop = Shop::open().await;
    let done = || Batch { events: fact("x").events, ..batch("x", vec![item("a", 1)]) };
    assert_eq!(shop.commit(done()).await, Ok(vec![1]));
    assert_eq!(shop.commit(done()).await, Ok(vec![1]));
    assert_eq!(shop.count().await, 1);
    assert_eq!(shop.deliver(Ok(())).await, ["alpha/x/0 1"]);
}

#[tokio::test]
async fn components_may_name_their_batches_alike() {
    let shop = Shop::open().await;
    for component in ["beta", "alpha", "gamma"] {
        let answer = shop.store.commit(&component.into(), fact("x"), soon()).await;
        assert_eq!(answer, Ok(vec![]));
    }
    let mut heard = shop.deliver(Ok(())).await;
    heard.sort();
    assert_eq!(heard, ["alpha/x/0 1", "beta/x/0 1", "gamma/x/0 1"]);
}

#[tokio::test]
async fn what_cannot_be_committed_is_not_acknowledged() {
    let shop = Shop::open().await;
    let parts = "CREATE TABLE alpha_parts (item TEXT NOT NULL REFERENCES alpha_items (id));";
    let dir = shop.directory.migrations("alpha", &[("0002_parts.sql", parts)]);
    assert_eq!(shop.store.migrate("alpha", &dir).await.expect("the migration is well formed"), 1);
    // Looked at with the commit, so that all goes well until then.
    let orphan = |tx: &Tx<'_>| -> Result<(), Stop<Failure>> {
        tx.session()
            .connection()
            .execute_batch("PRAGMA defer_foreign_keys = ON; INSERT INTO alpha_parts VALUES ('x')")?;
        Ok(())
    };
    let answer = shop.sqlite().writer.submit(None, orphan).await;
    assert!(matches!(answer, Err(Failure::Constraint(_))), "{answer:?}");
    assert_eq!(shop.commit(batch("a", vec![item("a", 1)])).await, Ok(vec![1]), "the next goes through");
}

#[tokio::test]
async fn every_commit_is_flushed() {
    let shop = Shop::open().await;
    let flushing = |tx: &Tx<'_>| -> Result<i64, Stop<Failure>> {
        Ok(tx.session().connection().query_row("PRAGMA synchronous", [], |row| row.get(0))?)
    };
    // SQLite's FULL: the log is flushed with each commit, and not at a checkpoint alone.
    assert_eq!(shop.sqlite().writer.submit(None, flushing).await, Ok(2));
}

#[tokio::test]
async fn a_key_changes_on_its_condition_alone() {
    let shop = Shop::open().await;
    let alpha = "alpha".into();
    let set = |value: &str, condition| shop.store.kv_set(&alpha, "k".into(), value.into(), condition, Some(60), soon());
    let first = set("1", Condition::Absent).await.expect("nobody has the key");
    assert_eq!(set("2", Condition::Absent).await, Err(KvError::Conflict));
    let second = set("2", Condition::Version(first)).await.expect("nobody wrote since");
    assert_eq!(set("3", Condition::Version(first)).await, Err(KvError::Conflict));
    let held = shop.store.kv_get("alpha", "k", soon()).await.expect("it reads").expect("it is there");
    assert_eq!((held.value.as_str(), held.version), ("2", second));

    shop.clock.advance(Duration::from_secs(60));
    assert!(shop.store.kv_get("alpha", "k", soon()).await.expect("it reads").is_none(), "its time is over");
    assert!(set("4", Condition::Absent).await.is_ok());
}
