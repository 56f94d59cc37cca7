//! Adapter: the port `log` on a wasmCloud lattice, over the log of its host, which adds the component and the trace.

#[cfg(target_arch = "wasm32")]
mod component;
pub mod line;
