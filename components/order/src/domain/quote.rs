//! What a checkout would cost: lines, tax and shipping, and the digest by which a shopper agrees to it.
//!
//! The digest needs no secret. `place` computes the quote anew from the live cart and the live terms and compares, so the
//! text that a shopper sends back is never believed; a forged expiry only prolongs what is still true.

use souk_kit::cart::{CartView, LineItem, LineWarning};
use souk_kit::order::{LineShortage, OrderLine, Quote, ShippingOption, Totals};
use souk_kit::{Instant, Money, ids, money};

use super::terms::Terms;
use super::{LINES_MAX, Line};

/// How long a quote holds.
pub const QUOTE_MILLIS: i64 = 15 * 60 * 1000;

/// How far the clocks of two hosts may be apart.
const CLOCK_SKEW_MILLIS: i64 = 60 * 1000;

/// The form of the hash; another digest in the future gets another name.
const FORM: &str = "q1";

/// Why there is no price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPrice {
    /// No line can be bought.
    CartEmpty,
    /// The sum is beyond what an order may cost, or there are too many lines.
    TooLarge,
    /// The way of shipping is not offered to this address, or none is.
    ShippingUnavailable,
    /// The configuration or the cart makes no sense; for a person.
    Unavailable(String),
}

/// A cart with all that its checkout would cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priced {
    /// Lines that can be bought.
    pub lines: Vec<Line>,
    /// Ways of shipping, cheapest first.
    pub options: Vec<ShippingOption>,
    /// The way chosen.
    pub method: String,
    /// What it costs.
    pub totals: Totals,
}

/// Prices a cart for a country and a way of shipping; the cheapest when none is named.
pub fn price(cart: &CartView, country: &str, method: Option<&str>, terms: &Terms) -> Result<Priced, NoPrice> {
    let rate = terms.rate(country).map_err(NoPrice::Unavailable)?;
    let items: Vec<&LineItem> = cart.lines.iter().filter(|line| counts(line)).collect();
    if items.is_empty() {
        return Err(NoPrice::CartEmpty);
    }
    if items.len() > LINES_MAX {
        return Err(NoPrice::TooLarge);
    }
    let lines = items.into_iter().map(|item| line(item, &cart.currency, rate)).collect::<Result<Vec<_>, _>>()?;
    let subtotal = money::sum(lines.iter().map(|line| line.item.total.minor)).ok_or(NoPrice::TooLarge)?;
    let options = options(terms, country, &cart.currency, subtotal);
    let chosen = match method {
        None => options.first(),
        Some(code) => options.iter().find(|option| option.code == code),
    };
    let chosen = chosen.ok_or(NoPrice::ShippingUnavailable)?;
    let shipping = chosen.price.minor;
    let taxes = lines.iter().map(|line| line.item.tax.minor).chain([money::share_half_up(shipping, rate)]);
    let tax = money::sum(taxes).ok_or(NoPrice::TooLarge)?;
    let total = money::sum([subtotal, shipping, tax]).ok_or(NoPrice::TooLarge)?;
    let amount = |minor| Money::new(minor, &cart.currency);
    let totals =
        Totals { subtotal: amount(subtotal), shipping: amount(shipping), tax: amount(tax), total: amount(total) };
    Ok(Priced { lines, method: chosen.code.clone(), options, totals })
}

/// Lines of a cart that want more than there is.
pub fn shortages(cart: &CartView) -> Vec<LineShortage> {
    let short = cart.lines.iter().filter(|line| counts(line) && line.available < i64::from(line.quantity));
    short.map(|line| LineShortage { variant_id: line.variant_id.clone(), available: line.available.max(0) }).collect()
}

/// The quote for a priced cart, as it is shown now.
pub fn quote(cart: &CartView, country: &str, priced: Priced, now: Instant) -> Quote {
    let expires_at = now + QUOTE_MILLIS;
    Quote {
        hash: hash(cart, country, &priced, expires_at),
        cart_id: cart.id.clone(),
        cart_version: cart.version,
        lines: priced.lines.into_iter().map(|line| line.item).collect(),
        shipping_options: priced.options,
        shipping_method: priced.method,
        totals: priced.totals,
        expires_at,
    }
}

/// Whether what the shopper saw still holds.
pub fn holds(hash_seen: &str, cart: &CartView, country: &str, priced: &Priced, now: Instant) -> bool {
    let mut parts = hash_seen.split('.');
    let expires_at = match (parts.next(), parts.next().map(str::parse::<Instant>)) {
        (Some(FORM), Some(Ok(expires_at))) => expires_at,
        _ => return false,
    };
    let latest = now + QUOTE_MILLIS + CLOCK_SKEW_MILLIS;
    (now < expires_at && expires_at <= latest) && hash(cart, country, priced, expires_at) == hash_seen
}

/// Whether a line counts for anything.
fn counts(line: &LineItem) -> bool {
    !line.warnings.iter().any(|warning| match warning {
        LineWarning::Unavailable => true,
        LineWarning::PriceChanged | LineWarning::LowStock | LineWarning::OutOfStock => false,
    })
}

fn line(item: &LineItem, currency: &str, rate: u32) -> Result<Line, NoPrice> {
    if item.unit_price.currency != currency || item.unit_price.minor < 0 {
        return Err(NoPrice::Unavailable(format!("the price of {} is not one of its cart", item.variant_id)));
    }
    if !(1..=999).contains(&item.quantity) {
        return Err(NoPrice::Unavailable(format!("the quantity of {} is out of range", item.variant_id)));
    }
    let total = money::times(item.unit_price.minor, item.quantity).ok_or(NoPrice::TooLarge)?;
    let item = OrderLine {
        variant_id: item.variant_id.clone(),
        product_id: item.product_id.clone(),
        title: item.title.clone(),
        variant_title: item.variant_title.clone(),
        sku: item.sku.clone(),
        image_url: item.image_url.clone(),
        quantity: item.quantity,
        fulfilled: 0,
        unit_price: item.unit_price.clone(),
        total: Money::new(total, currency),
        tax: Money::new(money::share_half_up(total, rate), currency),
    };
    Ok(Line { item, withdrawn: 0, returned: 0 })
}

fn options(terms: &Terms, country: &str, currency: &str, subtotal: i64) -> Vec<ShippingOption> {
    let mut options: Vec<ShippingOption> = terms
        .methods
        .iter()
        .filter_map(|method| {
            let price = Money::new(method.price(country, currency, subtotal)?, currency);
            Some(ShippingOption { code: method.code.clone(), title: method.title.clone(), price })
        })
        .collect();
    options.sort_by(|a, b| (a.price.minor, &a.code).cmp(&(b.price.minor, &b.code)));
    options
}

/// `q1.<expires-at>.<digest>`: the digest covers the expiry and everything that the shopper was shown.
fn hash(cart: &CartView, country: &str, priced: &Priced, expires_at: Instant) -> String {
    let totals = &priced.totals;
    let mut parts = vec![
        expires_at.to_string(),
        cart.id.clone(),
        cart.version.to_string(),
        country.to_owned(),
        priced.method.clone(),
        cart.currency.clone(),
        priced.lines.len().to_string(),
    ];
    parts.extend(
        [&totals.subtotal, &totals.shipping, &totals.tax, &totals.total].map(|amount| amount.minor.to_string()),
    );
    for Line { item, .. } in &priced.lines {
        parts.extend([item.variant_id.clone(), item.title.clone(), item.variant_title.clone()]);
        parts.extend([i64::from(item.quantity), item.unit_price.minor, item.tax.minor].map(|n| n.to_string()));
    }
    let digest = ids::digest(&parts.iter().map(String::as_str).collect::<Vec<_>>());
    format!("{FORM}.{expires_at}.{digest}")
}

#[cfg(test)]
mod tests {
    use souk_kit::cart::CartState;
    use souk_kit::testing::{Dice, START, law};

    use super::*;

    fn item(variant: &str, quantity: u32, price: i64) -> LineItem {
        LineItem {
            variant_id: variant.to_owned(),
            product_id: "prod_1".to_owned(),
            slug: "thing".to_owned(),
            title: "Thing".to_owned(),
            variant_title: "M".to_owned(),
            sku: "T-M".to_owned(),
            image_url: String::new(),
            quantity,
            unit_price: Money::new(price, "EUR"),
            set_unit_price: Money::new(price, "EUR"),
            total: Money::new(price.saturating_mul(i64::from(quantity)), "EUR"),
            available: 5,
            weight_grams: 1,
            warnings: Vec::new(),
        }
    }

    fn cart(lines: Vec<LineItem>) -> CartView {
        CartView {
            id: "cart_1".to_owned(),
            user_id: None,
            currency: "EUR".to_owned(),
            state: CartState::Open,
            lines,
            subtotal: Money::new(0, "EUR"),
            version: 3,
        }
    }

    fn terms() -> Terms {
        let shipping = r#"[{"code":"post","title":"Post","price":{"EUR":450},"free_over":{"EUR":10000}},
            {"code":"bike","title":"Bike","price":{"EUR":300},"countries":["FR"]},
            {"code":"air","title":"Air","price":{"USD":900}}]"#;
        Terms::parse(Some("DE=1900,FR=2000,*=0"), Some(shipping), None).expect("the terms read")
    }

    /// One row: lines as `quantity x price`, country, way of shipping, and either `subtotal shipping tax total` or why not.
    fn check(rows: &str) {
        for row in rows.lines().map(str::trim).filter(|row| !row.is_empty()) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let lines = cells[0].split_whitespace().enumerate().map(|(place, cell)| {
                let (quantity, price) = cell.split_once('x').expect("quantity x price");
                let number = |text: &str| text.parse::<i64>().expect("a number");
                item(&format!("var_{place}"), u32::try_from(number(quantity)).expect("small"), number(price))
            });
            let method = Some(cells[2]).filter(|method| !method.is_empty());
            let outcome = match price(&cart(lines.collect()), cells[1], method, &terms()) {
                Ok(Priced { totals: t, method, .. }) => {
                    format!("{method} {} {} {} {}", t.subtotal.minor, t.shipping.minor, t.tax.minor, t.total.minor)
                }
                Err(NoPrice::Unavailable(_)) => "Unavailable".to_owned(),
                Err(error) => format!("{error:?}"),
            };
            assert_eq!(outcome, cells[3], "{row}");
        }
    }

    #[test]
    fn a_total_is_its_parts_and_tax_is_rounded_once_per_line() {
        check(
            "
            2x1000          | DE |      | post 2000 450 466 2916
            1x1             | DE |      | post 1 450 86 537
            1x3 1x3 1x3     | DE | post | post 9 450 89 548
            2x5000          | DE |      | post 10000 0 1900 11900
            1x999           | FR |      | bike 999 300 260 1559
            1x999           | FR | post | post 999 450 290 1739
            1x999           | US |      | post 999 450 0 1449
            1x0             | US |      | post 0 450 0 450
            1x999           | DE | bike | ShippingUnavailable
            1x999           | DE | air  | ShippingUnavailable
                            | DE |      | CartEmpty
            999x1000000000  | DE |      | TooLarge
            ",
        );
    }

    #[test]
    fn what_is_too_large_has_no_price() {
        let large = cart(vec![item("var_1", 999, 1_000_000_000), item("var_2", 999, 1_000_000_000)]);
        assert_eq!(price(&large, "US", None, &terms()), Err(NoPrice::TooLarge));
        let overflow = cart(vec![item("var_1", 999, i64::MAX)]);
        assert_eq!(price(&overflow, "US", None, &terms()), Err(NoPrice::TooLarge));
    }

    #[test]
    fn a_line_that_is_not_sold_counts_for_nothing() {
        let mut gone = item("var_1", 1, 100);
        gone.warnings.push(LineWarning::Unavailable);
        gone.available = 0;
        assert_eq!(price(&cart(vec![gone.clone()]), "US", None, &terms()), Err(NoPrice::CartEmpty));
        let both = cart(vec![gone, item("var_2", 6, 100)]);
        assert_eq!(price(&both, "US", None, &terms()).expect("it has a price").totals.subtotal.minor, 600);
        let short: Vec<_> = shortages(&both).into_iter().map(|short| (short.variant_id, short.available)).collect();
        assert_eq!(short, [("var_2".to_owned(), 5)]);
    }

    #[test]
    fn a_quote_holds_until_it_expires_or_anything_shown_changes() {
        let shown = cart(vec![item("var_1", 2, 1000)]);
        let priced = price(&shown, "DE", None, &terms()).expect("it has a price");
        let quote = quote(&shown, "DE", priced.clone(), START);
        assert!(holds(&quote.hash, &shown, "DE", &priced, START));
        assert!(holds(&quote.hash, &shown, "DE", &priced, START - 1000), "another host's clock is a little behind");
        assert!(holds(&quote.hash, &shown, "DE", &priced, quote.expires_at - 1));
        assert!(!holds(&quote.hash, &shown, "DE", &priced, quote.expires_at));
        assert!(!holds(&quote.hash, &shown, "FR", &priced, START));
        let later = quote.hash.replace(&quote.expires_at.to_string(), &(quote.expires_at + 1).to_string());
        assert!(!holds(&later, &shown, "DE", &priced, START), "the digest covers the expiry");
        for changed in [
            CartView { version: 4, ..shown.clone() },
            cart(vec![item("var_1", 3, 1000)]),
            cart(vec![item("var_1", 2, 1001)]),
            cart(vec![item("var_2", 2, 1000)]),
            cart(vec![LineItem { title: "Other".to_owned(), ..item("var_1", 2, 1000) }]),
        ] {
            let priced = price(&changed, "DE", None, &terms()).expect("it has a price");
            assert!(!holds(&quote.hash, &changed, "DE", &priced, START), "{changed:?}");
        }
        for forged in ["", "q1", "q1.", "q1.9", "q2.1.a", &format!("q1.{}.", i64::MAX), "q1.x.y"] {
            assert!(!holds(forged, &shown, "DE", &priced, START), "{forged}");
        }
    }

    #[test]
    fn totals_add_up_for_every_cart() {
        law(2_000, |dice: &mut Dice| {
            let lines = (0..1 + dice.below(8)).map(|place| {
                let price = i64::try_from(dice.below(100_000)).expect("small");
                item(&format!("var_{place}"), 1 + u32::try_from(dice.below(999)).expect("small"), price)
            });
            let cart = cart(lines.collect());
            let country = *dice.pick(&["DE", "FR", "US"]);
            let priced = price(&cart, country, None, &terms()).expect("it has a price");
            let t = &priced.totals;
            assert_eq!(t.total.minor, t.subtotal.minor + t.shipping.minor + t.tax.minor);
            assert_eq!(t.subtotal.minor, priced.lines.iter().map(|line| line.item.total.minor).sum::<i64>());
            let rate = terms().rate(country).expect("it has a rate");
            let taxes = priced.lines.iter().map(|line| line.item.tax.minor).sum::<i64>();
            assert_eq!(t.tax.minor, taxes + money::share_half_up(t.shipping.minor, rate));
            assert!(priced.options.iter().all(|option| option.price.minor >= t.shipping.minor), "cheapest first");
        });
    }
}
