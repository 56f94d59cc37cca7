//! `souk restore`: makes a database of a continuous backup.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::Outcome;

/// What `souk restore` is told.
#[derive(Args, Debug)]
pub struct Restore {
    /// The directory that `souk up --backup` has filled.
    pub dir: PathBuf,
    /// The new file; put it into a data directory as souk.db.
    pub file: PathBuf,
    /// The instant of UTC whose state is wanted, such as 2027-01-31T09:30:00Z, in place of the last one.
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
}

/// Writes the file and says up to when everything is in it.
pub fn run(restore: &Restore) -> anyhow::Result<Outcome> {
    let file: &Path = &restore.file;
    let restored = souk_store::restore(&restore.dir, file, restore.at.as_deref())
        .with_context(|| format!("restore of {}", restore.dir.display()))?;
    println!("{}: as of {}, of {} segments", file.display(), restored.until, restored.segments);
    Ok(Outcome::Good)
}
