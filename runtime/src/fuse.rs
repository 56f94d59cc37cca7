//! Fusing: one component file from a component and some of those it is linked to.
//!
//! Parts of a fused component call each other inside one instance graph, which costs a fraction of a call between
//! stores. Each part keeps a memory of its own and sees the others through their interfaces alone; what they share is the
//! deadline and the end: a part that traps ends the whole call. The manifest says which route pays for that.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use wac_graph::{CompositionGraph, EncodeOptions, types::Package};

/// Composes `outer` with `inner` components. `links` says which interface of the outer one is answered by
/// which inner component; every other import stays an import of the result. `exports` are those of the outer one.
pub fn fuse<'a>(
    outer: &[u8],
    inner: &BTreeMap<&str, &[u8]>,
    links: &[(&str, &str)],
    exports: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let mut register = |name: &str, bytes: &[u8]| -> Result<_> {
        let name = format!("fused:{name}");
        let package = Package::from_bytes(&name, None, bytes.to_vec(), graph.types_mut())?;
        Ok(graph.register_package(package)?)
    };
    let outer = register("outer", outer)?;
    let packages: Vec<_> =
        inner.iter().map(|(name, bytes)| Ok((*name, register(name, bytes)?))).collect::<Result<_>>()?;
    let outer = graph.instantiate(outer);
    let inner: BTreeMap<&str, _> =
        packages.into_iter().map(|(name, package)| (name, graph.instantiate(package))).collect();
    for (interface, name) in links {
        let answer = graph
            .alias_instance_export(inner[name], interface)
            .with_context(|| format!("{name} does not export {interface}"))?;
        graph
            .set_instantiation_argument(outer, interface, answer)
            .with_context(|| format!("{interface} does not fit"))?;
    }
    for interface in exports {
        let export = graph.alias_instance_export(outer, interface)?;
        graph.export(export, interface)?;
    }
    Ok(graph.encode(EncodeOptions::default())?)
}
