//! Windows of counting: how many tries are considered from one address, for one account.
//!
//! A try is counted before it is looked at, so a thousand at once are no more than a thousand one by one. A window
//! starts with its first try. The subjects are kept as digests: a counter names nobody.

use souk_kit::ids::digest;
use souk_kit::kv::{Condition, KvError};
use souk_kit::user::UserError;
use souk_kit::{Call, Config, Kv};

use crate::domain::account::email_key;

use super::Ports;

/// How many tries a window has room for.
#[derive(Clone, Copy)]
struct Window {
    name: &'static str,
    tries: i64,
    seconds: u32,
}

const QUARTER: u32 = 15 * 60;
const HOUR: u32 = 60 * 60;

const SIGN_IN_BY_CLIENT: Window = Window { name: "sign-in-client", tries: 100, seconds: QUARTER };
const SIGN_IN_OF_ACCOUNT: Window = Window { name: "sign-in-account", tries: 10, seconds: QUARTER };
const REGISTER_BY_CLIENT: Window = Window { name: "register-client", tries: 20, seconds: HOUR };
const MAIL_BY_CLIENT: Window = Window { name: "mail-client", tries: 20, seconds: HOUR };
const RESET_OF_ADDRESS: Window = Window { name: "reset-address", tries: 5, seconds: HOUR };
const VERIFICATION_OF_ADDRESS: Window = Window { name: "verification-address", tries: 5, seconds: HOUR };

/// Tries that were counted.
pub struct Tries {
    keys: Vec<(String, u32)>,
}

impl Tries {
    /// Takes them back: they turned out to be no failures.
    pub fn forgive(self, ports: &impl Ports) {
        for (key, seconds) in self.keys {
            // The caller has succeeded already. A try that stays counted only makes the window a little smaller.
            let _ = ports.increment(&key, -1, Some(u64::from(seconds)));
        }
    }

    /// Takes them back unless they ended with a wrong password: nothing else is a failure to be counted.
    pub fn forgive_unless_wrong<T>(self, ports: &impl Ports, outcome: &Result<T, UserError>) {
        if !matches!(outcome, Err(UserError::WrongCredentials)) {
            self.forgive(ports);
        }
    }
}

/// Counts a try of a password.
pub fn sign_in(ports: &impl Ports, call: &Call, email: &str) -> Result<Tries, UserError> {
    // The client's window comes first: who has used it up can no longer fill that of an account.
    let client = count(ports, call, SIGN_IN_BY_CLIENT, &call.ctx.client)?;
    let account = count(ports, call, SIGN_IN_OF_ACCOUNT, &email_key(email))?;
    Ok(Tries { keys: client.into_iter().chain(account).collect() })
}

/// Counts a registration.
pub fn register(ports: &impl Ports, call: &Call) -> Result<(), UserError> {
    count(ports, call, REGISTER_BY_CLIENT, &call.ctx.client).map(drop)
}

/// Counts a request for a reset token.
pub fn request_reset(ports: &impl Ports, call: &Call, email: &str) -> Result<(), UserError> {
    count(ports, call, MAIL_BY_CLIENT, &call.ctx.client)?;
    count(ports, call, RESET_OF_ADDRESS, &email_key(email)).map(drop)
}

/// Counts a request for a verification token.
pub fn request_verification(ports: &impl Ports, call: &Call, email: &str) -> Result<(), UserError> {
    count(ports, call, MAIL_BY_CLIENT, &call.ctx.client)?;
    count(ports, call, VERIFICATION_OF_ADDRESS, &email_key(email)).map(drop)
}

/// Counts a try, or says how long its window is full. A call without a client address has none to count by.
fn count(ports: &impl Ports, call: &Call, window: Window, subject: &str) -> Result<Option<(String, u32)>, UserError> {
    if subject.is_empty() {
        return Ok(None);
    }
    let seconds = u64::from(window.seconds);
    let key = format!("{}/{}", window.name, digest(&[subject]));
    let ends_key = format!("{key}/ends");
    let tries = ports.increment(&key, 1, Some(seconds)).map_err(failed)?;
    if tries == 1 {
        let ends_at = call.now + i64::from(window.seconds) * 1000;
        match ports.set(&ends_key, &ends_at.to_string(), Condition::Absent, Some(seconds)) {
            Ok(_) | Err(KvError::Conflict) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    if tries <= window.tries.saturating_mul(scale(ports)) {
        return Ok(Some((key, window.seconds)));
    }
    let ends_at = Kv::get(ports, &ends_key).map_err(failed)?.and_then(|entry| entry.value.parse::<i64>().ok());
    // Without a note of its end the whole window is the longest that it can last.
    let left = ends_at.map_or(window.seconds, |at| seconds_until(call.now, at).min(window.seconds));
    Err(UserError::Throttled(left.max(1)))
}

/// Seconds until an instant, rounded up.
fn seconds_until(now: i64, at: i64) -> u32 {
    let millis = at.saturating_sub(now).max(0);
    u32::try_from(millis.saturating_add(999) / 1000).unwrap_or(u32::MAX)
}

/// By how much the shop's configuration widens every window. Load tests need that; anything but a positive number widens nothing.
fn scale(ports: &impl Ports) -> i64 {
    Config::get(ports, "throttle_scale")
        .and_then(|text| text.trim().parse().ok())
        .filter(|scale| *scale >= 1)
        .unwrap_or(1)
}

fn failed(error: KvError) -> UserError {
    UserError::Unavailable(match error {
        KvError::Invalid(text) => format!("kv: {text}"),
        KvError::Conflict => "kv: a write without a condition met one".to_owned(),
        KvError::StorageFull => return UserError::StorageFull,
        KvError::Unavailable(text) => format!("kv unavailable: {text}"),
    })
}
