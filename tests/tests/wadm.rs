//! `wadm.yaml` says what `spin.toml` says. Both are turned into plain facts, one a line, and compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use souk::manifest::{Link, Manifest, Variable};

/// What stands behind the ports on a lattice, and is no component of `spin.toml`.
const PORTS: [&str; 5] = ["http", "sql", "kv", "events", "passwords"];
/// Where images are before whoever deploys says otherwise.
const REGISTRY: &str = "127.0.0.1:5000/souk";

#[derive(Deserialize)]
struct Application {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Spec {
    components: Vec<Component>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Component {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    properties: Properties,
    traits: Vec<Trait>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Properties {
    image: String,
    id: String,
    #[serde(default)]
    config: Vec<Config>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    name: String,
    properties: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(tag = "type", content = "properties", rename_all = "lowercase")]
enum Trait {
    Link(LinkTrait),
    Spreadscaler(Scaler),
    Daemonscaler(Scaler),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scaler {
    instances: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkTrait {
    name: Option<String>,
    target: Target,
    namespace: String,
    package: String,
    interfaces: Vec<String>,
    source: Option<Source>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    name: String,
    #[serde(default)]
    config: Vec<Config>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    config: Vec<Config>,
}

impl Component {
    fn links(&self) -> impl Iterator<Item = &LinkTrait> {
        self.traits.iter().filter_map(|each| match each {
            Trait::Link(link) => Some(link),
            Trait::Spreadscaler(_) | Trait::Daemonscaler(_) => None,
        })
    }

    fn instances(&self) -> Vec<usize> {
        let scalers = self.traits.iter().filter_map(|each| match each {
            Trait::Spreadscaler(scaler) | Trait::Daemonscaler(scaler) => Some(scaler.instances),
            Trait::Link(_) => None,
        });
        scalers.collect()
    }
}

impl LinkTrait {
    /// The interface as WIT names it, without its version.
    fn interface(&self) -> String {
        assert_eq!(self.interfaces.len(), 1, "a link has one interface");
        format!("{}:{}/{}", self.namespace, self.package, self.interfaces[0])
    }

    /// What the link tells its source and its target.
    fn told(&self) -> BTreeMap<&str, &str> {
        let source = self.source.iter().flat_map(|source| &source.config);
        let told = source.chain(&self.target.config).filter_map(|config| config.properties.as_ref()).flatten();
        told.map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ stands in the root").to_owned()
}

fn application() -> Application {
    let text = fs::read_to_string(root().join("wadm.yaml")).expect("wadm.yaml can be read");
    serde_yaml_ng::from_str(&text).expect("wadm.yaml is what wadm takes")
}

fn manifest() -> Manifest {
    let (manifest, findings) = Manifest::load(&root().join("spin.toml"));
    assert!(findings.is_empty(), "{findings:?}");
    manifest
}

type Facts = BTreeSet<String>;

/// What `spin.toml` says, as far as a lattice has words for it.
fn said_by_spin(manifest: &Manifest) -> Facts {
    let mut facts = Facts::new();
    for (name, component) in &manifest.components {
        let limits = &component.limits;
        facts.insert(format!("{name} runs {} at once", limits.concurrency));
        for (interface, link) in &component.links {
            match link {
                Link::One(target) => {
                    facts.insert(format!("{name} calls souk:shop/{interface} of {target}"));
                }
                Link::Many(targets) => {
                    let singular = interface.strip_suffix('s').expect("a plural interface");
                    for target in targets.values() {
                        facts.insert(format!("{name} calls souk:{target}/{singular} of {target}"));
                    }
                }
            }
        }
        for (port, granted) in [("sql", component.granted.sql), ("kv", component.granted.kv)] {
            if granted {
                facts.insert(format!("{name} has {port} as {name}"));
            }
        }
        for (variable, template) in &component.granted.variables {
            facts.insert(format!("{name} reads {variable} = {}", value(manifest, template)));
        }
        for topic in &component.topics {
            facts.insert(format!("{name} hears {topic}"));
        }
        // A way to the network is a link that whoever runs the lattice puts; of ours, connectors alone may need it.
        assert!(
            component.granted.outbound_hosts.is_empty() || ["stripe", "paypal"].contains(&name.as_str()),
            "{name} has a way to the network"
        );
    }
    for route in &manifest.routes {
        let limits = &manifest.components[&route.component].limits;
        let rate = limits.rate_on(&route.pattern).map_or("any".to_owned(), |rate| rate.to_string());
        facts.insert(format!(
            "{} goes to {}: {} bytes, {} ms, {} at once, {rate} a minute",
            route.pattern,
            route.component,
            limits.body,
            limits.deadline.as_millis(),
            limits.concurrency
        ));
    }
    facts
}

/// The value of a template, or the named config that whoever runs the lattice puts.
fn value(manifest: &Manifest, template: &str) -> String {
    let variable = template.strip_prefix("{{ ").and_then(|rest| rest.strip_suffix(" }}")).expect("one variable alone");
    match &manifest.variables[variable] {
        Variable { default: Some(default), secret: false, .. } => default.clone(),
        Variable { .. } => format!("souk-secret-{}", variable.replace('_', "-")),
    }
}

/// What `wadm.yaml` says.
fn said_by_wadm(application: &Application) -> Facts {
    let mut facts = Facts::new();
    for component in &application.spec.components {
        let name = &component.name;
        if !PORTS.contains(&name.as_str()) {
            let [instances] = component.instances()[..] else { panic!("{name} has not exactly one scaler") };
            facts.insert(format!("{name} runs {instances} at once"));
            for config in &component.properties.config {
                match &config.properties {
                    Some(values) => {
                        facts.extend(values.iter().map(|(key, value)| format!("{name} reads {key} = {value}")));
                    }
                    None => {
                        let key = config.name.strip_prefix("souk-secret-").expect("only secrets are put by hand");
                        facts.insert(format!("{name} reads {} = {}", key.replace('-', "_"), config.name));
                    }
                }
            }
        }
        facts.extend(component.links().flat_map(|link| linked(application, name, link)));
    }
    facts
}

/// What one link says.
fn linked(application: &Application, source: &str, link: &LinkTrait) -> Vec<String> {
    let (target, told) = (&link.target.name, link.told());
    let number = |key: &str, default: &str| told.get(key).copied().unwrap_or(default).to_owned();
    match (source, target.as_str()) {
        ("http", edge) => {
            assert_eq!(link.interface(), "souk:shop/http");
            let (body, deadline) = (number("body_bytes", "1048576"), number("deadline_ms", "5000"));
            let (turns, rate) = (number("concurrency", "64"), number("rate_per_minute", "any"));
            let rates = told.get("rates").into_iter().flat_map(|rates| rates.split(' '));
            let rates: BTreeMap<_, _> = rates.map(|rate| rate.split_once('=').expect("ROUTE=RATE")).collect();
            let goes = |route: &str| {
                let rate = rates.get(route).copied().unwrap_or(&rate);
                format!("{route} goes to {edge}: {body} bytes, {deadline} ms, {turns} at once, {rate} a minute")
            };
            told["routes"].split(' ').map(goes).collect()
        }
        ("events", hearer) => {
            assert_eq!((link.interface().as_str(), told["component"]), ("souk:shop/subscriber", hearer));
            let topics = topics(application);
            let topics = topics.get(hearer).unwrap_or_else(|| panic!("{hearer} hears nothing"));
            topics.split(' ').map(|topic| format!("{hearer} hears {topic}")).collect()
        }
        (_, "sql" | "kv") => {
            assert_eq!(link.interface(), format!("souk:shop/{target}"));
            vec![format!("{source} has {target} as {}", told["component"])]
        }
        ("user", "passwords") => {
            assert_eq!(link.interface(), "souk:shop/passwords");
            Vec::new()
        }
        _ => vec![format!("{source} calls {} of {target}", link.interface())],
    }
}

/// What each component hears: `sql` is told, to store a delivery for each, and `events` is told the same.
fn topics(application: &Application) -> BTreeMap<&str, &str> {
    let find = |name: &str| application.spec.components.iter().find(|component| component.name == name);
    let config = |name: &str| &find(name).expect("the provider is there").properties.config;
    assert!(config("events").iter().any(|config| config.name == "souk-topics" && config.properties.is_none()));
    let topics = config("sql").iter().find(|config| config.name == "topics").expect("sql is told the topics");
    let topics = topics.properties.iter().flatten();
    topics.map(|(key, topics)| (key.strip_prefix("topics.").expect("topics.NAME"), topics.as_str())).collect()
}

#[test]
fn the_lattice_runs_the_shop_of_spin_toml_and_nothing_else() {
    let (spin, wadm) = (said_by_spin(&manifest()), said_by_wadm(&application()));
    let missing: Vec<_> = spin.difference(&wadm).collect();
    let more: Vec<_> = wadm.difference(&spin).collect();
    assert!(missing.is_empty() && more.is_empty(), "only spin.toml: {missing:#?}\nonly wadm.yaml: {more:#?}");
}

#[test]
fn only_payment_reaches_a_payment_provider_and_nobody_the_network() {
    let application = application();
    for component in &application.spec.components {
        for link in component.links() {
            let interface = link.interface();
            assert!(
                !interface.ends_with("/payment-provider") || component.name == "payment",
                "{} reaches a payment provider",
                component.name
            );
            assert!(interface.starts_with("souk:"), "{} reaches {interface}", component.name);
        }
    }
}

#[test]
fn every_secret_is_left_to_whoever_runs_the_lattice() {
    let (manifest, text) = (manifest(), fs::read_to_string(root().join("wadm.yaml")).expect("wadm.yaml can be read"));
    for (name, _) in manifest.variables.iter().filter(|(_, variable)| variable.secret || variable.default.is_none()) {
        assert!(!text.contains(&format!("{name}:")), "{name} has a value in wadm.yaml");
    }
    assert!(!text.contains("postgres://"), "the address of the database holds a password");
}

#[test]
fn a_host_takes_every_link() {
    // What a host refuses: another target for the same source, interface and link name. What wadm refuses: two configs with
    // one name.
    let application = application();
    let mut links = BTreeMap::new();
    let mut configs = BTreeSet::new();
    for component in &application.spec.components {
        for link in component.links() {
            let name = link.name.as_deref().unwrap_or("default");
            let other = links.insert((&component.name, link.interface(), name), &link.target.name);
            assert_eq!(other, None, "{} has two links named {name} for {}", component.name, link.interface());
            let told = link.source.iter().flat_map(|source| &source.config).chain(&link.target.config);
            for config in told.filter(|config| config.properties.is_some()) {
                assert!(configs.insert(&config.name), "{} is configured twice", config.name);
            }
        }
    }
}

#[test]
fn images_and_ids_follow_from_names() {
    let (application, manifest) = (application(), manifest());
    assert_eq!(application.metadata.name, manifest.name);
    assert_eq!(application.metadata.annotations["version"], format!("v{}", manifest.version));
    for component in &application.spec.components {
        let id = match component.kind.as_str() {
            "capability" => format!("souk-{}", component.name),
            _ => component.name.clone(),
        };
        assert_eq!(component.properties.id, id);
        assert_eq!(component.properties.image, format!("{REGISTRY}/{id}:{}", manifest.version));
    }
}
