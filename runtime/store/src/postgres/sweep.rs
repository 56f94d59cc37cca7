//! Removing rows whose time is over, a bounded number at a time. Several hosts may do it at once.

use tokio_postgres::Error;

use super::failure::Trouble;
use super::failure::classify;
use super::pool::Connection;

/// Rows that one statement removes at most.
const ROWS_MAX: i64 = 1_000;
/// Statements for each table in one sweep.
const ROUNDS_MAX: usize = 20;
/// How long the id of a batch is kept, in milliseconds. Seven days are promised.
const BATCH_ID_KEPT_MS: i64 = 8 * 24 * 3_600 * 1_000;

const KEYS: &str = "
    WITH expired AS MATERIALIZED (
        SELECT component, key FROM souk.kv WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)
    DELETE FROM souk.kv k USING expired e WHERE k.component = e.component AND k.key = e.key";
const BATCHES: &str = "
    WITH old AS MATERIALIZED (
        SELECT component, id FROM souk.batches WHERE committed_at < $1 ORDER BY committed_at LIMIT $2
        FOR UPDATE SKIP LOCKED)
    DELETE FROM souk.batches b USING old o WHERE b.component = o.component AND b.id = o.id";

/// Removes expired keys and old ids of batches.
pub(super) async fn sweep(connection: &mut Connection, now: i64) -> Result<(), Trouble> {
    for (sql, before) in [(KEYS, now), (BATCHES, now - BATCH_ID_KEPT_MS)] {
        let statement = connection.own(sql).await?;
        for _ in 0..ROUNDS_MAX {
            let removed: Result<u64, Error> = connection.client.execute(&statement, &[&before, &ROWS_MAX]).await;
            if removed.map_err(|error| classify(&error))? < ROWS_MAX.unsigned_abs() {
                break;
            }
        }
    }
    Ok(())
}
