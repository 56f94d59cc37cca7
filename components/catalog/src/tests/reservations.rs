//! Stories of stock: promised, sold, given back, expired, returned; with faults at every commit.

use souk_kit::Sql;
use souk_kit::sql::{Batch, Value, write};
use souk_kit::testing::{Fault, TestPorts};
use souk_kit::types::{Actor, PageRequest};

use super::{assert_sound, audited, id, line, shop_with, staff, units, variant_id};

use crate::service::{audit, products, stock};
use crate::values::{CatalogError, Reservation, ReservationState, Shortage, StockLine, Visibility};

const TTL: u32 = 600;

fn reserve(ports: &TestPorts, order: u64, lines: &[StockLine]) -> Result<Reservation, CatalogError> {
    stock::reserve(ports, &staff(ports), &id("ord", order), lines, TTL)
}

fn commit(ports: &TestPorts, order: u64) -> Result<Reservation, CatalogError> {
    stock::commit_reservation(ports, &staff(ports), &id("ord", order))
}

fn release(ports: &TestPorts, order: u64) -> Result<Reservation, CatalogError> {
    stock::release_reservation(ports, &staff(ports), &id("ord", order))
}

fn restock(ports: &TestPorts, command: u64, order: u64, lines: &[StockLine]) -> Result<(), CatalogError> {
    stock::restock(ports, &staff(ports), &id("cmd", command), &id("ord", order), lines)
}

/// Delivers what is due; answers how many timers there were.
fn deliver(ports: &TestPorts) -> usize {
    let due = ports.take_due_events();
    for event in due.iter().filter(|event| event.topic == "catalog.reservation-due") {
        let call = ports.call(Actor::System(event.id.clone()));
        stock::reservation_due(ports, &call, &event.key).expect("the timer is heard");
    }
    due.len()
}

fn listed(ports: &TestPorts) -> i64 {
    ports.integer("SELECT available FROM catalog_listings WHERE currency = 'EUR'")
}

fn movements(ports: &TestPorts) -> i64 {
    ports.integer("SELECT COUNT(*) FROM catalog_movements")
}

#[test]
fn a_promise_is_held_sold_and_seen_in_every_number() {
    let ports = shop_with(&[5, 7]);
    assert_eq!(listed(&ports), 12);
    let held = reserve(&ports, 1, &[line(1, 1), line(0, 2), line(1, 3)]).expect("there is enough");
    assert_eq!(held.state, ReservationState::Held);
    assert_eq!(held.lines, [line(0, 2), line(1, 4)], "summed, by variant");
    assert_eq!(held.expires_at, ports.now() + i64::from(TTL) * 1000);
    assert_eq!((units(&ports, 0), units(&ports, 1), listed(&ports)), ((5, 2), (7, 4), 6));
    let sold = commit(&ports, 1).expect("it is held");
    assert_eq!(sold, Reservation { state: ReservationState::Committed, ..held });
    assert_eq!((units(&ports, 0), units(&ports, 1), listed(&ports)), ((3, 0), (3, 0), 6));
    assert_eq!(release(&ports, 1), Err(CatalogError::Settled));
    assert_eq!(stock::get_reservation(&ports, &id("ord", 1)), Ok(sold));
    assert_sound(&ports);
}

#[test]
fn all_lines_are_promised_or_none() {
    let ports = shop_with(&[5, 1]);
    let short = Shortage { variant_id: variant_id(1, 1), available: 1 };
    assert_eq!(reserve(&ports, 1, &[line(0, 1), line(1, 1), line(1, 1)]), Err(CatalogError::OutOfStock(vec![short])));
    assert_eq!((units(&ports, 0), units(&ports, 1)), ((5, 0), (1, 0)));
    assert_eq!(stock::get_reservation(&ports, &id("ord", 1)), Err(CatalogError::NotFound));
    assert_eq!(reserve(&ports, 1, &[line(9, 1)]), Err(CatalogError::NotFound));
    reserve(&ports, 1, &[line(0, 1)]).expect("a refusal leaves nothing behind");
}

#[test]
fn a_repeat_answers_what_there_is_whatever_it_asks_for() {
    let ports = shop_with(&[5, 5]);
    let held = reserve(&ports, 1, &[line(0, 2)]).expect("there is enough");
    ports.advance(1_000);
    let before = movements(&ports);
    assert_eq!(reserve(&ports, 1, &[line(0, 2)]), Ok(held.clone()));
    assert_eq!(reserve(&ports, 1, &[line(1, 99)]), Ok(held));
    let released = release(&ports, 1).expect("it is held");
    assert_eq!(release(&ports, 1), Ok(released.clone()));
    assert_eq!(reserve(&ports, 1, &[line(0, 2)]), Ok(released));
    assert_eq!(movements(&ports), before + 1);
    assert_eq!((units(&ports, 0), units(&ports, 1)), ((5, 0), (5, 0)));
}

#[test]
fn a_release_that_comes_first_refuses_the_late_reservation() {
    let ports = shop_with(&[5]);
    let nothing = release(&ports, 1).expect("it is harmless");
    assert_eq!((nothing.state, nothing.lines.len()), (ReservationState::Released, 0));
    assert_eq!(reserve(&ports, 1, &[line(0, 1)]).map(|r| r.state), Ok(ReservationState::Released));
    assert_eq!(commit(&ports, 1), Err(CatalogError::Expired), "nothing was promised, nothing is sold");
    assert_eq!(units(&ports, 0), (5, 0));
    assert_eq!(commit(&ports, 2), Err(CatalogError::NotFound));
    assert_sound(&ports);
}

#[test]
fn a_promise_ends_when_its_time_has_passed_and_not_before() {
    let ports = shop_with(&[5]);
    reserve(&ports, 1, &[line(0, 2)]).expect("there is enough");
    ports.advance(i64::from(TTL) * 1000 - 1);
    assert_eq!(deliver(&ports), 0);
    let early = stock::reservation_due(&ports, &staff(&ports), &id("ord", 1));
    assert!(early.is_err(), "a clock that is ahead does not lose the timer");
    assert_eq!(units(&ports, 0), (5, 2));
    ports.advance(1);
    assert_eq!(deliver(&ports), 1);
    assert_eq!((units(&ports, 0), listed(&ports)), ((5, 0), 5));
    assert_eq!(stock::reservation_due(&ports, &staff(&ports), &id("ord", 1)), Ok(()), "a second delivery");
    assert_eq!(stock::reservation_due(&ports, &staff(&ports), &id("ord", 9)), Ok(()), "an unknown order");
    assert_eq!(units(&ports, 0), (5, 0));
    assert_eq!(ports.integer("SELECT COUNT(*) FROM catalog_movements WHERE reason = 'expired'"), 1);
    assert_sound(&ports);
}

#[test]
fn an_expired_promise_is_taken_again_while_there_is_stock() {
    let ports = shop_with(&[5]);
    for order in [1, 2] {
        reserve(&ports, order, &[line(0, 2)]).expect("there is enough");
    }
    ports.advance(i64::from(TTL) * 1000);
    deliver(&ports);
    reserve(&ports, 3, &[line(0, 2)]).expect("what expired is free");
    assert_eq!(commit(&ports, 1).map(|r| r.state), Ok(ReservationState::Committed), "three are left");
    assert_eq!(commit(&ports, 2), Err(CatalogError::Expired), "one is left");
    assert_eq!((units(&ports, 0), listed(&ports)), ((3, 2), 1));
    assert_eq!(commit(&ports, 1).map(|r| r.state), Ok(ReservationState::Committed), "a repeat");
    assert_eq!(units(&ports, 0), (3, 2));
    assert_sound(&ports);
}

#[test]
fn one_that_expired_unnoticed_is_still_held_and_can_be_sold() {
    let ports = shop_with(&[2]);
    reserve(&ports, 1, &[line(0, 2)]).expect("there is enough");
    ports.advance(i64::from(TTL) * 1000 + 1);
    assert_eq!(commit(&ports, 1).map(|r| r.state), Ok(ReservationState::Committed));
    deliver(&ports);
    assert_eq!(units(&ports, 0), (0, 0));
    assert_sound(&ports);
}

#[test]
fn what_returns_is_at_most_what_left() {
    let ports = shop_with(&[5, 5]);
    reserve(&ports, 1, &[line(0, 3), line(1, 1)]).expect("there is enough");
    assert!(matches!(restock(&ports, 1, 1, &[line(0, 1)]), Err(CatalogError::Invalid(_))), "it is only promised");
    commit(&ports, 1).expect("it is held");
    restock(&ports, 1, 1, &[line(0, 1), line(1, 1)]).expect("it was taken");
    restock(&ports, 1, 1, &[line(0, 1), line(1, 1)]).expect("a repeat");
    assert!(matches!(restock(&ports, 2, 1, &[line(0, 3)]), Err(CatalogError::Invalid(_))));
    restock(&ports, 3, 1, &[line(0, 1), line(0, 1)]).expect("two are left");
    assert_eq!((units(&ports, 0), units(&ports, 1), listed(&ports)), ((5, 0), (5, 0), 10));
    assert_eq!(restock(&ports, 4, 9, &[line(0, 1)]), Err(CatalogError::NotFound));
    release(&ports, 2).expect("it is harmless");
    assert_eq!(restock(&ports, 5, 2, &[line(0, 1)]), Err(CatalogError::Settled));
    assert_sound(&ports);
}

#[test]
fn open_promises_settle_after_their_product_is_gone() {
    let ports = shop_with(&[5]);
    reserve(&ports, 1, &[line(0, 1)]).expect("there is enough");
    reserve(&ports, 2, &[line(0, 1)]).expect("there is enough");
    products::delete_product(&ports, &staff(&ports), &id("prod", 1), None).expect("it is there");
    assert_eq!(products::get_product(&ports, "product-1", Visibility::All), Err(CatalogError::NotFound));
    commit(&ports, 1).expect("it is held");
    release(&ports, 2).expect("it is held");
    restock(&ports, 1, 1, &[line(0, 1)]).expect("it was taken");
    assert_eq!(units(&ports, 0), (5, 0));
    let gone = Shortage { variant_id: variant_id(1, 0), available: 0 };
    assert_eq!(reserve(&ports, 3, &[line(0, 1)]), Err(CatalogError::OutOfStock(vec![gone])));
    let adjusted = stock::adjust_stock(&ports, &staff(&ports), &id("mov", 9), &variant_id(1, 0), 1, "received");
    assert_eq!(adjusted, Err(CatalogError::NotFound));
    assert_sound(&ports);
}

#[test]
fn a_count_changes_the_shelf_once_and_says_so() {
    let ports = shop_with(&[5]);
    reserve(&ports, 1, &[line(0, 4)]).expect("there is enough");
    let adjust = |movement, delta| {
        stock::adjust_stock(&ports, &staff(&ports), &id("mov", movement), &variant_id(1, 0), delta, "counted")
    };
    let short = Shortage { variant_id: variant_id(1, 0), available: 1 };
    assert_eq!(adjust(7, -2), Err(CatalogError::OutOfStock(vec![short])));
    assert_eq!(adjust(7, -1).map(|variant| (variant.on_hand, variant.reserved)), Ok((4, 4)));
    assert_eq!(adjust(7, -1).map(|variant| variant.on_hand), Ok(4), "a repeat");
    assert_eq!(adjust(7, 3), Err(CatalogError::Conflict), "the movement is another one");
    assert_eq!((units(&ports, 0), listed(&ports)), ((4, 4), 0));
    let changed: Vec<_> = ports.take_due_events().into_iter().map(|event| (event.topic, event.payload)).collect();
    let payload = format!(r#"{{"on_hand":4,"reserved":4,"variant_id":"{}"}}"#, variant_id(1, 0));
    assert_eq!(changed, [("catalog.stock-changed".to_owned(), payload)]);
    assert_sound(&ports);
}

#[test]
fn movements_are_listed_newest_first_page_by_page() {
    let ports = shop_with(&[9]);
    for n in 10..16u64 {
        ports.advance(i64::from(n % 2 == 0)); // two at a time share an instant
        stock::adjust_stock(&ports, &staff(&ports), &id("mov", n), &variant_id(1, 0), 1, "found").expect("it is there");
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = PageRequest { cursor, limit: 2 };
        let page = stock::list_stock_movements(&ports, &variant_id(1, 0), &page).expect("it is there");
        assert!(page.items.len() <= 2);
        seen.extend(page.items.into_iter().map(|movement| movement.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, [15, 14, 13, 12, 11, 10, 0].map(|n| id("mov", n)));
    let page = PageRequest { cursor: None, limit: 1 };
    assert_eq!(stock::list_stock_movements(&ports, &variant_id(9, 9), &page), Err(CatalogError::NotFound));
    let page = PageRequest { cursor: Some(souk_kit::cursor::encode(&["x", "y"])), limit: 1 };
    assert!(matches!(stock::list_stock_movements(&ports, &variant_id(1, 0), &page), Err(CatalogError::Invalid(_))));
}

/// The life of an order, step by step. Each step may be repeated until it succeeds.
fn life(ports: &TestPorts, step: u32) -> Result<(), CatalogError> {
    match step {
        0 => reserve(ports, 1, &[line(0, 2), line(1, 1)]).map(|_| ()),
        1 => reserve(ports, 2, &[line(0, 1)]).map(|_| ()),
        2 => commit(ports, 1).map(|_| ()),
        3 => release(ports, 2).map(|_| ()),
        4 => release(ports, 3).map(|_| ()),
        5 => restock(ports, 1, 1, &[line(0, 1)]),
        6 => stock::adjust_stock(ports, &staff(ports), &id("mov", 50), &variant_id(1, 0), 3, "found").map(|_| ()),
        7 => commit(ports, 2).map(|_| ()),
        other => panic!("there is no step {other}"),
    }
}

#[test]
fn every_step_survives_a_fault_at_its_commit_and_a_repeat() {
    let calm = shop_with(&[5, 5]);
    for step in 0..8 {
        life(&calm, step).expect("nothing goes wrong");
    }
    let calm_units = (units(&calm, 0), units(&calm, 1), movements(&calm));
    for fault in [Fault::BeforeCommit, Fault::LostReply, Fault::StorageFull] {
        for broken in 0..8 {
            let ports = shop_with(&[5, 5]);
            for step in 0..8 {
                if step == broken {
                    ports.fail_commit(0, fault);
                    let error = life(&ports, step).expect_err("the commit fails");
                    match fault {
                        Fault::BeforeCommit | Fault::LostReply => {
                            assert!(matches!(error, CatalogError::Unavailable(_)), "{step}");
                        }
                        Fault::StorageFull => assert_eq!(error, CatalogError::StorageFull, "{step}"),
                    }
                }
                life(&ports, step).expect("a repeat succeeds");
                life(&ports, step).expect("and so does another");
            }
            assert_eq!((units(&ports, 0), units(&ports, 1), movements(&ports)), calm_units, "{fault:?} at {broken}");
            assert_sound(&ports);
        }
    }
}

#[test]
fn the_audit_finds_what_does_not_add_up() {
    let ports = shop_with(&[5, 5]);
    reserve(&ports, 1, &[line(0, 2)]).expect("there is enough");
    reserve(&ports, 2, &[line(1, 1)]).expect("there is enough");
    commit(&ports, 2).expect("it is held");
    let (checked, broken) = audited(&ports);
    assert_eq!((checked, broken.len()), (2 + 1 + 2, 0));
    ports.advance(i64::from(TTL) * 1000 + 3_600_001);
    assert_eq!(audited(&ports).1, ["a_promise_ends"]);
    deliver(&ports);
    assert_sound(&ports);
    let variant = variant_id(1, 0);
    for (place, sql, undo, invariants) in [
        (
            0,
            "UPDATE catalog_listings SET available = available + 1 WHERE currency = 'EUR' AND title <> $1",
            "UPDATE catalog_listings SET available = available - 1 WHERE currency = 'EUR' AND title <> $1",
            ["listings_show_what_is_available"].as_slice(),
        ),
        (
            1,
            "UPDATE catalog_stock SET on_hand = on_hand + 1, reserved = reserved + 1 WHERE variant_id = $1",
            "UPDATE catalog_stock SET on_hand = on_hand - 1, reserved = reserved - 1 WHERE variant_id = $1",
            &["on_hand_equals_movements", "reserved_equals_movements", "reserved_equals_held_lines"],
        ),
        (
            2,
            "UPDATE catalog_movements SET variant_id = $1 WHERE reason = 'sold'",
            "UPDATE catalog_movements SET variant_id = replace($1, '3e8', '3e9') WHERE reason = 'sold'",
            &[
                "on_hand_equals_movements",
                "reserved_equals_movements",
                "on_hand_equals_movements",
                "reserved_equals_movements",
                "sales_and_returns_have_movements",
            ],
        ),
        (
            3,
            "UPDATE catalog_variant_prices SET minor = minor + 7 WHERE variant_id = $1",
            "UPDATE catalog_variant_prices SET minor = minor - 7 WHERE variant_id = $1",
            &["listings_show_prices_of_variants"],
        ),
    ] {
        let change = |id: String, sql: &str| {
            let writes = vec![write(sql, [(&variant).into()])];
            ports.commit(&Batch { id, writes, events: Vec::new() }).expect("the test's own statement is fine");
        };
        change(format!("break/{place}"), sql);
        assert_eq!(audited(&ports).1, invariants, "{sql}");
        change(format!("mend/{place}"), undo);
        assert_sound(&ports);
    }
}

#[test]
fn what_is_derived_is_rebuilt_and_nothing_else_is_touched() {
    let ports = shop_with(&[5, 5]);
    let change = |id: &str, sql: &str| {
        let writes = vec![write(sql, Vec::<Value>::new())];
        ports
            .commit(&Batch { id: id.to_owned(), writes, events: Vec::new() })
            .expect("the test's own statement is fine");
    };
    let product = || id("prod", 1);
    change("lists", "UPDATE catalog_listings SET available = 99, price_minor = 1");
    change("categories", "DELETE FROM catalog_category_listings");
    assert!(!audited(&ports).1.is_empty());
    assert_eq!(audit::rebuild(&ports, &staff(&ports), &product()), Ok(true));
    assert_sound(&ports);

    change("stock", "UPDATE catalog_stock SET on_hand = on_hand + 1");
    let broken = audited(&ports).1;
    assert!(broken.contains(&"on_hand_equals_movements"));
    assert_eq!(audit::rebuild(&ports, &staff(&ports), &variant_id(1, 0)), Ok(false));
    assert_eq!(audit::rebuild(&ports, &staff(&ports), "prod_00000000000000000000000000000077"), Ok(false));
    assert_eq!(audit::rebuild(&ports, &staff(&ports), &product()), Ok(true));
    assert!(audited(&ports).1.contains(&"on_hand_equals_movements"), "what was counted stays as it is");
}
