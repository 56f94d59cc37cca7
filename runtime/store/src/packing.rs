//! The results of one query, packed as `wit/sql.wit` says, within the limits of the port.

use crate::values::{Rows, SqlError};

/// Rows in all results of one query.
const ROWS_MAX: usize = 10_000;
/// Bytes in all results of one query.
const RESULT_BYTES_MAX: usize = 8 * 1024 * 1024;

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const TEXT: u8 = 2;

/// One cell as a database answers it.
pub enum Cell<'a> {
    /// SQL NULL.
    Null,
    /// An integer.
    Integer(i64),
    /// Text.
    Text(&'a str),
}

/// What the results of one query may still hold.
pub struct Room {
    rows: usize,
    bytes: usize,
}

impl Default for Room {
    fn default() -> Room {
        Room::new()
    }
}

impl Room {
    /// All of it.
    pub fn new() -> Room {
        Room { rows: ROWS_MAX, bytes: RESULT_BYTES_MAX }
    }
}

/// The rows of one read, as they come in.
pub struct Packer<'a> {
    room: &'a mut Room,
    columns: usize,
    packed: Vec<u8>,
}

impl<'a> Packer<'a> {
    /// Starts the result of a read with this many columns.
    pub fn new(columns: usize, room: &'a mut Room) -> Packer<'a> {
        Packer { room, columns, packed: Vec::new() }
    }

    /// Adds a cell.
    pub fn cell(&mut self, cell: Cell<'_>) -> Result<(), SqlError> {
        match cell {
            Cell::Null => self.packed.push(NULL),
            Cell::Integer(integer) => {
                self.packed.push(INTEGER);
                self.packed.extend_from_slice(&integer.to_le_bytes());
            }
            Cell::Text(text) => {
                let length =
                    u32::try_from(text.len()).map_err(|_| SqlError::TooLarge("a cell is over 4 GiB".into()))?;
                self.packed.push(TEXT);
                self.packed.extend_from_slice(&length.to_le_bytes());
                self.packed.extend_from_slice(text.as_bytes());
            }
        }
        Ok(())
    }

    /// Ends a row, which must be within the limits.
    pub fn end_row(&mut self) -> Result<(), SqlError> {
        if self.room.rows == 0 || self.packed.len() > self.room.bytes {
            let reason = format!("the results of a query hold at most {ROWS_MAX} rows and {RESULT_BYTES_MAX} bytes");
            return Err(SqlError::TooLarge(reason));
        }
        self.room.rows -= 1;
        Ok(())
    }

    /// The rows.
    pub fn finish(self) -> Rows {
        self.room.bytes -= self.packed.len();
        Rows { columns: u32::try_from(self.columns).unwrap_or(u32::MAX), packed: self.packed }
    }
}
