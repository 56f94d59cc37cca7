//! `http-out` against a server on loopback that speaks as little HTTP as a case needs.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::HttpOut;
use crate::ports::bindings::souk::shop::http_out::{HttpOutError, InResponse, OutRequest};
use crate::ports::{Grants, RequestInfo};

/// Answers one connection with a text and hands back what it was sent.
fn serve(answer: Vec<u8>) -> (u16, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the test connects");
        let mut request = vec![0; 64 * 1024];
        let length = stream.read(&mut request).unwrap_or_default();
        // The client may have hung up, which is what some cases are about.
        let _ = stream.write_all(&answer);
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    (port, thread)
}

fn request(url: impl Into<String>) -> OutRequest {
    OutRequest { method: "GET".into(), url: url.into(), headers: Vec::new(), body: Vec::new(), timeout_ms: 5_000 }
}

async fn send(hosts: &[&str], request: OutRequest) -> Result<InResponse, HttpOutError> {
    let grants = Grants {
        component: "stripe".into(),
        outbound_hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        ..Grants::default()
    };
    let info = RequestInfo {
        request_id: Arc::from("req"),
        trace_id: 0xabc,
        span_id: 0xdef,
        deadline: Instant::now() + Duration::from_secs(20),
    };
    HttpOut::default().send(&grants, &info, request).await
}

#[tokio::test]
async fn a_granted_request_gets_its_answer() {
    let (port, seen) =
        serve(b"HTTP/1.1 302 Found\r\nlocation: http://10.0.0.1/\r\nX-A: 1\r\ncontent-length: 2\r\n\r\nok".into());
    let mut sent = request(format!("http://127.0.0.1:{port}/path?q=1"));
    sent.method = "POST".into();
    sent.headers = vec![("content-type".into(), "text/plain".into())];
    sent.body = b"hello".into();
    let answer = send(&[&format!("http://127.0.0.1:{port}")], sent).await.expect("it is granted and served");
    assert_eq!((answer.status, answer.body.as_slice()), (302, b"ok".as_slice()));
    assert!(answer.headers.contains(&("x-a".into(), "1".into())), "{:?}", answer.headers);
    let seen = seen.join().expect("the server has no reason to panic").to_lowercase();
    assert!(seen.starts_with("post /path?q=1 http/1.1\r\n"), "{seen}");
    assert!(seen.contains(&format!("host: 127.0.0.1:{port}\r\n")), "{seen}");
    assert!(seen.contains("traceparent: 00-00000000000000000000000000000abc-0000000000000def-01\r\n"), "{seen}");
    assert!(seen.contains("content-length: 5\r\n"), "{seen}");
}

#[tokio::test]
async fn localhost_is_reached_only_where_it_is_named() {
    let (port, seen) = serve(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into());
    let url = format!("http://localhost:{port}/");
    for hosts in [format!("http://*:{port}"), format!("http://127.0.0.1:{port}")] {
        let answer = send(&[&hosts], request(url.clone())).await;
        assert!(matches!(answer, Err(HttpOutError::NotGranted(_))), "{hosts}: {answer:?}");
    }
    let answer = send(&[&format!("http://localhost:{port}")], request(url)).await;
    assert_eq!(answer.expect("localhost is named").status, 200);
    seen.join().expect("the server has no reason to panic");
}

#[tokio::test]
async fn what_is_malformed_is_refused_before_anything_is_sent() {
    let base = || request("https://api.example.com/");
    let table = [
        ("method", OutRequest { method: "TRACE".into(), ..base() }),
        ("method in lower case", OutRequest { method: "get".into(), ..base() }),
        ("no URL", request("not a url")),
        ("relative URL", request("/path")),
        ("scheme", request("ftp://api.example.com/")),
        ("user part", request("https://me@api.example.com/")),
        ("user part with a password", request("https://me:pw@api.example.com/")),
        ("fragment", request("https://api.example.com/#x")),
        ("timeout zero", OutRequest { timeout_ms: 0, ..base() }),
        ("timeout too long", OutRequest { timeout_ms: 30_001, ..base() }),
        ("body", OutRequest { body: vec![0; 1024 * 1024 + 1], ..base() }),
        ("host header", OutRequest { headers: vec![("host".into(), "a".into())], ..base() }),
        ("content-length", OutRequest { headers: vec![("content-length".into(), "1".into())], ..base() }),
        ("traceparent", OutRequest { headers: vec![("traceparent".into(), "a".into())], ..base() }),
        ("upper case", OutRequest { headers: vec![("X-A".into(), "a".into())], ..base() }),
        ("line break", OutRequest { headers: vec![("x-a".into(), "a\r\nb: c".into())], ..base() }),
        ("many headers", OutRequest { headers: vec![("x-a".into(), "a".into()); 51], ..base() }),
    ];
    for (name, request) in table {
        let answer = send(&["https://api.example.com"], request).await;
        assert!(matches!(answer, Err(HttpOutError::Invalid(_))), "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_not_sent_and_a_broken_answer_is_unknown() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.expect("loopback has a free port").port();
    let answer = send(&["http://127.0.0.1:*"], request(format!("http://127.0.0.1:{port}/"))).await;
    assert!(matches!(answer, Err(HttpOutError::NotSent(_))), "{answer:?}");

    let long = 4 * 1024 * 1024 + 1;
    let table = [
        ("nothing", Vec::new()),
        ("half a head", b"HTTP/1.1 200 OK\r\ncont".to_vec()),
        ("half a body", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec()),
        ("announced too long", format!("HTTP/1.1 200 OK\r\ncontent-length: {long}\r\n\r\n").into_bytes()),
        ("too long", [b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec(), vec![b'a'; long]].concat()),
    ];
    for (name, answer) in table {
        let (port, seen) = serve(answer);
        let answer = send(&["http://127.0.0.1:*"], request(format!("http://127.0.0.1:{port}/"))).await;
        assert!(matches!(answer, Err(HttpOutError::Unknown(_))), "{name}: {answer:?}");
        seen.join().expect("the server has no reason to panic");
    }
}

#[tokio::test]
async fn a_silent_server_is_unknown_after_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let slow = OutRequest { timeout_ms: 50, ..request(format!("http://127.0.0.1:{port}/")) };
    let answer = send(&["http://127.0.0.1:*"], slow).await;
    assert!(matches!(answer, Err(HttpOutError::Unknown(_))), "{answer:?}");
}
