//! The tree of categories, as staff write it.

use serde::Deserialize;
use souk_kit::{Id, catalog};

use crate::exchange::Exchange;
use crate::input;
use crate::problem::Problem;
use crate::reply;
use crate::routes::{Access, Answer, Keyed, Route};
use crate::store::categories::Category;

/// The routes of this file.
pub const ROUTES: &[Route] = &[
    Route::get("categories", Access::Staff, admin_list_categories),
    Route::post("categories", Access::Staff, Keyed::Optional, create_category),
    Route::set("PUT", "categories/{id}", Access::Staff, set_category),
    Route::set("DELETE", "categories/{id}", Access::Staff, delete_category),
];

/// A category to be written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct CategoryInput {
    /// The category above; none at the top.
    pub parent_id: Option<String>,
    /// Its place in URLs, unique.
    #[cfg_attr(not(target_arch = "wasm32"), schema(pattern = "^[a-z0-9-]{1,100}$"))]
    pub slug: String,
    /// Its title.
    #[cfg_attr(not(target_arch = "wasm32"), schema(min_length = 1, max_length = 200))]
    pub title: String,
    /// Its place among its siblings, lowest first; ties by title.
    #[serde(default)]
    pub position: u32,
}

/// Lists all categories, parents before their children, siblings by position.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/admin/categories", tag = "admin: catalog",
    responses((status = 200, body = crate::shapes::List<Category>))))]
pub fn admin_list_categories(exchange: &Exchange<'_>) -> Answer {
    let categories = exchange.ports.list_categories(&exchange.ctx)?;
    Ok(reply::list(categories.into_iter().map(Category::from).collect()))
}

/// Adds a category.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/admin/categories", tag = "admin: catalog",
    request_body = CategoryInput, responses((status = 201, body = Category))))]
pub fn create_category(exchange: &Exchange<'_>) -> Answer {
    let made = set(exchange, exchange.mint("cat", "category"))?;
    Ok(reply::created(&format!("/api/v1/admin/categories/{}", made.id), &made))
}

/// Adds or replaces a category. The client may mint the id of a new one: `cat_` and 32 hexadecimal digits.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(put, path = "/api/v1/admin/categories/{id}", tag = "admin: catalog",
    params(("id" = String, Path, description = "`cat_...`")), request_body = CategoryInput,
    responses((status = 200, body = Category))))]
pub fn set_category(exchange: &Exchange<'_>) -> Answer {
    let id = exchange.id("id", "cat")?.to_owned();
    Ok(reply::json(200, &set(exchange, id)?))
}

/// Removes an empty category. A repeat is harmless.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(delete, path = "/api/v1/admin/categories/{id}", tag = "admin: catalog",
    params(("id" = String, Path, description = "`cat_...`")), responses((status = 204))))]
pub fn delete_category(exchange: &Exchange<'_>) -> Answer {
    exchange.ports.delete_category(&exchange.ctx, exchange.id("id", "cat")?)?;
    Ok(reply::nothing())
}

fn set(exchange: &Exchange<'_>, id: Id) -> Result<Category, Problem> {
    let CategoryInput { parent_id, slug, title, position } = input::json(exchange.request)?;
    let category = catalog::Category { id, parent_id, slug, title, position };
    Ok(exchange.ports.set_category(&exchange.ctx, &category)?.into())
}
