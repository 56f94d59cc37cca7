//! What goes wrong with requests: written down beforehand, or drawn by a seed.

use std::collections::VecDeque;

use serde::Deserialize;

use crate::random::Random;

/// Most faults that can be written down.
pub const NEXT_MAX: usize = 1_000;

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The connection breaks, and nothing was done.
    LostBefore,
    /// All was done, and the connection breaks.
    LostAfter,
    /// A failure of the company's own, before anything was done.
    ErrorBefore,
    /// A failure of the company's own, after all was done.
    ErrorAfter,
    /// Too many requests; nothing is begun.
    RateLimited,
    /// Another request with the same key is under way; nothing is begun.
    KeyInUse,
}

const ALL: [Fault; 6] =
    [Fault::LostBefore, Fault::LostAfter, Fault::ErrorBefore, Fault::ErrorAfter, Fault::RateLimited, Fault::KeyInUse];

/// Which requests fail.
#[derive(Clone, Debug)]
pub struct Faults {
    random: Random,
    percent: u8,
    next: VecDeque<Fault>,
    outage: bool,
}

impl Faults {
    /// All goes well until something else is planned.
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), percent: 0, next: VecDeque::new(), outage: false }
    }

    /// From now on so many of a hundred writes fail, each in one of the ways.
    pub fn draw_percent(&mut self, percent: u8) {
        self.percent = percent;
    }

    /// The writes to come fail so, in this order. Those beyond [`NEXT_MAX`] are left out.
    pub fn plan(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.next.extend(faults);
        self.next.truncate(NEXT_MAX);
    }

    /// Whether no request arrives, reads neither.
    pub fn set_outage(&mut self, outage: bool) {
        self.outage = outage;
    }

    /// What goes wrong with the next request.
    pub fn draw(&mut self, method: &str) -> Option<Fault> {
        if self.outage {
            return Some(Fault::LostBefore);
        }
        if method != "POST" {
            return None;
        }
        self.next.pop_front().or_else(|| {
            let place = self.random.percent(self.percent).then(|| self.random.below(ALL.len() as u64))?;
            Some(ALL[usize::try_from(place).expect("it is one of a few")])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_which_requests_fail() {
        let drawn = |seed: u64, percent: u8| {
            let mut faults = Faults::new(seed);
            faults.draw_percent(percent);
            (0..1_000).map(|_| faults.draw("POST")).collect::<Vec<_>>()
        };
        assert_eq!(drawn(1, 20), drawn(1, 20));
        assert_ne!(drawn(1, 20), drawn(2, 20));
        assert_eq!(drawn(1, 0), vec![None; 1_000]);
        let failed = drawn(1, 20).iter().filter(|fault| fault.is_some()).count();
        assert!((150..250).contains(&failed), "{failed}");
        let mut faults = Faults::new(1);
        faults.plan([Fault::LostAfter, Fault::RateLimited]);
        assert_eq!([faults.draw("GET"), faults.draw("POST")], [None, Some(Fault::LostAfter)]);
        faults.set_outage(true);
        assert_eq!([faults.draw("GET"), faults.draw("POST")], [Some(Fault::LostBefore); 2]);
        faults.set_outage(false);
        assert_eq!(faults.draw("POST"), Some(Fault::RateLimited));
    }
}
