//! The use cases: hear a fact, send what is due, list, send again.

use serde::Deserialize;
use souk_kit::events::Event;
use souk_kit::notification::{DeliveryState, NotificationError, NotificationPage, NotificationSummary};
use souk_kit::notification_extension::{ChannelError, RenderedMessage};
use souk_kit::sql::SqlError;
use souk_kit::types::PageRequest;
use souk_kit::{Call, Config, Context, Id, Instant, Sql, cursor, ids};

use crate::domain::facts::Fact;
use crate::domain::mail::{self, Shop};
use crate::domain::{self, Command, Message, Refusal, State};
use crate::store;

/// How often a command reads and decides again because another writer came first.
pub const TRIES_MAX: u32 = 3;

/// The name of the channel that takes mails when the configuration has no `email_channel`.
pub const EMAIL_CHANNEL_DEFAULT: &str = "mailbox";

/// What the shop calls itself when the configuration has no `shop_name`.
pub const SHOP_NAME_DEFAULT: &str = "Souk";

/// Longest command id, in bytes.
const COMMAND_ID_BYTES_MAX: usize = 64;

/// The channels, by name: see `wit/extensions.wit`.
pub trait Channels {
    /// Hands a message over. A repeat with the same key sends nothing twice.
    fn send(&self, ctx: &Context, provider: &str, message: &RenderedMessage) -> Result<String, ChannelError>;
}

/// All that the use cases reach.
pub trait Ports: Sql + Config + Channels {}

impl<T: Sql + Config + Channels> Ports for T {}

#[derive(Deserialize)]
struct SendDue {
    notification_id: Id,
}

/// Takes one event: makes a message from a fact, or sends the message that a timer names. A repeat changes nothing.
pub fn handle(ports: &impl Ports, call: &Call, event: &Event) -> Result<(), String> {
    if event.topic == store::SEND_DUE { send_due(ports, call, event) } else { hear(ports, call, event) }
}

fn hear(ports: &impl Ports, call: &Call, event: &Event) -> Result<(), String> {
    let mail = mail::render(&shop(ports)?, &Fact::parse(&event.topic, &event.payload)?);
    let batch_id = ids::derive("heard", &[&event.id]);
    let message = Message::new(&event.id, &mail, &batch_id, call.now);
    store::insert(ports, &batch_id, &message, &mail).map_err(|error| error.describe())
}

/// Hands a message to its channel and commits what came of it. Whoever dies in between leaves the same event and the
/// same key, under which the channel sends nothing twice.
fn send_due(ports: &impl Ports, call: &Call, event: &Event) -> Result<(), String> {
    let due: SendDue = serde_json::from_str(&event.payload).map_err(|error| format!("not a timer of ours: {error}"))?;
    let (stored, _) = store::load(ports, &due.notification_id, None).map_err(|error| error.describe())?;
    let stored = stored.ok_or("the timer names no message")?;
    if !stored.message.is_due_by(&event.id) {
        return Ok(()); // it was sent, given up or put off since, by this event or before it
    }
    let provider = ports.get("email_channel").unwrap_or_else(|| EMAIL_CHANNEL_DEFAULT.to_owned());
    let rendered = RenderedMessage {
        key: stored.message.key(),
        recipient: stored.message.recipient.clone(),
        subject: stored.message.subject.clone(),
        text: stored.text,
        html: stored.html,
    };
    let answer = ports.send(&call.ctx, &provider, &rendered);
    let batch_id = ids::derive("tried", &[&event.id]);
    let command = Command::Tried { answer, batch_id: &batch_id, now: call.now };
    let next = domain::decide(stored.message, command).map_err(|refusal| match refusal {
        Refusal::NotQueued => "the message is not queued".to_owned(),
    })?;
    // A guard that is missed fails this delivery; the next one finds the message no longer due by this event.
    store::update(ports, &batch_id, stored.version, &next).map_err(|error| error.describe())
}

/// The log of messages, newest first, for those who may see what belongs to anyone.
pub fn list(
    ports: &impl Ports,
    call: &Call,
    recipient: &str,
    page: &PageRequest,
) -> Result<NotificationPage, NotificationError> {
    let (key, limit) = cursor::decode::<2>(page)
        .map_err(|error| NotificationError::Invalid(format!("{}: {}", error.pointer, error.detail)))?;
    let before = match key {
        None => None,
        Some([at, id]) => Some((at.parse::<Instant>().map_err(|_| foreign_cursor())?, id)),
    };
    if !call.sees_all() {
        return Ok(NotificationPage { items: Vec::new(), next: None });
    }
    let mut messages = store::list(ports, recipient, before, limit + 1).map_err(unavailable)?;
    let more = messages.len() > limit as usize;
    messages.truncate(limit as usize);
    let next = messages.last().filter(|_| more).map(|last| cursor::encode(&[&last.created_at.to_string(), &last.id]));
    Ok(NotificationPage { items: messages.into_iter().map(summary).collect(), next })
}

/// Queues a message again, whatever became of it. A repeat with the same command id changes nothing.
pub fn resend(ports: &impl Ports, call: &Call, command_id: &Id, id: &Id) -> Result<(), NotificationError> {
    if command_id.is_empty() || command_id.len() > COMMAND_ID_BYTES_MAX {
        return Err(NotificationError::Invalid("/command_id: 1 to 64 bytes".to_owned()));
    }
    if !ids::is_id("ntf", id) {
        return Err(NotificationError::Invalid("/notification_id: it has the form ntf_ and 32 digits".to_owned()));
    }
    if !call.sees_all() {
        return Err(NotificationError::NotFound);
    }
    let batch_id = format!("resend/{command_id}");
    for _ in 0..TRIES_MAX {
        let (stored, committed) = store::load(ports, id, Some(&batch_id)).map_err(unavailable)?;
        let stored = stored.ok_or(NotificationError::NotFound)?;
        if committed {
            return Ok(());
        }
        let command = Command::Resend { batch_id: &batch_id, now: call.now };
        let next = domain::decide(stored.message, command).map_err(|refusal| match refusal {
            Refusal::NotQueued => NotificationError::Conflict,
        })?;
        match store::update(ports, &batch_id, stored.version, &next) {
            Ok(()) => return Ok(()),
            Err(SqlError::GuardMissed(_)) => {}
            Err(
                error @ (SqlError::Invalid(_)
                | SqlError::TooLarge(_)
                | SqlError::Constraint(_)
                | SqlError::StorageFull
                | SqlError::Unavailable(_)),
            ) => return Err(unavailable(error)),
        }
    }
    Err(NotificationError::Conflict)
}

/// Whose mails these are. Without an address of the shop a mail would lead nowhere, so none is made.
fn shop(ports: &impl Ports) -> Result<Shop, String> {
    let public_url = ports.get("public_url").ok_or("the configuration grants no `public_url`")?;
    let public_url = public_url.trim_end_matches('/');
    if !["http://", "https://"].iter().any(|scheme| public_url.starts_with(scheme)) {
        return Err(format!("`public_url` is no http or https address: {public_url}"));
    }
    let name = ports.get("shop_name").unwrap_or_else(|| SHOP_NAME_DEFAULT.to_owned());
    Ok(Shop { name, public_url: public_url.to_owned() })
}

fn summary(message: Message) -> NotificationSummary {
    NotificationSummary {
        id: message.id,
        template: message.template,
        channel: message.channel,
        recipient: message.recipient,
        subject: message.subject,
        state: match message.state {
            State::Queued(_) => DeliveryState::Queued,
            State::Sent(_) => DeliveryState::Sent,
            State::Failed => DeliveryState::Failed,
        },
        attempts: message.attempts,
        last_error: message.last_error,
        created_at: message.created_at,
    }
}

fn foreign_cursor() -> NotificationError {
    NotificationError::Invalid("/cursor: the cursor is not one that this list gave".to_owned())
}

fn unavailable(error: SqlError) -> NotificationError {
    match error {
        SqlError::StorageFull => NotificationError::StorageFull,
        error => NotificationError::Unavailable(error.describe()),
    }
}

#[cfg(test)]
mod tests;
