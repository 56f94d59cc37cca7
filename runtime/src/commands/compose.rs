//! `souk compose`: makes one component file, for another platform, out of several. Runs nothing.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::{Misconfigured, Outcome};
use crate::{
    compose::{Options, compose},
    manifest::{self, Manifest},
};

/// What to compose and where to put it.
#[derive(Args)]
pub struct Compose {
    /// The component of the manifest that the composite is made around.
    component: String,
    /// Puts everything inside that it is linked to, down to the last; and, if it imports all subscribers, those.
    /// Without it links stay imports.
    #[arg(long)]
    follow: bool,
    /// A component that answers ports; give it for each. The first that exports a port answers it, and each component
    /// inside gets an instance of its own.
    #[arg(long = "adapter", value_name = "FILE")]
    adapters: Vec<PathBuf>,
    /// A component that imports what the component exports. The composite has its exports.
    #[arg(long, value_name = "FILE")]
    edge: Option<PathBuf>,
    /// How the name of an import that may be left starts, like wasi:clocks/; give it for each. Links that stay are
    /// allowed without it.
    #[arg(long, value_name = "START")]
    allow: Vec<String>,
    /// The file to write.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// The manifest of the application.
    #[arg(long, value_name = "FILE", default_value = "spin.toml")]
    manifest: PathBuf,
}

/// Composes, writes the file, and prints what is inside and what it imports and exports.
pub fn run(command: &Compose) -> anyhow::Result<Outcome> {
    let (manifest, findings) = Manifest::load(&command.manifest);
    if !findings.is_empty() {
        return Err(Misconfigured(manifest::sorted(findings)).into());
    }
    let options = Options {
        follow: command.follow,
        adapters: &command.adapters,
        edge: command.edge.as_deref(),
        allow: &command.allow,
    };
    let composite = compose(&manifest, &command.component, &options)
        .with_context(|| format!("{} cannot be composed", command.component))?;
    let output = &command.output;
    if let Some(directory) = output.parent() {
        std::fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    }
    std::fs::write(output, &composite.bytes).with_context(|| format!("{} cannot be written", output.display()))?;
    println!("{} ({} bytes)", output.display(), composite.bytes.len());
    println!("  inside:  {}", composite.members.join(", "));
    println!("  imports: {}", composite.imports.join(", "));
    println!("  exports: {}", composite.exports.join(", "));
    Ok(Outcome::Good)
}
