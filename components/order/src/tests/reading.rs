//! Who sees which orders, lists, the timeline and the audit.

use souk_kit::catalog::StockLine;
use souk_kit::order::{OrderError, OrderQuery, OrderState};
use souk_kit::payment::{Authorization, PaymentState};
use souk_kit::payment_extension::CapturePolicy;
use souk_kit::{Actor, Money, PageRequest};

use super::world::{ANN, SHIRT, World, command_id, order_id};
use crate::domain::task::Request;
use crate::service::{read, resume};

fn query(search: &str) -> OrderQuery {
    OrderQuery { user_id: None, state: None, search: search.to_owned() }
}

fn all() -> PageRequest {
    PageRequest { cursor: None, limit: 100 }
}

/// A world with three orders: two canceled and one confirmed.
fn three_orders() -> World<'static> {
    let world = World::new();
    for number in [1, 2] {
        world.token.set("tok_declined");
        world.buy(&order_id(number)).expect("it is declined");
        world.ports.advance(1000);
    }
    world.token.set("tok_ok");
    world.buy(&order_id(3)).expect("it is confirmed");
    world
}

#[test]
fn a_guests_order_is_shown_to_staff_and_to_whoever_has_its_token() {
    let world = World::new();
    world.token.set("tok_action");
    let placed = world.buy(&order_id(1)).expect("it waits for the shopper");
    let ann = world.call(Actor::User(ANN.to_owned()));
    assert_eq!(read::get_order(&world, &world.guest(), &order_id(1)), Err(OrderError::NotFound));
    assert_eq!(read::get_order(&world, &ann, &order_id(1)), Err(OrderError::NotFound));
    assert_eq!(read::list_timeline(&world, &world.guest(), &order_id(1)), Err(OrderError::NotFound));
    assert_eq!(read::get_order(&world, &world.staff(), &order_id(1)), Ok(placed.clone()));
    for number in [&placed.number, &placed.id] {
        assert_eq!(read::find(&world, number, &placed.access_token), Ok(placed.clone()));
        assert_eq!(read::find(&world, number, ""), Err(OrderError::NotFound));
        assert_eq!(read::find(&world, number, &placed.access_token[1..]), Err(OrderError::NotFound));
    }
    assert_eq!(read::find(&world, "S-1", &placed.access_token), Err(OrderError::NotFound));
    // The id alone moves a checkout on, and tells nothing of the shopper.
    world.verdict.set(Some(PaymentState::Authorized));
    let resumed = resume(&world, &world.guest(), &order_id(1)).expect("it is confirmed");
    assert_eq!(resumed.state, OrderState::Confirmed);
    assert_eq!((resumed.email.as_str(), resumed.access_token.as_str(), resumed.cart_id.as_str()), ("", "", ""));
    assert_eq!((resumed.shipping_address.name.as_str(), resumed.billing_address.city.as_str()), ("", ""));
}

#[test]
fn lists_are_newest_first_and_pages_meet() {
    let world = three_orders();
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = PageRequest { cursor, limit: 1 };
        let page = read::list_orders(&world, &world.staff(), &query(""), &page).expect("a page");
        seen.extend(page.items.into_iter().map(|order| order.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, [order_id(3), order_id(2), order_id(1)]);
}

#[test]
fn orders_are_found_by_state_and_by_the_start_of_number_or_address() {
    let world = three_orders();
    let count =
        |query: OrderQuery| read::list_orders(&world, &world.staff(), &query, &all()).expect("a page").items.len();
    for (search, expected) in [
        ("", 3),
        ("S-100", 3),
        ("s-1002", 1),
        ("S-1003", 1),
        ("S-2", 0),
        ("ann@", 3),
        ("ANN@example.org", 3),
        ("nn@", 0),
        ("%", 0),
        ("a", 3),
    ] {
        assert_eq!(count(query(search)), expected, "{search}");
    }
    for (state, expected) in [
        (OrderState::Canceled, 2),
        (OrderState::Confirmed, 1),
        (OrderState::Pending, 0),
        (OrderState::AwaitingAction, 0),
        (OrderState::Completed, 0),
    ] {
        assert_eq!(count(OrderQuery { state: Some(state), ..query("") }), expected, "{state:?}");
        assert_eq!(count(OrderQuery { state: Some(state), ..query("s-1") }), expected, "{state:?} searched");
    }
    assert_eq!(count(OrderQuery { user_id: Some(ANN.to_owned()), ..query("") }), 0);
    assert_eq!(count(OrderQuery { user_id: Some(ANN.to_owned()), ..query("S-") }), 0);
    let long = read::list_orders(&world, &world.staff(), &query(&"x".repeat(300)), &all());
    assert!(matches!(long, Err(OrderError::Invalid(_))));
}

#[test]
fn a_user_sees_their_own_orders_alone() {
    let world = World::new();
    world.give_cart_to(ANN);
    let ann = world.call(Actor::User(ANN.to_owned()));
    let placement = world.placement(&ann, &order_id(1));
    crate::service::place::place(&world, &ann, &placement, [1; 20]).expect("it is confirmed");
    let bob = world.call(Actor::User("usr_00000000000000000000000000000002".to_owned()));
    let count = |call, user_id: Option<&str>| {
        let query = OrderQuery { user_id: user_id.map(str::to_owned), ..query("") };
        read::list_orders(&world, call, &query, &all()).expect("a page").items.len()
    };
    assert_eq!((count(&ann, None), count(&ann, Some(ANN)), count(&ann, Some("usr_x"))), (1, 1, 0));
    assert_eq!((count(&bob, None), count(&bob, Some(ANN)), count(&world.guest(), None)), (0, 0, 0));
    assert_eq!(read::get_order(&world, &bob, &order_id(1)), Err(OrderError::NotFound));
    assert!(read::get_order(&world, &ann, &order_id(1)).is_ok());
}

#[test]
fn the_timeline_tells_what_happened_in_order() {
    let world = World::new();
    world.buy(&order_id(1)).expect("it is confirmed");
    world.ask(&command_id(1), &order_id(1), Request::Cancel { reason: "fraud".to_owned() }).expect("it is canceled");
    let timeline = read::list_timeline(&world, &world.staff(), &order_id(1)).expect("it is there");
    let kinds: Vec<&str> = timeline.iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!(
        kinds,
        ["placed", "stock_reserved", "payment_authorized", "captured", "confirmed", "canceling", "canceled"]
    );
    assert_eq!((timeline[0].actor.as_str(), timeline[6].actor.as_str()), ("guest", super::world::STAFF));
    assert_eq!(timeline[6].detail, "fraud");
}

#[test]
fn the_audit_finds_what_does_not_add_up() {
    let world = World::new();
    world.buy(&order_id(1)).expect("it is confirmed");
    let findings = || world.audit().into_iter().map(|finding| finding.invariant).collect::<Vec<_>>();
    assert!(findings().is_empty());
    use crate::ports::{Payments, Stock};
    let ctx = world.staff().ctx;
    let payment = crate::domain::payment_id(&order_id(1));
    world.refund(&ctx, "behind our back", &payment, &Money::new(1, "EUR"), "").expect("it is given back");
    assert_eq!(findings(), ["an_agreed_order_is_paid"]);
    let order = world.order(&order_id(1)).expect("it is there");
    let taken = order.lines.iter().find(|line| line.item.variant_id == SHIRT).expect("a line");
    assert_eq!(taken.item.quantity, 2);
    assert!(world.get_reservation(&ctx, &order_id(1)).is_ok());

    let lines = [StockLine { variant_id: SHIRT.to_owned(), quantity: 1 }];
    world.reserve(&ctx, &order_id(2), &lines, 900).expect("it is promised");
    let asked = Authorization {
        payment_id: crate::domain::payment_id(&order_id(3)),
        order_id: order_id(3),
        amount: Money::new(100, "EUR"),
        provider: "test".to_owned(),
        token: "tok_ok".to_owned(),
        return_url: String::new(),
        capture: CapturePolicy::Automatic,
    };
    world.authorize(&ctx, &asked).expect("it is held");
    assert_eq!(
        findings(),
        ["an_agreed_order_is_paid", "stock_is_promised_to_orders_alone", "money_is_asked_for_orders_alone"]
    );
}
