//! `spin up` for machines without Spin: serves the composites of a manifest on stand-ins for Spin's interfaces.
//!
//! `spin_stand_in MANIFEST DATABASE [ADDRESS]`; variables come from the environment, `SPIN_VARIABLE_NAME`. Prints the
//! address once it listens.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use souk_tests::spin::serve::Application;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: spin_stand_in MANIFEST DATABASE [ADDRESS]";
    let manifest = PathBuf::from(arguments.next().context(usage)?);
    let database = PathBuf::from(arguments.next().context(usage)?);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".into());
    let listener = TcpListener::bind(&address).await.with_context(|| format!("cannot listen on {address}"))?;
    let itself = listener.local_addr()?;
    let application = Application::load(&manifest, &database, itself, &std::env::vars().collect())?;
    println!("http://{itself}");
    application.serve(listener).await
}
