//! What is sent for each call, and what its answer does.

use serde_json::json;
use souk_kit::payment_extension::CapturePolicy;

use super::*;
use crate::wire::VERSION;

#[test]
fn a_payment_intent_is_made_and_confirmed_in_one_call() {
    for (policy, method, body, outcome) in [
        (CapturePolicy::Automatic, "automatic", taken(2_000, 0), "authorized 2000 0"),
        (CapturePolicy::Manual, "manual", held(), "authorized 0 0"),
    ] {
        let world = World::new(vec![answer(200, &body)]);
        assert_eq!(short(&world.authorize(policy)), outcome);
        assert_eq!(world.sent(), ["POST payment_intents PAY"]);
        assert_eq!(
            world.bodies(),
            [format!(
                "amount=2000&currency=usd&payment_method=pm_1Nv0FGQ9RKHgCVdK&payment_method_types%5B0%5D=card\
                 &capture_method={method}&confirm=true\
                 &return_url=https%3A%2F%2Fshop.example%2Forders%2F1%2Freturn%3Fa%3Db%26c\
                 &metadata%5Bsouk_payment%5D={PAY}&metadata%5Bsouk_order%5D={ORD}&expand%5B0%5D=latest_charge"
            )]
        );
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            world.sent.borrow()[0].headers,
            [
                header("authorization", "Bearer sk_test_4eC39HqLyjWDarjtT1zdp7dc"),
                header("stripe-version", VERSION),
                header("content-type", "application/x-www-form-urlencoded"),
                header("idempotency-key", PAY),
            ]
        );
    }
}

#[test]
fn nothing_is_sent_for_what_cannot_be_asked() {
    let world = World::new(Vec::new());
    for token in ["tok_visa", "pm_", "pm_1/../x", "4242424242424242", "pm_1&amount=1"] {
        let asked = ProviderAuthorization { token: token.to_owned(), ..asked(CapturePolicy::Automatic) };
        assert_eq!(short(&service::authorize(&world, &world.call(), &asked)), "refused invalid_token", "{token}");
    }
    let dinars = ProviderAuthorization { amount: Money::new(5_124, "KWD"), ..asked(CapturePolicy::Automatic) };
    assert_eq!(short(&service::authorize(&world, &world.call(), &dinars)), "refused rejected");
    assert_eq!(short(&world.lookup("pi_1/../../customers")), "not-found");
    for key in ["", "pk_test_1", "sk_1", "whsec_1"] {
        world.ports.configure("stripe_secret_key", key);
        assert_eq!(short(&world.authorize(CapturePolicy::Automatic)), "not-sent", "{key}");
    }
    assert_eq!(world.sent(), [""; 0]);
}

#[test]
fn another_address_is_for_a_simulator() {
    let world = World::new(vec![answer(200, &held())]);
    world.ports.configure("stripe_api_base", "http://127.0.0.1:12111/");
    assert_eq!(short(&world.lookup(PI)), "authorized 0 0");
    assert_eq!(
        world.sent.borrow()[0].url,
        format!("http://127.0.0.1:12111/v1/payment_intents/{PI}?expand%5B0%5D=latest_charge")
    );
}

#[test]
fn a_capture_takes_what_was_asked() {
    let world = World::new(vec![answer(200, &taken(1_500, 0))]);
    assert_eq!(short(&world.capture(1_500)), "authorized 1500 0");
    assert_eq!(world.sent(), ["POST payment_intents/PI/capture CMD"]);
    assert_eq!(world.bodies(), ["amount_to_capture=1500&expand%5B0%5D=latest_charge"]);
}

#[test]
fn a_second_capture_is_refused_and_a_hold_that_is_gone_is_told() {
    let refusal = error(json!({ "code": "payment_intent_unexpected_state" }));
    for (now, outcome) in [
        (taken(1_500, 0), "refused rejected"),
        (held(), "refused rejected"),
        (intent("canceled", json!({})), "voided 0 0"),
    ] {
        let world = World::new(vec![answer(400, &refusal), answer(200, &now)]);
        assert_eq!(short(&world.capture(500)), outcome);
        assert_eq!(world.sent(), ["POST payment_intents/PI/capture CMD", "GET payment_intents/PI"]);
    }
    let world = World::new(vec![answer(400, &refusal), lost()]);
    assert_eq!(short(&world.capture(500)), "unknown");
}

#[test]
fn a_void_lets_go_once_and_not_of_what_was_taken() {
    let world = World::new(vec![answer(200, &intent("canceled", json!({})))]);
    assert_eq!(short(&world.void()), "voided 0 0");
    assert_eq!(world.sent(), ["POST payment_intents/PI/cancel CMD"]);
    let refusal = error(json!({ "code": "payment_intent_unexpected_state" }));
    for (now, outcome) in [(taken(2_000, 0), "refused rejected"), (intent("canceled", json!({})), "voided 0 0")] {
        let world = World::new(vec![answer(400, &refusal), answer(200, &now)]);
        assert_eq!(short(&world.void()), outcome);
    }
}

#[test]
fn a_refund_is_looked_for_before_it_is_made() {
    let made = refund("re_1", 500, json!({}));
    let world = World::new(vec![
        answer(200, &page(&[], false)),
        answer(200, &made),
        answer(200, &taken(2_000, 500)),
        answer(200, &page(std::slice::from_ref(&made), false)),
    ]);
    assert_eq!(short(&world.refund(500)), "authorized 2000 500");
    assert_eq!(world.sent(), ["GET refunds", "POST refunds CMD", "GET payment_intents/PI", "GET refunds"]);
    assert_eq!(
        world.bodies()[1],
        format!("payment_intent={PI}&amount=500&metadata%5Bsouk_payment%5D={PAY}&metadata%5Bsouk_command%5D={CMD}")
    );
    let world = World::new(vec![
        answer(200, &page(std::slice::from_ref(&made), false)),
        answer(200, &taken(2_000, 500)),
        answer(200, &page(&[made], false)),
    ]);
    assert_eq!(short(&world.refund(500)), "authorized 2000 500");
    assert_eq!(world.sent(), ["GET refunds", "GET payment_intents/PI", "GET refunds"]);
}

#[test]
fn a_refund_that_is_not_what_was_asked_is_not_believed() {
    for (with, outcome) in [
        (json!({ "amount": 501 }), "unknown"),
        (json!({ "currency": "eur" }), "unknown"),
        (json!({ "payment_intent": "pi_another" }), "unknown"),
        (json!({ "status": "failed" }), "refused rejected"),
        (json!({ "status": "canceled" }), "refused rejected"),
    ] {
        let made = refund("re_1", 500, with);
        let world = World::new(vec![answer(200, &page(&[], false)), answer(200, &made)]);
        assert_eq!(short(&world.refund(500)), outcome, "{made}");
        let world = World::new(vec![answer(200, &page(std::slice::from_ref(&made), false))]);
        assert_eq!(short(&world.refund(500)), outcome, "{made}");
    }
}

#[test]
fn a_refund_is_refused_for_good_or_not_known() {
    for (exchange, outcome) in [
        (answer(400, &error(json!({ "code": "charge_already_refunded" }))), "refused rejected"),
        (answer(404, &error(json!({ "code": "resource_missing", "param": "payment_intent" }))), "not-found"),
        (answer(429, &error(json!({ "code": "rate_limit" }))), "not-sent"),
        (lost(), "unknown"),
    ] {
        let world = World::new(vec![answer(200, &page(&[], false)), exchange]);
        assert_eq!(short(&world.refund(500)), outcome);
    }
    // It was made, and what it did to the totals could not be read.
    let made = refund("re_1", 500, json!({}));
    for after in [lost(), answer(429, &error(json!({}))), answer(404, &error(json!({ "code": "resource_missing" })))] {
        let world = World::new(vec![answer(200, &page(&[], false)), answer(200, &made), after]);
        assert_eq!(short(&world.refund(500)), "unknown");
    }
}
