//! `adapter-http-out` as a component, against a server on loopback that speaks as little HTTP as a case needs.

use std::{
    future::Future,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener},
    path::Path,
    thread::JoinHandle,
};

use bindings::exports::souk::shop::http_out::{HttpOutError, InResponse, OutRequest};
use bindings::souk::shop::{config, self_};
use hyper::http::{Request, Response};
use souk_tests::spin::outbound::ask;
use wasmtime::{
    Engine, Store,
    component::{Component, HasSelf, Linker, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

mod bindings {
    #![allow(
        missing_docs,
        clippy::all,
        clippy::allow_attributes_without_reason,
        unused_qualifications,
        reason = "generated from WIT, where the documentation is"
    )]
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "
            package souk:http-out-test;

            world adapter {
                import souk:shop/config@0.1.0;
                import souk:shop/self@0.1.0;
                export souk:shop/http-out@0.1.0;
            }
        ",
        world: "souk:http-out-test/adapter",
        exports: { default: async },
    });
}

/// A platform with outgoing HTTP to wherever a URL says.
struct Platform {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    anywhere: Anywhere,
    identity: String,
}

struct Anywhere;

type Ended = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Anywhere {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Ended,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Ended), Error>> + Send> {
        let address: Option<SocketAddr> =
            request.uri().authority().and_then(|authority| authority.as_str().parse().ok());
        Box::new(async move { ask(request, address.ok_or(Error::HttpRequestUriInvalid)?).await })
    }
}

impl WasiView for Platform {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Platform {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.anywhere, table: &mut self.table, ctx: &mut self.http }
    }
}

impl self_::Host for Platform {
    fn describe(&mut self) -> String {
        self.identity.clone()
    }
}

impl config::Host for Platform {
    fn get(&mut self, name: String) -> Option<String> {
        (name == "bank").then(|| "127.0.0.1:*".to_owned())
    }
}

/// Sends one request with an instance of its own, as every platform does.
async fn send(hosts: &[&str], request: OutRequest) -> Result<InResponse, HttpOutError> {
    let file = "../target/wasm32-unknown-unknown/component/souk_adapter_http_out.wasm";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let bytes =
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run `make components`", path.display()));
    let engine = Engine::default();
    let component = Component::from_binary(&engine, &bytes).expect("it is a component");
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("an empty linker takes it");
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).expect("the linker has no HTTP yet");
    self_::add_to_linker::<_, HasSelf<Platform>>(&mut linker, |platform| platform).expect("the linker has none yet");
    config::add_to_linker::<_, HasSelf<Platform>>(&mut linker, |platform| platform).expect("the linker has none yet");
    let platform = Platform {
        wasi: WasiCtx::builder().build(),
        http: WasiHttpCtx::new(),
        table: ResourceTable::new(),
        anywhere: Anywhere,
        identity:
            serde_json::json!({ "component": "stripe", "variables": ["bank"], "outbound_hosts": hosts, "topics": {} })
                .to_string(),
    };
    let mut store = Store::new(&engine, platform);
    let adapter = bindings::Adapter::instantiate_async(&mut store, &component, &linker).await.expect("it starts");
    adapter.souk_shop_http_out().call_send(&mut store, &request).await.expect("it answers and does not trap")
}

/// Answers one connection with a text, once as many bytes have come as are asked for, and hands back what came.
fn serve(bytes: usize, answer: Vec<u8>) -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the test connects");
        let mut seen = Vec::new();
        let mut chunk = vec![0; 64 << 10];
        while seen.len() < bytes {
            match stream.read(&mut chunk) {
                Ok(0) | Err(_) => break,
                Ok(read) => seen.extend_from_slice(&chunk[..read]),
            }
        }
        // The client may have hung up, which is what some cases are about. What it still sends is read, since closing a
        // connection with unread bytes takes the answer back.
        let _ = stream.write_all(&answer).and_then(|()| stream.shutdown(Shutdown::Write));
        let _ = stream.read_to_end(&mut seen);
        String::from_utf8_lossy(&seen).into_owned()
    });
    (port, thread)
}

fn request(url: impl Into<String>) -> OutRequest {
    OutRequest { method: "GET".into(), url: url.into(), headers: Vec::new(), body: Vec::new(), timeout_ms: 5_000 }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_granted_request_gets_its_answer() {
    let answer = b"HTTP/1.1 302 Found\r\nlocation: http://10.0.0.1/\r\nX-A: 1\r\ncontent-length: 2\r\n\r\nok";
    let (port, seen) = serve(1, answer.to_vec());
    let mut sent = request(format!("http://127.0.0.1:{port}/path?q=1"));
    sent.method = "POST".into();
    sent.headers = vec![("content-type".into(), "text/plain".into())];
    sent.body = b"hello".into();
    let answer = send(&["http://{{ bank }}"], sent).await.expect("it is granted and served");
    assert_eq!((answer.status, answer.body.as_slice()), (302, b"ok".as_slice()), "a redirect is an answer");
    assert!(answer.headers.contains(&("x-a".into(), "1".into())), "{:?}", answer.headers);
    let seen = seen.join().expect("the server has no reason to panic").to_lowercase();
    assert!(seen.starts_with("post /path?q=1 http/1.1\r\n"), "{seen}");
    assert!(seen.contains("content-type: text/plain\r\n"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_cross_whole_up_to_their_limits() {
    let long = 4 << 20;
    let body = [format!("HTTP/1.1 200 OK\r\ncontent-length: {long}\r\n\r\n").into_bytes(), vec![b'a'; long]].concat();
    let (port, seen) = serve(1 << 20, body);
    let mut sent = request(format!("http://127.0.0.1:{port}/"));
    sent.method = "PUT".into();
    sent.body = vec![b'b'; 1 << 20];
    let answer = send(&["http://127.0.0.1:*"], sent).await.expect("it is granted and served");
    assert_eq!(answer.body.len(), long);
    let seen = seen.join().expect("the server has no reason to panic");
    assert!(seen.bytes().filter(|byte| *byte == b'b').count() >= 1 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_granted_or_malformed_is_never_sent() {
    let (port, seen) = serve(1, Vec::new());
    let url = format!("http://127.0.0.1:{port}/secret");
    for hosts in [vec![], vec!["http://*:*"], vec!["https://127.0.0.1:*"], vec!["http://{{ absent }}"]] {
        let answer = send(&hosts, request(&url)).await;
        assert!(
            matches!(&answer, Err(HttpOutError::NotGranted(text)) if !text.contains("secret")),
            "{hosts:?}: {answer:?}"
        );
    }
    let traced = OutRequest { headers: vec![("traceparent".into(), "a".into())], ..request(&url) };
    for (why, sent) in [("user", request(url.replace("127", "me@127"))), ("header", traced)] {
        let answer = send(&["http://127.0.0.1:*"], sent).await;
        assert!(matches!(answer, Err(HttpOutError::Invalid(_))), "{why}: {answer:?}");
    }
    std::net::TcpStream::connect(("127.0.0.1", port)).expect("the server still waits");
    assert_eq!(
        seen.join().expect("the server has no reason to panic"),
        "",
        "nothing came before this test's own visit"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_is_not_sent_and_a_broken_answer_is_unknown() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.expect("loopback has a free port").port();
    let answer = send(&["http://127.0.0.1:*"], request(format!("http://127.0.0.1:{port}/"))).await;
    assert!(matches!(answer, Err(HttpOutError::NotSent(_))), "{answer:?}");

    let long = (4 << 20) + 1;
    let table = [
        ("nothing", Vec::new()),
        ("half a head", b"HTTP/1.1 200 OK\r\ncont".to_vec()),
        ("half a body", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec()),
        ("too long", [b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec(), vec![b'a'; long]].concat()),
        ("many headers", ["HTTP/1.1 200 OK\r\n", &"x-a: 1\r\n".repeat(101), "\r\n"].concat().into_bytes()),
    ];
    for (name, answer) in table {
        let (port, seen) = serve(1, answer);
        let answer = send(&["http://127.0.0.1:*"], request(format!("http://127.0.0.1:{port}/"))).await;
        assert!(matches!(answer, Err(HttpOutError::Unknown(_))), "{name}: {answer:?}");
        seen.join().expect("the server has no reason to panic");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_server_is_unknown_after_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let slow = OutRequest { timeout_ms: 50, ..request(format!("http://127.0.0.1:{port}/")) };
    let answer = send(&["http://127.0.0.1:*"], slow).await;
    assert!(matches!(answer, Err(HttpOutError::Unknown(_))), "{answer:?}");
}
