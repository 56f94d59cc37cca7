//! Orders, as their shopper and staff see them.

use serde::Deserialize;
use souk_kit::http::Response;
use souk_kit::{Actor, Context, PageRequest, order};

use crate::exchange::Exchange;
use crate::input;
use crate::problem::{Code, Problem};
use crate::reply;
use crate::routes::{Access, Answer, Keyed, Route};
use crate::shapes::PageQuery;
use crate::store::order_shapes::{Order, OrderSummary, TimelineEntry};

/// The routes of this file.
pub const ROUTES: &[Route] = &[
    Route::get("orders", Access::SignedIn, list_my_orders),
    Route::get("orders/lookup", Access::Anyone, look_up_order),
    Route::get("orders/{id}", Access::Anyone, get_order),
    Route::get("orders/{id}/timeline", Access::Anyone, list_order_timeline),
    Route::post("orders/{id}/resume", Access::Anyone, Keyed::Derived, resume_order),
    Route::post("orders/{id}/cancel", Access::Anyone, Keyed::Optional, cancel_order),
];

/// The order that a guest looks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct Lookup {
    /// The number of the order.
    pub number: String,
    /// Its access token, from the mail.
    pub token: String,
}

/// What lets a guest see an order.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct GuestAccess {
    /// The access token of a guest's order. Whoever is signed in needs none for their own.
    pub token: Option<String>,
}

/// Why an order is canceled.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct Cancellation {
    /// For people.
    #[serde(default)]
    pub reason: String,
}

/// Lists the orders of whoever is signed in, newest first.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/store/orders", tag = "orders",
    params(PageQuery), responses((status = 200, body = crate::shapes::List<OrderSummary>))))]
pub fn list_my_orders(exchange: &Exchange<'_>) -> Answer {
    let page = input::query::<PageQuery>(exchange.request)?;
    let query =
        order::OrderQuery { user_id: Some(exchange.user().user_id.clone()), state: None, search: String::new() };
    page_of_orders(exchange, &query, page)
}

/// One page of orders, for shoppers and for staff.
pub fn page_of_orders(exchange: &Exchange<'_>, query: &order::OrderQuery, page: PageQuery) -> Answer {
    let found = exchange.ports.list_orders(&exchange.ctx, query, &PageRequest::from(page))?;
    Ok(reply::page(exchange, found.items.into_iter().map(OrderSummary::from).collect(), found.next))
}

/// Reads an order of a guest by its number and the token from the mail.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/store/orders/lookup", tag = "orders",
    params(Lookup), responses((status = 200, body = Order))))]
pub fn look_up_order(exchange: &Exchange<'_>) -> Answer {
    let Lookup { number, token } = input::query(exchange.request)?;
    Ok(rendered(Order::for_shopper, exchange.ports.find_order(&exchange.ctx, &number, &token)?))
}

/// Reads an order: one's own, or a guest's with its token.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/store/orders/{id}", tag = "orders",
    params(("id" = String, Path, description = "`ord_...`"), GuestAccess), responses((status = 200, body = Order))))]
pub fn get_order(exchange: &Exchange<'_>) -> Answer {
    Ok(rendered(Order::for_shopper, visible(exchange)?.order))
}

/// Lists what happened to an order, oldest first.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/store/orders/{id}/timeline", tag = "orders",
    params(("id" = String, Path, description = "`ord_...`"), GuestAccess),
    responses((status = 200, body = crate::shapes::List<TimelineEntry>))))]
pub fn list_order_timeline(exchange: &Exchange<'_>) -> Answer {
    let seen = visible(exchange)?;
    let ctx = match seen.token {
        // The order service shows no guest a timeline; the token has just proved that this one may see it.
        Some(_) => {
            Context { actor: Actor::System("a guest with the order's token".to_owned()), ..exchange.ctx.clone() }
        }
        None => exchange.ctx.clone(),
    };
    timeline(exchange, &ctx, &seen.order.id)
}

/// Resumes a checkout that is not finished: the shopper came back, or wants to know. Harmless at any time.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/store/orders/{id}/resume", tag = "orders",
    params(("id" = String, Path, description = "`ord_...`"), GuestAccess), responses((status = 200, body = Order))))]
pub fn resume_order(exchange: &Exchange<'_>) -> Answer {
    let seen = visible(exchange)?;
    let resumed = exchange.ports.resume(&exchange.ctx, &seen.order.id)?;
    Ok(rendered(Order::for_shopper, seen.whole(exchange, resumed)?))
}

/// Cancels an order. A shopper may cancel only while it is not confirmed.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/store/orders/{id}/cancel", tag = "orders",
    params(("id" = String, Path, description = "`ord_...`"), GuestAccess), request_body = Option<Cancellation>,
    responses((status = 200, body = Order))))]
pub fn cancel_order(exchange: &Exchange<'_>) -> Answer {
    let Cancellation { reason } = input::json_or_nothing(exchange.request)?;
    let seen = visible(exchange)?;
    let command_id = exchange.mint("cmd", "cancel");
    let canceled = exchange.ports.cancel(&exchange.ctx, &command_id, &seen.order.id, &reason)?;
    Ok(rendered(Order::for_shopper, seen.whole(exchange, canceled)?))
}

/// An order that whoever asks may see, and the token that proved it.
struct Seen {
    order: order::OrderView,
    token: Option<String>,
}

impl Seen {
    /// The order as it is after a command. To a guest the service answers a command without what is personal, since it knows
    /// nothing of the token; the token shows all of it.
    fn whole(&self, exchange: &Exchange<'_>, after: order::OrderView) -> Result<order::OrderView, Problem> {
        match &self.token {
            Some(token) => Ok(exchange.ports.find_order(&exchange.ctx, &after.id, token)?),
            None => Ok(after),
        }
    }
}

/// The order of the path, if whoever asks may see it.
fn visible(exchange: &Exchange<'_>) -> Result<Seen, Problem> {
    let id = exchange.id("id", "ord")?;
    let GuestAccess { token } = input::query(exchange.request)?;
    let order = match &token {
        Some(token) => exchange.ports.find_order(&exchange.ctx, id, token)?,
        None if exchange.bearer.is_none() => return Err(Code::NotFound.into()),
        None => exchange.ports.get_order(&exchange.ctx, id)?,
    };
    Ok(Seen { order, token })
}

/// What happened to an order, for shoppers and for staff.
pub fn timeline(exchange: &Exchange<'_>, ctx: &Context, order_id: &str) -> Answer {
    let entries = exchange.ports.list_timeline(ctx, order_id)?;
    Ok(reply::list(entries.into_iter().map(TimelineEntry::from).collect()))
}

/// An order as an answer, in the shape for shoppers or for staff.
pub fn rendered(shape: fn(order::OrderView) -> Order, order: order::OrderView) -> Response {
    let tag = reply::tag(order.version);
    reply::json(200, &shape(order)).with("etag", tag)
}
