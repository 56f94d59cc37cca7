//! Cases of `sql.query`. One list, and long because the contract has that many sentences.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{ALPHA, BETA, Backend, GAMMA, batch, committed, integer, item, read, refused, rows, unpack, write};
use crate::values;
use souk_store::values::{Read, Value};

/// Makes a test of every case of this module.
#[macro_export]
macro_rules! query_cases {
    ($open:path) => {
        $crate::port_cases!($open, query:
            cells_are_packed_without_padding
            integers_keep_all_their_bits
            text_keeps_every_character
            no_rows_still_have_columns
            a_query_without_reads_answers_none
            results_come_in_the_order_of_the_reads
            a_query_takes_20_reads_and_not_21
            a_read_may_start_with_a_common_table_expression
            parameters_are_found_by_their_number
            a_statement_takes_200_parameters_and_not_201
            the_number_of_parameters_must_fit
            only_numbered_parameters_are_taken
            a_text_with_u0000_is_refused
            a_text_of_a_mebibyte_is_the_longest
            a_statement_of_16_kibibytes_is_the_longest
            a_result_holds_10_000_rows
            a_result_holds_8_mebibytes
            only_one_select_is_a_read
            a_float_is_refused
            foreign_tables_are_refused
            hyphens_are_underscores
            the_portable_functions_work
            clocks_and_chance_are_refused
            text_sorts_by_its_bytes
            a_page_is_found_by_row_comparison
            nothing_is_committed_before_it_is
            whether_a_batch_was_committed_is_said_per_component
            a_query_sees_every_answered_commit
            reads_of_one_query_share_a_snapshot
            the_batch_and_the_rows_are_of_one_snapshot
        );
    };
}

async fn put(backend: &impl Backend, id: i64, number: Value, word: Value) {
    let sql = "INSERT INTO alpha_cells (id, number, word) VALUES ($1, $2, $3)";
    committed(backend, batch(&format!("put {id}"), vec![write(sql, vec![Value::Integer(id), number, word])])).await;
}

/// The bytes are those of the contract.
pub async fn cells_are_packed_without_padding(backend: Arc<impl Backend>) {
    put(&*backend, 1, Value::Null, Value::Text("äb".into())).await;
    put(&*backend, 2, Value::Integer(-2), Value::Text(String::new())).await;
    let sql = "SELECT id, number, word FROM alpha_cells ORDER BY id";
    let snapshot = backend.query(ALPHA, vec![read(sql, vec![])], None).await.expect("it reads");
    assert!(!snapshot.committed);
    assert_eq!(snapshot.results[0].columns, 3);
    let mut expected = vec![1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 3, 0, 0, 0];
    expected.extend("äb".bytes());
    expected.extend([1, 2, 0, 0, 0, 0, 0, 0, 0, 1, 254, 255, 255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0]);
    assert_eq!(snapshot.results[0].packed, expected);
}

/// 64 bits, both ends.
pub async fn integers_keep_all_their_bits(backend: Arc<impl Backend>) {
    let numbers = [i64::MIN, i64::MIN + 1, -1, 0, 1, 1 << 53, (1 << 53) + 1, i64::MAX - 1, i64::MAX];
    for (id, number) in (0..).zip(numbers) {
        put(&*backend, id, Value::Integer(number), Value::Null).await;
    }
    let found = rows(&*backend, "SELECT number FROM alpha_cells ORDER BY number", vec![]).await;
    assert_eq!(found, numbers.map(|number| values![number]));
    let found = rows(&*backend, "SELECT id FROM alpha_cells WHERE number = $1", values![i64::MAX]).await;
    assert_eq!(found, [values![8]]);
}

/// Text is what was stored.
pub async fn text_keeps_every_character(backend: Arc<impl Backend>) {
    let words = [
        "",
        " ",
        "'",
        "\"",
        "''; DROP TABLE alpha_items; --",
        "\u{1}\u{7f}",
        "line\r\nbreak\ttab",
        "äöü ß ı İ",
        "日本語",
        "👩‍👩‍👧‍👦",
        "e\u{301}",
        "\u{feff}",
        "\u{10ffff}",
        "\\0 \\u0000",
        "123",
        "-0",
        "1e3",
        "null",
        "$1",
    ];
    for (id, word) in (0..).zip(words) {
        put(&*backend, id, Value::Null, Value::Text(word.into())).await;
        let sql = "SELECT word FROM alpha_cells WHERE id = $1 AND word = $2";
        assert_eq!(rows(&*backend, sql, values![id, word]).await, [values![word]], "{word:?}");
    }
}

/// The shape does not depend on the content.
pub async fn no_rows_still_have_columns(backend: Arc<impl Backend>) {
    let sql = "SELECT id, number, word FROM alpha_cells";
    let snapshot = backend.query(ALPHA, vec![read(sql, vec![])], None).await.expect("it reads");
    assert_eq!((snapshot.results[0].columns, snapshot.results[0].packed.len()), (3, 0));
}

/// A question about a batch alone is one.
pub async fn a_query_without_reads_answers_none(backend: Arc<impl Backend>) {
    for id in [None, Some("never")] {
        let snapshot = backend.query(ALPHA, vec![], id).await.expect("it reads");
        assert!(!snapshot.committed && snapshot.results.is_empty());
    }
}

/// Also when two are the same statement.
pub async fn results_come_in_the_order_of_the_reads(backend: Arc<impl Backend>) {
    committed(&*backend, batch("a", vec![item("x", 1), item("y", 2)])).await;
    let one = |id: &str| read("SELECT qty FROM alpha_items WHERE id = $1", values![id]);
    let count = read("SELECT count(*) FROM alpha_items", vec![]);
    let reads = vec![one("y"), count, one("x"), one("y")];
    let snapshot = backend.query(ALPHA, reads, None).await.expect("it reads");
    let found: Vec<_> = snapshot.results.iter().map(unpack).collect();
    assert_eq!(found, [[values![2]], [values![2]], [values![1]], [values![2]]]);
}

/// The limit is the limit.
pub async fn a_query_takes_20_reads_and_not_21(backend: Arc<impl Backend>) {
    let reads = |count| vec![read("SELECT 1", vec![]); count];
    assert_eq!(backend.query(ALPHA, reads(20), None).await.expect("20 are taken").results.len(), 20);
    refused("21", backend.query(ALPHA, reads(21), None).await, "too-large");
}

/// Also when its name is the only thing that is read.
pub async fn a_read_may_start_with_a_common_table_expression(backend: Arc<impl Backend>) {
    committed(&*backend, batch("a", vec![item("x", 1), item("y", 2)])).await;
    for sql in [
        "WITH own AS (SELECT qty FROM alpha_items) SELECT sum(qty) FROM own",
        "WITH own AS (SELECT qty FROM alpha_items) SELECT count(*) + 1 FROM own",
        "WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 3) SELECT max(n) FROM up",
    ] {
        assert_eq!(integer(&*backend, sql).await, 3, "{sql}");
    }
}

/// Not by the place where they stand.
pub async fn parameters_are_found_by_their_number(backend: Arc<impl Backend>) {
    put(&*backend, 7, Value::Integer(70), Value::Text("seven".into())).await;
    for (sql, params) in [
        ("SELECT id FROM alpha_cells WHERE id = $1 AND number = $2 AND word = $3", values![7, 70, "seven"]),
        ("SELECT id FROM alpha_cells WHERE word = $3 AND number = $2 AND id = $1", values![7, 70, "seven"]),
        (
            "SELECT id FROM alpha_cells WHERE word = $1 AND id = $2 AND number = $2 * 10 AND word = $1",
            values!["seven", 7],
        ),
        ("SELECT id FROM alpha_cells WHERE word <> '$2' AND id = $1", values![7]),
    ] {
        assert_eq!(rows(&*backend, sql, params).await, [values![7]], "{sql}");
    }
}

fn list(count: usize) -> Read {
    let list = (1..=count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
    let params = (1_i64..).take(count).map(Value::Integer).collect();
    read(&format!("SELECT count(*) FROM alpha_cells WHERE id IN ({list})"), params)
}

/// The limit is the limit, and all of them arrive.
pub async fn a_statement_takes_200_parameters_and_not_201(backend: Arc<impl Backend>) {
    put(&*backend, 1, Value::Null, Value::Null).await;
    put(&*backend, 200, Value::Null, Value::Null).await;
    let snapshot = backend.query(ALPHA, vec![list(200)], None).await.expect("200 are taken");
    assert_eq!(unpack(&snapshot.results[0]), [values![2]]);
    refused("201", backend.query(ALPHA, vec![list(201)], None).await, "too-large");
}

/// Neither fewer nor more.
pub async fn the_number_of_parameters_must_fit(backend: Arc<impl Backend>) {
    for (sql, params) in [
        ("SELECT id FROM alpha_cells WHERE id = $1", values![]),
        ("SELECT id FROM alpha_cells WHERE id = $1", values![1, 2]),
        ("SELECT id FROM alpha_cells", values![1]),
        ("SELECT id FROM alpha_cells WHERE id = $2", values![1, 2]),
        ("SELECT id FROM alpha_cells WHERE id = $1 OR id = $3", values![1, 2, 3]),
        ("SELECT id FROM alpha_cells WHERE id = $0", values![1]),
    ] {
        refused(sql, backend.query(ALPHA, vec![read(sql, params)], None).await, "invalid");
    }
}

/// The other styles mean other things elsewhere.
pub async fn only_numbered_parameters_are_taken(backend: Arc<impl Backend>) {
    for sql in ["?", "?1", ":a", "@a", "$a", "$1a"] {
        let sql = format!("SELECT id FROM alpha_cells WHERE id = {sql}");
        refused(&sql, backend.query(ALPHA, vec![read(&sql, values![1])], None).await, "invalid");
    }
}

/// In a parameter of a read or of a write.
pub async fn a_text_with_u0000_is_refused(backend: Arc<impl Backend>) {
    for word in ["\0", "a\0b", "a\0"] {
        let sql = "SELECT id FROM alpha_cells WHERE word = $1";
        refused("read", backend.query(ALPHA, vec![read(sql, values![word])], None).await, "invalid");
        let sql = "INSERT INTO alpha_cells (id, word) VALUES (1, $1)";
        refused("write", backend.commit(ALPHA, batch("a", vec![write(sql, values![word])])).await, "invalid");
    }
    let sql = "SELECT id FROM alpha_cells WHERE id = 1\0";
    refused("statement", backend.query(ALPHA, vec![read(sql, vec![])], None).await, "invalid");
    assert_eq!(integer(&*backend, "SELECT count(*) FROM alpha_cells").await, 0);
}

/// In bytes, not characters.
pub async fn a_text_of_a_mebibyte_is_the_longest(backend: Arc<impl Backend>) {
    let longest = "ä".repeat(512 * 1024);
    put(&*backend, 1, Value::Null, Value::Text(longest.clone())).await;
    let sql = "SELECT word FROM alpha_cells WHERE word = $1";
    assert_eq!(rows(&*backend, sql, values![longest.clone()]).await, [values![longest.clone()]]);
    let over = longest + "a";
    refused("read", backend.query(ALPHA, vec![read(sql, values![over.clone()])], None).await, "too-large");
    let insert = write("INSERT INTO alpha_cells (id, word) VALUES (2, $1)", values![over]);
    refused("write", backend.commit(ALPHA, batch("b", vec![insert])).await, "too-large");
}

/// In bytes.
pub async fn a_statement_of_16_kibibytes_is_the_longest(backend: Arc<impl Backend>) {
    let padded = |length: usize| format!("{:<length$}", "SELECT 1");
    let longest = backend.query(ALPHA, vec![read(&padded(16 * 1024), vec![])], None).await;
    assert!(longest.is_ok(), "{longest:?}");
    let over = backend.query(ALPHA, vec![read(&padded(16 * 1024 + 1), vec![])], None).await;
    refused("over", over, "too-large");
}

/// One more is too large.
pub async fn a_result_holds_10_000_rows(backend: Arc<impl Backend>) {
    let up = |to: i64| {
        let sql = "WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < $1) SELECT n FROM up";
        vec![read(sql, values![to])]
    };
    let snapshot = backend.query(ALPHA, up(10_000), None).await.expect("10,000 rows fit");
    assert_eq!(unpack(&snapshot.results[0]).len(), 10_000);
    refused("10,001", backend.query(ALPHA, up(10_001), None).await, "too-large");
}

/// One text more is too large.
pub async fn a_result_holds_8_mebibytes(backend: Arc<impl Backend>) {
    for id in 1..=9 {
        put(&*backend, id, Value::Null, Value::Text("a".repeat(1_000_000))).await;
    }
    let some = |to: i64| vec![read("SELECT word FROM alpha_cells WHERE id <= $1", values![to])];
    assert!(backend.query(ALPHA, some(8), None).await.is_ok());
    refused("nine", backend.query(ALPHA, some(9), None).await, "too-large");
}

/// Anything else is invalid and does nothing.
pub async fn only_one_select_is_a_read(backend: Arc<impl Backend>) {
    committed(&*backend, batch("a", vec![item("x", 1)])).await;
    for sql in [
        "",
        " ",
        "-- nothing",
        "SELECT",
        "SELEC 1",
        "SELECT * FROM",
        "SELECT missing FROM alpha_items",
        "SELECT 1; SELECT 2",
        "SELECT 1; DELETE FROM alpha_items",
        "INSERT INTO alpha_items (id, qty) VALUES ('y', 1)",
        "UPDATE alpha_items SET qty = 9",
        "DELETE FROM alpha_items",
        "DELETE FROM alpha_items RETURNING id",
        "WITH a AS (SELECT 1) DELETE FROM alpha_items",
        "WITH a AS (DELETE FROM alpha_items RETURNING id) SELECT id FROM a",
        "CREATE TABLE alpha_more (id TEXT)",
        "DROP TABLE alpha_items",
        "ALTER TABLE alpha_items ADD COLUMN more TEXT",
        "PRAGMA user_version",
        "PRAGMA writable_schema = 1",
        "ATTACH DATABASE ':memory:' AS other",
        "VACUUM",
        "ANALYZE",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT a",
        "EXPLAIN SELECT 1",
        "SET search_path = public",
        "COPY alpha_items TO '/tmp/x'",
    ] {
        refused(sql, backend.query(ALPHA, vec![read(sql, vec![])], None).await, "invalid");
    }
    assert_eq!(integer(&*backend, "SELECT sum(qty) FROM alpha_items").await, 1);
}

/// There are integers and texts.
pub async fn a_float_is_refused(backend: Arc<impl Backend>) {
    for sql in ["SELECT 1.5", "SELECT CAST(1 AS REAL)"] {
        refused(sql, backend.query(ALPHA, vec![read(sql, vec![])], None).await, "invalid");
    }
}

/// Wherever they stand, and whether they are another component's, the provider's own, the database's or nobody's.
pub async fn foreign_tables_are_refused(backend: Arc<impl Backend>) {
    backend
        .commit(BETA, batch("a", vec![write("INSERT INTO beta_items (id, qty) VALUES ('x', 1)", vec![])]))
        .await
        .expect("it is its own");
    let own = backend.query(BETA, vec![read("SELECT qty FROM beta_items", vec![])], None).await;
    assert!(own.is_ok(), "{own:?}");
    for table in [
        "beta_items",
        "BETA_ITEMS",
        "\"beta_items\"",
        "main.beta_items",
        "public.beta_items",
        "gamma_ray_items",
        "alpha_missing",
        "items",
        "souk_batches",
        "souk_kv",
        "sqlite_master",
        "sqlite_schema",
        "pg_catalog.pg_class",
        "information_schema.tables",
        "pragma_table_info('alpha_items')",
        "dbstat",
    ] {
        for sql in [
            format!("SELECT * FROM {table}"),
            format!("SELECT count(*) FROM {table}"),
            format!("SELECT 1 FROM alpha_items, {table}"),
            format!("SELECT 1 WHERE EXISTS (SELECT 1 FROM {table})"),
            format!("SELECT (SELECT max(qty) FROM {table})"),
            format!("WITH a AS (SELECT * FROM {table}) SELECT 1 FROM a"),
            format!("SELECT id FROM alpha_items UNION SELECT id FROM {table}"),
        ] {
            // Twice: a refusal is not forgotten by whatever remembers statements.
            for _ in 0..2 {
                refused(&sql, backend.query(ALPHA, vec![read(&sql, vec![])], None).await, "invalid");
            }
        }
    }
}

/// The tables of `gamma-ray` start with `gamma_ray_`.
pub async fn hyphens_are_underscores(backend: Arc<impl Backend>) {
    let insert = write("INSERT INTO gamma_ray_items (id, qty) VALUES ('x', 1)", vec![]);
    assert_eq!(backend.commit(GAMMA, batch("a", vec![insert])).await, Ok(vec![1]));
    let select = || vec![read("SELECT qty FROM gamma_ray_items", vec![])];
    assert!(backend.query(GAMMA, select(), None).await.is_ok());
    refused("another", backend.query(BETA, select(), None).await, "invalid");
}

/// Those that services may rely on.
pub async fn the_portable_functions_work(backend: Arc<impl Backend>) {
    committed(&*backend, batch("a", vec![item("x", 1), item("y", 3)])).await;
    for (expression, expected) in [
        ("count(*)", values![2]),
        ("sum(qty)", values![4]),
        ("min(qty)", values![1]),
        ("max(id)", values!["y"]),
        ("coalesce(max(note), 'none')", values!["none"]),
        ("sum(CASE WHEN qty > 1 THEN 1 ELSE 0 END)", values![1]),
        ("sum(abs(qty - 5))", values![6]),
        ("min(length('日本'))", values![2]),
        ("min(lower('ABC') || upper('d'))", values!["abcD"]),
        ("min(substr('abcdef', 2, 3))", values!["bcd"]),
        ("min(trim('  a '))", values!["a"]),
        ("min(replace('a-b', '-', '_'))", values!["a_b"]),
        ("count(nullif(id, 'x'))", values![1]),
        ("count(DISTINCT qty)", values![2]),
        ("min(7 / 2 + 7 % 4)", values![6]),
    ] {
        let found = rows(&*backend, &format!("SELECT {expression} FROM alpha_items"), vec![]).await;
        assert_eq!(found, [expected], "{expression}");
    }
    let ranked = "SELECT id, row_number() OVER (ORDER BY qty DESC) FROM alpha_items ORDER BY 2";
    assert_eq!(rows(&*backend, ranked, vec![]).await, [values!["y", 1], values!["x", 2]]);
}

/// Neither is the outside world or the file system.
pub async fn clocks_and_chance_are_refused(backend: Arc<impl Backend>) {
    for expression in [
        "random()",
        "datetime('now')",
        "date()",
        "now()",
        "julianday('now')",
        "last_insert_rowid()",
        "changes()",
        "sqlite_version()",
        "version()",
        "load_extension('x')",
        "readfile('/etc/passwd')",
        "pg_sleep(1)",
        "randomblob(8)",
        "current_setting('x')",
    ] {
        let sql = format!("SELECT {expression}");
        refused(&sql, backend.query(ALPHA, vec![read(&sql, vec![])], None).await, "invalid");
    }
}

/// The C collation.
pub async fn text_sorts_by_its_bytes(backend: Arc<impl Backend>) {
    let sorted = ["", "A", "B", "Z", "_", "a", "ab", "b", "~", "ä", "日"];
    for (id, word) in (0..).zip(sorted.iter().rev()) {
        put(&*backend, id, Value::Null, Value::Text((*word).into())).await;
    }
    let found = rows(&*backend, "SELECT word FROM alpha_cells ORDER BY word", vec![]).await;
    assert_eq!(found, sorted.map(|word| values![word]));
}

/// The way all lists are paged.
pub async fn a_page_is_found_by_row_comparison(backend: Arc<impl Backend>) {
    committed(&*backend, batch("a", vec![item("a", 2), item("b", 1), item("c", 2), item("d", 3)])).await;
    let sql = "SELECT id FROM alpha_items WHERE (qty, id) > ($1, $2) ORDER BY qty, id LIMIT $3";
    assert_eq!(rows(&*backend, sql, values![2, "a", 2]).await, [values!["c"], values!["d"]]);
}

/// A batch that was refused was not committed.
pub async fn nothing_is_committed_before_it_is(backend: Arc<impl Backend>) {
    let asked = async || backend.query(ALPHA, vec![], Some("a")).await.expect("it reads").committed;
    assert!(!asked().await);
    let refusal = backend.commit(ALPHA, batch("a", vec![item("x", -1)])).await;
    refused("a negative quantity", refusal, "constraint");
    assert!(!asked().await);
    committed(&*backend, batch("a", vec![item("x", 1)])).await;
    assert!(asked().await);
}

/// Ids belong to a component.
pub async fn whether_a_batch_was_committed_is_said_per_component(backend: Arc<impl Backend>) {
    committed(&*backend, batch("a", vec![])).await;
    for (component, id, expected) in [(ALPHA, "a", true), (ALPHA, "b", false), (BETA, "a", false)] {
        let snapshot = backend.query(component, vec![], Some(id)).await.expect("it reads");
        assert_eq!(snapshot.committed, expected, "{component} {id}");
    }
}

/// From any task, at once.
pub async fn a_query_sees_every_answered_commit(backend: Arc<impl Backend>) {
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let backend = Arc::clone(&backend);
        tasks.spawn(async move {
            for round in 0..50 {
                let id = format!("{task}-{round}");
                committed(&*backend, batch(&id, vec![item(&id, round)])).await;
                let sql = "SELECT qty FROM alpha_items WHERE id = $1";
                let snapshot = backend.query(ALPHA, vec![read(sql, values![id.as_str()])], Some(&id)).await;
                let snapshot = snapshot.expect("it reads");
                assert!(snapshot.committed, "{id}");
                assert_eq!(unpack(&snapshot.results[0]), [values![round]], "{id}");
            }
        });
    }
    tasks.join_all().await;
}

/// While others move units from one row to another.
pub async fn reads_of_one_query_share_a_snapshot(backend: Arc<impl Backend>) {
    committed(&*backend, batch("start", vec![item("x", 1_000), item("y", 0)])).await;
    let over = Arc::new(AtomicBool::new(false));
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (backend, over) = (Arc::clone(&backend), Arc::clone(&over));
        readers.spawn(async move {
            let one = |id: &str| read("SELECT qty FROM alpha_items WHERE id = $1", values![id]);
            while !over.load(Ordering::Relaxed) {
                let snapshot = backend.query(ALPHA, vec![one("x"), one("y")], None).await.expect("it reads");
                let cells: Vec<_> = snapshot.results.iter().flat_map(unpack).flatten().collect();
                let [Value::Integer(x), Value::Integer(y)] = cells.as_slice() else { panic!("{cells:?}") };
                assert_eq!(x + y, 1_000);
                tokio::task::yield_now().await;
            }
        });
    }
    for n in 0..300 {
        let sql = "UPDATE alpha_items SET qty = qty + $2 WHERE id = $1";
        let moved = vec![write(sql, values!["x", -1]), write(sql, values!["y", 1])];
        committed(&*backend, batch(&format!("move {n}"), moved)).await;
    }
    over.store(true, Ordering::Relaxed);
    readers.join_all().await;
}

/// Either both are seen or neither.
pub async fn the_batch_and_the_rows_are_of_one_snapshot(backend: Arc<impl Backend>) {
    let writer = Arc::clone(&backend);
    let writing = tokio::spawn(async move {
        for n in 0..200 {
            let id = n.to_string();
            committed(&*writer, batch(&id, vec![item(&id, n)])).await;
        }
    });
    for n in 0..200 {
        let id = n.to_string();
        loop {
            let sql = "SELECT qty FROM alpha_items WHERE id = $1";
            let snapshot = backend.query(ALPHA, vec![read(sql, values![id.as_str()])], Some(&id)).await;
            let snapshot = snapshot.expect("it reads");
            assert_eq!(snapshot.committed, !snapshot.results[0].packed.is_empty());
            if snapshot.committed {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    writing.await.expect("the writer has no reason to panic");
}
