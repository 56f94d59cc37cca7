//! Reading TOML tables strictly: every key is asked for by name, and what nobody asked for is a finding.
//!
//! Nothing here stops at the first mistake. Each one becomes a [`Finding`] with its line, so that a person
//! repairs a manifest in one go. This module knows no key of the manifest.

use std::{cell::RefCell, fmt};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// One thing that is wrong with the configuration, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// File and line, as `spin.toml:12`; the file alone when no line is to blame.
    pub place: String,
    /// What is wrong and what to write instead.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// Collects findings while one file is read.
pub struct Findings<'a> {
    file: &'a str,
    text: &'a str,
    found: RefCell<Vec<Finding>>,
}

impl<'a> Findings<'a> {
    /// An empty collection for a file with this name and text.
    pub fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, found: RefCell::default() }
    }

    /// Records a finding at a byte offset of the file.
    pub fn at(&self, offset: usize, text: impl Into<String>) {
        let place = self.place(offset);
        self.found.borrow_mut().push(Finding { place, text: text.into() });
    }

    /// The file and line of a byte offset.
    pub fn place(&self, offset: usize) -> String {
        let before = self.text.get(..offset).unwrap_or(self.text);
        format!("{}:{}", self.file, before.matches('\n').count() + 1)
    }

    /// The byte offset at which a line starts; lines count from 1.
    pub fn offset_of_line(&self, line: usize) -> usize {
        self.text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum()
    }

    /// Everything found.
    pub fn into_inner(self) -> Vec<Finding> {
        self.found.into_inner()
    }
}

/// One table of the file, with its path and the keys that have been asked for.
pub struct Section<'a, 'f> {
    /// Dotted path from the root, empty for the root.
    pub path: String,
    /// Where the table starts.
    pub offset: usize,
    table: &'a DeTable<'a>,
    asked: RefCell<Vec<&'static str>>,
    findings: &'f Findings<'f>,
}

impl<'a, 'f> Section<'a, 'f> {
    /// The table at a path.
    pub fn new(path: String, offset: usize, table: &'a DeTable<'a>, findings: &'f Findings<'f>) -> Self {
        Self { path, offset, table, asked: RefCell::default(), findings }
    }

    /// Records a finding about this table.
    pub fn fault(&self, text: impl fmt::Display) {
        self.findings.at(self.offset, format!("{}: {text}", self.path));
    }

    /// Accepts keys that belong to other readers of the file.
    pub fn ignore(&self, keys: &[&'static str]) {
        self.asked.borrow_mut().extend(keys);
    }

    /// A text, when present.
    pub fn string(&self, key: &'static str) -> Option<String> {
        let value = self.get(key)?;
        let text = value.get_ref().as_str().map(str::to_owned);
        if text.is_none() {
            self.wrong_type(key, value, "a string, like \"text\"");
        }
        text
    }

    /// A text that must be present.
    pub fn required_string(&self, key: &'static str, example: &str) -> Option<String> {
        if !self.has(key) {
            self.asked.borrow_mut().push(key);
            self.fault(format_args!("`{key}` is missing; write {key} = \"{example}\""));
            return None;
        }
        self.string(key)
    }

    /// A yes or no, when present.
    pub fn boolean(&self, key: &'static str) -> Option<bool> {
        let value = self.get(key)?;
        let answer = value.get_ref().as_bool();
        if answer.is_none() {
            self.wrong_type(key, value, "true or false");
        }
        answer
    }

    /// A whole number within bounds, when present.
    pub fn integer(&self, key: &'static str, bounds: std::ops::RangeInclusive<u64>) -> Option<u64> {
        self.number(key, self.get(key)?, bounds)
    }

    /// An entry of this table as a whole number within bounds.
    pub fn number(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        bounds: std::ops::RangeInclusive<u64>,
    ) -> Option<u64> {
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok())
            .filter(|number| bounds.contains(number));
        if number.is_none() {
            let expected = format!("a whole number from {} to {}", bounds.start(), bounds.end());
            self.wrong_type(key, value, &expected);
        }
        number
    }

    /// A list of texts; empty when absent.
    pub fn strings(&self, key: &'static str) -> Vec<String> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let expected = "a list of strings, like [\"a\", \"b\"]";
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(key, value, expected);
            return Vec::new();
        };
        let mut texts = Vec::with_capacity(array.len());
        for item in array.iter() {
            match item.get_ref().as_str() {
                Some(text) => texts.push(text.to_owned()),
                None => self.wrong_type(key, item, expected),
            }
        }
        texts
    }

    /// A table below this one, when present.
    pub fn section(&self, key: &'static str) -> Option<Section<'a, 'f>> {
        let value = self.get(key)?;
        self.below(key, value)
    }

    /// The entries of a table whose keys are names chosen by the author.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, &'a Spanned<DeValue<'a>>)> {
        self.asked.borrow_mut().push("*");
        self.table.iter().map(|(key, value)| (key.get_ref().as_ref(), value))
    }

    /// An entry of this table as a table.
    pub fn below(&self, key: &str, value: &'a Spanned<DeValue<'a>>) -> Option<Section<'a, 'f>> {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        match value.get_ref().as_table() {
            Some(table) => Some(Section::new(path, value.span().start, table, self.findings)),
            None => {
                self.wrong_type(key, value, "a table");
                None
            }
        }
    }

    /// The entries of an array of tables; empty when absent.
    pub fn sections(&self, key: &'static str) -> Vec<Section<'a, 'f>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            let header = format!("[[{}.{key}]] tables", self.path);
            self.wrong_type(key, value, &header);
            return Vec::new();
        };
        array.iter().filter_map(|item| self.below(key, item)).collect()
    }

    /// Whether a key is there, with whatever value.
    pub fn has(&self, key: &str) -> bool {
        self.table.iter().any(|(name, _)| name.get_ref().as_ref() == key)
    }

    /// The value of a key, of whatever type.
    pub fn get(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.borrow_mut().push(key);
        self.table.iter().find(|(name, _)| name.get_ref().as_ref() == key).map(|(_, value)| value)
    }

    /// Records that a value has the wrong type or is out of bounds.
    pub fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        self.findings.at(value.span().start, format!("{path}: write {expected}"));
    }

    /// Reports every key that nobody asked for, with the nearest one that exists.
    pub fn finish(self) {
        let asked = self.asked.borrow();
        if asked.contains(&"*") {
            return;
        }
        for (key, _) in self.table.iter() {
            let name = key.get_ref().as_ref();
            if asked.contains(&name) {
                continue;
            }
            let mut known: Vec<_> = asked.clone();
            known.sort_unstable();
            known.dedup();
            let advice = match nearest(name, known.iter().copied()) {
                Some(near) => format!("write `{near}`"),
                None => format!("it is one of: {}", known.join(", ")),
            };
            let place = if self.path.is_empty() { "the manifest" } else { &self.path };
            self.findings.at(key.span().start, format!("{place} has no key `{name}`; {advice}, or remove it"));
        }
    }
}

/// The candidate that was probably meant, when one is near enough.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(far, candidate)| *far <= 1 + candidate.len() / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Single-character edits that turn one text into the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_key_is_proposed_only_when_it_is_near() {
        let keys = ["source", "links", "limits"];
        assert_eq!(nearest("sorce", keys.into_iter()), Some("source"));
        assert_eq!(nearest("link", keys.into_iter()), Some("links"));
        assert_eq!(nearest("deadline", keys.into_iter()), None);
    }
}
