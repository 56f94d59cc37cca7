//! Categories.

use std::collections::BTreeMap;

use crate::values::{CatalogError, Category};
use souk_kit::Sql;
use souk_kit::types::Id;

use super::decided;
use crate::domain::category::{self, Setting};
use crate::store::{Commit, categories};

/// All categories, parents before their children.
pub fn list_categories(ports: &impl Sql) -> Result<Vec<Category>, CatalogError> {
    Ok(categories::tree(ports)?.in_order())
}

/// Adds or replaces a category. What is already so is left alone, which makes a repeat harmless.
pub fn set_category(ports: &impl Sql, category: &Category) -> Result<Category, CatalogError> {
    category::check(category)?;
    decided(|| {
        let tree = categories::tree(ports)?;
        let branch = match tree.set(category)? {
            Setting::Same => return Ok(Some(category.clone())),
            Setting::Kept => BTreeMap::new(),
            Setting::Moved(branch) => branch,
        };
        let set = categories::set(ports, &tree, category, &branch)?;
        Ok((set == Commit::Done).then(|| category.clone()))
    })
}

/// Removes an empty category.
pub fn delete_category(ports: &impl Sql, category_id: &Id) -> Result<(), CatalogError> {
    decided(|| {
        let (tree, has_products) = categories::tree_and_products(ports, category_id)?;
        if !tree.delete(category_id, has_products)? {
            return Ok(Some(()));
        }
        Ok((categories::delete(ports, &tree, category_id)? == Commit::Done).then_some(()))
    })
}
