//! Building statements and reading packed rows. The SQL text itself lives in each service's `store.rs`.

pub use crate::bindings::souk::shop::sql::{Batch, MissedGuard, Read, Rows, Snapshot, SqlError, Value, Write};

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Integer(i64::from(number))
    }
}

impl From<u64> for Value {
    /// For versions and counts, which never come near the limit.
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).expect("versions and counts stay far below 2^63"))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Integer(i64::from(flag))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One read.
pub fn read(sql: &str, params: impl Into<Vec<Value>>) -> Read {
    Read { sql: sql.to_owned(), params: params.into() }
}

/// One write that may touch any number of rows.
pub fn write(sql: &str, params: impl Into<Vec<Value>>) -> Write {
    Write { sql: sql.to_owned(), params: params.into(), expect: None }
}

/// One write that must touch exactly one row: the guard of a decision.
pub fn guarded(sql: &str, params: impl Into<Vec<Value>>) -> Write {
    Write { sql: sql.to_owned(), params: params.into(), expect: Some(1) }
}

impl Rows {
    /// Reads every row. `each` must take all cells of its row, in order.
    pub fn map<T>(&self, mut each: impl FnMut(&mut Cells<'_>) -> T) -> Vec<T> {
        let mut cells = Cells { rest: &self.packed };
        let mut items = Vec::new();
        while !cells.rest.is_empty() {
            items.push(each(&mut cells));
        }
        items
    }

    /// Reads the first row, if there is one.
    pub fn first<T>(&self, each: impl FnOnce(&mut Cells<'_>) -> T) -> Option<T> {
        (!self.packed.is_empty()).then(|| each(&mut Cells { rest: &self.packed }))
    }
}

/// The cells of a row, taken one after the other. The statement says what they are, so another kind is a bug and traps.
pub struct Cells<'a> {
    rest: &'a [u8],
}

impl<'a> Cells<'a> {
    /// Takes a text that is not null.
    pub fn text(&mut self) -> String {
        self.str().to_owned()
    }

    /// Takes a text that is not null, without copying it.
    pub fn str(&mut self) -> &'a str {
        self.optional_str().expect("the statement makes this cell a text")
    }

    /// Takes a text that may be null.
    pub fn optional_text(&mut self) -> Option<String> {
        self.optional_str().map(str::to_owned)
    }

    /// Takes an integer that is not null.
    pub fn integer(&mut self) -> i64 {
        self.optional_integer().expect("the statement makes this cell an integer")
    }

    /// Takes an integer that may be null.
    pub fn optional_integer(&mut self) -> Option<i64> {
        match self.tag() {
            0 => None,
            1 => Some(i64::from_le_bytes(self.take(8).try_into().expect("eight bytes were taken"))),
            tag => panic!("a cell with tag {tag} is not an integer"),
        }
    }

    /// Takes a count, a version or another integer that is never negative.
    pub fn count(&mut self) -> u64 {
        u64::try_from(self.integer()).expect("a constraint keeps this cell from being negative")
    }

    /// Takes a count that fits 32 bits.
    pub fn small(&mut self) -> u32 {
        u32::try_from(self.integer()).expect("a constraint keeps this cell within 32 bits")
    }

    /// Takes a flag.
    pub fn flag(&mut self) -> bool {
        self.integer() != 0
    }

    fn optional_str(&mut self) -> Option<&'a str> {
        match self.tag() {
            0 => None,
            2 => {
                let length = u32::from_le_bytes(self.take(4).try_into().expect("four bytes were taken"));
                let bytes = self.take(length as usize);
                Some(std::str::from_utf8(bytes).expect("the port gives text as UTF-8"))
            }
            tag => panic!("a cell with tag {tag} is not a text"),
        }
    }

    fn tag(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        taken
    }
}

impl SqlError {
    /// What happened, in one line. For a dependency's failure that a service passes on as `unavailable`.
    pub fn describe(&self) -> String {
        match self {
            Self::Invalid(text) => format!("invalid statement: {text}"),
            Self::TooLarge(text) => format!("too large: {text}"),
            Self::Constraint(text) => format!("constraint: {text}"),
            Self::GuardMissed(guard) => format!("guard {} missed", guard.write),
            Self::StorageFull => "the storage of the database is full".to_owned(),
            Self::Unavailable(text) => format!("database unavailable: {text}"),
        }
    }
}
