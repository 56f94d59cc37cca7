//! The button that is pressed sixteen times at once.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::json;
use souk_providers::provider::Provider as _;
use souk_tests::checker::Books;
use souk_tests::crowd::{crowd, machine, patiently};
use souk_tests::stripe::Scene;
use tokio::task::JoinSet;

use crate::{report, scaled};

/// Idempotency keys.
const KEYS: usize = 1_000;
/// Submits under each, all at once.
const SUBMITS: usize = 16;
/// Keys at once.
const SHOPPERS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_makes_one_order_and_one_body() {
    let _machine = machine().await;
    let scene = Scene::new("automatic").await;
    let variant = scene.staff.stocked_variant("plenty", 1_000_000).await;
    let (begin, keys) = (Instant::now(), scaled(KEYS));
    let guest = scene.guest.clone();
    let answers = crowd(SHOPPERS, keys, move |number| {
        let (guest, variant) = (guest.clone(), variant.clone());
        async move {
            let (cart, mut body) = guest.quoted_cart(&variant, 1).await;
            body["payment"] = json!({"provider": "stripe", "token": "pm_card_visa"});
            let (path, key) = (format!("/api/v1/store/carts/{cart}/checkout"), format!("key-{number}"));
            let mut submits = JoinSet::new();
            for _ in 0..SUBMITS {
                let (guest, path, key, body) = (guest.clone(), path.clone(), key.clone(), body.clone());
                submits.spawn(async move { patiently(&guest, &path, &key, &body).await.expect(201) });
            }
            submits.join_all().await
        }
    })
    .await;

    let mut orders = BTreeSet::new();
    for of_one_key in &answers {
        let bodies: BTreeSet<&str> = of_one_key.iter().map(|answer| answer.text.as_str()).collect();
        assert_eq!((of_one_key.len(), bodies.len()), (SUBMITS, 1), "{bodies:?}");
        orders.insert(of_one_key[0].text_at("/id"));
    }
    let books = Books::of(&scene.shop);
    let stored = books.number("SELECT COUNT(*) FROM order_orders", []);
    let intents = scene.company.shared.lock().provider.objects()["payment_intents"].as_array().map_or(0, Vec::len);
    assert_eq!((orders.len(), stored, intents), (keys, i64::try_from(keys).expect("a count"), keys));
    assert_eq!(books.findings(), []);
    assert_eq!(scene.differences(), [""; 0]);
    scene.shop.assert_audit();
    report(
        "double submit",
        begin,
        format!(
            "{keys} keys x {SUBMITS} parallel, {} orders, {intents} payment intents, bodies identical for each key",
            orders.len()
        ),
    );
}
