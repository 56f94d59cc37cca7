//! `sim`: the shop under seeded faults, from the command line.
//!
//! `sim --checkouts N` tries every fault at every step and then random worlds; `sim --run '7 storm'` shows one. It exits with 1 when
//! something does not add up or was not tried.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use clap::Parser;
use souk_sim::campaign::{Fleet, Report, Watcher};
use souk_sim::fault::Plan;
use souk_sim::run::Machine;
use souk_sim::shop::Shop;

/// Calls allocate much and briefly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Seconds between two lines about how it goes.
const PROGRESS_EVERY_S: u64 = 10;
/// Runs with violations that are printed.
const SHOWN_MAX: u64 = 20;

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
    /// Run up to so many of the random worlds twice and compare their traces.
    #[arg(long, value_name = "N", default_value_t = 0)]
    twice: u64,
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
    let started = Instant::now();
    let mut fleet = Fleet::new(&shop, arguments.threads.unwrap_or(cores))?;
    fleet.stops_at_first = arguments.first;
    fleet.watcher = watcher(started);
    let mut report = Report::default();
    let (twice, same) = match &arguments.seeds {
        Some(seeds) => replay(&mut fleet, seeds, arguments.twice, &mut report)?,
        None => fleet.campaign(arguments.checkouts.unwrap_or(1), arguments.twice, &mut report)?,
    };
    report.lines(&shop).iter().for_each(|line| println!("{line}"));
    if arguments.twice > 0 {
        println!("{same} of {twice} seeds gave the same trace twice");
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{seconds:.1} s, {:.0} checkouts a second", report.tally.checkouts as f64 / seconds);
    let clean = if arguments.seeds.is_some() { report.violations.is_empty() } else { report.is_clean() };
    Ok(if same == twice && clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints how it goes, now and then, and what breaks, at once.
fn watcher(started: Instant) -> Watcher {
    let (printed, shown) = (AtomicU64::new(0), AtomicU64::new(0));
    Box::new(move |progress, plan, outcome| {
        let seconds = started.elapsed().as_secs();
        let last = printed.load(Ordering::Relaxed);
        let due = seconds >= last + PROGRESS_EVERY_S;
        if due && printed.compare_exchange(last, seconds, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            println!("{seconds} s: {}, {} worlds, {} checkouts", progress.phase, progress.worlds, progress.checkouts);
        }
        if !outcome.violations.is_empty() && shown.fetch_add(1, Ordering::Relaxed) < SHOWN_MAX {
            let violations: String = outcome.violations.iter().map(|violation| format!("\n  {violation}")).collect();
            println!("violated: sim --run '{plan}'{violations}");
        }
    })
}

fn run(shop: std::sync::Arc<Shop>, plan: &str, trace: bool) -> anyhow::Result<ExitCode> {
    let plan = Plan::parse(plan).map_err(anyhow::Error::msg)?;
    let outcome = Machine::new(shop)?.run(plan, trace)?;
    outcome.lines.iter().for_each(|line| println!("{line}"));
    println!("{} {:?}", outcome.hash, outcome.tally);
    outcome.violations.iter().for_each(|violation| println!("violated: {violation}"));
    Ok(if outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs seeds, and some of them twice. Answers how many did, and how many of them gave the same trace.
fn replay(fleet: &mut Fleet, seeds: &str, twice: u64, report: &mut Report) -> anyhow::Result<(u64, u64)> {
    let (from, to) = seeds.split_once("..").context("seeds are written A..B")?;
    let (from, to): (u64, u64) = (from.parse()?, to.parse()?);
    let mut plans: Vec<Plan> = (from..to).map(Plan::storm).collect();
    let first = fleet.hashes("random worlds", &plans, report)?;
    plans.iter().zip(&first).for_each(|(plan, hash)| println!("{hash} {plan}"));
    plans.truncate(usize::try_from(twice)?);
    let second = fleet.hashes("once more", &plans, &mut Report::default())?;
    let same = first.iter().zip(&second).filter(|(first, second)| first == second).count();
    Ok((plans.len() as u64, same as u64))
}
