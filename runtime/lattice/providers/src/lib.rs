//! Capability providers for a wasmCloud lattice: `souk-sql`, `souk-kv` and `souk-events`.
//!
//! They put wRPC in front of `souk-store`, which our own host uses as well, so the ports promise the same on a lattice.
//! A provider never migrates: `souk migrate --sql` does that before a deploy.

pub mod courier;
pub mod events;
pub mod ports;
pub mod provider;
mod settings;
mod values;

/// What crosses the lattice. Documented in `wit/`.
#[allow(missing_docs, reason = "generated from WIT, where every item is documented")]
#[allow(clippy::all, reason = "generated")]
#[allow(unused_qualifications, reason = "generated")]
pub mod bindings {
    wit_bindgen_wrpc::generate!({
        path: "../../../wit",
        inline: "
            package souk:lattice;

            world providers {
                import souk:shop/subscriber@0.1.0;
                export souk:shop/sql@0.1.0;
                export souk:shop/kv@0.1.0;
            }
        ",
        world: "souk:lattice/providers",
        generate_all,
    });
}
