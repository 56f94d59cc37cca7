//! What a shop promises under Spin and nowhere else has to: the composites of `make spin` on stand-ins for Spin's interfaces.
//!
//! The shopper stories run there too; here is what is Spin's own: the drain, events after responses, and requests
//! that no server has bounded before.

use rusqlite::Connection;
use serde_json::json;
use souk_tests::client::Client;
use souk_tests::mail::{mail_about, mail_to};
use souk_tests::shop::{Limits, Platform, Shop};

/// A shop without products on Spin, and somebody who shops there.
fn shop(variables: &[(&str, &str)]) -> (Shop, Client) {
    let platform = match Platform::of_this_run() {
        Platform::Spin => Platform::Spin,
        Platform::SpinStandIn | Platform::Sqlite | Platform::Postgres(_) | Platform::Lattice => Platform::SpinStandIn,
    };
    let shop = Shop::start_on(platform, Limits::Lifted, variables);
    let client = Client::guest(&shop);
    (shop, client)
}

async fn register(client: &Client, email: &str) {
    let account = json!({"email": email, "password": "a-long-password-1", "name": "Ada"});
    client.post("/api/v1/auth/register", &account).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_delivered_after_responses() {
    let (_shop, client) = shop(&[]);
    register(&client, "ada@example.org").await;
    mail_about(&client, "ada@example.org", "welcome").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_drain_opens_to_its_secret_alone() {
    let (shop, client) = shop(&[]);
    let bearer = |token: &str| format!("Bearer {token}");
    let (right, wrong) = (bearer(&shop.secret("drain_token")), bearer("x"));
    for (method, headers, expected) in [
        ("POST", vec![], 404),
        ("POST", vec![("authorization", wrong.as_str())], 404),
        ("GET", vec![], 404),
        ("GET", vec![("authorization", right.as_str())], 405),
        ("POST", vec![("authorization", right.as_str())], 200),
    ] {
        let answer = client.send(method, "/souk/drain", &headers, None).await.expect(expected);
        if expected == 200 {
            assert_eq!(answer.json, json!({"delivered": 0, "failed": 0, "more": false}));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_there_is_no_drain_and_nothing_is_lost() {
    let (shop, client) = shop(&[("DRAIN_TOKEN", "")]);
    register(&client, "ada@example.org").await;
    let database = Connection::open(shop.database_file()).expect("it is there");
    let waiting: i64 =
        database.query_row("SELECT count(*) FROM souk_deliveries", [], |row| row.get(0)).expect("it counts");
    assert!(waiting > 0, "the welcome waits");
    let bearer = format!("Bearer {}", shop.secret("drain_token"));
    client.send("POST", "/souk/drain", &[("authorization", &bearer)], None).await.expect(404);
    assert!(mail_to(&client, "ada@example.org").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_edge_should_see_gets_a_problem() {
    let (_shop, client) = shop(&[]);
    let large = vec![b'x'; (1 << 20) + 1];
    let answer = client.send("POST", "/api/v1/store/carts", &[("x-request-id", "mine-1")], Some(large)).await;
    assert_eq!(answer.expect(413).problem(), "payload_too_large");
    let form = vec![b'x'; (64 << 10) + 1];
    let answer = client.send("POST", "/cart", &[], Some(form)).await;
    assert_eq!(answer.expect(413).problem(), "payload_too_large", "each edge has its own limit");
    let long = "x".repeat(17 << 10);
    let answer = client.send("GET", "/", &[("x-long", &long)], None).await.expect(431);
    assert_eq!(answer.problem(), "headers_too_large");
    let answer = client.send("BREW", "/", &[("x-request-id", "mine-2")], None).await;
    assert_eq!((answer.status / 100, answer.header("x-request-id")), (4, Some("mine-2")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_has_its_length_and_a_head_has_no_body() {
    let (_shop, client) = shop(&[]);
    let page = client.get("/api/openapi.json").await.expect(200);
    assert_eq!(page.header("content-length"), Some(page.text.len().to_string().as_str()));
    let head = client.send("HEAD", "/api/openapi.json", &[], None).await;
    assert!(head.text.is_empty(), "{}", head.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_own_commands_work_beside_it() {
    let (shop, client) = shop(&[]);
    register(&client, "ada@example.org").await;
    mail_about(&client, "ada@example.org", "welcome").await;
    let copy = shop.folder.path().join("copy.db");
    let copy = copy.to_str().expect("a folder of ours has a plain name");
    for words in [vec!["backup", copy], vec!["audit"], vec!["dead-letters", "list"]] {
        let (well, printed) = shop.command(&words);
        assert!(well, "{words:?}: {printed}");
    }
    register(&client, "grace@example.org").await;
    mail_about(&client, "grace@example.org", "welcome").await;
}
