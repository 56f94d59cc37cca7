//! A component's WIT is its whole authority: every built component is compared with its world in `wit/worlds.wit`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use wit_component::DecodedWasm;
use wit_parser::{Resolve, WorldId, WorldItem};

/// Components and their worlds.
const WORLDS: [(&str, &str); 10] = [
    ("user", "user-service"),
    ("catalog", "catalog-service"),
    ("cart", "cart-service"),
    ("order", "order-service"),
    ("payment", "payment-service"),
    ("notification", "notification-service"),
    ("gateway", "gateway-edge"),
    ("storefront", "storefront-edge"),
    ("test-payments", "test-payments-connector"),
    ("mailbox", "mailbox-connector"),
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

#[test]
fn every_built_component_has_exactly_its_world() {
    let mut wit = Resolve::default();
    let (package, _) = wit.push_dir(root().join("wit")).expect("wit/ parses");
    for (component, world) in WORLDS {
        let file = format!("souk_{}.wasm", component.replace('-', "_"));
        let path = root().join("target/wasm32-unknown-unknown/component").join(file);
        let bytes =
            fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run `make components`", path.display()));
        let DecodedWasm::Component(built, built_world) = wit_component::decode(&bytes).expect("it is a component")
        else {
            panic!("{component} is not a component");
        };
        let declared = wit.select_world(&[package], Some(world)).expect("worlds.wit has this world");
        let (imports, exports) = both(&built, built_world);
        let (may_import, must_export) = both(&wit, declared);
        assert_eq!(imports, may_import, "{component} imports exactly what {world} says");
        assert_eq!(exports, must_export, "{component} exports exactly what {world} says");
        let wasi: Vec<_> = imports.iter().filter(|name| name.starts_with("wasi:")).collect();
        let known = ["wasi:clocks/wall-clock@0.2.0", "wasi:random/random@0.2.0"];
        assert!(wasi.iter().all(|name| known.contains(&name.as_str())), "{component} imports {wasi:?}");
        assert!(!imports.iter().any(|name| name.contains("http-out")), "{component} has a way to the network");
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
    compared.sort_unstable();
    assert_eq!(names, compared);
}
