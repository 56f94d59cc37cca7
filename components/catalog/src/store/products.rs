//! Reading products, offers, and what matters for writing a product.

use std::collections::{BTreeMap, BTreeSet};

use crate::values::{CatalogError, Media, Offer, Product, ProductOption, VariantDetail, Visibility};
use souk_kit::Sql;
use souk_kit::sql::{Cells, Rows, Snapshot, Value};
use souk_kit::types::{Id, Money};

use super::{IN_LIST_MAX, from_json, in_list, query, status};
use crate::domain::product::{Present, Surroundings};

/// By what a product is found.
#[derive(Clone, Copy, Debug)]
pub enum Key<'a> {
    /// Its id.
    Id(&'a str),
    /// Its place in URLs.
    Slug(&'a str),
}

impl Key<'_> {
    fn column(self) -> &'static str {
        match self {
            Self::Id(_) => "id",
            Self::Slug(_) => "slug",
        }
    }

    fn value(self) -> Value {
        match self {
            Self::Id(key) | Self::Slug(key) => key.into(),
        }
    }
}

/// Reads a product that is not deleted, with all that belongs to it: four reads in one snapshot.
pub fn product(ports: &impl Sql, key: Key<'_>, visibility: Visibility) -> Result<Option<Product>, CatalogError> {
    let seen = match visibility {
        Visibility::Published => " AND p.status = 'published'",
        Visibility::All => "",
    };
    let which = format!("p.{} = $1 AND p.deleted_at IS NULL{seen}", key.column());
    let products = format!(
        "SELECT p.id, p.slug, p.title, p.description, p.status, p.options, p.media, p.created_at, p.updated_at, p.version \
         FROM catalog_products p WHERE {which}"
    );
    let categories = format!(
        "SELECT pc.category_id FROM catalog_products p \
         JOIN catalog_product_categories pc ON pc.product_id = p.id WHERE {which} ORDER BY pc.position"
    );
    let variants = format!(
        "SELECT {VARIANT} FROM catalog_products p JOIN catalog_variants v ON v.product_id = p.id \
         JOIN catalog_stock s ON s.variant_id = v.id WHERE {which} AND v.deleted_at IS NULL ORDER BY v.position"
    );
    let prices = format!(
        "SELECT c.variant_id, c.currency, c.minor FROM catalog_products p \
         JOIN catalog_variants v ON v.product_id = p.id JOIN catalog_variant_prices c ON c.variant_id = v.id \
         WHERE {which} AND v.deleted_at IS NULL ORDER BY c.variant_id, c.currency"
    );
    let reads = [&products, &categories, &variants, &prices].map(|sql| (sql.as_str(), vec![key.value()]));
    let found = query(ports, reads.into(), None)?;
    let mut prices = prices_by_variant(&found.results[3]);
    let variants = found.results[2].map(|cells| variant(cells, &mut prices));
    let category_ids = found.results[1].map(|cells| cells.text());
    Ok(found.results[0].first(|cells| Product {
        id: cells.text(),
        slug: cells.text(),
        title: cells.text(),
        description: cells.text(),
        status: status(cells.str()),
        category_ids,
        options: from_json::<Vec<(String, Vec<String>)>>(cells.str())
            .into_iter()
            .map(|(name, values)| ProductOption { name, values })
            .collect(),
        variants,
        media: from_json::<Vec<(String, String)>>(cells.str())
            .into_iter()
            .map(|(url, alt)| Media { url, alt })
            .collect(),
        created_at: cells.integer(),
        updated_at: cells.integer(),
        version: cells.count(),
    }))
}

/// The columns that [`variant`] takes.
pub const VARIANT: &str = "v.id, v.sku, v.barcode, v.weight_grams, v.option_values, s.on_hand, s.reserved";

/// Reads a variant, and takes its prices.
pub fn variant(cells: &mut Cells<'_>, prices: &mut BTreeMap<Id, Vec<Money>>) -> VariantDetail {
    let id = cells.text();
    VariantDetail {
        sku: cells.text(),
        barcode: cells.text(),
        weight_grams: cells.small(),
        option_values: from_json(cells.str()),
        on_hand: cells.integer(),
        reserved: cells.integer(),
        prices: prices.remove(&id).unwrap_or_default(),
        id,
    }
}

/// Reads prices, the columns being variant, currency and minor units.
pub fn prices_by_variant(rows: &Rows) -> BTreeMap<Id, Vec<Money>> {
    let mut prices: BTreeMap<Id, Vec<Money>> = BTreeMap::new();
    rows.map(|cells| {
        let (variant_id, currency, minor) = (cells.text(), cells.text(), cells.integer());
        prices.entry(variant_id).or_default().push(Money { minor, currency });
    });
    prices
}

/// Reads offers: one read for each 128 variants, all in one snapshot.
pub fn offers(ports: &impl Sql, variant_ids: &[Id], currency: &str) -> Result<Vec<Offer>, CatalogError> {
    let statements: Vec<(String, Vec<Value>)> = variant_ids
        .chunks(IN_LIST_MAX)
        .map(|ids| {
            let mut params = vec![currency.into()];
            let places = in_list(&mut params, ids);
            let sql = format!(
                "SELECT v.id, p.id, p.slug, p.title, v.option_values, v.sku, v.weight_grams, p.image_url, c.minor, \
                 s.on_hand - s.reserved, p.status FROM catalog_variants v \
                 JOIN catalog_products p ON p.id = v.product_id JOIN catalog_stock s ON s.variant_id = v.id \
                 LEFT JOIN catalog_variant_prices c ON c.variant_id = v.id AND c.currency = $1 \
                 WHERE v.deleted_at IS NULL AND v.id IN ({places})"
            );
            (sql, params)
        })
        .collect();
    let reads = statements.iter().map(|(sql, params)| (sql.as_str(), params.clone())).collect();
    let found = query(ports, reads, None)?;
    let offer = |cells: &mut Cells<'_>| Offer {
        variant_id: cells.text(),
        product_id: cells.text(),
        slug: cells.text(),
        title: cells.text(),
        variant_title: from_json::<Vec<String>>(cells.str()).join(" / "),
        sku: cells.text(),
        weight_grams: cells.small(),
        image_url: cells.text(),
        unit_price: cells.optional_integer().map(|minor| Money::new(minor, currency)),
        available: cells.integer(),
        on_sale: cells.str() == "published",
    };
    Ok(found.results.iter().flat_map(|rows| rows.map(offer)).collect())
}

const PRESENT: &str = "SELECT version, CAST(CASE WHEN deleted_at IS NULL THEN 0 ELSE 1 END AS BIGINT), created_digest \
     FROM catalog_products WHERE id = $1";

/// Reads a product as far as deleting it matters.
pub fn present(ports: &impl Sql, product_id: &Id) -> Result<Option<Present>, CatalogError> {
    let found = query(ports, vec![(PRESENT, vec![product_id.into()])], None)?;
    Ok(found.results[0].first(present_of))
}

fn present_of(cells: &mut Cells<'_>) -> Present {
    Present { version: cells.count(), deleted: cells.flag(), created_digest: cells.text() }
}

/// Reads what matters for writing a product: at most 12 reads in one snapshot.
pub fn surroundings(ports: &impl Sql, product: &Product, batch_id: &str) -> Result<Surroundings, CatalogError> {
    let id = Value::from(&product.id);
    let slug = "SELECT id FROM catalog_products WHERE slug = $1 AND deleted_at IS NULL AND id <> $2";
    let mut reads: Vec<(String, Vec<Value>)> = vec![
        (PRESENT.to_owned(), vec![id.clone()]),
        (slug.to_owned(), vec![(&product.slug).into(), id.clone()]),
        ("SELECT version FROM catalog_category_tree WHERE id = 1".to_owned(), vec![]),
    ];
    let fixed = reads.len();
    for category_ids in product.category_ids.chunks(IN_LIST_MAX) {
        let mut params = Vec::new();
        let places = in_list(&mut params, category_ids);
        reads.push((format!("SELECT id FROM catalog_categories WHERE id IN ({places})"), params));
    }
    let categories_end = reads.len();
    for variants in product.variants.chunks(IN_LIST_MAX) {
        let mut params = vec![id.clone()];
        let ids: Vec<&str> = variants.iter().map(|variant| variant.id.as_str()).collect();
        let places = in_list(&mut params, &ids);
        reads.push((format!("SELECT id FROM catalog_variants WHERE product_id <> $1 AND id IN ({places})"), params));
    }
    let variants_end = reads.len();
    for variants in product.variants.chunks(IN_LIST_MAX) {
        let mut params = vec![id.clone()];
        let skus: Vec<&str> = variants.iter().map(|variant| variant.sku.as_str()).collect();
        let places = in_list(&mut params, &skus);
        let sql = "SELECT sku FROM catalog_variants WHERE product_id <> $1 AND deleted_at IS NULL AND sku IN";
        reads.push((format!("{sql} ({places})"), params));
    }
    let reads = reads.iter().map(|(sql, params)| (sql.as_str(), params.clone())).collect();
    let Snapshot { committed, results } = query(ports, reads, Some(batch_id))?;
    let texts =
        |rows: &[Rows]| -> BTreeSet<String> { rows.iter().flat_map(|rows| rows.map(|cells| cells.text())).collect() };
    Ok(Surroundings {
        committed,
        present: results[0].first(present_of),
        slug_taken: !results[1].packed.is_empty(),
        tree_version: results[2].first(|cells| cells.count()).expect("the migration writes the row of the tree"),
        categories: texts(&results[fixed..categories_end]),
        variants_taken: texts(&results[categories_end..variants_end]),
        skus_taken: texts(&results[variants_end..]),
    })
}
