//! `souk backup`: copies the database to one file, also while it is in use.

use std::path::Path;

use anyhow::Context;

use super::{Outcome, Place};

/// Writes a copy that is as of one instant.
pub fn run(place: &Place, to: &Path) -> anyhow::Result<Outcome> {
    souk_store::backup(&place.database(), to).with_context(|| format!("backup to {}", to.display()))?;
    println!("{}: {} bytes", to.display(), std::fs::metadata(to)?.len());
    Ok(Outcome::Good)
}
