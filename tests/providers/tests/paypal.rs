//! Souk's connector to PayPal against the simulator, over HTTP: approval, every fault, and webhooks.
//!
//! The connector runs as native code, and its port `http-out` is a client of HTTP. Both sides live by the simulator's
//! clock, which stands until a test moves it.

mod support;

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use souk_kit::bindings::souk::shop::http_out::{HttpOutError, InResponse, OutRequest};
use souk_kit::payment_extension::{CapturePolicy, Hook, HookError, ProviderCommand, ProviderError};
use souk_kit::ports::{Call, Config};
use souk_paypal::client::Network;
use souk_paypal::domain::HONOR_MS;
use souk_paypal::service;
use souk_providers::faults::Fault;
use souk_providers::hooks::Disorder;
use souk_providers::paypal::{PayPal, Shopper, objects::Instrument};
use souk_providers::provider::Provider as _;
use souk_providers::random::Random;
use souk_providers::server::{self, Clock, Server};
use support::{Outcome, Payment, Wire, asked, call, object, short, usd};

const START: i64 = 1_790_000_000_000;
const HOUR_MS: i64 = 3_600_000;
/// How often a call is repeated until its effect is known.
const TRIES_MAX: u32 = 20;
const FAULTS: [Fault; 6] =
    [Fault::LostBefore, Fault::LostAfter, Fault::ErrorBefore, Fault::ErrorAfter, Fault::RateLimited, Fault::KeyInUse];

/// A shop, as far as the connector sees it, and the simulator.
struct World {
    wire: Wire,
    server: Server<PayPal>,
    made: AtomicU64,
}

impl Network for World {
    fn send(&self, request: &OutRequest) -> Result<InResponse, HttpOutError> {
        self.wire.send(request)
    }
}

impl Config for World {
    fn get(&self, name: &str) -> Option<String> {
        match name {
            "paypal_client_id" => Some("app".to_owned()),
            "paypal_client_secret" => Some("secret".to_owned()),
            "paypal_webhook_ids" => Some("WH-NEW,WH-OLD".to_owned()),
            "paypal_api_base" => Some(self.server.url.clone()),
            _ => None,
        }
    }
}

impl World {
    fn new() -> Self {
        let wire = Wire::new();
        let server = wire.block_on(server::start(0, "app:secret", 7, Clock::Stands(START))).expect("a port is free");
        Self { wire, server, made: AtomicU64::new(0) }
    }

    fn now(&self) -> i64 {
        self.server.shared.lock().clock.now()
    }

    fn advance(&self, ms: i64) {
        self.server.shared.lock().clock.advance(ms);
    }

    fn plan(&self, fault: Fault) {
        self.server.shared.lock().faults.plan([fault]);
    }

    fn call(&self) -> Call {
        call(self.now())
    }

    /// A payment whose intent was just stored.
    fn payment(&self) -> Payment {
        let n = self.made.fetch_add(1, Ordering::Relaxed);
        Payment { key: format!("pay_{n:032}"), reference: String::new(), asked_at: self.now() }
    }

    fn command(&self) -> ProviderCommand {
        let n = self.made.fetch_add(1, Ordering::Relaxed);
        ProviderCommand { id: format!("cmd_{n:032}"), asked_at: self.now() }
    }

    fn authorize(&self, payment: &Payment, capture: CapturePolicy) -> Outcome {
        service::authorize(self, &self.call(), &asked(payment, "paypal", capture))
    }

    /// An order that waits for its shopper.
    fn open(&self, capture: CapturePolicy) -> Payment {
        let payment = self.payment();
        let told = self.settle(|| self.authorize(&payment, capture));
        assert_eq!(short(&told), "action 0 0");
        Payment { reference: told.expect("it waits").reference, ..payment }
    }

    /// What the shopper does at PayPal's page.
    fn decide(&self, payment: &Payment, shopper: Shopper) {
        let now = self.now();
        self.server.shared.lock().provider.decide(now, &payment.reference, shopper).expect("it waits");
    }

    /// A payment that its shopper approved, and that the connector has seen since.
    fn paid(&self, capture: CapturePolicy, instrument: Instrument) -> (Payment, String) {
        let payment = self.open(capture);
        self.decide(&payment, Shopper::Approves(instrument));
        let told = short(&self.settle(|| self.lookup(&payment)));
        (payment, told)
    }

    fn lookup(&self, payment: &Payment) -> Outcome {
        service::lookup(self, &self.call(), &object(payment))
    }

    fn capture(&self, payment: &Payment, command: &ProviderCommand, amount: i64) -> Outcome {
        service::capture(self, &self.call(), &object(payment), command, &usd(amount))
    }

    fn void(&self, payment: &Payment, command: &ProviderCommand) -> Outcome {
        service::void(self, &self.call(), &object(payment), command)
    }

    fn refund(&self, payment: &Payment, command: &ProviderCommand, amount: i64) -> Outcome {
        service::refund(self, &self.call(), &object(payment), command, &usd(amount))
    }

    /// Repeats a call, later and later, until its effect is known.
    fn settle(&self, mut act: impl FnMut() -> Outcome) -> Outcome {
        let mut heard = Vec::new();
        for _ in 0..TRIES_MAX {
            match act() {
                Err(ProviderError::Unknown(why) | ProviderError::NotSent(why)) => heard.push(why),
                settled => return settled,
            }
            self.advance(10_000);
        }
        panic!("after {TRIES_MAX} tries the effect is not known: {heard:?}");
    }

    /// How many objects of a kind have this in a field.
    fn count(&self, kind: &str, field: &str, value: &str) -> usize {
        let objects = self.server.shared.lock().provider.objects();
        objects[kind].as_array().expect("a kind of objects").iter().filter(|object| object[field] == value).count()
    }
}

#[test]
fn money_is_held_taken_and_given_back() {
    let world = World::new();
    let (payment, told) = world.paid(CapturePolicy::Manual, Instrument::Balance);
    assert_eq!(told, "authorized 0 0");
    assert_eq!(short(&world.capture(&payment, &world.command(), 9_999)), "refused rejected");
    let command = world.command();
    assert_eq!(short(&world.capture(&payment, &command, 1_500)), "authorized 1500 0");
    assert_eq!(short(&world.capture(&payment, &command, 1_500)), "authorized 1500 0", "a repeat");
    assert_eq!(short(&world.capture(&payment, &world.command(), 500)), "refused rejected", "the rest was let go");
    let first = world.command();
    assert_eq!(short(&world.refund(&payment, &first, 400)), "authorized 1500 400");
    assert_eq!(short(&world.refund(&payment, &first, 400)), "authorized 1500 400", "a repeat");
    assert_eq!(short(&world.refund(&payment, &world.command(), 1_101)), "refused rejected");
    assert_eq!(short(&world.refund(&payment, &world.command(), 1_100)), "authorized 1500 1500");
    assert_eq!(short(&world.void(&payment, &world.command())), "refused rejected");
    let (_, told) = world.paid(CapturePolicy::Automatic, Instrument::Balance);
    assert_eq!(told, "authorized 2000 0");
    let (held, _) = world.paid(CapturePolicy::Manual, Instrument::Balance);
    assert_eq!(short(&world.void(&held, &world.command())), "voided 0 0");
    assert_eq!(short(&world.lookup(&held)), "voided 0 0");
    assert_eq!(short(&world.lookup(&world.payment())), "not-found");
}

#[test]
fn what_paypal_says_of_an_instrument_is_told() {
    for (instrument, policy, at_first, later) in [
        (Instrument::Declined, CapturePolicy::Automatic, "card_declined 0 0", "card_declined 0 0"),
        (Instrument::Declined, CapturePolicy::Manual, "card_declined 0 0", "card_declined 0 0"),
        (Instrument::Reviewed, CapturePolicy::Automatic, "processing 0 0", "authorized 2000 0"),
        (Instrument::Reviewed, CapturePolicy::Manual, "processing 0 0", "authorized 0 0"),
        (Instrument::Rejected, CapturePolicy::Automatic, "processing 0 0", "card_declined 0 0"),
        (Instrument::Rejected, CapturePolicy::Manual, "processing 0 0", "card_declined 0 0"),
    ] {
        let world = World::new();
        let (payment, told) = world.paid(policy, instrument);
        assert_eq!(told, at_first, "{instrument:?} {policy:?}");
        world.advance(HOUR_MS);
        assert_eq!(short(&world.lookup(&payment)), later, "{instrument:?} {policy:?}");
    }
}

#[test]
fn what_was_let_go_before_it_was_approved_is_never_taken() {
    for policy in [CapturePolicy::Automatic, CapturePolicy::Manual] {
        let world = World::new();
        let payment = world.open(policy);
        let command = world.command();
        assert_eq!(short(&world.void(&payment, &command)), "voided 0 0");
        world.decide(&payment, Shopper::Approves(Instrument::Balance));
        assert_eq!(short(&world.lookup(&payment)), "voided 0 0");
        assert_eq!(short(&world.void(&payment, &command)), "voided 0 0", "twice is once");
        for kind in ["authorizations", "captures"] {
            assert_eq!(world.count(kind, "invoice_id", &payment.key), 0, "{kind}");
        }
    }
}

#[test]
fn each_fault_leaves_one_effect() {
    for fault in FAULTS {
        let world = World::new();
        world.plan(fault);
        let payment = world.open(CapturePolicy::Manual);
        world.decide(&payment, Shopper::Approves(Instrument::Balance));
        world.plan(fault);
        assert_eq!(short(&world.settle(|| world.lookup(&payment))), "authorized 0 0", "{fault:?}");
        assert_eq!(world.count("authorizations", "invoice_id", &payment.key), 1, "{fault:?}");
        world.plan(fault);
        let command = world.command();
        let told = world.settle(|| world.capture(&payment, &command, 1_500));
        assert_eq!(short(&told), "authorized 1500 0", "{fault:?}");
        assert_eq!(world.count("captures", "invoice_id", &command.id), 1, "{fault:?}");
        world.plan(fault);
        let command = world.command();
        let told = world.settle(|| world.refund(&payment, &command, 400));
        assert_eq!(short(&told), "authorized 1500 400", "{fault:?}");
        assert_eq!(world.count("refunds", "custom_id", &command.id), 1, "{fault:?}");
        let (held, _) = world.paid(CapturePolicy::Manual, Instrument::Balance);
        let open = world.open(CapturePolicy::Automatic);
        for payment in [held, open] {
            world.plan(fault);
            let command = world.command();
            assert_eq!(short(&world.settle(|| world.void(&payment, &command))), "voided 0 0", "{fault:?}");
        }
    }
}

#[test]
fn an_outage_longer_than_keys_are_kept_makes_nothing_twice() {
    let world = World::new();
    let made = world.payment();
    world.plan(Fault::LostAfter);
    assert_eq!(short(&world.authorize(&made, CapturePolicy::Automatic)), "unknown");
    let (paid, _) = world.paid(CapturePolicy::Automatic, Instrument::Balance);
    let refunded = world.command();
    world.plan(Fault::LostAfter);
    assert_eq!(short(&world.refund(&paid, &refunded, 500)), "unknown");
    let approved = world.open(CapturePolicy::Automatic);
    world.decide(&approved, Shopper::Approves(Instrument::Balance));
    world.plan(Fault::LostAfter);
    assert_eq!(short(&world.lookup(&approved)), "unknown");
    world.server.shared.lock().faults.set_outage(true);
    for told in [world.authorize(&made, CapturePolicy::Automatic), world.lookup(&approved)] {
        assert!(["unknown", "not-sent"].contains(&short(&told).as_str()), "{told:?}");
    }
    world.advance(25 * HOUR_MS);
    world.server.shared.lock().faults.set_outage(false);
    assert_eq!(short(&world.authorize(&made, CapturePolicy::Automatic)), "refused rejected", "its key is too old");
    assert_eq!(short(&world.lookup(&made)), "not-found");
    assert_eq!(short(&world.lookup(&approved)), "authorized 2000 0");
    assert_eq!(world.count("captures", "invoice_id", &approved.key), 1);
    world.advance(50 * 24 * HOUR_MS);
    assert_eq!(short(&world.refund(&paid, &refunded, 500)), "authorized 2000 500");
    assert_eq!(world.count("refunds", "custom_id", &refunded.id), 1);
}

#[test]
fn a_hold_is_told_until_paypal_vouches_for_it_no_more_and_ends() {
    let world = World::new();
    let (payment, _) = world.paid(CapturePolicy::Manual, Instrument::Balance);
    let told = world.lookup(&payment).expect("it is held");
    // PayPal writes whole seconds.
    assert_eq!(told.held_until, Some(START / 1_000 * 1_000 + HONOR_MS));
    world.advance(30 * 24 * HOUR_MS);
    assert_eq!(short(&world.lookup(&payment)), "voided 0 0");
    assert_eq!(short(&world.capture(&payment, &world.command(), 2_000)), "voided 0 0");
}

#[test]
fn a_refund_that_does_not_arrive_is_told() {
    let world = World::new();
    let (payment, told) = world.paid(CapturePolicy::Automatic, Instrument::Closed);
    assert_eq!(told, "authorized 2000 0");
    let command = world.command();
    assert_eq!(short(&world.refund(&payment, &command, 500)), "authorized 2000 500", "it is on its way");
    world.advance(HOUR_MS);
    assert_eq!(short(&world.lookup(&payment)), "authorized 2000 0");
    assert_eq!(short(&world.refund(&payment, &command, 500)), "refused rejected");
}

/// Law: whatever is lost or fails on the way, each payment is taken once, and each refund is made once.
#[test]
fn of_a_thousand_calls_with_faults_none_has_two_effects() {
    const PAYMENTS: usize = 150;
    let world = World::new();
    world.server.shared.lock().faults.draw_percent(30);
    let mut random = Random::new(11);
    for n in 0..PAYMENTS {
        let policy = if random.percent(50) { CapturePolicy::Automatic } else { CapturePolicy::Manual };
        let payment = world.open(policy);
        if random.percent(20) {
            let command = world.command();
            assert_eq!(short(&world.settle(|| world.void(&payment, &command))), "voided 0 0", "payment {n}");
            continue;
        }
        world.decide(&payment, Shopper::Approves(Instrument::Balance));
        world.settle(|| world.lookup(&payment)).expect("it is held or taken");
        if policy == CapturePolicy::Manual {
            let command = world.command();
            let told = world.settle(|| world.capture(&payment, &command, 2_000));
            assert_eq!(short(&told), "authorized 2000 0", "payment {n}");
            assert_eq!(world.count("captures", "invoice_id", &command.id), 1, "payment {n}");
        } else {
            assert_eq!(world.count("captures", "invoice_id", &payment.key), 1, "payment {n}");
        }
        for part in 1..=3 {
            let command = world.command();
            let told = world.settle(|| world.refund(&payment, &command, 300));
            assert_eq!(short(&told), format!("authorized 2000 {}", 300 * part), "payment {n}");
            assert_eq!(world.count("refunds", "custom_id", &command.id), 1, "payment {n}");
        }
    }
}

/// What was sent is believed when it is genuine, and names the order that it is about.
#[test]
fn webhooks_are_believed_when_they_are_genuine() {
    const PAYMENTS: usize = 60;
    let world = World::new();
    let disorder = Disorder { duplicates: 30, reordered: 30, late: 10, forged: 20 };
    world.server.shared.lock().outbox.disorder(disorder);
    for _ in 0..PAYMENTS {
        let (payment, _) = world.paid(CapturePolicy::Manual, Instrument::Balance);
        world.capture(&payment, &world.command(), 2_000).expect("it is taken");
    }
    let now = world.now();
    let sent = world.server.shared.lock().outbox.take_due(i64::MAX - 1);
    let (mut told, mut forged) = (0, 0);
    for delivery in &sent {
        let webhook = PayPal::webhook(delivery, &["WH-OLD"], now);
        let headers = webhook.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let hook = Hook { headers, body: webhook.body };
        let read = service::read_hook(&world, &world.call(), &hook);
        if delivery.forgery.is_some() {
            assert!(matches!(read, Err(HookError::Forged(_) | HookError::Malformed(_))), "{:?}", delivery.forgery);
            forged += 1;
            continue;
        }
        let Some(news) = read.expect("it is genuine") else { continue };
        assert_eq!(news.event_id, text(&delivery.event["id"]));
        let resource = &delivery.event["resource"];
        let order = &resource["supplementary_data"]["related_ids"]["order_id"];
        assert_eq!(news.reference, text(if order.is_null() { &resource["id"] } else { order }));
        told += 1;
    }
    assert!(told > 2 * PAYMENTS && forged > PAYMENTS / 4, "{told} told of an order, {forged} were forged");
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}
