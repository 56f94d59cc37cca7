//! Webhooks: forged, repeated, reordered, early, late, and about nobody. Whatever they say, only the provider's answer counts.

use souk_kit::payment::PaymentState;
use souk_kit::payment_extension::{CapturePolicy, Hook, HookError, News, ProviderState};
use souk_kit::testing::{Dice, Fault, law};

use super::{ORD, PAY, Trouble, World};
use crate::domain::inbox::{KEPT_MS, RETRY_AGE_MAX_MS, RETRY_DELAY_MAX_MS, Received, receive};
use crate::service as payments;
use crate::store::inbox::SWEPT_MAX;

const HOUR_MS: i64 = 3_600_000;

/// A webhook with the signature of tests: `event reference [key]`.
fn hook(text: &str) -> Hook {
    Hook { headers: vec![("signature".to_owned(), "good".to_owned())], body: text.as_bytes().to_vec() }
}

fn take(world: &World, text: &str) -> Result<(), HookError> {
    payments::take_hook(world, &world.call(), "test", &hook(text))
}

/// A webhook about the payment of tests, by the name that the provider has for it.
fn news(event: &str) -> String {
    format!("{event} ref-{PAY}")
}

/// Delivers what is due as the host would, failed deliveries once more, and answers how many webhooks' timers there were.
fn run(world: &World) -> u32 {
    let mut timers = 0;
    for event in world.ports.take_due_events() {
        let handle = || match event.topic.as_str() {
            "payment.news-due" => world.deliver_news(&event),
            "payment.check-due" => payments::check_due(world, &world.call(), &PAY.to_owned()),
            _ => Ok(()),
        };
        timers += u32::from(event.topic == "payment.news-due");
        if handle().is_err() {
            handle().expect("the second delivery goes well");
        }
    }
    timers
}

fn waiting(world: &World) -> i64 {
    world.ports.integer("SELECT count(*) FROM payment_hooks WHERE handled_at IS NULL")
}

fn amounts(world: &World) -> (i64, i64, i64) {
    let view = world.get();
    (view.authorized, view.captured, view.refunded)
}

#[test]
fn news_are_kept_only_when_they_can_be_named() {
    let long = "x".repeat(200);
    let too_long = "x".repeat(201);
    for (event_id, reference, key, kept) in [
        ("evt_1", "ref", None, Some(None)),
        ("evt_1", "ref", Some(PAY), Some(Some(PAY))),
        ("evt_1", "ref", Some("pay_of_another_shop"), Some(None)),
        (long.as_str(), long.as_str(), None, Some(None)),
        ("", "ref", None, None),
        ("evt_1", "", None, None),
        (too_long.as_str(), "ref", None, None),
        ("evt_1", too_long.as_str(), None, None),
        ("evt\u{0}1", "ref", None, None),
        ("evt_1", "ref\n", None, None),
    ] {
        let told = News { event_id: event_id.to_owned(), reference: reference.to_owned(), key: key.map(str::to_owned) };
        let received = receive("test", told, 7);
        assert_eq!(received.as_ref().ok().map(|hook| hook.key.as_deref()), kept, "{event_id:?} {reference:?}");
    }
}

#[test]
fn waits_double_up_to_an_hour_and_end_after_three_days() {
    let told = News { event_id: "evt_1".to_owned(), reference: "ref".to_owned(), key: None };
    let received = receive("test", told, 0).expect("it can be kept");
    for (attempts, age, wait) in [
        (0, 0, Some(1_000)),
        (1, 1_000, Some(2_000)),
        (11, 2_047_000, Some(2_048_000)),
        (12, 4_095_000, Some(HOUR_MS)),
        (u32::MAX, 4_095_000, Some(HOUR_MS)),
        (80, RETRY_AGE_MAX_MS - 1, Some(HOUR_MS)),
        (80, RETRY_AGE_MAX_MS, None),
    ] {
        let hook = Received { attempts, ..received.clone() };
        assert_eq!(hook.retry_at(age), wait.map(|wait| age + wait), "{attempts} {age}");
    }
}

#[test]
fn what_is_not_genuine_leaves_no_trace() {
    let world = World::new();
    world.authorize(CapturePolicy::Manual).expect("it goes well");
    world.ports.take_due_events();
    world.alter(|object| object.captured = 60);
    let before = world.ports.commits();
    let mut unsigned = hook(&news("evt_1"));
    unsigned.headers.clear();
    let mut garbled = hook(&news("evt_1"));
    garbled.body = vec![0xff];
    for (provider, sent, wanted) in [
        ("test", &unsigned, "Err(HookError::Forged"),
        ("test", &garbled, "Err(HookError::Malformed"),
        ("test", &hook("evt_1"), "Err(HookError::Malformed"),
        ("nobody", &hook(&news("evt_1")), "Err(HookError::UnknownProvider"),
        ("test", &hook(""), "Ok"),
    ] {
        let answer = payments::take_hook(&world, &world.call(), provider, sent);
        assert!(format!("{answer:?}").starts_with(wanted), "{answer:?}");
    }
    assert_eq!(world.ports.commits(), before);
    assert_eq!(run(&world), 0);
    assert_eq!(amounts(&world), (100, 0, 0));
}

#[test]
fn an_event_is_kept_once_however_often_it_comes() {
    let world = World::new();
    world.authorize(CapturePolicy::Manual).expect("it goes well");
    world.alter(|object| object.captured = 60);
    for _ in 0..2 {
        take(&world, &news("evt_1")).expect("it is genuine");
    }
    // The database forgets ids of batches after a week; the row remembers.
    world.ports.integer("DELETE FROM test_batches WHERE id LIKE 'hook_%' RETURNING 1");
    take(&world, &news("evt_1")).expect("it is genuine");
    assert_eq!(world.ports.integer("SELECT count(*) FROM payment_hooks"), 1);
    assert_eq!(run(&world), 1);
    assert_eq!((amounts(&world), waiting(&world)), ((100, 60, 0), 0));
    take(&world, &news("evt_1")).expect("a repeat after it was handled");
    assert_eq!(run(&world), 0);
}

#[test]
fn two_providers_may_name_their_events_alike() {
    let world = World::new();
    payments::take_hook(&world, &world.call(), "test", &hook("evt_1 a")).expect("it is genuine");
    payments::take_hook(&world, &world.call(), "other", &hook("evt_1 a")).expect("it is genuine");
    assert_eq!(waiting(&world), 2);
}

#[test]
fn another_provider_has_no_say_in_our_payments() {
    let world = World::new();
    world.authorize(CapturePolicy::Manual).expect("it goes well");
    world.alter(|object| object.captured = 60);
    let sent = hook(&format!("evt_1 ref-{PAY} {PAY}"));
    payments::take_hook(&world, &world.call(), "other", &sent).expect("it is genuine");
    payments::provider_changed(&world, &world.call(), "other/1", "other", &PAY.to_owned()).expect("it is kept");
    run(&world);
    assert_eq!((amounts(&world), waiting(&world)), ((100, 0, 0), 2));
}

#[test]
fn what_a_connector_tells_is_kept_once_and_asked_about_when_the_provider_is_back() {
    let world = World::new();
    world.opens_as.replace(ProviderState::RequiresAction("/act".to_owned()));
    let view = world.authorize(CapturePolicy::Manual).expect("an action is a state");
    assert_eq!((view.state, view.action_url.as_str()), (PaymentState::RequiresAction, "/act"));
    world.alter(|object| object.state = ProviderState::Authorized);
    world.troubles(&[Trouble::NotSent; 3]);
    let batch = "b".repeat(200);
    let event = format!("connector/{batch}/0");
    for _ in 0..2 {
        payments::provider_changed(&world, &world.call(), &event, "test", &PAY.to_owned()).expect("it is kept");
    }
    for awaited in [1, 1, 1, 0] {
        assert_eq!((run(&world), waiting(&world)), (1, awaited));
        world.ports.advance(4_000);
    }
    assert_eq!((amounts(&world), world.get().action_url.as_str()), ((100, 0, 0), ""));
    assert_eq!(world.ports.integer("SELECT count(*) FROM payment_hooks"), 1);
}

#[test]
fn a_webhook_may_come_before_the_payment_does() {
    for text in [news("evt_1"), format!("evt_1 ref-{PAY} {PAY}"), format!("evt_1 something-else {PAY}")] {
        let world = World::new();
        take(&world, &text).expect("it is genuine");
        assert_eq!((run(&world), waiting(&world)), (1, 1), "{text}");
        world.troubles(&[Trouble::LostAfter]);
        let view = world.authorize(CapturePolicy::Manual).expect("unknown is pending");
        assert_eq!(view.state, PaymentState::Pending);
        // A payment whose reference is not known yet is found when its own timer has asked.
        for _ in 0..5 {
            world.ports.advance(5_000);
            run(&world);
        }
        assert_eq!((world.get().state, waiting(&world)), (PaymentState::Authorized, 0), "{text}");
        assert_eq!(world.holds_asked.get(), 1);
        world.assert_sound();
    }
}

#[test]
fn only_what_the_provider_answers_is_believed() {
    for trouble in [Trouble::WrongOrder, Trouble::WrongAmount, Trouble::WrongCurrency, Trouble::LostBefore] {
        let world = World::new();
        world.authorize(CapturePolicy::Manual).expect("it goes well");
        world.ports.take_due_events();
        world.alter(|object| object.captured = 60);
        world.troubles(&[trouble]);
        take(&world, &news("evt_1")).expect("it is genuine");
        run(&world);
        assert_eq!((amounts(&world), waiting(&world)), ((100, 0, 0), 1), "{trouble:?}");
        world.ports.advance(1_000);
        run(&world);
        assert_eq!((amounts(&world), waiting(&world)), ((100, 60, 0), 0), "{trouble:?}");
        world.assert_sound();
    }
}

#[test]
fn news_of_nobody_are_tried_for_three_days_and_then_told_of() {
    let world = World::new();
    take(&world, "evt_1 of-another-shop").expect("it is genuine");
    let mut tries = 0;
    for _ in 0..(RETRY_AGE_MAX_MS + RETRY_DELAY_MAX_MS) / 60_000 {
        for _ in 0..60 {
            tries += run(&world);
            world.ports.advance(1_000);
        }
    }
    assert_eq!(tries, 84);
    assert_eq!(world.ports.integer("SELECT attempts FROM payment_hooks"), 84);
    assert_eq!(world.findings(), ["payment_hook_is_handled"]);
    world.ports.advance(KEPT_MS);
    assert_eq!(run(&world), 0);
}

#[test]
fn a_timer_that_is_delivered_again_tries_nothing() {
    let world = World::new();
    take(&world, "evt_1 of-another-shop").expect("it is genuine");
    run(&world);
    let id = souk_kit::ids::derive("hook", &["test", "evt_1"]);
    for _ in 0..2 {
        payments::news_due(&world, &world.call(), &id, 0).expect("it is an old timer");
    }
    assert_eq!(world.ports.integer("SELECT attempts FROM payment_hooks"), 1);
    world.ports.advance(1_000);
    assert_eq!((run(&world), run(&world)), (1, 0));
    payments::news_due(&world, &world.call(), &"hook_removed".to_owned(), 0).expect("there is nothing to do");
}

#[test]
fn a_timer_of_a_webhook_that_was_handled_asks_nobody() {
    let world = World::new();
    world.authorize(CapturePolicy::Manual).expect("it goes well");
    world.ports.take_due_events();
    take(&world, &news("evt_1")).expect("it is genuine");
    let timers = world.ports.take_due_events();
    let timer = timers.iter().find(|event| event.topic == "payment.news-due").expect("it is kept with its timer");
    world.deliver_news(timer).expect("the provider answers");
    assert_eq!(waiting(&world), 0);
    let before = amounts(&world);
    world.alter(|object| object.captured = 60);
    world.deliver_news(timer).expect("there is nothing to do");
    assert_eq!(amounts(&world), before);
}

#[test]
fn the_audit_tells_of_a_parked_webhook_after_an_hour() {
    let world = World::new();
    take(&world, "evt_1 of-another-shop").expect("it is genuine");
    world.ports.advance(HOUR_MS);
    assert_eq!(world.findings(), Vec::<&str>::new());
    world.ports.advance(1);
    assert_eq!(world.findings(), ["payment_hook_is_handled"]);
}

#[test]
fn old_events_are_forgotten_some_at_a_time() {
    let world = World::new();
    world.authorize(CapturePolicy::Manual).expect("it goes well");
    let kept = || world.ports.integer("SELECT count(*) FROM payment_hooks");
    for event in 0..30 {
        take(&world, &news(&format!("old_{event}"))).expect("it is genuine");
    }
    run(&world);
    world.ports.advance(KEPT_MS);
    take(&world, &news("new_1")).expect("it is genuine");
    run(&world);
    assert_eq!(kept(), 31, "on the last day of the ninety nothing is forgotten");
    world.ports.advance(1);
    for (event, left) in [("new_2", 32 - i64::from(SWEPT_MAX)), ("new_3", 3), ("new_4", 4)] {
        take(&world, &news(event)).expect("it is genuine");
        run(&world);
        assert_eq!(kept(), left, "{event}");
    }
}

#[test]
fn a_webhook_that_finds_no_room_is_refused_and_taken_when_it_comes_again() {
    let world = World::new();
    world.authorize(CapturePolicy::Manual).expect("it goes well");
    world.ports.fail_commit(0, Fault::StorageFull);
    assert_eq!(take(&world, &news("evt_1")), Err(HookError::StorageFull));
    assert_eq!(world.ports.integer("SELECT count(*) FROM payment_hooks"), 0);
    assert_eq!(take(&world, &news("evt_1")), Ok(()));
    assert_eq!(world.ports.integer("SELECT count(*) FROM payment_hooks"), 1);
}

#[test]
fn a_fault_at_any_commit_is_mended_by_a_repeat() {
    for fault in [Fault::BeforeCommit, Fault::LostReply, Fault::StorageFull] {
        for place in 0..3 {
            let world = World::new();
            world.authorize(CapturePolicy::Manual).expect("it goes well");
            world.alter(|object| object.captured = 60);
            world.ports.fail_commit(place, fault);
            if take(&world, &news("evt_1")).is_err() {
                take(&world, &news("evt_1")).expect("the provider sends it again");
            }
            for _ in 0..3 {
                run(&world);
                world.ports.advance(1_000);
            }
            assert_eq!((amounts(&world), waiting(&world)), ((100, 60, 0), 0), "{fault:?} {place}");
            world.assert_sound();
        }
    }
}

/// What happens at the provider without us; each change is worth a webhook.
fn change(world: &World, dice: &mut Dice) {
    let mut objects = world.objects.borrow_mut();
    let Some(object) = objects.get_mut(PAY) else { return };
    match (&object.state, dice.below(4)) {
        (ProviderState::Processing | ProviderState::RequiresAction(_), 0) => {
            object.state = ProviderState::Declined(super::refusal());
        }
        (ProviderState::Processing | ProviderState::RequiresAction(_), _) => object.state = ProviderState::Authorized,
        (ProviderState::Authorized, 0) if object.captured == 0 => object.state = ProviderState::Voided,
        (ProviderState::Authorized, 1) if object.captured > object.refunded => object.refunded += 1,
        (ProviderState::Authorized, _) if object.captured < object.amount.minor => object.captured += 10,
        (ProviderState::Authorized | ProviderState::Declined(_) | ProviderState::Voided, _) => {}
    }
}

#[test]
fn whatever_comes_in_whatever_order_the_provider_is_followed() {
    law(1_000, |dice| {
        let world = World::new();
        let opens_as =
            [ProviderState::Authorized, ProviderState::Processing, ProviderState::RequiresAction("/act".to_owned())];
        world.opens_as.replace(dice.pick(&opens_as).clone());
        let begin = dice.below(8);
        let mut sent: Vec<String> = Vec::new();
        for step in 0..24 {
            if step == begin {
                world.troubles(&[*dice.pick(&[Trouble::None, Trouble::LostAfter, Trouble::LostBefore])]);
                let _ = world.authorize(CapturePolicy::Manual);
            }
            if dice.below(8) == 0 {
                let fault = *dice.pick(&[Fault::BeforeCommit, Fault::LostReply]);
                world.ports.fail_commit(dice.below(3) as u32, fault);
            }
            if dice.below(6) == 0 {
                world.troubles(&[*dice.pick(&[Trouble::LostBefore, Trouble::WrongAmount, Trouble::WrongOrder])]);
            }
            match dice.below(6) {
                0 | 1 => {
                    change(&world, dice);
                    let key = if dice.below(2) == 0 { PAY } else { "" };
                    sent.push(format!("evt_{step} ref-{PAY} {key}"));
                }
                // An old one as soon as the newest: late, repeated and out of order.
                2 | 3 if !sent.is_empty() => drop(take(&world, dice.pick::<String>(&sent))),
                4 => {
                    let forged = Hook { headers: Vec::new(), body: news("evt_forged").into_bytes() };
                    let answer = payments::take_hook(&world, &world.call(), "test", &forged);
                    assert_eq!(answer, Err(HookError::Forged("not by us".to_owned())));
                }
                _ => {
                    run(&world);
                    world.ports.advance(3_000);
                }
            }
        }
        world.calm();
        world.ports.fail_commit(1_000_000, Fault::BeforeCommit);
        let _ = world.authorize(CapturePolicy::Manual);
        for text in &sent {
            take(&world, text).expect("the provider repeats until it is taken");
        }
        for _ in 0..40 {
            run(&world);
            world.ports.advance(60_000);
        }
        let kept = world.ports.integer("SELECT count(*) FROM payment_hooks");
        assert_eq!((kept, waiting(&world)), (i64::try_from(sent.len()).expect("few"), 0));
        let (view, object) = (world.get(), world.object());
        assert_eq!(object.order_id, ORD);
        let followed = match view.state {
            PaymentState::Pending => object.state == ProviderState::Processing,
            PaymentState::RequiresAction => matches!(object.state, ProviderState::RequiresAction(_)),
            PaymentState::Authorized => object.state == ProviderState::Authorized,
            PaymentState::Declined => matches!(object.state, ProviderState::Declined(_)),
            PaymentState::Voided => object.state == ProviderState::Voided,
        };
        // Where nobody sent a webhook after the last change, and nothing was open, nobody could know of it.
        let told = !sent.is_empty();
        assert!(!told || followed, "{view:?} {object:?}");
        assert!(!told || (view.captured, view.refunded) == (object.captured, object.refunded), "{view:?} {object:?}");
        world.assert_sound();
        assert_eq!(world.findings(), Vec::<&str>::new());
    });
}
