//! Webhooks that come twice, out of order, late, and from strangers. Afterwards the shop's books are what an oracle
//! says that looks at Stripe's objects alone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use souk_providers::hooks::{Delivery, Disorder, Forgery};
use souk_providers::stripe::signature::sign_delivery;
use souk_tests::checker::{Books, Finding};
use souk_tests::client::{Answer, Client};
use souk_tests::crowd::{crowd, machine};
use souk_tests::stripe::{HOOK_SECRET, KEY, Parties, Scene};
use souk_tests::wait::eventually;

use crate::{report, scaled};

/// Webhooks that are sent, at least.
const DELIVERIES: usize = 10_000;
/// What goes wrong with how many of a hundred.
const DISORDER: Disorder = Disorder { duplicates: 30, reordered: 30, late: 10, forged: 10 };
/// Shoppers who come between two rounds of webhooks.
const ROUND: usize = 40;
/// Senders of webhooks, and others, at once.
const CLIENTS: usize = 8;
/// How long the last webhooks may take until they have had their effect.
const SETTLE_MAX: Duration = Duration::from_secs(120);

/// What was sent, and what the shop made of it.
#[derive(Default)]
struct Tally {
    genuine: usize,
    /// Ids of genuine events, and of those that are about a payment.
    events: BTreeSet<String>,
    of_interest: BTreeSet<String>,
    /// Forged ones: of another secret, changed, too old.
    forged: [usize; 3],
    accepted: usize,
}

impl Tally {
    fn sent(&self) -> usize {
        self.genuine + self.forged.iter().sum::<usize>()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_in_any_order_end_in_the_state_that_stripe_has() {
    let _machine = machine().await;
    let scene = Scene::new("automatic").await;
    scene.company.shared.lock().outbox.disorder(DISORDER);
    let variant = scene.staff.stocked_variant("vase", 1_000_000).await;
    let begin = Instant::now();
    let (mut tally, mut orders) = (Tally::default(), 0);
    let mut acts: Vec<Act> = Vec::new();
    while tally.sent() < scaled(DELIVERIES) || !acts.is_empty() {
        if tally.sent() < scaled(DELIVERIES) {
            acts.extend((orders..orders + ROUND).map(Act::Buy));
            orders += ROUND;
        }
        let (count, done, parties, variant) = (acts.len(), Arc::new(acts), Arc::clone(&scene.parties), variant.clone());
        let next = crowd(CLIENTS, count, move |place| {
            let (acts, parties, variant) = (Arc::clone(&done), Arc::clone(&parties), variant.clone());
            async move { act(&parties, &variant, &acts[place]).await }
        });
        acts = next.await.into_iter().flatten().collect();
        // What is out of order comes after the next acts, what is late after all of them.
        let now = scene.company.shared.lock().clock.now();
        let due = scene.company.shared.lock().outbox.take_due(now);
        deliver(&scene, due, &mut tally).await;
    }
    let late = scene.company.shared.lock().outbox.take_due(i64::MAX - 1);
    deliver(&scene, late, &mut tally).await;

    let books = Books::of(&scene.shop);
    let waiting = "SELECT COUNT(*) FROM payment_hooks WHERE handled_at IS NULL";
    eventually(SETTLE_MAX, "every webhook has had its effect", async || {
        let settled = books.number(waiting, []) == 0 && scene.differences().is_empty();
        settled.then_some(())
    })
    .await;
    assert_eq!(books.findings(), Vec::<Finding>::new());
    let strangers = books.number("SELECT COUNT(*) FROM payment_hooks WHERE event_id GLOB 'evt_forged*'", []);
    let kept = books.number("SELECT COUNT(*) FROM payment_hooks", []);
    let of_interest = i64::try_from(tally.of_interest.len()).expect("a count");
    assert_eq!((tally.accepted, strangers, kept), (0, 0, of_interest), "forged: accepted, kept; genuine: kept");
    scene.shop.assert_audit();
    let [secret, body, stale] = tally.forged;
    report(
        "webhooks",
        begin,
        format!(
            "{} deliveries ({} duplicates, {} % reordered, {} % late; {} forged: {secret} of another secret, \
             {body} changed, {stale} too old) about {orders} orders, all equal to the oracle, {} forged accepted",
            tally.sent(),
            tally.genuine - tally.events.len(),
            DISORDER.reordered,
            DISORDER.late,
            secret + body + stale,
            tally.accepted
        ),
    );
}

/// What somebody does between two rounds of webhooks.
enum Act {
    /// The numbered shopper comes.
    Buy(usize),
    /// A shopper answers at the page of 3-D Secure where this leads, of which the shop is told by nobody else.
    Answer(Answer, &'static str),
    /// Staff give something back at Stripe's own pages, which the shop did not ask for.
    RefundByHand(String, i64),
}

/// Does it; answers what comes of it in the next round.
async fn act(parties: &Parties, variant: &str, act: &Act) -> Option<Act> {
    match act {
        Act::Buy(number) => buy(parties, variant, *number).await,
        Act::Answer(placed, answer) => {
            parties.finish_action(placed, &format!("shopper={answer}")).await;
            (*answer == "approves").then(|| Act::RefundByHand(placed.text_at("/id"), 300))
        }
        Act::RefundByHand(order, amount) => {
            refund_by_hand(parties, order, *amount).await;
            None
        }
    }
}

async fn buy(parties: &Parties, variant: &str, number: usize) -> Option<Act> {
    let (method, status) = match number % 10 {
        0..5 => ("pm_card_visa", 201),
        5..9 => ("pm_card_authenticationRequired", 200),
        _ => ("pm_card_visa_chargeDeclined", 200),
    };
    let placed = parties.buy(variant, method).await.expect(status);
    let order = placed.text_at("/id");
    match number % 10 {
        refunds @ 0..4 => {
            for amount in (100..).take(refunds) {
                parties.act(&order, "refund", amount).await.expect(200);
            }
            None
        }
        4 => Some(Act::RefundByHand(order, 250)),
        5..8 => Some(Act::Answer(placed, "approves")),
        8 => Some(Act::Answer(placed, "refuses")),
        _ => None,
    }
}

async fn refund_by_hand(parties: &Parties, order: &str, amount: i64) {
    let intent = parties.at_stripe("payment_intents", order);
    let reference = intent[0]["id"].as_str().expect("an id");
    let form = format!("payment_intent={reference}&amount={amount}");
    let headers = [("authorization", &*format!("Bearer {KEY}")), ("content-type", "application/x-www-form-urlencoded")];
    Client::at(&parties.company.url).send("POST", "/v1/refunds", &headers, Some(form.into_bytes())).await.expect(200);
}

/// Sends webhooks, some at once.
async fn deliver(scene: &Scene, due: Vec<Delivery>, tally: &mut Tally) {
    for delivery in &due {
        let text = |name: &str| delivery.event[name].as_str().expect("a text").to_owned();
        match delivery.forgery {
            None => {
                tally.genuine += 1;
                tally.events.insert(text("id"));
                if souk_stripe::hook::TYPES.contains(&text("type").as_str()) {
                    tally.of_interest.insert(text("id"));
                }
            }
            Some(Forgery::Secret) => tally.forged[0] += 1,
            Some(Forgery::Body) => tally.forged[1] += 1,
            Some(Forgery::Stale) => tally.forged[2] += 1,
        }
    }
    let (count, due, guest) = (due.len(), Arc::new(due), scene.guest.clone());
    let accepted = crowd(CLIENTS, count, move |number| {
        let (guest, due) = (guest.clone(), Arc::clone(&due));
        async move { is_accepted(&guest, due[number].clone()).await }
    })
    .await;
    tally.accepted += accepted.into_iter().filter(|accepted| *accepted).count();
}

/// Sends one webhook; answers whether it was forged and taken all the same.
async fn is_accepted(guest: &Client, mut delivery: Delivery) -> bool {
    if delivery.forgery.is_some() {
        // Otherwise it might be refused, or seem to be, because the event is known.
        let id = delivery.event["id"].as_str().expect("an id").replace("evt", "evt_forged");
        delivery.event["id"] = id.into();
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    let (body, signature) =
        sign_delivery(&delivery, &[HOOK_SECRET], i64::try_from(since.as_secs()).expect("not for ages"));
    let headers = [("stripe-signature", signature.as_str()), ("content-type", "application/json; charset=utf-8")];
    let answer = guest.send("POST", "/api/v1/hooks/stripe", &headers, Some(body)).await;
    match (delivery.forgery, answer.status) {
        (None, 200) => false,
        (Some(_), 400) => {
            assert_eq!(answer.problem(), "hook_forged");
            false
        }
        (Some(_), 200..300) => true,
        (forgery, status) => panic!("{forgery:?}: {status} {}", answer.text),
    }
}
