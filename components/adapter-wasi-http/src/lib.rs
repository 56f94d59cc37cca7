//! An edge on any host that speaks `wasi:http` 0.2: bounded, checked values inside, resources outside.
//!
//! It does here what the HTTP server of Souk's own host does there: what could be read in two ways is refused, a body is
//! read up to the edge's limit and not forever, and what goes wrong becomes a problem document. It knows no platform: who
//! sent a request is asked of `ingress`. It never looks into a body and owns no data.

pub mod problem;
pub mod request;
pub mod response;

#[cfg(target_arch = "wasm32")]
mod component;
