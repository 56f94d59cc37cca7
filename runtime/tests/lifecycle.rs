//! Starting, reloading, draining, and what the other commands say.

mod support;

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use support::{Dir, Host, command, component, edge, eventually, manifest, misbehaving};

/// An edge that answers with one word.
fn word(word: &str) -> Vec<u8> {
    let len = word.len();
    let functions = format!("(data (i32.const 200) \"{word}\")");
    let routes = format!("(return (call $answer (i32.const 200) (i32.const 200) (i32.const {len})))");
    component(&edge("", &functions, &routes), "package t:edge; world edge { export souk:shop/http@0.1.0; }")
}

#[test]
fn a_reload_drops_no_request_and_a_bad_one_changes_nothing() {
    let dir = Dir::new();
    dir.write("edge.wasm", word("old"));
    dir.write("spin.toml", manifest("", ""));
    let mut host = Host::up(&dir);
    assert_eq!(host.get("/").body, "old");
    let (stop, bad, seen) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let answer = host.get("/");
                    seen.fetch_add(1, Ordering::Relaxed);
                    if answer.status != 200 || !["old", "new"].contains(&answer.body.as_str()) {
                        bad.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        dir.write("edge.wasm", word("new"));
        host.signal("HUP");
        eventually("the new component answers", || host.get("/").body == "new");
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(bad.load(Ordering::Relaxed), 0, "of {}", seen.load(Ordering::Relaxed));
    assert!(host.wait_for_log("\"reloaded\"").contains("edge"));
    dir.write("spin.toml", manifest("limits = { memory_mb = 1 }", ""));
    host.signal("HUP");
    assert!(host.wait_for_log("not reloaded").contains("memory_mb"));
    assert_eq!(host.get("/").body, "new");
    assert_eq!(host.metric("souk_reloads_total{outcome=\"ok\"}"), Some(1.0));
    assert_eq!(host.metric("souk_reloads_total{outcome=\"refused\"}"), Some(1.0));
}

#[test]
fn a_stop_finishes_what_was_begun() {
    for signal in ["TERM", "INT"] {
        let dir = Dir::new();
        dir.write("edge.wasm", misbehaving());
        dir.write("spin.toml", manifest("", ""));
        let mut host = Host::up(&dir);
        let mut idle = TcpStream::connect(&host.address).expect("a connection");
        std::thread::scope(|scope| {
            let slow = scope.spawn(|| host.get("/slow"));
            // Begun before the signal: the gauge says so.
            eventually("the request is in flight", || host.metric("souk_requests_in_flight") == Some(1.0));
            host.signal(signal);
            let answer = slow.join().expect("no panic");
            assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
        });
        assert_eq!(host.exit_code(), Some(0), "{}", host.log());
        assert!(TcpStream::connect(&host.address).is_err());
        let mut rest = Vec::new();
        assert_eq!(idle.read_to_end(&mut rest).unwrap_or(0), 0);
    }
}

#[test]
fn a_kept_connection_serves_many_requests() {
    let dir = Dir::new();
    dir.write("edge.wasm", word("hi"));
    dir.write("spin.toml", manifest("", ""));
    let host = Host::up(&dir);
    let mut stream = TcpStream::connect(&host.address).expect("a connection");
    let mut buffer = [0; 1024];
    for _ in 0..100 {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").expect("sent");
        let read = stream.read(&mut buffer).expect("an answer");
        let answer = String::from_utf8_lossy(&buffer[..read]);
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hi"), "{answer}");
    }
}

#[test]
fn compiled_code_is_kept_and_a_spoiled_copy_is_made_again() {
    let dir = Dir::new();
    dir.write("edge.wasm", word("hi"));
    dir.write("spin.toml", manifest("", ""));
    drop(Host::up(&dir));
    let kept = || {
        let files = std::fs::read_dir(dir.path("data/cache")).expect("a cache");
        files.map(|file| file.expect("a file").path()).collect::<Vec<_>>()
    };
    assert_eq!(kept().len(), 1);
    std::fs::write(&kept()[0], b"spoiled").expect("written");
    assert_eq!(Host::up(&dir).get("/").body, "hi");
    assert_eq!(kept().len(), 1);
    assert!(std::fs::metadata(&kept()[0]).expect("a file").len() > 100);
}

#[test]
fn secrets_are_made_on_the_first_start_and_stay() {
    let dir = Dir::new();
    dir.write("edge.wasm", word("hi"));
    let rest = "variables = { key = \"{{ key }}\" }\n\
                [variables]\nkey = { required = true, secret = true }\npublic_key = { required = true }\n\
                [application.tool.souk.generate]\nkey = { kind = \"ed25519\", public = \"public_key\" }";
    let text = manifest("", "").replace("source = \"edge.wasm\"\n", "source = \"edge.wasm\"\nVARIABLES\n");
    let (variables, rest) = rest.split_once('\n').expect("two parts");
    let text = text.replace("VARIABLES", variables) + rest;
    dir.write("spin.toml", text);
    drop(Host::up(&dir));
    let secrets = std::fs::read_to_string(dir.path("data/secrets.toml")).expect("secrets");
    let host = Host::up(&dir);
    assert_eq!(std::fs::read_to_string(dir.path("data/secrets.toml")).expect("secrets"), secrets);
    let key = secrets.lines().find_map(|line| line.strip_prefix("key = ")).expect("a key").trim_matches('"').to_owned();
    assert_eq!(key.len(), 86);
    assert!(!host.log().contains(&key));
    let inspected = command(&dir, &["inspect", "--json"]).output().expect("runs");
    let text = String::from_utf8_lossy(&inspected.stdout);
    let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(document["components"][0]["variables"][0], "key");
    assert!(!text.contains(&key));
}

/// A component whose audit answers with what is at 1024: all zero is a page without findings.
fn auditor(data: &str) -> Vec<u8> {
    let wat = format!(
        r#"(module
            (memory (export "memory") 1)
            {data}
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
            (func (export "souk:shop/audit@0.1.0#check")
                (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 1024)))"#
    );
    component(&wat, "package t:audit; world auditor { export souk:shop/audit@0.1.0; }")
}

#[test]
fn an_audit_passes_only_when_every_component_adds_up() {
    let dir = Dir::new();
    dir.write("edge.wasm", word("hi"));
    dir.write("good.wasm", auditor(""));
    let bad = r#"(data (i32.const 1032) "\05\00\00\00\00\00\00\00\00\08\00\00\01\00\00\00")
        (data (i32.const 2048) "\00\09\00\00\05\00\00\00\00\09\00\00\05\00\00\00\00\09\00\00\05\00\00\00")
        (data (i32.const 2304) "wrong")"#;
    dir.write("bad.wasm", auditor(bad));
    dir.write("away.wasm", auditor("(data (i32.const 1024) \"\\01\")"));
    let audit = |components: &[&str]| {
        let rest: String =
            components.iter().map(|name| format!("[component.{name}]\nsource = \"{name}.wasm\"\n")).collect();
        dir.write("spin.toml", manifest("", &rest));
        let output = command(&dir, &["audit"]).output().expect("runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, text) = audit(&["good"]);
    assert_eq!((code, text.lines().last()), (Some(0), Some("2 passed, 0 failed")), "{text}");
    let (code, text) = audit(&["good", "bad", "away"]);
    assert_eq!((code, text.lines().last()), (Some(1), Some("2 passed, 2 failed")), "{text}");
    assert!(text.contains("bad: wrong wrong: wrong") && text.contains("bad: 5 checked, 1 findings"), "{text}");
}

#[test]
fn commands_work_beside_a_running_host_and_without_one() {
    let dir = Dir::new();
    dir.write("edge.wasm", word("hi"));
    dir.write("good.wasm", auditor(""));
    dir.write("spin.toml", manifest("", "[component.good]\nsource = \"good.wasm\""));
    let run = |arguments: &[&str]| {
        let output = command(&dir, arguments).output().expect("runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let mut host = Some(Host::up(&dir));
    for copy in ["beside.db", "alone.db"] {
        let (code, text) = run(&["audit"]);
        assert_eq!((code, text.lines().last()), (Some(0), Some("2 passed, 0 failed")), "{text}");
        let (code, text) = run(&["dead-letters", "list"]);
        assert_eq!((code, text.trim()), (Some(0), "0 dead letters"), "{text}");
        let (code, text) = run(&["dead-letters", "replay"]);
        assert_eq!((code, text.trim()), (Some(0), "0 to be delivered again"), "{text}");
        let file = dir.path(copy);
        let backup = ["backup", file.to_str().expect("a path"), "--data", dir.path("data").to_str().expect("a path")]
            .map(str::to_owned);
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_souk")).args(backup).output().expect("runs");
        assert!(output.status.success() && file.is_file(), "{output:?}");
        if let Some(host) = host.take() {
            let (code, text) = run(&["migrate"]);
            assert_eq!(code, Some(1), "one host at a time has the database: {text}");
            // A web page could send this request; only a program can set the header.
            let page = "POST /audit HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            assert_eq!(support::exchange(&host.private, page).status, 404);
            host.signal("TERM");
            let mut host = host;
            assert_eq!(host.exit_code(), Some(0));
        }
    }
    assert_eq!(run(&["migrate"]).0, Some(0));
}

#[test]
fn seeds_are_played_in_order_and_stop_at_the_first_surprise() {
    let dir = Dir::new();
    dir.write("edge.wasm", misbehaving());
    dir.write("spin.toml", manifest("", ""));
    let host = Host::up(&dir);
    let play = |lines: &str| {
        dir.write("seed.jsonl", lines);
        dir.write("picture.bin", "{\"id\": \"from-a-file\"}");
        let url = format!("http://{}", host.address);
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_souk"))
            .arg("seed")
            .arg(dir.path("seed.jsonl"))
            .args(["--url", &url])
            .output()
            .expect("runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, stdout, stderr) = play(concat!(
        "{\"method\": \"POST\", \"path\": \"/echo\", \"file\": \"picture.bin\", \"save\": {\"id\": \"/id\"}}\n",
        "{\"method\": \"POST\", \"path\": \"/echo\", \"body\": {\"again\": \"<{{id}}>\"}, \"save\": {\"x\": \"/again\"}}\n",
        "{\"method\": \"GET\", \"path\": \"/ok?{{x}}\", \"parallel\": true}\n",
        "{\"method\": \"GET\", \"path\": \"/ok\", \"parallel\": true}\n",
    ));
    assert_eq!((code, stdout.trim()), (Some(0), "4 passed, 0 failed"), "{stderr}");
    let (code, _, stderr) = play("{\"name\": \"boom\", \"method\": \"GET\", \"path\": \"/trap\"}\n");
    assert_eq!(code, Some(1));
    assert!(stderr.contains("boom") && stderr.contains("internal_error"), "{stderr}");
    let (code, _, stderr) = play("{\"method\": \"GET\", \"path\": \"/{{nobody}}\"}\n");
    assert!(code == Some(1) && stderr.contains("nothing was saved as `nobody`"), "{stderr}");
}

#[test]
fn the_command_line_tells_apart_wrong_use_and_bad_news() {
    let dir = Dir::new();
    let output = command(&dir, &["up"]).output().expect("runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("--manifest FILE"), "{stderr}");
    let output = command(&dir, &["upp"]).output().expect("runs");
    assert_eq!(output.status.code(), Some(2));
}
