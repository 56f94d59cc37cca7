//! Delivers events that are due, on a platform whose host has no relay of its own.
//!
//! Whoever asks for it, over HTTP and with the secret, has what is due delivered, up to a number and a time. Asking
//! twice at once is harmless: the outbox gives an event to one deliverer at a time. It decides nothing about
//! order, repeats and dead letters, which are the outbox's, and keeps nothing.

pub mod door;
pub mod round;

#[cfg(target_arch = "wasm32")]
mod component;
