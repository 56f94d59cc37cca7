//! `kv`, in the database beside the rows.
//!
//! Spin's own key-value store is not used. Its compare-and-swap of an absent key overwrites whatever came in between
//! (Spin 4.0.2, `key-value-spin`: `INSERT ... ON CONFLICT DO UPDATE`), it removes a key only unconditionally, and keeps no
//! time to live; a cart or a claim on an order must not rest on that. Here each operation is one guarded statement.
//!
//! A version is a random number: two writes of one key get the same with a chance of one in 2^63.

use souk_store::limits::{check_kv_key, check_kv_value, check_ttl};
use souk_store::values::{Condition, Entry, KvError, Value};

use super::{Connection, Failure, first, optional, text, transaction, write};

/// Whose keys these are, and when it is.
#[derive(Clone, Copy)]
pub struct Owner<'a> {
    /// The component.
    pub component: &'a str,
    /// Milliseconds since 1970.
    pub now: i64,
}

/// A version from random bytes. Never zero.
pub fn version(chance: [u8; 8]) -> i64 {
    (i64::from_le_bytes(chance) & i64::MAX).max(1)
}

/// `kv.get`.
pub fn get(connection: &impl Connection, owner: Owner<'_>, key: &str) -> Result<Option<Entry>, KvError> {
    check_kv_key(key)?;
    let row = first(
        connection,
        "SELECT value, version FROM souk_kv
         WHERE component = ?1 AND key = ?2 AND (expires_at IS NULL OR expires_at > ?3)",
        &[text(owner.component), text(key), Value::Integer(owner.now)],
    )?;
    row.map(|mut row| Ok(Entry { value: row.text()?, version: row.integer()?.unsigned_abs() })).transpose()
}

/// `kv.set`. The new version comes from outside.
pub fn set(
    connection: &impl Connection,
    owner: Owner<'_>,
    key: &str,
    value: &str,
    condition: Condition,
    ttl_seconds: Option<u64>,
    version: i64,
) -> Result<u64, KvError> {
    check_kv_key(key)?;
    check_kv_value(value)?;
    let expires_at = check_ttl(ttl_seconds)?.map(|ttl| owner.now + ttl);
    let mut params = vec![text(owner.component), text(key), text(value), Value::Integer(version), optional(expires_at)];
    let sql = match condition {
        Condition::Always => {
            "INSERT INTO souk_kv (component, key, value, version, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (component, key) DO UPDATE
             SET value = excluded.value, version = excluded.version, expires_at = excluded.expires_at"
        }
        Condition::Absent => {
            params.push(Value::Integer(owner.now));
            "INSERT INTO souk_kv (component, key, value, version, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (component, key) DO UPDATE
             SET value = excluded.value, version = excluded.version, expires_at = excluded.expires_at
             WHERE souk_kv.expires_at <= ?6"
        }
        Condition::Version(present) => {
            params.extend([Value::Integer(owner.now), Value::Integer(stored(present)?)]);
            "UPDATE souk_kv SET value = ?3, version = ?4, expires_at = ?5
             WHERE component = ?1 AND key = ?2 AND (expires_at IS NULL OR expires_at > ?6) AND version = ?7"
        }
    };
    match write(connection, sql, &params)? {
        0 => Err(KvError::Conflict),
        _ => Ok(version.unsigned_abs()),
    }
}

/// `kv.delete`.
pub fn delete(connection: &impl Connection, owner: Owner<'_>, key: &str, condition: Condition) -> Result<(), KvError> {
    check_kv_key(key)?;
    let mut params = vec![text(owner.component), text(key)];
    match condition {
        Condition::Always => {
            write(connection, "DELETE FROM souk_kv WHERE component = ?1 AND key = ?2", &params)?;
            Ok(())
        }
        Condition::Absent => Err(KvError::Invalid("what is absent cannot be deleted".into())),
        Condition::Version(present) => {
            params.extend([Value::Integer(owner.now), Value::Integer(stored(present)?)]);
            let sql = "DELETE FROM souk_kv
                 WHERE component = ?1 AND key = ?2 AND (expires_at IS NULL OR expires_at > ?3) AND version = ?4";
            if write(connection, sql, &params)? == 0 { Err(KvError::Conflict) } else { Ok(()) }
        }
    }
}

/// `kv.increment`. The new version comes from outside.
pub fn increment(
    connection: &impl Connection,
    owner: Owner<'_>,
    key: &str,
    by: i64,
    ttl_seconds: Option<u64>,
    version: i64,
) -> Result<i64, KvError> {
    check_kv_key(key)?;
    let ttl = check_ttl(ttl_seconds)?;
    let invalid = |reason: &str| KvError::Invalid(reason.into());
    transaction(connection, || {
        let row = first(
            connection,
            "SELECT value, expires_at FROM souk_kv
             WHERE component = ?1 AND key = ?2 AND (expires_at IS NULL OR expires_at > ?3)",
            &[text(owner.component), text(key), Value::Integer(owner.now)],
        )?;
        let (present, expires_at) = match row {
            Some(mut row) => {
                let number = row.text()?.parse().map_err(|_| invalid("the value is not a number"))?;
                (number, row.optional_integer()?)
            }
            None => (0, ttl.map(|ttl| owner.now + ttl)),
        };
        let sum = i64::checked_add(present, by).ok_or_else(|| invalid("the sum overflows"))?;
        let value = sum.to_string();
        write(
            connection,
            "INSERT INTO souk_kv (component, key, value, version, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (component, key) DO UPDATE
             SET value = excluded.value, version = excluded.version, expires_at = excluded.expires_at",
            &[text(owner.component), text(key), text(&value), Value::Integer(version), optional(expires_at)],
        )?;
        Ok(sum)
    })
}

/// A version as it is stored, where there can be such a one.
fn stored(version: u64) -> Result<i64, KvError> {
    i64::try_from(version).map_err(|_| KvError::Conflict)
}

/// Removes some keys whose time is over.
pub fn sweep(connection: &impl Connection, now: i64, rows_max: i64) -> Result<(), Failure> {
    let sql = "DELETE FROM souk_kv WHERE rowid IN
             (SELECT rowid FROM souk_kv WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";
    write(connection, sql, &[Value::Integer(now), Value::Integer(rows_max)])?;
    Ok(())
}
