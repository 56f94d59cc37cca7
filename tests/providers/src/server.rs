//! A simulator behind HTTP on this machine: the API, the pages that shoppers are sent to, webhooks, and under
//! `/_control` what a test or a developer does to it.
//!
//! | path | what it does |
//! |---|---|
//! | `/v1/...`, `/v2/...`, `/v3/...`, `/2010-04-01/...` | the API |
//! | `/stripe.js`, `/elements` | Stripe: a stand-in for Stripe.js, and the frame of the fields for a card |
//! | `/3d_secure/{id}` | Stripe: where a shopper approves or refuses a payment |
//! | `/checkoutnow?token={id}` | PayPal: where a shopper approves an order, and with what |
//! | `GET /_control/objects` | everything there is |
//! | `POST /_control/clock` | moves the clock on: `{"advance_ms": 86400000}` |
//! | `POST /_control/faults` | plans faults: `{"next": ["lost_after"], "percent": 5, "outage": false, "over_refunds": true}` |
//! | `POST /_control/hooks` | where webhooks go: `{"url": "...", "secrets": ["whsec_..."], "disorder": {"duplicates": 30}}` |
//! | `POST /_control/hooks/deliver` | sends all that waits at once, and answers what became of it |
//!
//! Whoever reaches the port controls it, so it listens on the loopback alone.

mod control;
mod courier;
mod paypal;
mod sendgrid;
mod stripe;
mod twilio;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::response::Response;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::ServiceExt;

use crate::faults::Faults;
use crate::hooks::Outbox;
use crate::provider::Provider;

/// Most connections at once; others wait.
pub const CONNECTIONS_MAX: usize = 1_024;
/// Largest body of a request, in bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// What time it is at the simulator.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// Stands until it is moved: milliseconds since 1970.
    Stands(i64),
    /// Goes as the machine's does, so many milliseconds ahead.
    Goes(i64),
}

impl Clock {
    /// Milliseconds since 1970.
    pub fn now(self) -> i64 {
        match self {
            Self::Stands(at) => at,
            Self::Goes(ahead) => wall() + ahead,
        }
    }

    /// Moves it on.
    pub fn advance(&mut self, ms: i64) {
        match self {
            Self::Stands(at) => *at += ms,
            Self::Goes(ahead) => *ahead += ms,
        }
    }
}

/// The machine's clock, in milliseconds since 1970.
fn wall() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(since.as_millis()).expect("it is long before the year 292,278,994")
}

/// Where webhooks go.
#[derive(Clone, Debug, Default)]
pub struct Endpoint {
    /// None: nowhere.
    pub url: Option<String>,
    /// The secrets in use, of which each signs.
    pub secrets: Vec<String>,
}

/// A company that is reached over HTTP.
pub trait Site: Provider + Sized {
    /// Its API and its pages.
    fn routes() -> Router<Shared<Self>>;
}

/// The state behind the server.
#[derive(Debug)]
pub struct Simulator<P> {
    /// The account.
    pub provider: P,
    /// What goes wrong.
    pub faults: Faults,
    /// Webhooks that wait.
    pub outbox: Outbox,
    /// What time it is.
    pub clock: Clock,
    /// Where webhooks go.
    pub endpoint: Endpoint,
}

impl<P: Provider> Simulator<P> {
    /// Puts the events that happened into the outbox.
    fn post_events(&mut self) {
        let now = self.clock.now();
        self.provider.advance(now);
        let events = self.provider.take_events();
        self.outbox.add(now, events);
    }
}

/// A way to the state that requests share.
pub struct Shared<P> {
    state: Arc<Mutex<Simulator<P>>>,
    http: reqwest::Client,
}

impl<P> Clone for Shared<P> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), http: self.http.clone() }
    }
}

impl<P> Shared<P> {
    /// The state, for as long as it takes to look or change; never across a wait.
    pub fn lock(&self) -> MutexGuard<'_, Simulator<P>> {
        self.state.lock().expect("no request panics while it holds the state")
    }
}

/// A running simulator.
pub struct Server<P> {
    /// Where it listens, without a slash at the end.
    pub url: String,
    /// Its state.
    pub shared: Shared<P>,
}

/// Marks an answer that is not sent: the connection breaks instead.
#[derive(Clone, Copy)]
struct Lost;

/// An answer that is not sent.
fn lost() -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(Lost);
    response
}

/// Starts a simulator on a port of the loopback, zero for any free one. It ends with the runtime it is started in.
pub async fn start<P: Site>(port: u16, credentials: &str, seed: u32, clock: Clock) -> anyhow::Result<Server<P>> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let state = Simulator {
        provider: P::new(credentials, &url, seed),
        faults: Faults::new(u64::from(seed)),
        outbox: Outbox::new(u64::from(seed)),
        clock,
        endpoint: Endpoint::default(),
    };
    let http = reqwest::Client::builder().timeout(courier::ANSWER_WAIT_MAX).no_proxy().build()?;
    let shared = Shared { state: Arc::new(Mutex::new(state)), http };
    let router =
        P::routes().merge(control::routes()).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(shared.clone());
    tokio::spawn(accept(listener, router));
    Ok(Server { url, shared })
}

impl<P: Provider> Server<P> {
    /// Sends webhooks when they are due, for as long as the runtime lasts.
    pub async fn run_courier(&self) {
        courier::run(self.shared.clone()).await;
    }

    /// Sends all webhooks that wait, due or not; answers what became of each.
    pub async fn deliver(&self) -> Vec<courier::Outcome> {
        courier::deliver(&self.shared, i64::MAX - 1).await
    }
}

async fn accept(listener: TcpListener, router: Router) {
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let permit = free.clone().acquire_owned().await.expect("nobody closes it");
        let router = router.clone();
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                let router = router.clone();
                async move {
                    let Ok(response) = router.oneshot(request.map(Body::new)).await;
                    match response.extensions().get::<Lost>() {
                        Some(Lost) => Err("the reply is lost"),
                        None => Ok(response),
                    }
                }
            });
            let mut builder = hyper::server::conn::http1::Builder::new();
            // An error is a client that went away, or a reply that was to be lost.
            let _ = builder.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
            drop(permit);
        });
    }
}
