//! Staff: products, stock, messages, accounts.

use serde_json::{Value, json};
use souk_tests::{
    mail::{mail_about, mail_to},
    wait::{SOON, eventually},
};

use super::{PASSWORD, Scene, buy, order_path, shopper};

const PRODUCTS: &str = "/api/v1/admin/products";

fn product(slug: &str, title: &str, skus: &[&str]) -> Value {
    let variants: Vec<Value> = skus
        .iter()
        .map(|sku| json!({"sku": sku, "option_values": [sku], "prices": [{"amount": 500, "currency": "USD"}]}))
        .collect();
    json!({
        "slug": slug, "title": title, "status": "published",
        "options": [{"name": "Size", "values": ["S", "M", "L"]}], "variants": variants,
    })
}

#[tokio::test]
async fn a_product_is_written_by_whoever_read_its_last_version() {
    let scene = Scene::new().await;
    let staff = &scene.staff;
    let made = staff.post_once(PRODUCTS, "the-shirt", &product("shirt", "Shirt", &["S", "M"])).await.expect(201);
    let again = staff.post_once(PRODUCTS, "the-shirt", &product("shirt", "Shirt", &["S", "M"])).await.expect(201);
    assert_eq!(again.text_at("/id"), made.text_at("/id"));
    let path = format!("{PRODUCTS}/{}", made.text_at("/id"));
    assert_eq!(made.header("location"), Some(path.as_str()));
    let taken = staff.post(PRODUCTS, &product("shirt", "Another", &["L"])).await.expect(422);
    assert_eq!((taken.problem(), taken.text_at("/errors/0/code")), ("invalid".to_owned(), "taken".to_owned()));

    let mut change = product("shirt", "Better shirt", &["S", "L"]);
    change["variants"][0]["id"] = made.json["variants"][0]["id"].clone();
    let tag = made.header("etag").expect("a tag").to_owned();
    assert_eq!(staff.json("PUT", &path, &[], &change).await.expect(428).problem(), "precondition_required");
    for stale in ["\"99\"", "W/\"1\"", "nonsense"] {
        let refused = staff.json("PUT", &path, &[("if-match", stale)], &change).await.expect(412);
        assert_eq!(refused.problem(), "precondition_failed", "{stale}");
    }
    let changed = staff.json("PUT", &path, &[("if-match", &tag)], &change).await.expect(200);
    assert_eq!(changed.text_at("/variants/0/id"), made.text_at("/variants/0/id"));
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
    change["title"] = json!("Worse shirt");
    let late = staff.json("PUT", &path, &[("if-match", &tag)], &change).await.expect(412);
    assert_eq!(late.problem(), "precondition_failed");
    let shown = scene.guest.get("/api/v1/store/products/shirt").await.expect(200);
    assert_eq!(shown.text_at("/title"), "Better shirt");
    assert_eq!(shown.text_at("/variants/1/sku"), "L");

    // Archived is hidden, and can come back.
    for (status, seen) in [("archived", 404), ("draft", 404), ("published", 200)] {
        change["status"] = json!(status);
        staff.json("PUT", &path, &[("if-match", "*")], &change).await.expect(200);
        assert_eq!(scene.guest.get("/api/v1/store/products/shirt").await.status, seen, "{status}");
        staff.get(&path).await.expect(200);
    }
    scene.shop.assert_audit();
}

#[tokio::test]
async fn a_deleted_product_stays_in_its_orders() {
    let scene = Scene::new().await;
    let variant = scene.staff.stocked_variant("globe", 3).await;
    let order = buy(&scene.guest, &variant, 1, "tok_success").await.expect(201);
    let (cart, _) = scene.guest.quoted_cart(&variant, 1).await;
    let id = scene.staff.get(&format!("{PRODUCTS}/globe")).await.expect(200).text_at("/id");
    let path = format!("{PRODUCTS}/{id}");
    assert_eq!(scene.staff.send("DELETE", &path, &[], None).await.expect(428).problem(), "precondition_required");
    scene.staff.send("DELETE", &path, &[("if-match", "*")], None).await.expect(204);
    scene.staff.send("DELETE", &path, &[("if-match", "*")], None).await.expect(204);
    assert_eq!(scene.guest.get("/api/v1/store/products/globe").await.expect(404).problem(), "not_found");

    let kept = scene.guest.get(&order_path(&order)).await.expect(200);
    assert_eq!(kept.text_at("/lines/0/title"), "Product globe");
    assert_eq!(kept.text_at("/lines/0/sku"), "SKU-globe");
    let refund = json!({"amount": {"amount": 100, "currency": "USD"}});
    let path = format!("/api/v1/admin/orders/{}/refund", order.text_at("/id"));
    scene.staff.post_once(&path, "after-the-end", &refund).await.expect(200);
    let orphaned = scene.guest.get(&format!("/api/v1/store/carts/{cart}")).await.expect(200);
    assert_eq!(orphaned.json.pointer("/lines/0/warnings"), Some(&json!(["unavailable"])));
    assert_eq!(orphaned.integer_at("/subtotal/amount"), 0);
    // Its name is free again.
    scene.staff.stocked_variant("globe", 1).await;
    scene.shop.assert_audit();
}

#[tokio::test]
async fn stock_moves_once_for_a_command_and_every_move_is_on_record() {
    let scene = Scene::new().await;
    let variant = scene.staff.stocked_variant("nail", 10).await;
    let path = format!("/api/v1/admin/variants/{variant}/stock-adjustments");
    let fewer = json!({"delta": -3, "reason": "damaged"});
    for _ in 0..2 {
        let adjusted = scene.staff.post_once(&path, "three-were-bent", &fewer).await.expect(200);
        assert_eq!(adjusted.integer_at("/on_hand"), 7);
    }
    let named = json!({"id": format!("mov_{}", "7".repeat(32)), "delta": 5, "reason": "received"});
    for _ in 0..2 {
        assert_eq!(scene.staff.post(&path, &named).await.expect(200).integer_at("/on_hand"), 12);
    }
    let reused = scene.staff.post_once(&path, "three-were-bent", &json!({"delta": -4, "reason": "damaged"})).await;
    assert_eq!(reused.expect(422).problem(), "idempotency_key_reused");
    for delta in [-13, i64::MIN, i64::MAX] {
        let refused = scene.staff.post(&path, &json!({"delta": delta, "reason": "counted"})).await;
        assert!((400..500).contains(&refused.status), "{delta}: {}", refused.text);
        refused.problem();
    }
    buy(&scene.guest, &variant, 2, "tok_success").await.expect(201);
    let moves = scene.staff.get(&format!("/api/v1/admin/variants/{variant}/stock-movements")).await.expect(200);
    let moves = moves.json["data"].as_array().expect("a list");
    let (on_hand, reserved) = moves.iter().fold((0, 0), |(on_hand, reserved), one| {
        let delta = |name: &str| one[name].as_i64().expect("a move has deltas");
        (on_hand + delta("on_hand_delta"), reserved + delta("reserved_delta"))
    });
    assert_eq!((on_hand, reserved), (10, 0), "{moves:?}");
    assert!(moves.iter().any(|one| one["reason"] == "damaged"), "{moves:?}");
    assert!(moves.iter().any(|one| one["order_id"].is_string()), "{moves:?}");
    scene.assert_settled("nail", 10).await;
}

#[tokio::test]
async fn messages_are_listed_and_sent_again() {
    let scene = Scene::new().await;
    shopper(&scene.guest, "ada@example.org").await;
    mail_about(&scene.guest, "ada@example.org", "welcome").await;
    let path = "/api/v1/admin/notifications?recipient=ada@example.org";
    let listed = eventually(SOON, "the message is sent", async || {
        let listed = scene.staff.get(path).await.expect(200);
        (listed.text_at("/data/0/state") == "sent").then_some(listed)
    })
    .await;
    assert_eq!(listed.text_at("/data/0/template"), "welcome");
    let id = listed.text_at("/data/0/id");
    let resend = format!("/api/v1/admin/notifications/{id}/resend");
    for _ in 0..2 {
        scene.staff.post_once(&resend, "she-lost-it", &json!({})).await.expect(202);
    }
    eventually(SOON, "the mail comes once more", async || {
        (mail_to(&scene.guest, "ada@example.org").await.len() == 2).then_some(())
    })
    .await;
    let unknown = format!("/api/v1/admin/notifications/ntf_{}/resend", "0".repeat(32));
    assert_eq!(scene.staff.post(&unknown, &json!({})).await.expect(404).problem(), "not_found");
}

#[tokio::test]
async fn staff_decide_who_is_staff_and_who_may_come_in() {
    let scene = Scene::new().await;
    let (ada, session) = shopper(&scene.guest, "ada@example.org").await;
    let id = session.text_at("/user/id");
    let path = format!("/api/v1/admin/customers/{id}");
    assert_eq!(ada.json("PATCH", &path, &[], &json!({"role": "staff"})).await.expect(403).problem(), "forbidden");
    let found = scene.staff.get("/api/v1/admin/customers?q=ada@").await.expect(200);
    assert_eq!(found.text_at("/data/0/id"), id);

    let promoted = scene.staff.json("PATCH", &path, &[], &json!({"role": "staff"})).await.expect(200);
    assert_eq!(promoted.text_at("/role"), "staff");
    let credentials = json!({"email": "ada@example.org", "password": PASSWORD});
    let session = scene.guest.post("/api/v1/auth/sign-in", &credentials).await.expect(200);
    let ada = scene.guest.with_token(&session.text_at("/access_token"));
    ada.get("/api/v1/admin/orders").await.expect(200);

    scene.staff.json("PATCH", &path, &[], &json!({"disabled": true})).await.expect(200);
    assert_eq!(scene.guest.post("/api/v1/auth/sign-in", &credentials).await.expect(401).problem(), "wrong_credentials");
    let refresh = json!({"refresh_token": session.text_at("/refresh_token")});
    assert_eq!(scene.guest.post("/api/v1/auth/refresh", &refresh).await.expect(401).problem(), "invalid_token");
    scene.staff.json("PATCH", &path, &[], &json!({"disabled": false, "role": "shopper"})).await.expect(200);
    scene.guest.post("/api/v1/auth/sign-in", &credentials).await.expect(200);

    // The door for the first member of staff is shut behind her.
    let setup = json!({
        "setup_token": scene.shop.secret("setup_token"), "email": "eve@example.org", "password": PASSWORD, "name": "Eve",
    });
    let late = scene.guest.post("/api/v1/admin/setup", &setup).await;
    assert!((400..500).contains(&late.status), "{}", late.text);
    late.problem();
}
