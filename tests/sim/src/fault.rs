//! What can go wrong, where, and what of that has been tried.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Shoppers of a world unless a plan says otherwise.
pub const SHOPPERS: u64 = 40;

/// What goes wrong at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It is not done, and the caller hears so or hears that nobody knows.
    Refused,
    /// It is done, and its answer is lost.
    Lost,
    /// The host dies before it is done.
    KilledBefore,
    /// The host dies after it was done.
    KilledAfter,
    /// It is done much later, perhaps when nobody waits for it any more.
    Slow,
    /// Its answer comes much later.
    Late,
    /// The host stands still for longer than a lease, and then goes on.
    Paused,
    /// The clock of the host is set forward or back.
    Jumped,
    /// The clocks of all hosts are set forward past the end of every quote, reservation and checkout.
    Expired,
    /// The outside company is away for longer than events are repeated and a checkout lasts.
    Away,
    /// The outside company is away for longer than it keeps idempotency keys.
    AwayForDays,
    /// An event that was taken is delivered once more.
    Twice,
    /// An event is delivered after later ones of other keys.
    Overtaken,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Fault; 13] = [
        Fault::Refused,
        Fault::Lost,
        Fault::KilledBefore,
        Fault::KilledAfter,
        Fault::Slow,
        Fault::Late,
        Fault::Paused,
        Fault::Jumped,
        Fault::Expired,
        Fault::Away,
        Fault::AwayForDays,
        Fault::Twice,
        Fault::Overtaken,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Refused => "refused",
            Fault::Lost => "lost",
            Fault::KilledBefore => "killed-before",
            Fault::KilledAfter => "killed-after",
            Fault::Slow => "slow",
            Fault::Late => "late",
            Fault::Paused => "paused",
            Fault::Jumped => "jumped",
            Fault::Expired => "expired",
            Fault::Away => "away",
            Fault::AwayForDays => "away-for-days",
            Fault::Twice => "twice",
            Fault::Overtaken => "overtaken",
        }
    }

    /// The kind with this name.
    pub fn named(name: &str) -> Option<Fault> {
        Fault::ALL.into_iter().find(|fault| fault.name() == name)
    }

    /// Its place in [`Fault::ALL`].
    pub fn place(self) -> usize {
        self as usize
    }
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// A batch is committed.
    Commit,
    /// A key is written.
    Key,
    /// Another component is called; the number is that of its function.
    Call(u16),
    /// An outside company's connector is called.
    Connector(u16),
    /// The same, for what lasts so long that it is tried at every call from one function to another, and not at every
    /// place of it.
    Company(u16),
    /// A subscriber is given an event.
    Delivery,
    /// A client sends a request.
    Request,
}

impl Effect {
    /// The kinds of fault that apply.
    pub fn faults(self) -> &'static [Fault] {
        match self {
            Effect::Commit | Effect::Key | Effect::Call(_) => &Fault::ALL[..9],
            Effect::Connector(_) => &Fault::ALL[..10],
            Effect::Company(_) => &[Fault::AwayForDays],
            Effect::Delivery => {
                &[Fault::KilledBefore, Fault::KilledAfter, Fault::Late, Fault::Paused, Fault::Twice, Fault::Overtaken]
            }
            Effect::Request => &[Fault::Refused, Fault::Lost, Fault::Slow],
        }
    }
}

/// A place in the shop where something can go wrong: the n-th effect of a call of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// The function, by its number.
    pub function: u16,
    /// The place among the call's effects, from 1; those after [`ORDINAL_MAX`] count as that one.
    pub ordinal: u8,
    /// What it does.
    pub effect: Effect,
}

impl Step {
    /// Where a company that is away for days is counted.
    pub fn company(self) -> Option<Step> {
        match self.effect {
            Effect::Connector(function) => Some(Step { ordinal: 0, effect: Effect::Company(function), ..self }),
            Effect::Commit
            | Effect::Key
            | Effect::Call(_)
            | Effect::Company(_)
            | Effect::Delivery
            | Effect::Request => None,
        }
    }
}

/// Effects of one call that are told apart.
pub const ORDINAL_MAX: u8 = 12;

/// One fault that a run applies at a place given beforehand, whatever else it draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directive {
    /// The number of the effect in the run, from zero.
    pub at: u64,
    /// What goes wrong there.
    pub fault: Fault,
}

/// Which run: everything that its trace depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// How many shoppers come.
    pub shoppers: u64,
    /// Whether faults are drawn from the seed.
    pub stormy: bool,
    /// Faults to apply in any case.
    pub directives: Vec<Directive>,
}

impl Plan {
    /// A random world with faults.
    pub fn storm(seed: u64) -> Plan {
        Plan { seed, shoppers: SHOPPERS, stormy: true, directives: Vec::new() }
    }

    /// Reads what [`Plan`] is written as: `7 shoppers=40 storm at=1234=lost`.
    pub fn parse(text: &str) -> Result<Plan, String> {
        let mut words = text.split_whitespace();
        let seed = words.next().and_then(|word| word.parse().ok()).ok_or("a run begins with its seed")?;
        let mut plan = Plan { seed, shoppers: SHOPPERS, stormy: false, directives: Vec::new() };
        for word in words {
            let wrong = || format!("`{word}` is none of storm, shoppers=N, at=N=FAULT");
            match word.split_once('=') {
                None if word == "storm" => plan.stormy = true,
                Some(("shoppers", count)) => plan.shoppers = count.parse().map_err(|_| wrong())?,
                Some(("at", rest)) => {
                    let (at, fault) = rest.split_once('=').ok_or_else(wrong)?;
                    let (at, fault) = (at.parse().map_err(|_| wrong())?, Fault::named(fault).ok_or_else(wrong)?);
                    plan.directives.push(Directive { at, fault });
                }
                Some(_) | None => return Err(wrong()),
            }
        }
        Ok(plan)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} shoppers={}", self.seed, self.shoppers)?;
        if self.stormy {
            f.write_str(" storm")?;
        }
        self.directives.iter().try_for_each(|Directive { at, fault }| write!(f, " at={at}={}", fault.name()))
    }
}

/// A place of a run at which a step was seen, so that it can be gone back to.
#[derive(Clone, Debug)]
pub struct Sight {
    /// The run.
    pub plan: Arc<Plan>,
    /// The number of the effect.
    pub at: u64,
}

impl Sight {
    /// The same run with one more fault, at this place.
    pub fn with(&self, fault: Fault) -> Plan {
        let mut plan = Plan::clone(&self.plan);
        plan.directives.push(Directive { at: self.at, fault });
        plan
    }
}

/// What is known of one step.
#[derive(Clone, Debug)]
pub struct Known {
    /// Where it was seen first.
    pub sight: Sight,
    /// How often it came.
    pub passed: u64,
    /// How often each kind was applied, in the order of [`Fault::ALL`].
    pub applied: [u64; Fault::ALL.len()],
}

/// Which steps were seen and what was tried at them.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// The steps.
    pub steps: BTreeMap<Step, Known>,
}

impl Coverage {
    /// Notes that a step was passed, and what went wrong there.
    pub fn note(&mut self, step: Step, plan: &Arc<Plan>, at: u64, fault: Option<Fault>) {
        let fresh = || Known { sight: Sight { plan: plan.clone(), at }, passed: 0, applied: [0; Fault::ALL.len()] };
        let known = self.steps.entry(step).or_insert_with(fresh);
        known.passed += 1;
        if let Some(fault) = fault {
            known.applied[fault.place()] += 1;
        }
    }

    /// Adds what another thread saw.
    pub fn merge(&mut self, other: &Coverage) {
        for (step, seen) in &other.steps {
            match self.steps.get_mut(step) {
                None => {
                    self.steps.insert(*step, seen.clone());
                }
                Some(known) => {
                    known.passed += seen.passed;
                    known.applied.iter_mut().zip(seen.applied).for_each(|(sum, more)| *sum += more);
                }
            }
        }
    }

    /// Every step and kind that was not tried yet.
    pub fn missing(&self) -> Vec<(Step, Fault, Sight)> {
        let pairs = self.steps.iter().flat_map(|(step, known)| {
            let untried = step.effect.faults().iter().filter(|fault| known.applied[fault.place()] == 0);
            untried.map(|fault| (*step, *fault, known.sight.clone()))
        });
        pairs.collect()
    }

    /// Pairs of step and kind: tried, and all.
    pub fn pairs(&self) -> (usize, usize) {
        let all = self.steps.keys().map(|step| step.effect.faults().len()).sum();
        (all - self.missing().len(), all)
    }

    /// How often each kind was applied.
    pub fn by_fault(&self) -> [u64; Fault::ALL.len()] {
        let mut sums = [0; Fault::ALL.len()];
        for known in self.steps.values() {
            sums.iter_mut().zip(known.applied).for_each(|(sum, more)| *sum += more);
        }
        sums
    }
}
