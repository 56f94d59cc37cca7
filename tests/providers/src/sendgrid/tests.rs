//! The state machine as tables: what is asked, and what is told, sent and made.

use p256::ecdsa::signature::Verifier;

use super::*;
use crate::hooks::Forgery;

const NOW: i64 = 1_790_000_000_000;

fn account() -> SendGrid {
    SendGrid::new("SG.key", "", 7)
}

fn mail(to: &str) -> Value {
    json!({"personalizations": [{"to": [{"email": to}], "custom_args": {"order": "ord_1"}}],
        "from": {"email": "shop@example.com", "name": "Shop"}, "subject": "Your order",
        "content": [{"type": "text/plain", "value": "Thank you."}], "categories": ["order"]})
}

fn ask(sendgrid: &mut SendGrid, now: i64, body: &Value, fault: Option<Fault>) -> Option<Response> {
    let body = body.to_string();
    let request = Request { method: "POST", path: "/v3/mail/send", body: &body, authorization: Some("Bearer SG.key") };
    sendgrid.handle(now, &request, fault)
}

fn sent(sendgrid: &SendGrid) -> usize {
    sendgrid.objects()["messages"].as_array().expect("a list").len()
}

/// What happened to each copy, as `name address`.
fn happened(sendgrid: &mut SendGrid) -> Vec<String> {
    let text = |event: &Value, name: &str| event[name].as_str().expect("a text").to_owned();
    let batches = sendgrid.take_events();
    let events = batches.iter().flat_map(|batch| batch["events"].as_array().expect("a list"));
    events.map(|event| format!("{} {}", text(event, "event"), text(event, "email"))).collect()
}

#[test]
fn what_is_wrong_is_refused_by_field() {
    let with = |pointer: &str, value: Value| {
        let mut body = mail("ann@example.com");
        *body.pointer_mut(pointer).expect("it is there") = value;
        body
    };
    let many = |count: usize| (0..count).map(|n| json!({"email": format!("{n}@example.com")})).collect::<Value>();
    let rows = [
        (with("/from", json!({"email": "shop"})), "from.email"),
        (with("/subject", json!("")), "subject"),
        (with("/content", json!([])), "content"),
        (with("/content/0/value", json!("")), "content.0.value"),
        (with("/personalizations", json!([])), "personalizations"),
        (with("/personalizations/0/to", json!([])), "personalizations.0.to"),
        (with("/personalizations/0/to/0/email", json!("ann")), "personalizations.0.to.0.email"),
        (with("/personalizations/0/to", many(1_001)), "personalizations"),
        (with("/personalizations/0/custom_args", json!({"a": "b".repeat(10_000)})), "personalizations.0.custom_args"),
        (
            with("/personalizations/0", json!({"to": [{"email": "a@b.c"}], "cc": [{"email": "A@b.c"}]})),
            "personalizations.0",
        ),
        (with("/categories", json!(vec!["a"; 11])), "categories categories"),
        // SendGrid does not say what is wrong with types.
        (with("/personalizations/0/custom_args", json!({"n": 1})), ""),
        (json!([]), ""),
    ];
    for (body, fields) in rows {
        let mut sendgrid = account();
        let told = ask(&mut sendgrid, NOW, &body, None).expect("no reply is lost");
        let errors = told.body["errors"].as_array().expect("a list");
        let mut named: Vec<&str> = errors.iter().map(|error| error["field"].as_str().unwrap_or_default()).collect();
        named.sort_unstable();
        assert_eq!((told.status, named.join(" ").as_str(), sent(&sendgrid)), (400, fields, 0), "{body}");
    }
    let told = ask(&mut account(), NOW, &with("/personalizations/0/to", many(1_000)), None).expect("no reply is lost");
    assert_eq!(told.status, 202);
}

#[test]
fn a_stranger_and_another_path_are_refused() {
    let body = mail("ann@example.com").to_string();
    for (method, path, authorization, status) in [
        ("POST", "/v3/mail/send", None, 401),
        ("POST", "/v3/mail/send", Some("Bearer SG.other"), 401),
        ("GET", "/v3/mail/send", Some("Bearer SG.key"), 405),
        ("POST", "/v3/mail/batch", Some("Bearer SG.key"), 404),
        ("POST", "/v3/mail/send", Some("Bearer SG.key"), 202),
    ] {
        let request = Request { method, path, body: &body, authorization };
        let told = account().handle(NOW, &request, None).expect("no reply is lost");
        assert_eq!(told.status, status, "{method} {path} {authorization:?}");
    }
}

#[test]
fn a_repeat_after_a_lost_reply_sends_twice() {
    for (fault, told, mails) in [
        (Fault::LostBefore, None, 1),
        (Fault::LostAfter, None, 2),
        (Fault::ErrorBefore, Some(500), 1),
        (Fault::ErrorAfter, Some(500), 2),
        (Fault::RateLimited, Some(429), 1),
        (Fault::KeyInUse, Some(500), 1),
    ] {
        let mut sendgrid = account();
        let first = ask(&mut sendgrid, NOW, &mail("ann@example.com"), Some(fault));
        assert_eq!(first.map(|first| first.status), told, "{fault:?}");
        let second = ask(&mut sendgrid, NOW, &mail("ann@example.com"), None).expect("no reply is lost");
        assert_eq!((second.status, sent(&sendgrid)), (202, mails), "{fault:?}");
        assert_eq!(happened(&mut sendgrid).len(), mails, "{fault:?}");
    }
}

#[test]
fn the_name_of_a_recipient_decides_what_becomes_of_a_copy() {
    for (name, wanted) in [
        ("ann", "processed delivered"),
        ("open", "processed delivered open"),
        ("deferred", "processed deferred delivered"),
        ("bounce", "processed bounce"),
    ] {
        let mut sendgrid = account();
        let email = format!("{name}@example.com");
        ask(&mut sendgrid, NOW, &mail(&email), None);
        sendgrid.advance(NOW + 3_600_000);
        let told: Vec<String> =
            happened(&mut sendgrid).iter().map(|line| line.replace(&format!(" {email}"), "")).collect();
        assert_eq!(told.join(" "), wanted);
        ask(&mut sendgrid, NOW + 3_600_000, &mail(&email), None);
        let again = if name == "bounce" { "dropped" } else { "processed" };
        assert_eq!(happened(&mut sendgrid), [format!("{again} {email}")]);
    }
}

#[test]
fn an_event_carries_what_the_sender_gave_and_cannot_be_disguised() {
    let mut body = mail("ann@example.com");
    body["custom_args"] = json!({"event": "delivered", "order": "ord_0", "shop": "1"});
    let mut sendgrid = account();
    let told = ask(&mut sendgrid, NOW, &body, None).expect("no reply is lost");
    let event = sendgrid.take_events()[0]["events"][0].clone();
    let id = &told.headers[0].1;
    assert!(event["sg_message_id"].as_str().is_some_and(|message| message.starts_with(&format!("{id}."))), "{event}");
    let wanted =
        json!({"event": "processed", "order": "ord_1", "shop": "1", "category": ["order"], "timestamp": NOW / 1_000});
    for (name, value) in wanted.as_object().expect("an object") {
        assert_eq!(&event[name], value, "{name}");
    }
}

#[test]
fn signatures_hold_under_the_public_key_and_forgeries_do_not() {
    let event = json!({"id": "1", "type": "batch", "events": [{"event": "processed"}]});
    for (forgery, holds, age) in [
        (None, true, 0),
        (Some(Forgery::Secret), false, 0),
        (Some(Forgery::Body), false, 0),
        (Some(Forgery::Stale), true, signature::STALE_SECONDS),
    ] {
        let delivery = Delivery { event: event.clone(), forgery, attempts: 0 };
        let sent = signature::webhook(&delivery, "secret", NOW);
        assert_eq!(sent, signature::webhook(&delivery, "secret", NOW));
        let [(_, signature), (_, timestamp)] = &sent.headers[..] else { panic!("two headers") };
        assert_eq!(timestamp.parse(), Ok(NOW / 1_000 - age));
        let signed = [timestamp.as_bytes(), &sent.body].concat();
        assert_eq!(verify(&signature::public_key("secret"), &signed, signature), holds, "{forgery:?}");
    }
}

fn verify(public_key: &str, signed: &[u8], signature: &str) -> bool {
    use base64::{Engine, prelude::BASE64_STANDARD};
    use p256::pkcs8::DecodePublicKey;
    let bytes = |text| BASE64_STANDARD.decode(text).expect("base64");
    let key = p256::ecdsa::VerifyingKey::from_public_key_der(&bytes(public_key)).expect("a key");
    let signature = p256::ecdsa::Signature::from_der(&bytes(signature)).expect("a signature");
    key.verify(signed, &signature).is_ok()
}
