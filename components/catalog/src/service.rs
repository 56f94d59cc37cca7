//! The use cases: load, decide, commit.

use crate::values::CatalogError;

pub mod audit;
pub mod categories;
pub mod media;
pub mod products;
pub mod stock;

/// How often a command that names no version reads again after another writer came first. Each time someone else
/// has made progress, so only a crowd on one subject comes this far; the caller then hears `conflict`.
pub const ATTEMPTS_MAX: u32 = 10;

/// Runs load, decide and commit until the commit's guards hold. An attempt answers none when another writer came first.
fn decided<T>(mut attempt: impl FnMut() -> Result<Option<T>, CatalogError>) -> Result<T, CatalogError> {
    for _ in 0..ATTEMPTS_MAX {
        if let Some(outcome) = attempt()? {
            return Ok(outcome);
        }
    }
    Err(CatalogError::Conflict)
}
