//! What the rig asks of the lattice: named configs, and a manifest that is in place.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, sleep};
use wadm_client::error::ClientError;
use wadm_client::{ClientConnectOptions, ManifestLoader as _};
use wadm_types::api::StatusType;
use wadm_types::{Manifest, Properties};
use wasmcloud_control_interface::ClientBuilder;

/// How long everything in a manifest may take to be in place.
const DEPLOY_MAX: Duration = Duration::from_secs(240);
/// When what is still missing is asked for again: wadm waits long for a host that was too busy to answer.
const DEPLOY_AGAIN_AFTER: Duration = Duration::from_secs(45);
/// How often the lattice is asked.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// How long one question may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long answers are collected when every host is asked.
const ANSWERS_MAX: Duration = Duration::from_millis(300);
/// Where the checked-in manifest says that images are.
const REGISTRY: &str = "127.0.0.1:5000";
/// Where it says that shoppers find the shop.
const SHOP: &str = "127.0.0.1:3000";

/// A connection to the lattice.
pub struct Lattice {
    control: wasmcloud_control_interface::Client,
    wadm: wadm_client::Client,
    /// Where images really are.
    registry: String,
    /// Where the shop really is.
    http: String,
}

impl Lattice {
    /// Connects through NATS.
    pub async fn connect(nats: &str, registry: String, http: String) -> anyhow::Result<Lattice> {
        let client = async_nats::connect(nats).await.context("NATS does not answer")?;
        let control = ClientBuilder::new(client).timeout(ANSWER_MAX).auction_timeout(ANSWERS_MAX).build();
        let options = ClientConnectOptions { url: Some(nats.to_owned()), ..ClientConnectOptions::default() };
        let wadm = wadm_client::Client::new("default", None, options).await?;
        Ok(Lattice { control, wadm, registry, http })
    }

    /// The ids of the hosts that answer.
    pub async fn hosts(&self) -> anyhow::Result<Vec<String>> {
        let answers = self.control.get_hosts().await.map_err(anyhow::Error::from_boxed)?;
        Ok(answers.iter().filter_map(|answer| Some(answer.data()?.id().to_owned())).collect())
    }

    /// Puts a named config.
    pub async fn config(&self, name: &str, values: HashMap<String, String>) -> anyhow::Result<()> {
        let answer = self.control.put_config(name, values).await.map_err(anyhow::Error::from_boxed)?;
        anyhow::ensure!(answer.succeeded(), "the config {name} is refused: {}", answer.message());
        Ok(())
    }

    /// Deploys a manifest from this machine's images and waits until all of it is in place.
    pub async fn deploy(&self, manifest: &Path) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
        let text = text.replace(REGISTRY, &self.registry).replace(SHOP, &self.http);
        let manifest = text.into_bytes().load_manifest().await?;
        let name = manifest.metadata.name.clone();
        match self.wadm.put_manifest(&manifest).await {
            // The same version again: what it says is put in place again.
            Err(ClientError::ApiError(reason)) if reason.contains("already exists") => {}
            put => drop(put?),
        }
        self.wadm.deploy_manifest(&name, None).await?;
        let mut asked = Instant::now();
        let deadline = asked + DEPLOY_MAX;
        loop {
            let status = self.wadm.get_manifest_status(&name).await?;
            // For a moment the status is still that of the version before.
            if status.info.status_type == StatusType::Deployed && self.is_configured(&manifest).await? {
                return Ok(());
            }
            let missing = || {
                let scalers = status.scalers.iter().filter(|scaler| scaler.info.status_type != StatusType::Deployed);
                scalers
                    .map(|scaler| format!("{} {}: {}", scaler.kind, scaler.name, scaler.info.message))
                    .collect::<Vec<_>>()
            };
            anyhow::ensure!(Instant::now() < deadline, "not deployed within {DEPLOY_MAX:?}: {}", missing().join("; "));
            if asked.elapsed() > DEPLOY_AGAIN_AFTER {
                self.wadm.deploy_manifest(&name, None).await?;
                asked = Instant::now();
            }
            sleep(ASK_EVERY).await;
        }
    }

    /// Whether the lattice has the values that a manifest gives its components and providers.
    async fn is_configured(&self, manifest: &Manifest) -> anyhow::Result<bool> {
        for component in &manifest.spec.components {
            let configs = match &component.properties {
                Properties::Component { properties } => &properties.config,
                Properties::Capability { properties } => &properties.config,
            };
            for config in configs {
                let Some(values) = &config.properties else { continue };
                let name = stored_name(&manifest.metadata.name, &config.name);
                let answer = self.control.get_config(&name).await.map_err(anyhow::Error::from_boxed)?;
                if answer.data() != Some(values) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// The name under which wadm keeps a config of a manifest (`compute_component_id` in wadm 0.21).
fn stored_name(manifest: &str, config: &str) -> String {
    let plain = |name: &str| name.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    format!("{}-{}", plain(manifest), plain(config))
}
