//! The application: every component loaded, checked against the manifest and joined.
//!
//! All that can be wrong is found before anything listens. A loaded application never changes; a reload makes
//! another one and puts it in its place.

mod check;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use souk_server::{Queue, rate::Limiter, route};
use wasmtime::component::{Component, types::ComponentFunc};

use crate::{
    call::{Export, Unit},
    edge::{AUDIT, HTTP, RECONCILE, REPAIR, SUBSCRIBER, Typed},
    engine::{Compiled, Engine},
    link::{self, Answer, Named},
    manifest::{self, Finding, Link, Manifest},
    metrics::Metrics,
    ports::{Grants, PORT_INTERFACES},
    providers::Providers,
    readiness::Readiness,
    shape::{Shape, short, singular},
    variables::Values,
};

/// What all applications of one process share.
#[derive(Clone)]
pub struct Host {
    /// Compiles and loads.
    pub engine: Engine,
    /// What stands behind the ports.
    pub providers: Arc<Providers>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether the database can be asked.
    pub readiness: Arc<Readiness>,
}

/// A component with what is known of it before it is joined to others.
pub struct Part {
    /// Its code.
    pub compiled: Compiled,
    /// Its imports and exports.
    pub shape: Shape,
    /// What it is granted.
    pub grants: Arc<Grants>,
    /// The same with the components that the manifest fuses it with, when it names any.
    pub fused: Option<Fused>,
}

/// A component and those it is fused with, as one.
pub struct Fused {
    component: Component,
    shape: Shape,
    grants: Arc<Grants>,
    /// The manifest's names of those inside.
    inner: Vec<String>,
}

impl Part {
    /// What runs: the fused component where there is one.
    fn running(&self) -> (&Component, &Shape, &Arc<Grants>) {
        match &self.fused {
            Some(fused) => (&fused.component, &fused.shape, &fused.grants),
            None => (&self.compiled.component, &self.shape, &self.grants),
        }
    }
}

/// All components of a manifest, loaded and found to fit together.
pub struct Parts {
    /// The manifest.
    pub manifest: Manifest,
    /// The components by name.
    pub parts: BTreeMap<String, Part>,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Finding>,
    /// Tells whether two hosts have the same secrets, and not what these are.
    pub fingerprint: String,
}

/// An application that is ready to answer.
pub struct App {
    /// Who answers which path.
    pub routes: route::Table<Arc<Edge>>,
    /// Who hears events, by component.
    pub subscribers: BTreeMap<String, Typed>,
    /// Who checks its own books, by component.
    pub audits: BTreeMap<String, Typed>,
    /// Who compares its books with somebody's outside, by component.
    pub reconciles: BTreeMap<String, Typed>,
    /// Who computes anew what it keeps for speed, by component.
    pub repairs: BTreeMap<String, Typed>,
    /// Digests of the loaded files by component.
    pub digests: BTreeMap<String, String>,
    /// Whether the database can be asked.
    pub readiness: Arc<Readiness>,
}

/// A component behind a route.
pub struct Edge {
    /// The route as the manifest has it, for metrics and logs.
    pub route: String,
    /// What answers.
    pub handle: Typed,
    /// Bounds the requests of one client.
    pub limiter: Option<Limiter>,
    /// Where requests wait for a turn.
    pub queue: Queue,
    /// Whether the database has been prepared.
    pub readiness: Arc<Readiness>,
}

impl Parts {
    /// Loads every component and checks all of it together.
    pub fn load(
        engine: &Engine,
        manifest: Manifest,
        values: &Values,
        mut findings: Vec<Finding>,
    ) -> Result<Self, Vec<Finding>> {
        let mut parts = BTreeMap::new();
        for (name, loaded) in load_all(engine, &manifest) {
            let component = &manifest.components[&name];
            let fault = |text: String| Finding { place: component.place.clone(), text };
            match loaded {
                Ok(compiled) => {
                    let shape = Shape::of(&compiled.component);
                    let grants = check::grants(&name, component, &shape, values, &mut findings);
                    parts.insert(name, Part { compiled, shape, grants: Arc::new(grants), fused: None });
                }
                Err(error) => findings.push(fault(format!("component.{name}: {error}"))),
            }
        }
        let warnings = check::all(&manifest, &parts, &mut findings);
        if findings.is_empty() {
            fuse_all(engine, &manifest, &mut parts, &mut findings);
        }
        if !findings.is_empty() {
            return Err(manifest::sorted(findings));
        }
        let fingerprint = values.fingerprint(&manifest);
        Ok(Self { manifest, parts, warnings, fingerprint })
    }

    /// Components that have migrations, with their directories.
    pub fn migrations(&self) -> impl Iterator<Item = (&str, &PathBuf)> {
        self.manifest
            .components
            .iter()
            .filter_map(|(name, component)| Some((name.as_str(), component.migrations.as_ref()?)))
    }

    /// Joins the components. What was checked before cannot fail; what fails here is the engine's own.
    pub fn join(&self, host: &Host) -> anyhow::Result<App> {
        let mut units: BTreeMap<&str, Arc<Unit>> = BTreeMap::new();
        for name in check::callees_first(&self.manifest).map_err(|_| anyhow::anyhow!("links form a circle"))? {
            let unit = self.unit(host, name, &units)?;
            units.insert(name, unit);
        }
        let mut routes = Vec::new();
        for route in &self.manifest.routes {
            let unit = &units[route.component.as_str()];
            let edge = Edge {
                route: route.pattern.to_string(),
                handle: self.typed(unit, HTTP, "http", "handle")?,
                limiter: unit.limits.rate_on(&route.pattern).map(Limiter::new),
                queue: Queue::new(unit.limits.concurrency),
                readiness: host.readiness.clone(),
            };
            routes.push((route.pattern.clone(), Arc::new(edge)));
        }
        let mut app = App {
            routes: route::Table::new(routes),
            subscribers: BTreeMap::new(),
            audits: BTreeMap::new(),
            reconciles: BTreeMap::new(),
            repairs: BTreeMap::new(),
            digests: BTreeMap::new(),
            readiness: host.readiness.clone(),
        };
        for (name, part) in &self.parts {
            let unit = &units[name.as_str()];
            if part.shape.exports.contains_key(SUBSCRIBER) {
                app.subscribers.insert(name.clone(), self.typed(unit, SUBSCRIBER, "subscriber", "handle")?);
            }
            if part.shape.exports.contains_key(AUDIT) {
                app.audits.insert(name.clone(), self.typed(unit, AUDIT, "audit", "check")?);
            }
            if part.shape.exports.contains_key(RECONCILE) {
                app.reconciles.insert(name.clone(), self.typed(unit, RECONCILE, "reconcile", "check")?);
            }
            if part.shape.exports.contains_key(REPAIR) {
                app.repairs.insert(name.clone(), self.typed(unit, REPAIR, "repair", "rebuild")?);
            }
            app.digests.insert(name.clone(), part.compiled.digest.clone());
        }
        Ok(app)
    }

    fn unit(&self, host: &Host, name: &str, units: &BTreeMap<&str, Arc<Unit>>) -> anyhow::Result<Arc<Unit>> {
        let part = &self.parts[name];
        let (component, shape, grants) = part.running();
        let inner = part.fused.as_ref().map(|fused| fused.inner.as_slice()).unwrap_or_default();
        let mut linker = link::linker(host.engine.wasmtime())?;
        for (interface, functions) in &shape.imports {
            if PORT_INTERFACES.contains(&interface.as_str()) {
                continue;
            }
            let link = std::iter::once(name)
                .chain(inner.iter().map(String::as_str))
                .find_map(|name| self.manifest.components[name].link(interface))
                .ok_or_else(|| anyhow::anyhow!("{interface} is not linked"))?;
            for (function, ty) in functions {
                let answer = self.answer(interface, function, ty, link, units)?;
                link::add(&mut linker, interface, function, answer)?;
            }
        }
        let pre = linker.instantiate_pre(component)?;
        let limits = self.manifest.components[name].limits.clone();
        Ok(Unit::new(pre, grants.clone(), limits, host.providers.clone(), host.metrics.clone()))
    }

    fn answer(
        &self,
        interface: &str,
        function: &str,
        ty: &ComponentFunc,
        link: &Link,
        units: &BTreeMap<&str, Arc<Unit>>,
    ) -> anyhow::Result<Answer> {
        match link {
            Link::One(target) => Ok(Answer::One(self.export(target, interface, function, units)?)),
            Link::Many(targets) => {
                let singular = singular(interface)
                    .ok_or_else(|| anyhow::anyhow!("{interface} is not the plural of an interface"))?;
                let exports = targets
                    .iter()
                    .map(|(name, target)| Ok((name.clone(), self.export(target, &singular, function, units)?)))
                    .collect::<anyhow::Result<_>>()?;
                let named = Named::new(ty.clone(), exports).map_err(anyhow::Error::msg)?;
                Ok(Answer::Named(named))
            }
        }
    }

    fn export(
        &self,
        target: &str,
        interface: &str,
        function: &str,
        units: &BTreeMap<&str, Arc<Unit>>,
    ) -> anyhow::Result<Arc<Export>> {
        let part = &self.parts[target];
        let ty = part
            .shape
            .exports
            .get(interface)
            .and_then(|functions| functions.get(function))
            .ok_or_else(|| anyhow::anyhow!("{target} does not export {interface} {function}"))?;
        let index = place(part.running().0, interface, function)?;
        Ok(Arc::new(Export::new(units[target].clone(), interface, function, ty.clone(), index)))
    }

    fn typed(
        &self,
        unit: &Arc<Unit>,
        interface: &str,
        short_name: &'static str,
        function: &'static str,
    ) -> anyhow::Result<Typed> {
        debug_assert_eq!(short(interface), short_name);
        let index = place(self.parts[&*unit.name].running().0, interface, function)?;
        Ok(Typed { unit: unit.clone(), index, interface: short_name, function })
    }
}

/// Fuses what the manifest says. All parts have been found to fit together before.
fn fuse_all(engine: &Engine, manifest: &Manifest, parts: &mut BTreeMap<String, Part>, findings: &mut Vec<Finding>) {
    for (name, component) in manifest.components.iter().filter(|(_, component)| !component.fuse.is_empty()) {
        match fused(engine, manifest, parts, name) {
            Ok(fused) => {
                if let Some(part) = parts.get_mut(name) {
                    part.fused = Some(fused);
                }
            }
            Err(error) => {
                let text = format!("component.{name}: it cannot be fused: {error:#}; remove `fuse`");
                findings.push(Finding { place: component.place.clone(), text });
            }
        }
    }
}

fn fused(engine: &Engine, manifest: &Manifest, parts: &BTreeMap<String, Part>, name: &str) -> anyhow::Result<Fused> {
    let (component, outer) = (&manifest.components[name], &parts[name]);
    let links: Vec<(&str, &str)> = outer
        .shape
        .imports
        .keys()
        .filter_map(|interface| match component.link(interface)? {
            Link::One(target) if component.fuse.iter().any(|fused| fused == short(interface)) => {
                Some((interface.as_str(), target.as_str()))
            }
            Link::One(_) | Link::Many(_) => None,
        })
        .collect();
    let inner: BTreeSet<&str> = links.iter().map(|(_, target)| *target).collect();
    let grants = check::joint_grants(outer, inner.iter().map(|name| &parts[*name]))?;
    let mut digests = vec![outer.compiled.digest.as_str()];
    digests.extend(inner.iter().map(|name| parts[*name].compiled.digest.as_str()));
    let made = engine.load_made(&digests, || {
        let read = |name: &str| std::fs::read(&manifest.components[name].source);
        let files = inner.iter().map(|name| Ok((*name, read(name)?))).collect::<anyhow::Result<Vec<_>>>()?;
        let files = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
        let exports = outer.shape.exports.keys().map(String::as_str);
        crate::fuse::fuse(&read(name)?, &files, &links, exports)
    })?;
    let shape = Shape::of(&made);
    let inner = inner.into_iter().map(str::to_owned).collect();
    Ok(Fused { component: made, shape, grants: Arc::new(grants), inner })
}

/// Where an exported function is in a component, so that no call looks it up by name.
fn place(
    component: &Component,
    interface: &str,
    function: &str,
) -> anyhow::Result<wasmtime::component::ComponentExportIndex> {
    component
        .get_export_index(None, interface)
        .and_then(|instance| component.get_export_index(Some(&instance), function))
        .ok_or_else(|| anyhow::anyhow!("no export {interface} {function}"))
}

/// Loads all files at once, each on a thread of its own: the first start compiles them.
fn load_all(engine: &Engine, manifest: &Manifest) -> Vec<(String, Result<Compiled, String>)> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = manifest
            .components
            .iter()
            .map(|(name, component)| {
                let load = || {
                    let bytes = std::fs::read(&component.source).map_err(|error| {
                        format!(
                            "{} cannot be read ({error}); build the components (make components) or correct `source`",
                            component.source.display()
                        )
                    })?;
                    engine.load(&bytes).map_err(|error| {
                        format!("{} is no component that this host runs: {error:#}", component.source.display())
                    })
                };
                (name, scope.spawn(load))
            })
            .collect();
        threads
            .into_iter()
            .map(|(name, thread)| {
                let loaded = thread.join().unwrap_or_else(|_| Err("loading it panicked".into()));
                (name.clone(), loaded)
            })
            .collect()
    })
}
