//! `Idempotency-Key`: a command that is sent again has one effect and gets the same answer.
//!
//! A record in `kv` is written before the command runs, only if there is none, so that of many requests with one key
//! exactly one runs. Ids that the command makes derive from the key: when a request dies on its way, whoever takes
//! its record over runs the same command again, and the service recognizes it.
//!
//! Kept are answers that had an effect and refusals that would stand. What is worth sending again as it is, and input that was never
//! acted upon, is not kept: the record goes, and the next request with the key runs.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use souk_kit::http::{Request, Response};
use souk_kit::kv::{Condition, KvError};
use souk_kit::{Instant, Kv, ids};

use crate::exchange::{CommandKey, Exchange};
use crate::problem::{Code, Problem, Retry};
use crate::routes::{Answer, Keyed, Route};

/// How long an answer is kept: 30 days.
const KEPT_SECONDS: u64 = 30 * 24 * 60 * 60;

/// A record that still says `running` after this many milliseconds belongs to a request that died.
const RUNNING_MILLIS_MAX: Instant = 30_000;

/// How often a record that disappears while it is looked at is tried again.
const CLAIMS_MAX: u32 = 3;

/// Longest record, in bytes, with room to the limit of `kv`. A longer answer is not kept; the service answers a repeat.
const RECORD_BYTES_MAX: usize = 250 * 1024;

/// What `kv` holds for a key.
#[derive(Serialize, Deserialize)]
struct Record {
    /// Digest of method, path, query and body: what the key was used for.
    fingerprint: String,
    /// When the request that runs, or ran, took the key.
    since: Instant,
    /// The answer; none while the command runs.
    answer: Option<Kept>,
}

/// An answer that was kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

/// What a look at the record of a key found.
enum Claim {
    /// The key is ours, under this version of its record.
    Ours(u64),
    /// The command was done, with this answer.
    Done(Kept),
    /// The record went away in between.
    Gone,
}

/// The key of a request, where the route takes one.
pub fn key(route: &Route, request: &Request) -> Result<Option<String>, Problem> {
    match route.keyed {
        Keyed::Never => return Ok(None),
        Keyed::Optional | Keyed::Required | Keyed::Derived => {}
    }
    let mut sent = request.headers.iter().filter(|(name, _)| name == "idempotency-key").map(|(_, value)| value);
    let Some(key) = sent.next() else {
        return match route.keyed {
            Keyed::Required => Err(Code::IdempotencyKeyRequired.into()),
            Keyed::Never | Keyed::Optional | Keyed::Derived => Ok(None),
        };
    };
    if sent.next().is_some() || !(1..=255).contains(&key.len()) || !key.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Code::IdempotencyKeyMalformed.into());
    }
    Ok(Some(key.clone()))
}

/// Runs a command once for its key.
pub fn once(exchange: &mut Exchange<'_>, key: String) -> Answer {
    let command = CommandKey { principal: principal(exchange), key };
    let record = format!("idem:{}", ids::digest(&[&command.principal, &command.key]));
    exchange.key = Some(command);
    match exchange.route.keyed {
        Keyed::Derived => return (exchange.route.handler)(exchange),
        Keyed::Never | Keyed::Optional | Keyed::Required => {}
    }
    let fingerprint = fingerprint(exchange.request);
    for _ in 0..CLAIMS_MAX {
        match claim(exchange, &record, &fingerprint)? {
            Claim::Ours(version) => return run(exchange, &record, version, fingerprint),
            Claim::Done(kept) => return Ok(replay(kept)),
            Claim::Gone => {}
        }
    }
    Err(in_progress())
}

/// Whose key it is. A guest is the path, which holds the id of the cart or order that only they know. A guest's new cart has no such
/// id yet: there the address of the client keeps two guests apart who chose the same weak key.
fn principal(exchange: &Exchange<'_>) -> String {
    match &exchange.bearer {
        Some(claims) => claims.user_id.clone(),
        None if exchange.path().ends_with("/carts") => format!("guest {} {}", exchange.path(), exchange.ctx.client),
        None => format!("guest {}", exchange.path()),
    }
}

fn claim(exchange: &Exchange<'_>, key: &str, fingerprint: &str) -> Result<Claim, Problem> {
    let running = Record { fingerprint: fingerprint.to_owned(), since: exchange.now, answer: None };
    let running = serde_json::to_string(&running).expect("a record is always JSON");
    // When this write is lost on its way back, the record is taken over after `RUNNING_MILLIS_MAX`, like that of any request that died.
    match exchange.ports.set(key, &running, Condition::Absent, Some(KEPT_SECONDS)) {
        Ok(version) => return Ok(Claim::Ours(version)),
        Err(KvError::Conflict) => {}
        Err(error @ (KvError::Invalid(_) | KvError::StorageFull | KvError::Unavailable(_))) => return Err(error.into()),
    }
    let Some(entry) = Kv::get(exchange.ports, key)? else { return Ok(Claim::Gone) };
    let found: Record = serde_json::from_str(&entry.value).expect("only this file writes these records");
    if found.fingerprint != fingerprint {
        return Err(Code::IdempotencyKeyReused.into());
    }
    if let Some(kept) = found.answer {
        return Ok(Claim::Done(kept));
    }
    if exchange.now - found.since < RUNNING_MILLIS_MAX {
        return Err(in_progress());
    }
    match exchange.ports.set(key, &running, Condition::Version(entry.version), Some(KEPT_SECONDS)) {
        Ok(version) => Ok(Claim::Ours(version)),
        Err(KvError::Conflict) => Err(in_progress()), // another request took it over first
        Err(error @ (KvError::Invalid(_) | KvError::StorageFull | KvError::Unavailable(_))) => Err(error.into()),
    }
}

/// Runs the command and keeps its answer. An answer that could not be kept is not given: a repeat could be told another one. What
/// was done stays done, and the repeat is told of it.
fn run(exchange: &Exchange<'_>, key: &str, version: u64, fingerprint: String) -> Answer {
    let answer = (exchange.route.handler)(exchange);
    let kept = answer.as_ref().map_or_else(|problem| stands(problem.code), |_| true);
    let response = answer.unwrap_or_else(|problem| problem.render(exchange.request));
    let record = if kept { done(fingerprint, exchange.now, &response) } else { None };
    let Some(record) = record else {
        // Whoever repeats it runs it again, at once or when the record is taken over.
        return match exchange.ports.delete(key, Condition::Version(version)) {
            Ok(()) | Err(KvError::Conflict | KvError::Invalid(_) | KvError::StorageFull | KvError::Unavailable(_)) => {
                Ok(response)
            }
        };
    };
    match exchange.ports.set(key, &record, Condition::Version(version), Some(KEPT_SECONDS)) {
        Ok(_) => Ok(response),
        // Another request took it over, and gives the answer.
        Err(KvError::Conflict) => Err(in_progress()),
        Err(error @ (KvError::Invalid(_) | KvError::StorageFull | KvError::Unavailable(_))) => Err(error.into()),
    }
}

/// Whether a refusal would stand if the same command came again. Input that was refused had no effect: a client that sends it
/// again, put right, may use the same key.
fn stands(code: Code) -> bool {
    match code.retry() {
        Retry::AsItIs => false,
        Retry::Never | Retry::AfterReading => !matches!(
            code,
            Code::Conflict
                | Code::Invalid
                | Code::MalformedJson
                | Code::MalformedRequest
                | Code::UnsupportedMediaType
                | Code::TooLarge
        ),
    }
}

fn done(fingerprint: String, since: Instant, response: &Response) -> Option<String> {
    // Only JSON answers commands, so the body is text.
    let body = String::from_utf8(response.body.clone()).ok()?;
    let answer = Some(Kept { status: response.status, headers: response.headers.clone(), body });
    let record = serde_json::to_string(&Record { fingerprint, since, answer }).expect("a record is always JSON");
    (record.len() <= RECORD_BYTES_MAX).then_some(record)
}

fn replay(kept: Kept) -> Response {
    Response { status: kept.status, headers: kept.headers, body: kept.body.into_bytes() }
        .with("idempotent-replayed", "true")
}

fn in_progress() -> Problem {
    Problem::from(Code::IdempotencyInProgress).header("retry-after", "1")
}

fn fingerprint(request: &Request) -> String {
    let body = ids::hex(&Sha256::digest(&request.body));
    ids::digest(&[&request.method, &request.path, &request.query, &body])
}
