//! Bad input of every kind: each is a problem document with its code, none reaches a service that would change something.

use souk_kit::cart::CartError;
use souk_kit::catalog::{CatalogError, Shortage};
use souk_kit::http::Request;
use souk_kit::notification::NotificationError;
use souk_kit::order::{LineShortage, OrderError, OrderState};
use souk_kit::payment_extension::{Decline, HookError};
use souk_kit::testing::{Dice, law};
use souk_kit::types::FieldError;
use souk_kit::user::UserError;
use souk_kit::{cart, order, user};

use super::{As, Shop, outcome, request, samples, with};
use crate::routes::{Access, GROUPS};

const CART: &str = "/api/v1/store/carts/cart_00000000000000000000000000000008";
const LINE: &str =
    "/api/v1/store/carts/cart_00000000000000000000000000000008/lines/var_00000000000000000000000000000005";
const ORDER: &str = "/api/v1/store/orders/ord_00000000000000000000000000000009";
const ADMIN_ORDER: &str = "/api/v1/admin/orders/ord_00000000000000000000000000000009";
const ADMIN_PRODUCT: &str = "/api/v1/admin/products/prod_00000000000000000000000000000004";
const CHECKOUT: &str = r#"{"quote_hash":"h","email":"a@b","shipping_address":{"name":"A","line1":"B","city":"C","country":"DE"},"shipping_method":"standard","payment":{"provider":"test","token":"t"}}"#;

/// Sends each line and compares its outcome: `sender | request | outcome`. No service is asked for anything.
fn check(table: &str) {
    for row in table.trim().lines() {
        let cells: Vec<&str> = row.split(" | ").map(str::trim).collect();
        let [sender, line, wanted] = cells[..] else { panic!("three cells: {row}") };
        let sender = match sender {
            "guest" => As::Guest,
            "shopper" => As::Shopper,
            _ => As::Staff,
        };
        let shop = Shop::new();
        let line = line.replace("CART", CART).replace("LINE", LINE).replace("ORDER", ORDER);
        let answer = shop.send(&with(request(&shop, sender, &line), "idempotency-key", "k"));
        assert_eq!(outcome(&answer), wanted, "{row}");
        assert_eq!(answer.header("cache-control"), Some("private, no-store"), "{row}");
        let calls = shop.take_calls();
        assert!(calls.iter().all(|call| call.starts_with("kv.") || call.starts_with("config.")), "{row}: {calls:?}");
    }
}

#[test]
fn unknown_routes_and_methods() {
    check(
        "
        guest   | GET /                                     | 404 not_found
        guest   | GET /api                                  | 404 not_found
        guest   | GET /api/v1/store                         | 404 not_found
        guest   | GET /api/v1/store/                        | 404 not_found
        guest   | GET /api/v1/store/products/               | 404 not_found
        guest   | GET /api/v1/store/products/a/b            | 404 not_found
        guest   | GET /api/v1/store/nothing                 | 404 not_found
        guest   | GET /api/v2/store/products                | 404 not_found
        guest   | GET //api/v1/store/products               | 404 not_found
        guest   | GET /api/v1/store/products/%2F            | 404 not_found
        guest   | GET /api/v1/store/products/%ff            | 404 not_found
        guest   | GET /api/v1/store/products/%00            | 404 not_found
        guest   | PUT /api/v1/store/products {}             | 405 method_not_allowed
        guest   | DELETE CART                               | 405 method_not_allowed
        guest   | OPTIONS /api/v1/store/products            | 405 method_not_allowed
        guest   | TRACE /media/x                            | 405 method_not_allowed
        staff   | DELETE /api/v1/admin/customers            | 405 method_not_allowed
    ",
    );
}

#[test]
fn a_refused_method_names_those_that_are_not() {
    let shop = Shop::new();
    let allow = |line: &str| shop.send(&request(&shop, As::Guest, line)).header("allow").map(str::to_owned);
    assert_eq!(allow("PATCH /api/v1/store/products").as_deref(), Some("GET, HEAD"));
    assert_eq!(allow("POST /api/v1/admin/products/x").as_deref(), Some("DELETE, GET, HEAD, PUT"));
}

#[test]
fn ids_of_another_form_name_nothing() {
    let long = "x".repeat(200);
    check(&format!(
        "
        guest   | GET /api/v1/store/carts/1                                   | 404 not_found
        guest   | GET /api/v1/store/carts/cart_0000000000000000000000000000000G | 404 not_found
        guest   | GET /api/v1/store/carts/{long}                              | 404 not_found
        guest   | GET /api/v1/store/products/{long}                           | 404 not_found
        guest   | PUT CART/lines/prod_00000000000000000000000000000005 {{\"quantity\":1}} | 404 not_found
        guest   | GET /media/med_1                                            | 404 not_found
        guest   | GET /api/v1/store/orders/S-1042?token=t                     | 404 not_found
        guest   | GET ORDER                                                   | 404 not_found
        guest   | POST ORDER/resume                                           | 404 not_found
        guest   | POST ORDER/cancel                                           | 404 not_found
        guest   | GET ORDER/timeline                                          | 404 not_found
        shopper | GET /api/v1/auth/addresses/adr_1                            | 404 not_found
        shopper | DELETE /api/v1/auth/sessions/..                             | 404 not_found
        staff   | GET /api/v1/admin/customers/prod_1                          | 404 not_found
        staff   | POST /api/v1/admin/notifications/1/resend                   | 404 not_found
    "
    ));
}

#[test]
fn bodies_that_are_not_what_is_wanted() {
    check(
        r#"
        guest   | POST /api/v1/store/carts {                                | 400 malformed_json
        guest   | POST /api/v1/store/carts {"currency":"USD"} x             | 400 malformed_json
        guest   | POST /api/v1/store/carts []                               | 422 invalid :malformed
        guest   | POST /api/v1/store/carts "USD"                            | 422 invalid :malformed
        guest   | POST /api/v1/store/carts {"currency":1}                   | 422 invalid /currency:malformed
        guest   | POST /api/v1/store/carts {"curency":"USD"}                | 422 invalid /curency:unknown
        guest   | POST /api/v1/store/carts {"a/b~c":1}                      | 422 invalid /a~1b~0c:unknown
        guest   | PUT LINE                                                  | 415 unsupported_media_type
        guest   | PUT LINE {}                                               | 422 invalid /quantity:required
        guest   | PUT LINE {"quantity":-1}                                  | 422 invalid /quantity:out_of_range
        guest   | PUT LINE {"quantity":4294967296}                          | 422 invalid /quantity:out_of_range
        guest   | PUT LINE {"quantity":99999999999999999999999}             | 422 invalid /quantity:out_of_range
        guest   | PUT LINE {"quantity":1.5}                                 | 422 invalid /quantity:malformed
        guest   | PUT LINE {"quantity":"1"}                                 | 422 invalid /quantity:malformed
        guest   | PUT LINE {"quantity":null}                                | 422 invalid /quantity:malformed
        guest   | PUT LINE {"quantity":true}                                | 422 invalid /quantity:malformed
        guest   | PUT LINE {"quantity":1,"price":1}                         | 422 invalid /price:unknown
        guest   | PATCH CART/lines {"variant_id":"v","quantity":1}          | 422 invalid :malformed
        guest   | PATCH CART/lines [{"variant_id":"v","quantity":1},{"quantity":1}] | 422 invalid /1/variant_id:required
        guest   | POST CART/quote {"shipping_address":{}}                   | 422 invalid /shipping_address/country:required
        guest   | POST CART/quote {"shipping_address":{"country":"DE","zip":"1"}} | 422 invalid /shipping_address/zip:unknown
        guest   | POST CART/checkout {}                                     | 422 invalid /quote_hash:required
        guest   | POST /api/v1/auth/register {"email":"a@b","password":"correct horse","name":"A","role":"staff"} | 422 invalid /role:unknown
        guest   | POST /api/v1/auth/sign-in {"email":["a@b"],"password":"x"} | 422 invalid /email:malformed
        staff   | PATCH /api/v1/admin/customers/usr_00000000000000000000000000000001 {} | 422 invalid :required
        staff   | PATCH /api/v1/admin/customers/usr_00000000000000000000000000000001 {"role":"owner"} | 422 invalid /role:unknown
        staff   | POST /api/v1/admin/products {"slug":"a","title":"b","variants":[{"sku":"s","prices":[{"amount":1.5,"currency":"USD"}]}]} | 422 invalid /variants/0/prices/0/amount:malformed
        staff   | POST /api/v1/admin/products {"slug":"a","title":"b","status":"sold","variants":[]} | 422 invalid /status:unknown
        staff   | POST /api/v1/admin/orders/ord_00000000000000000000000000000009/refund {"amount":{"amount":"1","currency":"USD"}} | 422 invalid /amount/amount:malformed
        staff   | POST /api/v1/admin/orders/ord_00000000000000000000000000000009/refund {"amount":{"amount":1}} | 422 invalid /amount/currency:required
        staff   | POST /api/v1/admin/orders/ord_00000000000000000000000000000009/ship {"lines":[{"variant_id":"v","quantity":-1}]} | 422 invalid /lines/0/quantity:out_of_range
        staff   | POST /api/v1/admin/variants/var_00000000000000000000000000000005/stock-adjustments {"id":"mine","delta":1,"reason":"received"} | 422 invalid /id:malformed
        staff   | POST /api/v1/admin/media {}                               | 415 unsupported_media_type
    "#,
    );
}

#[test]
fn queries_that_are_not_what_is_wanted() {
    check(
        "
        guest   | GET /api/v1/store/products?limit=many       | 422 invalid /limit:malformed
        guest   | GET /api/v1/store/products?limit=-1         | 422 invalid /limit:out_of_range
        guest   | GET /api/v1/store/products?limit=99999999999999999999 | 422 invalid /limit:malformed
        guest   | GET /api/v1/store/products?price_min=1.5    | 422 invalid /price_min:malformed
        guest   | GET /api/v1/store/products?in_stock=yes     | 422 invalid /in_stock:malformed
        guest   | GET /api/v1/store/products?sort=cheap       | 422 invalid /sort:unknown
        guest   | GET /api/v1/store/products?colour=red       | 422 invalid /colour:unknown
        guest   | GET /api/v1/store/products?q=a&q=b          | 422 invalid :malformed
        guest   | GET /api/v1/store/orders/lookup?number=S-1  | 422 invalid /token:required
        guest   | GET ORDER?tokn=1                            | 422 invalid /tokn:unknown
        staff   | GET /api/v1/admin/orders?state=lost         | 422 invalid /state:unknown
    ",
    );
}

#[test]
fn bodies_of_another_kind_or_too_deep() {
    let shop = Shop::new();
    let plain = |kind: &str, body: &str| {
        let mut sent = request(&shop, As::Guest, &format!("PUT {LINE} {body}"));
        sent.headers.retain(|(name, _)| name != "content-type");
        outcome(&shop.send(&with(sent, "content-type", kind)))
    };
    assert_eq!(plain("text/plain", r#"{"quantity":1}"#), "415 unsupported_media_type");
    assert_eq!(plain("application/jsonp", r#"{"quantity":1}"#), "415 unsupported_media_type");
    assert_eq!(plain("Application/JSON; charset=utf-8", r#"{"quantity":1}"#), "200");
    assert_eq!(plain("application/json", &format!("{}{}", "[".repeat(33), "]".repeat(33))), "400 malformed_json");
    assert_eq!(plain("application/json", &"[".repeat(100_000)), "400 malformed_json");
    assert_eq!(plain("application/json", "\u{0}"), "400 malformed_json");
    let mut latin = request(&shop, As::Guest, &format!("PUT {LINE} x"));
    latin.body = b"{\"quantity\xff\":1}".to_vec();
    assert_eq!(outcome(&shop.send(&latin)), "400 malformed_json");
    let mut picture = request(&shop, As::Staff, "POST /api/v1/admin/media");
    picture.body = vec![0; 512 * 1024 + 1];
    assert_eq!(outcome(&shop.send(&with(picture.clone(), "content-type", "image/png"))), "413 payload_too_large");
    picture.body.clear();
    assert_eq!(outcome(&shop.send(&with(picture, "content-type", "image/png"))), "422 invalid :required");
}

#[test]
fn webhooks_that_are_not_taken() {
    for (error, wanted) in [
        (HookError::Forged("secret of the signature".to_owned()), "400 hook_forged"),
        (HookError::Malformed("secret of the body".to_owned()), "400 malformed_request"),
        (HookError::UnknownProvider, "404 not_found"),
        (HookError::StorageFull, "507 storage_full"),
        (HookError::Unavailable("secret of the database".to_owned()), "503 unavailable"),
    ] {
        let shop = Shop::new();
        shop.script::<(), _>("take_hook", Err(error));
        let answer = shop.send(&request(&shop, As::Guest, "POST /api/v1/hooks/test {}"));
        assert_eq!(outcome(&answer), wanted);
        assert_eq!(answer.header("retry-after").is_some(), matches!(answer.status, 503 | 507), "{wanted}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret"), "{wanted}");
    }
    let shop = Shop::new();
    let mut large = request(&shop, As::Guest, "POST /api/v1/hooks/test");
    large.body = vec![0xff; 256 * 1024];
    assert_eq!(outcome(&shop.send(&large)), "200");
    large.body.push(0);
    shop.take_calls();
    assert_eq!(outcome(&shop.send(&large)), "413 payload_too_large");
    assert_eq!(shop.take_calls(), Vec::<String>::new());
}

#[test]
fn return_urls_lead_to_the_web_only() {
    for (url, wanted) in [
        ("https://app.example/back", "201"),
        ("http://localhost:8080/{order}", "201"),
        ("javascript:alert(1)", "422 invalid /return_url:malformed"),
        ("//app.example", "422 invalid /return_url:malformed"),
        ("https://", "422 invalid /return_url:malformed"),
        ("https:///x", "422 invalid /return_url:malformed"),
        ("https://a b", "422 invalid /return_url:malformed"),
        (&format!("https://{}", "a".repeat(2000)), "422 invalid /return_url:too_long"),
    ] {
        let shop = Shop::new();
        let body = CHECKOUT.replace(r#""quote_hash""#, &format!(r#""return_url":"{url}","quote_hash""#));
        let sent = request(&shop, As::Guest, &format!("POST {CART}/checkout {body}"));
        assert_eq!(outcome(&shop.send(&with(sent, "idempotency-key", "k"))), wanted, "{url}");
    }
}

#[test]
fn tokens_that_are_not_good() {
    let shop = Shop::new();
    let old = shop.token(samples::USER, false);
    let good = shop.token(samples::STAFF, true);
    shop.advance(900_000);
    let forged = format!("{}A", &good[..good.len() - 1]);
    for header in [
        format!("Bearer {old}"),
        format!("Bearer {forged}"),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Basic {good}"),
        String::new(),
    ] {
        for line in ["GET /api/v1/store/products", "GET /api/v1/auth/me", "GET /api/v1/admin/orders"] {
            let answer = shop.send(&with(request(&shop, As::Guest, line), "authorization", &header));
            assert_eq!(outcome(&answer), "401 invalid_token", "{header} {line}");
            assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer realm="souk", error="invalid_token""#));
        }
    }
    let twice = with(request(&shop, As::Staff, "GET /api/v1/admin/orders"), "authorization", "Bearer x");
    assert_eq!(outcome(&shop.send(&twice)), "401 invalid_token");
}

#[test]
fn every_route_lets_only_those_pass_whom_it_names() {
    for (base, tables) in GROUPS {
        for route in tables.iter().flat_map(|table| table.iter()) {
            let shop = Shop::new();
            let line = format!("{} {base}{}", route.method, route.path);
            let code = |sender| outcome(&shop.send(&request(&shop, sender, &line)));
            let (guest, shopper) = (code(As::Guest), code(As::Shopper));
            let refused = "401 authentication_required";
            match route.access {
                Access::Open | Access::Anyone => assert!(guest != refused && shopper != refused, "{line}"),
                Access::SignedIn => assert!(guest == refused && shopper != refused, "{line}"),
                Access::Staff => assert!(guest == refused && shopper == "403 forbidden", "{line}"),
            }
        }
    }
}

#[test]
fn a_shop_without_a_key_trusts_nobody() {
    let shop = Shop::unconfigured();
    assert_eq!(outcome(&shop.send(&request(&shop, As::Staff, "GET /api/v1/admin/orders"))), "503 unavailable");
    assert_eq!(outcome(&shop.send(&request(&shop, As::Guest, "GET /api/v1/store/products"))), "200");
}

#[test]
fn versions_that_are_missing_or_old() {
    let product = r#"{"slug":"a","title":"b","variants":[]}"#;
    let put = format!("PUT {ADMIN_PRODUCT} {product}");
    let delete = format!("DELETE {ADMIN_PRODUCT}");
    let set = format!("PUT {LINE} {{\"quantity\":1}}");
    for (sender, line, tag, wanted) in [
        (As::Staff, &put, None, "428 precondition_required"),
        (As::Staff, &delete, None, "428 precondition_required"),
        (As::Staff, &put, Some("W/\"4\""), "412 precondition_failed"),
        (As::Staff, &put, Some("4"), "412 precondition_failed"),
        (As::Staff, &put, Some("\"4\", \"5\""), "412 precondition_failed"),
        (As::Staff, &put, Some("\"99999999999999999999999\""), "412 precondition_failed"),
        (As::Staff, &put, Some("\"\""), "412 precondition_failed"),
        (As::Guest, &set, Some("\"x\""), "412 precondition_failed"),
    ] {
        let shop = Shop::new();
        let plain = request(&shop, sender, line);
        let sent = match tag {
            Some(tag) => with(plain, "if-match", tag),
            None => plain,
        };
        assert_eq!(outcome(&shop.send(&sent)), wanted, "{line} {tag:?}");
    }
    let conflict = |tag: Option<&str>| {
        let shop = Shop::new();
        shop.script::<cart::CartView, _>("set_lines", Err(CartError::Conflict));
        let plain = request(&shop, As::Guest, &set);
        let sent = match tag {
            Some(tag) => with(plain, "if-match", tag),
            None => plain,
        };
        outcome(&shop.send(&sent))
    };
    assert_eq!(conflict(Some("\"4\"")), "412 precondition_failed");
    assert_eq!(conflict(Some("*")), "409 conflict");
    assert_eq!(conflict(None), "409 conflict");
}

#[test]
fn every_refusal_of_a_service_is_a_problem() {
    let fields = || {
        vec![FieldError {
            pointer: "/variants/0/prices/0/minor".to_owned(),
            code: "out_of_range".to_owned(),
            detail: String::new(),
        }]
    };
    let decline = || Decline { code: "card_declined".to_owned(), message: "No.".to_owned() };
    let users = [
        (UserError::Invalid(fields()), "422 invalid /variants/0/prices/0/amount:out_of_range"),
        (UserError::EmailTaken, "409 email_taken"),
        (UserError::WrongCredentials, "401 wrong_credentials"),
        (UserError::InvalidToken, "401 invalid_token"),
        (UserError::Throttled(30), "429 throttled"),
        (UserError::NotFound, "404 not_found"),
        (UserError::LimitReached, "409 limit_reached"),
        (UserError::Conflict, "409 conflict"),
        (UserError::StorageFull, "507 storage_full"),
        (UserError::Unavailable("secret of the database".to_owned()), "503 unavailable"),
    ];
    for (error, wanted) in users {
        let shop = Shop::new();
        shop.script::<user::Session, _>("sign_in", Err(error));
        let answer =
            shop.send(&request(&shop, As::Guest, r#"POST /api/v1/auth/sign-in {"email":"a@b","password":"x"}"#));
        assert_eq!(outcome(&answer), wanted);
        assert_eq!(answer.header("retry-after").is_some(), matches!(answer.status, 429 | 503 | 507), "{wanted}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret"), "{wanted}");
    }
    let catalog = [
        (CatalogError::Invalid(fields()), "422 invalid /variants/0/prices/0/amount:out_of_range"),
        (CatalogError::NotFound, "404 not_found"),
        (
            CatalogError::OutOfStock(vec![Shortage { variant_id: samples::VARIANT.to_owned(), available: 1 }]),
            "409 out_of_stock",
        ),
        (CatalogError::Expired, "409 reservation_expired"),
        (CatalogError::Settled, "409 settled"),
        (CatalogError::InUse, "409 in_use"),
        (CatalogError::Conflict, "409 conflict"),
        (CatalogError::StorageFull, "507 storage_full"),
        (CatalogError::Unavailable(String::new()), "503 unavailable"),
    ];
    for (error, wanted) in catalog {
        let shop = Shop::new();
        shop.script::<(), _>("delete_category", Err(error));
        let line = format!("DELETE /api/v1/admin/categories/{}", samples::CATEGORY);
        assert_eq!(outcome(&shop.send(&request(&shop, As::Staff, &line))), wanted);
    }
    let carts = [
        (CartError::Invalid(Vec::new()), "422 invalid"),
        (CartError::NotFound, "404 not_found"),
        (CartError::Closed, "409 conflict"), // the cart of paper is open when it is looked at
        (CartError::NotSold, "422 not_sold"),
        (CartError::LimitReached, "409 limit_reached"),
        (CartError::Conflict, "409 conflict"),
        (CartError::StorageFull, "507 storage_full"),
        (CartError::Unavailable(String::new()), "503 unavailable"),
    ];
    for (error, wanted) in carts {
        let shop = Shop::new();
        shop.script::<cart::CartView, _>("set_lines", Err(error));
        assert_eq!(outcome(&shop.send(&request(&shop, As::Guest, &format!("DELETE {LINE}")))), wanted);
    }
    let orders = [
        (OrderError::Invalid(Vec::new()), "422 invalid", ""),
        (OrderError::NotFound, "404 not_found", ""),
        (OrderError::CartEmpty, "422 cart_empty", ""),
        (
            OrderError::CartClosed(samples::ORDER.to_owned()),
            "409 cart_closed",
            r#""order_id":"ord_00000000000000000000000000000009""#,
        ),
        (OrderError::PriceChanged(samples::quote()), "409 price_changed", r#""quote":{"hash":"hash-sample""#),
        (
            OrderError::OutOfStock(vec![LineShortage { variant_id: samples::VARIANT.to_owned(), available: 1 }]),
            "409 out_of_stock",
            r#""shortages":[{"variant_id":"var_00000000000000000000000000000005","available":1}]"#,
        ),
        (OrderError::ShippingUnavailable, "422 shipping_unavailable", ""),
        (OrderError::UnknownProvider, "422 unknown_provider", ""),
        (
            OrderError::WrongState(vec![OrderState::Pending, OrderState::AwaitingAction]),
            "409 wrong_state",
            r#""allowed":["pending","awaiting_action"]"#,
        ),
        (OrderError::Exceeds(41), "422 exceeds", r#""left":41"#),
        (
            OrderError::PaymentRefused(decline()),
            "402 payment_refused",
            r#""decline":{"code":"card_declined","message":"No."}"#,
        ),
        (OrderError::Conflict, "409 conflict", ""),
        (OrderError::StorageFull, "507 storage_full", ""),
        (OrderError::Unavailable(String::new()), "503 unavailable", ""),
    ];
    for (error, wanted, more) in orders {
        let shop = Shop::new();
        shop.script::<order::OrderView, _>("ship", Err(error));
        let answer = shop.send(&request(&shop, As::Staff, &format!("POST {ADMIN_ORDER}/ship")));
        assert_eq!(outcome(&answer), wanted);
        assert!(String::from_utf8_lossy(&answer.body).contains(more), "{wanted}");
    }
    let notifications = [
        (NotificationError::Invalid("no".to_owned()), "422 invalid"),
        (NotificationError::NotFound, "404 not_found"),
        (NotificationError::Conflict, "409 conflict"),
        (NotificationError::StorageFull, "507 storage_full"),
        (NotificationError::Unavailable(String::new()), "503 unavailable"),
    ];
    for (error, wanted) in notifications {
        let shop = Shop::new();
        shop.script::<(), _>("resend", Err(error));
        let line = format!("POST /api/v1/admin/notifications/{}/resend", samples::NOTIFICATION);
        assert_eq!(outcome(&shop.send(&request(&shop, As::Staff, &line))), wanted);
    }
}

#[test]
fn no_bytes_are_answered_with_anything_but_a_client_error() {
    const BODIES: [&str; 8] =
        ["{", "[{}]", "{\"quantity\":}", "\"", "null", "{\"a\":{\"b\":[1,2,{\"c\":null}]}}", "1e999", "\u{feff}{}"];
    let routes: Vec<_> = GROUPS
        .iter()
        .flat_map(|(base, tables)| tables.iter().flat_map(move |table| table.iter().map(move |route| (*base, route))))
        .collect();
    law(2000, |dice: &mut Dice| {
        let shop = Shop::new();
        let (base, route) = *dice.pick(&routes);
        let ids =
            ["x", samples::CART, samples::ORDER, samples::VARIANT, samples::PRODUCT, samples::USER, "%2e%2e", "%"];
        let path: Vec<&str> =
            route.path.split('/').map(|part| if part.starts_with('{') { *dice.pick(&ids) } else { part }).collect();
        let mut sent: Request = request(&shop, As::Staff, &format!("{} {base}{}", route.method, path.join("/")));
        sent.body = dice.pick(&BODIES).as_bytes().to_vec();
        if dice.below(4) == 0 {
            let at = usize::try_from(dice.below(sent.body.len() as u64)).expect("small");
            sent.body[at] = u8::try_from(dice.below(256)).expect("a byte");
        }
        sent.query = (*dice.pick(&["", "limit=%", "&&=&", "token", "token=%ff", "cursor=%00"])).to_owned();
        sent.headers.push(("content-type".to_owned(), "application/json".to_owned()));
        sent.headers.push(("idempotency-key".to_owned(), "k".to_owned()));
        sent.headers.push(("if-match".to_owned(), (*dice.pick(&["*", "\"1\"", "x"])).to_owned()));
        outcome(&shop.send(&sent)); // which checks the document
    });
}
