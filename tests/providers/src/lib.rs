//! Stand-ins for the outside companies that connectors talk to.
//!
//! Each company is a plain state machine: time and faults come as arguments, and the same calls always give the same
//! answers. [`server`] puts one behind HTTP for clients that need a socket. Nothing here knows of Souk.

pub mod random;
pub mod server;
pub mod stripe;
