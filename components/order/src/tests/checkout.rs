//! What a shopper is told when placing an order.

use souk_kit::cart::CartState;
use souk_kit::order::{OrderError, OrderState, OrderView, PaymentStatus, Placement};
use souk_kit::payment::PaymentState;
use souk_kit::{Actor, Money};

use super::world::{CART, MUG, SHELF, SHIRT, TOTAL, World, command_id, order_id};
use crate::domain::task::Request;
use crate::service::{command, resume};

/// The name of an outcome, for tables.
fn told(outcome: &Result<OrderView, OrderError>) -> String {
    match outcome {
        Ok(view) => {
            let state = format!("{:?}", view.state).replace("OrderState::", "");
            format!("{state} {}", view.cancel_reason).trim().to_owned()
        }
        Err(OrderError::Invalid(errors)) => {
            let pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
            format!("Invalid {}", pointers.join(" "))
        }
        Err(OrderError::OutOfStock(short)) => format!("OutOfStock {}", short.len()),
        Err(OrderError::PriceChanged(quote)) => format!("PriceChanged {}", quote.totals.total.minor),
        Err(error) => format!("{error:?}").replace("OrderError::", "").replace("OrderState::", ""),
    }
}

#[test]
fn an_order_that_goes_well_costs_two_commits_and_sells_once() {
    let world = World::new();
    let before = world.ports.commits();
    let view = world.buy(&order_id(1)).expect("it is confirmed");
    assert_eq!(world.ports.commits() - before, 2);
    assert_eq!((view.state, view.payment_status), (OrderState::Confirmed, PaymentStatus::Paid));
    assert_eq!((view.number.as_str(), view.access_token.len()), ("S-1001", 40));
    assert_eq!(view.totals.total, Money::new(TOTAL, "EUR"));
    assert_eq!(world.money(&order_id(1)), Some((PaymentState::Authorized, TOTAL, TOTAL, 0)));
    assert_eq!((world.units(SHIRT), world.units(MUG)), ((SHELF - 2, 0), (SHELF - 1, 0)));
    assert_eq!(world.cart_state(), CartState::Completed(order_id(1)));
    world.pass_time();
    let placed = world.facts("order.placed");
    assert_eq!(placed.len(), 1);
    let fields: Vec<&str> = placed[0].as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(
        fields,
        [
            "access_token",
            "currency",
            "email",
            "lines",
            "name",
            "number",
            "order_id",
            "shipping_minor",
            "subtotal_minor",
            "tax_minor",
            "total_minor"
        ]
    );
    assert_eq!(
        placed[0]["lines"][0],
        serde_json::json!({ "title": "Thing", "variant_title": "M", "sku": "T-M", "quantity": 2, "total_minor": 2000 })
    );
    world.assert_at_rest();
}

#[test]
fn the_return_url_names_the_order_and_the_token_is_forgotten() {
    let world = World::new();
    world.token.set("tok_action");
    world.buy(&order_id(1)).expect("it waits for the shopper");
    let order = world.order(&order_id(1)).expect("it was placed");
    assert_eq!(order.return_url, format!("https://shop.example/orders/{}", order_id(1)));
    assert_eq!(order.payment_token, "tok_action");
    world.verdict.set(Some(PaymentState::Authorized));
    resume(&world, &world.guest(), &order_id(1)).expect("it is confirmed");
    assert_eq!(world.order(&order_id(1)).expect("it was placed").payment_token, "");
}

#[test]
fn what_cannot_be_placed_is_refused_and_stores_nothing() {
    type Change = fn(&World<'_>, &mut Placement);
    let rows: [(&str, Change); 17] = [
        ("Confirmed", |_, _| {}),
        ("Invalid /order_id", |_, p| p.order_id = "ord_1".to_owned()),
        ("Invalid /cart_id", |_, p| p.cart_id = "cart".to_owned()),
        ("Invalid /email /billing_address/name", |_, p| {
            p.email = "nobody".to_owned();
            p.billing_address.name = String::new();
        }),
        ("Invalid /payment_token", |_, p| p.payment_token = "ü".repeat(101)),
        ("Invalid /return_url", |_, p| p.return_url = "{order}".repeat(100)),
        ("NotFound", |_, p| p.cart_id = "cart_00000000000000000000000000000002".to_owned()),
        ("NotFound", |world, _| world.give_cart_to("usr_00000000000000000000000000000002")),
        ("PriceChanged 4701", |world, _| world.set_price(SHIRT, 1500)),
        ("PriceChanged 3511", |world, _| world.touch_cart()),
        ("PriceChanged 3511", |world, _| world.ports.advance(15 * 60_000)),
        ("PriceChanged 3511", |_, p| p.quote_hash = "q1.1.abc".to_owned()),
        ("PriceChanged 2950", |_, p| p.shipping_address.country = "US".to_owned()),
        ("OutOfStock 1", |world, _| world.take_from_shelf(SHIRT, 4)),
        ("ShippingUnavailable", |_, p| p.shipping_method = "rocket".to_owned()),
        ("UnknownProvider", |_, p| p.payment_provider = "other".to_owned()),
        ("Unavailable(\"configuration `capture`: `x` is neither automatic nor manual\")", |world, _| {
            world.ports.configure("capture", "x");
        }),
    ];
    for (expected, change) in rows {
        let world = World::new();
        let mut placement = world.placement(&world.guest(), &order_id(1));
        change(&world, &mut placement);
        assert_eq!(told(&world.place(&placement)), expected);
        if expected != "Confirmed" {
            assert_eq!((world.order(&order_id(1)), world.payments()), (None, 0), "{expected}");
            assert_eq!(world.cart_state(), CartState::Open);
        }
    }
}

#[test]
fn a_repeat_answers_the_same_order_and_another_placement_is_refused() {
    let world = World::new();
    let placement = world.placement(&world.guest(), &order_id(1));
    let view = world.place(&placement).expect("it is confirmed");
    assert_eq!(world.place(&placement), Ok(view.clone()));
    let elsewhere = Placement { return_url: "https://www.shop.example/".to_owned(), ..placement.clone() };
    assert_eq!(world.place(&elsewhere), Ok(view), "a repeat under another host name is a repeat");
    let other = Placement { email: "bob@example.org".to_owned(), ..placement.clone() };
    assert_eq!(told(&world.place(&other)), "Invalid /order_id");
    let second = Placement { order_id: order_id(2), ..placement };
    assert_eq!(told(&world.place(&second)), format!("CartClosed({:?})", order_id(1)));
    assert_eq!(world.payments(), 1);
}

#[test]
fn of_two_who_check_out_one_cart_at_once_the_second_is_told_of_the_first() {
    // The rows of orders decide, before any other service is asked for anything.
    let world = World::new();
    let placement = world.placement(&world.guest(), &order_id(1));
    let other = Placement { order_id: order_id(2), ..placement.clone() };
    world.meanwhile_before(world.points() + 2, move |world| {
        world.place(&other).expect("it is confirmed");
    });
    assert_eq!(told(&world.place(&placement)), format!("CartClosed({:?})", order_id(2)));
    assert_eq!(world.order(&order_id(1)), None, "nothing was stored");
    let same = World::new();
    let placement = same.placement(&same.guest(), &order_id(1));
    let twin = placement.clone();
    same.meanwhile_before(same.points() + 2, move |world| {
        world.place(&twin).expect("it is confirmed");
    });
    assert_eq!(told(&same.place(&placement)), "Confirmed", "the same order");
    same.pass_time();
    same.assert_at_rest();
}

#[test]
fn a_full_storage_is_told_as_such_and_the_order_is_placed_when_there_is_room() {
    let easy = World::new();
    easy.place(&easy.placement(&easy.guest(), &order_id(1))).expect("there is room");
    for commit in 0..easy.ports.commits() {
        let world = World::new();
        let placement = world.placement(&world.guest(), &order_id(1));
        world.ports.fail_commit(commit, souk_kit::testing::Fault::StorageFull);
        let refused = world.place(&placement);
        assert_eq!(refused.err(), Some(OrderError::StorageFull), "{commit}");
        assert_eq!(told(&world.place(&placement)), "Confirmed", "{commit}");
        world.pass_time();
        world.assert_at_rest();
    }
}

#[test]
fn of_twins_that_place_one_order_at_once_the_stored_one_counts() {
    // The twin stores the order and dies; the batch has the same name, so this run believes that it stored its own.
    let stored = |email: &'static str| {
        let world = World::new();
        let placement = world.placement(&world.guest(), &order_id(1));
        let twin = Placement { email: email.to_owned(), ..placement.clone() };
        world.meanwhile_before(world.points() + 2, move |world| {
            world.ports.fail_commit(0, souk_kit::testing::Fault::LostReply);
            let outcome = crate::service::place::place(world, &world.guest(), &twin, [9; 20]);
            assert!(matches!(outcome, Err(OrderError::Unavailable(_))));
        });
        let outcome = world.place(&placement);
        world.pass_time();
        world.assert_at_rest();
        (outcome, world)
    };
    let (outcome, world) = stored("Ann@example.org");
    let token = souk_kit::ids::hex(&[9; 20]);
    assert_eq!(outcome.expect("it is confirmed").access_token, token);
    assert_eq!(world.facts("order.placed")[0]["access_token"], token.as_str(), "the mail holds the secret that counts");
    let (outcome, _) = stored("bob@example.org");
    assert_eq!(told(&outcome), "Invalid /order_id");
}

#[test]
fn a_refusal_after_placing_is_a_canceled_order_and_the_cart_is_open_again() {
    let world = World::new();
    world.token.set("tok_declined");
    let view = world.buy(&order_id(1)).expect("it is an order all the same");
    assert_eq!((view.state, view.cancel_reason.as_str()), (OrderState::Canceled, "payment_declined"));
    assert_eq!(view.decline.expect("the provider said why").code, "card_declined");
    assert_eq!(world.cart_state(), CartState::Open);
    // The same cart, with another card.
    world.token.set("tok_ok");
    let view = world.buy(&order_id(2)).expect("it is confirmed");
    assert_eq!((view.state, view.number.as_str()), (OrderState::Confirmed, "S-1002"));
    world.pass_time();
    assert_eq!(world.facts("order.canceled").len(), 0, "the shopper was told at once");
    world.assert_at_rest();
}

#[test]
fn stock_that_goes_after_placing_cancels_the_order() {
    let world = World::new();
    let placement = world.placement(&world.guest(), &order_id(1));
    world.meanwhile_before(world.points() + 4, |world| world.take_from_shelf(SHIRT, 4));
    assert_eq!(told(&world.place(&placement)), "Canceled out_of_stock");
    assert_eq!((world.payments(), world.cart_state()), (0, CartState::Open), "nobody was asked for money");
}

#[test]
fn a_cart_that_changes_before_it_is_frozen_is_a_new_quote() {
    let world = World::new();
    let placement = world.placement(&world.guest(), &order_id(1));
    world.meanwhile_before(world.points() + 4, World::touch_cart);
    assert_eq!(told(&world.place(&placement)), "PriceChanged 3511");
    assert_eq!(told(&world.place(&placement)), "PriceChanged 3511", "a repeat is told the same");
    assert_eq!(world.buy(&order_id(2)).expect("it is confirmed").state, OrderState::Confirmed);
}

#[test]
fn a_shopper_who_never_comes_back_holds_nothing() {
    let world = World::new();
    world.token.set("tok_action");
    let view = world.buy(&order_id(1)).expect("it waits for the shopper");
    assert_eq!((view.state, view.action_url.as_str()), (OrderState::AwaitingAction, "https://provider.example/action"));
    world.pass_time();
    let order = world.order(&order_id(1)).expect("it was placed");
    assert_eq!(order.cancel_reason, "abandoned");
    assert_eq!(world.facts("order.canceled").len(), 1, "whoever waits is told");
    world.assert_at_rest();
}

#[test]
fn an_action_that_took_long_takes_the_stock_again_or_gives_the_money_back() {
    // Minutes away | units that others take meanwhile | what becomes of the order
    for (minutes, others_take, ends) in [
        (20, 0, OrderState::Confirmed),
        (20, SHELF, OrderState::Canceled),
        (31, 0, OrderState::Confirmed), // past the end of a checkout, and paid all the same
        (31, SHELF, OrderState::Canceled),
    ] {
        let world = World::new();
        world.token.set("tok_action");
        world.buy(&order_id(1)).expect("it waits for the shopper");
        world.ports.advance(minutes * 60_000);
        world.take_from_shelf(SHIRT, others_take);
        world.verdict.set(Some(PaymentState::Authorized));
        let view = resume(&world, &world.guest(), &order_id(1)).expect("it ends");
        assert_eq!(view.state, ends);
        world.take_from_shelf(SHIRT, -others_take);
        world.pass_time();
        world.assert_at_rest();
    }
}

#[test]
fn news_of_the_payment_confirms_an_order_that_waits_for_it_at_once() {
    let world = World::new();
    world.token.set("tok_pending");
    let view = world.buy(&order_id(1)).expect("its payment is not known yet");
    assert_eq!((view.state, view.payment_status), (OrderState::Pending, PaymentStatus::Unpaid));
    world.decide(&order_id(1), PaymentState::Authorized);
    world.deliver();
    assert_eq!(world.order(&order_id(1)).expect("it was placed").view().state, OrderState::Confirmed);
}

#[test]
fn a_free_order_needs_no_payment() {
    let world = World::new();
    world.set_price(SHIRT, 0);
    world.set_price(MUG, 0);
    world.ports.configure("shipping_methods", r#"[{"code":"mail","title":"By mail","price":{"EUR":0}}]"#);
    let view = world.buy(&order_id(1)).expect("it is confirmed");
    assert_eq!((view.state, view.payment_status), (OrderState::Confirmed, PaymentStatus::Paid));
    assert_eq!(world.payments(), 0);
    let cancel = Request::Cancel { reason: "gone".to_owned() };
    assert_eq!(told(&world.ask(&command_id(1), &order_id(1), cancel)), "Canceled gone");
    assert_eq!(world.units(SHIRT), (SHELF, 0));
}

#[test]
fn a_shopper_cancels_until_it_is_confirmed() {
    let cancel = || Request::Cancel { reason: "changed my mind".to_owned() };
    let ask = |world: &World<'_>, number| {
        told(&command::execute(world, &world.guest(), &command_id(number), &order_id(1), cancel()))
    };
    let world = World::new();
    world.token.set("tok_action");
    world.buy(&order_id(1)).expect("it waits for the shopper");
    assert_eq!(ask(&world, 1), "Canceled changed my mind");
    assert_eq!(ask(&world, 1), "Canceled changed my mind", "a repeat");
    assert_eq!(ask(&world, 2), "WrongState([Pending, AwaitingAction])");
    assert_eq!(world.money(&order_id(1)).expect("it was asked for").0, PaymentState::Voided);
    world.pass_time();
    world.assert_at_rest();

    let world = World::new();
    world.buy(&order_id(1)).expect("it is confirmed");
    assert_eq!(ask(&world, 1), "WrongState([Pending, AwaitingAction])");
}

#[test]
fn an_order_belongs_to_the_user_who_placed_it() {
    let world = World::new();
    world.give_cart_to(super::world::ANN);
    let ann = world.call(Actor::User(super::world::ANN.to_owned()));
    let placement = world.placement(&ann, &order_id(1));
    let view = crate::service::place::place(&world, &ann, &placement, [1; 20]).expect("it is confirmed");
    assert_eq!(view.user_id.as_deref(), Some(super::world::ANN));
    assert_eq!(told(&resume(&world, &world.guest(), &order_id(1))), "NotFound");
    assert_eq!(told(&world.place(&placement)), "Invalid /order_id", "somebody else cannot repeat it");
    assert_eq!(view.cart_id, CART);
}
