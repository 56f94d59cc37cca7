//! Answers that were lost: repeats under the same key, objects without a reference, keys that are forgotten, and
//! failures that Stripe keeps.

use serde_json::{Value, json};
use souk_kit::payment_extension::CapturePolicy;

use super::*;
use crate::domain::{KEY_AGE_MAX_MS, KEY_WAIT_MS, KEYS_MAX};

const START_SECONDS: i64 = START / 1_000;

#[test]
fn a_repeated_answer_is_read_anew() {
    let world = World::new(vec![again(200, &intent("processing", json!({}))), answer(200, &taken(2_000, 0))]);
    assert_eq!(short(&world.authorize(CapturePolicy::Automatic)), "authorized 2000 0");
    assert_eq!(world.sent(), ["POST payment_intents PAY", "GET payment_intents/PI"]);
    let world = World::new(vec![
        again(200, &taken(2_000, 0)),
        answer(200, &taken(2_000, 500)),
        answer(200, &page(&[refund("re_1", 500, json!({}))], false)),
    ]);
    assert_eq!(short(&world.capture(2_000)), "authorized 2000 500");
    // What the first answer made is known; that it could not be read now leaves the effect unknown, not undone.
    let world = World::new(vec![again(200, &held()), answer(429, &error(json!({})))]);
    assert_eq!(short(&world.authorize(CapturePolicy::Manual)), "unknown");
}

/// Where an object is looked for at an age, as the queries of the lists.
fn ranges(world: &World) -> Vec<(i64, i64)> {
    let sent = world.sent.borrow();
    let lists = sent.iter().filter(|request| request.url.contains("/v1/payment_intents?"));
    lists
        .map(|request| {
            let number = |name: &str| -> i64 {
                let (_, rest) = request.url.split_once(name).expect("the range is there");
                rest.split('&').next().expect("a value").parse().expect("a number")
            };
            (number("created%5Bgte%5D=") - START_SECONDS, number("created%5Blte%5D=") - START_SECONDS)
        })
        .collect()
}

#[test]
fn an_object_without_a_reference_is_found_by_when_it_was_made() {
    let other = intent("succeeded", json!({ "id": "pi_other", "metadata": {} }));
    let world = World::new(vec![answer(200, &page(&[other.clone(), held()], false)), answer(200, &held())]);
    assert_eq!(short(&world.lookup("")), "authorized 0 0");
    assert_eq!(world.sent(), ["GET payment_intents", "GET payment_intents/PI"]);
    assert_eq!(ranges(&world), [(-60, 60)]);
    for (age, expected) in [
        (0, vec![(-60, 60)]),
        (60_000, vec![(-60, 120)]),
        (600_000, vec![(-60, 180), (181, 660)]),
        // Not beyond the last time at which it may have been made.
        (30 * 86_400_000, vec![(-60, 180), (181, KEY_AGE_MAX_MS / 1_000 + 60)]),
    ] {
        let world = World::new(vec![answer(200, &page(std::slice::from_ref(&other), false)); expected.len()]);
        world.ports.advance(age);
        assert_eq!(short(&world.lookup("")), "not-found");
        assert_eq!(ranges(&world), expected);
    }
}

#[test]
fn too_many_to_look_through_is_not_none() {
    let other = page(&[intent("succeeded", json!({ "id": "pi_other", "metadata": {} }))], true);
    let script = (0..service::INTENT_PAGES_MAX).map(|_| answer(200, &other)).collect();
    let world = World::new(script);
    assert_eq!(short(&world.lookup("")), "unknown");
    assert_eq!(world.sent().len(), 10);
}

#[test]
fn of_two_with_one_key_the_one_that_holds_money_counts() {
    let first = intent("requires_payment_method", json!({ "id": "pi_first" }));
    let both = page(&[first, taken(2_000, 0)], false);
    let world = World::new(vec![answer(200, &both), answer(200, &taken(2_000, 0))]);
    assert_eq!(short(&world.lookup("")), "authorized 2000 0");
}

#[test]
fn a_key_that_may_be_forgotten_is_not_used() {
    let none = || answer(200, &page(&[], false));
    let world = World::new(vec![none(), none()]);
    world.ports.advance(KEY_AGE_MAX_MS);
    assert_eq!(short(&world.authorize(CapturePolicy::Automatic)), "refused rejected");
    assert_eq!(world.sent(), ["GET payment_intents"; 2]);

    let world = World::new(vec![none(), answer(200, &page(&[held()], false)), answer(200, &held())]);
    world.ports.advance(KEY_AGE_MAX_MS);
    assert_eq!(short(&world.authorize(CapturePolicy::Manual)), "authorized 0 0");

    let world = World::new(vec![answer(200, &held())]);
    world.ports.advance(KEY_AGE_MAX_MS - 1);
    assert_eq!(short(&world.authorize(CapturePolicy::Manual)), "authorized 0 0");
    assert_eq!(world.sent(), ["POST payment_intents PAY"]);
}

#[test]
fn a_refund_whose_key_may_be_forgotten_is_made_once() {
    let made = refund("re_1", 500, json!({}));
    let there = || answer(200, &page(std::slice::from_ref(&made), false));
    let world = World::new(vec![there(), answer(200, &taken(2_000, 500)), there()]);
    world.ports.advance(2 * KEY_AGE_MAX_MS);
    assert_eq!(short(&world.refund(500)), "authorized 2000 500");
    assert_eq!(world.sent(), ["GET refunds", "GET payment_intents/PI", "GET refunds"]);

    let none = answer(200, &page(&[], false));
    let world = World::new(vec![none, answer(200, &made), answer(200, &taken(2_000, 500)), there()]);
    world.ports.advance(2 * KEY_AGE_MAX_MS);
    assert_eq!(short(&world.refund(500)), "authorized 2000 500");

    // The list could not be read: nothing says that there is no refund, so none is made.
    for unread in [lost(), answer(500, &broken()), answer(200, &json!({ "data": [] }))] {
        let world = World::new(vec![unread]);
        assert_eq!(short(&world.refund(500)), "unknown");
        assert_eq!(world.sent(), ["GET refunds"]);
    }
}

#[test]
fn a_failure_that_stripe_keeps_is_left_behind_under_a_derived_key() {
    let none = || answer(200, &page(&[], false));
    let stuck = || again(500, &broken());
    // At first, and until a late effect would show, the same key is all there is.
    for (age, script) in [(0, vec![answer(500, &broken())]), (KEY_WAIT_MS - 1, vec![stuck(), none()])] {
        let world = World::new(script);
        world.ports.advance(age);
        assert_eq!(short(&world.authorize(CapturePolicy::Manual)), "unknown");
    }
    let world = World::new(vec![stuck(), none(), answer(200, &held())]);
    world.ports.advance(KEY_WAIT_MS);
    assert_eq!(short(&world.authorize(CapturePolicy::Manual)), "authorized 0 0");
    assert_eq!(world.sent(), ["POST payment_intents PAY", "GET payment_intents", "POST payment_intents PAY-2"]);
    assert_eq!(world.bodies()[0], world.bodies()[2], "the same is asked for");
    // The failure had its effect all the same.
    let world = World::new(vec![stuck(), answer(200, &page(&[held()], false)), answer(200, &held())]);
    world.ports.advance(KEY_WAIT_MS);
    assert_eq!(short(&world.authorize(CapturePolicy::Manual)), "authorized 0 0");
    // That it had none must be known.
    let world = World::new(vec![stuck(), lost()]);
    world.ports.advance(KEY_WAIT_MS);
    assert_eq!(short(&world.authorize(CapturePolicy::Manual)), "unknown");
}

#[test]
fn a_call_that_keeps_failing_has_a_new_key_whenever_it_is_twice_as_old() {
    for (age, keys) in [
        (KEY_WAIT_MS - 1, 1),
        (KEY_WAIT_MS, 2),
        (2 * KEY_WAIT_MS, 3),
        (4 * KEY_WAIT_MS - 1, 3),
        (4 * KEY_WAIT_MS, 4),
        (KEY_AGE_MAX_MS, KEYS_MAX),
        (2 * KEY_AGE_MAX_MS, KEYS_MAX),
    ] {
        let none = answer(200, &page(&[], false));
        let stuck = (0..keys).flat_map(|_| [again(500, &broken()), none.clone()]);
        let world = World::new(std::iter::once(none.clone()).chain(stuck).collect());
        world.ports.advance(age);
        assert_eq!(short(&world.refund(500)), "unknown");
        let writes: Vec<String> = world.sent().into_iter().filter(|line| line.starts_with("POST")).collect();
        let key = |attempt| if attempt == 1 { String::new() } else { format!("-{attempt}") };
        assert_eq!(writes, (1..=keys).map(|attempt| format!("POST refunds CMD{}", key(attempt))).collect::<Vec<_>>());
    }
}

#[test]
fn a_capture_or_void_that_failed_and_happened_is_seen() {
    type Do = fn(&World) -> Result<ProviderPayment, ProviderError>;
    let cases: [(Do, Value, Value, &str); 2] = [
        (|world| world.capture(2_000), held(), taken(2_000, 0), "authorized 2000 0"),
        (World::void, held(), intent("canceled", json!({})), "voided 0 0"),
    ];
    for (act, before, after, outcome) in cases {
        let world = World::new(vec![again(500, &broken()), answer(200, &after)]);
        assert_eq!(short(&act(&world)), outcome);
        let world = World::new(vec![again(500, &broken()), answer(200, &before), answer(200, &after)]);
        world.ports.advance(KEY_WAIT_MS);
        assert_eq!(short(&act(&world)), outcome);
        assert!(world.sent()[2].ends_with(" CMD-2"));
    }
}
