//! `souk-events`: hands what stands in the outbox to those who hear it.
//!
//! Every instance takes due events from Postgres, which decides which of them delivers what and remembers what came of
//! it, and puts them on the [courier](crate::courier); every instance also takes parcels from there and calls the
//! subscriber. Nothing is known of an event that Postgres does not know.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use souk_store::values::Event;
use souk_store::{Deliver, Store};
use tokio::sync::watch;
use wasmcloud_provider_sdk::provider::WrpcClient;
use wasmcloud_provider_sdk::{LinkConfig, LinkDeleteInfo, Provider, get_connection, load_host_data};

use crate::bindings::souk::shop::{events, subscriber, types};
use crate::courier::Courier;
use crate::ports::COMPONENT;
use crate::{provider, settings};

/// How long a subscriber may take for one event.
pub(crate) const HEAR_TIME_MAX: Duration = Duration::from_secs(10);

/// Whom to call for which component.
#[derive(Clone, Default)]
pub struct Subscribers(Arc<RwLock<HashMap<String, Subscriber>>>);

#[derive(Clone)]
struct Subscriber {
    /// Its id on the lattice.
    id: String,
    client: Arc<WrpcClient>,
}

/// Runs `souk-events`.
pub async fn run() -> anyhow::Result<()> {
    let host = load_host_data().context("the host says nothing of itself")?;
    let store = settings::store(host)?;
    let subscribers = Subscribers::default();
    let stop = provider::start("souk-events", subscribers.clone()).await?;
    let lattice = get_connection();
    let courier = Arc::new(Courier::new(Arc::clone(&lattice.nats), &lattice.lattice));
    let (worker_stop, worker_stopped) = watch::channel(false);
    let (up, is_up) = watch::channel(false);
    let worker = tokio::spawn({
        let courier = Arc::clone(&courier);
        async move { courier.work(subscribers, &up, worker_stopped).await }
    });
    relay(store, courier, is_up, stop).await;
    // Only now: what the relay still waited for may have been in this worker's hands.
    worker_stop.send_replace(true);
    worker.await.context("the worker failed")
}

/// Delivers by a courier.
pub fn deliver(courier: Arc<Courier>) -> Deliver {
    Arc::new(move |component: String, event: Event| {
        let courier = Arc::clone(&courier);
        let delivery: Pin<Box<dyn Future<Output = Result<(), String>> + Send>> =
            Box::pin(async move { courier.send(component, event).await });
        delivery
    })
}

/// Takes due events while the courier is up, so that its absence is no failed delivery of anything.
async fn relay(
    store: Arc<Store>,
    courier: Arc<Courier>,
    mut up: watch::Receiver<bool>,
    mut stop: watch::Receiver<bool>,
) {
    let deliver = deliver(courier);
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            up = up.wait_for(|up| *up) => if up.is_err() { return },
        }
        let (down, shutdown) = watch::channel(false);
        let mut running = std::pin::pin!(Arc::clone(&store).run_relay(Arc::clone(&deliver), shutdown));
        tokio::select! {
            () = &mut running => {}
            _ = stop.wait_for(|stop| *stop) => {}
            _ = up.wait_for(|up| !*up) => tracing::warn!("the courier is away; events wait in the outbox"),
        }
        down.send_replace(true);
        running.await;
    }
}

impl Subscribers {
    /// Links a component, by its id on the lattice.
    pub fn link(&self, component: &str, id: &str, client: WrpcClient) {
        let subscriber = Subscriber { id: id.to_owned(), client: Arc::new(client) };
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(component.to_owned(), subscriber);
    }

    /// Calls a subscriber.
    pub(crate) async fn hear(&self, component: &str, event: events::Event) -> Result<(), String> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(component).cloned();
        let Subscriber { client, .. } = known.ok_or_else(|| format!("no link leads to {component}"))?;
        let context = types::Context {
            // The id of the event finds all of its deliveries in the log.
            request_id: event.id.clone(),
            actor: types::Actor::System("event".to_owned()),
            client: String::new(),
        };
        let called = tokio::time::timeout(HEAR_TIME_MAX, subscriber::handle(&*client, None, &context, &event)).await;
        match called {
            Ok(Ok(heard)) => heard,
            Ok(Err(error)) => Err(format!("{error:#}")),
            Err(_) => Err(format!("no answer within {HEAR_TIME_MAX:?}")),
        }
    }
}

impl Provider for Subscribers {
    async fn receive_link_config_as_source(&self, link: LinkConfig<'_>) -> anyhow::Result<()> {
        let component = link.config.get(COMPONENT).filter(|component| !component.is_empty());
        let component = component
            .with_context(|| format!("the link to `{}` has no `{COMPONENT}` in its source config", link.target_id))?;
        let client = get_connection().get_wrpc_client_custom(link.target_id, Some(HEAR_TIME_MAX)).await?;
        self.link(component, link.target_id, client);
        Ok(())
    }

    async fn delete_link_as_source(&self, link: impl LinkDeleteInfo) -> anyhow::Result<()> {
        let mut subscribers = self.0.write().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|_, subscriber| subscriber.id != link.get_target_id());
        Ok(())
    }
}
