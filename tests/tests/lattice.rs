//! What is a wasmCloud lattice's own: a courier that forgets everything. `crash.rs` kills its hosts.

use std::time::Duration;

use serde_json::Value;
use souk_tests::{
    checker::{Books, assert_sound, settle},
    client::{Answer, Client},
    postgres,
    shop::{Limits, Platform, Shop},
    wait::{AFTER_A_TIMER, eventually},
};
use tokio::task::{JoinSet, block_in_place};

/// Orders that are placed while NATS loses everything.
const ORDERS: usize = 24;
/// How long all may take to be delivered: a delivery that failed is repeated after up to a minute.
const SETTLE_MAX: Duration = Duration::from_secs(120);
/// What the documentation says to do before a lattice whose NATS lost everything can be changed again.
const RENEWED: [&str; 10] = [
    "end wadm",
    "start wadm",
    "end host-1",
    "start host-1",
    "hosts 2",
    "end host-2",
    "start host-2",
    "hosts 2",
    "configure",
    "hosts 2",
];

/// A checkout with a key of its own.
async fn check_out(guest: Client, cart: String, body: Value) -> Option<Answer> {
    let (path, key) = (format!("/api/v1/store/carts/{cart}/checkout"), format!("key-of-{cart}"));
    let headers = [("idempotency-key", key.as_str()), ("content-type", "application/json")];
    let answer = guest.try_send("POST", &path, &headers, Some(body.to_string().into_bytes())).await.ok()?;
    (answer.status == 201).then_some(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_that_loses_everything_loses_no_event_and_no_order() {
    let mut shop = Shop::start_on(Platform::Lattice, Limits::Lifted, &[]);
    let (guest, staff) = (Client::guest(&shop), Client::staff(&shop).await);
    let variant = staff.stocked_variant("carried", 1_000).await;
    let mut carts = Vec::new();
    for _ in 0..ORDERS {
        carts.push(guest.quoted_cart(&variant, 1).await);
    }
    let mut checkouts = JoinSet::new();
    for (cart, body) in carts.clone() {
        checkouts.spawn(check_out(guest.clone(), cart, body));
    }
    checkouts.join_next().await.expect("there are some").expect("no checkout panics").expect("NATS is still there");

    let database = shop.database.clone().expect("a lattice has one");
    let waiting = block_in_place(|| {
        let lattice = shop.lattice.as_mut().expect("it is on a lattice");
        lattice.order("kill nats");
        lattice.order("wipe nats");
        let waiting = postgres::number(&database, "SELECT count(*) FROM souk.deliveries");
        lattice.order("start nats");
        waiting
    });
    assert!(waiting > 0, "events were on their way");
    let answered = checkouts.join_all().await.into_iter().flatten().count() + 1;

    // The shop goes on by what its hosts remember.
    for (cart, body) in &carts {
        let again = async || check_out(guest.clone(), cart.clone(), body.clone()).await;
        eventually(AFTER_A_TIMER, "the order is placed", again).await;
    }
    settle(&shop, SETTLE_MAX).await;
    assert_sound(&shop);
    let books = Books::of(&shop);
    let told = "SELECT COUNT(*) FROM notification_messages WHERE template = 'order-placed' AND state = 'sent'";
    let confirmed = "SELECT COUNT(*) FROM order_orders WHERE stage = 'confirmed'";
    assert_eq!((books.number(confirmed, []), books.number(told, [])), (ORDERS as i64, ORDERS as i64));

    // And it can be changed again.
    block_in_place(|| {
        let lattice = shop.lattice.as_mut().expect("it is on a lattice");
        RENEWED.iter().for_each(|order| lattice.order(order));
        lattice.deploy();
    });
    let (cart, body) = guest.quoted_cart(&variant, 1).await;
    eventually(AFTER_A_TIMER, "an order after it", async || check_out(guest.clone(), cart.clone(), body.clone()).await)
        .await;
    println!(
        "NATS lost everything with {waiting} events on their way and {answered} of {ORDERS} orders answered: 0 lost"
    );
}
