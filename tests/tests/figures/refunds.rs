//! Refunds by eight members of staff who do not talk to each other: random amounts, repeats, and more than was paid.
//!
//! Stripe is simulated with its own check switched off, so that nothing but the shop's ledger stands before an
//! over-refund.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use souk_kit::testing::Dice;
use souk_providers::provider::{Provider as _, RefundPolicy};
use souk_tests::checker::{Books, Finding};
use souk_tests::crowd::{crowd, machine, patiently};
use souk_tests::stripe::{Parties, Scene};
use souk_tests::wait::{AFTER_A_TIMER, eventually};
use tokio::task::JoinSet;

use crate::{report, scaled};

/// Requests for a refund.
const REFUNDS: usize = 100_000;
/// Payments that they are of.
const PAYMENTS: usize = 4_000;
/// Members of staff at once.
const THREADS: usize = 8;
/// Of a hundred requests, those that repeat an earlier one of the same thread.
const REPEATS_PERCENT: u64 = 20;
/// Of a hundred requests, those for more than the whole payment.
const EXCESSIVE_PERCENT: u64 = 10;
/// One of how many other requests is for anything up to all of a payment.
const LARGE_ONE_OF: u64 = 20;
/// The largest of the rest, in minor units.
const SMALL_MAX: u64 = 200;
/// The seed of the first thread.
const SEED: u64 = 20_261_123;

/// A request that was answered.
#[derive(Clone)]
struct Asked {
    order: usize,
    key: String,
    body: Value,
    amount: i64,
    status: u16,
}

/// What one thread did.
#[derive(Default)]
struct Tally {
    done: Vec<Asked>,
    refused: Vec<Asked>,
    repeats: usize,
}

/// An order that was paid.
struct Paid {
    id: String,
    total: i64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn no_sequence_of_refunds_gives_back_more_than_was_paid() {
    let _machine = machine().await;
    let scene = Scene::new("automatic").await;
    scene.company.shared.lock().provider.check_refunds(RefundPolicy::Uncapped);
    let orders = Arc::new(pay(&scene, scaled(PAYMENTS)).await);
    let begin = Instant::now();
    let mut threads = JoinSet::new();
    for thread in 0..THREADS {
        let share = (scaled(REFUNDS) + thread) / THREADS;
        threads.spawn(give_back(Arc::clone(&scene.parties), Arc::clone(&orders), thread, share));
    }
    let tallies = threads.join_all().await;
    let took = begin.elapsed();

    let open = "SELECT COUNT(*) FROM payment_commands WHERE progress = 'in_flight'";
    let events = "SELECT COUNT(*) FROM souk_deliveries WHERE topic LIKE 'payment.c%' AND topic <> 'payment.check-due'";
    let books = Books::of(&scene.shop);
    eventually(AFTER_A_TIMER, "all refunds end", async || {
        (books.number(open, []) + books.number(events, []) == 0).then_some(())
    })
    .await;
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    for asked in tallies.iter().flat_map(|tally| &tally.done) {
        *sums.entry(&orders[asked.order].id).or_default() += asked.amount;
    }
    let ledger = books.pairs("SELECT order_id, CAST(refunded AS TEXT) FROM payment_payments");
    assert_eq!(ledger.len(), orders.len());
    for (order, refunded) in &ledger {
        let acknowledged = sums.get(order.as_str()).copied().unwrap_or_default();
        assert_eq!(refunded, &acknowledged.to_string(), "{order}: the ledger, and what staff were told");
    }
    let over = orders.iter().filter(|order| sums.get(order.id.as_str()).is_some_and(|sum| *sum > order.total)).count();
    let whole = orders.iter().filter(|order| sums.get(order.id.as_str()) == Some(&order.total)).count();
    assert_eq!(over, 0);
    assert_eq!(books.findings(), Vec::<Finding>::new());
    assert_eq!(scene.differences(), [""; 0]);
    scene.shop.assert_audit();

    let count = |of: fn(&Tally) -> usize| tallies.iter().map(of).sum::<usize>();
    let (done, refused, repeats) =
        (count(|tally| tally.done.len()), count(|tally| tally.refused.len()), count(|tally| tally.repeats));
    report(
        "refund sequences",
        begin,
        format!(
            "{} requests on {THREADS} threads over {} payments ({done} done, {refused} refused, {repeats} repeats; \
             {whole} payments given back to the last cent), 0 over-refunds, ledger equals the simulator's, {:.0} requests/s",
            done + refused + repeats,
            orders.len(),
            (done + refused + repeats) as f64 / took.as_secs_f64()
        ),
    );
}

async fn pay(scene: &Scene, payments: usize) -> Vec<Paid> {
    let variant = scene.staff.stocked_variant("vase", 1_000_000).await;
    let shop = Arc::clone(&scene.parties);
    crowd(THREADS, payments, move |_| {
        let (shop, variant) = (Arc::clone(&shop), variant.clone());
        async move {
            let placed = shop.buy(&variant, "pm_card_visa").await.expect(201);
            Paid { id: placed.text_at("/id"), total: placed.integer_at("/captured/amount") }
        }
    })
    .await
}

/// One member of staff, who remembers every answer: a repeat must be answered the same.
async fn give_back(scene: Arc<Parties>, orders: Arc<Vec<Paid>>, thread: usize, requests: usize) -> Tally {
    let mut dice = Dice::new(SEED + thread as u64);
    let mut tally = Tally::default();
    for number in 0..requests {
        let of_hundred = dice.below(100);
        if of_hundred < REPEATS_PERCENT && !(tally.done.is_empty() && tally.refused.is_empty()) {
            let before = dice.below((tally.done.len() + tally.refused.len()) as u64);
            let asked = tally.done.iter().chain(&tally.refused).nth(usize::try_from(before).expect("an index"));
            let asked = asked.expect("it is one of them").clone();
            let status = send(&scene, &orders, &asked.key, &asked.body, asked.order).await;
            assert_eq!(status, asked.status, "a repeat of {}", asked.key);
            tally.repeats += 1;
            continue;
        }
        let order = usize::try_from(dice.below(orders.len() as u64)).expect("an index");
        let total = u64::try_from(orders[order].total).expect("a price");
        let amount = match of_hundred {
            _ if of_hundred < REPEATS_PERCENT + EXCESSIVE_PERCENT => total + 1 + dice.below(total),
            _ if dice.below(LARGE_ONE_OF) == 0 => 1 + dice.below(total),
            _ => 1 + dice.below(SMALL_MAX),
        };
        let amount = i64::try_from(amount).expect("a small number");
        let (key, body) =
            (format!("refund-{thread}-{number}"), json!({"amount": {"amount": amount, "currency": "USD"}}));
        let status = send(&scene, &orders, &key, &body, order).await;
        let asked = Asked { order, key, body, amount, status };
        match status {
            200 => tally.done.push(asked),
            _ => tally.refused.push(asked),
        }
    }
    tally
}

/// Sends a request until it is decided: 200, or 422 when it is more than is left.
async fn send(scene: &Parties, orders: &[Paid], key: &str, body: &Value, order: usize) -> u16 {
    let path = format!("/api/v1/admin/orders/{}/refund", orders[order].id);
    let answer = patiently(&scene.staff, &path, key, body).await;
    match answer.status {
        200 => 200,
        422 => {
            assert_eq!(answer.problem(), "exceeds", "{}", answer.text);
            422
        }
        status => panic!("{key}: {status} {}", answer.text),
    }
}
