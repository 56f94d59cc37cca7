//! One wasmCloud host.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use wasmcloud_host::url::Url;
use wasmcloud_host::wasmbus::Host;
use wasmcloud_host::{OciConfig, WasmbusHostConfig};

/// How long a call of a component may take. A reply can be lost on the way: what waits for it must not wait for long.
const CALL_TIME_MAX: Duration = Duration::from_secs(10);
/// Linear memory of one instance. The largest limit in `spin.toml` is half of this.
const MEMORY_MAX: u32 = 64 << 20;
/// Core instances at once, of all components. A call takes six to ten: each adapter inside a component is some.
const INSTANCES_MAX: u32 = 10_000;
/// How often a host says that it is alive. wadm notices its absence after a few of these.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long a provider may take to end.
const PROVIDER_END_MAX: Duration = Duration::from_secs(15);
/// How long everything may take to end.
const END_MAX: Duration = Duration::from_secs(20);

/// How a host is run.
#[derive(Args)]
pub struct Run {
    /// Where NATS is.
    #[arg(long, default_value = "nats://127.0.0.1:4222")]
    nats: Url,
    /// A label of the host, `host=NAME`.
    #[arg(long)]
    name: String,
    /// A registry of images that is asked without TLS, HOST:PORT.
    #[arg(long)]
    insecure_registry: Vec<String>,
}

/// Runs a host until it is told to stop.
pub async fn run(run: Run) -> anyhow::Result<()> {
    let config = WasmbusHostConfig {
        ctl_nats_url: run.nats.clone(),
        rpc_nats_url: run.nats,
        labels: HashMap::from([("host".to_owned(), run.name)]),
        oci_opts: OciConfig { allowed_insecure: run.insecure_registry, ..OciConfig::default() },
        allow_file_load: true,
        max_execution_time: CALL_TIME_MAX,
        rpc_timeout: CALL_TIME_MAX,
        max_linear_memory: MEMORY_MAX,
        max_components: INSTANCES_MAX,
        heartbeat_interval: Some(HEARTBEAT),
        provider_shutdown_delay: Some(PROVIDER_END_MAX),
        ..WasmbusHostConfig::default()
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let (host, shutdown) = Box::pin(Host::new(config)).await.context("the host cannot start")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
        stopped = host.stopped() => drop(stopped?),
    }
    drop(host);
    tokio::time::timeout(END_MAX, shutdown).await.context("the host did not end in time")?
}
