//! `souk inspect`: what each component may do, read from its binary and the manifest. Runs nothing.

use serde_json::{Value, json};

use super::{Outcome, Place};
use crate::{
    app::{Part, Parts},
    manifest::{Component, Link},
    variables::Make,
};

/// Prints every component, for a person or as JSON.
pub fn run(place: &Place, as_json: bool) -> anyhow::Result<Outcome> {
    let engine = place.engine()?;
    let parts = place.load(&engine, Make::Nothing)?;
    let described: Vec<Value> = parts.parts.iter().map(|(name, part)| describe(&parts, name, part)).collect();
    if as_json {
        let whole = json!({
            "application": parts.manifest.name,
            "version": parts.manifest.version,
            "routes": parts.manifest.routes.iter().map(|route| json!({
                "route": route.pattern.to_string(),
                "component": route.component,
            })).collect::<Vec<_>>(),
            "components": described,
        });
        println!("{whole:#}");
        return Ok(Outcome::Good);
    }
    println!("{} {}", parts.manifest.name, parts.manifest.version);
    for route in &parts.manifest.routes {
        println!("  {} -> {}", route.pattern, route.component);
    }
    for component in &described {
        print(component);
    }
    for warning in &parts.warnings {
        eprintln!("warning: {warning}");
    }
    Ok(Outcome::Good)
}

/// One component as JSON. Values of variables are never part of it.
fn describe(parts: &Parts, name: &str, part: &Part) -> Value {
    let component = &parts.manifest.components[name];
    let limits = &component.limits;
    json!({
        "name": name,
        "source": component.source.display().to_string(),
        "sha256": part.compiled.digest,
        "bytes": part.compiled.size,
        "imports": part.shape.imports.keys().collect::<Vec<_>>(),
        "exports": part.shape.exports.keys().collect::<Vec<_>>(),
        "network": component.granted.outbound_hosts,
        "sql": component.granted.sql,
        "kv": component.granted.kv,
        "variables": component.granted.variables.keys().collect::<Vec<_>>(),
        "links": links(component),
        "topics": component.topics,
        "limits": {
            "memory_mib": limits.memory >> 20,
            "deadline_ms": limits.deadline.as_millis() as u64,
            "concurrency": limits.concurrency,
            "body_bytes": limits.body,
            "rate_per_minute": limits.rate_per_minute,
            "rates": limits.rates,
        },
    })
}

fn links(component: &Component) -> Value {
    let link = |link: &Link| match link {
        Link::One(target) => json!(target),
        Link::Many(targets) => json!(targets),
    };
    component
        .links
        .iter()
        .map(|(interface, target)| (interface.clone(), link(target)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn print(component: &Value) {
    let list = |key: &str| match component[key].as_array() {
        Some(items) if !items.is_empty() => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        _ => "none".to_owned(),
    };
    let yes = |key: &str| if component[key] == true { "its own" } else { "none" };
    println!("\n{}", component["name"].as_str().unwrap_or_default());
    println!("  file:      {} ({} bytes)", component["source"].as_str().unwrap_or_default(), component["bytes"]);
    println!("  sha256:    {}", component["sha256"].as_str().unwrap_or_default());
    println!("  imports:   {}", list("imports"));
    println!("  exports:   {}", list("exports"));
    println!("  network:   {}", list("network"));
    println!("  database:  {}", yes("sql"));
    println!("  key-value: {}", yes("kv"));
    println!("  variables: {}", list("variables"));
    println!("  hears:     {}", list("topics"));
    let links = component["links"].as_object().filter(|links| !links.is_empty());
    match links {
        None => println!("  calls:     none"),
        Some(links) => {
            let links: Vec<_> = links
                .iter()
                .map(|(interface, target)| match target {
                    Value::String(target) => format!("{interface} -> {target}"),
                    other => format!("{interface} -> {other}"),
                })
                .collect();
            println!("  calls:     {}", links.join(", "));
        }
    }
    let limits = &component["limits"];
    println!(
        "  limits:    {} MiB, {} ms, {} at once",
        limits["memory_mib"], limits["deadline_ms"], limits["concurrency"]
    );
}
