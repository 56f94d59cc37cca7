//! Orders, as staff work on them.

use serde::Deserialize;
use souk_kit::order;

use crate::exchange::Exchange;
use crate::input;
use crate::routes::{Access, Answer, Keyed, Route};
use crate::shapes::{Money, PageQuery, page_items};
use crate::store::order_shapes::{FulfillmentLine, Order, OrderState};
use crate::store::orders::{Cancellation, page_of_orders, rendered, timeline};

/// The routes of this file.
pub const ROUTES: &[Route] = &[
    Route::get("orders", Access::Staff, admin_list_orders),
    Route::get("orders/{id}", Access::Staff, admin_get_order),
    Route::get("orders/{id}/timeline", Access::Staff, admin_list_order_timeline),
    Route::post("orders/{id}/cancel", Access::Staff, Keyed::Optional, admin_cancel_order),
    Route::post("orders/{id}/capture", Access::Staff, Keyed::Required, capture_order),
    Route::post("orders/{id}/refund", Access::Staff, Keyed::Required, refund_order),
    Route::post("orders/{id}/ship", Access::Staff, Keyed::Optional, ship_order),
];

/// Which orders are wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct OrderFilters {
    /// In this state.
    #[cfg_attr(not(target_arch = "wasm32"), param(inline))]
    pub state: Option<OrderState>,
    /// Of this user: `usr_...`
    pub user_id: Option<String>,
    /// The start of an order number or of a mail address.
    pub q: Option<String>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Items wanted, 1 to 100.
    #[serde(default = "page_items")]
    #[cfg_attr(not(target_arch = "wasm32"), param(minimum = 1, maximum = 100, required = false))]
    pub limit: u32,
}

/// How much to take.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct Capture {
    /// All that is left when it is left out.
    pub amount: Option<Money>,
}

/// How much to give back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct Refund {
    /// At most what was taken and not given back.
    pub amount: Money,
    /// For people.
    #[serde(default)]
    pub reason: String,
    /// Units that go back on the shelf.
    #[serde(default)]
    pub restock: Vec<FulfillmentLine>,
}

/// What is handed over.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct NewShipment {
    /// All that is left when it is left out.
    #[serde(default)]
    pub lines: Vec<FulfillmentLine>,
    /// Carrier.
    #[serde(default)]
    pub carrier: String,
    /// Tracking number.
    #[serde(default)]
    pub tracking_number: String,
}

/// Lists orders, newest first.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/admin/orders", tag = "admin: orders",
    params(OrderFilters), responses((status = 200, body = crate::shapes::List<crate::store::order_shapes::OrderSummary>))))]
pub fn admin_list_orders(exchange: &Exchange<'_>) -> Answer {
    let OrderFilters { state, user_id, q, cursor, limit } = input::query(exchange.request)?;
    let query = order::OrderQuery { user_id, state: state.map(Into::into), search: q.unwrap_or_default() };
    page_of_orders(exchange, &query, PageQuery { cursor, limit })
}

/// Reads an order.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/admin/orders/{id}", tag = "admin: orders",
    params(("id" = String, Path, description = "`ord_...`")), responses((status = 200, body = Order))))]
pub fn admin_get_order(exchange: &Exchange<'_>) -> Answer {
    Ok(rendered(Order::for_staff, exchange.ports.get_order(&exchange.ctx, exchange.id("id", "ord")?)?))
}

/// Lists what happened to an order, oldest first.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/admin/orders/{id}/timeline", tag = "admin: orders",
    params(("id" = String, Path, description = "`ord_...`")),
    responses((status = 200, body = crate::shapes::List<crate::store::order_shapes::TimelineEntry>))))]
pub fn admin_list_order_timeline(exchange: &Exchange<'_>) -> Answer {
    timeline(exchange, &exchange.ctx, exchange.id("id", "ord")?)
}

/// Cancels an order of which nothing was handed over: money is let go or given back, stock returns.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/admin/orders/{id}/cancel", tag = "admin: orders",
    params(("id" = String, Path, description = "`ord_...`")), request_body = Option<Cancellation>,
    responses((status = 200, body = Order))))]
pub fn admin_cancel_order(exchange: &Exchange<'_>) -> Answer {
    let id = exchange.id("id", "ord")?;
    let Cancellation { reason } = input::json_or_nothing(exchange.request)?;
    let command_id = exchange.mint("cmd", "cancel");
    Ok(rendered(Order::for_staff, exchange.ports.cancel(&exchange.ctx, &command_id, id, &reason)?))
}

/// Takes money that is held.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/admin/orders/{id}/capture", tag = "admin: orders",
    params(("id" = String, Path, description = "`ord_...`")), request_body = Option<Capture>,
    responses((status = 200, body = Order))))]
pub fn capture_order(exchange: &Exchange<'_>) -> Answer {
    let id = exchange.id("id", "ord")?;
    let amount = input::json_or_nothing::<Capture>(exchange.request)?.amount.map(Into::into);
    let command_id = exchange.mint("cmd", "capture");
    Ok(rendered(Order::for_staff, exchange.ports.capture(&exchange.ctx, &command_id, id, amount.as_ref())?))
}

/// Gives money back, and puts units back on the shelf when `restock` names any.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/admin/orders/{id}/refund", tag = "admin: orders",
    params(("id" = String, Path, description = "`ord_...`")), request_body = Refund,
    responses((status = 200, body = Order))))]
pub fn refund_order(exchange: &Exchange<'_>) -> Answer {
    let id = exchange.id("id", "ord")?;
    let Refund { amount, reason, restock } = input::json(exchange.request)?;
    let restock: Vec<_> = restock.into_iter().map(Into::into).collect();
    let command_id = exchange.mint("cmd", "refund");
    let order = exchange.ports.refund(&exchange.ctx, &command_id, id, &amount.into(), &reason, &restock)?;
    Ok(rendered(Order::for_staff, order))
}

/// Hands over units. Money that is held is captured first: nothing leaves unpaid.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/admin/orders/{id}/ship", tag = "admin: orders",
    params(("id" = String, Path, description = "`ord_...`")), request_body = Option<NewShipment>,
    responses((status = 200, body = Order))))]
pub fn ship_order(exchange: &Exchange<'_>) -> Answer {
    let id = exchange.id("id", "ord")?;
    let NewShipment { lines, carrier, tracking_number } = input::json_or_nothing(exchange.request)?;
    let lines: Vec<_> = lines.into_iter().map(Into::into).collect();
    let command_id = exchange.mint("ful", "ship");
    let order = exchange.ports.ship(&exchange.ctx, &command_id, id, &lines, &carrier, &tracking_number)?;
    Ok(rendered(Order::for_staff, order))
}
