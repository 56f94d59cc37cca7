//! The shop with its connectors to Stripe and PayPal, as `souk up` runs it, beside their simulators.

use serde_json::json;
use souk_providers::faults::Fault;
use souk_providers::hooks::Disorder;
use souk_providers::server::Endpoint;
use souk_tests::{
    client::{Answer, Client},
    paypal, stripe,
    wait::{AFTER_A_TIMER, SOON, eventually},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_paid_and_given_back_at_stripe() {
    let scene = stripe::Scene::new("automatic").await;
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
    let scene = stripe::Scene::new("automatic").await;
    let variant = scene.staff.stocked_variant("lamp", 5).await;
    let order = scene.buy(&variant, "pm_card_authenticationRequired").await.expect(200);
    assert_eq!(order.text_at("/state"), "awaiting_action");
    let (id, page) = (order.text_at("/id"), order.text_at("/next_action/url"));
    assert!(page.starts_with(&format!("{}/3d_secure/pi_", scene.company.url)), "{page}");
    let path = page.strip_prefix(&scene.company.url).expect("it was just checked");
    assert!(Client::at(&scene.company.url).get(path).await.expect(200).text.contains("Approve"));
    scene.finish_action(&order, "shopper=approves").await;
    scene.told_by_webhook("payment_intent.succeeded").await;
    let settled = scene.becomes(&id, "confirmed").await;
    assert_eq!(settled.text_at("/payment_status"), "paid");
    scene.shop.assert_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_found_again_and_nothing_is_charged_twice() {
    let scene = stripe::Scene::new("automatic").await;
    let variant = scene.staff.stocked_variant("rug", 5).await;
    for (fault, made) in [(Fault::LostAfter, 1), (Fault::LostBefore, 1), (Fault::ErrorAfter, 1)] {
        scene.company.shared.lock().faults.plan([fault]);
        let order = scene.buy(&variant, "pm_card_visa").await;
        assert!(matches!(order.status, 201 | 202), "{fault:?}: {}", order.text);
        let id = order.text_at("/id");
        scene.becomes(&id, "confirmed").await;
        assert_eq!(scene.at_stripe("payment_intents", &id).len(), made, "{fault:?}");
    }
    let sent = eventually(SOON, "webhooks are sent", async || {
        let sent = scene.company.deliver().await;
        (!sent.is_empty()).then_some(sent)
    });
    assert!(sent.await.iter().all(|outcome| outcome.status == Some(200)), "a webhook about what is known is taken");
    scene.shop.assert_audit();
}

/// What was taken for the only order at PayPal that an order caused, and what was given back of it.
fn moved(scene: &paypal::Scene, order: &str) -> (Vec<String>, Vec<String>) {
    let [at_paypal] = &scene.at_paypal(order)[..] else { panic!("one order at PayPal") };
    let payments = &at_paypal["purchase_units"][0]["payments"];
    let amounts = |kind: &str| {
        let all = payments[kind].as_array().into_iter().flatten();
        all.map(|object| object["amount"]["value"].as_str().expect("an amount").to_owned()).collect()
    };
    (amounts("captures"), amounts("refunds"))
}

fn decimal(minor: i64) -> String {
    format!("{}.{:02}", minor / 100, minor % 100)
}

/// Sells one, up to PayPal's page.
async fn sent_to_paypal(scene: &paypal::Scene, variant: &str) -> Answer {
    let placed = scene.buy(variant, "paypal").await.expect(200);
    assert_eq!(placed.text_at("/state"), "awaiting_action");
    placed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_approved_at_paypal_paid_and_given_back() {
    let scene = paypal::Scene::new("automatic").await;
    let variant = scene.staff.stocked_variant("kettle", 5).await;
    let placed = sent_to_paypal(&scene, &variant).await;
    let (id, page) = (placed.text_at("/id"), placed.text_at("/next_action/url"));
    assert!(page.starts_with(&format!("{}/checkoutnow?token=", scene.company.url)), "{page}");
    scene.finish_action(&placed, "approve=balance").await;
    assert_eq!(moved(&scene, &id), (vec![], vec![]), "approval moves nothing");
    scene.told_by_webhook("CHECKOUT.ORDER.APPROVED").await;
    let paid = scene.becomes(&id, "confirmed").await;
    assert_eq!(paid.text_at("/payment_status"), "paid");
    let total = paid.integer_at("/captured/amount");
    let back = scene.act(&id, "refund", 500).await.expect(200);
    assert_eq!(back.integer_at("/refunded/amount"), 500);
    assert_eq!(scene.act(&id, "refund", total).await.expect(422).problem(), "exceeds");
    assert_eq!(moved(&scene, &id), (vec![decimal(total)], vec!["5.00".to_owned()]));
    scene.told_by_webhook("PAYMENT.CAPTURE.REFUNDED").await;
    scene.shop.assert_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_is_held_at_paypal_and_taken_when_staff_say_so() {
    let scene = paypal::Scene::new("manual").await;
    let variant = scene.staff.stocked_variant("scarf", 5).await;
    let placed = sent_to_paypal(&scene, &variant).await;
    let id = placed.text_at("/id");
    scene.finish_action(&placed, "approve=balance").await;
    scene.told_by_webhook("CHECKOUT.ORDER.APPROVED").await;
    assert_eq!(scene.becomes(&id, "confirmed").await.text_at("/payment_status"), "authorized");
    assert_eq!(moved(&scene, &id), (vec![], vec![]));
    let taken = scene.act(&id, "capture", 700).await.expect(200);
    assert_eq!(taken.integer_at("/captured/amount"), 700);
    assert_eq!(moved(&scene, &id), (vec!["7.00".to_owned()], vec![]));
    scene.shop.assert_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_webhooks_the_shop_asks_paypal_itself() {
    let scene = paypal::Scene::new("automatic").await;
    scene.company.shared.lock().endpoint = Endpoint::default();
    let variant = scene.staff.stocked_variant("bowl", 5).await;
    for (form, state) in [("approve=balance", "confirmed"), ("approve=declined", "canceled")] {
        let placed = sent_to_paypal(&scene, &variant).await;
        let id = placed.text_at("/id");
        scene.finish_action(&placed, form).await;
        let ended = scene.becomes(&id, state).await;
        assert_eq!(ended.json["decline"]["code"] == "card_declined", state == "canceled", "{}", ended.text);
    }
    let placed = sent_to_paypal(&scene, &variant).await;
    scene.finish_action(&placed, "cancel=").await;
    let id = placed.text_at("/id");
    let path = format!("/api/v1/store/orders/{id}/resume?token={}", placed.text_at("/access_token"));
    let asked = scene.guest.post(&path, &json!({})).await.expect(200);
    assert_eq!(asked.text_at("/state"), "awaiting_action", "who came back without paying may still pay");
    scene.shop.assert_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_of_paypals_is_found_again_and_nothing_is_taken_twice() {
    let scene = paypal::Scene::new("automatic").await;
    let variant = scene.staff.stocked_variant("mat", 9).await;
    for fault in [Fault::LostBefore, Fault::LostAfter, Fault::ErrorBefore, Fault::ErrorAfter, Fault::KeyInUse] {
        scene.company.shared.lock().faults.plan([fault]);
        let placed = scene.buy(&variant, "paypal").await;
        assert!(matches!(placed.status, 200 | 201), "{fault:?}: {}", placed.text);
        let id = placed.text_at("/id");
        let waits = scene.becomes(&id, "awaiting_action").await;
        scene.company.shared.lock().faults.plan([fault]);
        scene.finish_action(&waits, "approve=balance").await;
        let paid = scene.becomes(&id, "confirmed").await;
        assert_eq!(moved(&scene, &id).0, [decimal(paid.integer_at("/captured/amount"))], "{fault:?}");
    }
    scene.told_by_webhook("PAYMENT.CAPTURE.COMPLETED").await;
    scene.shop.assert_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_webhooks_that_look_like_paypals_only_its_own_are_believed() {
    let scene = paypal::Scene::new("automatic").await;
    scene.company.shared.lock().outbox.disorder(Disorder { duplicates: 100, forged: 100, ..Disorder::default() });
    let variant = scene.staff.stocked_variant("clock", 5).await;
    let placed = sent_to_paypal(&scene, &variant).await;
    scene.finish_action(&placed, "approve=balance").await;
    let id = placed.text_at("/id");
    scene.becomes(&id, "confirmed").await;
    let sent = eventually(SOON, "webhooks are sent", async || {
        let sent = scene.company.deliver().await;
        (!sent.is_empty()).then_some(sent)
    });
    for outcome in sent.await {
        let expected = if outcome.is_forged { 400 } else { 200 };
        assert_eq!(outcome.status, Some(expected), "{outcome:?}");
    }
    assert_eq!(moved(&scene, &id).0.len(), 1);
    scene.shop.assert_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_back_at_paypals_own_pages_reaches_the_order() {
    let scene = paypal::Scene::new("automatic").await;
    let variant = scene.staff.stocked_variant("chair", 5).await;
    let placed = sent_to_paypal(&scene, &variant).await;
    scene.finish_action(&placed, "approve=balance").await;
    let id = placed.text_at("/id");
    scene.becomes(&id, "confirmed").await;
    scene.refund_by_hand(&id, "3.00").await;
    scene.told_by_webhook("PAYMENT.CAPTURE.REFUNDED").await;
    eventually(AFTER_A_TIMER, "the refund is known", async || {
        let read = scene.staff.get(&format!("/api/v1/admin/orders/{id}")).await.expect(200);
        (read.json["refunded"]["amount"] == 300).then_some(())
    })
    .await;
    scene.shop.assert_audit();
}
