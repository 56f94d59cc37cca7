//! Products as staff see and write them. Every write names the version that was read.

use serde::{Deserialize, Serialize};
use souk_kit::Id;
use souk_kit::catalog::{self, Visibility};
use souk_kit::http::Response;

use crate::exchange::{Exchange, Expected};
use crate::input;
use crate::problem::Problem;
use crate::reply;
use crate::routes::{Access, Answer, Keyed, Route};
use crate::shapes::{Money, Timestamp};
use crate::store::products::{Media, ProductOption, Status, page_of_products};

/// The routes of this file.
pub const ROUTES: &[Route] = &[
    Route::get("products", Access::Staff, admin_list_products),
    Route::post("products", Access::Staff, Keyed::Optional, create_product),
    Route::get("products/{id}", Access::Staff, admin_get_product),
    Route::set("PUT", "products/{id}", Access::Staff, update_product),
    Route::set("DELETE", "products/{id}", Access::Staff, delete_product),
];

/// A variant to be written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct VariantInput {
    /// `var_...` of the variant to keep; a new variant is made when it is left out.
    pub id: Option<String>,
    /// The merchant's own code, unique in the shop.
    #[cfg_attr(not(target_arch = "wasm32"), schema(min_length = 1, max_length = 64))]
    pub sku: String,
    /// GTIN or other barcode.
    #[serde(default)]
    pub barcode: String,
    /// Weight in grams, for shipping.
    #[serde(default)]
    pub weight_grams: u32,
    /// One value for each option of the product, in their order.
    #[serde(default)]
    pub option_values: Vec<String>,
    /// One price for each currency it is sold in.
    pub prices: Vec<Money>,
}

/// A product to be written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct ProductInput {
    /// Its place in URLs, unique.
    #[cfg_attr(not(target_arch = "wasm32"), schema(pattern = "^[a-z0-9-]{1,100}$"))]
    pub slug: String,
    /// Its title.
    #[cfg_attr(not(target_arch = "wasm32"), schema(min_length = 1, max_length = 200))]
    pub title: String,
    /// Plain text.
    #[serde(default)]
    #[cfg_attr(not(target_arch = "wasm32"), schema(max_length = 10000))]
    pub description: String,
    /// Where it is in its life.
    #[serde(default)]
    #[cfg_attr(not(target_arch = "wasm32"), schema(required = false))]
    pub status: Status,
    /// Categories it is in, at most 20.
    #[serde(default)]
    pub category_ids: Vec<String>,
    /// Options, at most 3.
    #[serde(default)]
    pub options: Vec<ProductOption>,
    /// Variants, 1 to 500, in the order in which they are offered. One that is left out is deleted.
    pub variants: Vec<VariantInput>,
    /// Pictures, at most 50; the first one stands for the product.
    #[serde(default)]
    pub media: Vec<Media>,
}

/// A variant as staff see it.
#[derive(Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct AdminVariant {
    /// `var_...`
    pub id: String,
    /// The merchant's own code.
    pub sku: String,
    /// GTIN or other barcode; may be empty.
    pub barcode: String,
    /// Weight in grams.
    pub weight_grams: u32,
    /// One value for each option of the product, in their order.
    pub option_values: Vec<String>,
    /// One price for each currency it is sold in.
    pub prices: Vec<Money>,
    /// Units counted.
    pub on_hand: i64,
    /// Units promised to orders that are not settled.
    pub reserved: i64,
    /// The difference.
    pub available: i64,
}

/// A product as staff see it.
#[derive(Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct AdminProduct {
    /// `prod_...`
    pub id: String,
    /// Its place in URLs.
    pub slug: String,
    /// Its title.
    pub title: String,
    /// Plain text.
    pub description: String,
    /// Where it is in its life.
    pub status: Status,
    /// Categories it is in.
    pub category_ids: Vec<String>,
    /// Options.
    pub options: Vec<ProductOption>,
    /// Variants, in the order in which they are offered.
    pub variants: Vec<AdminVariant>,
    /// Pictures; the first one stands for the product.
    pub media: Vec<Media>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Raised by every change of the product, not by stock; what If-Match names.
    pub version: u64,
}

/// Lists products, drafts and archived ones as well.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/admin/products", tag = "admin: catalog",
    params(crate::store::products::ProductFilters), responses((status = 200, body = crate::shapes::List<crate::store::products::ProductSummary>))))]
pub fn admin_list_products(exchange: &Exchange<'_>) -> Answer {
    page_of_products(exchange, input::query(exchange.request)?, Visibility::All)
}

/// Adds a product with its variants.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/admin/products", tag = "admin: catalog",
    request_body = ProductInput, responses((status = 201, body = AdminProduct))))]
pub fn create_product(exchange: &Exchange<'_>) -> Answer {
    let input = input::json::<ProductInput>(exchange.request)?;
    let made = exchange.ports.create_product(&exchange.ctx, &product(exchange, exchange.mint("prod", ""), 0, input))?;
    let location = format!("/api/v1/admin/products/{}", made.id);
    Ok(Response { status: 201, ..rendered(made) }.with("location", location))
}

/// Reads a product, by id or slug.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/admin/products/{id}", tag = "admin: catalog",
    params(("id" = String, Path, description = "Id or slug.")), responses((status = 200, body = AdminProduct))))]
pub fn admin_get_product(exchange: &Exchange<'_>) -> Answer {
    Ok(rendered(exchange.ports.get_product(&exchange.ctx, exchange.part("id"), Visibility::All)?))
}

/// Replaces a product and its variants, if it is still the version that was read.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(put, path = "/api/v1/admin/products/{id}", tag = "admin: catalog",
    params(("id" = String, Path, description = "`prod_...`"),
        ("if-match" = String, Header, description = "The entity tag that was read, or `*`.")),
    request_body = ProductInput, responses((status = 200, body = AdminProduct))))]
pub fn update_product(exchange: &Exchange<'_>) -> Answer {
    let id = exchange.id("id", "prod")?;
    let named = exchange.required_if_match()?;
    let input = input::json::<ProductInput>(exchange.request)?;
    let version = match named {
        Expected::Version(version) => version,
        Expected::Unsaid | Expected::Present => exchange.ports.get_product(&exchange.ctx, id, Visibility::All)?.version,
    };
    let updated = exchange
        .ports
        .update_product(&exchange.ctx, &product(exchange, id.to_owned(), version, input))
        .map_err(|error| Problem::from(error).if_named(named.version()))?;
    Ok(rendered(updated))
}

/// Deletes a product softly: old orders keep what they bought. A repeat is harmless.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(delete, path = "/api/v1/admin/products/{id}", tag = "admin: catalog",
    params(("id" = String, Path, description = "`prod_...`"),
        ("if-match" = String, Header, description = "The entity tag that was read, or `*`.")),
    responses((status = 204))))]
pub fn delete_product(exchange: &Exchange<'_>) -> Answer {
    let id = exchange.id("id", "prod")?;
    let version = exchange.required_if_match()?.version();
    exchange
        .ports
        .delete_product(&exchange.ctx, id, version)
        .map_err(|error| Problem::from(error).if_named(version))?;
    Ok(reply::nothing())
}

fn product(exchange: &Exchange<'_>, id: Id, version: u64, input: ProductInput) -> catalog::Product {
    let variants = input.variants.into_iter().enumerate().map(|(place, variant)| catalog::VariantDetail {
        id: variant.id.unwrap_or_else(|| exchange.mint("var", &place.to_string())),
        sku: variant.sku,
        barcode: variant.barcode,
        weight_grams: variant.weight_grams,
        option_values: variant.option_values,
        prices: variant.prices.into_iter().map(Into::into).collect(),
        on_hand: 0,
        reserved: 0,
    });
    let options = input.options.into_iter();
    let media = input.media.into_iter();
    catalog::Product {
        id,
        slug: input.slug,
        title: input.title,
        description: input.description,
        status: input.status.into(),
        category_ids: input.category_ids,
        variants: variants.collect(),
        options: options.map(|option| catalog::ProductOption { name: option.name, values: option.values }).collect(),
        media: media.map(|media| catalog::Media { url: media.url, alt: media.alt }).collect(),
        created_at: 0,
        updated_at: 0,
        version,
    }
}

fn rendered(product: catalog::Product) -> Response {
    let tag = reply::tag(product.version);
    reply::json(200, &AdminProduct::from(product)).with("etag", tag)
}

impl From<catalog::VariantDetail> for AdminVariant {
    fn from(variant: catalog::VariantDetail) -> Self {
        Self {
            id: variant.id,
            sku: variant.sku,
            barcode: variant.barcode,
            weight_grams: variant.weight_grams,
            option_values: variant.option_values,
            prices: variant.prices.into_iter().map(Money::from).collect(),
            on_hand: variant.on_hand,
            reserved: variant.reserved,
            available: variant.on_hand - variant.reserved,
        }
    }
}

impl From<catalog::Product> for AdminProduct {
    fn from(product: catalog::Product) -> Self {
        Self {
            id: product.id,
            slug: product.slug,
            title: product.title,
            description: product.description,
            status: product.status.into(),
            category_ids: product.category_ids,
            options: product.options.into_iter().map(ProductOption::from).collect(),
            variants: product.variants.into_iter().map(AdminVariant::from).collect(),
            media: product.media.into_iter().map(Media::from).collect(),
            created_at: Timestamp(product.created_at),
            updated_at: Timestamp(product.updated_at),
            version: product.version,
        }
    }
}
