//! SQL of the inbox.

use serde_json::json;
use souk_kit::Sql;
use souk_kit::events::NewEvent;
use souk_kit::sql::{Batch, Cells, SqlError, guarded, read, write};
use souk_kit::types::{Id, Instant};

use crate::domain::inbox::{KEPT_MS, Received};

/// Most old webhooks that are removed when one is handled: more than one, so that they get fewer.
pub const SWEPT_MAX: u32 = 20;

/// Longest reason that is kept, in characters.
const PROBLEM_CHARS_MAX: usize = 500;

const COLUMNS: &str = "id, provider, event_id, reference, payment_key, received_at, attempts, handled_at";

/// A webhook that nothing came of so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The webhook.
    pub hook: Received,
    /// Why the last try failed; empty when there was none.
    pub problem: String,
}

/// Keeps a webhook, with the event that has it handled. The guard misses when the same event is kept already.
pub fn insert(ports: &impl Sql, hook: &Received) -> Result<(), SqlError> {
    let insert = guarded(
        "INSERT INTO payment_hooks (id, provider, event_id, reference, payment_key, received_at, attempts, problem) \
         VALUES ($1, $2, $3, $4, $5, $6, 0, '') ON CONFLICT DO NOTHING",
        [
            (&hook.id).into(),
            (&hook.provider).into(),
            (&hook.event_id).into(),
            (&hook.reference).into(),
            hook.key.as_ref().into(),
            hook.received_at.into(),
        ],
    );
    let batch = Batch { id: format!("{}/received", hook.id), writes: vec![insert], events: vec![due(hook, 0, None)] };
    ports.commit(&batch).map(|_| ())
}

/// Reads a webhook, and the id of the payment that it is about: the one it names, or else the one with its reference.
pub fn load(ports: &impl Sql, id: &Id) -> Result<(Option<Received>, Option<Id>), SqlError> {
    let of = |column: &str| format!("(SELECT {column} FROM payment_hooks WHERE id = $1)");
    let provider = of("provider");
    let by_key = format!("SELECT id FROM payment_payments WHERE id = {} AND provider = {provider}", of("payment_key"));
    let by_reference = format!(
        "SELECT id FROM payment_payments WHERE provider = {provider} AND provider_reference = {} \
         AND provider_reference <> '' ORDER BY id LIMIT 1",
        of("reference")
    );
    let reads = [
        read(&format!("SELECT {COLUMNS} FROM payment_hooks WHERE id = $1"), [id.into()]),
        read(&by_key, [id.into()]),
        read(&by_reference, [id.into()]),
    ];
    let results = ports.query(&reads, None)?.results;
    let payment = results[1].first(|cells| cells.text()).or_else(|| results[2].first(|cells| cells.text()));
    Ok((results[0].first(hook), payment))
}

/// Notes that the provider was asked, and removes some webhooks that are older than they have to be kept.
pub fn handled(ports: &impl Sql, hook: &Received, now: Instant) -> Result<(), SqlError> {
    let handled = write(
        "UPDATE payment_hooks SET handled_at = $1, problem = '' WHERE id = $2 AND handled_at IS NULL",
        [now.into(), (&hook.id).into()],
    );
    let sweep = write(
        &format!(
            "DELETE FROM payment_hooks WHERE id IN \
             (SELECT id FROM payment_hooks WHERE received_at < $1 ORDER BY received_at, id LIMIT {SWEPT_MAX})"
        ),
        [(now - KEPT_MS).into()],
    );
    let batch = Batch { id: format!("{}/handled", hook.id), writes: vec![handled, sweep], events: Vec::new() };
    ports.commit(&batch).map(|_| ())
}

/// Parks a webhook: notes why it could not be handled, with the timer of the next try. The guard misses when another
/// instance came first.
pub fn park(ports: &impl Sql, hook: &Received, problem: &str, retry_at: Option<Instant>) -> Result<(), SqlError> {
    let problem: String = problem.chars().take(PROBLEM_CHARS_MAX).collect();
    let park = guarded(
        "UPDATE payment_hooks SET attempts = attempts + 1, problem = $1 WHERE id = $2 AND attempts = $3 AND handled_at IS NULL",
        [problem.into(), (&hook.id).into(), hook.attempts.into()],
    );
    let events = retry_at.map(|at| due(hook, hook.attempts + 1, Some(at))).into_iter().collect();
    let batch = Batch { id: format!("{}/{}", hook.id, hook.attempts), writes: vec![park], events };
    ports.commit(&batch).map(|_| ())
}

/// Reads up to `limit` webhooks after an id that came before an instant and were not handled, in the order of ids.
pub fn waiting(ports: &impl Sql, after: &str, before: Instant, limit: u32) -> Result<Vec<Waiting>, SqlError> {
    let page = read(
        &format!(
            "SELECT {COLUMNS}, problem FROM payment_hooks \
             WHERE handled_at IS NULL AND id > $1 AND received_at < $2 ORDER BY id LIMIT {limit}"
        ),
        [after.into(), before.into()],
    );
    let results = ports.query(&[page], None)?.results;
    Ok(results[0].map(|cells| Waiting { hook: hook(cells), problem: cells.text() }))
}

fn due(hook: &Received, attempt: u32, not_before: Option<Instant>) -> NewEvent {
    NewEvent {
        topic: "payment.news-due".to_owned(),
        key: hook.subject().to_owned(),
        payload: json!({ "hook_id": hook.id, "attempt": attempt }).to_string(),
        not_before,
    }
}

fn hook(cells: &mut Cells<'_>) -> Received {
    Received {
        id: cells.text(),
        provider: cells.text(),
        event_id: cells.text(),
        reference: cells.text(),
        key: cells.optional_text(),
        received_at: cells.integer(),
        attempts: cells.small(),
        handled_at: cells.optional_integer(),
    }
}
