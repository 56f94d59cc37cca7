//! REST for shoppers, accounts and staff: `/api/v1/store`, `/api/v1/auth`, `/api/v1/admin`,
//! webhooks of payment providers under `/api/v1/hooks`, and the pictures under `/media`.
//!
//! The gateway owns the shape of our HTTP: routes, JSON, problem documents, entity tags, idempotency keys and the
//! OpenAPI document. A request passes the route table, then `auth`, then `idempotency`, then one handler, which
//! translates it to one call of a service and the answer back.
//!
//! It owns no data but the records of idempotency keys, and decides nothing of commerce: what may be bought, paid or
//! given back is said by the services.

pub mod account;
pub mod admin;
pub mod auth;
#[cfg(target_arch = "wasm32")]
mod component;
pub mod docs;
pub mod exchange;
pub mod hooks;
pub mod idempotency;
pub mod input;
#[cfg(not(target_arch = "wasm32"))]
pub mod openapi;
pub mod ports;
pub mod problem;
pub mod refusals;
pub mod reply;
pub mod routes;
pub mod shapes;
pub mod store;
#[cfg(test)]
mod tests;

use souk_kit::http::{Request, Response};

use exchange::{Arrival, Exchange};
use ports::Ports;
use problem::Problem;

/// Answers one request. Whatever is wrong with it becomes a problem document.
pub fn handle(ports: &dyn Ports, arrival: &Arrival, request: &Request) -> Response {
    let answer = answer(ports, arrival, request).unwrap_or_else(|problem| problem.render(request));
    reply::finish(request, answer)
}

fn answer(ports: &dyn Ports, arrival: &Arrival, request: &Request) -> Result<Response, Problem> {
    let path = routes::decoded(request)?;
    let route = routes::find(&request.method, &path)?;
    let bearer = auth::admit(ports, route.access, request, arrival.now)?;
    let mut exchange = Exchange::new(ports, arrival, request, route, &path, bearer);
    match idempotency::key(route, request)? {
        Some(key) => idempotency::once(&mut exchange, key),
        None => (route.handler)(&exchange),
    }
}
