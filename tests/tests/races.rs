//! Many who want the same thing at once, over HTTP against the real host. Each story ends with the books: those of the
//! services, and the checker's own.

use std::time::Instant;

use serde_json::{Value, json};
use souk_tests::{
    checker::{Books, assert_sound, settle},
    client::{Answer, Client},
    crowd::{code, crowd, machine, patiently},
    shop::{Platform, Shop},
    wait::AFTER_A_TIMER,
};
use tokio::task::JoinSet;

/// How much of a race is run on this run's platform.
fn scaled(full: usize) -> usize {
    Platform::of_this_run().share(full)
}

/// Units of a variant, as many as that much of a race is about.
fn scaled_units(full: usize) -> i64 {
    i64::try_from(scaled(full)).expect("it is small")
}

/// Waits for what is on its way, then asserts that all adds up.
async fn assert_books(shop: &Shop) -> Books {
    settle(shop, AFTER_A_TIMER).await;
    assert_sound(shop);
    Books::of(shop)
}

/// What became of one try to buy.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Bought {
    /// An order, confirmed or still on its way.
    Order(String),
    /// The stock was gone.
    SoldOut,
}

/// The whole way of a shopper: a cart with these lines, a quote, a checkout.
async fn buy(guest: &Client, lines: &[(String, u32)], key: &str) -> Bought {
    let cart = guest.post("/api/v1/store/carts", &json!({"currency": "USD"})).await.expect(201).text_at("/id");
    for (variant, quantity) in lines {
        let line = format!("/api/v1/store/carts/{cart}/lines/{variant}");
        guest.json("PUT", &line, &[], &json!({"quantity": quantity})).await.expect(200);
    }
    let body = guest.checkout_body(&cart).await;
    let answer = patiently(guest, &format!("/api/v1/store/carts/{cart}/checkout"), key, &body).await;
    bought(&answer)
}

fn bought(answer: &Answer) -> Bought {
    match (answer.status, code(answer).as_str()) {
        (201, _) => Bought::Order(answer.text_at("/id")),
        (200, _) if answer.json["cancel_reason"] == "out_of_stock" => Bought::SoldOut,
        (409, "out_of_stock") => Bought::SoldOut,
        (status, _) => panic!("neither sold nor sold out: {status} {}", answer.text),
    }
}

fn orders(outcomes: &[Bought]) -> usize {
    outcomes.iter().filter(|outcome| matches!(outcome, Bought::Order(_))).count()
}

/// Units of a variant on hand, promised, and sold.
fn shelf(books: &Books, variant: &str) -> (i64, i64, i64) {
    let column = |name| books.number(&format!("SELECT {name} FROM catalog_stock WHERE variant_id = ?1"), [variant]);
    let sold = "SELECT COALESCE(SUM(l.quantity), 0) FROM order_lines l JOIN order_orders o ON o.id = l.order_id \
        WHERE o.stage = 'confirmed' AND l.variant_id = ?1";
    (column("on_hand"), column("reserved"), books.number(sold, [variant]))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_tries_on_a_hundred_units_sell_a_hundred() {
    let _machine = machine().await;
    let shop = Shop::start(&[]);
    let (guest, staff) = (Client::guest(&shop), Client::staff(&shop).await);
    let units = scaled_units(100);
    let variant = staff.stocked_variant("wanted", units).await;

    let begin = Instant::now();
    let lines = vec![(variant.clone(), 1)];
    let (clients, tries) = (scaled(64), scaled(2_000));
    let outcomes = crowd(clients, tries, move |number| {
        let (guest, lines) = (guest.clone(), lines.clone());
        async move { buy(&guest, &lines, &format!("try-{number}")).await }
    })
    .await;
    let took = begin.elapsed();

    assert_eq!(orders(&outcomes), scaled(100));
    let books = assert_books(&shop).await;
    assert_eq!(shelf(&books, &variant), (0, 0, units));
    assert_eq!(books.number("SELECT available FROM catalog_listings", []), 0);
    println!("oversell: {clients} clients, {tries} tries, {units} units: {} sold, {took:.1?}", orders(&outcomes));
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_two_variants_sell_both_or_neither() {
    let _machine = machine().await;
    let shop = Shop::start(&[]);
    let (guest, staff) = (Client::guest(&shop), Client::staff(&shop).await);
    let (lefts, rights) = (scaled_units(64), scaled_units(48));
    let [left, right] = [staff.stocked_variant("left", lefts).await, staff.stocked_variant("right", rights).await];

    // One wants both in one order of lines, the next in the other, the third two of the left alone.
    let wishes = [
        vec![(left.clone(), 1), (right.clone(), 1)],
        vec![(right.clone(), 1), (left.clone(), 1)],
        vec![(left.clone(), 2)],
    ];
    let (clients, tries) = (scaled(32), scaled(320));
    let outcomes = crowd(clients, tries, move |number| {
        let (guest, lines) = (guest.clone(), wishes[number % 3].clone());
        async move { buy(&guest, &lines, &format!("try-{number}")).await }
    })
    .await;

    let books = assert_books(&shop).await;
    let (left_over, left_promised, left_sold) = shelf(&books, &left);
    let (right_over, right_promised, right_sold) = shelf(&books, &right);
    assert_eq!((left_promised, right_promised), (0, 0));
    assert_eq!((left_over + left_sold, right_over + right_sold), (lefts, rights));
    assert!(left_over < 2, "somebody was refused while there were {left_over}");
    let wanted_both = outcomes.iter().enumerate().filter(|(number, _)| number % 3 < 2).map(|(_, outcome)| outcome);
    let pairs = wanted_both.filter(|outcome| **outcome != Bought::SoldOut);
    assert_eq!(pairs.count(), usize::try_from(right_sold).expect("a count"));
    println!(
        "two lines: {clients} clients, {tries} tries: {left_sold} of {lefts} and {right_sold} of {rights} sold, nothing promised"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_makes_one_order_and_one_answer() {
    const SUBMITS: usize = 8;
    let _machine = machine().await;
    let shop = Shop::start(&[]);
    let (guest, staff) = (Client::guest(&shop), Client::staff(&shop).await);
    let variant = staff.stocked_variant("plenty", 10_000).await;

    let begin = Instant::now();
    let submitter = guest.clone();
    let keys = scaled(200);
    let answers = crowd(12, keys, move |number| {
        let (guest, variant) = (submitter.clone(), variant.clone());
        async move {
            let (cart, body) = guest.quoted_cart(&variant, 1).await;
            let (path, key) = (format!("/api/v1/store/carts/{cart}/checkout"), format!("key-{number}"));
            let mut submits = JoinSet::new();
            for _ in 0..SUBMITS {
                let (guest, path, key, body) = (guest.clone(), path.clone(), key.clone(), body.clone());
                submits.spawn(async move { patiently(&guest, &path, &key, &body).await });
            }
            let mut other = body.clone();
            other["email"] = "another@example.org".into();
            let answers = submits.join_all().await;
            let reused = guest.post_once(&path, &key, &other).await;
            assert_eq!(reused.problem(), "idempotency_key_reused");
            answers
        }
    })
    .await;
    let took = begin.elapsed();

    let mut ids: Vec<String> = Vec::new();
    let mut replayed = 0;
    for same in &answers {
        let first = &same[0];
        assert_eq!(first.status, 201, "{}", first.text);
        for answer in same {
            assert_eq!((answer.status, &answer.text), (first.status, &first.text), "bodies are the same byte for byte");
            assert_eq!(
                (answer.header("etag"), answer.header("location")),
                (first.header("etag"), first.header("location"))
            );
            replayed += usize::from(answer.header("idempotent-replayed") == Some("true"));
        }
        ids.push(first.text_at("/id"));
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), keys);
    assert_eq!(replayed, keys * (SUBMITS - 1), "one of each key ran");
    let books = assert_books(&shop).await;
    let stages = books.pairs("SELECT id, stage FROM order_orders");
    assert_eq!(stages.len(), keys);
    assert!(stages.iter().all(|(_, stage)| stage == "confirmed"), "{stages:?}");
    println!("idempotency: {keys} keys x {SUBMITS}: {} orders, {replayed} answers replayed, {took:.1?}", ids.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_cart_in_two_sessions_makes_one_order() {
    let _machine = machine().await;
    let shop = Shop::start(&[]);
    let (guest, staff) = (Client::guest(&shop), Client::staff(&shop).await);
    let variant = staff.stocked_variant("shared", 1_000).await;
    let url = shop.url.clone();

    let pairs = crowd(4, 20, move |number| {
        let (guest, variant, url) = (guest.clone(), variant.clone(), url.clone());
        async move {
            let (cart, body) = guest.quoted_cart(&variant, 1).await;
            let path = format!("/api/v1/store/carts/{cart}/checkout");
            let [one, other] = [Client::at(&url), Client::at(&url)];
            let (one_key, other_key) = (format!("one-{number}"), format!("other-{number}"));
            let answers =
                tokio::join!(patiently(&one, &path, &one_key, &body), patiently(&other, &path, &other_key, &body));
            (cart, [answers.0, answers.1])
        }
    })
    .await;

    let books = assert_books(&shop).await;
    for (cart, answers) in &pairs {
        let (won, lost): (Vec<&Answer>, Vec<&Answer>) = answers.iter().partition(|answer| answer.status == 201);
        assert_eq!((won.len(), lost.len()), (1, 1), "{answers:?}");
        assert_eq!(lost[0].problem(), "cart_closed", "{}", lost[0].text);
        assert_eq!(lost[0].text_at("/order_id"), won[0].text_at("/id"));
        assert_eq!(books.number("SELECT COUNT(*) FROM order_orders WHERE cart_id = ?1", [cart]), 1);
    }
    println!("two sessions: 20 carts, 40 checkouts: {} orders", books.number("SELECT COUNT(*) FROM order_orders", []));
}

/// Places orders of one unit, paid with the card that works; answers their ids.
async fn place(guest: &Client, variant: &str, count: usize) -> Vec<String> {
    let (guest, lines) = (guest.clone(), vec![(variant.to_owned(), 1)]);
    let outcomes = crowd(4, count, move |number| {
        let (guest, lines) = (guest.clone(), lines.clone());
        async move { buy(&guest, &lines, &format!("place-{number}")).await }
    })
    .await;
    let placed = outcomes.into_iter().map(|outcome| match outcome {
        Bought::Order(id) => id,
        Bought::SoldOut => panic!("there is plenty"),
    });
    placed.collect()
}

/// The same command on one order by so many members of staff at once, each with a key of its own.
async fn command(staff: &Client, order: &str, verb: &str, count: usize, body: Value) -> Vec<Answer> {
    let (staff, path) = (staff.clone(), format!("/api/v1/admin/orders/{order}/{verb}"));
    crowd(count, count, move |number| {
        // A key is its user's, whatever it is used for.
        let (staff, path, key, body) = (staff.clone(), path.clone(), format!("{path}-{number}"), body.clone());
        async move { patiently(&staff, &path, &key, &body).await }
    })
    .await
}

/// How many were done; asserts that the others were refused for this reason.
fn done(answers: &[Answer], refused: &str) -> usize {
    let (done, rest): (Vec<&Answer>, Vec<&Answer>) = answers.iter().partition(|answer| answer.status == 200);
    for answer in rest {
        assert_eq!(answer.problem(), refused, "{}", answer.text);
    }
    done.len()
}

fn money(amount: i64) -> Value {
    json!({"amount": {"amount": amount, "currency": "USD"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_taken_or_given_back_than_there_is() {
    // 1999 for the goods and 500 for their way.
    const TOTAL: i64 = 2499;
    let _machine = machine().await;
    let shop = Shop::start(&[("CAPTURE", "manual")]);
    let (guest, staff) = (Client::guest(&shop), Client::staff(&shop).await);
    let variant = staff.stocked_variant("costly", 100).await;
    let ids = place(&guest, &variant, 2).await;
    let funds = |order: &str| {
        let books = Books::of(&shop);
        let column = |name| books.number(&format!("SELECT {name} FROM payment_payments WHERE order_id = ?1"), [order]);
        (column("authorized"), column("captured"), column("refunded"))
    };

    assert_eq!(done(&command(&staff, &ids[0], "capture", 16, money(700)).await, "exceeds"), 3);
    assert_eq!(funds(&ids[0]), (TOTAL, 2100, 0));
    assert_eq!(done(&command(&staff, &ids[0], "refund", 16, money(500)).await, "exceeds"), 4);
    assert_eq!(funds(&ids[0]), (TOTAL, 2100, 2000));

    assert_eq!(done(&command(&staff, &ids[1], "capture", 16, json!({})).await, "exceeds"), 1);
    assert_eq!(done(&command(&staff, &ids[1], "refund", 16, money(TOTAL)).await, "exceeds"), 1);
    assert_eq!(funds(&ids[1]), (TOTAL, TOTAL, TOTAL));

    assert_books(&shop).await;
    println!("money: 16 captures of 700 from {TOTAL}: 3; 16 refunds of 500 from 2100: 4; 16 of all: 1 and 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_canceled_or_shipped_but_never_both() {
    const ORDERS: usize = 24;
    let _machine = machine().await;
    let shop = Shop::start(&[("CAPTURE", "manual")]);
    let (guest, staff) = (Client::guest(&shop), Client::staff(&shop).await);
    let variant = staff.stocked_variant("disputed", 100).await;
    let ids = place(&guest, &variant, ORDERS).await;

    let racing = ids.clone();
    let outcomes = crowd(4, ORDERS, move |number| {
        let (staff, base) = (staff.clone(), format!("/api/v1/admin/orders/{}", racing[number]));
        async move {
            // Two of each, and which one is first in line changes.
            let verbs = ["cancel", "ship", "cancel", "ship"].into_iter().cycle().skip(number % 2).take(4);
            let mut commands = JoinSet::new();
            for (place, verb) in verbs.enumerate() {
                let (staff, path) = (staff.clone(), format!("{base}/{verb}"));
                commands.spawn(async move {
                    (verb, patiently(&staff, &path, &format!("{path}-{place}"), &json!({})).await)
                });
            }
            commands.join_all().await
        }
    })
    .await;

    let books = assert_books(&shop).await;
    let mut shipments = 0;
    for (id, answers) in ids.iter().zip(&outcomes) {
        let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|(_, answer)| answer.status == 200);
        assert_eq!(won.len(), 1, "{id}: {answers:?}");
        assert!(lost.iter().all(|(_, answer)| answer.problem() == "wrong_state"), "{id}: {answers:?}");
        let stage = if won[0].0 == "ship" { "completed" } else { "canceled" };
        let same = "SELECT COUNT(*) FROM order_orders WHERE id = ?1 AND stage = ?2";
        assert_eq!(books.number(same, [id.as_str(), stage]), 1, "{id} was to be {stage}");
        shipments += i64::from(stage == "completed");
    }
    let (on_hand, reserved, _) = shelf(&books, &variant);
    assert_eq!((on_hand, reserved), (100 - shipments, 0));
    let kept = books.number("SELECT SUM(captured - refunded) FROM test_payments_objects", []);
    assert_eq!(kept, shipments * 2499, "the provider keeps money of what was shipped and of nothing else");
    println!("cancel against ship: {ORDERS} orders: {shipments} shipped, the others canceled");
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_that_is_counted_while_it_is_sold_adds_up() {
    let tries = scaled(240);
    let _machine = machine().await;
    let shop = Shop::start(&[]);
    let (guest, staff) = (Client::guest(&shop), Client::staff(&shop).await);
    let variant = staff.stocked_variant("counted", 40).await;

    let (lines, sold) = (vec![(variant.clone(), 1)], variant.clone());
    let outcomes = crowd(scaled(24), tries, move |number| {
        let (guest, staff, lines, variant) = (guest.clone(), staff.clone(), lines.clone(), sold.clone());
        async move {
            if number % 2 == 0 {
                return (orders(&[buy(&guest, &lines, &format!("try-{number}")).await]) as i64, 0);
            }
            let delta = [2, -1, 1, -3][number / 2 % 4];
            let path = format!("/api/v1/admin/variants/{variant}/stock-adjustments");
            let body = json!({"delta": delta, "reason": "counted"});
            let answer = patiently(&staff, &path, &format!("count-{number}"), &body).await;
            match (answer.status, code(&answer).as_str()) {
                (200, _) => (0, delta),
                (409, "out_of_stock") => (0, 0), // what is promised or gone cannot be counted away
                (status, _) => panic!("{status} {}", answer.text),
            }
        }
    })
    .await;

    let books = assert_books(&shop).await;
    let (sold, counted) = outcomes.iter().fold((0, 0), |sums, next| (sums.0 + next.0, sums.1 + next.1));
    assert_eq!(shelf(&books, &variant), (40 + counted - sold, 0, sold));
    println!("counting: {tries} tries: 40 units and {counted} counted, {sold} sold, {} left", 40 + counted - sold);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_a_session_and_the_first_staff_are_made_once() {
    const AT_ONCE: usize = 16;
    let _machine = machine().await;
    let shop = Shop::start(&[]);
    let guest = Client::guest(&shop);
    let count = |sql: &str| Books::of(&shop).number(sql, []);

    let (caller, token) = (guest.clone(), shop.secret("setup_token"));
    let set_up = crowd(AT_ONCE, AT_ONCE, move |number| {
        let (guest, token) = (caller.clone(), token.clone());
        async move {
            let body = json!({"setup_token": token, "email": format!("staff{number}@shop.example"),
                "password": "a-long-enough-one", "name": "Sam Staff"});
            patiently(&guest, "/api/v1/admin/setup", &format!("setup-{number}"), &body).await
        }
    })
    .await;
    assert_eq!(set_up.iter().filter(|answer| answer.status == 201).count(), 1, "{set_up:?}");
    assert!(set_up.iter().all(|answer| matches!(answer.status, 201 | 409)), "{set_up:?}");
    assert_eq!(count("SELECT COUNT(*) FROM user_users WHERE role = 'staff'"), 1);
    assert_eq!(count("SELECT active FROM user_staffing"), 1);

    let caller = guest.clone();
    let registered = crowd(AT_ONCE, AT_ONCE, move |number| {
        let guest = caller.clone();
        async move {
            let email = ["ada@example.org", "Ada@Example.org"][number % 2];
            let body = json!({"email": email, "password": "a-long-enough-one", "name": format!("Ada {number}")});
            patiently(&guest, "/api/v1/auth/register", &format!("register-{number}"), &body).await
        }
    })
    .await;
    let (made, refused): (Vec<&Answer>, Vec<&Answer>) = registered.iter().partition(|answer| answer.status == 201);
    assert_eq!(made.len(), 1, "{registered:?}");
    assert!(refused.iter().all(|answer| answer.problem() == "email_taken"), "{refused:?}");
    assert_eq!(count("SELECT COUNT(*) FROM user_users WHERE email_key = 'ada@example.org'"), 1);

    // Two tabs that wake up together go on with one and the same session.
    let (caller, first) = (guest.clone(), made[0].text_at("/refresh_token"));
    let shown = first.clone();
    let refreshed = crowd(AT_ONCE, AT_ONCE, move |_| {
        let (guest, body) = (caller.clone(), json!({"refresh_token": shown}));
        async move { patiently(&guest, "/api/v1/auth/refresh", "refresh", &body).await }
    })
    .await;
    let mut successors: Vec<String> =
        refreshed.into_iter().map(|answer| answer.expect(200).text_at("/refresh_token")).collect();
    successors.dedup();
    assert_eq!(successors.len(), 1, "one token has one successor");
    let refresh = async |token: &str| guest.post("/api/v1/auth/refresh", &json!({"refresh_token": token})).await;
    let third = refresh(&successors[0]).await.expect(200).text_at("/refresh_token");
    assert_eq!(refresh(&first).await.expect(401).problem(), "invalid_token");
    assert_eq!(refresh(&third).await.expect(401).problem(), "invalid_token", "the reuse ended the session");

    assert_books(&shop).await;
    println!("accounts: of {AT_ONCE} at once 1 first staff, 1 registration, 1 successor of a refresh token");
}
