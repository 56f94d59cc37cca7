//! Orders: the agreement with frozen prices, and the checkout that makes it.
//!
//! An order owns its lines, totals, addresses, parcels, commands and timeline. Its checkout is a saga over `cart`,
//! `catalog` and `payment`: every call it makes is named by the order's id and may be made again, and one
//! guarded transition of the order's row decides between confirmed and canceled. Whatever dies on the way, a repeat,
//! the shopper's return, the provider's news or a timer goes on from the row.
//!
//! It never sets a price, never counts stock, never moves money itself and never sends mail.

pub mod domain;
pub mod ports;
pub mod service;
mod store;

#[cfg(target_arch = "wasm32")]
mod component;

#[cfg(test)]
mod tests;
