//! One request for every operation, with what the services were asked and what the client got: see `golden/`.

use std::fmt::Write;
use std::path::Path;

use super::{As, Shop, request, samples, with};

/// Ids that stand in the stories for short.
const NAMES: [(&str, &str); 10] = [
    ("{usr}", samples::USER),
    ("{ses}", samples::SESSION),
    ("{prod}", samples::PRODUCT),
    ("{var}", samples::VARIANT),
    ("{cat}", samples::CATEGORY),
    ("{med}", samples::MEDIA),
    ("{cart}", samples::CART),
    ("{ord}", samples::ORDER),
    ("{adr}", samples::ADDRESS),
    ("{ntf}", samples::NOTIFICATION),
];

#[test]
fn the_store() {
    transcript(
        "store",
        r#"
guest   GET /api/v1/store/products
guest   GET /api/v1/store/products?category=shirts&q=lin%20sh&price_min=100&price_max=5000&in_stock=true&sort=-price&currency=EUR&limit=1&cursor=abc
shopper GET /api/v1/store/products?sort=title
guest   HEAD /api/v1/store/products
guest   GET /api/v1/store/products/linen-shirt
guest   GET /api/v1/store/products/%6cinen-shirt
shopper GET /api/v1/store/products/{prod}
guest   GET /api/v1/store/categories
guest   GET /api/v1/store/media/{med}
guest   GET /media/{med}
guest   if-none-match="{med}" GET /media/{med}
guest   POST /api/v1/store/carts
guest   POST /api/v1/store/carts {"currency":"EUR"}
guest   GET /api/v1/store/carts/{cart}
guest   PUT /api/v1/store/carts/{cart}/lines/{var} {"quantity":2}
guest   if-match="5" PUT /api/v1/store/carts/{cart}/lines/{var} {"quantity":0}
guest   if-match=* DELETE /api/v1/store/carts/{cart}/lines/{var}
guest   PATCH /api/v1/store/carts/{cart}/lines [{"variant_id":"{var}","quantity":3}]
shopper POST /api/v1/store/carts/{cart}/claim
shopper GET /api/v1/store/me/cart
guest   POST /api/v1/store/carts/{cart}/quote {"shipping_address":{"country":"DE"}}
guest   GET /api/v1/store/payment-providers
guest   idempotency-key=k1 POST /api/v1/store/carts/{cart}/checkout {"quote_hash":"hash-sample","email":"ada@example.org","shipping_address":{"name":"Ada","line1":"Straße 1","city":"Berlin","country":"DE"},"shipping_method":"standard","payment":{"provider":"test","token":"tok_ok"}}
guest   idempotency-key=k1 POST /api/v1/store/carts/{cart}/checkout {"quote_hash":"hash-sample","email":"ada@example.org","shipping_address":{"name":"Ada","line1":"Straße 1","city":"Berlin","country":"DE"},"shipping_method":"standard","payment":{"provider":"test","token":"tok_ok"}}
shopper idempotency-key=k1 POST /api/v1/store/carts/{cart}/checkout {"quote_hash":"hash-sample","email":"ada@example.org","shipping_address":{"name":"Ada","line1":"Straße 1","city":"Berlin","country":"DE"},"billing_address":{"name":"Bob","line1":"Weg 2","city":"Bonn","country":"DE"},"shipping_method":"standard","payment":{"provider":"test","token":"tok_ok"},"return_url":"https://app.example/back?o={order}"}
shopper GET /api/v1/store/orders?limit=5
guest   GET /api/v1/store/orders/lookup?number=S-1042&token=order-token
guest   GET /api/v1/store/orders/{ord}?token=order-token
shopper GET /api/v1/store/orders/{ord}
guest   GET /api/v1/store/orders/{ord}/timeline?token=order-token
shopper POST /api/v1/store/orders/{ord}/resume
guest   POST /api/v1/store/orders/{ord}/cancel?token=order-token {"reason":"changed my mind"}
"#,
    );
}

#[test]
fn accounts() {
    transcript(
        "accounts",
        r#"
guest   POST /api/v1/auth/register {"email":"ada@example.org","password":"correct horse","name":"Ada"}
guest   idempotency-key=k1 POST /api/v1/auth/register {"email":"ada@example.org","password":"correct horse","name":"Ada"}
guest   idempotency-key=k1 POST /api/v1/auth/register {"email":"ada@example.org","password":"correct horse","name":"Ada"}
guest   POST /api/v1/auth/sign-in {"email":"ada@example.org","password":"correct horse"}
guest   authorization=Bearer~stale POST /api/v1/auth/refresh {"refresh_token":"r"}
guest   POST /api/v1/auth/sign-out {"refresh_token":"r"}
guest   POST /api/v1/auth/password/forgot {"email":"ada@example.org"}
guest   POST /api/v1/auth/password/reset {"token":"t","new_password":"battery staple"}
guest   POST /api/v1/auth/email/verify {"token":"t"}
shopper GET /api/v1/auth/me
shopper if-match="3" PATCH /api/v1/auth/me {"name":"Ada L."}
shopper POST /api/v1/auth/password/change {"current_password":"correct horse","new_password":"battery staple"}
shopper POST /api/v1/auth/email/verification
shopper GET /api/v1/auth/sessions
shopper DELETE /api/v1/auth/sessions/{ses}
shopper GET /api/v1/auth/addresses
shopper POST /api/v1/auth/addresses {"address":{"name":"Ada","line1":"Straße 1","city":"Berlin","country":"DE"},"default_shipping":true}
shopper GET /api/v1/auth/addresses/{adr}
shopper PUT /api/v1/auth/addresses/{adr} {"address":{"name":"Ada","line1":"Straße 1","city":"Berlin","country":"DE"}}
shopper DELETE /api/v1/auth/addresses/{adr}
"#,
    );
}

#[test]
fn the_admin() {
    transcript(
        "admin",
        r#"
guest POST /api/v1/admin/setup {"setup_token":"s","email":"ada@example.org","password":"correct horse","name":"Ada"}
staff GET /api/v1/admin/products?q=lin
staff POST /api/v1/admin/products {"slug":"linen-shirt","title":"Linen shirt","status":"published","options":[{"name":"Size","values":["M","L"]}],"variants":[{"sku":"LS-M","option_values":["M"],"prices":[{"amount":1999,"currency":"USD"}]},{"sku":"LS-L","option_values":["L"],"weight_grams":300,"prices":[{"amount":2099,"currency":"USD"}]}],"media":[{"url":"/media/{med}"}]}
staff idempotency-key=k1 POST /api/v1/admin/products {"slug":"linen-shirt","title":"Linen shirt","variants":[{"sku":"LS-M","prices":[]}]}
staff GET /api/v1/admin/products/{prod}
staff if-match="4" PUT /api/v1/admin/products/{prod} {"slug":"linen-shirt","title":"Linen shirt","variants":[{"id":"{var}","sku":"LS-M","prices":[]},{"sku":"LS-L","prices":[]}]}
staff if-match=* PUT /api/v1/admin/products/{prod} {"slug":"linen-shirt","title":"Linen shirt","variants":[]}
staff if-match="4" DELETE /api/v1/admin/products/{prod}
staff GET /api/v1/admin/categories
staff POST /api/v1/admin/categories {"slug":"shirts","title":"Shirts"}
staff PUT /api/v1/admin/categories/{cat} {"slug":"shirts","title":"Shirts","position":1,"parent_id":null}
staff DELETE /api/v1/admin/categories/{cat}
staff content-type=image/svg+xml POST /api/v1/admin/media <svg/>
staff GET /api/v1/admin/variants/{var}/stock-movements
staff POST /api/v1/admin/variants/{var}/stock-adjustments {"delta":-2,"reason":"damaged"}
staff GET /api/v1/admin/orders?state=awaiting_action&user_id={usr}&q=S-10
staff GET /api/v1/admin/orders/{ord}
staff GET /api/v1/admin/orders/{ord}/timeline
staff POST /api/v1/admin/orders/{ord}/cancel {"reason":"fraud"}
staff idempotency-key=k2 POST /api/v1/admin/orders/{ord}/capture
staff idempotency-key=k3 POST /api/v1/admin/orders/{ord}/capture {"amount":{"amount":100,"currency":"USD"}}
staff idempotency-key=k4 POST /api/v1/admin/orders/{ord}/refund {"amount":{"amount":100,"currency":"USD"},"reason":"late","restock":[{"variant_id":"{var}","quantity":1}]}
staff POST /api/v1/admin/orders/{ord}/ship
staff POST /api/v1/admin/orders/{ord}/ship {"lines":[{"variant_id":"{var}","quantity":1}],"carrier":"DHL","tracking_number":"1Z"}
staff GET /api/v1/admin/customers?q=ada
staff GET /api/v1/admin/customers/{usr}
staff PATCH /api/v1/admin/customers/{usr} {"disabled":true,"role":"shopper"}
staff GET /api/v1/admin/notifications?recipient=ada@example.org
staff POST /api/v1/admin/notifications/{ntf}/resend
"#,
    );
}

#[test]
fn the_hooks() {
    transcript(
        "hooks",
        r#"
guest stripe-signature=t=1,v1=2 POST /api/v1/hooks/stripe {"id":"evt_1", "raw":"bytes"}
guest authorization=Bearer~stale POST /api/v1/hooks/test
guest idempotency-key=k1 POST /api/v1/hooks/test {}
guest idempotency-key=k1 POST /api/v1/hooks/test {}
"#,
    );
}

/// Plays requests, one a line, `sender [header=value] METHOD path [body]`, and compares what happened with `golden/`.
fn transcript(name: &str, script: &str) {
    let shop = Shop::new();
    let mut said = String::new();
    for line in script.trim().lines() {
        let line = NAMES.iter().fold(line.to_owned(), |line, (name, id)| line.replace(name, id));
        let (sender, rest) = line.split_once(' ').expect("a sender");
        let sender = match sender {
            "guest" => As::Guest,
            "shopper" => As::Shopper,
            "staff" => As::Staff,
            other => panic!("{other} sends no requests"),
        };
        let rest = rest.trim();
        let header = rest.split(' ').next().and_then(|word| word.split_once('='));
        let sent = match header {
            Some((name, value)) => {
                let plain = request(&shop, sender, &rest[name.len() + value.len() + 2..]);
                let mut plain = with(plain, name, &value.replace('~', " "));
                // A content type of its own takes the place of that of JSON.
                let own = plain.headers.iter().filter(|(n, _)| n == "content-type").count() > 1;
                plain.headers.retain(|(n, v)| !(own && n == "content-type" && v == "application/json"));
                plain
            }
            None => request(&shop, sender, rest),
        };
        let answer = shop.send(&sent);
        writeln!(said, "> {sender:?} {rest}").expect("a text takes all");
        for call in shop.take_calls() {
            writeln!(said, "  {call}").expect("a text takes all");
        }
        writeln!(said, "< {}", answer.status).expect("a text takes all");
        for (name, value) in &answer.headers {
            writeln!(said, "< {name}: {value}").expect("a text takes all");
        }
        writeln!(said, "{}\n", String::from_utf8_lossy(&answer.body)).expect("a text takes all");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("the folder can be made");
        std::fs::write(&path, &said).expect("the file can be written");
    }
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    for (now, before) in said.lines().zip(before.lines()) {
        assert_eq!(now, before, "golden/{name}.txt: UPDATE_GOLDEN=1 rewrites it");
    }
    assert_eq!(said.len(), before.len(), "golden/{name}.txt: UPDATE_GOLDEN=1 rewrites it");
}
