//! The shop with its connector to Stripe, as `souk up` runs it, beside the simulator of Stripe.

use serde_json::json;
use souk_providers::faults::Fault;
use souk_tests::{
    client::Client,
    stripe::Scene,
    wait::{SOON, eventually},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_paid_and_given_back_at_stripe() {
    let scene = Scene::new("automatic").await;
    let variant = scene.staff.stocked_variant("vase", 5).await;
    let order = scene.buy(&variant, "pm_card_visa").await.expect(201);
    assert_eq!(
        (order.text_at("/state"), order.text_at("/payment_status")),
        ("confirmed".to_owned(), "paid".to_owned())
    );
    let (id, total) = (order.text_at("/id"), order.integer_at("/captured/amount"));
    let [intent] = &scene.at_stripe("payment_intents", &id)[..] else { panic!("one payment intent") };
    assert_eq!((intent["amount_received"].as_i64(), &intent["status"]), (Some(total), &json!("succeeded")));
    let back = scene.act(&id, "refund", 500).await.expect(200);
    assert_eq!(back.integer_at("/refunded/amount"), 500);
    assert_eq!(scene.act(&id, "refund", total).await.expect(422).problem(), "exceeds");
    let refunds = scene.at_stripe("refunds", &id);
    assert_eq!(refunds.iter().map(|refund| refund["amount"].as_i64()).collect::<Vec<_>>(), [Some(500)]);
    let refused = scene.buy(&variant, "pm_card_visa_chargeDeclinedInsufficientFunds").await;
    assert_eq!(refused.text_at("/decline/code"), "insufficient_funds", "{}", refused.text);
    scene.shop.assert_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shopper_approves_at_the_page_and_a_webhook_tells_the_shop() {
    let scene = Scene::new("automatic").await;
    let variant = scene.staff.stocked_variant("lamp", 5).await;
    let order = scene.buy(&variant, "pm_card_authenticationRequired").await.expect(200);
    assert_eq!(order.text_at("/state"), "awaiting_action");
    let (id, page) = (order.text_at("/id"), order.text_at("/next_action/url"));
    assert!(page.starts_with(&format!("{}/3d_secure/pi_", scene.stripe.url)), "{page}");
    let bank = Client::at(&scene.stripe.url);
    let path = page.strip_prefix(&scene.stripe.url).expect("it was just checked");
    assert!(bank.get(path).await.expect(200).text.contains("Approve"));
    let form = Some(b"shopper=approves".to_vec());
    bank.send("POST", path, &[("content-type", "application/x-www-form-urlencoded")], form).await.expect(303);
    let sent = scene.stripe.deliver().await;
    assert!(sent.iter().all(|outcome| outcome.status == Some(200)), "{sent:?}");
    assert!(sent.iter().any(|outcome| outcome.kind == "payment_intent.succeeded"), "{sent:?}");
    let settled = scene.becomes(&id, "confirmed").await;
    assert_eq!(settled.text_at("/payment_status"), "paid");
    scene.shop.assert_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_found_again_and_nothing_is_charged_twice() {
    let scene = Scene::new("automatic").await;
    let variant = scene.staff.stocked_variant("rug", 5).await;
    for (fault, made) in [(Fault::LostAfter, 1), (Fault::LostBefore, 1), (Fault::ErrorAfter, 1)] {
        scene.stripe.shared.lock().faults.plan([fault]);
        let order = scene.buy(&variant, "pm_card_visa").await;
        assert!(matches!(order.status, 201 | 202), "{fault:?}: {}", order.text);
        let id = order.text_at("/id");
        scene.becomes(&id, "confirmed").await;
        assert_eq!(scene.at_stripe("payment_intents", &id).len(), made, "{fault:?}");
    }
    let sent = eventually(SOON, "webhooks are sent", async || {
        let sent = scene.stripe.deliver().await;
        (!sent.is_empty()).then_some(sent)
    });
    assert!(sent.await.iter().all(|outcome| outcome.status == Some(200)), "a webhook about what is known is taken");
    scene.shop.assert_audit();
}
