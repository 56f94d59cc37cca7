//! `kv`: each operation is one statement.

use tokio_postgres::Error;

use super::failure::{Stop, classify};
use super::pool::Connection;
use crate::values::{Condition, Entry, KvError};

const GET: &str = "
    SELECT value, version FROM souk.kv
    WHERE component = $1 AND key = $2 AND (expires_at IS NULL OR expires_at > $3)";

const SET: &str = "
    INSERT INTO souk.kv (component, key, value, version, expires_at) VALUES ($1, $2, $3, nextval('souk.versions'), $4)
    ON CONFLICT (component, key) DO UPDATE
    SET value = excluded.value, version = excluded.version, expires_at = excluded.expires_at
    RETURNING version";

const SET_ABSENT: &str = "
    INSERT INTO souk.kv AS k (component, key, value, version, expires_at)
    VALUES ($1, $2, $3, nextval('souk.versions'), $4)
    ON CONFLICT (component, key) DO UPDATE
    SET value = excluded.value, version = excluded.version, expires_at = excluded.expires_at
    WHERE k.expires_at <= $5
    RETURNING version";

const SET_VERSION: &str = "
    UPDATE souk.kv SET value = $3, version = nextval('souk.versions'), expires_at = $4
    WHERE component = $1 AND key = $2 AND version = $6 AND (expires_at IS NULL OR expires_at > $5)
    RETURNING version";

const DELETE: &str = "DELETE FROM souk.kv WHERE component = $1 AND key = $2";

const DELETE_VERSION: &str = "
    DELETE FROM souk.kv
    WHERE component = $1 AND key = $2 AND version = $4 AND (expires_at IS NULL OR expires_at > $3)";

// No row comes back when what is there is not a number.
const INCREMENT: &str = "
    INSERT INTO souk.kv AS k (component, key, value, version, expires_at)
    VALUES ($1, $2, ($3::BIGINT)::TEXT, nextval('souk.versions'), $4)
    ON CONFLICT (component, key) DO UPDATE SET
        value = CASE WHEN k.expires_at <= $5 THEN excluded.value ELSE (k.value::BIGINT + $3)::TEXT END,
        version = excluded.version,
        expires_at = CASE WHEN k.expires_at <= $5 THEN excluded.expires_at ELSE k.expires_at END
    WHERE k.expires_at <= $5 OR k.value ~ '^[-+]?[0-9]{1,19}$'
    RETURNING value::BIGINT";

/// SQLSTATE of a number that does not fit.
const OUT_OF_RANGE: &str = "22003";

/// A key of a component.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    /// Whose it is.
    pub(super) component: &'a str,
    /// Its name.
    pub(super) key: &'a str,
    /// The present, in milliseconds since 1970.
    pub(super) now: i64,
}

/// `kv.get`.
pub(super) async fn get(connection: &mut Connection, at: Key<'_>) -> Result<Option<Entry>, Stop<KvError>> {
    let statement = connection.own(GET).await?;
    let row = connection.client.query_opt(&statement, &[&at.component, &at.key, &at.now]).await?;
    Ok(row.map(|row| Entry { value: row.get(0), version: row.get::<_, i64>(1).unsigned_abs() }))
}

/// `kv.set`.
pub(super) async fn set(
    connection: &mut Connection,
    at: Key<'_>,
    value: &str,
    condition: Condition,
    ttl_ms: Option<i64>,
) -> Result<u64, Stop<KvError>> {
    let expires_at = ttl_ms.map(|ttl| at.now + ttl);
    let Key { component, key, now } = at;
    let row = match condition {
        Condition::Always => {
            let statement = connection.own(SET).await?;
            connection.client.query_opt(&statement, &[&component, &key, &value, &expires_at]).await?
        }
        Condition::Absent => {
            let statement = connection.own(SET_ABSENT).await?;
            connection.client.query_opt(&statement, &[&component, &key, &value, &expires_at, &now]).await?
        }
        Condition::Version(version) => {
            let (statement, version) = (connection.own(SET_VERSION).await?, numbered(version)?);
            connection.client.query_opt(&statement, &[&component, &key, &value, &expires_at, &now, &version]).await?
        }
    };
    let row = row.ok_or(Stop::Refused(KvError::Conflict))?;
    Ok(row.get::<_, i64>(0).unsigned_abs())
}

/// `kv.delete`.
pub(super) async fn delete(
    connection: &mut Connection,
    at: Key<'_>,
    condition: Condition,
) -> Result<(), Stop<KvError>> {
    let Key { component, key, now } = at;
    match condition {
        Condition::Always => {
            let statement = connection.own(DELETE).await?;
            connection.client.execute(&statement, &[&component, &key]).await?;
            Ok(())
        }
        Condition::Absent => Err(Stop::Refused(KvError::Conflict)),
        Condition::Version(version) => {
            let (statement, version) = (connection.own(DELETE_VERSION).await?, numbered(version)?);
            match connection.client.execute(&statement, &[&component, &key, &now, &version]).await? {
                0 => Err(Stop::Refused(KvError::Conflict)),
                _ => Ok(()),
            }
        }
    }
}

/// `kv.increment`.
pub(super) async fn increment(
    connection: &mut Connection,
    at: Key<'_>,
    by: i64,
    ttl_ms: Option<i64>,
) -> Result<i64, Stop<KvError>> {
    let expires_at = ttl_ms.map(|ttl| at.now + ttl);
    let statement = connection.own(INCREMENT).await?;
    let added = connection.client.query_opt(&statement, &[&at.component, &at.key, &by, &expires_at, &at.now]).await;
    match added.map_err(|error| overflow(&error))? {
        Some(row) => Ok(row.get(0)),
        None => Err(Stop::Refused(KvError::Invalid("the value is not a number".into()))),
    }
}

fn overflow(error: &Error) -> Stop<KvError> {
    match error.as_db_error() {
        Some(database) if database.code().code() == OUT_OF_RANGE => {
            Stop::Refused(KvError::Invalid("the sum overflows".into()))
        }
        _ => classify(error).into(),
    }
}

/// A version as it is stored; no key has one that does not fit.
fn numbered(version: u64) -> Result<i64, Stop<KvError>> {
    i64::try_from(version).map_err(|_| Stop::Refused(KvError::Conflict))
}
