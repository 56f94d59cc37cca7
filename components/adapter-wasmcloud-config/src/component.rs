//! The component: bindings and exports.
#![allow(unsafe_code, reason = "the generated exports are called through the canonical ABI")]

use std::collections::BTreeMap;
use std::sync::OnceLock;

use bindings::exports::souk::shop::config::Guest;
use bindings::souk::shop::self_;
use bindings::wasi::config::store;

use crate::identity::Identity;

mod bindings {
    #![allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        reason = "generated from wit/, where the documentation is"
    )]
    wit_bindgen::generate!({
        path: ["../../wit", "wit/deps/config"],
        inline: "
            package souk:adapter-wasmcloud-config;

            world adapter {
              import souk:shop/self@0.1.0;
              import wasi:config/store@0.2.0-draft;
              export souk:shop/config@0.1.0;
            }
        ",
        generate_all,
    });
}

struct Adapter;

bindings::export!(Adapter with_types_in bindings);

/// Whom this instance serves.
fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| Identity::parse(&self_::describe()))
}

/// The lattice's values for the component, as they were when the first of them was asked for: the port promises that
/// they do not change during the life of an instance.
fn values() -> &'static BTreeMap<String, String> {
    static VALUES: OnceLock<BTreeMap<String, String>> = OnceLock::new();
    VALUES.get_or_init(|| {
        // The port has no way to say that values are away, and none is not the same as absent.
        let values = store::get_all().unwrap_or_else(|error| panic!("the configuration cannot be read: {error:?}"));
        values.into_iter().collect()
    })
}

impl Guest for Adapter {
    fn get(name: String) -> Option<String> {
        if identity().may_read(&name) { values().get(&name).cloned() } else { None }
    }
}
