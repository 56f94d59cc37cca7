//! Webhooks: whose signature is believed, and what they are about.

use serde_json::{Value, json};
use souk_kit::payment_extension::{Hook, HookError, News};
use souk_kit::testing::law;

use super::*;
use crate::hook;
use crate::signature::verify;

/// Made by Stripe's own library (Python, 16.1.0) over this body at `START`, under each secret.
const BODY: &str = r#"{"id":"evt_1","object":"event"}"#;
const NEW: &str = "acc43e3edcf1ee02ec44d5ccb60d186878734a28089cf564180bd1c0bdd36a79";
const OLD: &str = "146a5751b92ec9fd50121cc19743e6e00519dcb0f63ffbf5a624e1146e524fa6";
const STRANGER: &str = "39fd4825e87443ea22b8e4acf0a92f8613dffd8fd9677f380b0ce91519a8bd2c";
const SECRETS: &str = "whsec_new, whsec_old";

fn verdict(header: &str, body: &str, secrets: &str, now: i64) -> &'static str {
    let headers = [("host".to_owned(), "x".to_owned()), ("stripe-signature".to_owned(), header.to_owned())];
    match verify(&headers, body.as_bytes(), secrets, now) {
        Ok(()) => "genuine",
        Err(HookError::Forged(_)) => "forged",
        Err(HookError::Malformed(_)) => "malformed",
        Err(HookError::UnknownProvider | HookError::StorageFull | HookError::Unavailable(_)) => "unavailable",
    }
}

#[test]
fn a_signature_holds_under_any_secret_and_for_its_time() {
    let t = START / 1_000;
    for (header, expected) in [
        (format!("t={t},v1={NEW}"), "genuine"),
        (format!("t={t},v1={OLD}"), "genuine"),
        (format!("t={t},v1={STRANGER},v1={OLD},v0=6ffbb59b"), "genuine"),
        (format!("v1={NEW},t={t}"), "genuine"),
        (format!("t={t},v1={STRANGER}"), "forged"),
        (format!("t={t},v0={NEW}"), "forged"),
        (format!("t={t},v2={NEW}"), "forged"),
        (format!("t={t}"), "forged"),
        (format!("t={t},v1="), "forged"),
        (format!("t={t},v1={}", &NEW[..63]), "forged"),
        (format!("t={t},v1={NEW}0"), "forged"),
        (format!("t={t},v1={}", NEW.to_uppercase()), "forged"),
        (format!("t={t}, v1={NEW}"), "forged"),
        (format!("t={},v1={NEW}", t + 1), "forged"),
        (format!("v1={NEW}"), "malformed"),
        (format!("t=,v1={NEW}"), "malformed"),
        (format!("t=-{t},v1={NEW}"), "malformed"),
        (format!("t=99999999999999999999,v1={NEW}"), "malformed"),
        (String::new(), "malformed"),
        ("nonsense".to_owned(), "malformed"),
    ] {
        assert_eq!(verdict(&header, BODY, SECRETS, START), expected, "{header}");
    }
    let header = format!("t={t},v1={NEW}");
    assert_eq!(verdict(&header, "{}", SECRETS, START), "forged", "another body");
    assert_eq!(verdict(&header, &format!("{BODY}\n"), SECRETS, START), "forged", "one more byte");
    for (secrets, expected) in [
        ("whsec_new", "genuine"),
        ("whsec_old", "forged"),
        ("", "forged"),
        (" , ,", "forged"),
        ("a,whsec_new", "genuine"),
    ] {
        assert_eq!(verdict(&header, BODY, secrets, START), expected, "{secrets}");
    }
    for (later, expected) in [
        (300_000, "genuine"),
        (300_001, "forged"),
        (-60_000, "genuine"),
        (-60_001, "forged"),
        (i64::MIN / 2, "forged"),
        (i64::MAX / 2, "forged"),
    ] {
        assert_eq!(verdict(&header, BODY, SECRETS, START + later), expected, "{later} ms later");
    }
}

#[test]
fn nobody_without_a_secret_signs() {
    let header = format!("t={},v1={NEW}", START / 1_000);
    law(2_000, |dice| {
        let (mut header, mut body) = (header.clone().into_bytes(), BODY.as_bytes().to_vec());
        let forged = if dice.below(2) == 0 { &mut header } else { &mut body };
        let at = usize::try_from(dice.below(forged.len() as u64)).expect("an index fits");
        let before = forged[at];
        forged[at] = *dice.pick(b"0123456789abcdef,=tv ");
        let same = forged[at] == before;
        let (header, body) = (String::from_utf8_lossy(&header), String::from_utf8_lossy(&body));
        assert_eq!(verdict(&header, &body, SECRETS, START) == "genuine", same, "{header} {body}");
    });
}

#[test]
fn one_header_carries_the_signature() {
    let header = ("stripe-signature".to_owned(), format!("t={},v1={NEW}", START / 1_000));
    for headers in [vec![], vec![header.clone(), header]] {
        let verdict = verify(&headers, BODY.as_bytes(), SECRETS, START);
        assert!(matches!(verdict, Err(HookError::Malformed(_))), "{verdict:?}");
    }
}

fn event(kind: &str, object: Value) -> Value {
    json!({
        "id": "evt_1", "object": "event", "api_version": crate::wire::VERSION, "created": 1_767_225_600,
        "data": { "object": object }, "livemode": false, "pending_webhooks": 1, "request": null, "type": kind,
    })
}

fn about(event: &Value) -> Result<Option<News>, HookError> {
    hook::read(event.to_string().as_bytes(), false)
}

#[test]
fn an_event_names_the_object_that_changed() {
    let news = |key: Option<&str>| {
        Some(News { event_id: "evt_1".to_owned(), reference: PI.to_owned(), key: key.map(str::to_owned) })
    };
    let not_ours = json!({ "metadata": {} });
    let strange = json!({ "metadata": { "souk_payment": "1; drop" } });
    let mut live = event("payment_intent.succeeded", taken(2_000, 0));
    live["livemode"] = json!(true);
    for (event, expected) in [
        (event("payment_intent.succeeded", taken(2_000, 0)), news(Some(PAY))),
        (event("payment_intent.canceled", intent("canceled", json!({}))), news(Some(PAY))),
        (event("refund.created", refund("re_1", 500, json!({}))), news(Some(PAY))),
        (event("refund.failed", refund("re_1", 500, json!({ "status": "failed" }))), news(Some(PAY))),
        // Made by hand.
        (event("refund.created", refund("re_1", 500, json!({ "metadata": null }))), news(None)),
        (event("refund.created", refund("re_1", 500, json!({ "payment_intent": null }))), None),
        (event("payment_intent.succeeded", intent("succeeded", not_ours)), None),
        (event("payment_intent.succeeded", intent("succeeded", strange)), None),
        (event("payment_intent.created", intent("processing", json!({}))), None),
        (event("customer.created", json!({ "id": "cus_1", "object": "customer" })), None),
        (live, None),
    ] {
        assert_eq!(about(&event), Ok(expected), "{event}");
    }
}

#[test]
fn what_is_signed_and_not_understood_is_malformed() {
    let mut nameless = event("payment_intent.succeeded", taken(2_000, 0));
    nameless["id"] = json!("");
    for event in [
        json!([]),
        json!({ "id": "evt_1" }),
        nameless,
        event("payment_intent.succeeded", json!({ "id": "cus_1", "object": "customer" })),
        event("payment_intent.succeeded", json!({ "object": "payment_intent" })),
        event("refund.created", refund("re_1", 500, json!({ "payment_intent": "pi_1/../x" }))),
        event("refund.created", refund("re_1", 500, json!({ "payment_intent": { "id": PI } }))),
    ] {
        assert!(matches!(about(&event), Err(HookError::Malformed(_))), "{event}");
    }
}

#[test]
fn the_signature_comes_first() {
    let world = World::new(Vec::new());
    let hook = |body: &str| Hook {
        headers: vec![("stripe-signature".to_owned(), format!("t={},v1={NEW}", START / 1_000))],
        body: body.as_bytes().to_vec(),
    };
    let read = |body: &str| service::read_hook(&world, &world.call(), &hook(body));
    assert!(matches!(read("not even JSON"), Err(HookError::Forged(_))));
    assert!(matches!(read(BODY), Err(HookError::Malformed(_))), "genuine, and no event");
    world.ports.configure("stripe_secret_key", "");
    assert!(matches!(read(BODY), Err(HookError::Unavailable(_))));
}
