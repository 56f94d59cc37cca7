//! What is held is taken before the hold expires, while somebody may still do something about it.

use souk_kit::payment::PaymentState;
use souk_kit::payment_extension::{CapturePolicy, ProviderState};

use super::service::amounts;
use super::{Trouble, World};
use crate::domain::{CHECK_DELAY_HELD_MS, CHECK_SLACK_MS, Kind};

const DAY_MS: i64 = 86_400_000;

/// A payment that is held for five days, 80 percent of which are four.
fn held_for_five_days() -> World {
    let world = World::new();
    world.holds_until.set(Some(world.call().now + 5 * DAY_MS));
    world.authorize(CapturePolicy::Manual).expect("it goes well");
    world
}

/// Lets four days pass, and delivers all but what is due at their end.
fn four_days(world: &World) {
    for _ in 1..4 * DAY_MS / CHECK_DELAY_HELD_MS {
        world.ports.advance(CHECK_DELAY_HELD_MS);
        world.deliver();
    }
    world.ports.advance(CHECK_DELAY_HELD_MS - CHECK_SLACK_MS - 1);
    world.deliver();
    assert_eq!(amounts(world), (100, 0, 0, false), "it is held for as long as it may be");
    world.ports.advance(CHECK_SLACK_MS + 1);
}

#[test]
fn a_hold_is_taken_before_it_expires() {
    let away = [Trouble::NotSent];
    let lost = [Trouble::None, Trouble::LostAfter];
    let not_arrived = [Trouble::None, Trouble::LostBefore];
    for troubles in [&[][..], &away, &lost, &not_arrived] {
        let world = held_for_five_days();
        four_days(&world);
        world.troubles(troubles);
        let mut heard = world.deliver();
        // It is asked again well within the day that is left.
        for _ in 0..2 {
            world.ports.advance(CHECK_DELAY_HELD_MS);
            heard.extend(world.deliver());
        }
        assert_eq!((amounts(&world), world.object().captured), ((100, 100, 0, false), 100), "{troubles:?}");
        let changed = heard.iter().filter(|event| event.topic == "payment.changed").count();
        assert_eq!(changed, 1, "the order hears of it: {troubles:?} {heard:?}");
        world.assert_sound();
    }
}

#[test]
fn a_hold_that_cannot_be_taken_is_told_of() {
    let world = held_for_five_days();
    four_days(&world);
    world.troubles(&[Trouble::None, Trouble::Refuse]);
    world.deliver();
    world.ports.advance(CHECK_DELAY_HELD_MS);
    world.deliver();
    assert_eq!((amounts(&world), world.object().captured), ((100, 0, 0, false), 0), "it is asked for once");
    assert_eq!(world.findings(), ["payment_is_taken_in_time"]);
    world.alter(|object| object.state = ProviderState::Voided);
    world.ports.advance(CHECK_DELAY_HELD_MS);
    world.deliver();
    assert_eq!(world.get().state, PaymentState::Voided, "it expired, and the order hears of that");
    assert_eq!(world.findings(), Vec::<&str>::new());
}

#[test]
fn a_hold_that_is_being_let_go_is_not_taken() {
    let world = held_for_five_days();
    four_days(&world);
    world.troubles(&[Trouble::LostBefore]);
    assert!(world.command("void-1", Kind::Void, 0).is_err());
    world.settle();
    assert_eq!((world.get().state, world.object().captured), (PaymentState::Voided, 0));
}
