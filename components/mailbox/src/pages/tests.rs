//! What the pages show, and what a mail cannot do to them.

use souk_kit::notification_extension::RenderedMessage;
use souk_kit::testing::{START, TestPorts};
use souk_kit::types::Actor;

use super::*;
use crate::service;

const EVIL: &str = "<script>alert(1)</script>";

fn ports() -> TestPorts {
    TestPorts::new("mailbox", &[include_str!("../../migrations/0001_messages.sql")])
}

fn keep(ports: &TestPorts, key: &str, recipient: &str, subject: &str) {
    let message = RenderedMessage {
        key: key.to_owned(),
        recipient: recipient.to_owned(),
        subject: subject.to_owned(),
        text: format!("Hello {EVIL}\nsee https://shop.example/a?b=1&c=2\nor javascript:alert(1) http"),
        html: format!("<p>Hello</p>{EVIL}"),
    };
    service::send(ports, &ports.call(Actor::System("test".to_owned())), message).expect("it is kept");
    ports.advance(1000);
}

fn ask(ports: &TestPorts, method: &str, target: &str) -> Response {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = Request {
        id: "req-1".to_owned(),
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        ..Request::default()
    };
    handle(ports, &request)
}

fn get(ports: &TestPorts, target: &str) -> Response {
    ask(ports, "GET", target)
}

fn body(response: &Response) -> String {
    String::from_utf8(response.body.clone()).expect("every body is UTF-8")
}

#[test]
fn the_list_is_newest_first_and_narrowed_by_recipient() {
    let ports = ports();
    assert!(body(&get(&ports, "/dev/mailbox")).contains("no mail yet"));
    keep(&ports, "ntf_1-0", "ada@example.org", "First");
    keep(&ports, "ntf_2-0", "bob@example.org", EVIL);
    keep(&ports, "ntf_3-0", "Ada@Example.org", "Third");
    let all = body(&get(&ports, "/dev/mailbox"));
    assert!(all.find("Third") < all.find("First"), "{all}");
    assert!(all.contains("/dev/mailbox/ntf%5F1%2D0"), "{all}");
    assert!(all.contains("2026-01-01T00:00:02Z"), "{all}");
    assert!(!all.contains("<script"), "{all}");
    let hers = body(&get(&ports, "/dev/mailbox?to=ada%40example.org"));
    assert!(hers.contains("First") && hers.contains("Third") && !hers.contains("bob@"), "{hers}");
    assert_eq!(body(&get(&ports, "/dev/mailbox/")), all);
    let evil = body(&get(&ports, "/dev/mailbox?to=%22%3E%3Cscript%3E"));
    assert!(!evil.contains("<script"), "{evil}");
}

#[test]
fn a_long_list_says_how_much_it_leaves_out() {
    let ports = ports();
    for number in 0..SHOWN_MAX + 3 {
        keep(&ports, &format!("k-{number}"), "ada@example.org", "Hello");
    }
    let list = body(&get(&ports, "/dev/mailbox"));
    assert_eq!(list.matches("<li>").count(), SHOWN_MAX as usize);
    assert!(list.contains("The newest 100 of 103."), "{list}");
    let json: Vec<serde_json::Value> = serde_json::from_slice(&get(&ports, "/dev/mailbox.json").body).expect("a list");
    assert_eq!(json.len(), SHOWN_MAX as usize);
}

#[test]
fn a_mail_is_shown_with_its_text_escaped_and_its_html_in_a_sandbox() {
    let ports = ports();
    keep(&ports, "ntf_1-0", "ada@example.org", EVIL);
    let page = get(&ports, "/dev/mailbox/ntf%5F1%2D0");
    let shown = body(&page);
    assert_eq!(page.status, 200);
    assert!(!shown.contains("<script"), "{shown}");
    assert!(shown.contains("Hello &#60;script&#62;"), "{shown}");
    assert!(shown.contains(r#"<a href="https://shop.example/a?b=1&#38;c=2" rel="noopener noreferrer">"#), "{shown}");
    assert!(!shown.contains(r#"href="javascript"#), "{shown}");
    assert!(shown.contains(r#"src="/dev/mailbox/ntf%5F1%2D0/html" sandbox="allow-popups "#), "{shown}");

    let mail = get(&ports, "/dev/mailbox/ntf_1-0/html");
    assert_eq!(body(&mail), format!("<p>Hello</p>{EVIL}"), "as it came");
    let policy = mail.header("content-security-policy").expect("it has one");
    assert!(
        policy.starts_with("default-src 'none'") && policy.contains("; sandbox ") && !policy.contains("allow-scripts")
    );
}

#[test]
fn every_answer_is_guarded_and_pages_allow_no_script() {
    let ports = ports();
    keep(&ports, "ntf_1-0", "ada@example.org", "Hello");
    for target in
        ["/dev/mailbox", "/dev/mailbox.json", "/dev/mailbox/ntf_1-0", "/dev/mailbox/ntf_1-0/html", "/dev/none"]
    {
        let answer = get(&ports, target);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{target}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{target}");
        if answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
            let policy = answer.header("content-security-policy").expect("each page has one");
            assert!(policy.starts_with("default-src 'none'") && !policy.contains("script-src"), "{target}");
        }
    }
    let style = get(&ports, "/dev/mailbox/style.css");
    assert_eq!((style.status, style.header("content-type")), (200, Some("text/css; charset=utf-8")));
}

#[test]
fn tests_read_the_mails_as_json() {
    let ports = ports();
    keep(&ports, "ntf_1-0", "ada@example.org", "First");
    keep(&ports, "ntf_2-0", "bob@example.org", "Second");
    let answer = get(&ports, "/dev/mailbox.json?to=ada@example.org");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let json: serde_json::Value = serde_json::from_slice(&answer.body).expect("it is JSON");
    assert_eq!(json.as_array().map(Vec::len), Some(1));
    let mail = &json[0];
    assert_eq!(
        (&mail["key"], &mail["to"], &mail["subject"]),
        (&"ntf_1-0".into(), &"ada@example.org".into(), &"First".into())
    );
    assert_eq!(mail["at"], START);
    assert!(mail["text"].as_str().is_some_and(|text| text.starts_with("Hello <script>")));
    assert!(mail["html"].as_str().is_some_and(|html| html.starts_with("<p>")));
    assert_eq!(body(&get(&ports, "/dev/mailbox.json?to=none@example.org")), "[]");
}

#[test]
fn what_is_not_here_is_a_problem_document() {
    let ports = ports();
    for (method, target, status, code) in [
        ("GET", "/dev/mailbox/none", 404, "not_found"),
        ("GET", "/dev/mailbox/none/html", 404, "not_found"),
        ("GET", "/dev/mailbox/a%2Fb", 404, "not_found"),
        ("GET", "/dev/mailbox/a%00b", 404, "not_found"),
        ("GET", "/dev/mailbox/a/b/c", 404, "not_found"),
        ("GET", "/dev", 404, "not_found"),
        ("POST", "/dev/none", 404, "not_found"),
        ("POST", "/dev/mailbox", 405, "method_not_allowed"),
        ("DELETE", "/dev/mailbox/none", 405, "method_not_allowed"),
        ("PUT", "/dev/mailbox.json", 405, "method_not_allowed"),
    ] {
        let answer = ask(&ports, method, target);
        assert_eq!(answer.status, status, "{method} {target}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.header("allow"), (status == 405).then_some("GET, HEAD"), "{method} {target}");
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).expect("it is JSON");
        assert_eq!(problem["type"], format!("urn:souk:problem:{code}"));
        assert_eq!((&problem["code"], &problem["status"]), (&code.into(), &status.into()));
        assert_eq!(problem["request_id"], "req-1");
        assert!(problem["title"].is_string());
    }
    assert_eq!(ask(&ports, "HEAD", "/dev/mailbox").status, 200);
}

#[test]
fn a_database_that_is_away_is_told_as_such() {
    let ports = TestPorts::new("mailbox", &[]); // without its table every read fails
    for target in ["/dev/mailbox", "/dev/mailbox.json", "/dev/mailbox/k"] {
        let answer = get(&ports, target);
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{target}");
    }
}

#[test]
fn instants_are_written_as_dates() {
    for (at, text) in [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59Z"),
        (951_782_399_999, "2000-02-28T23:59:59Z"),
        (951_782_400_000, "2000-02-29T00:00:00Z"),
        (951_868_800_000, "2000-03-01T00:00:00Z"),
        (START, "2026-01-01T00:00:00Z"),
        (4_107_542_399_000, "2100-02-28T23:59:59Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00Z"),
    ] {
        assert_eq!(written(at), text);
    }
}
