//! What is sent for each call, and what its answer does.

use super::*;
use crate::domain::{HONOR_MS, KEY_AGE_MAX_MS};

#[test]
fn an_order_is_made_under_the_payments_key_and_sends_the_shopper_to_paypal() {
    for (policy, intent) in [(CapturePolicy::Automatic, "CAPTURE"), (CapturePolicy::Manual, "AUTHORIZE")] {
        let open = order("PAYER_ACTION_REQUIRED", json!({}));
        let world = World::new(vec![answer(200, &open), answer(200, &open)]);
        assert_eq!(short(&world.authorize(policy)), format!("{PAGE} 0 0"));
        assert_eq!(world.sent(), ["POST v2/checkout/orders PAY", "GET v2/checkout/orders/ID"]);
        let body = world.body(0);
        assert_eq!(body["intent"], intent);
        let unit =
            json!([{ "reference_id": "default", "invoice_id": PAY, "custom_id": ORD, "amount": amount("20.00") }]);
        assert_eq!(body["purchase_units"], unit);
        let context = &body["payment_source"]["paypal"]["experience_context"];
        assert_eq!(context["return_url"], "https://shop.example/orders/1/return");
    }
}

#[test]
fn nothing_is_sent_for_what_cannot_be_asked() {
    let world = World::new(Vec::new());
    let with = |change: fn(&mut ProviderAuthorization)| {
        let mut asked = asked(CapturePolicy::Automatic);
        change(&mut asked);
        short(&service::authorize(&world, &world.call(), &asked))
    };
    assert_eq!(with(|asked| asked.token = "tok_1".to_owned()), "refused invalid_token");
    assert_eq!(with(|asked| asked.amount = Money::new(5_120, "KWD")), "refused rejected");
    assert_eq!(with(|asked| asked.amount = Money::new(1_045, "HUF")), "refused rejected");
    assert_eq!(with(|asked| asked.asked_at = START - KEY_AGE_MAX_MS), "refused rejected", "its key may be forgotten");
    for reference in ["", "../../x", "5O19?a=b"] {
        assert_eq!(short(&service::lookup(&world, &world.call(), &object(reference))), "not-found", "{reference}");
    }
    for name in ["paypal_client_id", "paypal_client_secret"] {
        let world = World::new(Vec::new());
        world.ports.configure(name, "");
        assert_eq!(short(&world.lookup()), "not-sent", "without {name}");
    }
}

#[test]
fn what_the_shopper_approved_is_taken_or_held_once() {
    let mut manual = order("APPROVED", json!({}));
    manual["intent"] = json!("AUTHORIZE");
    for (approved, act, after, outcome) in [
        (order("APPROVED", json!({})), "capture", taken(), "authorized 2000 0"),
        (manual, "authorize", held(), "authorized 0 0"),
    ] {
        let world = World::new(vec![answer(200, &approved), answer(201, &after), answer(200, &after)]);
        assert_eq!(short(&world.lookup()), outcome);
        let take = format!("POST v2/checkout/orders/ID/{act} PAY-{act}");
        assert_eq!(world.sent(), ["GET v2/checkout/orders/ID", &take, "GET v2/checkout/orders/ID"]);
    }
}

#[test]
fn what_is_told_of_a_taking_is_read_from_the_order() {
    let approved = || answer(200, &order("APPROVED", json!({})));
    for (reply, after, outcome) in [
        (refusal("ORDER_ALREADY_CAPTURED"), taken(), "authorized 2000 0"),
        (refusal("PAYER_ACTION_REQUIRED"), order("PAYER_ACTION_REQUIRED", json!({})), &*format!("{PAGE} 0 0")),
        (refusal("COMPLIANCE_VIOLATION"), order("APPROVED", json!({})), "processing 0 0"),
    ] {
        let world = World::new(vec![approved(), reply, answer(200, &after)]);
        assert_eq!(short(&world.lookup()), outcome);
    }
    let world = World::new(vec![approved(), lost()]);
    assert_eq!(short(&world.lookup()), "unknown");
}

#[test]
fn an_order_whose_instrument_was_declined_is_marked_and_never_taken_again() {
    let declined = marked("APPROVED", &format!("{ORD} declined"), json!({}));
    let approved = order("APPROVED", json!({}));
    let world =
        World::new(vec![answer(200, &approved), refusal("INSTRUMENT_DECLINED"), empty(), answer(200, &declined)]);
    assert_eq!(short(&world.lookup()), "card_declined 0 0");
    assert_eq!(world.sent()[2], "PATCH v2/checkout/orders/ID");
    let path = "/purchase_units/@reference_id=='default'/custom_id";
    assert_eq!(world.body(2), json!([{ "op": "replace", "path": path, "value": format!("{ORD} declined") }]));
    let world = World::new(vec![answer(200, &declined)]);
    assert_eq!(short(&world.lookup()), "card_declined 0 0");
    assert_eq!(world.sent().len(), 1, "it is only read");
}

#[test]
fn an_order_that_is_let_go_before_it_is_approved_is_marked_and_never_taken() {
    for status in ["PAYER_ACTION_REQUIRED", "APPROVED"] {
        let gone = marked(status, &format!("{ORD} voided"), json!({}));
        let world = World::new(vec![answer(200, &order(status, json!({}))), empty(), answer(200, &gone)]);
        assert_eq!(short(&world.void()), "voided 0 0");
        assert_eq!(world.sent()[1], "PATCH v2/checkout/orders/ID");
        let world = World::new(vec![answer(200, &gone)]);
        assert_eq!(short(&world.lookup()), "voided 0 0");
        let world = World::new(vec![answer(200, &gone), answer(200, &gone)]);
        assert_eq!(short(&world.void()), "voided 0 0", "twice is once");
    }
}

#[test]
fn a_void_that_meets_a_taking_tells_that_it_is_taken() {
    let open = order("APPROVED", json!({}));
    let world = World::new(vec![answer(200, &open), refusal("ORDER_ALREADY_COMPLETED"), answer(200, &taken())]);
    assert_eq!(short(&world.void()), "refused rejected");
    let world = World::new(vec![answer(200, &taken())]);
    assert_eq!(short(&world.void()), "refused rejected");
    assert_eq!(world.sent().len(), 1);
}

#[test]
fn what_is_held_is_let_go() {
    let gone = order("COMPLETED", json!({ "authorizations": [authorization("VOIDED")] }));
    let world = World::new(vec![answer(200, &held()), empty(), answer(200, &gone)]);
    assert_eq!(short(&world.void()), "voided 0 0");
    assert_eq!(world.sent()[1], "POST v2/payments/authorizations/AUTH/void CMD");
    let world = World::new(vec![answer(200, &held()), lost()]);
    assert_eq!(short(&world.void()), "unknown");
}

#[test]
fn a_capture_takes_what_was_asked_and_is_found_again_by_its_command() {
    let made = |status: &str| {
        let payments = json!({
            "authorizations": [authorization("CAPTURED")], "captures": [capture(status, "15.00", CMD)],
        });
        order("COMPLETED", payments)
    };
    let reply = answer(201, &capture("COMPLETED", "15.00", CMD));
    let world = World::new(vec![answer(200, &held()), reply, answer(200, &made("COMPLETED"))]);
    assert_eq!(short(&world.capture(1_500)), "authorized 1500 0");
    assert_eq!(world.sent()[1], "POST v2/payments/authorizations/AUTH/capture CMD");
    assert_eq!(world.body(1), json!({ "amount": amount("15.00"), "invoice_id": CMD, "final_capture": true }));
    for (status, outcome) in
        [("COMPLETED", "authorized 1500 0"), ("PENDING", "unknown"), ("DECLINED", "refused rejected")]
    {
        let mut script = vec![answer(200, &made(status))];
        script.extend((status == "COMPLETED").then(|| answer(200, &made(status))));
        let world = World::new(script);
        assert_eq!(short(&world.capture(1_500)), outcome, "{status}");
        assert!(world.sent().iter().all(|line| line.starts_with("GET")), "it is not sent again");
    }
    let world = World::new(vec![answer(200, &made("COMPLETED"))]);
    assert_eq!(short(&world.capture(1_400)), "unknown", "another amount is not believed");
    let world = World::new(vec![answer(200, &taken())]);
    assert_eq!(short(&world.capture(1_500)), "refused rejected", "it was taken by another command");
}

#[test]
fn a_refund_is_looked_for_by_its_command_before_it_is_sent() {
    let with = |refunds: Value| {
        order("COMPLETED", json!({ "captures": [capture("PARTIALLY_REFUNDED", "20.00", PAY)], "refunds": refunds }))
    };
    let after = with(json!([refund("COMPLETED", "5.00")]));
    let reply = answer(201, &refund("COMPLETED", "5.00"));
    let world = World::new(vec![answer(200, &taken()), reply, answer(200, &after)]);
    assert_eq!(short(&world.refund(500)), "authorized 2000 500");
    assert_eq!(world.sent()[1], "POST v2/payments/captures/CAPTURE/refund CMD");
    assert_eq!(world.body(1), json!({ "amount": amount("5.00"), "invoice_id": CMD, "custom_id": CMD }));
    let world = World::new(vec![answer(200, &after), answer(200, &after)]);
    assert_eq!(short(&world.refund(500)), "authorized 2000 500");
    assert_eq!(world.sent(), ["GET v2/checkout/orders/ID"; 2], "it is not sent again");
    let world = World::new(vec![answer(200, &with(json!([refund("FAILED", "5.00")])))]);
    assert_eq!(short(&world.refund(500)), "refused rejected");
    let world = World::new(vec![answer(200, &after)]);
    assert_eq!(short(&world.refund(400)), "unknown", "another amount is not believed");
    let world = World::new(vec![answer(200, &held())]);
    assert_eq!(short(&world.refund(500)), "refused rejected", "nothing was taken");
}

#[test]
fn a_hold_is_as_long_as_paypal_vouches_for_it() {
    let world = World::new(vec![answer(200, &held())]);
    let made = crate::domain::instant("2026-01-01T00:00:00Z").expect("it is a time");
    assert_eq!(world.lookup().expect("it is held").held_until, Some(made + HONOR_MS));
    let world = World::new(vec![answer(200, &taken())]);
    assert_eq!(world.lookup().expect("it is taken").held_until, None);
}

#[test]
fn another_address_is_for_a_simulator() {
    let world = World::new(vec![answer(200, &held())]);
    world.ports.configure("paypal_api_base", "http://127.0.0.1:12112/");
    assert_eq!(short(&world.lookup()), "authorized 0 0");
    assert_eq!(world.sent.borrow()[0].url, format!("http://127.0.0.1:12112/v2/checkout/orders/{ID}"));
}
