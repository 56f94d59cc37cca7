//! What a test or a developer does to the simulator.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Endpoint, Shared, courier};
use crate::stripe::RefundPolicy;
use crate::stripe::faults::Fault;
use crate::stripe::hooks::Disorder;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/_control/objects", get(objects))
        .route("/_control/clock", post(clock))
        .route("/_control/faults", post(faults))
        .route("/_control/hooks", post(hooks))
        .route("/_control/hooks/deliver", post(deliver))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    /// Not negative: time does not go back.
    advance_ms: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    #[serde(default)]
    next: Vec<Fault>,
    percent: Option<u8>,
    outage: Option<bool>,
    over_refunds: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hooks {
    url: Option<String>,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    disorder: Disorder,
}

async fn objects(State(shared): State<Shared>) -> Json<Value> {
    Json(shared.lock().stripe.objects())
}

async fn clock(State(shared): State<Shared>, Json(Advance { advance_ms }): Json<Advance>) -> Json<Value> {
    let mut state = shared.lock();
    state.clock.advance(i64::from(advance_ms));
    state.post_events();
    Json(json!({"now": state.clock.now()}))
}

async fn faults(State(shared): State<Shared>, Json(plan): Json<Plan>) -> Json<Value> {
    let mut state = shared.lock();
    state.faults.plan(plan.next);
    if let Some(percent) = plan.percent {
        state.faults.draw_percent(percent);
    }
    if let Some(outage) = plan.outage {
        state.faults.set_outage(outage);
    }
    match plan.over_refunds {
        Some(true) => state.stripe.check_refunds(RefundPolicy::Uncapped),
        Some(false) => state.stripe.check_refunds(RefundPolicy::Capped),
        None => {}
    }
    Json(json!({}))
}

async fn hooks(State(shared): State<Shared>, Json(hooks): Json<Hooks>) -> Json<Value> {
    let mut state = shared.lock();
    state.endpoint = Endpoint { url: hooks.url, secrets: hooks.secrets };
    state.outbox.disorder(hooks.disorder);
    Json(json!({}))
}

async fn deliver(State(shared): State<Shared>) -> Json<Value> {
    let sent = courier::deliver(&shared, i64::MAX - 1).await;
    let sent = sent.iter().map(|outcome| {
        json!({"id": outcome.event, "type": outcome.kind, "forged": outcome.is_forged, "status": outcome.status})
    });
    Json(json!({"sent": sent.collect::<Vec<_>>()}))
}
