//! The pages in Chromium with JavaScript: paying with a card in Stripe's fields, beside the simulator of Stripe.

use serde_json::json;
use souk_providers::provider::Provider as _;
use souk_providers::server::{self, Clock, Endpoint, Server};
use souk_providers::stripe::Stripe;
use souk_tests::{chromium::Chromium, client::Client, shop::Shop};

const KEY: &str = "sk_test_simulator";
const HOOK_SECRET: &str = "whsec_simulator";

/// A shop that sells one thing, the simulator, and a shopper at the page where one pays.
struct Scene {
    shop: Shop,
    staff: Client,
    stripe: Server<Stripe>,
    browser: Chromium,
}

impl Scene {
    /// `stripe_js` is where the shop believes Stripe's script to be, behind the simulator's address.
    async fn at_the_till(stripe_js: &str) -> Self {
        let stripe = server::start(0, KEY, 11, Clock::Goes(0)).await.expect("a port is free");
        let shop = Shop::start(&[
            ("PAYMENT_PROVIDERS", "test,stripe"),
            ("STRIPE_API_BASE", &stripe.url),
            ("STRIPE_SECRET_KEY", KEY),
            ("STRIPE_WEBHOOK_SECRETS", HOOK_SECRET),
            ("STRIPE_PUBLISHABLE_KEY", "pk_test_simulator"),
            ("STRIPE_JS", &format!("{}{stripe_js}", stripe.url)),
        ]);
        let url = Some(format!("{}/api/v1/hooks/stripe", shop.url));
        stripe.shared.lock().endpoint = Endpoint { url, secrets: vec![HOOK_SECRET.to_owned()] };
        let staff = Client::staff(&shop).await;
        staff.stocked_variant("teapot", 5).await;
        let browser = Chromium::start(1200).await;
        browser.open(&format!("{}/p/teapot", shop.url)).await;
        browser.click("form[action='/cart/add'] button").await;
        browser.click("button[name=checkout]").await;
        let fields =
            [("email", "ada@example.org"), ("name", "Ada"), ("line1", "1 Main Street"), ("city", "Springfield")];
        for (name, text) in fields {
            browser.fill(&format!("form[action='/checkout'] input[name={name}]"), text).await;
        }
        browser.fill("form[action='/checkout'] input[name=postal_code]", "12345\n").await;
        browser.click("input[value=stripe]").await;
        Self { shop, staff, stripe, browser }
    }

    async fn enter(&self, number: &str) {
        let browser = &self.browser;
        browser
            .inside("#stripe-fields iframe", async || {
                browser.fill("#number", number).await;
                browser.fill("#expiry", "1234").await;
                browser.fill("#cvc", "123").await;
            })
            .await;
    }

    async fn pay(&self) {
        self.browser.click("button[name=place]").await;
    }

    /// State and payment of each order, oldest first.
    async fn orders(&self) -> Vec<(String, String)> {
        let list = self.staff.get("/api/v1/admin/orders").await.expect(200);
        let text = |order: &serde_json::Value, name: &str| order[name].as_str().expect("a text").to_owned();
        let orders = list.json["data"].as_array().expect("a list").iter().rev();
        orders.map(|order| (text(order, "state"), text(order, "payment_status"))).collect()
    }
}

fn order(state: &str, payment: &str) -> (String, String) {
    (state.to_owned(), payment.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_goes_from_stripes_fields_to_stripe() {
    let scene = Scene::at_the_till("/stripe.js").await;
    scene.enter("4242").await;
    scene.pay().await;
    scene.browser.says("Your card number is incomplete.").await;
    assert_eq!(scene.orders().await, [], "nothing was sent");
    scene.enter("4242424242424242").await;
    scene.pay().await;
    scene.browser.says("Thank you for your order").await;
    assert_eq!(scene.orders().await, [order("confirmed", "paid")]);
    let objects = scene.stripe.shared.lock().provider.objects();
    let intents = objects["payment_intents"].as_array().expect("a list");
    assert_eq!(intents.iter().map(|intent| &intent["status"]).collect::<Vec<_>>(), [&json!("succeeded")]);
    scene.shop.assert_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_that_is_declined_can_be_replaced_and_a_bank_asks_at_its_page() {
    let scene = Scene::at_the_till("/stripe.js").await;
    scene.enter("4000000000009995").await;
    scene.pay().await;
    scene.browser.says("The order was not placed.").await;
    scene.browser.click("input[value=stripe]").await;
    scene.enter("4000002500003155").await;
    scene.pay().await;
    scene.browser.says("Is this you?").await;
    let address = scene.browser.address().await;
    assert!(address.starts_with(&scene.stripe.url), "{address}");
    scene.browser.click("button[value=approves]").await;
    scene.browser.says("Thank you for your order").await;
    assert_eq!(scene.orders().await, [order("canceled", "unpaid"), order("confirmed", "paid")]);
    scene.shop.assert_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_way_to_pay_is_left_when_stripes_script_does_not_load() {
    let scene = Scene::at_the_till("/nothing.js").await;
    scene.browser.says("The fields for a card did not load.").await;
    scene.pay().await;
    scene.browser.says("Enter your card.").await;
    assert_eq!(scene.orders().await, [], "an order needs a means of payment");
    scene.browser.click("input[value=test]").await;
    scene.pay().await;
    scene.browser.says("Thank you for your order").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_of_another_origin_does_not_run() {
    let scene = Scene::at_the_till("/stripe.js").await;
    let blocked =
        "const heard = new Promise((done) => addEventListener('securitypolicyviolation', (e) => done(e.blockedURI)));
        const script = document.createElement('script');
        script.src = 'http://127.0.0.1:1/evil.js';
        document.head.append(script);
        return heard;";
    assert_eq!(scene.browser.evaluate(blocked).await, json!("http://127.0.0.1:1/evil.js"));
}
