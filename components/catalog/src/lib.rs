//! Products, categories, pictures and stock.
//!
//! This service owns what a shop sells and how many units of it there are. Stock moves only in guarded batches:
//! `0 <= reserved <= on hand` holds after each of them, and every unit that moves leaves a movement behind.
//! A reservation always expires, so a lost order cannot empty a shelf.
//!
//! It never looks at carts, orders or money paid, and it decides nobody's permissions: the edges do.

pub mod domain;
pub mod service;
mod store;

#[cfg(target_arch = "wasm32")]
mod component;

/// The values of the interface `catalog`. A component's exported interface has types of its own in Rust; using them
/// throughout leaves nothing to convert on the hot path. Natively the same types come from kit.
#[cfg(target_arch = "wasm32")]
pub use component::bindings::exports::souk::shop::catalog as values;
#[cfg(not(target_arch = "wasm32"))]
pub use souk_kit::catalog as values;

#[cfg(test)]
mod tests;
