//! Migrations: applied once, whole or not at all, and to the component's own tables alone.

use std::path::Path;

use super::Shop;

#[tokio::test]
async fn a_migration_is_applied_once() {
    let shop = Shop::open().await;
    let store = &shop.store;
    let dir = shop.directory.migrations(
        "alpha",
        &[
            (
                "0002_more.sql",
                "ALTER TABLE alpha_items ADD COLUMN note TEXT; CREATE INDEX alpha_by_qty ON alpha_items (qty);",
            ),
            ("0003_other.sqlite.sql", "ALTER TABLE alpha_items RENAME COLUMN note TO remark;"),
            ("0003_other.postgres.sql", "not for SQLite"),
            (
                "0010_names.sql",
                "CREATE TABLE alpha_old (id TEXT PRIMARY KEY); ALTER TABLE alpha_old RENAME TO alpha_new;
                INSERT INTO alpha_new VALUES ('a'); UPDATE alpha_new SET id = 'b'; DROP INDEX alpha_by_qty;
                ALTER TABLE alpha_items DROP COLUMN remark; DROP TABLE alpha_new;",
            ),
            ("notes.txt", "not a migration"),
        ],
    );
    assert_eq!(store.migrate("alpha", &dir).await.expect("they are well formed"), 3);
    assert_eq!(store.migrate("alpha", &dir).await.expect("they are applied"), 0);
    let shop = shop.restart();
    assert_eq!(shop.store.migrate("alpha", &dir).await.expect("they are applied"), 0);
}

#[tokio::test]
async fn a_migration_that_does_not_fit_is_refused_whole() {
    let shop = Shop::open().await;
    let first = ("0001_items.sql", "CREATE TABLE alpha_items (id TEXT PRIMARY KEY, qty BIGINT NOT NULL);");
    let ok = "CREATE TABLE alpha_ok (id TEXT);";
    for (sql, reason) in [
        ("CREATE TABLE beta_items (id TEXT)", "does not start with `alpha_`"),
        ("CREATE INDEX by_qty ON alpha_items (qty)", "does not start with `alpha_`"),
        ("CREATE INDEX alpha_by_id ON souk_kv (key)", "does not start with `alpha_`"),
        ("ALTER TABLE alpha_items RENAME TO items", "does not start with `alpha_`"),
        ("ALTER TABLE alpha_items RENAME TO beta_items", "does not start with `alpha_`"),
        ("DROP TABLE souk_batches", "does not start with `alpha_`"),
        ("DELETE FROM souk_batches", "does not start with `alpha_`"),
        ("CREATE TABLE alpha_copy AS SELECT * FROM souk_kv", "does not start with `alpha_`"),
        ("CREATE TABLE alpha_id (id INTEGER PRIMARY KEY AUTOINCREMENT)", "not portable"),
        ("PRAGMA foreign_keys = OFF", "not allowed"),
        ("ATTACH DATABASE ':memory:' AS other", "not allowed"),
        ("COMMIT", "not allowed"),
        ("CREATE VIEW alpha_view AS SELECT 1", "not allowed"),
        ("CREATE TRIGGER alpha_t AFTER INSERT ON alpha_items BEGIN SELECT 1; END", "not portable"),
        ("CREATE TABLE alpha_ok (id TEXT)", "already exists"),
        ("nonsense", "syntax error"),
    ] {
        let text = refusal(&shop, "alpha", &[first, ("0002_bad.sql", &format!("{ok} {sql};"))]).await;
        assert!(text.contains(reason) && text.contains("0002_bad.sql"), "{sql}: {text}");
    }
    let text = refusal(&shop, "alpha", &[("0001_items.sql", ok)]).await;
    assert!(text.contains("edited"), "{text}");
    let text = refusal(&shop, "alpha", &[first, ("0001_again.sql", ok)]).await;
    assert!(text.contains("the same number"), "{text}");
    for name in ["1_short.sql", "first.sql", "00001_long.sql"] {
        let text = refusal(&shop, "alpha", &[first, (name, ok)]).await;
        assert!(text.contains(name), "{text}");
    }
    let text = refusal(&shop, "alpha-two", &[("0001_a.sql", "CREATE TABLE alpha_two_a (id TEXT);")]).await;
    assert!(text.contains("cannot be told apart"), "{text}");
    let text = refusal(&shop, "souk", &[("0001_a.sql", "CREATE TABLE souk_a (id TEXT);")]).await;
    assert!(text.contains("cannot own tables"), "{text}");

    let dir = shop.directory.migrations("alpha", &[first, ("0005_good.sql", ok)]);
    assert_eq!(shop.store.migrate("alpha", &dir).await.expect("nothing of the refused ones is left"), 1);
    let text = refusal(&shop, "alpha", &[first, ("0004_late.sql", ok), ("0005_good.sql", ok)]).await;
    assert!(text.contains("comes before"), "{text}");
    let text = format!("{:#}", shop.store.migrate("alpha", Path::new("/missing")).await.expect_err("it is missing"));
    assert!(text.contains("/missing"), "{text}");
}

/// Why the migrations of a component are refused.
async fn refusal(shop: &Shop, component: &str, files: &[(&str, &str)]) -> String {
    let dir = shop.directory.migrations(component, files);
    let Err(refusal) = shop.store.migrate(component, &dir).await else { panic!("{files:?} fits") };
    std::fs::remove_dir_all(&dir).expect("the directory is the test's own");
    format!("{refusal:#}")
}
