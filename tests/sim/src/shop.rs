//! The components, loaded and joined as the manifest says: by interface name and type, with no knowledge of any interface.
//!
//! It links as `souk::link` does, an instance for every call, but each call and each port leads into a [`World`].

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use anyhow::Context as _;
use souk::app::Parts;
use souk::commands::Misconfigured;
use souk::engine::Engine;
use souk::manifest::{Link, Manifest};
use souk::ports::{Grants, PORT_INTERFACES};
use souk::shape::{Fallback, outcome, selector, short, singular};
use souk::variables::{Sources, Values};
use wasmtime::component::types::ComponentFunc;
use wasmtime::component::{ComponentExportIndex, InstancePre, Linker, Val};
use wasmtime::{Store, StoreContextMut};

use crate::fault::{Effect, Step};
use crate::ports;
use crate::world::{Parked, Verdict, World};

/// Ticks of the engine's clock that no call lives to see: what a call may take is measured in the world's time.
const EPOCHS_MAX: u64 = 1 << 40;

/// All components of the manifest, joined.
pub struct Shop {
    /// The components.
    pub units: Vec<Unit>,
    /// Every function that a component exports.
    pub functions: Vec<Function>,
    /// Places of functions by component, interface and name: `order`, `order.place`.
    pub by_name: BTreeMap<(String, String), u16>,
    /// Who hears which topic.
    pub topics: BTreeMap<String, Vec<String>>,
    /// Components that hear events, with the function that takes them.
    pub subscribers: Vec<(String, u16)>,
    /// Migrations by component.
    pub migrations: Vec<(String, std::path::PathBuf)>,
}

/// A component.
pub struct Unit {
    /// Its name in the manifest.
    pub name: Arc<str>,
    /// What it may reach.
    pub grants: Arc<Grants>,
    /// How long a call of it may take.
    deadline_ms: i64,
    /// Whether it stands for an outside company.
    is_connector: bool,
    pre: OnceLock<InstancePre<State>>,
}

/// A function that a component exports.
pub struct Function {
    /// The component.
    pub unit: usize,
    /// `order.place`
    pub name: String,
    /// Its parameters and result.
    pub ty: ComponentFunc,
    index: ComponentExportIndex,
    /// How it says that it was not asked.
    not_done: Fallback,
    /// How it says that its answer is not known.
    not_known: Fallback,
}

/// On whose behalf a call is made.
#[derive(Clone)]
pub struct Scope {
    /// The world.
    pub world: Arc<World>,
    /// The host on which it runs.
    pub host: usize,
    /// When the answer is of no use any more.
    pub deadline: i64,
}

/// What a store holds.
pub struct State {
    /// On whose behalf it runs.
    pub scope: Scope,
    /// What it may reach.
    pub grants: Arc<Grants>,
    function: u16,
    effects: u8,
}

impl State {
    /// The next effect of this call.
    pub fn step(&mut self, effect: Effect) -> Step {
        self.effects = self.effects.saturating_add(1);
        Step { function: self.function, ordinal: self.effects, effect }
    }
}

/// Why a call has no answer.
#[derive(Debug)]
pub enum Failure {
    /// It took too long.
    Deadline,
    /// The instance ended abnormally.
    Trap(String),
}

impl Shop {
    /// Loads and joins what a manifest names. Machine code is kept in `cache`.
    pub fn load(manifest: &Path, cache: &Path) -> anyhow::Result<Arc<Shop>> {
        let engine = Engine::new(cache.to_owned())?;
        let (manifest, mut findings) = Manifest::load(manifest);
        let sources = Sources { generated: secrets(&manifest), ..Sources::default() };
        let (values, found) = Values::resolve(&manifest, &sources);
        findings.extend(found);
        let parts = Parts::load(&engine, manifest, &values, findings).map_err(Misconfigured)?;
        let shop = Arc::new(Shop::of(&parts)?);
        for (place, name) in parts.manifest.components.keys().enumerate() {
            let pre = join(&engine, &parts, &shop, name).with_context(|| format!("joining {name}"))?;
            let fresh = shop.units[place].pre.set(pre).is_ok();
            anyhow::ensure!(fresh, "{name} was joined before");
        }
        Ok(shop)
    }

    fn of(parts: &Parts) -> anyhow::Result<Shop> {
        let mut shop = Shop {
            units: Vec::new(),
            functions: Vec::new(),
            by_name: BTreeMap::new(),
            topics: parts.manifest.topics(),
            subscribers: Vec::new(),
            migrations: parts.migrations().map(|(name, dir)| (name.to_owned(), dir.clone())).collect(),
        };
        let plural: Vec<&str> = parts
            .manifest
            .components
            .values()
            .flat_map(|component| component.links.values())
            .filter(|link| matches!(link, Link::Many(_)))
            .flat_map(Link::targets)
            .collect();
        for (name, part) in &parts.parts {
            let unit = shop.units.len();
            for (interface, functions) in &part.shape.exports {
                let component = &part.compiled.component;
                for (function, ty) in functions {
                    let index = component
                        .get_export_index(None, interface)
                        .and_then(|instance| component.get_export_index(Some(&instance), function))
                        .with_context(|| format!("{name} has no export {interface} {function}"))?;
                    let place = u16::try_from(shop.functions.len())?;
                    let full = format!("{}.{function}", short(interface));
                    if full == "subscriber.handle" {
                        shop.subscribers.push((name.clone(), place));
                    }
                    shop.by_name.insert((name.clone(), full.clone()), place);
                    shop.functions.push(Function {
                        unit,
                        name: full,
                        ty: ty.clone(),
                        index,
                        not_done: Fallback::find(ty, &["not-sent", "unavailable"]),
                        not_known: Fallback::find(ty, &["unknown", "unavailable"]),
                    });
                }
            }
            let limits = &parts.manifest.components[name].limits;
            shop.units.push(Unit {
                name: name.as_str().into(),
                grants: part.grants.clone(),
                deadline_ms: i64::try_from(limits.deadline.as_millis())?,
                is_connector: plural.contains(&name.as_str()),
                pre: OnceLock::new(),
            });
        }
        Ok(shop)
    }

    /// A function by its component and name.
    pub fn function(&self, component: &str, name: &str) -> anyhow::Result<u16> {
        let place = self.by_name.get(&(component.to_owned(), name.to_owned()));
        place.copied().with_context(|| format!("there is no {component} {name}"))
    }

    /// `order order.place`, for a person.
    pub fn title(&self, function: u16) -> String {
        let function = &self.functions[usize::from(function)];
        format!("{} {}", self.units[function.unit].name, function.name)
    }
}

/// Secrets that are the same in every run; none of them guards anything here.
fn secrets(manifest: &Manifest) -> BTreeMap<String, String> {
    let required = manifest.variables.iter().filter(|(_, variable)| variable.default.is_none());
    required.map(|(name, _)| (name.clone(), format!("simulated-{name}"))).collect()
}

/// Joins one component to the others.
fn join(engine: &Engine, parts: &Parts, shop: &Arc<Shop>, name: &str) -> anyhow::Result<InstancePre<State>> {
    let mut linker = Linker::new(engine.wasmtime());
    ports::add_to_linker(&mut linker)?;
    let part = &parts.parts[name];
    for (interface, functions) in &part.shape.imports {
        if PORT_INTERFACES.contains(&interface.as_str()) {
            continue;
        }
        let link = parts.manifest.components[name].link(interface);
        let link = link.with_context(|| format!("{interface} is not linked"))?;
        let mut instance = linker.instance(interface)?;
        for (function, ty) in functions {
            let targets = targets(shop, interface, function, link)?;
            let place = match link {
                Link::One(_) => None,
                Link::Many(_) => {
                    let singular = &shop.functions[usize::from(targets[""])].ty;
                    Some(selector(ty, singular).map_err(anyhow::Error::msg)?)
                }
            };
            let targets = Arc::new(targets);
            instance.func_new_async(function, move |mut store, _, params, results| {
                let named = match place.map(|place| &params[place]) {
                    Some(Val::String(name)) => name.as_str(),
                    _ => "",
                };
                let target = targets.get(named).copied();
                let mut params = params.to_vec();
                if let Some(place) = place {
                    params.remove(place);
                }
                let call = cross(&mut store, target);
                Box::new(async move {
                    let Some((scope, step, target)) = call else {
                        wasmtime::bail!("the manifest links nobody under this name");
                    };
                    pass(&scope, step, target, params, results).await
                })
            })?;
        }
    }
    Ok(linker.instantiate_pre(&part.compiled.component)?)
}

/// Functions that answer an import, by the name that a caller passes; the empty name is that of any of them.
fn targets(shop: &Shop, interface: &str, function: &str, link: &Link) -> anyhow::Result<BTreeMap<String, u16>> {
    match link {
        Link::One(target) => {
            Ok(BTreeMap::from([(String::new(), shop.function(target, &format!("{}.{function}", short(interface)))?)]))
        }
        Link::Many(targets) => {
            let singular = singular(interface).with_context(|| format!("{interface} is no plural"))?;
            let full = format!("{}.{function}", short(&singular));
            let mut places = BTreeMap::new();
            for (name, target) in targets {
                let place = shop.function(target, &full)?;
                places.insert(name.clone(), place);
                places.insert(String::new(), place);
            }
            Ok(places)
        }
    }
}

fn cross(store: &mut StoreContextMut<'_, State>, target: Option<u16>) -> Option<(Scope, Step, u16)> {
    let target = target?;
    let state = store.data_mut();
    let unit = state.scope.world.shop.functions[usize::from(target)].unit;
    let is_connector = state.scope.world.shop.units[unit].is_connector;
    let effect = if is_connector { Effect::Connector(target) } else { Effect::Call(target) };
    Some((state.scope.clone(), state.step(effect), target))
}

/// A call from one component to another, with all that can go wrong on the way.
async fn pass(scope: &Scope, step: Step, target: u16, params: Vec<Val>, results: &mut [Val]) -> wasmtime::Result<()> {
    let world = &scope.world;
    let function = &world.shop.functions[usize::from(target)];
    let verdict = world.before(Some(scope.host), step).await;
    if verdict == Verdict::Refuse {
        return say(&function.not_done, function, "the simulation did not pass it on", results);
    }
    let answer = call(scope, target, &params, results).await;
    world.after(Some(scope.host), verdict).await;
    match (answer, verdict) {
        (Ok(()), Verdict::Lose) => say(&function.not_known, function, "the simulation lost the answer", results),
        (Ok(()), _) => Ok(()),
        (Err(Failure::Deadline), _) => say(&function.not_known, function, "it took too long", results),
        (Err(Failure::Trap(error)), _) => say(&function.not_known, function, &error, results),
    }
}

fn say(fallback: &Fallback, function: &Function, text: &str, results: &mut [Val]) -> wasmtime::Result<()> {
    match (fallback.value(&function.ty, text), results) {
        (Some(value), [result]) => {
            *result = value;
            Ok(())
        }
        _ => Err(wasmtime::Error::msg(Fallen(text.to_owned()))),
    }
}

/// Why a caller traps although nothing is wrong with it: what it called has no value for a failure.
#[derive(Debug)]
struct Fallen(String);

impl std::fmt::Display for Fallen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fallen {}

/// Calls a function in an instance of its own.
pub async fn call(scope: &Scope, function: u16, params: &[Val], results: &mut [Val]) -> Result<(), Failure> {
    let world = &scope.world;
    let known = &world.shop.functions[usize::from(function)];
    let unit = &world.shop.units[known.unit];
    let deadline = scope.deadline.min(world.inner().now + unit.deadline_ms);
    let scope = Scope { deadline, ..scope.clone() };
    let answer = Within { world, deadline, work: Box::pin(run(scope, unit, function, known.index, params, results)) };
    let answer = answer.await;
    let mut inner = world.inner();
    inner.tally.calls += 1;
    let now = inner.now;
    let said = match &answer {
        Ok(()) => outcome(results),
        Err(Failure::Deadline) => "deadline",
        Err(Failure::Trap(_)) => "trap",
    };
    inner.trace.note(now, &unit.name, &known.name, said);
    if let Err(Failure::Trap(error)) = &answer {
        let text = format!("{} {} trapped: {error}", unit.name, known.name);
        inner.violations.push(text);
    }
    answer
}

async fn run(
    scope: Scope,
    unit: &Unit,
    function: u16,
    index: ComponentExportIndex,
    params: &[Val],
    results: &mut [Val],
) -> Result<(), Failure> {
    let trap = |error: wasmtime::Error| Failure::Trap(format!("{error:#}"));
    let pre = unit.pre.get().ok_or_else(|| Failure::Trap("it was not joined".to_owned()))?;
    let state = State { scope, grants: unit.grants.clone(), function, effects: 0 };
    let mut store = Store::new(pre.engine(), state);
    store.set_epoch_deadline(EPOCHS_MAX);
    let instance = pre.instantiate_async(&mut store).await.map_err(trap)?;
    let function =
        instance.get_func(&mut store, index).ok_or_else(|| Failure::Trap("the export is not a function".to_owned()))?;
    match function.call_async(&mut store, params, results).await {
        Ok(()) => Ok(()),
        // Its own fault it is not; whoever called it hears that it gave no answer.
        Err(error) if error.is::<Fallen>() => Err(Failure::Deadline),
        Err(error) => Err(trap(error)),
    }
}

/// A call until its deadline, after which it is dropped wherever it stands.
struct Within<'a, F> {
    world: &'a World,
    deadline: i64,
    work: Pin<Box<F>>,
}

impl<F: Future<Output = Result<(), Failure>>> Future for Within<'_, F> {
    type Output = Result<(), Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let answer = self.work.as_mut().poll(context);
        if answer.is_ready() {
            return answer;
        }
        let mut inner = self.world.inner();
        if inner.now >= self.deadline {
            inner.parked = None;
            return Poll::Ready(Err(Failure::Deadline));
        }
        if let Some(Parked::At(until)) = &mut inner.parked {
            *until = (*until).min(self.deadline);
        }
        Poll::Pending
    }
}
