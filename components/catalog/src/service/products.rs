//! Products: lists, details, offers, and writing them.

use crate::values::{CatalogError, Offer, Product, ProductPage, ProductQuery, Visibility};
use souk_kit::check::Check;
use souk_kit::types::{Id, PageRequest};
use souk_kit::{Call, Sql, ids};

use super::decided;
use crate::domain;
use crate::domain::listing::Listing;
use crate::domain::product::{self, Creation};
use crate::store::products::Key;
use crate::store::{Commit, listing, products, saving};

/// Most variants of one question for offers.
pub const OFFERS_MAX: usize = 200;

/// One page of products: one round trip.
pub fn list_products(ports: &impl Sql, query: ProductQuery, page: &PageRequest) -> Result<ProductPage, CatalogError> {
    listing::page(ports, &Listing::new(query, page)?)
}

/// One product by id or slug: one round trip. No slug holds an underscore, so the two are never confused.
pub fn get_product(ports: &impl Sql, key: &str, visibility: Visibility) -> Result<Product, CatalogError> {
    let key = if ids::is_id("prod", key) { Key::Id(key) } else { Key::Slug(key) };
    products::product(ports, key, visibility)?.ok_or(CatalogError::NotFound)
}

/// Variants for a cart: one round trip.
pub fn get_offers(ports: &impl Sql, variant_ids: &[Id], currency: &str) -> Result<Vec<Offer>, CatalogError> {
    let mut check = Check::new();
    if variant_ids.len() > OFFERS_MAX {
        check.fail("/variant_ids", "too_long", format!("at most {OFFERS_MAX} variants"));
    }
    check.currency("/currency", currency);
    domain::done(check)?;
    products::offers(ports, variant_ids, currency)
}

/// Adds a product. A repeat with the same content answers the product as it is now.
pub fn create_product(ports: &impl Sql, call: &Call, product: &Product) -> Result<Product, CatalogError> {
    product::check(product)?;
    let digest = product::digest(product);
    let batch_id = format!("create-product/{}/{digest}", product.id);
    decided(|| {
        let around = products::surroundings(ports, product, &batch_id)?;
        match product::decide_create(&around, product, &digest)? {
            Creation::Repeated => Ok(Some(())),
            Creation::New => {
                let made = saving::create(ports, batch_id.clone(), product, &digest, around.tree_version, call.now)?;
                Ok((made == Commit::Done).then_some(()))
            }
        }
    })?;
    get_product(ports, &product.id, Visibility::All)
}

/// Replaces a product and its variants. A repeat of the same content over the same version answers the product as it is now.
pub fn update_product(ports: &impl Sql, call: &Call, product: &Product) -> Result<Product, CatalogError> {
    product::check(product)?;
    let batch_id = format!("update-product/{}/{}/{}", product.id, product.version, product::digest(product));
    decided(|| {
        let around = products::surroundings(ports, product, &batch_id)?;
        if around.committed {
            return Ok(Some(())); // this command committed before; only its answer was lost
        }
        let version = product::decide_update(&around, product)?;
        let tree = around.tree_version;
        let replaced = saving::replace(ports, batch_id.clone(), product, version, tree, call.now)?;
        Ok((replaced == Commit::Done).then_some(()))
    })?;
    get_product(ports, &product.id, Visibility::All)
}

/// Deletes a product softly.
pub fn delete_product(
    ports: &impl Sql,
    call: &Call,
    product_id: &Id,
    version: Option<u64>,
) -> Result<(), CatalogError> {
    decided(|| {
        let present = products::present(ports, product_id)?;
        match product::decide_delete(present.as_ref(), version)? {
            None => Ok(Some(())),
            Some(version) => {
                let deleted = saving::delete(ports, product_id, version, call.now)?;
                Ok((deleted == Commit::Done).then_some(()))
            }
        }
    })
}
