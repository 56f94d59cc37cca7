//! Many worlds: every step with every fault once, and then as many random ones as were asked for.
//!
//! Steps are found, not listed: quiet worlds show those of a shop in which nothing goes wrong, and whatever is done because of a
//! fault shows more. A step that was seen can be gone back to, since its run can be repeated, so no pair of step and
//! fault stays untried.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::fault::{Coverage, Fault, Plan};
use crate::laws::Harm;
use crate::run::{Machine, Outcome};
use crate::shop::Shop;
use crate::world::Tally;

/// Quiet worlds in which steps are looked for.
const QUIET: u64 = 96;
/// Shoppers of a world that shows one fault at one step.
const SHOPPERS_FEW: u64 = 4;
/// Rounds of going back to steps: a round may show steps that nobody saw before.
const ROUNDS_MAX: u32 = 20;

/// What a campaign came to.
#[derive(Default)]
pub struct Report {
    /// Worlds.
    pub worlds: u64,
    /// Their figures together.
    pub tally: Tally,
    /// What was tried.
    pub coverage: Coverage,
    /// Runs in which something did not add up, and what.
    pub violations: Vec<(Plan, Vec<String>)>,
}

impl Report {
    fn add(&mut self, plan: Plan, outcome: Outcome) {
        self.worlds += 1;
        self.tally.add(&outcome.tally);
        if !outcome.violations.is_empty() {
            self.violations.push((plan, outcome.violations));
        }
    }

    fn merge(&mut self, other: Report) {
        self.worlds += other.worlds;
        self.tally.add(&other.tally);
        self.coverage.merge(&other.coverage);
        self.violations.extend(other.violations);
    }

    /// Whether every kind of fault was tried at every step, and nothing broke.
    pub fn is_clean(&self) -> bool {
        let (tried, all) = self.coverage.pairs();
        self.violations.is_empty() && tried == all
    }

    /// The figures, for a person.
    pub fn lines(&self, shop: &Shop) -> Vec<String> {
        let mut lines = self.coverage_lines(shop);
        let Tally { checkouts, commits, calls, deliveries, orders } = self.tally;
        lines.push(format!(
            "{checkouts} checkouts in {} worlds: {orders} orders, {commits} commits, {calls} calls, {deliveries} deliveries, {} faults",
            self.worlds,
            self.coverage.by_fault().iter().sum::<u64>()
        ));
        let found = self.violations.iter().flat_map(|(_, violations)| violations).map(|text| Harm::of(text));
        let found: Vec<Harm> = found.collect();
        let count = |harm: Harm| found.iter().filter(|other| **other == harm).count();
        let harms: Vec<_> = Harm::ALL.iter().map(|harm| format!("{} {}", count(*harm), harm.name())).collect();
        lines.push(format!("{}; {} worlds with violations", harms.join(", "), self.violations.len()));
        lines
    }

    /// A table: faults by component, each as steps at which it was tried of those that some world showed.
    fn coverage_lines(&self, shop: &Shop) -> Vec<String> {
        let mut cells: BTreeMap<(Fault, &str), (usize, usize)> = BTreeMap::new();
        for (step, known) in &self.coverage.steps {
            let unit = &*shop.units[shop.functions[usize::from(step.function)].unit].name;
            for fault in step.effect.faults() {
                let (tried, all) = cells.entry((*fault, unit)).or_default();
                *tried += usize::from(known.applied[fault.place()] > 0);
                *all += 1;
            }
        }
        let units: BTreeSet<&str> = cells.keys().map(|(_, unit)| *unit).collect();
        let row = |name: &str, texts: &mut dyn Iterator<Item = String>, applied: &str| {
            let texts: String = texts.map(|text| format!("{text:>14}")).collect();
            format!("{name:<14}{texts}{applied:>12}")
        };
        let mut lines = vec![row("steps tried", &mut units.iter().map(|unit| (*unit).to_owned()), "applied")];
        for (fault, applied) in Fault::ALL.iter().zip(self.coverage.by_fault()) {
            let mut texts = units.iter().map(|unit| match cells.get(&(*fault, *unit)) {
                Some((tried, all)) => format!("{tried}/{all}"),
                None => "-".to_owned(),
            });
            lines.push(row(fault.name(), &mut texts, &applied.to_string()));
        }
        let (tried, all) = self.coverage.pairs();
        lines.push(format!(
            "coverage: {tried} of {all} pairs, {:.2} %, of a fault and a step: a write, a call, a delivery or a request that some \
             world showed, told apart by function and place in its call",
            100.0 * tried as f64 / all.max(1) as f64
        ));
        lines
    }
}

/// What a fleet does at the moment, for whoever watches.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// What it is at.
    pub phase: &'static str,
    /// Worlds of this phase that have ended.
    pub worlds: u64,
    /// Checkouts in them.
    pub checkouts: u64,
}

/// Hears of every world that ended, from several threads.
pub type Watcher = Box<dyn Fn(Progress, &Plan, &Outcome) + Sync>;

/// Threads, each with a machine of its own.
pub struct Fleet {
    /// Whether the first violation is the end.
    pub stops_at_first: bool,
    /// Hears how it goes.
    pub watcher: Watcher,
    machines: Vec<Machine>,
}

impl Fleet {
    /// One machine for each thread.
    pub fn new(shop: &Arc<Shop>, threads: usize) -> anyhow::Result<Fleet> {
        let machines = (0..threads).map(|_| Machine::new(shop.clone())).collect::<anyhow::Result<_>>()?;
        Ok(Fleet { stops_at_first: false, watcher: Box::new(|_, _, _| ()), machines })
    }

    /// Every step with every fault once, and beside that random worlds until so many checkouts were made in them. Up to
    /// `twice` of these run once more. Answers how many did, and how many of them gave the same trace.
    pub fn campaign(&mut self, checkouts: u64, twice: u64, report: &mut Report) -> anyhow::Result<(u64, u64)> {
        let quiet = |seed| Plan { seed, shoppers: SHOPPERS_FEW, stormy: false, directives: Vec::new() };
        self.each("steps", report, |number| (number < QUIET).then(|| quiet(number)), |_, _| ())?;
        self.go_back(report)?;
        let done = AtomicU64::new(0);
        let first = Mutex::new(BTreeMap::new());
        let wanted = |_| done.load(Ordering::Relaxed) < checkouts;
        self.each(
            "random worlds",
            report,
            |number| wanted(number).then(|| Plan::storm(number)),
            |number, outcome| {
                done.fetch_add(outcome.tally.checkouts, Ordering::Relaxed);
                if number < twice {
                    first.lock().unwrap_or_else(PoisonError::into_inner).insert(number, outcome.hash.clone());
                }
            },
        )?;
        self.go_back(report)?;
        let first = first.into_inner().unwrap_or_else(PoisonError::into_inner);
        let plans: Vec<Plan> = first.keys().map(|seed| Plan::storm(*seed)).collect();
        let second = self.hashes("once more", &plans, &mut Report::default())?;
        let same = first.values().zip(&second).filter(|(first, second)| first == second).count();
        Ok((first.len() as u64, same as u64))
    }

    /// Tries what was not tried, until nothing is left.
    fn go_back(&mut self, report: &mut Report) -> anyhow::Result<()> {
        for _ in 0..ROUNDS_MAX {
            let missing = report.coverage.missing();
            if missing.is_empty() || self.is_over(report) {
                break;
            }
            let plan = |number| {
                let (_, fault, sight) = missing.get(usize::try_from(number).ok()?)?;
                Some(sight.with(*fault))
            };
            self.each("every fault at every step", report, plan, |_, _| ())?;
        }
        Ok(())
    }

    fn is_over(&self, report: &Report) -> bool {
        self.stops_at_first && !report.violations.is_empty()
    }

    /// Runs the plans with the numbers from zero until there is none, telling what each came to.
    fn each(
        &mut self,
        phase: &'static str,
        report: &mut Report,
        plan: impl Fn(u64) -> Option<Plan> + Sync,
        heard: impl Fn(u64, &Outcome) + Sync,
    ) -> anyhow::Result<()> {
        if self.is_over(report) {
            return Ok(());
        }
        let (next, worlds, checkouts) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let broken = AtomicBool::new(false);
        let Fleet { stops_at_first, watcher, machines } = self;
        let work = |machine: &mut Machine| -> anyhow::Result<Report> {
            let mut report = Report::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let over = *stops_at_first && broken.load(Ordering::Relaxed);
                let Some(plan) = plan(number).filter(|_| !over) else { break };
                let outcome = machine.run(plan.clone(), false)?;
                broken.fetch_or(!outcome.violations.is_empty(), Ordering::Relaxed);
                heard(number, &outcome);
                let progress = Progress {
                    phase,
                    worlds: worlds.fetch_add(1, Ordering::Relaxed) + 1,
                    checkouts: checkouts.fetch_add(outcome.tally.checkouts, Ordering::Relaxed)
                        + outcome.tally.checkouts,
                };
                watcher(progress, &plan, &outcome);
                report.add(plan, outcome);
            }
            report.coverage = std::mem::take(&mut machine.coverage);
            Ok(report)
        };
        let parts: Vec<anyhow::Result<Report>> = std::thread::scope(|scope| {
            let threads: Vec<_> = machines.iter_mut().map(|machine| scope.spawn(|| work(machine))).collect();
            threads.into_iter().map(|thread| thread.join().expect("a world does not panic")).collect()
        });
        for part in parts {
            report.merge(part?);
        }
        Ok(())
    }

    /// Runs each plan once and answers the hashes of the traces in the order of the plans.
    pub fn hashes(&mut self, phase: &'static str, plans: &[Plan], report: &mut Report) -> anyhow::Result<Vec<String>> {
        let hashes = Mutex::new(BTreeMap::new());
        let plan = |number| plans.get(usize::try_from(number).ok()?).cloned();
        self.each(phase, report, plan, |number, outcome| {
            hashes.lock().unwrap_or_else(PoisonError::into_inner).insert(number, outcome.hash.clone());
        })?;
        Ok(hashes.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect())
    }
}
