//! The private port: health and metrics for machines, and what the command line asks of a running host.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use souk_server::{health, serve_private, text};
use tokio::net::TcpListener;

use super::Shared;
use crate::{
    app::Host,
    commands::{audit, dead_letters, operator::HEADER},
};

/// Serves operators until the process ends.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>, host: Host) {
    let answer = move |request| {
        let (shared, host) = (shared.clone(), host.clone());
        async move { answer(&shared, host, &request).await }
    };
    serve_private(listener, answer).await;
}

async fn answer(shared: &Shared, host: Host, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if path == "/readyz"
        && let Some(reason) = host.readiness.reason()
    {
        return text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n"));
    }
    if let Some(response) = health(shared, path) {
        return response;
    }
    if path == "/metrics" {
        return text(StatusCode::OK, host.metrics.text());
    }
    // A page in an operator's browser can reach this port; it cannot set this header.
    if request.method() != Method::POST || !request.headers().contains_key(HEADER) {
        return text(StatusCode::NOT_FOUND, "not found\n");
    }
    let store = &host.providers.store;
    let said = match path {
        audit::PATH => {
            let extent = audit::Extent::asked(request.uri().query().unwrap_or_default());
            audit::report(&shared.app.load_full(), store, extent).await
        }
        dead_letters::PATH => dead_letters::list(store).await,
        "/dead-letters/replay" => match request.uri().query().filter(|id| !id.is_empty()).map(str::parse) {
            None => dead_letters::replay(store, None).await,
            Some(Ok(id)) => dead_letters::replay(store, Some(id)).await,
            Some(Err(_)) => return text(StatusCode::BAD_REQUEST, "the number of a dead letter is a number\n"),
        },
        _ => return text(StatusCode::NOT_FOUND, "not found\n"),
    };
    match said {
        Ok(said) => text(StatusCode::OK, said),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")),
    }
}
