//! Placing an order, and the quote before it.

use souk_kit::cart::{CartError, CartState, CartView};
use souk_kit::check::Check;
use souk_kit::order::{OrderError, OrderView, Placement, Quote, QuoteRequest};
use souk_kit::sql::SqlError;
use souk_kit::{Actor, Address, Call, Id, ids};

use super::{DUE_MILLIS, SELF, invalid, reload, saga, terms, unavailable};
use crate::domain::quote::{self, NoPrice, Priced};
use crate::domain::terms::Terms;
use crate::domain::{Funds, Order, PRICE_CHANGED, Stage};
use crate::ports::Ports;
use crate::store;

/// Longest token of a payment provider, in bytes.
const TOKEN_BYTES_MAX: usize = 200;
/// Longest return URL, in bytes.
const URL_BYTES_MAX: usize = 2_000;

/// What a checkout of the cart would cost now.
pub fn get_quote(ports: &impl Ports, call: &Call, request: &QuoteRequest) -> Result<Quote, OrderError> {
    let country = &request.shipping_address.country;
    let mut check = Check::new();
    check.id("/cart_id", "cart", &request.cart_id);
    check.country("/shipping_address/country", country);
    if let Some(method) = &request.shipping_method {
        check.text("/shipping_method", method, 1, 50);
    }
    check.done().map_err(OrderError::Invalid)?;
    let cart = open_cart(ports, call, &request.cart_id)?;
    let priced = quote::price(&cart, country, request.shipping_method.as_deref(), &terms(ports)?).map_err(no_price)?;
    Ok(quote::quote(&cart, country, priced, call.now))
}

/// Places an order and drives its checkout as far as it goes. `entropy` makes the secret that shows it to a guest.
pub fn place(
    ports: &impl Ports,
    call: &Call,
    placement: &Placement,
    entropy: [u8; 20],
) -> Result<OrderView, OrderError> {
    check(placement)?;
    let digest = digest(call, placement);
    let (known, active) = store::taken(ports, &placement.order_id, &placement.cart_id).map_err(unavailable)?;
    if known {
        return again(ports, call, placement, &digest);
    }
    let cart = open_cart(ports, call, &placement.cart_id)?;
    if let Some(other) = active {
        return Err(OrderError::CartClosed(other));
    }
    let terms = terms(ports)?;
    let priced = agreed(ports, call, placement, &cart, &terms)?;
    let order = draft(call, placement, &cart, priced, &terms, digest.clone(), entropy);
    order.assert_sound();
    match store::place(ports, &order, &call.actor(), call.now + DUE_MILLIS) {
        // What is stored counts: a twin may have stored it first, with a secret of its own.
        Ok(()) => again(ports, call, placement, &digest),
        Err(SqlError::GuardMissed(_)) => {
            match store::taken(ports, &placement.order_id, &placement.cart_id).map_err(unavailable)? {
                (true, _) => again(ports, call, placement, &digest),
                (false, Some(other)) => Err(OrderError::CartClosed(other)),
                (false, None) => Err(OrderError::Conflict),
            }
        }
        Err(error) => Err(unavailable(error)),
    }
}

/// Goes on with an order that is stored, if it is of the same placement.
fn again(ports: &impl Ports, call: &Call, placement: &Placement, digest: &str) -> Result<OrderView, OrderError> {
    let order = reload(ports, &placement.order_id)?;
    if order.placement != digest {
        return Err(invalid("/order_id", "taken", "another placement has this id"));
    }
    let order = saga::advance(ports, call, order)?;
    outcome(ports, call, placement, &order)
}

/// What the shopper is told. A cart that changed before it was frozen is the same answer as one that
/// changed before the order was stored.
fn outcome(ports: &impl Ports, call: &Call, placement: &Placement, order: &Order) -> Result<OrderView, OrderError> {
    let changed =
        order.stage == Stage::Canceled && order.confirmed_at.is_none() && order.cancel_reason == PRICE_CHANGED;
    if !changed {
        return Ok(order.view());
    }
    let cart = open_cart(ports, call, &placement.cart_id)?;
    let country = &placement.shipping_address.country;
    let terms = terms(ports)?;
    let method = Some(placement.shipping_method.as_str());
    let priced = quote::price(&cart, country, method, &terms).map_err(no_price)?;
    Err(OrderError::PriceChanged(quote::quote(&cart, country, priced, call.now)))
}

/// The price of the cart, if it is the one that the shopper saw, and everything else that can be known before.
fn agreed(
    ports: &impl Ports,
    call: &Call,
    placement: &Placement,
    cart: &CartView,
    terms: &Terms,
) -> Result<Priced, OrderError> {
    let country = &placement.shipping_address.country;
    let priced = quote::price(cart, country, Some(&placement.shipping_method), terms);
    let priced = match priced {
        // Whether goods are there is said before how they travel.
        Err(NoPrice::ShippingUnavailable) => Err(NoPrice::ShippingUnavailable),
        Err(error) => return Err(no_price(error)),
        Ok(priced) if quote::holds(&placement.quote_hash, cart, country, &priced, call.now) => Ok(priced),
        Ok(priced) => return Err(OrderError::PriceChanged(quote::quote(cart, country, priced, call.now))),
    };
    let shortages = quote::shortages(cart);
    if !shortages.is_empty() {
        return Err(OrderError::OutOfStock(shortages));
    }
    let priced = priced.map_err(no_price)?;
    if !ports.list_providers(&call.as_system(SELF)).contains(&placement.payment_provider) {
        return Err(OrderError::UnknownProvider);
    }
    Ok(priced)
}

fn draft(
    call: &Call,
    placement: &Placement,
    cart: &CartView,
    priced: Priced,
    terms: &Terms,
    digest: String,
    entropy: [u8; 20],
) -> Order {
    Order {
        id: placement.order_id.clone(),
        number: String::new(),
        access_token: ids::hex(&entropy),
        user_id: match &call.ctx.actor {
            Actor::User(user) => Some(user.clone()),
            Actor::Guest | Actor::Staff(_) | Actor::System(_) => cart.user_id.clone(),
        },
        cart_id: cart.id.clone(),
        cart_version: cart.version,
        email: placement.email.clone(),
        placement: digest,
        stage: Stage::Pending,
        lines: priced.lines,
        totals: priced.totals,
        shipping_method: priced.method,
        shipping_address: placement.shipping_address.clone(),
        billing_address: placement.billing_address.clone(),
        payment_provider: placement.payment_provider.clone(),
        payment_token: placement.payment_token.clone(),
        return_url: return_url(placement),
        capture: terms.capture,
        funds: Funds::NONE,
        action_url: String::new(),
        decline: None,
        cancel_reason: String::new(),
        announce: false,
        shipments: Vec::new(),
        open: None,
        placed_at: call.now,
        confirmed_at: None,
        canceled_at: None,
        version: 1,
    }
}

/// Reads a cart that may still become an order.
fn open_cart(ports: &impl Ports, call: &Call, cart_id: &str) -> Result<CartView, OrderError> {
    let cart = match ports.get_cart(&call.ctx, cart_id) {
        Ok(cart) => cart,
        Err(CartError::Invalid(errors)) => return Err(OrderError::Invalid(errors)),
        Err(CartError::NotFound) => return Err(OrderError::NotFound),
        Err(
            error @ (CartError::Closed
            | CartError::NotSold
            | CartError::LimitReached
            | CartError::Conflict
            | CartError::StorageFull
            | CartError::Unavailable(_)),
        ) => return Err(saga::cart(&error)),
    };
    match cart.state.clone() {
        CartState::Open => Ok(cart),
        CartState::CheckingOut(order) | CartState::Completed(order) => Err(OrderError::CartClosed(order)),
        CartState::Merged(_) => Err(OrderError::NotFound),
    }
}

fn no_price(error: NoPrice) -> OrderError {
    match error {
        NoPrice::CartEmpty => OrderError::CartEmpty,
        NoPrice::TooLarge => invalid("/cart_id", "out_of_range", "the cart is beyond what one order may hold"),
        NoPrice::ShippingUnavailable => OrderError::ShippingUnavailable,
        NoPrice::Unavailable(why) => OrderError::Unavailable(why),
    }
}

fn check(placement: &Placement) -> Result<(), OrderError> {
    let mut check = Check::new();
    check.id("/order_id", "ord", &placement.order_id);
    check.id("/cart_id", "cart", &placement.cart_id);
    check.text("/quote_hash", &placement.quote_hash, 1, 200);
    check.email("/email", &placement.email);
    check.address("/shipping_address", &placement.shipping_address);
    check.address("/billing_address", &placement.billing_address);
    check.text("/shipping_method", &placement.shipping_method, 1, 50);
    check.text("/payment_provider", &placement.payment_provider, 1, 64);
    bytes(&mut check, "/payment_token", &placement.payment_token, TOKEN_BYTES_MAX);
    bytes(&mut check, "/return_url", &return_url(placement), URL_BYTES_MAX);
    check.done().map_err(OrderError::Invalid)
}

fn return_url(placement: &Placement) -> String {
    placement.return_url.replace("{order}", &placement.order_id)
}

fn bytes(check: &mut Check, pointer: &str, text: &str, most: usize) {
    if text.len() > most {
        check.fail(pointer, "too_long", format!("at most {most} bytes"));
    } else if text.chars().any(char::is_control) {
        check.fail(pointer, "malformed", "control characters are not allowed");
    } else {
        check.text(pointer, text, 1, most);
    }
}

/// Tells a repeat from another placement with the same id. The way back is not part of what is agreed to: it may be made from the
/// host name of a request, and a repeat may come under another one. The first one stands.
fn digest(call: &Call, placement: &Placement) -> String {
    let user: Option<&Id> = match &call.ctx.actor {
        Actor::User(user) => Some(user),
        Actor::Guest | Actor::Staff(_) | Actor::System(_) => None,
    };
    let mut parts: Vec<&str> = vec![
        user.map_or("", String::as_str),
        &placement.cart_id,
        &placement.quote_hash,
        &placement.email,
        &placement.shipping_method,
        &placement.payment_provider,
        &placement.payment_token,
    ];
    for address in [&placement.shipping_address, &placement.billing_address] {
        let Address { name, company, line1, line2, city, region, postal_code, country, phone } = address;
        parts.extend([name, company, line1, line2, city, region, postal_code, country, phone].map(String::as_str));
    }
    ids::digest(&parts)
}
