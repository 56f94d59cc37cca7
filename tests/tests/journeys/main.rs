//! Shopper journeys: stories over HTTP against the real host with every component, each in a shop of its own.

mod accounts;
mod buying;
mod hooks;
mod paying;
mod staff;
mod storefront;

use serde_json::{Value, json};
use souk_tests::{
    client::{Answer, Client, address},
    shop::Shop,
    wait::{SOON, eventually},
};

/// A shop with its staff and one guest.
struct Scene {
    shop: Shop,
    staff: Client,
    guest: Client,
}

impl Scene {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With these variables of the manifest.
    async fn with(variables: &[(&str, &str)]) -> Self {
        let shop = Shop::start(variables);
        let (staff, guest) = (Client::staff(&shop).await, Client::guest(&shop));
        Self { shop, staff, guest }
    }

    /// Units of the first variant of a product: counted and promised.
    async fn stock(&self, slug: &str) -> (i64, i64) {
        let product = self.staff.get(&format!("/api/v1/admin/products/{slug}")).await.expect(200);
        (product.integer_at("/variants/0/on_hand"), product.integer_at("/variants/0/reserved"))
    }

    /// Waits until all events are heard, and asserts that nothing is promised and the books add up.
    async fn assert_settled(&self, slug: &str, on_hand: i64) {
        let what = format!("{on_hand} units of {slug}, none promised");
        eventually(SOON, &what, async || (self.stock(slug).await == (on_hand, 0)).then_some(())).await;
        self.shop.assert_audit();
    }
}

/// Checks a cart out under a key of its own.
async fn check_out(client: &Client, cart: &str, body: &Value) -> Answer {
    client.post_once(&format!("/api/v1/store/carts/{cart}/checkout"), &format!("key-of-{cart}"), body).await
}

/// A new cart, checked out with this token of the test provider.
async fn buy(client: &Client, variant: &str, quantity: u32, token: &str) -> Answer {
    let (cart, mut body) = client.quoted_cart(variant, quantity).await;
    body["payment"]["token"] = json!(token);
    check_out(client, &cart, &body).await
}

/// Where whoever placed an order reads it.
fn order_path(order: &Answer) -> String {
    format!("/api/v1/store/orders/{}?token={}", order.text_at("/id"), order.text_at("/access_token"))
}

/// The status of money and of the order.
fn standing(order: &Answer) -> (String, String) {
    (order.text_at("/state"), order.text_at("/payment_status"))
}

/// Registers a shopper and answers them, signed in, with the body of the session.
async fn shopper(guest: &Client, email: &str) -> (Client, Answer) {
    let body = json!({"email": email, "password": PASSWORD, "name": "Ada Shopper"});
    let session = guest.post("/api/v1/auth/register", &body).await.expect(201);
    (guest.with_token(&session.text_at("/access_token")), session)
}

/// What shoppers of these stories choose.
const PASSWORD: &str = "correct-horse-battery";

/// The same address somewhere else.
fn address_in(country: &str) -> Value {
    let mut address = address();
    address["country"] = json!(country);
    address
}
