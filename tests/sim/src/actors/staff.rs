//! Staff: prices, stock, and what becomes of orders.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{below, insist};
use crate::fixture::{PRODUCT, VARIANTS, staff};
use crate::run::spawn;
use crate::world::World;

/// Prices and stock change every so often, in milliseconds.
const ROUND_MS: u64 = 30_000;

/// Work that goes on beside the shoppers.
type Working = Pin<Box<dyn Future<Output = ()> + Send>>;

async fn pause(world: &World) {
    let pause = ROUND_MS / 2 + below(world, ROUND_MS);
    world.wait(i64::try_from(pause).unwrap_or_default()).await;
}

/// Changes prices while there are shoppers.
pub fn reprice(world: Arc<World>) -> Working {
    Box::pin(async move {
        loop {
            pause(&world).await;
            if world.inner().shoppers == 0 {
                return;
            }
            let read = insist(&world, "catalog", "catalog.get-product", json!([staff(), PRODUCT, "all"])).await;
            let Some(mut product) = read.and_then(|answer| answer.get("ok").cloned()) else { continue };
            let (variant, minor) = (below(&world, 3) as usize, 200 + below(&world, 12_000));
            product["variants"][variant]["prices"][0]["minor"] = minor.into();
            // When the answer is lost the repeat meets the new version and is a conflict: that is fine too.
            let _ = crate::run::ask_json(&world, "catalog", "catalog.update-product", json!([staff(), product])).await;
        }
    })
}

/// Receives and writes off units while there are shoppers.
pub fn recount(world: Arc<World>) -> Working {
    Box::pin(async move {
        loop {
            pause(&world).await;
            if world.inner().shoppers == 0 {
                return;
            }
            let (movement, variant, delta) = {
                let mut inner = world.inner();
                let variant = VARIANTS[inner.actors.below(3) as usize];
                let delta = i64::try_from(inner.actors.below(9)).unwrap_or_default() - 4;
                (inner.mint("mov"), variant, if delta == 0 { 3 } else { delta })
            };
            insist(&world, "catalog", "catalog.adjust-stock", json!([staff(), movement, variant, delta, "counted"]))
                .await;
        }
    })
}

/// Captures, ships, refunds or cancels an order, in some order and now and then twice at once.
pub async fn serve(world: &Arc<World>, order: &str, view: &Value) {
    for _ in 0..=below(world, 3) {
        let (function, args) = command(world, order, view);
        if below(world, 8) == 0 {
            let (twin, args) = (world.clone(), args.clone());
            spawn(world, None, None, async move {
                insist(&twin, "order", function, args).await;
            });
        }
        insist(world, "order", function, args).await;
    }
}

fn command(world: &World, order: &str, view: &Value) -> (&'static str, Value) {
    let mut inner = world.inner();
    let id = inner.mint("cmd");
    let total = view["totals"]["total"]["minor"].as_u64().unwrap_or(1).max(1);
    let part = |part: u64| json!({"minor": part, "currency": "USD"});
    let line = &view["lines"][0];
    let one = json!([{"variant-id": line["variant-id"], "quantity": 1}]);
    match inner.actors.below(8) {
        0 => ("order.capture", json!([staff(), id, order, null])),
        1 => ("order.capture", json!([staff(), id, order, part(1 + inner.actors.below(total))])),
        2 => ("order.ship", json!([staff(), id, order, [], "carrier", "1"])),
        3 => ("order.ship", json!([staff(), id, order, one, "carrier", "1"])),
        4 => ("order.refund", json!([staff(), id, order, part(1 + inner.actors.below(total)), "goodwill", []])),
        5 => ("order.refund", json!([staff(), id, order, part(1 + inner.actors.below(total)), "sent back", one])),
        6 => ("order.refund", json!([staff(), id, order, part(total), "all of it", []])),
        _ => ("order.cancel", json!([staff(), id, order, "out of order"])),
    }
}
