//! Stock of variants: what moved, and moving it.

use serde::{Deserialize, Serialize};
use souk_kit::catalog::CatalogError;
use souk_kit::check::Check;
use souk_kit::{PageRequest, catalog};

use crate::admin::products::AdminVariant;
use crate::exchange::Exchange;
use crate::input;
use crate::reply;
use crate::routes::{Access, Answer, Keyed, Route};
use crate::shapes::{PageQuery, Timestamp};

/// The routes of this file.
pub const ROUTES: &[Route] = &[
    Route::get("variants/{id}/stock-movements", Access::Staff, list_stock_movements),
    Route::post("variants/{id}/stock-adjustments", Access::Staff, Keyed::Optional, adjust_stock),
];

/// A change of the units counted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct StockAdjustment {
    /// `mov_...`, when the client wants to repeat it safely without an idempotency key.
    pub id: Option<String>,
    /// Units that came, or went when it is negative.
    pub delta: i64,
    /// `received`, `counted`, `damaged` or the merchant's own word.
    #[cfg_attr(not(target_arch = "wasm32"), schema(example = "received"))]
    pub reason: String,
}

/// One change of stock.
#[derive(Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct StockMovement {
    /// `mov_...`, or derived from the order.
    pub id: String,
    /// `var_...`
    pub variant_id: String,
    /// Change of the units counted.
    pub on_hand_delta: i64,
    /// Change of the units promised.
    pub reserved_delta: i64,
    /// Why.
    pub reason: String,
    /// The order it belongs to.
    pub order_id: Option<String>,
    /// Who did it: a user id or `system:...`.
    pub actor: String,
    /// When.
    pub at: Timestamp,
}

/// Lists what moved of a variant, newest first.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/admin/variants/{id}/stock-movements", tag = "admin: catalog",
    params(("id" = String, Path, description = "`var_...`"), PageQuery),
    responses((status = 200, body = crate::shapes::List<StockMovement>))))]
pub fn list_stock_movements(exchange: &Exchange<'_>) -> Answer {
    let id = exchange.id("id", "var")?;
    let page = PageRequest::from(input::query::<PageQuery>(exchange.request)?);
    let found = exchange.ports.list_stock_movements(&exchange.ctx, id, &page)?;
    Ok(reply::page(exchange, found.items.into_iter().map(StockMovement::from).collect(), found.next))
}

/// Changes the units counted of a variant by a difference. What is promised stays promised.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/admin/variants/{id}/stock-adjustments", tag = "admin: catalog",
    params(("id" = String, Path, description = "`var_...`")), request_body = StockAdjustment,
    responses((status = 200, body = AdminVariant))))]
pub fn adjust_stock(exchange: &Exchange<'_>) -> Answer {
    let variant_id = exchange.id("id", "var")?;
    let StockAdjustment { id, delta, reason } = input::json(exchange.request)?;
    let mut check = Check::new();
    if let Some(id) = &id {
        check.id("/id", "mov", id);
    }
    check.done().map_err(CatalogError::Invalid)?;
    let movement_id = id.unwrap_or_else(|| exchange.mint("mov", "movement"));
    let variant = exchange.ports.adjust_stock(&exchange.ctx, &movement_id, variant_id, delta, &reason)?;
    Ok(reply::json(200, &AdminVariant::from(variant)))
}

impl From<catalog::StockMovement> for StockMovement {
    fn from(movement: catalog::StockMovement) -> Self {
        Self {
            id: movement.id,
            variant_id: movement.variant_id,
            on_hand_delta: movement.on_hand_delta,
            reserved_delta: movement.reserved_delta,
            reason: movement.reason,
            order_id: if movement.order_id.is_empty() { None } else { Some(movement.order_id) },
            actor: movement.actor,
            at: Timestamp(movement.at),
        }
    }
}
