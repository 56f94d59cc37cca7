//! From finding a product to holding an order.

use serde_json::{Value, json};
use souk_tests::{
    client::Answer,
    mail::{mail_about, mail_to},
    wait::{SOON, eventually},
};

use super::{Scene, address_in, buy, check_out, order_path, standing};

const PRODUCTS: &str = "/api/v1/store/products";

/// The slugs of a page of products.
fn slugs(page: &Answer) -> Vec<String> {
    let data = page.json["data"].as_array().expect("a list has data");
    data.iter().map(|item| item["slug"].as_str().expect("a slug").to_owned()).collect()
}

#[tokio::test]
async fn a_guest_buys_and_the_mail_leads_to_the_order() {
    let scene = Scene::new().await;
    let guest = &scene.guest;
    let variant = scene.staff.stocked_variant("teapot", 5).await;

    let listed = guest.get(PRODUCTS).await.expect(200);
    assert_eq!(slugs(&listed), ["teapot"]);
    let shown = guest.get(&format!("{PRODUCTS}/teapot")).await.expect(200);
    assert_eq!(shown.text_at("/variants/0/id"), variant);
    assert_eq!(shown.integer_at("/variants/0/available"), 5);

    let cart = guest.post("/api/v1/store/carts", &json!({"currency": "USD"})).await.expect(201);
    let id = cart.text_at("/id");
    assert_eq!(cart.header("location"), Some(format!("/api/v1/store/carts/{id}").as_str()));
    let line = format!("/api/v1/store/carts/{id}/lines/{variant}");
    let filled = guest.json("PUT", &line, &[], &json!({"quantity": 2})).await.expect(200);
    assert_eq!(filled.integer_at("/subtotal/amount"), 2 * 1999);

    // The country decides tax: 19 % on goods and shipping in Germany, each rounded once.
    let quote = |country| {
        let body = json!({"shipping_address": address_in(country), "shipping_method": "standard"});
        async move { guest.post(&format!("/api/v1/store/carts/{id}/quote"), &body).await.expect(200) }
    };
    let german = quote("DE").await;
    let total = |part: &str| german.integer_at(&format!("/totals/{part}/amount"));
    assert_eq!((total("subtotal"), total("shipping"), total("tax")), (3998, 500, 760 + 95));
    assert_eq!(total("total"), 3998 + 500 + 760 + 95);

    let cart = cart.text_at("/id");
    let mut body = guest.checkout_body(&cart).await;
    body["email"] = json!("ada@example.org");
    let order = check_out(guest, &cart, &body).await.expect(201);
    assert_eq!(standing(&order), ("confirmed".to_owned(), "paid".to_owned()));
    assert_eq!(order.integer_at("/totals/total/amount"), 3998 + 500);
    let again = check_out(guest, &cart, &body).await.expect(201);
    assert_eq!(again.text, order.text, "a repeat gives the same answer");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));

    // By id and token, by number and token, and not without.
    let (number, token) = (order.text_at("/number"), order.text_at("/access_token"));
    let read = guest.get(&order_path(&order)).await.expect(200);
    assert_eq!(read.text_at("/number"), number);
    let lookup = |token: &str| format!("/api/v1/store/orders/lookup?number={number}&token={token}");
    assert_eq!(guest.get(&lookup(&token)).await.expect(200).text_at("/id"), order.text_at("/id"));
    assert_eq!(guest.get(&lookup("guessed")).await.expect(404).problem(), "not_found");
    let bare = format!("/api/v1/store/orders/{}", order.text_at("/id"));
    assert_eq!(guest.get(&bare).await.expect(404).problem(), "not_found");
    let timeline = guest.get(&format!("{bare}/timeline?token={token}")).await.expect(200);
    let kinds: Vec<&Value> = timeline.json["data"].as_array().expect("a list").iter().map(|e| &e["kind"]).collect();
    assert_eq!(kinds.first().copied(), Some(&json!("placed")));
    assert!(kinds.contains(&&json!("confirmed")), "{kinds:?}");

    let mail = mail_about(guest, "ada@example.org", &number.to_lowercase()).await;
    assert_eq!(mail.link("/orders/"), format!("/orders/{}?token={token}", order.text_at("/id")));
    assert!(mail.text.contains("2 x Product teapot (SKU-teapot)"), "{}", mail.text);
    assert!(mail.text.contains("44.98 USD"), "{}", mail.text);
    assert_eq!(mail_to(guest, "ada@example.org").await.len(), 1, "news comes once");

    scene.assert_settled("teapot", 3).await;
}

#[tokio::test]
async fn products_are_found_by_words_category_price_and_stock() {
    let scene = Scene::new().await;
    let staff = &scene.staff;
    let category = |slug: &str, parent: Option<&str>| {
        let body = json!({"slug": slug, "title": slug, "parent_id": parent});
        async move { staff.post("/api/v1/admin/categories", &body).await.expect(201).text_at("/id") }
    };
    let kitchen = category("kitchen", None).await;
    let cups = category("cups", Some(&kitchen)).await;
    let garden = category("garden", None).await;
    for (slug, title, category, price, units) in [
        ("blue-mug", "Blue mug", &cups, 900, 3),
        ("red-mug", "Red mug", &cups, 1100, 0),
        ("kettle", "Kettle", &kitchen, 4500, 1),
        ("spade", "Spade", &garden, 2500, 9),
        ("draft", "Mug nobody sees", &cups, 1, 1),
    ] {
        let status = if slug == "draft" { "draft" } else { "published" };
        let product = json!({
            "slug": slug, "title": title, "status": status, "category_ids": [category],
            "description": format!("Words about the {slug}: hand-thrown stoneware"),
            "variants": [{"sku": format!("KV-{slug}"), "prices": [{"amount": price, "currency": "USD"}]}],
        });
        let made = staff.post("/api/v1/admin/products", &product).await.expect(201);
        if units > 0 {
            let path = format!("/api/v1/admin/variants/{}/stock-adjustments", made.text_at("/variants/0/id"));
            staff.post(&path, &json!({"delta": units, "reason": "received"})).await.expect(200);
        }
    }
    for (query, wanted) in [
        ("", vec!["spade", "kettle", "red-mug", "blue-mug"]),
        ("?sort=price", vec!["blue-mug", "red-mug", "spade", "kettle"]),
        ("?sort=-price", vec!["kettle", "spade", "red-mug", "blue-mug"]),
        ("?sort=title", vec!["blue-mug", "kettle", "red-mug", "spade"]),
        ("?q=mu&sort=title", vec!["blue-mug", "red-mug"]),
        ("?q=STONE%20blu", vec!["blue-mug"]),
        ("?q=KV-ket", vec!["kettle"]),
        ("?q=nothing", vec![]),
        ("?q=%22%20OR%20*", vec![]),
        ("?category=kitchen&sort=title", vec!["blue-mug", "kettle", "red-mug"]),
        ("?category=cups&in_stock=true", vec!["blue-mug"]),
        ("?price_min=1000&price_max=2500&sort=price", vec!["red-mug", "spade"]),
        ("?currency=EUR", vec![]),
    ] {
        let page = scene.guest.get(&format!("{PRODUCTS}{query}")).await.expect(200);
        assert_eq!(slugs(&page), wanted, "{query}");
    }
    let tree = scene.guest.get("/api/v1/store/categories").await.expect(200);
    assert_eq!(tree.json["data"].as_array().map(Vec::len), Some(3));

    // Page by page, each product once, also when one is added meanwhile.
    for sort in ["newest", "price", "-price", "title"] {
        let whole = slugs(&scene.guest.get(&format!("{PRODUCTS}?sort={sort}")).await.expect(200));
        let mut found = Vec::new();
        let mut path = format!("{PRODUCTS}?sort={sort}&limit=2");
        for _ in 0..whole.len() {
            let page = scene.guest.get(&path).await.expect(200);
            found.extend(slugs(&page));
            if page.json["has_more"] == json!(false) {
                assert_eq!(page.json["next_cursor"], Value::Null);
                break;
            }
            let link = page.header("link").expect("a page names the next").to_owned();
            let next = link.strip_prefix('<').and_then(|rest| rest.split_once('>')).expect("a link").0;
            assert!(next.contains("cursor=") && next.contains("limit=2"), "{link}");
            path = next.to_owned();
        }
        assert_eq!(found, whole, "{sort}");
    }
}

#[tokio::test]
async fn a_product_that_is_known_is_not_sent_again_until_it_changes() {
    let scene = Scene::new().await;
    scene.staff.stocked_variant("lamp", 4).await;
    let path = format!("{PRODUCTS}/lamp");
    let first = scene.guest.get(&path).await.expect(200);
    let tag = first.header("etag").expect("a product has a tag").to_owned();
    assert!(first.header("cache-control").is_some_and(|control| control.starts_with("public")));
    let known = scene.guest.send("GET", &path, &[("if-none-match", &tag)], None).await.expect(304);
    assert_eq!((known.text.as_str(), known.header("etag")), ("", Some(tag.as_str())));
    let head = scene.guest.send("HEAD", &path, &[], None).await.expect(200);
    assert_eq!((head.text.as_str(), head.header("etag")), ("", Some(tag.as_str())));

    // Selling one changes what a shopper must know.
    buy(&scene.guest, &first.text_at("/variants/0/id"), 1, "tok_success").await.expect(201);
    let changed = scene.guest.send("GET", &path, &[("if-none-match", &tag)], None).await.expect(200);
    assert_eq!(changed.integer_at("/variants/0/available"), 3);
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
    let personal = scene.staff.get(&path).await.expect(200);
    assert_eq!(personal.header("cache-control"), Some("private, no-store"));
}

#[tokio::test]
async fn a_changed_price_is_shown_before_it_is_paid() {
    let scene = Scene::new().await;
    let variant = scene.staff.stocked_variant("chair", 2).await;
    let (cart, mut body) = scene.guest.quoted_cart(&variant, 1).await;
    let path = "/api/v1/admin/products/chair";
    let product = scene.staff.get(path).await.expect(200);
    let id = product.text_at("/id");
    let update = json!({
        "slug": "chair", "title": "Product chair", "status": "published",
        "variants": [{"id": variant, "sku": "SKU-chair", "weight_grams": 100, "prices": [{"amount": 2999, "currency": "USD"}]}],
    });
    let tag = product.header("etag").expect("a tag").to_owned();
    scene.staff.json("PUT", &format!("/api/v1/admin/products/{id}"), &[("if-match", &tag)], &update).await.expect(200);

    let refused = check_out(&scene.guest, &cart, &body).await.expect(409);
    assert_eq!(refused.problem(), "price_changed");
    assert_eq!(refused.integer_at("/quote/totals/subtotal/amount"), 2999);
    let warned = scene.guest.get(&format!("/api/v1/store/carts/{cart}")).await.expect(200);
    assert_eq!(warned.json.pointer("/lines/0/warnings"), Some(&json!(["price_changed"])));
    assert_eq!(
        (warned.text_at("/state"), warned.integer_at("/lines/0/set_unit_price/amount")),
        ("open".to_owned(), 1999)
    );

    body["quote_hash"] = json!(refused.text_at("/quote/hash"));
    let path = format!("/api/v1/store/carts/{cart}/checkout");
    let order = scene.guest.post_once(&path, "agreed-to-the-new-price", &body).await.expect(201);
    assert_eq!(order.integer_at("/lines/0/unit_price/amount"), 2999);
    scene.assert_settled("chair", 1).await;
}

#[tokio::test]
async fn what_is_sold_out_is_not_sold() {
    let scene = Scene::new().await;
    let guest = &scene.guest;
    let variant = scene.staff.stocked_variant("vase", 1).await;
    let (early, early_body) = guest.quoted_cart(&variant, 1).await;
    let (late, late_body) = guest.quoted_cart(&variant, 1).await;
    let order = check_out(guest, &early, &early_body).await.expect(201);
    assert_eq!(order.text_at("/state"), "confirmed");

    // It was there when the quote was made.
    let refused = check_out(guest, &late, &late_body).await.expect(409);
    assert_eq!(refused.problem(), "out_of_stock");
    assert_eq!(refused.json["shortages"], json!([{"variant_id": variant, "available": 0}]));
    let cart = guest.get(&format!("/api/v1/store/carts/{late}")).await.expect(200);
    assert_eq!(cart.json.pointer("/lines/0/warnings"), Some(&json!(["out_of_stock"])));
    assert_eq!(cart.text_at("/state"), "open");

    // One comes back, and the same cart buys it.
    let path = format!("/api/v1/admin/variants/{variant}/stock-adjustments");
    scene.staff.post(&path, &json!({"delta": 1, "reason": "found"})).await.expect(200);
    let body = guest.checkout_body(&late).await;
    let path = format!("/api/v1/store/carts/{late}/checkout");
    let order = guest.post_once(&path, "a-second-try", &body).await.expect(201);
    assert_eq!(standing(&order), ("confirmed".to_owned(), "paid".to_owned()));
    scene.assert_settled("vase", 0).await;
}

#[tokio::test]
async fn what_is_bought_in_parallel_from_one_cart_is_one_order() {
    let scene = Scene::new().await;
    let variant = scene.staff.stocked_variant("clock", 10).await;
    let (cart, body) = scene.guest.quoted_cart(&variant, 1).await;
    let path = format!("/api/v1/store/carts/{cart}/checkout");
    let tries = (0..6).map(|number| {
        let (guest, path, body) = (scene.guest.clone(), path.clone(), body.clone());
        tokio::spawn(async move { guest.post_once(&path, &format!("session-{number}"), &body).await })
    });
    let mut orders = Vec::new();
    for one in tries.collect::<Vec<_>>() {
        let answer = one.await.expect("a task of ours ends");
        match answer.status {
            201 => orders.push(answer.text_at("/id")),
            409 => assert!(
                ["cart_closed", "completion_in_progress", "conflict", "price_changed"]
                    .contains(&answer.problem().as_str()),
                "{}",
                answer.text
            ),
            other => panic!("{other}: {}", answer.text),
        }
    }
    assert_eq!(orders.len(), 1, "{orders:?}");
    let closed = eventually(SOON, "the cart is completed", async || {
        let cart = scene.guest.get(&format!("/api/v1/store/carts/{cart}")).await.expect(200);
        (cart.text_at("/state") == "completed").then_some(cart)
    });
    assert_eq!(closed.await.text_at("/order_id"), orders[0]);
    scene.assert_settled("clock", 9).await;
}
