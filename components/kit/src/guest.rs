//! What stands behind the ports inside a component: the imports. For `component.rs` alone.

use crate::bindings::souk::shop::{config, kv, log, passwords, sql};
use crate::bindings::wasi::{clocks::wall_clock, random::random};
use crate::ports::{Call, Config, Kv, Passwords, Sql};
use crate::types::{Context, Instant};

/// The imports of this component. A port that is never called is not imported.
pub struct Host;

/// Starts a call: installs the panic hook and reads the clock, once.
pub fn start(ctx: Context) -> Call {
    report_panics();
    Call { ctx, now: now() }
}

/// Milliseconds since 1970 UTC.
pub fn now() -> Instant {
    let time = wall_clock::now();
    let millis = time.seconds * 1000 + u64::from(time.nanoseconds) / 1_000_000;
    Instant::try_from(millis).expect("the clock is before the year 292 million")
}

/// Random bytes for ids and tokens.
pub fn entropy<const N: usize>() -> [u8; N] {
    random::get_random_bytes(N as u64).try_into().expect("the host gives as many bytes as asked for")
}

/// Writes a panic to the host's log before the instance ends.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| log::error(&panic.to_string())));
}

impl Sql for Host {
    fn query(&self, reads: &[sql::Read], batch_id: Option<&str>) -> Result<sql::Snapshot, sql::SqlError> {
        sql::query(reads, batch_id)
    }

    fn commit(&self, batch: &sql::Batch) -> Result<Vec<u64>, sql::SqlError> {
        sql::commit(batch)
    }
}

impl Kv for Host {
    fn get(&self, key: &str) -> Result<Option<kv::Entry>, kv::KvError> {
        kv::get(key)
    }

    fn set(
        &self,
        key: &str,
        value: &str,
        condition: kv::Condition,
        ttl_seconds: Option<u64>,
    ) -> Result<u64, kv::KvError> {
        kv::set(key, value, condition, ttl_seconds)
    }

    fn delete(&self, key: &str, condition: kv::Condition) -> Result<(), kv::KvError> {
        kv::delete(key, condition)
    }

    fn increment(&self, key: &str, by: i64, ttl_seconds: Option<u64>) -> Result<i64, kv::KvError> {
        kv::increment(key, by, ttl_seconds)
    }
}

impl Passwords for Host {
    fn hash(&self, password: &str) -> Result<String, passwords::PasswordError> {
        passwords::hash(password)
    }

    fn verify(&self, password: &str, hash: &str) -> Result<passwords::Verdict, passwords::PasswordError> {
        passwords::verify(password, hash)
    }
}

impl Config for Host {
    fn get(&self, name: &str) -> Option<String> {
        config::get(name)
    }
}
