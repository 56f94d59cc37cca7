//! Money: declined, asked about, late, lost, held, taken, given back.

use serde_json::{Value, json};
use souk_tests::{
    browser::Browser,
    client::{Answer, Client},
    mail::mail_about,
    wait::{AFTER_A_TIMER, SOON, eventually},
};

use super::{Scene, buy, check_out, order_path, standing};

/// Does something to an order as staff, under a key.
async fn act(staff: &Client, order: &str, act: &str, key: &str, body: &Value) -> Answer {
    staff.post_once(&format!("/api/v1/admin/orders/{order}/{act}"), key, body).await
}

fn dollars(amount: i64) -> Value {
    json!({"amount": amount, "currency": "USD"})
}

/// Waits until an order stands like this.
async fn until(client: &Client, order: &Answer, state: &str) -> Answer {
    let path = order_path(order);
    eventually(AFTER_A_TIMER, &format!("order {} is {state}", order.text_at("/number")), async || {
        let read = client.get(&path).await.expect(200);
        (read.text_at("/state") == state).then_some(read)
    })
    .await
}

#[tokio::test]
async fn a_declined_payment_leaves_nothing_behind() {
    let scene = Scene::new().await;
    let variant = scene.staff.stocked_variant("bowl", 3).await;
    let (cart, mut body) = scene.guest.quoted_cart(&variant, 3).await;
    let path = format!("/api/v1/store/carts/{cart}/checkout");
    for (token, code) in [
        ("tok_declined", "card_declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_expired", "expired_card"),
        ("tok_of_nobody", "invalid_token"),
    ] {
        body["payment"]["token"] = json!(token);
        let refused = scene.guest.post_once(&path, token, &body).await.expect(200);
        assert_eq!(standing(&refused), ("canceled".to_owned(), "unpaid".to_owned()), "{token}");
        assert_eq!(refused.text_at("/cancel_reason"), "payment_declined", "{token}");
        assert_eq!(refused.text_at("/decline/code"), code);
        assert_eq!(scene.stock("bowl").await, (3, 0), "{token}");
        let open = scene.guest.get(&format!("/api/v1/store/carts/{cart}")).await.expect(200);
        assert_eq!(open.text_at("/state"), "open");
        body = scene.guest.checkout_body(&cart).await;
    }
    let order = scene.guest.post_once(&path, "the-card-that-works", &body).await.expect(201);
    assert_eq!(standing(&order), ("confirmed".to_owned(), "paid".to_owned()));
    scene.assert_settled("bowl", 0).await;
}

#[tokio::test]
async fn a_payment_that_asks_for_action_goes_as_the_shopper_decides() {
    let scene = Scene::new().await;
    let variant = scene.staff.stocked_variant("desk", 4).await;
    for (decision, state, status) in [("approve", "confirmed", "paid"), ("decline", "canceled", "unpaid")] {
        let (cart, mut body) = scene.guest.quoted_cart(&variant, 2).await;
        body["payment"]["token"] = json!("tok_action");
        body["return_url"] = json!(format!("{}/orders/{{order}}", scene.shop.url));
        let order = check_out(&scene.guest, &cart, &body).await.expect(200);
        assert_eq!(order.text_at("/state"), "awaiting_action");
        assert_eq!(order.text_at("/next_action/type"), "redirect");
        assert_eq!(scene.stock("desk").await.1, 2, "the goods wait for the shopper");
        let busy = scene.guest.get(&format!("/api/v1/store/carts/{cart}")).await.expect(200);
        assert_eq!(busy.text_at("/state"), "checking_out");

        let mut browser = Browser::new(&scene.shop);
        let url = order.text_at("/next_action/url");
        let page = browser.open(url.strip_prefix(&scene.shop.url).unwrap_or(&url)).await.expect(200);
        page.says("Approve this payment?");
        let form = page.path.clone();
        let answer = browser.post(&form, &[], &[("decision".to_owned(), decision.to_owned())]).await.expect(303);
        let back = format!("{}/orders/{}", scene.shop.url, order.text_at("/id"));
        assert_eq!(answer.header("location"), Some(back.as_str()));
        // Whoever chose once has chosen.
        browser.post(&form, &[], &[("decision".to_owned(), "approve".to_owned())]).await.expect(303);

        // The provider's news or the shopper's return, whichever is first.
        let (id, token) = (order.text_at("/id"), order.text_at("/access_token"));
        let resume = format!("/api/v1/store/orders/{id}/resume?token={token}");
        let resumed = scene.guest.post(&resume, &json!({})).await.expect(200);
        let settled =
            if resumed.text_at("/state") == state { resumed } else { until(&scene.guest, &order, state).await };
        assert_eq!(settled.text_at("/payment_status"), status);
        assert_eq!(settled.json["next_action"], Value::Null);
    }
    scene.assert_settled("desk", 2).await;
}

#[tokio::test]
async fn lost_and_late_answers_settle_by_themselves() {
    let scene = Scene::new().await;
    let variant = scene.staff.stocked_variant("shelf", 9).await;
    let mut orders = Vec::new();
    for (token, state) in [
        ("tok_timeout_after", "confirmed"),
        ("tok_timeout_before", "confirmed"),
        ("tok_delayed", "confirmed"),
        ("tok_delayed_declined", "canceled"),
    ] {
        let order = buy(&scene.guest, &variant, 1, token).await;
        assert!(["pending", "confirmed"].contains(&order.text_at("/state").as_str()), "{token}: {}", order.text);
        orders.push((order.expect(201), state));
    }
    for (order, state) in &orders {
        let settled = until(&scene.guest, order, state).await;
        let status = if *state == "confirmed" { "paid" } else { "unpaid" };
        assert_eq!(settled.text_at("/payment_status"), status);
    }
    scene.assert_settled("shelf", 6).await;
}

#[tokio::test]
async fn held_money_is_taken_in_parts_and_goods_leave_paid() {
    let scene = Scene::with(&[("CAPTURE", "manual")]).await;
    let variant = scene.staff.stocked_variant("sofa", 3).await;
    let order = buy(&scene.guest, &variant, 2, "tok_success").await.expect(201);
    assert_eq!(standing(&order), ("confirmed".to_owned(), "authorized".to_owned()));
    let (id, staff) = (order.text_at("/id"), &scene.staff);

    let keyless = staff.post(&format!("/api/v1/admin/orders/{id}/capture"), &json!({})).await.expect(400);
    assert_eq!(keyless.problem(), "idempotency_key_required");
    let part = json!({"amount": dollars(1000)});
    let first = act(staff, &id, "capture", "capture-1", &part).await.expect(200);
    assert_eq!(
        (first.integer_at("/captured/amount"), first.text_at("/payment_status")),
        (1000, "partially_paid".to_owned())
    );
    let again = act(staff, &id, "capture", "capture-1", &part).await.expect(200);
    assert_eq!(again.text, first.text, "a repeat takes nothing");
    let other = act(staff, &id, "capture", "capture-1", &json!({"amount": dollars(1001)})).await.expect(422);
    assert_eq!(other.problem(), "idempotency_key_reused");
    let much = act(staff, &id, "capture", "capture-2", &json!({"amount": dollars(3499)})).await.expect(422);
    assert_eq!((much.problem(), much.integer_at("/left")), ("exceeds".to_owned(), 3498));
    let foreign = json!({"amount": {"amount": 1, "currency": "EUR"}});
    assert_eq!(act(staff, &id, "capture", "capture-3", &foreign).await.expect(422).problem(), "invalid");

    // One is shipped before the rest is taken: what is held is taken first.
    let one = json!({"lines": [{"variant_id": variant, "quantity": 1}], "carrier": "Post", "tracking_number": "T-1"});
    let shipped = act(staff, &id, "ship", "ship-1", &one).await.expect(200);
    assert_eq!(shipped.text_at("/fulfillment_status"), "partially_fulfilled");
    assert_eq!(standing(&shipped), ("confirmed".to_owned(), "paid".to_owned()));
    assert_eq!(shipped.integer_at("/captured/amount"), 2 * 1999 + 500);
    let again = act(staff, &id, "ship", "ship-1", &one).await.expect(200);
    assert_eq!(again.json["shipments"].as_array().map(Vec::len), Some(1));
    let two = json!({"lines": [{"variant_id": variant, "quantity": 2}]});
    assert_eq!(act(staff, &id, "ship", "ship-2", &two).await.expect(422).problem(), "exceeds");
    let late = act(staff, &id, "cancel", "cancel-1", &json!({"reason": "too late"})).await.expect(409);
    assert_eq!(late.problem(), "wrong_state");
    let rest = act(staff, &id, "ship", "ship-3", &json!({})).await.expect(200);
    assert_eq!(
        (rest.text_at("/state"), rest.text_at("/fulfillment_status")),
        ("completed".to_owned(), "fulfilled".to_owned())
    );
    let mail = mail_about(&scene.guest, "shopper@example.org", "on its way").await;
    assert!(mail.text.contains("1 x Product sofa"), "{}", mail.text);
    scene.assert_settled("sofa", 1).await;
}

#[tokio::test]
async fn money_goes_back_in_parts_and_never_more_than_was_taken() {
    let scene = Scene::new().await;
    let variant = scene.staff.stocked_variant("rug", 5).await;
    let order = buy(&scene.guest, &variant, 3, "tok_success").await.expect(201);
    let (id, staff, total) = (order.text_at("/id"), &scene.staff, 3 * 1999 + 500);

    let worn = json!({"amount": dollars(1999), "reason": "worn", "restock": [{"variant_id": variant, "quantity": 1}]});
    let first = act(staff, &id, "refund", "refund-1", &worn).await.expect(200);
    assert_eq!(
        (first.integer_at("/refunded/amount"), first.text_at("/payment_status")),
        (1999, "partially_refunded".to_owned())
    );
    assert_eq!(act(staff, &id, "refund", "refund-1", &worn).await.expect(200).text, first.text);
    assert_eq!(scene.stock("rug").await, (3, 0));

    let units = json!({"amount": dollars(1), "restock": [{"variant_id": variant, "quantity": 3}]});
    assert_eq!(act(staff, &id, "refund", "refund-2", &units).await.expect(422).problem(), "exceeds");
    let more = act(staff, &id, "refund", "refund-3", &json!({"amount": dollars(total)})).await.expect(422);
    assert_eq!((more.problem(), more.integer_at("/left")), ("exceeds".to_owned(), total - 1999));
    for amount in [0, -1, i64::MAX] {
        let wrong = act(staff, &id, "refund", &format!("refund-{amount}"), &json!({"amount": dollars(amount)})).await;
        assert!(["invalid", "exceeds"].contains(&wrong.expect(422).problem().as_str()), "{amount}");
    }
    let rest = act(staff, &id, "refund", "refund-4", &json!({"amount": dollars(total - 1999)})).await.expect(200);
    assert_eq!((rest.integer_at("/refunded/amount"), rest.text_at("/payment_status")), (total, "refunded".to_owned()));
    let nothing = act(staff, &id, "refund", "refund-5", &json!({"amount": dollars(1)})).await.expect(422);
    assert_eq!((nothing.problem(), nothing.integer_at("/left")), ("exceeds".to_owned(), 0));
    let mail = mail_about(&scene.guest, "shopper@example.org", "refund").await;
    assert!(mail.text.contains("USD"), "{}", mail.text);

    // Two at once cannot give the same money back twice.
    let order = buy(&scene.guest, &variant, 1, "tok_success").await.expect(201);
    let id = order.text_at("/id");
    let refunds = (0..4).map(|number| {
        let (staff, id) = (staff.clone(), id.clone());
        tokio::spawn(async move {
            act(&staff, &id, "refund", &format!("parallel-{number}"), &json!({"amount": dollars(2000)})).await
        })
    });
    let mut given = 0;
    for refund in refunds.collect::<Vec<_>>() {
        let answer = refund.await.expect("a task of ours ends");
        given += i64::from(answer.status == 200) * 2000;
        assert!(matches!(answer.status, 200 | 409 | 422 | 503), "{}", answer.text);
    }
    let after = eventually(SOON, "the refunds are over", async || {
        let read = staff.get(&format!("/api/v1/admin/orders/{id}")).await.expect(200);
        (read.integer_at("/refunded/amount") >= given).then_some(read)
    });
    let back = after.await.integer_at("/refunded/amount");
    assert!(back <= 2499 && back == given, "{back} of 2499 went back, {given} was acknowledged");
    scene.assert_settled("rug", 2).await;
}

#[tokio::test]
async fn a_canceled_order_gives_stock_and_money_back() {
    for (capture, status) in [("automatic", "refunded"), ("manual", "voided")] {
        let scene = Scene::with(&[("CAPTURE", capture)]).await;
        let variant = scene.staff.stocked_variant("bench", 2).await;
        let order = buy(&scene.guest, &variant, 2, "tok_success").await.expect(201);
        let (id, token) = (order.text_at("/id"), order.text_at("/access_token"));
        let own = format!("/api/v1/store/orders/{id}/cancel?token={token}");
        let refused = scene.guest.post(&own, &json!({"reason": "changed my mind"})).await.expect(409);
        assert_eq!(refused.problem(), "wrong_state", "what is agreed is canceled by staff");
        let reason = json!({"reason": "The kiln broke"});
        let canceled = act(&scene.staff, &id, "cancel", "cancel-1", &reason).await.expect(200);
        assert_eq!(canceled.text_at("/state"), "canceled");
        assert_eq!(act(&scene.staff, &id, "cancel", "cancel-1", &reason).await.expect(200).text, canceled.text);
        let settled = eventually(SOON, "the money is back", async || {
            let read = scene.guest.get(&order_path(&order)).await.expect(200);
            (read.text_at("/payment_status") == status).then_some(read)
        });
        assert_eq!(settled.await.text_at("/cancel_reason"), "The kiln broke");
        mail_about(&scene.guest, "shopper@example.org", "canceled").await;
        scene.assert_settled("bench", 2).await;
    }
}

#[tokio::test]
async fn a_shopper_may_cancel_what_is_not_agreed_yet() {
    let scene = Scene::new().await;
    let variant = scene.staff.stocked_variant("mirror", 1).await;
    let order = buy(&scene.guest, &variant, 1, "tok_action").await.expect(200);
    assert_eq!(order.text_at("/state"), "awaiting_action");
    let (id, token) = (order.text_at("/id"), order.text_at("/access_token"));
    let path = format!("/api/v1/store/orders/{id}/cancel");
    assert_eq!(scene.guest.post(&path, &json!({})).await.expect(404).problem(), "not_found");
    let canceled = scene.guest.post(&format!("{path}?token={token}"), &json!({"reason": "no"})).await.expect(200);
    assert_eq!(canceled.text_at("/state"), "canceled");
    let cart = scene.guest.get(&format!("/api/v1/store/carts/{}", order.text_at("/cart_id"))).await.expect(200);
    assert_eq!(cart.text_at("/state"), "open");
    scene.assert_settled("mirror", 1).await;
}
