//! The tokens of SQL as Postgres reads them, refusing whatever two readers could take for two things.

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// A keyword or a name.
    Word(&'a str),
    /// A name in double quotes, as it stands between them.
    Name(&'a str),
    /// A text in single quotes.
    Text,
    /// A number.
    Number,
    /// `$1`.
    Parameter,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `;`, with its place in the text.
    End(usize),
    /// An operator's character, a comma or a point.
    Symbol(char),
}

/// Characters outside quotes and comments that mean the same in SQLite and PostgreSQL.
const SYMBOLS: &str = "+-*/%<>=!|&,.";

/// Takes a text apart. Blanks and comments are left out.
pub(super) fn tokens(sql: &str) -> Result<Vec<Token<'_>>, String> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = sql[at..].chars().next() {
        let rest = &sql[at..];
        at += match first {
            ' ' | '\t' | '\n' | '\r' => 1,
            '-' if rest.starts_with("--") => line_comment(rest)?,
            '/' if rest.starts_with("/*") => comment(rest)?,
            '\'' => {
                tokens.push(Token::Text);
                quoted(rest, '\'')?
            }
            '"' => {
                let length = quoted(rest, '"')?;
                tokens.push(Token::Name(&rest[1..length - 1]));
                length
            }
            '$' => {
                tokens.push(Token::Parameter);
                let length = 1 + count(&rest[1..], |c| c.is_ascii_digit());
                apart(rest, length)?
            }
            '0'..='9' => {
                tokens.push(Token::Number);
                apart(rest, number(rest))?
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let length = count(rest, is_in_word);
                tokens.push(Token::Word(&rest[..length]));
                apart(rest, length)?
            }
            '(' => {
                tokens.push(Token::Open);
                1
            }
            ')' => {
                tokens.push(Token::Close);
                1
            }
            ';' => {
                tokens.push(Token::End(at));
                1
            }
            _ if SYMBOLS.contains(first) => {
                tokens.push(Token::Symbol(first));
                1
            }
            _ => return Err(format!("`{}` outside quotes is not portable", first.escape_default())),
        };
    }
    Ok(tokens)
}

fn is_in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn count(text: &str, fits: impl Fn(char) -> bool) -> usize {
    text.chars().take_while(|c| fits(*c)).count()
}

/// Checks that the token of this length is not grown together with what follows.
fn apart(text: &str, length: usize) -> Result<usize, String> {
    let grown = text[length..].starts_with(|c: char| is_in_word(c) || c == '$' || !c.is_ascii());
    if grown || &text[..length] == "$" {
        return Err(format!("`{}` runs into what follows", &text[..length]));
    }
    Ok(length)
}

fn number(text: &str) -> usize {
    let digits = |from: usize| from + count(&text[from..], |c| c.is_ascii_digit());
    let mut end = digits(0);
    if text[end..].starts_with('.') {
        end = digits(end + 1);
    }
    if text[end..].starts_with(['e', 'E']) {
        let sign = usize::from(text[end + 1..].starts_with(['+', '-']));
        end = digits(end + 1 + sign);
    }
    end
}

/// Postgres ends such a comment at a carriage return, SQLite at the end of the line.
fn line_comment(text: &str) -> Result<usize, String> {
    let end = text.find('\n').unwrap_or(text.len());
    match text[..end].trim_end_matches('\r').contains('\r') {
        true => Err("a comment holds a carriage return".into()),
        false => Ok(end),
    }
}

/// Postgres nests such comments, SQLite does not.
fn comment(text: &str) -> Result<usize, String> {
    let end = text.find("*/").ok_or("a comment does not end")?;
    match text[2..end].contains("/*") {
        true => Err("a comment holds another".into()),
        false => Ok(end + 2),
    }
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
