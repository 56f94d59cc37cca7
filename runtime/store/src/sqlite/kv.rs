//! `kv` on the same file and the same flush as `sql`.

use rusqlite::OptionalExtension;

use super::Stop;
use super::session::Session;
use super::writer::Tx;
use crate::values::{Condition, Entry, KvError};

/// What is stored under a key and has not expired.
struct Row {
    value: String,
    version: i64,
    expires_at: Option<i64>,
}

fn read(session: &Session, component: &str, key: &str, now: i64) -> rusqlite::Result<Option<Row>> {
    let mut statement = session.host(
        "SELECT value, version, expires_at FROM souk_kv
         WHERE component = ?1 AND key = ?2 AND (expires_at IS NULL OR expires_at > ?3)",
    )?;
    statement
        .query_row((component, key, now), |row| {
            Ok(Row { value: row.get(0)?, version: row.get(1)?, expires_at: row.get(2)? })
        })
        .optional()
}

fn write(tx: &Tx<'_>, component: &str, key: &str, value: &str, expires_at: Option<i64>) -> rusqlite::Result<u64> {
    let version = tx.next_version();
    tx.host(
        "INSERT INTO souk_kv (component, key, value, version, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (component, key) DO UPDATE
         SET value = excluded.value, version = excluded.version, expires_at = excluded.expires_at",
    )?
    .execute((component, key, value, version, expires_at))?;
    Ok(version.unsigned_abs())
}

/// `kv.get`.
pub(super) fn get(session: &Session, component: &str, key: &str, now: i64) -> Result<Option<Entry>, Stop<KvError>> {
    let row = read(session, component, key, now)?;
    Ok(row.map(|row| Entry { value: row.value, version: row.version.unsigned_abs() }))
}

/// `kv.set`.
pub(super) fn set(
    tx: &Tx<'_>,
    component: &str,
    key: &str,
    value: &str,
    condition: Condition,
    ttl_ms: Option<i64>,
) -> Result<u64, Stop<KvError>> {
    if !matches!(condition, Condition::Always) {
        check(condition, read(tx.session(), component, key, tx.now)?)?;
    }
    Ok(write(tx, component, key, value, ttl_ms.map(|ttl| tx.now + ttl))?)
}

/// `kv.delete`.
pub(super) fn delete(tx: &Tx<'_>, component: &str, key: &str, condition: Condition) -> Result<(), Stop<KvError>> {
    check(condition, read(tx.session(), component, key, tx.now)?)?;
    tx.host("DELETE FROM souk_kv WHERE component = ?1 AND key = ?2")?.execute((component, key))?;
    Ok(())
}

/// `kv.increment`.
pub(super) fn increment(
    tx: &Tx<'_>,
    component: &str,
    key: &str,
    by: i64,
    ttl_ms: Option<i64>,
) -> Result<i64, Stop<KvError>> {
    let invalid = |reason: &str| Stop::Refused(KvError::Invalid(reason.into()));
    let (present, expires_at) = match read(tx.session(), component, key, tx.now)? {
        Some(row) => (row.value.parse().map_err(|_| invalid("the value is not a number"))?, row.expires_at),
        None => (0, ttl_ms.map(|ttl| tx.now + ttl)),
    };
    let sum = i64::checked_add(present, by).ok_or_else(|| invalid("the sum overflows"))?;
    write(tx, component, key, &sum.to_string(), expires_at)?;
    Ok(sum)
}

fn check(condition: Condition, row: Option<Row>) -> Result<(), Stop<KvError>> {
    let holds = match condition {
        Condition::Always => true,
        Condition::Absent => row.is_none(),
        Condition::Version(version) => row.is_some_and(|row| row.version.unsigned_abs() == version),
    };
    if holds { Ok(()) } else { Err(Stop::Refused(KvError::Conflict)) }
}
