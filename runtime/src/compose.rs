//! Composing: one component file out of several, for platforms that do not link components as this host does.
//!
//! The manifest says who calls whom. Each component inside has ports of its own: an instance of the adapter that
//! serves it alone and is told so (see `identity`). A plural interface is answered by a switch.
//!
//! A component that is linked to another one either has it inside or keeps the link as an import. What a switch calls
//! keeps its link under the name of the component that answers, `souk:mailbox/notification-channel@0.1.0`: several answer the
//! same interface, and platforms tell links apart by these names.
//!
//! The import list of the result is its authority, so every import that is left is a link of the manifest or has been
//! allowed by name. The same input gives the same bytes. Nothing here runs a component.

mod identity;
mod switch;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use wac_graph::{
    CompositionGraph, EncodeOptions, NodeId, PackageId,
    types::{ItemKind, Package, SubtypeChecker, Type, Types, WorldId},
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::{
    manifest::{Component, Link, Manifest},
    shape::{short, singular},
};

/// What tells an adapter whom it serves.
const SELF: &str = "souk:shop/self@0.1.0";
/// All components that hear events, by name.
const SUBSCRIBERS: &str = "souk:shop/subscribers@0.1.0";

/// What is put around a component.
pub struct Options<'a> {
    /// Whether everything that it is linked to is put inside.
    pub follow: bool,
    /// Components that answer ports; the first that exports one does.
    pub adapters: &'a [PathBuf],
    /// A component that imports what the component exports, and gives the composite its exports.
    pub edge: Option<&'a Path>,
    /// How the names of imports that may be left start.
    pub allow: &'a [String],
}

/// A composite, and what is to be known of it.
#[derive(Debug)]
pub struct Composite {
    /// The component file.
    pub bytes: Vec<u8>,
    /// The components of the manifest that are inside.
    pub members: Vec<String>,
    /// The imports that are left.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
}

/// Composes the component `name` of a manifest with what `options` say.
pub fn compose(manifest: &Manifest, name: &str, options: &Options<'_>) -> Result<Composite> {
    let mut composer = Composer::new(manifest, options)?;
    composer.member(name)?;
    let exports = composer.exports(name)?;
    composer.identities()?;
    if options.follow {
        composer.check_grants(name)?;
    }
    let bytes = composer.graph.encode(EncodeOptions::default()).context("the parts do not fit together")?;
    let imports = interfaces(&bytes)?;
    composer.check_imports(&imports)?;
    let members = composer.members.into_keys().collect();
    Ok(Composite { bytes, members, imports, exports })
}

/// A component with its place in the graph.
#[derive(Clone, Copy)]
struct Placed {
    package: PackageId,
    instance: NodeId,
}

struct Composer<'a> {
    manifest: &'a Manifest,
    options: &'a Options<'a>,
    graph: CompositionGraph,
    /// The adapters, in the order in which they are asked.
    adapters: Vec<PackageId>,
    /// Files of the manifest that have been read, by component.
    files: BTreeMap<String, PackageId>,
    /// The components inside.
    members: BTreeMap<String, Placed>,
    /// The adapters inside, by the component that they serve and their place in `adapters`.
    serving: BTreeMap<(String, usize), Placed>,
    /// Instances that ask whom they serve, with the answer.
    asking: Vec<(NodeId, String)>,
    /// Imports that nothing inside answers, and the components for which they are needed.
    left: BTreeMap<String, BTreeSet<String>>,
    /// Those of them that are links of the manifest.
    links: BTreeSet<String>,
    /// Links under the name of the component that answers.
    named: BTreeMap<String, NodeId>,
    /// The components that are being placed, outermost first.
    path: Vec<String>,
}

impl<'a> Composer<'a> {
    fn new(manifest: &'a Manifest, options: &'a Options<'a>) -> Result<Self> {
        let mut composer = Self {
            manifest,
            options,
            graph: CompositionGraph::new(),
            adapters: Vec::new(),
            files: BTreeMap::new(),
            members: BTreeMap::new(),
            serving: BTreeMap::new(),
            asking: Vec::new(),
            left: BTreeMap::new(),
            links: BTreeSet::new(),
            named: BTreeMap::new(),
            path: Vec::new(),
        };
        for (place, path) in options.adapters.iter().enumerate() {
            let adapter = composer.register(&format!("adapter-{place}"), read(path)?)?;
            composer.adapters.push(adapter);
        }
        Ok(composer)
    }

    fn register(&mut self, name: &str, bytes: Vec<u8>) -> Result<PackageId> {
        let package = Package::from_bytes(&format!("souk:{name}"), None, bytes, self.graph.types_mut())
            .with_context(|| format!("{name} is no component that can be composed"))?;
        Ok(self.graph.register_package(package)?)
    }

    fn component(&self, name: &str) -> Result<&'a Component> {
        self.manifest.component(name).with_context(|| {
            let known: Vec<_> = self.manifest.components.keys().chain(self.manifest.foreign.keys()).cloned().collect();
            format!("there is no component `{name}`; it is one of: {}", known.join(", "))
        })
    }

    /// The file of a component, read once.
    fn file(&mut self, name: &str) -> Result<PackageId> {
        if let Some(package) = self.files.get(name) {
            return Ok(*package);
        }
        let package = self.register(name, read(&self.component(name)?.source)?)?;
        self.files.insert(name.to_owned(), package);
        Ok(package)
    }

    fn world(&self, package: PackageId) -> WorldId {
        self.graph[package].ty()
    }

    /// Puts a component inside, once, and everything that answers its imports.
    fn member(&mut self, name: &str) -> Result<Placed> {
        if let Some(placed) = self.members.get(name) {
            return Ok(*placed);
        }
        if let Some(start) = self.path.iter().position(|seen| seen == name) {
            bail!("links form a circle: {} -> {name}; calls only go down, remove one", self.path[start..].join(" -> "));
        }
        self.path.push(name.to_owned());
        let package = self.file(name)?;
        let placed = Placed { package, instance: self.graph.instantiate(package) };
        for interface in imports(self.graph.types(), self.world(package)) {
            let answer = self.answer(name, package, &interface)?;
            self.connect(name, placed.instance, &interface, answer)?;
        }
        self.path.pop();
        self.members.insert(name.to_owned(), placed);
        Ok(placed)
    }

    /// Who answers an import of a component, or of the edge that stands before it: those that it is linked to, or its adapter.
    fn answer(&mut self, name: &str, importer: PackageId, interface: &str) -> Result<Option<NodeId>> {
        match self.component(name)?.link(interface) {
            Some(Link::One(target)) if self.options.follow => self.export(target, interface).map(Some),
            Some(Link::One(_)) => {
                self.links.insert(interface.to_owned());
                Ok(None)
            }
            Some(Link::Many(targets)) => self.switch(importer, interface, targets).map(Some),
            None if self.options.follow && interface == SUBSCRIBERS => {
                let hearers = self.manifest.topics().into_values().flatten();
                let targets = hearers.map(|hearer| (hearer.clone(), hearer)).collect();
                self.switch(importer, interface, &targets).map(Some)
            }
            None => self.port(name, interface),
        }
    }

    /// What an adapter that serves a component exports under a name; it is put inside with the first such need. An adapter
    /// may need what another one exports.
    fn port(&mut self, name: &str, interface: &str) -> Result<Option<NodeId>> {
        let types = self.graph.types();
        let exports = |adapter: &PackageId| types[self.world(*adapter)].exports.contains_key(interface);
        let Some(place) = self.adapters.iter().position(exports) else { return Ok(None) };
        let key = (name.to_owned(), place);
        let placed = match self.serving.get(&key) {
            Some(placed) => *placed,
            None => {
                let package = self.adapters[place];
                let placed = Placed { package, instance: self.graph.instantiate(package) };
                self.serving.insert(key, placed);
                for needed in imports(self.graph.types(), self.world(package)) {
                    let answer = self.port(name, &needed)?;
                    self.connect(name, placed.instance, &needed, answer)?;
                }
                placed
            }
        };
        Ok(Some(self.graph.alias_instance_export(placed.instance, interface)?))
    }

    /// Joins an import to its answer; without one it is left, except for the question whom it serves.
    fn connect(&mut self, name: &str, instance: NodeId, interface: &str, answer: Option<NodeId>) -> Result<()> {
        match answer {
            Some(answer) => self.graph.set_instantiation_argument(instance, interface, answer).with_context(|| {
                format!("`{name}` and what answers its `{interface}` disagree; build both from the same WIT")
            })?,
            None if interface == SELF => self.asking.push((instance, name.to_owned())),
            None => {
                self.left.entry(interface.to_owned()).or_default().insert(name.to_owned());
            }
        }
        Ok(())
    }

    /// What a component inside exports under a name.
    fn export(&mut self, target: &str, interface: &str) -> Result<NodeId> {
        self.exported(target, interface)?;
        let placed = self.member(target)?;
        Ok(self.graph.alias_instance_export(placed.instance, interface)?)
    }

    /// The type of what a component exports under a name, whether it is put inside or not.
    fn exported(&mut self, target: &str, interface: &str) -> Result<ItemKind> {
        let package = self.file(target)?;
        let exports = &self.graph.types()[self.world(package)].exports;
        exports.get(interface).copied().with_context(|| format!("`{target}` does not export `{interface}`"))
    }

    /// An import of `wanted` under the name of the component that answers it.
    fn named(&mut self, target: &str, interface: &str, wanted: ItemKind) -> Result<NodeId> {
        let given = self.exported(target, interface)?;
        let types = self.graph.types();
        SubtypeChecker::new(&mut HashSet::new()).is_subtype(given, types, wanted, types)?;
        let name = name_of_link(target, interface)?;
        if let Some(import) = self.named.get(&name) {
            return Ok(*import);
        }
        let import = self.graph.import(&name, wanted)?;
        self.named.insert(name, import);
        Ok(import)
    }

    /// A component that passes the calls of a plural interface on to the targets by their names.
    fn switch(&mut self, importer: PackageId, plural: &str, targets: &BTreeMap<String, String>) -> Result<NodeId> {
        let singular = singular(plural).with_context(|| format!("`{plural}` is not the plural of an interface"))?;
        let first = targets.values().next().with_context(|| format!("`{plural}` is linked to nobody"))?;
        let first = self.exported(first, &singular)?;
        let names: Vec<&str> = targets.keys().map(String::as_str).collect();
        let bytes = switch::switch(self.graph[importer].bytes(), plural, &names, |function| {
            parameters(self.graph.types(), first, function)
                .with_context(|| format!("`{singular}` has no function `{function}`"))
        })?;
        let package = self.register(&format!("switch-{}", self.graph.packages().count()), bytes)?;
        let instance = self.graph.instantiate(package);
        for (place, target) in targets.values().enumerate() {
            let import = switch::import_name(place);
            let disagree = || format!("`{target}` and `{plural}` disagree; build all from the same WIT");
            let answer = if self.options.follow {
                self.export(target, &singular)?
            } else {
                let wanted = self.graph.types()[self.world(package)].imports[&import];
                self.named(target, &singular, wanted).with_context(disagree)?
            };
            self.graph.set_instantiation_argument(instance, &import, answer).with_context(disagree)?;
        }
        Ok(self.graph.alias_instance_export(instance, plural)?)
    }

    /// Exports what the edge exports, and what the component exports and the edge does not take.
    fn exports(&mut self, name: &str) -> Result<Vec<String>> {
        let component = self.members[name];
        let mut exports: Vec<(NodeId, String)> = Vec::new();
        let mut own = exports_of(self.graph.types(), self.world(component.package));
        if let Some(path) = self.options.edge {
            let package = self.register("edge", read(path)?)?;
            let edge = self.graph.instantiate(package);
            let needed = imports(self.graph.types(), self.world(package));
            ensure!(
                needed.iter().any(|interface| own.contains(interface)),
                "{} imports nothing that `{name}` exports; compose it without --edge",
                path.display()
            );
            for interface in needed {
                let answer = match own.iter().position(|export| *export == interface) {
                    Some(place) => {
                        own.remove(place);
                        Some(self.graph.alias_instance_export(component.instance, &interface)?)
                    }
                    None => self.answer(name, package, &interface)?,
                };
                self.connect(name, edge, &interface, answer)?;
            }
            exports
                .extend(exports_of(self.graph.types(), self.world(package)).into_iter().map(|export| (edge, export)));
        }
        exports.extend(own.into_iter().map(|export| (component.instance, export)));
        let mut names = Vec::new();
        for (instance, export) in exports {
            let alias = self.graph.alias_instance_export(instance, &export)?;
            if !self.options.follow && self.is_called_by_name(name, &export) {
                names.push(name_of_link(name, &export)?);
                self.graph.export(alias, &names[names.len() - 1])?;
            }
            self.graph.export(alias, &export)?;
            names.push(export);
        }
        Ok(names)
    }

    /// Whether the manifest links a plural interface to a component that exports the singular one.
    fn is_called_by_name(&self, name: &str, export: &str) -> bool {
        let components = self.manifest.components.values().chain(self.manifest.foreign.values());
        components.flat_map(|component| &component.links).any(|(plural, link)| match link {
            Link::One(_) => false,
            Link::Many(targets) => {
                targets.values().any(|target| target == name)
                    && singular(plural).is_some_and(|one| one == export || one == short(export))
            }
        })
    }

    /// Answers whom each adapter serves.
    fn identities(&mut self) -> Result<()> {
        let names: BTreeSet<String> = self.asking.iter().map(|(_, name)| name.clone()).collect();
        if names.is_empty() {
            return Ok(());
        }
        let topics = self.manifest.topics();
        let describe = |name: &String| Ok(identity::describe(name, self.component(name)?, &topics));
        let texts = names.iter().map(describe).collect::<Result<Vec<_>>>()?;
        let package = self.register("identities", identity::identities(&texts)?)?;
        let identities = self.graph.instantiate(package);
        let places: BTreeMap<_, _> = names.iter().zip(0..).collect();
        for (instance, name) in std::mem::take(&mut self.asking) {
            let answer = self.graph.alias_instance_export(identities, &identity::export_name(places[&name]))?;
            self.connect(&name, instance, SELF, Some(answer))?;
        }
        Ok(())
    }

    /// A composite is granted what the component that it is made around is granted, which has to do for all inside.
    fn check_grants(&self, name: &str) -> Result<()> {
        let outer = self.component(name)?;
        let mut missing = BTreeSet::new();
        for member in self.members.keys().filter(|member| *member != name) {
            let (granted, all) = (&self.component(member)?.granted, &outer.granted_composite);
            for (given, all, line) in [
                (granted.kv, all.kv, "key_value_stores = [\"default\"]"),
                (granted.sql, all.sql, "sqlite_databases = [\"default\"]"),
            ] {
                if given && !all {
                    missing.insert(line.to_owned());
                }
            }
            for host in granted.outbound_hosts.iter().filter(|host| !all.outbound_hosts.contains(host)) {
                missing.insert(format!("allowed_outbound_hosts: \"{host}\" for `{member}`"));
            }
            for (variable, template) in &granted.variables {
                match all.variables.get(variable) {
                    None => {
                        missing.insert(format!("variables: {variable} = \"{template}\" for `{member}`"));
                    }
                    Some(other) => ensure!(
                        other == template,
                        "{}: [component.{name}.variables] says {variable} = \"{other}\", and `{member}`, which is put \
                         inside, reads {variable} = \"{template}\"; give one of them another name",
                        outer.place
                    ),
                }
            }
        }
        let lines: Vec<_> = missing.into_iter().collect();
        ensure!(
            lines.is_empty(),
            "{}: what is put inside `{name}` is granted more than its composite; add to [component.{name}]:\n  {}\n\
             and what `{name}` is granted alone, on this host, to [component.{name}.tool.souk]",
            outer.place,
            lines.join("\n  ")
        );
        Ok(())
    }

    /// Refuses imports that were not allowed and are no links.
    fn check_imports(&self, imports: &[String]) -> Result<()> {
        let mut refused = String::new();
        for import in imports {
            let linked = self.links.contains(import) || self.named.contains_key(import);
            if linked || self.options.allow.iter().any(|start| import.starts_with(start)) {
                continue;
            }
            let needed: Vec<&str> = self.left.get(import).into_iter().flatten().map(String::as_str).collect();
            let start = import.split('@').next().unwrap_or(import);
            let needed = needed.join(", ");
            write!(
                refused,
                "\n  `{import}`, needed for {needed}: give an --adapter that exports it, or link it in the manifest and \
                 --follow, or leave it to the platform with --allow {start}"
            )?;
        }
        ensure!(refused.is_empty(), "imports would be left that are not allowed:{refused}");
        Ok(())
    }
}

/// The name of the link to an interface of a component: that of the interface, with the component for its package.
fn name_of_link(target: &str, interface: &str) -> Result<String> {
    let (package, name) = interface.split_once('/').with_context(|| format!("`{interface}` has no package"))?;
    let namespace = package.split(':').next().unwrap_or(package);
    Ok(format!("{namespace}:{target}/{name}"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path)
        .with_context(|| format!("{} cannot be read; build the components (make components)", path.display()))
}

/// Names of the imports of a world that have more than types: those with types alone give nothing and need no answer.
fn imports(types: &Types, world: WorldId) -> Vec<String> {
    let imports = &types[world].imports;
    imports.iter().filter(|(_, kind)| !is_types(types, **kind)).map(|(name, _)| name.clone()).collect()
}

fn exports_of(types: &Types, world: WorldId) -> Vec<String> {
    types[world].exports.keys().cloned().collect()
}

fn is_types(types: &Types, kind: ItemKind) -> bool {
    match kind {
        ItemKind::Type(Type::Resource(_)) => false,
        ItemKind::Type(_) => true,
        ItemKind::Instance(interface) => types[interface].exports.values().all(|kind| is_types(types, *kind)),
        ItemKind::Func(_) | ItemKind::Component(_) | ItemKind::Module(_) | ItemKind::Value(_) => false,
    }
}

/// The imports of a component file that have more than types.
fn interfaces(bytes: &[u8]) -> Result<Vec<String>> {
    let mut types = Types::default();
    let package = Package::from_bytes("souk:composite", None, bytes.to_vec(), &mut types)?;
    Ok(imports(&types, package.ty()))
}

/// Names of the parameters of a function of an instance.
fn parameters(types: &Types, instance: ItemKind, function: &str) -> Option<Vec<String>> {
    let ItemKind::Instance(interface) = instance else { return None };
    let ItemKind::Func(function) = types[interface].exports.get(function)? else { return None };
    Some(types[*function].params.keys().cloned().collect())
}

/// Makes a component from a core module in text and the world that it is written for.
fn assemble(module: &str, resolve: &Resolve, world: wit_parser::WorldId) -> Result<Vec<u8>> {
    let mut module = wat::parse_str(module)?;
    embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default().module(&module)?.encode()
}

/// Bytes as a string in the text of a module.
fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}
