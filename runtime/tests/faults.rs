//! What a component does wrong ends its own request and nothing else.

mod support;

use std::{
    io::Write,
    net::TcpStream,
    time::{Duration, Instant},
};

use support::{Dir, Host, eventually, exchange, manifest, misbehaving, read};

fn host(tool: &str) -> (Dir, Host) {
    let dir = Dir::new();
    dir.write("edge.wasm", misbehaving());
    dir.write("spin.toml", manifest(tool, ""));
    let host = Host::up(&dir);
    (dir, host)
}

#[test]
fn whatever_a_component_does_the_next_request_is_fine() {
    let (_dir, mut host) = host("limits = { memory_mib = 8, deadline_ms = 300 }");
    for (path, status, code, reason) in [
        ("/trap", 500, "internal_error", "unreachable"),
        ("/memory", 500, "internal_error", "memory limit of 8388608 bytes"),
        ("/recurse", 500, "internal_error", "call stack exhausted"),
        ("/bad-status", 500, "internal_error", "the status 999"),
        ("/loop", 504, "deadline_exceeded", "took too long"),
    ] {
        let started = Instant::now();
        let answer = host.get(path);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}");
        assert!(started.elapsed() < Duration::from_secs(2), "{path} took {:?}", started.elapsed());
        let line = host.wait_for_log(reason);
        assert!(line.contains(answer.header("x-request-id").expect("an id")), "{line}");
        assert!(line.contains("\"component\":\"edge\""), "{line}");
        let next = host.get("/ok");
        assert_eq!((next.status, next.body.as_str()), (200, "ok"), "after {path}");
    }
    assert_eq!(host.metric("souk_traps_total{component=\"edge\"}"), Some(4.0));
    assert_eq!(host.metric("souk_instances"), Some(0.0));
    assert_eq!(host.metric("souk_requests_in_flight"), Some(0.0));
}

#[test]
fn an_endless_loop_is_stopped_at_its_deadline_while_others_go_on() {
    let (_dir, host) = host("limits = { deadline_ms = 2000, concurrency = 16 }");
    std::thread::scope(|scope| {
        let loops: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let started = Instant::now();
                    (host.get("/loop").status, started.elapsed())
                })
            })
            .collect();
        eventually("all loops run", || host.metric("souk_requests_in_flight") == Some(8.0));
        let started = Instant::now();
        assert_eq!(host.get("/ok").status, 200);
        // More loops than threads are computing now; without yielding this would wait for their deadline.
        assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
        for ended in loops {
            let (status, took) = ended.join().expect("no panic");
            assert_eq!(status, 504);
            assert!(took >= Duration::from_millis(1900) && took < Duration::from_millis(4000), "{took:?}");
        }
    });
}

#[test]
fn requests_beyond_the_turns_are_told_to_come_again() {
    let (_dir, host) = host("limits = { deadline_ms = 5000, concurrency = 1 }");
    std::thread::scope(|scope| {
        let answers: Vec<_> = (0..12).map(|_| scope.spawn(|| host.get("/slow"))).collect();
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.join().expect("no panic")).collect();
        let served = answers.iter().filter(|answer| answer.status == 200).count();
        assert!(served >= 1, "{answers:?}");
        let shed: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
        assert_eq!(served + shed.len(), answers.len(), "{answers:?}");
        assert!(shed.len() >= 9, "only {} shed", shed.len());
        for answer in &shed {
            assert_eq!(answer.code(), "overloaded");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        assert_eq!(host.metric("souk_shed_total{component=\"edge\"}"), Some(shed.len() as f64));
    });
    assert_eq!(host.get("/ok").status, 200);
}

#[test]
fn a_client_over_its_rate_is_told_when_to_come_again() {
    let (_dir, host) = host("limits = { rate_per_minute = 3 }");
    for left in ["2", "1", "0"] {
        let answer = host.get("/ok");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-limit"), Some("3"));
        assert_eq!(answer.header("ratelimit-remaining"), Some(left));
    }
    let refused = host.get("/ok");
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"));
    assert_eq!(refused.header("ratelimit-remaining"), Some("0"));
    let wait: u64 = refused.header("retry-after").and_then(|wait| wait.parse().ok()).expect("seconds");
    assert!((1..=20).contains(&wait), "{wait}");
    assert_eq!(host.metric("souk_rate_limited_total{route=\"/...\"}"), Some(1.0));
}

#[test]
fn what_is_too_large_or_not_clean_is_refused_before_a_component_sees_it() {
    let (_dir, host) = host("limits = { body_bytes = 10 }");
    let close = "host: test\r\nconnection: close\r\n";
    assert_eq!(host.post("/echo", "0123456789").body, "0123456789");
    assert_eq!(host.post("/echo", "0123456789x").code(), "payload_too_large");
    let chunked = |body: &str| {
        exchange(&host.address, &format!("POST /echo HTTP/1.1\r\n{close}transfer-encoding: chunked\r\n\r\n{body}"))
    };
    assert_eq!(chunked("5\r\n01234\r\n0\r\n\r\n").body, "01234");
    assert_eq!(chunked("5\r\n01234\r\n6\r\n567890\r\n0\r\n\r\n").code(), "payload_too_large");
    assert_eq!(chunked("zz\r\n01234\r\n0\r\n\r\n").code(), "malformed_request");
    let many = "x: y\r\n".repeat(100);
    let long = format!("x: {}\r\n", "y".repeat(17 << 10));
    for (request, status, code) in [
        (format!("GET / HTTP/1.1\r\n{close}{many}\r\n"), 431, "headers_too_large"),
        (format!("GET / HTTP/1.1\r\n{close}{long}\r\n"), 431, "headers_too_large"),
        ("GET / HTTP/1.1\r\nconnection: close\r\n\r\n".into(), 400, "malformed_request"),
        (format!("GET / HTTP/1.1\r\nhost: other\r\n{close}\r\n"), 400, "malformed_request"),
        (format!("TRACE / HTTP/1.1\r\n{close}\r\n"), 400, "malformed_request"),
        (format!("GET http://other/ HTTP/1.1\r\n{close}\r\n"), 400, "malformed_request"),
        (
            format!("POST / HTTP/1.1\r\n{close}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
            400,
            "malformed_request",
        ),
        (format!("GET / HTTP/1.1\r\n{close}x: \u{e9}\r\n\r\n"), 400, "malformed_request"),
    ] {
        let answer = exchange(&host.address, &request);
        assert_eq!(answer.status, status, "{request}: {answer:?}");
        assert_eq!(answer.code(), code, "{request}");
    }
    // What is no HTTP at all is refused by the parser, without a document.
    for request in [
        format!("GET / HTTP/1.1\r\n{close}content-length: 4\r\ncontent-length: 5\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{close}content-length: +4\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{close}transfer-encoding: chunked, identity\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{close}x : y\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{close}x: a\r\n b\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{close}x: a\rb\r\n\r\n"),
        "GET /\r\n\r\n".into(),
    ] {
        let answer = exchange(&host.address, &request);
        assert_eq!(answer.status, 400, "{request:?}: {answer:?}");
    }
}

#[test]
fn a_chunked_request_is_the_last_on_its_connection() {
    let (_dir, host) = host("");
    for (length, status) in [("", 200), ("content-length: 3\r\n", 400), ("Content-Length: 3\r\n", 400)] {
        for head in
            [format!("transfer-encoding: chunked\r\n{length}"), format!("{length}transfer-encoding: chunked\r\n")]
        {
            let hidden = "0\r\n\r\nGET /ok HTTP/1.1\r\nhost: test\r\n\r\n";
            let request = format!("POST /echo HTTP/1.1\r\nhost: test\r\n{head}\r\n{hidden}");
            let answer = exchange(&host.address, &request);
            assert_eq!(answer.status, status, "{request}: {answer:?}");
            assert_eq!(answer.header("connection"), Some("close"));
            assert_eq!(answer.body.matches("HTTP/1.1").count(), 0, "the hidden request was answered: {answer:?}");
        }
    }
}

#[test]
fn a_body_that_does_not_arrive_is_given_up() {
    let (_dir, host) = host("");
    let mut stream = TcpStream::connect(&host.address).expect("a connection");
    stream
        .write_all(b"POST /echo HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: 100\r\n\r\nslow")
        .expect("sent");
    let started = Instant::now();
    assert_eq!(read(&mut stream).code(), "request_timeout");
    assert!(started.elapsed() < Duration::from_secs(8));
}

#[test]
fn a_request_is_known_by_one_id_in_answer_and_log() {
    let (_dir, mut host) = host("");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let answer = exchange(
        &host.address,
        &format!(
            "GET /ok HTTP/1.1\r\nhost: test\r\nconnection: close\r\nx-request-id: mine-1\r\n\
             traceparent: 00-{trace}-00f067aa0ba902b7-01\r\n\r\n"
        ),
    );
    assert_eq!(answer.header("x-request-id"), Some("mine-1"));
    let line = host.wait_for_log("mine-1");
    assert!(line.contains(trace), "{line}");
    assert!(host.get("/ok").header("x-request-id").is_some_and(|id| id.starts_with("req_")));
    for path in ["/healthz", "/readyz"] {
        assert_eq!(host.get(path).status, 200, "{path}");
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        assert_eq!(exchange(&host.private, &request).status, 200, "{path}");
    }
}
