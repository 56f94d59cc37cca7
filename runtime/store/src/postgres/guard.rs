//! What a component's SQL may say to Postgres, which has no authorizer to ask.
//!
//! Tables are kept apart by the database: a statement runs as the component's role, which may use its own schema and
//! no other. This module keeps a statement from leaving that role and from reaching what every role may: it lets
//! no function be called but the portable ones, no name of the system's catalogs be said, and no second
//! statement begin. It never knows what the tables mean.

use std::iter::once;

use super::lexer::{Token, tokens};
use crate::shape::{FUNCTIONS, Verb, is_one_of};

/// Words that may stand before a parenthesis or a text without calling a function or naming a type.
const KEYWORDS: &[&str] = &[
    "ALL",
    "AND",
    "ANY",
    "AS",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CHECK",
    "CONFLICT",
    "DEFAULT",
    "DISTINCT",
    "ELSE",
    "EXCEPT",
    "EXISTS",
    "FILTER",
    "FROM",
    "HAVING",
    "IN",
    "INTERSECT",
    "JOIN",
    "KEY",
    "LIMIT",
    "MATERIALIZED",
    "NOT",
    "OFFSET",
    "ON",
    "OR",
    "OVER",
    "SELECT",
    "SET",
    "SOME",
    "THEN",
    "UNION",
    "UNIQUE",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
];
/// Words after which a name and a list in parentheses are a table and its columns.
const NAMING: &[&str] = &["AS", "INTO", "RECURSIVE", "WITH"];
/// The same in a statement that makes or changes a table.
const NAMING_TABLES: &[&str] = &["EXISTS", "REFERENCES", "TABLE"];
/// The same in a statement that makes an index.
const NAMING_INDEXES: &[&str] = &["EXISTS", "ON"];
/// Words that call something without a parenthesis, or that answer rows of a write.
const NEVER: &[&str] = &[
    "CURRENT_CATALOG",
    "CURRENT_DATE",
    "CURRENT_ROLE",
    "CURRENT_SCHEMA",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "RETURNING",
    "SESSION_USER",
    "SYSTEM_USER",
    "USER",
];
/// Types that a cast may name.
const TYPES: &[&str] = &["BIGINT", "INTEGER", "TEXT"];
/// How the statements of a migration begin.
const CHANGES: &[&[&str]] = &[
    &["CREATE", "TABLE"],
    &["CREATE", "INDEX"],
    &["CREATE", "UNIQUE", "INDEX"],
    &["ALTER", "TABLE"],
    &["DROP", "TABLE"],
    &["DROP", "INDEX"],
    &["INSERT", "INTO"],
    &["UPDATE"],
    &["DELETE", "FROM"],
];

/// Judges a statement whose [shape](crate::shape::shape) is right, and answers it without its semicolon.
pub(super) fn check(sql: &str, verb: Verb) -> Result<&str, String> {
    let mut tokens = tokens(sql)?;
    let end = match tokens.last() {
        Some(Token::End(at)) => {
            let at = *at;
            tokens.pop();
            at
        }
        _ => sql.len(),
    };
    if verb == Verb::Read && tokens.iter().any(|token| is_word(token, "INTO")) {
        return Err("a read has no INTO".into());
    }
    judge(&tokens, &[])?;
    Ok(&sql[..end])
}

/// Takes a migration apart into statements, all of which a component may use on its own tables.
pub(super) fn statements(sql: &str) -> Result<Vec<&str>, String> {
    let tokens = tokens(sql)?;
    let ends = tokens.iter().filter_map(|token| match token {
        Token::End(at) => Some(*at),
        _ => None,
    });
    let ends: Vec<_> = ends.chain(once(sql.len())).collect();
    let mut from = 0;
    let mut statements = Vec::new();
    for (tokens, end) in tokens.split(|token| matches!(token, Token::End(_))).zip(ends) {
        if !tokens.is_empty() {
            judge_change(tokens)?;
            statements.push(&sql[from..end]);
        }
        from = end + 1;
    }
    Ok(statements)
}

fn judge_change(tokens: &[Token<'_>]) -> Result<(), String> {
    let begins = |words: &&&[&str]| {
        words.len() <= tokens.len() && words.iter().zip(tokens).all(|(word, token)| is_word(token, word))
    };
    let Some(words) = CHANGES.iter().find(begins) else {
        let allowed: Vec<_> = CHANGES.iter().map(|words| words.join(" ")).collect();
        return Err(format!("a statement of a migration starts with one of: {}", allowed.join(", ")));
    };
    match (words.first(), words.last()) {
        (Some(&"CREATE"), Some(&"INDEX")) => judge(tokens, NAMING_INDEXES),
        (Some(&("CREATE" | "ALTER" | "DROP")), _) => judge(tokens, NAMING_TABLES),
        _ => judge(tokens, &[]),
    }
}

/// Judges the tokens of one statement. `naming` are more words after which a table is named.
fn judge(tokens: &[Token<'_>], naming: &[&str]) -> Result<(), String> {
    // One for each open parenthesis: whether it is that of a cast.
    let mut open = Vec::new();
    let before = |place: usize, steps: usize| place.checked_sub(steps).and_then(|place| tokens.get(place));
    for (place, token) in tokens.iter().enumerate() {
        match token {
            Token::Word(word) => {
                judge_name(word)?;
                if is_one_of(NEVER, word) {
                    return Err(format!("{} is not allowed here", word.to_ascii_uppercase()));
                }
                if word.eq_ignore_ascii_case("AS") && open.last() == Some(&true) {
                    judge_type(tokens.get(place + 1))?;
                }
            }
            Token::Name(name) => judge_name(name)?,
            Token::Open => {
                judge_opening(before(place, 1), before(place, 2), naming)?;
                open.push(before(place, 1).is_some_and(|token| is_word(token, "CAST")));
            }
            Token::Close => {
                open.pop().ok_or("a parenthesis is closed that was not opened")?;
            }
            Token::Text => judge_text(before(place, 1))?,
            Token::End(_) => return Err("there is more than one statement".into()),
            Token::Number | Token::Parameter | Token::Symbol(_) => {}
        }
    }
    match open.is_empty() {
        true => Ok(()),
        false => Err("a parenthesis is not closed".into()),
    }
}

/// Every role may read the catalogs.
fn judge_name(name: &str) -> Result<(), String> {
    let is_system = name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("pg_"))
        || name.eq_ignore_ascii_case("information_schema");
    match is_system {
        true => Err(format!("`{name}` is the database's own")),
        false => Ok(()),
    }
}

/// Judges what stands before an opening parenthesis, and before that.
fn judge_opening(callee: Option<&Token<'_>>, before: Option<&Token<'_>>, naming: &[&str]) -> Result<(), String> {
    let (Some(Token::Word(name)) | Some(Token::Name(name))) = callee else { return Ok(()) };
    let is_named = match before {
        Some(Token::Word(word)) => is_one_of(NAMING, word) || is_one_of(naming, word),
        _ => false,
    };
    let is_plain = matches!(callee, Some(Token::Word(_))) && before != Some(&Token::Symbol('.'));
    if is_named || (is_plain && (is_one_of(KEYWORDS, name) || is_one_of(FUNCTIONS, name))) {
        return Ok(());
    }
    Err(format!("the function `{name}` is not in the portable part of SQL"))
}

/// Judges what stands before a text: a name there would be a type, as in `DATE 'now'`, or change how it is read, as in `E'\''`.
fn judge_text(before: Option<&Token<'_>>) -> Result<(), String> {
    let fits = match before {
        Some(Token::Word(word)) => is_one_of(KEYWORDS, word),
        Some(Token::Name(_) | Token::Text | Token::Symbol('&')) => false,
        _ => true,
    };
    match fits {
        true => Ok(()),
        false => Err("a text with something before it is not portable".into()),
    }
}

fn judge_type(name: Option<&Token<'_>>) -> Result<(), String> {
    match name {
        Some(Token::Word(word)) if is_one_of(TYPES, word) => Ok(()),
        _ => Err(format!("a cast is to one of {}", TYPES.join(", "))),
    }
}

fn is_word(token: &Token<'_>, expected: &str) -> bool {
    matches!(token, Token::Word(word) if word.eq_ignore_ascii_case(expected))
}

#[cfg(test)]
mod tests {
    use super::{check, statements};
    use crate::shape::Verb;

    #[test]
    fn a_statement_calls_nothing_but_portable_functions() {
        for (sql, expected) in [
            ("SELECT count(*), max (id), COALESCE(a, 'x') FROM a_b", None),
            ("SELECT id FROM a_b WHERE (a, b) > ($1, $2) AND id IN ($3) OR NOT (a = 1)", None),
            ("WITH x (n) AS (SELECT 1) SELECT n FROM x", None),
            ("WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL (SELECT n + 1 FROM up)) SELECT n FROM up", None),
            ("SELECT t.n FROM (SELECT 1 AS n) AS t (n) JOIN (SELECT 2) AS u USING (n)", None),
            ("SELECT row_number() OVER (PARTITION BY a ORDER BY b), sum(c) FILTER (WHERE c > 0) FROM a_b", None),
            ("SELECT CASE WHEN (a) THEN (b) ELSE 'c' END, DISTINCT (d) FROM a_b LIMIT (1) OFFSET (2)", None),
            ("SELECT CAST(a AS TEXT), CAST((b) AS bigint) FROM a_b", None),
            ("SELECT set_config('role', 'none', true)", Some("`set_config`")),
            ("SELECT SET_CONFIG /* note */ ('role', 'none', true)", Some("`SET_CONFIG`")),
            ("SELECT \"set_config\"('role', 'none', true)", Some("`set_config`")),
            ("SELECT a.set_config('role')", Some("`set_config`")),
            ("SELECT a.count(1)", Some("`count`")),
            ("SELECT pg_catalog.lower('A')", Some("database's own")),
            ("SELECT DISTINCT ON (a) set_config('role') FROM a_b", Some("`set_config`")),
            ("SELECT 1 FROM a_b JOIN a_c ON set_config('role')", Some("`set_config`")),
            ("SELECT 1set_config('role')", Some("runs into")),
            ("SELECT $1set_config('role')", Some("runs into")),
            ("SELECT now()", Some("`now`")),
            ("SELECT CURRENT_TIMESTAMP", Some("CURRENT_TIMESTAMP")),
            ("SELECT current_user", Some("CURRENT_USER")),
            ("SELECT date 'now'", Some("something before it")),
            ("SELECT \"date\" 'now'", Some("something before it")),
            ("SELECT E'\\' || set_config(''role'')'", Some("a quote does not end")),
            ("SELECT U&'\\0061'", Some("something before it")),
            ("SELECT U&\"set\\005fconfig\"('role')", Some("`set\\005fconfig`")),
            ("SELECT CAST('now' AS date)", Some("a cast is to")),
            ("SELECT CAST(CAST('now' AS timestamp) AS TEXT)", Some("a cast is to")),
            ("SELECT a::text", Some("`:`")),
            ("SELECT (SELECT 1", Some("not closed")),
            ("SELECT 1) SELECT (2", Some("not opened")),
            ("SELECT 1 INTO a_c", Some("no INTO")),
            ("SELECT relname FROM pg_class", Some("database's own")),
            ("SELECT relname FROM \"PG_class\"", Some("database's own")),
            ("SELECT 1 FROM information_schema.tables", Some("database's own")),
            ("SELECT 1 /* /* */ '*/ set_config() --'", Some("holds another")),
            ("SELECT 1 --\r, set_config()", Some("carriage return")),
            ("SELECT 1 -- fine\r\n", None),
            ("SELECT ` set_config() `", Some("outside quotes")),
            ("SELECT $$ set_config() $$", Some("runs into")),
            ("SELECT $a$ set_config() $a$", Some("runs into")),
            ("SELECT 'a' 'b'", Some("something before it")),
            ("SELECT \u{a0}1", Some("outside quotes")),
        ] {
            match (check(sql, Verb::Read), expected) {
                (Ok(_), None) => {}
                (Err(refusal), Some(expected)) => assert!(refusal.contains(expected), "{sql}: {refusal}"),
                (answer, _) => panic!("{sql}: {answer:?}"),
            }
        }
    }

    #[test]
    fn a_write_answers_no_rows_and_loses_its_semicolon() {
        for (sql, expected) in [
            ("INSERT INTO a_b (id) VALUES ($1), ('x')", Some("INSERT INTO a_b (id) VALUES ($1), ('x')")),
            ("INSERT INTO a_b (id) SELECT 'y' ; -- done", Some("INSERT INTO a_b (id) SELECT 'y' ")),
            ("INSERT INTO a_b (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET (a, b) = (1, ';')", None),
            ("UPDATE a_b SET a = abs(a) WHERE (b) IN (SELECT c FROM a_d)", None),
            ("DELETE FROM a_b RETURNING id", Some("")),
            ("DELETE FROM a_b) SELECT (1", Some("")),
            ("UPDATE a_b SET a = nextval('a_seq')", Some("")),
        ] {
            match (check(sql, Verb::Write), expected) {
                (Ok(text), None) => assert_eq!(text, sql),
                (Ok(text), Some(expected)) => assert_eq!(text, expected),
                (Err(_), Some("")) => {}
                (answer, _) => panic!("{sql}: {answer:?}"),
            }
        }
    }

    #[test]
    fn a_migration_makes_tables_and_indexes_and_no_more() {
        let sql = "-- Notes.\nCREATE TABLE a_b (id TEXT NOT NULL PRIMARY KEY REFERENCES a_c (id),
                       n BIGINT CHECK (n BETWEEN 1 AND 9), CHECK ((n = 1) = (length(id) > 0)), UNIQUE (id, n));
                   CREATE UNIQUE INDEX a_i ON a_b (n, id) WHERE n IS NULL; -- the last;\n
                   INSERT INTO a_b (id, n) VALUES (';', 1);";
        assert_eq!(statements(sql).map(|found| found.len()), Ok(3));
        assert_eq!(statements("-- nothing\n;;").map(|found| found.len()), Ok(0));
        for sql in [
            "RESET ROLE",
            "CREATE TABLE a_b (id TEXT); RESET ROLE; DROP TABLE souk.batches",
            "COMMIT",
            "SET ROLE postgres",
            "DO $$ BEGIN END $$",
            "CREATE FUNCTION a_f() RETURNS TEXT LANGUAGE sql AS 'SELECT 1'",
            "CREATE VIEW a_v AS SELECT 1",
            "CREATE SCHEMA a_s",
            "CREATE TEMP TABLE a_t (id TEXT)",
            "CREATE EXTENSION plpgsql",
            "GRANT ALL ON a_b TO PUBLIC",
            "COPY a_b TO '/tmp/x'",
            "SELECT set_config('role', 'none', false)",
            "CREATE TABLE a_b (id TEXT DEFAULT now())",
            "CREATE TABLE a_b (id TEXT DEFAULT CURRENT_TIMESTAMP)",
            "CREATE TABLE a_b (id TEXT CHECK (set_config('role', 'none', false) = ''))",
            "CREATE INDEX a_i ON a_b (set_config('role', 'none', false))",
            "INSERT INTO a_b (id) SELECT set_config('role', 'none', false)",
        ] {
            assert!(statements(sql).is_err(), "{sql}");
        }
    }
}
