//! Whether the log of messages adds up: recomputed from the rows, a page at a time.

use souk_kit::{Call, Instant, Sql};

use crate::domain::{self, Message, State};
use crate::store;

/// Messages looked at in one step.
pub const PAGE_MESSAGES: u32 = 500;

/// A message that should have been tried this long ago is stuck: its timer is dead or was lost.
pub const STUCK_AFTER_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// Something that does not add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The invariant.
    pub invariant: &'static str,
    /// The message.
    pub subject: String,
    /// What was found and what was expected.
    pub detail: String,
}

/// One step of an audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Messages looked at.
    pub checked: u64,
    /// What does not add up.
    pub findings: Vec<Finding>,
    /// Where the next step starts.
    pub next: Option<String>,
}

/// Looks at the messages after the cursor.
pub fn check(ports: &impl Sql, call: &Call, cursor: Option<&str>) -> Result<Page, String> {
    let messages = store::list_by_id(ports, cursor.unwrap_or(""), PAGE_MESSAGES).map_err(|error| error.describe())?;
    let is_full = messages.len() == PAGE_MESSAGES as usize;
    Ok(Page {
        checked: messages.len() as u64,
        next: messages.last().filter(|_| is_full).map(|last| last.id.clone()),
        findings: messages.iter().flat_map(|message| findings(message, call.now)).collect(),
    })
}

fn findings(message: &Message, now: Instant) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |invariant, detail: String| {
        findings.push(Finding { invariant, subject: message.id.clone(), detail });
    };
    let derived = domain::message_id(&message.event_id, &message.recipient, &message.channel);
    if derived != message.id {
        find("message_id_is_derived", format!("event, recipient and channel make {derived}"));
    }
    let tried = message.attempts > 0;
    match &message.state {
        State::Queued(due) => {
            if due.at.saturating_add(STUCK_AFTER_MILLIS) < now {
                find("queued_message_is_tried", format!("it was due at {}", due.at));
            }
            if tried == message.last_error.is_empty() {
                find("failed_try_says_why", format!("{} tries, error `{}`", message.attempts, message.last_error));
            }
        }
        State::Sent(_) => {
            if !tried || !message.last_error.is_empty() {
                find("sent_message_was_tried", format!("{} tries, error `{}`", message.attempts, message.last_error));
            }
        }
        State::Failed => {
            if !tried || message.last_error.is_empty() {
                find("failed_message_was_tried", format!("{} tries, error `{}`", message.attempts, message.last_error));
            }
        }
    }
    findings
}
