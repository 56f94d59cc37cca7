//! The capability provider `souk-http`: HTTP in front of the edges of a lattice.
//!
//! Connections, limits, rate limits, routes and problem documents are those of our own host (`souk-server`). Behind them
//! an edge is called over wRPC, and what only a network does to a call is dealt with here: an edge that is not there,
//! an answer that never comes, a trap somewhere below. It never looks into a request beyond what decides whether a repeat is harmless.

mod calls;
mod link;
mod repeat;
mod routes;
mod settings;

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use prometheus::{Registry, TextEncoder};
use souk_providers::provider;
use souk_server::{Metrics, Shared, StatusCode, health, serve_private, text};
use tokio::net::{TcpListener, TcpSocket};
use wasmcloud_provider_sdk::load_host_data;

use crate::{calls::Calls, routes::Routes, settings::Settings};

/// Connections that wait in the kernel until they are accepted.
const BACKLOG: u32 = 1_024;

fn main() -> ExitCode {
    provider::main(run())
}

/// Serves until the host says stop or is gone, and then what is under way.
async fn run() -> anyhow::Result<()> {
    let host = load_host_data().context("the host says nothing of itself")?;
    let settings = Settings::read(&host.config)?;
    let registry = Registry::new();
    let metrics = Arc::new(Metrics::new(&registry)?);
    let calls = Calls::new(&registry)?;
    let shared = Shared::new(Routes::default(), metrics, settings.trusted_proxies);
    let listener = listen(settings.address)?;
    if let Some(address) = settings.private {
        operate(address, registry, shared.clone()).await;
    }
    let stop = provider::start("souk-http", link::Links::new(shared.clone(), calls)).await?;
    tracing::info!(listen = %settings.address, "listening");
    souk_server::serve(listener, shared, stop).await;
    Ok(())
}

/// Listens, also where another host of this machine has a provider at the same address: the kernel deals connections out.
fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bound().with_context(|| format!("cannot listen at {address}; name another `address` in the config of the provider"))
}

/// Answers operators. Of several hosts of one machine the first has the address; the others go without.
async fn operate(address: SocketAddr, registry: Registry, shared: Arc<Shared<Routes>>) {
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => return tracing::warn!(%address, %error, "no metrics: the private address is taken"),
    };
    tokio::spawn(serve_private(listener, move |request| {
        let (registry, shared) = (registry.clone(), shared.clone());
        async move {
            let path = request.uri().path();
            if let Some(response) = health(&*shared, path) {
                return response;
            }
            if path != "/metrics" {
                return text(StatusCode::NOT_FOUND, "not found\n");
            }
            match TextEncoder::new().encode_to_string(&registry.gather()) {
                Ok(metrics) => text(StatusCode::OK, metrics),
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
            }
        }
    }));
}
