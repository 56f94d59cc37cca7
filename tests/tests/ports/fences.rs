//! What keeps components apart, and strangers out.

use souk_store::{Clock, Database};
use souk_tests::ports_suite::{ALPHA, BETA, Backend, FIXTURE, batch, committed, item, read, refused, write};
use souk_tests::postgres::{Cluster, attempt, number, run};
use souk_tests::shop::root;
use souk_tests::wait::{SOON, eventually};

use crate::{Directory, OwnHost, START_MS, open};

async fn host() -> (OwnHost, String) {
    let url = Cluster::shared().database();
    (OwnHost::open(Database::Postgres(url.clone()), Directory::new(), &FIXTURE).await, url)
}

/// Neither by name nor by a function nor by becoming somebody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_stays_within_its_fences() {
    let (host, url) = host().await;
    host.commit(BETA, batch("a", vec![write("INSERT INTO beta_items (id, qty) VALUES ('x', 1)", vec![])]))
        .await
        .expect("it is its own");
    committed(&host, batch("a", vec![item("x", 1)])).await;
    for expression in [
        "set_config('role', 'none', true)",
        "\"set_config\"('role', 'none', true)",
        "pg_catalog.set_config('role', 'none', true)",
        "U&\"set\\005fconfig\"('role', 'none', true)",
        "SET_CONFIG/**/('search_path', 'souk', true)",
        "1 /* /* */ '*/, set_config('role', 'none', true) --'",
        "1 --\r, set_config('role', 'none', true)",
        "query_to_xml('SELECT 1', true, true, '')",
        "nextval('souk.versions')",
        "souk.start('beta', 'b')",
        "souk.guard(1, 1)",
        "current_user",
        "session_user",
        "CAST('souk.batches' AS regclass)",
        "regclass 'souk.batches'",
        "(SELECT count(*) FROM souk.batches)",
        "(SELECT count(*) FROM souk.kv)",
        "(SELECT count(*) FROM souk.deliveries)",
        "(SELECT count(*) FROM souk.dead_letters)",
        "(SELECT count(*) FROM souk_beta.beta_items)",
        "(SELECT count(*) FROM \"souk_beta\".\"beta_items\")",
        "(SELECT count(*) FROM beta_items)",
        "(SELECT count(*) FROM pg_roles)",
        "(SELECT count(*) FROM PG_CATALOG.PG_SHADOW)",
        "(SELECT count(*) FROM information_schema.columns)",
    ] {
        for sql in [format!("SELECT {expression}"), format!("SELECT id FROM alpha_items WHERE 1 = {expression}")] {
            refused(&sql, host.query(ALPHA, vec![read(&sql, vec![])], None).await, "invalid");
        }
        for sql in [
            format!("UPDATE alpha_items SET qty = {expression}"),
            format!("INSERT INTO alpha_cells (id) SELECT {expression}"),
            format!("DELETE FROM alpha_items WHERE 1 = {expression}"),
        ] {
            refused(&sql, host.commit(ALPHA, batch(&sql, vec![write(&sql, vec![])])).await, "invalid");
        }
    }
    for sql in [
        "INSERT INTO souk_beta.beta_items (id, qty) VALUES ('y', 1)",
        "UPDATE souk_beta.beta_items SET qty = 2",
        "DELETE FROM souk.batches",
        "INSERT INTO alpha_items (id, qty) VALUES ('y', 1)) SELECT (1",
        "DELETE FROM alpha_items RETURNING 1) SELECT count(*) FROM (SELECT 1",
        "UPDATE alpha_items SET qty = 2 FROM souk_beta.beta_items",
    ] {
        refused(sql, host.commit(ALPHA, batch(sql, vec![write(sql, vec![])])).await, "invalid");
    }
    assert_eq!(number(&url, "SELECT count(*) FROM souk.batches"), 2);
}

/// The second fence, which holds whatever got through the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_role_of_a_component_may_use_its_own_tables_alone() {
    let (host, url) = host().await;
    committed(&host, batch("a", vec![item("x", 1)])).await;
    let (_, database) = url.rsplit_once('/').expect("an address names its database");
    let as_alpha = |sql: &str| attempt(&url, &format!("SET ROLE \"souk_alpha@{database}\"; {sql}"));
    assert_eq!(as_alpha("SELECT count(*) FROM souk_alpha.alpha_items"), Ok(()));
    for sql in [
        "SELECT 1 FROM souk.batches",
        "SELECT 1 FROM souk.kv",
        "SELECT 1 FROM souk.deliveries",
        "SELECT 1 FROM souk.queues",
        "SELECT 1 FROM souk.dead_letters",
        "SELECT 1 FROM souk.migrations",
        "SELECT 1 FROM souk_beta.beta_items",
        "SELECT nextval('souk.versions')",
        "SELECT souk.start('beta', 'b')",
        "SELECT souk.finish('beta', 'b', 0, '{}', '{}', '{}', '{}', '{}', '{}')",
        "SELECT souk.replay(0, 1, 0)",
        "INSERT INTO souk.batches VALUES ('beta', 'b', '', 0)",
        "CREATE TABLE souk_beta.beta_more (id TEXT)",
        "CREATE TABLE souk.more (id TEXT)",
        "CREATE TABLE public.more (id TEXT)",
        "CREATE SCHEMA more",
        "CREATE ROLE more",
        "SET SESSION AUTHORIZATION admin",
    ] {
        let refusal = as_alpha(sql).expect_err(sql);
        assert!(refusal.contains("permission denied"), "{sql}: {refusal}");
    }
}

/// They are SQL of a component, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_stays_within_the_fences() {
    let (host, url) = host().await;
    for (sql, expected) in [
        ("RESET ROLE", "starts with one of"),
        ("CREATE TABLE alpha_more (id TEXT); RESET ROLE; DROP TABLE souk.batches", "starts with one of"),
        ("COMMIT", "starts with one of"),
        ("CREATE FUNCTION alpha_f() RETURNS TEXT LANGUAGE sql AS 'SELECT 1'", "starts with one of"),
        ("CREATE TABLE alpha_more (id TEXT DEFAULT now())", "`now`"),
        ("INSERT INTO alpha_items (id, qty) SELECT set_config('role', 'none', false), 1", "`set_config`"),
        ("CREATE TABLE beta_more (id TEXT)", "does not start with `alpha_`"),
        ("CREATE TABLE alpha_more (id TEXT); ALTER TABLE alpha_more RENAME TO more", "does not start with `alpha_`"),
        ("CREATE INDEX more ON alpha_items (qty)", "does not start with `alpha_`"),
        ("CREATE TABLE souk_beta.beta_more (id TEXT)", "`beta_more`"),
        ("CREATE TABLE souk_beta.beta_more AS SELECT 1 AS id", "permission denied"),
        ("DROP TABLE souk.batches", "must be owner"),
        ("DROP TABLE souk_beta.beta_items", "permission denied"),
        ("CREATE TABLE alpha_more (id TEXT); DROP TABLE missing", "does not exist"),
    ] {
        let directory = Directory::new();
        std::fs::write(directory.0.join("0001_tables.sql"), FIXTURE.components[0].1).expect("it can be written");
        std::fs::write(directory.0.join("0002_more.sql"), sql).expect("it can be written");
        let refusal = host.store.migrate(ALPHA, &directory.0).await.expect_err(sql).to_string();
        assert!(refusal.contains(expected), "{sql}: {refusal}");
    }
    assert_eq!(number(&url, "SELECT count(*) FROM souk.migrations"), 3);
    assert_eq!(number(&url, "SELECT count(*) FROM pg_class WHERE relname LIKE '%more%'"), 0);
}

/// Files that were applied stay as they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edited_migration_is_refused_and_a_dialect_has_its_own() {
    let (host, url) = host().await;
    let directory = Directory::new();
    let file = |name: &str, sql: &str| std::fs::write(directory.0.join(name), sql).expect("it can be written");
    file("0001_tables.sql", FIXTURE.components[0].1);
    assert_eq!(host.store.migrate(ALPHA, &directory.0).await.expect("nothing is new"), 0);
    file("0002_more.postgres.sql", "CREATE TABLE alpha_more (id TEXT)");
    file("0002_more.sqlite.sql", "this is for another");
    assert_eq!(host.store.migrate(ALPHA, &directory.0).await.expect("one is new"), 1);
    file("0002_more.postgres.sql", "CREATE TABLE alpha_more (id TEXT, more TEXT)");
    let refusal = host.store.migrate(ALPHA, &directory.0).await.expect_err("it was edited").to_string();
    assert!(refusal.contains("was edited since"), "{refusal}");
    assert_eq!(number(&url, "SELECT count(*) FROM souk.migrations WHERE component = 'alpha'"), 2);
}

/// A copy of a database belongs to whoever made it, until the tables are handed to the roles of the copy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_database_is_taken_over() {
    let (host, url) = host().await;
    committed(&host, batch("a", vec![item("x", 7)])).await;
    run(&url, "ALTER TABLE souk_alpha.alpha_items OWNER TO souk; REVOKE ALL ON souk_alpha.alpha_items FROM PUBLIC");
    let select = || vec![read("SELECT qty FROM alpha_items", vec![])];
    refused("not its own", host.query(ALPHA, select(), None).await, "invalid");
    let directory = Directory::new();
    std::fs::write(directory.0.join("0001_tables.sql"), FIXTURE.components[0].1).expect("it can be written");
    assert_eq!(host.store.migrate(ALPHA, &directory.0).await.expect("nothing is new"), 0);
    assert!(host.query(ALPHA, select(), None).await.is_ok());
}

/// Texts would sort otherwise than the contract says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_with_a_language_of_its_own_is_refused() {
    let other = "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'";
    let store = open(Database::Postgres(Cluster::shared().database_with(other)), &Clock::manual(START_MS), &FIXTURE);
    let refusal = store.ready().await.expect_err("it sorts as the English do");
    assert!(refusal.contains("LOCALE 'C'"), "{refusal}");
    let latin = "TEMPLATE template0 ENCODING 'LATIN1'";
    let store = open(Database::Postgres(Cluster::shared().database_with(latin)), &Clock::manual(START_MS), &FIXTURE);
    assert!(store.ready().await.is_err());
}

/// As `sslmode` says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_encrypted_and_the_server_is_who_it_says() {
    let cluster = Cluster::shared();
    let certificate = cluster.certificate();
    for (parameters, expected) in [
        ("sslmode=disable".to_owned(), Ok(0)),
        (String::new(), Ok(1)),
        ("sslmode=require".to_owned(), Ok(1)),
        (format!("sslmode=verify-full&sslrootcert={certificate}"), Ok(1)),
        // None of the system's authorities vouches for this one.
        ("sslmode=verify-full".to_owned(), Err("invalid peer certificate")),
    ] {
        let url = cluster.database();
        let (_, database) = url.rsplit_once('/').expect("an address names its database");
        let secure = format!("{}?{parameters}", url.replace("127.0.0.1", "localhost"));
        let store = open(Database::Postgres(secure), &Clock::manual(START_MS), &FIXTURE);
        let encrypted = match expected {
            Ok(encrypted) => {
                eventually(SOON, &parameters, async || store.ready().await.ok()).await;
                encrypted
            }
            Err(reason) => {
                let refused = async || store.ready().await.err().filter(|error| error.contains(reason));
                eventually(SOON, &parameters, refused).await;
                0
            }
        };
        let sql = format!(
            "SELECT coalesce(min(ssl::INT), 0)::BIGINT FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
             WHERE datname = '{database}' AND application_name = 'souk'"
        );
        assert_eq!(number(&url, &sql), encrypted, "{parameters}");
    }
}

/// Every file of every service, and twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_migrations_of_the_shop_are_portable() {
    let store = open(Database::Postgres(Cluster::shared().database()), &Clock::system(), &FIXTURE);
    let mut found = 0;
    for component in std::fs::read_dir(root().join("components")).expect("the components are there") {
        let component = component.expect("the components can be listed").path();
        let migrations = component.join("migrations");
        if !migrations.is_dir() {
            continue;
        }
        let name = component.file_name().and_then(|name| name.to_str()).expect("components have plain names");
        let applied = store.migrate(name, &migrations).await.unwrap_or_else(|error| panic!("{name}: {error:#}"));
        assert!(applied > 0, "{name}");
        assert_eq!(store.migrate(name, &migrations).await.expect("nothing is new"), 0);
        found += 1;
    }
    assert!(found >= 7, "{found} services have tables");
}
