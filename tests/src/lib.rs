//! What the tests share: a real shop process, clients of its API and its pages, a simulated company beside it, and the
//! suite that every port implementation passes.

pub mod balancer;
pub mod browser;
pub mod checker;
pub mod chromium;
pub mod client;
pub mod crowd;
pub mod disk;
pub mod folder;
pub mod lattice;
pub mod mail;
pub mod paypal;
pub mod ports_suite;
pub mod postgres;
pub mod scene;
pub mod shop;
pub mod shoppers;
pub mod spin;
pub mod stripe;
pub mod time;
pub mod wait;
