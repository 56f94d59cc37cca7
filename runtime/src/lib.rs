//! The host: reads a manifest, links components by their interfaces, gives them their ports, and answers HTTP.
//!
//! It knows WebAssembly, HTTP and the ports. It never knows what the components are about: no name of a
//! service, a route or a fact stands in this crate.

pub mod app;
pub mod call;
pub mod commands;
pub mod compose;
pub mod edge;
pub mod engine;
pub mod fuse;
pub mod link;
pub mod log;
pub mod manifest;
pub mod metrics;
pub mod ports;
pub mod providers;
pub mod readiness;
pub mod server;
pub mod shape;
pub mod variables;
