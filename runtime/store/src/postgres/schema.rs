//! The schema of the host, and the role and schema of each component.

use tokio_postgres::Client;

use super::failure::said;
use crate::shape;

/// The version of `schema.sql`. A later one comes with statements that lead there from each before it.
const VERSION: i64 = 1;
/// The oldest server that is known to do.
const SERVER_VERSION_MIN: i64 = 150_000;
/// Names the advisory lock of hosts that make or migrate a schema.
pub(super) const LOCK: i64 = 0x736f_756b;
/// The longest name that Postgres does not cut off, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// What the database is like. Texts must be compared by their bytes, whoever does it.
const LOOK: &str = "
    SELECT current_database()::TEXT,
        current_setting('server_version_num')::BIGINT,
        current_setting('server_encoding'),
        (SELECT array_agg(w ORDER BY w) = array_agg(w ORDER BY w COLLATE \"C\")
            FROM unnest(ARRAY['a', 'B', '_b', 'ä', 'Z', '~', 'a b', 'ab', 'A', '日', '1', '-1']) AS w),
        EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'souk')";
/// Whether the schema is there, asked of the catalog itself: a session remembers names that it did not find.
const IS_MADE: &str = "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'souk')";

/// Checks that the database will do, and makes the host's schema when there is none; answers the database's name.
pub(super) async fn ensure(client: &Client) -> Result<String, String> {
    let failed = |error: tokio_postgres::Error| said(&error);
    let row = client.query_one(LOOK, &[]).await.map_err(failed)?;
    let (database, server): (String, i64) = (row.get(0), row.get(1));
    let (encoding, by_bytes, made): (String, bool, bool) = (row.get(2), row.get(3), row.get(4));
    if server < SERVER_VERSION_MIN {
        return Err(format!("it is PostgreSQL {}; 15 or newer is needed", server / 10_000));
    }
    if encoding != "UTF8" || !by_bytes {
        return Err(format!(
            "`{database}` does not compare texts by their UTF-8 bytes; make another with: \
             CREATE DATABASE souk TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"
        ));
    }
    if !made {
        make(client).await.map_err(failed)?;
    }
    let version: i64 = client.query_one("SELECT version FROM souk.schema", &[]).await.map_err(failed)?.get(0);
    match version {
        VERSION => Ok(database),
        other => Err(format!("`{database}` was made by another version of souk (schema {other})")),
    }
}

/// Makes the schema, unless another host came first.
async fn make(client: &Client) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK})")).await?;
    let made: bool = client.query_one(IS_MADE, &[]).await?.get(0);
    if !made {
        client.batch_execute(include_str!("schema.sql")).await?;
    }
    client.batch_execute("COMMIT").await
}

/// The schema of a component's tables.
pub(super) fn name(component: &str) -> String {
    format!("souk_{}", component.replace('-', "_"))
}

/// The role that a component's statements run as. Roles belong to all databases of a server, so its name tells which.
pub(super) fn role(database: &str, component: &str) -> String {
    format!("souk_{}@{database}", component.replace('-', "_"))
}

/// Makes the role and the schema of a component, and hands it tables that it does not own: those of a backup that was
/// restored under another name.
pub(super) async fn ensure_component(client: &Client, database: &str, component: &str) -> anyhow::Result<()> {
    shape::prefix(component).map_err(anyhow::Error::msg)?;
    let (role, schema) = (role(database, component), name(component));
    anyhow::ensure!(
        role.len() <= NAME_BYTES_MAX,
        "the role `{role}` has a name of more than {NAME_BYTES_MAX} bytes; shorten that of the component or the database"
    );
    let quoted = quote(&role);
    let is_there = client.query_opt("SELECT 1 FROM pg_roles WHERE rolname = $1", &[&role]).await?.is_some();
    if !is_there {
        client
            .batch_execute(&format!("CREATE ROLE {quoted} NOLOGIN NOINHERIT"))
            .await
            .map_err(|error| anyhow::anyhow!("the user of the database needs CREATEROLE: {}", said(&error)))?;
    }
    client
        .batch_execute(&format!(
            "GRANT {quoted} TO CURRENT_USER;
             CREATE SCHEMA IF NOT EXISTS {schema};
             GRANT USAGE, CREATE ON SCHEMA {schema} TO {quoted};
             GRANT USAGE ON SCHEMA souk TO {quoted};"
        ))
        .await?;
    let strange = client
        .query(
            "SELECT c.relname::TEXT FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
             WHERE c.relnamespace = to_regnamespace($1) AND c.relkind = 'r' AND r.rolname <> $2",
            &[&schema, &role],
        )
        .await?;
    for table in strange {
        let table = quote(table.get(0));
        client.batch_execute(&format!("ALTER TABLE {schema}.{table} OWNER TO {quoted}")).await?;
    }
    Ok(())
}

/// A name in double quotes.
fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
