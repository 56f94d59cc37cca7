//! The fixed part of the simulation: runs that break a law when a guard is missing, random worlds under faults, and the same
//! trace for the same seed. Every fault at every step is `make sim`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use souk_sim::campaign::{Fleet, Report};
use souk_sim::fault::Plan;
use souk_sim::shop::Shop;

/// Random worlds, by seeds from zero.
const WORLDS: u64 = 48;
/// How many of them run twice.
const TWICE: usize = 8;
/// Worlds at once.
const THREADS: usize = 2;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the tree has a root")
}

fn shop() -> Arc<Shop> {
    static SHOP: OnceLock<Arc<Shop>> = OnceLock::new();
    let load = || Shop::load(&root().join("spin.toml"), &root().join("target/sim")).expect("make components builds it");
    SHOP.get_or_init(load).clone()
}

/// Runs worlds, asserts that nothing breaks a law, and answers the hashes of their traces.
#[track_caller]
fn run(plans: &[Plan]) -> (Vec<String>, Report) {
    let mut report = Report::default();
    let mut fleet = Fleet::new(&shop(), THREADS).expect("a database opens in memory");
    let hashes = fleet.hashes("worlds", plans, &mut report).expect("the runs end");
    let shown: Vec<String> = report
        .violations
        .iter()
        .take(5)
        .map(|(plan, violations)| format!("sim --run '{plan}'\n  {}", violations.join("\n  ")))
        .collect();
    assert!(shown.is_empty(), "{} runs break a law:\n{}", report.violations.len(), shown.join("\n"));
    (hashes, report)
}

#[test]
fn runs_that_break_a_law_without_their_guard_break_none() {
    let text = std::fs::read_to_string(root().join("tests/sim/seeds.txt")).expect("the list can be read");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let plans: Vec<Plan> =
        lines.map(|line| Plan::parse(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect();
    assert!(!plans.is_empty());
    run(&plans);
}

#[test]
fn random_worlds_end_in_order_and_the_same_seed_gives_the_same_trace() {
    let plans: Vec<Plan> = (0..WORLDS).map(Plan::storm).collect();
    let (first, report) = run(&plans);
    let (again, _) = run(&plans[..TWICE]);
    assert_eq!(first[..TWICE], again);
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), plans.len(), "another seed is another world");
    let faults: u64 = report.coverage.by_fault().iter().sum();
    assert!(report.tally.orders > WORLDS && faults > WORLDS, "{} orders, {faults} faults", report.tally.orders);
    report.lines(&shop()).iter().for_each(|line| println!("{line}"));
}
