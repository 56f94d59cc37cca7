//! The log of messages as rows: the only file that knows SQL.

use souk_kit::events::NewEvent;
use souk_kit::sql::{self, Batch, Cells, SqlError, Value, Write};
use souk_kit::{Id, Instant, Sql};

use crate::domain::mail::Mail;
use crate::domain::{Due, Message, State};

/// The topic of the timer that sends a message.
pub const SEND_DUE: &str = "notification.send-due";

/// A message, all that it says, and the version that its next write replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The message.
    pub message: Message,
    /// Plain text.
    pub text: String,
    /// HTML.
    pub html: String,
    /// Its version.
    pub version: u64,
}

/// Reads a message, and says whether the batch with this id was committed.
pub fn load(ports: &impl Sql, id: &str, batch_id: Option<&str>) -> Result<(Option<Stored>, bool), SqlError> {
    let read = sql::read(
        "SELECT id, event_id, template, channel, recipient, subject, state, due_event, due_at, reference, attempts, \
         resends, last_error, created_at, body_text, body_html, version FROM notification_messages WHERE id = $1",
        [id.into()],
    );
    let snapshot = ports.query(&[read], batch_id)?;
    let stored = snapshot.results[0].first(|cells| Stored {
        message: message(cells),
        text: cells.text(),
        html: cells.text(),
        version: cells.count(),
    });
    Ok((stored, snapshot.committed))
}

/// Adds a message, unless it is there already, and stores the event that sends it.
pub fn insert(ports: &impl Sql, batch_id: &str, message: &Message, mail: &Mail) -> Result<(), SqlError> {
    let [state, due_event, due_at, reference] = state_cells(&message.state);
    let insert = sql::write(
        "INSERT INTO notification_messages (id, event_id, template, channel, recipient, subject, body_text, body_html, \
         state, due_event, due_at, reference, attempts, resends, last_error, created_at, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 1) ON CONFLICT (id) DO NOTHING",
        [
            (&message.id).into(),
            (&message.event_id).into(),
            (&message.template).into(),
            (&message.channel).into(),
            (&message.recipient).into(),
            (&message.subject).into(),
            (&mail.text).into(),
            (&mail.html).into(),
            state,
            due_event,
            due_at,
            reference,
            message.attempts.into(),
            message.resends.into(),
            (&message.last_error).into(),
            message.created_at.into(),
        ],
    );
    commit(ports, batch_id, insert, message)
}

/// Replaces what became of a message, and stores the event that sends it next when it is queued.
pub fn update(ports: &impl Sql, batch_id: &str, replaces: u64, message: &Message) -> Result<(), SqlError> {
    let [state, due_event, due_at, reference] = state_cells(&message.state);
    let update = sql::guarded(
        "UPDATE notification_messages SET state = $1, due_event = $2, due_at = $3, reference = $4, attempts = $5, \
         resends = $6, last_error = $7, version = version + 1 WHERE id = $8 AND version = $9",
        [
            state,
            due_event,
            due_at,
            reference,
            message.attempts.into(),
            message.resends.into(),
            (&message.last_error).into(),
            (&message.id).into(),
            replaces.into(),
        ],
    );
    commit(ports, batch_id, update, message)
}

/// Messages made before this one, newest first; those of every recipient when `recipient` is empty.
pub fn list(
    ports: &impl Sql,
    recipient: &str,
    before: Option<(Instant, Id)>,
    limit: u32,
) -> Result<Vec<Message>, SqlError> {
    let (at, id) = before.unwrap_or((Instant::MAX, String::new()));
    let read = if recipient.is_empty() {
        sql::read(
            "SELECT id, event_id, template, channel, recipient, subject, state, due_event, due_at, reference, attempts, \
             resends, last_error, created_at FROM notification_messages WHERE (created_at, id) < ($1, $2) \
             ORDER BY created_at DESC, id DESC LIMIT $3",
            [at.into(), id.into(), limit.into()],
        )
    } else {
        sql::read(
            "SELECT id, event_id, template, channel, recipient, subject, state, due_event, due_at, reference, attempts, \
             resends, last_error, created_at FROM notification_messages WHERE recipient = $1 \
             AND (created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT $4",
            [recipient.into(), at.into(), id.into(), limit.into()],
        )
    };
    Ok(ports.query(&[read], None)?.results[0].map(message))
}

/// Messages after this id, by id.
pub fn list_by_id(ports: &impl Sql, after: &str, limit: u32) -> Result<Vec<Message>, SqlError> {
    let read = sql::read(
        "SELECT id, event_id, template, channel, recipient, subject, state, due_event, due_at, reference, attempts, \
         resends, last_error, created_at FROM notification_messages WHERE id > $1 ORDER BY id LIMIT $2",
        [after.into(), limit.into()],
    );
    Ok(ports.query(&[read], None)?.results[0].map(message))
}

/// The first event of every batch is the one that sends the message: `Due` counts on it.
fn commit(ports: &impl Sql, batch_id: &str, write: Write, message: &Message) -> Result<(), SqlError> {
    let events = match &message.state {
        State::Queued(due) => vec![NewEvent {
            topic: SEND_DUE.to_owned(),
            key: message.id.clone(),
            payload: serde_json::json!({ "notification_id": message.id }).to_string(),
            not_before: Some(due.at),
        }],
        State::Sent(_) | State::Failed => Vec::new(),
    };
    ports.commit(&Batch { id: batch_id.to_owned(), writes: vec![write], events }).map(|_| ())
}

fn message(cells: &mut Cells<'_>) -> Message {
    Message {
        id: cells.text(),
        event_id: cells.text(),
        template: cells.text(),
        channel: cells.text(),
        recipient: cells.text(),
        subject: cells.text(),
        state: state(cells),
        attempts: cells.small(),
        resends: cells.small(),
        last_error: cells.text(),
        created_at: cells.integer(),
    }
}

fn state(cells: &mut Cells<'_>) -> State {
    let name = cells.str();
    let (event_id, at, reference) = (cells.optional_text(), cells.optional_integer(), cells.text());
    match (name, event_id, at) {
        ("queued", Some(event_id), Some(at)) => State::Queued(Due { event_id, at }),
        ("sent", None, None) => State::Sent(reference),
        ("failed", None, None) => State::Failed,
        (other, ..) => panic!("a constraint keeps a message from being {other} like this"),
    }
}

fn state_cells(state: &State) -> [Value; 4] {
    match state {
        State::Queued(due) => ["queued".into(), (&due.event_id).into(), due.at.into(), "".into()],
        State::Sent(reference) => ["sent".into(), Value::Null, Value::Null, reference.into()],
        State::Failed => ["failed".into(), Value::Null, Value::Null, "".into()],
    }
}
