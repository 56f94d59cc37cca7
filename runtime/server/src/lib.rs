//! The HTTP server in front of the edges: connections, their limits, and the end of them.
//!
//! One task per connection, HTTP/1.1 only. A proxy in front may speak HTTP/2 and TLS; it is believed about the
//! client only when its address was named. Our own host and the lattice's capability provider serve with this crate, so
//! that what is refused, and how, is the same on both. It never knows what stands behind an [`Edge`].

mod answer;
mod edge;
mod guard;
mod health;
mod metrics;
mod private;
mod problem;
mod queue;
pub mod rate;
mod request;
pub mod route;
pub mod trace;

use std::{
    collections::HashMap,
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use hyper::{body::Incoming, header::TRANSFER_ENCODING, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};

use self::{
    guard::{Guarded, PATIENCE, Phase},
    request::Framing,
};

pub use hyper::StatusCode;

pub use self::{
    edge::{Application, Edge, Request, Response},
    health::{health, text},
    metrics::Metrics,
    private::serve_private,
    problem::Problem,
    queue::{Queue, WAIT_MAX},
};

/// Open connections; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 4_096;
/// Open connections of one address; more are closed at once. A named proxy is not counted.
const CONNECTIONS_PER_CLIENT_MAX: usize = 1_024;
/// Headers that are parsed at all. Between the documented limit and this one the client gets a problem document.
const HEADERS_PARSED_MAX: usize = 256;
/// Bytes of a head that are parsed at all.
const HEAD_BYTES_PARSED_MAX: usize = 64 << 10;
/// How long requests may go on after the server was told to stop.
pub const DRAIN_MAX: Duration = Duration::from_secs(30);

/// What every connection needs.
pub struct Shared<A> {
    /// The application that answers; replaced as a whole by a reload.
    pub app: ArcSwap<A>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Proxies that are believed about the client and the origin.
    pub trusted_proxies: Vec<IpAddr>,
    draining: AtomicBool,
    clients: Mutex<HashMap<IpAddr, usize>>,
}

impl<A> Shared<A> {
    /// Shares an application.
    pub fn new(app: A, metrics: Arc<Metrics>, trusted_proxies: Vec<IpAddr>) -> Arc<Self> {
        Arc::new(Self {
            app: ArcSwap::from_pointee(app),
            metrics,
            trusted_proxies,
            draining: AtomicBool::new(false),
            clients: Mutex::default(),
        })
    }

    /// Whether the server was told to stop.
    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Counts a connection of a client, unless it has too many.
    fn admit(self: &Arc<Self>, client: IpAddr) -> Option<Admitted<A>> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let open = clients.entry(client).or_default();
        if *open >= CONNECTIONS_PER_CLIENT_MAX && !self.trusted_proxies.contains(&client) {
            return None;
        }
        *open += 1;
        self.metrics.connections.inc();
        Some(Admitted { shared: self.clone(), client })
    }
}

/// A counted connection.
struct Admitted<A> {
    shared: Arc<Shared<A>>,
    client: IpAddr,
}

impl<A> Drop for Admitted<A> {
    fn drop(&mut self) {
        self.shared.metrics.connections.dec();
        let mut clients = self.shared.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = clients.get_mut(&self.client) {
            *open -= 1;
            if *open == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

/// Serves requests until told to stop, and then finishes those under way.
pub async fn serve<A: Application>(listener: TcpListener, shared: Arc<Shared<A>>, mut stop: watch::Receiver<bool>) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        let Some((stream, peer, permit)) = accepted else { continue };
        let Some(admitted) = shared.admit(peer.ip().to_canonical()) else { continue };
        let phase = Phase::default();
        let client = request::Connection::new(peer.ip().to_canonical(), &shared.trusted_proxies);
        let service = {
            let (shared, phase) = (shared.clone(), phase.clone());
            service_fn(move |request: hyper::Request<Incoming>| {
                phase.busy();
                let (shared, phase, client) = (shared.clone(), phase.clone(), client.clone());
                async move {
                    let chunked = request.headers().contains_key(TRANSFER_ENCODING);
                    let framing = if chunked && phase.hides_a_length() { Framing::Twice } else { Framing::Once };
                    let response = answer::answer(&shared, &client, framing, request).await;
                    phase.idle();
                    Ok::<_, Infallible>(response)
                }
            })
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None) // `Guarded` has the deadlines, kept connections included
            .max_headers(HEADERS_PARSED_MAX)
            .max_header_size(HEAD_BYTES_PARSED_MAX)
            .half_close(false)
            .serve_connection(TokioIo::new(Guarded::new(stream, phase, PATIENCE)), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended early");
            }
            drop((admitted, permit));
        });
    }
    shared.draining.store(true, Ordering::Relaxed);
    drop(listener);
    if tokio::time::timeout(DRAIN_MAX, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way when the time to finish them was over");
    }
}

/// The next connection, with its place among all.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    /// Out of file descriptors: accepting again at once would only burn time.
    const PAUSE: Duration = Duration::from_millis(50);
    let permit = connections.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "nodelay refused");
            }
            Some((stream, peer, permit))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}
