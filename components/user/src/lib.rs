//! Accounts: who someone is, how they prove it, and where parcels go.
//!
//! This service owns accounts, sessions, mailed tokens and address books. A session is renewed by a refresh token that
//! changes with every use; access tokens are signed here and verified by the edges without a call.
//!
//! It never keeps a secret that could be used again: passwords are Argon2id hashes, refresh and mailed tokens are
//! digests. It holds no orders and no carts, and it sends no mail: it states facts that `notification` hears.

#[cfg(target_arch = "wasm32")]
mod component;
pub mod domain;
pub mod service;
pub mod store;
