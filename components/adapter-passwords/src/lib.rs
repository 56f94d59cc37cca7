//! Adapter: the port `passwords` where the platform has none, with Argon2id inside the component.
//!
//! It keeps `wit/passwords.wit` with the parameters and limits of our own host, so that a hash of either is good on the
//! other. Its one import is randomness, and it knows no platform. What it cannot keep is the bounded queue: how many
//! passwords are hashed at once is bounded by how many instances of `user` the platform runs.

#[cfg(target_arch = "wasm32")]
mod component;
pub mod hashing;
