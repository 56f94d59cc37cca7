//! Souk's connector to Stripe against the simulator, over HTTP: the card flow, every fault, and webhooks.
//!
//! The connector runs as native code, and its port `http-out` is a client of HTTP. Both sides live by the simulator's
//! clock, which stands until a test moves it.

mod support;

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use souk_kit::bindings::souk::shop::http_out::{HttpOutError, InResponse, OutRequest};
use souk_kit::payment_extension::{CapturePolicy, Hook, HookError, ProviderCommand, ProviderError, ProviderState};
use souk_kit::ports::{Call, Config};
use souk_providers::faults::Fault;
use souk_providers::hooks::Disorder;
use souk_providers::provider::{Provider as _, RefundPolicy};
use souk_providers::random::Random;
use souk_providers::server::{self, Clock, Server};
use souk_providers::stripe::signature::sign_delivery;
use souk_providers::stripe::{HOLD_MS, Shopper, Stripe};
use souk_stripe::client::Network;
use souk_stripe::domain::KEY_WAIT_MS;
use souk_stripe::service;
use support::{Outcome, Payment, Wire, asked, call, object, short, usd};

const START: i64 = 1_790_000_000_000;
const HOUR_MS: i64 = 3_600_000;
const KEY: &str = "sk_test_simulator";
/// How often a call is repeated until its effect is known.
const TRIES_MAX: u32 = 20;

/// A shop, as far as the connector sees it, and the simulator.
struct World {
    wire: Wire,
    server: Server<Stripe>,
    commands: AtomicU64,
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
            "stripe_webhook_secrets" => Some("whsec_new,whsec_old".to_owned()),
            "stripe_api_base" => Some(self.server.url.clone()),
            _ => None,
        }
    }
}

impl World {
    fn new() -> Self {
        let wire = Wire::new();
        let server = wire.block_on(server::start(0, KEY, 7, Clock::Stands(START))).expect("a port is free");
        Self { wire, server, commands: AtomicU64::new(0) }
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
        let n = self.commands.fetch_add(1, Ordering::Relaxed);
        Payment { key: format!("pay_{n:032}"), reference: String::new(), asked_at: self.now() }
    }

    fn command(&self) -> ProviderCommand {
        let n = self.commands.fetch_add(1, Ordering::Relaxed);
        ProviderCommand { id: format!("cmd_{n:032}"), asked_at: self.now() }
    }

    fn authorize(&self, payment: &Payment, token: &str, capture: CapturePolicy) -> Outcome {
        let asked = asked(payment, token, capture);
        service::authorize(self, &self.call(), &asked)
    }

    /// A payment that is held.
    fn held(&self) -> Payment {
        let payment = self.payment();
        let told = self.authorize(&payment, "pm_card_visa", CapturePolicy::Manual).expect("it is held");
        Payment { reference: told.reference, ..payment }
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

    /// Repeats a call, later and later, until its effect is known: beyond when Stripe forgets keys, since a call whose
    /// every key met a failure that Stripe keeps has to wait for that.
    fn settle(&self, mut act: impl FnMut() -> Outcome) -> Outcome {
        let mut heard = Vec::new();
        for tries in 0..TRIES_MAX {
            match act() {
                Err(ProviderError::Unknown(why) | ProviderError::NotSent(why)) => heard.push(why),
                settled => return settled,
            }
            self.advance((KEY_WAIT_MS << tries).min(8 * HOUR_MS));
        }
        panic!("after {TRIES_MAX} tries the effect is not known: {heard:?}");
    }

    /// The objects of a kind that carry this metadata.
    fn made(&self, kind: &str, name: &str, value: &str) -> Vec<Value> {
        let objects = self.server.shared.lock().provider.objects();
        let all = objects[kind].as_array().expect("a kind of objects").clone();
        all.into_iter().filter(|object| object["metadata"][name] == value).collect()
    }

    fn intents(&self, payment: &Payment) -> Vec<Value> {
        self.made("payment_intents", "souk_payment", &payment.key)
    }
}

#[test]
fn money_is_held_taken_and_given_back() {
    let world = World::new();
    let payment = world.held();
    assert_eq!(short(&world.lookup(&payment)), "authorized 0 0");
    assert_eq!(short(&world.capture(&payment, &world.command(), 2_001)), "refused rejected");
    let command = world.command();
    assert_eq!(short(&world.capture(&payment, &command, 1_500)), "authorized 1500 0");
    assert_eq!(short(&world.capture(&payment, &command, 1_500)), "authorized 1500 0", "a repeat");
    assert_eq!(short(&world.capture(&payment, &world.command(), 500)), "refused rejected", "the rest was let go");
    let first = world.command();
    assert_eq!(short(&world.refund(&payment, &first, 400)), "authorized 1500 400");
    assert_eq!(short(&world.refund(&payment, &first, 400)), "authorized 1500 400", "a repeat");
    assert_eq!(short(&world.refund(&payment, &world.command(), 600)), "authorized 1500 1000");
    assert_eq!(short(&world.refund(&payment, &world.command(), 501)), "refused rejected");
    assert_eq!(short(&world.refund(&payment, &world.command(), 500)), "authorized 1500 1500");
    assert_eq!(short(&world.void(&payment, &world.command())), "refused rejected");
    let now = world.payment();
    assert_eq!(short(&world.authorize(&now, "pm_card_visa", CapturePolicy::Automatic)), "authorized 2000 0");
    let held = world.held();
    assert_eq!(short(&world.void(&held, &world.command())), "voided 0 0");
    assert_eq!(short(&world.lookup(&held)), "voided 0 0");
    assert_eq!(short(&world.lookup(&world.payment())), "not-found");
}

#[test]
fn what_the_bank_says_is_told() {
    let world = World::new();
    for (card, outcome) in [
        ("pm_card_visa_chargeDeclined", "card_declined 0 0"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds 0 0"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card 0 0"),
        ("pm_card_unheard", "refused invalid_token"),
    ] {
        let payment = world.payment();
        let told = || world.authorize(&payment, card, CapturePolicy::Manual);
        assert_eq!([short(&told()), short(&told())], [outcome, outcome], "{card}");
    }
}

#[test]
fn a_shopper_approves_or_refuses_at_the_page() {
    for (shopper, card, outcome) in [
        (Shopper::Approves, "pm_card_authenticationRequired", "authorized 0 0"),
        (Shopper::Refuses, "pm_card_authenticationRequired", "action_failed 0 0"),
        (Shopper::Approves, "pm_card_threeDSecureRequiredChargeDeclined", "card_declined 0 0"),
    ] {
        let world = World::new();
        let payment = world.payment();
        let told = world.authorize(&payment, card, CapturePolicy::Manual);
        assert_eq!(short(&told), "action 0 0");
        let told = told.expect("it waits");
        let page = format!("{}/3d_secure/{}", world.server.url, told.reference);
        assert_eq!(told.state, ProviderState::RequiresAction(page));
        let now = world.now();
        world.server.shared.lock().provider.finish_action(now, &told.reference, shopper).expect("it waits");
        let again = world.authorize(&payment, card, CapturePolicy::Manual);
        assert_eq!(short(&again), outcome, "a repeat tells what became of it");
        assert_eq!(short(&world.lookup(&payment)), outcome);
    }
}

#[test]
fn each_fault_leaves_one_effect() {
    for fault in [
        Fault::LostBefore,
        Fault::LostAfter,
        Fault::ErrorBefore,
        Fault::ErrorAfter,
        Fault::RateLimited,
        Fault::KeyInUse,
    ] {
        let world = World::new();
        let payment = world.payment();
        world.plan(fault);
        let told = world.settle(|| world.authorize(&payment, "pm_card_visa", CapturePolicy::Manual));
        assert_eq!(short(&told), "authorized 0 0", "{fault:?}");
        assert_eq!(world.intents(&payment).len(), 1, "{fault:?}");
        let payment = Payment { reference: told.expect("it is held").reference, ..payment };
        world.plan(fault);
        let command = world.command();
        let told = world.settle(|| world.capture(&payment, &command, 1_500));
        assert_eq!(short(&told), "authorized 1500 0", "{fault:?}");
        world.plan(fault);
        let command = world.command();
        let told = world.settle(|| world.refund(&payment, &command, 400));
        assert_eq!(short(&told), "authorized 1500 400", "{fault:?}");
        assert_eq!(world.made("refunds", "souk_command", &command.id).len(), 1, "{fault:?}");
        let held = world.held();
        world.plan(fault);
        let command = world.command();
        assert_eq!(short(&world.settle(|| world.void(&held, &command))), "voided 0 0", "{fault:?}");
    }
}

#[test]
fn an_outage_longer_than_keys_are_kept_makes_nothing_twice() {
    let world = World::new();
    let (made, never) = (world.payment(), world.payment());
    let (asked, refunded) = (world.held(), world.command());
    assert_eq!(short(&world.capture(&asked, &world.command(), 2_000)), "authorized 2000 0");
    world.plan(Fault::LostAfter);
    assert_eq!(short(&world.authorize(&made, "pm_card_visa", CapturePolicy::Manual)), "unknown");
    world.plan(Fault::LostBefore);
    assert_eq!(short(&world.authorize(&never, "pm_card_visa", CapturePolicy::Manual)), "unknown");
    world.plan(Fault::LostAfter);
    assert_eq!(short(&world.refund(&asked, &refunded, 500)), "unknown");
    world.server.shared.lock().faults.set_outage(true);
    assert_eq!(short(&world.authorize(&made, "pm_card_visa", CapturePolicy::Manual)), "unknown");
    world.advance(25 * HOUR_MS);
    world.server.shared.lock().faults.set_outage(false);
    assert_eq!(short(&world.authorize(&made, "pm_card_visa", CapturePolicy::Manual)), "authorized 0 0");
    assert_eq!(short(&world.lookup(&made)), "authorized 0 0");
    assert_eq!(short(&world.authorize(&never, "pm_card_visa", CapturePolicy::Manual)), "refused rejected");
    assert_eq!(short(&world.lookup(&never)), "not-found");
    assert_eq!(short(&world.refund(&asked, &refunded, 500)), "authorized 2000 500");
    assert_eq!([world.intents(&made).len(), world.intents(&never).len()], [1, 0]);
    assert_eq!(world.made("refunds", "souk_command", &refunded.id).len(), 1);
}

#[test]
fn a_hold_that_ended_is_told() {
    let world = World::new();
    let payment = world.held();
    world.advance(HOLD_MS);
    assert_eq!(short(&world.capture(&payment, &world.command(), 2_000)), "voided 0 0");
    assert_eq!(short(&world.lookup(&payment)), "voided 0 0");
}

#[test]
fn a_refund_that_does_not_arrive_and_one_that_is_too_much_are_told() {
    let world = World::new();
    let payment = world.payment();
    let told = world.authorize(&payment, "pm_card_refundFail", CapturePolicy::Automatic).expect("it is taken");
    let payment = Payment { reference: told.reference, ..payment };
    let command = world.command();
    assert_eq!(short(&world.refund(&payment, &command, 500)), "authorized 2000 500");
    world.advance(HOUR_MS);
    assert_eq!(short(&world.lookup(&payment)), "authorized 2000 0");
    assert_eq!(short(&world.refund(&payment, &command, 500)), "refused rejected");
    // Stripe let through what the ledger would not have asked for: the connector tells it as it is.
    world.server.shared.lock().provider.check_refunds(RefundPolicy::Uncapped);
    assert_eq!(short(&world.refund(&payment, &world.command(), 3_000)), "authorized 2000 3000");
}

/// Law: whatever is lost or fails on the way, each payment is made once, and each refund is.
#[test]
fn of_a_thousand_calls_with_faults_none_has_two_effects() {
    const PAYMENTS: usize = 200;
    let world = World::new();
    world.server.shared.lock().faults.draw_percent(30);
    let mut random = Random::new(11);
    for n in 0..PAYMENTS {
        let payment = world.payment();
        let told = world.settle(|| world.authorize(&payment, "pm_card_visa", CapturePolicy::Manual));
        if let Err(ProviderError::Refused(_)) = told {
            assert_eq!(world.intents(&payment), [Value::Null; 0], "payment {n}");
            continue;
        }
        assert_eq!(short(&told), "authorized 0 0", "payment {n}");
        let [intent] = &world.intents(&payment)[..] else { panic!("payment {n}: {:?}", world.intents(&payment)) };
        // Half of them go on without the answer, as a shop does that was killed before it stored it.
        let reference = if random.percent(50) { told.expect("it is held").reference } else { String::new() };
        let payment = Payment { reference, ..payment };
        if random.percent(20) {
            let command = world.command();
            assert_eq!(short(&world.settle(|| world.void(&payment, &command))), "voided 0 0", "payment {n}");
            continue;
        }
        let amount = 1_000 + i64::try_from(random.below(1_001)).expect("a small number");
        let command = world.command();
        let told = world.settle(|| world.capture(&payment, &command, amount));
        assert_eq!(short(&told), format!("authorized {amount} 0"), "payment {n}");
        for part in 1..=3 {
            let command = world.command();
            let told = world.settle(|| world.refund(&payment, &command, 300));
            assert_eq!(short(&told), format!("authorized {amount} {}", 300 * part), "payment {n}");
            assert_eq!(world.made("refunds", "souk_command", &command.id).len(), 1, "payment {n}");
        }
        assert_eq!(world.intents(&payment)[0]["id"], intent["id"]);
    }
}

/// What was sent is believed when it is genuine, and names the payment that it is about.
#[test]
fn webhooks_are_believed_when_they_are_genuine() {
    const PAYMENTS: usize = 1_250;
    const SENT_MIN: usize = 10_000;
    let world = World::new();
    let disorder = Disorder { duplicates: 30, reordered: 30, late: 10, forged: 10 };
    world.server.shared.lock().outbox.disorder(disorder);
    for _ in 0..PAYMENTS {
        let payment = world.held();
        world.capture(&payment, &world.command(), 1_500).expect("it is taken");
        world.refund(&payment, &world.command(), 100).expect("it is given back");
    }
    let now = world.now();
    let sent = world.server.shared.lock().outbox.take_due(i64::MAX - 1);
    assert!(sent.len() >= SENT_MIN, "{}", sent.len());
    let mut told = 0;
    for delivery in &sent {
        let (body, signature) = sign_delivery(delivery, &["whsec_old", "whsec_new"], now / 1_000);
        let hook = Hook { headers: vec![("stripe-signature".to_owned(), signature)], body };
        let read = service::read_hook(&world, &world.call(), &hook);
        let kind = delivery.event["type"].as_str().expect("a type");
        let object = &delivery.event["data"]["object"];
        match (delivery.forgery, kind) {
            (Some(_), _) => assert!(matches!(read, Err(HookError::Forged(_))), "{:?}: {read:?}", delivery.forgery),
            (None, "payment_intent.created" | "charge.refunded") => assert!(matches!(read, Ok(None)), "{read:?}"),
            (None, _) => {
                let news = read.expect("it is genuine").expect("it is of interest");
                let reference = if object["object"] == "refund" { &object["payment_intent"] } else { &object["id"] };
                assert_eq!(
                    (news.event_id.as_str(), news.reference.as_str()),
                    (text(&delivery.event["id"]), text(reference))
                );
                assert_eq!(news.key.as_deref(), object["metadata"]["souk_payment"].as_str());
                told += 1;
            }
        }
    }
    assert!(told > 3 * PAYMENTS, "{told} told of a payment");
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}
