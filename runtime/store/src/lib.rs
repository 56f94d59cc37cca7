//! What stands behind the ports `sql`, `kv` and `events`: rows, keys, batches and an outbox on SQLite or Postgres.
//!
//! [`Store`] is the door: the functions of the ports, the relay that delivers events, and what a command line asks for. It
//! takes and answers plain [`values`]. It knows no WebAssembly, no HTTP and nothing of what the rows are about, so our
//! own host, the capability providers of a lattice and the tests all use the same one. Without the feature `engine`
//! there are only the rules: [`limits`], [`outbox`], [`packing`] and [`shape`], for an adapter to another database.

#[cfg(feature = "engine")]
mod clock;
#[cfg(feature = "engine")]
mod engine;
pub mod limits;
#[cfg(feature = "engine")]
mod metrics;
#[cfg(feature = "engine")]
mod migrations;
pub mod outbox;
pub mod packing;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "engine")]
mod relay;
pub mod shape;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "engine")]
mod store;
pub mod values;

#[cfg(feature = "engine")]
pub use clock::Clock;
#[cfg(feature = "sqlite")]
pub use sqlite::{
    Restored, backup,
    memory::{Delivery, Memory},
    restore,
};
#[cfg(feature = "engine")]
pub use store::{Database, DeadLetter, Deliver, Replay, Settings, Store, Subscribers};
