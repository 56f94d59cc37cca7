//! A whole wasmCloud lattice on one machine, for tests and local trials.
//!
//! `souk-lattice up` starts NATS, Postgres, an image registry, wadm and two hosts, and ends them when it ends; its
//! other verbs are the programs that it starts. A real lattice needs none of this: there, each runs where and as
//! wasmCloud's documentation says.
// The futures of a wasmCloud host are nested deeper than rustc follows by itself.
#![recursion_limit = "512"]

mod deploy;
pub mod host;
pub mod nats;
pub mod pack;
pub mod postgres;
pub mod process;
mod registry;
pub mod rig;
