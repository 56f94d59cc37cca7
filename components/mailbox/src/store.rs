//! Kept messages as rows: the only file that knows SQL.

use souk_kit::sql::{self, Batch, Cells, SqlError};
use souk_kit::{Sql, ids};

use crate::domain::{MESSAGES_MAX, Message, Summary};

/// A page of messages and how many there are in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The newest first.
    pub messages: Vec<Summary>,
    /// All that match.
    pub count: u64,
}

/// Keeps a message, unless one with its key is there or was, and lets the oldest go. Both in one commit, so the table
/// is never above its limit.
pub fn insert(ports: &impl Sql, message: &Message) -> Result<(), SqlError> {
    let insert = sql::write(
        "INSERT INTO mailbox_messages (key, recipient, subject, sent_at, body_text, body_html) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (key) DO NOTHING",
        [
            (&message.summary.key).into(),
            (&message.summary.recipient).into(),
            (&message.summary.subject).into(),
            message.summary.sent_at.into(),
            (&message.text).into(),
            (&message.html).into(),
        ],
    );
    // Below the oldest one that stays; nothing is below when there are fewer.
    let prune = sql::write(
        "DELETE FROM mailbox_messages WHERE (sent_at, key) < \
         (SELECT sent_at, key FROM mailbox_messages ORDER BY sent_at DESC, key DESC LIMIT 1 OFFSET $1)",
        [(MESSAGES_MAX - 1).into()],
    );
    let batch =
        Batch { id: ids::derive("kept", &[&message.summary.key]), writes: vec![insert, prune], events: Vec::new() };
    ports.commit(&batch).map(|_| ())
}

/// The newest messages to a recipient, without regard to ASCII case; to everyone when it is empty.
pub fn list(ports: &impl Sql, recipient: &str, limit: u32) -> Result<Listed, SqlError> {
    let reads = if recipient.is_empty() {
        [
            sql::read(
                "SELECT key, recipient, subject, sent_at FROM mailbox_messages ORDER BY sent_at DESC, key DESC LIMIT $1",
                [limit.into()],
            ),
            sql::read("SELECT count(*) FROM mailbox_messages", []),
        ]
    } else {
        [
            sql::read(
                "SELECT key, recipient, subject, sent_at FROM mailbox_messages WHERE lower(recipient) = lower($1) \
                 ORDER BY sent_at DESC, key DESC LIMIT $2",
                [recipient.into(), limit.into()],
            ),
            sql::read("SELECT count(*) FROM mailbox_messages WHERE lower(recipient) = lower($1)", [recipient.into()]),
        ]
    };
    let snapshot = ports.query(&reads, None)?;
    let count = snapshot.results[1].first(|cells| cells.count()).expect("a count is one row");
    Ok(Listed { messages: snapshot.results[0].map(summary), count })
}

/// The same with all that they say.
pub fn list_whole(ports: &impl Sql, recipient: &str, limit: u32) -> Result<Vec<Message>, SqlError> {
    let read = if recipient.is_empty() {
        sql::read(
            "SELECT key, recipient, subject, sent_at, body_text, body_html FROM mailbox_messages \
             ORDER BY sent_at DESC, key DESC LIMIT $1",
            [limit.into()],
        )
    } else {
        sql::read(
            "SELECT key, recipient, subject, sent_at, body_text, body_html FROM mailbox_messages \
             WHERE lower(recipient) = lower($1) ORDER BY sent_at DESC, key DESC LIMIT $2",
            [recipient.into(), limit.into()],
        )
    };
    Ok(ports.query(&[read], None)?.results[0].map(message))
}

/// Reads one message.
pub fn load(ports: &impl Sql, key: &str) -> Result<Option<Message>, SqlError> {
    let read = sql::read(
        "SELECT key, recipient, subject, sent_at, body_text, body_html FROM mailbox_messages WHERE key = $1",
        [key.into()],
    );
    Ok(ports.query(&[read], None)?.results[0].first(message))
}

fn message(cells: &mut Cells<'_>) -> Message {
    Message { summary: summary(cells), text: cells.text(), html: cells.text() }
}

fn summary(cells: &mut Cells<'_>) -> Summary {
    Summary { key: cells.text(), recipient: cells.text(), subject: cells.text(), sent_at: cells.integer() }
}
