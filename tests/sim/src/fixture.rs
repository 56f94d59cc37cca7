//! What every world begins with: one product with three variants, and some of each on the shelf.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::run::ask_json;
use crate::world::World;

/// The product.
pub const PRODUCT: &str = "prod_00000000000070008000000000000001";
/// Its variants.
pub const VARIANTS: [&str; 3] = [
    "var_00000000000070008000000000000001",
    "var_00000000000070008000000000000002",
    "var_00000000000070008000000000000003",
];
/// Prices in minor units, by variant.
const PRICES: [i64; 3] = [1_999, 10_000, 250];
/// Units on the shelf, by variant: the last one runs out.
const UNITS: [i64; 3] = [60, 40, 12];

/// The context of a call by staff.
pub fn staff() -> Value {
    json!({"request-id": "sim", "actor": {"staff": "usr_00000000000070008000000000000001"}, "client": ""})
}

/// Makes the product and counts its units.
pub async fn fill(world: &Arc<World>) {
    let variants: Vec<Value> = VARIANTS
        .iter()
        .zip(PRICES)
        .enumerate()
        .map(|(place, (id, minor))| {
            json!({"id": id, "sku": format!("SKU-{place}"), "weight-grams": 100, "option-values": [place.to_string()],
                "prices": [{"minor": minor, "currency": "USD"}]})
        })
        .collect();
    let product = json!({"id": PRODUCT, "slug": "product", "title": "Product", "status": "published",
        "options": [{"name": "Size", "values": ["0", "1", "2"]}], "variants": variants});
    expect(world, "catalog.create-product", json!([staff(), product])).await;
    for (place, (variant, units)) in VARIANTS.iter().zip(UNITS).enumerate() {
        let movement = format!("mov_{place:032x}");
        expect(world, "catalog.adjust-stock", json!([staff(), movement, variant, units, "received"])).await;
    }
}

async fn expect(world: &Arc<World>, function: &str, args: Value) {
    let answer = ask_json(world, "catalog", function, args).await;
    if answer.as_ref().is_none_or(|answer| answer.get("ok").is_none()) {
        world.inner().violate(format!("{function}: {answer:?}"));
    }
}
