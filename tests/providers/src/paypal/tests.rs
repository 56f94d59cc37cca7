//! The state machine as tables: what is asked, and what is told and made.

use objects::Instrument;

use super::money::Money;
use super::time::date_time;
use super::*;
use crate::hooks::Forgery;

const NOW: i64 = 1_790_000_000_000;

/// An account and an access token for it.
struct Shop {
    paypal: PayPal,
    token: String,
}

impl Shop {
    fn new() -> Self {
        let mut paypal = PayPal::new("id:secret", "http://127.0.0.1:1", 7);
        let token = paypal.name();
        paypal.tokens.keep(token.clone(), (), i64::MAX - 1);
        Self { paypal, token: format!("Bearer {token}") }
    }

    fn send(
        &mut self,
        now: i64,
        method: &str,
        path: &str,
        body: &Value,
        id: Option<&str>,
        fault: Option<Fault>,
    ) -> Option<Response> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request =
            Request { method, path, body: &body, authorization: Some(&self.token), request_id: id, wants_all: true };
        self.paypal.handle(now, &request, fault)
    }

    fn post(&mut self, now: i64, path: &str, body: &Value, id: Option<&str>) -> Response {
        self.send(now, "POST", path, body, id, None).expect("no reply is lost")
    }

    fn get(&mut self, now: i64, path: &str) -> Response {
        self.send(now, "GET", path, &Value::Null, None, None).expect("no reply is lost")
    }

    /// An order of 10.00 that its shopper approved with this.
    fn approved(&mut self, now: i64, intent: &str, instrument: Instrument) -> String {
        let made =
            self.post(now, "/v2/checkout/orders", &order(intent), Some(&format!("approved {}", self.paypal.made)));
        let id = text(&made.body["id"]);
        self.paypal.decide(now, &id, Shopper::Approves(instrument)).expect("it waits");
        id
    }

    /// The path of money that is held.
    fn held(&mut self, now: i64, instrument: Instrument) -> String {
        let order = self.approved(now, "AUTHORIZE", instrument);
        let done = self.post(now, &format!("/v2/checkout/orders/{order}/authorize"), &Value::Null, None);
        let held = &done.body["purchase_units"][0]["payments"]["authorizations"][0];
        format!("/v2/payments/authorizations/{}", text(&held["id"]))
    }

    /// The path of money that is taken.
    fn taken(&mut self, now: i64, instrument: Instrument) -> String {
        let order = self.approved(now, "CAPTURE", instrument);
        let done = self.post(now, &format!("/v2/checkout/orders/{order}/capture"), &Value::Null, None);
        let taken = &done.body["purchase_units"][0]["payments"]["captures"][0];
        format!("/v2/payments/captures/{}", text(&taken["id"]))
    }

    fn status(&mut self, now: i64, path: &str) -> String {
        text(&self.get(now, path).body["status"])
    }

    fn kinds(&mut self) -> Vec<String> {
        self.paypal.take_events().iter().map(|event| text(&event["event_type"])).collect()
    }
}

fn order(intent: &str) -> Value {
    json!({"intent": intent, "purchase_units": [{"amount": {"currency_code": "USD", "value": "10.00"}}]})
}

fn amount(value: &str) -> Value {
    json!({"amount": {"currency_code": "USD", "value": value}})
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// The status, and the issue when it was refused.
fn short(told: &Response) -> (u16, &str) {
    (told.status, told.body["details"][0]["issue"].as_str().unwrap_or_default())
}

#[test]
fn amounts_are_read_and_written_with_the_digits_of_their_currency() {
    for (value, currency, minor, written) in [
        ("10.00", "USD", Ok(1_000), "10.00"),
        ("10", "USD", Ok(1_000), "10.00"),
        ("10.5", "USD", Ok(1_050), "10.50"),
        (".05", "USD", Ok(5), "0.05"),
        ("1500", "JPY", Ok(1_500), "1500"),
        ("1500.0", "JPY", Err("DECIMALS_NOT_SUPPORTED"), ""),
        ("1.001", "USD", Err("DECIMAL_PRECISION"), ""),
        ("0", "USD", Err("CANNOT_BE_ZERO_OR_NEGATIVE"), ""),
        ("-1", "USD", Err("CANNOT_BE_ZERO_OR_NEGATIVE"), ""),
        ("12345678.00", "USD", Err("MAX_VALUE_EXCEEDED"), ""),
        ("1.00", "usd", Err("INVALID_CURRENCY_CODE"), ""),
        ("1.", "USD", Err("INVALID_PARAMETER_SYNTAX"), ""),
        ("1e3", "USD", Err("INVALID_PARAMETER_SYNTAX"), ""),
        ("", "USD", Err("INVALID_PARAMETER_SYNTAX"), ""),
    ] {
        let read = Money::read(&json!({"currency_code": currency, "value": value}), "/amount");
        let told = read.as_ref().map(|money| money.minor).map_err(|why| text(&why.error["details"][0]["issue"]));
        assert_eq!(told, minor.map_err(str::to_owned), "{value} {currency}");
        if let Ok(money) = read {
            assert_eq!(money.value(), json!({"currency_code": currency, "value": written}));
        }
    }
}

#[test]
fn instants_are_written_in_utc() {
    for (ms, written) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_400_000, "2000-02-29T00:00:00Z"),
        (1_735_689_599_999, "2024-12-31T23:59:59Z"),
        (NOW, "2026-09-21T14:13:20Z"),
    ] {
        assert_eq!(date_time(ms), written);
    }
}

#[test]
fn what_does_not_hold_is_refused_before_anything_is_made() {
    let mut shop = Shop::new();
    let unit = |unit: Value| json!({"intent": "CAPTURE", "purchase_units": [unit]});
    let good = amount("1.00");
    for (body, field) in [
        (json!({}), "/intent"),
        (json!({"intent": "LATER"}), "/intent"),
        (json!({"intent": "CAPTURE"}), "/purchase_units"),
        (json!({"intent": "CAPTURE", "purchase_units": [good, good]}), "/purchase_units/1"),
        (unit(json!({})), "/purchase_units/0/amount"),
        (unit(json!({"amount": {"value": "1.00"}})), "/purchase_units/0/amount/currency_code"),
        (unit(json!({"amount": {"breakdown": {}}})), "/purchase_units/0/amount/breakdown"),
        (unit(json!({"items": []})), "/purchase_units/0/items"),
        (unit(json!({"custom_id": "", "amount": {}})), "/purchase_units/0/custom_id"),
        (
            json!({"intent": "CAPTURE", "purchase_units": [good], "payment_source": {"card": {}}}),
            "/payment_source/card",
        ),
    ] {
        let told = shop.post(NOW, "/v2/checkout/orders", &body, None);
        assert_eq!((told.status, text(&told.body["details"][0]["field"])), (400, field.to_owned()), "{body}");
    }
    let mut paid = order("CAPTURE");
    paid["payment_source"] = json!({"paypal": {}});
    assert_eq!(short(&shop.post(NOW, "/v2/checkout/orders", &paid, None)), (400, "PAYPAL_REQUEST_ID_REQUIRED"));
    assert_eq!((shop.paypal.orders.len(), shop.kinds().len()), (0, 0));
}

#[test]
fn a_request_id_stands_for_what_it_made_as_long_as_it_is_kept() {
    let mut shop = Shop::new();
    let id = shop.approved(NOW, "CAPTURE", Instrument::Balance);
    let capture = format!("/v2/checkout/orders/{id}/capture");
    for (at, answer) in [(0, (201, "")), (ORDER_KEY_MS - 1, (200, "")), (ORDER_KEY_MS, (422, "ORDER_ALREADY_CAPTURED"))]
    {
        assert_eq!(short(&shop.post(NOW + at, &capture, &Value::Null, Some("k"))), answer, "{at}");
    }
    let paid = shop.taken(NOW, Instrument::Balance);
    let refund = format!("{paid}/refund");
    let given = shop.post(NOW, &refund, &amount("1.00"), Some("k"));
    assert_eq!(given.status, 201, "ids are unique for each kind of call");
    let again = shop.post(NOW + PAYMENT_KEY_MS - 1, &refund, &amount("1.00"), Some("k"));
    assert_eq!((again.status, &again.body["id"]), (200, &given.body["id"]));
    let pruned = shop.post(NOW + PAYMENT_KEY_MS, &refund, &amount("1.00"), Some("k"));
    assert_eq!((pruned.status, shop.paypal.refunds.len()), (201, 2));
    let refused = shop.post(NOW + PAYMENT_KEY_MS, &refund, &amount("9.00"), Some("r"));
    assert_eq!(short(&refused), (422, "REFUND_AMOUNT_EXCEEDED"));
    let smaller = shop.post(NOW + PAYMENT_KEY_MS, &refund, &amount("8.00"), Some("r"));
    assert_eq!(smaller.status, 201, "nothing is kept for what was refused");
}

#[test]
fn a_repeat_shows_the_order_as_it_is_now() {
    let mut shop = Shop::new();
    let first = shop.post(NOW, "/v2/checkout/orders", &order("CAPTURE"), Some("k"));
    shop.paypal.decide(NOW, &text(&first.body["id"]), Shopper::Approves(Instrument::Balance)).expect("it waits");
    let again = shop.post(NOW + ORDER_MS - 1, "/v2/checkout/orders", &order("CAPTURE"), Some("k"));
    assert_eq!((again.status, text(&again.body["status"])), (200, "APPROVED".to_owned()));
    let gone = shop.post(NOW + ORDER_MS, "/v2/checkout/orders", &order("CAPTURE"), Some("k"));
    assert_eq!(gone.status, 404, "PayPal forgot the order, and not yet the request id");
}

#[test]
fn a_fault_does_what_it_says() {
    for (fault, status, made, again) in [
        (Fault::LostBefore, None, 0, 201),
        (Fault::LostAfter, None, 1, 200),
        (Fault::ErrorBefore, Some(500), 0, 201),
        (Fault::ErrorAfter, Some(500), 1, 200),
        (Fault::RateLimited, Some(429), 0, 201),
        (Fault::KeyInUse, Some(409), 0, 201),
    ] {
        let mut shop = Shop::new();
        let path = "/v2/checkout/orders";
        let told = shop.send(NOW, "POST", path, &order("CAPTURE"), Some("f"), Some(fault)).map(|told| told.status);
        assert_eq!((told, shop.paypal.orders.len()), (status, made), "{fault:?}");
        let repeated = shop.post(NOW, path, &order("CAPTURE"), Some("f"));
        assert_eq!((repeated.status, shop.paypal.orders.len()), (again, 1), "{fault:?}");
    }
}

#[test]
fn an_instrument_decides_how_a_payment_goes() {
    for (instrument, at_once, later, events) in [
        (Instrument::Balance, "COMPLETED", "COMPLETED", &["PAYMENT.CAPTURE.COMPLETED"][..]),
        (Instrument::Reviewed, "PENDING", "COMPLETED", &["PAYMENT.CAPTURE.PENDING", "PAYMENT.CAPTURE.COMPLETED"]),
        (Instrument::Rejected, "PENDING", "DECLINED", &["PAYMENT.CAPTURE.PENDING", "PAYMENT.CAPTURE.DENIED"]),
    ] {
        let mut shop = Shop::new();
        let path = shop.taken(NOW, instrument);
        assert_eq!(shop.status(NOW, &path), at_once, "{instrument:?}");
        assert_eq!(shop.status(NOW + REVIEW_MS, &path), later, "{instrument:?}");
        assert_eq!(shop.kinds()[1..], *events, "{instrument:?}");
    }
    let mut shop = Shop::new();
    let declined = shop.approved(NOW, "CAPTURE", Instrument::Declined);
    let told = shop.post(NOW, &format!("/v2/checkout/orders/{declined}/capture"), &Value::Null, None);
    assert_eq!((short(&told), shop.paypal.captures.len()), ((422, "INSTRUMENT_DECLINED"), 0));
}

#[test]
fn no_more_is_taken_than_was_held_and_a_little() {
    for (value, first, most) in [("10.00", "11.50", "0.01"), ("10.00", "10.00", "0.01"), ("10.00", "5.00", "6.51")] {
        let mut shop = Shop::new();
        let capture = format!("{}/capture", shop.held(NOW, Instrument::Balance));
        assert_eq!(shop.post(NOW, &capture, &amount(first), None).status, 201, "{first} of {value}");
        let told = shop.post(NOW, &capture, &amount(most), None);
        assert_eq!(told.status, 422, "{first} and {most} of {value}");
    }
}

#[test]
fn money_is_held_for_29_days_and_promised_for_three() {
    let mut shop = Shop::new();
    let (good, fleeting) = (shop.held(NOW, Instrument::Balance), shop.held(NOW, Instrument::Fleeting));
    let capture = |path: &str| format!("{path}/capture");
    for (at, path, answer) in [
        (HONOR_MS - 1, &fleeting, (201, "")),
        (HONOR_MS, &fleeting, (422, "PAYER_CANNOT_PAY")),
        (AUTHORIZATION_MS - 1, &good, (201, "")),
        (AUTHORIZATION_MS, &good, (422, "AUTHORIZATION_EXPIRED")),
    ] {
        assert_eq!(short(&shop.post(NOW + at, &capture(path), &amount("1.00"), None)), answer, "{at}");
    }
    assert_eq!(shop.status(NOW + AUTHORIZATION_MS, &good), "VOIDED");
    let voided = shop.kinds().iter().filter(|kind| *kind == "PAYMENT.AUTHORIZATION.VOIDED").count();
    assert_eq!(voided, 2);
}

#[test]
fn a_reauthorization_has_the_money_of_its_parent() {
    let mut shop = Shop::new();
    let parent = shop.held(NOW, Instrument::Fleeting);
    let again = format!("{parent}/reauthorize");
    assert_eq!(short(&shop.post(NOW + HONOR_MS - 1, &again, &Value::Null, None)), (422, "REAUTHORIZATION_TOO_SOON"));
    let mut shop = Shop::new();
    let parent = shop.held(NOW, Instrument::Balance);
    let made = shop.post(NOW + HONOR_MS, &format!("{parent}/reauthorize"), &Value::Null, None);
    let child = format!("/v2/payments/authorizations/{}", text(&made.body["id"]));
    assert_ne!(child, parent);
    assert_eq!(shop.post(NOW + HONOR_MS, &format!("{child}/capture"), &amount("11.50"), None).status, 201);
    let more = shop.post(NOW + HONOR_MS, &format!("{parent}/capture"), &amount("1.00"), None);
    assert_eq!(short(&more), (422, "AUTHORIZATION_ALREADY_CAPTURED"));
    assert_eq!(
        short(&shop.post(NOW + HONOR_MS, &format!("{child}/void"), &Value::Null, None)),
        (422, "CANNOT_BE_VOIDED")
    );
}

#[test]
fn refunds_are_capped_unless_they_are_not() {
    for (policy, second) in
        [(RefundPolicy::Capped, (422, "REFUND_AMOUNT_EXCEEDED")), (RefundPolicy::Uncapped, (201, ""))]
    {
        let mut shop = Shop::new();
        shop.paypal.check_refunds(policy);
        let refund = format!("{}/refund", shop.taken(NOW, Instrument::Balance));
        assert_eq!(shop.post(NOW, &refund, &amount("6.00"), None).status, 201);
        assert_eq!(short(&shop.post(NOW, &refund, &amount("4.01"), None)), second, "{policy:?}");
    }
}

#[test]
fn a_refund_that_fails_is_the_merchants_money_again() {
    let mut shop = Shop::new();
    let path = shop.taken(NOW, Instrument::Closed);
    let given = shop.post(NOW, &format!("{path}/refund"), &Value::Null, None);
    assert_eq!((text(&given.body["status"]), shop.status(NOW, &path)), ("PENDING".to_owned(), "REFUNDED".to_owned()));
    assert_eq!(shop.status(NOW + REVIEW_MS, &path), "COMPLETED");
    assert_eq!(shop.kinds().last().map(String::as_str), Some("PAYMENT.REFUND.FAILED"));
}

#[test]
fn an_invoice_is_paid_once_where_it_is_named() {
    let mut shop = Shop::new();
    let mut pay = |intent: &str, act: &str| {
        let mut body = order(intent);
        body["purchase_units"][0]["invoice_id"] = json!("inv-1");
        let made = shop.post(NOW, "/v2/checkout/orders", &body, None);
        let id = text(&made.body["id"]);
        shop.paypal.decide(NOW, &id, Shopper::Approves(Instrument::Balance)).expect("it waits");
        let told = shop.post(NOW, &format!("/v2/checkout/orders/{id}/{act}"), &Value::Null, None);
        (told.status, told.body["details"][0]["issue"].as_str().map(str::to_owned))
    };
    assert_eq!(pay("CAPTURE", "capture"), (201, None));
    assert_eq!(pay("AUTHORIZE", "authorize"), (422, Some("DUPLICATE_INVOICE_ID".to_owned())));
}

#[test]
fn a_token_is_given_for_the_secret_and_for_a_while() {
    let mut paypal = PayPal::new("id:secret", "http://127.0.0.1:1", 7);
    let mut send = |now: i64, method: &str, path: &str, authorization: &str| {
        let authorization = Some(authorization);
        let body = "grant_type=client_credentials";
        let request = Request { method, path, body, authorization, request_id: None, wants_all: false };
        paypal.handle(now, &request, None).expect("no reply is lost")
    };
    let path = "/v1/oauth2/token";
    assert_eq!(send(NOW, "POST", path, "Basic aWQ6d3Jvbmc=").body["error"], "invalid_client");
    let token = send(NOW, "POST", path, "Basic aWQ6c2VjcmV0");
    let bearer = format!("Bearer {}", text(&token.body["access_token"]));
    let event = "/v1/notifications/webhooks-events/WH-1";
    assert_eq!(send(NOW + TOKEN_MS - 1, "GET", event, &bearer).status, 404);
    assert_eq!(send(NOW + TOKEN_MS, "GET", event, &bearer).status, 401);
    assert_eq!(send(NOW, "GET", event, "Bearer of-nobody").body["error"], "invalid_token");
}

#[test]
fn a_webhook_is_verified_as_it_was_sent() {
    let mut shop = Shop::new();
    shop.taken(NOW, Instrument::Balance);
    let event = shop.paypal.take_events().pop().expect("it was told");
    for (forgery, webhook_id, wanted) in [
        (None, "WH1", "SUCCESS"),
        (None, "WH2", "FAILURE"),
        (Some(Forgery::Secret), "WH1", "FAILURE"),
        (Some(Forgery::Body), "WH1", "FAILURE"),
        (Some(Forgery::Stale), "WH1", "FAILURE"),
    ] {
        let sent = PayPal::webhook(&Delivery { event: event.clone(), forgery, attempts: 0 }, &["WH1"], NOW);
        let mut asked: BTreeMap<String, String> = sent
            .headers
            .iter()
            .map(|(name, value)| (name.trim_start_matches("paypal-").replace('-', "_"), value.clone()))
            .collect();
        asked.insert("webhook_id".to_owned(), webhook_id.to_owned());
        let asked = json!(asked).to_string();
        let body = String::from_utf8(sent.body).expect("it is JSON");
        let question = format!("{},\"webhook_event\":{body}}}", asked.trim_end_matches('}'));
        let verdict = signature::verify(&question);
        assert_eq!(verdict, Some(wanted == "SUCCESS"), "{forgery:?} {webhook_id}");
        let rewritten = serde_json::from_str::<Value>(&question).expect("it is JSON").to_string();
        assert_eq!(signature::verify(&rewritten), Some(false), "it is verified byte for byte");
    }
    assert_eq!(signature::verify("{}"), None);
}
