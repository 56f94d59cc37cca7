//! What staff is told: cancel, capture, refund, ship.

use souk_kit::cart::CartState;
use souk_kit::order::{FulfillmentLine, FulfillmentStatus, OrderError, OrderState, OrderView, PaymentStatus};
use souk_kit::payment::PaymentState;
use souk_kit::{Actor, Money};

use super::world::{ANN, MUG, SHELF, SHIRT, TOTAL, World, command_id, order_id};
use crate::domain::task::Request;
use crate::service::command;

fn units(variant: &str, quantity: u32) -> FulfillmentLine {
    FulfillmentLine { variant_id: variant.to_owned(), quantity }
}

fn refund(minor: i64, restock: Vec<FulfillmentLine>) -> Request {
    Request::Refund { amount: Money::new(minor, "EUR"), reason: "late".to_owned(), restock }
}

fn ship(lines: Vec<FulfillmentLine>) -> Request {
    Request::Ship { lines, carrier: "Post".to_owned(), tracking_number: "42".to_owned() }
}

fn capture(minor: Option<i64>) -> Request {
    Request::Capture { amount: minor.map(|minor| Money::new(minor, "EUR")) }
}

/// Where an order is, for tables: state, money, goods, taken and given back.
fn told(outcome: &Result<OrderView, OrderError>) -> String {
    match outcome {
        Ok(view) => {
            let money = match view.payment_status {
                PaymentStatus::Unpaid => "unpaid",
                PaymentStatus::Authorized => "authorized",
                PaymentStatus::PartiallyPaid => "part paid",
                PaymentStatus::Paid => "paid",
                PaymentStatus::PartiallyRefunded => "part refunded",
                PaymentStatus::Refunded => "refunded",
                PaymentStatus::Voided => "voided",
            };
            let goods = match view.fulfillment_status {
                FulfillmentStatus::Unfulfilled => "none",
                FulfillmentStatus::PartiallyFulfilled => "part",
                FulfillmentStatus::Fulfilled => "all",
            };
            let state = match view.state {
                OrderState::Pending => "pending",
                OrderState::AwaitingAction => "awaiting",
                OrderState::Confirmed => "confirmed",
                OrderState::Completed => "completed",
                OrderState::Canceled => "canceled",
            };
            format!("{state}, {money}, {goods}, {} {}", view.captured, view.refunded)
        }
        Err(OrderError::Invalid(errors)) => format!("Invalid {}", errors[0].pointer),
        Err(OrderError::PaymentRefused(decline)) => format!("PaymentRefused {}", decline.code),
        Err(error) => format!("{error:?}").replace("OrderError::", "").replace("OrderState::", ""),
    }
}

/// A story of commands on one order, each with what is told.
fn story(policy: &str, steps: Vec<(Request, &str)>) -> World<'static> {
    let world = World::new();
    world.ports.configure("capture", policy);
    world.buy(&order_id(1)).expect("it is confirmed");
    for (place, (request, expected)) in steps.into_iter().enumerate() {
        let command = command_id(u32::try_from(place).expect("small"));
        let outcome = world.ask(&command, &order_id(1), request.clone());
        assert_eq!(told(&outcome), expected, "step {place}: {request:?}");
        let after = world.order(&order_id(1));
        let again = world.ask(&command, &order_id(1), request);
        assert_eq!(told(&again), expected, "step {place} again");
        assert_eq!(world.order(&order_id(1)), after, "step {place} again changes nothing");
    }
    world.pass_time();
    world.assert_at_rest();
    world
}

#[test]
fn goods_leave_in_parcels_and_money_is_taken_first() {
    let world = story(
        "manual",
        vec![
            (ship(vec![units(SHIRT, 3)]), "Exceeds(2)"),
            (ship(vec![units("var_x", 1)]), "Invalid /lines/0/variant_id"),
            (ship(vec![units(SHIRT, 1)]), "confirmed, paid, part, 3511 0"),
            (ship(vec![units(SHIRT, 1), units(SHIRT, 1)]), "Exceeds(1)"),
            (Request::Cancel { reason: "no".to_owned() }, "WrongState([])"),
            (ship(vec![]), "completed, paid, all, 3511 0"),
            (ship(vec![]), "WrongState([Confirmed])"),
            (capture(None), "Exceeds(0)"),
        ],
    );
    let shipped = world.facts("order.shipped");
    assert_eq!(shipped.len(), 2);
    let lines = |fact: &serde_json::Value| fact["lines"].as_array().expect("lines").len();
    assert_eq!((lines(&shipped[0]), lines(&shipped[1])), (1, 2));
    assert_eq!(shipped[0]["lines"][0]["total_minor"], 1000);
    assert_eq!((&shipped[0]["carrier"], &shipped[0]["tracking_number"]), (&"Post".into(), &"42".into()));
    let order = world.order(&order_id(1)).expect("it is there");
    assert_eq!(order.shipments.iter().map(|s| s.id.clone()).collect::<Vec<_>>(), [command_id(2), command_id(5)]);
}

#[test]
fn money_is_taken_and_given_back_within_its_limits() {
    let world = story(
        "manual",
        vec![
            (refund(1, vec![]), "Exceeds(0)"),
            (capture(Some(TOTAL + 1)), "Exceeds(3511)"),
            (capture(Some(0)), "Invalid /amount/minor"),
            (capture(Some(1000)), "confirmed, part paid, none, 1000 0"),
            (capture(None), "confirmed, paid, none, 3511 0"),
            (refund(3512, vec![]), "Exceeds(3511)"),
            (
                Request::Refund { amount: Money::new(1, "USD"), reason: String::new(), restock: vec![] },
                "Invalid /amount/currency",
            ),
            (refund(1000, vec![units(MUG, 1)]), "confirmed, part refunded, none, 3511 1000"),
            (refund(1, vec![units(MUG, 1)]), "Exceeds(0)"),
            (ship(vec![units(MUG, 1)]), "Exceeds(0)"),
            (ship(vec![]), "completed, part refunded, all, 3511 1000"),
            (refund(2511, vec![units(SHIRT, 2)]), "completed, refunded, all, 3511 3511"),
            (refund(1, vec![]), "Exceeds(0)"),
        ],
    );
    assert_eq!(world.facts("order.refunded").len(), 2);
    assert_eq!((world.units(SHIRT), world.units(MUG)), ((SHELF, 0), (SHELF, 0)));
}

#[test]
fn a_canceled_order_gives_everything_back() {
    let cancel = || Request::Cancel { reason: "fraud".to_owned() };
    for (policy, earlier, expected) in [
        ("manual", vec![], "canceled, voided, none, 0 0"),
        ("automatic", vec![], "canceled, refunded, none, 3511 3511"),
        (
            "automatic",
            vec![(refund(511, vec![units(SHIRT, 1)]), "confirmed, part refunded, none, 3511 511")],
            "canceled, refunded, none, 3511 3511",
        ),
        (
            "manual",
            vec![(capture(Some(1000)), "confirmed, part paid, none, 1000 0")],
            "canceled, refunded, none, 1000 1000",
        ),
    ] {
        let mut steps = earlier;
        steps.push((cancel(), expected));
        steps.push((ship(vec![]), "WrongState([Confirmed])"));
        steps.push((capture(None), "WrongState([Confirmed, Completed])"));
        steps.push((refund(1, vec![]), "WrongState([Confirmed, Completed])"));
        let world = story(policy, steps);
        assert_eq!((world.units(SHIRT), world.units(MUG)), ((SHELF, 0), (SHELF, 0)));
        assert_eq!(world.facts("order.canceled").len(), 1);
        assert_eq!(world.facts("order.canceled")[0]["reason"], "fraud");
    }
}

#[test]
fn what_the_provider_refuses_for_good_stays_refused() {
    let world = World::new();
    world.buy(&order_id(1)).expect("it is confirmed");
    world.keeps_money.set(true);
    let cancel = Request::Cancel { reason: "fraud".to_owned() };
    for request in [refund(1000, vec![units(SHIRT, 1)]), cancel.clone()] {
        let command = command_id(if request == cancel { 1 } else { 2 });
        for _ in 0..2 {
            let outcome = world.ask(&command, &order_id(1), request.clone());
            assert_eq!(told(&outcome), "PaymentRefused rejected");
        }
    }
    let order = world.order(&order_id(1)).expect("it is there").view();
    assert_eq!((order.state, order.refunded, order.cancel_reason.as_str()), (OrderState::Confirmed, 0, ""));
    assert_eq!(world.units(SHIRT), (SHELF - 2, 0));
    world.keeps_money.set(false);
    let again = world.ask(&command_id(1), &order_id(1), cancel.clone());
    assert_eq!(told(&again), "PaymentRefused rejected", "the command has ended");
    assert_eq!(told(&world.ask(&command_id(3), &order_id(1), cancel)), "canceled, refunded, none, 3511 3511");
    world.pass_time();
    world.assert_at_rest();
}

/// A checkout that its shopper cancels when its money has just been taken, at a provider that gives nothing back.
fn canceled_and_kept<'w>() -> World<'w> {
    let world = World::new();
    world.token.set("tok_pending");
    world.buy(&order_id(1)).expect("its payment is awaited");
    world.decide(&order_id(1), PaymentState::Authorized);
    world.keeps_money.set(true);
    let cancel = Request::Cancel { reason: "no".to_owned() };
    let outcome = command::execute(&world, &world.guest(), &command_id(1), &order_id(1), cancel);
    assert_eq!(told(&outcome), "canceled, paid, none, 3511 0");
    world
}

#[test]
fn a_checkout_ends_without_the_money_that_is_kept_and_asks_for_it_until_it_comes() {
    let world = canceled_and_kept();
    assert_eq!((world.units(SHIRT), world.units(MUG)), ((SHELF, 0), (SHELF, 0)), "its stock is on the shelf");
    assert_eq!(world.cart_state(), CartState::Open);
    let found: Vec<_> = world.audit().iter().map(|finding| finding.invariant).collect();
    assert_eq!(found, ["a_canceled_order_holds_nothing"]);
    world.pass_time();
    assert!((3..=10).contains(&world.refusals(&order_id(1))), "{} attempts", world.refusals(&order_id(1)));
    world.keeps_money.set(false);
    world.pass_days(1);
    assert_eq!(world.money(&order_id(1)), Some((PaymentState::Authorized, TOTAL, TOTAL, TOTAL)));
    assert_eq!(world.order(&order_id(1)).expect("it is there").funds.refunded, TOTAL, "the order tells it");
    world.assert_at_rest();
}

#[test]
fn money_that_is_kept_for_a_month_is_left_to_the_audit() {
    let world = canceled_and_kept();
    world.pass_days(40);
    let attempts = world.refusals(&order_id(1));
    assert!((30..=45).contains(&attempts), "{attempts} attempts in a month");
    world.pass_days(10);
    assert_eq!(world.refusals(&order_id(1)), attempts, "nobody asks any more");
    assert_eq!(world.audit().len(), 1, "and the audit still tells");
}

#[test]
fn a_command_id_stands_for_one_command() {
    let world = World::new();
    world.buy(&order_id(1)).expect("it is confirmed");
    assert!(world.ask("c1", &order_id(1), refund(100, vec![])).is_ok());
    assert_eq!(told(&world.ask("c1", &order_id(1), refund(200, vec![]))), "Invalid /command_id");
    assert_eq!(told(&world.ask("c1", &order_id(1), ship(vec![]))), "Invalid /command_id");
    assert_eq!(told(&world.ask("", &order_id(1), ship(vec![]))), "Invalid /command_id");
    assert_eq!(told(&world.ask("a b", &order_id(1), ship(vec![]))), "Invalid /command_id");
}

#[test]
fn money_and_parcels_are_for_staff() {
    let world = World::new();
    world.buy(&order_id(1)).expect("it is confirmed");
    for actor in [Actor::Guest, Actor::User(ANN.to_owned())] {
        for request in [capture(None), refund(1, vec![]), ship(vec![])] {
            let outcome = command::execute(&world, &world.call(actor.clone()), "c1", &order_id(1), request);
            assert_eq!(told(&outcome), "NotFound");
        }
    }
}

#[test]
fn nothing_leaves_when_the_provider_let_the_money_go() {
    let world = World::new();
    world.ports.configure("capture", "manual");
    world.buy(&order_id(1)).expect("it is confirmed");
    let ctx = world.staff().ctx;
    use crate::ports::Payments;
    let payment = crate::domain::payment_id(&order_id(1));
    world.void(&ctx, "outside", &payment).expect("it is let go");
    // Before the news is heard, and after.
    assert_eq!(told(&world.ask("c1", &order_id(1), ship(vec![]))), "PaymentRefused rejected");
    world.pass_time();
    let order = world.order(&order_id(1)).expect("it is there");
    assert_eq!(order.funds.state, Some(PaymentState::Voided));
    assert_eq!(told(&world.ask("c2", &order_id(1), ship(vec![]))), "PaymentRefused rejected");
    assert_eq!(told(&Ok(order.view())), "confirmed, voided, none, 0 0");
}
