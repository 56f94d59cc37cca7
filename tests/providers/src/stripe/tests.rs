//! What the simulated Stripe answers.

use super::*;

const NOW: i64 = 1_790_000_000_000;

fn shop(policy: RefundPolicy) -> Stripe {
    Stripe::new("sk_test_1", policy)
}

fn post(stripe: &mut Stripe, now: i64, path: &str, form: &str, key: Option<&str>) -> Response {
    stripe.handle(now, &Request { method: "POST", path, form, secret_key: Some("sk_test_1"), key }, None)
}

fn pay(stripe: &mut Stripe, method: &str, capture: &str, key: Option<&str>) -> Response {
    let form =
        format!("amount=1000&currency=usd&confirm=true&payment_method={method}&capture_method={capture}&metadata[o]=7");
    post(stripe, NOW, "/v1/payment_intents", &form, key)
}

fn id(response: &Response) -> String {
    response.body["id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_test_card_decides_how_a_payment_goes() {
    for (method, capture, status, outcome) in [
        ("pm_card_visa", "automatic", 200, "succeeded"),
        ("pm_card_visa", "manual", 200, "requires_capture"),
        ("pm_card_authenticationRequired", "manual", 200, "requires_action"),
        ("pm_card_chargeDeclined", "manual", 402, "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "manual", 402, "insufficient_funds"),
        ("pm_unheard", "manual", 400, "resource_missing"),
    ] {
        let told = pay(&mut shop(RefundPolicy::Capped), method, capture, None);
        let error = &told.body["error"];
        let shown = [&told.body["status"], &error["decline_code"], &error["code"]].into_iter().find(|v| !v.is_null());
        assert_eq!((told.status, shown), (status, Some(&json!(outcome))), "{method}");
    }
}

#[test]
fn a_key_answers_the_same_for_a_day_also_when_it_failed() {
    let mut stripe = shop(RefundPolicy::Capped);
    let first = pay(&mut stripe, "pm_card_visa", "manual", Some("k"));
    let again = pay(&mut stripe, "pm_card_visa", "manual", Some("k"));
    assert_eq!((again.replayed, &again.body), (true, &first.body));
    let other = pay(&mut stripe, "pm_card_visa", "automatic", Some("k"));
    assert_eq!((other.status, &other.body["error"]["type"]), (400, &json!("idempotency_error")));
    let request = Request {
        method: "POST",
        path: "/v1/payment_intents",
        form: "amount=5&currency=usd",
        secret_key: Some("sk_test_1"),
        key: Some("f"),
    };
    assert_eq!(stripe.handle(NOW, &request, Some(ServerError::AfterEffect)).status, 500);
    let sticky = stripe.handle(NOW + KEY_TTL_MS - 1, &request, None);
    assert_eq!((sticky.status, sticky.replayed, stripe.intents.len()), (500, true, 2));
    let pruned = stripe.handle(NOW + KEY_TTL_MS, &request, None);
    assert_eq!((pruned.status, pruned.replayed, stripe.intents.len()), (200, false, 3));
}

#[test]
fn a_partial_capture_releases_the_rest_and_refunds_are_capped() {
    for (policy, status) in [(RefundPolicy::Capped, 400), (RefundPolicy::Uncapped, 200)] {
        let mut stripe = shop(policy);
        let id = id(&pay(&mut stripe, "pm_card_visa", "manual", None));
        let path = format!("/v1/payment_intents/{id}/capture");
        let taken = post(&mut stripe, NOW, &path, "amount_to_capture=600", None);
        assert_eq!(taken.body["amount_received"], 600);
        assert_eq!(taken.body["latest_charge"]["amount_refunded"], 400);
        assert_eq!(post(&mut stripe, NOW, &path, "amount_to_capture=1", None).status, 400);
        let form = |amount: i64| format!("payment_intent={id}&amount={amount}");
        assert_eq!(post(&mut stripe, NOW, "/v1/refunds", &form(500), None).status, 200);
        assert_eq!(post(&mut stripe, NOW, "/v1/refunds", &form(101), None).status, status);
    }
}

#[test]
fn a_hold_ends_after_seven_days_and_three_d_secure_is_finished_once() {
    let mut stripe = shop(RefundPolicy::Capped);
    let held = id(&pay(&mut stripe, "pm_card_visa", "manual", None));
    stripe.advance(NOW + HOLD_MS - 1);
    assert_eq!(stripe.intents[&held].value["status"], "requires_capture");
    stripe.advance(NOW + HOLD_MS);
    assert_eq!(stripe.intents[&held].value["status"], "canceled");
    let asked = id(&pay(&mut stripe, "pm_card_authenticationRequired", "automatic", None));
    assert_eq!(stripe.finish_action(NOW, &asked, true).expect("it waits")["status"], "succeeded");
    assert_eq!(stripe.finish_action(NOW, &asked, true), None);
    let kinds: Vec<Value> = stripe.take_events().iter().map(|event| event["type"].clone()).collect();
    assert_eq!(
        kinds,
        [
            "payment_intent.created",
            "payment_intent.amount_capturable_updated",
            "payment_intent.canceled",
            "payment_intent.created",
            "payment_intent.requires_action",
            "payment_intent.succeeded"
        ]
    );
}

#[test]
fn a_stranger_is_refused() {
    let request = Request { method: "GET", path: "/v1/refunds", form: "", secret_key: Some("sk_no"), key: None };
    assert_eq!(shop(RefundPolicy::Capped).handle(NOW, &request, None).status, 401);
}

/// The digests were computed with Python's `hmac`.
#[test]
fn a_webhook_is_signed_under_every_secret() {
    let wanted = "t=5,v1=8b911013f75dc47e71c4622cc4b7a1ebc8db7774ae4dae3fd24e859882818d54,v1=705288b54ac33e853352a73b09cbdfecc60823ed48e917d83edf39f2aa375fb5";
    assert_eq!(signature::sign(b"{}", 5, &["whsec_a", "whsec_b"]), wanted);
}
