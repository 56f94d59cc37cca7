//! The shop in HTML, rendered here and working without JavaScript.
//!
//! An edge: it knows who is asking (cookies), what may be asked (forms with a CSRF token), and how answers look.
//! It owns no data: whatever it shows comes from a service, whatever is typed goes to one.

pub mod app;
#[cfg(target_arch = "wasm32")]
mod component;
pub mod cookies;
pub mod countries;
pub mod forms;
pub mod pages;
pub mod shop;
pub mod visit;
