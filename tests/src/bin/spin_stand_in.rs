//! `spin up` for machines without Spin: serves the composites of a manifest on stand-ins for Spin's interfaces.
//!
//! Takes the options of `spin up` that the tests use. Variables come from the environment, `SPIN_VARIABLE_NAME`.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Parser;
use souk_tests::spin::serve::Application;
use tokio::net::TcpListener;

#[derive(Parser)]
enum Command {
    Up {
        /// The manifest.
        #[arg(long)]
        from: PathBuf,
        /// Where the database is.
        #[arg(long)]
        state_dir: PathBuf,
        #[arg(long)]
        listen: SocketAddr,
        /// Says nothing; there is nothing to say.
        #[arg(long)]
        quiet: bool,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let Command::Up { from, state_dir, listen, quiet: _ } = Command::parse();
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let application = Application::load(&from, &state_dir.join("sqlite_db.db"), listen, &std::env::vars().collect())?;
    application.serve(listener).await
}
