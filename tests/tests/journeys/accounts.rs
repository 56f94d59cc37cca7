//! Accounts: registering, keys to them, what they hold, and who else may not see it.

use serde_json::{Value, json};
use souk_tests::{
    client::{Client, address},
    mail::{mail_about, mail_to},
    shop::{Limits, Shop},
};

use super::{PASSWORD, Scene, buy, check_out, shopper};

/// What a client without a session gets.
async fn is_signed_out(client: &Client, refresh_token: &str) {
    let refused = client.post("/api/v1/auth/refresh", &json!({"refresh_token": refresh_token})).await;
    assert_eq!(refused.expect(401).problem(), "invalid_token");
}

#[tokio::test]
async fn a_shopper_registers_verifies_and_keeps_an_address_book() {
    let scene = Scene::new().await;
    let (ada, session) = shopper(&scene.guest, "Ada@Example.org").await;
    assert_eq!(session.text_at("/user/role"), "shopper");
    let taken = json!({"email": "ada@example.ORG", "password": PASSWORD, "name": "Eve"});
    assert_eq!(scene.guest.post("/api/v1/auth/register", &taken).await.expect(409).problem(), "email_taken");

    let me = ada.get("/api/v1/auth/me").await.expect(200);
    assert_eq!(me.json["email_verified"], json!(false));
    let mail = mail_about(&scene.guest, "Ada@Example.org", "welcome").await;
    let token = mail.token("/account/verify");
    let verify = |token: String| {
        let guest = &scene.guest;
        async move { guest.post("/api/v1/auth/email/verify", &json!({"token": token})).await }
    };
    assert_eq!(verify("x".repeat(token.len())).await.expect(401).problem(), "invalid_token");
    assert_eq!(verify(token.clone()).await.expect(200).json["email_verified"], json!(true));
    assert_eq!(verify(token).await.expect(401).problem(), "invalid_token", "it works once");

    // The profile changes for whoever read its last version.
    let tag = me.header("etag").expect("a tag").to_owned();
    let name = json!({"name": "Ada L."});
    let stale = ada.json("PATCH", "/api/v1/auth/me", &[("if-match", &tag)], &name).await.expect(412);
    assert_eq!(stale.problem(), "precondition_failed");
    let fresh = ada.get("/api/v1/auth/me").await.expect(200);
    let tag = fresh.header("etag").expect("a tag").to_owned();
    let renamed = ada.json("PATCH", "/api/v1/auth/me", &[("if-match", &tag)], &name).await.expect(200);
    assert_eq!(renamed.text_at("/name"), "Ada L.");

    let book = "/api/v1/auth/addresses";
    let entry = |line1: &str, default: bool| {
        let mut address = address();
        address["line1"] = json!(line1);
        json!({"address": address, "default_shipping": default, "default_billing": default})
    };
    let home = ada.post(book, &entry("1 Home", true)).await.expect(201);
    let work = ada.post_once(book, "work-address", &entry("2 Work", true)).await.expect(201);
    let again = ada.post_once(book, "work-address", &entry("2 Work", true)).await.expect(201);
    assert_eq!(again.text_at("/id"), work.text_at("/id"));
    let listed = ada.get(book).await.expect(200);
    let defaults: Vec<&Value> =
        listed.json["data"].as_array().expect("a list").iter().map(|entry| &entry["default_shipping"]).collect();
    assert_eq!(defaults, [&json!(false), &json!(true)], "there is one default: the last that was made one");
    let home = format!("{book}/{}", home.text_at("/id"));
    let moved = ada.json("PUT", &home, &[], &entry("3 New home", true)).await.expect(200);
    assert_eq!(
        (moved.text_at("/address/line1"), &moved.json["default_billing"]),
        ("3 New home".to_owned(), &json!(true))
    );
    ada.send("DELETE", &home, &[], None).await.expect(204);
    ada.send("DELETE", &home, &[], None).await.expect(204);
    assert_eq!(ada.get(&home).await.expect(404).problem(), "not_found");
}

#[tokio::test]
async fn a_guests_cart_becomes_the_shoppers_and_her_orders_are_listed() {
    let scene = Scene::new().await;
    let (first, second) = (scene.staff.stocked_variant("pen", 20).await, scene.staff.stocked_variant("ink", 20).await);
    let (ada, _) = shopper(&scene.guest, "ada@example.org").await;
    let fill = |client: Client, lines: Value| async move {
        let cart = client.post("/api/v1/store/carts", &json!({})).await.expect(201).text_at("/id");
        client.json("PATCH", &format!("/api/v1/store/carts/{cart}/lines"), &[], &lines).await.expect(200);
        cart
    };
    let claim = |cart: &str| format!("/api/v1/store/carts/{cart}/claim");
    let older = fill(scene.guest.clone(), json!([{"variant_id": first, "quantity": 3}])).await;
    let hers = ada.post(&claim(&older), &json!({})).await.expect(200);
    let newer =
        fill(scene.guest.clone(), json!([{"variant_id": first, "quantity": 2}, {"variant_id": second, "quantity": 1}]))
            .await;
    assert_eq!(scene.guest.post(&claim(&newer), &json!({})).await.expect(401).problem(), "authentication_required");
    let merged = ada.post(&claim(&newer), &json!({})).await.expect(200);
    assert_eq!(merged.text_at("/id"), hers.text_at("/id"));
    assert_eq!(merged.integer_at("/subtotal/amount"), 4 * 1999, "the larger quantity of each stays");
    let gone = scene.guest.get(&format!("/api/v1/store/carts/{newer}")).await;
    assert!(gone.status == 404 || gone.text_at("/state") == "merged", "{}", gone.text);
    assert_eq!(
        ada.post(&claim(&newer), &json!({})).await.text_at("/id"),
        merged.text_at("/id"),
        "a repeat is harmless"
    );
    assert_eq!(ada.get("/api/v1/store/me/cart").await.expect(200).text_at("/id"), merged.text_at("/id"));

    let cart = merged.text_at("/id");
    let body = ada.checkout_body(&cart).await;
    let order = check_out(&ada, &cart, &body).await.expect(201);
    assert_eq!(order.text_at("/user_id"), ada.get("/api/v1/auth/me").await.text_at("/id"));
    buy(&ada, &first, 1, "tok_success").await.expect(201);
    let history = ada.get("/api/v1/store/orders?limit=1").await.expect(200);
    let next = format!("/api/v1/store/orders?limit=1&cursor={}", history.text_at("/next_cursor"));
    let older = ada.get(&next).await.expect(200);
    assert_eq!(older.text_at("/data/0/number"), order.text_at("/number"));
    assert_eq!(older.json["has_more"], json!(false));
    ada.get(&format!("/api/v1/store/orders/{}", order.text_at("/id"))).await.expect(200);
    assert_eq!(ada.get("/api/v1/store/me/cart").await.status, 404, "the next cart begins empty");
    scene.shop.assert_audit();
}

#[tokio::test]
async fn nobody_sees_or_touches_what_is_anothers() {
    let scene = Scene::new().await;
    let variant = scene.staff.stocked_variant("diary", 9).await;
    let (ada, _) = shopper(&scene.guest, "ada@example.org").await;
    let (eve, _) = shopper(&scene.guest, "eve@example.org").await;
    let order = buy(&ada, &variant, 1, "tok_success").await.expect(201).text_at("/id");
    let (cart, body) = ada.quoted_cart(&variant, 1).await;
    ada.post(&format!("/api/v1/store/carts/{cart}/claim"), &json!({})).await.expect(200);
    let entry = json!({"address": address()});
    let home = ada.post("/api/v1/auth/addresses", &entry).await.expect(201).text_at("/id");
    let session = ada.get("/api/v1/auth/sessions").await.expect(200).text_at("/data/0/id");
    let line = json!({"quantity": 5});
    for (method, path, body) in [
        ("GET", format!("/api/v1/store/orders/{order}"), None),
        ("GET", format!("/api/v1/store/orders/{order}/timeline"), None),
        ("POST", format!("/api/v1/store/orders/{order}/cancel"), None),
        ("POST", format!("/api/v1/store/orders/{order}/resume"), None),
        ("GET", format!("/api/v1/store/carts/{cart}"), None),
        ("POST", format!("/api/v1/store/carts/{cart}/claim"), None),
        ("PUT", format!("/api/v1/store/carts/{cart}/lines/{variant}"), Some(&line)),
        ("POST", format!("/api/v1/store/carts/{cart}/checkout"), Some(&body)),
        ("GET", format!("/api/v1/auth/addresses/{home}"), None),
    ] {
        for stranger in [&eve, &scene.guest] {
            let key = format!("{method}{path}");
            let key = [("idempotency-key", key.as_str())];
            let answer = match body {
                Some(body) => stranger.json(method, &path, &key, body).await,
                None => stranger.send(method, &path, &key, None).await,
            };
            let code = answer.problem();
            let expected = ["not_found", "authentication_required"].contains(&code.as_str());
            assert!(expected, "{method} {path}: {} {code}", answer.status);
        }
    }
    // Ids of addresses are each shopper's own: what she writes under this one is hers.
    let mut moved = entry.clone();
    moved["address"]["line1"] = json!("13 Nowhere");
    eve.json("PUT", &format!("/api/v1/auth/addresses/{home}"), &[], &moved).await;
    for path in [format!("/api/v1/auth/addresses/{home}"), format!("/api/v1/auth/sessions/{session}")] {
        let answer = eve.send("DELETE", &path, &[], None).await;
        assert!(matches!(answer.status, 204 | 404), "{}", answer.text);
    }
    for path in ["/api/v1/admin/orders", "/api/v1/admin/customers", "/api/v1/admin/notifications"] {
        assert_eq!(eve.get(path).await.expect(403).problem(), "forbidden");
        assert_eq!(scene.guest.get(path).await.expect(401).problem(), "authentication_required");
    }
    let cart = ada.get(&format!("/api/v1/store/carts/{cart}")).await.expect(200);
    assert_eq!((cart.text_at("/state"), cart.integer_at("/lines/0/quantity")), ("open".to_owned(), 1));
    let book = ada.get("/api/v1/auth/addresses").await.expect(200);
    assert_eq!((book.text_at("/data/0/id"), book.text_at("/data/0/address/line1")), (home, "1 Main Street".to_owned()));
    ada.get("/api/v1/auth/me").await.expect(200);
    assert_eq!(ada.get("/api/v1/auth/sessions").await.expect(200).text_at("/data/0/id"), session);
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_once_and_ends_all_sessions() {
    let scene = Scene::new().await;
    let guest = &scene.guest;
    let (_, session) = shopper(guest, "ada@example.org").await;
    for email in ["ada@example.org", "nobody@example.org"] {
        let answer = guest.post("/api/v1/auth/password/forgot", &json!({"email": email})).await.expect(202);
        assert_eq!(answer.text, "", "{email}: the answer tells nothing");
    }
    let token = mail_about(guest, "ada@example.org", "reset your password").await.token("/account/reset");
    assert!(mail_to(guest, "nobody@example.org").await.is_empty());
    let reset = |password: &'static str| {
        let body = json!({"token": token, "new_password": password});
        async move { guest.post("/api/v1/auth/password/reset", &body).await }
    };
    assert_eq!(reset("short").await.expect(422).problem(), "invalid");
    reset("a-new-password-of-hers").await.expect(204);
    assert_eq!(reset("another-new-password").await.expect(401).problem(), "invalid_token");
    is_signed_out(guest, &session.text_at("/refresh_token")).await;
    let sign_in = |password: &'static str| {
        let body = json!({"email": "ada@example.org", "password": password});
        async move { guest.post("/api/v1/auth/sign-in", &body).await }
    };
    assert_eq!(sign_in(PASSWORD).await.expect(401).problem(), "wrong_credentials");
    sign_in("a-new-password-of-hers").await.expect(200);
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions_only() {
    let scene = Scene::new().await;
    let (ada, phone) = shopper(&scene.guest, "ada@example.org").await;
    let credentials = json!({"email": "ada@example.org", "password": PASSWORD});
    let laptop = scene.guest.post("/api/v1/auth/sign-in", &credentials).await.expect(200);
    let change = |current: &str| json!({"current_password": current, "new_password": "a-new-password-of-hers"});
    let path = "/api/v1/auth/password/change";
    assert_eq!(ada.post(path, &change("not-her-password")).await.expect(401).problem(), "wrong_credentials");
    assert_eq!(scene.guest.post(path, &change(PASSWORD)).await.expect(401).problem(), "authentication_required");
    ada.post(path, &change(PASSWORD)).await.expect(204);
    is_signed_out(&scene.guest, &laptop.text_at("/refresh_token")).await;
    let renewed =
        scene.guest.post("/api/v1/auth/refresh", &json!({"refresh_token": phone.text_at("/refresh_token")})).await;
    assert_eq!(renewed.expect(200).text_at("/id"), phone.text_at("/id"));
    assert_eq!(scene.guest.post("/api/v1/auth/sign-in", &credentials).await.expect(401).problem(), "wrong_credentials");
}

#[tokio::test]
async fn a_refresh_token_that_is_used_twice_ends_its_session() {
    let scene = Scene::new().await;
    let (_, stolen) = shopper(&scene.guest, "ada@example.org").await;
    let credentials = json!({"email": "ada@example.org", "password": PASSWORD});
    let other = scene.guest.post("/api/v1/auth/sign-in", &credentials).await.expect(200);
    let refresh = |token: String| {
        let guest = &scene.guest;
        async move { guest.post("/api/v1/auth/refresh", &json!({"refresh_token": token})).await }
    };
    let second = refresh(stolen.text_at("/refresh_token")).await.expect(200);
    let third = refresh(second.text_at("/refresh_token")).await.expect(200);
    assert_eq!(third.text_at("/id"), stolen.text_at("/id"));
    is_signed_out(&scene.guest, &stolen.text_at("/refresh_token")).await;
    is_signed_out(&scene.guest, &third.text_at("/refresh_token")).await;
    let other = refresh(other.text_at("/refresh_token")).await.expect(200);

    // Signing out ends a session, and is harmless with any token.
    for token in [other.text_at("/refresh_token"), other.text_at("/refresh_token"), "nonsense".to_owned()] {
        scene.guest.post("/api/v1/auth/sign-out", &json!({"refresh_token": token})).await.expect(204);
    }
    is_signed_out(&scene.guest, &other.text_at("/refresh_token")).await;
}

#[tokio::test]
async fn whoever_guesses_passwords_has_to_wait() {
    /// More tries than any shop should allow in a moment.
    const TRIES_MAX: usize = 60;
    let shop = Shop::start_with(Limits::Kept, &[]);
    let guest = Client::guest(&shop);
    let mut refused = None;
    for number in 0..TRIES_MAX {
        let body = json!({"email": "ada@example.org", "password": format!("guess-number-{number}")});
        let answer = guest.post("/api/v1/auth/sign-in", &body).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        assert_eq!(answer.expect(401).problem(), "wrong_credentials");
    }
    let refused = refused.expect("guessing comes to an end");
    assert_eq!(refused.problem(), "throttled");
    let wait: u64 = refused.header("retry-after").and_then(|wait| wait.parse().ok()).expect("it says how long");
    assert!(wait > 0);
}
