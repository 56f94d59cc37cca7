//! Souk's connector to Stripe against `localstripe`, which others wrote, and the same story against our simulator.
//!
//! What `localstripe` has not, or has otherwise than Stripe, is no part of the story: idempotency keys, the list of payment
//! intents by when they were made, pages of 3-D Secure, captures of a part, and the errors of cards. [`Bridged`] makes up
//! for what every call meets.

mod support;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use souk_kit::bindings::souk::shop::http_out::{HttpOutError, InResponse, OutRequest};
use souk_kit::payment_extension::{CapturePolicy, ProviderCommand};
use souk_kit::ports::Config;
use souk_providers::server::{self, Clock};
use souk_providers::stripe::Stripe;
use souk_stripe::client::{Network, Ports};
use souk_stripe::service;
use support::{Payment, Wire, asked, call, object, short, usd};

const KEY: &str = "sk_test_simulator";
/// A card that works, and one that is declined when it is charged.
const CARDS: [&str; 2] = ["4242424242424242", "4000000000000341"];

/// A server and the settings of a shop that uses it.
struct World {
    wire: Wire,
    url: String,
}

impl Network for World {
    fn send(&self, request: &OutRequest) -> Result<InResponse, HttpOutError> {
        self.wire.send(request)
    }
}

impl Config for World {
    fn get(&self, name: &str) -> Option<String> {
        match name {
            "stripe_secret_key" => Some(KEY.to_owned()),
            "stripe_api_base" => Some(self.url.clone()),
            _ => None,
        }
    }
}

/// `localstripe` as far as every call needs it to be Stripe: it refuses `return_url`, and says of a charge whether it was
/// taken, but neither there nor in the payment intent how much.
struct Bridged(World);

impl Network for Bridged {
    fn send(&self, request: &OutRequest) -> Result<InResponse, HttpOutError> {
        let form = String::from_utf8(request.body.clone()).expect("a form");
        let body: Vec<&str> = form.split('&').filter(|field| !field.starts_with("return_url=")).collect();
        let answer = self.0.send(&OutRequest { body: body.join("&").into_bytes(), ..request.clone() })?;
        let mut told: Value = serde_json::from_slice(&answer.body).expect("JSON");
        if told["object"] == "payment_intent" {
            let charge = &told["latest_charge"];
            let taken = if charge["captured"] == true { charge["amount"].clone() } else { 0.into() };
            told["amount_received"] = taken.clone();
            if let Some(charge) = told["latest_charge"].as_object_mut() {
                charge.insert("amount_captured".to_owned(), taken);
            }
        }
        Ok(InResponse { body: told.to_string().into_bytes(), ..answer })
    }
}

impl Config for Bridged {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name)
    }
}

/// The process, ended with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // One that ended by itself needs no ending.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn localstripe() -> (Process, World) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let libraries = here.join("../../target/providers/python");
    assert!(libraries.join("localstripe").exists(), "run tests/providers/setup.sh first");
    let mut command = Command::new("python3");
    command.arg(here.join("sdk/localstripe_server.py")).env("PYTHONPATH", libraries);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("there is a Python");
    let mut port = String::new();
    let said = BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut port);
    let process = Process(child);
    assert!(said.is_ok_and(|bytes| bytes > 0), "it says where it listens");
    (process, World { wire: Wire::new(), url: format!("http://127.0.0.1:{}", port.trim()) })
}

/// A payment method of a card, as Stripe's fields make one in a browser.
fn method(world: &World, number: &str) -> String {
    let form = format!("type=card&card[number]={number}&card[exp_month]=12&card[exp_year]=2035&card[cvc]=123");
    let request = OutRequest {
        method: "POST".to_owned(),
        url: format!("{}/v1/payment_methods", world.url),
        headers: vec![
            ("authorization".to_owned(), format!("Bearer {KEY}")),
            ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
        ],
        body: form.into_bytes(),
        timeout_ms: 3_000,
    };
    let answer = world.send(&request).expect("it answers");
    let told: Value = serde_json::from_slice(&answer.body).expect("JSON");
    told["id"].as_str().unwrap_or_else(|| panic!("{told}")).to_owned()
}

/// Money is held, taken, let go and given back; what was given back is not given back again by a repeat.
fn smoke(ports: &impl Ports, good: &str, declined: &str) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    let now = i64::try_from(since.as_millis()).expect("not for ages");
    let made = AtomicU64::new(0);
    let name = |prefix: &str| format!("{prefix}_{:032}", made.fetch_add(1, Ordering::Relaxed));
    let command = || ProviderCommand { id: name("cmd"), asked_at: now };
    let pay = |token: &str, capture| {
        let payment = Payment { key: name("pay"), reference: String::new(), asked_at: now };
        let told = service::authorize(ports, &call(now), &asked(&payment, token, capture));
        let reference = told.as_ref().map(|told| told.reference.clone()).unwrap_or_default();
        (short(&told), Payment { reference, ..payment })
    };
    let look = |payment: &Payment| short(&service::lookup(ports, &call(now), &object(payment)));
    let capture = |payment: &Payment, amount| {
        short(&service::capture(ports, &call(now), &object(payment), &command(), &usd(amount)))
    };
    let void = |payment: &Payment| short(&service::void(ports, &call(now), &object(payment), &command()));
    let refund = |payment: &Payment, command: &ProviderCommand, amount| {
        short(&service::refund(ports, &call(now), &object(payment), command, &usd(amount)))
    };

    let (told, held) = pay(good, CapturePolicy::Manual);
    assert_eq!([told, look(&held)], ["authorized 0 0"; 2]);
    assert_eq!([capture(&held, 2_000), look(&held)], ["authorized 2000 0"; 2]);
    let (first, second) = (command(), command());
    assert_eq!([refund(&held, &first, 500), refund(&held, &first, 500)], ["authorized 2000 500"; 2]);
    assert_eq!([refund(&held, &second, 1_500), look(&held)], ["authorized 2000 2000"; 2]);
    let (told, taken) = pay(good, CapturePolicy::Automatic);
    assert_eq!([told, look(&taken)], ["authorized 2000 0"; 2]);
    let (_, held) = pay(good, CapturePolicy::Manual);
    assert_eq!([void(&held), void(&held), look(&held)], ["voided 0 0"; 3]);
    let (told, _) = pay(declined, CapturePolicy::Manual);
    assert!(told.starts_with("refused") || told.ends_with("declined 0 0"), "{told}");
}

#[test]
fn the_same_story_holds_at_the_simulator_and_at_localstripe() {
    let (_process, world) = localstripe();
    let [good, declined] = CARDS.map(|number| method(&world, number));
    smoke(&Bridged(world), &good, &declined);

    let wire = Wire::new();
    let server = wire.block_on(server::start::<Stripe>(0, KEY, 7, Clock::Goes(0))).expect("a port is free");
    smoke(&World { wire, url: server.url }, "pm_card_visa", "pm_card_visa_chargeDeclined");
}
