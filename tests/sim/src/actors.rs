//! Who uses the shop: shoppers who check out, hesitate, double-click and give up, and staff who sell, refund and recount.
//!
//! A client that got no answer asks again with the same ids, as one must. What a shopper was told is noted as a promise.

mod http;
mod staff;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::fixture::VARIANTS;
use crate::run::{ask_json, spawn};
use crate::world::World;

/// On average one shopper comes in this time, in milliseconds.
const ARRIVAL_MS: u64 = 1_500;
/// One of how many shoppers comes through the gateway; the others ask the services as it does.
const GATEWAY_ONE_OF: u64 = 6;
/// How often a client asks before it gives up.
const TRIES_MAX: u32 = 40;
/// How often a shopper looks whether an order has come to something.
const LOOKS_MAX: u32 = 6;
/// One of how many shoppers never comes back from the provider's page: such a world takes half an hour longer.
const ABANDONED_ONE_OF: u64 = 30;
/// New quotes of one shopper, after the price had changed.
const QUOTES_MAX: u32 = 3;
/// What a shopper pays with, and how many of a hundred do.
const TOKENS: [(&str, u64); 11] = [
    ("tok_success", 52),
    ("tok_declined", 6),
    ("tok_action", 10),
    ("tok_timeout_after", 7),
    ("tok_timeout_before", 7),
    ("tok_delayed", 6),
    ("tok_delayed_declined", 3),
    ("tok_capture_refused", 2),
    ("tok_refund_refused", 2),
    ("tok_refund_timeout", 3),
    ("tok_unknown", 2),
];

/// Lets everybody in.
pub fn enter(world: &Arc<World>) {
    let shoppers = {
        let mut inner = world.inner();
        if inner.actors.below(2) == 0 {
            inner.config.insert("capture".to_owned(), "manual".to_owned());
        }
        let count = inner.plan.shoppers;
        inner.shoppers = usize::try_from(count).unwrap_or_default();
        let shoppers = (0..count).map(|_| i64::try_from(inner.actors.below(ARRIVAL_MS * count)).unwrap_or_default());
        shoppers.collect::<Vec<i64>>()
    };
    for arrival in shoppers {
        let shopping = world.clone();
        spawn(world, None, None, async move {
            shopping.wait(arrival).await;
            match below(&shopping, GATEWAY_ONE_OF) {
                0 => http::shop(&shopping).await,
                _ => shop(&shopping).await,
            }
            shopping.inner().shoppers -= 1;
        });
    }
    for worker in [staff::reprice as fn(Arc<World>) -> _, staff::recount] {
        spawn(world, None, None, worker(world.clone()));
    }
}

/// The context of a call by somebody who is not signed in.
pub fn guest() -> Value {
    json!({"request-id": "sim", "actor": "guest", "client": "192.0.2.1"})
}

/// A number from zero to `below`, which is excluded.
pub fn below(world: &World, below: u64) -> u64 {
    world.inner().actors.below(below)
}

/// Asks until there is an answer that would be the same again; none when nobody answered for long.
pub async fn insist(world: &Arc<World>, component: &str, function: &str, args: Value) -> Option<Value> {
    for _ in 0..TRIES_MAX {
        let answer = ask_json(world, component, function, args.clone()).await;
        let again = match &answer {
            None => true,
            Some(answer) => answer["err"] == "conflict" || answer["err"].get("unavailable").is_some(),
        };
        if !again {
            return answer;
        }
        let pause = 500 + below(world, 4_000);
        world.wait(i64::try_from(pause).unwrap_or_default()).await;
    }
    None
}

/// One visit: a cart, a quote, a checkout, and what follows.
async fn shop(world: &Arc<World>) {
    let cart = world.inner().mint("cart");
    if insist(world, "cart", "cart.create", json!([guest(), cart, "USD"])).await.is_none() {
        return;
    }
    let lines = {
        let mut inner = world.inner();
        let first = inner.actors.below(3);
        let mut lines = vec![json!({"variant-id": VARIANTS[first as usize], "quantity": 1 + inner.actors.below(3)})];
        if inner.actors.below(3) == 0 {
            let second = (first + 1) % 3;
            lines.push(json!({"variant-id": VARIANTS[second as usize], "quantity": 1}));
        }
        lines
    };
    if insist(world, "cart", "cart.set-lines", json!([guest(), cart, lines, null])).await.is_none() {
        return;
    }
    for _ in 0..QUOTES_MAX {
        let wanted = json!({"cart-id": cart, "shipping-address": address(), "shipping-method": null});
        let Some(quote) = insist(world, "order", "order.get-quote", json!([guest(), wanted])).await else { return };
        let Some(quote) = quote.get("ok") else { return };
        let placement = placement(world, &cart, quote);
        if !matches!(check_out(world, placement).await, Next::QuoteAgain) {
            return;
        }
    }
}

fn address() -> Value {
    json!({"name": "Ada Shopper", "line1": "1 Main Street", "city": "Springfield", "region": "IL",
        "postal-code": "62701", "country": "US"})
}

/// Draws what a shopper pays with.
fn token(world: &World) -> &'static str {
    let mut which = below(world, 100);
    let token = TOKENS.iter().find(|(_, share)| {
        let found = which < *share;
        which = which.saturating_sub(*share);
        found
    });
    token.map_or("tok_success", |(token, _)| token)
}

fn placement(world: &World, cart: &str, quote: &Value) -> Value {
    let token = token(world);
    json!({
        "order-id": world.inner().mint("ord"), "cart-id": cart, "quote-hash": quote["hash"],
        "email": "shopper@example.org", "shipping-address": address(), "billing-address": address(),
        "shipping-method": quote["shipping-method"], "payment-provider": "test", "payment-token": token,
        "return-url": "https://shop.example/orders/{order}",
    })
}

/// What a shopper does next.
enum Next {
    /// Leave.
    Leave,
    /// Look at the new price.
    QuoteAgain,
}

/// Places an order, now and then twice at once, and follows it.
async fn check_out(world: &Arc<World>, placement: Value) -> Next {
    world.inner().tally.checkouts += 1;
    match below(world, 100) {
        // The same click twice.
        0..10 => also(world, placement.clone()),
        // The same cart in another tab, with another key.
        10..18 => {
            let mut other = placement.clone();
            {
                let mut inner = world.inner();
                inner.tally.checkouts += 1;
                other["order-id"] = inner.mint("ord").into();
            }
            also(world, other);
        }
        _ => {}
    }
    let Some(answer) = insist(world, "order", "order.place", json!([guest(), placement])).await else {
        return Next::Leave;
    };
    let order = placement["order-id"].as_str().unwrap_or_default();
    if answer["err"].get("price-changed").is_some() {
        return Next::QuoteAgain;
    }
    if let Some(view) = answer.get("ok") {
        follow(world, order, view.clone()).await;
    }
    Next::Leave
}

fn also(world: &Arc<World>, placement: Value) {
    let twin = world.clone();
    spawn(world, None, None, async move {
        let order = placement["order-id"].as_str().unwrap_or_default().to_owned();
        let answer = insist(&twin, "order", "order.place", json!([guest(), placement])).await;
        if let Some(view) = answer.as_ref().and_then(|answer| answer.get("ok")) {
            promise(&twin, &order, view);
        }
    });
}

/// Notes what a shopper was told.
fn promise(world: &World, order: &str, view: &Value) {
    let state = view["state"].as_str().unwrap_or_default();
    if state == "confirmed" {
        world.inner().promised.insert(order.to_owned(), state.to_owned());
    }
}

/// Waits for an order, acts where the provider asks for it, and sometimes changes one's mind.
async fn follow(world: &Arc<World>, order: &str, mut view: Value) {
    for _ in 0..LOOKS_MAX {
        promise(world, order, &view);
        match view["state"].as_str().unwrap_or_default() {
            "awaiting-action" => {
                if below(world, ABANDONED_ONE_OF) == 0 {
                    return; // the page is closed, and nobody comes back
                }
                act(world, view["action-url"].as_str().unwrap_or_default()).await;
            }
            "pending" => {}
            "confirmed" => break,
            _ => return,
        }
        if below(world, 12) == 0 {
            cancel(world, order).await;
        }
        let pause = 1_000 + below(world, 5_000);
        world.wait(i64::try_from(pause).unwrap_or_default()).await;
        let looked = insist(world, "order", "order.resume", json!([guest(), order])).await;
        match looked.as_ref().and_then(|answer| answer.get("ok")) {
            Some(seen) => view = seen.clone(),
            None => return,
        }
    }
    if view["state"] != "confirmed" {
        return;
    }
    match below(world, 100) {
        0..6 => cancel(world, order).await,
        6..40 => staff::serve(world, order, &view).await,
        _ => {}
    }
}

async fn cancel(world: &Arc<World>, order: &str) {
    let command = world.inner().mint("cmd");
    insist(world, "order", "order.cancel", json!([guest(), command, order, "changed my mind"])).await;
}

/// Approves or declines on the provider's page.
async fn act(world: &Arc<World>, url: &str) {
    let decision = if below(world, 4) == 0 { "decline" } else { "approve" };
    let request = json!({"id": "sim", "method": "POST", "path": url, "query": "", "origin": "https://shop.example",
        "client": "192.0.2.1", "headers": [["content-type", "application/x-www-form-urlencoded"]],
        "body": format!("decision={decision}")});
    for _ in 0..TRIES_MAX {
        let answer = ask_json(world, "test-payments", "http.handle", json!([request])).await;
        if answer.is_some_and(|answer| answer["status"].as_u64().is_some_and(|status| status < 500)) {
            return;
        }
        world.wait(1_000).await;
    }
}
