//! What the host does while its database is away. How it recovers is told in `tests/tests/outage.rs`, on a real one.

mod support;

use support::{Dir, Host, eventually, exchange, manifest, misbehaving};

/// A port of this machine where nobody listens.
const NOWHERE: &str = "postgres://souk:hidden@127.0.0.1:1/shop";

#[test]
fn a_host_without_its_database_listens_and_says_so() {
    let dir = Dir::new();
    dir.write("edge.wasm", misbehaving());
    dir.write("spin.toml", manifest("", ""));
    let mut host = Host::up_with(&dir, &[("SOUK_SQL", NOWHERE)]);
    assert_eq!(host.get("/healthz").status, 200, "the process runs");
    let ready = host.get("/readyz");
    assert_eq!((ready.status, ready.body.as_str()), (503, "the database is not ready yet\n"));
    let answer = host.get("/anything");
    assert_eq!((answer.status, answer.code().as_str()), (503, "unavailable"));
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    let ask = |path: &str| {
        exchange(&host.private, &format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"))
    };
    let told = ask("/readyz");
    assert!(told.status == 503 && told.body.contains("cannot be reached"), "operators are told more: {told:?}");
    eventually("the reason is in the log", || host.log().contains("not ready"));
    assert!(!host.log().contains("hidden"), "no password is: {}", host.log());
    host.signal("TERM");
    assert_eq!(host.exit_code(), Some(0), "it ends as well as any other");
}

#[test]
fn an_address_that_is_none_is_refused_before_anything_starts() {
    let dir = Dir::new();
    dir.write("edge.wasm", misbehaving());
    dir.write("spin.toml", manifest("", ""));
    for address in ["mysql://souk:hidden@host/shop", "postgres://souk:hidden@host:port/shop"] {
        for command in [&["up", "--listen", "127.0.0.1:0", "--private", "127.0.0.1:0"][..], &["migrate"]] {
            let output = support::command(&dir, command).args(["--sql", address]).output().expect("the host runs");
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{command:?} {address}: {stderr}");
            assert!(stderr.contains("postgres://") && !stderr.contains("hidden"), "{stderr}");
        }
    }
}

#[test]
fn a_backup_of_postgres_is_the_business_of_its_own_tools() {
    let dir = Dir::new();
    let output = support::command(&dir, &["backup", "copy.db"]).env("SOUK_SQL", NOWHERE).output();
    let output = output.expect("the host runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && stderr.contains("pg_dump") && !stderr.contains("hidden"), "{stderr}");
}
