//! The only SQL: rows to objects and back.

use serde_json::json;
use souk_kit::Sql;
use souk_kit::events::NewEvent;
use souk_kit::ids;
use souk_kit::payment_extension::{CapturePolicy, Decline, ProviderAuthorization};
use souk_kit::sql::{Batch, Cells, Read, SqlError, Write, guarded, read, write};
use souk_kit::types::{Id, Instant, Money};

use crate::domain::{Kind, Object, Scenario, State, scenario};

const OBJECT: &str = "SELECT key, reference, order_id, amount_minor, currency, token, return_url, capture_policy, state, \
     decline_code, decline_message, ready_at, captured, refunded, created_at, version FROM test_payments_objects";

/// A capture, void or refund as it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The idempotency key.
    pub id: Id,
    /// The object's key.
    pub key: Id,
    /// What was asked for.
    pub kind: Kind,
    /// How much; zero for a void.
    pub amount: i64,
    /// Why it was refused, if it was.
    pub refused: Option<Decline>,
}

/// Reads the object made with a key, and whether a call for it was lost.
pub fn load(ports: &impl Sql, key: &Id) -> Result<(Option<Object>, bool), SqlError> {
    let lost = read("SELECT key FROM test_payments_lost WHERE key = $1", [key.into()]);
    let results = ports.query(&[by_key(key), lost], None)?.results;
    Ok((results[0].first(object), results[1].first(|cells| cells.text()).is_some()))
}

/// Reads the object made with a key, and a command by its id.
pub fn load_with_command(
    ports: &impl Sql,
    key: &Id,
    command_id: &Id,
) -> Result<(Option<Object>, Option<Command>), SqlError> {
    let by_id = read(
        "SELECT id, key, kind, amount_minor, decline_code, decline_message FROM test_payments_commands WHERE id = $1",
        [command_id.into()],
    );
    let results = ports.query(&[by_key(key), by_id], None)?.results;
    Ok((results[0].first(object), results[1].first(command)))
}

/// Reads the object of a page.
pub fn load_by_reference(ports: &impl Sql, reference: &str) -> Result<Option<Object>, SqlError> {
    let by_reference = read(&format!("{OBJECT} WHERE reference = $1"), [reference.into()]);
    Ok(ports.query(&[by_reference], None)?.results[0].first(object))
}

fn by_key(key: &Id) -> Read {
    read(&format!("{OBJECT} WHERE key = $1"), [key.into()])
}

/// Remembers that a call was lost on its way here.
pub fn lose(ports: &impl Sql, key: &Id) -> Result<(), SqlError> {
    let insert = write("INSERT INTO test_payments_lost (key) VALUES ($1) ON CONFLICT DO NOTHING", [key.into()]);
    commit(ports, format!("{key}/lost"), vec![insert], Vec::new())
}

/// Stores a new object; the guard misses when there is one. A delayed decision is told when it falls, unless its token says
/// otherwise.
pub fn insert(ports: &impl Sql, asked: &ProviderAuthorization, object: &Object) -> Result<(), SqlError> {
    let insert = guarded(
        "INSERT INTO test_payments_objects (key, reference, order_id, amount_minor, currency, token, return_url, capture_policy, \
         state, decline_code, decline_message, ready_at, captured, refunded, created_at, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 1) ON CONFLICT DO NOTHING",
        [
            (&object.key).into(),
            (&object.reference).into(),
            (&object.order_id).into(),
            object.amount.minor.into(),
            (&object.amount.currency).into(),
            (&object.token).into(),
            (&object.return_url).into(),
            policy_name(object.capture).into(),
            state_name(&object.state).into(),
            declined(&object.state).map(|why| &why.code).into(),
            declined(&object.state).map(|why| &why.message).into(),
            object.ready_at.into(),
            object.captured.into(),
            object.refunded.into(),
            object.created_at.into(),
        ],
    );
    let told_at = object.ready_at.filter(|_| scenario(&object.token) != Scenario::Unheard);
    let events = told_at.map(|at| changed(&object.key, Some(at)));
    // What was asked for is in the id: another wish with the same key is another batch, and misses the guard.
    let asked = ids::digest(&[&format!("{asked:?}")]);
    commit(ports, format!("{}/open/{asked}", object.key), vec![insert], events.into_iter().collect())
}

/// Stores a command that was refused; the guard misses when its id is known.
pub fn insert_refused(ports: &impl Sql, command: &Command, now: Instant) -> Result<(), SqlError> {
    commit(ports, batch_id("refused", command), vec![insert_command(command, now)], Vec::new())
}

/// Stores a command and what it did; a guard misses when its id is known or the object changed since it was read.
pub fn apply(
    ports: &impl Sql,
    before: &Object,
    next: &Object,
    command: &Command,
    now: Instant,
) -> Result<(), SqlError> {
    commit(ports, batch_id("done", command), vec![insert_command(command, now), update(before, next)], Vec::new())
}

/// Stores a decision that fell by itself; it is told by the event that was stored with the object.
pub fn decide(ports: &impl Sql, before: &Object, next: &Object) -> Result<(), SqlError> {
    let id = format!("{}/decided/{}", before.key, state_name(&next.state));
    commit(ports, id, vec![update(before, next)], Vec::new())
}

/// Stores the shopper's choice, and tells of it.
pub fn choose(ports: &impl Sql, before: &Object, next: &Object) -> Result<(), SqlError> {
    let id = format!("{}/choice/{}", before.key, state_name(&next.state));
    commit(ports, id, vec![update(before, next)], vec![changed(&before.key, None)])
}

/// What is asked for is in the id: another wish with the same command id is another batch, and misses the guard.
fn batch_id(outcome: &str, command: &Command) -> String {
    let wish = ids::digest(&[&command.key, kind_name(command.kind), &command.amount.to_string()]);
    format!("{}/{outcome}/{wish}", command.id)
}

fn commit(ports: &impl Sql, id: String, writes: Vec<Write>, events: Vec<NewEvent>) -> Result<(), SqlError> {
    ports.commit(&Batch { id, writes, events }).map(|_| ())
}

fn insert_command(command: &Command, now: Instant) -> Write {
    guarded(
        "INSERT INTO test_payments_commands (id, key, kind, amount_minor, decline_code, decline_message, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        [
            (&command.id).into(),
            (&command.key).into(),
            kind_name(command.kind).into(),
            command.amount.into(),
            command.refused.as_ref().map(|why| &why.code).into(),
            command.refused.as_ref().map(|why| &why.message).into(),
            now.into(),
        ],
    )
}

fn update(before: &Object, next: &Object) -> Write {
    guarded(
        "UPDATE test_payments_objects SET state = $1, decline_code = $2, decline_message = $3, captured = $4, refunded = $5, \
         version = version + 1 WHERE key = $6 AND version = $7",
        [
            state_name(&next.state).into(),
            declined(&next.state).map(|why| &why.code).into(),
            declined(&next.state).map(|why| &why.message).into(),
            next.captured.into(),
            next.refunded.into(),
            (&before.key).into(),
            before.version.into(),
        ],
    )
}

fn changed(key: &Id, not_before: Option<Instant>) -> NewEvent {
    NewEvent {
        topic: "payment-provider.changed".to_owned(),
        key: key.clone(),
        payload: json!({ "provider": "test", "payment_id": key }).to_string(),
        not_before,
    }
}

fn object(cells: &mut Cells<'_>) -> Object {
    let (key, reference, order_id) = (cells.text(), cells.text(), cells.text());
    let minor = cells.integer();
    let amount = Money::new(minor, cells.str());
    let (token, return_url) = (cells.text(), cells.text());
    let capture = match cells.str() {
        "automatic" => CapturePolicy::Automatic,
        "manual" => CapturePolicy::Manual,
        other => panic!("a constraint allows no policy {other}"),
    };
    let state = cells.text();
    let why = decline(cells);
    let state = match state.as_str() {
        "processing" => State::Processing,
        "requires_action" => State::RequiresAction,
        "authorized" => State::Authorized,
        "declined" => State::Declined(why.expect("a declined object is written with its reason")),
        "voided" => State::Voided,
        other => panic!("a constraint allows no state {other}"),
    };
    Object {
        key,
        reference,
        order_id,
        amount,
        token,
        return_url,
        capture,
        state,
        ready_at: cells.optional_integer(),
        captured: cells.integer(),
        refunded: cells.integer(),
        created_at: cells.integer(),
        version: cells.count(),
    }
}

fn command(cells: &mut Cells<'_>) -> Command {
    Command {
        id: cells.text(),
        key: cells.text(),
        kind: match cells.str() {
            "capture" => Kind::Capture,
            "void" => Kind::Void,
            "refund" => Kind::Refund,
            other => panic!("a constraint allows no kind {other}"),
        },
        amount: cells.integer(),
        refused: decline(cells),
    }
}

fn decline(cells: &mut Cells<'_>) -> Option<Decline> {
    let (code, message) = (cells.optional_text(), cells.optional_text());
    code.zip(message).map(|(code, message)| Decline { code, message })
}

fn declined(state: &State) -> Option<&Decline> {
    match state {
        State::Declined(why) => Some(why),
        State::Processing | State::RequiresAction | State::Authorized | State::Voided => None,
    }
}

fn state_name(state: &State) -> &'static str {
    match state {
        State::Processing => "processing",
        State::RequiresAction => "requires_action",
        State::Authorized => "authorized",
        State::Declined(_) => "declined",
        State::Voided => "voided",
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Capture => "capture",
        Kind::Void => "void",
        Kind::Refund => "refund",
    }
}

fn policy_name(policy: CapturePolicy) -> &'static str {
    match policy {
        CapturePolicy::Automatic => "automatic",
        CapturePolicy::Manual => "manual",
    }
}
