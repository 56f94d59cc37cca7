//! `souk-sql` and `souk-kv`: the ports `sql` and `kv` over Postgres.
//!
//! A link says under which name a component's rows and keys are kept; a component without a link has none.
//! `kv` is Postgres too, and not a bucket of JetStream: a bucket is lost with NATS, which is only a courier here, and
//! it has neither increments nor a time to live for each key.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use souk_store::Store;
use souk_store::values::{Batch, KvError, Read, SqlError};
use wasmcloud_provider_sdk::{
    Context, HealthCheckRequest, HealthCheckResponse, LinkConfig, LinkDeleteInfo, Provider, get_connection,
    load_host_data,
};

use crate::bindings::exports::souk::shop::{kv, sql};
use crate::{provider, settings};

/// How long a call may take. Its caller gives up after ten seconds, and a late answer helps nobody.
const CALL_TIME_MAX: Duration = Duration::from_secs(5);
/// The key of a link's config that names the component.
pub(crate) const COMPONENT: &str = "component";

/// The ports of all linked components.
#[derive(Clone)]
pub struct Ports {
    store: Arc<Store>,
    /// Our names of the linked components, by their ids on the lattice.
    components: Arc<RwLock<HashMap<String, Arc<str>>>>,
}

/// Runs `souk-sql`.
pub async fn run_sql() -> anyhow::Result<()> {
    let ports = Ports::open()?;
    let stop = provider::start("souk-sql", ports.clone()).await?;
    let lattice = get_connection();
    let client = lattice.get_wrpc_client(lattice.provider_key()).await?;
    provider::serve(sql::serve_interface(&client, ports).await?.into(), stop).await;
    Ok(())
}

/// Runs `souk-kv`.
pub async fn run_kv() -> anyhow::Result<()> {
    let ports = Ports::open()?;
    let stop = provider::start("souk-kv", ports.clone()).await?;
    let lattice = get_connection();
    let client = lattice.get_wrpc_client(lattice.provider_key()).await?;
    provider::serve(kv::serve_interface(&client, ports).await?.into(), stop).await;
    Ok(())
}

impl Ports {
    /// The ports over a store, with no component linked.
    pub fn new(store: Arc<Store>) -> Ports {
        Ports { store, components: Arc::default() }
    }

    fn open() -> anyhow::Result<Ports> {
        let host = load_host_data().context("the host says nothing of itself")?;
        Ok(Ports::new(settings::store(host)?))
    }

    /// Links a component by its id on the lattice.
    pub fn link(&self, id: &str, component: &str) {
        self.components.write().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), component.into());
    }

    /// Who calls, by the name under which its data is kept.
    fn caller(&self, context: Option<Context>) -> Result<Arc<str>, String> {
        let id = context.and_then(|context| context.component).unwrap_or_default();
        let components = self.components.read().unwrap_or_else(PoisonError::into_inner);
        // The host lets only a linked component call, so the link is on its way.
        components.get(&id).cloned().ok_or_else(|| format!("the link of `{id}` has not arrived"))
    }
}

impl Provider for Ports {
    async fn receive_link_config_as_target(&self, link: LinkConfig<'_>) -> anyhow::Result<()> {
        let component = link.config.get(COMPONENT).filter(|component| !component.is_empty());
        let component = component
            .with_context(|| format!("the link from `{}` has no `{COMPONENT}` in its target config", link.source_id))?;
        self.link(link.source_id, component);
        Ok(())
    }

    async fn delete_link_as_target(&self, link: impl LinkDeleteInfo) -> anyhow::Result<()> {
        self.components.write().unwrap_or_else(PoisonError::into_inner).remove(link.get_source_id());
        Ok(())
    }

    /// What `wash app status` shows of the database.
    async fn health_request(&self, _: &HealthCheckRequest) -> anyhow::Result<HealthCheckResponse> {
        let message = self.store.ready().await.err();
        Ok(HealthCheckResponse { healthy: message.is_none(), message })
    }
}

impl sql::Handler<Option<Context>> for Ports {
    async fn query(
        &self,
        context: Option<Context>,
        reads: Vec<sql::Read>,
        batch_id: Option<String>,
    ) -> anyhow::Result<Result<sql::Snapshot, sql::SqlError>> {
        let answer = async {
            let component = self.caller(context).map_err(SqlError::Unavailable)?;
            let reads: Vec<Read> = reads.into_iter().map(Into::into).collect();
            self.store.query(&component, &reads, batch_id.as_deref(), deadline()).await
        };
        Ok(answer.await.map(Into::into).map_err(Into::into))
    }

    async fn commit(
        &self,
        context: Option<Context>,
        batch: sql::Batch,
    ) -> anyhow::Result<Result<Vec<u64>, sql::SqlError>> {
        let answer = async {
            let component = self.caller(context).map_err(SqlError::Unavailable)?;
            self.store.commit(&component, Batch::from(batch), deadline()).await
        };
        Ok(answer.await.map_err(Into::into))
    }
}

impl kv::Handler<Option<Context>> for Ports {
    async fn get(
        &self,
        context: Option<Context>,
        key: String,
    ) -> anyhow::Result<Result<Option<kv::Entry>, kv::KvError>> {
        let answer = async {
            let component = self.caller(context).map_err(KvError::Unavailable)?;
            self.store.kv_get(&component, &key, deadline()).await
        };
        Ok(answer.await.map(|entry| entry.map(Into::into)).map_err(Into::into))
    }

    async fn set(
        &self,
        context: Option<Context>,
        key: String,
        value: String,
        condition: kv::Condition,
        ttl_seconds: Option<u64>,
    ) -> anyhow::Result<Result<u64, kv::KvError>> {
        let answer = async {
            let component = self.caller(context).map_err(KvError::Unavailable)?;
            self.store.kv_set(&component, key, value, condition.into(), ttl_seconds, deadline()).await
        };
        Ok(answer.await.map_err(Into::into))
    }

    async fn delete(
        &self,
        context: Option<Context>,
        key: String,
        condition: kv::Condition,
    ) -> anyhow::Result<Result<(), kv::KvError>> {
        let answer = async {
            let component = self.caller(context).map_err(KvError::Unavailable)?;
            self.store.kv_delete(&component, key, condition.into(), deadline()).await
        };
        Ok(answer.await.map_err(Into::into))
    }

    async fn increment(
        &self,
        context: Option<Context>,
        key: String,
        by: i64,
        ttl_seconds: Option<u64>,
    ) -> anyhow::Result<Result<i64, kv::KvError>> {
        let answer = async {
            let component = self.caller(context).map_err(KvError::Unavailable)?;
            self.store.kv_increment(&component, key, by, ttl_seconds, deadline()).await
        };
        Ok(answer.await.map_err(Into::into))
    }
}

fn deadline() -> Instant {
    Instant::now() + CALL_TIME_MAX
}
