//! Cases of `sql.commit`. One list, and long because the contract has that many sentences.

use std::sync::Arc;

use super::{
    ALPHA, BETA, Backend, batch, committed, deliver, event, guarded, integer, item, read, refused, rows, write,
};
use crate::values;
use souk_store::values::{Batch, MissedGuard, NewEvent, SqlError, Value};

/// Makes a test of every case of this module.
#[macro_export]
macro_rules! commit_cases {
    ($open:path) => {
        $crate::port_cases!($open, commit:
            the_answer_counts_the_rows_of_each_write
            each_write_sees_those_before_it
            what_stays_the_same_is_touched_all_the_same
            an_upsert_adds_to_what_is_there
            null_is_stored_and_found
            an_empty_batch_is_remembered
            a_missed_guard_undoes_all_and_names_itself
            a_met_guard_lets_the_batch_pass
            a_repeat_changes_nothing_and_gets_the_first_answer
            a_repeat_may_hold_anything
            a_failed_batch_is_not_remembered
            an_id_belongs_to_its_component
            racing_repeats_commit_once
            a_constraint_undoes_the_batch
            an_invalid_write_undoes_the_batch
            only_a_plain_write_is_a_write
            foreign_tables_are_not_written
            foreign_tables_are_not_read_by_a_write
            the_id_has_1_to_200_bytes
            a_batch_takes_1_000_writes_and_not_1_001
            a_write_takes_200_parameters_and_not_201
            the_number_of_parameters_must_fit
            a_batch_takes_100_events_and_not_101
            an_event_keeps_to_its_limits
            no_more_leaves_than_is_there
            a_bad_batch_harms_no_other
            deadlocks_do_not_happen
        );
    };
}

/// Each in its place.
pub async fn the_answer_counts_the_rows_of_each_write(backend: Arc<impl Backend>) {
    let writes = vec![
        write("INSERT INTO alpha_items (id, qty) VALUES ('a', 1), ('b', 2), ('c', 3)", vec![]),
        write("UPDATE alpha_items SET qty = qty + 1 WHERE qty > $1", values![1]),
        write("UPDATE alpha_items SET qty = 0 WHERE id = $1", values!["missing"]),
        write("DELETE FROM alpha_items WHERE id = $1", values!["a"]),
        write("INSERT INTO alpha_cells (id, number) SELECT qty, qty FROM alpha_items", vec![]),
    ];
    assert_eq!(committed(&*backend, batch("a", writes)).await, [3, 2, 0, 1, 2]);
}

/// In the order of the batch.
pub async fn each_write_sees_those_before_it(backend: Arc<impl Backend>) {
    let writes = vec![
        item("a", 1),
        guarded(1, "UPDATE alpha_items SET qty = 2 WHERE id = 'a' AND qty = 1", vec![]),
        guarded(1, "INSERT INTO alpha_parts (id, item_id) SELECT 'p', id FROM alpha_items WHERE qty = 2", vec![]),
        guarded(1, "DELETE FROM alpha_parts WHERE item_id = 'a'", vec![]),
        guarded(1, "DELETE FROM alpha_items WHERE id = 'a'", vec![]),
        guarded(0, "DELETE FROM alpha_items WHERE id = 'a'", vec![]),
    ];
    assert_eq!(committed(&*backend, batch("a", writes)).await, [1, 1, 1, 1, 1, 0]);
}

/// What `DO NOTHING` leaves alone is not.
pub async fn what_stays_the_same_is_touched_all_the_same(backend: Arc<impl Backend>) {
    committed(&*backend, batch("a", vec![item("a", 1), item("b", 2)])).await;
    let insert = "INSERT INTO alpha_items (id, qty) VALUES ('a', 1)";
    let writes = vec![
        write("UPDATE alpha_items SET qty = qty", vec![]),
        write(&format!("{insert} ON CONFLICT DO NOTHING"), vec![]),
        write(&format!("{insert} ON CONFLICT (id) DO NOTHING"), vec![]),
        write(&format!("{insert} ON CONFLICT (id) DO UPDATE SET qty = excluded.qty"), vec![]),
        write(&format!("{insert} ON CONFLICT (id) DO UPDATE SET qty = 9 WHERE alpha_items.qty = 8"), vec![]),
        write("INSERT INTO alpha_items (id, qty) VALUES ('b', 2), ('c', 3) ON CONFLICT DO NOTHING", vec![]),
    ];
    assert_eq!(committed(&*backend, batch("b", writes)).await, [2, 0, 0, 1, 0, 1]);
}

/// The usual way to count.
pub async fn an_upsert_adds_to_what_is_there(backend: Arc<impl Backend>) {
    let sql = "INSERT INTO alpha_items (id, qty) VALUES ($1, $2)
               ON CONFLICT (id) DO UPDATE SET qty = alpha_items.qty + excluded.qty";
    for n in 1..=3 {
        let answer = committed(&*backend, batch(&n.to_string(), vec![guarded(1, sql, values!["a", n])])).await;
        assert_eq!(answer, [1]);
    }
    assert_eq!(integer(&*backend, "SELECT qty FROM alpha_items").await, 6);
}

/// NULL is not the empty text.
pub async fn null_is_stored_and_found(backend: Arc<impl Backend>) {
    let sql = "INSERT INTO alpha_items (id, qty, note) VALUES ($1, $2, $3)";
    let writes = vec![write(sql, values!["a", 1, Value::Null]), write(sql, values!["b", 1, ""])];
    committed(&*backend, batch("a", writes)).await;
    let found = rows(&*backend, "SELECT id, note FROM alpha_items WHERE note IS NULL", vec![]).await;
    assert_eq!(found, [values!["a", Value::Null]]);
    let equal = "SELECT id FROM alpha_items WHERE note = $1";
    assert!(rows(&*backend, equal, values![Value::Null]).await.is_empty());
}

/// It may be all that a repeated command leaves.
pub async fn an_empty_batch_is_remembered(backend: Arc<impl Backend>) {
    assert!(committed(&*backend, batch("a", vec![])).await.is_empty());
    assert!(committed(&*backend, batch("a", vec![item("x", 1)])).await.is_empty());
    assert_eq!(integer(&*backend, "SELECT count(*) FROM alpha_items").await, 0);
    assert!(backend.query(ALPHA, vec![], Some("a")).await.expect("it reads").committed);
}

/// Too few, too many, first, last: nothing stays, and no event leaves.
pub async fn a_missed_guard_undoes_all_and_names_itself(backend: Arc<impl Backend>) {
    committed(&*backend, batch("start", vec![item("x", 1), item("y", 1)])).await;
    let all = "UPDATE alpha_items SET qty = qty + 1";
    let none = "UPDATE alpha_items SET qty = 5 WHERE id = 'missing'";
    let table = [
        (vec![guarded(1, all, vec![])], (0, 1, 2)),
        (vec![guarded(3, all, vec![])], (0, 3, 2)),
        (vec![guarded(0, all, vec![])], (0, 0, 2)),
        (vec![item("z", 1), write(all, vec![]), guarded(1, none, vec![])], (2, 1, 0)),
        (vec![guarded(2, all, vec![]), guarded(1, none, vec![]), guarded(7, all, vec![])], (1, 1, 0)),
        (vec![guarded(1, "DELETE FROM alpha_items", vec![])], (0, 1, 2)),
        (
            vec![guarded(1, "INSERT INTO alpha_items (id, qty) VALUES ('x', 9) ON CONFLICT DO NOTHING", vec![])],
            (0, 1, 0),
        ),
    ];
    for (n, (writes, (write, expected, touched))) in table.into_iter().enumerate() {
        let mut batch = batch(&n.to_string(), writes);
        batch.events.push(event("thing.happened", "x", None));
        let missed = SqlError::GuardMissed(MissedGuard { write, expected, touched });
        assert_eq!(backend.commit(ALPHA, batch).await, Err(missed), "row {n}");
        let found = rows(&*backend, "SELECT id, qty FROM alpha_items ORDER BY id", vec![]).await;
        assert_eq!(found, [values!["x", 1], values!["y", 1]], "row {n}");
    }
    assert!(deliver(&*backend).await.is_empty());
}

/// Zero is a number of rows too.
pub async fn a_met_guard_lets_the_batch_pass(backend: Arc<impl Backend>) {
    let writes = vec![
        guarded(2, "INSERT INTO alpha_items (id, qty) VALUES ('x', 1), ('y', 2)", vec![]),
        guarded(1, "UPDATE alpha_items SET qty = 3 WHERE id = $1 AND qty = $2", values!["x", 1]),
        guarded(0, "DELETE FROM alpha_items WHERE qty = $1", values![1]),
    ];
    assert_eq!(committed(&*backend, batch("a", writes)).await, [2, 1, 0]);
}

/// However often.
pub async fn a_repeat_changes_nothing_and_gets_the_first_answer(backend: Arc<impl Backend>) {
    let sql = "INSERT INTO alpha_items (id, qty) VALUES ('x', 1)
               ON CONFLICT (id) DO UPDATE SET qty = alpha_items.qty + 1";
    let writes = vec![write(sql, vec![]), write("UPDATE alpha_items SET note = 'n' WHERE qty > 5", vec![])];
    for _ in 0..4 {
        assert_eq!(committed(&*backend, batch("a", writes.clone())).await, [1, 0]);
    }
    assert_eq!(integer(&*backend, "SELECT qty FROM alpha_items").await, 1);
}

/// Other writes, missed guards, nonsense, too much of it: the id decides.
pub async fn a_repeat_may_hold_anything(backend: Arc<impl Backend>) {
    committed(&*backend, batch("a", vec![item("x", 1)])).await;
    let long = Batch { events: vec![event("thing.happened", "x", None); 101], ..batch("a", vec![]) };
    let repeats = [
        batch("a", vec![]),
        batch("a", vec![item("y", 1), item("z", 1)]),
        batch("a", vec![guarded(7, "DELETE FROM alpha_items", vec![])]),
        batch("a", vec![write("nonsense", vec![])]),
        batch("a", vec![write("DELETE FROM beta_items", vec![])]),
        batch("a", vec![write("DELETE FROM alpha_items WHERE id = $1", values!["\0"])]),
        batch("a", vec![item("y", 1); 1_001]),
        long,
    ];
    for repeat in repeats {
        assert_eq!(backend.commit(ALPHA, repeat).await, Ok(vec![1]));
    }
    assert_eq!(integer(&*backend, "SELECT count(*) FROM alpha_items").await, 1);
    assert!(deliver(&*backend).await.is_empty());
}

/// So the same id may be tried again with another content.
pub async fn a_failed_batch_is_not_remembered(backend: Arc<impl Backend>) {
    let missed = vec![item("x", 1), guarded(1, "DELETE FROM alpha_items WHERE id = 'y'", vec![])];
    refused("guard", backend.commit(ALPHA, batch("a", missed)).await, "guard-missed");
    refused("check", backend.commit(ALPHA, batch("a", vec![item("x", -1)])).await, "constraint");
    refused("text", backend.commit(ALPHA, batch("a", vec![write("no", vec![])])).await, "invalid");
    assert_eq!(committed(&*backend, batch("a", vec![item("x", 1), item("y", 1)])).await, [1, 1]);
}

/// Two components may use the same one.
pub async fn an_id_belongs_to_its_component(backend: Arc<impl Backend>) {
    committed(&*backend, batch("a", vec![item("x", 1)])).await;
    let insert = write("INSERT INTO beta_items (id, qty) VALUES ('x', 1), ('y', 2)", vec![]);
    assert_eq!(backend.commit(BETA, batch("a", vec![insert])).await, Ok(vec![2]));
}

/// Sixteen at once, a hundred times.
pub async fn racing_repeats_commit_once(backend: Arc<impl Backend>) {
    committed(&*backend, batch("start", vec![item("x", 0)])).await;
    for round in 0..100 {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let backend = Arc::clone(&backend);
            tasks.spawn(async move {
                let update = write("UPDATE alpha_items SET qty = qty + 1 WHERE id = 'x'", vec![]);
                committed(&*backend, batch(&round.to_string(), vec![update])).await
            });
        }
        assert_eq!(tasks.join_all().await, vec![vec![1]; 16]);
    }
    assert_eq!(integer(&*backend, "SELECT qty FROM alpha_items").await, 100);
}

/// Each kind, in the middle of a batch.
pub async fn a_constraint_undoes_the_batch(backend: Arc<impl Backend>) {
    let insert = "INSERT INTO alpha_items (id, qty, code) VALUES ($1, $2, $3)";
    committed(&*backend, batch("start", vec![write(insert, values!["x", 1, "c"])])).await;
    committed(&*backend, batch("part", vec![write("INSERT INTO alpha_parts (id, item_id) VALUES ('p', 'x')", vec![])]))
        .await;
    for (name, sql, params) in [
        ("check", insert, values!["y", -1, "d"]),
        ("check on update", "UPDATE alpha_items SET qty = qty - $1", values![2]),
        ("not null", insert, values!["y", Value::Null, "d"]),
        ("primary key", insert, values!["x", 1, "d"]),
        ("unique", insert, values!["y", 1, "c"]),
        ("foreign key", "INSERT INTO alpha_parts (id, item_id) VALUES ($1, $2)", values!["q", "missing"]),
        ("foreign key on delete", "DELETE FROM alpha_items WHERE id = $1", values!["x"]),
    ] {
        let writes = vec![item("before", 1), write(sql, params), item("after", 1)];
        refused(name, backend.commit(ALPHA, batch(name, writes)).await, "constraint");
        assert_eq!(integer(&*backend, "SELECT count(*) FROM alpha_items").await, 1, "{name}");
    }
}

/// The writes before it too.
pub async fn an_invalid_write_undoes_the_batch(backend: Arc<impl Backend>) {
    for sql in ["nonsense", "INSERT INTO alpha_missing (id) VALUES (1)", "UPDATE alpha_items SET missing = 1"] {
        let mut batch = batch(sql, vec![item("x", 1), write(sql, vec![])]);
        batch.events.push(event("thing.happened", "x", None));
        refused(sql, backend.commit(ALPHA, batch).await, "invalid");
    }
    assert_eq!(integer(&*backend, "SELECT count(*) FROM alpha_items").await, 0);
    assert!(deliver(&*backend).await.is_empty());
}

/// One `INSERT`, `UPDATE` or `DELETE`, without `RETURNING`.
pub async fn only_a_plain_write_is_a_write(backend: Arc<impl Backend>) {
    committed(&*backend, batch("start", vec![item("x", 1)])).await;
    for sql in [
        "",
        "SELECT 1",
        "SELECT id FROM alpha_items",
        "DELETE FROM alpha_items RETURNING id",
        "INSERT INTO alpha_items (id, qty) VALUES ('y', 1) RETURNING id",
        "DELETE FROM alpha_items; DELETE FROM alpha_parts",
        "DELETE FROM alpha_items; COMMIT",
        "REPLACE INTO alpha_items (id, qty) VALUES ('x', 2)",
        "INSERT OR REPLACE INTO alpha_items (id, qty) VALUES ('x', 2)",
        "INSERT OR ROLLBACK INTO alpha_items (id, qty) VALUES ('x', 2)",
        "INSERT OR IGNORE INTO alpha_items (id, qty) VALUES ('x', 2)",
        "UPDATE OR ROLLBACK alpha_items SET qty = -1",
        "CREATE TABLE alpha_more (id TEXT)",
        "CREATE INDEX alpha_index ON alpha_items (qty)",
        "CREATE TRIGGER alpha_trigger AFTER INSERT ON alpha_items BEGIN SELECT 1; END",
        "DROP TABLE alpha_parts",
        "ALTER TABLE alpha_items ADD COLUMN more TEXT",
        "TRUNCATE alpha_items",
        "PRAGMA foreign_keys = OFF",
        "PRAGMA user_version = 7",
        "ATTACH DATABASE ':memory:' AS other",
        "VACUUM",
        "REINDEX",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT a",
        "RELEASE piece",
        "EXPLAIN DELETE FROM alpha_items",
        "LOCK TABLE alpha_items",
        "CALL something()",
    ] {
        let writes = vec![item("y", 1), write(sql, vec![])];
        refused(sql, backend.commit(ALPHA, batch(&format!("b{sql}"), writes)).await, "invalid");
    }
    let found = rows(&*backend, "SELECT id, qty FROM alpha_items", vec![]).await;
    assert_eq!(found, [values!["x", 1]]);
}

async fn beta_is_untouched(backend: &impl Backend) {
    let select = read("SELECT qty FROM beta_items", vec![]);
    let snapshot = backend.query(BETA, vec![select], None).await.expect("it is its own");
    assert_eq!(super::unpack(&snapshot.results[0]), [values![1]]);
}

/// Whosever they are, and also when their owner has run the same statement before.
pub async fn foreign_tables_are_not_written(backend: Arc<impl Backend>) {
    let insert = "INSERT INTO beta_items (id, qty) VALUES ($1, $2)";
    let owners = batch("start", vec![write(insert, values!["x", 1])]);
    backend.commit(BETA, owners).await.expect("it is its own");
    refused("the same", backend.commit(ALPHA, batch("s", vec![write(insert, values!["y", 1])])).await, "invalid");
    for table in [
        "beta_items",
        "BETA_items",
        "main.beta_items",
        "public.beta_items",
        "souk_batches",
        "souk_kv",
        "sqlite_master",
        "alpha_missing",
        "items",
    ] {
        for sql in [
            format!("INSERT INTO {table} (id, qty) VALUES ('y', 1)"),
            format!("UPDATE {table} SET qty = 9"),
            format!("UPDATE {table} SET id = id"),
            format!("DELETE FROM {table}"),
        ] {
            refused(&sql, backend.commit(ALPHA, batch(&sql, vec![write(&sql, vec![])])).await, "invalid");
        }
    }
    beta_is_untouched(&*backend).await;
}

/// Nor do they leak through a copy.
pub async fn foreign_tables_are_not_read_by_a_write(backend: Arc<impl Backend>) {
    let owners = batch("start", vec![write("INSERT INTO beta_items (id, qty) VALUES ('x', 1)", vec![])]);
    backend.commit(BETA, owners).await.expect("it is its own");
    committed(&*backend, batch("start", vec![item("x", 1)])).await;
    for sql in [
        "INSERT INTO alpha_items (id, qty) SELECT 'y', qty FROM beta_items",
        "INSERT INTO alpha_items (id, qty) SELECT 'y', count(*) FROM beta_items",
        "INSERT INTO alpha_items (id, qty) WITH b AS (SELECT qty FROM beta_items) SELECT 'y', qty FROM b",
        "UPDATE alpha_items SET qty = (SELECT max(qty) + 1 FROM beta_items)",
        "UPDATE alpha_items SET qty = beta_items.qty + 1 FROM beta_items WHERE beta_items.id = alpha_items.id",
        "DELETE FROM alpha_items WHERE EXISTS (SELECT 1 FROM beta_items)",
        "DELETE FROM alpha_items WHERE id IN (SELECT id FROM beta_items)",
    ] {
        refused(sql, backend.commit(ALPHA, batch(sql, vec![write(sql, vec![])])).await, "invalid");
    }
    let found = rows(&*backend, "SELECT id, qty FROM alpha_items", vec![]).await;
    assert_eq!(found, [values!["x", 1]]);
}

/// In bytes, of any character.
pub async fn the_id_has_1_to_200_bytes(backend: Arc<impl Backend>) {
    refused("empty", backend.commit(ALPHA, batch("", vec![])).await, "invalid");
    for id in ["a".to_owned(), "ä".repeat(100), "a b/c:d'\"%".to_owned()] {
        committed(&*backend, batch(&id, vec![])).await;
        assert!(backend.query(ALPHA, vec![], Some(&id)).await.expect("it reads").committed, "{id}");
    }
    let over = "ä".repeat(100) + "a";
    refused("201", backend.commit(ALPHA, batch(&over, vec![])).await, "too-large");
}

/// The limit is the limit.
pub async fn a_batch_takes_1_000_writes_and_not_1_001(backend: Arc<impl Backend>) {
    let writes = |count: i64| (0..count).map(|n| item(&n.to_string(), n)).collect::<Vec<_>>();
    assert_eq!(committed(&*backend, batch("a", writes(1_000))).await, vec![1; 1_000]);
    refused("1,001", backend.commit(ALPHA, batch("b", writes(1_001))).await, "too-large");
    assert_eq!(integer(&*backend, "SELECT count(*) FROM alpha_items").await, 1_000);
}

/// The limit is the limit.
pub async fn a_write_takes_200_parameters_and_not_201(backend: Arc<impl Backend>) {
    let delete = |count: usize| {
        let list = (1..=count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
        let params = (0_i64..).take(count).map(Value::Integer).collect();
        vec![write(&format!("DELETE FROM alpha_cells WHERE id IN ({list})"), params)]
    };
    assert_eq!(committed(&*backend, batch("a", delete(200))).await, [0]);
    refused("201", backend.commit(ALPHA, batch("b", delete(201))).await, "too-large");
}

/// Neither fewer nor more, and in no other style.
pub async fn the_number_of_parameters_must_fit(backend: Arc<impl Backend>) {
    let insert = "INSERT INTO alpha_items (id, qty) VALUES ($1, $2)";
    for (sql, params) in [
        (insert, values!["x"]),
        (insert, values!["x", 1, 2]),
        ("INSERT INTO alpha_items (id, qty) VALUES (?, ?)", values!["x", 1]),
        ("INSERT INTO alpha_items (id, qty) VALUES ($2, $3)", values!["x", 1, 2]),
    ] {
        refused(sql, backend.commit(ALPHA, batch("a", vec![write(sql, params)])).await, "invalid");
    }
    let crossed = write("INSERT INTO alpha_items (qty, id) VALUES ($2, $1)", values!["x", 1]);
    assert_eq!(committed(&*backend, batch("b", vec![crossed])).await, [1]);
    assert_eq!(rows(&*backend, "SELECT id, qty FROM alpha_items", vec![]).await, [values!["x", 1]]);
}

/// The limit is the limit.
pub async fn a_batch_takes_100_events_and_not_101(backend: Arc<impl Backend>) {
    let with = |id: &str, count| Batch { events: vec![event("thing.happened", "x", None); count], ..batch(id, vec![]) };
    committed(&*backend, with("a", 100)).await;
    refused("101", backend.commit(ALPHA, with("b", 101)).await, "too-large");
    assert_eq!(deliver(&*backend).await.len(), 100);
}

/// In bytes.
pub async fn an_event_keeps_to_its_limits(backend: Arc<impl Backend>) {
    let good = || event("thing.happened", "x", None);
    let topic = |length: usize| NewEvent { topic: format!("{:a<length$}", "thing."), ..good() };
    let key = |length| NewEvent { key: "k".repeat(length), ..good() };
    let payload = |length: usize| NewEvent { payload: format!("{{\"a\":\"{}\"}}", "b".repeat(length - 8)), ..good() };
    let says = |payload: &str| NewEvent { payload: payload.into(), ..good() };
    let names = |topic: &str| NewEvent { topic: topic.into(), ..good() };
    let table = [
        ("topic 100", topic(100), None),
        ("topic 101", topic(101), Some("too-large")),
        ("key 200", key(200), None),
        ("key 201", key(201), Some("too-large")),
        ("payload 64 KiB", payload(64 * 1024), None),
        ("payload over", payload(64 * 1024 + 1), Some("too-large")),
        ("an empty object", says("{}"), None),
        ("blanks around", says(" {\"a\": [1, null, \"\\u0000\"]} "), None),
        ("no payload", says(""), Some("invalid")),
        ("an array", says("[]"), Some("invalid")),
        ("a text", says("\"a\""), Some("invalid")),
        ("half", says("{\"a\":"), Some("invalid")),
        ("two", says("{}{}"), Some("invalid")),
        ("no topic", names(""), Some("invalid")),
        ("no fact", names("thing"), Some("invalid")),
        ("no service", names(".happened"), Some("invalid")),
        ("no word", names("thing."), Some("invalid")),
    ];
    for (name, event, expected) in table {
        let batch = Batch { events: vec![event], ..batch(name, vec![item(name, 1)]) };
        let answer = backend.commit(ALPHA, batch).await;
        match expected {
            None => assert_eq!(answer, Ok(vec![1]), "{name}"),
            Some(expected) => refused(name, answer, expected),
        }
        let there = rows(&*backend, "SELECT count(*) FROM alpha_items WHERE id = $1", values![name]).await;
        assert_eq!(there, [values![i64::from(expected.is_none())]], "{name}");
    }
}

/// 200 tries for 100 units, and each try is answered truly.
pub async fn no_more_leaves_than_is_there(backend: Arc<impl Backend>) {
    committed(&*backend, batch("start", vec![item("stock", 100)])).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..200 {
        let backend = Arc::clone(&backend);
        tasks.spawn(async move {
            let take = guarded(1, "UPDATE alpha_items SET qty = qty - 1 WHERE id = 'stock' AND qty >= 1", vec![]);
            let id = n.to_string();
            match backend.commit(ALPHA, batch(&id, vec![take, item(&id, n)])).await {
                Ok(touched) => {
                    assert_eq!(touched, [1, 1]);
                    true
                }
                Err(error) => {
                    let missed = MissedGuard { write: 0, expected: 1, touched: 0 };
                    assert_eq!(error, SqlError::GuardMissed(missed));
                    false
                }
            }
        });
    }
    let taken = tasks.join_all().await.into_iter().filter(|taken| *taken).count();
    assert_eq!(taken, 100);
    assert_eq!(integer(&*backend, "SELECT qty FROM alpha_items WHERE id = 'stock'").await, 0);
    assert_eq!(integer(&*backend, "SELECT count(*) FROM alpha_items").await, 101);
}

/// Though they are committed together.
pub async fn a_bad_batch_harms_no_other(backend: Arc<impl Backend>) {
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0_i64..240 {
        let backend = Arc::clone(&backend);
        tasks.spawn(async move {
            let id = n.to_string();
            let bad = match n % 6 {
                0 => Some((item("negative", -1), "constraint")),
                1 => Some((guarded(1, "DELETE FROM alpha_parts", vec![]), "guard-missed")),
                2 => Some((write("UPDATE OR ROLLBACK alpha_items SET qty = -1", vec![]), "invalid")),
                _ => None,
            };
            match bad {
                None => assert_eq!(committed(&*backend, batch(&id, vec![item(&id, n)])).await, [1]),
                Some((write, expected)) => {
                    let answer = backend.commit(ALPHA, batch(&id, vec![item(&id, n), write])).await;
                    refused(&id, answer, expected);
                }
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(integer(&*backend, "SELECT count(*) FROM alpha_items").await, 120);
}

/// Two rows written in both orders by many at once: all get through, or are told to come again.
pub async fn deadlocks_do_not_happen(backend: Arc<impl Backend>) {
    committed(&*backend, batch("start", vec![item("x", 0), item("y", 0)])).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..64 {
        let backend = Arc::clone(&backend);
        tasks.spawn(async move {
            let sql = "UPDATE alpha_items SET qty = qty + 1 WHERE id = $1";
            let (first, second) = if n % 2 == 0 { ("x", "y") } else { ("y", "x") };
            let writes = vec![guarded(1, sql, values![first]), guarded(1, sql, values![second])];
            let same = batch(&n.to_string(), writes);
            while let Err(error) = backend.commit(ALPHA, same.clone()).await {
                refused::<()>("a deadlock", Err(error), "unavailable");
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(integer(&*backend, "SELECT min(qty) + max(qty) FROM alpha_items").await, 128);
}
