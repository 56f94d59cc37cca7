//! Every two requests that move stock, money or identity, sent at once to a subject made for them.
//!
//! What comes of two at once has to be what comes of one after the other: both orders are run first, on subjects like it. After
//! ACIDRain (Warszawski and Bailis, "Concurrency-Related Attacks on Database-Backed Web Applications", SIGMOD 2017),
//! with every pair tried instead of those that a trace shows to be likely.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use souk_tests::{
    checker::{assert_sound, settle},
    client::{Answer, Client, address},
    crowd::{code, machine, send_patiently},
    mail::mail_about,
    shop::{Shop, root},
    wait::{AFTER_A_TIMER, eventually},
};

/// Pairs at work at the same time.
const AT_ONCE: usize = 3;
/// How often each pair races when `SOUK_PAIRS` does not say.
const ROUNDS: usize = 1;
/// Most rounds that may be asked for.
const ROUNDS_MAX: usize = 1_000;

const PASSWORD: &str = "correct-horse-battery";
/// What a change and a reset make of it.
const PASSWORDS: [&str; 3] = [PASSWORD, "another-horse-battery", "a-third-horse-battery"];

/// Who sends a request.
#[derive(Clone, Copy)]
enum Who {
    Guest,
    /// The subject's shopper, in their first session.
    Shopper,
    /// The same in their second session.
    Phone,
    Staff,
}
use Who::{Guest, Phone, Shopper, Staff};

/// A request: its name, who sends it, method and path, and body. `{words}` stand for facts of the subject.
struct Act(&'static str, Who, &'static str, &'static str, &'static str);

/// What a paid order of two units meets; three more units are there, and a cart that wants all of them.
const ORDER: &[Act] = &[
    Act("capture 700", Staff, "POST", "/api/v1/admin/orders/{order}/capture", SOME_700),
    Act("capture the rest", Staff, "POST", "/api/v1/admin/orders/{order}/capture", "{}"),
    Act("refund 600", Staff, "POST", "/api/v1/admin/orders/{order}/refund", SOME_600),
    Act("refund 600 and take a unit back", Staff, "POST", "/api/v1/admin/orders/{order}/refund", SOME_600_AND_A_UNIT),
    Act("staff cancel", Staff, "POST", "/api/v1/admin/orders/{order}/cancel", "{}"),
    Act("the shopper cancels", Guest, "POST", "/api/v1/store/orders/{order}/cancel?token={token}", "{}"),
    Act("ship all", Staff, "POST", "/api/v1/admin/orders/{order}/ship", "{}"),
    Act("ship a unit", Staff, "POST", "/api/v1/admin/orders/{order}/ship", A_UNIT),
    Act("resume", Guest, "POST", "/api/v1/store/orders/{order}/resume?token={token}", ""),
    Act("count 2 away", Staff, "POST", "/api/v1/admin/variants/{variant}/stock-adjustments", TWO_LESS),
    Act("buy the others", Guest, "POST", "/api/v1/store/carts/{cart}/checkout", "{checkout}"),
    Act("make it dearer", Staff, "PUT", "/api/v1/admin/products/{product}", DEARER),
    Act("stop selling it", Staff, "DELETE", "/api/v1/admin/products/{product}", ""),
];

/// What a quoted cart with two of five units meets.
const CART: &[Act] = &[
    Act("want 3", Guest, "PUT", "/api/v1/store/carts/{cart}/lines/{variant}", r#"{"quantity":3}"#),
    Act("want 4", Guest, "PATCH", "/api/v1/store/carts/{cart}/lines", r#"[{"variant_id":"{variant}","quantity":4}]"#),
    Act("want none", Guest, "DELETE", "/api/v1/store/carts/{cart}/lines/{variant}", ""),
    Act("claim", Shopper, "POST", "/api/v1/store/carts/{cart}/claim", ""),
    Act("quote", Guest, "POST", "/api/v1/store/carts/{cart}/quote", "{destination}"),
    Act("check out", Guest, "POST", "/api/v1/store/carts/{cart}/checkout", "{checkout}"),
    Act("check out another cart", Guest, "POST", "/api/v1/store/carts/{rival}/checkout", "{rival-checkout}"),
    Act("count 2 away", Staff, "POST", "/api/v1/admin/variants/{variant}/stock-adjustments", TWO_LESS),
    Act("make it dearer", Staff, "PUT", "/api/v1/admin/products/{product}", DEARER),
    Act("stop selling it", Staff, "DELETE", "/api/v1/admin/products/{product}", ""),
];

/// What an account with two sessions and an address meets.
const ACCOUNT: &[Act] = &[
    Act("register again", Guest, "POST", "/api/v1/auth/register", REGISTRATION),
    Act("sign in", Guest, "POST", "/api/v1/auth/sign-in", CREDENTIALS),
    Act("refresh", Guest, "POST", "/api/v1/auth/refresh", r#"{"refresh_token":"{refresh}"}"#),
    Act("sign out", Guest, "POST", "/api/v1/auth/sign-out", r#"{"refresh_token":"{refresh}"}"#),
    Act("end the other session", Phone, "DELETE", "/api/v1/auth/sessions/{session}", ""),
    Act("forget the password", Guest, "POST", "/api/v1/auth/password/forgot", r#"{"email":"{email}"}"#),
    Act("reset the password", Guest, "POST", "/api/v1/auth/password/reset", RESET),
    Act("change the password", Phone, "POST", "/api/v1/auth/password/change", CHANGE),
    Act("verify the address", Guest, "POST", "/api/v1/auth/email/verify", r#"{"token":"{verification}"}"#),
    Act("ask for verification", Phone, "POST", "/api/v1/auth/email/verification", ""),
    Act("change the name", Phone, "PATCH", "/api/v1/auth/me", r#"{"name":"Countess"}"#),
    Act("disable", Staff, "PATCH", "/api/v1/admin/customers/{user}", r#"{"disabled":true}"#),
    Act("make staff", Staff, "PATCH", "/api/v1/admin/customers/{user}", r#"{"role":"staff"}"#),
    Act("add an address", Phone, "POST", "/api/v1/auth/addresses", "{entry}"),
    Act("set the address", Phone, "PUT", "/api/v1/auth/addresses/{address}", "{entry}"),
    Act("delete the address", Phone, "DELETE", "/api/v1/auth/addresses/{address}", ""),
];

const SOME_700: &str = r#"{"amount":{"amount":700,"currency":"USD"}}"#;
const SOME_600: &str = r#"{"amount":{"amount":600,"currency":"USD"}}"#;
const SOME_600_AND_A_UNIT: &str =
    r#"{"amount":{"amount":600,"currency":"USD"},"restock":[{"variant_id":"{variant}","quantity":1}]}"#;
const A_UNIT: &str = r#"{"lines":[{"variant_id":"{variant}","quantity":1}]}"#;
const TWO_LESS: &str = r#"{"delta":-2,"reason":"counted"}"#;
const DEARER: &str = r#"{"slug":"{slug}","title":"Dearer","status":"published","variants":[{"id":"{variant}",
    "sku":"SKU-{slug}","weight_grams":100,"prices":[{"amount":2999,"currency":"USD"}]}]}"#;
const REGISTRATION: &str = r#"{"email":"{email}","password":"correct-horse-battery","name":"Eve"}"#;
const CREDENTIALS: &str = r#"{"email":"{email}","password":"correct-horse-battery"}"#;
const CHANGE: &str = r#"{"current_password":"correct-horse-battery","new_password":"another-horse-battery"}"#;
const RESET: &str = r#"{"token":"{reset}","new_password":"a-third-horse-battery"}"#;

/// Requests that change something and are in no pair, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    ("set_up", "it is done once for a shop: races.rs"),
    ("take_hook", "a webhook moves nothing by itself: providers.rs, and the simulation"),
    ("create_cart", "it makes a thing that nothing else knows"),
    ("create_product", "it makes a thing that nothing else knows"),
    ("create_category", "neither stock, money nor identity"),
    ("set_category", "neither stock, money nor identity"),
    ("delete_category", "neither stock, money nor identity"),
    ("upload_media", "neither stock, money nor identity"),
    ("resend_notification", "neither stock, money nor identity"),
];

/// Who is at a shop besides shoppers with accounts.
struct Stage {
    guest: Client,
    staff: Client,
}

/// Something made for one race, and what its requests name.
struct Subject {
    name: String,
    shopper: Client,
    phone: Client,
    facts: Vec<(&'static str, String)>,
}

/// What came of two requests: status and code of each answer, and the subject afterwards.
#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    answers: [(u16, String); 2],
    state: Value,
}

#[derive(Clone, Copy, Debug)]
enum Scene {
    Order,
    Cart,
    Account,
}

impl Stage {
    /// A product with five units of its one variant.
    async fn product(&self, name: &str) -> Vec<(&'static str, String)> {
        let variant = self.staff.stocked_variant(name, 5).await;
        let product = self.staff.get(&format!("/api/v1/admin/products/{name}")).await.expect(200).text_at("/id");
        vec![("slug", name.to_owned()), ("variant", variant), ("product", product)]
    }

    async fn order(&self, name: String) -> Subject {
        let mut facts = self.product(&name).await;
        let (cart, body) = self.guest.quoted_cart(&facts[1].1, 2).await;
        let path = format!("/api/v1/store/carts/{cart}/checkout");
        let order = self.guest.post_once(&path, &name, &body).await.expect(201);
        let (id, token) = (order.text_at("/id"), order.text_at("/access_token"));
        let capture = format!("/api/v1/admin/orders/{id}/capture");
        let thousand = json!({"amount": {"amount": 1_000, "currency": "USD"}});
        self.staff.post_once(&capture, &name, &thousand).await.expect(200);
        let (rival, checkout) = self.guest.quoted_cart(&facts[1].1, 3).await;
        facts.extend([("order", id), ("token", token), ("cart", rival), ("checkout", checkout.to_string())]);
        Subject { name, shopper: self.guest.clone(), phone: self.guest.clone(), facts }
    }

    async fn cart(&self, name: String) -> Subject {
        let mut facts = self.product(&name).await;
        let variant = facts[1].1.clone();
        let (cart, checkout) = self.guest.quoted_cart(&variant, 2).await;
        let (rival, rival_checkout) = self.guest.quoted_cart(&variant, 4).await;
        let registration = json!({"email": format!("{name}@example.org"), "password": PASSWORD, "name": "Ada"});
        let session = self.guest.post("/api/v1/auth/register", &registration).await.expect(201);
        let shopper = self.guest.with_token(&session.text_at("/access_token"));
        facts.extend([
            ("cart", cart),
            ("checkout", checkout.to_string()),
            ("rival", rival),
            ("rival-checkout", rival_checkout.to_string()),
            ("destination", json!({"shipping_address": address()}).to_string()),
        ]);
        Subject { name, phone: shopper.clone(), shopper, facts }
    }

    async fn account(&self, name: String) -> Subject {
        let guest = &self.guest;
        let email = format!("{name}@example.org");
        let registration = json!({"email": email, "password": PASSWORD, "name": "Ada"});
        let first = guest.post("/api/v1/auth/register", &registration).await.expect(201);
        let credentials = json!({"email": email, "password": PASSWORD});
        let second = guest.post("/api/v1/auth/sign-in", &credentials).await.expect(200);
        let phone = guest.with_token(&second.text_at("/access_token"));
        let entry = json!({"address": address(), "default_shipping": true});
        let saved = phone.post("/api/v1/auth/addresses", &entry).await.expect(201);
        guest.post("/api/v1/auth/password/forgot", &json!({"email": email})).await.expect(202);
        let mut moved = entry;
        moved["address"]["city"] = json!("Shelbyville");
        Subject {
            shopper: guest.with_token(&first.text_at("/access_token")),
            phone,
            facts: vec![
                ("user", first.text_at("/user/id")),
                ("session", first.text_at("/id")),
                ("refresh", first.text_at("/refresh_token")),
                ("address", saved.text_at("/id")),
                ("entry", moved.to_string()),
                ("verification", mail_about(guest, &email, "welcome").await.token("/account/verify")),
                ("reset", mail_about(guest, &email, "reset your password").await.token("/account/reset")),
                ("email", email),
            ],
            name,
        }
    }

    /// Sends a request as the first or second of a pair, until it is decided.
    async fn send(&self, subject: &Subject, act: &Act, place: usize) -> (u16, String) {
        let Act(name, who, method, path, body) = *act;
        let client = match who {
            Guest => &self.guest,
            Shopper => &subject.shopper,
            Phone => &subject.phone,
            Staff => &self.staff,
        };
        let (path, body) = (subject.filled(path), subject.filled(body));
        let key = format!("{}-{place}", subject.name);
        let headers = [("idempotency-key", key.as_str()), ("content-type", "application/json")];
        let (headers, body) =
            if body.is_empty() { (&headers[..1], None) } else { (&headers[..], Some(body.into_bytes())) };
        let answer = send_patiently(client, method, &path, headers, body).await;
        assert!(answer.status < 500, "{name} of {}: {} {}", subject.name, answer.status, answer.text);
        // Whether units run out before an order is stored or after it, nothing is bought.
        match answer.json["cancel_reason"].as_str() {
            Some(reason @ "out_of_stock") => (409, reason.to_owned()),
            _ => (answer.status, code(&answer)),
        }
    }

    /// What can be seen of an order, once nothing is on its way.
    async fn seen_order(&self, id: &str) -> Option<Value> {
        let order = self.staff.get(&format!("/api/v1/admin/orders/{id}")).await.expect(200).json;
        let still = match order["state"].as_str().expect("an order has a state") {
            "canceled" => ["unpaid", "voided", "refunded"].map(Value::from).contains(&order["payment_status"]),
            "confirmed" | "completed" => true,
            _ => false,
        };
        let lines: Vec<&Value> =
            order["lines"].as_array().expect("lines").iter().map(|line| &line["fulfilled"]).collect();
        still.then(|| {
            json!([
                order["state"],
                order["payment_status"],
                order["captured"]["amount"],
                order["refunded"]["amount"],
                order["totals"]["total"]["amount"],
                order["fulfillment_status"],
                lines
            ])
        })
    }

    /// What can be seen of a product, of a cart and of the order that was made of it.
    async fn seen_cart(&self, cart: &Answer) -> Option<Value> {
        let lines: Vec<Value> = cart.json["lines"].as_array().map_or_else(Vec::new, |lines| {
            lines.iter().map(|line| json!([line["quantity"], line["total"]["amount"], line["warnings"]])).collect()
        });
        let order = match cart.json["order_id"].as_str() {
            Some(id) => self.seen_order(id).await?,
            None => Value::Null,
        };
        Some(json!([cart.status, cart.json["state"], lines, order]))
    }

    async fn seen_product(&self, subject: &Subject) -> Value {
        let product = self.staff.get(&subject.filled("/api/v1/admin/products/{product}")).await;
        let variant = &product.json["variants"][0];
        json!([product.status, product.json["status"], variant["on_hand"], variant["reserved"], variant["prices"]])
    }
}

impl Subject {
    fn filled(&self, text: &str) -> String {
        self.facts.iter().fold(text.to_owned(), |text, (name, fact)| text.replace(&format!("{{{name}}}"), fact))
    }
}

impl Scene {
    fn acts(self) -> &'static [Act] {
        match self {
            Self::Order => ORDER,
            Self::Cart => CART,
            Self::Account => ACCOUNT,
        }
    }

    async fn subject(self, stage: &Stage, name: String) -> Subject {
        match self {
            Self::Order => stage.order(name).await,
            Self::Cart => stage.cart(name).await,
            Self::Account => stage.account(name).await,
        }
    }

    /// All of a subject that the requests may change; nothing while something is on its way.
    async fn look(self, stage: &Stage, subject: &Subject) -> Option<Value> {
        let cart = async |who: &Client, name: &str| {
            stage.seen_cart(&who.get(&subject.filled(&format!("/api/v1/store/carts/{{{name}}}"))).await).await
        };
        match self {
            Self::Order => Some(json!({
                "order": stage.seen_order(&subject.filled("{order}")).await?,
                "rival": cart(&stage.guest, "cart").await?,
                "product": stage.seen_product(subject).await,
            })),
            Self::Cart => Some(json!({
                "cart": cart(&stage.guest, "cart").await?,
                "shopper's": cart(&subject.shopper, "cart").await?,
                "rival": cart(&stage.guest, "rival").await?,
                "product": stage.seen_product(subject).await,
            })),
            Self::Account => {
                let user = stage.staff.get(&subject.filled("/api/v1/admin/customers/{user}")).await.expect(200).json;
                let phone = &subject.phone;
                let addresses = phone.get("/api/v1/auth/addresses").await;
                let cities: Vec<&Value> = addresses.json["data"]
                    .as_array()
                    .map_or_else(Vec::new, |list| list.iter().map(|entry| &entry["address"]["city"]).collect());
                let sessions = phone.get("/api/v1/auth/sessions").await.json["data"].as_array().map(Vec::len);
                let refresh = json!({"refresh_token": subject.filled("{refresh}")});
                let mut doors = vec![
                    subject.shopper.get("/api/v1/auth/me").await.status,
                    stage.guest.post("/api/v1/auth/refresh", &refresh).await.status,
                ];
                for password in PASSWORDS {
                    let credentials = json!({"email": subject.filled("{email}"), "password": password});
                    doors.push(stage.guest.post("/api/v1/auth/sign-in", &credentials).await.status);
                }
                Some(json!([
                    user["name"],
                    user["disabled"],
                    user["role"],
                    user["email_verified"],
                    sessions,
                    cities,
                    doors
                ]))
            }
        }
    }

    /// One after the other, or both at once; the answers stand in the order of the pair.
    async fn in_turn(self, stage: &Stage, name: String, pair: [&Act; 2], second_first: bool) -> Outcome {
        let subject = self.subject(stage, name).await;
        let places = if second_first { [1, 0] } else { [0, 1] };
        let mut answers = [const { (0, String::new()) }; 2];
        for place in places {
            answers[place] = stage.send(&subject, pair[place], place).await;
            self.rest(stage, &subject).await;
        }
        self.outcome(stage, &subject, answers).await
    }

    async fn at_once(self, stage: &Stage, name: String, pair: [&Act; 2]) -> Outcome {
        let subject = self.subject(stage, name).await;
        let (one, other) = tokio::join!(stage.send(&subject, pair[0], 0), stage.send(&subject, pair[1], 1));
        self.outcome(stage, &subject, [one, other]).await
    }

    async fn outcome(self, stage: &Stage, subject: &Subject, answers: [(u16, String); 2]) -> Outcome {
        let state = eventually(AFTER_A_TIMER, &subject.name, async || self.look(stage, subject).await).await;
        Outcome { answers, state }
    }

    /// Waits for what goes on after an answer. Of an account nothing does, and a look signs in.
    async fn rest(self, stage: &Stage, subject: &Subject) {
        match self {
            Self::Order | Self::Cart => {
                eventually(AFTER_A_TIMER, &subject.name, async || self.look(stage, subject).await).await;
            }
            Self::Account => {}
        }
    }

    /// Runs a pair in turn both ways, then at once in so many rounds; answers those that ended in a way of their own.
    async fn race(self, stage: &Stage, number: usize, pair: [&Act; 2], rounds: usize) -> Vec<String> {
        let name = |run: &str| format!("{self:?}-{number}-{run}").to_lowercase();
        let serial = [
            self.in_turn(stage, name("first"), pair, false).await,
            self.in_turn(stage, name("second"), pair, true).await,
        ];
        let mut wrong = Vec::new();
        for round in 0..rounds {
            let raced = self.at_once(stage, name(&round.to_string()), pair).await;
            if !serial.contains(&raced) {
                wrong.push(format!("{} with {}: {raced:?}\nand in turn {serial:?}", pair[0].0, pair[1].0));
            }
        }
        wrong
    }

    /// Races every pair.
    async fn run(self, variables: &[(&str, &str)]) {
        let _machine = machine().await;
        let rounds =
            std::env::var("SOUK_PAIRS").map_or(ROUNDS, |rounds| rounds.parse().expect("SOUK_PAIRS is a number"));
        assert!((1..=ROUNDS_MAX).contains(&rounds), "SOUK_PAIRS is a number of rounds");
        let shop = Shop::start(variables);
        let stage = &Stage { guest: Client::guest(&shop), staff: Client::staff(&shop).await };
        let acts = self.acts();
        let pairs = (0..acts.len()).flat_map(|one| (one..acts.len()).map(move |other| [&acts[one], &acts[other]]));
        let races = pairs.enumerate().map(|(number, pair)| self.race(stage, number, pair, rounds));
        let wrong: Vec<Vec<String>> = stream::iter(races).buffer_unordered(AT_ONCE).collect().await;
        let (count, wrong) = (wrong.len(), wrong.concat());
        assert!(wrong.is_empty(), "{} races end in a way of their own:\n{}", wrong.len(), wrong.join("\n"));
        settle(&shop, AFTER_A_TIMER).await;
        assert_sound(&shop);
        println!("pairs of requests to one {self:?}: {count}, each {rounds} times at once, as in turn every time");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_requests_to_an_order_end_as_in_turn() {
    Scene::Order.run(&[("CAPTURE", "manual")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_requests_to_a_cart_end_as_in_turn() {
    Scene::Cart.run(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_requests_to_an_account_end_as_in_turn() {
    Scene::Account.run(&[]).await;
}

/// A path with the names of its parameters left out.
fn shape(path: &str) -> String {
    let path = path.split('?').next().expect("a path");
    path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect::<Vec<_>>().join("/")
}

#[test]
fn every_request_that_changes_something_is_in_pairs() {
    let document = std::fs::read(root().join("components/gateway/openapi.json")).expect("the description is there");
    let document: Value = serde_json::from_slice(&document).expect("the description is JSON");
    let scenes = [Scene::Order, Scene::Cart, Scene::Account];
    let mut raced: BTreeSet<(String, String)> =
        scenes.iter().flat_map(|scene| scene.acts()).map(|act| (act.2.to_lowercase(), shape(act.3))).collect();
    let mut elsewhere: BTreeSet<&str> = ELSEWHERE.iter().map(|(operation, _)| *operation).collect();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let id = operation["operationId"].as_str().expect("an operation has an id");
            let changes = ["post", "put", "patch", "delete"].contains(&method.as_str());
            assert!(
                !changes || raced.remove(&(method.clone(), shape(path))) || elsewhere.remove(id),
                "{id} is in no pair"
            );
        }
    }
    assert!(raced.is_empty() && elsewhere.is_empty(), "no such requests: {raced:?} {elsewhere:?}");
}
