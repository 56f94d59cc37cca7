//! A component's WIT is its whole authority: every built component is compared with its world in `wit/worlds.wit`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use wit_component::DecodedWasm;
use wit_parser::{Resolve, WorldId, WorldItem};

/// Components and their worlds.
const WORLDS: [(&str, &str); 13] = [
    ("user", "user-service"),
    ("catalog", "catalog-service"),
    ("cart", "cart-service"),
    ("order", "order-service"),
    ("payment", "payment-service"),
    ("notification", "notification-service"),
    ("gateway", "gateway-edge"),
    ("storefront", "storefront-edge"),
    ("test-payments", "test-payments-connector"),
    ("stripe", "stripe-connector"),
    ("paypal", "paypal-connector"),
    ("mailbox", "mailbox-connector"),
    ("drain", "drain-edge"),
];

/// The connectors that have a way to the network. Nothing else has one.
const NETWORKED: [&str; 2] = ["stripe", "paypal"];

/// Adapters, and what of a platform each may import. Their own worlds stand beside them: no service knows a platform.
const ADAPTERS: [(&str, &[&str]); 6] = [
    ("adapter-http-out", &["souk:shop/", "wasi:"]),
    ("adapter-passwords", &["souk:shop/", "wasi:random/"]),
    ("adapter-spin", &["souk:shop/", "wasi:", "fermyon:spin/", "spin:"]),
    ("adapter-wasi-http", &["souk:shop/", "wasi:"]),
    ("adapter-wasmcloud-config", &["souk:shop/", "wasi:config/"]),
    ("adapter-wasmcloud-log", &["souk:shop/", "wasi:logging/"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ stands in the root").to_owned()
}

/// Names of the imported or exported interfaces that hold functions. An interface of types alone gives no authority.
fn interfaces<'a>(resolve: &'a Resolve, items: impl Iterator<Item = &'a WorldItem>) -> BTreeSet<String> {
    items
        .filter_map(|item| match item {
            WorldItem::Interface { id, .. } => Some(*id),
            WorldItem::Function(_) | WorldItem::Type { .. } => None,
        })
        .filter(|id| !resolve.interfaces[*id].functions.is_empty())
        .map(|id| resolve.id_of(id).expect("interfaces of a world have names"))
        .collect()
}

fn both(resolve: &Resolve, world: WorldId) -> (BTreeSet<String>, BTreeSet<String>) {
    let world = &resolve.worlds[world];
    (interfaces(resolve, world.imports.values()), interfaces(resolve, world.exports.values()))
}

/// A built component, taken apart.
fn built(component: &str) -> (Resolve, WorldId) {
    let file = format!("souk_{}.wasm", component.replace('-', "_"));
    let path = root().join("target/wasm32-unknown-unknown/component").join(file);
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run `make components`", path.display()));
    match wit_component::decode(&bytes).expect("it is a component") {
        DecodedWasm::Component(built, world) => (built, world),
        DecodedWasm::WitPackage(..) => panic!("{component} is not a component"),
    }
}

#[test]
fn adapters_reach_their_platform_and_nothing_else() {
    for (adapter, platform) in ADAPTERS {
        let (resolve, world) = built(adapter);
        let (imports, _) = both(&resolve, world);
        let foreign: Vec<_> =
            imports.iter().filter(|import| !platform.iter().any(|prefix| import.starts_with(prefix))).collect();
        assert!(foreign.is_empty(), "{adapter} imports {foreign:?}");
    }
}

#[test]
fn every_built_component_has_exactly_its_world() {
    let mut wit = Resolve::default();
    let (package, _) = wit.push_dir(root().join("wit")).expect("wit/ parses");
    for (component, world) in WORLDS {
        let (built, built_world) = built(component);
        let declared = wit.select_world(&[package], Some(world)).expect("worlds.wit has this world");
        let (imports, exports) = both(&built, built_world);
        let (may_import, must_export) = both(&wit, declared);
        assert_eq!(imports, may_import, "{component} imports exactly what {world} says");
        assert_eq!(exports, must_export, "{component} exports exactly what {world} says");
        let wasi: Vec<_> = imports.iter().filter(|name| name.starts_with("wasi:")).collect();
        let known = ["wasi:clocks/wall-clock@0.2.0", "wasi:random/random@0.2.0"];
        assert!(wasi.iter().all(|name| known.contains(&name.as_str())), "{component} imports {wasi:?}");
        let networked = imports.iter().any(|name| name.contains("http-out"));
        assert_eq!(networked, NETWORKED.contains(&component), "{component} has a way to the network: {networked}");
    }
}

#[test]
fn every_component_of_the_tree_is_compared() {
    let mut names: Vec<String> = fs::read_dir(root().join("components"))
        .expect("there are components")
        .map(|dir| dir.expect("components/ can be listed").file_name().to_string_lossy().into_owned())
        .filter(|name| name != "kit")
        .collect();
    names.sort();
    let mut compared: Vec<&str> = WORLDS.iter().map(|(component, _)| *component).collect();
    compared.extend(ADAPTERS.iter().map(|(adapter, _)| *adapter));
    compared.sort_unstable();
    assert_eq!(names, compared);
}
