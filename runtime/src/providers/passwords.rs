//! `passwords`: Argon2id on threads of its own, behind a short queue.
//!
//! A hash takes about 14 ms of a processor and 19 MiB. Half of the processors at most do this work, so
//! sign-ins that flood in wait for each other and not the rest of the shop for them.

use std::sync::Arc;

use argon2::password_hash::PasswordHasher as _;
use argon2::password_hash::PasswordVerifier as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};
use prometheus::{IntGauge, Registry};
use tokio::sync::Semaphore;

use crate::ports::bindings::souk::shop::passwords::{PasswordError, Verdict};

/// The longest password, in bytes.
const PASSWORD_BYTES_MAX: usize = 1_024;
/// The longest hash, in bytes.
const HASH_BYTES_MAX: usize = 200;
/// Memory of a new hash, in KiB: OWASP's floor.
const MEMORY_KIB: u32 = 19_456;
/// Passes of a new hash.
const PASSES: u32 = 2;
/// Lanes of a new hash.
const LANES: u32 = 1;
/// The most memory that an old hash may ask for, in KiB.
const MEMORY_KIB_MAX: u32 = 4 * MEMORY_KIB;
/// The most passes that an old hash may ask for.
const PASSES_MAX: u32 = 10;
/// Passwords that may wait for a thread.
const QUEUE_MAX: i64 = 64;

/// The pool.
pub(super) struct Passwords {
    threads: usize,
    slots: Arc<Semaphore>,
    /// Passwords that are being hashed or wait for it.
    queue: IntGauge,
}

impl Passwords {
    /// A pool of half the processors, whose queue is counted.
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Passwords> {
        let queue = IntGauge::new("souk_passwords_queue", "Passwords being hashed or waiting for it")?;
        registry.register(Box::new(queue.clone()))?;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = (processors / 2).max(1);
        Ok(Passwords { threads, slots: Arc::new(Semaphore::new(threads)), queue })
    }

    /// `passwords.hash`.
    pub(super) async fn hash(&self, password: String) -> Result<String, PasswordError> {
        check(&password)?;
        self.run(move || hash(&password)).await
    }

    /// `passwords.verify`.
    pub(super) async fn verify(&self, password: String, hash: String) -> Result<Verdict, PasswordError> {
        check(&password)?;
        if hash.len() > HASH_BYTES_MAX {
            return Err(PasswordError::Invalid("the hash is not one".into()));
        }
        self.run(move || verify(&password, &hash)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let waiting = Waiting::enter(self.queue.clone());
        if waiting.count > QUEUE_MAX + i64::try_from(self.threads).unwrap_or_default() {
            return Err(PasswordError::Busy);
        }
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| PasswordError::Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            // Held until the work is done, even when nobody waits for it any more.
            let _held = (slot, waiting);
            work()
        });
        done.await.unwrap_or(Err(PasswordError::Busy))
    }
}

/// A place in the queue.
struct Waiting {
    queue: IntGauge,
    count: i64,
}

impl Waiting {
    fn enter(queue: IntGauge) -> Waiting {
        queue.inc();
        Waiting { count: queue.get(), queue }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.queue.dec();
    }
}

fn check(password: &str) -> Result<(), PasswordError> {
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(PasswordError::Invalid(format!("a password has at most {PASSWORD_BYTES_MAX} bytes")));
    }
    Ok(())
}

fn current() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("these parameters are within Argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &str) -> Result<String, PasswordError> {
    let hash = current().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| PasswordError::Invalid(error.to_string()))
}

fn verify(password: &str, hash: &str) -> Result<Verdict, PasswordError> {
    if hash.is_empty() {
        // As long as for an account that exists. The salt is no secret here, since the result is thrown away.
        let mut nothing = [0; Params::DEFAULT_OUTPUT_LEN];
        current()
            .hash_password_into(password.as_bytes(), &[0; argon2::RECOMMENDED_SALT_LEN], &mut nothing)
            .map_err(|error| PasswordError::Invalid(error.to_string()))?;
        return Ok(Verdict::Wrong);
    }
    let invalid = || PasswordError::Invalid("the hash is not one".into());
    let parsed = PasswordHash::new(hash).map_err(|_| invalid())?;
    let algorithm = Algorithm::new(parsed.algorithm.as_str()).map_err(|_| invalid())?;
    let params = Params::try_from(&parsed).map_err(|_| invalid())?;
    if parsed.hash.is_none() || params.m_cost() > MEMORY_KIB_MAX || params.t_cost() > PASSES_MAX {
        return Err(invalid());
    }
    if current().verify_password(password.as_bytes(), &parsed).is_err() {
        return Ok(Verdict::Wrong);
    }
    let is_current = algorithm == Algorithm::Argon2id && params.m_cost() >= MEMORY_KIB && params.t_cost() >= PASSES;
    Ok(if is_current { Verdict::Right } else { Verdict::RightRehash })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Algorithm, Argon2, Params, Passwords, QUEUE_MAX, Version};
    use crate::ports::bindings::souk::shop::passwords::{PasswordError, Verdict};
    use argon2::PasswordHasher as _;

    fn pool() -> Arc<Passwords> {
        Arc::new(Passwords::new(&prometheus::Registry::new()).expect("the registry is empty"))
    }

    #[tokio::test]
    async fn a_password_matches_its_own_hash_alone() {
        let pool = pool();
        let hash = pool.hash("pass phrase".into()).await.expect("it hashes");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && hash.len() <= 200, "{hash}");
        let again = pool.hash("pass phrase".into()).await.expect("it hashes");
        assert_ne!(hash, again, "the salt is fresh");
        let weak = Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            Params::new(8, 1, 1, None).expect("small parameters are allowed"),
        );
        let weak = weak.hash_password(b"pass phrase").expect("it hashes").to_string();
        for (password, hash, expected) in [
            ("pass phrase", hash.as_str(), Verdict::Right),
            ("pass phrasE", hash.as_str(), Verdict::Wrong),
            ("", hash.as_str(), Verdict::Wrong),
            ("pass phrase", weak.as_str(), Verdict::RightRehash),
            ("pass phrasE", weak.as_str(), Verdict::Wrong),
            ("pass phrase", "", Verdict::Wrong),
        ] {
            let verdict = pool.verify(password.into(), hash.into()).await.expect("the hash is one");
            assert_eq!(verdict, expected, "{password} {hash}");
        }
    }

    #[tokio::test]
    async fn what_is_not_a_hash_is_invalid() {
        let pool = pool();
        for hash in [
            "x",
            "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ",
            "$argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=19456,t=4000000,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$2b$10$abcdefghijklmnopqrstuv",
        ] {
            let answer = pool.verify("a".into(), hash.into()).await;
            assert!(matches!(answer, Err(PasswordError::Invalid(_))), "{hash}: {answer:?}");
        }
        let long = "a".repeat(1_025);
        assert!(matches!(pool.hash(long.clone()).await, Err(PasswordError::Invalid(_))));
        assert!(matches!(pool.verify(long, String::new()).await, Err(PasswordError::Invalid(_))));
    }

    #[tokio::test]
    async fn a_flood_is_turned_away() {
        let pool = pool();
        let places = usize::try_from(QUEUE_MAX).expect("it is small") + pool.threads;
        let _taken =
            Arc::clone(&pool.slots).acquire_many_owned(u32::try_from(pool.threads).expect("it is small")).await;
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..places {
            let pool = Arc::clone(&pool);
            waiting.spawn(async move { pool.hash("a".into()).await });
        }
        while pool.queue.get() < i64::try_from(places).expect("it is small") {
            tokio::task::yield_now().await;
        }
        assert!(matches!(pool.hash("a".into()).await, Err(PasswordError::Busy)));
        waiting.shutdown().await;
        assert_eq!(pool.queue.get(), 0, "whoever gives up leaves the queue");
    }
}
