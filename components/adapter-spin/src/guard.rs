//! The second net for a component's SQL: which tables and functions its text names.
//!
//! On Souk's own host SQLite's authorizer sees what a statement really touches. Spin has none, so the text is read
//! here, after `souk_store::shape` has found one statement of the right verb. Whatever this reading does not
//! understand is refused: it knows the portable part of SQL and no more. A name stands for a table after `FROM`, `JOIN`,
//! `INTO`, `UPDATE` and the commas of a `FROM`; it belongs to the component when it starts with the component's name. A name
//! without an underscore can only be a common table expression, since every table has one.

use souk_store::shape::{FUNCTIONS, Verb, is_one_of};

/// Tables that SQLite makes up and whose names have no underscore.
const EPONYMOUS: &[&str] = &["dbstat", "bytecode", "carray"];

/// Words that may stand before a parenthesis and are no functions.
const BEFORE_PARENTHESIS: &[&str] = &[
    "ALL",
    "AND",
    "AS",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CONFLICT",
    "DISTINCT",
    "ELSE",
    "EXCEPT",
    "EXISTS",
    "FILTER",
    "FROM",
    "HAVING",
    "IN",
    "INTERSECT",
    "IS",
    "JOIN",
    "LIMIT",
    "MATERIALIZED",
    "NOT",
    "OFFSET",
    "ON",
    "OR",
    "OVER",
    "SELECT",
    "SET",
    "THEN",
    "UNION",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
];

/// Words that end a `FROM` clause. All of them are reserved in SQLite, so none can be an alias; `WINDOW` is not among
/// them, because it can.
const AFTER_FROM: &[&str] =
    &["EXCEPT", "GROUP", "HAVING", "INTERSECT", "LIMIT", "ORDER", "SELECT", "SET", "UNION", "VALUES", "WHERE"];

/// Words whose meaning is not portable: clocks, and operators that are functions underneath.
const REFUSED: &[&str] = &[
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "GLOB",
    "INDEXED",
    "LIKE",
    "MATCH",
    "PRAGMA",
    "RAISE",
    "REGEXP",
    "RETURNING",
];

/// Words that make a statement a write, wherever they stand; all of them are reserved.
const WRITING: &[&str] = &["DELETE", "INSERT", "INTO", "UPDATE"];

/// Refuses a statement that names a table of another component, a function that is not portable, or a write in a read.
pub fn check(sql: &str, verb: Verb, prefix: &str) -> Result<(), String> {
    let tokens = tokens(sql)?;
    Reading { tokens: &tokens, verb, prefix, levels: vec![Level::default()] }.run()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'a> {
    /// A keyword or a plain name.
    Word(&'a str),
    /// A name in double quotes, with the quotes.
    Quoted(&'a str),
    /// A text, a number or a parameter.
    Value,
    /// Any other character.
    Mark(u8),
}

fn tokens(sql: &str) -> Result<Vec<Token<'_>>, String> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.bytes().next() {
        let length = |end: fn(u8) -> bool| rest.bytes().position(end).unwrap_or(rest.len());
        let (token, used) = match first {
            b' ' | b'\t' | b'\r' | b'\n' => (None, 1),
            b'-' if rest.starts_with("--") => (None, rest.find('\n').unwrap_or(rest.len())),
            b'/' if rest.starts_with("/*") => (None, rest.find("*/").ok_or("a comment does not end")? + 2),
            b'\'' => (Some(Token::Value), quoted(rest, '\'')?),
            b'"' => {
                let used = quoted(rest, '"')?;
                (Some(Token::Quoted(&rest[..used])), used)
            }
            b'x' | b'X' if rest[1..].starts_with('\'') => return Err("a blob is not portable".into()),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let used = length(|byte| !(byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$'));
                (Some(Token::Word(&rest[..used])), used)
            }
            b'0'..=b'9' => {
                (Some(Token::Value), length(|byte| !(byte.is_ascii_alphanumeric() || b"_.".contains(&byte))))
            }
            b'$' => {
                let digits = rest[1..].bytes().position(|byte| !byte.is_ascii_alphanumeric());
                (Some(Token::Value), digits.map_or(rest.len(), |digits| digits + 1))
            }
            b'-' if rest.starts_with("->") => return Err("the operators of JSON are not portable".into()),
            b'(' | b')' | b',' | b'.' | b';' | b'=' | b'<' | b'>' | b'!' | b'+' | b'-' | b'*' | b'/' | b'%' | b'|' => {
                (Some(Token::Mark(first)), 1)
            }
            // A byte that is no ASCII would be part of a name to SQLite and nothing to this reading.
            _ => return Err("outside of quotes there are letters, digits and the marks of portable SQL".into()),
        };
        tokens.extend(token);
        rest = &rest[used..];
    }
    Ok(tokens)
}

/// The length of a quoted text, whose quote is doubled inside.
fn quoted(text: &str, quote: char) -> Result<usize, String> {
    let mut from = 1;
    loop {
        let end = from + text[from..].find(quote).ok_or("a quote does not end")? + 1;
        if !text[end..].starts_with(quote) {
            return Ok(end);
        }
        from = end + 1;
    }
}

/// What the next name stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    /// A table to read from, or a parenthesis.
    Source,
    /// A table to write to.
    Target,
}

/// What is known between one parenthesis and its end.
#[derive(Clone, Copy, Default)]
struct Level {
    /// Whether a comma goes on with tables.
    from: bool,
    expected: Option<Expected>,
}

struct Reading<'a> {
    tokens: &'a [Token<'a>],
    verb: Verb,
    prefix: &'a str,
    levels: Vec<Level>,
}

impl Reading<'_> {
    fn run(&mut self) -> Result<(), String> {
        for place in 0..self.tokens.len() {
            let level = *self.level()?;
            match (self.tokens[place], level.expected) {
                (Token::Word(word), Some(Expected::Source))
                    if self.after_mark(place, b'(') && is_one_of(&["SELECT", "VALUES", "WITH"], word) =>
                {
                    *self.level()? = Level::default();
                }
                (Token::Word(name), Some(expected)) => self.table(place, name, expected)?,
                (Token::Quoted(name), Some(expected)) => self.table(place, &unquoted(name), expected)?,
                (Token::Word(word), None) => self.word(place, word)?,
                (Token::Quoted(name), None) => {
                    if self.mark(place + 1) == Some(b'(') && !is_one_of(FUNCTIONS, &unquoted(name)) {
                        return Err(no_function(name));
                    }
                }
                (Token::Mark(b'('), expected) => self.open(expected)?,
                (Token::Mark(b')'), None) => {
                    self.levels.pop();
                }
                (Token::Mark(b','), None) if level.from => self.level()?.expected = Some(Expected::Source),
                (Token::Mark(_) | Token::Value, None) => {}
                (Token::Mark(_) | Token::Value, Some(_)) => return Err("a table is named by its plain name".into()),
            }
        }
        if self.levels.len() == 1 { Ok(()) } else { Err("a parenthesis does not end".into()) }
    }

    fn level(&mut self) -> Result<&mut Level, String> {
        self.levels.last_mut().ok_or_else(|| "a parenthesis ends that did not begin".to_owned())
    }

    fn open(&mut self, expected: Option<Expected>) -> Result<(), String> {
        let inner = match expected {
            // `FROM (a, b)` and `FROM (SELECT ...)`.
            Some(Expected::Source) => Level { from: true, expected },
            Some(Expected::Target) => return Err("a write names one table".into()),
            None => Level::default(),
        };
        self.level()?.expected = None;
        self.levels.push(inner);
        Ok(())
    }

    /// A name in the place of a table.
    fn table(&mut self, place: usize, name: &str, expected: Expected) -> Result<(), String> {
        self.level()?.expected = None;
        match self.mark(place + 1) {
            Some(b'.') => return Err(format!("`{name}` is a schema; a table is named by its plain name")),
            Some(b'(') if expected == Expected::Source => return Err(format!("`{name}` is a table with arguments")),
            _ => {}
        }
        let own = name.get(..self.prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(self.prefix));
        let temporary = expected == Expected::Source && !name.contains('_') && !is_one_of(EPONYMOUS, name);
        if own || temporary { Ok(()) } else { Err(format!("`{name}` does not start with `{}`", self.prefix)) }
    }

    /// A keyword, a column, an alias or a function.
    fn word(&mut self, place: usize, word: &str) -> Result<(), String> {
        let is = |other: &str| word.eq_ignore_ascii_case(other);
        if is_one_of(REFUSED, word) {
            return Err(format!("`{word}` is not in the portable part of SQL"));
        }
        // `WITH a AS (SELECT 1) DELETE FROM b` starts like a read.
        if self.verb == Verb::Read && is_one_of(WRITING, word) {
            return Err(format!("`{word}` does not stand in a read"));
        }
        if is_one_of(AFTER_FROM, word) {
            self.level()?.from = false;
        } else if is("JOIN") || (is("FROM") && !self.is_comparison(place)) {
            *self.level()? = Level { from: true, expected: Some(Expected::Source) };
        } else if is("INTO") || (is("UPDATE") && !self.after_word(place, "DO")) {
            self.level()?.expected = Some(Expected::Target);
        }
        let parenthesis = self.mark(place + 1) == Some(b'(');
        if is("IN") && !parenthesis {
            return Err("IN is followed by a parenthesis".into());
        }
        let known = is_one_of(BEFORE_PARENTHESIS, word) || is_one_of(FUNCTIONS, word);
        if parenthesis && !known && !self.names_columns(place + 1) {
            return Err(no_function(word));
        }
        Ok(())
    }

    /// Whether a `FROM` belongs to `IS DISTINCT FROM`.
    fn is_comparison(&self, place: usize) -> bool {
        self.after_word(place, "DISTINCT") && (self.after_word(place - 1, "IS") || self.after_word(place - 1, "NOT"))
    }

    /// Whether the parenthesis here is the list of columns of a common table expression: nothing else that SQLite takes
    /// goes on with `AS (`.
    fn names_columns(&self, place: usize) -> bool {
        let mut depth = 0_usize;
        let inside = self.tokens[place..].iter().take_while(|token| {
            match token {
                Token::Mark(b'(') => depth += 1,
                Token::Mark(b')') => depth -= 1,
                Token::Word(_) | Token::Quoted(_) | Token::Value | Token::Mark(_) => {}
            }
            depth > 0
        });
        let end = place + inside.count() + 1;
        let mut rest = self.tokens[end.min(self.tokens.len())..].iter();
        let is = |token: Option<&Token<'_>>, expected: &str| matches!(token, Some(Token::Word(word)) if word.eq_ignore_ascii_case(expected));
        if !is(rest.next(), "AS") {
            return false;
        }
        let mut next = rest.next();
        for word in ["NOT", "MATERIALIZED"] {
            if is(next, word) {
                next = rest.next();
            }
        }
        next == Some(&Token::Mark(b'('))
    }

    fn mark(&self, place: usize) -> Option<u8> {
        match self.tokens.get(place) {
            Some(Token::Mark(mark)) => Some(*mark),
            Some(Token::Word(_) | Token::Quoted(_) | Token::Value) | None => None,
        }
    }

    fn after_mark(&self, place: usize, mark: u8) -> bool {
        place > 0 && self.mark(place - 1) == Some(mark)
    }

    fn after_word(&self, place: usize, expected: &str) -> bool {
        place > 0 && matches!(self.tokens[place - 1], Token::Word(word) if word.eq_ignore_ascii_case(expected))
    }
}

fn unquoted(name: &str) -> String {
    name[1..name.len() - 1].replace("\"\"", "\"")
}

fn no_function(name: &str) -> String {
    format!("the function `{name}` is not in the portable part of SQL")
}

#[cfg(test)]
mod tests;
