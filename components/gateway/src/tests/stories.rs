//! What the transcripts do not show: outcomes of a checkout, entity tags, caches, and what the busiest route costs.

use souk_kit::cart::{CartState, CartView};
use souk_kit::order::{OrderError, OrderState};
use souk_kit::{catalog, order};

use super::{As, Shop, outcome, request, samples, with};

const CHECKOUT: &str = r#"POST /api/v1/store/carts/cart_00000000000000000000000000000008/checkout {"quote_hash":"h","email":"a@b","shipping_address":{"name":"A","line1":"B","city":"C","country":"DE"},"shipping_method":"standard","payment":{"provider":"test","token":"t"}}"#;

#[test]
fn the_busiest_route_asks_one_service_and_nobody_else() {
    let shop = Shop::new();
    assert_eq!(shop.send(&request(&shop, As::Guest, "GET /api/v1/store/products?limit=20")).status, 200);
    let calls = shop.take_calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert!(calls[0].contains("list_products"));
}

#[test]
fn a_checkout_answers_how_far_it_came() {
    for (state, url, status, next) in [
        (OrderState::Confirmed, "", 201, "\"next_action\":null"),
        (OrderState::Pending, "", 201, "\"next_action\":null"),
        (
            OrderState::AwaitingAction,
            "https://pay.example/1",
            200,
            r#""next_action":{"type":"redirect","url":"https://pay.example/1"}"#,
        ),
        (OrderState::Canceled, "", 200, "\"next_action\":null"),
    ] {
        let shop = Shop::new();
        let order = order::OrderView { state, action_url: url.to_owned(), ..samples::order() };
        shop.script::<_, OrderError>("place", Ok(order));
        let answer = shop.send(&with(request(&shop, As::Guest, CHECKOUT), "idempotency-key", "k"));
        assert_eq!(answer.status, status, "{state:?}");
        assert_eq!(answer.header("location"), Some("/api/v1/store/orders/ord_00000000000000000000000000000009"));
        assert!(String::from_utf8_lossy(&answer.body).contains(next), "{state:?}");
    }
}

#[test]
fn a_closed_cart_says_which_order_closed_it() {
    // While the order is under way, the same request is worth a repeat, and is not told an answer that was kept.
    for (state, wanted, again) in [
        (CartState::CheckingOut(samples::ORDER.to_owned()), "409 completion_in_progress", 201),
        (CartState::Completed(samples::ORDER.to_owned()), "409 cart_closed", 409),
    ] {
        let shop = Shop::new();
        shop.script::<order::OrderView, _>("place", Err(OrderError::CartClosed(samples::ORDER.to_owned())));
        shop.script::<CartView, souk_kit::cart::CartError>("get_cart", Ok(CartView { state, ..samples::cart() }));
        let checkout = with(request(&shop, As::Guest, CHECKOUT), "idempotency-key", "k");
        let answer = shop.send(&checkout);
        assert_eq!(outcome(&answer), wanted);
        assert_eq!(shop.send(&checkout).status, again);
        assert!(String::from_utf8_lossy(&answer.body).contains(samples::ORDER));
    }
}

#[test]
fn staff_are_shoppers_in_the_store() {
    let shop = Shop::new();
    shop.send(&request(&shop, As::Staff, "GET /api/v1/store/me/cart"));
    shop.send(&request(&shop, As::Staff, &format!("GET /api/v1/admin/orders/{}", samples::ORDER)));
    let calls = shop.take_calls();
    let calls: Vec<&String> = calls.iter().filter(|call| !call.starts_with("config")).collect();
    assert!(calls[0].starts_with("Actor::User"), "{calls:?}");
    assert!(calls[1].starts_with("Actor::Staff"), "{calls:?}");
}

#[test]
fn a_known_product_is_not_sent_again_until_its_stock_moves() {
    let shop = Shop::new();
    let get = request(&shop, As::Guest, "GET /api/v1/store/products/linen-shirt");
    let tag = shop.send(&get).header("etag").expect("a product has a tag").to_owned();
    for known in [tag.clone(), format!("\"x\", {tag}"), format!("W/{tag}"), "*".to_owned()] {
        let answer = shop.send(&with(get.clone(), "if-none-match", &known));
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{known}");
        assert_eq!(answer.header("etag"), Some(tag.as_str()));
        assert_eq!(answer.header("cache-control"), Some("public, max-age=0, s-maxage=30, stale-while-revalidate=60"));
        assert_eq!(answer.header("vary"), Some("authorization"));
    }
    let mut sold = samples::product();
    sold.variants[0].reserved += 1;
    shop.script::<_, catalog::CatalogError>("get_product", Ok(sold));
    assert_eq!(shop.send(&with(get, "if-none-match", &tag)).status, 200);
}

#[test]
fn what_is_someones_own_is_kept_by_no_cache() {
    let shop = Shop::new();
    for (sender, line) in [
        (As::Shopper, "GET /api/v1/store/products"),
        (As::Shopper, "GET /api/v1/store/categories"),
        (As::Shopper, "GET /api/v1/auth/me"),
        (As::Guest, "GET /api/v1/store/orders/lookup?number=S-1&token=t"),
        (As::Staff, "GET /api/v1/admin/products"),
    ] {
        let answer = shop.send(&request(&shop, sender, line));
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("private, no-store")), "{line}");
    }
}

#[test]
fn a_link_to_the_next_page_keeps_the_filters_and_cannot_be_broken_out_of() {
    let shop = Shop::new();
    let answer = shop.send(&request(&shop, As::Guest, "GET /api/v1/store/products?q=a>;b&cursor=old&limit=1"));
    let link = answer.header("link").expect("there is a next page");
    assert_eq!(link, "</api/v1/store/products?q=a%3E%3Bb&limit=1&cursor=bmV4dA>; rel=\"next\"");
}

#[test]
fn pictures_run_nothing() {
    let shop = Shop::new();
    let answer = shop.send(&request(&shop, As::Guest, &format!("GET /media/{}", samples::MEDIA)));
    assert_eq!(
        answer.header("content-security-policy"),
        Some("default-src 'none'; style-src 'unsafe-inline'; sandbox")
    );
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=31536000, immutable"));
}

#[test]
fn the_document_and_its_page_are_served() {
    let shop = Shop::new();
    let json = shop.send(&request(&shop, As::Guest, "GET /api/openapi.json"));
    let document: serde_json::Value = serde_json::from_slice(&json.body).expect("it is JSON");
    assert_eq!(document["openapi"], "3.1.0");
    let page = shop.send(&request(&shop, As::Guest, "GET /api/docs"));
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'none'")));
}
