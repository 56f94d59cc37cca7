//! A shopper or a member of staff at the REST API.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::shop::{STAFF_EMAIL, STAFF_PASSWORD, Shop};

/// Longest wait for one answer.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body as it came.
    pub text: String,
    /// The body as JSON; null when it is none.
    pub json: Value,
}

impl Answer {
    /// The same answer, when it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// A text at a JSON pointer.
    #[track_caller]
    pub fn text_at(&self, pointer: &str) -> String {
        let found = self.json.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no text at {pointer} in {}", self.text)).to_owned()
    }

    /// An integer at a JSON pointer.
    #[track_caller]
    pub fn integer_at(&self, pointer: &str) -> i64 {
        let found = self.json.pointer(pointer).and_then(Value::as_i64);
        found.unwrap_or_else(|| panic!("no integer at {pointer} in {}", self.text))
    }

    /// The stable code of a problem document, after checking that it is one.
    #[track_caller]
    pub fn problem(&self) -> String {
        let kind = self.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_eq!(kind, "application/problem+json", "{} {}", self.status, self.text);
        let code = self.text_at("/code");
        assert_eq!(self.text_at("/type"), format!("urn:souk:problem:{code}"));
        assert_eq!(self.integer_at("/status"), i64::from(self.status));
        assert!(!self.text_at("/request_id").is_empty());
        code
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Someone who calls the API, perhaps signed in.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

impl Client {
    /// A guest of a shop.
    pub fn guest(shop: &Shop) -> Self {
        Self::at(&shop.url)
    }

    /// A guest at an address.
    pub fn at(url: &str) -> Self {
        let http = reqwest::Client::builder()
            .timeout(ANSWER_WAIT_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("a client can be made");
        Self { http, url: url.to_owned(), token: None }
    }

    /// The same with an access token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The first member of staff, signed in.
    pub async fn staff(shop: &Shop) -> Self {
        Self::staff_named(shop, STAFF_EMAIL, STAFF_PASSWORD).await
    }

    /// The first member of staff under this name, made if need be, signed in.
    pub async fn staff_named(shop: &Shop, email: &str, password: &str) -> Self {
        let guest = Self::guest(shop);
        let body = json!({
            "setup_token": shop.secret("setup_token"), "email": email, "password": password, "name": "Sam Staff",
        });
        let set_up = guest.post("/api/v1/admin/setup", &body).await;
        assert!(matches!(set_up.status, 201 | 409), "{}", set_up.text);
        let session = guest.post("/api/v1/auth/sign-in", &json!({"email": email, "password": password})).await;
        guest.with_token(&session.text_at("/access_token"))
    }

    /// Sends a request with these headers and this body.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Vec<u8>>) -> Answer {
        self.try_send(method, path, headers, body).await.expect("the shop answers")
    }

    /// Sends a request to a shop that may be killed meanwhile.
    pub async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> reqwest::Result<Answer> {
        let method = Method::from_bytes(method.as_bytes()).expect("tests name methods");
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await?;
        let status: StatusCode = response.status();
        let headers = response.headers().clone();
        let text = response.text().await?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer { status: status.as_u16(), headers, text, json })
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None).await
    }

    /// Sends JSON.
    pub async fn json(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut headers = headers.to_vec();
        headers.push(("content-type", "application/json"));
        self.send(method, path, &headers, Some(body.to_string().into_bytes())).await
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.json("POST", path, &[], body).await
    }

    /// Posts JSON under an idempotency key.
    pub async fn post_once(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.json("POST", path, &[("idempotency-key", key)], body).await
    }

    /// Makes a published product with one variant and so many units of it; answers the variant's id. For staff.
    pub async fn stocked_variant(&self, slug: &str, units: i64) -> String {
        let product = json!({
            "slug": slug, "title": format!("Product {slug}"), "status": "published",
            "variants": [{"sku": format!("SKU-{slug}"), "weight_grams": 100, "prices": [{"amount": 1999, "currency": "USD"}]}],
        });
        let made = self.post("/api/v1/admin/products", &product).await.expect(201);
        let variant = made.text_at("/variants/0/id");
        if units != 0 {
            let path = format!("/api/v1/admin/variants/{variant}/stock-adjustments");
            let adjusted = self.post(&path, &json!({"delta": units, "reason": "received"})).await;
            assert!(matches!(adjusted.status, 200 | 201), "{}", adjusted.text);
        }
        variant
    }

    /// Makes a cart with units of one variant and has it quoted; answers the cart's id and the body of its checkout
    /// with the test provider's card that works.
    pub async fn quoted_cart(&self, variant: &str, quantity: u32) -> (String, Value) {
        let cart = self.post("/api/v1/store/carts", &json!({"currency": "USD"})).await.expect(201).text_at("/id");
        let line = format!("/api/v1/store/carts/{cart}/lines/{variant}");
        self.json("PUT", &line, &[], &json!({"quantity": quantity})).await.expect(200);
        let body = self.checkout_body(&cart).await;
        (cart, body)
    }

    /// Has a cart quoted and answers the body that checks it out.
    pub async fn checkout_body(&self, cart: &str) -> Value {
        let address = address();
        let quote = self
            .post(&format!("/api/v1/store/carts/{cart}/quote"), &json!({"shipping_address": address}))
            .await
            .expect(200);
        json!({
            "quote_hash": quote.text_at("/hash"), "email": "shopper@example.org", "shipping_address": address,
            "shipping_method": quote.text_at("/shipping_method"), "payment": {"provider": "test", "token": "tok_success"},
        })
    }
}

/// An address without tax.
pub fn address() -> Value {
    json!({"name": "Ada Shopper", "line1": "1 Main Street", "city": "Springfield", "region": "IL", "postal_code": "62701", "country": "US"})
}
