//! Use cases on real SQLite: lost answers, lost commits, repeats and races.

use souk_kit::payment::{PaymentError, PaymentState};
use souk_kit::payment_extension::{CapturePolicy, ProviderState};
use souk_kit::testing::Fault;

use super::{ORD, PAY, Trouble, World, asked, wish};
use crate::audit;
use crate::domain::{CHECK_AGE_MAX_MS, CHECK_DELAY_HELD_MS, Kind};
use crate::service as payments;

const BOTH: [CapturePolicy; 2] = [CapturePolicy::Automatic, CapturePolicy::Manual];

fn topics(world: &World) -> Vec<String> {
    world.ports.take_due_events().into_iter().map(|event| format!("{} {}", event.topic, event.payload)).collect()
}

pub(super) fn amounts(world: &World) -> (i64, i64, i64, bool) {
    let view = world.get();
    (view.authorized, view.captured, view.refunded, view.in_flight)
}

#[test]
fn a_payment_that_goes_well_takes_two_commits() {
    let world = World::new();
    let view = world.authorize(CapturePolicy::Automatic).expect("it goes well");
    assert_eq!((view.state, view.authorized, view.captured), (PaymentState::Authorized, 100, 100));
    assert_eq!(world.ports.commits(), 2);
    let settled = format!(r#"payment.settled {{"order_id":"{ORD}","payment_id":"{PAY}","state":"authorized"}}"#);
    assert_eq!(topics(&world), [settled]);
    assert_eq!(world.ports.integer("SELECT count(*) FROM payment_payments WHERE token <> ''"), 0);
    world.assert_sound();
}

#[test]
fn a_repeat_answers_the_same_and_asks_for_no_second_hold() {
    for policy in BOTH {
        let world = World::new();
        let first = world.authorize(policy).expect("it goes well");
        assert_eq!(world.authorize(policy).expect("a repeat"), first);
        assert_eq!((world.ports.commits(), world.holds_asked.get()), (2, 1));
        let mut other = asked(policy);
        other.amount.minor = 99;
        let refused = payments::authorize(&world, &world.call(), &other);
        assert!(matches!(refused, Err(PaymentError::Invalid(_))), "{refused:?}");
    }
}

#[test]
fn an_order_has_one_active_payment() {
    let world = World::new();
    let mut second = asked(CapturePolicy::Manual);
    second.payment_id = "pay_00000000000000000000000000000002".to_owned();
    world.authorize(CapturePolicy::Manual).expect("the first");
    assert!(matches!(payments::authorize(&world, &world.call(), &second), Err(PaymentError::Invalid(_))));
    world.command("cmd_void", Kind::Void, 0).expect("it is let go");
    payments::authorize(&world, &world.call(), &second).expect("now there is room");
    world.assert_sound();
}

#[test]
fn an_unknown_provider_is_refused_before_anything_is_stored() {
    let world = World::new();
    world.ports.configure("payment_providers", "stripe, paypal");
    assert_eq!(payments::list_providers(&world), ["stripe", "paypal"]);
    assert_eq!(world.authorize(CapturePolicy::Manual), Err(PaymentError::UnknownProvider));
    assert_eq!(world.ports.commits(), 0);
    assert_eq!(World::new().refresh(), Err(PaymentError::NotFound));
}

#[test]
fn a_decline_is_a_state() {
    for (opens_as, trouble) in
        [(ProviderState::Declined(super::refusal()), Trouble::None), (ProviderState::Authorized, Trouble::Refuse)]
    {
        let world = World::new();
        world.opens_as.replace(opens_as);
        world.troubles(&[trouble]);
        let view = world.authorize(CapturePolicy::Manual).expect("a decline is no error");
        assert_eq!((view.state, view.authorized), (PaymentState::Declined, 0));
        assert_eq!(view.decline, Some(super::refusal()));
        assert_eq!(world.command("cmd_1", Kind::Capture, 1), Err(PaymentError::WrongState(PaymentState::Declined)));
        assert_eq!(world.command("cmd_2", Kind::Void, 0), Err(PaymentError::WrongState(PaymentState::Declined)));
    }
}

#[test]
fn a_lost_authorization_is_found_again_by_its_timer() {
    for policy in BOTH {
        for trouble in [Trouble::LostBefore, Trouble::LostAfter, Trouble::NotSent] {
            let world = World::new();
            world.troubles(&[trouble]);
            let view = world.authorize(policy).expect("unknown is pending");
            assert_eq!(view.state, PaymentState::Pending, "{trouble:?}");
            let events = world.settle();
            assert_eq!(world.get().state, PaymentState::Authorized, "{trouble:?}");
            assert_eq!(events.iter().filter(|event| event.topic == "payment.settled").count(), 1);
            assert_eq!(world.objects.borrow().len(), 1);
            world.assert_sound();
        }
    }
}

#[test]
fn a_long_outage_is_waited_out_with_one_timer_at_a_time() {
    let world = World::new();
    world.troubles(&[Trouble::LostAfter; 30]);
    world.authorize(CapturePolicy::Manual).expect("unknown is pending");
    let mut timers = 0;
    for _ in 0..600 {
        world.ports.advance(1_000);
        timers += world.deliver().len() + usize::from(world.trouble.borrow().is_empty());
    }
    let asked = 30 - world.trouble.borrow().len();
    assert!((8..=16).contains(&asked), "{asked} questions in ten minutes, {timers}");
    world.settle();
    assert_eq!(world.get().state, PaymentState::Authorized);
}

#[test]
fn an_answer_that_does_not_fit_is_not_believed() {
    for trouble in [Trouble::WrongOrder, Trouble::WrongAmount, Trouble::WrongCurrency] {
        let world = World::new();
        world.troubles(&[trouble, trouble]);
        let refused = world.authorize(CapturePolicy::Automatic);
        assert!(matches!(refused, Err(PaymentError::Unavailable(_))), "{refused:?}");
        assert_eq!(world.get().state, PaymentState::Pending);
        assert_eq!(world.findings(), ["payment_is_believed"]);
        assert!(world.refresh().is_err(), "it is asked again and still not believed");
        world.refresh().expect("the truth, at last");
        assert_eq!(amounts(&world), (100, 100, 0, false));
        assert_eq!(world.findings(), Vec::<&str>::new());
    }
}

#[test]
fn captures_and_refunds_are_done_once_however_often_they_are_asked_for() {
    let world = World::new();
    world.authorize(CapturePolicy::Manual).expect("it goes well");
    for _ in 0..2 {
        world.command("cmd_1", Kind::Capture, 60).expect("a capture");
        world.command("cmd_2", Kind::Refund, 20).expect("a refund");
    }
    assert_eq!(amounts(&world), (100, 60, 20, false));
    assert_eq!((world.object().captured, world.object().refunded), (60, 20));
    assert_eq!(world.command("cmd_3", Kind::Capture, 41), Err(PaymentError::Exceeds(40)));
    assert_eq!(world.command("cmd_4", Kind::Refund, 41), Err(PaymentError::Exceeds(40)));
    assert_eq!(world.command("cmd_5", Kind::Void, 0), Err(PaymentError::WrongState(PaymentState::Authorized)));
    for (id, kind, amount) in [("cmd_1", Kind::Capture, 61), ("cmd_1", Kind::Refund, 60), ("cmd_2", Kind::Refund, 19)] {
        let other = world.command(id, kind, amount);
        assert!(matches!(other, Err(PaymentError::Invalid(_))), "{other:?}");
    }
    let refunds = world.get().refunds;
    assert_eq!(refunds.iter().map(|refund| (refund.amount.minor, refund.done)).collect::<Vec<_>>(), [(20, true)]);
    world.assert_sound();
}

#[test]
fn another_currency_is_invalid() {
    let world = World::new();
    world.authorize(CapturePolicy::Automatic).expect("it goes well");
    let mut other = wish("cmd_1", Kind::Refund, 10);
    other.amount = Some(souk_kit::Money::new(10, "EUR"));
    assert!(matches!(payments::command(&world, &world.call(), &other), Err(PaymentError::Invalid(_))));
    world.assert_sound();
}

#[test]
fn a_void_lets_go_once_and_a_repeat_changes_nothing() {
    let world = World::new();
    world.authorize(CapturePolicy::Manual).expect("it goes well");
    for id in ["cmd_1", "cmd_1", "cmd_2"] {
        assert_eq!(world.command(id, Kind::Void, 0).expect("a void").state, PaymentState::Voided);
    }
    assert_eq!(world.object().state, ProviderState::Voided);
    assert_eq!(amounts(&world), (0, 0, 0, false));
    assert_eq!(world.command("cmd_3", Kind::Capture, 1), Err(PaymentError::WrongState(PaymentState::Voided)));
    world.assert_sound();
}

#[test]
fn a_refused_command_moves_nothing_and_stays_refused() {
    for kind in [Kind::Capture, Kind::Refund, Kind::Void] {
        let world = World::new();
        let policy = if kind == Kind::Refund { CapturePolicy::Automatic } else { CapturePolicy::Manual };
        let before = world.authorize(policy).expect("it goes well");
        world.troubles(&[Trouble::Refuse]);
        for _ in 0..2 {
            assert_eq!(world.command("cmd_1", kind, 30), Err(PaymentError::Refused(super::refusal())), "{kind:?}");
        }
        let after = world.get();
        assert_eq!(
            (after.authorized, after.captured, after.refunded),
            (before.authorized, before.captured, before.refunded)
        );
        assert_eq!(after.refunds, []);
        world.assert_sound();
    }
}

#[test]
fn a_lost_answer_keeps_the_amount_reserved_until_the_provider_tells() {
    for kind in [Kind::Capture, Kind::Refund] {
        for trouble in
            [Trouble::LostBefore, Trouble::LostAfter, Trouble::NotSent, Trouble::WrongTotals, Trouble::Pretend]
        {
            let world = World::new();
            let policy = if kind == Kind::Refund { CapturePolicy::Automatic } else { CapturePolicy::Manual };
            world.authorize(policy).expect("it goes well");
            world.ports.take_due_events();
            world.troubles(&[trouble]);
            let unknown = world.command("cmd_1", kind, 100);
            assert!(matches!(unknown, Err(PaymentError::Unavailable(_))), "{kind:?} {trouble:?} {unknown:?}");
            let (_, captured, refunded, in_flight) = amounts(&world);
            assert!(in_flight && (captured, refunded) == (100, if kind == Kind::Refund { 100 } else { 0 }));
            let events = world.settle();
            assert_eq!(
                events.iter().filter(|event| event.topic == "payment.changed").count(),
                1,
                "{kind:?} {trouble:?}"
            );
            let object = world.object();
            assert_eq!(amounts(&world), (100, object.captured, object.refunded, false), "{kind:?} {trouble:?}");
            assert_eq!(if kind == Kind::Refund { object.refunded } else { object.captured }, 100);
            world.command("cmd_1", kind, 100).expect("the repeat hears that it is done");
            world.assert_sound();
        }
    }
}

#[test]
fn another_command_first_settles_the_one_on_its_way() {
    let world = World::new();
    world.authorize(CapturePolicy::Automatic).expect("it goes well");
    world.troubles(&[Trouble::LostAfter]);
    assert!(world.command("cmd_1", Kind::Refund, 70).is_err());
    assert_eq!(world.command("cmd_2", Kind::Refund, 40), Err(PaymentError::Exceeds(30)));
    assert_eq!(amounts(&world), (100, 100, 70, false));
    world.troubles(&[Trouble::LostBefore, Trouble::LostBefore]);
    assert!(world.command("cmd_3", Kind::Refund, 10).is_err());
    assert!(matches!(world.command("cmd_4", Kind::Refund, 10), Err(PaymentError::Unavailable(_))), "it is not known");
    world.command("cmd_4", Kind::Refund, 10).expect("now it is");
    assert_eq!((world.object().refunded, amounts(&world)), (90, (100, 100, 90, false)));
    world.assert_sound();
}

#[test]
fn two_refunds_at_once_never_give_back_more_than_was_taken() {
    let world = World::new();
    world.authorize(CapturePolicy::Automatic).expect("it goes well");
    // While the first refund is at the provider, another instance is asked for a second one.
    world.meanwhile.replace(Some(Box::new(|world| {
        let second = world.command("cmd_2", Kind::Refund, 60);
        assert_eq!(second, Err(PaymentError::Exceeds(40)));
    })));
    world.command("cmd_1", Kind::Refund, 60).expect("the first");
    assert_eq!((world.object().refunded, amounts(&world)), (60, (100, 100, 60, false)));
    world.assert_sound();
}

#[test]
fn a_refund_during_a_refund_waits_its_turn_and_both_are_done() {
    let world = World::new();
    world.authorize(CapturePolicy::Automatic).expect("it goes well");
    world.meanwhile.replace(Some(Box::new(|world| {
        world.command("cmd_2", Kind::Refund, 30).expect("the second settles the first, then goes on");
    })));
    world.command("cmd_1", Kind::Refund, 60).expect("the first");
    assert_eq!((world.object().refunded, amounts(&world)), (90, (100, 100, 90, false)));
    world.assert_sound();
}

#[test]
fn a_command_that_another_instance_brought_to_its_end_is_not_sent_anew() {
    let world = World::new();
    world.authorize(CapturePolicy::Automatic).expect("it goes well");
    world.committed.replace(Some(Box::new(|world| {
        world.refresh().expect("it finds the command on its way, sends it and hears its end");
    })));
    world.command("cmd_1", Kind::Refund, 60).expect("it is done");
    assert_eq!((world.object().refunded, amounts(&world)), (60, (100, 100, 60, false)));
    world.assert_sound();
}

#[test]
fn a_payment_abandoned_during_its_authorization_holds_nothing_afterwards() {
    for policy in BOTH {
        let world = World::new();
        world.meanwhile.replace(Some(Box::new(|world| {
            let view = world.command("cmd_1", Kind::Void, 0).expect("the provider knows nothing of it");
            assert_eq!(view.state, PaymentState::Voided);
        })));
        let view = world.authorize(policy).expect("it was abandoned meanwhile");
        assert_eq!((view.state, view.authorized, view.captured), (PaymentState::Voided, 0, 0));
        let object = world.object();
        assert!(object.state == ProviderState::Voided || object.captured == object.refunded, "{object:?}");
        assert_eq!(world.findings(), Vec::<&str>::new());
    }
}

#[test]
fn an_authorization_that_arrives_after_it_was_abandoned_is_let_go_by_the_watch() {
    for policy in BOTH {
        let world = World::new();
        world.troubles(&[Trouble::LostBefore]);
        world.authorize(policy).expect("unknown is pending");
        world.command("cmd_1", Kind::Void, 0).expect("the provider knows nothing of it");
        // The lost call arrives after all.
        let call = world.call();
        let asked = souk_kit::payment_extension::ProviderAuthorization {
            key: PAY.to_owned(),
            order_id: ORD.to_owned(),
            amount: souk_kit::Money::new(100, "USD"),
            token: "tok".to_owned(),
            return_url: "/back".to_owned(),
            capture: policy,
            asked_at: call.now,
        };
        payments::Providers::authorize(&world, &call.ctx, "test", &asked).expect("it arrives");
        world.settle();
        let object = world.object();
        assert!(object.state == ProviderState::Voided || object.captured == object.refunded, "{object:?}");
        assert_eq!(world.get().state, PaymentState::Voided);
        assert_eq!(world.findings(), Vec::<&str>::new());
    }
}

#[test]
fn a_void_that_comes_too_late_finds_the_money_taken() {
    let world = World::new();
    world.troubles(&[Trouble::LostAfter]);
    world.authorize(CapturePolicy::Automatic).expect("unknown is pending");
    assert_eq!(world.command("cmd_1", Kind::Void, 0), Err(PaymentError::WrongState(PaymentState::Authorized)));
    assert_eq!(amounts(&world), (100, 100, 0, false));
    world.assert_sound();
}

#[test]
fn what_was_done_at_the_provider_is_adopted() {
    let world = World::new();
    world.authorize(CapturePolicy::Manual).expect("it goes well");
    world.alter(|object| (object.captured, object.refunded) = (80, 30));
    payments::provider_changed(&world, &world.call(), "event/1", "test", &PAY.to_owned()).expect("it is kept");
    world.deliver();
    assert_eq!(amounts(&world), (100, 80, 30, false));
    assert_eq!(world.get().refunds.len(), 1);
    world.alter(|object| object.captured = 10);
    payments::provider_changed(&world, &world.call(), "event/2", "test", &PAY.to_owned()).expect("it is kept");
    world.deliver();
    assert_eq!(amounts(&world), (100, 80, 30, false), "less than was confirmed is not believed");
    assert_eq!(world.findings(), ["payment_is_believed"]);
}

#[test]
fn what_becomes_of_a_hold_is_found_out_without_a_webhook() {
    for (state, captured, expected) in [
        (ProviderState::Voided, 0, (PaymentState::Voided, 0)),
        (ProviderState::Authorized, 100, (PaymentState::Authorized, 100)),
    ] {
        let world = World::new();
        world.authorize(CapturePolicy::Manual).expect("it goes well");
        for _ in 0..3 {
            world.ports.advance(CHECK_DELAY_HELD_MS);
            world.deliver();
        }
        assert_eq!(world.get().state, PaymentState::Authorized);
        world.alter(|object| (object.state, object.captured) = (state, captured));
        world.ports.advance(CHECK_DELAY_HELD_MS);
        world.deliver();
        assert_eq!((world.get().state, world.get().captured), expected);
        world.deliver();
        world.ports.advance(CHECK_AGE_MAX_MS);
        assert_eq!(topics(&world), Vec::<String>::new(), "nobody asks any more");
        world.assert_sound();
    }
}

#[test]
fn the_audit_tells_of_silence() {
    let world = World::new();
    world.troubles(&[Trouble::LostBefore]);
    world.authorize(CapturePolicy::Manual).expect("unknown is pending");
    world.ports.advance(3_600_000);
    assert_eq!(world.findings(), Vec::<&str>::new());
    world.ports.advance(1);
    assert_eq!(world.findings(), ["payment_has_news"]);
}

#[test]
fn books_that_differ_from_the_providers_are_told_of() {
    let world = World::new();
    let outside = || audit::reconcile(&world, &world.call(), None);
    world.authorize(CapturePolicy::Automatic).expect("it is held and taken");
    assert_eq!(outside().map(|page| (page.checked, page.findings, page.next)), Ok((1, Vec::new(), None)));
    world.alter(|object| object.refunded = 30);
    let page = outside().expect("the provider answers");
    assert_eq!(page.findings[0].invariant, "payment_is_what_its_provider_says");
    assert_eq!(page.findings[0].detail, "test took 100 and gave back 30, the ledger says 100 and 0");
    assert_eq!(world.findings(), Vec::<&str>::new(), "the books add up in themselves");
    world.troubles(&[Trouble::LostBefore]);
    assert!(outside().is_err(), "a provider that does not answer agrees to nothing");
}

/// A story, run with a fault at each of its commits in turn; each of its steps is then done again.
fn each_commit_fails(policy: CapturePolicy, steps: &[(&str, Kind, i64)], expected: (i64, i64, i64, bool)) {
    for fault in [Fault::BeforeCommit, Fault::LostReply] {
        for place in 0.. {
            let world = World::new();
            world.ports.fail_commit(place, fault);
            let mut faults = u32::from(world.authorize(policy).is_err());
            world.authorize(policy).expect("the repeat goes well");
            for (id, kind, amount) in steps {
                faults += u32::from(world.command(id, *kind, *amount).is_err());
                world.command(id, *kind, *amount).expect("the repeat goes well");
            }
            assert_eq!(amounts(&world), expected, "{fault:?} at {place}");
            assert_eq!(world.findings(), Vec::<&str>::new());
            let object = world.object();
            assert_eq!((object.captured, object.refunded), (expected.1, expected.2), "{fault:?} at {place}");
            world.assert_sound();
            let settled = world.settle().iter().filter(|event| event.topic == "payment.settled").count();
            assert_eq!(settled, 1 + usize::from(expected.0 == 0), "{fault:?} at {place}");
            if faults == 0 {
                assert!(place >= 2, "there were commits to fail");
                break;
            }
        }
    }
}

#[test]
fn a_fault_at_any_commit_is_mended_by_a_repeat() {
    each_commit_fails(CapturePolicy::Automatic, &[], (100, 100, 0, false));
    each_commit_fails(CapturePolicy::Manual, &[("cmd_1", Kind::Void, 0)], (0, 0, 0, false));
    each_commit_fails(
        CapturePolicy::Manual,
        &[("cmd_1", Kind::Capture, 50), ("cmd_2", Kind::Capture, 50), ("cmd_3", Kind::Refund, 70)],
        (100, 100, 70, false),
    );
}

#[test]
fn a_fault_at_any_commit_is_mended_by_the_timer() {
    for fault in [Fault::BeforeCommit, Fault::LostReply] {
        for place in 1..6 {
            let world = World::new();
            world.authorize(CapturePolicy::Manual).expect("it goes well");
            world.troubles(&[Trouble::LostBefore]);
            world.ports.fail_commit(place, fault);
            let _ = world.command("cmd_1", Kind::Capture, 100);
            for _ in 0..10 {
                world.calm();
                world.ports.advance(60_000);
                for event in world.ports.take_due_events() {
                    // The host delivers again after a failure.
                    if event.topic == "payment.check-due"
                        && payments::check_due(&world, &world.call(), &PAY.to_owned()).is_err()
                    {
                        payments::check_due(&world, &world.call(), &PAY.to_owned())
                            .expect("the second delivery goes well");
                    }
                }
            }
            assert_eq!(amounts(&world), (100, 100, 0, false), "{fault:?} at {place}");
            assert_eq!(world.object().captured, 100);
            world.assert_sound();
        }
    }
}
