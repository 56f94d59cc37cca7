//! Serving the composites of a manifest over HTTP, as `spin up` does: a fresh instance for each request, which goes on
//! after its response for as long as it likes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::http::uri::{Authority, Scheme as UriScheme};
use hyper::{Request, Response, StatusCode, Uri, service::service_fn};
use hyper_util::rt::TokioIo;
use souk_server::route::{Pattern, Table};
use souk_store::Clock;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use wasmtime::Engine;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::{Error, WasiBody, WasiHttpView as _};

use super::manifest::Manifest;
use super::{Granted, Instance, engine, linker, load};

/// An application that is served.
pub struct Application {
    engine: Engine,
    routes: Table<Arc<Served>>,
}

/// One component behind routes.
struct Served {
    pre: ProxyPre<Instance>,
    granted: Granted,
}

impl Application {
    /// Loads every component that a route leads to. Variables come from `environment`.
    pub fn load(
        manifest: &Path,
        database: &Path,
        itself: SocketAddr,
        environment: &BTreeMap<String, String>,
    ) -> Result<Application> {
        let root = manifest.parent().unwrap_or(Path::new(""));
        let manifest = Manifest::load(manifest)?;
        let engine = engine()?;
        let linker = linker(&engine)?;
        let mut served: BTreeMap<&str, Arc<Served>> = BTreeMap::new();
        let mut routes: Vec<(Pattern, Arc<Served>)> = Vec::new();
        for (pattern, name) in manifest.routes()? {
            if !served.contains_key(name) {
                let component = manifest.component(name)?;
                let loaded = load(&engine, &root.join(&component.source))?;
                let pre = linker.instantiate_pre(&loaded).map_err(anyhow::Error::from);
                let pre = pre.with_context(|| format!("`{name}` imports what Spin lacks"))?;
                let granted = Granted {
                    database: component.has_database().then(|| database.to_owned()),
                    variables: Arc::new(manifest.variables(component, environment)),
                    itself: component.asks_itself().then_some(itself),
                    clock: Clock::system(),
                    identity: "".into(),
                };
                served.insert(name, Arc::new(Served { pre: ProxyPre::new(pre)?, granted }));
            }
            routes.push((pattern, Arc::clone(&served[name])));
        }
        Ok(Application { engine, routes: Table::new(routes) })
    }

    /// Serves until the process ends.
    pub async fn serve(self, listener: TcpListener) -> Result<()> {
        let application = Arc::new(self);
        loop {
            let (stream, peer) = listener.accept().await?;
            tokio::spawn(Arc::clone(&application).serve_connection(stream, peer));
        }
    }

    async fn serve_connection(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let service = service_fn(move |request| {
            let application = Arc::clone(&self);
            async move { Ok::<_, std::convert::Infallible>(application.answer(request, peer).await) }
        });
        // A connection that ends early is the client's own affair.
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<WasiBody> {
        if request.uri().path() == "/.well-known/spin/health" {
            return plain(StatusCode::OK, "OK");
        }
        let Some(served) = self.routes.find(request.uri().path()) else {
            return plain(StatusCode::NOT_FOUND, "");
        };
        match self.handle(served, request, peer).await {
            Ok(response) => response,
            Err(error) => {
                eprintln!("spin stand-in: {error:?}");
                plain(StatusCode::INTERNAL_SERVER_ERROR, "")
            }
        }
    }

    async fn handle(
        &self,
        served: &Served,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Response<WasiBody>> {
        let request = prepare(request, peer)?;
        let mut store = Instance::store(&self.engine, served.granted.clone());
        let proxy = served.pre.instantiate_async(&mut store).await?;
        let (sender, receiver) = oneshot::channel();
        let request = store.data_mut().http().new_incoming_request(Scheme::Http, request)?;
        let answer = store.data_mut().http().new_response_outparam(sender)?;
        let handled =
            tokio::spawn(
                async move { proxy.wasi_http_incoming_handler().call_handle(&mut store, request, answer).await },
            );
        match receiver.await {
            Ok(response) => {
                tokio::spawn(async move {
                    if let Ok(Err(error)) = handled.await {
                        eprintln!("spin stand-in: a component failed after its response: {error:?}");
                    }
                });
                let response = response.map_err(|code| anyhow::anyhow!("the guest answered {code:?}"))?;
                Ok(response.map(|body| body.boxed_unsync()))
            }
            Err(_) => {
                handled.await??;
                anyhow::bail!("the guest ended without an answer")
            }
        }
    }
}

/// Adds what Spin adds: its own headers, behind whatever the client sent, and an absolute URI.
fn prepare(mut request: Request<Incoming>, peer: SocketAddr) -> Result<Request<Incoming>> {
    let host = request.headers().get(HOST).context("no 'Host' header present in request")?.to_str()?.to_owned();
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let mut uri = request.uri().clone().into_parts();
    uri.scheme = Some(UriScheme::HTTP);
    uri.authority = Some(Authority::try_from(host.as_str())?);
    *request.uri_mut() = Uri::from_parts(uri)?;
    for (name, value) in [("spin-full-url", format!("http://{host}{path}")), ("spin-client-addr", peer.to_string())] {
        request.headers_mut().append(HeaderName::from_static(name), HeaderValue::try_from(value)?);
    }
    Ok(request)
}

fn plain(status: StatusCode, text: &'static str) -> Response<WasiBody> {
    let body = Full::new(Bytes::from_static(text.as_bytes()));
    let mut response = Response::new(body.map_err(|never| -> Error { match never {} }).boxed_unsync());
    *response.status_mut() = status;
    response
}
