//! One simulated world: its time, its chance, its hosts, its database, and what happened in it.
//!
//! Everything that differs between two runs is drawn here from the seed. Whatever a component or an actor does passes
//! through [`World::before`] and [`World::after`], where the world decides when it goes on and what goes wrong.
//! It is long because all that a run's trace depends on stands in one place.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use souk_kit::testing::Dice;
use souk_store::{Delivery, Memory};
use wasmtime::component::Val;

use crate::fault::{Coverage, Effect, Fault, ORDINAL_MAX, Plan, Step};
use crate::laws::Watch;
use crate::shop::Shop;
use crate::trace::Trace;

/// When a world begins: 2026-01-01T00:00:00Z.
pub const START: i64 = 1_767_225_600_000;
/// Hosts that share the database.
pub const HOSTS: usize = 2;
/// How long a host owns what it delivers after it was last heard of, as on Postgres.
pub const LEASE_MS: i64 = 20_000;
/// How long a client waits for an answer.
pub const PATIENCE_MS: i64 = 30_000;
/// The longest time between two steps of a healthy host.
const HOP_MS: u64 = 3;
/// One of how many outages that are drawn lasts for hours; the others are one call long.
const AWAY_ONE_OF: u64 = 5;
/// One of how many outages that are drawn lasts for days: such a world asks thousands of questions.
const AWAY_FOR_DAYS_ONE_OF: u64 = 100;
/// A day.
pub const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;
/// How long a connector is away: longer than a failed delivery is repeated, and than a checkout lasts.
const AWAY_MS: i64 = 40 * 60 * 1_000;
/// How long a connector is at least away when it is away for days: Stripe keeps idempotency keys for 24 hours.
const AWAY_FOR_DAYS_MS: i64 = DAY_MS + HOUR_MS;
/// How much longer at most, in milliseconds.
const AWAY_LONGER_MS: u64 = 2 * 60 * 60 * 1_000;
/// How far all clocks go forward when everything expires. Quotes and reservations end after 15 minutes, checkouts after 30.
const EXPIRED_MS: i64 = 31 * 60 * 1_000;

/// A future that the world polls.
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Something that goes on in a world.
pub struct Task {
    /// Tells it from others.
    pub id: u64,
    /// The host on which it runs; none for what happens outside.
    pub host: Option<usize>,
    /// Not polled before.
    pub wake: i64,
    /// Polled as soon as this answer is there.
    pub waits_for: Option<u64>,
    /// The answer that its client waits for.
    pub answers: Option<u64>,
    /// What it does.
    pub work: Work,
}

/// A simulated host.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Dead until then.
    pub down_until: i64,
    /// Stands still until then.
    pub paused_until: i64,
    /// How far its clock is off.
    offset: i64,
    /// Its clock never goes back while it lives.
    highest: i64,
}

impl Host {
    /// One that died and is back at that time, with a clock that is right.
    pub fn back_at(down_until: i64) -> Host {
        Host { down_until, ..Host::default() }
    }
}

/// A queue of deliveries that a host works on.
pub struct Claim {
    /// Which claim.
    pub lease: u64,
    /// On which host.
    pub host: usize,
    /// When it ends, once its host is not heard of any more.
    pub until: Option<i64>,
}

/// Which deliveries keep an order: subscriber, topic and key.
pub type Queue = (String, String, String);

/// What a client got.
#[derive(Debug)]
pub enum Reply {
    /// An answer.
    Answer(Vec<Val>),
    /// The connection broke.
    Lost,
}

/// How a run goes on.
pub enum Parked {
    /// At a time.
    At(i64),
    /// When an answer is there, or at a time.
    For(u64, i64),
}

/// What becomes of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is done.
    Do,
    /// It is not done.
    Refuse,
    /// It is done and nobody hears of it.
    Lose,
    /// It is done, and then its host dies.
    DoAndDie,
    /// It is done, and its answer takes its time.
    DoSlowly,
    /// It is done, and will be once more.
    DoTwice,
}

/// Figures of one run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Placements that shoppers made.
    pub checkouts: u64,
    /// Commits of components.
    pub commits: u64,
    /// Calls across boundaries.
    pub calls: u64,
    /// Deliveries.
    pub deliveries: u64,
    /// Orders that stand at the end.
    pub orders: u64,
}

impl Tally {
    /// Adds the figures of another run.
    pub fn add(&mut self, other: &Tally) {
        let Tally { checkouts, commits, calls, deliveries, orders } = other;
        self.checkouts += checkouts;
        self.commits += commits;
        self.calls += calls;
        self.deliveries += deliveries;
        self.orders += orders;
    }
}

/// What a world holds.
pub struct Inner {
    /// Which run.
    pub plan: Arc<Plan>,
    /// Milliseconds since 1970, the same for all hosts but for their clocks.
    pub now: i64,
    /// Whether faults are drawn.
    storm: bool,
    /// One of how many effects goes wrong; zero when none does.
    rate: u64,
    effects: u64,
    /// The database.
    pub memory: Memory,
    /// Orders what runs at the same time.
    pub order: Dice,
    chance: Dice,
    guests: Dice,
    /// Draws for actors.
    pub actors: Dice,
    /// The hosts.
    pub hosts: Vec<Host>,
    /// Hosts to be killed as soon as the running task is out of the way.
    pub kills: Vec<usize>,
    /// Connectors that are away, by the number of their unit.
    away: BTreeMap<usize, i64>,
    /// How the running task goes on.
    pub parked: Option<Parked>,
    /// Tasks that the running one started.
    pub spawned: Vec<Task>,
    /// Answers that wait for their clients.
    pub replies: BTreeMap<u64, Reply>,
    next_id: u64,
    /// Deliveries under way.
    pub claims: BTreeMap<Queue, Claim>,
    /// Subscribers for whom something may be due, by the place of their name.
    pub dirty: Vec<bool>,
    /// When something will be due, by subscriber.
    pub next_due: Vec<Option<i64>>,
    /// Values of the configuration that differ from the manifest's.
    pub config: BTreeMap<String, String>,
    /// What happened.
    pub trace: Trace,
    /// What was tried.
    pub coverage: Coverage,
    /// What does not add up.
    pub violations: Vec<String>,
    /// Checks rows as they change.
    pub watch: Watch,
    /// Figures.
    pub tally: Tally,
    /// What was promised to shoppers, by order.
    pub promised: BTreeMap<String, String>,
    /// What was answered to a key.
    pub answers: BTreeMap<String, String>,
    /// Shoppers that have not finished.
    pub shoppers: usize,
    /// Whether all has come to rest: who looks at it now meets no faults.
    pub is_over: bool,
}

/// What is given to a new world.
pub struct Setup {
    /// Which run.
    pub plan: Plan,
    /// The database.
    pub memory: Memory,
    /// What was tried before.
    pub coverage: Coverage,
    /// Checks rows.
    pub watch: Watch,
    /// Whether lines of the trace are kept.
    pub keep_trace: bool,
}

/// One simulated world.
pub struct World {
    /// The components.
    pub shop: Arc<Shop>,
    inner: Mutex<Inner>,
}

impl World {
    /// Makes a world.
    pub fn new(shop: Arc<Shop>, setup: Setup) -> Arc<World> {
        let Setup { plan, memory, coverage, watch, keep_trace } = setup;
        let mut root = Dice::new(plan.seed);
        let mut dice = || Dice::new(root.roll());
        let (order, mut chance, guests, actors) = (dice(), dice(), dice(), dice());
        let rate = if plan.stormy { *chance.pick(&[400, 120, 50, 25]) } else { 0 };
        let subscribers = shop.subscribers.len();
        let inner = Inner {
            now: START,
            storm: plan.stormy,
            plan: Arc::new(plan),
            rate,
            effects: 0,
            memory,
            order,
            chance,
            guests,
            actors,
            hosts: vec![Host::default(); HOSTS],
            kills: Vec::new(),
            away: BTreeMap::new(),
            parked: None,
            spawned: Vec::new(),
            replies: BTreeMap::new(),
            next_id: 0,
            claims: BTreeMap::new(),
            dirty: vec![false; subscribers],
            next_due: vec![None; subscribers],
            config: BTreeMap::new(),
            trace: Trace::new(keep_trace),
            coverage,
            violations: Vec::new(),
            watch,
            tally: Tally::default(),
            promised: BTreeMap::new(),
            answers: BTreeMap::new(),
            shoppers: 0,
            is_over: false,
        };
        Arc::new(World { shop, inner: Mutex::new(inner) })
    }

    /// What the world holds. Never kept across an `await`.
    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the world.
    pub fn into_inner(self: Arc<World>) -> Inner {
        let world = Arc::into_inner(self).expect("every task of the world has ended");
        world.inner.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets time pass, and others have their turn.
    pub async fn wait(&self, millis: i64) {
        let until = self.inner().now + millis;
        Wait { world: self, until, began: false }.await;
    }

    /// Waits for the answer to a request, but not for ever.
    pub async fn reply(&self, id: u64) -> Option<Reply> {
        let until = self.inner().now + PATIENCE_MS;
        WaitFor { world: self, id, until }.await
    }

    /// Waits until an effect may happen and says what becomes of it. A host that is killed here never goes on.
    pub async fn before(&self, host: Option<usize>, step: Step) -> Verdict {
        let (fault, hop) = {
            let mut inner = self.inner();
            let fault = inner.draw(step);
            let hop = if host.is_some() { inner.order.below(HOP_MS) } else { 0 };
            (fault, i64::try_from(hop).unwrap_or_default())
        };
        // Nobody else has a turn within the same millisecond: it costs a switch of every stack on the way.
        if hop > 0 {
            self.wait(hop).await;
        }
        let connector = match step.effect {
            Effect::Connector(function) => Some(self.shop.functions[usize::from(function)].unit),
            _ => None,
        };
        match fault {
            Some(Fault::Refused) => return Verdict::Refuse,
            Some(Fault::Lost) => return Verdict::Lose,
            Some(Fault::KilledAfter) => return Verdict::DoAndDie,
            Some(Fault::Late) => return Verdict::DoSlowly,
            Some(Fault::Twice) => return Verdict::DoTwice,
            Some(Fault::KilledBefore) => self.die(host).await,
            Some(Fault::Slow | Fault::Overtaken) => {
                let delay = self.inner().long();
                self.wait(delay).await;
            }
            Some(Fault::Paused) => {
                self.inner().pause(host);
                self.wait(0).await;
            }
            Some(Fault::Jumped) => self.inner().jump(host),
            Some(Fault::Expired) => self.inner().expire(),
            Some(Fault::Away) => self.inner().leave(connector, AWAY_MS),
            Some(Fault::AwayForDays) => {
                let mut inner = self.inner();
                let outage = AWAY_FOR_DAYS_MS + i64::try_from(inner.chance.below(AWAY_LONGER_MS)).unwrap_or_default();
                inner.leave(connector, outage);
            }
            None => {}
        }
        let inner = self.inner();
        let away = connector.and_then(|unit| inner.away.get(&unit)).is_some_and(|until| *until > inner.now);
        if away { Verdict::Refuse } else { Verdict::Do }
    }

    /// What follows an effect that was done.
    pub async fn after(&self, host: Option<usize>, verdict: Verdict) {
        match verdict {
            Verdict::DoAndDie => self.die(host).await,
            Verdict::DoSlowly => {
                let delay = self.inner().long();
                self.wait(delay).await;
            }
            Verdict::Do | Verdict::Refuse | Verdict::Lose | Verdict::DoTwice => {}
        }
    }

    /// Kills a host. The caller runs on it and never goes on.
    async fn die(&self, host: Option<usize>) {
        let Some(host) = host else { return };
        self.inner().kills.push(host);
        self.wait(i64::MAX / 4).await;
    }
}

impl Inner {
    /// A number that was not given before.
    pub fn fresh(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// An id with this prefix.
    pub fn mint(&mut self, prefix: &str) -> String {
        format!("{prefix}_{:016x}{:016x}", self.actors.roll(), self.actors.roll())
    }

    /// Random bytes for a component.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.guests.roll().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }

    /// The time on a host's clock.
    pub fn clock(&mut self, host: usize) -> i64 {
        let host = &mut self.hosts[host];
        host.highest = host.highest.max(self.now + host.offset);
        host.highest
    }

    /// Decides what goes wrong at a step. The same numbers are drawn whatever comes out, so that a directive changes
    /// nothing before its place.
    fn draw(&mut self, mut step: Step) -> Option<Fault> {
        if self.is_over {
            return None;
        }
        step.ordinal = step.ordinal.min(ORDINAL_MAX);
        let at = self.effects;
        self.effects += 1;
        let kinds = step.effect.faults();
        let company = step.company();
        let drawn = (self.rate > 0).then(|| (self.chance.below(self.rate) == 0, self.chance.roll()));
        let told = self.plan.directives.iter().find(|directive| directive.at == at).map(|directive| directive.fault);
        let lasts = |fault: &Fault| company.is_some_and(|company| company.effect.faults().contains(fault));
        let fault = match (told, drawn) {
            (Some(fault), _) => Some(fault).filter(|fault| kinds.contains(fault) || lasts(fault)),
            (_, Some((true, which))) if self.storm => Some(pick(kinds, which)),
            _ => None,
        };
        self.coverage.note(step, &self.plan, at, fault.filter(|fault| kinds.contains(fault)));
        if let Some(company) = company {
            self.coverage.note(company, &self.plan, at, fault.filter(lasts));
        }
        if let Some(fault) = fault {
            self.trace.note(self.now, "fault", fault.name(), "");
        }
        fault
    }

    /// Longer than anybody waits, most of the time.
    fn long(&mut self) -> i64 {
        1_000 + i64::try_from(self.chance.below(90_000)).unwrap_or_default()
    }

    fn leave(&mut self, connector: Option<usize>, millis: i64) {
        let until = self.now + millis;
        self.away.extend(connector.map(|unit| (unit, until)));
    }

    fn pause(&mut self, host: Option<usize>) {
        let Some(host) = host else { return };
        let pause = LEASE_MS + 5_000 + i64::try_from(self.chance.below(90_000)).unwrap_or_default();
        self.hosts[host].paused_until = self.now + pause;
        self.let_go(host, self.now + LEASE_MS);
    }

    /// What a host works on belongs to others from then on.
    pub fn let_go(&mut self, host: usize, until: i64) {
        for claim in self.claims.values_mut().filter(|claim| claim.host == host && claim.until.is_none()) {
            claim.until = Some(until);
        }
        self.dirty.fill(true);
    }

    fn jump(&mut self, host: Option<usize>) {
        const MINUTE: i64 = 60_000;
        let by = *self.chance.pick(&[MINUTE, -MINUTE, 20 * MINUTE, 2 * 60 * MINUTE, -2 * 60 * MINUTE, DAY_MS, -DAY_MS]);
        if let Some(host) = host {
            self.hosts[host].offset = by;
        }
    }

    fn expire(&mut self) {
        for host in &mut self.hosts {
            host.offset += EXPIRED_MS;
        }
    }

    /// Every host is well again.
    pub fn calm(&mut self) {
        self.storm = false;
        for host in &mut self.hosts {
            host.offset = 0;
            host.highest = 0;
        }
    }

    /// Ends a claim, if it is still that one.
    pub fn release(&mut self, delivery: &Delivery, lease: u64) -> bool {
        let queue = queue(delivery);
        let ours = self.claims.get(&queue).is_some_and(|claim| claim.lease == lease);
        if ours {
            self.claims.remove(&queue);
        }
        ours
    }
}

/// One of the kinds that apply to a step, by a random number. Outages are mostly short: a call that is refused.
fn pick(kinds: &[Fault], which: u64) -> Fault {
    let count = kinds.len() as u64;
    let kind = kinds[(which % count) as usize];
    let rest = which / count;
    match kind {
        Fault::Away if rest.is_multiple_of(AWAY_FOR_DAYS_ONE_OF) => Fault::AwayForDays,
        Fault::Away if !rest.is_multiple_of(AWAY_ONE_OF) => Fault::Refused,
        kind => kind,
    }
}

/// The queue in which a delivery stands.
pub fn queue(delivery: &Delivery) -> Queue {
    (delivery.subscriber().to_owned(), delivery.event.topic.clone(), delivery.event.key.clone())
}

struct Wait<'a> {
    world: &'a World,
    until: i64,
    began: bool,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.world.inner();
        if self.began && inner.now >= self.until {
            return Poll::Ready(());
        }
        inner.parked = Some(Parked::At(self.until));
        drop(inner);
        self.began = true;
        Poll::Pending
    }
}

struct WaitFor<'a> {
    world: &'a World,
    id: u64,
    until: i64,
}

impl Future for WaitFor<'_> {
    type Output = Option<Reply>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Reply>> {
        let mut inner = self.world.inner();
        if let Some(reply) = inner.replies.remove(&self.id) {
            return Poll::Ready(Some(reply));
        }
        if inner.now >= self.until {
            return Poll::Ready(None);
        }
        inner.parked = Some(Parked::For(self.id, self.until));
        Poll::Pending
    }
}
