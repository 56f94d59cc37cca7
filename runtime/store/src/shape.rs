//! What a component's SQL may look like: one statement, the portable part of the language.
//!
//! This is the first of two nets: it reads the text and knows verbs, statement ends and parameters. The second
//! is the database's own, which sees every table that a statement really touches, whatever the text looked like.

use std::borrow::Cow;
use std::sync::Arc;

/// Functions of both SQLite and PostgreSQL that answer the same in both: no clock, no chance, no floats.
pub const FUNCTIONS: &[&str] = &[
    "abs",
    "coalesce",
    "count",
    "dense_rank",
    "first_value",
    "lag",
    "last_value",
    "lead",
    "length",
    "lower",
    "ltrim",
    "max",
    "min",
    "nullif",
    "rank",
    "replace",
    "row_number",
    "rtrim",
    "string_agg",
    "substr",
    "substring",
    "sum",
    "trim",
    "upper",
];

/// Whether a name is among others, which SQL compares without regard to case.
pub fn is_one_of(names: &[&str], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// How the names of a component's tables start, or why a component may not have any.
pub fn prefix(component: &str) -> Result<Arc<str>, String> {
    let fits = component.starts_with(|first: char| first.is_ascii_lowercase())
        && component.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    let prefix = component.replace('-', "_") + "_";
    if !fits || prefix.starts_with("souk_") || prefix.starts_with("sqlite_") {
        return Err(format!(
            "`{component}` cannot own tables: a name has lower-case letters, digits and hyphens, and does not start with `souk` or `sqlite`"
        ));
    }
    Ok(prefix.into())
}

/// What a statement is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verb {
    /// One `SELECT`.
    Read,
    /// One `INSERT`, `UPDATE` or `DELETE`.
    Write,
}

/// Reads the text of a component's statement and answers the numbers of its parameters in the order in which
/// SQLite counts them, which is the order of their first appearance.
pub fn shape(sql: &str, verb: Verb) -> Result<Vec<u16>, String> {
    let mut tokens = Tokens(sql);
    let first = tokens.next();
    let word = |token: Option<Token<'_>>| match token {
        Some(Token::Word(word)) => Cow::Owned(word.to_ascii_uppercase()),
        _ => Cow::Borrowed(""),
    };
    let first = word(first);
    let allowed: &[&str] = match verb {
        Verb::Read => &["SELECT", "WITH"],
        Verb::Write => &["INSERT", "UPDATE", "DELETE"],
    };
    if !allowed.contains(&first.as_ref()) {
        return Err(format!("a statement here starts with {}", allowed.join(" or ")));
    }
    let mut numbers = Vec::new();
    let mut ended = false;
    let mut second = true;
    while let Some(token) = tokens.next() {
        if ended {
            return Err("there is more than one statement".into());
        }
        match token {
            Token::End => ended = true,
            // `OR ROLLBACK` would undo the batches of others that share the flush.
            Token::Word(w) if second && w.eq_ignore_ascii_case("OR") => {
                return Err(format!("{first} OR is not portable; write ON CONFLICT"));
            }
            Token::Word(_) | Token::Other => {}
            Token::Parameter(number) => {
                if !numbers.contains(&number) {
                    numbers.push(number);
                }
            }
            Token::Malformed(what) => return Err(what.into()),
        }
        second = false;
    }
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    if sorted.iter().zip(1..).any(|(&number, place)| number != place) {
        return Err("parameters are numbered $1, $2, ... without a gap".into());
    }
    Ok(numbers)
}

/// Refuses words in a migration whose effect would reach beyond the statement or the batch that uses them later.
pub fn check_migration(sql: &str) -> Result<(), String> {
    let mut tokens = Tokens(sql);
    let mut before = String::new();
    while let Some(token) = tokens.next() {
        let Token::Word(word) = token else {
            before.clear();
            continue;
        };
        let word = word.to_ascii_uppercase();
        match (before.as_str(), word.as_str()) {
            // Checked at the commit of a whole group, it would fail batches of others.
            (_, "DEFERRABLE" | "DEFERRED") => return Err("a constraint cannot be deferred".into()),
            (_, "AUTOINCREMENT") => return Err("AUTOINCREMENT is not portable".into()),
            ("CONFLICT", "ROLLBACK") | ("OR", "ROLLBACK") => {
                return Err("ON CONFLICT ROLLBACK is not portable".into());
            }
            ("CREATE", "TRIGGER" | "VIRTUAL" | "TEMP" | "TEMPORARY") => {
                return Err(format!("CREATE {word} is not portable"));
            }
            _ => before = word,
        }
    }
    Ok(())
}

enum Token<'a> {
    Word(&'a str),
    Parameter(u16),
    End,
    Other,
    Malformed(&'static str),
}

/// The tokens of a text, without blanks and comments.
struct Tokens<'a>(&'a str);

impl<'a> Tokens<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let rest = self.0.trim_start();
            let first = rest.chars().next()?;
            if rest.starts_with("--") {
                self.0 = rest.find('\n').map_or("", |end| &rest[end..]);
            } else if rest.starts_with("/*") {
                let Some(end) = rest.find("*/") else {
                    self.0 = "";
                    return Some(Token::Malformed("a comment does not end"));
                };
                self.0 = &rest[end + 2..];
            } else {
                let (token, length) = Self::token(rest, first);
                self.0 = &rest[length..];
                return Some(token);
            }
        }
    }

    fn token(rest: &'a str, first: char) -> (Token<'a>, usize) {
        match first {
            ';' => (Token::End, 1),
            '\'' | '"' | '`' => match quoted(rest, first) {
                Some(length) => (Token::Other, length),
                None => (Token::Malformed("a quote does not end"), rest.len()),
            },
            '$' => {
                let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
                let named = rest[1 + digits..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
                match rest[1..=digits].parse() {
                    Ok(number) if !named => (Token::Parameter(number), 1 + digits),
                    _ => (Token::Malformed("a parameter is written $1, $2, ..."), 1),
                }
            }
            '?' | ':' | '@' | '#' => (Token::Malformed("a parameter is written $1, $2, ..."), 1),
            '[' => (Token::Malformed("square brackets are not portable"), 1),
            _ if first.is_alphabetic() || first == '_' => {
                let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(rest.len());
                (Token::Word(&rest[..length]), length)
            }
            _ => (Token::Other, first.len_utf8()),
        }
    }
}

/// The length of a quoted text, whose quote is doubled inside.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut from = 1;
    loop {
        let end = from + text[from..].find(quote)? + 1;
        if !text[end..].starts_with(quote) {
            return Some(end);
        }
        from = end + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::{Verb, check_migration, prefix, shape};

    #[test]
    fn a_statement_is_one_verb_with_numbered_parameters() {
        type Row = (Verb, &'static str, Result<&'static [u16], &'static str>);
        let table: &[Row] = &[
            (Verb::Read, "SELECT 1", Ok(&[])),
            (Verb::Read, "  -- a note\n select $1, $2, $1", Ok(&[1, 2])),
            (Verb::Read, "WITH a AS (SELECT 1) SELECT * FROM a WHERE x = $2 AND y = $1;", Ok(&[2, 1])),
            (Verb::Read, "SELECT ';', '$9', \"a;b\", 'it''s' /* ; $7 */", Ok(&[])),
            (Verb::Read, "SELECT 1; ; -- nothing", Err("more than one")),
            (Verb::Read, "SELECT 1; DELETE FROM a", Err("more than one")),
            (Verb::Read, "VALUES (1)", Err("starts with SELECT or WITH")),
            (Verb::Read, "EXPLAIN SELECT 1", Err("starts with SELECT or WITH")),
            (Verb::Read, "PRAGMA user_version", Err("starts with SELECT or WITH")),
            (Verb::Read, "", Err("starts with SELECT or WITH")),
            (Verb::Read, "SELECT $1, $3", Err("without a gap")),
            (Verb::Read, "SELECT $0", Err("without a gap")),
            (Verb::Read, "SELECT ?", Err("written $1")),
            (Verb::Read, "SELECT :a", Err("written $1")),
            (Verb::Read, "SELECT $a", Err("written $1")),
            (Verb::Read, "SELECT $1a", Err("written $1")),
            (Verb::Read, "SELECT $99999", Err("written $1")),
            (Verb::Read, "SELECT 'open", Err("quote does not end")),
            (Verb::Read, "SELECT /* open", Err("comment does not end")),
            (Verb::Write, "INSERT INTO a VALUES ($1)", Ok(&[1])),
            (Verb::Write, "DELETE FROM a WHERE b = $1 OR c = $1", Ok(&[1])),
            (Verb::Write, "SELECT 1", Err("starts with INSERT")),
            (Verb::Write, "WITH a AS (SELECT 1) DELETE FROM b", Err("starts with INSERT")),
            (Verb::Write, "REPLACE INTO a VALUES (1)", Err("starts with INSERT")),
            (Verb::Write, "INSERT OR ROLLBACK INTO a VALUES (1)", Err("ON CONFLICT")),
            (Verb::Write, "UPDATE or fail a SET b = 1", Err("ON CONFLICT")),
            (Verb::Write, "COMMIT", Err("starts with INSERT")),
        ];
        for (verb, sql, expected) in table {
            match (shape(sql, *verb), expected) {
                (Ok(numbers), Ok(expected)) => assert_eq!(numbers, *expected, "{sql}"),
                (Err(refusal), Err(expected)) => assert!(refusal.contains(expected), "{sql}: {refusal}"),
                (answer, _) => panic!("{sql}: {answer:?}"),
            }
        }
    }

    #[test]
    fn a_migration_cannot_reach_beyond_its_batch() {
        for (sql, fits) in [
            ("CREATE TABLE a_b (c TEXT); -- DEFERRED", true),
            ("CREATE TABLE a_b (c TEXT REFERENCES a_d DEFERRABLE INITIALLY DEFERRED)", false),
            ("CREATE TABLE a_b (c TEXT UNIQUE ON CONFLICT ROLLBACK)", false),
            ("CREATE TRIGGER a_t AFTER INSERT ON a_b BEGIN SELECT 1; END", false),
            ("CREATE VIRTUAL TABLE a_b USING fts5(c)", false),
            ("create temp table a_b (c TEXT)", false),
        ] {
            assert_eq!(check_migration(sql).is_ok(), fits, "{sql}");
        }
    }

    #[test]
    fn a_component_owns_the_tables_of_its_name() {
        for (component, expected) in [
            ("cart", Some("cart_")),
            ("test-payments", Some("test_payments_")),
            ("souk", None),
            ("souk-x", None),
            ("sqlite", None),
            ("Cart", None),
            ("", None),
            ("a_b", None),
            ("1a", None),
        ] {
            assert_eq!(prefix(component).ok().as_deref(), expected, "{component}");
        }
    }
}
