//! What no client should send: each is answered with a problem document and its stable code, none with a fault of
//! ours, and nothing changes.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant, SystemTime},
};

use serde_json::{Value, json};
use souk_kit::tokens::{self, Claims};
use souk_tests::{
    client::{Answer, Client},
    shop::Shop,
};

/// A shop with something of everything in it.
struct World {
    shop: Shop,
    staff: Client,
    ada: Client,
    user: String,
    session: String,
    product: String,
    variant: String,
    cart: String,
    order: String,
    token: String,
    checkout: Value,
}

impl World {
    async fn new() -> Self {
        let shop = Shop::start(&[]);
        let staff = Client::staff(&shop).await;
        let guest = Client::guest(&shop);
        let variant = staff.stocked_variant("teapot", 50).await;
        let product = staff.get("/api/v1/admin/products/teapot").await.expect(200).text_at("/id");
        let registration = json!({"email": "ada@example.org", "password": "correct-horse-battery", "name": "Ada"});
        let session = guest.post("/api/v1/auth/register", &registration).await.expect(201);
        let ada = guest.with_token(&session.text_at("/access_token"));
        let (cart, body) = guest.quoted_cart(&variant, 1).await;
        let order = guest.post_once(&format!("/api/v1/store/carts/{cart}/checkout"), "first", &body).await.expect(201);
        let (cart, checkout) = guest.quoted_cart(&variant, 2).await;
        Self {
            staff,
            ada,
            user: session.text_at("/user/id"),
            session: session.text_at("/id"),
            product,
            variant,
            cart,
            order: order.text_at("/id"),
            token: order.text_at("/access_token"),
            checkout,
            shop,
        }
    }

    fn guest(&self) -> Client {
        Client::guest(&self.shop)
    }

    /// Everything that a bad request could have changed.
    async fn state(&self) -> String {
        let mut state = String::new();
        for path in [
            "/api/v1/admin/products".to_owned(),
            format!("/api/v1/admin/products/{}", self.product),
            format!("/api/v1/admin/variants/{}/stock-movements", self.variant),
            "/api/v1/admin/categories".to_owned(),
            "/api/v1/admin/customers".to_owned(),
            "/api/v1/admin/orders".to_owned(),
            format!("/api/v1/admin/orders/{}", self.order),
            format!("/api/v1/store/carts/{}", self.cart),
        ] {
            state.push_str(&self.staff.get(&path).await.expect(200).text);
        }
        for path in ["/api/v1/auth/me", "/api/v1/auth/addresses", "/api/v1/auth/sessions"] {
            state.push_str(&self.ada.get(path).await.expect(200).text);
        }
        state
    }

    /// Puts the ids of this world where a path or body names them.
    fn filled(&self, text: &str) -> String {
        text.replace("{product}", &self.product)
            .replace("{variant}", &self.variant)
            .replace("{cart}", &self.cart)
            .replace("{order}", &self.order)
            .replace("{user}", &self.user)
            .replace("{nobody}", &"0".repeat(32))
    }

    /// Sends a JSON text under a key that is never used again.
    async fn send(&self, who: &Client, method: &str, path: &str, body: &str) -> Answer {
        let (path, body) = (self.filled(path), self.filled(body));
        let key = format!("{:x}", SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos());
        let headers = [("content-type", "application/json"), ("idempotency-key", &key)];
        who.send(method, &path, &headers, Some(body.into_bytes())).await
    }
}

/// Asserts a problem with this status and code.
#[track_caller]
fn is_refused(answer: &Answer, status: u16, code: &str, what: &str) {
    assert_eq!((answer.status, answer.problem().as_str()), (status, code), "{what}: {}", answer.text);
}

/// How long a body that is only announced may keep the host busy.
const ANNOUNCED_MAX: Duration = Duration::from_secs(2);

/// Announces a body, sends nothing of it, and reads the answer until the host hangs up.
async fn announce(shop: &Shop, path: &str, length: &str) -> String {
    let address = shop.url.trim_start_matches("http://").to_owned();
    let head = format!(
        "PUT {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    let answered = tokio::task::spawn_blocking(move || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(head.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    });
    answered.await.expect("a task of ours ends").expect("the host answers")
}

const CART: &str = "/api/v1/store/carts/{cart}";
const LINE: &str = "/api/v1/store/carts/{cart}/lines/{variant}";
const LINES: &str = "/api/v1/store/carts/{cart}/lines";
const QUOTE: &str = "/api/v1/store/carts/{cart}/quote";
const CHECKOUT: &str = "/api/v1/store/carts/{cart}/checkout";
const PRODUCTS: &str = "/api/v1/admin/products";
const STOCK: &str = "/api/v1/admin/variants/{variant}/stock-adjustments";
const REFUND: &str = "/api/v1/admin/orders/{order}/refund";
const CAPTURE: &str = "/api/v1/admin/orders/{order}/capture";
const SHIP: &str = "/api/v1/admin/orders/{order}/ship";

#[tokio::test]
async fn bodies_that_are_not_what_a_route_takes_change_nothing() {
    let world = World::new().await;
    let before = world.state().await;
    let deep = format!("{{\"quantity\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let long = "x".repeat(100_000);
    let register = |field: &str, value: &str| {
        let mut body = json!({"email": "new@example.org", "password": "correct-horse-battery", "name": "New"});
        body[field] = json!(value);
        body.to_string()
    };
    let agreed = |pointer: &str, value: Value| {
        let mut body = world.checkout.clone();
        *body.pointer_mut(pointer).expect("the body has it") = value;
        body.to_string()
    };
    let priced = |amount: &str, currency: &str| {
        format!(
            r#"{{"slug":"new","title":"New","variants":[{{"sku":"N","prices":[{{"amount":{amount},"currency":"{currency}"}}]}}]}}"#
        )
    };
    let rows: Vec<(&str, &str, String, u16, &str)> = vec![
        ("PUT", LINE, "".into(), 400, "malformed_json"),
        ("PUT", LINE, "{".into(), 400, "malformed_json"),
        ("PUT", LINE, "\u{feff}{\"quantity\":1}".into(), 400, "malformed_json"),
        ("PUT", LINE, "{\"quantity\":1}{}".into(), 400, "malformed_json"),
        ("PUT", LINE, "{\"quantity\":NaN}".into(), 400, "malformed_json"),
        ("PUT", LINE, deep, 400, "malformed_json"),
        ("PUT", LINE, "[]".into(), 422, "invalid"),
        ("PUT", LINE, "null".into(), 422, "invalid"),
        ("PUT", LINE, "{}".into(), 422, "invalid"),
        ("PUT", LINE, r#"{"quantity":1,"price":1}"#.into(), 422, "invalid"),
        ("PUT", LINE, r#"{"quantity":"1"}"#.into(), 422, "invalid"),
        ("PUT", LINE, r#"{"quantity":1.5}"#.into(), 422, "invalid"),
        ("PUT", LINE, r#"{"quantity":null}"#.into(), 422, "invalid"),
        ("PUT", LINE, r#"{"quantity":-1}"#.into(), 422, "invalid"),
        ("PUT", LINE, r#"{"quantity":1000}"#.into(), 422, "invalid"),
        ("PUT", LINE, r#"{"quantity":4294967296}"#.into(), 422, "invalid"),
        ("PUT", LINE, r#"{"quantity":1e400}"#.into(), 400, "malformed_json"),
        ("PUT", LINE, r#"{"quantity":99999999999999999999999999}"#.into(), 422, "invalid"),
        ("PATCH", LINES, r#"{"variant_id":"{variant}","quantity":1}"#.into(), 422, "invalid"),
        ("PATCH", LINES, r#"[{"variant_id":"{variant}","quantity":3},{"variant_id":"{variant}","quantity":4}]"#.into(), 422, "invalid"),
        ("PATCH", LINES, r#"[{"variant_id":"{variant}","quantity":3},{"variant_id":"var_{nobody}","quantity":1}]"#.into(), 422, "not_sold"),
        ("PATCH", LINES, r#"[{"variant_id":"{variant}","quantity":3},{"variant_id":"x","quantity":1}]"#.into(), 422, "invalid"),
        ("POST", "/api/v1/store/carts", r#"{"currency":"usd"}"#.into(), 422, "invalid"),
        ("POST", "/api/v1/store/carts", r#"{"currency":"XXX!"}"#.into(), 422, "invalid"),
        ("POST", QUOTE, r#"{"shipping_address":{"country":"Germany"}}"#.into(), 422, "invalid"),
        ("POST", QUOTE, r#"{"shipping_address":{"country":"DE"},"shipping_method":"owl"}"#.into(), 422, "shipping_unavailable"),
        ("POST", CHECKOUT, agreed("/quote_hash", json!("")), 422, "invalid"),
        ("POST", CHECKOUT, agreed("/quote_hash", json!("q1.9999999999999.00")), 409, "price_changed"),
        ("POST", CHECKOUT, agreed("/email", json!("not an address")), 422, "invalid"),
        ("POST", CHECKOUT, agreed("/email", json!("a@b.example\r\nBcc: c@d.example")), 422, "invalid"),
        ("POST", CHECKOUT, agreed("/shipping_method", json!("owl")), 422, "shipping_unavailable"),
        ("POST", CHECKOUT, agreed("/payment/provider", json!("bank-of-nobody")), 422, "unknown_provider"),
        ("POST", CHECKOUT, agreed("/payment/token", json!(long)), 422, "invalid"),
        ("POST", CHECKOUT, agreed("/shipping_address/name", json!(long)), 422, "invalid"),
        ("POST", CHECKOUT, agreed("/shipping_address/city", json!("a\u{0}b")), 422, "invalid"),
        ("POST", CHECKOUT, agreed("/shipping_address", json!({"country": "US"})), 422, "invalid"),
        ("POST", "/api/v1/auth/register", register("email", "new"), 422, "invalid"),
        ("POST", "/api/v1/auth/register", register("email", &format!("{long}@example.org")), 422, "invalid"),
        ("POST", "/api/v1/auth/register", register("password", "short"), 422, "invalid"),
        ("POST", "/api/v1/auth/register", register("password", &long), 422, "invalid"),
        ("POST", "/api/v1/auth/register", register("name", ""), 422, "invalid"),
        ("POST", "/api/v1/auth/register", register("role", "staff"), 422, "invalid"),
        ("POST", "/api/v1/auth/sign-in", r#"{"email":["ada@example.org"],"password":{"$gt":""}}"#.into(), 422, "invalid"),
        ("POST", "/api/v1/admin/setup", r#"{"setup_token":"guess","email":"e@example.org","password":"correct-horse-battery","name":"E"}"#.into(), 401, "invalid_token"),
        ("POST", PRODUCTS, priced("-1", "USD"), 422, "invalid"),
        ("POST", PRODUCTS, priced("9223372036854775807", "USD"), 422, "invalid"),
        ("POST", PRODUCTS, priced("9223372036854775808", "USD"), 422, "invalid"),
        ("POST", PRODUCTS, priced("1", "DOLLAR"), 422, "invalid"),
        ("POST", PRODUCTS, r#"{"slug":"../etc","title":"New","variants":[{"sku":"N","prices":[]}]}"#.into(), 422, "invalid"),
        ("POST", PRODUCTS, r#"{"slug":"new","title":"New","variants":[]}"#.into(), 422, "invalid"),
        ("POST", PRODUCTS, r#"{"slug":"new","title":"New","status":"on sale","variants":[{"sku":"N","prices":[]}]}"#.into(), 422, "invalid"),
        ("POST", PRODUCTS, r#"{"slug":"new","title":"New","variants":[{"sku":"SKU-teapot","prices":[]}]}"#.into(), 422, "invalid"),
        ("POST", PRODUCTS, r#"{"slug":"new","title":"New","media":[{"url":"javascript:alert(1)"}],"variants":[{"sku":"N","prices":[]}]}"#.into(), 422, "invalid"),
        ("POST", PRODUCTS, r#"{"slug":"new","title":"New","category_ids":["cat_{nobody}"],"variants":[{"sku":"N","prices":[]}]}"#.into(), 422, "invalid"),
        ("POST", STOCK, r#"{"delta":"5","reason":"received"}"#.into(), 422, "invalid"),
        ("POST", STOCK, r#"{"delta":5,"reason":""}"#.into(), 422, "invalid"),
        ("POST", STOCK, r#"{"delta":9223372036854775807,"reason":"received"}"#.into(), 422, "invalid"),
        ("POST", STOCK, r#"{"delta":5,"reason":"received","id":""}"#.into(), 422, "invalid"),
        ("POST", REFUND, "{}".into(), 422, "invalid"),
        ("POST", REFUND, r#"{"amount":{"amount":-1,"currency":"USD"}}"#.into(), 422, "invalid"),
        ("POST", REFUND, r#"{"amount":{"amount":1,"currency":"EUR"}}"#.into(), 422, "invalid"),
        ("POST", REFUND, r#"{"amount":{"amount":99999999,"currency":"USD"}}"#.into(), 422, "exceeds"),
        ("POST", CAPTURE, r#"{"amount":{"amount":1,"currency":"USD"}}"#.into(), 422, "exceeds"),
        ("POST", SHIP, r#"{"lines":[{"variant_id":"{variant}","quantity":0}]}"#.into(), 422, "invalid"),
        ("POST", SHIP, r#"{"lines":[{"variant_id":"{variant}","quantity":4294967295}]}"#.into(), 422, "invalid"),
        ("POST", SHIP, r#"{"lines":[{"variant_id":"{variant}","quantity":2}]}"#.into(), 422, "exceeds"),
        ("POST", SHIP, r#"{"lines":[{"variant_id":"var_{nobody}","quantity":1}]}"#.into(), 422, "invalid"),
        ("PATCH", "/api/v1/admin/customers/{user}", "{}".into(), 422, "invalid"),
        ("PATCH", "/api/v1/admin/customers/{user}", r#"{"role":"owner"}"#.into(), 422, "invalid"),
    ];
    for (method, path, body, status, code) in rows {
        let who = if path.starts_with("/api/v1/admin/") { world.staff.clone() } else { world.guest() };
        let answer = world.send(&who, method, path, &body).await;
        let shown: String = body.chars().take(200).collect();
        is_refused(&answer, status, code, &format!("{method} {path} {shown}"));
        if code == "invalid" {
            assert!(
                answer.json["errors"].as_array().is_some_and(|errors| !errors.is_empty()),
                "{path} {}",
                answer.text
            );
        }
    }
    assert_eq!(world.state().await, before);
    world.shop.assert_audit();
}

#[tokio::test]
async fn paths_and_queries_that_name_nothing_are_refused() {
    let world = World::new().await;
    let before = world.state().await;
    let endless = "x".repeat(5_000);
    let rows: Vec<(&str, String, u16, &str)> = vec![
        ("GET", "/api".into(), 404, "not_found"),
        ("GET", "/api/v1/store/nothing".into(), 404, "not_found"),
        ("GET", "/api/v2/store/products".into(), 404, "not_found"),
        ("GET", "/api/v1/store/products/".into(), 404, "not_found"),
        ("GET", "/api/v1/store/products/no-such-thing".into(), 404, "not_found"),
        ("GET", "/api/v1/store/products/%ff".into(), 404, "not_found"),
        ("GET", "/api/v1/store/products/..%2fadmin".into(), 404, "not_found"),
        ("GET", format!("/api/v1/store/products/{endless}"), 404, "not_found"),
        ("GET", "/api/v1/store/carts/cart_1".into(), 404, "not_found"),
        ("GET", "/api/v1/store/carts/cart_{nobody}".into(), 404, "not_found"),
        ("GET", "/api/v1/store/carts/{order}".into(), 404, "not_found"),
        ("PUT", "/api/v1/store/carts/cart_{nobody}/lines/{variant}".into(), 404, "not_found"),
        ("PUT", format!("{CART}/lines/var_1"), 404, "not_found"),
        ("PUT", format!("{CART}/lines/var_{{nobody}}"), 422, "not_sold"),
        ("GET", "/api/v1/store/orders/ord_{nobody}".into(), 404, "not_found"),
        ("GET", "/api/v1/store/orders/{order}?token=guess".into(), 404, "not_found"),
        ("GET", "/api/v1/store/orders/lookup?number=S-1001&token=".into(), 404, "not_found"),
        ("GET", "/api/v1/store/orders/lookup?number=S-1001".into(), 422, "invalid"),
        ("GET", "/media/med_{nobody}".into(), 404, "not_found"),
        ("GET", "/media/..%2f..%2fsecrets.toml".into(), 404, "not_found"),
        ("DELETE", "/api/v1/store/products".into(), 405, "method_not_allowed"),
        ("POST", "/api/v1/store/products/teapot".into(), 405, "method_not_allowed"),
        ("PATCH", CART.into(), 405, "method_not_allowed"),
        ("OPTIONS", CART.into(), 405, "method_not_allowed"),
        ("BREW", CART.into(), 405, "method_not_allowed"),
        ("GET", "/api/v1/auth/sign-in".into(), 405, "method_not_allowed"),
        ("GET", "/api/v1/store/products?limit=0".into(), 422, "invalid"),
        ("GET", "/api/v1/store/products?limit=101".into(), 422, "invalid"),
        ("GET", "/api/v1/store/products?limit=-1".into(), 422, "invalid"),
        ("GET", "/api/v1/store/products?limit=ten".into(), 422, "invalid"),
        ("GET", "/api/v1/store/products?limit=99999999999999999999".into(), 422, "invalid"),
        ("GET", "/api/v1/store/products?cursor=x".into(), 422, "invalid"),
        ("GET", "/api/v1/store/products?cursor=AAAA".into(), 422, "invalid"),
        ("GET", format!("/api/v1/store/products?cursor={endless}"), 422, "invalid"),
        ("GET", "/api/v1/store/products?currency=dollars".into(), 422, "invalid"),
        ("GET", "/api/v1/store/products?sort=best".into(), 422, "invalid"),
        ("GET", "/api/v1/store/products?in_stock=maybe".into(), 422, "invalid"),
        ("GET", "/api/v1/store/products?price_min=1e3".into(), 422, "invalid"),
        ("GET", "/api/v1/store/products?colour=red".into(), 422, "invalid"),
        ("GET", "/api/v1/store/products?limit=1&limit=2".into(), 422, "invalid"),
        ("GET", format!("/api/v1/store/products?q={endless}"), 422, "invalid"),
        ("GET", "/api/v1/admin/orders?state=lost".into(), 422, "invalid"),
        ("GET", "/api/v1/admin/orders?cursor=x".into(), 422, "invalid"),
        ("GET", "/api/v1/admin/orders/ord_{nobody}".into(), 404, "not_found"),
        ("GET", "/api/v1/admin/customers/usr_{nobody}".into(), 404, "not_found"),
        ("GET", "/api/v1/admin/customers?cursor=x".into(), 422, "invalid"),
        ("GET", "/api/v1/admin/notifications?cursor=x".into(), 422, "invalid"),
        ("GET", "/api/v1/admin/variants/var_{nobody}/stock-movements".into(), 404, "not_found"),
        ("POST", "/api/v1/admin/variants/var_{nobody}/stock-adjustments".into(), 422, "invalid"),
        ("GET", "/dev/mailbox/nothing".into(), 404, "not_found"),
        ("GET", "/dev/test-payments/nothing".into(), 404, "not_found"),
    ];
    for (method, path, status, code) in rows {
        let who = if path.starts_with("/api/v1/admin/") { world.staff.clone() } else { world.guest() };
        let body = if method == "PUT" { r#"{"quantity":1}"# } else { "" };
        let answer = match method {
            "GET" => who.get(&world.filled(&path)).await,
            _ => world.send(&who, method, &path, if body.is_empty() { "{}" } else { body }).await,
        };
        let shown: String = path.chars().take(200).collect();
        is_refused(&answer, status, code, &format!("{method} {shown}"));
        assert_eq!(answer.header("allow").is_some(), status == 405, "{method} {shown}");
    }
    // A cursor belongs to its list.
    let whole = world
        .staff
        .get("/api/v1/admin/variants/{variant}/stock-movements?limit=1".replace("{variant}", &world.variant).as_str())
        .await
        .expect(200);
    let foreign = format!("/api/v1/store/products?cursor={}", whole.text_at("/next_cursor"));
    assert!(matches!(world.guest().get(&foreign).await.status, 200 | 422), "a foreign cursor is no fault of ours");
    assert_eq!(world.state().await, before);
}

#[tokio::test]
async fn heads_and_bodies_over_the_limits_are_refused() {
    let world = World::new().await;
    let before = world.state().await;
    let guest = world.guest();
    let line = world.filled(LINE);
    let quantity = Some(br#"{"quantity":7}"#.to_vec());
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "application/xml", "multipart/form-data; boundary=x"]
    {
        let answer = guest.send("PUT", &line, &[("content-type", kind)], quantity.clone()).await;
        is_refused(&answer, 415, "unsupported_media_type", kind);
    }
    let untyped = guest.send("PUT", &line, &[], quantity.clone()).await;
    is_refused(&untyped, 415, "unsupported_media_type", "no content type");
    let svg = world.staff.send("POST", "/api/v1/admin/media", &[("content-type", "text/html")], quantity.clone()).await;
    is_refused(&svg, 415, "unsupported_media_type", "a picture that is a page");

    let json = ("content-type", "application/json");
    let huge = guest.send("PUT", &line, &[json], Some(vec![b' '; 8 << 20])).await;
    is_refused(&huge, 413, "payload_too_large", "eight mebibytes, sent to the end");
    let first = Instant::now();
    let asked = announce(&world.shop, &line, "1099511627776").await;
    assert!(asked.starts_with("HTTP/1.1 413 "), "{asked}");
    assert!(asked.contains("payload_too_large") && first.elapsed() < ANNOUNCED_MAX, "{asked}");
    let picture = world
        .staff
        .send("POST", "/api/v1/admin/media", &[("content-type", "image/png")], Some(vec![0; 600 << 10]))
        .await;
    is_refused(&picture, 413, "payload_too_large", "a picture of 600 KiB");
    let form = ("content-type", "application/x-www-form-urlencoded");
    is_refused(
        &guest.send("POST", "/cart/add", &[form], Some(vec![b'a'; 70_000])).await,
        413,
        "payload_too_large",
        "a form",
    );

    let long = "x".repeat(20 << 10);
    is_refused(&guest.send("GET", &line, &[("x-long", &long)], None).await, 431, "headers_too_large", "a long header");
    let many: Vec<(String, String)> = (0..120).map(|number| (format!("x-{number}"), "1".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let refused = guest.send("GET", &line, &many, None).await;
    // Spin's own server counts them before a component is asked, and says no more than that.
    match world.shop.platform.is_spin() {
        true => assert_eq!(refused.status, 431),
        false => is_refused(&refused, 431, "headers_too_large", "many headers"),
    }
    let target = format!("/api/v1/store/products?q={}", "x".repeat(9 << 10));
    is_refused(&guest.get(&target).await, 400, "malformed_request", "a long target");

    // Two versions are none, and a page of nonsense is a page, not a fault.
    let twice = [json, ("if-match", "\"1\""), ("if-match", "\"2\"")];
    is_refused(&guest.send("PUT", &line, &twice, quantity.clone()).await, 412, "precondition_failed", "two versions");
    let stale = [json, ("if-match", "\"0\"")];
    is_refused(&guest.send("PUT", &line, &stale, quantity).await, 412, "precondition_failed", "an old version");
    for path in ["/p/%ff", "/c/no-such-thing", "/orders/x", "/no/such/page", "/search?sort=best&page=%00"] {
        let page = guest.get(path).await;
        assert!((200..500).contains(&page.status), "{path}: {}", page.status);
    }
    assert_eq!(world.state().await, before);
}

#[tokio::test]
async fn tokens_that_are_not_ours_open_nothing() {
    let world = World::new().await;
    let before = world.state().await;
    let secret = world.shop.secret("token_private_key");
    let now =
        i64::try_from(SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_millis()).expect("before 292 million");
    let claims = |staff, expires_at| Claims {
        user_id: world.user.clone(),
        session_id: world.session.clone(),
        staff,
        expires_at,
    };
    let sign = |key: &str, claims: &Claims| tokens::sign(key, claims).expect("a key of the right form");
    let good = sign(&secret, &claims(false, now + 60_000));
    world.guest().with_token(&good).get("/api/v1/auth/me").await.expect(200);
    let (other_key, _) = tokens::test_keys();
    let (start, end) = good.split_at(good.len() / 2);
    let flipped = format!("{start}{}{}", if end.starts_with('A') { "B" } else { "A" }, &end[1..]);
    for (what, token) in [
        ("expired", sign(&secret, &claims(false, now - 1))),
        ("staff, expired", sign(&secret, &claims(true, now - 1))),
        ("of another key", sign(&other_key, &claims(true, now + 60_000))),
        ("changed", flipped),
        ("cut", good[..good.len() - 4].to_owned()),
        ("longer", format!("{good}AAAA")),
        ("another purpose", good.replace("v4.public.", "v4.local.")),
        ("no signature", "eyJhbGciOiJub25lIn0.eyJzdGFmZiI6dHJ1ZX0.".to_owned()),
        ("empty", String::new()),
        ("endless", "x".repeat(10_000)),
    ] {
        let bearer = world.guest().with_token(&token);
        for path in ["/api/v1/auth/me", "/api/v1/admin/orders", "/api/v1/store/products"] {
            let answer = bearer.get(path).await;
            is_refused(&answer, 401, "invalid_token", &format!("{what} {path}"));
            assert!(answer.header("www-authenticate").is_some_and(|how| how.starts_with("Bearer")), "{what}");
        }
        let refresh = json!({"refresh_token": token});
        let answer = world.guest().post("/api/v1/auth/refresh", &refresh).await;
        assert!(["invalid_token", "invalid"].contains(&answer.problem().as_str()), "{what}: {}", answer.text);
        for path in ["/api/v1/auth/email/verify", "/api/v1/auth/password/reset"] {
            let mut body = json!({"token": token});
            if path.ends_with("reset") {
                body["new_password"] = json!("a-new-password-of-eve");
            }
            let answer = world.guest().post(path, &body).await;
            assert!(["invalid_token", "invalid"].contains(&answer.problem().as_str()), "{what}: {}", answer.text);
        }
    }
    let basic = world.guest().send("GET", "/api/v1/auth/me", &[("authorization", "Basic YWRhOnB3")], None).await;
    is_refused(&basic, 401, "invalid_token", "another scheme");
    is_refused(&world.ada.get("/api/v1/admin/orders").await, 403, "forbidden", "a shopper among staff");
    assert_eq!(world.state().await, before);
}

#[tokio::test]
async fn keys_of_idempotency_stand_for_one_request() {
    let world = World::new().await;
    let guest = world.guest();
    let path = world.filled(CHECKOUT);
    let json = ("content-type", "application/json");
    let body = || Some(world.checkout.to_string().into_bytes());
    let before = world.state().await;
    let missing = guest.send("POST", &path, &[json], body()).await;
    is_refused(&missing, 400, "idempotency_key_required", "no key");
    let long = "k".repeat(256);
    for key in ["", "two words", &long] {
        let answer = guest.send("POST", &path, &[json, ("idempotency-key", key)], body()).await;
        is_refused(&answer, 400, "idempotency_key_malformed", key);
    }
    let twice = [json, ("idempotency-key", "a"), ("idempotency-key", "b")];
    is_refused(&guest.send("POST", &path, &twice, body()).await, 400, "idempotency_key_malformed", "two keys");
    for path in [REFUND, CAPTURE] {
        let answer = world.staff.post(&world.filled(path), &json!({"amount": {"amount": 1, "currency": "USD"}})).await;
        is_refused(&answer, 400, "idempotency_key_required", path);
    }
    assert_eq!(world.state().await, before);

    // What was refused before it did anything may be put right under the same key.
    let mut wrong = world.checkout.clone();
    wrong["email"] = json!("nonsense");
    is_refused(&guest.post_once(&path, "mine", &wrong).await, 422, "invalid", "a typing error");
    let order = guest.post_once(&path, "mine", &world.checkout).await.expect(201);
    let after = world.state().await;
    let mut other = world.checkout.clone();
    other["email"] = json!("other@example.org");
    is_refused(&guest.post_once(&path, "mine", &other).await, 422, "idempotency_key_reused", "another body");
    let again = guest.post_once(&path, "mine", &world.checkout).await.expect(201);
    assert_eq!((again.text, again.headers.get("location")), (order.text.clone(), order.headers.get("location")));
    let closed = guest.post_once(&path, "another", &world.checkout).await;
    is_refused(&closed, 409, "cart_closed", "the cart is an order");
    assert_eq!(closed.text_at("/order_id"), order.text_at("/id"));
    assert_eq!(world.state().await, after);
    guest.get(&format!("/api/v1/store/orders/{}?token={}", world.order, world.token)).await.expect(200);
    world.shop.assert_audit();
}
