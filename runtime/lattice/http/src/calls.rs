//! Calls to one edge, over wRPC.

use std::{
    io,
    time::{Duration, Instant},
};

use async_nats::HeaderMap;
use prometheus::{IntCounterVec, Opts, Registry};
use souk_server::{Problem, Queue, Request, Response, WAIT_MAX, trace::Trace};
use tokio::sync::{Semaphore, SemaphorePermit};
use wasmcloud_provider_sdk::provider::WrpcClient;

use self::bindings::souk::shop::http;
use crate::{
    link::Terms,
    repeat::{self, ATTEMPTS_MAX, Lost, PAUSE},
};

/// The largest body that an edge may answer with, in bytes.
const RESPONSE_BYTES_MAX: usize = 16 << 20;

mod bindings {
    #![allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        clippy::allow_attributes_without_reason,
        reason = "generated from wit/, where the documentation is"
    )]
    wit_bindgen_wrpc::generate!({
        path: "../../../wit",
        inline: "
            package souk:lattice-http;

            world provider {
                import souk:shop/http@0.1.0;
            }
        ",
        world: "souk:lattice-http/provider",
        generate_all,
    });
}

/// Calls to edges by component and outcome.
#[derive(Clone)]
pub struct Calls(IntCounterVec);

impl Calls {
    /// Counted with all else that the registry has.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let opts = Opts::new("souk_edge_calls_total", "Calls to edges over the lattice, repeats included.");
        let calls = IntCounterVec::new(opts, &["component", "outcome"])?;
        registry.register(Box::new(calls.clone()))?;
        Ok(Self(calls))
    }
}

/// An edge on the lattice.
pub struct Target {
    component: String,
    client: WrpcClient,
    body_bytes_max: usize,
    deadline: Duration,
    turns: Semaphore,
    queue: Queue,
    calls: Calls,
}

impl Target {
    /// The edge with this lattice id.
    pub fn new(id: &str, client: WrpcClient, terms: &Terms, calls: Calls) -> Self {
        Self {
            component: id.to_owned(),
            client,
            body_bytes_max: terms.body_bytes,
            deadline: terms.deadline,
            turns: Semaphore::new(terms.concurrency),
            queue: Queue::new(terms.concurrency),
            calls,
        }
    }

    /// Its lattice id.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// The largest body that it takes.
    pub fn body_bytes_max(&self) -> usize {
        self.body_bytes_max
    }

    /// Answers one request, with a second call when the first ends without an answer and a repeat is harmless.
    pub async fn ask(&self, request: Request, trace: Trace) -> Result<Response, Problem> {
        let until = Instant::now() + self.deadline;
        let _turn = self.turn().await.ok_or(Problem::Overloaded)?;
        let harmless = repeat::is_harmless(&request);
        let request_id = request.id.clone();
        let request = given(request);
        let mut attempt = 1;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let called = self.call(&request, trace, repeat::patience(left, attempt, harmless)).await;
            let outcome = called.as_ref().map_or_else(|lost| lost.outcome(), |_| "ok");
            self.calls.0.with_label_values(&[&*self.component, outcome]).inc();
            let lost = match called {
                Ok(answer) => return self.checked(answer, &request_id),
                Err(lost) => lost,
            };
            let again = attempt < ATTEMPTS_MAX && lost.worth_repeating(harmless) && !left.is_zero();
            tracing::warn!(
                component = self.component,
                request_id = &*request_id,
                outcome = lost.outcome(),
                again,
                "no answer"
            );
            if !again {
                return Err(lost.problem());
            }
            if lost == Lost::Nobody {
                tokio::time::sleep(PAUSE.min(left)).await;
            }
            attempt += 1;
        }
    }

    /// Waits for a turn among not too many others.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(turn) = self.turns.try_acquire() {
            return Some(turn);
        }
        let _waiting = self.queue.enter()?;
        tokio::time::timeout(WAIT_MAX, self.turns.acquire()).await.ok()?.ok()
    }

    async fn call(&self, request: &http::Request, trace: Trace, patience: Duration) -> Result<http::Response, Lost> {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", trace.to_string());
        match tokio::time::timeout(patience, http::handle(&self.client, Some(headers), request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                tracing::debug!(component = self.component, error = format!("{error:#}"), "the call failed");
                Err(classified(error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>())))
            }
            Err(_) => Err(Lost::Late),
        }
    }

    fn checked(&self, answer: http::Response, request_id: &str) -> Result<Response, Problem> {
        if answer.body.len() > RESPONSE_BYTES_MAX {
            tracing::error!(component = self.component, request_id, "the answer has over {RESPONSE_BYTES_MAX} bytes");
            return Err(Problem::Internal);
        }
        Ok(Response { status: answer.status, headers: answer.headers, body: answer.body.into() })
    }
}

/// What the transport says with its errors.
fn classified<'a>(mut causes: impl Iterator<Item = &'a io::Error>) -> Lost {
    match causes.next().map(io::Error::kind) {
        // The answer of NATS when a subject has no subscriber.
        Some(io::ErrorKind::NotConnected) => Lost::Nobody,
        Some(io::ErrorKind::TimedOut) => Lost::Late,
        _ => Lost::Ended,
    }
}

fn given(request: Request) -> http::Request {
    http::Request {
        id: request.id.as_ref().into(),
        method: request.method,
        path: request.path,
        query: request.query,
        origin: request.origin,
        client: request.client,
        headers: request.headers,
        body: request.body.into(),
    }
}

#[cfg(test)]
mod tests;
