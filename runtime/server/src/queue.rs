//! Requests that wait for their turn at an edge: not too many, and not for long.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// How long a request waits for a turn before it is told to come again.
pub const WAIT_MAX: Duration = Duration::from_millis(500);
/// Requests that wait for a turn, for each that has one; more are told to come again at once.
const WAITING_PER_TURN_MAX: usize = 2;

/// The places to wait in, in front of one edge.
#[derive(Debug)]
pub struct Queue {
    waiting: AtomicUsize,
    places: usize,
}

impl Queue {
    /// A queue for so many turns.
    pub fn new(turns: usize) -> Self {
        Self { waiting: AtomicUsize::new(0), places: turns * WAITING_PER_TURN_MAX }
    }

    /// Takes a place, if there is one.
    pub fn enter(&self) -> Option<Waiting<'_>> {
        let waiting = Waiting(self);
        (self.waiting.fetch_add(1, Ordering::Relaxed) < self.places).then_some(waiting)
    }
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub struct Waiting<'a>(&'a Queue);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;

    #[test]
    fn a_place_is_free_again_when_whoever_had_it_left() {
        let queue = Queue::new(1);
        let first = queue.enter();
        let second = queue.enter();
        assert!(first.is_some() && second.is_some());
        assert!(queue.enter().is_none());
        drop(first);
        assert!(queue.enter().is_some());
    }
}
