//! What the tests share: a real shop process, clients of its API and its pages, and the suite that every port
//! implementation passes.

pub mod balancer;
pub mod browser;
pub mod checker;
pub mod chromium;
pub mod client;
pub mod crowd;
pub mod lattice;
pub mod mail;
pub mod ports_suite;
pub mod postgres;
pub mod shop;
pub mod spin;
pub mod wait;
