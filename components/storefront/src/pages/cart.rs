//! The cart.

use askama::Template;
use souk_kit::cart::{CartError, CartState, CartView, LineChange, LineWarning};
use souk_kit::http::Response;
use souk_kit::types::Actor;

use super::browse;
use super::layout::{self, Layout};
use crate::app::{Failure, Page};
use crate::forms::{Form, explain};
use crate::shop::Shop;
use crate::visit::Visit;

/// Most units of one variant.
const QUANTITY_MAX: u32 = 999;

/// A line as the page shows it.
pub struct Line {
    /// The variant.
    pub variant_id: String,
    /// The product's place in URLs; empty when it is gone.
    pub slug: String,
    /// The product's title.
    pub title: String,
    /// The option values.
    pub variant_title: String,
    /// URL of a picture.
    pub image_url: String,
    /// Units wanted.
    pub quantity: u32,
    /// Price of one.
    pub unit_price: String,
    /// Price of all.
    pub total: String,
    /// What to know before buying.
    pub warnings: Vec<String>,
}

#[derive(Template)]
#[template(path = "cart.html")]
struct CartPage {
    page: Layout,
    lines: Vec<Line>,
    subtotal: String,
    busy: bool,
    notices: Vec<String>,
}

/// The open cart of this visitor, and forgets one that has ended.
pub fn current<S: Shop>(visit: &Visit<'_, S>) -> Result<Option<CartView>, Failure> {
    let Some(id) = visit.cart_id() else { return users_cart(visit) };
    match visit.shop.get_cart(&visit.ctx, &id) {
        Ok(view) => match view.state {
            CartState::Open | CartState::CheckingOut(_) => {
                visit.keep_cart(&view);
                Ok(Some(view))
            }
            CartState::Completed(_) | CartState::Merged(_) => {
                visit.forget_cart();
                users_cart(visit)
            }
        },
        Err(CartError::NotFound) => {
            visit.forget_cart();
            users_cart(visit)
        }
        Err(error) => Err(error.into()),
    }
}

fn users_cart<S: Shop>(visit: &Visit<'_, S>) -> Result<Option<CartView>, Failure> {
    let Actor::User(user_id) = &visit.ctx.actor else { return Ok(None) };
    match visit.shop.get_cart_for_user(&visit.ctx, user_id) {
        Ok(view) => {
            visit.keep_cart(&view);
            Ok(Some(view))
        }
        Err(CartError::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Shows the cart.
pub fn show<S: Shop>(visit: &Visit<'_, S>, notices: Vec<String>) -> Page {
    let cart = current(visit)?;
    let status = if notices.is_empty() { 200 } else { 422 };
    let subtotal = cart.as_ref().map(|cart| layout::price(&cart.subtotal)).unwrap_or_default();
    let busy = cart.as_ref().is_some_and(|cart| matches!(cart.state, CartState::CheckingOut(_)));
    let lines = cart.map(lines).unwrap_or_default();
    let page = Layout::new(visit, "Cart");
    Ok(layout::html(status, &CartPage { page, lines, subtotal, busy, notices }))
}

fn lines(cart: CartView) -> Vec<Line> {
    let line = |line: souk_kit::cart::LineItem| Line {
        unit_price: layout::price(&line.unit_price),
        total: layout::price(&line.total),
        warnings: line
            .warnings
            .iter()
            .map(|warning| match warning {
                LineWarning::PriceChanged => format!("The price changed from {}.", layout::price(&line.set_unit_price)),
                LineWarning::LowStock => format!("Only {} left.", line.available),
                LineWarning::OutOfStock => "Sold out for now.".to_owned(),
                LineWarning::Unavailable => "No longer sold.".to_owned(),
            })
            .collect(),
        variant_id: line.variant_id,
        slug: line.slug,
        title: line.title,
        variant_title: line.variant_title,
        image_url: line.image_url,
        quantity: line.quantity,
    };
    cart.lines.into_iter().map(line).collect()
}

/// Puts units of a variant into the cart, on top of those that are there.
pub fn add<S: Shop>(visit: &Visit<'_, S>, form: &Form) -> Page {
    let variant_id = form.text("variant_id");
    let wanted = form
        .text("quantity")
        .parse::<u32>()
        .ok()
        .filter(|q| (1..=QUANTITY_MAX).contains(q))
        .ok_or(Failure::Malformed)?;
    let cart = match current(visit)? {
        Some(cart) => cart,
        None => open_cart(visit)?,
    };
    let present = cart.lines.iter().find(|line| line.variant_id == variant_id).map_or(0, |line| line.quantity);
    let quantity = (present + wanted).min(QUANTITY_MAX);
    let change = LineChange { variant_id, quantity };
    match visit.shop.set_lines(&visit.ctx, &cart.id, &[change], None) {
        Ok(view) => {
            visit.keep_cart(&view);
            Ok(Response::see_other("/cart"))
        }
        Err(error) => {
            let notice = refusal(error)?.join(" ");
            let slug = form.text("slug");
            browse::product(visit, &slug, Some(notice))
        }
    }
}

fn open_cart<S: Shop>(visit: &Visit<'_, S>) -> Result<CartView, Failure> {
    let cart = visit.shop.create_cart(&visit.ctx, &visit.mint_cart(), &layout::currency(visit))?;
    match &visit.ctx.actor {
        Actor::User(user_id) => Ok(visit.shop.claim_cart(&visit.ctx, &cart.id, user_id)?),
        Actor::Guest | Actor::Staff(_) | Actor::System(_) => Ok(cart),
    }
}

/// Sets the quantities that the cart page posts; the button of a line removes it.
pub fn update<S: Shop>(visit: &Visit<'_, S>, form: &Form) -> Page {
    let Some(cart) = current(visit)? else { return Ok(Response::see_other("/cart")) };
    let removed = form.text("remove");
    let mut changes = Vec::new();
    for (variant_id, quantity) in form.with_prefix("quantity-") {
        let quantity =
            if variant_id == removed { 0 } else { quantity.parse::<u32>().map_err(|_| Failure::Malformed)? };
        if cart.lines.iter().any(|line| line.variant_id == variant_id && line.quantity != quantity) {
            changes.push(LineChange { variant_id: variant_id.to_owned(), quantity });
        }
    }
    if !changes.is_empty() {
        match visit.shop.set_lines(&visit.ctx, &cart.id, &changes, None) {
            Ok(view) => visit.keep_cart(&view),
            Err(error) => return show(visit, refusal(error)?),
        }
    }
    Ok(Response::see_other(if form.has("checkout") { "/checkout" } else { "/cart" }))
}

/// Why the cart did not take a change, in words; or a failure that no words on the page help with.
fn refusal(error: CartError) -> Result<Vec<String>, Failure> {
    Ok(match error {
        CartError::Invalid(errors) => explain(&errors),
        CartError::NotSold => vec!["This is not sold at the moment.".to_owned()],
        CartError::LimitReached => vec!["The cart is full: it takes 100 different things.".to_owned()],
        CartError::Closed => {
            vec!["An order is being placed from this cart. Finish it, or wait until it is canceled.".to_owned()]
        }
        CartError::NotFound | CartError::Conflict | CartError::StorageFull | CartError::Unavailable(_) => {
            return Err(error.into());
        }
    })
}
