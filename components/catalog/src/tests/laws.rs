//! Laws of stock, over random commands, faults and repeats.

use std::collections::BTreeMap;

use souk_kit::Sql;
use souk_kit::testing::{Dice, Fault, TestPorts, law};
use souk_kit::types::{Actor, Id};

use super::races::Racing;
use super::{assert_sound, id, line, product, shop_with, staff, units, variant_id};
use crate::service::{products, stock};
use crate::values::{CatalogError, Product, ReservationState, StockLine};

const VARIANTS: u64 = 3;
const ORDERS: u64 = 6;
const STEPS: u64 = 40;

/// A command, drawn once, so that it can be sent again as it is.
#[derive(Clone, Debug)]
enum Act {
    Reserve(Id, Vec<StockLine>, u32),
    Commit(Id),
    Release(Id),
    Adjust(Id, Id, i64),
    Restock(Id, Id, Vec<StockLine>),
    Update(Product),
    Expire,
}

fn draw(dice: &mut Dice, step: u64, version: u64) -> Act {
    let order = id("ord", dice.below(ORDERS));
    match dice.below(10) {
        0..=3 => {
            let ttl = 60 + u32::try_from(dice.below(120)).expect("small");
            let quantity = |dice: &mut Dice| u32::try_from(1 + dice.below(4)).expect("small");
            let lines = (0..=dice.below(3)).map(|_| line(dice.below(VARIANTS), quantity(dice))).collect();
            Act::Reserve(order, lines, ttl)
        }
        4 => Act::Commit(order),
        5 => Act::Release(order),
        6 => {
            let delta = i64::try_from(dice.below(9)).expect("small") - 4;
            Act::Adjust(id("mov", step + 100), variant_id(1, dice.below(VARIANTS)), delta)
        }
        7 => Act::Restock(id("cmd", step), order, vec![line(dice.below(VARIANTS), 1)]),
        8 => {
            // A variant is left out, and perhaps comes back with the next update.
            let mut product = Product { version, ..product(1, &["SKU-0", "SKU-1", "SKU-2"]) };
            let left_out = usize::try_from(dice.below(VARIANTS + 1)).expect("small");
            if left_out < product.variants.len() {
                product.variants.remove(left_out);
            }
            Act::Update(product)
        }
        _ => Act::Expire,
    }
}

/// Applies a command. `sql` is the database as this command sees it.
fn apply_on(ports: &TestPorts, sql: &impl Sql, act: &Act) -> Result<(), CatalogError> {
    let call = staff(ports);
    match act {
        Act::Reserve(order, lines, ttl) => stock::reserve(sql, &call, order, lines, *ttl).map(|_| ()),
        Act::Commit(order) => stock::commit_reservation(sql, &call, order).map(|_| ()),
        Act::Release(order) => stock::release_reservation(sql, &call, order).map(|_| ()),
        Act::Adjust(movement, variant, delta) => {
            stock::adjust_stock(sql, &call, movement, variant, *delta, "counted").map(|_| ())
        }
        Act::Restock(command, order, lines) => stock::restock(sql, &call, command, order, lines),
        Act::Update(product) => products::update_product(sql, &call, product).map(|_| ()),
        Act::Expire => {
            for event in ports.take_due_events() {
                if event.topic == "catalog.reservation-due" {
                    let system = ports.call(Actor::System(event.id.clone()));
                    let heard = stock::reservation_due(sql, &system, &event.key);
                    let again = stock::reservation_due(sql, &system, &event.key);
                    assert!(heard.is_ok() || again.is_ok(), "a timer is heard at the latest when it is repeated");
                }
            }
            Ok(())
        }
    }
}

fn apply(ports: &TestPorts, act: &Act) -> Result<(), CatalogError> {
    apply_on(ports, ports, act)
}

/// Everything that stock consists of, as one text.
fn books(ports: &TestPorts) -> String {
    let counts = [
        "SELECT COUNT(*) FROM catalog_movements",
        "SELECT COALESCE(SUM(available), 0) FROM catalog_listings",
        "SELECT COALESCE(SUM(restocked), 0) FROM catalog_reservation_lines",
        "SELECT COUNT(*) FROM catalog_reservations WHERE state = 'held'",
        "SELECT COUNT(*) FROM catalog_reservations WHERE state = 'committed'",
        "SELECT COUNT(*) FROM catalog_reservations WHERE state = 'released'",
        "SELECT version FROM catalog_products",
    ];
    let counts: Vec<i64> = counts.iter().map(|sql| ports.integer(sql)).collect();
    let units: Vec<(i64, i64)> = (0..VARIANTS).map(|n| units(ports, n)).collect();
    format!("{units:?} {counts:?}")
}

#[test]
fn stock_is_conserved_and_a_repeat_changes_nothing_whatever_fails() {
    let mut outcomes: BTreeMap<&str, u32> = BTreeMap::new();
    law(200, |dice| {
        let ports = shop_with(&[6, 3, 9]);
        for step in 0..STEPS {
            ports.advance(i64::try_from(dice.below(40_000)).expect("small"));
            let version = ports.integer("SELECT version FROM catalog_products").unsigned_abs();
            let act = draw(dice, step, version);
            match dice.below(4) {
                0 => ports.fail_commit(0, Fault::BeforeCommit),
                1 => ports.fail_commit(0, Fault::LostReply),
                _ => {}
            }
            let commits = ports.commits();
            let mut outcome = apply(&ports, &act);
            if matches!(outcome, Err(CatalogError::Unavailable(_))) {
                outcome = apply(&ports, &act);
            } else if ports.commits() == commits {
                ports.fail_commit(1_000_000, Fault::BeforeCommit); // there was no commit to fail
            }
            let before = books(&ports);
            assert_eq!(apply(&ports, &act), outcome, "{act:?} sent again answers the same");
            assert_eq!(books(&ports), before, "{act:?} sent again changes nothing");
            for n in 0..VARIANTS {
                let (on_hand, reserved) = units(&ports, n);
                assert!(0 <= reserved && reserved <= on_hand, "{act:?}");
            }
            if step % 10 == 0 {
                assert_sound(&ports);
            }
            let name = match outcome {
                Ok(()) => "done",
                Err(CatalogError::OutOfStock(_)) => "out of stock",
                Err(CatalogError::Expired) => "expired",
                Err(CatalogError::Settled) => "settled",
                Err(CatalogError::NotFound | CatalogError::Invalid(_)) => "unknown",
                Err(other) => panic!("{act:?}: {other:?}"),
            };
            *outcomes.entry(name).or_default() += 1;
        }
        settle(&ports);
    });
    for name in ["done", "out of stock", "expired", "settled", "unknown"] {
        assert!(outcomes.get(name).is_some_and(|count| *count > 20), "{name} is rare: {outcomes:?}");
    }
}

/// Once every promise has ended, what is left is what was received and counted, less what was sold.
fn settle(ports: &TestPorts) {
    ports.advance(86_400_000);
    apply(ports, &Act::Expire).expect("timers are heard");
    assert_eq!(ports.integer("SELECT COUNT(*) FROM catalog_reservations WHERE state = 'held'"), 0);
    for n in 0..VARIANTS {
        assert_eq!(units(ports, n).1, 0);
    }
    assert_sound(ports);
}

#[test]
fn as_many_orders_as_there_are_units_are_promised() {
    let ports = shop_with(&[100]);
    let promised = (0..150).filter(|order| {
        let reserved = stock::reserve(&ports, &staff(&ports), &id("ord", *order), &[line(0, 1)], 600);
        reserved.is_ok_and(|reservation| reservation.state == ReservationState::Held)
    });
    assert_eq!(promised.count(), 100);
    assert_eq!(units(&ports, 0), (100, 100));
}

#[test]
fn two_commands_at_once_leave_sound_books() {
    let mut contested = 0;
    law(150, |dice| {
        let ports = shop_with(&[6, 3, 9]);
        for step in 0..STEPS {
            ports.advance(i64::try_from(dice.below(30_000)).expect("small"));
            let version = ports.integer("SELECT version FROM catalog_products").unsigned_abs();
            let (act, rival) = (draw(dice, step, version), draw(dice, step + 1_000, version));
            let racing = Racing::new(&ports, || {
                let _ = apply(&ports, &rival);
            });
            let commits = ports.commits();
            let outcome = apply_on(&ports, &racing, &act);
            contested += u32::from(ports.commits() > commits + 2);
            let fine = !matches!(outcome, Err(CatalogError::Unavailable(_)));
            assert!(fine, "{act:?} against {rival:?}: {outcome:?}");
        }
        assert_sound(&ports);
        settle(&ports);
    });
    assert!(contested > 30, "a guard was missed only {contested} times");
}
