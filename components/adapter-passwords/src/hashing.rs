//! Hashes and comparisons, as functions of their arguments.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};

/// The longest password, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 1_024;
/// The longest hash, in bytes.
pub const HASH_BYTES_MAX: usize = 200;
/// Random bytes in a salt.
pub const SALT_BYTES: usize = argon2::RECOMMENDED_SALT_LEN;
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

/// What a comparison says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is another password.
    Wrong,
    /// It is the password.
    Right,
    /// It is the password, and its hash has older parameters.
    RightRehash,
}

/// The password or the hash is none; the text is for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(pub String);

/// Hashes a password. The salt is fresh for every call.
pub fn hash(password: &str, salt: [u8; SALT_BYTES]) -> Result<String, Invalid> {
    check(password)?;
    let hash = current().hash_password_with_salt(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|error| Invalid(error.to_string()))
}

/// Compares in constant time. An empty hash costs the same and is wrong.
pub fn verify(password: &str, hash: &str) -> Result<Verdict, Invalid> {
    check(password)?;
    if hash.is_empty() {
        // As long as for an account that exists. The salt is no secret here, since the result is thrown away.
        let mut nothing = [0; Params::DEFAULT_OUTPUT_LEN];
        current()
            .hash_password_into(password.as_bytes(), &[0; SALT_BYTES], &mut nothing)
            .map_err(|error| Invalid(error.to_string()))?;
        return Ok(Verdict::Wrong);
    }
    let none = || Invalid("the hash is not one".to_owned());
    if hash.len() > HASH_BYTES_MAX {
        return Err(none());
    }
    let parsed = PasswordHash::new(hash).map_err(|_| none())?;
    let algorithm = Algorithm::new(parsed.algorithm.as_str()).map_err(|_| none())?;
    let params = Params::try_from(&parsed).map_err(|_| none())?;
    if parsed.hash.is_none() || params.m_cost() > MEMORY_KIB_MAX || params.t_cost() > PASSES_MAX {
        return Err(none());
    }
    if current().verify_password(password.as_bytes(), &parsed).is_err() {
        return Ok(Verdict::Wrong);
    }
    let is_current = algorithm == Algorithm::Argon2id && params.m_cost() >= MEMORY_KIB && params.t_cost() >= PASSES;
    Ok(if is_current { Verdict::Right } else { Verdict::RightRehash })
}

fn check(password: &str) -> Result<(), Invalid> {
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(Invalid(format!("a password has at most {PASSWORD_BYTES_MAX} bytes")));
    }
    Ok(())
}

fn current() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("these parameters are within Argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

#[cfg(test)]
mod tests {
    use super::{Invalid, SALT_BYTES, Verdict, hash, verify};

    /// `pass phrase`, as it was hashed once: what is stored somewhere has to stay good.
    const STORED: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$c2l4dGVlbiBieXRlcyBvaw$meSPF7Pkrvt1bZ5AHCv98n36ra0oFR07DFtljQABbRI";
    /// `pass phrase` with 64 KiB and one pass.
    const WEAK: &str = "$argon2id$v=19$m=64,t=1,p=1$c2l4dGVlbiBieXRlcyBvaw$UA/jBe3O0HgthjnMm6YxyzcQKcQkLVSvR+DJ3W335NI";

    #[test]
    fn a_password_matches_its_own_hash_alone() {
        let own = hash("pass phrase", [7; SALT_BYTES]).expect("it hashes");
        assert!(own.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && own.len() <= 200, "{own}");
        for (password, hash, expected) in [
            ("pass phrase", own.as_str(), Verdict::Right),
            ("pass phrasE", own.as_str(), Verdict::Wrong),
            ("", own.as_str(), Verdict::Wrong),
            ("pass phrase", STORED, Verdict::Right),
            ("pass phrasE", STORED, Verdict::Wrong),
            ("pass phrase", WEAK, Verdict::RightRehash),
            ("pass phrasE", WEAK, Verdict::Wrong),
            ("pass phrase", "", Verdict::Wrong),
        ] {
            assert_eq!(verify(password, hash), Ok(expected), "{password} {hash}");
        }
    }

    #[test]
    fn what_is_not_a_hash_is_invalid() {
        for hash in [
            "x",
            "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ",
            "$argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=19456,t=4000000,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$2b$10$abcdefghijklmnopqrstuv",
        ] {
            assert!(matches!(verify("a", hash), Err(Invalid(_))), "{hash}");
        }
        let long = "a".repeat(1_025);
        assert!(matches!(hash(&long, [0; SALT_BYTES]), Err(Invalid(_))));
        assert!(matches!(verify(&long, ""), Err(Invalid(_))));
    }
}
