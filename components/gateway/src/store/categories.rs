//! The tree of categories.

use serde::Serialize;
use souk_kit::catalog;

use crate::exchange::Exchange;
use crate::reply;
use crate::routes::{Access, Answer, Route};

/// The routes of this file.
pub const ROUTES: &[Route] = &[Route::get("categories", Access::Anyone, list_categories)];

/// A category.
#[derive(Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct Category {
    /// `cat_...`
    pub id: String,
    /// The category above; null at the top.
    pub parent_id: Option<String>,
    /// Its place in URLs.
    pub slug: String,
    /// Its title.
    pub title: String,
    /// Its place among its siblings, lowest first; ties by title.
    pub position: u32,
}

/// Lists all categories, parents before their children, siblings by position.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/store/categories", tag = "products",
    responses((status = 200, body = crate::shapes::List<Category>))))]
pub fn list_categories(exchange: &Exchange<'_>) -> Answer {
    let categories = exchange.ports.list_categories(&exchange.ctx)?;
    Ok(reply::public(exchange, reply::list(categories.into_iter().map(Category::from).collect())))
}

impl From<catalog::Category> for Category {
    fn from(category: catalog::Category) -> Self {
        let catalog::Category { id, parent_id, slug, title, position } = category;
        Self { id, parent_id, slug, title, position }
    }
}
