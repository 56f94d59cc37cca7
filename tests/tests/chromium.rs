//! The pages in Chromium with JavaScript: paying with a card in Stripe's fields, and at PayPal's page, beside their simulators.

use serde_json::json;
use souk_providers::paypal::PayPal;
use souk_providers::provider::Provider as _;
use souk_providers::stripe::Stripe;
use souk_tests::chromium::Chromium;
use souk_tests::scene::{Company, Scene};

/// A shop that sells one thing, beside a company, and a shopper at the page where one pays.
struct Till<C> {
    scene: Scene<C>,
    browser: Chromium,
}

impl<C: Company> Till<C> {
    async fn new() -> Self {
        Self::told(&[]).await
    }

    /// The shop is told something else, too.
    async fn told(variables: &[(&str, &str)]) -> Self {
        let offered = format!("test,{}", C::NAME);
        let mut all = vec![("PAYMENT_PROVIDERS", offered.as_str())];
        all.extend(variables);
        let scene = Scene::told(&all).await;
        scene.staff.stocked_variant("teapot", 5).await;
        let browser = Chromium::start(1200).await;
        browser.open(&format!("{}/p/teapot", scene.shop.url)).await;
        browser.click("form[action='/cart/add'] button").await;
        browser.click("button[name=checkout]").await;
        let fields =
            [("email", "ada@example.org"), ("name", "Ada"), ("line1", "1 Main Street"), ("city", "Springfield")];
        for (name, text) in fields {
            browser.fill(&format!("form[action='/checkout'] input[name={name}]"), text).await;
        }
        browser.fill("form[action='/checkout'] input[name=postal_code]", "12345\n").await;
        browser.click(&format!("input[value={}]", C::NAME)).await;
        Self { scene, browser }
    }

    async fn pay(&self) {
        self.browser.click("button[name=place]").await;
    }

    /// State and payment of each order, oldest first.
    async fn orders(&self) -> Vec<(String, String)> {
        let list = self.scene.staff.get("/api/v1/admin/orders").await.expect(200);
        let text = |order: &serde_json::Value, name: &str| order[name].as_str().expect("a text").to_owned();
        let orders = list.json["data"].as_array().expect("a list").iter().rev();
        orders.map(|order| (text(order, "state"), text(order, "payment_status"))).collect()
    }
}

impl Till<Stripe> {
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
}

fn order(state: &str, payment: &str) -> (String, String) {
    (state.to_owned(), payment.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_goes_from_stripes_fields_to_stripe() {
    let till = Till::<Stripe>::new().await;
    till.enter("4242").await;
    till.pay().await;
    till.browser.says("Your card number is incomplete.").await;
    assert_eq!(till.orders().await, [], "nothing was sent");
    till.enter("4242424242424242").await;
    till.pay().await;
    till.browser.says("Thank you for your order").await;
    assert_eq!(till.orders().await, [order("confirmed", "paid")]);
    let objects = till.scene.company.shared.lock().provider.objects();
    let intents = objects["payment_intents"].as_array().expect("a list");
    assert_eq!(intents.iter().map(|intent| &intent["status"]).collect::<Vec<_>>(), [&json!("succeeded")]);
    till.scene.shop.assert_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_that_is_declined_can_be_replaced_and_a_bank_asks_at_its_page() {
    let till = Till::<Stripe>::new().await;
    till.enter("4000000000009995").await;
    till.pay().await;
    till.browser.says("The order was not placed.").await;
    till.browser.click("input[value=stripe]").await;
    till.enter("4000002500003155").await;
    till.pay().await;
    till.browser.says("Is this you?").await;
    let address = till.browser.address().await;
    assert!(address.starts_with(&till.scene.company.url), "{address}");
    till.browser.click("button[value=approves]").await;
    till.browser.says("Thank you for your order").await;
    assert_eq!(till.orders().await, [order("canceled", "unpaid"), order("confirmed", "paid")]);
    till.scene.shop.assert_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_way_to_pay_is_left_when_stripes_script_does_not_load() {
    let till = Till::<Stripe>::told(&[("STRIPE_JS", "http://127.0.0.1:1/stripe.js")]).await;
    till.browser.says("The fields for a card did not load.").await;
    till.pay().await;
    till.browser.says("Enter your card.").await;
    assert_eq!(till.orders().await, [], "an order needs a means of payment");
    till.browser.click("input[value=test]").await;
    till.pay().await;
    till.browser.says("Thank you for your order").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_of_another_origin_does_not_run() {
    let till = Till::<Stripe>::new().await;
    let blocked =
        "const heard = new Promise((done) => addEventListener('securitypolicyviolation', (e) => done(e.blockedURI)));
        const script = document.createElement('script');
        script.src = 'http://127.0.0.1:1/evil.js';
        document.head.append(script);
        return heard;";
    assert_eq!(till.browser.evaluate(blocked).await, json!("http://127.0.0.1:1/evil.js"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shopper_pays_at_paypals_page_or_comes_back_without() {
    let till = Till::<PayPal>::new().await;
    till.pay().await;
    till.browser.says("Nothing is charged.").await;
    let address = till.browser.address().await;
    assert!(address.starts_with(&format!("{}/checkoutnow?token=", till.scene.company.url)), "{address}");
    till.browser.click("button[name=cancel]").await;
    till.browser.says("PayPal asks you to confirm the payment.").await;
    assert_eq!(till.orders().await, [order("awaiting_action", "unpaid")]);
    till.browser.click(&format!("a[href^='{}']", till.scene.company.url)).await;
    till.browser.says("Nothing is charged.").await;
    till.browser.click("button[value=balance]").await;
    till.browser.says("Thank you for your order").await;
    assert_eq!(till.orders().await, [order("confirmed", "paid")]);
    till.scene.shop.assert_audit();
}
