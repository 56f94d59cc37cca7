//! What the guard takes and what it refuses, as tables; and SQLite's authorizer as its judge.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use souk_kit::testing::Dice;
use souk_store::shape::{self, FUNCTIONS, Verb};

use super::AFTER_FROM;

/// The tables of the component in these tests start so.
const PREFIX: &str = "alpha_";

/// Checks a statement as a read or as a write, whichever it starts like.
fn check(sql: &str) -> Result<(), String> {
    super::check(sql, verb(sql), PREFIX)
}

fn verb(sql: &str) -> Verb {
    if sql.starts_with("SELECT") || sql.starts_with("WITH") { Verb::Read } else { Verb::Write }
}

#[test]
fn portable_statements_on_own_tables_are_taken() {
    for sql in [
        "SELECT 1",
        "SELECT * FROM alpha_items",
        "SELECT count(*) FROM ALPHA_items AS i WHERE i.qty > $1 -- FROM beta_items",
        "SELECT a.id, b.id FROM alpha_items a JOIN alpha_parts b ON b.item_id = a.id, alpha_cells c WHERE c.id = $1",
        "SELECT 1 FROM alpha_items LEFT OUTER JOIN alpha_parts USING (id)",
        "SELECT 1 FROM (alpha_items, alpha_parts)",
        "SELECT 1 FROM (alpha_items JOIN alpha_parts ON 1 = 1), (SELECT 1 FROM alpha_cells) AS x",
        "SELECT \"id\" FROM \"alpha_items\" WHERE id IN (SELECT id FROM alpha_parts)",
        "WITH some AS (SELECT qty FROM alpha_items) SELECT sum(qty) FROM some",
        "WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 3) SELECT max(n) FROM up",
        "WITH a AS NOT MATERIALIZED (SELECT 1), b (x, y) AS MATERIALIZED (SELECT 1, 2) SELECT * FROM a, b",
        "SELECT 'FROM beta_items', \"beta_items\" FROM alpha_items GROUP BY beta_id, user_id ORDER BY id, qty",
        "SELECT id, row_number() OVER (ORDER BY qty DESC, id) FROM alpha_items ORDER BY 2, 1 LIMIT 3",
        "SELECT sum(CASE WHEN (qty > 1) THEN (1) ELSE (0) END), substr('abc', 2, 3), coalesce(max(note), 'none') FROM alpha_items",
        "SELECT id FROM alpha_items WHERE (qty, id) > ($1, $2) AND qty IS NOT DISTINCT FROM $3 AND NOT (qty = 1) OR EXISTS (SELECT 1)",
        "SELECT CAST(qty AS TEXT) || '%' FROM alpha_items WHERE qty BETWEEN (1) AND (2) AND qty IN ($1, $2)",
        "SELECT 1 FROM alpha_items UNION SELECT 2 FROM alpha_parts",
        "INSERT INTO alpha_items (id, qty) VALUES ($1, $2), ($3, $4)",
        "INSERT INTO alpha_items (id, qty) SELECT $1, qty FROM alpha_items WHERE true ON CONFLICT (id) DO UPDATE SET qty = excluded.qty, note = 'x'",
        "INSERT INTO alpha_items (id) WITH b AS (SELECT 1 AS id) SELECT id FROM b",
        "UPDATE alpha_items SET qty = qty - $1, note = NULL WHERE id = $2",
        "UPDATE alpha_items SET (qty, note) = (SELECT 1, 'a') FROM alpha_parts WHERE alpha_parts.item_id = alpha_items.id",
        "DELETE FROM alpha_items WHERE id = $1;",
    ] {
        assert_eq!(check(sql), Ok(()), "{sql}");
    }
}

#[test]
fn a_foreign_table_is_found_wherever_it_stands() {
    for table in [
        "beta_items",
        "BETA_items",
        "\"beta_items\"",
        "\"alpha_\"\"",
        "'beta_items'",
        "main.beta_items",
        "main.alpha_items",
        "souk_batches",
        "sqlite_master",
        "alphabet_items",
        "dbstat",
        "pragma_table_info('alpha_items')",
        "json_each('[]')",
        "$1",
        "/* */ beta_items",
        "-- \n beta_items",
    ] {
        for sql in [
            format!("SELECT * FROM {table}"),
            format!("SELECT *FROM\t{table}"),
            format!("SELECT 1 FROM alpha_items, {table}"),
            format!("SELECT 1 FROM alpha_items a, {table}"),
            format!("SELECT 1 FROM alpha_items window, {table}"),
            format!("SELECT 1 FROM alpha_items AS with, {table}"),
            format!("SELECT 1 FROM (alpha_items), {table}"),
            format!("SELECT 1 FROM (alpha_items, {table})"),
            format!("SELECT 1 FROM ((SELECT 1), {table})"),
            format!("SELECT 1 FROM (SELECT 1) AS x, {table}"),
            format!("SELECT 1 FROM alpha_items JOIN alpha_parts ON (1, 2) = (1, 2), {table}"),
            format!("SELECT 1 FROM alpha_items NATURAL LEFT JOIN {table}"),
            format!("SELECT 1 FROM alpha_items CROSS JOIN ({table})"),
            format!("SELECT 1 WHERE EXISTS (SELECT 1 FROM {table})"),
            format!("SELECT (SELECT max(qty) FROM {table})"),
            format!("SELECT 1 WHERE 1 IN {table}"),
            format!("WITH a AS (SELECT * FROM {table}) SELECT 1 FROM a"),
            format!("WITH a AS (SELECT 1) SELECT 1 FROM a WHERE 1 = 1 UNION SELECT 1 FROM {table}"),
            format!("SELECT 1 ORDER BY (SELECT 1 FROM {table})"),
            format!("INSERT INTO {table} (id) VALUES (1)"),
            format!("INSERT INTO alpha_items (id) SELECT id FROM {table}"),
            format!("UPDATE {table} SET qty = 1"),
            format!("UPDATE alpha_items SET qty = 1, note = 'a' FROM {table}"),
            format!("UPDATE alpha_items SET qty = (SELECT 1 FROM {table})"),
            format!("DELETE FROM {table}"),
            format!("DELETE FROM alpha_items WHERE id IN (SELECT id FROM {table})"),
        ] {
            assert!(check(&sql).is_err(), "{sql}");
        }
    }
    // A common table expression of a table's name would hide the table from this reading, and not everywhere from SQLite.
    for sql in [
        "SELECT 1 FROM (WITH beta_items AS (SELECT 1) SELECT 1 FROM beta_items), beta_items",
        "WITH beta_items AS (SELECT 1) SELECT 1 FROM beta_items",
        "INSERT INTO items (id) VALUES (1)",
        "UPDATE items SET id = 1",
    ] {
        assert!(check(sql).is_err(), "{sql}");
    }
}

#[test]
fn what_is_not_portable_is_refused() {
    for sql in [
        "SELECT random()",
        "SELECT RANDOM ()",
        "SELECT \"random\"()",
        "SELECT (1), random()",
        "SELECT datetime('now')",
        "SELECT CURRENT_TIMESTAMP",
        "SELECT load_extension('x')",
        "SELECT json_extract('{}', '$')",
        "SELECT id ->> 'a' FROM alpha_items",
        "SELECT id FROM alpha_items WHERE id LIKE 'a%'",
        "SELECT id FROM alpha_items WHERE id GLOB 'a'",
        "SELECT like('a', 'b')",
        "SELECT x'00'",
        "SELECT CAST(X'ff' AS TEXT)",
        "SELECT `id` FROM alpha_items",
        "SELECT [id] FROM alpha_items",
        "SELECT 1 FROM\u{a0}alpha_items",
        "SELECT ä FROM alpha_items",
        "SELECT 1 FROM alpha_items\u{b}, beta_items",
        "SELECT \\ 1",
        "SELECT (1",
        "SELECT 1)",
        "SELECT 'open",
        "SELECT \"open",
        "SELECT /* open",
        "DELETE FROM alpha_items RETURNING id",
        "WITH random (a) AS SELECT 1",
        "WITH a AS (SELECT 1) DELETE FROM alpha_items",
        "WITH a AS (SELECT 1) UPDATE alpha_items SET qty = 1",
        "WITH a AS (SELECT 1) INSERT INTO alpha_items (id) SELECT 1 FROM a",
        "WITH a AS (SELECT 1) REPLACE INTO alpha_items (id) SELECT 1 FROM a",
    ] {
        assert!(check(sql).is_err(), "{sql}");
    }
}

fn database() -> Connection {
    let connection = Connection::open_in_memory().expect("a database in memory opens");
    connection
        .execute_batch(
            "CREATE TABLE alpha_items (id TEXT PRIMARY KEY, qty BIGINT, note TEXT);
             CREATE TABLE alpha_parts (id TEXT PRIMARY KEY, item_id TEXT);
             CREATE TABLE alpha_cells (id BIGINT, number BIGINT, word TEXT);
             CREATE TABLE beta_items (id TEXT, qty BIGINT);",
        )
        .expect("the tables are well formed");
    connection
}

#[test]
fn no_word_that_ends_a_from_can_be_an_alias() {
    let database = database();
    for word in AFTER_FROM {
        for sql in [
            format!("SELECT 1 FROM alpha_items {word}, beta_items"),
            format!("SELECT 1 FROM alpha_items AS {word}, beta_items"),
            format!("SELECT 1 FROM {word}, beta_items"),
        ] {
            let error = database.prepare(&sql).expect_err(&sql).to_string();
            assert!(error.contains("syntax error"), "{sql}: {error}");
        }
    }
}

/// Tokens that statements are bent with.
const TOKENS: &[&str] = &[
    "beta_items",
    "alpha_items",
    "alpha_parts",
    "\"beta_items\"",
    "'beta_items'",
    "main",
    ".",
    ",",
    "(",
    ")",
    "FROM",
    "JOIN",
    "LEFT",
    "NATURAL",
    "CROSS",
    "ON",
    "USING",
    "WHERE",
    "SELECT",
    "WITH",
    "AS",
    "a",
    "window",
    "with",
    "set",
    "IN",
    "NOT",
    "EXISTS",
    "UNION",
    "ALL",
    "ORDER",
    "BY",
    "GROUP",
    "LIMIT",
    "VALUES",
    "1",
    "id",
    "qty",
    "DISTINCT",
    "IS",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "INTO",
    "UPDATE",
    "SET",
    "DO",
    "NOTHING",
    "CONFLICT",
    "random",
    "changes",
    "count",
    "max",
    "*",
    "=",
    "-",
    "--\n",
    "/* */",
    "OVER",
    "PARTITION",
    "FILTER",
    "MATERIALIZED",
    "RECURSIVE",
    "dbstat",
    "x",
    "HAVING",
    "INTERSECT",
    "EXCEPT",
    "REPLACE",
    "INDEXED",
    "OFFSET",
    "COLLATE",
    "NULLS",
    "FIRST",
];

/// Statements to bend.
const STATEMENTS: &[&str] = &[
    "SELECT a . id FROM alpha_items a , alpha_parts b WHERE a . id = b . item_id",
    "SELECT count ( * ) FROM alpha_items JOIN alpha_parts ON alpha_parts . item_id = alpha_items . id ORDER BY 1",
    "SELECT 1 FROM ( alpha_items , alpha_parts ) , ( SELECT 1 FROM alpha_cells ) AS x",
    "WITH a ( n ) AS ( SELECT 1 UNION ALL SELECT n + 1 FROM a WHERE n < 3 ) SELECT max ( n ) FROM a",
    "WITH a AS MATERIALIZED ( SELECT id FROM alpha_items ) SELECT id FROM a WHERE id IN ( SELECT id FROM alpha_parts )",
    "SELECT id , row_number ( ) OVER ( ORDER BY qty , id ) FROM alpha_items GROUP BY id , qty LIMIT 3",
    "SELECT qty IS NOT DISTINCT FROM 1 FROM alpha_items WHERE EXISTS ( SELECT 1 FROM alpha_parts )",
    "INSERT INTO alpha_items ( id , qty ) SELECT id , 1 FROM alpha_parts WHERE true ON CONFLICT ( id ) DO UPDATE SET qty = 1 , note = 'a'",
    "INSERT INTO alpha_items ( id , qty ) VALUES ( 1 , 2 ) , ( 3 , 4 )",
    "UPDATE alpha_items SET qty = 1 , note = 'a' FROM alpha_parts , alpha_cells WHERE alpha_parts . item_id = alpha_items . id",
    "DELETE FROM alpha_items WHERE id IN ( SELECT id FROM alpha_parts )",
];

/// A law: whatever the guard takes and SQLite understands touches own tables and portable functions alone, and a read
/// writes nothing.
#[test]
fn what_is_taken_touches_nothing_foreign() {
    let mut database = database();
    let foreign: Arc<Mutex<Option<String>>> = Arc::default();
    let found = Arc::clone(&foreign);
    let reading = Arc::new(AtomicBool::new(false));
    let reads = Arc::clone(&reading);
    let judge = move |context: AuthContext<'_>| {
        let own = |name: &str| name.starts_with(PREFIX) || !name.contains('_');
        let fine = match context.action {
            AuthAction::Select | AuthAction::Recursive => true,
            AuthAction::Read { table_name, .. } => own(table_name) && table_name != "dbstat",
            AuthAction::Insert { table_name }
            | AuthAction::Delete { table_name }
            | AuthAction::Update { table_name, .. } => table_name.starts_with(PREFIX) && !reads.load(Ordering::Relaxed),
            AuthAction::Function { function_name } => shape::is_one_of(FUNCTIONS, function_name),
            _ => false,
        };
        if !fine {
            *found.lock().expect("no test panics while it holds this") = Some(format!("{context:?}"));
        }
        Authorization::Allow
    };
    database.authorizer(Some(judge)).expect("the authorizer is put in place");
    let (mut dice, mut understood) = (Dice::new(7), 0);
    for _ in 0..300_000 {
        let mut tokens: Vec<&str> = dice.pick(STATEMENTS).split(' ').collect();
        for _ in 0..=dice.below(4) {
            let place = dice.below(tokens.len() as u64) as usize;
            let token = *dice.pick(TOKENS);
            match dice.below(3) {
                0 => tokens[place] = token,
                1 => tokens.insert(place, token),
                _ if tokens.len() > 1 => drop(tokens.remove(place)),
                _ => {}
            }
        }
        let sql = tokens.join(" ");
        let verb = verb(&sql);
        if shape::shape(&sql, verb).is_ok() && check(&sql).is_ok() {
            reading.store(verb == Verb::Read, Ordering::Relaxed);
            let prepared = database.prepare(&sql).is_ok();
            let touched = foreign.lock().expect("no test panics while it holds this").take();
            understood += usize::from(prepared);
            assert!(!prepared || touched.is_none(), "{sql}: {touched:?}");
        }
    }
    assert!(understood > 1_000, "{understood} statements were understood");
}
