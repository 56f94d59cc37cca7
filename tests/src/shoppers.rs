//! Shoppers who go on buying while a shop is killed, cut off or left without a disk, and what must be true afterwards.
//!
//! What was acknowledged stays; what was not is finished or undone by a restart, without anybody's help.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use souk_kit::testing::Dice;
use tokio::{sync::watch, task::JoinSet};

use crate::{
    checker::{Books, assert_sound, settle},
    client::{Answer, Client, address},
    shop::Shop,
    wait::eventually,
};

mod tally;

pub use tally::Tally;

/// Shoppers at once.
const SHOPPERS: u64 = 24;
/// Checkouts that are answered between a start and the blow, at least and at most.
const ANSWERS_BEFORE_A_BLOW: std::ops::Range<u64> = 5..60;
/// The longest wait for that many.
const ROUND_MAX: Duration = Duration::from_secs(30);
/// Milliseconds from then to the blow, at most.
const DELAY_MS_MAX: u64 = 80;
/// How long a shop may take to settle by itself after the last blow: the timer of a checkout comes after half a minute,
/// and under Spin a delivery that died with its instance after two.
const SETTLE_MAX: Duration = Duration::from_secs(240);
/// Answers that say that it is not known whether it was done: something is away, took too long, or found no room.
const UNDECIDED: [u16; 3] = [503, 504, 507];

/// What becomes of a checkout with each token, whatever happens on its way.
pub const TOKENS: [(&str, &str); 5] = [
    ("tok_success", "confirmed"),
    ("tok_declined", "canceled"),
    ("tok_timeout_after", "confirmed"),
    ("tok_timeout_before", "confirmed"),
    ("tok_delayed", "confirmed"),
];

/// A checkout that was sent.
#[derive(Clone)]
pub struct Checkout {
    /// The cart's id.
    pub cart: String,
    key: String,
    body: Value,
    /// Where it must end.
    pub stage: &'static str,
}

impl Checkout {
    /// Sends it, perhaps again. None when there is no answer, or one that decides nothing.
    pub async fn send(&self, client: &Client) -> Option<Answer> {
        let path = format!("/api/v1/store/carts/{}/checkout", self.cart);
        let headers = [("idempotency-key", self.key.as_str()), ("content-type", "application/json")];
        let answer = client.try_send("POST", &path, &headers, Some(self.body.to_string().into_bytes())).await.ok()?;
        // Anything that may be sent again as it is acknowledges nothing.
        let undecided = UNDECIDED.contains(&answer.status) || answer.json["code"] == "idempotency_in_progress";
        assert!(undecided || matches!(answer.status, 200 | 201), "{} {}", answer.status, answer.text);
        (!undecided).then_some(answer)
    }
}

/// What shoppers know.
#[derive(Default)]
struct Memory {
    /// Answers that came, by the cart's id.
    acknowledged: Mutex<BTreeMap<String, (Checkout, Answer)>>,
    /// Checkouts without an answer.
    unanswered: Mutex<Vec<Checkout>>,
    answers: AtomicU64,
    over: AtomicBool,
}

impl Memory {
    fn acknowledge(&self, checkout: Checkout, answer: Answer) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        let before = self
            .acknowledged
            .lock()
            .expect("no shopper panics in here")
            .insert(checkout.cart.clone(), (checkout, answer));
        assert!(before.is_none(), "a checkout is answered once");
    }

    fn wonder(&self, checkout: Checkout) {
        self.unanswered.lock().expect("no shopper panics in here").push(checkout);
    }
}

/// A cart, a line and a quote, to be paid with a token; none when the host went away meanwhile.
pub async fn fill(
    client: &Client,
    variant: &str,
    key: String,
    (token, stage): (&str, &'static str),
) -> Option<Checkout> {
    let send = async |method: &str, path: &str, body: Value| {
        let headers = [("content-type", "application/json")];
        let answer = client.try_send(method, path, &headers, Some(body.to_string().into_bytes())).await.ok()?;
        let undecided = UNDECIDED.contains(&answer.status);
        assert!(undecided || matches!(answer.status, 200 | 201), "{path}: {} {}", answer.status, answer.text);
        (!undecided).then_some(answer)
    };
    let cart = send("POST", "/api/v1/store/carts", json!({"currency": "USD"})).await?.text_at("/id");
    send("PUT", &format!("/api/v1/store/carts/{cart}/lines/{variant}"), json!({"quantity": 1})).await?;
    let quote =
        send("POST", &format!("/api/v1/store/carts/{cart}/quote"), json!({"shipping_address": address()})).await?;
    let body = json!({
        "quote_hash": quote.text_at("/hash"), "email": "shopper@example.org", "shipping_address": address(),
        "shipping_method": quote.text_at("/shipping_method"), "payment": {"provider": "test", "token": token},
    });
    Some(Checkout { cart, key, body, stage })
}

/// Buys until it is over. Of two checkouts without an answer one is sent again after the restart, the other is left to
/// the shop's own timers.
async fn shop_on(memory: Arc<Memory>, mut host: watch::Receiver<Client>, variant: String, mut dice: Dice) {
    let mut number = 0;
    while !memory.over.load(Ordering::Relaxed) {
        let client = host.borrow_and_update().clone();
        number += 1;
        let token = *dice.pick(&TOKENS);
        let key = format!("{}-{number}", dice.roll());
        if let Some(checkout) = fill(&client, &variant, key, token).await {
            match checkout.send(&client).await {
                Some(answer) => {
                    memory.acknowledge(checkout, answer);
                    continue;
                }
                None => memory.wonder(checkout),
            }
        }
        // It was killed, or is full: go on with the next one that there is.
        if host.has_changed().is_ok_and(|changed| !changed) && !memory.over.load(Ordering::Relaxed) {
            let _ = tokio::time::timeout(Duration::from_secs(1), host.changed()).await;
        }
    }
}

/// Dice of the seed that the environment names (`SEED`), or of one that is printed.
pub fn dice_of(test: &str) -> Dice {
    let named = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    let seed: u64 = named.unwrap_or_else(|| u64::try_from(now.as_millis()).expect("not for ages"));
    println!("{test}: SEED={seed}");
    Dice::new(seed)
}

/// A number that the environment names, or the usual one.
pub fn number_of(variable: &str, usual: usize) -> usize {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable} is {text}, which is no number")),
        Err(_) => usual,
    }
}

/// Has shoppers buy while `strike` does its worst so many times, starts the shop again and answers how long that took. Then
/// asserts that every acknowledged order is what it was acknowledged to be, that the rest ended well, that nobody paid
/// twice, and that the books add up; and prints what happened. The shop is killed at the end.
pub async fn survive(
    shop: &mut Shop,
    dice: &mut Dice,
    (rounds, what): (usize, &str),
    mut strike: impl FnMut(&mut Shop, usize, &mut Dice) -> Duration,
) {
    let begin = Instant::now();
    let variant = Client::staff(shop).await.stocked_variant("durable", 1_000_000).await;
    let memory = Arc::new(Memory::default());
    let (hosts, host) = watch::channel(Client::guest(shop));
    let mut shoppers = JoinSet::new();
    for _ in 0..SHOPPERS {
        shoppers.spawn(shop_on(Arc::clone(&memory), host.clone(), variant.clone(), Dice::new(dice.roll())));
    }
    let starts = trouble(shop, &memory, &hosts, dice, (rounds, &mut strike)).await;
    memory.over.store(true, Ordering::Relaxed);
    shoppers.join_all().await;
    let loaded = begin.elapsed();

    // Every other checkout without an answer is sent again under its key; the rest the shop must find by itself.
    let client = Client::guest(shop);
    let unanswered = std::mem::take(&mut *memory.unanswered.lock().expect("the shoppers are gone"));
    let wondered = unanswered.len();
    let failed = 100.0 * wondered as f64 / (wondered as f64 + memory.answers.load(Ordering::Relaxed) as f64);
    let mut again: Vec<Checkout> = unanswered.iter().step_by(2).cloned().collect();
    let mut seconds = tokio::time::interval(Duration::from_secs(1)); // as the answers say in Retry-After
    let end = Instant::now() + SETTLE_MAX;
    while !again.is_empty() {
        assert!(Instant::now() < end, "{} checkouts that were sent again have no answer", again.len());
        seconds.tick().await;
        for checkout in std::mem::take(&mut again) {
            match checkout.send(&client).await {
                Some(answer) => memory.acknowledge(checkout, answer),
                None => again.push(checkout),
            }
        }
    }
    settle(shop, SETTLE_MAX).await;

    // The same key gives the same answer, after all these restarts.
    let acknowledged = std::mem::take(&mut *memory.acknowledged.lock().expect("the shoppers are gone"));
    for (checkout, first) in acknowledged.values() {
        let repeated = checkout.send(&client).await.expect("the answer is known");
        assert_eq!((repeated.status, &repeated.text), (first.status, &first.text));
    }

    shop.kill();
    assert_sound(shop);
    let tally = Tally::of(&Books::of(shop), acknowledged.values(), &unanswered);
    let slowest = starts.iter().max().copied().unwrap_or_default();
    println!(
        "tally: {rounds} {what} under {SHOPPERS} shoppers in {loaded:.1?}: {tally}; {failed:.1} % of checkouts got no answer; \
         slowest restart {slowest:.0?}; {:.0?} in all",
        begin.elapsed(),
    );
    assert!(tally.is_sound(), "{tally}");
}

/// Strikes again and again; answers the times that it took until the shop answered again.
async fn trouble(
    shop: &mut Shop,
    memory: &Memory,
    hosts: &watch::Sender<Client>,
    dice: &mut Dice,
    (rounds, strike): (usize, &mut impl FnMut(&mut Shop, usize, &mut Dice) -> Duration),
) -> Vec<Duration> {
    let mut starts = Vec::new();
    for round in 0..rounds {
        let range = ANSWERS_BEFORE_A_BLOW;
        let goal = memory.answers.load(Ordering::Relaxed) + range.start + dice.below(range.end - range.start);
        eventually(ROUND_MAX, "shoppers are answered", async || {
            (memory.answers.load(Ordering::Relaxed) >= goal).then_some(())
        })
        .await;
        tokio::time::sleep(Duration::from_millis(dice.below(DELAY_MS_MAX))).await;
        let began = tokio::task::block_in_place(|| strike(shop, round, dice));
        let client = Client::guest(shop);
        let begin = Instant::now();
        eventually(ROUND_MAX, "the restarted shop answers", async || {
            client
                .try_send("GET", "/api/v1/store/payment-providers", &[], None)
                .await
                .ok()
                .filter(|answer| answer.status == 200)
        })
        .await;
        starts.push(began + begin.elapsed());
        hosts.send(client).expect("shoppers listen");
    }
    starts
}
