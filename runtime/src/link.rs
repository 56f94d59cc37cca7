//! Joining imports to exports: by interface name and type, with no knowledge of any interface.
//!
//! A linked function is called with dynamic values in an instance of its own. A plural interface has the
//! functions of its singular one, each with one more parameter that names who answers.

use std::{collections::BTreeMap, sync::Arc};

use wasmtime::component::{Linker, Val};

use crate::{
    call::{Export, State, scope_of},
    ports::{self},
    shape::{Fallback, selector},
};

/// Who answers one imported function.
pub enum Answer {
    /// One component.
    One(Arc<Export>),
    /// The component that an argument names.
    Named(Named),
}

/// The functions behind one function of a plural interface.
pub struct Named {
    exports: BTreeMap<String, Arc<Export>>,
    place: usize,
    unknown: Fallback,
    ty: wasmtime::component::types::ComponentFunc,
}

impl Named {
    /// Routes a plural function to these exports, which have been checked to fit it.
    pub fn new(
        ty: wasmtime::component::types::ComponentFunc,
        exports: BTreeMap<String, Arc<Export>>,
    ) -> Result<Self, String> {
        let mut place = 0;
        for export in exports.values() {
            place = selector(&ty, &export.ty)?;
        }
        let name = ty.params().nth(place).map(|(name, _)| format!("unknown-{name}")).unwrap_or_default();
        let unknown = Fallback::find(&ty, &[&name, "unavailable"]);
        Ok(Self { exports, place, unknown, ty })
    }
}

/// A linker with every port, to which the answers to the other imports are added.
pub fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    ports::add_to_linker(&mut linker, State::ports)?;
    Ok(linker)
}

/// Adds who answers one function of an imported interface.
pub fn add(linker: &mut Linker<State>, interface: &str, function: &str, answer: Answer) -> wasmtime::Result<()> {
    let mut instance = linker.instance(interface)?;
    match answer {
        Answer::One(export) => instance.func_new_async(function, move |store, _, params, results| {
            let (export, scope) = (export.clone(), scope_of(&store));
            Box::new(async move { export.call(&scope, params, results).await })
        }),
        Answer::Named(named) => {
            let named = Arc::new(named);
            instance.func_new_async(function, move |store, _, params, results| {
                let (named, scope) = (named.clone(), scope_of(&store));
                Box::new(async move {
                    let Some(Val::String(name)) = params.get(named.place) else {
                        wasmtime::bail!("the argument that names who answers is not a string");
                    };
                    let Some(export) = named.exports.get(name) else {
                        return refuse(&named, name, results);
                    };
                    let mut rest = params.to_vec();
                    rest.remove(named.place);
                    export.call(&scope, &rest, results).await
                })
            })
        }
    }
}

/// Answers for a name that the manifest does not have.
fn refuse(named: &Named, name: &str, results: &mut [Val]) -> wasmtime::Result<()> {
    let text = format!("nothing is linked under the name {name}");
    match (named.unknown.value(&named.ty, &text), results) {
        (Some(value), [result]) => {
            *result = value;
            Ok(())
        }
        _ => Err(wasmtime::Error::msg(text)),
    }
}
