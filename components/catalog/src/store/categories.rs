//! The category tree, and what of the lists depends on it.

use std::collections::BTreeMap;

use crate::values::{CatalogError, Category};
use souk_kit::Sql;
use souk_kit::sql::{Write, guarded, write};
use souk_kit::types::Id;

use super::{Commit, commit_taking, insert, query};
use crate::domain::category::{HasProducts, Tree};

const TREE: &str = "SELECT version FROM catalog_category_tree WHERE id = 1";
const CATEGORIES: &str = "SELECT id, parent_id, slug, title, position FROM catalog_categories";

/// Reads the whole tree, which is small.
pub fn tree(ports: &impl Sql) -> Result<Tree, CatalogError> {
    let found = query(ports, vec![(TREE, vec![]), (CATEGORIES, vec![])], None)?;
    Ok(tree_of(&found.results))
}

/// Reads the whole tree, and whether products are in one of its categories.
pub fn tree_and_products(ports: &impl Sql, id: &Id) -> Result<(Tree, HasProducts), CatalogError> {
    let within = "SELECT product_id FROM catalog_product_categories WHERE category_id = $1 LIMIT 1";
    let found = query(ports, vec![(TREE, vec![]), (CATEGORIES, vec![]), (within, vec![id.into()])], None)?;
    let has_products = if found.results[2].packed.is_empty() { HasProducts::No } else { HasProducts::Yes };
    Ok((tree_of(&found.results), has_products))
}

fn tree_of(results: &[souk_kit::sql::Rows]) -> Tree {
    let version = results[0].first(|cells| cells.count()).expect("the migration writes the row of the tree");
    let categories = results[1].map(|cells| Category {
        id: cells.text(),
        parent_id: cells.optional_text(),
        slug: cells.text(),
        title: cells.text(),
        position: cells.small(),
    });
    Tree::new(version, categories)
}

/// Writes a category and the new place of its branch, if that moved.
pub fn set(
    ports: &impl Sql,
    tree: &Tree,
    category: &Category,
    branch: &BTreeMap<Id, Vec<Id>>,
) -> Result<Commit, CatalogError> {
    let mut writes = vec![change_tree(tree.version)];
    writes.push(guarded(
        "INSERT INTO catalog_categories (id, parent_id, slug, title, position) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (id) DO UPDATE SET parent_id = excluded.parent_id, slug = excluded.slug, \
         title = excluded.title, position = excluded.position",
        [
            (&category.id).into(),
            category.parent_id.as_deref().into(),
            (&category.slug).into(),
            (&category.title).into(),
            category.position.into(),
        ],
    ));
    if !branch.is_empty() {
        writes.extend(move_branch(&category.id, branch));
    }
    let id = format!("set-category/{}/{}", category.id, tree.version);
    commit_taking(ports, distinct(id, category), writes, Vec::new())
}

/// Removes a category in which nothing is.
pub fn delete(ports: &impl Sql, tree: &Tree, id: &Id) -> Result<Commit, CatalogError> {
    let writes = vec![
        change_tree(tree.version),
        write("DELETE FROM catalog_category_ancestors WHERE category_id = $1", [id.into()]),
        guarded(
            "DELETE FROM catalog_categories WHERE id = $1 \
             AND NOT EXISTS (SELECT 1 FROM catalog_product_categories pc WHERE pc.category_id = $1)",
            [id.into()],
        ),
    ];
    commit_taking(ports, format!("delete-category/{id}/{}", tree.version), writes, Vec::new())
}

/// Two commands that read the same tree and say different things of a category are different batches.
fn distinct(id: String, category: &Category) -> String {
    let position = category.position.to_string();
    let parent = category.parent_id.as_deref().unwrap_or_default();
    format!("{id}/{}", souk_kit::ids::digest(&[parent, &category.slug, &category.title, &position]))
}

fn change_tree(version: u64) -> Write {
    guarded("UPDATE catalog_category_tree SET version = version + 1 WHERE id = 1 AND version = $1", [version.into()])
}

/// The guard of whoever relies on the tree as it was read.
pub fn same_tree(version: u64) -> Write {
    guarded("UPDATE catalog_category_tree SET version = version WHERE id = 1 AND version = $1", [version.into()])
}

fn move_branch(id: &Id, branch: &BTreeMap<Id, Vec<Id>>) -> Vec<Write> {
    let mut writes = vec![write(
        "DELETE FROM catalog_category_ancestors WHERE category_id IN \
         (SELECT a.category_id FROM catalog_category_ancestors a WHERE a.ancestor_id = $1)",
        [id.into()],
    )];
    let rows = branch.iter().flat_map(|(category, path)| path.iter().map(|above| vec![category.into(), above.into()]));
    let into = "catalog_category_ancestors (category_id, ancestor_id)";
    writes.extend(insert(into, "", rows.collect()));
    // The products below are the same as before; only what is above them changed.
    let below = "(SELECT pc.product_id FROM catalog_product_categories pc \
         JOIN catalog_category_ancestors a ON a.category_id = pc.category_id WHERE a.ancestor_id = $1)";
    writes.push(write(&format!("DELETE FROM catalog_category_listings WHERE product_id IN {below}"), [id.into()]));
    writes.push(write(&format!("{LIST_IN_CATEGORIES} IN {below}"), [id.into()]));
    writes
}

/// Fills `catalog_category_listings` from what it follows from, for the products that are named behind it.
pub const LIST_IN_CATEGORIES: &str = "INSERT INTO catalog_category_listings \
     (category_id, product_id, currency, title_key, price_minor, created_at) \
     SELECT DISTINCT a.ancestor_id, l.product_id, l.currency, l.title_key, l.price_minor, l.created_at \
     FROM catalog_listings l \
     JOIN catalog_product_categories pc ON pc.product_id = l.product_id \
     JOIN catalog_category_ancestors a ON a.category_id = pc.category_id \
     WHERE l.published = 1 AND l.product_id";
