//! Runs one world: one thread, which picks who goes on, and the relay of every host.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use serde_json::json;
use souk_store::{Delivery, Memory};
use wasmtime::component::Val;

use crate::fault::{Coverage, Effect, Plan, Step};
use crate::laws::Watch;
use crate::shop::{Failure, Scope, Shop, call};
use crate::value::{lift, lower};
use crate::world::{Claim, DAY_MS, Host, LEASE_MS, Parked, Reply, START, Setup, Tally, Task, Verdict, World, queue};
use crate::{actors, fixture};

/// Polls of one run. A run that needs more goes round in circles.
const POLLS_MAX: u64 = 5_000_000;
/// How long after the last shopper everything has come to an end.
const REST_MS_MAX: i64 = 70 * DAY_MS;
/// Deliveries of one subscriber that are started at once.
const DELIVERIES_MAX: usize = 8;
/// One of how many worlds is audited by its own components at the end, too: that asks about every order once more.
const AUDITED_ONE_OF: u64 = 8;
/// Pages of one audit.
const AUDIT_PAGES_MAX: u32 = 1_000;

/// What one thread needs to run one world after another.
pub struct Machine {
    shop: Arc<Shop>,
    memory: Option<Memory>,
    watch: Watch,
    /// What was tried in all runs.
    pub coverage: Coverage,
}

/// What a run came to.
pub struct Outcome {
    /// Hash of its trace.
    pub hash: String,
    /// The trace, where it was asked for.
    pub lines: Vec<String>,
    /// What does not add up.
    pub violations: Vec<String>,
    /// Figures.
    pub tally: Tally,
}

impl Machine {
    /// Makes a database with the tables of all components and what every world begins with.
    pub fn new(shop: Arc<Shop>) -> anyhow::Result<Machine> {
        let mut memory = Memory::open()?;
        for (component, dir) in &shop.migrations {
            memory.migrate(component, dir, START)?;
        }
        souk_tests::checker::prepare_memory(memory.connection());
        let watch = Watch::of(&mut memory)?;
        let mut machine = Machine { shop, memory: Some(memory), watch, coverage: Coverage::default() };
        machine.stock()?;
        Ok(machine)
    }

    /// Fills the shelves, once.
    fn stock(&mut self) -> anyhow::Result<()> {
        let world = self.world(Plan { seed: 0, shoppers: 0, stormy: false, directives: Vec::new() }, false)?;
        let filling = world.clone();
        spawn(&world, None, None, async move { fixture::fill(&filling).await });
        drive(&world, false);
        let mut inner = world.into_inner();
        inner.check_changes();
        anyhow::ensure!(inner.violations.is_empty(), "the shelves cannot be filled: {:?}", inner.violations);
        self.memory = Some(inner.memory);
        Ok(())
    }

    fn world(&mut self, plan: Plan, keep_trace: bool) -> anyhow::Result<Arc<World>> {
        let memory = self.memory.take().ok_or_else(|| anyhow::anyhow!("the run before this one did not end"))?;
        let mut watch = self.watch.clone();
        watch.forget();
        let coverage = std::mem::take(&mut self.coverage);
        let setup = Setup { plan, memory, coverage, watch, keep_trace };
        Ok(World::new(self.shop.clone(), setup))
    }

    /// Runs one world to its end.
    pub fn run(&mut self, plan: Plan, keep_trace: bool) -> anyhow::Result<Outcome> {
        let is_audited = plan.seed.is_multiple_of(AUDITED_ONE_OF);
        let world = self.world(plan, keep_trace)?;
        world.inner().memory.begin()?;
        actors::enter(&world);
        drive(&world, true);
        if is_audited {
            audit(&world);
        }
        let mut inner = world.into_inner();
        inner.check_at_rest();
        inner.memory.undo()?;
        self.memory = Some(inner.memory);
        self.coverage = inner.coverage;
        let (hash, lines) = inner.trace.finish();
        Ok(Outcome { hash, lines, violations: inner.violations, tally: inner.tally })
    }
}

/// Starts something in a world.
pub fn spawn(
    world: &World,
    host: Option<usize>,
    answers: Option<u64>,
    work: impl Future<Output = ()> + Send + 'static,
) -> u64 {
    let mut inner = world.inner();
    let id = inner.fresh();
    let wake = inner.now;
    inner.spawned.push(Task { id, host, wake, waits_for: None, answers, work: Box::pin(work) });
    id
}

/// A request of a client to a function on some host. It may get lost either way; none when no answer came.
pub async fn ask(world: &Arc<World>, function: u16, params: Vec<Val>) -> Option<Vec<Val>> {
    let step = Step { function, ordinal: 1, effect: Effect::Request };
    let verdict = world.before(None, step).await;
    if verdict == Verdict::Refuse {
        world.wait(1_000).await;
        return None;
    }
    let (id, host) = {
        let mut inner = world.inner();
        let hosts = inner.hosts.len() as u64;
        (inner.fresh(), usize::try_from(inner.order.below(hosts)).unwrap_or_default())
    };
    let is_down = {
        let inner = world.inner();
        inner.hosts[host].down_until > inner.now
    };
    if is_down {
        world.wait(200).await;
        return None;
    }
    let serving = world.clone();
    spawn(world, Some(host), Some(id), async move {
        let deadline = serving.inner().now + crate::world::PATIENCE_MS;
        let scope = Scope { world: serving.clone(), host, deadline };
        let mut results = vec![Val::Bool(false)];
        let answer = call(&scope, function, &params, &mut results).await;
        let reply = match answer {
            Ok(()) => Reply::Answer(results),
            Err(Failure::Deadline | Failure::Trap(_)) => Reply::Lost,
        };
        serving.inner().replies.insert(id, reply);
    });
    let reply = world.reply(id).await;
    match reply {
        Some(Reply::Answer(results)) if verdict != Verdict::Lose => Some(results),
        Some(Reply::Answer(_) | Reply::Lost) | None => None,
    }
}

/// [`ask`] with JSON: the first result, or none when no answer came.
pub async fn ask_json(
    world: &Arc<World>,
    component: &str,
    function: &str,
    args: serde_json::Value,
) -> Option<serde_json::Value> {
    let place = world.shop.function(component, function).unwrap_or_else(|error| panic!("{error}"));
    let known = &world.shop.functions[usize::from(place)];
    let params = known.ty.params().enumerate().map(|(number, (name, ty))| {
        lower(&ty, &args[number]).unwrap_or_else(|error| panic!("{component} {function}, {name}: {error}"))
    });
    let params = params.collect();
    let results = ask(world, place, params).await?;
    results.first().map(lift)
}

/// Polls until nothing is left to do.
fn drive(world: &Arc<World>, to_rest: bool) {
    let mut tasks: Vec<Task> = Vec::new();
    let mut calm_since = None;
    for _ in 0..POLLS_MAX {
        absorb(world, &mut tasks);
        if to_rest {
            relay(world);
            absorb(world, &mut tasks);
        }
        let ready = ready(world, &tasks);
        if ready.is_empty() {
            let mut inner = world.inner();
            let idle = tasks.is_empty();
            if inner.shoppers == 0 && calm_since.is_none() {
                inner.calm();
                calm_since = Some(inner.now);
            }
            let is_over = idle && (!to_rest || (inner.shoppers == 0 && inner.is_at_rest()));
            let next = next_instant(&inner, &tasks);
            match next {
                _ if is_over => break,
                Some(next) if calm_since.is_none_or(|since| next - since < REST_MS_MAX) => {
                    inner.now = next.max(inner.now)
                }
                Some(_) | None => {
                    inner.violate("everything_comes_to_an_end: something is still on its way".to_owned());
                    break;
                }
            }
            continue;
        }
        let place = ready[usize::try_from(world.inner().order.below(ready.len() as u64)).unwrap_or_default()];
        poll(world, &mut tasks, place);
    }
    drop(tasks);
    world.inner().spawned.clear();
}

/// Takes what was started, and what was killed out of the way.
fn absorb(world: &World, tasks: &mut Vec<Task>) {
    let (spawned, kills) = {
        let mut inner = world.inner();
        (std::mem::take(&mut inner.spawned), std::mem::take(&mut inner.kills))
    };
    tasks.extend(spawned);
    for host in kills {
        let (dead, alive) = std::mem::take(tasks).into_iter().partition(|task: &Task| task.host == Some(host));
        *tasks = alive;
        let dead: Vec<Task> = dead;
        let mut inner = world.inner();
        for id in dead.iter().filter_map(|task| task.answers) {
            inner.replies.insert(id, Reply::Lost);
        }
        let restart = 200 + i64::try_from(inner.order.below(5_000)).unwrap_or_default();
        let now = inner.now;
        inner.hosts[host] = Host::back_at(now + restart);
        inner.let_go(host, now + LEASE_MS);
        inner.trace.note(now, "host", if host == 0 { "0" } else { "1" }, "killed");
        // Guests are dropped without the lock: they are unwound by the engine.
        drop(inner);
        drop(dead);
    }
}

fn wake_of(inner: &crate::world::Inner, task: &Task) -> i64 {
    let answered = task.waits_for.is_some_and(|id| inner.replies.contains_key(&id));
    let wake = if answered { inner.now } else { task.wake };
    task.host.map_or(wake, |host| wake.max(inner.hosts[host].paused_until))
}

fn ready(world: &World, tasks: &[Task]) -> Vec<usize> {
    let inner = world.inner();
    let places = tasks.iter().enumerate().filter(|(_, task)| wake_of(&inner, task) <= inner.now);
    places.map(|(place, _)| place).collect()
}

fn next_instant(inner: &crate::world::Inner, tasks: &[Task]) -> Option<i64> {
    let due = inner.next_due.iter().flatten().copied();
    let claims = inner.claims.values().filter_map(|claim| claim.until);
    let hosts = inner.hosts.iter().flat_map(|host| [host.down_until, host.paused_until]);
    let other = due.chain(claims).chain(hosts).filter(|at| *at > inner.now);
    tasks.iter().map(|task| wake_of(inner, task)).chain(other).min()
}

fn poll(world: &World, tasks: &mut Vec<Task>, place: usize) {
    let mut context = Context::from_waker(Waker::noop());
    let task = &mut tasks[place];
    task.waits_for = None;
    match task.work.as_mut().poll(&mut context) {
        Poll::Ready(()) => {
            tasks.swap_remove(place);
        }
        Poll::Pending => match world.inner().parked.take() {
            Some(Parked::At(until)) => task.wake = until,
            Some(Parked::For(id, until)) => {
                task.waits_for = Some(id);
                task.wake = until;
            }
            None => panic!("a task waits for something that the world does not know"),
        },
    }
}

/// Starts deliveries that are due, each on some host that is up.
fn relay(world: &Arc<World>) {
    {
        let mut inner = world.inner();
        let (now, before) = (inner.now, inner.claims.len());
        inner.claims.retain(|_, claim| claim.until.is_none_or(|until| until > now));
        if inner.claims.len() < before {
            inner.dirty.fill(true);
        }
    }
    for place in 0..world.shop.subscribers.len() {
        let started = {
            let mut inner = world.inner();
            let now = inner.now;
            let due = inner.next_due[place].is_some_and(|at| at <= now);
            if !inner.dirty[place] && !due {
                continue;
            }
            inner.dirty[place] = false;
            start_due(world, &mut inner, place)
        };
        for (host, lease, delivery) in started {
            let delivering = world.clone();
            spawn(world, Some(host), None, async move { deliver(delivering, host, place, lease, delivery).await });
        }
    }
}

fn start_due(world: &World, inner: &mut crate::world::Inner, place: usize) -> Vec<(usize, u64, Delivery)> {
    let now = inner.now;
    let subscriber = &world.shop.subscribers[place].0;
    let busy = inner.claims.keys().filter(|queue| queue.0 == *subscriber).count();
    let due = inner.memory.due(subscriber, now, DELIVERIES_MAX + busy);
    let due = due.unwrap_or_else(|error| panic!("the outbox: {error:?}"));
    inner.next_due[place] =
        inner.memory.next_due(subscriber, now).unwrap_or_else(|error| panic!("the outbox: {error:?}"));
    let up: Vec<usize> = (0..inner.hosts.len())
        .filter(|host| inner.hosts[*host].down_until <= now && inner.hosts[*host].paused_until <= now)
        .collect();
    let mut started = Vec::new();
    for delivery in due {
        let queue = queue(&delivery);
        if inner.claims.contains_key(&queue) || started.len() >= DELIVERIES_MAX {
            continue;
        }
        if up.is_empty() {
            let soon = inner.hosts.iter().map(|host| host.down_until.max(host.paused_until)).min();
            inner.next_due[place] = soon.map(|at| at.max(now + 1));
            return started;
        }
        let host = *inner.order.pick(&up);
        let lease = inner.fresh();
        inner.claims.insert(queue, Claim { lease, host, until: None });
        started.push((host, lease, delivery));
    }
    started
}

/// Gives one event to its subscriber, and stores what came of it if the claim is still this host's.
async fn deliver(world: Arc<World>, host: usize, place: usize, lease: u64, delivery: Delivery) {
    let function = world.shop.subscribers[place].1;
    let known = &world.shop.functions[usize::from(function)];
    // Topics of one subscriber are told apart as if they were effects of one call.
    let topic = world.shop.topics.keys().position(|topic| *topic == delivery.event.topic).unwrap_or_default();
    let step = Step { function, ordinal: u8::try_from(topic).unwrap_or(u8::MAX), effect: Effect::Delivery };
    let verdict = world.before(Some(host), step).await;
    let event = &delivery.event;
    let args = [
        json!({"request-id": event.id, "actor": {"system": "event"}, "client": ""}),
        json!({"id": event.id, "topic": event.topic, "key": event.key, "payload": event.payload,
            "committed-at": event.committed_at, "attempt": event.attempt}),
    ];
    let params: Vec<Val> = known
        .ty
        .params()
        .zip(&args)
        .map(|((name, ty), json)| lower(&ty, json).unwrap_or_else(|error| panic!("{name}: {error}")))
        .collect();
    let mut results = vec![Val::Bool(false)];
    let scope = Scope { world: world.clone(), host, deadline: i64::MAX };
    let outcome = match call(&scope, function, &params, &mut results).await {
        Ok(()) => match results.first() {
            Some(Val::Result(Err(Some(reason)))) => Err(lift(reason).as_str().unwrap_or_default().to_owned()),
            _ => Ok(()),
        },
        Err(Failure::Deadline) => Err("deadline".to_owned()),
        Err(Failure::Trap(_)) => Err("trap".to_owned()),
    };
    world.after(Some(host), verdict).await;
    let mut inner = world.inner();
    inner.tally.deliveries += 1;
    inner.dirty[place] = true;
    if inner.release(&delivery, lease) && verdict != Verdict::DoTwice {
        let now = inner.now;
        inner.trace.note(
            now,
            &delivery.event.topic,
            &delivery.event.id,
            if outcome.is_ok() { "taken" } else { "failed" },
        );
        inner.memory.settle(&delivery, &outcome, now).unwrap_or_else(|error| panic!("the outbox: {error:?}"));
    }
}

/// Asks every component whether its books add up.
fn audit(world: &Arc<World>) {
    world.inner().is_over = true;
    let auditors: Vec<String> = world
        .shop
        .by_name
        .keys()
        .filter(|(_, function)| function == "audit.check")
        .map(|(component, _)| component.clone())
        .collect();
    let auditing = world.clone();
    spawn(world, None, None, async move {
        for component in auditors {
            let mut cursor = json!(null);
            for _ in 0..AUDIT_PAGES_MAX {
                let ctx = json!({"request-id": "audit", "actor": {"system": "audit"}, "client": ""});
                let Some(page) = ask_json(&auditing, &component, "audit.check", json!([ctx, cursor])).await else {
                    auditing.inner().violate(format!("audit {component}: no answer"));
                    break;
                };
                let findings = page["ok"]["findings"].as_array().cloned();
                for finding in findings.unwrap_or_else(|| vec![page.clone()]) {
                    let mut inner = auditing.inner();
                    if !inner.is_refused(finding["subject"].as_str().unwrap_or_default()) {
                        inner.violate(format!("audit {component}: {finding}"));
                    }
                }
                cursor = page["ok"]["next"].clone();
                if cursor.is_null() {
                    break;
                }
            }
        }
    });
    drive(world, false);
}
