//! `sim`: the shop under seeded faults, from the command line.
//!
//! `sim --checkouts N` tries every fault at every step and then random worlds; `sim --run '7 storm'` shows one. It exits with 1 when
//! something does not add up or was not tried.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use clap::Parser;
use souk_sim::campaign::{Fleet, Report};
use souk_sim::fault::{Plan, SHOPPERS};
use souk_sim::run::Machine;
use souk_sim::shop::Shop;

/// Calls allocate much and briefly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs with violations that are printed.
const SHOWN_MAX: usize = 20;

/// The shop under seeded faults.
#[derive(Parser)]
struct Arguments {
    /// Try every fault at every step, and then random worlds until so many checkouts were made.
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "run"])]
    checkouts: Option<u64>,
    /// Stop at the first thing that does not add up.
    #[arg(long)]
    first: bool,
    /// Run the random worlds of these seeds, `A..B`, and print how their traces end.
    #[arg(long, value_name = "A..B", conflicts_with = "run")]
    seeds: Option<String>,
    /// Run the seeds twice and compare.
    #[arg(long, requires = "seeds")]
    twice: bool,
    /// Run one world, as a violation names it: `7 shoppers=40 storm at=1234=lost`.
    #[arg(long, value_name = "PLAN")]
    run: Option<String>,
    /// Print everything that happens in it.
    #[arg(long, requires = "run")]
    trace: bool,
    /// Worlds at once; as many as there are cores when left out.
    #[arg(long)]
    threads: Option<usize>,
    /// The manifest of the shop.
    #[arg(long, default_value = "spin.toml")]
    manifest: PathBuf,
    /// Where machine code is kept.
    #[arg(long, default_value = "target/sim")]
    cache: PathBuf,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let shop = Shop::load(&arguments.manifest, &arguments.cache)?;
    if let Some(plan) = &arguments.run {
        return run(shop, plan, arguments.trace);
    }
    let cores = std::thread::available_parallelism()?.get();
    let mut fleet = Fleet::new(&shop, arguments.threads.unwrap_or(cores))?;
    fleet.stops_at_first = arguments.first;
    let mut report = Report::default();
    let started = Instant::now();
    let mut same = true;
    match &arguments.seeds {
        Some(seeds) => same = replay(&mut fleet, seeds, arguments.twice, &mut report)?,
        None => fleet.campaign(arguments.checkouts.unwrap_or(1), &mut report)?,
    }
    report.lines(&shop).iter().for_each(|line| println!("{line}"));
    for (plan, violations) in report.violations.iter().take(SHOWN_MAX) {
        println!("violated: sim --run '{plan}'");
        violations.iter().for_each(|violation| println!("  {violation}"));
    }
    println!("{} worlds with violations, {:.1} s", report.violations.len(), started.elapsed().as_secs_f64());
    let covered = arguments.seeds.is_some() || report.is_clean();
    Ok(if same && covered && report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run(shop: std::sync::Arc<Shop>, plan: &str, trace: bool) -> anyhow::Result<ExitCode> {
    let plan = Plan::parse(plan).map_err(anyhow::Error::msg)?;
    let outcome = Machine::new(shop)?.run(plan, trace)?;
    outcome.lines.iter().for_each(|line| println!("{line}"));
    println!("{} {:?}", outcome.hash, outcome.tally);
    outcome.violations.iter().for_each(|violation| println!("violated: {violation}"));
    Ok(if outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs seeds, and compares the traces when they run twice.
fn replay(fleet: &mut Fleet, seeds: &str, twice: bool, report: &mut Report) -> anyhow::Result<bool> {
    let (from, to) = seeds.split_once("..").context("seeds are written A..B")?;
    let (from, to): (u64, u64) = (from.parse()?, to.parse()?);
    let plan = |seed| Plan { seed, shoppers: SHOPPERS, stormy: true, directives: Vec::new() };
    let plans: Vec<Plan> = (from..to).map(plan).collect();
    let first = fleet.hashes(&plans, report)?;
    if !twice {
        plans.iter().zip(&first).for_each(|(plan, hash)| println!("{hash} {plan}"));
        return Ok(true);
    }
    let second = fleet.hashes(&plans, report)?;
    let same = first.iter().zip(&second).filter(|(first, second)| first == second).count();
    println!("{same} of {} seeds gave the same trace twice", plans.len());
    Ok(same == plans.len())
}
