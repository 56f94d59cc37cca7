//! What the port suite does not ask: the real texts of SQLite, and deliverers that race, come late or die.

use std::cell::Cell as Count;
use std::collections::BTreeMap;

use rusqlite::types::{Value as Sqlite, ValueRef};
use souk_store::values::{Batch, NewEvent, Read, SqlError, Value, Write};

use super::outbox::{CLAIM_MS, Delivery, Topics};
use super::{Answer, Cell, Connection, Failure, outbox, sql};

/// When the cases begin, in milliseconds since 1970.
const START_MS: i64 = 1_800_000_000_000;

impl Connection for rusqlite::Connection {
    fn run(&self, sql: &str, params: &[Value]) -> Result<Answer, String> {
        let text = |error: rusqlite::Error| error.to_string();
        let mut statement = self.prepare(sql).map_err(text)?;
        let params = params.iter().map(|param| match param {
            Value::Null => Sqlite::Null,
            Value::Integer(integer) => Sqlite::Integer(*integer),
            Value::Text(text) => Sqlite::Text(text.clone()),
        });
        let columns = statement.column_count();
        let mut rows = statement.query(rusqlite::params_from_iter(params)).map_err(text)?;
        let mut answer = Answer { columns, rows: Vec::new() };
        while let Some(row) = rows.next().map_err(text)? {
            let cell = |place| match row.get_ref(place).expect("the column is there") {
                ValueRef::Null => Cell::Null,
                ValueRef::Integer(integer) => Cell::Integer(integer),
                ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
                ValueRef::Real(_) => Cell::Foreign("float"),
                ValueRef::Blob(_) => Cell::Foreign("blob"),
            };
            answer.rows.push((0..columns).map(cell).collect());
        }
        Ok(answer)
    }

    fn touched(&self) -> u64 {
        self.changes()
    }

    fn last_row(&self) -> i64 {
        self.last_insert_rowid()
    }
}

fn open() -> rusqlite::Connection {
    let connection = rusqlite::Connection::open_in_memory().expect("a database in memory opens");
    let schema = include_str!("../../../../runtime/store/src/sqlite/schema.sql");
    connection.execute_batch(schema).expect("the schema is well formed");
    let tables = "CREATE TABLE alpha_items (id TEXT NOT NULL PRIMARY KEY, qty BIGINT NOT NULL CHECK (qty >= 0), code TEXT UNIQUE);
         CREATE TABLE alpha_parts (id TEXT PRIMARY KEY, item_id TEXT REFERENCES alpha_items (id));";
    connection.execute_batch(tables).expect("the tables are well formed");
    connection
}

/// The case of a failure, with the text that SQLite gives for the statement.
fn failure(connection: &rusqlite::Connection, sql: &str) -> &'static str {
    let text = connection.run(sql, &[]).expect_err(sql);
    match Failure::of(text) {
        Failure::Invalid(_) => "invalid",
        Failure::TooLarge(_) => "too large",
        Failure::Constraint(_) => "constraint",
        Failure::StorageFull => "storage-full",
        Failure::Unavailable(_) => "unavailable",
    }
}

#[test]
fn failures_are_sorted_by_the_texts_that_sqlite_gives() {
    let connection = open();
    connection.execute_batch("INSERT INTO alpha_items VALUES ('a', 1, 'c')").expect("it fits");
    for (sql, expected) in [
        ("INSERT INTO alpha_items VALUES ('a', 1, 'd')", "constraint"),
        ("INSERT INTO alpha_items VALUES ('b', 1, 'c')", "constraint"),
        ("INSERT INTO alpha_items VALUES ('b', -1, 'd')", "constraint"),
        ("INSERT INTO alpha_items VALUES (NULL, 1, 'd')", "constraint"),
        ("INSERT INTO alpha_parts VALUES ('p', 'missing')", "constraint"),
        ("SELECT 'database is locked' FROM missing", "invalid"),
        ("SELECT missing AS \"UNIQUE constraint failed\"", "invalid"),
        ("SELECT", "invalid"),
        ("SELECT 1; SELECT 2", "invalid"),
        ("SELECT nothing()", "invalid"),
        ("SELECT abs(-9223372036854775807 - 1)", "invalid"),
        ("SELECT zeroblob(2000000000)", "too large"),
        ("SELECT 1 FROM souk_missing", "unavailable"),
    ] {
        assert_eq!(failure(&connection, sql), expected, "{sql}");
    }
    connection.execute_batch("PRAGMA max_page_count = 1").expect("it is set to what there is");
    let large = "INSERT INTO alpha_items VALUES (hex(zeroblob(500000)), 1, 'e')";
    assert_eq!(failure(&connection, large), "storage-full");
}

#[test]
fn what_holds_the_database_is_waited_for_and_then_named() {
    let directory = std::env::temp_dir().join(format!("souk-adapter-spin-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("the temporary directory can be written");
    let file = directory.join("busy.db");
    let open = || {
        let connection = rusqlite::Connection::open(&file).expect("the file opens");
        connection.busy_timeout(std::time::Duration::from_millis(1)).expect("the time is set");
        connection
    };
    let (one, other) = (open(), open());
    one.execute_batch("CREATE TABLE alpha_items (id TEXT); BEGIN IMMEDIATE").expect("it begins");
    assert_eq!(failure(&other, "BEGIN IMMEDIATE"), "unavailable");
    one.execute_batch("INSERT INTO alpha_items VALUES ('a'); COMMIT; PRAGMA query_only = ON").expect("it ends");
    assert_eq!(failure(&one, "INSERT INTO alpha_items VALUES ('b')"), "unavailable");
    std::fs::remove_dir_all(&directory).expect("the directory is ours");
}

/// A database that is locked for so many statements.
struct Locked {
    database: rusqlite::Connection,
    times: Count<u32>,
}

impl Connection for Locked {
    fn run(&self, sql: &str, params: &[Value]) -> Result<Answer, String> {
        match self.times.get() {
            0 => self.database.run(sql, params),
            times => {
                self.times.set(times - 1);
                Err("database is locked".into())
            }
        }
    }

    fn touched(&self) -> u64 {
        self.database.touched()
    }

    fn last_row(&self) -> i64 {
        self.database.last_row()
    }
}

#[test]
fn reads_and_writes_wait_for_a_lock_and_not_forever() {
    let locked = Locked { database: open(), times: Count::new(0) };
    let read = Read { sql: "SELECT id FROM alpha_items".into(), params: vec![] };
    let write =
        Write { sql: "INSERT INTO alpha_items (id, qty) VALUES ($1, 1)".into(), params: vec![], expect: Some(1) };
    let mut kept = 0;
    for (times, waited) in [(3, true), (4, false)] {
        let batch = Batch {
            id: format!("batch-{times}"),
            writes: vec![Write { params: vec![Value::Text(times.to_string())], ..write.clone() }],
            events: vec![],
        };
        locked.times.set(times);
        let one = sql::query(&locked, "alpha", std::slice::from_ref(&read), None);
        assert_eq!(one.is_ok(), waited, "one read");
        locked.times.set(times);
        let several = sql::query(&locked, "alpha", &[read.clone(), read.clone()], Some("none"));
        assert_eq!(several.is_ok(), waited, "a snapshot");
        locked.times.set(times);
        let committed = sql::commit(&locked, "alpha", batch, &topics(), START_MS);
        assert_eq!(committed.is_ok(), waited, "{committed:?}");
        kept += usize::from(waited);
        let rows = locked.database.run(&read.sql, &[]).expect("it can be read").rows;
        assert_eq!(rows.len(), kept);
    }
}

#[test]
fn a_commit_waits_for_those_who_read() {
    /// Locked when a transaction ends.
    struct AtTheEnd<'a>(&'a Locked);

    impl Connection for AtTheEnd<'_> {
        fn run(&self, sql: &str, params: &[Value]) -> Result<Answer, String> {
            if sql != "COMMIT" { self.0.database.run(sql, params) } else { self.0.run(sql, params) }
        }

        fn touched(&self) -> u64 {
            self.0.touched()
        }

        fn last_row(&self) -> i64 {
            self.0.last_row()
        }
    }

    let locked = Locked { database: open(), times: Count::new(3) };
    states(&AtTheEnd(&locked), "x", &["a"]);
    locked.times.set(4);
    let batch = Batch { id: "b".into(), writes: vec![], events: vec![] };
    let refused = sql::commit(&AtTheEnd(&locked), "alpha", batch, &topics(), START_MS);
    assert!(matches!(refused, Err(SqlError::Unavailable(_))), "{refused:?}");
    assert!(locked.database.is_autocommit(), "no transaction is left open");
}

fn topics() -> Topics {
    BTreeMap::from([("thing.happened".to_owned(), vec!["ear".to_owned()])])
}

/// Commits events of one key, one after the other.
fn states(connection: &impl Connection, key: &str, ids: &[&str]) {
    for id in ids {
        let event =
            NewEvent { topic: "thing.happened".into(), key: key.into(), payload: "{}".into(), not_before: None };
        let batch = Batch { id: (*id).to_owned(), writes: vec![], events: vec![event] };
        sql::commit(connection, "alpha", batch, &topics(), START_MS).expect("it commits");
    }
}

fn next(connection: &rusqlite::Connection, seconds: i64) -> Option<Delivery> {
    outbox::next(connection, None, &topics(), START_MS + seconds * 1_000).expect("the outbox is there")
}

fn ids(deliveries: &[Option<Delivery>]) -> Vec<&str> {
    deliveries.iter().flatten().map(|delivery| delivery.event.id.as_str()).collect()
}

/// How many rows the tables of the outbox hold: events, deliveries, dead letters.
fn left(connection: &rusqlite::Connection) -> (i64, i64, i64) {
    let count = |table: &str| {
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("it counts")
    };
    (count("souk_events"), count("souk_deliveries"), count("souk_dead_letters"))
}

#[test]
fn two_deliverers_never_have_one_event_nor_one_key() {
    let connection = open();
    states(&connection, "x", &["a", "b"]);
    states(&connection, "y", &["c"]);
    let claimed = [next(&connection, 0), next(&connection, 0), next(&connection, 0)];
    assert_eq!(ids(&claimed), ["alpha/a/0", "alpha/c/0"], "the second of a key waits for the first");
    let first = claimed[0].as_ref().expect("it was claimed");
    let second = outbox::next(&connection, Some((&first.claim, None)), &topics(), START_MS).expect("it is there");
    assert_eq!(ids(&[second]), ["alpha/b/0"]);
}

#[test]
fn an_event_whose_deliverer_died_comes_again_and_is_a_dead_letter_after_the_tenth_time() {
    let connection = open();
    states(&connection, "x", &["a", "b"]);
    let step = CLAIM_MS / 1_000;
    for attempt in 1..=10 {
        let at = i64::from(attempt - 1) * step;
        let delivery = next(&connection, at).expect("the claim before it has run out");
        assert_eq!((delivery.event.id.as_str(), delivery.event.attempt), ("alpha/a/0", attempt));
        assert_eq!(next(&connection, at + step - 1), None, "a claimed event blocks its key");
    }
    let after = next(&connection, 10 * step);
    assert_eq!(ids(&[after]), ["alpha/b/0"], "what waited for a dead event goes on");
    assert_eq!(left(&connection), (1, 1, 1));
}

#[test]
fn one_busy_deliverer_is_enough_until_it_ends_or_is_gone() {
    let connection = open();
    let needed =
        |millis: i64| outbox::needs_deliverer(&connection, &topics(), START_MS + millis).expect("the outbox is there");
    assert!(!needed(0), "nothing is due");
    states(&connection, "x", &["a"]);
    states(&connection, "y", &["b"]);
    assert!(needed(0));
    let begin = |millis: i64| outbox::begin(&connection, START_MS + millis).expect("the outbox is there");
    let until = begin(0).expect("nobody is busy");
    assert_eq!((begin(4_999), needed(4_999)), (None, false), "many ask, one delivers");
    assert!(needed(5_000), "whoever says nothing for so long is slow or gone");
    next(&connection, 2).expect("it is due");
    assert!(!needed(6_999), "it took an event");
    let other = begin(7_000).expect("the first is slow");
    outbox::finish(&connection, until, START_MS).expect("it ends");
    assert_eq!(begin(7_001), None, "the other goes on");
    outbox::finish(&connection, other, START_MS).expect("it ends");
    assert!(needed(7_001), "the rounds have ended and an event is left");
}

#[test]
fn an_outcome_that_comes_late_counts_only_when_the_event_was_taken() {
    let connection = open();
    states(&connection, "x", &["a"]);
    let step = CLAIM_MS / 1_000;
    let late = next(&connection, 0).expect("it is due").claim;
    let again = next(&connection, step).expect("the claim has run out").claim;
    let now = START_MS + step * 1_000;
    outbox::conclude(&connection, &late, Some("late"), now).expect("it is stored");
    assert_eq!(next(&connection, step + 2), None, "the present claim holds");
    outbox::conclude(&connection, &late, None, now).expect("it is stored");
    outbox::conclude(&connection, &again, Some("twice"), now).expect("it is stored");
    outbox::conclude(&connection, &again, None, now).expect("it is stored");
    assert_eq!(left(&connection), (0, 0, 0));
}

#[test]
fn a_repeat_waits_as_long_as_promised_and_the_tenth_failure_is_the_last() {
    let connection = open();
    states(&connection, "x", &["a"]);
    let mut at = 0;
    for delay in [1, 2, 4, 8, 16, 32, 64, 128, 256] {
        let claim = next(&connection, at).expect("it is due").claim;
        let now = START_MS + at * 1_000;
        outbox::conclude(&connection, &claim, Some("not now"), now).expect("it is stored");
        assert_eq!(next(&connection, at + delay - 1), None);
        at += delay;
    }
    let claim = next(&connection, at).expect("it is due").claim;
    outbox::conclude(&connection, &claim, Some("never"), START_MS).expect("it is stored");
    assert_eq!(left(&connection), (0, 0, 1));
    let error: String =
        connection.query_row("SELECT error FROM souk_dead_letters", [], |row| row.get(0)).expect("it is there");
    assert_eq!(error, "never");
}

#[test]
fn the_end_of_a_round_removes_what_is_over_and_nothing_else() {
    let connection = open();
    states(&connection, "x", &["old"]);
    let day = 24 * 3_600 * 1_000;
    let put = |key: &str, ttl| {
        let owner = super::kv::Owner { component: "alpha", now: START_MS };
        let always = souk_store::values::Condition::Always;
        super::kv::set(&connection, owner, key, "v", always, ttl, 1).expect("it is set");
    };
    put("short", Some(10));
    put("long", None);
    let count = |table: &str| -> i64 {
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("it counts")
    };
    outbox::finish(&connection, 0, START_MS + 7 * day).expect("it ends");
    assert_eq!((count("souk_kv"), count("souk_batches")), (1, 1), "ids are kept for seven days at least");
    outbox::finish(&connection, 0, START_MS + 9 * day).expect("it ends");
    assert_eq!((count("souk_kv"), count("souk_batches")), (1, 0));
}

#[test]
fn a_refused_batch_leaves_no_transaction_behind() {
    let connection = open();
    let write = |sql: &str| Write { sql: sql.into(), params: vec![], expect: Some(1) };
    let batch = |id: &str, sql: &str| Batch { id: id.into(), writes: vec![write(sql)], events: vec![] };
    let missed = sql::commit(&connection, "alpha", batch("a", "DELETE FROM alpha_items"), &topics(), START_MS);
    assert!(matches!(missed, Err(SqlError::GuardMissed(_))), "{missed:?}");
    assert!(connection.is_autocommit());
    let insert = batch("a", "INSERT INTO alpha_items (id, qty) VALUES ('x', 1)");
    assert_eq!(sql::commit(&connection, "alpha", insert, &topics(), START_MS), Ok(vec![1]));
}
