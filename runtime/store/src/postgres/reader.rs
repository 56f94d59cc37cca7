//! `sql.query`: the reads of one query in one snapshot, sent as one flight.

use std::pin::pin;
use std::time::Instant;

use futures_util::TryStreamExt as _;
use tokio_postgres::RowStream;

use super::batch::begin;
use super::codec::{Param, cell};
use super::failure::{Stop, unfit};
use super::flight::{Sent, send};
use super::pool::{Connection, ENTER, Params, no_tables};
use super::schema;
use crate::packing::{Packer, Room};
use crate::shape::Verb;
use crate::values::{Read, Rows, Snapshot, SqlError};

const COMMITTED: &str = "SELECT 1 FROM souk.batches WHERE component = $1 AND id = $2";

/// Reads.
pub(super) async fn query(
    connection: &mut Connection,
    component: &str,
    reads: &[Read],
    batch_id: Option<&str>,
    deadline: Instant,
) -> Result<Snapshot, Stop<SqlError>> {
    let (asked, enter) = (connection.own(COMMITTED).await?, connection.own(ENTER).await?);
    let texts = reads.iter().map(|read| (read.sql.as_str(), read.params.as_slice()));
    let statements = connection.statements(component, Verb::Read, texts).await?;
    let (role, schema) = (schema::role(&connection.database, component), schema::name(component));
    let begin = begin("ISOLATION LEVEL REPEATABLE READ READ ONLY", deadline);
    let asked_about: Params<'_, 2> = [&component, &batch_id];
    let role_and_schema: Params<'_, 2> = [&role, &schema];
    let client = &connection.client;

    // From here to the end of the flight nothing is waited for.
    let began = send(client.batch_execute(&begin));
    let committed = batch_id.map(|_| send(client.query_opt(&asked, &asked_about)));
    let entered = (!reads.is_empty()).then(|| send(client.execute(&enter, &role_and_schema)));
    let read: Vec<Sent<_>> = statements
        .iter()
        .zip(reads)
        .map(|(statement, read)| {
            let params: Vec<_> = read.params.iter().map(Param::Value).collect();
            send(client.query_raw(statement, params))
        })
        .collect();
    let ended = send(client.batch_execute("COMMIT"));

    let answers = async {
        began.answer().await.map_err(|error| unfit(&error))?;
        let committed = match committed {
            Some(committed) => committed.answer().await?.is_some(),
            None => false,
        };
        if let Some(entered) = entered {
            entered.answer().await.map_err(|error| no_tables(component, &error))?;
        }
        let mut room = Room::new();
        let mut results = Vec::with_capacity(reads.len());
        for (stream, statement) in read.into_iter().zip(&statements) {
            results.push(pack(stream.answer().await?, statement.columns().len(), &mut room).await?);
        }
        Ok(Snapshot { committed, results })
    }
    .await;
    if matches!(answers, Err(Stop::Refused(SqlError::TooLarge(_)))) {
        // Nobody waits for the rest of a result that may go on for long.
        connection.abandoned = true;
        return answers;
    }
    ended.answer().await?;
    answers
}

/// Packs the rows of one read as they come in.
async fn pack(stream: RowStream, columns: usize, room: &mut Room) -> Result<Rows, Stop<SqlError>> {
    let mut packer = Packer::new(columns, room);
    let mut stream = pin!(stream);
    while let Some(row) = stream.try_next().await? {
        for column in 0..columns {
            let cell = cell(&row, column).map_err(Stop::Refused)?;
            packer.cell(cell).map_err(Stop::Refused)?;
        }
        packer.end_row().map_err(Stop::Refused)?;
    }
    Ok(packer.finish())
}
