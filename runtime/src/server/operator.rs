//! The private port: health and metrics for machines, and what the command line asks of a running host.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header::CONTENT_TYPE, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::{
    Shared,
    guard::{Guarded, PATIENCE, Phase},
};
use crate::{
    commands::{audit, dead_letters, operator::HEADER},
    providers::Providers,
};

/// Serves operators until the process ends.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>, providers: Arc<Providers>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let phase = Phase::default();
        let service = {
            let (shared, providers, phase) = (shared.clone(), providers.clone(), phase.clone());
            service_fn(move |request: Request<Incoming>| {
                phase.busy();
                let (shared, providers, phase) = (shared.clone(), providers.clone(), phase.clone());
                async move {
                    let response = answer(&shared, providers, &request).await;
                    phase.idle();
                    Ok::<_, Infallible>(response)
                }
            })
        };
        let connection = http1::Builder::new()
            .header_read_timeout(None) // `Guarded` has the deadlines
            .serve_connection(TokioIo::new(Guarded::new(stream, phase, PATIENCE)), service);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "private connection ended early");
            }
        });
    }
}

async fn answer(shared: &Shared, providers: Arc<Providers>, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if let Some(response) = health(shared, path) {
        return response;
    }
    if path == "/metrics" {
        return text(StatusCode::OK, shared.metrics.text());
    }
    // A page in an operator's browser can reach this port; it cannot set this header.
    if request.method() != Method::POST || !request.headers().contains_key(HEADER) {
        return text(StatusCode::NOT_FOUND, "not found\n");
    }
    let said = match path {
        audit::PATH => Ok(audit::report(&shared.app.load_full()).await),
        dead_letters::PATH => blocking(move || dead_letters::list(&providers)).await,
        "/dead-letters/replay" => match request.uri().query().filter(|id| !id.is_empty()).map(str::parse) {
            None => blocking(move || dead_letters::replay(&providers, None)).await,
            Some(Ok(id)) => blocking(move || dead_letters::replay(&providers, Some(id))).await,
            Some(Err(_)) => return text(StatusCode::BAD_REQUEST, "the number of a dead letter is a number\n"),
        },
        _ => return text(StatusCode::NOT_FOUND, "not found\n"),
    };
    match said {
        Ok(said) => text(StatusCode::OK, said),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")),
    }
}

/// Runs work that waits for the database, away from the threads that answer requests.
async fn blocking(work: impl FnOnce() -> anyhow::Result<String> + Send + 'static) -> anyhow::Result<String> {
    tokio::task::spawn_blocking(work).await?
}

/// Answers `/healthz` (the process runs) and `/readyz` (it takes new requests).
pub fn health(shared: &Shared, path: &str) -> Option<Response<Full<Bytes>>> {
    match path {
        "/healthz" => Some(text(StatusCode::OK, "ok\n")),
        "/readyz" if shared.draining() => Some(text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")),
        "/readyz" => Some(text(StatusCode::OK, "ready\n")),
        _ => None,
    }
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    // The version is that of Prometheus' text format; to everybody else it is plain text.
    let plain = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
