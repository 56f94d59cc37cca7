//! The limits of the ports and the checks that need no database, the same on every engine.

use crate::values::{Batch, KvError, NewEvent, Read, SqlError, Value};

/// The longest statement of a component, in bytes.
const STATEMENT_BYTES_MAX: usize = 16 * 1024;
/// Parameters of one statement.
const PARAMS_MAX: usize = 200;
/// The longest text in a row or a parameter, in bytes.
pub const TEXT_BYTES_MAX: usize = 1024 * 1024;
/// Reads of one query.
const READS_MAX: usize = 20;
/// The longest identity of a batch, in bytes.
const ID_BYTES_MAX: usize = 200;
/// Writes of one batch.
const WRITES_MAX: usize = 1_000;
/// Events of one batch.
const EVENTS_MAX: usize = 100;
/// Texts and payloads of one batch together, in bytes.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The longest topic, in bytes.
const TOPIC_BYTES_MAX: usize = 100;
/// The longest key of an event, in bytes.
const EVENT_KEY_BYTES_MAX: usize = 200;
/// The longest payload, in bytes.
const PAYLOAD_BYTES_MAX: usize = 64 * 1024;
/// The longest key of `kv`, in bytes.
const KV_KEY_BYTES_MAX: usize = 200;
/// The longest value of `kv`, in bytes.
const KV_VALUE_BYTES_MAX: usize = 256 * 1024;
/// The longest time to live, in seconds: ten years with their leap days.
const TTL_SECONDS_MAX: u64 = 3_653 * 24 * 3_600;

/// Checks how many reads a query has, and how many parameters each.
pub fn check_reads(reads: &[Read]) -> Result<(), SqlError> {
    if reads.len() > READS_MAX {
        return Err(SqlError::TooLarge(format!("a query has at most {READS_MAX} reads")));
    }
    match reads.iter().any(|read| read.params.len() > PARAMS_MAX) {
        true => Err(too_many_params()),
        false => Ok(()),
    }
}

/// Checks the text of a statement before it is read.
pub fn check_statement(sql: &str) -> Result<(), SqlError> {
    if sql.len() > STATEMENT_BYTES_MAX {
        return Err(SqlError::TooLarge(format!("a statement has at most {STATEMENT_BYTES_MAX} bytes")));
    }
    if sql.contains('\0') {
        return Err(SqlError::Invalid("a statement holds U+0000".into()));
    }
    Ok(())
}

/// Checks that a statement gets as many parameters as it numbers.
pub fn check_params(numbered: usize, given: usize) -> Result<(), SqlError> {
    if numbered > PARAMS_MAX {
        return Err(too_many_params());
    }
    if numbered != given {
        let reason = format!("the statement has {numbered} parameters and {given} were given");
        return Err(SqlError::Invalid(reason));
    }
    Ok(())
}

/// The error for a statement with more parameters than the port carries.
fn too_many_params() -> SqlError {
    SqlError::TooLarge(format!("a statement has at most {PARAMS_MAX} parameters"))
}

/// Checks one text that is to be stored or compared.
pub fn check_text(text: &str) -> Result<(), SqlError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(SqlError::TooLarge(format!("a text has at most {TEXT_BYTES_MAX} bytes")));
    }
    if text.as_bytes().contains(&0) {
        return Err(SqlError::Invalid("a text holds U+0000".into()));
    }
    Ok(())
}

/// A batch after the checks that need no database.
pub enum Checked {
    /// It may go to the database.
    Fits(Batch),
    /// It is refused, unless a batch with this id has been committed before.
    Unfit(String, SqlError),
}

/// Checks everything that can be checked without the database, on the caller's thread. An error means that even the id
/// is not one.
pub fn check_batch(batch: Batch) -> Result<Checked, SqlError> {
    if batch.id.is_empty() || batch.id.contains('\0') {
        return Err(SqlError::Invalid("the id of a batch is empty or holds U+0000".into()));
    }
    if batch.id.len() > ID_BYTES_MAX {
        return Err(SqlError::TooLarge(format!("the id of a batch has at most {ID_BYTES_MAX} bytes")));
    }
    Ok(match check_content(&batch) {
        Ok(()) => Checked::Fits(batch),
        Err(refusal) => Checked::Unfit(batch.id, refusal),
    })
}

fn check_content(batch: &Batch) -> Result<(), SqlError> {
    if batch.writes.len() > WRITES_MAX {
        return Err(SqlError::TooLarge(format!("a batch has at most {WRITES_MAX} writes")));
    }
    if batch.events.len() > EVENTS_MAX {
        return Err(SqlError::TooLarge(format!("a batch has at most {EVENTS_MAX} events")));
    }
    if batch.writes.iter().any(|write| write.params.len() > PARAMS_MAX) {
        return Err(too_many_params());
    }
    if size(batch) > BATCH_BYTES_MAX {
        return Err(SqlError::TooLarge(format!("a batch has at most {BATCH_BYTES_MAX} bytes of texts")));
    }
    batch.events.iter().try_for_each(check_event)
}

fn size(batch: &Batch) -> usize {
    let text = |value: &Value| match value {
        Value::Null | Value::Integer(_) => 0,
        Value::Text(text) => text.len(),
    };
    let writes = batch.writes.iter().map(|write| write.params.iter().map(text).sum::<usize>());
    writes.sum::<usize>() + batch.events.iter().map(|event| event.payload.len()).sum::<usize>()
}

/// Checks an event that is to be stored.
fn check_event(event: &NewEvent) -> Result<(), SqlError> {
    let too_large =
        |what: &str, max: usize| SqlError::TooLarge(format!("the {what} of an event has at most {max} bytes"));
    if event.topic.len() > TOPIC_BYTES_MAX {
        return Err(too_large("topic", TOPIC_BYTES_MAX));
    }
    if event.key.len() > EVENT_KEY_BYTES_MAX {
        return Err(too_large("key", EVENT_KEY_BYTES_MAX));
    }
    if event.payload.len() > PAYLOAD_BYTES_MAX {
        return Err(too_large("payload", PAYLOAD_BYTES_MAX));
    }
    let is_topic = event.topic.split_once('.').is_some_and(|(service, fact)| {
        [service, fact].iter().all(|part| !part.is_empty() && !part.contains(char::is_control))
    });
    if !is_topic {
        return Err(SqlError::Invalid(format!("the topic `{}` is not `service.fact`", event.topic)));
    }
    if event.key.contains('\0') {
        return Err(SqlError::Invalid("the key of an event holds U+0000".into()));
    }
    let is_object = event.payload.trim_start().starts_with('{')
        && serde_json::from_str::<serde::de::IgnoredAny>(&event.payload).is_ok();
    if !is_object {
        return Err(SqlError::Invalid("the payload of an event is not a JSON object".into()));
    }
    Ok(())
}

/// The identity of an event: two components may choose the same identity for a batch.
pub fn event_id(component: &str, batch_id: &str, place: usize) -> String {
    format!("{component}/{batch_id}/{place}")
}

/// Checks a key.
pub fn check_kv_key(key: &str) -> Result<(), KvError> {
    if key.is_empty() || key.len() > KV_KEY_BYTES_MAX {
        return Err(KvError::Invalid(format!("a key has 1 to {KV_KEY_BYTES_MAX} bytes")));
    }
    if key.contains('\0') {
        return Err(KvError::Invalid("a key holds U+0000".into()));
    }
    Ok(())
}

/// Checks a value.
pub fn check_kv_value(value: &str) -> Result<(), KvError> {
    if value.len() > KV_VALUE_BYTES_MAX {
        return Err(KvError::Invalid(format!("a value has at most {KV_VALUE_BYTES_MAX} bytes")));
    }
    if value.contains('\0') {
        return Err(KvError::Invalid("a value holds U+0000".into()));
    }
    Ok(())
}

/// Checks a time to live and turns it into milliseconds.
pub fn check_ttl(ttl_seconds: Option<u64>) -> Result<Option<i64>, KvError> {
    let Some(seconds) = ttl_seconds else { return Ok(None) };
    if seconds == 0 || seconds > TTL_SECONDS_MAX {
        return Err(KvError::Invalid(format!("a time to live has 1 to {TTL_SECONDS_MAX} seconds")));
    }
    Ok(Some(i64::try_from(seconds * 1_000).unwrap_or(i64::MAX)))
}
