//! What a list of products shows, and where its pages start.

use std::collections::BTreeMap;

use crate::values::{CatalogError, Product, ProductQuery, ProductSort, Visibility};
use souk_kit::check::Check;
use souk_kit::types::{FieldError, PageRequest};
use souk_kit::{cursor, money};

use super::{done, search};

/// Longest text to search for, in characters.
pub const SEARCH_CHARS_MAX: usize = 200;

/// Lowest and highest price of a product in one currency, in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceSpan {
    /// The lowest.
    pub least: i64,
    /// The highest.
    pub most: i64,
}

/// The prices of a product in each currency in which at least one of its variants is sold.
pub fn price_spans(product: &Product) -> BTreeMap<&str, PriceSpan> {
    let mut spans: BTreeMap<&str, PriceSpan> = BTreeMap::new();
    for price in product.variants.iter().flat_map(|variant| &variant.prices) {
        let first = PriceSpan { least: price.minor, most: price.minor };
        let span = spans.entry(&price.currency).or_insert(first);
        *span = PriceSpan { least: span.least.min(price.minor), most: span.most.max(price.minor) };
    }
    spans
}

/// The sort key of the last item of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SortKey {
    /// An instant or a price.
    Number(i64),
    /// A folded title.
    Text(String),
}

/// One page of a list, checked and taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Who is looking.
    pub visibility: Visibility,
    /// In which currency.
    pub currency: String,
    /// In which category, by id or slug.
    pub category: Option<String>,
    /// The beginnings of words that must all occur.
    pub words: Vec<String>,
    /// Lowest price.
    pub price_min: Option<i64>,
    /// Highest price.
    pub price_max: Option<i64>,
    /// Whether only what is available is wanted.
    pub in_stock: bool,
    /// In what order.
    pub sort: ProductSort,
    /// Sort key and id after which the page starts.
    pub after: Option<(SortKey, String)>,
    /// Most items.
    pub limit: u32,
}

impl Listing {
    /// Takes a query and a page request apart, or names everything wrong with them.
    pub fn new(query: ProductQuery, page: &PageRequest) -> Result<Self, CatalogError> {
        let mut check = Check::new();
        check.currency("/currency", &query.currency);
        check.text("/search", &query.search, 0, SEARCH_CHARS_MAX);
        for (pointer, price) in [("/price_min", query.price_min), ("/price_max", query.price_max)] {
            check.range(pointer, price.unwrap_or(0), 0, money::AMOUNT_MAX);
        }
        done(check)?;
        let (after, limit) = decode(query.sort, page).map_err(|error| CatalogError::Invalid(vec![error]))?;
        Ok(Self {
            visibility: query.visibility,
            currency: query.currency,
            category: query.category,
            words: search::query(&query.search)?,
            price_min: query.price_min,
            price_max: query.price_max,
            in_stock: query.in_stock,
            sort: query.sort,
            after,
            limit,
        })
    }

    /// The cursor of the page after an item.
    pub fn next(&self, key: &SortKey, id: &str) -> String {
        let number;
        let key = match key {
            SortKey::Text(text) => text,
            SortKey::Number(n) => {
                number = n.to_string();
                &number
            }
        };
        cursor::encode(&[sort_text(self.sort), key, id])
    }
}

type After = Option<(SortKey, String)>;

// A cursor names its order: the key of one order means nothing in another.
fn decode(sort: ProductSort, page: &PageRequest) -> Result<(After, u32), FieldError> {
    let (after, limit) = cursor::decode::<3>(page)?;
    let Some([named, key, id]) = after else { return Ok((None, limit)) };
    let key = match sort {
        ProductSort::Newest | ProductSort::PriceAscending | ProductSort::PriceDescending => {
            key.parse().ok().map(SortKey::Number)
        }
        ProductSort::Title => (!key.contains('\0')).then_some(SortKey::Text(key)),
    };
    match key.filter(|_| named == sort_text(sort) && !id.contains('\0')) {
        Some(key) => Ok((Some((key, id)), limit)),
        None => Err(FieldError {
            pointer: "/cursor".to_owned(),
            code: "malformed".to_owned(),
            detail: "the cursor is not one that this list gave".to_owned(),
        }),
    }
}

fn sort_text(sort: ProductSort) -> &'static str {
    match sort {
        ProductSort::Newest => "newest",
        ProductSort::PriceAscending => "price-ascending",
        ProductSort::PriceDescending => "price-descending",
        ProductSort::Title => "title",
    }
}
