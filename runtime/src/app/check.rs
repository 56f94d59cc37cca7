//! Whether components and manifest fit together: links, types, grants, routes, topics.
//!
//! Every finding says what to write instead. Nothing here runs a component.

use std::collections::{BTreeMap, BTreeSet};

use super::Part;
use crate::{
    edge::{AUDIT, Check, HTTP, Handle, Hear, RECONCILE, REPAIR, Rebuild, SUBSCRIBER},
    manifest::{Component, Finding, Link, Manifest},
    ports::{Grants, PORT_INTERFACES},
    providers::check_outbound_host,
    shape::{Shape, same, selector, short, singular},
    variables::Values,
};

/// Ports that need a grant in the manifest: interface, key and what to write.
const GRANTED: [(&str, &str); 3] = [
    ("souk:shop/sql@0.1.0", "sqlite_databases = [\"default\"]"),
    ("souk:shop/kv@0.1.0", "key_value_stores = [\"default\"]"),
    ("souk:shop/http-out@0.1.0", "allowed_outbound_hosts = [\"https://host\"]"),
];

/// What one component is granted.
pub fn grants(
    name: &str,
    component: &Component,
    shape: &Shape,
    values: &Values,
    findings: &mut Vec<Finding>,
) -> Grants {
    let mut fault = |text: String| findings.push(Finding { place: component.place.clone(), text });
    let given = [component.granted.sql, component.granted.kv, !component.granted.outbound_hosts.is_empty()];
    for ((port, line), given) in GRANTED.iter().zip(given) {
        if shape.imports.contains_key(*port) && !given {
            fault(format!("component.{name}: it imports `{}`, which is not granted; write {line}", short(port)));
        }
    }
    let mut outbound_hosts = Vec::new();
    for template in &component.granted.outbound_hosts {
        match values.fill(template) {
            Ok(host) => match check_outbound_host(&host) {
                Ok(()) => outbound_hosts.push(host),
                Err(error) => fault(format!("component.{name}.allowed_outbound_hosts: {error}")),
            },
            Err(error) => fault(format!("component.{name}.allowed_outbound_hosts: {error}")),
        }
    }
    let mut variables = BTreeMap::new();
    for (variable, template) in &component.granted.variables {
        match values.fill(template) {
            Ok(value) => {
                variables.insert(variable.clone(), value);
            }
            Err(error) => fault(format!("component.{name}.variables.{variable}: {error}")),
        }
    }
    Grants {
        component: name.into(),
        sql: component.granted.sql.then(|| name.into()),
        kv: component.granted.kv.then(|| name.into()),
        // No key of the manifest is about passwords: to import the port is to be granted it.
        passwords: shape.imports.keys().any(|import| short(import) == "passwords"),
        outbound_hosts,
        variables,
    }
}

/// What a component and those fused with it may do together. A port that gives one component something of its own
/// cannot tell them apart, so only one of them may use it.
pub fn joint_grants<'a>(outer: &Part, inner: impl Iterator<Item = &'a Part>) -> anyhow::Result<Grants> {
    const OWNED: [&str; 5] = ["sql", "kv", "config", "passwords", "http-out"];
    let mut grants = Grants::clone(&outer.grants);
    let uses = |part: &Part, port: &str| part.shape.imports.keys().any(|import| short(import) == port);
    let mut users = OWNED.map(|port| uses(outer, port).then(|| outer.grants.component.clone()));
    for part in inner {
        for (port, user) in OWNED.into_iter().zip(&mut users) {
            if !uses(part, port) {
                continue;
            }
            let name = &part.grants.component;
            if let Some(other) = user.replace(name.clone()) {
                anyhow::bail!("{other} and {name} both use `{port}`, and each has its own");
            }
            match port {
                "sql" => grants.sql.clone_from(&part.grants.sql),
                "kv" => grants.kv.clone_from(&part.grants.kv),
                "config" => grants.variables.clone_from(&part.grants.variables),
                "passwords" => grants.passwords = part.grants.passwords,
                _ => grants.outbound_hosts.clone_from(&part.grants.outbound_hosts),
            }
        }
    }
    Ok(grants)
}

/// Checks everything that involves more than one component or the host; answers with warnings.
pub fn all(manifest: &Manifest, parts: &BTreeMap<String, Part>, findings: &mut Vec<Finding>) -> Vec<Finding> {
    let mut warnings = Vec::new();
    for (name, part) in parts {
        let component = &manifest.components[name];
        let checker = Checker { name, component, part, parts };
        findings.extend(checker.imports());
        findings.extend(checker.exports(manifest));
        warnings.extend(checker.unused());
    }
    if let Err(circle) = callees_first(manifest) {
        let place = manifest.components[circle[0]].place.clone();
        let text = format!("links form a circle: {}; calls only go down, remove one", circle.join(" -> "));
        findings.push(Finding { place, text });
    }
    warnings
}

/// Component names so that each comes after those it calls, or the circle that makes this impossible.
pub fn callees_first(manifest: &Manifest) -> Result<Vec<&str>, Vec<&str>> {
    fn visit<'a>(
        name: &'a str,
        manifest: &'a Manifest,
        path: &mut Vec<&'a str>,
        done: &mut Vec<&'a str>,
    ) -> Result<(), Vec<&'a str>> {
        if done.contains(&name) {
            return Ok(());
        }
        if let Some(start) = path.iter().position(|seen| *seen == name) {
            let mut circle = path.split_off(start);
            circle.push(name);
            return Err(circle);
        }
        path.push(name);
        for target in manifest
            .components
            .get(name)
            .into_iter()
            .flat_map(|component| component.links.values().flat_map(Link::targets))
        {
            if manifest.components.contains_key(target) {
                visit(target, manifest, path, done)?;
            }
        }
        path.pop();
        done.push(name);
        Ok(())
    }
    let mut done = Vec::new();
    for name in manifest.components.keys() {
        visit(name, manifest, &mut Vec::new(), &mut done)?;
    }
    Ok(done)
}

/// One component and all the others.
struct Checker<'a> {
    name: &'a str,
    component: &'a Component,
    part: &'a Part,
    parts: &'a BTreeMap<String, Part>,
}

impl Checker<'_> {
    fn finding(&self, text: impl std::fmt::Display) -> Finding {
        Finding { place: self.component.place.clone(), text: format!("component.{}: {text}", self.name) }
    }

    fn imports(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (import, kind) in &self.part.shape.foreign {
            findings.push(self.finding(format_args!(
                "it imports `{import}`, {kind}; components import interfaces of plain functions only. \
                 The host gives: {}",
                PORT_INTERFACES.join(", ")
            )));
        }
        for interface in self.part.shape.imports.keys() {
            if PORT_INTERFACES.contains(&interface.as_str()) {
                continue;
            }
            match self.component.link(interface) {
                Some(Link::One(target)) => self.check_link(interface, interface, target, &mut findings),
                Some(Link::Many(targets)) => match singular(interface) {
                    Some(singular) => {
                        for target in targets.values() {
                            self.check_link(interface, &singular, target, &mut findings);
                        }
                    }
                    None => findings.push(self.finding(format_args!(
                        "`{}` is linked to several components, and only the plural of an interface can be; \
                         write {} = \"component\"",
                        short(interface),
                        short(interface)
                    ))),
                },
                None => findings.push(self.finding(self.missing(interface))),
            }
        }
        findings
    }

    /// What to write for an import that nobody answers.
    fn missing(&self, interface: &str) -> String {
        let name = short(interface);
        let exporters = |wanted: &str| -> Vec<&str> {
            let exports = |part: &&Part| part.shape.exports.contains_key(wanted);
            self.parts.iter().filter(|(_, part)| exports(part)).map(|(name, _)| name.as_str()).collect()
        };
        let table = format!("under [component.{}.tool.souk.links]", self.name);
        let direct = exporters(interface);
        if let Some(target) = direct.first() {
            return format!("it imports `{interface}`, which is not linked; write {name} = \"{target}\" {table}");
        }
        let several = singular(interface).map(|singular| exporters(&singular)).unwrap_or_default();
        if let Some(target) = several.first() {
            return format!(
                "it imports `{interface}`, which is not linked; write {name} = {{ name = \"{target}\" }} {table}"
            );
        }
        if interface.starts_with("wasi:") {
            return format!(
                "it imports `{interface}`; of WASI the host gives wasi:clocks/wall-clock@0.2.0 and \
                 wasi:random/random@0.2.0 alone. A later version comes from the linker's own adapter: link with \
                 -C link-arg=--wasi-adapter=none"
            );
        }
        format!(
            "it imports `{interface}`, which no port provides and no component exports; add a component that exports it"
        )
    }

    fn check_link(&self, imported: &str, exported: &str, target: &str, findings: &mut Vec<Finding>) {
        // A target that is missing or did not load has its own finding.
        let Some(other) = self.parts.get(target) else { return };
        let Some(given) = other.shape.exports.get(exported) else {
            let exports: Vec<_> = other.shape.exports.keys().map(|name| name.as_str()).collect();
            findings.push(self.finding(format_args!(
                "`{}` is linked to `{target}`, which does not export `{exported}`; it exports: {}",
                short(imported),
                if exports.is_empty() { "nothing".into() } else { exports.join(", ") }
            )));
            return;
        };
        for (function, wanted) in &self.part.shape.imports[imported] {
            let agreed = match given.get(function) {
                None => Err("it is missing there".into()),
                Some(given) if imported == exported => same(wanted, given),
                Some(given) => selector(wanted, given).map(|_| ()),
            };
            if let Err(reason) = agreed {
                findings.push(self.finding(format_args!(
                    "`{}` is linked to `{target}`, and they disagree about `{function}`: {reason}; \
                     build both from the same WIT",
                    short(imported)
                )));
            }
        }
    }

    fn exports(&self, manifest: &Manifest) -> Vec<Finding> {
        let mut findings = Vec::new();
        for route in manifest.routes.iter().filter(|route| route.component == self.name) {
            if !self.part.shape.exports.contains_key(HTTP) {
                findings.push(Finding {
                    place: route.place.clone(),
                    text: format!(
                        "`{}` does not export `{HTTP}` and cannot answer a route; name an edge instead",
                        self.name
                    ),
                });
            }
        }
        if !self.component.topics.is_empty() && !self.part.shape.exports.contains_key(SUBSCRIBER) {
            findings.push(self.finding(format_args!(
                "it hears topics and does not export `{SUBSCRIBER}`; remove `topics` or export it"
            )));
        }
        if self.component.migrations.is_some() && !self.component.granted.sql {
            findings.push(self.finding(
                "it has migrations and no database; write sqlite_databases = [\"default\"] or remove `migrations`",
            ));
        }
        for (interface, function, typed) in [
            (HTTP, "handle", self.typed::<Handle>(HTTP, "handle")),
            (SUBSCRIBER, "handle", self.typed::<Hear>(SUBSCRIBER, "handle")),
            (AUDIT, "check", self.typed::<Check>(AUDIT, "check")),
            (RECONCILE, "check", self.typed::<Check>(RECONCILE, "check")),
            (REPAIR, "rebuild", self.typed::<Rebuild>(REPAIR, "rebuild")),
        ] {
            if let Err(reason) = typed {
                findings.push(self.finding(format_args!(
                    "its `{interface}` `{function}` is not what this host calls: {reason}; build it from the host's WIT"
                )));
            }
        }
        findings
    }

    /// Whether an exported function, when there is one, has the type that the host calls it with.
    fn typed<S: Signature>(&self, interface: &str, function: &str) -> Result<(), String> {
        let Some(functions) = self.part.shape.exports.get(interface) else { return Ok(()) };
        let given = functions.get(function).ok_or("it is missing")?;
        let component = self.part.compiled.component.component_type();
        S::check(given, &component).map_err(|error| format!("{error:#}"))
    }

    /// Links that nothing uses. They are harmless: the compiler removes imports that are never called.
    fn unused(&self) -> Vec<Finding> {
        let imports: BTreeSet<&str> =
            self.part.shape.imports.keys().flat_map(|name| [name.as_str(), short(name)]).collect();
        self.component
            .links
            .keys()
            .filter(|name| !imports.contains(name.as_str()))
            .map(|name| self.finding(format_args!("it is linked to `{name}` and never calls it")))
            .collect()
    }
}

/// Parameters and result of a function that the host calls with typed values.
trait Signature {
    fn check(
        function: &wasmtime::component::types::ComponentFunc,
        component: &wasmtime::component::types::Component,
    ) -> wasmtime::Result<()>;
}

impl<Params, Return> Signature for (Params, Return)
where
    Params: wasmtime::component::ComponentNamedList + wasmtime::component::Lower,
    Return: wasmtime::component::ComponentNamedList + wasmtime::component::Lift,
{
    fn check(
        function: &wasmtime::component::types::ComponentFunc,
        component: &wasmtime::component::types::Component,
    ) -> wasmtime::Result<()> {
        function.typecheck::<Params, Return>(&component.instance_type())
    }
}
