//! The clock of a shop's processes, which a test moves on. They ask the system for the time, so libfaketime stands
//! between the two and answers what a file says.

use std::{
    fs,
    sync::atomic::{AtomicI64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::folder::Folder;

/// The library of Debian's package `libfaketime`; the dynamic linker knows what `$LIB` is.
pub const FAKETIME: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1";

const FILE: &str = "clock";

/// A clock that goes as the machine's does, ahead of it by as much as it was moved.
pub struct Time {
    folder: Folder,
    ahead_ms: AtomicI64,
}

impl Time {
    /// One that is not ahead yet.
    pub fn new() -> Self {
        let time = Self { folder: Folder::new(), ahead_ms: AtomicI64::new(0) };
        time.advance(0);
        time
    }

    /// Moves it on.
    pub fn advance(&self, ms: u32) {
        let ahead = self.ahead_ms.fetch_add(ms.into(), Ordering::Relaxed) + i64::from(ms);
        let draft = self.folder.path().join("draft");
        fs::write(&draft, format!("+{}.{:03}\n", ahead / 1_000, ahead % 1_000)).expect("the folder can be written");
        // Renamed into place, so that nobody reads half of it.
        fs::rename(&draft, self.folder.path().join(FILE)).expect("the folder can be written");
    }

    /// Milliseconds since 1970.
    pub fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        i64::try_from(since.as_millis()).expect("not for ages") + self.ahead_ms.load(Ordering::Relaxed)
    }

    /// What a process that goes by it finds in its environment.
    pub fn environment(&self) -> Vec<(String, String)> {
        let file = self.folder.path().join(FILE).display().to_string();
        let pairs = [
            ("LD_PRELOAD", FAKETIME),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            ("FAKETIME_NO_CACHE", "1"),
            // Waits take the time that they take, and files are as old as they are.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }
}

impl Default for Time {
    fn default() -> Self {
        Self::new()
    }
}
