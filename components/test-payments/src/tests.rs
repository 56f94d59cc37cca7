//! Tables of tokens and commands, the provider's promises as laws, and the page.

use souk_kit::http::Request;
use souk_kit::payment_extension::{
    CapturePolicy, ProviderAuthorization, ProviderError, ProviderPayment, ProviderState,
};
use souk_kit::ports::Call;
use souk_kit::sql::SqlError;
use souk_kit::testing::{Fault, TestPorts, law};
use souk_kit::types::{Actor, Id, Money};

use crate::domain::{self, Kind, PAGE, TOKENS};
use crate::service::{self, Wish};
use crate::{page, store};

const KEY: &str = "pay_00000000000000000000000000000001";

fn ports() -> TestPorts {
    TestPorts::new("test-payments", &[include_str!("../migrations/0001_objects.sql")])
}

fn call(ports: &TestPorts) -> Call {
    ports.call(Actor::Guest)
}

fn asked(token: &str, capture: CapturePolicy) -> ProviderAuthorization {
    ProviderAuthorization {
        key: KEY.to_owned(),
        order_id: "ord_00000000000000000000000000000001".to_owned(),
        amount: Money::new(1999, "USD"),
        token: token.to_owned(),
        return_url: "/checkout/return?a=1&b=2".to_owned(),
        capture,
        asked_at: 0,
    }
}

fn authorize(ports: &TestPorts, token: &str, capture: CapturePolicy) -> Result<ProviderPayment, ProviderError> {
    service::authorize(ports, &call(ports), &asked(token, capture))
}

fn lookup(ports: &TestPorts) -> Result<ProviderPayment, ProviderError> {
    service::lookup(ports, &call(ports), &KEY.to_owned())
}

fn command(ports: &TestPorts, id: &str, kind: Kind, amount: i64) -> Result<ProviderPayment, ProviderError> {
    let amount = (kind != Kind::Void).then(|| Money::new(amount, "USD"));
    service::command(ports, &call(ports), &Wish { key: KEY.to_owned(), command_id: id.to_owned(), kind, amount })
}

fn show(answer: &Result<ProviderPayment, ProviderError>) -> String {
    match answer {
        Ok(told) => {
            let state = match &told.state {
                ProviderState::Processing => "processing".to_owned(),
                ProviderState::RequiresAction(_) => "action".to_owned(),
                ProviderState::Authorized => "authorized".to_owned(),
                ProviderState::Declined(why) => why.code.clone(),
                ProviderState::Voided => "voided".to_owned(),
            };
            format!("{state} {} {}", told.captured, told.refunded)
        }
        Err(ProviderError::NotFound) => "not found".to_owned(),
        Err(ProviderError::Refused(why)) => format!("refused {}", why.code),
        Err(ProviderError::UnknownProvider) => "unknown provider".to_owned(),
        Err(ProviderError::NotSent(_)) => "not sent".to_owned(),
        Err(ProviderError::Unknown(_)) => "unknown".to_owned(),
        Err(ProviderError::Unavailable(_)) => "unavailable".to_owned(),
    }
}

fn rows<const N: usize>(table: &str) -> impl Iterator<Item = [&str; N]> {
    table.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        cells.try_into().unwrap_or_else(|cells| panic!("{N} cells: {cells:?}"))
    })
}

#[test]
fn every_token_does_what_it_says() {
    let mut seen = 0;
    // token | first answer | lookup at once | a repeat | lookup after the delay
    for [token, first, found, again, later] in rows::<5>(
        "
        tok_success            | authorized 0 0         | authorized 0 0         | authorized 0 0         | authorized 0 0
        tok_declined           | card_declined 0 0      | card_declined 0 0      | card_declined 0 0      | card_declined 0 0
        tok_insufficient_funds | insufficient_funds 0 0 | insufficient_funds 0 0 | insufficient_funds 0 0 | insufficient_funds 0 0
        tok_expired            | expired_card 0 0       | expired_card 0 0       | expired_card 0 0       | expired_card 0 0
        tok_action             | action 0 0             | action 0 0             | action 0 0             | action 0 0
        tok_timeout_after      | unknown                | authorized 0 0         | authorized 0 0         | authorized 0 0
        tok_timeout_before     | unknown                | not found              | authorized 0 0         | authorized 0 0
        tok_delayed            | processing 0 0         | processing 0 0         | processing 0 0         | authorized 0 0
        tok_delayed_declined   | processing 0 0         | processing 0 0         | processing 0 0         | card_declined 0 0
        tok_unheard            | processing 0 0         | processing 0 0         | processing 0 0         | authorized 0 0
        tok_capture_refused    | authorized 0 0         | authorized 0 0         | authorized 0 0         | authorized 0 0
        tok_refund_refused     | authorized 0 0         | authorized 0 0         | authorized 0 0         | authorized 0 0
        tok_refund_timeout     | authorized 0 0         | authorized 0 0         | authorized 0 0         | authorized 0 0
        tok_of_another_company | invalid_token 0 0      | invalid_token 0 0      | invalid_token 0 0      | invalid_token 0 0
    ",
    ) {
        for policy in [CapturePolicy::Manual, CapturePolicy::Automatic] {
            let ports = ports();
            let taken = |text: &str| match policy {
                CapturePolicy::Manual => text.to_owned(),
                CapturePolicy::Automatic => text.replace("authorized 0", "authorized 1999"),
            };
            assert_eq!(show(&authorize(&ports, token, policy)), taken(first), "{token}");
            assert_eq!(show(&lookup(&ports)), taken(found), "{token}");
            assert_eq!(show(&authorize(&ports, token, policy)), taken(again), "{token}");
            ports.advance(2_000);
            assert_eq!(show(&lookup(&ports)), taken(later), "{token}");
        }
        seen += usize::from(TOKENS.iter().any(|known| known.name == token));
    }
    assert_eq!(seen, TOKENS.len(), "every token has its row");
}

#[test]
fn every_state_meets_every_command() {
    // token | policy | commands, each `kind amount` | answers
    for [token, policy, commands, answers] in rows::<4>(
        "
        tok_success         | manual    | capture 1999                | authorized 1999 0
        tok_success         | manual    | capture 2000                | refused rejected
        tok_success         | manual    | capture 0                   | refused rejected
        tok_success         | manual    | capture 1000, capture 1000  | authorized 1000 0, refused rejected
        tok_success         | manual    | refund 1                    | refused rejected
        tok_success         | manual    | void                        | voided 0 0
        tok_success         | manual    | void, void                  | voided 0 0, voided 0 0
        tok_success         | manual    | void, capture 1             | voided 0 0, refused rejected
        tok_success         | manual    | void, refund 1              | voided 0 0, refused rejected
        tok_success         | manual    | capture 1, void             | authorized 1 0, refused rejected
        tok_success         | automatic | refund 1999                 | authorized 1999 1999
        tok_success         | automatic | refund 2000                 | refused rejected
        tok_success         | automatic | refund 1500, refund 500     | authorized 1999 1500, refused rejected
        tok_success         | automatic | capture 1                   | refused rejected
        tok_success         | automatic | void                        | refused rejected
        tok_declined        | manual    | capture 1                   | refused rejected
        tok_declined        | manual    | refund 1                    | refused rejected
        tok_declined        | manual    | void                        | refused rejected
        tok_action          | manual    | capture 1                   | refused rejected
        tok_action          | manual    | refund 1                    | refused rejected
        tok_action          | manual    | void                        | voided 0 0
        tok_delayed         | manual    | capture 1                   | refused rejected
        tok_delayed         | manual    | refund 1                    | refused rejected
        tok_delayed         | manual    | void                        | voided 0 0
        tok_capture_refused | manual    | capture 1                   | refused rejected
        tok_capture_refused | manual    | void                        | voided 0 0
        tok_refund_refused  | automatic | refund 1                    | refused rejected
        tok_refund_timeout  | automatic | refund 1                    | unknown
    ",
    ) {
        let ports = ports();
        let policy = if policy == "manual" { CapturePolicy::Manual } else { CapturePolicy::Automatic };
        authorize(&ports, token, policy).expect("it answers");
        let answered: Vec<String> = commands
            .split(", ")
            .enumerate()
            .map(|(place, text)| {
                let mut words = text.split(' ');
                let kind = match words.next() {
                    Some("capture") => Kind::Capture,
                    Some("void") => Kind::Void,
                    Some("refund") => Kind::Refund,
                    other => panic!("no command {other:?}"),
                };
                let amount = words.next().map_or(0, |word| word.parse().expect("a number"));
                show(&command(&ports, &format!("cmd_{place}"), kind, amount))
            })
            .collect();
        assert_eq!(answered.join(", "), answers, "{token} | {commands}");
    }
}

#[test]
fn a_payment_that_only_a_webhook_tells_of_says_nothing_by_itself() {
    let ports = ports();
    authorize(&ports, "tok_unheard", CapturePolicy::Manual).expect("it answers");
    ports.advance(2_000);
    assert!(ports.take_due_events().is_empty());
}

#[test]
fn a_delayed_payment_can_be_captured_once_its_time_has_come() {
    let ports = ports();
    authorize(&ports, "tok_delayed", CapturePolicy::Manual).expect("it answers");
    assert!(ports.take_due_events().is_empty(), "nothing is told before its time");
    ports.advance(2_000);
    let events = ports.take_due_events();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].topic.as_str(), events[0].key.as_str()), ("payment-provider.changed", KEY));
    assert_eq!(events[0].payload, format!(r#"{{"payment_id":"{KEY}","provider":"test"}}"#));
    assert_eq!(show(&command(&ports, "cmd_1", Kind::Capture, 5)), "authorized 5 0");
    assert_eq!(show(&lookup(&ports)), "authorized 5 0");
}

#[test]
fn what_was_told_is_not_taken_back_by_a_host_whose_clock_is_behind() {
    let ports = ports();
    authorize(&ports, "tok_delayed", CapturePolicy::Automatic).expect("it answers");
    let behind = call(&ports);
    ports.advance(2_000);
    assert_eq!(show(&lookup(&ports)), "authorized 1999 0");
    assert_eq!(show(&service::lookup(&ports, &behind, &KEY.to_owned())), "authorized 1999 0");
    let void = Wish { key: KEY.to_owned(), command_id: "cmd_1".to_owned(), kind: Kind::Void, amount: None };
    assert_eq!(show(&service::command(&ports, &behind, &void)), "refused rejected");
    assert_eq!(ports.take_due_events().len(), 1, "it is told once");
}

#[test]
fn a_refund_whose_answer_is_lost_happens_once() {
    let ports = ports();
    authorize(&ports, "tok_refund_timeout", CapturePolicy::Automatic).expect("it answers");
    assert_eq!(show(&command(&ports, "cmd_1", Kind::Refund, 100)), "unknown");
    assert_eq!(show(&lookup(&ports)), "authorized 1999 100");
    assert_eq!(show(&command(&ports, "cmd_1", Kind::Refund, 100)), "authorized 1999 100");
}

#[test]
fn keys_and_command_ids_are_not_used_for_anything_else() {
    let ports = ports();
    authorize(&ports, "tok_success", CapturePolicy::Manual).expect("it answers");
    let mut other = asked("tok_success", CapturePolicy::Manual);
    other.amount.minor = 1;
    assert_eq!(show(&service::authorize(&ports, &call(&ports), &other)), "refused rejected");
    command(&ports, "cmd_1", Kind::Capture, 10).expect("a capture");
    assert_eq!(show(&command(&ports, "cmd_1", Kind::Capture, 11)), "refused rejected");
    assert_eq!(show(&command(&ports, "cmd_1", Kind::Refund, 10)), "refused rejected");
    let euros = Wish {
        key: KEY.to_owned(),
        command_id: "cmd_2".to_owned(),
        kind: Kind::Capture,
        amount: Some(Money::new(10, "EUR")),
    };
    assert_eq!(show(&service::command(&ports, &call(&ports), &euros)), "refused rejected");
    let stranger = Wish { key: "pay_none".to_owned(), ..euros };
    assert_eq!(show(&service::command(&ports, &call(&ports), &stranger)), "not found");
    assert_eq!(show(&lookup(&ports)), "authorized 10 0");
}

#[test]
fn a_decision_about_an_object_that_has_changed_is_not_written() {
    let ports = ports();
    authorize(&ports, "tok_success", CapturePolicy::Manual).expect("it answers");
    let stale = store::load(&ports, &KEY.to_owned()).expect("it reads").0.expect("it is there");
    command(&ports, "cmd_1", Kind::Capture, 1000).expect("another instance is first");
    let next = domain::decide(&stale, Kind::Capture, 1500).expect("it looked fine");
    let late = store::Command {
        id: "cmd_2".to_owned(),
        key: KEY.to_owned(),
        kind: Kind::Capture,
        amount: 1500,
        refused: None,
    };
    let outcome = store::apply(&ports, &stale, &next, &late, ports.now());
    assert!(matches!(outcome, Err(SqlError::GuardMissed(_))), "{outcome:?}");
    assert_eq!(show(&lookup(&ports)), "authorized 1000 0");
}

#[test]
fn only_web_addresses_are_returned_to() {
    for (url, fine) in [
        ("/back", true),
        ("https://shop.example/back", true),
        ("http://localhost:3000/back", true),
        ("//elsewhere.example", false),
        ("/\\elsewhere.example", false),
        ("javascript:alert(1)", false),
        ("/a\r\nset-cookie: b", false),
        ("", false),
    ] {
        let mut asked = asked("tok_action", CapturePolicy::Manual);
        asked.return_url = url.to_owned();
        let ports = ports();
        assert_eq!(service::authorize(&ports, &call(&ports), &asked).is_ok(), fine, "{url}");
    }
}

#[test]
fn it_never_takes_more_than_it_holds_nor_gives_back_more_than_it_took() {
    law(400, |dice| {
        let ports = ports();
        let token = dice.pick(&TOKENS).name;
        let policy = *dice.pick(&[CapturePolicy::Manual, CapturePolicy::Automatic]);
        let _ = authorize(&ports, token, policy);
        let mut done: std::collections::BTreeMap<Id, String> = std::collections::BTreeMap::new();
        for _ in 0..16 {
            match dice.below(8) {
                0 => ports.fail_commit(0, Fault::BeforeCommit),
                1 => ports.fail_commit(0, Fault::LostReply),
                2 => ports.advance(1_500),
                _ => {}
            }
            let place = dice.below(6);
            let kind = *[Kind::Capture, Kind::Refund, Kind::Void].get((place % 3) as usize).expect("three kinds");
            let amount = i64::try_from(300 + place * 300).expect("small");
            let id = format!("cmd_{place}");
            let before = lookup(&ports);
            let answer = command(&ports, &id, kind, amount);
            let Ok(after) = lookup(&ports) else { continue };
            assert!(0 <= after.refunded && after.refunded <= after.captured && after.captured <= 1999, "{after:?}");
            if let (true, Ok(before)) = (done.contains_key(&id), before) {
                assert_eq!(before, after, "a repeat changes nothing");
            }
            if matches!(answer, Ok(_) | Err(ProviderError::Refused(_))) {
                let told = if answer.is_ok() { "done" } else { "refused" };
                let first = done.entry(id).or_insert_with(|| told.to_owned());
                assert_eq!(first, told, "a repeat gets the first answer");
            }
        }
    });
}

#[test]
fn a_fault_at_a_commit_is_mended_by_a_repeat() {
    for fault in [Fault::BeforeCommit, Fault::LostReply] {
        for policy in [CapturePolicy::Manual, CapturePolicy::Automatic] {
            let ports = ports();
            ports.fail_commit(0, fault);
            assert_eq!(show(&authorize(&ports, "tok_success", policy)), "unknown");
            authorize(&ports, "tok_success", policy).expect("the repeat goes well");
            let (kind, amounts) = match policy {
                CapturePolicy::Manual => (Kind::Capture, (100, 0)),
                CapturePolicy::Automatic => (Kind::Refund, (1999, 100)),
            };
            ports.fail_commit(0, fault);
            assert_eq!(show(&command(&ports, "cmd_1", kind, 100)), "unknown");
            let told = command(&ports, "cmd_1", kind, 100).expect("the repeat goes well");
            assert_eq!((told.captured, told.refunded), amounts);
        }
    }
}

fn request(method: &str, path: &str, body: &str) -> Request {
    Request {
        id: "req-1".to_owned(),
        method: method.to_owned(),
        path: path.to_owned(),
        origin: "http://127.0.0.1:3000".to_owned(),
        body: body.as_bytes().to_vec(),
        ..Request::default()
    }
}

fn action_url(ports: &TestPorts, policy: CapturePolicy) -> String {
    match authorize(ports, "tok_action", policy).expect("it answers").state {
        ProviderState::RequiresAction(url) => url,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_shopper_approves_or_declines_once() {
    for (decision, expected) in [("approve", "authorized 1999 0"), ("decline", "action_failed 0 0")] {
        let ports = ports();
        let url = action_url(&ports, CapturePolicy::Automatic);
        let shown = page::handle(&ports, &call(&ports), &request("GET", &url, ""));
        let html = String::from_utf8(shown.body).expect("it is text");
        assert_eq!(shown.status, 200);
        assert!(html.contains("19.99 USD") && html.contains("value=\"approve\"") && html.contains("value=\"decline\""));
        assert!(!html.contains("<script") && !html.contains("style=\""), "the policy allows neither");
        for _ in 0..2 {
            let form = format!("decision={decision}");
            let answer = page::handle(&ports, &call(&ports), &request("POST", &url, &form));
            assert_eq!((answer.status, answer.header("location")), (303, Some("/checkout/return?a=1&b=2")));
            let other = page::handle(&ports, &call(&ports), &request("POST", &url, "decision=decline"));
            assert_eq!(other.status, 303, "a second choice changes nothing");
            assert_eq!(show(&lookup(&ports)), expected);
        }
        assert_eq!(ports.take_due_events().len(), 1, "it is told once");
        let after = page::handle(&ports, &call(&ports), &request("GET", &url, ""));
        assert!(!String::from_utf8(after.body).expect("it is text").contains("<form"), "nothing is left to choose");
    }
}

#[test]
fn the_policy_lets_the_form_lead_back_to_the_shop_and_nowhere_else() {
    for (url, targets) in [
        ("/back", "form-action 'self';"),
        ("https://shop.example/back?x", "form-action 'self' https://shop.example;"),
        ("https://shop.example;script-src*/", "form-action 'self';"),
    ] {
        let ports = ports();
        let mut asked = asked("tok_action", CapturePolicy::Manual);
        asked.return_url = url.to_owned();
        let told = service::authorize(&ports, &call(&ports), &asked).expect("it answers");
        let ProviderState::RequiresAction(page_url) = told.state else { panic!("an action") };
        let shown = page::handle(&ports, &call(&ports), &request("GET", &page_url, ""));
        let policy = shown.header("content-security-policy").expect("a policy");
        assert!(policy.contains(targets) && policy.starts_with("default-src 'none'; style-src 'self';"), "{policy}");
    }
}

#[test]
fn a_form_from_another_site_is_refused() {
    let ports = ports();
    let url = action_url(&ports, CapturePolicy::Manual);
    for (name, value, status) in [
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("sec-fetch-site", "cross-site", 403),
        ("origin", "http://127.0.0.1:3000", 303),
    ] {
        let mut request = request("POST", &url, "decision=approve");
        request.headers = vec![(name.to_owned(), value.to_owned())];
        assert_eq!(page::handle(&ports, &call(&ports), &request).status, status, "{name}: {value}");
    }
}

#[test]
fn whatever_is_not_there_is_a_problem_document() {
    let ports = ports();
    let url = action_url(&ports, CapturePolicy::Manual);
    for (method, path, body, status, code) in [
        ("GET", "/dev/elsewhere".to_owned(), "", 404, "not_found"),
        ("GET", format!("{PAGE}/tpr_none"), "", 404, "not_found"),
        ("POST", format!("{PAGE}/tpr_none"), "decision=approve", 404, "not_found"),
        ("GET", format!("{url}/more"), "", 404, "not_found"),
        ("GET", format!("{PAGE}x/{KEY}"), "", 404, "not_found"),
        ("GET", format!("{PAGE}style.css"), "", 404, "not_found"),
        ("DELETE", url.clone(), "", 405, "method_not_allowed"),
        ("POST", PAGE.to_owned(), "", 405, "method_not_allowed"),
        ("POST", url.clone(), "decision=maybe", 422, "invalid"),
        ("POST", url.clone(), "\u{0}", 422, "invalid"),
    ] {
        let answer = page::handle(&ports, &call(&ports), &request(method, &path, body));
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).expect("it is JSON");
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(problem["type"], format!("urn:souk:problem:{code}"));
        assert_eq!(
            (&problem["code"], &problem["status"], &problem["request_id"]),
            (&code.into(), &status.into(), &"req-1".into())
        );
        assert!(problem["title"].is_string());
    }
    let tokens = page::handle(&ports, &call(&ports), &request("GET", PAGE, ""));
    let html = String::from_utf8(tokens.body).expect("it is text");
    assert!(TOKENS.iter().all(|token| html.contains(token.name)), "the page lists every token");
}
