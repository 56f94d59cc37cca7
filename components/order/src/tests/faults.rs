//! Checkout and commands with a fault at every call, with two, and with somebody else acting at every call.
//! Afterwards each order has ended in one way, and cart, stock, money and events agree with it. It is long because all of
//! them share the scenarios and what is looked at afterwards.

use souk_kit::order::{FulfillmentLine, OrderState, Placement};
use souk_kit::payment::PaymentState;
use souk_kit::sql::SqlError;
use souk_kit::testing::{Dice, law};
use souk_kit::{Actor, Money};

use super::world::{CART, FAULTS, Fault, MUG, SHELF, SHIRT, World, command_id, order_id};
use crate::domain::decide::{Step, decide};
use crate::domain::task::Request;
use crate::domain::{Funds, Stage};
use crate::service::{command, resume};
use crate::store::{self, Cause};

/// How a checkout is set up and how it must end when nothing goes wrong.
struct Scenario {
    name: &'static str,
    token: &'static str,
    capture: &'static str,
    /// What the provider says later, when it had not decided.
    verdict: Option<PaymentState>,
    /// Whether the stock goes to somebody else after the order was placed.
    sold_out: bool,
    ends: Stage,
}

const SCENARIOS: [Scenario; 8] = [
    Scenario {
        name: "automatic",
        token: "tok_ok",
        capture: "automatic",
        verdict: None,
        sold_out: false,
        ends: Stage::Confirmed,
    },
    Scenario {
        name: "manual",
        token: "tok_ok",
        capture: "manual",
        verdict: None,
        sold_out: false,
        ends: Stage::Confirmed,
    },
    Scenario {
        name: "declined",
        token: "tok_declined",
        capture: "automatic",
        verdict: None,
        sold_out: false,
        ends: Stage::Canceled,
    },
    Scenario {
        name: "sold out",
        token: "tok_ok",
        capture: "automatic",
        verdict: None,
        sold_out: true,
        ends: Stage::Canceled,
    },
    Scenario {
        name: "action",
        token: "tok_action",
        capture: "manual",
        verdict: Some(PaymentState::Authorized),
        sold_out: false,
        ends: Stage::Confirmed,
    },
    Scenario {
        name: "action never",
        token: "tok_action",
        capture: "automatic",
        verdict: None,
        sold_out: false,
        ends: Stage::Canceled,
    },
    Scenario {
        name: "late yes",
        token: "tok_pending",
        capture: "automatic",
        verdict: Some(PaymentState::Authorized),
        sold_out: false,
        ends: Stage::Confirmed,
    },
    Scenario {
        name: "late no",
        token: "tok_pending",
        capture: "automatic",
        verdict: Some(PaymentState::Declined),
        sold_out: false,
        ends: Stage::Canceled,
    },
];

/// How a checkout that broke off is taken up again.
#[derive(Clone, Copy, Debug)]
enum Recovery {
    /// The shopper sends the same placement again.
    Repeat,
    /// The shopper comes back.
    Return,
    /// Nobody comes: timers and news of the payment alone.
    Nobody,
    /// The shopper cancels.
    Cancel,
}

const RECOVERIES: [Recovery; 4] = [Recovery::Repeat, Recovery::Return, Recovery::Nobody, Recovery::Cancel];

fn world<'w>(scenario: &Scenario) -> World<'w> {
    let world = World::new();
    world.ports.configure("capture", scenario.capture);
    world.token.set(scenario.token);
    world
}

/// Places the order of a scenario; it may die. Answers what the shopper agreed to.
fn place(world: &World<'_>, scenario: &Scenario) -> Placement {
    let placement = world.placement(&world.guest(), &order_id(1));
    if scenario.sold_out {
        // Between the view of the cart and the reservation: the commit of the order is in between.
        let at = world.points() + 4;
        world.meanwhile_before(at, |world| world.take_from_shelf(SHIRT, SHELF));
    }
    let _ = world.survive(|| world.place(&placement));
    placement
}

fn recover(world: &World<'_>, scenario: &Scenario, recovery: Recovery, placement: &Placement) {
    world.verdict.set(scenario.verdict);
    world.deliver();
    match recovery {
        Recovery::Repeat => {
            let _ = world.survive(|| world.place(placement));
        }
        Recovery::Return => {
            let _ = world.survive(|| resume(world, &world.guest(), &order_id(1)));
        }
        Recovery::Nobody => {}
        Recovery::Cancel => {
            let request = Request::Cancel { reason: "changed my mind".to_owned() };
            let _ = world
                .survive(|| command::execute(world, &world.guest(), &command_id(1), &order_id(1), request.clone()));
        }
    }
    if let Some(verdict) = scenario.verdict {
        world.decide(&order_id(1), verdict);
    }
    world.pass_time();
    world.calm_down();
    world.pass_time();
}

fn restore_shelf(world: &World<'_>, scenario: &Scenario) {
    if scenario.sold_out && world.units(SHIRT).0 <= 0 {
        world.take_from_shelf(SHIRT, -SHELF);
    }
}

fn points_of(scenario: &Scenario) -> usize {
    let world = world(scenario);
    place(&world, scenario);
    world.points()
}

#[test]
fn every_scenario_ends_as_it_should_when_nothing_goes_wrong() {
    for scenario in &SCENARIOS {
        let world = world(scenario);
        let placement = place(&world, scenario);
        recover(&world, scenario, Recovery::Nobody, &placement);
        restore_shelf(&world, scenario);
        let order = world.order(&order_id(1)).expect("it was placed");
        assert_eq!(order.stage, scenario.ends, "{}", scenario.name);
        world.assert_at_rest();
    }
}

#[test]
fn a_fault_at_any_call_ends_in_one_way() {
    let mut runs = 0;
    for scenario in &SCENARIOS {
        for point in 0..points_of(scenario) {
            for fault in FAULTS {
                for recovery in RECOVERIES {
                    let world = world(scenario);
                    world.fail_at(point, fault);
                    let placement = place(&world, scenario);
                    recover(&world, scenario, recovery, &placement);
                    restore_shelf(&world, scenario);
                    let stage = world.order(&order_id(1)).map(|order| order.stage);
                    let case = format!("{} at {point} {fault:?} then {recovery:?}: {stage:?}", scenario.name);
                    let ends = match recovery {
                        Recovery::Cancel => {
                            stage.is_none_or(|stage| stage == scenario.ends || stage == Stage::Canceled)
                        }
                        Recovery::Repeat | Recovery::Return | Recovery::Nobody => {
                            stage.is_none_or(|stage| stage == scenario.ends)
                        }
                    };
                    assert!(ends, "{case}");
                    check(&world, &case);
                    runs += 1;
                }
            }
        }
    }
    assert!(runs > 1_000, "{runs} runs");
}

#[test]
fn two_faults_end_in_one_way_too() {
    for scenario in &SCENARIOS {
        let points = points_of(scenario);
        for first in 0..points {
            for second in first + 1..points * 2 {
                for (one, other) in [(Fault::DieAfter, Fault::FailBefore), (Fault::LostReply, Fault::DieAfter)] {
                    let world = world(scenario);
                    world.fail_at(first, one);
                    world.fail_at(second, other);
                    let placement = place(&world, scenario);
                    recover(&world, scenario, Recovery::Return, &placement);
                    restore_shelf(&world, scenario);
                    let stage = world.order(&order_id(1)).map(|order| order.stage);
                    let case = format!("{} {one:?} at {first}, {other:?} at {second}: {stage:?}", scenario.name);
                    assert!(stage.is_none_or(|stage| stage == scenario.ends), "{case}");
                    check(&world, &case);
                }
            }
        }
    }
}

/// Somebody else, at any moment.
const OTHERS: [&str; 8] =
    ["repeats", "places another", "returns", "cancels", "staff cancels", "is the timer", "is late", "is the provider"];

fn act(world: &World<'_>, who: &str, placement: &Placement) {
    match who {
        "repeats" => drop(world.place(placement)),
        "places another" => {
            let other = Placement { order_id: order_id(2), ..placement.clone() };
            drop(world.place(&other));
        }
        "returns" => drop(resume(world, &world.guest(), &order_id(1))),
        "cancels" => {
            let request = Request::Cancel { reason: "no".to_owned() };
            drop(command::execute(world, &world.guest(), &command_id(1), &order_id(1), request));
        }
        "staff cancels" => {
            drop(world.ask(&command_id(2), &order_id(1), Request::Cancel { reason: "fraud".to_owned() }));
        }
        "is the timer" => {
            world.ports.advance(61_000);
            world.deliver();
        }
        "is late" => {
            world.ports.advance(31 * 60_000);
            world.deliver();
        }
        "is the provider" => {
            world.decide(&order_id(1), PaymentState::Declined);
            world.deliver();
        }
        other => panic!("nobody is called {other}"),
    }
}

#[test]
fn whoever_acts_in_the_middle_of_a_checkout_it_ends_in_one_way() {
    for scenario in &SCENARIOS {
        for point in 0..points_of(scenario) {
            for who in OTHERS {
                for after in [false, true] {
                    // The run goes on, or dies at its next call.
                    for dies in [false, true] {
                        let world = world(scenario);
                        let placement = world.placement(&world.guest(), &order_id(1));
                        let agreed = placement.clone();
                        let act = move |world: &World<'_>| act(world, who, &agreed);
                        if after {
                            world.meanwhile_after(point, act);
                        } else {
                            world.meanwhile_before(point, act);
                        }
                        if dies {
                            world.fail_at(point + 1, Fault::DieAfter);
                        }
                        let _ = world.survive(|| world.place(&placement));
                        recover(&world, scenario, Recovery::Nobody, &placement);
                        check(&world, &format!("{} at {point}, after {after}, {who}, dies {dies}", scenario.name));
                    }
                }
            }
        }
    }
}

#[test]
fn a_run_that_was_overtaken_by_a_cancellation_undoes_at_once_what_it_did() {
    let scenario = &SCENARIOS[0];
    let mut overtaken = 0;
    for point in 0..points_of(scenario) {
        let world = world(scenario);
        let placement = world.placement(&world.guest(), &order_id(1));
        world.meanwhile_before(point, |world| {
            let request = Request::Cancel { reason: "no".to_owned() };
            drop(command::execute(world, &world.guest(), &command_id(1), &order_id(1), request));
        });
        let _ = world.place(&placement);
        let order = world.order(&order_id(1)).expect("it was placed");
        if order.stage == Stage::Canceled {
            overtaken += 1;
            let held = world.money(&order_id(1)).is_some_and(|(state, _, captured, refunded)| {
                state == PaymentState::Authorized && (captured == 0 || captured > refunded)
            });
            assert!(!held, "no timer is needed: {point}");
            assert_eq!((world.units(SHIRT), world.units(MUG)), ((SHELF, 0), (SHELF, 0)), "{point}");
        }
    }
    assert!(overtaken > 4, "{overtaken} runs were overtaken");
}

fn check(world: &World<'_>, case: &str) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.assert_at_rest()));
    if let Err(panic) = outcome {
        eprintln!("the case was: {case}");
        for id in [order_id(1), order_id(2)] {
            let order = world.order(&id);
            let shown = order.map(|o| (o.stage, o.cancel_reason, o.funds, o.canceled_at, o.open));
            eprintln!("{id}: {shown:?}, money {:?}", world.money(&id));
        }
        std::panic::resume_unwind(panic);
    }
}

/// Commands on a confirmed order, and the state each leads to.
fn commands() -> Vec<(&'static str, &'static str, Request, OrderState)> {
    let units = |variant: &str, quantity| FulfillmentLine { variant_id: variant.to_owned(), quantity };
    let ship = |lines| Request::Ship { lines, carrier: "Post".to_owned(), tracking_number: "1".to_owned() };
    let refund =
        |minor, restock| Request::Refund { amount: Money::new(minor, "EUR"), reason: "late".to_owned(), restock };
    vec![
        ("capture", "manual", Request::Capture { amount: None }, OrderState::Confirmed),
        ("capture part", "manual", Request::Capture { amount: Some(Money::new(1000, "EUR")) }, OrderState::Confirmed),
        ("refund", "automatic", refund(1000, vec![units(SHIRT, 1)]), OrderState::Confirmed),
        ("ship", "automatic", ship(vec![]), OrderState::Completed),
        ("ship, held", "manual", ship(vec![]), OrderState::Completed),
        ("ship part, held", "manual", ship(vec![units(MUG, 1)]), OrderState::Confirmed),
        ("cancel", "automatic", Request::Cancel { reason: "fraud".to_owned() }, OrderState::Canceled),
        ("cancel, held", "manual", Request::Cancel { reason: "fraud".to_owned() }, OrderState::Canceled),
    ]
}

#[test]
fn a_command_with_a_fault_at_any_call_is_done_once() {
    for (name, capture, request, state) in commands() {
        let confirmed = || {
            let world = World::new();
            world.ports.configure("capture", capture);
            world.buy(&order_id(1)).expect("it is confirmed");
            world.pass_time();
            world
        };
        let points = {
            let world = confirmed();
            let before = world.points();
            let view = world.ask(&command_id(1), &order_id(1), request.clone()).expect(name);
            assert_eq!(view.state, state, "{name}");
            let points = before..world.points();
            let once = world.order(&order_id(1));
            let again = world.ask(&command_id(1), &order_id(1), request.clone()).expect(name);
            assert_eq!(again, view, "{name}: a repeat answers the same");
            assert_eq!(world.order(&order_id(1)), once, "{name}: a repeat changes nothing");
            world.pass_time();
            world.assert_at_rest();
            points
        };
        for point in points {
            for fault in FAULTS {
                for repeated in [false, true] {
                    let world = confirmed();
                    world.fail_at(point, fault);
                    let first = world.survive(|| world.ask(&command_id(1), &order_id(1), request.clone()));
                    let order = world.order(&order_id(1)).expect("it was placed");
                    let begun = order.is_unfinished() || order.version > 2;
                    if repeated {
                        let view = world.ask(&command_id(1), &order_id(1), request.clone()).expect(name);
                        assert_eq!(view.state, state, "{name} at {point} {fault:?}");
                    }
                    world.pass_time();
                    let case = format!("{name} at {point} {fault:?}, repeated {repeated}, first {first:?}");
                    let order = world.order(&order_id(1)).expect("it was placed");
                    if begun || repeated {
                        assert_eq!(order.stage.state(), state, "{case}");
                    } else {
                        assert_eq!(order.stage, Stage::Confirmed, "{case}");
                    }
                    check(&world, &case);
                }
            }
        }
    }
}

#[test]
fn whatever_is_asked_in_whatever_order_the_books_add_up() {
    law(400, |dice: &mut Dice| {
        let world = World::new();
        let policy: &&str = dice.pick(&["manual", "automatic"]);
        world.ports.configure("capture", policy);
        world.token.set(*dice.pick(&["tok_ok", "tok_ok", "tok_ok", "tok_action", "tok_pending", "tok_declined"]));
        let first = world.placement(&world.guest(), &order_id(1));
        for _ in 0..2 + dice.below(14) {
            if dice.below(3) == 0 {
                let point = world.points() + usize::try_from(dice.below(12)).expect("small");
                world.fail_at(point, *dice.pick(&FAULTS));
            }
            let command = command_id(u32::try_from(dice.below(6)).expect("small"));
            let id = order_id(1 + u8::try_from(dice.below(2)).expect("small"));
            let units = |dice: &mut Dice| {
                let variant = *dice.pick(&[SHIRT, MUG]);
                FulfillmentLine {
                    variant_id: variant.to_owned(),
                    quantity: 1 + u32::try_from(dice.below(2)).expect("small"),
                }
            };
            let amount = Money::new(1 + i64::try_from(dice.below(4000)).expect("small"), "EUR");
            let text = String::new;
            let request = match dice.below(9) {
                0 => Some(Request::Cancel { reason: text() }),
                1 => Some(Request::Capture { amount: None }),
                2 => Some(Request::Capture { amount: Some(amount) }),
                3 => Some(Request::Refund { amount, reason: text(), restock: vec![units(dice)] }),
                4 => Some(Request::Refund { amount, reason: text(), restock: vec![] }),
                5 => Some(Request::Ship { lines: vec![], carrier: text(), tracking_number: text() }),
                6 => Some(Request::Ship { lines: vec![units(dice)], carrier: text(), tracking_number: text() }),
                _ => None,
            };
            match request {
                Some(request) => drop(world.survive(|| world.ask(&command, &id, request))),
                None => match dice.below(5) {
                    0 => {
                        world.ports.advance(i64::try_from(dice.below(20 * 60_000)).expect("small"));
                        world.deliver();
                    }
                    1 => world.decide(&id, *dice.pick(&[PaymentState::Authorized, PaymentState::Declined])),
                    _ => {
                        let placement = Placement { order_id: id, ..first.clone() };
                        drop(world.survive(|| world.place(&placement)));
                    }
                },
            }
        }
        world.calm_down();
        world.pass_time();
        // A canceled order gave its cart back, whose version is another now.
        check(&world, CART);
        let orders = [order_id(1), order_id(2)].into_iter().filter_map(|id| world.order(&id));
        for order in orders {
            let refunds = world.facts("order.refunded");
            let told: i64 = refunds
                .iter()
                .filter(|fact| fact["order_id"] == *order.id)
                .map(|fact| fact["amount_minor"].as_i64().expect("an amount"))
                .sum();
            assert!(told <= order.funds.captured, "no more is given back than was taken");
        }
    });
}

#[test]
fn an_event_that_comes_twice_does_nothing_twice() {
    let world = World::new();
    world.buy(&order_id(1)).expect("it is confirmed");
    let before = world.order(&order_id(1));
    let call = world.call(Actor::System("events".to_owned()));
    for topic in ["order.checkout-due", "payment.settled", "payment.changed"] {
        let event = souk_kit::events::Event {
            id: "x/0".to_owned(),
            topic: topic.to_owned(),
            key: order_id(1),
            payload: serde_json::json!({ "order_id": order_id(1) }).to_string(),
            committed_at: 0,
            attempt: 1,
        };
        for _ in 0..2 {
            crate::service::events::handle(&world, &call, &event).expect("it is taken");
        }
    }
    assert_eq!(world.order(&order_id(1)), before);
}

#[test]
fn news_are_followed_however_long_the_provider_is_away() {
    for canceled_before in [true, false] {
        let world = World::new();
        world.token.set("tok_pending");
        let order = order_id(1);
        world.buy(&order).expect("it waits for the provider");
        let cancel = || world.ask(&command_id(1), &order, Request::Cancel { reason: String::new() });
        if canceled_before {
            assert_eq!(cancel().expect("nothing was held").state, OrderState::Canceled);
            world.pass_time();
            world.hold_late(&order);
            world.away.set(true);
        } else {
            world.away.set(true);
            cancel().expect_err("the provider is away");
            world.decide(&order, PaymentState::Authorized);
        }
        world.pass_time();
        assert_eq!(world.money(&order).map(|(state, ..)| state), Some(PaymentState::Authorized));
        world.away.set(false);
        world.pass_time();
        assert_eq!(world.order(&order).expect("it is there").stage, Stage::Canceled);
        world.assert_at_rest();
    }
}

#[test]
fn of_two_decisions_at_one_version_one_is_stored_and_the_other_hears_so() {
    let scenario = &SCENARIOS[0];
    let world = world(scenario);
    let _ = place(&world, scenario);
    let order = world.order(&order_id(1)).expect("it was placed");
    let cause = Cause { step: "sync", actor: "system:order", now: order.placed_at, due_at: None };
    let sync = |captured| {
        let funds = Funds { captured, ..order.funds };
        decide(&order, Step::Sync(funds), order.placed_at).expect("a confirmed order takes it")
    };
    assert_eq!(store::save(&world, &order, &sync(0), &cause), Ok(()));
    assert!(matches!(store::save(&world, &order, &sync(1), &cause), Err(SqlError::GuardMissed(_))));
    assert_eq!(world.order(&order_id(1)).expect("it is there").funds.captured, 0);
}
