//! Provider archives: the files that wasmCloud takes capability providers from.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use nkeys::KeyPair;
use provider_archive::ProviderArchive;

/// Which programs are packed, and where to.
#[derive(Args)]
pub struct Pack {
    /// The folder for the archives, `NAME.par` each.
    #[arg(long)]
    to: PathBuf,
    /// Programs of capability providers.
    #[arg(required = true)]
    programs: Vec<PathBuf>,
}

/// Packs each program, signed by keys that are made for this and thrown away: the rig trusts its own files.
pub async fn pack(pack: &Pack) -> anyhow::Result<()> {
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    tokio::fs::create_dir_all(&pack.to).await?;
    for program in &pack.programs {
        let name = program.file_name().and_then(|name| name.to_str()).context("a program has a name")?;
        let bytes = tokio::fs::read(program).await.with_context(|| format!("cannot read {}", program.display()))?;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let mut archive = ProviderArchive::new(name, "Souk", Some(1), Some(version));
        let written = archive.add_library(&target, &bytes);
        written.map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
        let (issuer, subject) = (KeyPair::new_account(), KeyPair::new_service());
        let written = archive.write(pack.to.join(format!("{name}.par")), &issuer, &subject, false).await;
        written.map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
    }
    Ok(())
}
