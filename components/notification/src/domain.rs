//! A message and its way to a person: queued, tried, sent or given up.

pub mod facts;
pub mod mail;

use souk_kit::notification_extension::ChannelError;
use souk_kit::{Id, Instant, ids};

use mail::Mail;

/// Our name in the manifest, with which the ids of our events start.
const COMPONENT: &str = "notification";

/// How often a message is tried before it is given up, each time that it is asked for: four days, which is longer than
/// channels are away.
pub const ATTEMPTS_MAX: u32 = 100;

/// The pause after the first try that failed. It doubles with each further one.
pub const DELAY_FIRST_MILLIS: i64 = 60 * 1000;

/// The longest pause between two tries.
pub const DELAY_MAX_MILLIS: i64 = 60 * 60 * 1000;

/// Characters of a channel's complaint that are kept.
pub const ERROR_CHARACTERS_MAX: usize = 500;

/// The one kind of channel there is so far.
pub const EMAIL: &str = "email";

/// A message in the log, without its text and HTML, which never change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `ntf_...`, derived from event, recipient and channel, so that an event makes it once.
    pub id: Id,
    /// The event that it tells of.
    pub event_id: String,
    /// Which template it was made from.
    pub template: String,
    /// The kind of channel.
    pub channel: String,
    /// Where it goes.
    pub recipient: String,
    /// One line.
    pub subject: String,
    /// What became of it.
    pub state: State,
    /// Tries since it was last asked for.
    pub attempts: u32,
    /// How often it was asked for again.
    pub resends: u32,
    /// Why the last try failed; empty when it did not.
    pub last_error: String,
    /// When it was made.
    pub created_at: Instant,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is to be sent.
    Queued(Due),
    /// The channel took it; this is the channel's name for it.
    Sent(String),
    /// It was given up.
    Failed,
}

/// The one event that will send a queued message. Any other that names the message is late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Identity of the event.
    pub event_id: String,
    /// When it is delivered.
    pub at: Instant,
}

/// What may happen to a message. `batch_id` is the commit that records it, and so names the event that sends it next.
#[derive(Clone, Debug)]
pub enum Command<'a> {
    /// The channel was tried and gave this answer.
    Tried {
        /// The channel's name for the message, or why it did not take it.
        answer: Result<String, ChannelError>,
        /// The commit.
        batch_id: &'a str,
        /// The present.
        now: Instant,
    },
    /// Someone wants it sent again, whatever became of it.
    Resend {
        /// The commit.
        batch_id: &'a str,
        /// The present.
        now: Instant,
    },
}

/// Why a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The message waits for no try.
    NotQueued,
}

impl Message {
    /// A message that is due at once, by the first event of the batch that makes it.
    pub fn new(event_id: &str, mail: &Mail, batch_id: &str, now: Instant) -> Self {
        Self {
            id: message_id(event_id, &mail.recipient, EMAIL),
            event_id: event_id.to_owned(),
            template: mail.template.clone(),
            channel: EMAIL.to_owned(),
            recipient: mail.recipient.clone(),
            subject: mail.subject.clone(),
            state: State::Queued(Due::first_of(batch_id, now)),
            attempts: 0,
            resends: 0,
            last_error: String::new(),
            created_at: now,
        }
    }

    /// Whether this event is the one that sends it.
    pub fn is_due_by(&self, event_id: &str) -> bool {
        match &self.state {
            State::Queued(due) => due.event_id == event_id,
            State::Sent(_) | State::Failed => false,
        }
    }

    /// The key under which the channel is given it: the same for each try, another one when it was asked for again.
    pub fn key(&self) -> String {
        format!("{}-{}", self.id, self.resends)
    }
}

impl Due {
    fn first_of(batch_id: &str, at: Instant) -> Self {
        Self { event_id: format!("{COMPONENT}/{batch_id}/0"), at }
    }
}

/// The id of the message that an event makes for a recipient and a channel.
pub fn message_id(event_id: &str, recipient: &str, channel: &str) -> Id {
    ids::derive("ntf", &[event_id, recipient, channel])
}

/// Applies one command, or says why it may not be applied.
pub fn decide(message: Message, command: Command<'_>) -> Result<Message, Refusal> {
    let next = match command {
        Command::Tried { answer, batch_id, now } => match &message.state {
            State::Queued(_) => tried(message, answer, batch_id, now),
            State::Sent(_) | State::Failed => return Err(Refusal::NotQueued),
        },
        Command::Resend { batch_id, now } => Message {
            state: State::Queued(Due::first_of(batch_id, now)),
            attempts: 0,
            resends: message.resends.checked_add(1).expect("nobody asks four billion times"),
            last_error: String::new(),
            ..message
        },
    };
    assert!(next.attempts <= ATTEMPTS_MAX);
    assert!(next.state != State::Failed || !next.last_error.is_empty(), "what is given up says why");
    Ok(next)
}

fn tried(message: Message, answer: Result<String, ChannelError>, batch_id: &str, now: Instant) -> Message {
    let attempts = message.attempts + 1;
    let (state, last_error) = match answer {
        Ok(reference) => (State::Sent(reference), String::new()),
        Err(ChannelError::Refused(why)) => (State::Failed, format!("refused: {why}")),
        // A name that the manifest does not link yet: it is mended there, and the message need not be lost for it.
        Err(ChannelError::UnknownProvider) => {
            (later(attempts, batch_id, now), "no channel has the configured name".to_owned())
        }
        Err(ChannelError::Unavailable(why)) => (later(attempts, batch_id, now), format!("unavailable: {why}")),
    };
    let last_error = last_error.chars().take(ERROR_CHARACTERS_MAX).collect();
    Message { state, attempts, last_error, ..message }
}

fn later(attempts: u32, batch_id: &str, now: Instant) -> State {
    if attempts >= ATTEMPTS_MAX {
        State::Failed
    } else {
        State::Queued(Due::first_of(batch_id, now + delay_millis(attempts)))
    }
}

/// The pause after this many tries that failed: 1, 2, 4, ... minutes, at most an hour.
pub fn delay_millis(attempts: u32) -> i64 {
    assert!((1..=ATTEMPTS_MAX).contains(&attempts));
    let doubled = (DELAY_MAX_MILLIS / DELAY_FIRST_MILLIS).ilog2() + 1;
    (DELAY_FIRST_MILLIS << (attempts - 1).min(doubled)).min(DELAY_MAX_MILLIS)
}

#[cfg(test)]
mod tests;
