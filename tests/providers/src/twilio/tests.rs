//! The state machine as tables: what is asked, and what is told, sent and made.

use super::*;
use crate::hooks::Forgery;

const NOW: i64 = 1_790_000_000_000;
const CREDENTIALS: &str = "AC00000000000000000000000000000001:token";
const MESSAGES: &str = "/2010-04-01/Accounts/AC00000000000000000000000000000001/Messages.json";

fn account() -> Twilio {
    Twilio::new(CREDENTIALS, "", 7)
}

fn form(to: &str) -> String {
    let fields =
        [("To", to), ("From", "+15005550006"), ("Body", "Shipped."), ("StatusCallback", "http://shop.example/sms")];
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn ask(twilio: &mut Twilio, now: i64, method: &str, path: &str, form: &str, fault: Option<Fault>) -> Option<Response> {
    let authorization = format!("Basic {}", BASE64_STANDARD.encode(CREDENTIALS));
    twilio.handle(now, &Request { method, path, form, authorization: Some(&authorization) }, fault)
}

fn post(twilio: &mut Twilio, now: i64, form: &str) -> Response {
    ask(twilio, now, "POST", MESSAGES, form, None).expect("no reply is lost")
}

fn get(twilio: &mut Twilio, now: i64, path: &str, query: &str) -> Response {
    ask(twilio, now, "GET", path, query, None).expect("no reply is lost")
}

#[test]
fn what_is_wrong_is_refused_by_code() {
    let long = format!("To=%2B14155550100&From=%2B15005550006&Body={}", "x".repeat(1_601));
    for (form, code) in [
        ("From=%2B15005550006&Body=x", 21604),
        ("To=%2B14155550100&Body=x", 21603),
        ("To=%2B14155550100&From=%2B15005550006", 21602),
        ("To=14155550100&From=%2B15005550006&Body=x", 21211),
        ("To=%2B15005550001&From=%2B15005550006&Body=x", 21211),
        ("To=%2B15005550004&From=%2B15005550006&Body=x", 21610),
        ("To=%2B15005550009&From=%2B15005550006&Body=x", 21614),
        ("To=%2B14155550100&From=%2B15005550001&Body=x", 21212),
        ("To=%2B14155550100&MessagingServiceSid=MG1&Body=x", 21705),
        ("To=%2B14155550100&From=%2B15005550006&Body=x&StatusCallback=ftp%3A%2F%2Fx", 21609),
        ("To=%2B14155550100&From=%2B15005550006&Body=x&MediaUrl=http%3A%2F%2Fx", 20001),
        (&long, 21617),
    ] {
        let mut twilio = account();
        let told = post(&mut twilio, NOW, form);
        assert_eq!((told.status, &told.body["code"], &told.body["status"]), (400, &json!(code), &json!(400)), "{form}");
        assert_eq!(twilio.objects(), json!({"messages": []}));
    }
    assert_eq!(post(&mut account(), NOW, "To=%2B14155550100&From=Shop&Body=x").status, 201);
}

#[test]
fn a_stranger_and_another_path_are_refused() {
    let mut twilio = account();
    for authorization in [None, Some("Basic eDp5")] {
        let request = Request { method: "POST", path: MESSAGES, form: &form("+14155550100"), authorization };
        let told = twilio.handle(NOW, &request, None).expect("no reply is lost");
        assert_eq!((told.status, &told.body["code"]), (401, &json!(20003)));
    }
    for path in ["/2010-04-01/Accounts/AC2/Messages.json", &MESSAGES.replace("Messages", "Messages/SM1"), "/"] {
        let told = get(&mut twilio, NOW, path, "");
        assert_eq!((told.status, &told.body["code"]), (404, &json!(20404)), "{path}");
    }
}

#[test]
fn a_repeat_after_a_lost_reply_sends_twice() {
    for (fault, told, sent) in [
        (Fault::LostBefore, None, 1),
        (Fault::LostAfter, None, 2),
        (Fault::ErrorBefore, Some(500), 1),
        (Fault::ErrorAfter, Some(500), 2),
        (Fault::RateLimited, Some(429), 1),
        (Fault::KeyInUse, Some(500), 1),
    ] {
        let mut twilio = account();
        let first = ask(&mut twilio, NOW, "POST", MESSAGES, &form("+14155550100"), Some(fault));
        assert_eq!(first.map(|first| first.status), told, "{fault:?}");
        assert_eq!(post(&mut twilio, NOW, &form("+14155550100")).status, 201);
        let list = get(&mut twilio, NOW, MESSAGES, "");
        assert_eq!(list.body["messages"].as_array().map(Vec::len), Some(sent), "{fault:?}");
    }
}

#[test]
fn a_number_decides_what_becomes_of_a_message() {
    let by_number = "From=%2B15005550006";
    let by_service = "MessagingServiceSid=MG00000000000000000000000000000001";
    for (sender, to, begins, told, error) in [
        (by_number, "4155550100", "queued", "sent delivered", json!(null)),
        (by_number, "4155530003", "queued", "sent undelivered", json!(30003)),
        (by_number, "4155530001", "queued", "failed", json!(30001)),
        (by_service, "4155550100", "accepted", "queued sent delivered", json!(null)),
    ] {
        let mut twilio = account();
        let form = format!("To=%2B1{to}&{sender}&Body=x&StatusCallback=http%3A%2F%2Fshop.example%2Fsms");
        let made = post(&mut twilio, NOW, &form);
        assert_eq!(made.body["status"], begins);
        let uri = made.body["uri"].as_str().expect("a text");
        let last = get(&mut twilio, NOW + 60_000, uri, "");
        assert_eq!(last.body["error_code"], error);
        let events = twilio.take_events();
        let names: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
        assert_eq!(names.join(" "), told);
        assert_eq!(last.body["status"], names[names.len() - 1]);
        assert!(events.iter().all(|event| event["params"]["MessageSid"] == made.body["sid"]));
    }
}

#[test]
fn pages_walk_through_all_newest_first() {
    let mut twilio = account();
    for n in 0..5 {
        post(&mut twilio, NOW, &form(&format!("+1415555010{n}")));
    }
    let (mut uri, mut walked) = (format!("{MESSAGES}?PageSize=2"), Vec::new());
    loop {
        let (path, query) = uri.split_once('?').expect("there is a query");
        let page = get(&mut twilio, NOW, path, query).body;
        walked.extend(page["messages"].as_array().expect("a list").iter().map(|each| each["to"].to_string()));
        match page["next_page_uri"].as_str() {
            Some(next) => uri = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(walked, [4, 3, 2, 1, 0].map(|n| format!("\"+1415555010{n}\"")));
    let filtered = get(&mut twilio, NOW, MESSAGES, "To=%2B14155550103").body;
    assert_eq!(filtered["messages"].as_array().map(Vec::len), Some(1));
}

#[test]
fn texts_are_cut_by_what_they_are_written_in() {
    for (body, segments) in [("x".repeat(160), 1), ("x".repeat(161), 2), ("ж".repeat(70), 1), ("ж".repeat(71), 2)] {
        let form = form_urlencoded::Serializer::new("To=%2B14155550100&From=Shop&".to_owned())
            .append_pair("Body", &body)
            .finish();
        assert_eq!(post(&mut account(), NOW, &form).body["num_segments"], segments.to_string(), "{body}");
    }
}

#[test]
fn a_signature_is_that_of_the_documentation_and_a_forgery_has_another() {
    // The example of <https://www.twilio.com/docs/usage/security>.
    let params = [
        ("CallSid", "CA1234567890ABCDE"),
        ("Caller", "+14158675309"),
        ("Digits", "1234"),
        ("From", "+14158675309"),
        ("To", "+18005551212"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let signed = signature::sign("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", &params);
    assert_eq!(signed, "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
    let event = json!({"url": "http://shop.example/sms", "params": {"To": "+14155550100", "A": "b"}});
    let sent = |forgery| signature::webhook(&Delivery { event: event.clone(), forgery, attempts: 0 }, "token");
    let genuine = sent(None);
    for forgery in [Forgery::Secret, Forgery::Body, Forgery::Stale] {
        let forged = sent(Some(forgery));
        assert!(forged.headers != genuine.headers || forged.body != genuine.body, "{forgery:?}");
    }
}
