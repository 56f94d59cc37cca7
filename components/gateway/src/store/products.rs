//! Products on sale.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use souk_kit::catalog::{self, ProductStatus, Visibility};
use souk_kit::{PageRequest, ids};

use crate::exchange::Exchange;
use crate::reply;
use crate::routes::{Access, Answer, Route};
use crate::shapes::{Money, PageQuery, Price, Timestamp, page_items};

/// Currency of prices when the client does not say. A constant, so that the busiest route asks nobody.
pub const CURRENCY_DEFAULT: &str = "USD";

/// The routes of this file.
pub const ROUTES: &[Route] =
    &[Route::get("products", Access::Anyone, list_products), Route::get("products/{key}", Access::Anyone, get_product)];

/// How a list of products is ordered. Ties are broken by id.
#[derive(Clone, Copy, Default, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub enum Sort {
    /// Newest first.
    #[default]
    #[serde(rename = "newest")]
    Newest,
    /// Lowest price first.
    #[serde(rename = "price")]
    PriceAscending,
    /// Highest price first.
    #[serde(rename = "-price")]
    PriceDescending,
    /// By title.
    #[serde(rename = "title")]
    Title,
}

/// Which products are wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct ProductFilters {
    /// In this category or one below it, by id or slug.
    pub category: Option<String>,
    /// Words that must all occur, each as the start of a word, in title, description or SKU.
    #[cfg_attr(not(target_arch = "wasm32"), param(max_length = 200))]
    pub q: Option<String>,
    /// Lowest price in minor units.
    pub price_min: Option<i64>,
    /// Highest price in minor units.
    pub price_max: Option<i64>,
    /// Only what is available now.
    #[serde(default)]
    #[cfg_attr(not(target_arch = "wasm32"), param(required = false))]
    pub in_stock: bool,
    /// In what order.
    #[serde(default)]
    #[cfg_attr(not(target_arch = "wasm32"), param(required = false, inline))]
    pub sort: Sort,
    /// ISO 4217 code in which prices are shown, filtered and sorted; `USD` when left out.
    pub currency: Option<String>,
    /// `next_cursor` of the page before. It belongs to its filters.
    pub cursor: Option<String>,
    /// Items wanted, 1 to 100.
    #[serde(default = "page_items")]
    #[cfg_attr(not(target_arch = "wasm32"), param(minimum = 1, maximum = 100, required = false))]
    pub limit: u32,
}

/// Where a product is in its life.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub enum Status {
    /// Being written; staff alone see it.
    #[default]
    Draft,
    /// On sale.
    Published,
    /// No longer on sale; staff alone see it.
    Archived,
}

/// A product in a list: what a card shows.
#[derive(Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct ProductSummary<'a> {
    /// `prod_...`
    pub id: &'a str,
    /// Its place in URLs.
    pub slug: &'a str,
    /// Its title.
    pub title: &'a str,
    /// Where it is in its life.
    pub status: Status,
    /// URL of the first picture; empty when there is none.
    pub image_url: &'a str,
    /// What the first picture shows.
    pub image_alt: &'a str,
    /// The lowest price of its variants, in the currency asked for.
    #[cfg_attr(not(target_arch = "wasm32"), schema(value_type = Money))]
    pub price: Price<'a>,
    /// Whether its variants have different prices.
    pub price_varies: bool,
    /// Units available over all variants.
    pub available: i64,
}

/// A picture of a product.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct Media {
    /// An absolute https URL or a path of this shop, `/media/med_...`.
    pub url: String,
    /// What it shows, for those who cannot see it; may be empty for decoration.
    #[serde(default)]
    #[cfg_attr(not(target_arch = "wasm32"), schema(required = false))]
    pub alt: String,
}

/// A way in which the variants of a product differ.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct ProductOption {
    /// Its name.
    #[cfg_attr(not(target_arch = "wasm32"), schema(example = "Size"))]
    pub name: String,
    /// Its values, in the order in which they are offered.
    #[cfg_attr(not(target_arch = "wasm32"), schema(example = json!(["S", "M", "L"])))]
    pub values: Vec<String>,
}

/// What is bought.
#[derive(Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct Variant {
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
    /// Units available now.
    pub available: i64,
}

/// A product on sale, with all that belongs to it.
#[derive(Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct Product {
    /// `prod_...`
    pub id: String,
    /// Its place in URLs.
    pub slug: String,
    /// Its title.
    pub title: String,
    /// Plain text.
    pub description: String,
    /// Categories it is in.
    pub category_ids: Vec<String>,
    /// Options.
    pub options: Vec<ProductOption>,
    /// Variants, in the order in which they are offered.
    pub variants: Vec<Variant>,
    /// Pictures; the first one stands for the product.
    pub media: Vec<Media>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Raised by every change of the product, not by stock.
    pub version: u64,
}

/// Lists products on sale.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/store/products", tag = "products",
    params(ProductFilters), responses((status = 200, body = crate::shapes::List<ProductSummary>))))]
pub fn list_products(exchange: &Exchange<'_>) -> Answer {
    let filters = crate::input::query::<ProductFilters>(exchange.request)?;
    Ok(reply::public(exchange, page_of_products(exchange, filters, Visibility::Published)?))
}

/// One page of products, for shoppers and for staff.
pub fn page_of_products(exchange: &Exchange<'_>, filters: ProductFilters, visibility: Visibility) -> Answer {
    let page = PageRequest::from(PageQuery { cursor: filters.cursor, limit: filters.limit });
    let query = catalog::ProductQuery {
        visibility,
        currency: filters.currency.unwrap_or_else(|| CURRENCY_DEFAULT.to_owned()),
        category: filters.category,
        search: filters.q.unwrap_or_default(),
        price_min: filters.price_min,
        price_max: filters.price_max,
        in_stock: filters.in_stock,
        sort: filters.sort.into(),
    };
    let found = exchange
        .ports
        .list_products(&exchange.ctx, &query, &page)
        .map_err(|error| crate::problem::Problem::from(error).pointing(&[("/search", "/q")]))?;
    let summaries = found.items.iter().map(|item| summary(item, &query.currency)).collect();
    Ok(reply::page(exchange, summaries, found.next))
}

/// Reads a product on sale, by id or slug.
///
/// Its entity tag changes with its stock as well, so `304 Not Modified` never hides that something sold out.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/store/products/{key}", tag = "products",
    params(("key" = String, Path, description = "Id or slug.")),
    responses((status = 200, body = Product), (status = 304, description = "What If-None-Match names is still what is there."))))]
pub fn get_product(exchange: &Exchange<'_>) -> Answer {
    let product = exchange.ports.get_product(&exchange.ctx, exchange.part("key"), Visibility::Published)?;
    let response = reply::json(200, &Product::from(product));
    let tag = format!("\"{}\"", &ids::hex(&Sha256::digest(&response.body))[..32]);
    Ok(reply::tagged(exchange.request, reply::public(exchange, response), &tag))
}

fn summary<'a>(item: &'a catalog::ProductSummary, currency: &'a str) -> ProductSummary<'a> {
    ProductSummary {
        id: &item.id,
        slug: &item.slug,
        title: &item.title,
        status: item.status.into(),
        image_url: &item.image_url,
        image_alt: &item.image_alt,
        price: Price { amount: item.price_minor, currency },
        price_varies: item.price_varies,
        available: item.available,
    }
}

impl From<Sort> for catalog::ProductSort {
    fn from(sort: Sort) -> Self {
        match sort {
            Sort::Newest => Self::Newest,
            Sort::PriceAscending => Self::PriceAscending,
            Sort::PriceDescending => Self::PriceDescending,
            Sort::Title => Self::Title,
        }
    }
}

impl From<ProductStatus> for Status {
    fn from(status: ProductStatus) -> Self {
        match status {
            ProductStatus::Draft => Self::Draft,
            ProductStatus::Published => Self::Published,
            ProductStatus::Archived => Self::Archived,
        }
    }
}

impl From<Status> for ProductStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Draft => Self::Draft,
            Status::Published => Self::Published,
            Status::Archived => Self::Archived,
        }
    }
}

impl From<catalog::Media> for Media {
    fn from(media: catalog::Media) -> Self {
        Self { url: media.url, alt: media.alt }
    }
}

impl From<catalog::ProductOption> for ProductOption {
    fn from(option: catalog::ProductOption) -> Self {
        Self { name: option.name, values: option.values }
    }
}

impl From<catalog::VariantDetail> for Variant {
    fn from(variant: catalog::VariantDetail) -> Self {
        Self {
            id: variant.id,
            sku: variant.sku,
            barcode: variant.barcode,
            weight_grams: variant.weight_grams,
            option_values: variant.option_values,
            prices: variant.prices.into_iter().map(Money::from).collect(),
            available: variant.on_hand - variant.reserved,
        }
    }
}

impl From<catalog::Product> for Product {
    fn from(product: catalog::Product) -> Self {
        Self {
            id: product.id,
            slug: product.slug,
            title: product.title,
            description: product.description,
            category_ids: product.category_ids,
            options: product.options.into_iter().map(ProductOption::from).collect(),
            variants: product.variants.into_iter().map(Variant::from).collect(),
            media: product.media.into_iter().map(Media::from).collect(),
            created_at: Timestamp(product.created_at),
            updated_at: Timestamp(product.updated_at),
            version: product.version,
        }
    }
}
