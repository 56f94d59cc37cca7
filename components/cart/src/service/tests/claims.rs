//! A guest's cart becomes a user's.

use super::*;

#[test]
fn two_carts_of_a_user_become_one_with_the_larger_quantities() {
    let shop = Shop::new();
    let alice = shop.user("alice");
    shop.filled("1", &[("a", 1), ("b", 5)]);
    shop.filled("2", &[("b", 2), ("c", 3), ("a", 4)]);
    claim(&shop, &alice, &cart("1"), &usr("alice")).expect("the first becomes hers");
    let both = claim(&shop, &alice, &cart("2"), &usr("alice")).expect("the second is merged");
    assert_eq!((both.id.clone(), quantities(&both)), (cart("1"), lines([("a", 4), ("b", 5), ("c", 3)])));
    assert_eq!(get_for_user(&shop, &alice, &usr("alice")), Ok(both.clone()));

    let ended = get(&shop, &alice, &cart("2")).expect("it is hers");
    assert_eq!((ended.state, ended.lines), (CartState::Merged(cart("1")), vec![]));
    let changed = set_lines(&shop, &alice, &cart("1"), &changes(&[("c", 0)]), None).expect("it is open");
    for repeated in ["1", "2"] {
        let again = claim(&shop, &alice, &cart(repeated), &usr("alice"));
        assert_eq!(again, Ok(changed.clone()), "a repeat brings nothing back");
    }
    assert_eq!(
        set_lines(&shop, &alice, &cart("2"), &changes(&[("a", 1)]), None),
        Err(CartError::Closed),
        "what was merged can no longer change"
    );
    assert_eq!(get(&shop, &shop.guest(), &cart("2")), Err(CartError::NotFound), "and is no guest's any more");
}

#[test]
fn a_cart_of_another_currency_stands_beside_the_first() {
    let shop = Shop::new();
    let alice = shop.user("alice");
    shop.filled("1", &[("a", 1)]);
    create(&shop, &shop.guest(), &cart("2"), "USD").expect("it is made");
    claim(&shop, &alice, &cart("1"), &usr("alice")).expect("it is hers");
    let newest = claim(&shop, &alice, &cart("2"), &usr("alice")).expect("it is hers");
    assert_eq!((newest.id.clone(), newest.currency.clone()), (cart("2"), "USD".to_owned()));
    assert_eq!(get_for_user(&shop, &alice, &usr("alice")), Ok(newest));
    shop.filled("3", &[("b", 2)]);
    let merged = claim(&shop, &alice, &cart("3"), &usr("alice")).expect("it is merged");
    assert_eq!((merged.id.clone(), quantities(&merged)), (cart("1"), lines([("a", 1), ("b", 2)])));
}

#[test]
fn a_cart_that_is_being_ordered_or_was_cannot_be_claimed() {
    let shop = Shop::new();
    let alice = shop.user("alice");
    let read = shop.filled("g", &[("a", 1)]);
    begin_checkout(&shop, &shop.guest(), &cart("g"), read.version, &ord("1")).expect("it is open");
    assert_eq!(claim(&shop, &alice, &cart("g"), &usr("alice")), Err(CartError::Closed));
    end_checkout(&shop, &shop.guest(), &cart("g"), &ord("1"), Outcome::Confirmed).expect("the order is confirmed");
    assert_eq!(claim(&shop, &alice, &cart("g"), &usr("alice")), Err(CartError::Closed));
    assert_eq!(claim(&shop, &alice, &cart("none"), &usr("alice")), Err(CartError::NotFound));
}

#[test]
fn a_claim_beside_a_checkout_starts_a_cart_of_its_own() {
    let shop = Shop::new();
    let alice = shop.user("alice");
    let read = shop.filled("1", &[("a", 1)]);
    let hers = claim(&shop, &alice, &cart("1"), &usr("alice")).expect("it is hers");
    assert_ne!(hers.version, read.version);
    begin_checkout(&shop, &alice, &cart("1"), hers.version, &ord("1")).expect("it is open");
    assert_eq!(get_for_user(&shop, &alice, &usr("alice")), Err(CartError::NotFound));
    shop.filled("2", &[("b", 1)]);
    let second = claim(&shop, &alice, &cart("2"), &usr("alice")).expect("it is hers");
    assert_eq!(second.id, cart("2"));
    end_checkout(&shop, &alice, &cart("1"), &ord("1"), Outcome::Confirmed).expect("the order is confirmed");
    assert_eq!(get_for_user(&shop, &alice, &usr("alice")).map(|view| view.id), Ok(cart("2")));
}

#[test]
fn carts_claimed_at_once_become_one() {
    // The other claim comes before each of the writes of this one.
    for skip in 0..2 {
        let shop = Shop::new();
        let alice = shop.user("alice");
        shop.filled("1", &[("a", 1)]);
        shop.filled("2", &[("b", 2)]);
        shop.interrupt(skip, |shop| {
            claim(shop, &shop.user("alice"), &cart("2"), &usr("alice")).expect("the other claim wins");
        });
        let view = claim(&shop, &alice, &cart("1"), &usr("alice")).expect("this claim finds the other");
        assert_eq!(quantities(&view), lines([("a", 1), ("b", 2)]), "before write {skip}");
        assert_eq!(get_for_user(&shop, &alice, &usr("alice")), Ok(view));
    }
}

#[test]
fn a_line_that_comes_while_the_cart_is_merged_is_not_lost() {
    for skip in 0..2 {
        let shop = Shop::new();
        let alice = shop.user("alice");
        shop.filled("1", &[("a", 1)]);
        claim(&shop, &alice, &cart("1"), &usr("alice")).expect("it is hers");
        shop.filled("2", &[("b", 2)]);
        shop.interrupt(skip, |shop| {
            set_lines(shop, &shop.guest(), &cart("2"), &changes(&[("c", 3)]), None).expect("it is open still");
        });
        let view = claim(&shop, &alice, &cart("2"), &usr("alice")).expect("it is merged");
        assert_eq!(quantities(&view), lines([("a", 1), ("b", 2), ("c", 3)]), "before write {skip}");
    }
}

#[test]
fn a_claim_that_fails_at_any_write_is_finished_by_a_repeat() {
    for first in ["none", "1"] {
        for fault in [Fault::BeforeCommit, Fault::LostReply] {
            for skip in 0..2 {
                let shop = Shop::new();
                let alice = shop.user("alice");
                if first != "none" {
                    shop.filled(first, &[("a", 1)]);
                    claim(&shop, &alice, &cart(first), &usr("alice")).expect("it is hers");
                }
                shop.filled("2", &[("b", 2)]);
                shop.fail(skip, fault);
                let failed = claim(&shop, &alice, &cart("2"), &usr("alice"));
                assert!(matches!(failed, Err(CartError::Unavailable(_))), "{first} {fault:?} {skip}: {failed:?}");
                let view = claim(&shop, &alice, &cart("2"), &usr("alice")).expect("a repeat");
                let expected = if first == "none" { lines([("b", 2)]) } else { lines([("a", 1), ("b", 2)]) };
                assert_eq!(quantities(&view), expected, "{first} {fault:?} {skip}");
                assert_eq!(get_for_user(&shop, &alice, &usr("alice")), Ok(view.clone()));
                assert_eq!(claim(&shop, &alice, &cart("2"), &usr("alice")), Ok(view), "and once more");
            }
        }
    }
}
