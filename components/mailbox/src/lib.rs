//! Messages kept instead of sent, for test mode.
//!
//! The connector owns the newest messages that a channel of its name was given, and shows them at `/dev/mailbox`.
//!
//! It never sends anything anywhere, and it guards nothing: whoever reaches its pages reads every mail, with the
//! links in it. A shop in earnest does not route to it.

pub mod domain;
pub mod pages;
pub mod service;
pub mod store;

#[cfg(target_arch = "wasm32")]
mod component;
