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
    /// A failure of Stripe's own, before anything was done. It stays the answer to the key.
    ErrorBefore,
    /// A failure of Stripe's own, after all was done. It stays the answer to the key.
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
