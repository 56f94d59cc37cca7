//! Values of the port as Postgres speaks them, in its binary form.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Row, Statement};

use crate::packing::Cell;
use crate::values::{SqlError, Value};

/// A parameter of a component's statement.
#[derive(Debug)]
pub(super) enum Param<'a> {
    /// One of its own.
    Value(&'a Value),
    /// The number of rows that a write must touch.
    Guard(Option<u64>),
}

impl ToSql for Param<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Param::Value(Value::Null) | Param::Guard(None) => Ok(IsNull::Yes),
            Param::Value(Value::Integer(integer)) => integer.to_sql(&Type::INT8, out),
            Param::Value(Value::Text(text)) => text.to_sql(&Type::TEXT, out),
            // More rows than there can be: missed, whatever is touched.
            Param::Guard(Some(rows)) => i64::try_from(*rows).unwrap_or(i64::MAX).to_sql(&Type::INT8, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// The type that a parameter is declared with; that of NULL is for the server to find.
pub(super) fn type_of(value: &Value) -> Type {
    match value {
        Value::Null => Type::UNKNOWN,
        Value::Integer(_) => Type::INT8,
        Value::Text(_) => Type::TEXT,
    }
}

/// Checks that the rows of a read hold what the port carries.
pub(super) fn check_columns(statement: &Statement) -> Result<(), SqlError> {
    if statement.columns().is_empty() {
        return Err(SqlError::Invalid("a read has columns".into()));
    }
    let odd = statement.columns().iter().find(|column| kind(column.type_()).is_none());
    match odd {
        Some(column) => Err(SqlError::Invalid(format!(
            "the column `{}` is a {}; there are integers and texts",
            column.name(),
            column.type_()
        ))),
        None => Ok(()),
    }
}

/// What can be read as a value of the port.
enum Kind {
    Integer,
    /// The sum of integers, which Postgres does not let overflow.
    Numeric,
    Text,
}

fn kind(kind: &Type) -> Option<Kind> {
    match *kind {
        Type::INT2 | Type::INT4 | Type::INT8 | Type::BOOL => Some(Kind::Integer),
        Type::NUMERIC => Some(Kind::Numeric),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => Some(Kind::Text),
        _ => None,
    }
}

/// The bytes of a cell.
struct Raw<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Raw(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Raw(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// One cell of a row of a read.
pub(super) fn cell(row: &Row, column: usize) -> Result<Cell<'_>, SqlError> {
    let invalid = |reason: &str| SqlError::Invalid(reason.into());
    let Raw(raw) = row.try_get(column).map_err(|error| invalid(&error.to_string()))?;
    let Some(raw) = raw else { return Ok(Cell::Null) };
    match kind(row.columns()[column].type_()) {
        Some(Kind::Integer) => integer(raw).map(Cell::Integer).ok_or_else(|| invalid("a cell is not an integer")),
        Some(Kind::Numeric) => {
            numeric(raw).map(Cell::Integer).ok_or_else(|| invalid("a cell is a fraction or overflows"))
        }
        Some(Kind::Text) => std::str::from_utf8(raw).map(Cell::Text).map_err(|_| invalid("a cell is not UTF-8")),
        None => Err(invalid("a cell is neither an integer nor a text")),
    }
}

/// Two's complement of one, two, four or eight bytes; one is a boolean.
fn integer(raw: &[u8]) -> Option<i64> {
    match *raw {
        [a] => Some(i64::from(a)),
        [a, b] => Some(i64::from(i16::from_be_bytes([a, b]))),
        [a, b, c, d] => Some(i64::from(i32::from_be_bytes([a, b, c, d]))),
        _ => raw.try_into().ok().map(i64::from_be_bytes),
    }
}

/// A numeric without a fraction: how many digits follow, the power of the first, a sign, the digits of the fraction
/// that are shown, and the digits, all in sixteen bits and to the base of 10,000.
fn numeric(raw: &[u8]) -> Option<i64> {
    const BASE: i128 = 10_000;
    const NEGATIVE: i16 = 0x4000;
    let words: Vec<i16> = raw.as_chunks().0.iter().map(|word| i16::from_be_bytes(*word)).collect();
    let [count, weight, sign, scale, digits @ ..] = words.as_slice() else { return None };
    let fits = usize::try_from(*count) == Ok(digits.len()) && *scale == 0 && (-1..=4).contains(weight);
    if !fits || !matches!(*sign, 0 | NEGATIVE) {
        return None;
    }
    // Zeros at the end are not sent.
    let places = usize::try_from(*weight + 1).ok()?;
    let padded = digits.iter().copied().chain(std::iter::repeat(0)).take(places);
    let sum = padded.fold(0, |sum, digit| sum * BASE + i128::from(digit));
    i64::try_from(if *sign == NEGATIVE { -sum } else { sum }).ok()
}

#[cfg(test)]
mod tests {
    use super::numeric;

    #[test]
    fn a_numeric_without_a_fraction_is_an_integer() {
        for (words, expected) in [
            (&[0, 0, 0, 0][..], Some(0)),
            (&[1, 0, 0, 0, 42], Some(42)),
            (&[1, 0, 0x4000, 0, 42], Some(-42)),
            (&[1, 1, 0, 0, 7], Some(70_000)),
            (&[2, 1, 0, 0, 7, 1], Some(70_001)),
            (&[5, 4, 0, 0, 922, 3372, 368, 5477, 5807], Some(i64::MAX)),
            (&[5, 4, 0x4000, 0, 922, 3372, 368, 5477, 5808], Some(i64::MIN)),
            (&[5, 4, 0, 0, 922, 3372, 368, 5477, 5808], None),
            (&[1, 5, 0, 0, 1], None),
            (&[2, 0, 0, 1, 1, 5000], None),
            (&[0, 0, -0x4000, 0], None),
            (&[2, 0, 0, 0, 1], None),
            (&[0, 0], None),
        ] {
            let raw: Vec<u8> = words.iter().flat_map(|word: &i16| word.to_be_bytes()).collect();
            assert_eq!(numeric(&raw), expected, "{words:?}");
        }
    }
}
