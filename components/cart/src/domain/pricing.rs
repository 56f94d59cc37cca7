//! What a cart is worth now. Every figure comes from the catalog's answer of this moment.

use souk_kit::Money;
use souk_kit::cart::{CartState, CartView, LineItem, LineWarning};
use souk_kit::catalog::Offer;
use souk_kit::money::AMOUNT_MAX;

use super::{Cart, Line, Offers, State};

/// The cart with the prices of these offers.
pub fn view(cart: &Cart, version: u64, offers: &Offers) -> CartView {
    let lines: Vec<LineItem> = cart.lines.iter().map(|line| item(line, &cart.currency, offers)).collect();
    // At most 100 lines of 999 units at AMOUNT_MAX: far below the limit of 64 bits.
    let subtotal = lines.iter().map(|line| line.total.minor).sum();
    CartView {
        id: cart.id.clone(),
        user_id: cart.user_id.clone(),
        currency: cart.currency.clone(),
        state: match &cart.state {
            State::Open => CartState::Open,
            State::CheckingOut(order_id) => CartState::CheckingOut(order_id.clone()),
            State::Completed(order_id) => CartState::Completed(order_id.clone()),
            State::Merged(cart_id) => CartState::Merged(cart_id.clone()),
        },
        lines,
        subtotal: Money::new(subtotal, &cart.currency),
        version,
    }
}

/// What one unit costs; none when it is not sold in this currency now.
pub(super) fn price(offer: &Offer, currency: &str) -> Option<i64> {
    let price = offer.unit_price.as_ref().filter(|price| offer.on_sale && price.currency == currency)?;
    (0..=AMOUNT_MAX).contains(&price.minor).then_some(price.minor)
}

fn item(line: &Line, currency: &str, offers: &Offers) -> LineItem {
    // What staff took off sale is gone for a shopper: its page answers 404, and its new texts may be drafts.
    match offers.get(&line.variant_id).filter(|offer| offer.on_sale) {
        Some(offer) => offered(line, currency, offer),
        None => gone(line, currency),
    }
}

fn offered(line: &Line, currency: &str, offer: &Offer) -> LineItem {
    let price = price(offer, currency);
    let unit_minor = price.unwrap_or(0);
    let mut warnings = Vec::new();
    if price.is_none() {
        warnings.push(LineWarning::Unavailable);
    } else {
        if unit_minor != line.unit_minor {
            warnings.push(LineWarning::PriceChanged);
        }
        if offer.available <= 0 {
            warnings.push(LineWarning::OutOfStock);
        } else if offer.available < i64::from(line.quantity) {
            warnings.push(LineWarning::LowStock);
        }
    }
    LineItem {
        variant_id: line.variant_id.clone(),
        product_id: offer.product_id.clone(),
        slug: offer.slug.clone(),
        title: offer.title.clone(),
        variant_title: offer.variant_title.clone(),
        sku: offer.sku.clone(),
        image_url: offer.image_url.clone(),
        quantity: line.quantity,
        unit_price: Money::new(unit_minor, currency),
        set_unit_price: Money::new(line.unit_minor, currency),
        total: Money::new(unit_minor * i64::from(line.quantity), currency),
        available: offer.available.max(0),
        weight_grams: offer.weight_grams,
        warnings,
    }
}

fn gone(line: &Line, currency: &str) -> LineItem {
    LineItem {
        variant_id: line.variant_id.clone(),
        product_id: String::new(),
        slug: String::new(),
        title: line.title.clone(),
        variant_title: line.variant_title.clone(),
        sku: line.sku.clone(),
        image_url: String::new(),
        quantity: line.quantity,
        unit_price: Money::new(0, currency),
        set_unit_price: Money::new(line.unit_minor, currency),
        total: Money::new(0, currency),
        available: 0,
        weight_grams: 0,
        warnings: vec![LineWarning::Unavailable],
    }
}
