//! Deterministic stand-ins for the outside companies that connectors talk to.
//!
//! Each is a plain state machine: time comes as an argument, and the same calls always give the same answers. It
//! knows nothing of Souk.

pub mod stripe;
