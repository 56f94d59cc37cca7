//! Address books.

use super::*;
use crate::service::addresses::{delete_address, list_addresses, set_address};
use souk_kit::testing::law;

fn set(shop: &Shop, address: &SavedAddress) -> String {
    case(&set_address(shop, &shop.as_user(&user_id(1)), &user_id(1), address))
}

fn delete(shop: &Shop, number: u64) -> String {
    case(&delete_address(shop, &shop.as_user(&user_id(1)), &user_id(1), &address_id(number)))
}

fn book(shop: &Shop) -> Vec<SavedAddress> {
    list_addresses(shop, &shop.as_user(&user_id(1)), &user_id(1)).expect("one's own")
}

#[test]
fn addresses_keep_their_order_and_replacing_one_keeps_its_place() {
    let shop = Shop::new();
    shop.registered(1);
    for number in [3, 1, 2] {
        assert_eq!(set(&shop, &saved_address(number)), "ok");
    }
    let mut moved = saved_address(1);
    moved.address.city = "Paris".to_owned();
    assert_eq!(set(&shop, &moved), "ok");
    assert_eq!(book(&shop), [saved_address(3), moved.clone(), saved_address(2)]);
    assert_eq!(delete(&shop, 3), "ok");
    assert_eq!(delete(&shop, 3), "ok");
    assert_eq!(book(&shop), [moved, saved_address(2)]);
    shop.audit();
}

#[test]
fn a_repeat_writes_nothing_and_a_bad_address_is_refused() {
    let shop = Shop::new();
    shop.registered(1);
    assert_eq!(set(&shop, &saved_address(1)), "ok");
    let commits = shop.ports.commits();
    assert_eq!(set(&shop, &saved_address(1)), "ok");
    assert_eq!(delete(&shop, 7), "ok");
    assert_eq!(shop.ports.commits(), commits);
    let mut bad = saved_address(2);
    bad.id = "2".to_owned();
    bad.address.city = String::new();
    bad.address.country = "uk".to_owned();
    let wrong = "/address/id malformed, /address/address/city required, /address/address/country malformed";
    assert_eq!(set(&shop, &bad), wrong);
}

#[test]
fn there_is_one_default_of_a_kind_in_the_tables_too() {
    law(20, |dice| {
        let shop = Shop::new();
        shop.registered(1);
        let mut expected: Vec<SavedAddress> = Vec::new();
        for _ in 0..15 {
            let number = dice.below(4);
            if dice.below(5) == 0 {
                assert_eq!(delete(&shop, number), "ok");
                expected.retain(|address| address.id != address_id(number));
            } else {
                let mut address = saved_address(number);
                address.default_shipping = dice.below(2) == 0;
                address.default_billing = dice.below(2) == 0;
                assert_eq!(set(&shop, &address), "ok");
                for other in &mut expected {
                    other.default_shipping &= !address.default_shipping;
                    other.default_billing &= !address.default_billing;
                }
                match expected.iter().position(|known| known.id == address.id) {
                    Some(place) => expected[place] = address,
                    None => expected.push(address),
                }
            }
            assert_eq!(book(&shop), expected);
        }
        shop.audit();
    });
}

#[test]
fn two_users_may_name_an_address_alike() {
    let shop = Shop::new();
    shop.registered(1);
    shop.registered(2);
    assert_eq!(set(&shop, &saved_address(1)), "ok");
    let mut other = saved_address(1);
    other.address.city = "Paris".to_owned();
    assert_eq!(case(&set_address(&shop, &shop.as_user(&user_id(2)), &user_id(2), &other)), "ok");
    assert_eq!(book(&shop), [saved_address(1)]);
}

#[test]
fn a_book_holds_fifty_even_when_two_race_for_the_last_place() {
    let shop = Shop::new();
    shop.registered(1);
    for number in 1..50 {
        assert_eq!(set(&shop, &saved_address(number)), "ok");
    }
    shop.interrupt(|shop| assert_eq!(set(shop, &saved_address(50)), "ok"));
    assert_eq!(set(&shop, &saved_address(51)), "limit-reached");
    assert_eq!(book(&shop).len(), 50);
    assert_eq!(set(&shop, &SavedAddress { default_billing: true, ..saved_address(50) }), "ok");
    shop.audit();
}

#[test]
fn two_defaults_set_at_once_leave_the_later() {
    let shop = Shop::new();
    shop.registered(1);
    let default = |number| SavedAddress { default_shipping: true, ..saved_address(number) };
    shop.interrupt(move |shop| assert_eq!(set(shop, &default(1)), "ok"));
    assert_eq!(set(&shop, &default(2)), "ok");
    assert_eq!(book(&shop), [saved_address(1), default(2)]);
}
