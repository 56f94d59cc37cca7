//! The use cases: load, decide, commit.
//!
//! Checks run in the order of the cases of `user-error`, but for two: a throttle is looked at before what it protects,
//! and what is not the caller's is not found before anything else is said about it.

pub mod accounts;
pub mod addresses;
pub mod audit;
pub mod credentials;
pub mod registration;
pub mod sessions;
mod throttle;

#[cfg(test)]
mod tests;

use serde::Serialize;
use souk_kit::check::Check;
use souk_kit::events::NewEvent;
use souk_kit::passwords::{PasswordError, Verdict};
use souk_kit::user::{Profile, UserError};
use souk_kit::{Actor, Call, Config, FieldError, Kv, Passwords, Sql, ids};

use crate::domain::account;

/// What this service needs from below.
pub trait Ports: Sql + Kv + Passwords + Config {}

impl<T: Sql + Kv + Passwords + Config> Ports for T {}

/// How often a decision is made anew when others keep coming first. After that the caller hears `conflict`.
const ATTEMPTS_MAX: u32 = 5;

/// Loads, decides and commits until a commit is not beaten by another; `attempt` answers none when it was.
fn settle<T>(mut attempt: impl FnMut() -> Result<Option<T>, UserError>) -> Result<T, UserError> {
    for _ in 0..ATTEMPTS_MAX {
        if let Some(settled) = attempt()? {
            return Ok(settled);
        }
    }
    Err(UserError::Conflict)
}

/// Refuses whoever is neither the user nor staff nor Souk itself: what is not yours does not exist.
fn owned(call: &Call, user_id: &str) -> Result<(), UserError> {
    let own = match &call.ctx.actor {
        Actor::User(id) | Actor::Staff(id) => id == user_id,
        Actor::Guest | Actor::System(_) => false,
    };
    if (own || call.sees_all()) && ids::is_id("usr", user_id) { Ok(()) } else { Err(UserError::NotFound) }
}

/// Refuses whoever is neither staff nor Souk itself.
fn staff_only(call: &Call) -> Result<(), UserError> {
    if call.sees_all() { Ok(()) } else { Err(UserError::NotFound) }
}

fn done(check: Check) -> Result<(), UserError> {
    check.done().map_err(UserError::Invalid)
}

fn invalid(pointer: &str, code: &str, detail: &str) -> UserError {
    UserError::Invalid(vec![FieldError {
        pointer: pointer.to_owned(),
        code: code.to_owned(),
        detail: detail.to_owned(),
    }])
}

fn refused(refusal: account::Refusal) -> UserError {
    match refusal {
        account::Refusal::LastStaff => {
            invalid("/user_id", "out_of_range", "this is the last member of staff who can sign in")
        }
    }
}

fn hash(ports: &impl Ports, password: &str) -> Result<String, UserError> {
    ports.hash(password).map_err(no_password)
}

fn verify(ports: &impl Ports, password: &str, hash: &str) -> Result<Verdict, UserError> {
    ports.verify(password, hash).map_err(no_password)
}

fn no_password(error: PasswordError) -> UserError {
    UserError::Unavailable(match error {
        PasswordError::Invalid(text) => format!("passwords: {text}"),
        PasswordError::Busy => "passwords: the queue is full".to_owned(),
    })
}

/// The payload of the events that mail a token.
#[derive(Serialize)]
struct MailedToken<'a> {
    user_id: &'a str,
    email: &'a str,
    name: &'a str,
    token: &'a str,
}

fn mails_token(topic: &str, profile: &Profile, token: &str) -> NewEvent {
    let payload = MailedToken { user_id: &profile.id, email: &profile.email, name: &profile.name, token };
    NewEvent {
        topic: topic.to_owned(),
        key: profile.id.clone(),
        payload: serde_json::to_string(&payload).expect("texts are always JSON"),
        not_before: None,
    }
}
