//! Many worlds: every step with every fault once, and then as many random ones as were asked for.
//!
//! Steps are found, not listed: quiet worlds show those of a shop in which nothing goes wrong, and whatever is done because of a
//! fault shows more. A step that was seen can be gone back to, since its run can be repeated, so no pair of step and
//! fault stays untried.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::fault::{Coverage, Fault, Plan, SHOPPERS};
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
        let Tally { checkouts, commits, calls, deliveries, orders } = outcome.tally;
        self.worlds += 1;
        self.tally.checkouts += checkouts;
        self.tally.commits += commits;
        self.tally.calls += calls;
        self.tally.deliveries += deliveries;
        self.tally.orders += orders;
        if !outcome.violations.is_empty() {
            self.violations.push((plan, outcome.violations));
        }
    }

    fn merge(&mut self, other: Report) {
        let Tally { checkouts, commits, calls, deliveries, orders } = other.tally;
        self.worlds += other.worlds;
        self.tally.checkouts += checkouts;
        self.tally.commits += commits;
        self.tally.calls += calls;
        self.tally.deliveries += deliveries;
        self.tally.orders += orders;
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
        let Tally { checkouts, commits, calls, deliveries, orders } = self.tally;
        let mut lines = vec![format!(
            "{checkouts} checkouts in {} worlds: {orders} orders, {commits} commits, {calls} calls, {deliveries} deliveries",
            self.worlds
        )];
        let applied = self.coverage.by_fault();
        let faults: Vec<_> =
            Fault::ALL.iter().zip(applied).map(|(fault, count)| format!("{count} {}", fault.name())).collect();
        lines.push(format!("{} faults: {}", applied.iter().sum::<u64>(), faults.join(", ")));
        let mut by_component: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
        let missing = self.coverage.missing();
        for step in self.coverage.steps.keys() {
            let unit = &*shop.units[shop.functions[usize::from(step.function)].unit].name;
            let sums = by_component.entry(unit).or_default();
            sums.0 += 1;
            sums.1 += step.effect.faults().len();
            sums.2 += missing.iter().filter(|(other, _, _)| other == step).count();
        }
        lines.push(format!("{:<16}{:>8}{:>16}{:>8}", "component", "steps", "steps x faults", "tried"));
        for (unit, (steps, pairs, untried)) in by_component {
            let share = 100 * (pairs - untried) / pairs.max(1);
            lines.push(format!("{unit:<16}{steps:>8}{pairs:>16}{:>8}", format!("{share} %")));
        }
        let (tried, all) = self.coverage.pairs();
        lines.push(format!(
            "coverage: {tried} of {all} pairs, {} %, of a fault and an effect (a write, a call, a delivery or a request) that \
             some world showed, told apart by function and place in its call",
            100 * tried / all.max(1)
        ));
        lines
    }
}

/// Threads, each with a machine of its own.
pub struct Fleet {
    /// Whether the first violation is the end.
    pub stops_at_first: bool,
    machines: Vec<Machine>,
}

impl Fleet {
    /// One machine for each thread.
    pub fn new(shop: &Arc<Shop>, threads: usize) -> anyhow::Result<Fleet> {
        let machines = (0..threads).map(|_| Machine::new(shop.clone())).collect::<anyhow::Result<_>>()?;
        Ok(Fleet { stops_at_first: false, machines })
    }

    /// Every step with every fault once, and beside that random worlds until so many checkouts were made in them.
    pub fn campaign(&mut self, checkouts: u64, report: &mut Report) -> anyhow::Result<()> {
        let quiet = |seed| Plan { seed, shoppers: SHOPPERS_FEW, stormy: false, directives: Vec::new() };
        self.sweep(report, |number| (number < QUIET).then(|| quiet(number)))?;
        self.go_back(report)?;
        let done = AtomicU64::new(0);
        let stormy = |seed| Plan { seed, shoppers: SHOPPERS, stormy: true, directives: Vec::new() };
        self.each(
            report,
            |number| (done.load(Ordering::Relaxed) < checkouts).then(|| stormy(number)),
            |_, outcome| {
                done.fetch_add(outcome.tally.checkouts, Ordering::Relaxed);
            },
        )?;
        self.go_back(report)
    }

    /// Tries what was not tried, until nothing is left.
    fn go_back(&mut self, report: &mut Report) -> anyhow::Result<()> {
        for _ in 0..ROUNDS_MAX {
            let missing = report.coverage.missing();
            if missing.is_empty() || self.is_over(report) {
                break;
            }
            self.sweep(report, |number| {
                let (_, fault, sight) = missing.get(usize::try_from(number).ok()?)?;
                Some(sight.with(*fault))
            })?;
        }
        Ok(())
    }

    fn is_over(&self, report: &Report) -> bool {
        self.stops_at_first && !report.violations.is_empty()
    }

    /// Runs the plans with the numbers from zero until there is none.
    pub fn sweep(&mut self, report: &mut Report, plan: impl Fn(u64) -> Option<Plan> + Sync) -> anyhow::Result<()> {
        self.each(report, plan, |_, _| ())
    }

    /// The same, telling what each came to.
    pub fn each(
        &mut self,
        report: &mut Report,
        plan: impl Fn(u64) -> Option<Plan> + Sync,
        heard: impl Fn(u64, &Outcome) + Sync,
    ) -> anyhow::Result<()> {
        if self.is_over(report) {
            return Ok(());
        }
        let next = AtomicU64::new(0);
        let broken = AtomicBool::new(false);
        let stops_at_first = self.stops_at_first;
        let work = |machine: &mut Machine| -> anyhow::Result<Report> {
            let mut report = Report::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let over = stops_at_first && broken.load(Ordering::Relaxed);
                let Some(plan) = plan(number).filter(|_| !over) else { break };
                let outcome = machine.run(plan.clone(), false)?;
                broken.fetch_or(!outcome.violations.is_empty(), Ordering::Relaxed);
                heard(number, &outcome);
                report.add(plan, outcome);
            }
            report.coverage = std::mem::take(&mut machine.coverage);
            Ok(report)
        };
        let parts: Vec<anyhow::Result<Report>> = std::thread::scope(|scope| {
            let threads: Vec<_> = self.machines.iter_mut().map(|machine| scope.spawn(|| work(machine))).collect();
            threads.into_iter().map(|thread| thread.join().expect("a world does not panic")).collect()
        });
        for part in parts {
            report.merge(part?);
        }
        Ok(())
    }

    /// Runs each plan once and answers the hashes of the traces in the order of the plans.
    pub fn hashes(&mut self, plans: &[Plan], report: &mut Report) -> anyhow::Result<Vec<String>> {
        let hashes = Mutex::new(BTreeMap::new());
        self.each(
            report,
            |number| plans.get(usize::try_from(number).ok()?).cloned(),
            |number, outcome| {
                hashes.lock().unwrap_or_else(PoisonError::into_inner).insert(number, outcome.hash.clone());
            },
        )?;
        Ok(hashes.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect())
    }
}
