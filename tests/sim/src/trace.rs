//! What happened, in order, as one hash.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use souk::engine::hexadecimal;

/// Every crossing of a run: when, where, what came of it.
pub struct Trace {
    hash: Sha256,
    line: String,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// An empty one, which keeps its lines for a person if it is told to.
    pub fn new(keep: bool) -> Trace {
        Trace { hash: Sha256::new(), line: String::new(), lines: keep.then(Vec::new) }
    }

    /// Notes a crossing.
    pub fn note(&mut self, now: i64, place: &str, function: &str, outcome: &str) {
        self.line.clear();
        // A String takes everything.
        let _ = writeln!(self.line, "{now} {place} {function} {outcome}");
        self.hash.update(self.line.as_bytes());
        if let Some(lines) = &mut self.lines {
            lines.push(self.line.trim_end().to_owned());
        }
    }

    /// The hash in hexadecimal, and the lines if they were kept.
    pub fn finish(self) -> (String, Vec<String>) {
        (hexadecimal(&self.hash.finalize()), self.lines.unwrap_or_default())
    }
}
