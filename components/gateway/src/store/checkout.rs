//! From a cart to an order: what it would cost, and the agreement.

use serde::{Deserialize, Serialize};
use souk_kit::order::{self, OrderError, OrderState};
use souk_kit::types;

use crate::exchange::Exchange;
use crate::input;
use crate::problem::Problem;
use crate::reply;
use crate::routes::{Access, Answer, Keyed, Route};
use crate::shapes::{Address, Money, Timestamp};
use crate::store::carts;
use crate::store::order_shapes::{Order, OrderLine, Totals};

/// The routes of this file.
pub const ROUTES: &[Route] = &[
    Route::post("carts/{id}/quote", Access::Anyone, Keyed::Derived, quote_cart),
    Route::post("carts/{id}/checkout", Access::Anyone, Keyed::Required, check_out_cart),
    Route::get("payment-providers", Access::Anyone, list_payment_providers),
];

/// Longest return URL, in bytes.
const RETURN_URL_BYTES_MAX: usize = 2000;

/// Where a quote is for. The country decides tax and shipping; all else may be left out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct Destination {
    /// Full name of the recipient.
    #[serde(default)]
    pub name: String,
    /// Company.
    #[serde(default)]
    pub company: String,
    /// Street and number.
    #[serde(default)]
    pub line1: String,
    /// Second line.
    #[serde(default)]
    pub line2: String,
    /// City.
    #[serde(default)]
    pub city: String,
    /// State, province or region.
    #[serde(default)]
    pub region: String,
    /// Postal code.
    #[serde(default)]
    pub postal_code: String,
    /// ISO 3166-1 alpha-2 code.
    #[cfg_attr(not(target_arch = "wasm32"), schema(example = "DE", pattern = "^[A-Z]{2}$"))]
    pub country: String,
    /// Telephone number.
    #[serde(default)]
    pub phone: String,
}

/// For what a quote is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct QuoteRequest {
    /// Where it goes.
    pub shipping_address: Destination,
    /// The way of shipping; the cheapest when left out.
    #[cfg_attr(not(target_arch = "wasm32"), schema(example = "standard"))]
    pub shipping_method: Option<String>,
}

/// Means of payment. Card data never comes here: the provider's fields or page give a token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct PaymentMeans {
    /// Name of the payment provider.
    #[cfg_attr(not(target_arch = "wasm32"), schema(example = "test"))]
    pub provider: String,
    /// The provider's token.
    pub token: String,
}

/// What a shopper agrees to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct Checkout {
    /// The hash of the quote that the shopper saw.
    pub quote_hash: String,
    /// Where news of the order goes.
    #[cfg_attr(not(target_arch = "wasm32"), schema(format = Email))]
    pub email: String,
    /// Where it goes.
    pub shipping_address: Address,
    /// Who pays; the shipping address when left out.
    pub billing_address: Option<Address>,
    /// The way of shipping that was quoted.
    #[cfg_attr(not(target_arch = "wasm32"), schema(example = "standard"))]
    pub shipping_method: String,
    /// Means of payment.
    pub payment: PaymentMeans,
    /// Where the provider sends the shopper back to: an absolute `https` or `http` URL in which `{order}` becomes the order's id.
    /// A page of this shop when left out.
    #[cfg_attr(not(target_arch = "wasm32"), schema(example = "https://shop.example/orders/{order}"))]
    pub return_url: Option<String>,
}

/// A way of shipping and what it costs.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct ShippingOption {
    /// Stable name.
    pub code: String,
    /// For people.
    pub title: String,
    /// Its price, without tax.
    pub price: Money,
}

/// What a checkout would cost now.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct Quote {
    /// Digest of everything that the shopper is shown. Checkout takes it back.
    pub hash: String,
    /// The cart it is for.
    pub cart_id: String,
    /// The version of the cart it is for.
    pub cart_version: u64,
    /// Lines with their prices and taxes.
    pub lines: Vec<OrderLine>,
    /// Ways of shipping to this address, cheapest first.
    pub shipping_options: Vec<ShippingOption>,
    /// The way chosen; the cheapest when none was.
    pub shipping_method: String,
    /// What it costs.
    pub totals: Totals,
    /// The quote holds until then.
    pub expires_at: Timestamp,
}

/// A payment provider on offer.
#[derive(Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct PaymentProvider {
    /// Its name.
    pub name: String,
}

/// Says what a checkout of the cart would cost now. Changes nothing.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/store/carts/{id}/quote", tag = "checkout",
    params(("id" = String, Path, description = "`cart_...`")), request_body = QuoteRequest,
    responses((status = 200, body = Quote))))]
pub fn quote_cart(exchange: &Exchange<'_>) -> Answer {
    let cart_id = exchange.id("id", "cart")?;
    let wanted = input::json::<QuoteRequest>(exchange.request)?;
    let request = order::QuoteRequest {
        cart_id: cart_id.to_owned(),
        shipping_address: wanted.shipping_address.into(),
        shipping_method: wanted.shipping_method,
    };
    let quote = exchange.ports.get_quote(&exchange.ctx, &request).map_err(|error| refused(exchange, cart_id, error))?;
    Ok(reply::json(200, &Quote::from(quote)))
}

/// Places an order: reserves stock, authorizes the payment and confirms.
///
/// The answer is the order as far as it came: `201` when it is `confirmed`, or `pending` while the payment
/// provider's answer is not known; `200` when it is `awaiting_action`, with `next_action`, or `canceled` because the
/// payment was declined or the stock was gone; then nothing is held and the cart is open again. A repeat with the
/// same key gives the same answer; read the order to see how it went on.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/store/carts/{id}/checkout", tag = "checkout",
    params(("id" = String, Path, description = "`cart_...`")), request_body = Checkout,
    responses((status = 201, description = "The order is made.", body = Order),
        (status = 200, description = "The shopper must act, or the order was canceled.", body = Order))))]
pub fn check_out_cart(exchange: &Exchange<'_>) -> Answer {
    let cart_id = exchange.id("id", "cart")?;
    let agreed = input::json::<Checkout>(exchange.request)?;
    let return_url = return_url(exchange, agreed.return_url)?;
    let shipping_address = types::Address::from(agreed.shipping_address);
    let placement = order::Placement {
        order_id: exchange.mint("ord", "order"),
        cart_id: cart_id.to_owned(),
        quote_hash: agreed.quote_hash,
        email: agreed.email,
        billing_address: agreed.billing_address.map_or_else(|| shipping_address.clone(), types::Address::from),
        shipping_address,
        shipping_method: agreed.shipping_method,
        payment_provider: agreed.payment.provider,
        payment_token: agreed.payment.token,
        return_url,
    };
    let placed = exchange.ports.place(&exchange.ctx, &placement).map_err(|error| refused(exchange, cart_id, error))?;
    let status = match placed.state {
        OrderState::Pending | OrderState::Confirmed | OrderState::Completed => 201,
        OrderState::AwaitingAction | OrderState::Canceled => 200,
    };
    let location = format!("/api/v1/store/orders/{}", placed.id);
    let tag = reply::tag(placed.version);
    Ok(reply::json(status, &Order::for_shopper(placed)).with("location", location).with("etag", tag))
}

/// Lists the payment providers on offer, in the order in which they are to be shown.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/store/payment-providers", tag = "checkout",
    responses((status = 200, body = crate::shapes::List<PaymentProvider>))))]
pub fn list_payment_providers(exchange: &Exchange<'_>) -> Answer {
    let names = exchange.ports.list_providers(&exchange.ctx);
    let providers = names.into_iter().map(|name| PaymentProvider { name }).collect();
    Ok(reply::public(exchange, reply::list(providers)))
}

fn return_url(exchange: &Exchange<'_>, wanted: Option<String>) -> Result<String, Problem> {
    let Some(url) = wanted else { return Ok(format!("{}/orders/{{order}}", exchange.request.origin)) };
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    if url.len() > RETURN_URL_BYTES_MAX {
        return Err(Problem::field("/return_url", "too_long", format!("at most {RETURN_URL_BYTES_MAX} bytes")));
    }
    if host.is_none_or(|host| host.is_empty() || host.starts_with('/')) || !url.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Problem::field("/return_url", "malformed", "an absolute https or http URL"));
    }
    Ok(url)
}

fn refused(exchange: &Exchange<'_>, cart_id: &str, error: OrderError) -> Problem {
    match error {
        OrderError::CartClosed(order_id) => {
            carts::closed(exchange, cart_id).with(|more| more.order_id = Some(order_id))
        }
        OrderError::Invalid(_)
        | OrderError::NotFound
        | OrderError::CartEmpty
        | OrderError::PriceChanged(_)
        | OrderError::OutOfStock(_)
        | OrderError::ShippingUnavailable
        | OrderError::UnknownProvider
        | OrderError::WrongState(_)
        | OrderError::Exceeds(_)
        | OrderError::PaymentRefused(_)
        | OrderError::Conflict
        | OrderError::StorageFull
        | OrderError::Unavailable(_) => Problem::from(error)
            .pointing(&[("/payment_provider", "/payment/provider"), ("/payment_token", "/payment/token")]),
    }
}

impl From<Destination> for types::Address {
    fn from(to: Destination) -> Self {
        let Destination { name, company, line1, line2, city, region, postal_code, country, phone } = to;
        Self { name, company, line1, line2, city, region, postal_code, country, phone }
    }
}

impl From<order::ShippingOption> for ShippingOption {
    fn from(option: order::ShippingOption) -> Self {
        Self { code: option.code, title: option.title, price: option.price.into() }
    }
}

impl From<order::Quote> for Quote {
    fn from(quote: order::Quote) -> Self {
        Self {
            hash: quote.hash,
            cart_id: quote.cart_id,
            cart_version: quote.cart_version,
            lines: quote.lines.into_iter().map(OrderLine::from).collect(),
            shipping_options: quote.shipping_options.into_iter().map(ShippingOption::from).collect(),
            shipping_method: quote.shipping_method,
            totals: quote.totals.into(),
            expires_at: Timestamp(quote.expires_at),
        }
    }
}
