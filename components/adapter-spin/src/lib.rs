//! The ports on Spin: one instance serves one component, with what the manifest grants to that one.
//!
//! `sql`, `kv` and the outbox are rows of Spin's SQLite, `config` is Spin's variables and `log` its standard error. The
//! other ports are the same on every platform and have adapters of their own (`adapter-http-out`, `adapter-passwords`).
//! Nothing else knows Spin. What Spin does not do is not promised here, and `docs/spin.md` says what that is: there is no
//! authorizer, no deadline for a statement and no limit of what one component may keep busy.

pub mod guard;
pub mod identity;
pub mod ingress;
pub mod store;

#[cfg(target_arch = "wasm32")]
mod component;
