//! The HTTP side of the host: what `souk-server` needs to know of an application of components.

pub mod operator;

use std::{sync::Arc, time::Instant};

use souk_server::{Problem, WAIT_MAX, rate::Limiter, trace::Trace};

use crate::{
    app::{App, Edge},
    call::{Failure, Scope},
    edge,
};

/// What every connection and every delivery needs.
pub type Shared = souk_server::Shared<App>;

impl souk_server::Application for App {
    type Edge = Edge;

    fn edge(&self, path: &str) -> Option<&Arc<Edge>> {
        self.routes.find(path)
    }

    fn unready(&self) -> Option<&'static str> {
        self.readiness.unready()
    }
}

impl souk_server::Edge for Edge {
    fn route(&self) -> &str {
        &self.route
    }

    fn component(&self) -> &str {
        &self.handle.unit.name
    }

    fn body_bytes_max(&self) -> usize {
        self.handle.unit.limits.body
    }

    fn limiter(&self) -> Option<&Limiter> {
        self.limiter.as_ref()
    }

    async fn handle(&self, request: souk_server::Request, trace: Trace) -> Result<souk_server::Response, Problem> {
        if !self.readiness.is_prepared() {
            return Err(Problem::Unavailable);
        }
        let unit = &self.handle.unit;
        let scope = Scope::new(request.id.clone(), trace.trace_id, Instant::now() + unit.limits.deadline);
        let called = async {
            let _turn = match unit.try_turn() {
                Some(turn) => turn,
                None => {
                    let _waiting = self.queue.enter().ok_or(Failure::Busy)?;
                    unit.turn(scope.deadline, WAIT_MAX).await?
                }
            };
            let (response,) = self.handle.call(&scope, trace.span_id, (given(request),)).await?;
            Ok(response)
        };
        let answer: Result<edge::Response, Failure> = called.await;
        let response = answer.map_err(|failure| {
            unit.failed(&failure, &scope, self.handle.interface, self.handle.function);
            match failure {
                Failure::Busy => Problem::Overloaded,
                Failure::Deadline => Problem::DeadlineExceeded,
                Failure::Trap(_) => Problem::Internal,
            }
        })?;
        Ok(souk_server::Response { status: response.status, headers: response.headers, body: response.body })
    }
}

fn given(request: souk_server::Request) -> edge::Request {
    edge::Request {
        id: request.id.as_ref().into(),
        method: request.method,
        path: request.path,
        query: request.query,
        origin: request.origin,
        client: request.client,
        headers: request.headers,
        body: request.body,
    }
}
