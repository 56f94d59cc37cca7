//! How often one client may ask: a bounded memory of who asked how much lately.
//!
//! Each client has a bucket that holds a minute's worth of requests and refills evenly. A bucket is kept as the
//! instant at which it will be full again, so a full one needs no memory at all. Nothing here is shared between hosts.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What a full bucket is worth.
const WINDOW: Duration = Duration::from_secs(60);
/// Parts of the memory, each with a lock of its own.
const SHARDS: usize = 16;
/// Clients remembered in one shard.
const CLIENTS_PER_SHARD_MAX: usize = 8_192;
/// When a shard is full of busy clients, one of so many is forgotten.
const FORGET_ONE_IN: usize = 8;

/// Bounds the requests of each client to one route.
pub struct Limiter {
    rate: u32,
    start: Instant,
    hasher: RandomState,
    shards: [Mutex<HashMap<IpAddr, Duration>>; SHARDS],
}

/// What a limiter says to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the request may go on.
    pub allowed: bool,
    /// Requests per minute.
    pub limit: u32,
    /// Requests left now.
    pub remaining: u32,
    /// Seconds until all of them are there again.
    pub reset: u64,
    /// Seconds until the next one is there; zero when the request may go on.
    pub retry_after: u64,
}

impl Limiter {
    /// Allows so many requests per minute.
    pub fn new(rate: u32) -> Self {
        Self {
            rate: rate.max(1),
            start: Instant::now(),
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Counts one request of a client.
    pub fn ask(&self, client: IpAddr) -> Verdict {
        self.ask_at(client, self.start.elapsed())
    }

    fn ask_at(&self, client: IpAddr, now: Duration) -> Verdict {
        let client = network(client);
        let shard = self.hasher.hash_one(client) as usize % SHARDS;
        let mut clients = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        let step = WINDOW / self.rate;
        let full_at = clients.get(&client).copied().unwrap_or(now).max(now);
        let next = full_at + step;
        let allowed = next - now <= WINDOW;
        let full_at = if allowed { next } else { full_at };
        if allowed {
            if clients.len() >= CLIENTS_PER_SHARD_MAX {
                forget(&mut clients, now);
            }
            clients.insert(client, next);
        }
        let used = full_at - now;
        Verdict {
            allowed,
            limit: self.rate,
            remaining: u32::try_from((WINDOW.saturating_sub(used)).as_nanos() / step.as_nanos()).unwrap_or(0),
            reset: ceil(used),
            retry_after: if allowed { 0 } else { ceil(next - now - WINDOW).max(1) },
        }
    }
}

/// Makes room: full buckets cost nothing to forget; when all are in use, some clients get a fresh one.
fn forget(clients: &mut HashMap<IpAddr, Duration>, now: Duration) {
    clients.retain(|_, full_at| *full_at > now);
    if clients.len() >= CLIENTS_PER_SHARD_MAX {
        let mut place = 0;
        clients.retain(|_, _| {
            place += 1;
            place % FORGET_ONE_IN != 0
        });
    }
}

/// One client is one IPv4 address or one IPv6 /64, which is what a household gets.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

fn ceil(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, time::Duration};

    use super::{CLIENTS_PER_SHARD_MAX, Limiter, SHARDS};

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_client_gets_its_rate_and_no_more() {
        let limiter = Limiter::new(6);
        let client = address("192.0.2.1");
        let ask = |seconds| limiter.ask_at(client, Duration::from_secs(seconds));
        for left in (0..6).rev() {
            let verdict = ask(0);
            assert!(verdict.allowed);
            assert_eq!(verdict.remaining, left);
        }
        let refused = ask(0);
        assert!(!refused.allowed);
        assert_eq!((refused.remaining, refused.retry_after, refused.reset), (0, 10, 60));
        assert!(!ask(9).allowed);
        assert!(ask(10).allowed);
        assert!(!ask(10).allowed);
        assert_eq!(ask(70).remaining, 5);
    }

    #[test]
    fn clients_do_not_share_except_within_a_household() {
        let limiter = Limiter::new(1);
        let ask = |client| limiter.ask_at(address(client), Duration::ZERO).allowed;
        assert!(ask("192.0.2.1"));
        assert!(ask("192.0.2.2"));
        assert!(!ask("::ffff:192.0.2.2"));
        assert!(ask("2001:db8:0:1::1"));
        assert!(!ask("2001:db8:0:1:ffff::2"));
        assert!(ask("2001:db8:0:2::1"));
    }

    #[test]
    fn the_memory_of_clients_is_bounded() {
        let limiter = Limiter::new(60);
        for number in 0..200_000_u32 {
            limiter.ask_at(IpAddr::V4(number.into()), Duration::ZERO);
        }
        let kept: usize = limiter.shards.iter().map(|shard| shard.lock().expect("no panic").len()).sum();
        assert!(kept <= SHARDS * CLIENTS_PER_SHARD_MAX, "{kept}");
    }
}
