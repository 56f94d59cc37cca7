//! The time that the providers and the components see.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 that never go backwards while the process lives.
///
/// A wall clock that is set back would release nothing early, but it would make what has expired valid again;
/// so the highest reading stays until the wall clock has caught up.
#[derive(Clone)]
pub struct Clock {
    highest: Arc<AtomicI64>,
    source: Source,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    System,
    Manual,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Clock {
        Clock { highest: Arc::new(AtomicI64::new(0)), source: Source::System }
    }

    /// A clock that moves only when [`Clock::advance`] is called.
    pub fn manual(start_ms: i64) -> Clock {
        Clock { highest: Arc::new(AtomicI64::new(start_ms)), source: Source::Manual }
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        match self.source {
            Source::System => {
                // A clock before 1970 reads as 1970.
                let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let wall = i64::try_from(wall.as_millis()).unwrap_or(i64::MAX);
                self.highest.fetch_max(wall, Ordering::Relaxed).max(wall)
            }
            Source::Manual => self.highest.load(Ordering::Relaxed),
        }
    }

    /// Moves a manual clock forward. The system's clock cannot be moved.
    pub fn advance(&self, by: Duration) {
        assert!(matches!(self.source, Source::Manual), "only a manual clock can be moved");
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.highest.fetch_add(by, Ordering::Relaxed);
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({:?}, {})", self.source, self.now_ms())
    }
}
