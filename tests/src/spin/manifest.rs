//! `spin.toml` as Spin reads it: routes, composites, and what they are granted. `tool` tables mean nothing here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use souk_server::route::Pattern;

/// What stands before a variable's name in the environment; the name follows in upper case.
const ENVIRONMENT_PREFIX: &str = "SPIN_VARIABLE_";

/// The manifest of an application.
#[derive(Debug, Deserialize)]
pub struct Manifest {
    #[serde(default)]
    variables: BTreeMap<String, Variable>,
    trigger: Triggers,
    component: BTreeMap<String, Component>,
}

#[derive(Debug, Deserialize)]
struct Variable {
    default: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Triggers {
    http: Vec<Trigger>,
}

#[derive(Debug, Deserialize)]
struct Trigger {
    route: String,
    component: String,
}

/// What a component is and may reach.
#[derive(Debug, Deserialize)]
pub struct Component {
    /// The file.
    pub source: PathBuf,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    #[serde(default)]
    sqlite_databases: Vec<String>,
    #[serde(default)]
    allowed_outbound_hosts: Vec<String>,
}

impl Component {
    /// Whether it may use the database `default`.
    pub fn has_database(&self) -> bool {
        self.sqlite_databases.iter().any(|label| label == "default")
    }

    /// Whether it may send requests to the application itself.
    pub fn asks_itself(&self) -> bool {
        self.allowed_outbound_hosts.iter().any(|host| host == "http://self")
    }
}

impl Manifest {
    /// Reads a manifest.
    pub fn load(path: &Path) -> Result<Manifest> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is no manifest", path.display()))
    }

    /// The routes and the components that they lead to.
    pub fn routes(&self) -> Result<Vec<(Pattern, &str)>> {
        let read = |trigger: &Trigger| Pattern::parse(&trigger.route).map_err(anyhow::Error::msg);
        self.trigger.http.iter().map(|trigger| Ok((read(trigger)?, trigger.component.as_str()))).collect()
    }

    /// A component that a route leads to.
    pub fn component(&self, name: &str) -> Result<&Component> {
        self.component.get(name).with_context(|| format!("there is no component `{name}`"))
    }

    /// The variables of a component, from the environment or their defaults. One without a value has none.
    pub fn variables(&self, component: &Component, environment: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let value = |name: &str| {
            let in_environment = environment.get(&format!("{ENVIRONMENT_PREFIX}{}", name.to_uppercase()));
            in_environment.or(self.variables.get(name)?.default.as_ref()).cloned()
        };
        let filled = |(name, template): (&String, &String)| Some((name.clone(), fill(template, value)?));
        component.variables.iter().filter_map(filled).collect()
    }
}

/// Fills in a template: `{{ name }}` stands for the value of a variable.
fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}")?;
        filled.push_str(before);
        filled.push_str(&value(name.trim())?);
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}
