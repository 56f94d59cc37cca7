//! How an answer is read: every status, every state, and what does not fit.

use serde_json::{Value, json};
use souk_kit::bindings::souk::shop::http_out::HttpOutError;
use souk_kit::payment_extension::{CapturePolicy, ProviderError, ProviderState};
use souk_kit::testing::law;

use super::*;

#[test]
fn every_state_has_its_meaning() {
    let declined = json!({ "last_payment_error": { "type": "card_error", "code": "card_declined", "message": "No." } });
    let refused_by_shopper = json!({ "last_payment_error": { "type": "invalid_request_error",
        "code": "payment_intent_authentication_failure", "message": "The provided PaymentMethod has failed." } });
    let page = json!({ "next_action": { "type": "redirect_to_url",
        "redirect_to_url": { "url": "https://hooks.stripe.com/3ds/1", "return_url": "https://shop.example" } } });
    let script = json!({ "next_action": { "type": "use_stripe_sdk", "use_stripe_sdk": {} } });
    for (body, outcome) in [
        (taken(2_000, 0), "authorized 2000 0"),
        (held(), "authorized 0 0"),
        (intent("processing", json!({})), "processing 0 0"),
        (intent("requires_confirmation", json!({})), "processing 0 0"),
        (intent("requires_action", page), "https://hooks.stripe.com/3ds/1 0 0"),
        (intent("requires_action", script), "unknown"),
        (intent("requires_action", json!({})), "unknown"),
        (intent("requires_payment_method", declined), "card_declined 0 0"),
        (intent("requires_payment_method", refused_by_shopper), "action_failed 0 0"),
        (intent("requires_payment_method", json!({})), "action_failed 0 0"),
        // A hold that was let go: its charge says refunded, and nothing was ever taken.
        (intent("canceled", json!({ "latest_charge": charge(0, 2_000) })), "voided 0 0"),
        (intent("a_state_of_next_year", json!({})), "unknown"),
    ] {
        let world = World::new(vec![answer(200, &body)]);
        assert_eq!(short(&world.lookup(PI)), outcome, "{body}");
        assert_eq!(world.sent(), ["GET payment_intents/PI"]);
    }
}

#[test]
fn a_hold_tells_until_when_it_holds() {
    let paid_with = |details: Value| {
        let mut charge = charge(0, 0);
        charge["payment_method_details"] = details;
        json!({ "latest_charge": charge })
    };
    let card = json!({ "type": "card", "card": { "brand": "visa", "capture_before": 1_767_830_400 } });
    for (body, held_until) in [
        (intent("requires_capture", paid_with(card.clone())), Some(1_767_830_400_000)),
        (intent("canceled", paid_with(card)), None),
        (intent("requires_capture", paid_with(json!({ "type": "card", "card": { "capture_before": null } }))), None),
        (intent("requires_capture", paid_with(json!({ "type": "klarna" }))), None),
        (held(), None),
    ] {
        let world = World::new(vec![answer(200, &body)]);
        assert_eq!(world.lookup(PI).expect("it is there").held_until, held_until, "{body}");
    }
}

#[test]
fn an_object_that_is_not_ours_is_not_believed() {
    for body in [
        intent("succeeded", json!({ "livemode": true, "amount_received": 2000, "latest_charge": charge(2_000, 0) })),
        intent("processing", json!({ "metadata": {} })),
        intent("processing", json!({ "metadata": { "souk_payment": "pay_2", "souk_order": ORD } })),
        intent("processing", json!({ "id": "pi_another" })),
        intent("succeeded", json!({ "amount_received": 2000, "latest_charge": "ch_1" })),
        intent("processing", json!({ "amount": "2000" })),
        json!({ "id": PI }),
        json!("a string"),
    ] {
        assert_eq!(short(&World::new(vec![answer(200, &body)]).lookup(PI)), "unknown", "{body}");
    }
}

#[test]
fn order_amount_and_currency_are_handed_over_as_they_are() {
    let body = intent(
        "succeeded",
        json!({
            "amount": 1, "amount_received": 1, "currency": "isk", "metadata": { "souk_payment": PAY },
            "latest_charge": charge(1, 0),
        }),
    );
    // ISK 0.01 cannot be said in ours.
    assert_eq!(short(&World::new(vec![answer(200, &body)]).lookup(PI)), "unknown");
    let body =
        intent("processing", json!({ "amount": 50_000, "currency": "isk", "metadata": { "souk_payment": PAY } }));
    let told = World::new(vec![answer(200, &body)]).lookup(PI).expect("it is ours");
    assert_eq!((told.amount, told.order_id.as_str()), (Money::new(500, "ISK"), ""));
}

#[test]
fn every_failure_says_what_happened() {
    let card = |code: &str, decline_code: &str| {
        error(json!({ "type": "card_error", "code": code, "decline_code": decline_code, "message": "Your card…" }))
    };
    let missing = |param: &str| error(json!({ "code": "resource_missing", "param": param }));
    let html = json!("<html>");
    for (exchange, outcome) in [
        (answer(402, &card("card_declined", "generic_decline")), "refused card_declined"),
        (answer(402, &card("card_declined", "insufficient_funds")), "refused insufficient_funds"),
        (answer(402, &card("expired_card", "")), "refused expired_card"),
        (answer(402, &card("card_declined", "expired_card")), "refused expired_card"),
        (answer(402, &card("authentication_required", "")), "refused action_failed"),
        (answer(402, &card("card_declined", "authentication_required")), "refused action_failed"),
        (answer(400, &missing("payment_method")), "refused invalid_token"),
        (answer(404, &missing("payment_method")), "refused invalid_token"),
        (answer(404, &missing("customer")), "refused rejected"),
        (answer(400, &error(json!({ "code": "amount_too_small" }))), "refused rejected"),
        (answer(400, &error(json!({ "type": "idempotency_error" }))), "unknown"),
        (answer(401, &error(json!({}))), "not-sent"),
        (answer(403, &error(json!({}))), "not-sent"),
        (answer(429, &error(json!({ "code": "lock_timeout" }))), "not-sent"),
        (answer(409, &error(json!({ "code": "idempotency_key_in_use" }))), "unknown"),
        (answer(424, &error(json!({}))), "unknown"),
        (answer(500, &broken()), "unknown"),
        (answer(502, &html), "unknown"),
        // Somebody in between: nothing says that Stripe refused.
        (answer(400, &html), "unknown"),
        (answer(404, &html), "unknown"),
        (answer(302, &html), "unknown"),
        (answer(200, &html), "unknown"),
        (lost(), "unknown"),
        (Err(HttpOutError::NotSent("no route".to_owned())), "not-sent"),
        (Err(HttpOutError::NotGranted("no grant".to_owned())), "not-sent"),
        (Err(HttpOutError::Invalid("too long".to_owned())), "not-sent"),
    ] {
        let text = format!("{exchange:?}");
        let world = World::new(vec![exchange]);
        assert_eq!(short(&world.authorize(CapturePolicy::Automatic)), outcome, "{text}");
        assert_eq!(world.sent(), ["POST payment_intents PAY"]);
    }
}

#[test]
fn the_shopper_hears_the_bank_and_nobody_else() {
    let told = |body: &Value| match World::new(vec![answer(402, body)]).authorize(CapturePolicy::Automatic) {
        Err(ProviderError::Refused(why)) => why.message,
        other => panic!("{other:?}"),
    };
    let bank = json!({ "type": "card_error", "code": "card_declined", "message": "Your card was declined." });
    assert_eq!(told(&error(bank)), "Your card was declined.");
    let internal = json!({ "code": "parameter_unknown", "message": "Received unknown parameter: sk_live_secret" });
    assert_eq!(told(&error(internal)), "Stripe refused this: parameter_unknown.");
    assert_eq!(told(&error(json!({}))), "Stripe refused this.");
    let unapproved =
        json!({ "code": "payment_intent_authentication_failure", "message": "The provided PaymentMethod" });
    assert_eq!(told(&error(unapproved)), "The payment was not approved.");
}

#[test]
fn a_torn_answer_is_never_believed() {
    let body = taken(2_000, 0).to_string().into_bytes();
    for length in 0..body.len() {
        let torn = InResponse { status: 200, headers: Vec::new(), body: body[..length].to_vec() };
        assert_eq!(short(&World::new(vec![Ok(torn)]).lookup(PI)), "unknown", "{length} bytes");
    }
    law(2_000, |dice| {
        let mut bytes = body.clone();
        for _ in 0..=dice.below(3) {
            let at = usize::try_from(dice.below(bytes.len() as u64)).expect("an index fits");
            bytes[at] = *dice.pick(b"0123456789\"{}[],:atx\0");
        }
        let response = InResponse { status: 200, headers: Vec::new(), body: bytes };
        let refunds = answer(200, &page(&[], false));
        if let Ok(told) = World::new(vec![Ok(response), refunds]).lookup(PI) {
            assert_eq!(told.reference, PI);
        }
    });
}

#[test]
fn a_declined_card_is_a_state_of_its_object() {
    let declined = json!({ "last_payment_error":
        { "type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds", "message": "No money." } });
    let body = intent("requires_payment_method", declined);
    let failed = error(json!({ "type": "card_error", "code": "card_declined", "payment_intent": body }));
    let world = World::new(vec![answer(402, &failed), answer(200, &body)]);
    let told = world.authorize(CapturePolicy::Automatic).expect("the object was made");
    let ProviderState::Declined(why) = &told.state else { panic!("{told:?}") };
    assert_eq!((why.code.as_str(), why.message.as_str()), ("insufficient_funds", "No money."));
    assert_eq!(world.sent(), ["POST payment_intents PAY", "GET payment_intents/PI"]);
}

#[test]
fn refunds_that_stand_are_counted_and_nothing_else() {
    let failed = json!({ "status": "failed" });
    let canceled = json!({ "status": "canceled" });
    let pending = json!({ "status": "pending", "balance_transaction": null });
    let by_hand = json!({ "metadata": {} });
    let release = json!({ "metadata": {}, "balance_transaction": null });
    for (received, refunds, outcome) in [
        (2_000, vec![refund("re_1", 500, json!({}))], "authorized 2000 500"),
        (2_000, vec![refund("re_2", 700, pending.clone()), refund("re_1", 500, by_hand)], "authorized 2000 1200"),
        (2_000, vec![refund("re_2", 700, failed), refund("re_1", 500, canceled)], "authorized 2000 0"),
        // A capture of 15.00 lets go of 5.00, which Stripe lists like a refund.
        (1_500, vec![refund("re_1", 500, release.clone())], "authorized 1500 0"),
        (1_500, vec![refund("re_2", 500, json!({})), refund("re_1", 500, release.clone())], "authorized 1500 500"),
        (1_500, vec![refund("re_2", 500, pending), refund("re_1", 500, release)], "authorized 1500 500"),
        // More than was taken is told as it is: `payment` does not believe it.
        (2_000, vec![refund("re_1", 2_001, json!({}))], "authorized 2000 2001"),
    ] {
        let script = vec![answer(200, &taken(received, 1)), answer(200, &page(&refunds, false))];
        let world = World::new(script);
        assert_eq!(short(&world.lookup(PI)), outcome, "{refunds:?}");
        assert_eq!(world.sent(), ["GET payment_intents/PI", "GET refunds"]);
    }
}

#[test]
fn many_refunds_are_read_page_by_page_up_to_a_limit() {
    let first = page(&[refund("re_2", 100, json!({}))], true);
    let last = page(&[refund("re_1", 100, json!({}))], false);
    let world = World::new(vec![answer(200, &taken(2_000, 200)), answer(200, &first), answer(200, &last)]);
    assert_eq!(short(&world.lookup(PI)), "authorized 2000 200");
    assert!(world.sent.borrow()[2].url.contains("starting_after=re_2"));
    let endless = vec![answer(200, &taken(2_000, 200)), answer(200, &first), answer(200, &first), answer(200, &first)];
    assert_eq!(short(&World::new(endless).lookup(PI)), "unknown");
}
