//! `Idempotency-Key`: one effect, one answer, whatever dies on the way.

use souk_kit::http::{Request, Response};
use souk_kit::order::{self, OrderError};

use super::{As, Shop, outcome, request, samples, with};

const CHECKOUT: &str = r#"POST /api/v1/store/carts/cart_00000000000000000000000000000008/checkout {"quote_hash":"h","email":"a@b","shipping_address":{"name":"A","line1":"B","city":"C","country":"DE"},"shipping_method":"standard","payment":{"provider":"test","token":"t"}}"#;

fn checkout(shop: &Shop, key: &str) -> Request {
    with(request(shop, As::Guest, CHECKOUT), "idempotency-key", key)
}

/// How often an order was placed since the last look, and under which ids.
fn placed(shop: &Shop) -> Vec<String> {
    let calls = shop.take_calls().into_iter().filter(|call| call.contains(" place("));
    calls
        .filter_map(|call| {
            Some(call.split("order-id: \"").nth(1).or(call.split("order_id: \"").nth(1))?.split('"').next()?.to_owned())
        })
        .collect()
}

fn replayed(answer: &Response) -> bool {
    answer.header("idempotent-replayed") == Some("true")
}

#[test]
fn a_repeat_has_one_effect_and_the_same_bytes() {
    let shop = Shop::new();
    let first = shop.send(&checkout(&shop, "k1"));
    assert_eq!((first.status, replayed(&first), placed(&shop).len()), (201, false, 1));
    for _ in 0..8 {
        let again = shop.send(&checkout(&shop, "k1"));
        assert!(replayed(&again));
        assert_eq!((again.status, &again.body), (first.status, &first.body));
        assert_eq!(again.header("location"), first.header("location"));
        assert_eq!(placed(&shop), Vec::<String>::new());
    }
    shop.advance(30 * 24 * 60 * 60 * 1000);
    shop.send(&checkout(&shop, "k1"));
    assert_eq!(placed(&shop).len(), 1, "after 30 days the key is forgotten");
}

#[test]
fn a_key_belongs_to_one_request_of_one_principal() {
    let shop = Shop::new();
    shop.send(&checkout(&shop, "k1"));
    let other = CHECKOUT.replace("a@b", "c@d");
    let reused = shop.send(&with(request(&shop, As::Guest, &other), "idempotency-key", "k1"));
    assert_eq!(outcome(&reused), "422 idempotency_key_reused");
    assert_eq!(placed(&shop).len(), 1);
    let shopper = shop.send(&with(request(&shop, As::Shopper, CHECKOUT), "idempotency-key", "k1"));
    assert!(!replayed(&shopper), "another principal, another key");
    let elsewhere = "POST /api/v1/auth/email/verification";
    let reused = shop.send(&with(request(&shop, As::Shopper, elsewhere), "idempotency-key", "k1"));
    assert_eq!(outcome(&reused), "422 idempotency_key_reused", "a principal's key names one request");
}

#[test]
fn keys_that_are_missing_or_malformed() {
    let shop = Shop::new();
    assert_eq!(outcome(&shop.send(&request(&shop, As::Guest, CHECKOUT))), "400 idempotency_key_required");
    for line in ["capture", "refund"] {
        let line = format!("POST /api/v1/admin/orders/{}/{line} {{}}", samples::ORDER);
        assert_eq!(outcome(&shop.send(&request(&shop, As::Staff, &line))), "400 idempotency_key_required");
    }
    for key in ["", "a b", "\u{7f}", "é", &"k".repeat(256)] {
        assert_eq!(outcome(&shop.send(&checkout(&shop, key))), "400 idempotency_key_malformed", "{key}");
    }
    let twice = with(checkout(&shop, "k1"), "idempotency-key", "k2");
    assert_eq!(outcome(&shop.send(&twice)), "400 idempotency_key_malformed");
    assert_eq!(placed(&shop), Vec::<String>::new());
    assert_eq!(shop.send(&checkout(&shop, &"k".repeat(255))).status, 201);
}

#[test]
fn a_request_that_died_is_taken_over_with_the_same_ids() {
    let shop = Shop::new();
    // The command is done, but its answer cannot be kept, and so it is not given: a repeat could be told another one.
    shop.kv_fault.set(Some(1));
    assert_eq!(outcome(&shop.send(&checkout(&shop, "k1"))), "503 unavailable");
    let first = placed(&shop);
    assert_eq!(first.len(), 1);
    let waiting = shop.send(&checkout(&shop, "k1"));
    assert_eq!(outcome(&waiting), "409 idempotency_in_progress");
    assert_eq!(waiting.header("retry-after"), Some("1"));
    shop.advance(29_999);
    assert_eq!(outcome(&shop.send(&checkout(&shop, "k1"))), "409 idempotency_in_progress");
    assert_eq!(placed(&shop), Vec::<String>::new());
    shop.advance(1);
    let other = CHECKOUT.replace("a@b", "c@d");
    let reused = shop.send(&with(request(&shop, As::Guest, &other), "idempotency-key", "k1"));
    assert_eq!(outcome(&reused), "422 idempotency_key_reused", "nobody takes over with another body");
    assert_eq!(shop.send(&checkout(&shop, "k1")).status, 201);
    assert_eq!(placed(&shop), first, "the same order");
    assert!(replayed(&shop.send(&checkout(&shop, "k1"))));
}

#[test]
fn an_outage_is_not_kept_and_the_next_try_has_the_same_ids() {
    let shop = Shop::new();
    for _ in 0..2 {
        shop.script::<order::OrderView, _>("place", Err(OrderError::Unavailable(String::new())));
    }
    for _ in 0..2 {
        let answer = shop.send(&checkout(&shop, "k1"));
        assert_eq!(outcome(&answer), "503 unavailable");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert_eq!(shop.send(&checkout(&shop, "k1")).status, 201);
    let ids = placed(&shop);
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[test]
fn a_store_that_is_away_is_an_outage_and_nothing_runs() {
    let shop = Shop::new();
    shop.kv_fault.set(Some(0));
    assert_eq!(outcome(&shop.send(&checkout(&shop, "k1"))), "503 unavailable");
    assert_eq!(placed(&shop), Vec::<String>::new());
    assert_eq!(shop.send(&checkout(&shop, "k1")).status, 201);
}

#[test]
fn refusals_stand_but_refused_input_and_conflicts_do_not() {
    for (error, stands) in [
        (OrderError::PriceChanged(samples::quote()), true),
        (OrderError::OutOfStock(Vec::new()), true),
        (OrderError::NotFound, true),
        (OrderError::Invalid(Vec::new()), false),
        (OrderError::Conflict, false),
        (OrderError::Unavailable(String::new()), false),
    ] {
        let shop = Shop::new();
        shop.script::<order::OrderView, _>("place", Err(error));
        let first = shop.send(&checkout(&shop, "k1"));
        let again = shop.send(&checkout(&shop, "k1"));
        assert_eq!(replayed(&again), stands, "{}", outcome(&first));
        assert_eq!(again.body == first.body, stands, "{}", outcome(&first));
    }
    let shop = Shop::new();
    let typo = CHECKOUT.replace("\"email\"", "\"mail\"");
    let refused = shop.send(&with(request(&shop, As::Guest, &typo), "idempotency-key", "k1"));
    assert_eq!(outcome(&refused), "422 invalid /mail:unknown");
    assert_eq!(shop.send(&checkout(&shop, "k1")).status, 201, "put right, under the same key");
}

#[test]
fn what_holds_secrets_is_never_written_down() {
    let shop = Shop::new();
    for line in [
        r#"POST /api/v1/auth/register {"email":"a@b","password":"correct horse","name":"A"}"#,
        r#"POST /api/v1/auth/sign-in {"email":"a@b","password":"correct horse"}"#,
        r#"POST /api/v1/auth/refresh {"refresh_token":"r"}"#,
        r#"POST /api/v1/auth/password/reset {"token":"t","new_password":"battery staple"}"#,
        r#"POST /api/v1/admin/setup {"setup_token":"s","email":"a@b","password":"correct horse","name":"A"}"#,
    ] {
        assert!(shop.send(&with(request(&shop, As::Guest, line), "idempotency-key", "k1")).status < 300, "{line}");
    }
    assert!(shop.take_calls().iter().all(|call| !call.starts_with("kv.")));
}

#[test]
fn a_guests_new_cart_cannot_be_had_with_a_guessed_key() {
    let shop = Shop::new();
    let create = with(request(&shop, As::Guest, "POST /api/v1/store/carts"), "idempotency-key", "1");
    let mine = shop.send(&create);
    assert!(replayed(&shop.send(&create)));
    let theirs = shop.send(&Request { client: "198.51.100.7".to_owned(), ..create });
    assert!(!replayed(&theirs));
    assert_ne!(mine.header("location"), theirs.header("location"));
}

#[test]
fn an_answer_too_large_to_keep_is_given_all_the_same() {
    let shop = Shop::new();
    let mut large = samples::product();
    large.description = "\u{1}".repeat(100_000);
    for _ in 0..2 {
        shop.script::<_, souk_kit::catalog::CatalogError>("create_product", Ok(large.clone()));
        let line = r#"POST /api/v1/admin/products {"slug":"a","title":"b","variants":[]}"#;
        let answer = shop.send(&with(request(&shop, As::Staff, line), "idempotency-key", "k1"));
        assert_eq!((answer.status, replayed(&answer)), (201, false), "the service recognizes the repeat");
    }
}
