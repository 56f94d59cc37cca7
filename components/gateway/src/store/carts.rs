//! Carts. Whoever knows the id of a guest's cart may use it; a user's cart is theirs alone.

use serde::{Deserialize, Serialize};
use souk_kit::cart::{self, CartError, CartState, LineChange, LineWarning};
use souk_kit::http::Response;

use crate::exchange::Exchange;
use crate::input;
use crate::problem::{Code, Problem};
use crate::reply;
use crate::routes::{Access, Answer, Keyed, Route};
use crate::shapes::Money;
use crate::store::products::CURRENCY_DEFAULT;

/// The routes of this file.
pub const ROUTES: &[Route] = &[
    Route::post("carts", Access::Anyone, Keyed::Optional, create_cart),
    Route::get("carts/{id}", Access::Anyone, get_cart),
    Route::set("PATCH", "carts/{id}/lines", Access::Anyone, set_lines),
    Route::set("PUT", "carts/{id}/lines/{variant_id}", Access::Anyone, set_line),
    Route::set("DELETE", "carts/{id}/lines/{variant_id}", Access::Anyone, delete_line),
    Route::post("carts/{id}/claim", Access::SignedIn, Keyed::Optional, claim_cart),
    Route::get("me/cart", Access::SignedIn, get_my_cart),
];

/// What a cart is made from.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct NewCart {
    /// ISO 4217 code of all its prices; `USD` when left out.
    #[cfg_attr(not(target_arch = "wasm32"), schema(example = "USD"))]
    pub currency: Option<String>,
}

/// How many of one variant are wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct Quantity {
    /// Units, 1 to 999; zero removes the line.
    #[cfg_attr(not(target_arch = "wasm32"), schema(maximum = 999))]
    pub quantity: u32,
}

/// One variant and how many are wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct CartLineChange {
    /// `var_...`
    pub variant_id: String,
    /// Units, 1 to 999; zero removes the line.
    #[cfg_attr(not(target_arch = "wasm32"), schema(maximum = 999))]
    pub quantity: u32,
}

/// What to know of a line before buying.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub enum Warning {
    /// The price is not the one at which the line was last set.
    PriceChanged,
    /// Fewer units are available than wanted, but some are.
    LowStock,
    /// None is available.
    OutOfStock,
    /// It is no longer sold, or not in this currency. The line counts for nothing.
    Unavailable,
}

/// Where a cart is in its life.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub enum CartStatus {
    /// It can change.
    Open,
    /// An order is being placed from it.
    CheckingOut,
    /// It became an order.
    Completed,
    /// Its lines went into another cart.
    Merged,
}

/// One variant in a cart, priced now.
#[derive(Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct CartLine {
    /// `var_...`
    pub variant_id: String,
    /// `prod_...`; empty when the variant is gone.
    pub product_id: String,
    /// The product's place in URLs; empty when the variant is gone.
    pub slug: String,
    /// The product's title.
    pub title: String,
    /// The option values as a person reads them; may be empty.
    pub variant_title: String,
    /// The merchant's own code.
    pub sku: String,
    /// URL of a picture; may be empty.
    pub image_url: String,
    /// Units wanted.
    pub quantity: u32,
    /// Price of one unit now.
    pub unit_price: Money,
    /// Price of one unit when the line was last set.
    pub set_unit_price: Money,
    /// `quantity` times `unit_price`.
    pub total: Money,
    /// Units available now.
    pub available: i64,
    /// Weight of one unit in grams.
    pub weight_grams: u32,
    /// What to know before buying.
    pub warnings: Vec<Warning>,
}

/// A cart, priced now.
#[derive(Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct Cart {
    /// `cart_...`: whoever knows a guest's may use it.
    pub id: String,
    /// Whose it is, once they have signed in.
    pub user_id: Option<String>,
    /// ISO 4217 code of all its prices.
    pub currency: String,
    /// Where it is in its life.
    pub state: CartStatus,
    /// The order that is being placed from it or was.
    pub order_id: Option<String>,
    /// The cart that its lines went into.
    pub merged_into: Option<String>,
    /// In the order in which they were first set.
    pub lines: Vec<CartLine>,
    /// Sum of the line totals.
    pub subtotal: Money,
    /// Raised by every change; what If-Match names.
    pub version: u64,
}

/// Makes an empty cart.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/store/carts", tag = "carts",
    request_body = Option<NewCart>, responses((status = 201, body = Cart))))]
pub fn create_cart(exchange: &Exchange<'_>) -> Answer {
    let new = input::json_or_nothing::<NewCart>(exchange.request)?;
    let currency = new.currency.unwrap_or_else(|| CURRENCY_DEFAULT.to_owned());
    // Not from an idempotency key, which might be guessed: knowing the id of a cart is owning it.
    let id = exchange.secret_id("cart");
    let made = exchange.ports.create_cart(&exchange.ctx, &id, &currency)?;
    let tag = reply::tag(made.version);
    Ok(reply::created(&format!("/api/v1/store/carts/{id}"), &Cart::from(made)).with("etag", tag))
}

/// Reads a cart and prices it.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/store/carts/{id}", tag = "carts",
    params(("id" = String, Path, description = "`cart_...`")), responses((status = 200, body = Cart))))]
pub fn get_cart(exchange: &Exchange<'_>) -> Answer {
    Ok(rendered(exchange.ports.get_cart(&exchange.ctx, exchange.id("id", "cart")?)?))
}

/// Sets the quantities of several variants, all or none.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(patch, path = "/api/v1/store/carts/{id}/lines", tag = "carts",
    params(("id" = String, Path, description = "`cart_...`"),
        ("if-match" = Option<String>, Header, description = "The entity tag that was read.")),
    request_body = Vec<CartLineChange>, responses((status = 200, body = Cart))))]
pub fn set_lines(exchange: &Exchange<'_>) -> Answer {
    let lines = input::json::<Vec<CartLineChange>>(exchange.request)?;
    let changes: Vec<LineChange> =
        lines.into_iter().map(|line| LineChange { variant_id: line.variant_id, quantity: line.quantity }).collect();
    set(exchange, &changes, &[("/changes", "")])
}

/// Sets the quantity of a variant.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(put, path = "/api/v1/store/carts/{id}/lines/{variant_id}", tag = "carts",
    params(("id" = String, Path, description = "`cart_...`"), ("variant_id" = String, Path, description = "`var_...`"),
        ("if-match" = Option<String>, Header, description = "The entity tag that was read.")),
    request_body = Quantity, responses((status = 200, body = Cart))))]
pub fn set_line(exchange: &Exchange<'_>) -> Answer {
    let quantity = input::json::<Quantity>(exchange.request)?.quantity;
    change(exchange, quantity)
}

/// Removes a variant.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(delete, path = "/api/v1/store/carts/{id}/lines/{variant_id}", tag = "carts",
    params(("id" = String, Path, description = "`cart_...`"), ("variant_id" = String, Path, description = "`var_...`"),
        ("if-match" = Option<String>, Header, description = "The entity tag that was read.")),
    responses((status = 200, body = Cart))))]
pub fn delete_line(exchange: &Exchange<'_>) -> Answer {
    change(exchange, 0)
}

/// Gives a guest's cart to whoever signed in, and answers their cart.
///
/// When they had an open cart of the same currency, the lines of both become one: of a variant in both, the larger
/// quantity stays.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/store/carts/{id}/claim", tag = "carts",
    params(("id" = String, Path, description = "`cart_...`")), responses((status = 200, body = Cart))))]
pub fn claim_cart(exchange: &Exchange<'_>) -> Answer {
    let id = exchange.id("id", "cart")?;
    let claimed = exchange.ports.claim_cart(&exchange.ctx, id, &exchange.user().user_id);
    Ok(rendered(claimed.map_err(|error| refused(exchange, id, error))?))
}

/// Reads the open cart of whoever is signed in.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/store/me/cart", tag = "carts",
    responses((status = 200, body = Cart))))]
pub fn get_my_cart(exchange: &Exchange<'_>) -> Answer {
    Ok(rendered(exchange.ports.get_cart_for_user(&exchange.ctx, &exchange.user().user_id)?))
}

fn change(exchange: &Exchange<'_>, quantity: u32) -> Answer {
    let variant_id = exchange.id("variant_id", "var")?.to_owned();
    let change = LineChange { variant_id, quantity };
    set(exchange, &[change], &[("/changes/0", ""), ("/0", "")])
}

fn set(exchange: &Exchange<'_>, changes: &[LineChange], moves: &[(&str, &str)]) -> Answer {
    let id = exchange.id("id", "cart")?;
    let version = exchange.if_match()?.version();
    let cart = exchange
        .ports
        .set_lines(&exchange.ctx, id, changes, version)
        .map_err(|error| refused(exchange, id, error).if_named(version).pointing(moves))?;
    Ok(rendered(cart))
}

fn rendered(cart: cart::CartView) -> Response {
    let tag = reply::tag(cart.version);
    reply::json(200, &Cart::from(cart)).with("etag", tag)
}

fn refused(exchange: &Exchange<'_>, cart_id: &str, error: CartError) -> Problem {
    match error {
        CartError::Closed => closed(exchange, cart_id),
        CartError::Invalid(_)
        | CartError::NotFound
        | CartError::NotSold
        | CartError::LimitReached
        | CartError::Conflict
        | CartError::StorageFull
        | CartError::Unavailable(_) => error.into(),
    }
}

/// Why a cart is closed, which only the cart itself can tell: an order is on its way, or it is over.
pub fn closed(exchange: &Exchange<'_>, cart_id: &str) -> Problem {
    match exchange.ports.get_cart(&exchange.ctx, cart_id).map(|cart| cart.state) {
        // It opened again in the meantime.
        Ok(CartState::Open) => Code::Conflict.into(),
        Ok(CartState::CheckingOut(order_id)) => Problem::from(Code::CompletionInProgress)
            .with(|more| more.order_id = Some(order_id))
            .header("retry-after", "1"),
        Ok(CartState::Completed(order_id)) => {
            Problem::from(Code::CartClosed).with(|more| more.order_id = Some(order_id))
        }
        Ok(CartState::Merged(cart_id)) => Problem::from(Code::CartClosed).with(|more| more.cart_id = Some(cart_id)),
        Err(_) => Code::CartClosed.into(),
    }
}

impl From<LineWarning> for Warning {
    fn from(warning: LineWarning) -> Self {
        match warning {
            LineWarning::PriceChanged => Self::PriceChanged,
            LineWarning::LowStock => Self::LowStock,
            LineWarning::OutOfStock => Self::OutOfStock,
            LineWarning::Unavailable => Self::Unavailable,
        }
    }
}

impl From<cart::LineItem> for CartLine {
    fn from(line: cart::LineItem) -> Self {
        Self {
            variant_id: line.variant_id,
            product_id: line.product_id,
            slug: line.slug,
            title: line.title,
            variant_title: line.variant_title,
            sku: line.sku,
            image_url: line.image_url,
            quantity: line.quantity,
            unit_price: line.unit_price.into(),
            set_unit_price: line.set_unit_price.into(),
            total: line.total.into(),
            available: line.available,
            weight_grams: line.weight_grams,
            warnings: line.warnings.into_iter().map(Warning::from).collect(),
        }
    }
}

impl From<cart::CartView> for Cart {
    fn from(cart: cart::CartView) -> Self {
        let (state, order_id, merged_into) = match cart.state {
            CartState::Open => (CartStatus::Open, None, None),
            CartState::CheckingOut(order_id) => (CartStatus::CheckingOut, Some(order_id), None),
            CartState::Completed(order_id) => (CartStatus::Completed, Some(order_id), None),
            CartState::Merged(cart_id) => (CartStatus::Merged, None, Some(cart_id)),
        };
        Self {
            id: cart.id,
            user_id: cart.user_id,
            currency: cart.currency,
            state,
            order_id,
            merged_into,
            lines: cart.lines.into_iter().map(CartLine::from).collect(),
            subtotal: cart.subtotal.into(),
            version: cart.version,
        }
    }
}
