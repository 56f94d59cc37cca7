//! What all components share: values, bindings of the shared interfaces, the ports as traits, and test ports.
//!
//! Kit depends on nothing of ours and holds nothing that fewer than three components use. It decides nothing:
//! every rule of commerce lives in a service.

#[cfg(target_arch = "wasm32")]
mod arena;
pub mod bindings;
pub mod check;
pub mod cursor;
#[cfg(target_arch = "wasm32")]
pub mod guest;
#[cfg(feature = "http")]
pub mod http;
pub mod ids;
pub mod money;
pub mod ports;
pub mod sql;
#[cfg(feature = "test-ports")]
pub mod testing;
#[cfg(feature = "tokens")]
pub mod tokens;

pub use bindings::souk::shop::{
    cart, catalog, events, kv, notification, notification_channels, notification_extension, order, passwords, payment,
    payment_extension, payment_providers, types, user,
};
pub use ports::{Call, Config, Kv, Passwords, Sql};
pub use types::{Actor, Address, Context, FieldError, Id, Instant, Money, PageRequest};
