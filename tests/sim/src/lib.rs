//! The shop under seeded faults: the shipped components in one thread, with simulated time, hosts, network and chance.
//!
//! A seed decides everything: who comes, what they do, in which order things happen and what goes wrong. Every write and
//! every call between components is a place where it can ([`fault`]); the laws of the books are checked after every commit and
//! at the end ([`laws`]). The same seed gives the same trace. Nothing here reads a clock, starts a thread or asks the system
//! for chance; only the command line, which runs many worlds side by side, does.

mod actors;
pub mod campaign;
pub mod fault;
mod fixture;
pub mod laws;
mod ports;
pub mod run;
pub mod shop;
mod trace;
pub mod value;
pub mod world;
