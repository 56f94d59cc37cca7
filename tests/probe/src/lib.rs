//! An edge that makes one port call for each request, so that tests reach the ports of a platform from outside.
//!
//! The body of a request is the call and that of the response is its answer, both in JSON: the values of `wit/` under their
//! names in Rust. No shop has it inside.

#[cfg(target_arch = "wasm32")]
mod component;
