//! Carts: what a shopper intends to buy, and whose it is.
//!
//! The service owns values of the `kv` port: one for each cart, and one for each user that lists their carts. A cart is
//! one value, so every change of it is one conditional write, and the value's version is the version of the cart.
//!
//! A cart never holds stock, never holds money and never believes a price: the catalog prices it at every reading.

pub mod domain;
pub mod service;
pub mod store;

#[cfg(target_arch = "wasm32")]
mod component;
