//! Figures about money, on our own host with SQLite beside the simulator of Stripe. Each test prints one line.
//!
//! `FIGURES_PERCENT` says how much of each is run: a little when it is not set, all of it with `make figures`.

mod outages;
mod refunds;
mod signatures;
mod submits;
mod webhooks;

use std::fmt::Display;
use std::time::Instant;

/// How much is run when nothing else is asked for.
const PERCENT: usize = 2;

/// This run's part of a full number; at least one.
fn scaled(full: usize) -> usize {
    let named = std::env::var("FIGURES_PERCENT").ok();
    let percent = named.map_or(PERCENT, |percent| percent.parse().expect("FIGURES_PERCENT is a number"));
    (full * percent / 100).max(1)
}

/// Prints a figure and the time that it took.
fn report(name: &str, begin: Instant, numbers: impl Display) {
    println!("{name}: {numbers}, {:.1} s", begin.elapsed().as_secs_f64());
}
