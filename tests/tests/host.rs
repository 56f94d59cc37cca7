//! The host as those see it who run it: what components may do, what is wrong with a manifest, health, metrics,
//! reload, stop, backup.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use souk_tests::{
    client::Client,
    folder::Folder,
    shop::{Limits, Shop, root, souk},
    wait::{SOON, eventually},
};

/// Components that hold data or decide about it.
const SERVICES: [&str; 6] = ["user", "catalog", "cart", "order", "payment", "notification"];

/// What operators read at a private path.
async fn private(shop: &Shop, path: &str) -> (u16, String) {
    let answer = Client::at(&shop.private).get(path).await;
    (answer.status, answer.text)
}

/// The value of a metric with these labels, as Prometheus reads it; zero when it was never counted.
async fn metric(shop: &Shop, name: &str) -> f64 {
    let (status, text) = private(shop, "/metrics").await;
    assert_eq!(status, 200);
    let values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    values.map(|value| value.parse::<f64>().expect("a metric is a number")).sum()
}

#[test]
fn no_service_may_reach_the_network() {
    let shop = Shop::start(&[]);
    let (well, printed) = shop.command(&["inspect", "--json"]);
    assert!(well, "{printed}");
    let inspected: Value = serde_json::from_str(&printed).expect("inspect prints JSON");
    let components = inspected["components"].as_array().expect("a list");
    let mut services = 0;
    for component in components {
        let name = component["name"].as_str().expect("a name");
        let imports: Vec<&str> =
            component["imports"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        for import in &imports {
            let known = import.starts_with("souk:shop/")
                || import.starts_with("wasi:clocks/wall-clock@")
                || import.starts_with("wasi:random/random@");
            assert!(known, "{name} imports {import}");
        }
        if SERVICES.contains(&name) {
            services += 1;
            assert_eq!(component["network"], json!([]), "{name}");
            assert!(!imports.iter().any(|import| import.contains("http-out")), "{name} {imports:?}");
        }
        assert_eq!(component["sha256"].as_str().map(str::len), Some(64), "{name}");
        assert!(component["limits"]["memory_mib"].as_u64().is_some_and(|memory| memory <= 64), "{name}");
    }
    assert_eq!(services, SERVICES.len());
    let secret = shop.secret("token_private_key");
    let (well, printed) = shop.command(&["inspect"]);
    assert!(well && printed.contains("network:   none") && !printed.contains(&secret), "{printed}");
}

#[test]
fn every_error_of_the_configuration_is_named_at_once() {
    let folder = Folder::new();
    let manifest = folder.path().join("spin.toml");
    let text = fs::read_to_string(root().join("spin.toml")).expect("the repository has a manifest");
    let wrong = text
        .replace("\"target/", &format!("\"{}/target/", root().display()))
        .replace("\"components/", &format!("\"{}/components/", root().display()))
        .replace("route = \"/media/...\"", "route = \"/media/...\"\ncolour = \"red\"")
        .replace("links = { catalog = \"catalog\" }", "links = { catalog = \"katalog\" }")
        .replace("souk_mailbox.wasm", "souk_letterbox.wasm")
        .replace("public_url = \"{{ public_url }}\"", "public_url = \"{{ pubic_url }}\"");
    fs::write(&manifest, wrong).expect("the manifest can be written");
    let output = souk()
        .args(["up", "--listen", "127.0.0.1:0", "--private", "127.0.0.1:0"])
        .args(["--manifest".as_ref(), manifest.as_os_str(), "--data".as_ref(), folder.path().join("data").as_os_str()])
        .output()
        .expect("the host starts");
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{printed}");
    for named in ["colour", "katalog", "souk_letterbox.wasm", "pubic_url"] {
        let line = printed.lines().find(|line| line.contains(named));
        let line = line.unwrap_or_else(|| panic!("{named} is not named in:\n{printed}"));
        assert!(line.starts_with("error: spin.toml:"), "an error says where it is: {line}");
    }
    assert!(printed.contains("errors in the configuration; nothing was started"), "{printed}");
    assert!(!folder.path().join("data/souk.db").exists(), "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_fails_no_request_and_a_broken_manifest_changes_nothing() {
    /// How often the manifest is loaded again under load.
    const RELOADS: u32 = 5;
    let shop = Shop::start(&[]);
    let staff = Client::staff(&shop).await;
    let variant = staff.stocked_variant("teapot", 900).await;
    let over = Arc::new(AtomicBool::new(false));
    let shoppers: Vec<_> = (0..4)
        .map(|number| {
            let (guest, variant, over) = (Client::guest(&shop), variant.clone(), over.clone());
            tokio::spawn(async move {
                let mut answered = 0_u32;
                while !over.load(Ordering::Relaxed) {
                    let (cart, body) = guest.quoted_cart(&variant, 1).await;
                    let path = format!("/api/v1/store/carts/{cart}/checkout");
                    let order = guest.post_once(&path, &format!("{number}-{answered}"), &body).await.expect(201);
                    assert_eq!(order.text_at("/state"), "confirmed");
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    let reloaded = "souk_reloads_total{outcome=\"ok\"}";
    for number in 1..=RELOADS {
        shop.signal("HUP");
        eventually(SOON, "a reload", async || (metric(&shop, reloaded).await >= f64::from(number)).then_some(())).await;
    }
    let manifest = fs::read_to_string(shop.manifest()).expect("the manifest can be read");
    fs::write(shop.manifest(), manifest.replace("[component.cart]", "[component.cart]\ncolour = \"red\""))
        .expect("written");
    shop.signal("HUP");
    let refused = "souk_reloads_total{outcome=\"refused\"}";
    eventually(SOON, "a refusal", async || (metric(&shop, refused).await >= 1.0).then_some(())).await;
    over.store(true, Ordering::Relaxed);
    for shopper in shoppers {
        let answered = shopper.await.expect("no request failed");
        assert!(answered > 0, "every shopper was served");
    }
    fs::write(shop.manifest(), manifest).expect("written");
    shop.assert_audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_requests_under_way_finish() {
    /// Hashing so many passwords takes long enough to be told to stop meanwhile.
    const GUESTS: usize = 16;
    let mut shop = Shop::start(&[]);
    let guests = (0..GUESTS).map(|number| {
        let guest = Client::guest(&shop);
        tokio::spawn(async move {
            let body =
                json!({"email": format!("g{number}@example.org"), "password": "correct-horse-battery", "name": "G"});
            guest.post("/api/v1/auth/register", &body).await.expect(201);
        })
    });
    let guests: Vec<_> = guests.collect();
    eventually(SOON, "every request is under way", async || {
        let under_way = metric(&shop, "souk_requests_in_flight").await as usize;
        let over = guests.iter().filter(|guest| guest.is_finished()).count();
        (under_way + over >= GUESTS).then_some(())
    })
    .await;
    let (well, log) = tokio::task::block_in_place(|| shop.stop());
    assert!(well, "{log}");
    for guest in guests {
        guest.await.expect("a request that was taken is answered");
    }
    tokio::task::block_in_place(|| shop.launch());
    let customers = Client::staff(&shop).await.get("/api/v1/admin/customers").await.expect(200);
    assert_eq!(customers.json["data"].as_array().map(Vec::len), Some(GUESTS + 1), "and staff");
}

#[tokio::test]
async fn whoever_asks_too_often_has_to_wait() {
    /// More requests than a minute's worth, and what comes back while they are sent.
    const REQUESTS_MAX: usize = 2_400;
    let shop = Shop::start_with(Limits::Kept, &[]);
    let guest = Client::guest(&shop);
    let mut last = u64::MAX;
    for _ in 0..REQUESTS_MAX {
        let answer = guest.get("/api/v1/store/categories").await;
        let number = |name: &str| answer.header(name).and_then(|number| number.parse::<u64>().ok());
        assert_eq!(number("ratelimit-limit"), Some(1200));
        let remaining = number("ratelimit-remaining").expect("it says how many are left");
        if answer.status == 429 {
            assert_eq!((answer.problem(), remaining), ("rate_limited".to_owned(), 0));
            assert!(number("retry-after").is_some_and(|seconds| seconds >= 1));
            // Health is asked for by machines, and pages have a limit of their own.
            guest.get("/healthz").await.expect(200);
            guest.get("/").await.expect(200);
            return;
        }
        assert!(answer.status == 200 && remaining <= last.saturating_add(60), "{} {remaining}", answer.status);
        last = remaining;
    }
    panic!("{REQUESTS_MAX} requests in a row were taken");
}

#[tokio::test]
async fn operators_see_health_and_metrics_where_shoppers_do_not() {
    let shop = Shop::start(&[]);
    let guest = Client::guest(&shop);
    for url in [&shop.url, &shop.private] {
        for path in ["/healthz", "/readyz"] {
            Client::at(url).get(path).await.expect(200);
        }
    }
    let hello = guest.get("/api/v1/store/products").await.expect(200);
    assert!(hello.header("x-request-id").is_some_and(|id| id.starts_with("req_")));
    let own = guest.send("GET", "/api/v1/store/products", &[("x-request-id", "my-own-id-1")], None).await.expect(200);
    assert_eq!(own.header("x-request-id"), Some("my-own-id-1"));
    assert_eq!(guest.get("/metrics").await.status, 404, "metrics are not for shoppers");
    assert_eq!(private(&shop, "/api/v1/store/products").await.0, 404);
    let (_, text) = private(&shop, "/metrics").await;
    for name in [
        "souk_requests_total{",
        "souk_request_seconds_bucket{",
        "souk_calls_total{",
        "souk_requests_in_flight ",
        "souk_instances ",
        "souk_outbox_depth",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} is not in:\n{text}");
    }
    assert!(!text.contains("my-own-id-1") && !text.contains("cart_"), "labels are bounded");
    assert!(metric(&shop, "souk_traps_total").await == 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_running_shop_is_a_whole_shop() {
    let mut shop = Shop::start(&[]);
    let staff = Client::staff(&shop).await;
    let variant = staff.stocked_variant("teapot", 100).await;
    let guest = Client::guest(&shop);
    let buy = |number: u32| {
        let (guest, variant) = (guest.clone(), variant.clone());
        async move {
            let (cart, body) = guest.quoted_cart(&variant, 1).await;
            let path = format!("/api/v1/store/carts/{cart}/checkout");
            guest.post_once(&path, &format!("key-{number}"), &body).await.expect(201)
        }
    };
    let first = buy(0).await;
    let selling = tokio::spawn({
        let orders: Vec<_> = (1..20).map(buy).collect();
        async move {
            for order in orders {
                order.await;
            }
        }
    });
    let copy = shop.folder.path().join("copy.db");
    let path = copy.to_str().expect("a folder for temporary files has a plain name").to_owned();
    let (well, printed) = tokio::task::block_in_place(|| shop.command(&["backup", &path]));
    assert!(well, "{printed}");
    let (again, printed) = tokio::task::block_in_place(|| shop.command(&["backup", &path]));
    assert!(!again && printed.contains("name a new file"), "{printed}");
    selling.await.expect("shoppers notice nothing");

    let opened = Connection::open_with_flags(&copy, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the copy opens");
    let sound: String = opened.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("it can be checked");
    assert_eq!(sound, "ok");
    drop(opened);

    // The copy in the place of the original, as after a fire.
    tokio::task::block_in_place(|| shop.stop());
    for left in ["souk.db", "souk.db-wal", "souk.db-shm"] {
        let path = shop.data().join(left);
        if path.exists() {
            fs::remove_file(path).expect("a file of ours can be removed");
        }
    }
    fs::copy(&copy, shop.data().join("souk.db")).expect("the copy can be put back");
    tokio::task::block_in_place(|| shop.launch());
    let path = format!("/api/v1/store/orders/{}?token={}", first.text_at("/id"), first.text_at("/access_token"));
    Client::guest(&shop).get(&path).await.expect(200);
    shop.assert_audit();
}

#[tokio::test]
async fn commands_tell_how_a_shop_stands_while_it_runs_and_after() {
    let mut shop = Shop::start(&[]);
    for _ in 0..2 {
        shop.assert_audit();
        assert_eq!(shop.command(&["dead-letters", "list"]), (true, "0 dead letters\n".to_owned()));
        if shop.is_running() {
            let (well, printed) = shop.command(&["migrate"]);
            assert!(!well && printed.contains("stop it first"), "{printed}");
            let (well, log) = shop.stop();
            assert!(well, "{log}");
        }
    }
    for _ in 0..2 {
        let (well, printed) = shop.command(&["migrate"]);
        assert!(well, "{printed}");
        let applied: Vec<&str> = printed.lines().filter(|line| line.ends_with(" applied")).collect();
        assert!(!applied.is_empty() && applied.iter().all(|line| line.ends_with(": 0 applied")), "{printed}");
    }
    let help = souk().arg("--help").output().expect("the host starts");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    for verb in ["up", "migrate", "seed", "inspect", "audit", "backup", "dead-letters"] {
        assert!(help.contains(&format!("\n  {verb}")), "{verb} is not in:\n{help}");
    }
}

#[tokio::test]
async fn an_audit_finds_what_was_changed_by_hand_and_repairs_what_is_derived() {
    let shop = Shop::start(&[]);
    let (staff, guest) = (Client::staff(&shop).await, Client::guest(&shop));
    let variant = staff.stocked_variant("teapot", 5).await;
    let (cart, body) = guest.quoted_cart(&variant, 2).await;
    guest.post_once(&format!("/api/v1/store/carts/{cart}/checkout"), "one", &body).await.expect(201);
    let by_hand = |sql: &str| {
        let db = Connection::open(shop.database_file()).expect("it is a database");
        db.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).expect("the test's own statement is fine");
    };
    let audit = |words: &[&str]| shop.command(&[&["audit"], words].concat());
    by_hand("UPDATE catalog_listings SET available = 99");
    let (sound, printed) = audit(&[]);
    assert!(!sound && printed.contains("listings_show_what_is_available prod_"), "{printed}");
    let (sound, printed) = audit(&["--repair"]);
    assert!(sound && printed.contains("is rebuilt") && printed.contains("and again:"), "{printed}");
    let listed = guest.get("/api/v1/store/products/teapot").await.expect(200);
    assert_eq!(listed.integer_at("/variants/0/available"), 3);

    let (sound, printed) = audit(&["--outside"]);
    assert!(sound && printed.contains("payment, outside: 1 checked, all adds up"), "{printed}");
    by_hand("UPDATE test_payments_objects SET refunded = refunded + 1");
    let (sound, printed) = audit(&["--outside"]);
    assert!(!sound && printed.contains("payment_is_what_its_provider_says pay_"), "{printed}");
    by_hand("UPDATE test_payments_objects SET refunded = refunded - 1");

    by_hand("DELETE FROM order_orders");
    let (sound, printed) = audit(&["--repair"]);
    assert!(!sound && printed.contains("money_is_asked_for_orders_alone ord_"), "what is not derived stays: {printed}");
    assert!(printed.contains("stock_is_promised_to_orders_alone ord_"), "{printed}");
}

#[tokio::test]
async fn the_documentation_that_is_served_is_the_one_that_was_read() {
    let shop = Shop::start(&[]);
    let guest = Client::guest(&shop);
    let checked_in = fs::read_to_string(root().join("components/gateway/openapi.json")).expect("it is checked in");
    let served = guest.get("/api/openapi.json").await.expect(200);
    assert_eq!(served.text, checked_in);
    assert!(served.text_at("/openapi").starts_with("3.1."));
    let page = guest.get("/api/docs").await.expect(200);
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    assert!(page.text.contains("/api/v1/store/carts/{id}/checkout"));
    // What it promises without a key or an account, there is.
    for (path, methods) in served.json["paths"].as_object().expect("it has paths") {
        if methods.get("get").is_some() && !path.contains('{') {
            let answer = guest.get(path).await;
            assert!(matches!(answer.status, 200 | 401 | 422), "GET {path}: {}", answer.status);
        }
    }
}
