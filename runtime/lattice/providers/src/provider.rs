//! What every provider does: answer calls, within a bound, until its host says stop or is gone.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::{StreamExt, stream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use wasmcloud_provider_sdk::provider::InvocationStreams;
use wasmcloud_provider_sdk::tracing_subscriber::{EnvFilter, fmt};
use wasmcloud_provider_sdk::{Provider, run_provider};

/// Calls that one provider answers at once; more wait on the wire.
const CALLS_MAX: u32 = 256;
/// How long calls under way may take to end when the provider stops.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// How often a provider looks whether its host is still there.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What is logged when `RUST_LOG` does not say.
const LOG: &str = "warn,souk_providers=info,souk_store=info,souk_http=info,souk_server=info";

/// The whole `main` of a provider: logs to standard error, and says why it ended when it should not have.
pub fn main(run: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG));
    fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the provider cannot run");
            ExitCode::FAILURE
        }
    }
}

/// Connects a provider to its lattice. What it answers turns true when the provider is to end: its host says so, or is gone.
pub async fn start(
    name: &'static str,
    provider: impl Provider + Send + 'static,
) -> anyhow::Result<watch::Receiver<bool>> {
    let commands = run_provider(provider, name).await.context("the lattice cannot be joined")?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            () = commands => tracing::info!("the host ends this provider"),
            () = orphaned() => tracing::warn!("the host is gone; its provider ends"),
        }
        stop.send_replace(true);
    });
    Ok(stopped)
}

/// Answers calls until `stop` turns true, and then those under way.
pub async fn serve(calls: InvocationStreams, mut stop: watch::Receiver<bool>) {
    let turns = Arc::new(Semaphore::new(CALLS_MAX as usize));
    let named =
        |(interface, function, calls): (_, _, _)| StreamExt::map(calls, move |call| (interface, function, call));
    let mut calls = stream::select_all(calls.into_iter().map(named));
    loop {
        let next = async {
            let turn = Arc::clone(&turns).acquire_owned().await.ok()?;
            Some((turn, calls.next().await?))
        };
        let (turn, (interface, function, call)) = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            next = next => match next {
                Some(next) => next,
                None => break,
            },
        };
        match call {
            Ok(call) => drop(tokio::spawn(async move {
                if let Err(error) = call.await {
                    tracing::warn!(interface, function, error = format!("{error:#}"), "a call was not answered");
                }
                drop(turn);
            })),
            Err(error) => {
                tracing::warn!(interface, function, error = format!("{error:#}"), "a call was not understood");
            }
        }
    }
    if timeout(DRAIN_MAX, turns.acquire_many(CALLS_MAX)).await.is_err() {
        tracing::warn!("calls were still under way when the time to finish them was over");
    }
}

/// Waits until the host that started this process is gone. A killed host leaves its providers behind, which
/// would go on with links and config that nobody can change.
async fn orphaned() {
    let host = std::os::unix::process::parent_id();
    while std::os::unix::process::parent_id() == host {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
