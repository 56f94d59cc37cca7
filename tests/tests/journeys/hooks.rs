//! Webhooks of the payment provider: a late answer settles as soon as one says so, and nothing else comes of one.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use souk_kit::ids;
use souk_tests::{
    client::{Answer, Client},
    wait::{SOON, eventually},
};

use super::{Scene, buy, order_path, standing};

/// The secrets of these shops: one replaces the other.
const SECRETS: (&str, &str) = ("TEST_HOOK_SECRETS", "whsec_old, whsec_new");

/// A webhook on its way.
struct Delivery<'a> {
    provider: &'a str,
    secret: &'a str,
    /// How long ago it was signed.
    age_seconds: i64,
    body: String,
}

impl Delivery<'_> {
    /// As the test provider would send it now.
    fn genuine(body: &Value) -> Self {
        Self { provider: "test", secret: "whsec_new", age_seconds: 0, body: body.to_string() }
    }

    async fn send(&self, client: &Client) -> Answer {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
        let time = i64::try_from(now).expect("seconds fit") - self.age_seconds;
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("HMAC takes a key of any length");
        mac.update(format!("{time}.{}", self.body).as_bytes());
        let signature = format!("t={time},v1={}", ids::hex(&mac.finalize().into_bytes()));
        let headers = [("content-type", "application/json"), ("souk-test-signature", signature.as_str())];
        let path = format!("/api/v1/hooks/{}", self.provider);
        client.send("POST", &path, &headers, Some(self.body.clone().into_bytes())).await
    }
}

/// What a webhook says: the payment of this order changed.
fn news(event: &str, order: &str) -> Value {
    let payment = ids::derive("pay", &[order]);
    json!({"id": event, "type": "payment.changed", "reference": "tpr_as_it_likes", "payment_id": payment})
}

async fn read(client: &Client, order: &Answer) -> Answer {
    client.get(&order_path(order)).await.expect(200)
}

/// An order whose payment the provider decides two seconds later. The shop asks for news of itself, but not so soon.
async fn with_a_late_answer(scene: &Scene, variant: &str) -> Answer {
    let order = buy(&scene.guest, variant, 1, "tok_unheard").await.expect(201);
    assert_eq!(order.text_at("/state"), "pending");
    order
}

/// Sends one webhook after the other, each an event of its own, until the order is confirmed.
async fn told_until_confirmed(client: &Client, order: &Answer, event: &str) -> Answer {
    let mut events = 0;
    eventually(SOON, "the order is confirmed", async || {
        events += 1;
        let news = news(&format!("{event}_{events}"), &order.text_at("/id"));
        Delivery::genuine(&news).send(client).await.expect(200);
        let read = read(client, order).await;
        (read.text_at("/state") == "confirmed").then_some(read)
    })
    .await
}

#[tokio::test]
async fn a_webhook_settles_a_payment_that_was_left_pending_and_does_so_once() {
    let scene = Scene::with(&[SECRETS]).await;
    let variant = scene.staff.stocked_variant("vase", 5).await;
    // The shop would ask about this one first.
    let older = with_a_late_answer(&scene, &variant).await;
    let order = with_a_late_answer(&scene, &variant).await;
    let first = Delivery::genuine(&news("evt_1", &order.text_at("/id")));
    assert_eq!(first.send(&scene.guest).await.expect(200).text, "");
    let settled = told_until_confirmed(&scene.guest, &order, "evt_later").await;
    assert_eq!(read(&scene.guest, &older).await.text_at("/state"), "pending", "nobody spoke of it");
    assert_eq!(standing(&settled), ("confirmed".to_owned(), "paid".to_owned()));
    let captured = settled.integer_at("/captured/amount");

    // The same again, the same event under the secret that goes, and another event about the same object.
    first.send(&scene.guest).await.expect(200);
    Delivery { secret: "whsec_old", ..Delivery::genuine(&news("evt_1", &order.text_at("/id"))) }
        .send(&scene.guest)
        .await
        .expect(200);
    Delivery::genuine(&news("evt_2", &order.text_at("/id"))).send(&scene.guest).await.expect(200);
    Delivery::genuine(&news("evt_3", &older.text_at("/id"))).send(&scene.guest).await.expect(200);
    eventually(SOON, "the other order is confirmed", async || {
        (read(&scene.guest, &older).await.text_at("/state") == "confirmed").then_some(())
    })
    .await;
    let after = read(&scene.guest, &order).await;
    assert_eq!((after.integer_at("/captured/amount"), after.header("etag")), (captured, settled.header("etag")));
    scene.assert_settled("vase", 3).await;
}

#[tokio::test]
async fn a_webhook_that_does_not_hold_is_refused_and_changes_nothing() {
    let scene = Scene::with(&[SECRETS]).await;
    let variant = scene.staff.stocked_variant("lamp", 5).await;
    let order = with_a_late_answer(&scene, &variant).await;
    let genuine = || Delivery::genuine(&news("evt_1", &order.text_at("/id")));
    for (why, delivery, status, code) in [
        ("the wrong secret", Delivery { secret: "whsec_wrong", ..genuine() }, 400, "hook_forged"),
        ("signed too long ago", Delivery { age_seconds: 330, ..genuine() }, 400, "hook_forged"),
        ("signed ahead of time", Delivery { age_seconds: -90, ..genuine() }, 400, "hook_forged"),
        ("a provider that is nobody", Delivery { provider: "nobody", ..genuine() }, 404, "not_found"),
        ("no signature of Stripe's", Delivery { provider: "stripe", ..genuine() }, 400, "malformed_request"),
        ("no JSON", Delivery { body: "{".to_owned(), ..genuine() }, 400, "malformed_request"),
        ("too large", Delivery { body: " ".repeat((256 << 10) + 1), ..genuine() }, 413, "payload_too_large"),
    ] {
        let refused = delivery.send(&scene.guest).await;
        assert_eq!((refused.status, refused.problem()), (status, code.to_owned()), "{why}");
        assert!(!refused.text.contains("whsec"), "{why}");
    }
    assert_eq!(read(&scene.guest, &order).await.text_at("/state"), "pending");
    // None of them took the event's place.
    let older = with_a_late_answer(&scene, &variant).await;
    genuine().send(&scene.guest).await.expect(200);
    told_until_confirmed(&scene.guest, &order, "evt_later").await;
    Delivery::genuine(&news("evt_2", &older.text_at("/id"))).send(&scene.guest).await.expect(200);
    scene.assert_settled("lamp", 3).await;
}

#[tokio::test]
async fn a_provider_that_is_linked_and_not_on_offer_is_refused_before_anything_is_held() {
    let scene = Scene::new().await;
    let variant = scene.staff.stocked_variant("frame", 2).await;
    let offered = scene.guest.get("/api/v1/store/payment-providers").await.expect(200);
    assert_eq!(offered.json["data"], json!([{"name": "test"}]));
    let (cart, mut body) = scene.guest.quoted_cart(&variant, 1).await;
    body["payment"] = json!({"provider": "stripe", "token": "pm_card_visa"});
    let refused = super::check_out(&scene.guest, &cart, &body).await.expect(422);
    assert_eq!(refused.problem(), "unknown_provider");
    assert_eq!(scene.stock("frame").await, (2, 0));
    scene.assert_settled("frame", 2).await;
}
