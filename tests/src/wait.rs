//! Waiting for what happens by itself: events, timers, mail.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

/// How long something that happens at once may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);
/// How long something may take that a timer of ten seconds or so brings about.
pub const AFTER_A_TIMER: Duration = Duration::from_secs(60);
/// How often a test looks.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Looks again and again until there is something, and answers it; fails the test when the limit is over.
///
/// With the one below the one place where tests wait for time to pass: what they wait for is another process, so there is no clock of
/// ours to move.
pub async fn eventually<T>(limit: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "after {limit:?} still not: {what}");
    }
}

/// The same for a caller that blocks.
pub fn eventually_blocking<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "after {limit:?} still not: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}
