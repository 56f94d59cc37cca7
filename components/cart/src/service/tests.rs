//! Stories of carts on test ports, with other writers and outages between any two steps.

mod claims;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use souk_kit::cart::{CartState, LineWarning};
use souk_kit::kv::{Condition, Entry, KvError};
use souk_kit::testing::{Fault, TestPorts};
use souk_kit::{Money, ids, types::Actor};

use super::*;

/// Test ports, a catalog, and something that happens just before a chosen write.
struct Shop {
    ports: TestPorts,
    prices: RefCell<BTreeMap<Id, i64>>,
    asked: RefCell<Vec<usize>>,
    catalog_is_away: Cell<bool>,
    writes: Cell<u32>,
    fault: Cell<Option<(u32, Fault)>>,
    between: RefCell<Option<(u32, Between)>>,
}

type Between = Box<dyn Fn(&Shop)>;

impl Shop {
    /// A shop that sells `a`, `b` and `c` for 100, 200 and 300.
    fn new() -> Self {
        let prices = [("a", 100), ("b", 200), ("c", 300)].map(|(name, price)| (var(name), price));
        Self {
            ports: TestPorts::new("cart", &[]),
            prices: RefCell::new(prices.into()),
            asked: RefCell::default(),
            catalog_is_away: Cell::new(false),
            writes: Cell::new(0),
            fault: Cell::new(None),
            between: RefCell::new(None),
        }
    }

    fn guest(&self) -> Call {
        self.ports.call(Actor::Guest)
    }

    fn user(&self, name: &str) -> Call {
        self.ports.call(Actor::User(usr(name)))
    }

    /// Lets another writer act just before the write after the next `skip` ones.
    fn interrupt(&self, skip: u32, what: impl Fn(&Shop) + 'static) {
        *self.between.borrow_mut() = Some((self.writes.get() + skip, Box::new(what)));
    }

    /// Lets the write after the next `skip` ones go wrong, once.
    fn fail(&self, skip: u32, fault: Fault) {
        self.fault.set(Some((self.writes.get() + skip, fault)));
    }

    fn filled(&self, name: &str, lines: &[(&str, u32)]) -> CartView {
        create(self, &self.guest(), &cart(name), "EUR").expect("it is made");
        set_lines(self, &self.guest(), &cart(name), &changes(lines), None).expect("it is filled")
    }
}

impl Kv for Shop {
    fn get(&self, key: &str) -> Result<Option<Entry>, KvError> {
        Kv::get(&self.ports, key)
    }

    fn set(&self, key: &str, value: &str, condition: Condition, ttl_seconds: Option<u64>) -> Result<u64, KvError> {
        let due = self.between.borrow().as_ref().is_some_and(|(at, _)| *at == self.writes.get());
        if due && let Some((_, what)) = self.between.take() {
            what(self);
        }
        let place = self.writes.replace(self.writes.get() + 1);
        let away = || KvError::Unavailable("a fault that the test asked for".to_owned());
        match self.fault.get().filter(|(at, _)| *at == place) {
            Some((_, Fault::BeforeCommit)) => Err(away()),
            Some((_, Fault::LostReply)) => self.ports.set(key, value, condition, ttl_seconds).and_then(|_| Err(away())),
            Some((_, Fault::StorageFull)) => Err(KvError::StorageFull),
            None => self.ports.set(key, value, condition, ttl_seconds),
        }
    }

    fn delete(&self, key: &str, condition: Condition) -> Result<(), KvError> {
        self.ports.delete(key, condition)
    }

    fn increment(&self, key: &str, by: i64, ttl_seconds: Option<u64>) -> Result<i64, KvError> {
        self.ports.increment(key, by, ttl_seconds)
    }
}

impl Catalog for Shop {
    fn get_offers(&self, _: &Context, variant_ids: &[Id], currency: &str) -> Result<Vec<Offer>, CatalogError> {
        if self.catalog_is_away.get() {
            return Err(CatalogError::Unavailable("away".to_owned()));
        }
        assert!(variant_ids.len() <= 200, "the catalog's limit");
        self.asked.borrow_mut().push(variant_ids.len());
        let prices = self.prices.borrow();
        let offer = |id: &Id| {
            Some(Offer {
                variant_id: id.clone(),
                product_id: "prod".to_owned(),
                slug: "slug".to_owned(),
                title: "Title".to_owned(),
                variant_title: String::new(),
                sku: "SKU".to_owned(),
                weight_grams: 1,
                image_url: String::new(),
                unit_price: Some(Money::new(*prices.get(id)?, currency)),
                available: 1000,
                on_sale: true,
            })
        };
        Ok(variant_ids.iter().filter_map(offer).collect())
    }
}

fn var(name: &str) -> Id {
    ids::derive("var", &[name])
}

fn cart(name: &str) -> Id {
    ids::derive("cart", &[name])
}

fn usr(name: &str) -> Id {
    ids::derive("usr", &[name])
}

fn ord(name: &str) -> Id {
    ids::derive("ord", &[name])
}

fn changes(lines: &[(&str, u32)]) -> Vec<LineChange> {
    lines.iter().map(|(name, quantity)| LineChange { variant_id: var(name), quantity: *quantity }).collect()
}

fn quantities(view: &CartView) -> BTreeMap<&'static str, u32> {
    let name = |id: &Id| *["a", "b", "c"].iter().find(|name| var(name) == *id).expect("a known variant");
    view.lines.iter().map(|line| (name(&line.variant_id), line.quantity)).collect()
}

fn lines<const N: usize>(lines: [(&'static str, u32); N]) -> BTreeMap<&'static str, u32> {
    lines.into()
}

#[test]
fn one_order_freezes_a_cart_at_the_version_it_quoted() {
    let shop = Shop::new();
    let call = shop.guest();
    let read = shop.filled("g", &[("a", 1)]);
    let begin = |version, order| begin_checkout(&shop, &call, &cart("g"), version, &ord(order));
    assert_eq!(begin(read.version + 1, "1"), Err(CartError::Conflict), "another version");
    let frozen = begin(read.version, "1").expect("the version is the present one");
    assert_eq!(begin(read.version, "1"), Ok(frozen.clone()), "a repeat");
    assert_eq!(begin(frozen.version, "2"), Err(CartError::Conflict), "another order");
    assert_eq!(set_lines(&shop, &call, &cart("g"), &changes(&[("a", 2)]), None), Err(CartError::Closed));

    end_checkout(&shop, &call, &cart("g"), &ord("2"), Outcome::Confirmed).expect("harmless");
    assert_eq!(get(&shop, &call, &cart("g")), Ok(frozen), "another order ends nothing");
    end_checkout(&shop, &call, &cart("g"), &ord("1"), Outcome::Canceled).expect("it is freed");
    assert_eq!(begin(read.version, "1"), Err(CartError::Conflict), "a late repeat does not freeze what was freed");
    let open = get(&shop, &call, &cart("g")).expect("it is there");
    assert_eq!(open.state, CartState::Open);
    begin(open.version, "2").expect("the next order may");
    end_checkout(&shop, &call, &cart("g"), &ord("2"), Outcome::Confirmed).expect("it is confirmed");
    assert_eq!(begin(open.version, "3"), Err(CartError::Closed));
    end_checkout(&shop, &call, &cart("none"), &ord("2"), Outcome::Confirmed).expect("a cart that expired is harmless");
}

#[test]
fn a_change_that_comes_before_the_freeze_is_a_conflict() {
    let shop = Shop::new();
    let read = shop.filled("g", &[("a", 1)]);
    shop.interrupt(0, |shop| {
        set_lines(shop, &shop.guest(), &cart("g"), &changes(&[("a", 9)]), None).expect("it is open still");
    });
    let frozen = begin_checkout(&shop, &shop.guest(), &cart("g"), read.version, &ord("1"));
    assert_eq!(frozen, Err(CartError::Conflict));
}

#[test]
fn two_orders_at_once_freeze_a_cart_once() {
    let shop = Shop::new();
    let read = shop.filled("g", &[("a", 1)]);
    let version = read.version;
    shop.interrupt(0, move |shop| {
        begin_checkout(shop, &shop.guest(), &cart("g"), version, &ord("other")).expect("the other order wins");
    });
    let second = begin_checkout(&shop, &shop.guest(), &cart("g"), version, &ord("1"));
    assert_eq!(second, Err(CartError::Conflict));
    let state = get(&shop, &shop.guest(), &cart("g")).map(|view| view.state);
    assert_eq!(state, Ok(CartState::CheckingOut(ord("other"))));
}

#[test]
fn a_cart_is_made_once_and_priced_at_every_reading() {
    let shop = Shop::new();
    let made = create(&shop, &shop.guest(), &cart("g"), "EUR").expect("it is made");
    assert_eq!(create(&shop, &shop.guest(), &cart("g"), "EUR"), Ok(made.clone()), "a repeat");
    let filled = shop.filled("g", &[("a", 2), ("b", 1)]);
    assert!(filled.version > made.version);
    assert_eq!(filled.subtotal, Money::new(400, "EUR"));
    assert_eq!(create(&shop, &shop.guest(), &cart("g"), "USD"), Ok(filled), "a late repeat answers the cart as it is");

    shop.prices.borrow_mut().insert(var("a"), 150);
    shop.prices.borrow_mut().remove(&var("b"));
    let before = shop.writes.get();
    let view = get(&shop, &shop.guest(), &cart("g")).expect("it is there");
    assert_eq!(shop.writes.get(), before, "reading writes nothing");
    assert_eq!(view.subtotal, Money::new(300, "EUR"));
    let warnings: Vec<_> = view.lines.iter().flat_map(|line| line.warnings.clone()).collect();
    assert_eq!(warnings, [LineWarning::PriceChanged, LineWarning::Unavailable]);
}

#[test]
fn input_that_is_not_acceptable_is_named() {
    let shop = Shop::new();
    let pointers = |result: Result<CartView, CartError>| match result {
        Err(CartError::Invalid(errors)) => errors.into_iter().map(|error| error.pointer).collect::<Vec<_>>(),
        other => vec![format!("{other:?}")],
    };
    let bad = "cart_1".to_owned();
    assert_eq!(pointers(create(&shop, &shop.guest(), &bad, "eur")), ["/cart_id", "/currency"]);
    assert_eq!(pointers(get(&shop, &shop.guest(), &bad)), ["/cart_id"]);
    assert_eq!(
        pointers(set_lines(&shop, &shop.guest(), &cart("g"), &changes(&[("a", 1000)]), None)),
        ["/changes/0/quantity"]
    );
    assert_eq!(pointers(claim(&shop, &shop.guest(), &bad, &bad)), ["/cart_id", "/user_id"]);
    assert_eq!(pointers(begin_checkout(&shop, &shop.guest(), &bad, 1, &bad)), ["/cart_id", "/order_id"]);
    assert_eq!(pointers(get_for_user(&shop, &shop.guest(), &bad)), ["/user_id"]);
    assert_eq!(shop.writes.get(), 0);
}

#[test]
fn a_cart_lives_thirty_days_from_its_last_change() {
    const DAY: i64 = 24 * 60 * 60 * 1000;
    let shop = Shop::new();
    shop.filled("g", &[("a", 1)]);
    shop.ports.advance(29 * DAY);
    set_lines(&shop, &shop.guest(), &cart("g"), &changes(&[("a", 2)]), None).expect("it is alive");
    shop.ports.advance(29 * DAY);
    get(&shop, &shop.guest(), &cart("g")).expect("it is alive");
    shop.ports.advance(DAY);
    assert_eq!(get(&shop, &shop.guest(), &cart("g")), Err(CartError::NotFound));
    create(&shop, &shop.guest(), &cart("g"), "USD").expect("its id is free");
}

#[test]
fn a_version_that_is_not_the_present_one_is_a_conflict_unless_the_change_is_there() {
    let shop = Shop::new();
    let read = shop.filled("g", &[("a", 1)]);
    let set = |quantity, version| set_lines(&shop, &shop.guest(), &cart("g"), &changes(&[("a", quantity)]), version);
    let next = set(2, Some(read.version)).expect("the version is the present one");
    assert_eq!(set(2, Some(read.version)), Ok(next.clone()), "a repeat");
    assert_eq!(set(3, Some(read.version)), Err(CartError::Conflict));
    assert_eq!(set(3, None).expect("no version").lines[0].quantity, 3);
    assert_eq!(set(2, Some(next.version)), Err(CartError::Conflict));
}

#[test]
fn a_price_that_the_shopper_accepts_is_set_anew_by_the_same_quantity() {
    let shop = Shop::new();
    shop.filled("g", &[("a", 1)]);
    shop.prices.borrow_mut().insert(var("a"), 150);
    let view = set_lines(&shop, &shop.guest(), &cart("g"), &changes(&[("a", 1)]), None).expect("it is set");
    assert_eq!(view.lines[0].warnings, []);
    assert_eq!(view.lines[0].set_unit_price.minor, 150);
}

#[test]
fn another_writer_between_reading_and_writing_loses_nothing() {
    let shop = Shop::new();
    shop.filled("g", &[("a", 1)]);
    shop.interrupt(0, |shop| {
        set_lines(shop, &shop.guest(), &cart("g"), &changes(&[("b", 4)]), None).expect("the other writer wins");
    });
    let view = set_lines(&shop, &shop.guest(), &cart("g"), &changes(&[("a", 2)]), None).expect("the second try");
    assert_eq!(quantities(&view), lines([("a", 2), ("b", 4)]));

    shop.interrupt(0, |shop| {
        set_lines(shop, &shop.guest(), &cart("g"), &changes(&[("b", 5)]), None).expect("the other writer wins");
    });
    let named = set_lines(&shop, &shop.guest(), &cart("g"), &changes(&[("a", 3)]), Some(view.version));
    assert_eq!(named, Err(CartError::Conflict), "a command that names a version is not decided anew");
}

#[test]
fn a_writer_that_never_gets_through_says_conflict() {
    fn again(shop: &Shop) {
        let next = shop.writes.get() + 1;
        set_lines(shop, &shop.guest(), &cart("g"), &changes(&[("b", next % 900)]), None).expect("the others win");
        *shop.between.borrow_mut() = Some((shop.writes.get() + 1, Box::new(again)));
    }
    let shop = Shop::new();
    shop.filled("g", &[("a", 1)]);
    // The other writer writes once before each of ours.
    *shop.between.borrow_mut() = Some((shop.writes.get(), Box::new(again)));
    let refused = set_lines(&shop, &shop.guest(), &cart("g"), &changes(&[("a", 2)]), None);
    assert_eq!(refused, Err(CartError::Conflict));
}

#[test]
fn what_is_not_yours_does_not_exist() {
    let shop = Shop::new();
    let guest = shop.filled("g", &[("a", 1)]);
    let (alice, bob) = (shop.user("alice"), shop.user("bob"));
    let staff = shop.ports.call(Actor::Staff(usr("staff")));
    get(&shop, &bob, &cart("g")).expect("a guest's cart is seen by whoever knows its id");
    for other in [&shop.guest(), &bob] {
        assert_eq!(claim(&shop, other, &cart("g"), &usr("alice")), Err(CartError::NotFound), "for someone else");
    }
    let hers = claim(&shop, &alice, &cart("g"), &usr("alice")).expect("it becomes hers");
    assert_eq!(hers.user_id, Some(usr("alice")));
    for other in [&shop.guest(), &bob] {
        let none = Err(CartError::NotFound);
        assert_eq!(get(&shop, other, &cart("g")), none);
        assert_eq!(create(&shop, other, &cart("g"), "EUR"), none);
        assert_eq!(set_lines(&shop, other, &cart("g"), &changes(&[("a", 9)]), None), none);
        assert_eq!(get_for_user(&shop, other, &usr("alice")), none);
        assert_eq!(begin_checkout(&shop, other, &cart("g"), guest.version, &ord("1")), none);
        assert_eq!(end_checkout(&shop, other, &cart("g"), &ord("1"), Outcome::Canceled), Err(CartError::NotFound));
    }
    assert_eq!(claim(&shop, &bob, &cart("g"), &usr("bob")), Err(CartError::NotFound));
    assert_eq!(claim(&shop, &staff, &cart("g"), &usr("bob")), Err(CartError::NotFound), "not even by staff");
    assert_eq!(get_for_user(&shop, &staff, &usr("alice")), Ok(hers.clone()));
    assert_eq!(get(&shop, &alice, &cart("g")), Ok(hers));
}

#[test]
fn a_full_storage_is_told_as_such_and_changes_nothing() {
    let shop = Shop::new();
    let call = shop.guest();
    shop.fail(0, Fault::StorageFull);
    assert_eq!(create(&shop, &call, &cart("g"), "EUR"), Err(CartError::StorageFull));
    assert_eq!(get(&shop, &call, &cart("g")), Err(CartError::NotFound));
    let made = create(&shop, &call, &cart("g"), "EUR").expect("there is room");

    shop.fail(0, Fault::StorageFull);
    let set = || set_lines(&shop, &call, &cart("g"), &changes(&[("a", 2)]), Some(made.version));
    assert_eq!(set(), Err(CartError::StorageFull));
    assert_eq!(get(&shop, &call, &cart("g")), Ok(made.clone()), "reads go on");
    assert_eq!(quantities(&set().expect("there is room")), lines([("a", 2)]));
}

#[test]
fn any_other_command_that_fails_at_its_write_is_finished_by_a_repeat() {
    for fault in [Fault::BeforeCommit, Fault::LostReply] {
        let shop = Shop::new();
        let call = shop.guest();
        let failed = |error: Option<CartError>| assert!(matches!(error, Some(CartError::Unavailable(_))), "{error:?}");

        shop.fail(0, fault);
        failed(create(&shop, &call, &cart("g"), "EUR").err());
        let made = create(&shop, &call, &cart("g"), "EUR").expect("a repeat");

        shop.fail(0, fault);
        failed(set_lines(&shop, &call, &cart("g"), &changes(&[("a", 2)]), Some(made.version)).err());
        let set = set_lines(&shop, &call, &cart("g"), &changes(&[("a", 2)]), Some(made.version)).expect("a repeat");
        assert_eq!(quantities(&set), lines([("a", 2)]));

        shop.fail(0, fault);
        failed(begin_checkout(&shop, &call, &cart("g"), set.version, &ord("1")).err());
        let frozen = begin_checkout(&shop, &call, &cart("g"), set.version, &ord("1")).expect("a repeat");
        assert_eq!(frozen.state, CartState::CheckingOut(ord("1")));

        shop.fail(0, fault);
        failed(end_checkout(&shop, &call, &cart("g"), &ord("1"), Outcome::Confirmed).err());
        end_checkout(&shop, &call, &cart("g"), &ord("1"), Outcome::Confirmed).expect("a repeat");
        let ended = get(&shop, &call, &cart("g")).expect("it is kept");
        assert_eq!(ended.state, CartState::Completed(ord("1")));
    }
}

#[test]
fn an_outage_of_the_catalog_changes_nothing() {
    let shop = Shop::new();
    let read = shop.filled("g", &[("a", 1)]);
    let before = shop.writes.get();
    shop.catalog_is_away.set(true);
    let away =
        |result: Result<CartView, CartError>| assert!(matches!(result, Err(CartError::Unavailable(_))), "{result:?}");
    away(get(&shop, &shop.guest(), &cart("g")));
    away(set_lines(&shop, &shop.guest(), &cart("g"), &changes(&[("a", 2)]), None));
    away(begin_checkout(&shop, &shop.guest(), &cart("g"), read.version, &ord("1")));
    assert_eq!(shop.writes.get(), before);
    shop.catalog_is_away.set(false);
    assert_eq!(get(&shop, &shop.guest(), &cart("g")), Ok(read));
}

#[test]
fn a_command_asks_the_catalog_once_however_many_lines_there_are() {
    let shop = Shop::new();
    let names: Vec<String> = (0..200).map(|number| format!("v{number}")).collect();
    shop.prices.borrow_mut().extend(names.iter().map(|name| (var(name), 1)));
    let first: Vec<(&str, u32)> = names[..100].iter().map(|name| (name.as_str(), 1)).collect();
    shop.filled("g", &first);
    shop.asked.borrow_mut().clear();
    get(&shop, &shop.guest(), &cart("g")).expect("it is full");
    let one_more = set_lines(&shop, &shop.guest(), &cart("g"), &changes(&[("v100", 1)]), None);
    assert_eq!(one_more, Err(CartError::LimitReached));
    let mut swapped = changes(&first.iter().map(|(name, _)| (*name, 0)).collect::<Vec<_>>()[..50]);
    swapped.extend(names[100..150].iter().map(|name| LineChange { variant_id: var(name), quantity: 1 }));
    set_lines(&shop, &shop.guest(), &cart("g"), &swapped, None).expect("as many come as go");
    assert_eq!(*shop.asked.borrow(), [100, 101, 150]);
}

#[test]
fn a_full_cart_fits_its_value() {
    let shop = Shop::new();
    let line = domain::Line {
        variant_id: var("a"),
        quantity: domain::QUANTITY_MAX,
        unit_minor: souk_kit::money::AMOUNT_MAX,
        title: "😀".repeat(200),
        variant_title: "😀".repeat(200),
        sku: "😀".repeat(64),
    };
    let mut full = Cart::new(&cart("g"), "EUR");
    full.lines = vec![line; domain::LINES_MAX];
    store::save(&shop, &full, None).expect("it is saved");
    let stored = Kv::get(&shop, &format!("cart:{}", cart("g"))).expect("it is read").expect("it is there");
    assert!(stored.value.len() < 256 * 1024, "{} bytes", stored.value.len());
}
