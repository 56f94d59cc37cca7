//! A shop with its connector to Stripe beside the simulator of Stripe, and whether the two agree.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use souk_providers::provider::Provider as _;
use souk_providers::stripe::Stripe;

use crate::checker::Books;
use crate::scene::{self, Company};

/// The secret key of the account.
pub const KEY: &str = "sk_test_simulator";
/// What signs its webhooks.
pub const HOOK_SECRET: &str = "whsec_simulator";

/// A shop that takes cards, and who deals with it.
pub type Scene = scene::Scene<Stripe>;
/// Who deals with a shop that takes cards.
pub type Parties = scene::Parties<Stripe>;

impl Company for Stripe {
    const NAME: &str = "stripe";
    const CREDENTIALS: &str = KEY;
    const HOOK_SECRET: &str = HOOK_SECRET;

    fn variables(url: &str) -> Vec<(&'static str, String)> {
        vec![
            ("STRIPE_API_BASE", url.to_owned()),
            ("STRIPE_SECRET_KEY", KEY.to_owned()),
            ("STRIPE_WEBHOOK_SECRETS", HOOK_SECRET.to_owned()),
            ("STRIPE_PUBLISHABLE_KEY", "pk_test_simulator".to_owned()),
            ("STRIPE_JS", format!("{url}/stripe.js")),
        ]
    }
}

impl Scene {
    /// Where the shop's books and Stripe's objects do not agree, in lines for a person.
    pub fn differences(&self) -> Vec<String> {
        differences(&self.company.shared.lock().provider.objects(), &Books::of(&self.shop))
    }
}

impl Parties {
    /// What Stripe has of a kind that this order caused.
    pub fn at_stripe(&self, kind: &str, order: &str) -> Vec<Value> {
        let objects = self.company.shared.lock().provider.objects();
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
