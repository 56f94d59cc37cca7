//! The component: bindings and exports.
#![allow(unsafe_code, reason = "the generated exports are called through the canonical ABI")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

use bindings::exports::souk::shop::{config, ingress, kv, log, outbox, sql};
use bindings::fermyon::spin::variables;
use bindings::souk::shop::self_;
use bindings::wasi::cli::stderr::get_stderr;
use souk_kit::events::Event;
use souk_kit::guest;

use crate::identity::Identity;
use crate::store::kv::Owner;
use crate::store::outbox::Claim;
use crate::{ingress as sender, store};
use database::Database;

mod convert;
mod database;
mod drain;

mod bindings {
    #![allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        reason = "generated from WIT, where the documentation is"
    )]
    wit_bindgen::generate!({
        path: "wit",
        world: "adapter",
        generate_all,
        with: {
            "wasi:clocks/wall-clock@0.2.0": souk_kit::bindings::wasi::clocks::wall_clock,
            "wasi:random/random@0.2.0": souk_kit::bindings::wasi::random::random,
            "souk:shop/types@0.1.0": souk_kit::types,
            "souk:shop/events@0.1.0": souk_kit::events,
        },
    });
}

/// The longest line of the log, in bytes; also the most that one write to standard error may carry.
const LINE_BYTES_MAX: usize = 4 * 1024;
/// The variable that holds the secret of the drain.
const DRAIN_TOKEN: &str = "drain_token";

/// Which component this instance serves.
fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        std::panic::set_hook(Box::new(|panic| print(&panic.to_string())));
        serde_json::from_str(&self_::describe()).expect("`souk compose` writes the description")
    })
}

/// Writes a line to standard error, where Spin keeps the log of a component.
fn print(message: &str) {
    let mut line = message.replace('\n', " ");
    line.truncate(line.floor_char_boundary(LINE_BYTES_MAX - 1));
    line.push('\n');
    // There is nowhere to say that standard error cannot be written to.
    let _ = get_stderr().blocking_write_and_flush(line.as_bytes());
}

fn variable(name: &str) -> Option<String> {
    variables::get(name).ok()
}

fn owner() -> Owner<'static> {
    Owner { component: &identity().component, now: guest::now() }
}

fn version() -> i64 {
    store::kv::version(guest::entropy())
}

struct Component;

impl sql::Guest for Component {
    fn query(reads: Vec<sql::Read>, batch_id: Option<String>) -> Result<sql::Snapshot, sql::SqlError> {
        let reads: Vec<_> = reads.into_iter().map(convert::read).collect();
        let snapshot = Database::open()
            .map_err(Into::into)
            .and_then(|database| store::sql::query(&database, &identity().component, &reads, batch_id.as_deref()));
        snapshot.map(convert::snapshot).map_err(convert::sql_error)
    }

    fn commit(batch: sql::Batch) -> Result<Vec<u64>, sql::SqlError> {
        let Identity { component, topics, .. } = identity();
        let touched = Database::open()
            .map_err(Into::into)
            .and_then(|database| store::sql::commit(&database, component, convert::batch(batch), topics, guest::now()));
        touched.map_err(convert::sql_error)
    }
}

impl kv::Guest for Component {
    fn get(key: String) -> Result<Option<kv::Entry>, kv::KvError> {
        let entry = Database::open().map_err(Into::into).and_then(|database| store::kv::get(&database, owner(), &key));
        entry.map(|entry| entry.map(convert::entry)).map_err(convert::kv_error)
    }

    fn set(key: String, value: String, condition: kv::Condition, ttl_seconds: Option<u64>) -> Result<u64, kv::KvError> {
        let condition = convert::condition(condition);
        Database::open()
            .map_err(Into::into)
            .and_then(|database| store::kv::set(&database, owner(), &key, &value, condition, ttl_seconds, version()))
            .map_err(convert::kv_error)
    }

    fn delete(key: String, condition: kv::Condition) -> Result<(), kv::KvError> {
        let condition = convert::condition(condition);
        Database::open()
            .map_err(Into::into)
            .and_then(|database| store::kv::delete(&database, owner(), &key, condition))
            .map_err(convert::kv_error)
    }

    fn increment(key: String, by: i64, ttl_seconds: Option<u64>) -> Result<i64, kv::KvError> {
        Database::open()
            .map_err(Into::into)
            .and_then(|database| store::kv::increment(&database, owner(), &key, by, ttl_seconds, version()))
            .map_err(convert::kv_error)
    }
}

impl config::Guest for Component {
    fn get(name: String) -> Option<String> {
        identity().variables.contains(&name).then(|| variable(&name)).flatten()
    }
}

impl log::Guest for Component {
    fn error(message: String) {
        print(&format!("{}: {message}", identity().component));
    }
}

/// Until when the deliverer of this instance counts as busy.
static BUSY_UNTIL: AtomicI64 = AtomicI64::new(0);

impl outbox::Guest for Component {
    fn begin() -> Result<bool, String> {
        let until = Database::open().and_then(|database| store::outbox::begin(&database, guest::now()))?;
        BUSY_UNTIL.store(until.unwrap_or_default(), Ordering::Relaxed);
        Ok(until.is_some())
    }

    fn next(last: Option<outbox::Outcome>) -> Result<Option<outbox::Delivery>, String> {
        let last = last.map(|last| (convert::claim(last.claim), last.failure));
        let last = last.as_ref().map(|(claim, failure)| (claim, failure.as_deref()));
        let now = guest::now();
        let delivery =
            Database::open().and_then(|database| store::outbox::next(&database, last, &identity().topics, now))?;
        if delivery.is_some() {
            BUSY_UNTIL.store(now + store::outbox::BUSY_MS, Ordering::Relaxed);
        }
        Ok(delivery.map(|delivery| {
            let Claim { subscriber, topic, key, place, until } = delivery.claim;
            let event = delivery.event;
            outbox::Delivery {
                claim: outbox::Claim { subscriber, topic, key, place, until },
                event: Event {
                    id: event.id,
                    topic: event.topic,
                    key: event.key,
                    payload: event.payload,
                    committed_at: event.committed_at,
                    attempt: event.attempt,
                },
            }
        }))
    }

    fn settle(last: outbox::Outcome) -> Result<(), String> {
        let (claim, failure) = (convert::claim(last.claim), last.failure);
        let settled = Database::open()
            .and_then(|database| store::outbox::conclude(&database, &claim, failure.as_deref(), guest::now()));
        settled.map_err(Into::into)
    }

    fn finish() -> Result<(), String> {
        let until = BUSY_UNTIL.load(Ordering::Relaxed);
        Ok(Database::open().and_then(|database| store::outbox::finish(&database, until, guest::now()))?)
    }
}

impl ingress::Guest for Component {
    fn identify(host: String, headers: Vec<(String, String)>) -> ingress::Sender {
        let trusted = variable(sender::TRUSTED_PROXIES).unwrap_or_default();
        let sender::Sender { origin, client } = sender::identify(&host, &headers, &trusted);
        ingress::Sender { origin, client }
    }

    fn answered(status: u16) {
        // After a failure of the drain itself it must not be asked again at once.
        if status >= 500 {
            return;
        }
        let now = guest::now();
        let needed =
            Database::open().and_then(|database| store::outbox::needs_deliverer(&database, &identity().topics, now));
        let Ok(true) = needed else { return };
        // Without the secret, or when the drain is away, whoever calls it by the clock delivers.
        if let Some(token) = variable(DRAIN_TOKEN).filter(|token| !token.is_empty()) {
            drain::ask(&token);
        }
    }
}

bindings::export!(Component with_types_in bindings);
