//! Accounts, as staff see them.

use serde::Deserialize;
use souk_kit::PageRequest;
use souk_kit::http::Response;
use souk_kit::user;

use crate::account::me::{Role, User};
use crate::exchange::Exchange;
use crate::input;
use crate::problem::Problem;
use crate::reply;
use crate::routes::{Access, Answer, Route};
use crate::shapes::{PageQuery, page_items};

/// The routes of this file.
pub const ROUTES: &[Route] = &[
    Route::get("customers", Access::Staff, list_customers),
    Route::get("customers/{id}", Access::Staff, get_customer),
    Route::set("PATCH", "customers/{id}", Access::Staff, change_customer),
];

/// Which accounts are wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct CustomerFilters {
    /// The start of a mail address or of an id.
    pub q: Option<String>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Items wanted, 1 to 100.
    #[serde(default = "page_items")]
    #[cfg_attr(not(target_arch = "wasm32"), param(minimum = 1, maximum = 100, required = false))]
    pub limit: u32,
}

/// What changes of an account.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct CustomerChange {
    /// Whether the account is disabled. Disabling ends its sessions.
    pub disabled: Option<bool>,
    /// What the user may do. A change ends the sessions.
    pub role: Option<Role>,
}

/// Lists accounts, newest first.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/admin/customers", tag = "admin: people",
    params(CustomerFilters), responses((status = 200, body = crate::shapes::List<User>))))]
pub fn list_customers(exchange: &Exchange<'_>) -> Answer {
    let CustomerFilters { q, cursor, limit } = input::query(exchange.request)?;
    let page = PageRequest::from(PageQuery { cursor, limit });
    let found = exchange.ports.list_users(&exchange.ctx, &q.unwrap_or_default(), &page)?;
    Ok(reply::page(exchange, found.items.into_iter().map(User::from).collect(), found.next))
}

/// Reads an account.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/admin/customers/{id}", tag = "admin: people",
    params(("id" = String, Path, description = "`usr_...`")), responses((status = 200, body = User))))]
pub fn get_customer(exchange: &Exchange<'_>) -> Answer {
    Ok(rendered(exchange.ports.get_profile(&exchange.ctx, exchange.id("id", "usr")?)?))
}

/// Changes what an account may do. A repeat is harmless.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(patch, path = "/api/v1/admin/customers/{id}", tag = "admin: people",
    params(("id" = String, Path, description = "`usr_...`")), request_body = CustomerChange,
    responses((status = 200, body = User))))]
pub fn change_customer(exchange: &Exchange<'_>) -> Answer {
    let id = exchange.id("id", "usr")?;
    let CustomerChange { disabled, role } = input::json(exchange.request)?;
    let mut changed = None;
    // Each is set by itself: when the second fails, sending both again sets both.
    if let Some(role) = role {
        changed = Some(exchange.ports.set_role(&exchange.ctx, id, role.into())?);
    }
    if let Some(disabled) = disabled {
        changed = Some(exchange.ports.set_disabled(&exchange.ctx, id, disabled)?);
    }
    let profile = changed.ok_or_else(|| Problem::field("", "required", "`disabled` or `role`"))?;
    Ok(rendered(profile))
}

fn rendered(profile: user::Profile) -> Response {
    let tag = reply::tag(profile.version);
    reply::json(200, &User::from(profile)).with("etag", tag)
}
