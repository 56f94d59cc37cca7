//! The state machine as tables: what is asked, and what is told and made.

use super::*;
use crate::hooks::Forgery;

const NOW: i64 = 1_790_000_000_000;
const KEY: &str = "sk_test_1";

fn shop() -> Stripe {
    Stripe::new(KEY, "http://127.0.0.1:1", 7)
}

fn ask(stripe: &mut Stripe, now: i64, method: &str, path: &str, form: &str, key: Option<&str>) -> Response {
    let request = Request { method, path, form, secret_key: Some(KEY), key };
    stripe.handle(now, &request, None).expect("no reply is lost")
}

fn post(stripe: &mut Stripe, now: i64, path: &str, form: &str) -> Response {
    ask(stripe, now, "POST", path, form, None)
}

fn get(stripe: &mut Stripe, now: i64, path: &str, form: &str) -> Response {
    ask(stripe, now, "GET", path, form, None)
}

fn form(method: &str, capture: &str) -> String {
    format!(
        "amount=1000&currency=usd&confirm=true&payment_method={method}&capture_method={capture}\
         &payment_method_types[0]=card&return_url=https%3A%2F%2Fshop.example%2F&metadata[o]=7"
    )
}

fn pay(stripe: &mut Stripe, method: &str, capture: &str) -> Response {
    post(stripe, NOW, "/v1/payment_intents", &form(method, capture))
}

fn id(response: &Response) -> String {
    response.body["id"].as_str().unwrap_or_else(|| panic!("no id in {}", response.body)).to_owned()
}

fn kinds(stripe: &mut Stripe) -> Vec<String> {
    stripe.take_events().iter().map(|event| event["type"].as_str().expect("a type").to_owned()).collect()
}

#[test]
fn a_test_card_decides_how_a_payment_goes() {
    for (method, capture, status, outcome) in [
        ("pm_card_visa", "automatic", 200, "succeeded"),
        ("pm_card_visa", "manual", 200, "requires_capture"),
        ("pm_card_authenticationRequired", "manual", 200, "requires_action"),
        ("pm_card_chargeDeclined", "manual", 402, "generic_decline"),
        ("pm_card_visa_chargeDeclined", "manual", 402, "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "manual", 402, "insufficient_funds"),
        ("pm_unheard", "manual", 400, "resource_missing"),
        ("pm_card_visa_mastercard", "manual", 400, "resource_missing"),
    ] {
        let told = pay(&mut shop(), method, capture);
        let error = &told.body["error"];
        let shown = [&told.body["status"], &error["decline_code"], &error["code"]].into_iter().find(|v| !v.is_null());
        assert_eq!((told.status, shown), (status, Some(&json!(outcome))), "{method}");
    }
}

#[test]
fn what_does_not_hold_is_refused_before_anything_is_made() {
    let mut stripe = shop();
    for (form, param) in [
        ("currency=usd", "amount"),
        ("amount=0&currency=usd", "amount"),
        ("amount=49&currency=usd", "amount"),
        ("amount=100000000&currency=usd", "amount"),
        ("amount=1.5&currency=usd", "amount"),
        ("amount=&currency=usd", "amount"),
        ("amount=100&currency=dollars", "currency"),
        ("amount=100&currency=usd&confirm=yes", "confirm"),
        ("amount=100&currency=usd&capture_method=later", "capture_method"),
        ("amount=100&currency=usd&return_url=https://a.example", "return_url"),
        ("amount=100&currency=usd&confirm=true&payment_method=pm_card_visa", "return_url"),
        ("amount=100&currency=usd&confirm=true&return_url=x", "return_url"),
        ("amount=100&currency=usd&payment_method=pm_card_unheard", "payment_method"),
        ("amount=100&currency=usd&payment_method_types[0]=ideal", "payment_method_types"),
        ("amount=100&currency=usd&expand[0]=invoice", "expand"),
        ("amount=100&currency=usd&customer=cus_1", "customer"),
    ] {
        let told = post(&mut stripe, NOW, "/v1/payment_intents", form);
        assert_eq!((told.status, &told.body["error"]["param"]), (400, &json!(param)), "{form}");
    }
    assert_eq!((stripe.intents.len(), stripe.events.len()), (0, 0));
}

#[test]
fn a_key_is_kept_for_what_began_and_for_nothing_else() {
    let mut stripe = shop();
    let mut send = |form: &str, key: &str| ask(&mut stripe, NOW, "POST", "/v1/payment_intents", form, Some(key));
    assert_eq!(send("amount=1&currency=usd", "k").status, 400);
    let first = send("amount=100&currency=usd", "k");
    assert_eq!((first.status, first.replayed), (200, false), "a refused parameter leaves the key free");
    let other = send("amount=200&currency=usd", "k");
    assert_eq!((other.status, &other.body["error"]["type"]), (400, &json!("idempotency_error")));
    let declined = form("pm_card_chargeDeclined", "manual");
    assert_eq!((send(&declined, "d").status, send(&declined, "d").replayed), (402, true));
    // It began: that the state does not allow it is the answer for as long as the key is kept.
    let path = format!("/v1/payment_intents/{}/capture", id(&first));
    let refused = ask(&mut stripe, NOW, "POST", &path, "", Some("c"));
    let again = ask(&mut stripe, NOW, "POST", &path, "", Some("c"));
    assert_eq!((refused.status, again.status, again.replayed), (400, 400, true));
}

#[test]
fn a_failure_is_the_answer_to_its_key_for_a_day() {
    for (fault, made) in [(Fault::ErrorBefore, 0), (Fault::ErrorAfter, 1)] {
        let mut stripe = shop();
        let (path, form) = ("/v1/payment_intents", "amount=100&currency=usd");
        let request = Request { method: "POST", path, form, secret_key: Some(KEY), key: Some("f") };
        assert_eq!(stripe.handle(NOW, &request, Some(fault)).expect("a reply").status, 500);
        let sticky = ask(&mut stripe, NOW + KEY_TTL_MS - 1, "POST", path, form, Some("f"));
        assert_eq!((sticky.status, sticky.replayed, stripe.intents.len()), (500, true, made), "{fault:?}");
        let pruned = ask(&mut stripe, NOW + KEY_TTL_MS, "POST", path, form, Some("f"));
        assert_eq!((pruned.status, pruned.replayed, stripe.intents.len()), (200, false, made + 1), "{fault:?}");
    }
}

#[test]
fn a_fault_does_what_it_says() {
    for (fault, status, made, is_kept) in [
        (Fault::LostBefore, None, 0, false),
        (Fault::LostAfter, None, 1, true),
        (Fault::RateLimited, Some(429), 0, false),
        (Fault::KeyInUse, Some(409), 0, false),
    ] {
        let mut stripe = shop();
        let (path, form) = ("/v1/payment_intents", "amount=100&currency=usd");
        let request = Request { method: "POST", path, form, secret_key: Some(KEY), key: Some("f") };
        let told = stripe.handle(NOW, &request, Some(fault)).map(|told| told.status);
        let kept = stripe.keys.get("f").is_some();
        assert_eq!((told, stripe.intents.len(), kept), (status, made, is_kept), "{fault:?}");
        let again = stripe.handle(NOW, &request, None).expect("a reply");
        assert_eq!((again.status, again.replayed, stripe.intents.len()), (200, is_kept, 1), "{fault:?}");
    }
}

#[test]
fn a_capture_lets_go_of_the_rest_and_refunds_are_capped() {
    for (policy, status) in [(RefundPolicy::Capped, 400), (RefundPolicy::Uncapped, 200)] {
        let mut stripe = shop();
        stripe.check_refunds(policy);
        let id = id(&pay(&mut stripe, "pm_card_visa", "manual"));
        let path = format!("/v1/payment_intents/{id}/capture");
        assert_eq!(post(&mut stripe, NOW, &path, "amount_to_capture=1001").status, 400);
        let taken = post(&mut stripe, NOW, &path, "amount_to_capture=600&expand[0]=latest_charge");
        assert_eq!(
            (taken.body["amount_received"].as_i64(), taken.body["amount_capturable"].as_i64()),
            (Some(600), Some(0))
        );
        let charge = &taken.body["latest_charge"];
        assert_eq!((&charge["amount_captured"], &charge["amount_refunded"]), (&json!(600), &json!(400)));
        assert_eq!(post(&mut stripe, NOW, &path, "amount_to_capture=1").status, 400);
        let form = |amount: i64| format!("payment_intent={id}&amount={amount}");
        assert_eq!(post(&mut stripe, NOW, "/v1/refunds", &form(500)).status, 200);
        assert_eq!(post(&mut stripe, NOW, "/v1/refunds", &form(101)).status, status, "{policy:?}");
        let refunds = get(&mut stripe, NOW, "/v1/refunds", &format!("payment_intent={id}&limit=100"));
        let rest = refunds.body["data"].as_array().and_then(|refunds| refunds.last()).expect("the rest is the oldest");
        assert_eq!((&rest["amount"], &rest["balance_transaction"]), (&json!(400), &Value::Null));
    }
}

#[test]
fn a_refund_goes_on_by_itself_when_its_card_says_so() {
    for (card, at_once, later, event, refunded) in [
        ("pm_card_visa", "succeeded", "succeeded", None, 300),
        ("pm_card_refundFail", "succeeded", "failed", Some("refund.failed"), 0),
        ("pm_card_pendingRefund", "pending", "succeeded", Some("refund.updated"), 300),
    ] {
        let mut stripe = shop();
        let intent = id(&pay(&mut stripe, card, "automatic"));
        let refund = post(&mut stripe, NOW, "/v1/refunds", &format!("payment_intent={intent}&amount=300"));
        assert_eq!(refund.body["status"], at_once, "{card}");
        let at = NOW + REFUND_SETTLES_MS;
        let path = format!("/v1/refunds/{}", id(&refund));
        assert_eq!(get(&mut stripe, at - 1, &path, "").body["status"], at_once, "{card}");
        stripe.take_events();
        let settled = get(&mut stripe, at, &path, "expand[]=charge");
        assert_eq!(
            (&settled.body["status"], settled.body["charge"]["amount_refunded"].as_i64()),
            (&json!(later), Some(refunded))
        );
        assert_eq!(kinds(&mut stripe).pop().as_deref(), event, "{card}");
    }
}

#[test]
fn a_hold_ends_after_seven_days() {
    let mut stripe = shop();
    let held = id(&pay(&mut stripe, "pm_card_visa", "manual"));
    let taken = id(&pay(&mut stripe, "pm_card_visa", "manual"));
    post(&mut stripe, NOW, &format!("/v1/payment_intents/{taken}/capture"), "");
    let path = format!("/v1/payment_intents/{held}");
    assert_eq!(get(&mut stripe, NOW + HOLD_MS - 1, &path, "").body["status"], "requires_capture");
    let ended = get(&mut stripe, NOW + HOLD_MS, &path, "").body;
    assert_eq!((&ended["status"], &ended["cancellation_reason"]), (&json!("canceled"), &json!("automatic")));
    assert_eq!(stripe.intents[&taken].status, objects::Status::Succeeded);
}

#[test]
fn three_d_secure_is_finished_once() {
    for (card, shopper, status, event) in [
        ("pm_card_authenticationRequired", Shopper::Approves, "succeeded", "payment_intent.succeeded"),
        (
            "pm_card_authenticationRequired",
            Shopper::Refuses,
            "requires_payment_method",
            "payment_intent.payment_failed",
        ),
        (
            "pm_card_threeDSecureRequiredChargeDeclined",
            Shopper::Approves,
            "requires_payment_method",
            "payment_intent.payment_failed",
        ),
    ] {
        let mut stripe = shop();
        let asked = pay(&mut stripe, card, "automatic");
        let asked_id = id(&asked);
        let page = format!("http://127.0.0.1:1/3d_secure/{asked_id}");
        assert_eq!(asked.body["next_action"]["redirect_to_url"]["url"], page);
        assert_eq!(stripe.finish_action(NOW, &asked_id, shopper).expect("it waits")["status"], status, "{card}");
        assert_eq!(stripe.finish_action(NOW, &asked_id, shopper), None);
        assert_eq!(kinds(&mut stripe), ["payment_intent.created", "payment_intent.requires_action", event]);
    }
}

#[test]
fn events_tell_of_every_change() {
    let mut stripe = shop();
    let id = id(&pay(&mut stripe, "pm_card_visa", "manual"));
    post(&mut stripe, NOW, &format!("/v1/payment_intents/{id}/capture"), "amount_to_capture=600");
    post(&mut stripe, NOW, "/v1/refunds", &format!("payment_intent={id}&amount=100"));
    pay(&mut stripe, "pm_card_chargeDeclined", "manual");
    assert_eq!(
        kinds(&mut stripe),
        [
            "payment_intent.created",
            "payment_intent.amount_capturable_updated",
            "charge.refunded",
            "payment_intent.succeeded",
            "charge.refunded",
            "refund.created",
            "payment_intent.created",
            "payment_intent.payment_failed",
        ]
    );
}

#[test]
fn lists_show_the_newest_first_page_by_page() {
    let mut stripe = shop();
    let made: Vec<String> = (0..5)
        .map(|n| id(&post(&mut stripe, NOW + n * 1_000, "/v1/payment_intents", "amount=100&currency=usd")))
        .collect();
    let now = NOW + 5_000;
    let mut page = |form: &str| {
        let told = get(&mut stripe, now, "/v1/payment_intents", form);
        let ids = told.body["data"]
            .as_array()
            .map(|data| data.iter().map(|item| item["id"].as_str().expect("an id").to_owned()).collect::<Vec<_>>());
        (told.status, ids.unwrap_or_default(), told.body["has_more"] == true)
    };
    let newest = |from: usize, to: usize| made[from..to].iter().rev().cloned().collect::<Vec<_>>();
    assert_eq!(page("limit=2"), (200, newest(3, 5), true));
    assert_eq!(page(&format!("limit=2&starting_after={}", made[3])), (200, newest(1, 3), true));
    assert_eq!(page(&format!("limit=2&starting_after={}", made[1])), (200, newest(0, 1), false));
    let second = NOW / 1_000;
    assert_eq!(page(&format!("created[gte]={}&created[lte]={}", second + 1, second + 3)), (200, newest(1, 4), false));
    assert_eq!(page(&format!("created[gt]={}&created[lt]={}", second + 1, second + 3)), (200, newest(2, 3), false));
    assert_eq!(page("starting_after=pi_none").0, 400);
    assert_eq!((page("limit=0").0, page("limit=101").0), (400, 400));
}

#[test]
fn a_stranger_is_refused() {
    let request = Request { method: "GET", path: "/v1/refunds", form: "", secret_key: Some("sk_no"), key: None };
    assert_eq!(shop().handle(NOW, &request, None).expect("a reply").status, 401);
}

#[test]
fn a_forgery_is_signed_so_that_it_does_not_hold() {
    let at = NOW / 1_000;
    let delivery = |forgery| Delivery { event: json!({}), forgery, attempts: 0 };
    let signed = |forgery: Option<Forgery>| signature::sign_delivery(&delivery(forgery), &["whsec_a"], at);
    let genuine = signed(None);
    assert_eq!(genuine, (b"{}".to_vec(), signature::sign(b"{}", at, &["whsec_a"])));
    for forgery in [Forgery::Secret, Forgery::Body, Forgery::Stale] {
        assert_ne!(signed(Some(forgery)), genuine);
    }
}

/// The digests were computed with Python's `hmac`.
#[test]
fn a_webhook_is_signed_under_every_secret() {
    let wanted = "t=5,v1=8b911013f75dc47e71c4622cc4b7a1ebc8db7774ae4dae3fd24e859882818d54,v1=705288b54ac33e853352a73b09cbdfecc60823ed48e917d83edf39f2aa375fb5";
    assert_eq!(signature::sign(b"{}", 5, &["whsec_a", "whsec_b"]), wanted);
}
