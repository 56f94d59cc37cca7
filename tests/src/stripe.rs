//! A shop with its connector to Stripe, as `souk up` runs it, beside the simulator of Stripe; and whether the two agree.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use serde_json::{Value, json};
use souk_providers::provider::Provider as _;
use souk_providers::server::{self, Clock, Endpoint, Server};
use souk_providers::stripe::Stripe;

use crate::checker::Books;
use crate::client::{Answer, Client};
use crate::shop::Shop;
use crate::time::Time;
use crate::wait::{AFTER_A_TIMER, eventually};

/// The secret key of the account.
pub const KEY: &str = "sk_test_simulator";
/// What signs its webhooks.
pub const HOOK_SECRET: &str = "whsec_simulator";

/// A shop and who deals with it.
pub struct Scene {
    /// The shop.
    pub shop: Shop,
    /// The others; they go to other threads.
    pub parties: Arc<Parties>,
}

/// Who deals with a shop.
pub struct Parties {
    /// Staff, signed in.
    pub staff: Client,
    /// A guest.
    pub guest: Client,
    /// The simulator.
    pub stripe: Server<Stripe>,
}

impl Scene {
    /// A shop that captures so: `automatic` or `manual`.
    pub async fn new(capture: &str) -> Self {
        Self::of(capture, Shop::start).await
    }

    /// The same, whose clock the test moves. The simulator has one of its own.
    pub async fn at(time: &Time, capture: &str) -> Self {
        Self::of(capture, |variables| Shop::start_at(time, variables)).await
    }

    async fn of(capture: &str, start: impl FnOnce(&[(&str, &str)]) -> Shop) -> Self {
        let stripe = server::start(0, KEY, 7, Clock::Goes(0)).await.expect("a port is free");
        let shop = start(&[
            ("PAYMENT_PROVIDERS", "stripe"),
            ("STRIPE_API_BASE", &stripe.url),
            ("STRIPE_SECRET_KEY", KEY),
            ("STRIPE_WEBHOOK_SECRETS", HOOK_SECRET),
            ("CAPTURE", capture),
        ]);
        let url = Some(format!("{}/api/v1/hooks/stripe", shop.url));
        stripe.shared.lock().endpoint = Endpoint { url, secrets: vec![HOOK_SECRET.to_owned()] };
        let parties = Arc::new(Parties { staff: Client::staff(&shop).await, guest: Client::guest(&shop), stripe });
        Self { shop, parties }
    }

    /// Where the shop's books and Stripe's objects do not agree, in lines for a person.
    pub fn differences(&self) -> Vec<String> {
        differences(&self.stripe.shared.lock().provider.objects(), &Books::of(&self.shop))
    }
}

impl Deref for Scene {
    type Target = Parties;

    fn deref(&self) -> &Parties {
        &self.parties
    }
}

impl Parties {
    /// A new cart, checked out with a payment method of Stripe's.
    pub async fn buy(&self, variant: &str, method: &str) -> Answer {
        let (cart, mut body) = self.guest.quoted_cart(variant, 1).await;
        body["payment"] = json!({"provider": "stripe", "token": method});
        let path = format!("/api/v1/store/carts/{cart}/checkout");
        self.guest.post_once(&path, &format!("key-of-{cart}"), &body).await
    }

    /// What staff do to an order, once for each amount.
    pub async fn act(&self, order: &str, act: &str, amount: i64) -> Answer {
        let path = format!("/api/v1/admin/orders/{order}/{act}");
        let body = json!({"amount": {"amount": amount, "currency": "USD"}});
        self.staff.post_once(&path, &format!("{act}-{amount}-{order}"), &body).await
    }

    /// Waits until the order is in this state.
    pub async fn becomes(&self, order: &str, state: &str) -> Answer {
        eventually(AFTER_A_TIMER, state, async || {
            let read = self.staff.get(&format!("/api/v1/admin/orders/{order}")).await.expect(200);
            (read.text_at("/state") == state).then_some(read)
        })
        .await
    }

    /// The shopper `approves` or `refuses` at the page of 3-D Secure where the answer to a checkout leads.
    pub async fn finish_action(&self, placed: &Answer, shopper: &str) {
        let page = placed.text_at("/next_action/url");
        let path = page.strip_prefix(&self.stripe.url).unwrap_or_else(|| panic!("{page} is no page of Stripe"));
        let form = Some(format!("shopper={shopper}").into_bytes());
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        Client::at(&self.stripe.url).send("POST", path, &headers, form).await.expect(303);
    }

    /// What Stripe has of a kind that this order caused.
    pub fn at_stripe(&self, kind: &str, order: &str) -> Vec<Value> {
        let objects = self.stripe.shared.lock().provider.objects();
        let all = |kind: &str| objects[kind].as_array().expect("a kind of objects").clone();
        let intents: Vec<Value> =
            all("payment_intents").into_iter().filter(|intent| intent["metadata"]["souk_order"] == order).collect();
        match kind {
            "payment_intents" => intents,
            _ => all(kind)
                .into_iter()
                .filter(|object| intents.iter().any(|intent| intent["id"] == object["payment_intent"]))
                .collect(),
        }
    }
}

/// A payment as the shop has it, or as Stripe's objects say that it must be.
#[derive(Debug, PartialEq, Eq)]
struct Funds {
    state: String,
    captured: i64,
    refunded: i64,
}

/// What a payment intent says that a payment must be.
fn told(intent: &Value, refunds: &BTreeMap<&str, i64>) -> Funds {
    let state = match text(&intent["status"]) {
        "succeeded" | "requires_capture" => "authorized",
        "requires_action" => "requires_action",
        "requires_payment_method" => "declined",
        "canceled" => "voided",
        other => panic!("a payment intent of the simulator is {other}"),
    };
    let captured = intent["amount_received"].as_i64().expect("an amount");
    Funds { state: state.to_owned(), captured, refunded: refunds.get(text(&intent["id"])).copied().unwrap_or_default() }
}

fn differences(objects: &Value, books: &Books) -> Vec<String> {
    let all = |kind: &str| objects[kind].as_array().expect("a kind of objects");
    let mut refunds: BTreeMap<&str, i64> = BTreeMap::new();
    // The rest that a capture let go was never on the balance.
    for refund in
        all("refunds").iter().filter(|refund| refund["status"] != "failed" && !refund["balance_transaction"].is_null())
    {
        *refunds.entry(text(&refund["payment_intent"])).or_default() += refund["amount"].as_i64().expect("an amount");
    }
    let mut intents: BTreeMap<&str, Vec<Funds>> = BTreeMap::new();
    for intent in all("payment_intents") {
        intents.entry(text(&intent["metadata"]["souk_payment"])).or_default().push(told(intent, &refunds));
    }
    let ours =
        "SELECT p.id, json_object('state', p.state, 'captured', p.captured, 'refunded', p.refunded, 'stage', o.stage,
            'order', json_array(o.payment_state, o.captured, o.refunded))
        FROM payment_payments p JOIN order_orders o ON o.id = p.order_id";
    let mut found = Vec::new();
    for (id, row) in books.pairs(ours) {
        let row: Value = serde_json::from_str(&row).expect("SQLite makes JSON");
        let integer = |name: &str| row[name].as_i64().expect("an amount");
        let payment = Funds {
            state: text(&row["state"]).to_owned(),
            captured: integer("captured"),
            refunded: integer("refunded"),
        };
        if row["order"] != json!([payment.state, payment.captured, payment.refunded]) {
            found.push(format!("{id}: {payment:?}, and its order says {}", row["order"]));
        }
        let stage = match (payment.state.as_str(), payment.captured > payment.refunded) {
            ("authorized", true) => &["confirmed", "completed"][..],
            ("authorized", false) => &["confirmed", "completed", "canceled"],
            ("requires_action", _) => &["awaiting_action"],
            _ => &["canceled"],
        };
        if !stage.contains(&text(&row["stage"])) {
            found.push(format!("{id}: {payment:?}, and its order is {}", row["stage"]));
        }
        // One that Stripe never heard of, or whose every card was declined, was let go.
        match intents.remove(id.as_str()).unwrap_or_default().as_slice() {
            [] if matches!(payment.state.as_str(), "declined" | "voided") => {}
            [told] if *told == payment => {}
            [told]
                if told.captured == 0
                    && matches!(payment.state.as_str(), "declined" | "voided")
                    && told.state != "authorized" => {}
            told => found.push(format!("{id}: {payment:?}, and Stripe says {told:?}")),
        }
    }
    found.extend(intents.into_iter().map(|(id, told)| format!("{id} is no payment of the shop's: {told:?}")));
    found
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}
