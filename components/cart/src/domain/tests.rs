//! Tables for every state and command, and the laws of merging.

use souk_kit::Money;
use souk_kit::cart::LineWarning;
use souk_kit::testing::{Dice, law};

use super::*;

const STATES: [&str; 5] = ["open", "checking o1", "checking o2", "completed o1", "merged c2"];

/// `STATE [OWNER'S] LINES | COMMAND | OUTCOME`. A line is `variant*quantity@price`; the catalog sells `a` to `z` at the
/// price of their place in the alphabet, except `x`, which has no price, `y`, which is not on sale, and `z`, which is gone.
fn check(table: &str) {
    for row in table.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let [before, command, after] = row.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("not a row: {row}")
        };
        assert_eq!(outcome(&cart(before), command), after, "{row}");
    }
}

fn outcome(cart: &Cart, text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [first, second] = ["o1", "usr_a"].map(str::to_owned);
    let changes: Vec<LineChange> = words[1..]
        .iter()
        .filter_map(|word| word.split_once('*'))
        .map(|(variant, quantity)| LineChange {
            variant_id: variant.to_owned(),
            quantity: quantity.parse().expect("a quantity"),
        })
        .collect();
    let lines = changes.iter().map(|change| line_of(&change.variant_id, change.quantity, 1)).collect::<Vec<_>>();
    let offers = offers();
    let into = "c9".to_owned();
    let command = match words[0] {
        "set" => Command::SetLines(&changes, &offers),
        "own" => Command::Own(&second),
        "absorb" => Command::Absorb(&lines),
        "end-as-merged" => Command::EndAsMerged { into: &into, user_id: &second },
        "begin" => Command::BeginCheckout(&first),
        "confirm" => Command::EndCheckout(&first, Outcome::Confirmed),
        "cancel" => Command::EndCheckout(&first, Outcome::Canceled),
        other => panic!("no command {other}"),
    };
    decide(cart, command).map_or_else(|error| format!("{error:?}"), |next| show(&next))
}

fn offers() -> Offers {
    ('a'..='y').map(|name| (name.to_string(), offer(name))).collect()
}

fn offer(name: char) -> Offer {
    let price = i64::from(u32::from(name) - u32::from('a') + 1);
    Offer {
        variant_id: name.to_string(),
        product_id: format!("prod_{name}"),
        slug: format!("slug-{name}"),
        title: format!("now {name}"),
        variant_title: String::new(),
        sku: format!("SKU-{name}"),
        weight_grams: 10,
        image_url: String::new(),
        unit_price: (name != 'x').then(|| Money::new(price, "EUR")),
        available: 5,
        on_sale: name != 'y',
    }
}

fn line_of(variant: &str, quantity: u32, price: i64) -> Line {
    Line {
        variant_id: variant.to_owned(),
        quantity,
        unit_minor: price,
        title: format!("then {variant}"),
        variant_title: String::new(),
        sku: String::new(),
    }
}

fn cart(text: &str) -> Cart {
    let mut cart = Cart::new(&"c1".to_owned(), "EUR");
    let mut words = text.split_whitespace();
    let mut id = || words.next().expect("a state with an id names it").to_owned();
    cart.state = match id().as_str() {
        "open" => State::Open,
        "checking" => State::CheckingOut(id()),
        "completed" => State::Completed(id()),
        "merged" => State::Merged(id()),
        other => panic!("no state {other}"),
    };
    for word in words {
        match word.split_once('*') {
            None => cart.user_id = Some(word.to_owned()),
            Some((variant, amounts)) => {
                let (quantity, price) = amounts.split_once('@').expect("a price");
                cart.lines.push(line_of(
                    variant,
                    quantity.parse().expect("a quantity"),
                    price.parse().expect("a price"),
                ));
            }
        }
    }
    cart
}

fn show(cart: &Cart) -> String {
    let mut text = match &cart.state {
        State::Open => "open".to_owned(),
        State::CheckingOut(id) => format!("checking {id}"),
        State::Completed(id) => format!("completed {id}"),
        State::Merged(id) => format!("merged {id}"),
    };
    if let Some(user_id) = &cart.user_id {
        text = format!("{text} {user_id}");
    }
    for line in &cart.lines {
        text = format!("{text} {}*{}@{}", line.variant_id, line.quantity, line.unit_minor);
    }
    text
}

#[test]
fn every_state_meets_every_command() {
    check(
        "
        open a*1@9         | set a*2       | open a*2@1
        checking o1 a*1@9  | set a*2       | CartError::Closed
        checking o2 a*1@9  | set a*2       | CartError::Closed
        completed o1 a*1@9 | set a*2       | CartError::Closed
        merged c2          | set a*2       | CartError::Closed

        open a*1@9         | own           | open usr_a a*1@9
        open usr_a         | own           | open usr_a
        open usr_b         | own           | CartError::NotFound
        checking o1        | own           | CartError::Closed
        checking o2        | own           | CartError::Closed
        completed o1       | own           | CartError::Closed
        merged c2          | own           | CartError::Closed

        open a*1@9         | absorb b*2    | open a*1@9 b*2@1
        checking o1 a*1@9  | absorb b*2    | CartError::Closed
        checking o2 a*1@9  | absorb b*2    | CartError::Closed
        completed o1       | absorb b*2    | CartError::Closed
        merged c2          | absorb b*2    | CartError::Closed

        open a*1@9         | end-as-merged | merged c9 usr_a
        open usr_a a*1@9   | end-as-merged | merged c9 usr_a
        open usr_b a*1@9   | end-as-merged | CartError::NotFound
        checking o1 a*1@9  | end-as-merged | CartError::Closed
        checking o2 a*1@9  | end-as-merged | CartError::Closed
        completed o1       | end-as-merged | CartError::Closed
        merged c2          | end-as-merged | CartError::Closed

        open a*1@9         | begin         | checking o1 a*1@9
        checking o1 a*1@9  | begin         | checking o1 a*1@9
        checking o2 a*1@9  | begin         | CartError::Conflict
        completed o1       | begin         | completed o1
        completed o2       | begin         | CartError::Closed
        merged c2          | begin         | CartError::Closed

        open a*1@9         | confirm       | open a*1@9
        checking o1 a*1@9  | confirm       | completed o1 a*1@9
        checking o2 a*1@9  | confirm       | checking o2 a*1@9
        completed o1       | confirm       | completed o1
        completed o2       | confirm       | completed o2
        merged c2          | confirm       | merged c2

        open a*1@9         | cancel        | open a*1@9
        checking o1 a*1@9  | cancel        | open a*1@9
        checking o2 a*1@9  | cancel        | checking o2 a*1@9
        completed o1 a*1@9 | cancel        | completed o1 a*1@9
        completed o2       | cancel        | completed o2
        merged c2          | cancel        | merged c2
    ",
    );
}

#[test]
fn quantities_are_set_all_or_none_at_the_price_of_now() {
    check(
        "
        open                 | set a*1 b*2     | open a*1@1 b*2@2
        open a*1@9 b*1@9     | set b*3         | open a*1@9 b*3@2
        open a*1@9 b*1@9     | set c*1 a*2     | open a*2@1 b*1@9 c*1@3
        open a*1@9 b*1@9     | set a*0         | open b*1@9
        open a*1@9           | set b*0         | open a*1@9
        open a*1@9           | set             | open a*1@9
        open a*1@9           | set a*999       | open a*999@1
        open a*1@9           | set a*2 x*1     | CartError::NotSold
        open a*1@9           | set y*1         | CartError::NotSold
        open a*1@9           | set z*1         | CartError::NotSold
        open z*1@9 x*1@9     | set z*0 x*0     | open
        open a*3@9 b*1@9     | absorb a*2 b*2  | open a*3@9 b*2@1
        open a*2@9           | absorb a*2      | open a*2@1
        open a*2@1           | absorb a*2      | open a*2@1
    ",
    );
}

#[test]
fn a_full_cart_takes_changes_of_its_lines_and_no_more_lines() {
    let mut full = cart("open");
    full.lines = (0..LINES_MAX).map(|place| line_of(&format!("v{place}"), 1, 1)).collect();
    assert_eq!(outcome(&full, "set a*1"), "CartError::LimitReached");
    assert_eq!(outcome(&full, "absorb a*1"), "CartError::LimitReached");
    assert!(outcome(&full, "set v0*0 a*1").ends_with("a*1@1"), "one leaves as one comes");
    assert!(outcome(&full, "absorb v7*3").contains(" v7*3@1 "));
}

#[test]
fn no_command_leaves_an_unsound_cart_and_a_repeat_changes_nothing() {
    law(500, |dice| {
        let mut now = dealt(dice);
        now.state = cart(dice.pick::<&str>(&STATES)).state;
        for _ in 0..10 {
            let name = char::from(b'a' + u8::try_from(dice.below(26)).expect("a letter"));
            let command = match dice.below(6) {
                0 | 1 => format!("set {name}*{}", dice.below(4)),
                2 => "own".to_owned(),
                3 => format!("absorb {name}*{}", 1 + dice.below(4)),
                4 => (*dice.pick::<&str>(&["begin", "confirm", "cancel"])).to_owned(),
                _ => "end-as-merged".to_owned(),
            };
            let (before, after) = (show(&now), outcome(&now, &command));
            if !after.starts_with("CartError") {
                now = cart(&after);
                // What was merged refuses to be merged again; `claim` looks at its state first.
                let repeated = if command == "end-as-merged" { "CartError::Closed" } else { &after };
                assert_eq!(outcome(&now, &command), repeated, "{before} | {command} twice");
            }
        }
    });
}

fn dealt(dice: &mut Dice) -> Cart {
    let mut dealt = cart("open");
    for name in 'a'..='h' {
        if dice.below(2) == 1 {
            let (quantity, price) = (1 + dice.below(4), 1 + dice.below(3));
            let quantity = u32::try_from(quantity).expect("small");
            dealt.lines.push(line_of(&name.to_string(), quantity, i64::try_from(price).expect("small")));
        }
    }
    dealt
}

fn sorted(mut cart: Cart) -> Vec<Line> {
    cart.lines.sort_by(|a, b| a.variant_id.cmp(&b.variant_id));
    cart.lines
}

fn merged(a: &Cart, b: &Cart) -> Cart {
    decide(a, Command::Absorb(&b.lines)).expect("small carts fit together")
}

#[test]
fn merging_commutes_associates_and_twice_is_once() {
    law(500, |dice| {
        let (a, b, c) = (dealt(dice), dealt(dice), dealt(dice));
        let once = merged(&a, &b);
        assert_eq!(merged(&once, &b), once, "again");
        assert_eq!(merged(&a, &a), a, "with itself");
        assert_eq!(sorted(once.clone()), sorted(merged(&b, &a)), "the other way round");
        assert_eq!(sorted(merged(&once, &c)), sorted(merged(&a, &merged(&b, &c))), "in another order");
        for line in a.lines.iter().chain(&b.lines) {
            assert_eq!(once.quantity(&line.variant_id), a.quantity(&line.variant_id).max(b.quantity(&line.variant_id)));
        }
        assert!(once.lines.iter().all(|line| a.lines.contains(line) || b.lines.contains(line)), "nothing is made up");
    });
}

#[test]
fn every_line_is_priced_now_and_says_what_to_know() {
    for (line, change, unit, total, warnings) in [
        ("a*2@1", "", 1, 2, &[][..]),
        ("a*2@9", "", 1, 2, &[LineWarning::PriceChanged][..]),
        ("a*6@1", "", 1, 6, &[LineWarning::LowStock][..]),
        ("a*5@1", "", 1, 5, &[][..]),
        ("a*6@9", "empty", 1, 6, &[LineWarning::PriceChanged, LineWarning::OutOfStock][..]),
        ("a*1@1", "oversold", 1, 1, &[LineWarning::OutOfStock][..]),
        ("a*1@1", "free", 0, 0, &[LineWarning::PriceChanged][..]),
        ("a*1@1", "foreign", 0, 0, &[LineWarning::Unavailable][..]),
        ("a*1@1", "negative", 0, 0, &[LineWarning::Unavailable][..]),
        ("x*1@9", "", 0, 0, &[LineWarning::Unavailable][..]),
        ("y*1@9", "", 0, 0, &[LineWarning::Unavailable][..]),
        ("z*7@9", "", 0, 0, &[LineWarning::Unavailable][..]),
    ] {
        let mut offers = offers();
        let offer = offers.get_mut("a").expect("it is offered");
        match change {
            "empty" => offer.available = 0,
            "oversold" => offer.available = -3,
            "free" => offer.unit_price = Some(Money::new(0, "EUR")),
            "foreign" => offer.unit_price = Some(Money::new(1, "USD")),
            "negative" => offer.unit_price = Some(Money::new(-1, "EUR")),
            _ => {}
        }
        let view = view(&cart(&format!("open {line} b*3@2")), 7, &offers);
        let item = &view.lines[0];
        let found = (item.unit_price.minor, item.total.minor, &item.warnings[..]);
        assert_eq!(found, (unit, total, warnings), "{line} {change}");
        assert_eq!(view.subtotal, Money::new(total + 6, "EUR"), "{line} {change}");
        assert!(item.available >= 0);
    }
}

#[test]
fn what_is_gone_shows_what_was_known_and_leads_nowhere() {
    let view = view(&cart("open y*1@4 z*1@4 a*1@4"), 7, &offers());
    let shown: Vec<_> = view.lines.iter().map(|line| (&line.title[..], &line.slug[..], &line.product_id[..])).collect();
    assert_eq!(shown, [("then y", "", ""), ("then z", "", ""), ("now a", "slug-a", "prod_a")]);
    assert!(view.lines.iter().all(|line| line.set_unit_price.minor == 4));
}

#[test]
fn the_dearest_cart_is_summed_exactly() {
    let mut dearest = cart("open");
    dearest.lines = (0..LINES_MAX).map(|place| line_of(&format!("v{place}"), QUANTITY_MAX, 1)).collect();
    let price = souk_kit::money::AMOUNT_MAX;
    let offers = dearest
        .lines
        .iter()
        .map(|line| (line.variant_id.clone(), Offer { unit_price: Some(Money::new(price, "EUR")), ..offer('a') }))
        .collect();
    assert_eq!(view(&dearest, 1, &offers).subtotal.minor, price * 999 * 100);
}

#[test]
fn everything_wrong_with_changes_is_named_at_once() {
    let id = souk_kit::ids::derive("var", &["a"]);
    let change = |variant_id: &str, quantity| LineChange { variant_id: variant_id.to_owned(), quantity };
    let named = |changes: &[LineChange]| match check_changes(changes) {
        Err(CartError::Invalid(errors)) => errors.iter().map(|e| format!("{} {}", e.pointer, e.code)).collect(),
        other => vec![format!("{other:?}")],
    };
    let wrong = [change("var_1", 1), change(&id, 1000), change(&id, u32::MAX)];
    assert_eq!(
        named(&wrong),
        [
            "/changes/0/variant_id malformed",
            "/changes/1/quantity out_of_range",
            "/changes/2/variant_id taken",
            "/changes/2/quantity out_of_range"
        ]
    );
    assert_eq!(named(&vec![change(&id, 1); LINES_MAX + 1]), ["/changes out_of_range"]);
    assert_eq!(named(&[change(&id, 0)]), ["Ok(())"]);
    assert_eq!(named(&[]), ["Ok(())"]);
}
