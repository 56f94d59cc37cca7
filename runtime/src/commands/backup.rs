//! `souk backup`: copies the database to one file, also while it is in use.

use std::path::Path;

use anyhow::Context;

use super::{Outcome, Place};

/// Writes a copy that is as of one instant.
pub fn run(place: &Place, to: &Path) -> anyhow::Result<Outcome> {
    anyhow::ensure!(
        place.sql.is_none(),
        "this copies the data directory's database; copy one of Postgres with pg_dump --format=custom, which is of one instant too"
    );
    souk_store::backup(&place.data, to).with_context(|| format!("backup to {}", to.display()))?;
    println!("{}: {} bytes", to.display(), std::fs::metadata(to)?.len());
    Ok(Outcome::Good)
}
