//! What a component imports and exports, read from its binary, and whether two sides of a link agree.
//!
//! Types are compared by structure: names of fields and cases included, names of types not. This module knows
//! no interface by name.

use std::collections::BTreeMap;

use wasmtime::component::{
    Component, Type, Val,
    types::{ComponentFunc, ComponentItem},
};

/// The imports and exports of a component.
#[derive(Clone, Default)]
pub struct Shape {
    /// Imported interfaces that have functions, by full name.
    pub imports: BTreeMap<String, Interface>,
    /// Exported interfaces, by full name.
    pub exports: BTreeMap<String, Interface>,
    /// Imports that are not interfaces of plain functions, with what they are.
    pub foreign: BTreeMap<String, &'static str>,
}

/// The functions of an interface by name.
pub type Interface = BTreeMap<String, ComponentFunc>;

impl Shape {
    /// Reads a component's shape.
    pub fn of(component: &Component) -> Self {
        let engine = component.engine();
        let whole = component.component_type();
        let mut shape = Self::default();
        for (name, import) in whole.imports(engine) {
            match interface(engine, &import.ty) {
                Ok(functions) if functions.is_empty() => {} // types only: nothing to provide
                Ok(functions) => {
                    shape.imports.insert(name.to_owned(), functions);
                }
                Err(kind) => {
                    shape.foreign.insert(name.to_owned(), kind);
                }
            }
        }
        for (name, export) in whole.exports(engine) {
            if let Ok(functions) = interface(engine, &export.ty) {
                shape.exports.insert(name.to_owned(), functions);
            }
        }
        shape
    }
}

/// The functions of an interface, or what it is that cannot be linked.
fn interface(engine: &wasmtime::Engine, item: &ComponentItem) -> Result<Interface, &'static str> {
    let instance = match item {
        ComponentItem::ComponentInstance(instance) => instance,
        ComponentItem::Type(_) => return Ok(Interface::new()),
        ComponentItem::ComponentFunc(_) => return Err("a function outside an interface"),
        ComponentItem::CoreFunc(_) | ComponentItem::Module(_) => return Err("core WebAssembly"),
        ComponentItem::Component(_) => return Err("a component"),
        ComponentItem::Resource(_) => return Err("a resource"),
    };
    let mut functions = Interface::new();
    for (name, export) in instance.exports(engine) {
        match export.ty {
            ComponentItem::ComponentFunc(function) if function.async_() => return Err("an async function"),
            ComponentItem::ComponentFunc(function) => {
                functions.insert(name.to_owned(), function);
            }
            ComponentItem::Type(_) => {}
            ComponentItem::Resource(_) => return Err("an interface with a resource"),
            _ => return Err("an interface with more than functions and types"),
        }
    }
    Ok(functions)
}

/// The name of an interface without package and version: `catalog` of `souk:shop/catalog@0.1.0`.
pub fn short(interface: &str) -> &str {
    let name = interface.rsplit('/').next().unwrap_or(interface);
    name.split('@').next().unwrap_or(name)
}

/// The singular of a plural interface: `p:q/providers@1` gives `p:q/provider@1`.
pub fn singular(interface: &str) -> Option<String> {
    let (name, version) = match interface.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (interface, None),
    };
    let name = name.strip_suffix('s')?;
    Some(version.map_or_else(|| name.to_owned(), |version| format!("{name}@{version}")))
}

/// Why one function cannot answer for the other.
pub fn same(wanted: &ComponentFunc, given: &ComponentFunc) -> Result<(), String> {
    let wanted_params: Vec<_> = wanted.params().collect();
    let given_params: Vec<_> = given.params().collect();
    if wanted_params.len() != given_params.len() {
        return Err(format!("it is called with {} parameters and takes {}", wanted_params.len(), given_params.len()));
    }
    for ((wanted_name, wanted_type), (given_name, given_type)) in wanted_params.iter().zip(&given_params) {
        if wanted_name != given_name || wanted_type != given_type {
            return Err(format!("its parameter `{wanted_name}` differs"));
        }
    }
    if !wanted.results().eq(given.results()) {
        return Err("its result differs".into());
    }
    Ok(())
}

/// The place of the parameter that a plural function has beyond the singular one, which must be a string.
pub fn selector(plural: &ComponentFunc, singular: &ComponentFunc) -> Result<usize, String> {
    let plural_params: Vec<_> = plural.params().collect();
    let singular_params: Vec<_> = singular.params().collect();
    let place =
        plural_params.iter().zip(&singular_params).position(|((a, _), (b, _))| a != b).unwrap_or(singular_params.len());
    let mut rest = plural_params;
    if rest.len() != singular_params.len() + 1 || rest[place].1 != Type::String {
        return Err("the plural form has one parameter more, a string that names who answers".into());
    }
    rest.remove(place);
    if let Some(((name, _), _)) = rest.iter().zip(&singular_params).find(|(a, b)| a != b) {
        return Err(format!("its parameter `{name}` differs"));
    }
    if !plural.results().eq(singular.results()) {
        return Err("its result differs".into());
    }
    Ok(place)
}

/// How a function can say, by a value, that it could not be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// It cannot: the caller traps as well.
    Trap,
    /// Its error is a text.
    Text,
    /// Its error has this case with a text.
    TextCase(String),
    /// Its error has this case without a value.
    Case(String),
}

impl Fallback {
    /// Finds the first of these cases in a function's error.
    pub fn find(function: &ComponentFunc, cases: &[&str]) -> Self {
        let mut results = function.results();
        let (Some(Type::Result(result)), None) = (results.next(), results.next()) else {
            return Self::Trap;
        };
        match result.err() {
            Some(Type::String) => Self::Text,
            Some(Type::Variant(variant)) => cases
                .iter()
                .find_map(|wanted| {
                    let case = variant.cases().find(|case| case.name == *wanted)?;
                    match case.ty {
                        None => Some(Self::Case(case.name.to_owned())),
                        Some(Type::String) => Some(Self::TextCase(case.name.to_owned())),
                        Some(_) => None,
                    }
                })
                .unwrap_or(Self::Trap),
            Some(Type::Enum(names)) => cases
                .iter()
                .find(|wanted| names.names().any(|name| name == **wanted))
                .map_or(Self::Trap, |name| Self::Case((*name).to_owned())),
            _ => Self::Trap,
        }
    }

    /// The error value with this text; none when the caller has to trap.
    pub fn value(&self, function: &ComponentFunc, text: &str) -> Option<Val> {
        let error = match self {
            Self::Trap => return None,
            Self::Text => Val::String(text.to_owned()),
            Self::TextCase(name) => Val::Variant(name.clone(), Some(Box::new(Val::String(text.to_owned())))),
            Self::Case(name) => {
                let is_enum = function.results().next().is_some_and(
                    |ty| matches!(ty, Type::Result(result) if matches!(result.err(), Some(Type::Enum(_)))),
                );
                if is_enum { Val::Enum(name.clone()) } else { Val::Variant(name.clone(), None) }
            }
        };
        Some(Val::Result(Err(Some(Box::new(error)))))
    }
}

/// The case of an answer, for metrics and logs: `ok`, or the name of the error.
pub fn outcome(results: &[Val]) -> &str {
    match results.first() {
        Some(Val::Result(Err(Some(error)))) => match &**error {
            Val::Variant(name, _) | Val::Enum(name) => name,
            _ => "error",
        },
        Some(Val::Result(Err(None))) => "error",
        _ => "ok",
    }
}

#[cfg(test)]
mod tests {
    use super::{short, singular};

    #[test]
    fn names_of_interfaces_are_taken_apart() {
        for (full, expected_short, expected_singular) in [
            ("souk:shop/catalog@0.1.0", "catalog", None),
            ("a:b/providers@1.0.0", "providers", Some("a:b/provider@1.0.0")),
            ("a:b/providers", "providers", Some("a:b/provider")),
            ("plain", "plain", None),
        ] {
            assert_eq!(short(full), expected_short);
            assert_eq!(singular(full).as_deref(), expected_singular);
        }
    }
}
