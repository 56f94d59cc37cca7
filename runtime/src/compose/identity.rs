//! What an adapter is told about the component that it serves, and the generated component that tells it.
//!
//! All identities of a composite come from one component, since platforms bound the memories of a composite.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::json;
use wit_parser::Resolve;

use super::assemble;
use crate::manifest::Component;

/// Where the texts start: nothing that can be read is at address zero.
const DATA_START: usize = 16;
/// Size of the pointer and length that a text is found by.
const SPAN_BYTES: usize = 8;
/// Size of a page of linear memory.
const PAGE_BYTES: usize = 1 << 16;

/// The description of a component, as `souk:shop/self` documents it. It names variables and holds no value of any.
pub fn describe(name: &str, component: &Component, topics: &BTreeMap<String, Vec<String>>) -> String {
    json!({
        "component": name,
        "variables": component.granted.variables.keys().collect::<Vec<_>>(),
        "outbound_hosts": component.granted.outbound_hosts,
        "topics": topics,
        "body_bytes": component.limits.body,
    })
    .to_string()
}

/// The name of the export that answers with the text at this place. No word of it starts with a digit: hosts on older
/// versions of wasmtime refuse that.
pub fn export_name(place: usize) -> String {
    format!("component{place}")
}

/// A component with one export for each text: an instance whose `describe` answers it.
pub fn identities(texts: &[String]) -> Result<Vec<u8>> {
    let (mut exports, mut functions) = (String::new(), String::new());
    let mut at = DATA_START;
    for (place, text) in texts.iter().enumerate() {
        let name = export_name(place);
        exports += &format!("export {name}: interface {{ describe: func() -> string; }}\n");
        let start = at + SPAN_BYTES;
        functions += &format!(
            "(data (i32.const {at}) \"{}{}\")
             (func (export \"{name}#describe\") (result i32) (i32.const {at}))\n",
            super::escaped(&[(start as u32).to_le_bytes(), (text.len() as u32).to_le_bytes()].concat()),
            super::escaped(text.as_bytes()),
        );
        at = (start + text.len()).next_multiple_of(SPAN_BYTES);
    }
    let mut resolve = Resolve::default();
    let package =
        resolve.push_str("identities.wit", &format!("package souk:composite; world identities {{ {exports} }}"))?;
    let world = resolve.select_world(&[package], None)?;
    let pages = at.div_ceil(PAGE_BYTES);
    assemble(&format!("(module (memory (export \"memory\") {pages}) {functions})"), &resolve, world)
}
