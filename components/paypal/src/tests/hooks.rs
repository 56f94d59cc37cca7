//! Webhooks: what PayPal is asked about, and what they are about.

use souk_kit::payment_extension::{Hook, HookError, News};

use super::*;
use crate::hook::{FUTURE_MAX_MS, PAST_MAX_MS};

const TIME: &str = "2026-01-01T00:00:00Z";

fn headers(time: &str, cert: &str) -> Vec<(String, String)> {
    let header = |name: &str, value: &str| (format!("paypal-{name}"), value.to_owned());
    vec![
        ("host".to_owned(), "shop.example".to_owned()),
        header("auth-algo", "SHA256withRSA"),
        header("cert-url", cert),
        header("transmission-id", "69cd13f0-d67a-11e5-baa3-778b53f4ae55"),
        header("transmission-sig", "lmI95Jx3Y9nhR5SJWlHVIWpg4AgFk7n9bCHSRxbrd8A9zrhdu2rMyFrmz"),
        header("transmission-time", time),
    ]
}

const CERT: &str = "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77";

/// Where a refund says that its capture is.
const UP: &str = "https://api.paypal.com/v2/payments/captures/2GG279541U471931P";

fn event(kind: &str, resource: &Value) -> String {
    json!({ "id": "WH-58D329510W468432D", "event_type": kind, "resource": resource }).to_string()
}

/// A capture as an event shows it.
fn captured() -> Value {
    json!({
        "id": CAPTURE, "status": "COMPLETED", "invoice_id": PAY, "custom_id": ORD,
        "supplementary_data": { "related_ids": { "order_id": ID } },
    })
}

fn read(world: &World, headers: Vec<(String, String)>, body: &str) -> Result<Option<News>, &'static str> {
    let hook = Hook { headers, body: body.as_bytes().to_vec() };
    service::read_hook(world, &world.call(), &hook).map_err(|error| match error {
        HookError::Forged(_) => "forged",
        HookError::Malformed(_) => "malformed",
        HookError::UnknownProvider => "unknown",
        HookError::StorageFull | HookError::Unavailable(_) => "unavailable",
    })
}

fn verdict(status: &str) -> Exchange {
    answer(200, &json!({ "verification_status": status }))
}

fn world_at_that_time(script: Vec<Exchange>, later: i64) -> World {
    let world = World::new(script);
    let at = crate::domain::instant(TIME).expect("it is a time");
    world.ports.advance(at + later - world.ports.now());
    world
}

#[test]
fn paypal_is_asked_about_the_event_as_it_came_under_each_registration() {
    let body = format!(" {} ", event("PAYMENT.CAPTURE.COMPLETED", &captured()));
    let news =
        News { event_id: "WH-58D329510W468432D".to_owned(), reference: ID.to_owned(), key: Some(PAY.to_owned()) };
    for (verdicts, outcome) in [
        (vec!["SUCCESS"], Ok(Some(news.clone()))),
        (vec!["FAILURE", "SUCCESS"], Ok(Some(news))),
        (vec!["FAILURE", "FAILURE"], Err("forged")),
    ] {
        let world = world_at_that_time(verdicts.iter().map(|status| verdict(status)).collect(), 0);
        assert_eq!(read(&world, headers(TIME, CERT), &body), outcome);
        assert_eq!(world.sent().len(), verdicts.len());
        let sent = world.sent.borrow();
        assert!(
            String::from_utf8_lossy(&sent[0].body).contains(&format!("\"webhook_event\":{body}}}")),
            "byte by byte"
        );
        assert!(sent[0].url.ends_with("/v1/notifications/verify-webhook-signature"));
        let asked: Value = serde_json::from_slice(&sent[sent.len() - 1].body).expect("it is JSON");
        assert_eq!(asked["webhook_id"], ["WH-NEW", "WH-OLD"][verdicts.len() - 1]);
        assert_eq!((&asked["transmission_time"], &asked["cert_url"]), (&json!(TIME), &json!(CERT)));
    }
}

#[test]
fn what_need_not_be_asked_about_is_not() {
    let body = event("PAYMENT.CAPTURE.COMPLETED", &captured());
    for (later, cert, outcome) in [
        (PAST_MAX_MS + 1, CERT, "forged"),
        (-FUTURE_MAX_MS - 1, CERT, "forged"),
        (0, "http://api.paypal.com/cert", "forged"),
        (0, "https://api.paypal.com.evil.example/cert", "forged"),
        (0, "https://evilpaypal.com/cert", "forged"),
        (0, "", "malformed"),
    ] {
        let world = world_at_that_time(Vec::new(), later);
        assert_eq!(read(&world, headers(TIME, cert), &body), Err(outcome), "{later} {cert}");
    }
    let world = world_at_that_time(Vec::new(), 0);
    for time in ["", "yesterday", "2026-01-01"] {
        assert_eq!(read(&world, headers(time, CERT), &body), Err("malformed"), "{time}");
    }
    for missing in 1..6 {
        let mut headers = headers(TIME, CERT);
        headers.remove(missing);
        assert_eq!(read(&world, headers, &body), Err("malformed"), "without header {missing}");
    }
    for body in ["", "{}", "nonsense", &format!("{body}}}"), &format!("{body},\"webhook_id\":\"X\"")] {
        assert_eq!(read(&world, headers(TIME, CERT), body), Err("malformed"), "{body}");
    }
    world.ports.configure("paypal_webhook_ids", "");
    assert_eq!(read(&world, headers(TIME, CERT), &body), Err("forged"), "nobody can tell");
}

#[test]
fn a_webhook_names_the_order_that_changed() {
    let none = |kind: &str, resource: Value| (event(kind, &resource), None);
    let some = |kind: &str, resource: Value, key: Option<&str>| {
        (event(kind, &resource), Some((ID.to_owned(), key.map(str::to_owned))))
    };
    let related = json!({ "related_ids": { "order_id": ID } });
    for (body, expected) in [
        some("CHECKOUT.ORDER.APPROVED", json!({ "id": ID, "status": "APPROVED" }), None),
        some("PAYMENT.CAPTURE.COMPLETED", captured(), Some(PAY)),
        some("PAYMENT.AUTHORIZATION.VOIDED", json!({ "id": AUTH, "supplementary_data": related }), None),
        some("PAYMENT.CAPTURE.REFUNDED", json!({ "id": "R", "invoice_id": CMD, "supplementary_data": related }), None),
        none("PAYMENT.CAPTURE.REFUNDED", json!({ "id": "R", "invoice_id": CMD })),
        none("PAYMENT.CAPTURE.REFUNDED", json!({ "id": "R", "links": [{ "rel": "self", "href": UP }] })),
        none("CUSTOMER.DISPUTE.CREATED", json!({ "dispute_id": "PP-D-27803" })),
    ] {
        let world = world_at_that_time(vec![verdict("SUCCESS")], 0);
        let news = read(&world, headers(TIME, CERT), &body).expect("it is genuine");
        assert_eq!(news.map(|news| (news.reference, news.key)), expected, "{body}");
    }
}

/// Refunds that were made by hand come so: <https://developer.paypal.com/docs/api/payments/v2/#captures_refund>.
#[test]
fn a_refund_names_its_capture_and_that_names_the_order() {
    let body = event("PAYMENT.CAPTURE.REFUNDED", &json!({ "id": "R", "links": [{ "rel": "up", "href": UP }] }));
    let mut capture = captured();
    capture["amount"] = amount("12.50");
    let mut stray = capture.clone();
    stray["supplementary_data"] = json!({});
    let missing = answer(404, &json!({ "name": "RESOURCE_NOT_FOUND" }));
    for (reply, expected) in [
        (answer(200, &capture), Ok(Some(ID.to_owned()))),
        (answer(200, &stray), Ok(None)),
        (missing, Ok(None)),
        (answer(500, &json!({})), Err("unavailable")),
        (lost(), Err("unavailable")),
    ] {
        let world = world_at_that_time(vec![verdict("SUCCESS"), reply], 0);
        let news = read(&world, headers(TIME, CERT), &body);
        assert_eq!(news.map(|news| news.map(|news| news.reference)), expected);
        assert_eq!(world.sent()[1..], ["GET v2/payments/captures/CAPTURE"]);
    }
    let evil = event("PAYMENT.CAPTURE.REFUNDED", &json!({ "links": [{ "rel": "up", "href": format!("{UP}/../x") }] }));
    assert_eq!(read(&world_at_that_time(Vec::new(), 0), headers(TIME, CERT), &evil), Err("malformed"));
}

#[test]
fn a_question_without_an_answer_leaves_the_webhook_for_later() {
    let body = event("PAYMENT.CAPTURE.COMPLETED", &captured());
    for reply in [lost(), answer(500, &json!({})), answer(401, &json!({}))] {
        let world = world_at_that_time(vec![reply], 0);
        assert_eq!(read(&world, headers(TIME, CERT), &body), Err("unavailable"));
    }
}
