//! Adapter: the port `config` on a wasmCloud lattice, over the named configs that `wadm.yaml` gives a component.

#[cfg(target_arch = "wasm32")]
mod component;
pub mod identity;
