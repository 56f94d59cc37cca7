//! What the tests of the host share: components made from text, a server as a process, and a plain HTTP client.

#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// How long a test waits for something that has to happen.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often something that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Looks until something holds, for as long as [`PATIENCE`] lasts.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "still not: {what}");
        std::thread::park_timeout(LOOK_EVERY);
    }
}

/// Makes a component from core WebAssembly text and a world in WIT text, which may use the host's own WIT.
pub fn component(wat: &str, world: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    resolve.push_path(Path::new("../wit")).expect("the host's WIT");
    let package = resolve.push_str("test.wit", world).expect("the world's WIT");
    let world = resolve.select_world(&[package], None).expect("one world");
    let mut module = wat::parse_str(wat).expect("valid text");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("types");
    ComponentEncoder::default().module(&module).expect("a module that fits its world").encode().expect("a component")
}

/// The parts of a core module that every component here has: memory, an allocator that never frees, and an edge.
///
/// `routes` is code that leaves by `return` when the byte after the first slash is the route's; it finds the body
/// of the request in `$body` and `$body-len`.
pub fn edge(imports: &str, functions: &str, routes: &str) -> String {
    format!(
        r#"(module
            {imports}
            (memory (export "memory") 1)
            (global $heap (mut i32) (i32.const 4096))
            (data (i32.const 16) "ok")
            (func $alloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
                (global.set $heap (i32.add (local.get $at) (local.get 3)))
                (if (i32.gt_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536)))
                    (then (drop (memory.grow (i32.add (i32.shr_u (local.get 3) (i32.const 16)) (i32.const 1))))))
                (local.get $at))
            (func $answer (param $status i32) (param $at i32) (param $len i32) (result i32)
                (i32.store16 (i32.const 32) (local.get $status))
                (i32.store (i32.const 36) (i32.const 0))
                (i32.store (i32.const 40) (i32.const 0))
                (i32.store (i32.const 44) (local.get $at))
                (i32.store (i32.const 48) (local.get $len))
                (i32.const 32))
            {functions}
            (func (export "souk:shop/http@0.1.0#handle")
                (param $id i32) (param $id-len i32) (param $method i32) (param $method-len i32)
                (param $path i32) (param $path-len i32) (param $query i32) (param $query-len i32)
                (param $origin i32) (param $origin-len i32) (param $client i32) (param $client-len i32)
                (param $headers i32) (param $headers-len i32) (param $body i32) (param $body-len i32)
                (result i32)
                (local $route i32) (local $x i32)
                (local.set $route (i32.load8_u offset=1 (local.get $path)))
                {routes}
                (call $answer (i32.const 200) (i32.const 16) (i32.const 2)))
            (func (export "cabi_post_souk:shop/http@0.1.0#handle") (param i32))
        )"#
    )
}

/// An edge that can misbehave in every way a test asks for.
pub fn misbehaving() -> Vec<u8> {
    let routes = r#"
        (if (i32.eq (local.get $route) (i32.const 0x74)) (then unreachable)) ;; t
        (if (i32.eq (local.get $route) (i32.const 0x6c)) (then (loop $again (br $again)))) ;; l
        (if (i32.eq (local.get $route) (i32.const 0x6d)) ;; m
            (then (loop $again (drop (memory.grow (i32.const 16))) (br $again))))
        (if (i32.eq (local.get $route) (i32.const 0x72)) (then (return (call $recurse (i32.const 0))))) ;; r
        (if (i32.eq (local.get $route) (i32.const 0x62)) ;; b
            (then (return (call $answer (i32.const 999) (i32.const 16) (i32.const 2)))))
        (if (i32.eq (local.get $route) (i32.const 0x65)) ;; e
            (then (return (call $answer (i32.const 200) (local.get $body) (local.get $body-len)))))
        (if (i32.eq (local.get $route) (i32.const 0x73)) ;; s: about a third of a second
            (then (local.set $x (i32.const 300000000))
                (loop $again
                    (local.set $x (i32.sub (local.get $x) (i32.const 1)))
                    (br_if $again (local.get $x)))))"#;
    let functions = "(func $recurse (param i32) (result i32)
        (i32.add (call $recurse (i32.add (local.get 0) (i32.const 1))) (call $recurse (local.get 0))))";
    component(&edge("", functions, routes), "package t:edge; world edge { export souk:shop/http@0.1.0; }")
}

/// A directory of its own, removed at the end.
pub struct Dir(PathBuf);

impl Dir {
    /// Makes an empty directory.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("souk-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    /// A path within.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).expect("a file");
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A manifest with one route to one edge, and whatever else is given.
pub fn manifest(edge_tool: &str, rest: &str) -> String {
    format!(
        "spin_manifest_version = 2\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"edge\"\n\
         [component.edge]\nsource = \"edge.wasm\"\n[component.edge.tool.souk]\n{edge_tool}\n{rest}\n"
    )
}

/// A running `souk up`, killed at the end.
pub struct Host {
    child: Child,
    /// Where it answers.
    pub address: String,
    /// Where operators look.
    pub private: String,
    log: Arc<Mutex<String>>,
}

impl Host {
    /// Starts the host in a directory that has a manifest, and waits until it listens.
    pub fn up(dir: &Dir) -> Self {
        Self::up_with(dir, &[])
    }

    /// The same with something in its environment.
    pub fn up_with(dir: &Dir, environment: &[(&str, &str)]) -> Self {
        let mut child = command(dir, &["up", "--listen", "127.0.0.1:0", "--private", "127.0.0.1:0"])
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the host starts");
        let stderr = child.stderr.take().expect("piped");
        let log = Arc::new(Mutex::new(String::new()));
        let kept = log.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut kept = kept.lock().expect("no panic");
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        let mut host = Self { child, address: String::new(), private: String::new(), log };
        let line = host.wait_for_log("\"listening\"");
        let listening: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        host.address = listening["listen"].as_str().expect("an address").into();
        host.private = listening["private"].as_str().expect("an address").into();
        host
    }

    /// The first line of the log that contains a text.
    pub fn wait_for_log(&mut self, text: &str) -> String {
        let started = Instant::now();
        loop {
            let found = self.log.lock().expect("no panic").lines().find(|line| line.contains(text)).map(str::to_owned);
            if let Some(line) = found {
                return line;
            }
            let ended = self.child.try_wait().expect("a process");
            assert!(ended.is_none() && started.elapsed() < PATIENCE, "no {text} in the log:\n{}", self.log());
            std::thread::park_timeout(LOOK_EVERY);
        }
    }

    /// Everything logged so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("no panic").clone()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for the end and answers the exit code.
    pub fn exit_code(&mut self) -> Option<i32> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a process") {
                return status.code();
            }
            assert!(started.elapsed() < PATIENCE * 2, "the host does not end");
            std::thread::park_timeout(LOOK_EVERY);
        }
    }

    /// Sends a GET.
    pub fn get(&self, path: &str) -> Answer {
        exchange(&self.address, &format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"))
    }

    /// Sends a POST.
    pub fn post(&self, path: &str, body: &str) -> Answer {
        let length = body.len();
        exchange(
            &self.address,
            &format!(
                "POST {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            ),
        )
    }

    /// A metric by its name and labels as they are written.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let answer = exchange(&self.private, "GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        answer.body.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The host's binary, told where a directory's manifest and data are.
pub fn command(dir: &Dir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_souk"));
    command
        .args(arguments)
        .arg("--manifest")
        .arg(dir.path("spin.toml"))
        .arg("--data")
        .arg(dir.path("data"))
        .env_remove("SOUK_SQL")
        .stdout(Stdio::piped());
    command
}

/// An answer, taken apart.
#[derive(Debug)]
pub struct Answer {
    /// The status code; zero when the connection was closed without an answer.
    pub status: u16,
    /// The head as it came.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The code of a problem document.
    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let document: serde_json::Value = serde_json::from_str(&self.body).expect("JSON");
        assert_eq!(document["status"], self.status);
        assert_eq!(document["request_id"].as_str(), self.header("x-request-id"));
        let code = document["code"].as_str().expect("a code").to_owned();
        assert_eq!(document["type"], format!("urn:souk:problem:{code}"));
        code
    }
}

/// Sends bytes and reads until the connection is closed.
pub fn exchange(address: &str, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(request.as_bytes()).expect("sent");
    read(&mut stream)
}

/// Reads an answer until the connection is closed.
pub fn read(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.into(), body: body.into() }
}
