//! Laws: whatever is asked for, in whatever order, with whatever going wrong, the books agree with the provider's.

use souk_kit::payment::PaymentState;
use souk_kit::payment_extension::{CapturePolicy, ProviderState};
use souk_kit::testing::{Dice, Fault, law};

use super::{PAY, TROUBLES, Trouble, World};
use crate::domain::Kind;
use crate::service as payments;

const STEPS: u64 = 24;

fn trouble(dice: &mut Dice) -> Trouble {
    if dice.below(100) < 35 { *dice.pick(&TROUBLES) } else { Trouble::None }
}

fn fault(world: &World, dice: &mut Dice) {
    match dice.below(12) {
        0 => world.ports.fail_commit(dice.below(3) as u32, Fault::BeforeCommit),
        1 => world.ports.fail_commit(dice.below(3) as u32, Fault::LostReply),
        _ => {}
    }
}

fn step(world: &World, dice: &mut Dice) {
    // Few ids, so that many are asked for twice, sometimes for something else.
    let id = format!("cmd_{}", dice.below(8));
    let amount = 1 + i64::try_from(dice.below(70)).expect("small");
    let troubles: Vec<Trouble> = (0..4).map(|_| trouble(dice)).collect();
    world.calm();
    world.troubles(&troubles);
    fault(world, dice);
    if dice.below(6) == 0 {
        let (id, kind) = (format!("cmd_{}", dice.below(8)), *dice.pick(&[Kind::Capture, Kind::Refund]));
        world.meanwhile.replace(Some(Box::new(move |world| drop(world.command(&id, kind, 33)))));
    }
    match dice.below(10) {
        0..3 => drop(world.command(&id, Kind::Capture, amount)),
        3..6 => drop(world.command(&id, Kind::Refund, amount)),
        6 => drop(world.command(&id, Kind::Void, 0)),
        7 => drop(world.refresh()),
        8 => drop(world.authorize(CapturePolicy::Manual)),
        _ => {
            world.ports.advance(12_000);
            for event in world.ports.take_due_events() {
                if event.topic == "payment.check-due"
                    && payments::check_due(world, &world.call(), &PAY.to_owned()).is_err()
                {
                    // The host would deliver it again: so does the drain at the end.
                    let _ = payments::check_due(world, &world.call(), &PAY.to_owned());
                }
            }
        }
    }
    world.assert_sound();
}

#[test]
fn money_is_neither_made_nor_lost() {
    let mut ends = std::collections::BTreeMap::new();
    law(2_000, |dice| {
        let world = World::new();
        let policy = *dice.pick(&[CapturePolicy::Manual, CapturePolicy::Manual, CapturePolicy::Automatic]);
        let opens_as =
            [ProviderState::Authorized, ProviderState::Processing, ProviderState::RequiresAction("/act".to_owned())];
        world.opens_as.replace(if dice.below(4) > 0 {
            ProviderState::Authorized
        } else {
            dice.pick(&opens_as).clone()
        });
        world.troubles(&[trouble(dice)]);
        fault(&world, dice);
        let _ = world.authorize(policy);
        for _ in 0..STEPS {
            step(&world, dice);
        }
        world.calm();
        world.ports.fail_commit(1_000_000, Fault::BeforeCommit);
        world.meanwhile.take();
        let _ = world.authorize(policy);
        for _ in 0..8 {
            let _ = world.refresh();
        }
        world.assert_sound();
        let Ok(view) = payments::get(&world, &PAY.to_owned()) else { return };
        *ends.entry(format!("{:?}", view.state)).or_insert(0u32) += 1;
        if let Some(object) = world.objects.borrow().get(PAY) {
            match view.state {
                PaymentState::Authorized => {
                    assert_eq!(
                        (view.captured, view.refunded),
                        (object.captured, object.refunded),
                        "{view:?} {object:?}"
                    );
                    assert_eq!(object.state, ProviderState::Authorized);
                }
                PaymentState::Declined | PaymentState::Voided => {
                    let nothing_held = object.state != ProviderState::Authorized
                        || object.captured == object.refunded && object.captured > 0;
                    assert!(nothing_held, "{view:?} {object:?}");
                }
                PaymentState::Pending | PaymentState::RequiresAction => {
                    assert!(object.state != ProviderState::Authorized, "{view:?} {object:?}");
                }
            }
        }
        assert!(!view.in_flight, "{view:?}");
        assert_eq!(view.refunds.iter().map(|refund| refund.amount.minor).sum::<i64>(), view.refunded);
        assert_eq!(
            world.findings().into_iter().filter(|name| *name != "payment_has_news").collect::<Vec<_>>(),
            Vec::<&str>::new()
        );
    });
    for state in [PaymentState::Authorized, PaymentState::Voided, PaymentState::Declined, PaymentState::Pending] {
        assert!(ends.contains_key(&format!("{state:?}")), "the law saw {ends:?}");
    }
}

#[test]
fn doing_every_command_twice_equals_doing_it_once() {
    law(300, |dice| {
        let commands: Vec<(String, Kind, i64)> = (0..10)
            .map(|place| {
                let kind = *dice.pick(&[Kind::Capture, Kind::Refund, Kind::Void]);
                (format!("cmd_{place}"), kind, 1 + i64::try_from(dice.below(50)).expect("small"))
            })
            .collect();
        let run = |times: u32| {
            let world = World::new();
            world.authorize(CapturePolicy::Manual).expect("it goes well");
            let mut answers = Vec::new();
            for (id, kind, amount) in &commands {
                let mut answer = None;
                for _ in 0..times {
                    answer = Some(world.command(id, *kind, *amount));
                }
                answers.push(answer);
            }
            world.assert_sound();
            (answers, world.get(), world.object())
        };
        assert_eq!(run(1), run(2));
    });
}
