//! `sql.commit`: one batch in one transaction, sent as one flight.
//!
//! The transaction ends itself where it must: `souk.start` when the batch was committed before, `souk.guard` when a guard is
//! missed. What was sent behind that fails, and the `COMMIT` at the end becomes a rollback.

use std::time::Instant;

use futures_util::TryStreamExt as _;
use tokio_postgres::{Client, Error, Statement};

use super::codec::Param;
use super::failure::{Stop, Trouble, classify, unfit};
use super::flight::{Sent, send};
use super::pool::{Connection, ENTER, LEAVE, Params, no_tables};
use super::schema;
use crate::Subscribers;
use crate::limits::event_id;
use crate::shape::Verb;
use crate::values::{Batch, MissedGuard, SqlError, Write};

const START: &str = "SELECT souk.start($1, $2)";
const FINISH: &str = "SELECT souk.finish($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const OUTCOME: &str = "SELECT outcome FROM souk.batches WHERE component = $1 AND id = $2";

/// SQLSTATE of a batch that was committed before.
const KNOWN: &str = "SK001";
/// SQLSTATE of a missed guard.
const MISSED: &str = "SK002";

/// What one commit is made of.
pub(super) struct Commit<'a> {
    /// Whose batch it is.
    pub(super) component: &'a str,
    /// The batch.
    pub(super) batch: &'a Batch,
    /// What its events become.
    pub(super) deliveries: &'a Deliveries<'a>,
    /// The present, in milliseconds since 1970.
    pub(super) now: i64,
    /// When nobody waits any more.
    pub(super) deadline: Instant,
}

/// The deliveries of a batch: one in each place.
#[derive(Default)]
pub(super) struct Deliveries<'a> {
    subscribers: Vec<&'a str>,
    topics: Vec<&'a str>,
    keys: Vec<&'a str>,
    event_ids: Vec<String>,
    payloads: Vec<&'a str>,
    not_befores: Vec<i64>,
    /// Events that somebody hears.
    pub(super) heard: u64,
    /// Events that nobody hears.
    pub(super) unheard: u64,
}

impl<'a> Deliveries<'a> {
    /// What the events of a batch become, by the subscribers of their topics.
    pub(super) fn of(component: &str, batch: &'a Batch, subscribers: &'a Subscribers) -> Deliveries<'a> {
        let mut deliveries = Deliveries::default();
        for (place, event) in batch.events.iter().enumerate() {
            let Some(hearers) = subscribers.get(&event.topic).filter(|hearers| !hearers.is_empty()) else {
                deliveries.unheard += 1;
                continue;
            };
            deliveries.heard += 1;
            for subscriber in hearers {
                deliveries.subscribers.push(subscriber);
                deliveries.topics.push(&event.topic);
                deliveries.keys.push(&event.key);
                deliveries.event_ids.push(event_id(component, &batch.id, place));
                deliveries.payloads.push(&event.payload);
                deliveries.not_befores.push(event.not_before.unwrap_or_default().max(0));
            }
        }
        deliveries
    }
}

/// Does a batch, or answers what it answered the first time.
pub(super) async fn apply(connection: &mut Connection, commit: &Commit<'_>) -> Result<Vec<u64>, Stop<SqlError>> {
    let Commit { component, batch, deliveries, now, deadline } = commit;
    let (start, finish) = (connection.own(START).await?, connection.own(FINISH).await?);
    let enter = connection.own(ENTER).await?;
    let asked = batch.writes.iter().map(|write| (write.sql.as_str(), write.params.as_slice()));
    let statements = match connection.statements(component, Verb::Write, asked).await {
        Ok(statements) => statements,
        Err(Stop::Refused(refusal)) => return first_or(connection, component, &batch.id, refusal).await,
        Err(Stop::Engine(Trouble::Failed(failure))) => {
            return first_or(connection, component, &batch.id, failure.into()).await;
        }
        Err(stop) => return Err(stop),
    };
    let (role, schema) = (schema::role(&connection.database, component), schema::name(component));
    let begin = begin("ISOLATION LEVEL READ COMMITTED READ WRITE", *deadline);
    let identity: Params<'_, 2> = [component, &batch.id];
    let role_and_schema: Params<'_, 2> = [&role, &schema];
    let outbox: Params<'_, 9> = [
        component,
        &batch.id,
        now,
        &deliveries.subscribers,
        &deliveries.topics,
        &deliveries.keys,
        &deliveries.event_ids,
        &deliveries.payloads,
        &deliveries.not_befores,
    ];
    let client = &connection.client;

    // From here to the end of the flight nothing is waited for.
    let began = send(client.batch_execute(&begin));
    let started = send(client.execute(&start, &identity));
    let entered = (!batch.writes.is_empty()).then(|| send(client.execute(&enter, &role_and_schema)));
    let written: Vec<Sent<_>> =
        statements.iter().zip(&batch.writes).map(|(statement, write)| send(touch(client, statement, write))).collect();
    let left = send(client.batch_execute(LEAVE));
    let finished = send(client.execute(&finish, &outbox));
    let committed = send(client.batch_execute("COMMIT"));

    let answers = async {
        began.answer().await.map_err(|error| unfit(&error))?;
        if let Err(error) = started.answer().await {
            return known(&error);
        }
        if let Some(entered) = entered {
            entered.answer().await.map_err(|error| no_tables(component, &error))?;
        }
        let mut touched = Vec::with_capacity(written.len());
        for (place, (answer, write)) in (0..).zip(written.into_iter().zip(&batch.writes)) {
            touched.push(answer.answer().await.map_err(|error| missed(&error, place, write))?);
        }
        left.answer().await?;
        finished.answer().await?;
        Ok(touched)
    }
    .await;
    // Answered last, whatever came before: with it the connection is free again, and the batch is durable.
    committed.answer().await?;
    answers
}

/// Begins a transaction whose statements end when nobody waits for them any more.
pub(super) fn begin(mode: &str, deadline: Instant) -> String {
    let left = deadline.saturating_duration_since(Instant::now()).as_millis().max(1);
    format!("BEGIN {mode}; SET LOCAL statement_timeout = {left}")
}

/// Does a write and answers how many rows it touched.
async fn touch(client: &Client, statement: &Statement, write: &Write) -> Result<u64, Error> {
    let params = write.params.iter().map(Param::Value).chain([Param::Guard(write.expect)]);
    let params: Vec<_> = params.collect();
    let rows: Vec<_> = client.query_raw(statement, params).await?.try_collect().await?;
    let touched: i64 = rows.first().map_or(Ok(0), |row| row.try_get(0))?;
    Ok(touched.unsigned_abs())
}

/// The first answer, when that is why the batch did not start.
fn known(error: &Error) -> Result<Vec<u64>, Stop<SqlError>> {
    match error.as_db_error() {
        Some(database) if database.code().code() == KNOWN => Ok(outcome_of(database.message())),
        _ => Err(classify(error).into()),
    }
}

fn missed(error: &Error, write: u32, wanted: &Write) -> Stop<SqlError> {
    match (error.as_db_error(), wanted.expect) {
        (Some(database), Some(expected)) if database.code().code() == MISSED => {
            let touched = database.message().parse().unwrap_or_default();
            Stop::Refused(SqlError::GuardMissed(MissedGuard { write, expected, touched }))
        }
        _ => classify(error).into(),
    }
}

/// Whatever a batch holds, one that was committed under its id has its answer.
pub(super) async fn first_or(
    connection: &mut Connection,
    component: &str,
    id: &str,
    refusal: SqlError,
) -> Result<Vec<u64>, Stop<SqlError>> {
    outcome(connection, component, id).await?.ok_or(Stop::Refused(refusal))
}

/// The stored answer of a batch, if it has been committed.
async fn outcome(connection: &mut Connection, component: &str, id: &str) -> Result<Option<Vec<u64>>, Trouble> {
    let statement = connection.own(OUTCOME).await?;
    let row = connection.client.query_opt(&statement, &[&component, &id]).await.map_err(|error| classify(&error))?;
    Ok(row.map(|row| outcome_of(row.get(0))))
}

fn outcome_of(stored: &str) -> Vec<u64> {
    stored.split_whitespace().map(|count| count.parse().unwrap_or_default()).collect()
}
