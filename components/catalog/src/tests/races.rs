//! Two writers at once: another one commits between the load and the commit of a use case.

use std::cell::{Cell, RefCell};

use souk_kit::Sql;
use souk_kit::sql::{Batch, Read, Snapshot, SqlError};
use souk_kit::testing::TestPorts;

use super::{assert_sound, id, line, list, product, query, shop_with, staff, units, variant_id};
use crate::service::{ATTEMPTS_MAX, categories, products, stock};
use crate::values::{CatalogError, Category, Product, ReservationState, Shortage};

/// A database on which a rival acts once, just before the first commit.
pub struct Racing<'a> {
    ports: &'a TestPorts,
    rival: RefCell<Option<Box<dyn FnOnce() + 'a>>>,
}

impl<'a> Racing<'a> {
    /// The same database, with a rival.
    pub fn new(ports: &'a TestPorts, rival: impl FnOnce() + 'a) -> Self {
        Self { ports, rival: RefCell::new(Some(Box::new(rival))) }
    }
}

impl Sql for Racing<'_> {
    fn query(&self, reads: &[Read], batch_id: Option<&str>) -> Result<Snapshot, SqlError> {
        self.ports.query(reads, batch_id)
    }

    fn commit(&self, batch: &Batch) -> Result<Vec<u64>, SqlError> {
        if let Some(rival) = self.rival.take() {
            rival();
        }
        self.ports.commit(batch)
    }
}

const TTL: u32 = 600;

fn reserve(ports: &TestPorts, sql: &impl Sql, order: u64, quantity: u32) -> Result<ReservationState, CatalogError> {
    stock::reserve(sql, &staff(ports), &id("ord", order), &[line(0, quantity)], TTL).map(|held| held.state)
}

fn commit(ports: &TestPorts, sql: &impl Sql, order: u64) -> Result<ReservationState, CatalogError> {
    stock::commit_reservation(sql, &staff(ports), &id("ord", order)).map(|sold| sold.state)
}

fn release(ports: &TestPorts, sql: &impl Sql, order: u64) -> Result<ReservationState, CatalogError> {
    stock::release_reservation(sql, &staff(ports), &id("ord", order)).map(|released| released.state)
}

fn expire(ports: &TestPorts, sql: &impl Sql, order: u64) -> Result<(), String> {
    stock::reservation_due(sql, &staff(ports), &id("ord", order))
}

fn short(available: i64) -> CatalogError {
    CatalogError::OutOfStock(vec![Shortage { variant_id: variant_id(1, 0), available }])
}

#[test]
fn the_last_unit_is_promised_once() {
    let ports = shop_with(&[1]);
    let racing = Racing::new(&ports, || assert_eq!(reserve(&ports, &ports, 2, 1), Ok(ReservationState::Held)));
    assert_eq!(reserve(&ports, &racing, 1, 1), Err(short(0)));
    assert_eq!(units(&ports, 0), (1, 1));
    assert_sound(&ports);
}

#[test]
fn an_order_reserves_once_whatever_it_asks_for_the_second_time() {
    let ports = shop_with(&[9]);
    let racing = Racing::new(&ports, || assert_eq!(reserve(&ports, &ports, 1, 2), Ok(ReservationState::Held)));
    let late = stock::reserve(&racing, &staff(&ports), &id("ord", 1), &[line(0, 5)], TTL).expect("it is held");
    assert_eq!(late.lines, [line(0, 2)], "it answers what is held");
    assert_eq!(units(&ports, 0), (9, 2));
    assert_sound(&ports);
}

#[test]
fn a_release_that_is_faster_leaves_nothing_to_hold_and_a_slower_one_gives_back() {
    let ports = shop_with(&[9]);
    let racing = Racing::new(&ports, || assert_eq!(release(&ports, &ports, 1), Ok(ReservationState::Released)));
    assert_eq!(reserve(&ports, &racing, 1, 2), Ok(ReservationState::Released));
    let racing = Racing::new(&ports, || assert_eq!(reserve(&ports, &ports, 2, 2), Ok(ReservationState::Held)));
    assert_eq!(release(&ports, &racing, 2), Ok(ReservationState::Released));
    assert_eq!(units(&ports, 0), (9, 0));
    assert_sound(&ports);
}

#[test]
fn of_a_sale_and_an_expiry_one_wins() {
    for rival_takes_the_rest in [false, true] {
        let ports = shop_with(&[2]);
        reserve(&ports, &ports, 1, 2).expect("there is enough");
        ports.advance(i64::from(TTL) * 1000);
        let racing = Racing::new(&ports, || {
            expire(&ports, &ports, 1).expect("it is due");
            if rival_takes_the_rest {
                reserve(&ports, &ports, 2, 1).expect("it is free");
            }
        });
        let sold = commit(&ports, &racing, 1);
        let wanted = if rival_takes_the_rest { Err(CatalogError::Expired) } else { Ok(ReservationState::Committed) };
        assert_eq!(sold, wanted);
        assert_eq!(units(&ports, 0), if rival_takes_the_rest { (2, 1) } else { (0, 0) });
        assert_sound(&ports);
    }
    let ports = shop_with(&[2]);
    reserve(&ports, &ports, 1, 2).expect("there is enough");
    ports.advance(i64::from(TTL) * 1000);
    let racing = Racing::new(&ports, || assert_eq!(commit(&ports, &ports, 1), Ok(ReservationState::Committed)));
    assert_eq!(expire(&ports, &racing, 1), Ok(()));
    assert_eq!(units(&ports, 0), (0, 0));
    assert_sound(&ports);
}

#[test]
fn a_sale_that_is_taken_again_takes_only_what_is_there() {
    let ports = shop_with(&[2]);
    reserve(&ports, &ports, 1, 2).expect("there is enough");
    release(&ports, &ports, 1).expect("it is held");
    let racing = Racing::new(&ports, || assert_eq!(reserve(&ports, &ports, 2, 1), Ok(ReservationState::Held)));
    assert_eq!(commit(&ports, &racing, 1), Err(CatalogError::Expired));
    assert_eq!(units(&ports, 0), (2, 1));
    assert_sound(&ports);
}

#[test]
fn a_count_leaves_what_was_promised_meanwhile() {
    let ports = shop_with(&[5]);
    let adjust = |sql: &Racing<'_>, movement, delta| {
        stock::adjust_stock(sql, &staff(&ports), &id("mov", movement), &variant_id(1, 0), delta, "counted")
    };
    let racing = Racing::new(&ports, || assert_eq!(reserve(&ports, &ports, 1, 3), Ok(ReservationState::Held)));
    assert_eq!(adjust(&racing, 8, -3), Err(short(2)));
    let racing = Racing::new(&ports, || assert_eq!(reserve(&ports, &ports, 2, 1), Ok(ReservationState::Held)));
    let counted = adjust(&racing, 8, 4).expect("more is always fine");
    assert_eq!((counted.on_hand, counted.reserved), (9, 4));
    let told = ports.take_due_events().pop().map(|event| event.payload).unwrap_or_default();
    assert!(told.contains(r#""on_hand":9,"reserved":4"#), "the event says how it is afterwards: {told}");
    let racing = Racing::new(&ports, || {
        let other = stock::adjust_stock(&ports, &staff(&ports), &id("mov", 9), &variant_id(1, 0), 7, "found");
        other.expect("the movement is new");
    });
    assert_eq!(adjust(&racing, 9, 1), Err(CatalogError::Conflict), "the movement is another one");
    assert_sound(&ports);
}

#[test]
fn two_restockings_bring_back_no_more_than_was_taken() {
    let ports = shop_with(&[5]);
    reserve(&ports, &ports, 1, 3).expect("there is enough");
    commit(&ports, &ports, 1).expect("it is held");
    let direct = |command| stock::restock(&ports, &staff(&ports), &id("cmd", command), &id("ord", 1), &[line(0, 2)]);
    let racing = Racing::new(&ports, || assert_eq!(direct(1), Ok(())));
    let late = stock::restock(&racing, &staff(&ports), &id("cmd", 2), &id("ord", 1), &[line(0, 2)]);
    assert!(matches!(late, Err(CatalogError::Invalid(_))), "{late:?}");
    let racing = Racing::new(&ports, || assert_eq!(direct(1), Ok(())));
    let repeat = stock::restock(&racing, &staff(&ports), &id("cmd", 1), &id("ord", 1), &[line(0, 2)]);
    assert_eq!(repeat, Ok(()));
    assert_eq!(units(&ports, 0), (4, 0));
    assert_sound(&ports);
}

#[test]
fn of_two_restockings_of_one_command_both_hear_that_it_is_done() {
    /// A database on which a rival acts once, right after the first read.
    struct Overtaken<'a>(&'a TestPorts, Cell<Option<&'a dyn Fn()>>);
    impl Sql for Overtaken<'_> {
        fn query(&self, reads: &[Read], batch_id: Option<&str>) -> Result<Snapshot, SqlError> {
            let snapshot = self.0.query(reads, batch_id);
            if let Some(rival) = self.1.take() {
                rival();
            }
            snapshot
        }
        fn commit(&self, batch: &Batch) -> Result<Vec<u64>, SqlError> {
            self.0.commit(batch)
        }
    }
    let ports = shop_with(&[5]);
    reserve(&ports, &ports, 1, 3).expect("there is enough");
    commit(&ports, &ports, 1).expect("it is held");
    let (command, order, all) = (id("cmd", 1), id("ord", 1), [line(0, 3)]);
    let rival = || assert_eq!(stock::restock(&ports, &staff(&ports), &command, &order, &all), Ok(()));
    let overtaken = Overtaken(&ports, Cell::new(Some(&rival)));
    assert_eq!(stock::restock(&overtaken, &staff(&ports), &command, &order, &all), Ok(()));
    assert_eq!(units(&ports, 0), (5, 0));
    assert_sound(&ports);
}

#[test]
fn what_leaves_the_catalog_meanwhile_is_not_promised() {
    let ports = shop_with(&[5, 5]);
    let racing = Racing::new(&ports, || {
        let left = Product { version: 1, ..product(1, &["SKU-0", "SKU-1"]) };
        let mut left = Product { variants: left.variants[1..].to_vec(), ..left };
        left.variants[0].sku = "SKU-0".to_owned();
        products::update_product(&ports, &staff(&ports), &left).expect("the version is the present one");
    });
    assert_eq!(reserve(&ports, &racing, 1, 1), Err(short(0)));
    assert_eq!(list(&ports, query())[0].available, 5);
    assert_sound(&ports);
}

#[test]
fn a_slug_a_sku_and_a_variant_have_one_product() {
    let ports = shop_with(&[1]);
    let create = |n, sku: &str| products::create_product(&ports, &staff(&ports), &product(n, &[sku]));
    let mut same_slug = product(3, &["B"]);
    same_slug.slug = "product-2".to_owned();
    let mut same_variant = product(5, &["D"]);
    same_variant.variants[0].id = variant_id(6, 0);
    for (late, n, sku, taken) in [
        (same_slug, 2, "A", "/slug"),
        (product(4, &["C"]), 7, "C", "/variants/0/sku"),
        (same_variant, 6, "E", "/variants/0/id"),
    ] {
        let racing = Racing::new(&ports, || assert!(create(n, sku).is_ok()));
        let Err(CatalogError::Invalid(errors)) = products::create_product(&racing, &staff(&ports), &late) else {
            panic!("{taken} is taken")
        };
        assert_eq!((errors[0].pointer.as_str(), errors[0].code.as_str()), (taken, "taken"));
    }
    let racing = Racing::new(&ports, || assert!(create(8, "F").is_ok()));
    let other = products::create_product(&racing, &staff(&ports), &product(8, &["G"]));
    assert_eq!(other, Err(CatalogError::Conflict), "the same id with other content");
    let racing = Racing::new(&ports, || assert!(create(9, "H").is_ok()));
    let same = products::create_product(&racing, &staff(&ports), &product(9, &["H"]));
    assert_eq!(same.map(|product| product.version), Ok(1), "the same id with the same content");
    assert_sound(&ports);
}

#[test]
fn of_two_updates_of_one_version_one_wins() {
    let ports = shop_with(&[1]);
    let titled = |title: &str| Product { title: title.to_owned(), version: 1, ..product(1, &["SKU-0"]) };
    let rival = || products::update_product(&ports, &staff(&ports), &titled("Two"));
    let racing = Racing::new(&ports, || assert!(rival().is_ok()));
    let late = products::update_product(&racing, &staff(&ports), &titled("Three"));
    assert_eq!(late, Err(CatalogError::Conflict));
    let racing = Racing::new(&ports, || {
        products::update_product(&ports, &staff(&ports), &Product { version: 2, ..titled("Four") }).expect("present");
    });
    let deleted = products::delete_product(&racing, &staff(&ports), &id("prod", 1), Some(2));
    assert_eq!(deleted, Err(CatalogError::Conflict));
    assert_eq!(list(&ports, query())[0].title, "Four");
}

fn category(n: u64, parent: Option<u64>) -> Category {
    let (slug, title) = (format!("category-{n}"), format!("Category {n}"));
    Category { id: id("cat", n), parent_id: parent.map(|n| id("cat", n)), slug, title, position: 0 }
}

#[test]
fn the_tree_stays_a_tree() {
    let ports = shop_with(&[1]);
    for n in 1..=3 {
        categories::set_category(&ports, &category(n, None)).expect("it is fine");
    }
    let racing = Racing::new(&ports, || {
        categories::set_category(&ports, &category(1, Some(2))).expect("it is fine");
    });
    let circle = categories::set_category(&racing, &category(2, Some(1)));
    assert!(matches!(circle, Err(CatalogError::Invalid(_))), "{circle:?}");
    let filed = Product { category_ids: vec![id("cat", 3)], ..product(2, &["A"]) };
    let racing = Racing::new(&ports, || assert_eq!(categories::delete_category(&ports, &id("cat", 3)), Ok(())));
    let created = products::create_product(&racing, &staff(&ports), &filed);
    assert!(matches!(created, Err(CatalogError::Invalid(_))), "{created:?}");
    let filed = Product { category_ids: vec![id("cat", 2)], ..filed };
    let racing = Racing::new(&ports, || {
        products::create_product(&ports, &staff(&ports), &filed).expect("the category is there");
    });
    assert_eq!(categories::delete_category(&racing, &id("cat", 2)), Err(CatalogError::InUse));
    assert_sound(&ports);
}

#[test]
fn a_crowd_ends_in_a_conflict_and_not_in_a_loop() {
    /// A database on which a rival acts before every commit.
    struct Crowded<'a>(&'a TestPorts, Cell<u64>);
    impl Sql for Crowded<'_> {
        fn query(&self, reads: &[Read], batch_id: Option<&str>) -> Result<Snapshot, SqlError> {
            self.0.query(reads, batch_id)
        }
        fn commit(&self, batch: &Batch) -> Result<Vec<u64>, SqlError> {
            self.1.set(self.1.get() + 1);
            let movement = id("mov", 1_000 + self.1.get());
            stock::adjust_stock(self.0, &staff(self.0), &movement, &variant_id(1, 0), 1, "found").expect("it is fine");
            self.0.commit(batch)
        }
    }
    let ports = shop_with(&[1]);
    let crowded = Crowded(&ports, Cell::new(0));
    let adjusted = stock::adjust_stock(&crowded, &staff(&ports), &id("mov", 9), &variant_id(1, 0), 1, "found");
    assert_eq!(adjusted, Err(CatalogError::Conflict));
    assert_eq!(crowded.1.get(), u64::from(ATTEMPTS_MAX));
    assert_eq!(units(&ports, 0), (1 + i64::from(ATTEMPTS_MAX), 0));
}
