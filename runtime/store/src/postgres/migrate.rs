//! How migrations are applied: as their component, each file in a transaction of its own, by one host at a time.

use std::path::Path;

use anyhow::Context as _;
use tokio_postgres::Client;

use super::failure::said;
use super::pool::{Connection, ENTER, LEAVE};
use super::{guard, schema};
use crate::migrations::{self, Applied, Migration};
use crate::shape;

/// An index over many rows takes its time, and another host that makes one is waited for.
const SETTINGS: &str = "
    SET statement_timeout = 0;
    SET lock_timeout = '10min';
    SET idle_in_transaction_session_timeout = 0;";

/// Applies the migrations of a component that have not been applied; answers how many. The connection is not used again:
/// its end gives the lock back.
pub(super) async fn migrate(connection: Connection, component: &str, dir: &Path, now: i64) -> anyhow::Result<u32> {
    let files = migrations::files(dir, "postgres")?;
    let Connection { client, database, .. } = &connection;
    client.batch_execute(SETTINGS).await?;
    client.execute("SELECT pg_advisory_lock($1)", &[&schema::LOCK]).await?;
    schema::ensure_component(client, database, component).await?;
    let applied = client.query("SELECT component, number, digest FROM souk.migrations", &[]).await?;
    let applied: Vec<_> = applied
        .iter()
        .map(|row| {
            let number = u32::try_from(row.get::<_, i64>(1)).context("a stored number of a migration is not one")?;
            Ok(Applied { component: row.get(0), number, digest: row.get(2) })
        })
        .collect::<anyhow::Result<_>>()?;
    let mut count = 0;
    for migration in migrations::pending(&applied, component, files)? {
        apply(client, database, component, &migration, now)
            .await
            .map_err(|reason| anyhow::anyhow!("{}: {reason}", dir.join(&migration.name).display()))?;
        count += 1;
    }
    Ok(count)
}

/// Applies one migration, all of it or nothing.
async fn apply(
    client: &Client,
    database: &str,
    component: &str,
    migration: &Migration,
    now: i64,
) -> Result<(), String> {
    let failed = |error: tokio_postgres::Error| said(&error);
    let prefix = shape::prefix(component)?;
    shape::check_migration(&migration.sql)?;
    let statements = guard::statements(&migration.sql)?;
    let (role, schema) = (schema::role(database, component), schema::name(component));
    client.batch_execute("BEGIN").await.map_err(failed)?;
    client.execute(ENTER, &[&role, &schema]).await.map_err(failed)?;
    for statement in statements {
        // Prepared, so that the server takes one statement and no more, whatever the text looks like to it.
        client.execute(statement, &[]).await.map_err(failed)?;
    }
    client.batch_execute(LEAVE).await.map_err(failed)?;
    let foreign = client
        .query_opt(
            "SELECT relname::TEXT FROM pg_class
             WHERE relnamespace = to_regnamespace($1) AND NOT starts_with(relname::TEXT, $2) LIMIT 1",
            &[&schema, &&*prefix],
        )
        .await
        .map_err(failed)?;
    if let Some(row) = foreign {
        return Err(format!("it makes `{}`, a name that does not start with `{prefix}`", row.get::<_, &str>(0)));
    }
    client
        .execute(
            "INSERT INTO souk.migrations (component, number, name, digest, applied_at) VALUES ($1, $2, $3, $4, $5)",
            &[&component, &i64::from(migration.number), &migration.name, &migration.digest, &now],
        )
        .await
        .map_err(failed)?;
    client.batch_execute("COMMIT").await.map_err(failed)
}
