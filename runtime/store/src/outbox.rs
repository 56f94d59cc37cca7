//! What a failed delivery means, the same on every engine.

/// Failures after which a delivery is given up.
const ATTEMPTS_MAX: i64 = 10;
/// How long after the first failure a delivery is repeated, in milliseconds. Doubled each time.
const BACKOFF_FIRST_MS: i64 = 1_000;
/// The longest time between two deliveries, in milliseconds.
const BACKOFF_MAX_MS: i64 = 3_600_000;
/// How much of a subscriber's error is kept, in bytes.
const ERROR_BYTES_MAX: usize = 1_000;

/// What becomes of a delivery that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is repeated after this many milliseconds.
    RepeatAfter(i64),
    /// It is given up.
    Dead,
}

/// What becomes of a delivery that has failed this many times.
pub fn after_failures(attempts: i64) -> Next {
    if attempts >= ATTEMPTS_MAX {
        return Next::Dead;
    }
    let doublings = u32::try_from(attempts - 1).unwrap_or_default();
    Next::RepeatAfter((BACKOFF_FIRST_MS << doublings).min(BACKOFF_MAX_MS))
}

/// The part of a subscriber's error that is kept.
pub fn kept(error: &str) -> &str {
    &error[..error.floor_char_boundary(ERROR_BYTES_MAX)]
}
