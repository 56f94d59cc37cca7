//! Payments: money held, taken and given back for orders.
//!
//! Owns one payment per order that is not declined or voided, the commands that captured, voided or refunded it,
//! and a double-entry ledger of every amount that moved (see [`domain::ledger`] for the accounts).
//!
//! Every effect at a payment provider takes two commits: the intent before the call, whose id is the idempotency
//! key, and the outcome after it. An answer is believed only when it fits the intent. When an answer is lost the
//! payment waits, the amount stays reserved, and a timer asks the provider about the same object until it tells.
//!
//! Never here: card data (a provider's token stands for it), prices, what an order does with the money, and which
//! component speaks for which provider.

pub mod audit;
#[cfg(target_arch = "wasm32")]
mod component;
pub mod domain;
pub mod service;
pub mod store;

#[cfg(test)]
mod tests;
