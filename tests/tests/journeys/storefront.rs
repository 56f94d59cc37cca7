//! The pages of the shop in a browser without JavaScript. What holds for every page, its headers and cookies, the
//! browser itself asserts.

use serde_json::json;
use souk_tests::{
    browser::{Browser, Page},
    client::address,
    mail::mail_about,
    wait::{SOON, eventually},
};

use super::{PASSWORD, Scene, buy};

/// The address form, filled in.
fn filled_in() -> Vec<(String, String)> {
    let address = address();
    let fields = address.as_object().expect("an address is an object").iter();
    let mut fields: Vec<(String, String)> =
        fields.map(|(name, value)| (name.clone(), value.as_str().expect("a text").to_owned())).collect();
    fields.push(("email".to_owned(), "ada@example.org".to_owned()));
    fields
}

fn pairs(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// From a product's page to the page where one pays.
async fn to_review(browser: &mut Browser, slug: &str, quantity: &str) -> Page {
    let product = browser.open(&format!("/p/{slug}")).await.expect(200);
    let cart = browser.submit(&product, "/cart/add", &[("quantity", quantity)]).await.expect(200);
    assert_eq!(cart.path, "/cart");
    let checkout = browser.submit(&cart, "/cart/update", &[("checkout", "1")]).await.expect(200);
    assert_eq!(checkout.path, "/checkout");
    let fields = filled_in();
    browser.submit(&checkout, "/checkout", &pairs(&fields)).await.expect(200)
}

#[tokio::test]
async fn pages_sell_without_a_script() {
    let scene = Scene::new().await;
    let category = json!({"slug": "clay", "title": "Clay"});
    let clay = scene.staff.post("/api/v1/admin/categories", &category).await.expect(201).text_at("/id");
    let variant = scene.staff.stocked_variant("jug", 9).await;
    let product = scene.staff.get("/api/v1/admin/products/jug").await.expect(200);
    let update = json!({
        "slug": "jug", "title": "Product jug", "status": "published", "category_ids": [clay],
        "variants": [{"id": variant, "sku": "SKU-jug", "prices": [{"amount": 1999, "currency": "USD"}]}],
    });
    let path = format!("/api/v1/admin/products/{}", product.text_at("/id"));
    scene.staff.json("PUT", &path, &[("if-match", "*")], &update).await.expect(200);

    let mut browser = Browser::new(&scene.shop);
    let home = browser.open("/").await.expect(200);
    home.says("Test mode");
    let category = browser.open(&home.link("/c/clay")).await.expect(200);
    let found = browser.open("/search?q=ju").await.expect(200);
    assert_eq!(category.link("/p/"), found.link("/p/"));
    browser.open("/search?q=nothing").await.expect(200).says("Nothing here matches");

    let review = to_review(&mut browser, "jug", "2").await;
    review.says("$44.98");
    let express = browser.submit(&review, "/checkout", &[("review", "1"), ("shipping_method", "express")]).await;
    express.says("$54.98");
    let back = browser.submit(&express, "/checkout", &[("back", "1")]).await.expect(200);
    back.says("Where does it go?");
    let fields = filled_in();
    let review = browser.submit(&back, "/checkout", &pairs(&fields)).await.expect(200);

    let declined = [("place", "1"), ("payment_token", "tok_declined")];
    let refused = browser.submit(&review, "/checkout", &declined).await.expect(422);
    refused.says("The card was declined.");
    assert_eq!(scene.stock("jug").await, (9, 0));

    let asked = [("place", "1"), ("payment_token", "tok_action")];
    let provider = browser.submit(&refused, "/checkout", &asked).await.expect(200);
    assert!(provider.path.starts_with("/dev/test-payments/"), "{}", provider.path);
    let action = provider.path.clone();
    let order = browser.submit(&provider, &action, &[("decision", "approve")]).await.expect(200);
    assert!(order.path.starts_with("/orders/ord_"), "{}", order.path);
    let placed = eventually(SOON, "the order is confirmed", async || {
        let page = browser.open(&order.path).await.expect(200);
        page.answer.text.contains("Thank you for your order").then_some(page)
    })
    .await;
    placed.says("Paid");
    placed.says("Payment authorized");
    browser.open("/cart").await.expect(200).says("It is empty");

    // The link in the mail shows the order to whoever has it; its path alone to nobody.
    let mail = mail_about(&scene.guest, "ada@example.org", " at souk").await;
    let mut elsewhere = Browser::new(&scene.shop);
    elsewhere.open(&placed.path).await.expect(404);
    elsewhere.open(&mail.link("/orders/")).await.expect(200).says("Thank you for your order");
    scene.assert_settled("jug", 7).await;
}

#[tokio::test]
async fn a_form_that_is_sent_twice_places_one_order() {
    let scene = Scene::new().await;
    scene.staff.stocked_variant("stool", 5).await;
    let mut browser = Browser::new(&scene.shop);
    let review = to_review(&mut browser, "stool", "1").await;
    let pay = [("place", "1"), ("payment_token", "tok_success")];
    let first = browser.submit(&review, "/checkout", &pay).await.expect(200);
    first.says("Thank you for your order");
    // Back, and once more: the cart is gone by then, or the order is the same.
    let second = browser.submit(&review, "/checkout", &pay).await.expect(200);
    assert!(second.path == first.path || second.path == "/cart", "{}", second.path);
    let orders = scene.staff.get("/api/v1/admin/orders").await.expect(200);
    assert_eq!(orders.json["data"].as_array().map(Vec::len), Some(1));
    scene.assert_settled("stool", 4).await;
}

#[tokio::test]
async fn an_account_works_without_a_script() {
    let scene = Scene::new().await;
    scene.staff.stocked_variant("kite", 5).await;
    let mut browser = Browser::new(&scene.shop);
    let away = browser.open("/account").await.expect(200);
    assert!(away.path.starts_with("/account/sign-in"), "{}", away.path);

    let product = browser.open("/p/kite").await.expect(200);
    browser.submit(&product, "/cart/add", &[("quantity", "2")]).await.expect(200);
    let form = browser.open("/account/register").await.expect(200);
    let weak = [("name", "Ada"), ("email", "ada@example.org"), ("password", "short")];
    browser.submit(&form, "/account/register", &weak).await.expect(422).says("Password");
    let fields = [("name", "Ada"), ("email", "ada@example.org"), ("password", PASSWORD)];
    let account = browser.submit(&form, "/account/register", &fields).await.expect(200);
    account.says("Hello, Ada");
    account.says("not confirmed yet");
    browser.open("/cart").await.says("Product kite");

    let verify = mail_about(&scene.guest, "ada@example.org", "welcome").await.link("/account/verify");
    let page = browser.open(&verify).await.expect(200);
    browser.submit(&page, "/account/verify", &[]).await.expect(200).says("Your address is confirmed");
    browser.submit(&page, "/account/verify", &[]).await.expect(422).says("used already");

    let fields = filled_in();
    let account = browser.open("/account").await.expect(200);
    let account = browser.submit(&account, "/account/addresses", &pairs(&fields)).await.expect(200);
    account.says("1 Main Street");
    // Checkout knows her and where she lives.
    let checkout = browser.open("/checkout").await.expect(200);
    let known = checkout.form("/checkout").expect("a form");
    assert!(known.contains(&("line1".to_owned(), "1 Main Street".to_owned())), "{known:?}");
    assert!(known.contains(&("email".to_owned(), "ada@example.org".to_owned())), "{known:?}");
    let review = browser.submit(&checkout, "/checkout", &[]).await.expect(200);
    let order = browser.submit(&review, "/checkout", &[("place", "1")]).await.expect(200);
    order.says("Thank you for your order");
    browser.open("/account").await.link(&order.path);

    // An access token that has run out is renewed on the way; what was renewed away is worth nothing.
    browser.forget("__Host-access");
    browser.open("/account").await.expect(200).says("Hello, Ada");
    let account = browser.open("/account").await.expect(200);
    let home = browser.submit(&account, "/account/sign-out", &[]).await.expect(200);
    assert_eq!(
        (home.path.as_str(), browser.cookie("__Host-access"), browser.cookie("__Host-refresh")),
        ("/", None, None)
    );
    browser.open(&order.path).await;
    assert!(browser.open("/account").await.path.starts_with("/account/sign-in"));

    let form = browser.open("/account/sign-in?next=//evil.example/").await.expect(200);
    let wrong = [("email", "ada@example.org"), ("password", "not-her-password")];
    browser.submit(&form, "/account/sign-in", &wrong).await.expect(422).says("do not belong together");
    let right = [("email", "ada@example.org"), ("password", PASSWORD)];
    assert_eq!(browser.submit(&form, "/account/sign-in", &right).await.expect(200).path, "/account");

    let forgot = browser.open("/account/forgot").await.expect(200);
    browser.submit(&forgot, "/account/forgot", &[("email", "ada@example.org")]).await.expect(200);
    let reset = mail_about(&scene.guest, "ada@example.org", "reset your password").await.link("/account/reset");
    let mut phone = Browser::new(&scene.shop);
    let form = phone.open(&reset).await.expect(200);
    phone.submit(&form, "/account/reset", &[("password", "a-new-password-of-hers")]).await.expect(200);
    browser.forget("__Host-access");
    let gone = browser.open("/account").await.expect(200);
    assert!(gone.path.starts_with("/account/sign-in"), "a reset ends all sessions");
}

#[tokio::test]
async fn a_forged_form_changes_nothing() {
    let scene = Scene::new().await;
    let variant = scene.staff.stocked_variant("drum", 5).await;
    let mut browser = Browser::new(&scene.shop);
    let product = browser.open("/p/drum").await.expect(200);
    browser.submit(&product, "/cart/add", &[("quantity", "1")]).await.expect(200);
    let own = product.form("/cart/add").expect("a form");
    let csrf = own.iter().find(|(name, _)| name == "csrf").expect("a token").1.clone();
    let mut fields = vec![("variant_id".to_owned(), variant.clone()), ("quantity".to_owned(), "3".to_owned())];
    let here = scene.shop.url.clone();
    let ours = [("origin", here.as_str())];
    browser.post("/cart/add", &ours, &fields).await.expect(403);
    fields.push(("csrf".to_owned(), "0".repeat(csrf.len())));
    browser.post("/cart/add", &ours, &fields).await.expect(403);
    fields.last_mut().expect("it was pushed").1 = csrf;
    for headers in [
        [("origin", "https://evil.example")],
        [("origin", "null")],
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-site")],
    ] {
        for path in ["/cart/add", "/cart/update", "/checkout", "/account/sign-in", "/account/sign-out"] {
            browser.post(path, &headers, &fields).await.expect(403);
        }
    }
    // Another browser's token is not this one's.
    let mut other = Browser::new(&scene.shop);
    other.open("/").await.expect(200);
    other.post("/cart/add", &ours, &fields).await.expect(403);

    let cart = browser.open("/cart").await.expect(200).form("/cart/update").expect("a form");
    assert!(cart.contains(&(format!("quantity-{variant}"), "1".to_owned())), "{cart:?}");
    // The provider's page asks the same of whoever approves.
    let order = buy(&scene.guest, &variant, 1, "tok_action").await.expect(200);
    let url = order.text_at("/next_action/url");
    let page = browser.open(url.strip_prefix(&here).unwrap_or(&url)).await.expect(200).path;
    let approve = [("decision".to_owned(), "approve".to_owned())];
    assert_eq!(
        browser.post(&page, &[("origin", "https://evil.example")], &approve).await.expect(403).problem(),
        "forbidden"
    );
    browser.open(&page).await.says("Approve this payment?");
    for (path, method) in [("/cart/add", "GET"), ("/", "POST"), ("/p/drum", "DELETE")] {
        let refused = scene.guest.send(method, path, &[], None).await.expect(405);
        assert!(refused.header("allow").is_some(), "{method} {path}");
    }
}

#[tokio::test]
async fn what_people_type_is_shown_as_text() {
    const TITLE: &str = "<script>alert(1)</script>";
    const QUOTED: &str = "\"><img src=x onerror=alert(1)>";
    let scene = Scene::new().await;
    let product = json!({
        "slug": "evil", "title": TITLE, "description": QUOTED, "status": "published",
        "options": [{"name": QUOTED, "values": [TITLE, "plain"]}],
        "media": [{"url": "https://pictures.example/1.png", "alt": QUOTED}],
        "variants": [
            {"sku": "E1", "option_values": [TITLE], "prices": [{"amount": 100, "currency": "USD"}]},
            {"sku": "E2", "option_values": ["plain"], "prices": [{"amount": 100, "currency": "USD"}]},
        ],
    });
    let made = scene.staff.post("/api/v1/admin/products", &product).await.expect(201);
    let variant = made.text_at("/variants/0/id");
    let path = format!("/api/v1/admin/variants/{variant}/stock-adjustments");
    scene.staff.post(&path, &json!({"delta": 5, "reason": "received"})).await.expect(200);
    scene.staff.post("/api/v1/admin/categories", &json!({"slug": "evil", "title": TITLE})).await.expect(201);
    let is_harmless = |page: &Page| {
        page.is_silent_about("<script");
        page.is_silent_about("<img src=x");
    };

    let mut browser = Browser::new(&scene.shop);
    for path in [
        "/",
        "/c/evil",
        "/p/evil",
        "/search?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
        "/search?sort=%22%3E%3Cscript%3E",
    ] {
        is_harmless(&browser.open(path).await);
    }
    let page = browser.open("/p/evil").await.expect(200);
    page.says("alert(1)");
    is_harmless(&browser.submit(&page, "/cart/add", &[("variant_id", &variant), ("quantity", "1")]).await.expect(200));

    let registration = json!({"email": "ada@example.org", "password": PASSWORD, "name": TITLE});
    scene.guest.post("/api/v1/auth/register", &registration).await.expect(201);
    let form = browser.open("/account/sign-in").await.expect(200);
    let fields = [("email", "ada@example.org"), ("password", PASSWORD)];
    let account = browser.submit(&form, "/account/sign-in", &fields).await.expect(200);
    account.says("Hello, ");
    is_harmless(&account);
    let checkout = browser.open("/checkout").await.expect(200);
    let fields = filled_in();
    let mut fields = pairs(&fields);
    fields.retain(|(name, _)| !["name", "line1", "city"].contains(name));
    fields.extend([("name", TITLE), ("line1", QUOTED), ("city", TITLE)]);
    let review = browser.submit(&checkout, "/checkout", &fields).await.expect(200);
    is_harmless(&review);
    let order = browser.submit(&review, "/checkout", &[("place", "1")]).await.expect(200);
    order.says("Thank you for your order");
    is_harmless(&order);

    // Mail as well, and the page that shows it.
    let mail = mail_about(&scene.guest, "ada@example.org", " at souk").await;
    assert!(!mail.html.contains("<script") && !mail.html.contains("<img src=x"), "{}", mail.html);
    let list = scene.guest.get("/dev/mailbox").await.expect(200);
    assert!(!list.text.contains("<script"), "{}", list.text);
    assert!(list.header("content-security-policy").is_some_and(|policy| policy.contains("default-src 'none'")));
}
