//! The manifest, `spin.toml`: which components there are, what they may reach, and how requests get to them.
//!
//! One file serves Spin and this host. What Spin knows keeps Spin's meaning; what it does not know stands in
//! `[component.X.tool.souk]` and `[application.tool.souk]`, which Spin ignores. Where Spin runs a composite (see
//! `compose`) and this host the component alone, `tool.souk` has its own `source` and grants, which count here.
//! Reading reports every mistake of the file at once. Whether the components fit together is checked by `app`,
//! which has their types.
//!
//! It is long because each key has its type, its limits and its advice in one place.

pub mod reader;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

pub use reader::Finding;
use reader::{Findings, Section, nearest};

use souk_server::route::Pattern;

use crate::shape::short;

/// Memory of one instance unless the manifest says otherwise, in MiB.
const MEMORY_MIB_DEFAULT: u64 = 64;
/// The most memory that a manifest may give to one instance, in MiB.
pub const MEMORY_MIB_MAX: u64 = 256;
/// How long one call may take unless the manifest says otherwise, in milliseconds.
const DEADLINE_MS_DEFAULT: u64 = 5_000;
/// The longest deadline that a manifest may set, in milliseconds.
const DEADLINE_MS_MAX: u64 = 120_000;
/// Calls of one component at once unless the manifest says otherwise.
const CONCURRENCY_DEFAULT: u64 = 64;
/// The most calls at once that a manifest may allow one component.
const CONCURRENCY_MAX: u64 = 1_000;
/// Bytes of a request body unless the manifest says otherwise.
const BODY_BYTES_DEFAULT: u64 = 1 << 20;
/// The largest request body that a manifest may allow, in bytes.
const BODY_BYTES_MAX: u64 = 64 << 20;
/// The highest rate that a manifest may set, in requests per minute and client.
const RATE_PER_MINUTE_MAX: u64 = 1_000_000;
/// The platforms, beside this host, that a component can be for.
const PLATFORMS: [&str; 1] = ["spin"];

/// A manifest that reads well.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// `application.name`.
    pub name: String,
    /// `application.version`; empty when not given.
    pub version: String,
    /// Application variables by name.
    pub variables: BTreeMap<String, Variable>,
    /// Secrets that the host makes once per data directory, by the name of their variable.
    pub generate: BTreeMap<String, Generate>,
    /// Which requests go to which component.
    pub routes: Vec<Route>,
    /// The components by name.
    pub components: BTreeMap<String, Component>,
    /// Components that are for another platform alone, by name. This host skips them and the routes that lead to them.
    pub foreign: BTreeMap<String, Component>,
}

/// An application variable.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Where it is declared.
    pub place: String,
    /// The value when no other source has one. None means that a value is required.
    pub default: Option<String>,
    /// Whether its value must never be shown.
    pub secret: bool,
}

/// A secret that the host makes on the first start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Generate {
    /// 32 random bytes.
    Random,
    /// A signing key of 64 bytes, seed and public key. The text names the variable for the public key.
    Ed25519 {
        /// The variable that gets the public key, 32 bytes.
        public: String,
    },
}

/// One HTTP trigger.
#[derive(Clone, Debug)]
pub struct Route {
    /// Where it stands.
    pub place: String,
    /// The paths it takes.
    pub pattern: Pattern,
    /// Who answers.
    pub component: String,
}

/// One component and what it is granted.
#[derive(Clone, Debug)]
pub struct Component {
    /// Where it stands.
    pub place: String,
    /// The file to load.
    pub source: PathBuf,
    /// What it is granted.
    pub granted: Granted,
    /// What Spin grants the composite that runs there in its place: it has to do for all that are inside.
    pub granted_composite: Granted,
    /// Who answers its imports, by interface.
    pub links: BTreeMap<String, Link>,
    /// Those of its links that run inside the same instance graph for the routes that lead here.
    pub fuse: Vec<String>,
    /// Topics of the events it hears.
    pub topics: Vec<String>,
    /// The directory of its migrations.
    pub migrations: Option<PathBuf>,
    /// What bounds it.
    pub limits: Limits,
}

/// What the manifest lets a component use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// Destinations it may reach, in Spin's notation, with templates not yet filled in.
    pub outbound_hosts: Vec<String>,
    /// Whether it may use the key-value store.
    pub kv: bool,
    /// Whether it may use the database.
    pub sql: bool,
    /// Values it may read, with templates not yet filled in.
    pub variables: BTreeMap<String, String>,
}

/// Who answers the calls to one imported interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// One component.
    One(String),
    /// A plural interface: a component for each name that a caller may pass.
    Many(BTreeMap<String, String>),
}

/// What bounds one component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, in bytes.
    pub memory: usize,
    /// How long one call may take.
    pub deadline: Duration,
    /// Calls at once.
    pub concurrency: usize,
    /// Size of a request body, in bytes.
    pub body: usize,
    /// Requests per minute of one client on each route; none when unlimited.
    pub rate_per_minute: Option<u32>,
    /// The same for routes that have a rate of their own, as they are written.
    pub rates: BTreeMap<String, u32>,
}

impl Limits {
    /// Requests per minute of one client on a route; none when unlimited.
    pub fn rate_on(&self, route: &Pattern) -> Option<u32> {
        self.rates.get(&route.to_string()).copied().or(self.rate_per_minute)
    }
}

impl Manifest {
    /// Reads a manifest and everything that is wrong with it. What could be read is complete enough to go on
    /// looking for mistakes, and not enough to run when there is any finding.
    pub fn load(path: &Path) -> (Self, Vec<Finding>) {
        let root = path.parent().unwrap_or(Path::new(""));
        let file = path.file_name().map_or_else(|| "manifest".into(), |name| name.to_string_lossy());
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&file, &text, root),
            Err(error) => {
                let text = format!("cannot be read ({error}); name the manifest with --manifest FILE");
                (Self::empty(), vec![Finding { place: path.display().to_string(), text }])
            }
        }
    }

    /// Reads the text of a manifest whose relative paths start at `root`.
    pub fn parse(file: &str, text: &str, root: &Path) -> (Self, Vec<Finding>) {
        let findings = Findings::new(file, text);
        let (document, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            for error in errors {
                let offset = error.span().map_or(0, |span| span.start);
                findings.at(offset, format!("not valid TOML: {}", error.message()));
            }
            return (Self::empty(), findings.into_inner());
        }
        let manifest = read(&Section::new(String::new(), 0, document.get_ref(), &findings), root, &findings);
        (manifest, findings.into_inner())
    }

    fn empty() -> Self {
        Self {
            name: String::new(),
            version: String::new(),
            variables: BTreeMap::new(),
            generate: BTreeMap::new(),
            routes: Vec::new(),
            components: BTreeMap::new(),
            foreign: BTreeMap::new(),
        }
    }

    /// A component, be it for this host or for another platform.
    pub fn component(&self, name: &str) -> Option<&Component> {
        self.components.get(name).or_else(|| self.foreign.get(name))
    }

    /// Who hears which topic.
    pub fn topics(&self) -> BTreeMap<String, Vec<String>> {
        let mut topics: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, component) in &self.components {
            for topic in &component.topics {
                topics.entry(topic.clone()).or_default().push(name.clone());
            }
        }
        topics
    }
}

impl Component {
    /// The link for an interface, by its full name or the short one.
    pub fn link(&self, interface: &str) -> Option<&Link> {
        self.links.get(interface).or_else(|| self.links.get(short(interface)))
    }
}

impl Link {
    /// The components that answer.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        let (one, many) = match self {
            Self::One(target) => (Some(target), None),
            Self::Many(targets) => (None, Some(targets.values())),
        };
        one.into_iter().chain(many.into_iter().flatten()).map(String::as_str)
    }
}

/// Findings in the order of their lines, each once.
pub fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_cached_key(|finding| (line_of(&finding.place), finding.text.clone()));
    findings.dedup();
    findings
}

fn line_of(place: &str) -> usize {
    place.rsplit(':').next().and_then(|line| line.parse().ok()).unwrap_or(0)
}

fn read(root: &Section<'_, '_>, dir: &Path, findings: &Findings<'_>) -> Manifest {
    if root.integer("spin_manifest_version", 2..=2).is_none() {
        findings.at(0, "the manifest starts with `spin_manifest_version = 2`");
    }
    let application = root.section("application");
    let (name, version, generate) = match &application {
        Some(section) => read_application(section),
        None => {
            findings.at(0, "`[application]` is missing; write [application] and name = \"shop\"");
            Default::default()
        }
    };
    let variables: BTreeMap<_, _> = root
        .section("variables")
        .map(|section| named(&section, |section| read_variable(section, findings)))
        .unwrap_or_default();
    let all: BTreeMap<_, _> = root
        .section("component")
        .map(|section| named(&section, |section| read_component(section, dir, findings)))
        .unwrap_or_default();
    let (mut components, mut foreign) = (BTreeMap::new(), BTreeMap::new());
    for (name, (component, platform)) in all {
        let place = if platform.is_some() { &mut foreign } else { &mut components };
        place.insert(name, component);
    }
    let mut routes = root.section("trigger").map(|section| read_routes(&section, findings)).unwrap_or_default();
    routes.retain(|route| !foreign.contains_key(&route.component));
    let manifest = Manifest { name, version, variables, generate, routes, components, foreign };
    check_names(&manifest, root, findings);
    // Only now: the keys above have been asked for.
    for key in ["spin_manifest_version", "application", "variables", "component", "trigger"] {
        let _ = root.get(key);
    }
    finish_root(root, findings);
    if let Some(application) = application {
        application.finish();
    }
    manifest
}

/// The root's keys are few and fixed, so its unknown ones are found without giving the section away.
fn finish_root(root: &Section<'_, '_>, findings: &Findings<'_>) {
    const KEYS: [&str; 5] = ["spin_manifest_version", "application", "variables", "component", "trigger"];
    for (key, value) in root.entries() {
        if !KEYS.contains(&key) {
            let advice = nearest(key, KEYS.into_iter())
                .map_or_else(|| format!("it is one of: {}", KEYS.join(", ")), |near| format!("write `{near}`"));
            findings.at(value.span().start, format!("the manifest has no key `{key}`; {advice}, or remove it"));
        }
    }
}

fn read_application(section: &Section<'_, '_>) -> (String, String, BTreeMap<String, Generate>) {
    section.ignore(&["description", "authors", "targets", "trigger"]);
    let name = section.required_string("name", "shop").unwrap_or_default();
    let version = section.string("version").unwrap_or_default();
    let mut generate = BTreeMap::new();
    if let Some(tool) = section.section("tool")
        && let Some(souk) = tool.section("souk")
    {
        if let Some(secrets) = souk.section("generate") {
            generate = named(&secrets, |secret| Some(read_generate(secret)));
        }
        souk.finish();
    }
    (name, version, generate)
}

fn read_generate(section: Section<'_, '_>) -> Generate {
    let kind = section.required_string("kind", "random");
    let public = section.string("public");
    let generate = match (kind.as_deref(), public) {
        (Some("ed25519"), Some(public)) => Generate::Ed25519 { public },
        (Some("ed25519"), None) => {
            section.fault("an ed25519 key also names the variable for its public half: public = \"name\"");
            Generate::Random
        }
        (Some("random") | None, None) => Generate::Random,
        (Some("random") | None, Some(_)) => {
            section.fault("only an ed25519 key has `public`; remove it or write kind = \"ed25519\"");
            Generate::Random
        }
        (Some(other), _) => {
            section.fault(format_args!("there is no kind `{other}`; write \"ed25519\" or \"random\""));
            Generate::Random
        }
    };
    section.finish();
    generate
}

fn read_variable(section: Section<'_, '_>, findings: &Findings<'_>) -> Option<Variable> {
    let default = section.string("default");
    let required = section.boolean("required").unwrap_or(false);
    let secret = section.boolean("secret").unwrap_or(false);
    section.ignore(&["description"]);
    if default.is_some() == required {
        section.fault("write either default = \"...\" or required = true");
    }
    let place = findings.place(section.offset);
    section.finish();
    Some(Variable { place, default, secret })
}

fn read_routes(section: &Section<'_, '_>, findings: &Findings<'_>) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    for (kind, value) in section.entries() {
        if kind != "http" {
            findings.at(value.span().start, format!("this host has no `{kind}` trigger; write [[trigger.http]]"));
        }
    }
    for trigger in section.sections("http") {
        trigger.ignore(&["id"]);
        let place = findings.place(trigger.offset);
        let route = trigger.required_string("route", "/api/...");
        let component = trigger.required_string("component", "gateway");
        if let (Some(route), Some(component)) = (route, component) {
            match Pattern::parse(&route) {
                Ok(pattern) => match routes.iter().find(|known| known.pattern == pattern) {
                    Some(known) => trigger.fault(format_args!(
                        "the route `{route}` is already taken at {}; remove one of them",
                        known.place
                    )),
                    None => routes.push(Route { place, pattern, component }),
                },
                Err(advice) => trigger.fault(format_args!("the route `{route}` {advice}")),
            }
        }
        trigger.finish();
    }
    routes
}

/// A component, and the platform that it is for when that is not this host.
fn read_component(
    section: Section<'_, '_>,
    dir: &Path,
    findings: &Findings<'_>,
) -> Option<(Component, Option<String>)> {
    // What only Spin acts on: it builds, mounts files and composes; this host does none of these.
    section.ignore(&[
        "description",
        "environment",
        "files",
        "exclude_files",
        "ai_models",
        "targets",
        "build",
        "dependencies",
        "dependencies_inherit_configuration",
        "profile",
    ]);
    let place = findings.place(section.offset);
    let tool = section.section("tool").and_then(|tool| tool.section("souk"));
    let own_source = tool.as_ref().and_then(|souk| souk.string("source"));
    let source = match (own_source, section.get("source")) {
        (Some(own), _) => Some(own),
        (None, Some(value)) => {
            let text = value.get_ref().as_str().map(str::to_owned);
            if text.is_none() {
                section.wrong_type("source", value, "the path of a local file; this host fetches nothing");
            }
            text
        }
        (None, None) => section.required_string("source", "target/component.wasm"),
    };
    let granted_composite = read_granted(&section, &Granted::default());
    let granted = tool.as_ref().map(|souk| read_granted(souk, &granted_composite));
    let souk = tool.map(|souk| read_souk(souk, dir)).unwrap_or_default();
    section.finish();
    let component = Component {
        place,
        source: dir.join(source?),
        granted: granted.unwrap_or_else(|| granted_composite.clone()),
        granted_composite,
        links: souk.links,
        fuse: souk.fuse,
        topics: souk.topics,
        migrations: souk.migrations,
        limits: souk.limits,
    };
    Some((component, souk.platform))
}

/// The grants of a table; where it has no such key, those that are given.
fn read_granted(section: &Section<'_, '_>, otherwise: &Granted) -> Granted {
    let labels = |key: &'static str, otherwise: bool| {
        let labels = section.strings(key);
        if let Some(other) = labels.iter().find(|label| *label != "default") {
            section.fault(format_args!("there is no `{other}` here; write {key} = [\"default\"]"));
        }
        if section.has(key) { !labels.is_empty() } else { otherwise }
    };
    let hosts = section.strings("allowed_outbound_hosts");
    Granted {
        outbound_hosts: if section.has("allowed_outbound_hosts") { hosts } else { otherwise.outbound_hosts.clone() },
        kv: labels("key_value_stores", otherwise.kv),
        sql: labels("sqlite_databases", otherwise.sql),
        variables: section
            .section("variables")
            .map_or_else(|| otherwise.variables.clone(), |variables| texts(&variables)),
    }
}

/// What `[component.X.tool.souk]` says.
#[derive(Default)]
struct Souk {
    platform: Option<String>,
    links: BTreeMap<String, Link>,
    fuse: Vec<String>,
    topics: Vec<String>,
    migrations: Option<PathBuf>,
    limits: Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: (MEMORY_MIB_DEFAULT << 20) as usize,
            deadline: Duration::from_millis(DEADLINE_MS_DEFAULT),
            concurrency: CONCURRENCY_DEFAULT as usize,
            body: BODY_BYTES_DEFAULT as usize,
            rate_per_minute: None,
            rates: BTreeMap::new(),
        }
    }
}

fn read_souk(section: Section<'_, '_>, dir: &Path) -> Souk {
    let platform = section.string("platform");
    if let Some(other) = platform.as_deref().filter(|name| !PLATFORMS.contains(name)) {
        section.fault(format_args!(
            "there is no platform `{other}`; write platform = \"{}\", or remove it when this host runs the component",
            PLATFORMS.join("\" or \"")
        ));
    }
    let links = section.section("links").map(|links| read_links(&links)).unwrap_or_default();
    let fuse = section.strings("fuse");
    for interface in &fuse {
        if !matches!(links.get(interface), Some(Link::One(_))) {
            section.fault(format_args!(
                "`{interface}` is fused and not linked to one component; write {interface} = \"component\" under links, \
                 or remove it from `fuse`"
            ));
        }
    }
    let topics = section.strings("topics");
    if platform.is_some() && !topics.is_empty() {
        section.fault("a component for another platform hears no events; remove `topics`");
    }
    let mut seen = BTreeSet::new();
    for topic in &topics {
        if !seen.insert(topic) {
            section.fault(format_args!("the topic `{topic}` stands twice; remove one"));
        }
        if !topic.split_once('.').is_some_and(|(service, fact)| !service.is_empty() && !fact.is_empty()) {
            section.fault(format_args!("`{topic}` is no topic; write `service.fact`, like \"order.placed\""));
        }
    }
    let migrations = section.string("migrations").map(|path| dir.join(path));
    if let Some(path) = migrations.as_ref().filter(|path| !path.is_dir()) {
        section
            .fault(format_args!("the directory {} does not exist; create it or remove `migrations`", path.display()));
    }
    let limits = section.section("limits").map(read_limits).unwrap_or_default();
    section.finish();
    Souk { platform, links, fuse, topics, migrations, limits }
}

fn read_limits(section: Section<'_, '_>) -> Limits {
    let default = Limits::default();
    let limits = Limits {
        memory: section.integer("memory_mib", 1..=MEMORY_MIB_MAX).map_or(default.memory, |mib| (mib << 20) as usize),
        deadline: section.integer("deadline_ms", 1..=DEADLINE_MS_MAX).map_or(default.deadline, Duration::from_millis),
        concurrency: section
            .integer("concurrency", 1..=CONCURRENCY_MAX)
            .map_or(default.concurrency, |calls| calls as usize),
        body: section.integer("body_bytes", 0..=BODY_BYTES_MAX).map_or(default.body, |bytes| bytes as usize),
        rate_per_minute: section.integer("rate_per_minute", 1..=RATE_PER_MINUTE_MAX).map(|rate| rate as u32),
        rates: section.section("rates").map(|rates| read_rates(&rates)).unwrap_or_default(),
    };
    section.finish();
    limits
}

fn read_rates(section: &Section<'_, '_>) -> BTreeMap<String, u32> {
    let rate = |(route, value): (&str, _)| {
        Some((route.to_owned(), section.number(route, value, 1..=RATE_PER_MINUTE_MAX)? as u32))
    };
    section.entries().filter_map(rate).collect()
}

fn read_links(section: &Section<'_, '_>) -> BTreeMap<String, Link> {
    let mut links = BTreeMap::new();
    for (interface, value) in section.entries() {
        let link = match value.get_ref() {
            DeValue::String(component) => Link::One(component.to_string()),
            DeValue::Table(_) => match section.below(interface, value) {
                Some(table) => Link::Many(texts(&table)),
                None => continue,
            },
            _ => {
                let expected = format!("\"component\" or {{ name = \"component\" }} for `{interface}`");
                section.wrong_type(interface, value, &expected);
                continue;
            }
        };
        links.insert(interface.to_owned(), link);
    }
    links
}

/// A table of texts under names that the author chose.
fn texts(section: &Section<'_, '_>) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for (name, value) in section.entries() {
        match value.get_ref().as_str() {
            Some(text) => {
                texts.insert(name.to_owned(), text.to_owned());
            }
            None => section.wrong_type(name, value, "a string"),
        }
    }
    texts
}

/// A table of tables under names that the author chose.
fn named<'a, 'f, T>(section: &Section<'a, 'f>, read: impl Fn(Section<'a, 'f>) -> Option<T>) -> BTreeMap<String, T>
where
    T: 'a,
{
    let entries: Vec<(&'a str, &'a Spanned<DeValue<'a>>)> = section.entries().collect();
    entries
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), read(section.below(name, value)?)?)))
        .collect()
}

/// Names that point at nothing, and settings that have no effect.
fn check_names(manifest: &Manifest, root: &Section<'_, '_>, findings: &Findings<'_>) {
    // A component whose table is itself at fault still counts as one that exists.
    let declared: Vec<&str> = root
        .get("component")
        .and_then(|value| value.get_ref().as_table())
        .map(|table| table.keys().map(|key| key.get_ref().as_ref()).collect())
        .unwrap_or_default();
    let fault = |place: &str, text: String| {
        let offset = findings.offset_of_line(line_of(place));
        findings.at(offset, text);
    };
    let unknown = |name: &str| {
        nearest(name, declared.iter().copied()).map_or_else(
            || format!("it is one of: {}; or add [component.{name}]", declared.join(", ")),
            |near| format!("write `{near}` or add [component.{name}]"),
        )
    };
    for route in &manifest.routes {
        if !declared.contains(&route.component.as_str()) {
            let advice = unknown(&route.component);
            fault(&route.place, format!("there is no component `{}`; {advice}", route.component));
        }
    }
    for (name, component) in manifest.components.iter().chain(&manifest.foreign) {
        for (interface, link) in &component.links {
            for target in link.targets() {
                let reason = if !declared.contains(&target) {
                    format!("which does not exist; {}", unknown(target))
                } else if manifest.foreign.contains_key(target) {
                    "which is for another platform; link it to a component of this host".into()
                } else {
                    continue;
                };
                fault(&component.place, format!("component.{name}: `{interface}` is linked to `{target}`, {reason}"));
            }
        }
    }
    for (name, component) in &manifest.components {
        // A route to nobody has a finding of its own and may have been meant for this component.
        let leads_here = |route: &Route| route.component == *name || !declared.contains(&route.component.as_str());
        let routed = manifest.routes.iter().any(leads_here);
        let limits = &component.limits;
        if !routed && (limits.rate_per_minute.is_some() || limits.body != Limits::default().body) {
            fault(
                &component.place,
                format!(
                    "component.{name}: body_bytes and rate_per_minute bound HTTP requests, and no route leads here; \
                     remove them or add a [[trigger.http]]"
                ),
            );
        }
    }
    for (name, component) in &manifest.components {
        for rated in component.limits.rates.keys() {
            let leads_here = |route: &Route| route.component == *name && route.pattern.to_string() == *rated;
            if !manifest.routes.iter().any(leads_here) {
                fault(
                    &component.place,
                    format!(
                        "component.{name}: `rates` bounds the route `{rated}`, which does not lead here; add a \
                         [[trigger.http]] with it, or write it as it stands there"
                    ),
                );
            }
        }
    }
    for (name, generate) in &manifest.generate {
        let public = match generate {
            Generate::Ed25519 { public } => Some(public),
            Generate::Random => None,
        };
        for variable in [Some(name), public].into_iter().flatten() {
            if !manifest.variables.contains_key(variable) {
                findings.at(
                    0,
                    format!(
                        "application.tool.souk.generate: there is no variable `{variable}`; \
                         add {variable} = {{ required = true, secret = true }} under [variables]"
                    ),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
