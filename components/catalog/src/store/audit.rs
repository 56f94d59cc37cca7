//! What the audit compares: the numbers that are kept, beside the same numbers summed from what they follow from.

use crate::values::CatalogError;
use souk_kit::Sql;
use souk_kit::types::Id;

use super::query;

/// Units of one variant as they are kept and as its history says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockCheck {
    /// The variant.
    pub variant_id: Id,
    /// Units counted, as kept.
    pub on_hand: i64,
    /// Units promised, as kept.
    pub reserved: i64,
    /// Sum of the changes of the units counted.
    pub on_hand_moved: i64,
    /// Sum of the changes of the units promised.
    pub reserved_moved: i64,
    /// Units in lines of held reservations.
    pub held: i64,
    /// Whether stock and variant disagree on whether the variant is deleted.
    pub wrongly_listed: bool,
}

/// Stock of the variants after this id.
pub fn stock(ports: &impl Sql, after: &str, limit: u32) -> Result<Vec<StockCheck>, CatalogError> {
    let sql = "SELECT s.variant_id, s.on_hand, s.reserved, \
         (SELECT CAST(COALESCE(SUM(m.on_hand_delta), 0) AS BIGINT) FROM catalog_movements m WHERE m.variant_id = s.variant_id), \
         (SELECT CAST(COALESCE(SUM(m.reserved_delta), 0) AS BIGINT) FROM catalog_movements m WHERE m.variant_id = s.variant_id), \
         (SELECT CAST(COALESCE(SUM(l.quantity), 0) AS BIGINT) FROM catalog_reservation_lines l \
          JOIN catalog_reservations r ON r.order_id = l.order_id WHERE l.variant_id = s.variant_id AND r.state = 'held'), \
         CAST(CASE WHEN (s.listed = 1) = (v.deleted_at IS NULL) THEN 0 ELSE 1 END AS BIGINT) \
         FROM catalog_stock s JOIN catalog_variants v ON v.id = s.variant_id \
         WHERE s.variant_id > $1 ORDER BY s.variant_id LIMIT $2";
    let found = query(ports, vec![(sql, vec![after.into(), limit.into()])], None)?;
    Ok(found.results[0].map(|cells| StockCheck {
        variant_id: cells.text(),
        on_hand: cells.integer(),
        reserved: cells.integer(),
        on_hand_moved: cells.integer(),
        reserved_moved: cells.integer(),
        held: cells.integer(),
        wrongly_listed: cells.flag(),
    }))
}

/// What lists say of one product, and what they should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingCheck {
    /// The product.
    pub product_id: Id,
    /// Units available over its variants.
    pub available: i64,
    /// Listings that say another number.
    pub wrong_available: i64,
    /// Currencies in which a variant has a price.
    pub currencies: i64,
    /// Listings that there are.
    pub listings: i64,
    /// Listings whose lowest and highest price are those of the variants.
    pub right_prices: i64,
    /// Listings, and categories with all above them, in which a published one should be.
    pub wanted_in_categories: i64,
    /// Those in which it is.
    pub in_categories: i64,
}

/// Listings of the products after this id; deleted ones too, which should have none.
pub fn listings(ports: &impl Sql, after: &str, limit: u32) -> Result<Vec<ListingCheck>, CatalogError> {
    let available = "(SELECT CAST(COALESCE(SUM(s.on_hand - s.reserved), 0) AS BIGINT) FROM catalog_stock s \
         WHERE s.product_id = p.id AND s.listed = 1)";
    let prices = "FROM catalog_variants v JOIN catalog_variant_prices c ON c.variant_id = v.id \
         WHERE v.product_id = p.id AND v.deleted_at IS NULL";
    let sql = format!(
        "SELECT p.id, {available}, \
         (SELECT COUNT(*) FROM catalog_listings l WHERE l.product_id = p.id AND l.available <> {available}), \
         (SELECT COUNT(DISTINCT c.currency) {prices}), \
         (SELECT COUNT(*) FROM catalog_listings l WHERE l.product_id = p.id), \
         (SELECT COUNT(*) FROM catalog_listings l WHERE l.product_id = p.id \
          AND l.price_minor = (SELECT MIN(c.minor) {prices} AND c.currency = l.currency) \
          AND l.price_max = (SELECT MAX(c.minor) {prices} AND c.currency = l.currency)), \
         (SELECT COUNT(*) FROM (SELECT DISTINCT a.ancestor_id, l.currency FROM catalog_listings l \
          JOIN catalog_product_categories pc ON pc.product_id = l.product_id \
          JOIN catalog_category_ancestors a ON a.category_id = pc.category_id \
          WHERE l.product_id = p.id AND l.published = 1 AND p.status = 'published') wanted), \
         (SELECT COUNT(*) FROM catalog_category_listings k WHERE k.product_id = p.id) \
         FROM catalog_products p WHERE p.id > $1 ORDER BY p.id LIMIT $2"
    );
    let found = query(ports, vec![(&sql, vec![after.into(), limit.into()])], None)?;
    Ok(found.results[0].map(|cells| ListingCheck {
        product_id: cells.text(),
        available: cells.integer(),
        wrong_available: cells.integer(),
        currencies: cells.integer(),
        listings: cells.integer(),
        right_prices: cells.integer(),
        wanted_in_categories: cells.integer(),
        in_categories: cells.integer(),
    }))
}

/// What one reservation says and what its movements do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservationCheck {
    /// The order.
    pub order_id: Id,
    /// `held`, `committed` or `released`.
    pub state: String,
    /// When a held one expires.
    pub expires_at: i64,
    /// Units in its lines.
    pub quantity: i64,
    /// Units in its lines that came back.
    pub restocked: i64,
    /// Lines whose `sold` movements do not take exactly their units, or whose `returned` ones do not bring back what they should.
    pub wrong_lines: i64,
    /// Sum of the changes of units promised for it.
    pub reserved_moved: i64,
}

/// Reservations of the orders after this id.
pub fn reservations(ports: &impl Sql, after: &str, limit: u32) -> Result<Vec<ReservationCheck>, CatalogError> {
    let moved = |reason: &str| {
        format!(
            "(SELECT CAST(COALESCE(SUM(m.on_hand_delta), 0) AS BIGINT) FROM catalog_movements m \
             WHERE m.order_id = l.order_id AND m.order_id <> '' AND m.variant_id = l.variant_id AND m.reason = '{reason}')"
        )
    };
    let sql = format!(
        "SELECT r.order_id, r.state, r.expires_at, \
         (SELECT CAST(COALESCE(SUM(l.quantity), 0) AS BIGINT) FROM catalog_reservation_lines l WHERE l.order_id = r.order_id), \
         (SELECT CAST(COALESCE(SUM(l.restocked), 0) AS BIGINT) FROM catalog_reservation_lines l WHERE l.order_id = r.order_id), \
         (SELECT COUNT(*) FROM catalog_reservation_lines l WHERE l.order_id = r.order_id AND \
          ({sold} <> CASE WHEN r.state = 'committed' THEN -l.quantity ELSE 0 END OR {returned} <> l.restocked)), \
         (SELECT CAST(COALESCE(SUM(m.reserved_delta), 0) AS BIGINT) FROM catalog_movements m \
          WHERE m.order_id = r.order_id AND m.order_id <> '') \
         FROM catalog_reservations r WHERE r.order_id > $1 ORDER BY r.order_id LIMIT $2",
        sold = moved("sold"),
        returned = moved("returned"),
    );
    let found = query(ports, vec![(&sql, vec![after.into(), limit.into()])], None)?;
    Ok(found.results[0].map(|cells| ReservationCheck {
        order_id: cells.text(),
        state: cells.text(),
        expires_at: cells.integer(),
        quantity: cells.integer(),
        restocked: cells.integer(),
        wrong_lines: cells.integer(),
        reserved_moved: cells.integer(),
    }))
}
