//! How answers are read: every state, what is not ours, and every way to fail.

use souk_kit::testing::law;

use super::*;

#[test]
fn every_state_of_an_order_has_its_meaning() {
    let held = |status: &str| json!({ "authorizations": [authorization(status)] });
    let taken = |status: &str| json!({ "captures": [capture(status, "20.00", PAY)] });
    let page = format!("{PAGE} 0 0");
    for (status, payments, outcome) in [
        ("CREATED", json!({}), page.as_str()),
        ("SAVED", json!({}), page.as_str()),
        ("PAYER_ACTION_REQUIRED", json!({}), page.as_str()),
        ("VOIDED", json!({}), "voided 0 0"),
        ("COMPLETED", json!({}), "unknown"),
        ("SOMETHING_NEW", json!({}), "unknown"),
        ("COMPLETED", held("CREATED"), "authorized 0 0"),
        ("COMPLETED", held("CAPTURED"), "authorized 0 0"),
        ("COMPLETED", held("PENDING"), "processing 0 0"),
        ("COMPLETED", held("DENIED"), "card_declined 0 0"),
        ("COMPLETED", held("VOIDED"), "voided 0 0"),
        ("COMPLETED", held("EXPIRED"), "voided 0 0"),
        ("COMPLETED", held("SOMETHING_NEW"), "unknown"),
        ("COMPLETED", taken("COMPLETED"), "authorized 2000 0"),
        ("COMPLETED", taken("PARTIALLY_REFUNDED"), "authorized 2000 0"),
        ("COMPLETED", taken("REFUNDED"), "authorized 2000 0"),
        ("COMPLETED", taken("PENDING"), "processing 0 0"),
        ("COMPLETED", taken("DECLINED"), "card_declined 0 0"),
        ("COMPLETED", taken("FAILED"), "card_declined 0 0"),
    ] {
        let world = World::new(vec![answer(200, &order(status, payments.clone()))]);
        assert_eq!(short(&world.lookup()), outcome, "{status} {payments}");
    }
}

#[test]
fn a_refund_counts_until_it_has_failed() {
    for (status, outcome) in [
        ("COMPLETED", "authorized 2000 500"),
        ("PENDING", "authorized 2000 500"),
        ("FAILED", "authorized 2000 0"),
        ("CANCELLED", "authorized 2000 0"),
    ] {
        let payments = json!({
            "captures": [capture("COMPLETED", "20.00", PAY)], "refunds": [refund(status, "5.00")],
        });
        let world = World::new(vec![answer(200, &order("COMPLETED", payments))]);
        assert_eq!(short(&world.lookup()), outcome, "{status}");
    }
}

#[test]
fn an_order_that_is_not_ours_is_not_believed() {
    let mut other_payment = taken();
    other_payment["purchase_units"][0]["invoice_id"] = json!("pay_00000000000000000000000000000002");
    let mut other_order = taken();
    other_order["id"] = json!("OTHER");
    let mut two = taken();
    let unit = two["purchase_units"][0].clone();
    two["purchase_units"].as_array_mut().expect("it is a list").push(unit);
    let mut no_amount = taken();
    no_amount["purchase_units"][0]["amount"]["value"] = json!("20.001");
    for wrong in [other_payment, other_order, two, no_amount, json!({}), json!([])] {
        let world = World::new(vec![answer(200, &wrong)]);
        assert_eq!(short(&world.lookup()), "unknown", "{wrong}");
    }
}

#[test]
fn a_failure_says_whether_anything_was_done() {
    let body = trouble("X", "Y");
    for (reply, outcome) in [
        (answer(404, &trouble("RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID")), "not-found"),
        (answer(404, &json!({})), "unknown"),
        (answer(400, &body), "refused rejected"),
        (answer(422, &body), "refused rejected"),
        (answer(422, &trouble("UNPROCESSABLE_ENTITY", "TRANSACTION_REFUSED")), "refused card_declined"),
        (answer(401, &body), "not-sent"),
        (answer(403, &body), "not-sent"),
        (answer(429, &body), "not-sent"),
        (answer(409, &body), "unknown"),
        (answer(500, &body), "unknown"),
        (answer(503, &json!({})), "unknown"),
        (answer(200, &json!("nonsense")), "unknown"),
        (lost(), "unknown"),
        (Err(HttpOutError::NotSent("refused".to_owned())), "not-sent"),
        (Err(HttpOutError::NotGranted("no".to_owned())), "not-sent"),
    ] {
        let shown = format!("{reply:?}");
        let world = World::new(vec![reply]);
        assert_eq!(short(&world.authorize(CapturePolicy::Automatic)), outcome, "{shown}");
    }
}

#[test]
fn a_torn_answer_is_never_believed() {
    let whole = taken().to_string();
    law(500, |dice| {
        let end = dice.below(whole.len() as u64);
        let torn = whole.as_bytes()[..usize::try_from(end).expect("it is a length")].to_vec();
        let world = World::new(vec![Ok(InResponse { status: 200, headers: Vec::new(), body: torn })]);
        assert_eq!(short(&world.lookup()), "unknown");
    });
}
