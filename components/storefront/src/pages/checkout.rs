//! Checkout in two steps without a script: address and contact, then a quote to agree to.
//!
//! The second page carries the order's id. Sending it twice places one order, because the id is the command.

use askama::Template;
use souk_kit::cart::{CartState, CartView};
use souk_kit::http::Response;
use souk_kit::ids;
use souk_kit::order::{OrderError, OrderState, OrderView, Placement, Quote, QuoteRequest};
use souk_kit::types::{Actor, Address};

use super::layout::{self, Layout};
use super::pay::{self, Ask, StripeFields, Way};
use super::{cart, order};
use crate::app::{Failure, Page};
use crate::cookies;
use crate::countries::COUNTRIES;
use crate::forms::{Form, explain};
use crate::shop::Shop;
use crate::visit::Visit;

#[derive(Template)]
#[template(path = "checkout_address.html")]
struct AddressPage {
    page: Layout,
    email: String,
    address: Address,
    countries: &'static [(&'static str, &'static str)],
    notices: Vec<String>,
}

/// A line of the quote.
struct QuoteLine {
    title: String,
    variant_title: String,
    quantity: u32,
    total: String,
}

/// A way of shipping.
struct Shipping {
    code: String,
    title: String,
    price: String,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "checkout_review.html")]
struct ReviewPage {
    page: Layout,
    email: String,
    address: Address,
    country: String,
    lines: Vec<QuoteLine>,
    shipping: Vec<Shipping>,
    ways: Vec<Way>,
    subtotal: String,
    shipping_price: String,
    tax: String,
    total: String,
    quote_hash: String,
    order_id: String,
    notices: Vec<String>,
}

impl ReviewPage {
    /// Stripe's fields, when they stand in the page.
    fn stripe(&self) -> Option<&StripeFields> {
        self.ways.iter().find_map(|way| match &way.ask {
            Ask::Stripe(fields) => Some(fields),
            Ask::TestCard(_) | Ask::Nothing => None,
        })
    }
}

/// The first step; filled in from the address book of a visitor who is signed in.
pub fn start<S: Shop>(visit: &Visit<'_, S>) -> Page {
    let Some(cart) = open_cart(visit)? else { return Ok(Response::see_other("/cart")) };
    if let CartState::CheckingOut(order_id) = &cart.state {
        return Ok(Response::see_other(&format!("/orders/{order_id}")));
    }
    let (email, address) = match &visit.ctx.actor {
        Actor::User(user_id) => {
            let profile = visit.shop.get_profile(&visit.ctx, user_id)?;
            let saved = visit.shop.list_addresses(&visit.ctx, user_id)?;
            let default = saved.iter().find(|a| a.default_shipping).or(saved.first()).map(|a| a.address.clone());
            let named = Address { name: profile.name, ..blank_address() };
            (profile.email, default.unwrap_or(named))
        }
        Actor::Guest | Actor::Staff(_) | Actor::System(_) => (String::new(), blank_address()),
    };
    address_page(visit, email, address, Vec::new())
}

fn blank_address() -> Address {
    let empty = String::new;
    Address {
        name: empty(),
        company: empty(),
        line1: empty(),
        line2: empty(),
        city: empty(),
        region: empty(),
        postal_code: empty(),
        country: "US".to_owned(),
        phone: empty(),
    }
}

fn open_cart<S: Shop>(visit: &Visit<'_, S>) -> Result<Option<CartView>, Failure> {
    Ok(cart::current(visit)?.filter(|cart| !cart.lines.is_empty()))
}

fn address_page<S: Shop>(visit: &Visit<'_, S>, email: String, address: Address, notices: Vec<String>) -> Page {
    let status = if notices.is_empty() { 200 } else { 422 };
    let page = Layout::new(visit, "Checkout");
    Ok(layout::html(status, &AddressPage { page, email, address, countries: &COUNTRIES, notices }))
}

/// The second step: shows a quote, or places the order that the shopper agrees to.
pub fn step<S: Shop>(visit: &Visit<'_, S>, form: &Form) -> Page {
    let address = form.address();
    let email = form.text("email");
    if form.has("back") {
        return address_page(visit, email, address, Vec::new());
    }
    if form.has("place") {
        return place(visit, form, email, address);
    }
    let mut check = souk_kit::check::Check::new();
    check.email("/email", &email);
    check.address("", &address);
    if let Err(errors) = check.done() {
        return address_page(visit, email, address, explain(&errors));
    }
    review(visit, form, email, address, Vec::new())
}

fn review<S: Shop>(visit: &Visit<'_, S>, form: &Form, email: String, address: Address, notices: Vec<String>) -> Page {
    let Some(cart) = open_cart(visit)? else { return Ok(Response::see_other("/cart")) };
    let method = Some(form.text("shipping_method")).filter(|code| !code.is_empty());
    let request = QuoteRequest { cart_id: cart.id, shipping_address: address.clone(), shipping_method: method };
    let quote = match visit.shop.get_quote(&visit.ctx, &request) {
        Ok(quote) => quote,
        Err(OrderError::ShippingUnavailable) => {
            // The way chosen before may not be offered to a new address; the cheapest that is will do.
            let request = QuoteRequest { shipping_method: None, ..request };
            match visit.shop.get_quote(&visit.ctx, &request) {
                Ok(quote) => quote,
                Err(error) => return refused(visit, form, email, address, error),
            }
        }
        Err(error) => return refused(visit, form, email, address, error),
    };
    review_page(visit, &quote, email, address, notices)
}

fn review_page<S: Shop>(
    visit: &Visit<'_, S>,
    quote: &Quote,
    email: String,
    address: Address,
    notices: Vec<String>,
) -> Page {
    let status = if notices.is_empty() { 200 } else { 422 };
    let lines = quote.lines.iter().map(|line| QuoteLine {
        title: line.title.clone(),
        variant_title: line.variant_title.clone(),
        quantity: line.quantity,
        total: layout::price(&line.total),
    });
    let shipping = quote.shipping_options.iter().map(|option| Shipping {
        code: option.code.clone(),
        title: option.title.clone(),
        price: layout::price(&option.price),
        chosen: option.code == quote.shipping_method,
    });
    let country =
        COUNTRIES.iter().find(|(code, _)| *code == address.country).map_or(address.country.as_str(), |(_, name)| name);
    let template = ReviewPage {
        page: Layout::new(visit, "Review your order"),
        country: country.to_owned(),
        lines: lines.collect(),
        shipping: shipping.collect(),
        ways: pay::ways(visit, quote),
        subtotal: layout::price(&quote.totals.subtotal),
        shipping_price: layout::price(&quote.totals.shipping),
        tax: layout::price(&quote.totals.tax),
        total: layout::price(&quote.totals.total),
        quote_hash: quote.hash.clone(),
        order_id: visit.mint("ord", 0),
        email,
        address,
        notices,
    };
    let page = layout::html(status, &template);
    Ok(match template.stripe() {
        Some(fields) => pay::allow(page, fields),
        None => page,
    })
}

fn place<S: Shop>(visit: &Visit<'_, S>, form: &Form, email: String, address: Address) -> Page {
    let order_id = form.text("order_id");
    if !ids::is_id("ord", &order_id) {
        return Err(Failure::Malformed);
    }
    let Some(cart_id) = visit.cart_id() else { return Ok(Response::see_other("/cart")) };
    let Some(payment_token) = pay::token(form) else {
        return review(visit, form, email, address, vec!["Enter your card.".to_owned()]);
    };
    let placement = Placement {
        order_id,
        cart_id,
        quote_hash: form.text("quote_hash"),
        email: email.clone(),
        shipping_address: address.clone(),
        billing_address: address.clone(),
        shipping_method: form.text("shipping_method"),
        payment_provider: form.text("payment_provider"),
        payment_token,
        return_url: format!("{}/orders/{{order}}/return", visit.request.origin),
    };
    match visit.shop.place(&visit.ctx, &placement) {
        Ok(placed) => follow(visit, form, email, address, placed),
        Err(error) => refused(visit, form, email, address, error),
    }
}

/// Where the shopper goes with an order as far as it came.
fn follow<S: Shop>(visit: &Visit<'_, S>, form: &Form, email: String, address: Address, placed: OrderView) -> Page {
    let remember = || {
        let value = format!("{}~{}", placed.id, placed.access_token);
        visit.set_cookie(cookies::set(cookies::ORDER, &value, cookies::DAY_SECONDS));
    };
    match placed.state {
        OrderState::Canceled => {
            let why =
                placed.decline.map_or_else(|| order::cancel_reason(&placed.cancel_reason), |decline| decline.message);
            review(visit, form, email, address, vec![format!("The order was not placed. {why}")])
        }
        OrderState::AwaitingAction => {
            remember();
            Ok(Response::see_other(&placed.action_url))
        }
        OrderState::Pending => {
            remember();
            Ok(Response::see_other(&format!("/orders/{}", placed.id)))
        }
        OrderState::Confirmed | OrderState::Completed => {
            remember();
            visit.forget_cart();
            Ok(Response::see_other(&format!("/orders/{}", placed.id)))
        }
    }
}

/// Why an order was not placed, on the page where something can be done about it.
fn refused<S: Shop>(visit: &Visit<'_, S>, form: &Form, email: String, address: Address, error: OrderError) -> Page {
    match error {
        OrderError::PriceChanged(quote) => {
            let notice = "Something changed since you looked: please check the new total.".to_owned();
            review_page(visit, &quote, email, address, vec![notice])
        }
        OrderError::CartClosed(order_id) => Ok(Response::see_other(&format!("/orders/{order_id}"))),
        OrderError::OutOfStock(_) => {
            cart::show(visit, vec!["Not everything is available in the quantity you want.".to_owned()])
        }
        OrderError::CartEmpty => Ok(Response::see_other("/cart")),
        OrderError::ShippingUnavailable => {
            address_page(visit, email, address, vec!["We do not ship to this address.".to_owned()])
        }
        OrderError::Invalid(errors) => address_page(visit, email, address, explain(&errors)),
        OrderError::UnknownProvider => review(visit, form, email, address, vec!["Choose a way to pay.".to_owned()]),
        OrderError::NotFound
        | OrderError::WrongState(_)
        | OrderError::Exceeds(_)
        | OrderError::PaymentRefused(_)
        | OrderError::Conflict
        | OrderError::StorageFull
        | OrderError::Unavailable(_) => Err(error.into()),
    }
}
