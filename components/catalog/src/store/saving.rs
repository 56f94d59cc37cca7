//! Writing a product: its rows, and all that lists and search hold of it, in one batch.

use crate::values::{CatalogError, Product, ProductStatus};
use souk_kit::Sql;
use souk_kit::events::NewEvent;
use souk_kit::sql::{Value, Write, guarded, write};
use souk_kit::types::{Id, Instant};

use super::categories::{LIST_IN_CATEGORIES, same_tree};
use super::{Commit, commit, commit_taking, insert, to_json};
use crate::domain::product::status_text;
use crate::domain::{listing, search};

/// Writes a new product.
pub fn create(
    ports: &impl Sql,
    batch_id: String,
    product: &Product,
    digest: &str,
    tree_version: u64,
    now: Instant,
) -> Result<Commit, CatalogError> {
    let first = guarded(
        "INSERT INTO catalog_products (id, slug, title, title_key, description, status, options, media, \
         image_url, image_alt, created_digest, created_at, updated_at, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, 1) ON CONFLICT (id) DO NOTHING",
        [vec![(&product.id).into()], content(product), vec![digest.into(), now.into()]].concat(),
    );
    let mut writes = vec![same_tree(tree_version), first];
    writes.extend(belongings(product));
    commit_taking(ports, batch_id, writes, vec![changed(&product.id, 1)])
}

/// Replaces a product that has this version.
///
/// Its variants are deleted first, all at once, and those that stay are written anew: so their SKUs may change
/// places, and what is left out remains deleted. Stock stays as it is.
pub fn replace(
    ports: &impl Sql,
    batch_id: String,
    product: &Product,
    version: u64,
    tree_version: u64,
    now: Instant,
) -> Result<Commit, CatalogError> {
    let first = guarded(
        "UPDATE catalog_products SET slug = $1, title = $2, title_key = $3, description = $4, status = $5, options = $6, \
         media = $7, image_url = $8, image_alt = $9, updated_at = $10, version = version + 1 \
         WHERE id = $11 AND version = $12 AND deleted_at IS NULL",
        [content(product), vec![now.into(), (&product.id).into(), version.into()]].concat(),
    );
    let mut writes = vec![same_tree(tree_version), first];
    writes.extend(clear(&product.id, now));
    writes.extend(belongings(product));
    commit_taking(ports, batch_id, writes, vec![changed(&product.id, version + 1)])
}

/// Deletes a product that has this version. Its stock stays, so that open reservations settle.
pub fn delete(ports: &impl Sql, product_id: &Id, version: u64, now: Instant) -> Result<Commit, CatalogError> {
    let first = guarded(
        "UPDATE catalog_products SET deleted_at = $1, updated_at = $1, version = version + 1 \
         WHERE id = $2 AND version = $3 AND deleted_at IS NULL",
        [now.into(), product_id.into(), version.into()],
    );
    let mut writes = vec![first];
    writes.extend(clear(product_id, now));
    commit(ports, format!("delete-product/{product_id}"), writes, vec![changed(product_id, version + 1)])
}

/// The nine columns from `slug` to `image_alt`.
fn content(product: &Product) -> Vec<Value> {
    let options: Vec<_> = product.options.iter().map(|option| (&option.name, &option.values)).collect();
    let media: Vec<_> = product.media.iter().map(|media| (&media.url, &media.alt)).collect();
    let first = product.media.first();
    vec![
        (&product.slug).into(),
        (&product.title).into(),
        search::fold(&product.title).into(),
        (&product.description).into(),
        status_text(product.status).into(),
        to_json(&options).into(),
        to_json(&media).into(),
        first.map_or("", |media| &media.url).into(),
        first.map_or("", |media| &media.alt).into(),
    ]
}

/// Takes away all that belongs to a product, variants softly. The stock rows are touched first of what stock
/// changes touch, so that on every database such a change comes wholly before or wholly after.
fn clear(product_id: &Id, now: Instant) -> Vec<Write> {
    let id = || vec![Value::from(product_id)];
    vec![
        write("UPDATE catalog_stock SET listed = 0 WHERE product_id = $1 AND listed = 1", id()),
        write(
            "DELETE FROM catalog_variant_prices WHERE variant_id IN \
             (SELECT v.id FROM catalog_variants v WHERE v.product_id = $1 AND v.deleted_at IS NULL)",
            id(),
        ),
        write(
            "UPDATE catalog_variants SET deleted_at = $1 WHERE product_id = $2 AND deleted_at IS NULL",
            [now.into(), product_id.into()],
        ),
        write("DELETE FROM catalog_product_categories WHERE product_id = $1", id()),
        write("DELETE FROM catalog_category_listings WHERE product_id = $1", id()),
        write("DELETE FROM catalog_listings WHERE product_id = $1", id()),
        write("DELETE FROM catalog_search_terms WHERE product_id = $1", id()),
    ]
}

/// Writes all that belongs to a product.
fn belongings(product: &Product) -> Vec<Write> {
    let mut writes = variants(product);
    let categories = product.category_ids.iter().zip(0u32..);
    let rows = categories.map(|(id, place)| vec![(&product.id).into(), id.into(), place.into()]).collect();
    let into = "catalog_product_categories (product_id, category_id, position)";
    writes.extend(insert(into, "", rows));
    writes.extend(listings(product));
    writes.push(write(&format!("{LIST_IN_CATEGORIES} = $1"), [(&product.id).into()]));
    let terms = search::terms(product).into_iter();
    let rows = terms.map(|term| vec![term.into(), (&product.id).into()]).collect();
    writes.extend(insert("catalog_search_terms (term, product_id)", "", rows));
    writes
}

fn variants(product: &Product) -> Vec<Write> {
    let rows = product.variants.iter().zip(0u32..).map(|(variant, place)| {
        vec![
            (&variant.id).into(),
            (&product.id).into(),
            place.into(),
            (&variant.sku).into(),
            (&variant.barcode).into(),
            variant.weight_grams.into(),
            to_json(&variant.option_values).into(),
        ]
    });
    let mut writes = insert(
        "catalog_variants (id, product_id, position, sku, barcode, weight_grams, option_values)",
        // The condition keeps a variant with its product; the guard turns it into a refusal.
        " ON CONFLICT (id) DO UPDATE SET position = excluded.position, sku = excluded.sku, barcode = excluded.barcode, \
         weight_grams = excluded.weight_grams, option_values = excluded.option_values, deleted_at = NULL \
         WHERE catalog_variants.product_id = excluded.product_id",
        rows.collect(),
    );
    let prices = product.variants.iter().flat_map(|variant| {
        let row =
            |price: &souk_kit::types::Money| vec![(&variant.id).into(), (&price.currency).into(), price.minor.into()];
        variant.prices.iter().map(row)
    });
    let into = "catalog_variant_prices (variant_id, currency, minor)";
    writes.extend(insert(into, "", prices.collect()));
    let stock = product
        .variants
        .iter()
        .map(|variant| vec![(&variant.id).into(), (&product.id).into(), 1u32.into(), 0u32.into(), 0u32.into()]);
    writes.extend(insert(
        "catalog_stock (variant_id, product_id, listed, on_hand, reserved)",
        " ON CONFLICT (variant_id) DO UPDATE SET listed = 1",
        stock.collect(),
    ));
    writes
}

fn listings(product: &Product) -> Vec<Write> {
    let published = match product.status {
        ProductStatus::Published => true,
        ProductStatus::Draft | ProductStatus::Archived => false,
    };
    let spans = listing::price_spans(product).into_iter();
    spans
        .map(|(currency, span)| {
            // What is available is summed by the database, which alone sees every stock change before this batch.
            guarded(
                "INSERT INTO catalog_listings (product_id, currency, published, slug, title, title_key, image_url, \
                 image_alt, price_minor, price_max, available, created_at) \
                 SELECT p.id, CAST($1 AS TEXT), CAST($2 AS BIGINT), p.slug, p.title, p.title_key, p.image_url, \
                 p.image_alt, CAST($3 AS BIGINT), CAST($4 AS BIGINT), \
                 (SELECT CAST(COALESCE(SUM(s.on_hand - s.reserved), 0) AS BIGINT) FROM catalog_stock s \
                  WHERE s.product_id = p.id AND s.listed = 1), p.created_at FROM catalog_products p WHERE p.id = $5",
                [currency.into(), published.into(), span.least.into(), span.most.into(), (&product.id).into()],
            )
        })
        .collect()
}

fn changed(product_id: &Id, version: u64) -> NewEvent {
    NewEvent {
        topic: "catalog.product-changed".to_owned(),
        key: product_id.clone(),
        payload: serde_json::json!({ "product_id": product_id, "version": version }).to_string(),
        not_before: None,
    }
}
