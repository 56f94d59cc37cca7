//! The only SQL of the catalog: rows to domain and back.
//!
//! Every statement is the portable part of SQLite and Postgres. Lists of values are written in chunks, because a
//! statement takes at most 200 parameters.

use crate::values::{CatalogError, ProductStatus};
use souk_kit::Sql;
use souk_kit::events::NewEvent;
use souk_kit::sql::{Batch, Snapshot, SqlError, Value, Write, read};

pub mod audit;
pub mod categories;
pub mod listing;
pub mod media;
pub mod products;
pub mod saving;
pub mod stock;

/// Most parameters of a statement.
const PARAMS_MAX: usize = 200;

/// Most values in one list of a `WHERE ... IN`. A power of two: see [`in_list`].
const IN_LIST_MAX: usize = 128;

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// It is durable.
    Done,
    /// Another writer came first: read again and decide anew.
    Missed,
}

/// Commits a batch.
pub fn commit(ports: &impl Sql, id: String, writes: Vec<Write>, events: Vec<NewEvent>) -> Result<Commit, CatalogError> {
    match ports.commit(&Batch { id, writes, events }) {
        Ok(_) => Ok(Commit::Done),
        Err(SqlError::GuardMissed(_)) => Ok(Commit::Missed),
        Err(error) => Err(unavailable(&error)),
    }
}

/// Commits a batch that takes slugs, SKUs or categories, which others may take or remove first.
///
/// Unique indexes and foreign keys stand behind the reads that decided: when one of them refuses, the next read
/// finds what is in the way and the decision names it.
pub fn commit_taking(
    ports: &impl Sql,
    id: String,
    writes: Vec<Write>,
    events: Vec<NewEvent>,
) -> Result<Commit, CatalogError> {
    match ports.commit(&Batch { id, writes, events }) {
        Ok(_) => Ok(Commit::Done),
        Err(SqlError::GuardMissed(_) | SqlError::Constraint(_)) => Ok(Commit::Missed),
        Err(error) => Err(unavailable(&error)),
    }
}

/// What a failure of the database means to the caller.
fn unavailable(error: &SqlError) -> CatalogError {
    match error {
        SqlError::StorageFull => CatalogError::StorageFull,
        error => CatalogError::Unavailable(error.describe()),
    }
}

/// Runs reads given as text and parameters.
fn query(ports: &impl Sql, reads: Vec<(&str, Vec<Value>)>, batch_id: Option<&str>) -> Result<Snapshot, CatalogError> {
    let reads: Vec<_> = reads.into_iter().map(|(sql, params)| read(sql, params)).collect();
    ports.query(&reads, batch_id).map_err(|error| unavailable(&error))
}

/// The places `$first, ...` for a list of values, which are added to `params`.
///
/// The last value is repeated up to a power of two, so that there are few different statements to prepare.
fn in_list(params: &mut Vec<Value>, values: &[impl AsRef<str>]) -> String {
    assert!((1..=IN_LIST_MAX).contains(&values.len()), "a list has 1 to {IN_LIST_MAX} values");
    let mut places = String::new();
    for place in 0..values.len().next_power_of_two() {
        let value = values.get(place).or(values.last()).expect("a list has a value");
        params.push(value.as_ref().into());
        if place > 0 {
            places.push_str(", ");
        }
        places.push_str(&format!("${}", params.len()));
    }
    places
}

/// Inserts rows, as many in one write as the limit of parameters allows, and each of them must be written.
/// `tail` comes after the values.
fn insert(into: &str, tail: &str, rows: Vec<Vec<Value>>) -> Vec<Write> {
    let Some(columns) = rows.first().map(Vec::len) else { return Vec::new() };
    let mut writes = Vec::new();
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let chunk: Vec<Vec<Value>> = rows.by_ref().take(PARAMS_MAX / columns).collect();
        let mut sql = format!("INSERT INTO {into} VALUES ");
        for row in 0..chunk.len() {
            sql.push_str(if row == 0 { "(" } else { ", (" });
            for column in 0..columns {
                let comma = if column == 0 { "" } else { ", " };
                sql.push_str(&format!("{comma}${}", row * columns + column + 1));
            }
            sql.push(')');
        }
        sql.push_str(tail);
        let expect = Some(chunk.len() as u64);
        writes.push(Write { sql, params: chunk.into_iter().flatten().collect(), expect });
    }
    writes
}

/// Reads a status as it is written in rows.
fn status(text: &str) -> ProductStatus {
    match text {
        "draft" => ProductStatus::Draft,
        "published" => ProductStatus::Published,
        "archived" => ProductStatus::Archived,
        other => panic!("a constraint keeps the status from being {other}"),
    }
}

/// Reads a list that this service wrote as JSON.
fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).expect("this service wrote it as JSON of this shape")
}

/// Writes a list as JSON.
fn to_json<T: serde::Serialize>(list: &T) -> String {
    serde_json::to_string(list).expect("lists of texts are always JSON")
}
