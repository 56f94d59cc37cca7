//! `souk up`: serves the application until it is told to stop.
//!
//! SIGTERM and SIGINT let requests finish; SIGHUP loads the manifest and changed components anew and, when all
//! of it is well, puts the new application in the old one's place between two requests.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;
use souk_server::{DRAIN_MAX, trace::Trace};
use souk_store::{Deliver, values};
use tokio::{
    net::TcpListener,
    runtime::Handle,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use super::{Outcome, Place, operator::Announced};
use crate::{
    app::{Host, Parts},
    call::Scope,
    edge::{Context, Event},
    metrics::Metrics,
    readiness::{Preparation, Secrets, Tables},
    server::{self, Shared},
    variables::Make,
};

/// How long a delivery waits for its subscriber to have a turn.
const DELIVERY_WAIT_MAX: Duration = Duration::from_secs(5);

/// What `souk up` is told.
#[derive(Args, Clone, Debug)]
pub struct Up {
    /// Where the application and its data are.
    #[command(flatten)]
    pub place: Place,
    /// The address for shoppers and staff.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,
    /// The address for operators: /metrics, /healthz, /readyz.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9464")]
    pub private: SocketAddr,
    /// A proxy whose x-forwarded-for, -proto and -host are believed. May be given more than once.
    #[arg(long, value_name = "IP")]
    pub trusted_proxy: Vec<IpAddr>,
    /// Leaves the tables as they are.
    #[arg(long)]
    pub no_migrate: bool,
    /// Takes over a database of Postgres that was used with other secrets: sessions end, and hosts with those others
    /// do not start any more.
    #[arg(long, requires = "sql")]
    pub replace_secrets: bool,
    /// A directory on another disk, or a mounted object store, that the database is copied to while the host runs, at most
    /// a second behind; `souk restore` makes a database of it.
    #[arg(long, value_name = "DIR", env = "SOUK_BACKUP", conflicts_with_all = ["sql", "database"])]
    pub backup: Option<PathBuf>,
}

impl Up {
    fn preparation(&self, host: Host, parts: Arc<Parts>) -> Preparation {
        let tables = if self.no_migrate { Tables::LeftAlone } else { Tables::Migrated };
        let secrets = match (&self.place.sql, self.replace_secrets) {
            (None, _) => Secrets::Beside,
            (Some(_), false) => Secrets::Same,
            (Some(_), true) => Secrets::Replaced,
        };
        Preparation { host, parts, tables, secrets }
    }
}

/// Serves until told to stop.
pub async fn run(up: Up) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let engine = up.place.engine()?;
    let parts = Arc::new(up.place.load(&engine, Make::Missing)?);
    warn(&parts);
    let host = up.place.open_with_backup(engine, &parts, up.backup.clone())?;
    let preparation = up.preparation(host.clone(), parts.clone());
    host.readiness.prepare(&preparation).await?;
    let app = parts.join(&host)?;
    let shared = Shared::new(app, host.metrics.server.clone(), up.trusted_proxy.clone());
    let listener = bind(up.listen, "--listen").await?;
    let private = bind(up.private, "--private").await?;
    let (listening, operating) = (listener.local_addr()?, private.local_addr()?);
    let (stop, stopped) = watch::channel(false);
    let relay = tokio::spawn(relay(host.clone(), shared.clone(), stopped.clone()));
    let readiness = host.readiness.clone();
    tokio::spawn(async move { readiness.watch(&preparation).await });
    tokio::spawn(server::operator::serve(private, shared.clone(), host.clone()));
    let _announced = Announced::at(&up.place.data, operating)?;
    tracing::info!(
        listen = %listening,
        private = %operating,
        components = parts.parts.len(),
        millis = started.elapsed().as_millis() as u64,
        "listening"
    );
    eprintln!("souk: {} at http://{listening}", parts.manifest.name);
    let serving = tokio::spawn(souk_server::serve(listener, shared.clone(), stopped));
    let signals = watch_signals(&up, &host, &shared);
    signals.await?;
    tracing::info!("stopping; requests under way are finished");
    stop.send_replace(true);
    serving.await?;
    if tokio::time::timeout(DRAIN_MAX, relay).await.is_err() {
        tracing::warn!("deliveries were still under way; they are repeated after the next start");
    }
    Ok(Outcome::Good)
}

async fn bind(address: SocketAddr, option: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen at {address}; name another address with {option}"))
}

fn warn(parts: &Parts) {
    for warning in &parts.warnings {
        tracing::warn!(place = warning.place, "{}", warning.text);
    }
}

/// Delivers events once there are tables for what they cause.
async fn relay(host: Host, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let deliver = deliver(shared, host.metrics.clone());
    tokio::select! {
        () = host.readiness.prepared() => {}
        _ = stopped.wait_for(|stopped| *stopped) => return,
    }
    host.providers.store.clone().run_relay(deliver, stopped).await;
}

/// Returns when the process is told to stop; reloads whenever it is told to.
async fn watch_signals(up: &Up, host: &Host, shared: &Arc<Shared>) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => {
                let (up, host, shared) = (up.clone(), host.clone(), shared.clone());
                // Compiling takes long and must not hold up requests.
                tokio::task::spawn_blocking(move || reload(&up, &host, &shared)).await?;
            }
        }
    }
}

/// Puts a newly loaded application in the old one's place, or says why the old one stays.
fn reload(up: &Up, host: &Host, shared: &Shared) {
    let started = Instant::now();
    let result = up.place.load(&host.engine, Make::Missing).map_err(anyhow::Error::from).and_then(|parts| {
        let old = shared.app.load();
        warn(&parts);
        let parts = Arc::new(parts);
        Handle::current().block_on(up.preparation(host.clone(), parts.clone()).run())?;
        let app = parts.join(host)?;
        let changed: Vec<_> =
            app.digests.iter().filter(|(name, digest)| old.digests.get(*name) != Some(digest)).collect();
        tracing::info!(
            changed = ?changed.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            millis = started.elapsed().as_millis() as u64,
            "reloaded"
        );
        shared.app.store(Arc::new(app));
        host.providers.store.set_subscribers(parts.manifest.topics());
        Ok(())
    });
    let outcome = match result {
        Ok(()) => "ok",
        Err(error) => {
            tracing::error!(error = %format!("{error:#}"), "not reloaded; the old application goes on");
            "refused"
        }
    };
    host.metrics.reloads.with_label_values(&[outcome]).inc();
}

/// Delivers events to whatever application is in place.
fn deliver(shared: Arc<Shared>, metrics: Arc<Metrics>) -> Deliver {
    Arc::new(move |component: String, event: values::Event| {
        let (shared, metrics) = (shared.clone(), metrics.clone());
        let delivery: Pin<Box<dyn Future<Output = Result<(), String>> + Send>> =
            Box::pin(async move { hear(&shared, &metrics, &component, event).await });
        delivery
    })
}

async fn hear(shared: &Shared, metrics: &Metrics, component: &str, event: values::Event) -> Result<(), String> {
    let started = Instant::now();
    let subscriber = shared.app.load().subscribers.get(component).cloned();
    let subscriber = subscriber.ok_or_else(|| format!("{component} hears no events any more"))?;
    let unit = &subscriber.unit;
    // The id of the event finds all of its deliveries in the log; the request that caused it stands in its payload.
    let request_id: Arc<str> = event.id.as_str().into();
    let trace = Trace::continued(None);
    let deadline = Instant::now() + unit.limits.deadline;
    let scope = Scope::new(request_id.clone(), trace.trace_id, deadline);
    let context = Context::system(&request_id, "event");
    let (topic, attempt) = (event.topic.clone(), event.attempt);
    let event = Event {
        id: event.id,
        topic: event.topic,
        key: event.key,
        payload: event.payload,
        committed_at: event.committed_at,
        attempt: event.attempt,
    };
    let called = async {
        let _turn = unit.turn(deadline, DELIVERY_WAIT_MAX).await?;
        let (heard,): (Result<(), String>,) = subscriber.call(&scope, trace.span_id, (context, event)).await?;
        Ok(heard)
    };
    let (heard, outcome) = match called.await {
        Ok(Ok(())) => (Ok(()), "ok"),
        Ok(Err(reason)) => (Err(reason), "error"),
        Err(failure) => {
            unit.failed(&failure, &scope, subscriber.interface, subscriber.function);
            (Err(failure.outcome().to_owned()), failure.outcome())
        }
    };
    let (interface, function) = (subscriber.interface, subscriber.function);
    metrics.calls.with_label_values(&[interface, function, outcome]).inc();
    metrics.call_latency.with_label_values(&[interface, function]).observe(started.elapsed().as_secs_f64());
    tracing::info!(
        request_id = &*request_id,
        trace_id = %format_args!("{:032x}", trace.trace_id),
        span_id = %format_args!("{:016x}", trace.span_id),
        component,
        interface,
        function,
        topic,
        attempt,
        outcome,
        reason = heard.as_ref().err(),
        micros = started.elapsed().as_micros() as u64,
        "event"
    );
    heard
}
