//! Calls over a real NATS server, to an edge that answers, traps, hangs or is not there.
//!
//! Needs what `runtime/lattice/setup.sh` installs.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use nkeys::XKey;
use prometheus::Registry;
use souk_server::{Problem, Request, Response, trace::Trace};
use tokio::sync::watch;
use wasmcloud_provider_sdk::{Context, ProviderConnection};

use self::bindings::exports::souk::shop::http;
use super::{Calls, Lost, Target, classified};
use crate::link::Terms;

mod bindings {
    #![allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        clippy::allow_attributes_without_reason,
        reason = "generated from wit/, where the documentation is"
    )]
    wit_bindgen_wrpc::generate!({
        path: "../../../wit",
        inline: "
            package souk:lattice-http-test;

            world edge {
                export souk:shop/http@0.1.0;
            }
        ",
        world: "souk:lattice-http-test/edge",
        generate_all,
    });
}

/// The lattice id of the edge.
const EDGE: &str = "edge";
/// How long NATS may take to start.
const START_MAX: Duration = Duration::from_secs(20);

/// A NATS server of a test.
struct Nats {
    server: Child,
    files: PathBuf,
    url: String,
}

impl Nats {
    async fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let files = std::env::temp_dir().join(format!("souk-http-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&files).expect("the folder for temporary files can be written");
        let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../target/lattice/nats/bin/nats-server");
        let server = Command::new(&binary)
            .args(["-a", "127.0.0.1", "-p", "-1", "-l", "/dev/null", "--ports_file_dir"])
            .arg(&files)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; run runtime/lattice/setup.sh", binary.display()));
        let ports = files.join(format!("nats-server_{}.ports", server.id()));
        let started = Instant::now();
        let url = loop {
            // The file is there before it is whole.
            let text = std::fs::read_to_string(&ports).unwrap_or_default();
            if let Some(url) = text.split('"').find(|part| part.starts_with("nats://")) {
                break url.to_owned();
            }
            assert!(started.elapsed() < START_MAX, "NATS does not start");
            tokio::task::yield_now().await;
        };
        Self { server, files, url }
    }

    async fn connection(&self) -> ProviderConnection {
        let nats = async_nats::connect(&self.url).await.expect("NATS listens");
        ProviderConnection::new(nats, "souk-http", "test", "host".to_owned(), HashMap::new(), XKey::new(), XKey::new())
            .expect("a connection")
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        // Nothing is left to do when either fails.
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.files);
    }
}

/// An edge whose behavior is its paths'. Remembers how often each was called.
#[derive(Clone, Default)]
struct Edge {
    called: Arc<Mutex<HashMap<String, u32>>>,
}

impl Edge {
    fn called(&self, path: &str) -> u32 {
        self.called.lock().expect("no panic").get(path).copied().unwrap_or_default()
    }
}

impl http::Handler<Option<Context>> for Edge {
    async fn handle(&self, _: Option<Context>, request: http::Request) -> anyhow::Result<http::Response> {
        let count = {
            let mut called = self.called.lock().expect("no panic");
            let count = called.entry(request.path.clone()).or_default();
            *count += 1;
            *count
        };
        if request.path.contains("/trap") && (count == 1 || !request.path.contains("once")) {
            // What a host does with a call whose instance trapped: it lets go of the reply without having written one.
            anyhow::bail!("the instance trapped");
        }
        if request.path.contains("/hang") && (count == 1 || !request.path.contains("once")) {
            std::future::pending::<()>().await;
        }
        Ok(http::Response { status: 200, headers: vec![("x-path".into(), request.path)], body: request.body })
    }
}

/// The caller, and the edge when it is there.
async fn target(nats: &Nats, deadline: Duration, concurrency: usize) -> (Arc<Target>, ProviderConnection) {
    let connection = nats.connection().await;
    let client = connection.get_wrpc_client_custom(EDGE, Some(deadline)).await.expect("a client");
    let terms = Terms {
        routes: Vec::new(),
        body_bytes: 1 << 20,
        deadline,
        concurrency,
        rate_per_minute: None,
        rates: HashMap::new(),
    };
    let calls = Calls::new(&Registry::new()).expect("the registry is empty");
    (Arc::new(Target::new(EDGE, client, &terms, calls)), connection)
}

async fn serve(connection: &ProviderConnection) -> (Edge, watch::Sender<bool>) {
    let edge = Edge::default();
    let (stop, stopped) = watch::channel(false);
    let client = connection.get_wrpc_client(EDGE).await.expect("a client");
    let calls = bindings::serve(&client, edge.clone()).await.expect("the edge is served");
    connection.nats.flush().await.expect("NATS knows who hears");
    tokio::spawn(async move {
        souk_providers::provider::serve(calls.into_iter().collect(), stopped).await;
        drop(client);
    });
    (edge, stop)
}

fn request(method: &str, path: &str, keyed: bool, body: Vec<u8>) -> Request {
    Request {
        id: "req_1".into(),
        method: method.to_owned(),
        path: path.to_owned(),
        query: String::new(),
        origin: "http://localhost".to_owned(),
        client: "127.0.0.1".to_owned(),
        headers: keyed.then(|| ("idempotency-key".to_owned(), "1".to_owned())).into_iter().collect(),
        body,
    }
}

async fn ask(target: &Target, method: &str, path: &str, keyed: bool) -> Result<Response, Problem> {
    target.ask(request(method, path, keyed, Vec::new()), Trace::continued(None)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_an_answer_is_repeated_once_when_that_is_harmless() {
    let nats = Nats::start().await;
    let (target, connection) = target(&nats, Duration::from_millis(800), 64).await;
    let (edge, _stop) = serve(&connection).await;
    for (method, path, keyed, outcome, calls) in [
        ("GET", "/", false, Ok(200), 1),
        ("GET", "/trap-once", false, Ok(200), 2),
        ("HEAD", "/trap-once/head", false, Ok(200), 2),
        ("POST", "/trap-once/keyed", true, Ok(200), 2),
        ("POST", "/trap-once/plain", false, Err(Problem::Lost), 1),
        ("PUT", "/trap-once/put", false, Err(Problem::Lost), 1),
        ("GET", "/trap", false, Err(Problem::Lost), 2),
        ("GET", "/hang-once", false, Ok(200), 2),
        ("POST", "/hang-once/keyed", true, Ok(200), 2),
        ("POST", "/hang-once/plain", false, Err(Problem::DeadlineExceeded), 1),
        ("GET", "/hang", false, Err(Problem::DeadlineExceeded), 2),
    ] {
        let started = Instant::now();
        let answer = ask(&target, method, path, keyed).await.map(|response| response.status);
        assert_eq!(answer, outcome, "{method} {path}");
        assert_eq!(edge.called(path), calls, "{method} {path}");
        assert!(started.elapsed() < Duration::from_secs(3), "{method} {path} took {:?}", started.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_is_not_there_is_waited_for_but_not_long() {
    let nats = Nats::start().await;
    let (target, connection) = target(&nats, Duration::from_secs(20), 64).await;
    let started = Instant::now();
    assert_eq!(ask(&target, "POST", "/", false).await.map(|response| response.status), Err(Problem::Unavailable));
    assert!(started.elapsed() < Duration::from_secs(5), "nobody is there, and that is known at once");
    let late = async {
        tokio::task::yield_now().await; // the first call is on its way, or will find the edge there
        serve(&connection).await
    };
    let (answer, (edge, _stop)) = tokio::join!(ask(&target, "POST", "/late", false), late);
    assert_eq!(answer.map(|response| response.status), Ok(200), "nothing was done, so any request may be repeated");
    assert_eq!(edge.called("/late"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_cross_whole_also_when_they_are_longer_than_a_message() {
    let nats = Nats::start().await;
    let (target, connection) = target(&nats, Duration::from_secs(20), 64).await;
    let _served = serve(&connection).await;
    let body: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let sent = request("POST", "/large", false, body.clone());
    let answer = target.ask(sent, Trace::continued(None)).await.expect("it is answered");
    assert_eq!(answer.headers, [("x-path".to_owned(), "/large".to_owned())]);
    assert!(answer.body == body);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_requests_than_turns_are_told_to_come_again() {
    let nats = Nats::start().await;
    let (target, connection) = target(&nats, Duration::from_secs(5), 1).await;
    let (edge, _stop) = serve(&connection).await;
    let first = tokio::spawn({
        let target = target.clone();
        async move { ask(&target, "POST", "/hang", false).await.map(|response| response.status) }
    });
    while edge.called("/hang") == 0 {
        tokio::task::yield_now().await;
    }
    let second = ask(&target, "GET", "/", false).await.map(|response| response.status);
    assert_eq!(second, Err(Problem::Overloaded));
    assert_eq!(edge.called("/"), 0, "nothing was done");
    first.abort();
}

#[test]
fn only_a_subject_without_subscribers_means_that_nothing_was_done() {
    for (kind, lost) in [
        (Some(io::ErrorKind::NotConnected), Lost::Nobody),
        (Some(io::ErrorKind::TimedOut), Lost::Late),
        (Some(io::ErrorKind::UnexpectedEof), Lost::Ended),
        (Some(io::ErrorKind::BrokenPipe), Lost::Ended),
        (None, Lost::Ended),
    ] {
        let error = kind.map(io::Error::from);
        assert_eq!(classified(error.iter()), lost, "{kind:?}");
    }
}
