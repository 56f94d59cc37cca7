//! Lists of products: one statement on rows that hold all that a card shows, in the order of an index.
//!
//! Shoppers read `catalog_listings`, within a category by way of `catalog_category_listings`. Staff, who also see what
//! is not published or has no price in the currency, read the products themselves.

use crate::values::{CatalogError, ProductPage, ProductSort, ProductStatus, ProductSummary, Visibility};
use souk_kit::Sql;
use souk_kit::ids;
use souk_kit::sql::{Cells, Read, Value};

use crate::domain::listing::{Listing, SortKey};
use crate::domain::search;

/// Reads one page.
pub fn page(ports: &impl Sql, listing: &Listing) -> Result<ProductPage, CatalogError> {
    let mut reads = vec![page_read(listing)];
    if let Some(category) = &listing.category {
        let column = key_column(category);
        reads.push(Read {
            sql: format!("SELECT id FROM catalog_categories WHERE {column} = $1"),
            params: vec![category.into()],
        });
    }
    let snapshot = ports.query(&reads, None).map_err(|error| super::unavailable(&error))?;
    if snapshot.results.get(1).is_some_and(|category| category.packed.is_empty()) {
        return Err(CatalogError::NotFound);
    }
    let limit = listing.limit as usize;
    let mut last = None;
    let mut items = snapshot.results[0].map(|cells| summary(cells, listing));
    let next = if items.len() > limit {
        items.truncate(limit);
        last = items.pop();
        last.as_ref().map(|(item, key)| listing.next(key, &item.id))
    } else {
        None
    };
    Ok(ProductPage { items: items.into_iter().chain(last).map(|(item, _)| item).collect(), next })
}

fn summary(cells: &mut Cells<'_>, listing: &Listing) -> (ProductSummary, SortKey) {
    let (id, slug, title) = (cells.text(), cells.text(), cells.text());
    let (image_url, image_alt) = (cells.text(), cells.text());
    let (price_minor, price_max, available) = (cells.integer(), cells.integer(), cells.integer());
    let status = match listing.visibility {
        Visibility::Published => ProductStatus::Published,
        Visibility::All => super::status(cells.str()),
    };
    let key = match listing.sort {
        ProductSort::Newest => SortKey::Number(cells.integer()),
        ProductSort::PriceAscending | ProductSort::PriceDescending => SortKey::Number(price_minor),
        ProductSort::Title => SortKey::Text(cells.text()),
    };
    let price_varies = price_max > price_minor;
    (ProductSummary { id, slug, title, status, image_url, image_alt, price_minor, price_varies, available }, key)
}

/// A statement in the making: its text, and its parameters in the order of their numbers.
struct Statement {
    sql: String,
    params: Vec<Value>,
}

impl Statement {
    /// Appends text in which each `?` stands for the next of these parameters.
    fn push(&mut self, text: &str, params: impl IntoIterator<Item = Value>) {
        let mut params = params.into_iter();
        for (place, part) in text.split('?').enumerate() {
            if place > 0 {
                self.params.push(params.next().expect("each place has its parameter"));
                self.sql.push_str(&format!("${}", self.params.len()));
            }
            self.sql.push_str(part);
        }
    }
}

fn page_read(listing: &Listing) -> Read {
    let mut statement = Statement { sql: String::with_capacity(512), params: Vec::new() };
    // The expressions of the sort keys and the id, from the table whose index gives the order.
    let (by_time, by_price, by_title, id) = match (listing.visibility, &listing.category) {
        (Visibility::Published, None) => {
            statement.push(SHOPPER_COLUMNS, []);
            ("l.created_at", "l.price_minor", "l.title_key", "l.product_id")
        }
        (Visibility::Published, Some(_)) => {
            statement.push(SHOPPER_COLUMNS, []);
            ("k.created_at", "k.price_minor", "k.title_key", "k.product_id")
        }
        (Visibility::All, _) => {
            statement.push(STAFF_COLUMNS, []);
            ("p.created_at", "COALESCE(l.price_minor, 0)", "p.title_key", "p.id")
        }
    };
    let (key, direction, compare) = match listing.sort {
        ProductSort::Newest => (by_time, "DESC", "<"),
        ProductSort::PriceAscending => (by_price, "ASC", ">"),
        ProductSort::PriceDescending => (by_price, "DESC", "<"),
        ProductSort::Title => (by_title, "ASC", ">"),
    };
    match listing.sort {
        ProductSort::Newest | ProductSort::Title => statement.push(&format!(", {key}"), []),
        // The price is among the columns already.
        ProductSort::PriceAscending | ProductSort::PriceDescending => {}
    }
    push_source(&mut statement, listing);
    for word in &listing.words {
        let ends = [word.into(), search::prefix_end(word).into()];
        let within = "IN (SELECT t.product_id FROM catalog_search_terms t WHERE t.term >= ? AND t.term < ?)";
        statement.push(&format!(" AND {id} {within}"), ends);
    }
    let price = match (listing.visibility, listing.sort) {
        // What has no price in the currency is outside of every span of prices.
        (Visibility::All, _) => "l.price_minor",
        // The plus keeps a database from walking the index of prices and sorting all that it finds there.
        (Visibility::Published, ProductSort::Newest | ProductSort::Title) => "+l.price_minor",
        (Visibility::Published, ProductSort::PriceAscending | ProductSort::PriceDescending) => by_price,
    };
    if let Some(least) = listing.price_min {
        statement.push(&format!(" AND {price} >= ?"), [least.into()]);
    }
    if let Some(most) = listing.price_max {
        statement.push(&format!(" AND {price} <= ?"), [most.into()]);
    }
    if listing.in_stock {
        statement.push(
            match listing.visibility {
                Visibility::Published => " AND l.available > 0",
                Visibility::All => STAFF_IN_STOCK,
            },
            [],
        );
    }
    if let Some((after, after_id)) = &listing.after {
        let after = match after {
            SortKey::Number(number) => Value::Integer(*number),
            SortKey::Text(text) => text.into(),
        };
        statement.push(&format!(" AND ({key}, {id}) {compare} (?, ?)"), [after, after_id.into()]);
    }
    // One more than wanted tells whether there is a next page.
    let order = format!(" ORDER BY {key} {direction}, {id} {direction} LIMIT ?");
    statement.push(&order, [Value::from(listing.limit + 1)]);
    Read { sql: statement.sql, params: statement.params }
}

const SHOPPER_COLUMNS: &str = "SELECT l.product_id, l.slug, l.title, l.image_url, l.image_alt, \
     l.price_minor, l.price_max, l.available";

const STAFF_COLUMNS: &str = "SELECT p.id, p.slug, p.title, p.image_url, p.image_alt, \
     COALESCE(l.price_minor, 0), COALESCE(l.price_max, 0), \
     (SELECT CAST(COALESCE(SUM(s.on_hand - s.reserved), 0) AS BIGINT) FROM catalog_stock s \
      WHERE s.product_id = p.id AND s.listed = 1), p.status";

const STAFF_IN_STOCK: &str = " AND EXISTS (SELECT 1 FROM catalog_stock s \
     WHERE s.product_id = p.id AND s.listed = 1 AND s.on_hand > s.reserved)";

fn push_source(statement: &mut Statement, listing: &Listing) {
    let currency = Value::from(&listing.currency);
    match (listing.visibility, &listing.category) {
        (Visibility::Published, None) => {
            statement.push(" FROM catalog_listings l WHERE l.published = 1 AND l.currency = ?", [currency]);
        }
        (Visibility::Published, Some(category)) => {
            let source = format!(
                " FROM catalog_category_listings k \
                 JOIN catalog_listings l ON l.product_id = k.product_id AND l.currency = k.currency \
                 WHERE k.category_id = (SELECT c.id FROM catalog_categories c WHERE c.{} = ?) AND k.currency = ?",
                key_column(category)
            );
            statement.push(&source, [category.into(), currency]);
        }
        (Visibility::All, category) => {
            let source = " FROM catalog_products p \
                 LEFT JOIN catalog_listings l ON l.product_id = p.id AND l.currency = ? WHERE p.deleted_at IS NULL";
            statement.push(source, [currency]);
            if let Some(category) = category {
                let within = format!(
                    " AND EXISTS (SELECT 1 FROM catalog_product_categories pc \
                     JOIN catalog_category_ancestors a ON a.category_id = pc.category_id \
                     JOIN catalog_categories c ON c.id = a.ancestor_id WHERE pc.product_id = p.id AND c.{} = ?)",
                    key_column(category)
                );
                statement.push(&within, [category.into()]);
            }
        }
    }
}

/// By what a category is found: no slug holds an underscore, and every id does.
fn key_column(category: &str) -> &'static str {
    if ids::is_id("cat", category) { "id" } else { "slug" }
}

#[cfg(test)]
mod tests {
    use souk_kit::testing::TestPorts;

    use super::*;

    #[test]
    fn a_shoppers_page_is_read_from_an_index_without_sorting() {
        let ports = TestPorts::new("catalog", &[include_str!("../../migrations/0001_catalog.sql")]);
        for sort in [ProductSort::Newest, ProductSort::PriceAscending, ProductSort::PriceDescending, ProductSort::Title]
        {
            for category in [None, Some("shirts".to_owned())] {
                for after in [None, Some((SortKey::Number(1), "prod_1".to_owned()))] {
                    let listing = Listing {
                        visibility: Visibility::Published,
                        currency: "EUR".to_owned(),
                        category: category.clone(),
                        words: Vec::new(),
                        price_min: Some(1),
                        price_max: Some(2),
                        in_stock: true,
                        sort,
                        after,
                        limit: 20,
                    };
                    let read = page_read(&listing);
                    let plan = Read { sql: format!("EXPLAIN QUERY PLAN {}", read.sql), params: read.params };
                    let rows = ports.query(&[plan], None).expect("SQLite explains");
                    let steps = rows.results[0].map(|cells| {
                        let _ = (cells.integer(), cells.integer(), cells.integer());
                        cells.text()
                    });
                    let plan = steps.join("; ");
                    assert!(!plan.contains("TEMP B-TREE") && !plan.contains("SCAN"), "{sort:?} {category:?}: {plan}");
                }
            }
        }
    }
}
