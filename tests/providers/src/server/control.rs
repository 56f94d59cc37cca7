//! What a test or a developer does to the simulator.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Endpoint, Shared, courier};
use crate::faults::Fault;
use crate::hooks::Disorder;
use crate::provider::{Provider, RefundPolicy};

pub(super) fn routes<P: Provider>() -> Router<Shared<P>> {
    Router::new()
        .route("/_control/objects", get(objects::<P>))
        .route("/_control/clock", post(clock::<P>))
        .route("/_control/faults", post(faults::<P>))
        .route("/_control/hooks", post(hooks::<P>))
        .route("/_control/hooks/deliver", post(deliver::<P>))
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

async fn objects<P: Provider>(State(shared): State<Shared<P>>) -> Json<Value> {
    Json(shared.lock().provider.objects())
}

async fn clock<P: Provider>(
    State(shared): State<Shared<P>>,
    Json(Advance { advance_ms }): Json<Advance>,
) -> Json<Value> {
    let mut state = shared.lock();
    state.clock.advance(i64::from(advance_ms));
    state.post_events();
    Json(json!({"now": state.clock.now()}))
}

async fn faults<P: Provider>(State(shared): State<Shared<P>>, Json(plan): Json<Plan>) -> Json<Value> {
    let mut state = shared.lock();
    state.faults.plan(plan.next);
    if let Some(percent) = plan.percent {
        state.faults.draw_percent(percent);
    }
    if let Some(outage) = plan.outage {
        state.faults.set_outage(outage);
    }
    match plan.over_refunds {
        Some(true) => state.provider.check_refunds(RefundPolicy::Uncapped),
        Some(false) => state.provider.check_refunds(RefundPolicy::Capped),
        None => {}
    }
    Json(json!({}))
}

async fn hooks<P: Provider>(State(shared): State<Shared<P>>, Json(hooks): Json<Hooks>) -> Json<Value> {
    let mut state = shared.lock();
    state.endpoint = Endpoint { url: hooks.url, secrets: hooks.secrets };
    state.outbox.disorder(hooks.disorder);
    Json(json!({}))
}

async fn deliver<P: Provider>(State(shared): State<Shared<P>>) -> Json<Value> {
    let sent = courier::deliver(&shared, i64::MAX - 1).await;
    let sent = sent.iter().map(|outcome| {
        json!({"id": outcome.event, "type": outcome.kind, "forged": outcome.is_forged, "status": outcome.status})
    });
    Json(json!({"sent": sent.collect::<Vec<_>>()}))
}
