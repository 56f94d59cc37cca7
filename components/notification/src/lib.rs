//! Messages to people, made from events.
//!
//! The service owns the log of messages: what was rendered, for whom, and what became of it. It hears facts about
//! accounts and orders, renders each once, and hands it to a channel until the channel takes it or it is given up.
//!
//! It never decides that something happened, and it never asks another service: all that a message says is in its event.

pub mod audit;
pub mod domain;
pub mod service;
pub mod store;

#[cfg(target_arch = "wasm32")]
mod component;
