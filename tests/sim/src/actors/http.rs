//! Shoppers who come through the gateway, over HTTP: here keys make repeats harmless.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Next, TRIES_MAX, act, below, token};
use crate::fixture::VARIANTS;
use crate::run::{ask_json, spawn};
use crate::world::World;

/// One visit: a cart, a quote, a checkout, now and then clicked twice.
pub async fn shop(world: &Arc<World>) {
    let key = world.inner().mint("key");
    let Some(made) = send(world, "POST", "/api/v1/store/carts", Some(&key), json!({"currency": "USD"})).await else {
        return;
    };
    let Some(cart) = made.body["id"].as_str().map(str::to_owned) else { return };
    let variant = VARIANTS[below(world, 3) as usize];
    let line = format!("/api/v1/store/carts/{cart}/lines/{variant}");
    let quantity = 1 + below(world, 3);
    if send(world, "PUT", &line, None, json!({"quantity": quantity})).await.is_none() {
        return;
    }
    for _ in 0..super::QUOTES_MAX {
        let address = json!({"name": "Ada Shopper", "line1": "1 Main Street", "city": "Springfield", "region": "IL",
            "postal_code": "62701", "country": "US"});
        let quote = format!("/api/v1/store/carts/{cart}/quote");
        let Some(quote) = send(world, "POST", &quote, None, json!({"shipping_address": address})).await else { return };
        if quote.status != 200 {
            return;
        }
        let body = json!({"quote_hash": quote.body["hash"], "email": "shopper@example.org", "shipping_address": address,
            "shipping_method": quote.body["shipping_method"], "payment": {"provider": "test", "token": token(world)}});
        if !matches!(check_out(world, &cart, body).await, Next::QuoteAgain) {
            return;
        }
    }
}

async fn check_out(world: &Arc<World>, cart: &str, body: Value) -> Next {
    let (key, path) = (world.inner().mint("key"), format!("/api/v1/store/carts/{cart}/checkout"));
    world.inner().tally.checkouts += 1;
    if below(world, 4) == 0 {
        let (twin, key, path, body) = (world.clone(), key.clone(), path.clone(), body.clone());
        spawn(world, None, None, async move {
            placed(&twin, &path, &key, body).await;
        });
    }
    let Some(answer) = placed(world, &path, &key, body).await else { return Next::Leave };
    if answer.body["code"] == "price_changed" {
        return Next::QuoteAgain;
    }
    if let Some(url) = answer.body["next_action"]["url"].as_str() {
        act(world, url).await;
        let order = answer.body["id"].as_str().unwrap_or_default();
        send(world, "POST", &format!("/api/v1/store/orders/{order}/resume"), None, json!({})).await;
    }
    Next::Leave
}

/// Sends a checkout until it is answered, and holds the shop to what it said.
async fn placed(world: &Arc<World>, path: &str, key: &str, body: Value) -> Option<Answer> {
    let answer = send(world, "POST", path, Some(key), body).await?;
    if matches!(answer.status, 200 | 201) {
        let mut inner = world.inner();
        if answer.body["state"] == "confirmed" {
            let order = answer.body["id"].as_str().unwrap_or_default().to_owned();
            inner.promised.insert(order, "confirmed".to_owned());
        }
        let told = answer.body.to_string();
        let first = inner.answers.entry(key.to_owned()).or_insert_with(|| told.clone()).clone();
        if first != told {
            inner.violate(format!("a_key_has_one_answer {key}: {first} and {told}"));
        }
    }
    Some(answer)
}

/// What the gateway answered.
struct Answer {
    status: u64,
    body: Value,
}

/// Sends a request until there is an answer that would be the same again.
async fn send(world: &Arc<World>, method: &str, path: &str, key: Option<&str>, body: Value) -> Option<Answer> {
    let mut headers = vec![json!(["content-type", "application/json"])];
    headers.extend(key.map(|key| json!(["idempotency-key", key])));
    let request = json!({"id": "sim", "method": method, "path": path, "query": "", "origin": "https://shop.example",
        "client": "192.0.2.1", "headers": headers, "body": body.to_string()});
    for _ in 0..TRIES_MAX {
        let answer = ask_json(world, "gateway", "http.handle", json!([request])).await;
        if let Some(answer) = answer {
            let status = answer["status"].as_u64().unwrap_or_default();
            let body: Value = serde_json::from_str(answer["body"].as_str().unwrap_or_default()).unwrap_or_default();
            let again = status >= 500 || matches!(body["code"].as_str(), Some("conflict" | "idempotency_in_progress"));
            if !again {
                return Some(Answer { status, body });
            }
        }
        let pause = 500 + below(world, 4_000);
        world.wait(i64::try_from(pause).unwrap_or_default()).await;
    }
    None
}
