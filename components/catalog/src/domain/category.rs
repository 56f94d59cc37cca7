//! The category tree: at most six levels, no circles, and a version that every change raises.

use std::collections::BTreeMap;

use crate::values::{CatalogError, Category};
use souk_kit::check::Check;
use souk_kit::types::Id;

use super::{TITLE_CHARS_MAX, check_slug, done, invalid};

/// Most categories of a shop.
pub const CATEGORIES_MAX: usize = 1_000;

/// Most levels of the tree.
pub const LEVELS_MAX: usize = 6;

/// All categories, as of one version of the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// Raised by every change of any category.
    pub version: u64,
    categories: BTreeMap<Id, Category>,
}

/// What setting a category changes beside its own row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Nothing changes: it is as it should be.
    Same,
    /// Its own row alone.
    Kept,
    /// The place in the tree of these: each category of the moved branch with itself and all above it.
    Moved(BTreeMap<Id, Vec<Id>>),
}

impl Tree {
    /// A tree of these categories. Their parents are among them.
    pub fn new(version: u64, categories: Vec<Category>) -> Self {
        let categories = categories.into_iter().map(|category| (category.id.clone(), category)).collect();
        Self { version, categories }
    }

    /// All categories, parents before their children, siblings by position.
    pub fn in_order(&self) -> Vec<Category> {
        let mut children: BTreeMap<Option<&Id>, Vec<&Category>> = BTreeMap::new();
        for category in self.categories.values() {
            children.entry(category.parent_id.as_ref()).or_default().push(category);
        }
        for siblings in children.values_mut() {
            // Backwards, because the walk takes from the end.
            siblings.sort_by_key(|category| std::cmp::Reverse((category.position, &category.title, &category.id)));
        }
        let mut open = children.remove(&None).unwrap_or_default();
        let mut ordered = Vec::with_capacity(self.categories.len());
        while let Some(category) = open.pop() {
            open.extend(children.remove(&Some(&category.id)).unwrap_or_default());
            ordered.push(category.clone());
        }
        assert_eq!(ordered.len(), self.categories.len(), "every category hangs below the top");
        ordered
    }

    /// Decides on adding or replacing a category.
    pub fn set(&self, category: &Category) -> Result<Setting, CatalogError> {
        let present = self.categories.get(&category.id);
        if present == Some(category) {
            return Ok(Setting::Same);
        }
        let mut check = Check::new();
        if self.categories.values().any(|other| other.slug == category.slug && other.id != category.id) {
            check.fail("/slug", "taken", "another category has this slug");
        }
        if present.is_none() && self.categories.len() >= CATEGORIES_MAX {
            check.fail("/id", "out_of_range", format!("a shop has at most {CATEGORIES_MAX} categories"));
        }
        if let Some(parent) = &category.parent_id {
            if !self.categories.contains_key(parent) {
                check.fail("/parent_id", "unknown", "there is no such category");
            } else if self.above(parent).contains(&category.id) {
                check.fail("/parent_id", "malformed", "a category cannot be below itself");
            }
        }
        done(check)?;
        if present.is_some_and(|present| present.parent_id == category.parent_id) {
            return Ok(Setting::Kept);
        }
        self.moved(category).map(Setting::Moved)
    }

    /// Decides on removing a category; answers whether there is anything to remove.
    pub fn delete(&self, id: &Id, has_products: HasProducts) -> Result<bool, CatalogError> {
        if !self.categories.contains_key(id) {
            return Ok(false);
        }
        let is_parent = self.categories.values().any(|category| category.parent_id.as_ref() == Some(id));
        match has_products {
            HasProducts::No if !is_parent => Ok(true),
            HasProducts::No | HasProducts::Yes => Err(CatalogError::InUse),
        }
    }

    fn moved(&self, category: &Category) -> Result<BTreeMap<Id, Vec<Id>>, CatalogError> {
        let mut next = self.clone();
        next.categories.insert(category.id.clone(), category.clone());
        let mut branch = BTreeMap::new();
        for id in next.categories.keys() {
            let path = next.above(id);
            if !path.contains(&category.id) {
                continue;
            }
            if path.len() > LEVELS_MAX {
                return Err(invalid("/parent_id", "out_of_range", format!("at most {LEVELS_MAX} levels")));
            }
            branch.insert(id.clone(), path);
        }
        Ok(branch)
    }

    /// A category with all above it, itself first.
    fn above(&self, id: &Id) -> Vec<Id> {
        let mut path = Vec::new();
        let mut at = self.categories.get(id);
        while let Some(category) = at {
            path.push(category.id.clone());
            assert!(path.len() <= CATEGORIES_MAX, "the tree has no circle");
            at = category.parent_id.as_ref().and_then(|parent| self.categories.get(parent));
        }
        path
    }
}

/// Whether products are in a category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HasProducts {
    /// At least one that is not deleted.
    Yes,
    /// None.
    No,
}

/// What makes a category unacceptable whatever else there is.
pub fn check(category: &Category) -> Result<(), CatalogError> {
    let mut check = Check::new();
    check.id("/id", "cat", &category.id);
    if let Some(parent) = &category.parent_id {
        check.id("/parent_id", "cat", parent);
    }
    check_slug(&mut check, &category.slug);
    check.text("/title", &category.title, 1, TITLE_CHARS_MAX);
    done(check)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::called;

    fn id(n: u32) -> Id {
        format!("cat_{n:032x}")
    }

    fn category(n: u32, parent: Option<u32>, position: u32) -> Category {
        let (slug, title) = (format!("c-{n}"), format!("C {n}"));
        Category { id: id(n), parent_id: parent.map(id), slug, title, position }
    }

    /// 1 above 2 above 3, and 4 beside 1.
    fn tree() -> Tree {
        let rows = [(1, None, 1), (2, Some(1), 0), (3, Some(2), 0), (4, None, 0)];
        Tree::new(7, rows.map(|(n, parent, position)| category(n, parent, position)).to_vec())
    }

    fn said(outcome: Result<Setting, CatalogError>) -> String {
        match outcome {
            Ok(Setting::Moved(branch)) => {
                let paths = branch.values().map(|path| {
                    let short: Vec<&str> = path.iter().map(|id| id.rsplit('0').next().unwrap_or("?")).collect();
                    short.join("<")
                });
                paths.collect::<Vec<_>>().join(" ")
            }
            Ok(setting) => format!("{setting:?}"),
            Err(CatalogError::Invalid(errors)) => format!("{} {}", errors[0].pointer, errors[0].code),
            Err(error) => called(error),
        }
    }

    #[test]
    fn a_category_is_set_unless_the_tree_would_break() {
        for (set, outcome) in [
            (category(1, None, 1), "Same"),
            (category(1, None, 2), "Kept"),
            (category(5, None, 0), "5"),
            (category(5, Some(3), 0), "5<3<2<1"),
            (category(2, None, 0), "2 3<2"),
            (category(1, Some(4), 0), "1<4 2<1<4 3<2<1<4"),
            (category(1, Some(1), 0), "/parent_id malformed"),
            (category(1, Some(3), 0), "/parent_id malformed"),
            (category(5, Some(9), 0), "/parent_id unknown"),
            (Category { slug: "c-1".to_owned(), ..category(5, None, 0) }, "/slug taken"),
        ] {
            assert_eq!(said(tree().set(&set)), outcome, "{set:?}");
        }
    }

    #[test]
    fn a_tree_has_six_levels_also_below_what_moves() {
        let mut rows: Vec<Category> = (1..=6).map(|n| category(n, (n > 1).then(|| n - 1), 0)).collect();
        let six = Tree::new(1, rows.clone());
        assert_eq!(said(six.set(&category(7, Some(6), 0))), "/parent_id out_of_range");
        rows.push(category(7, None, 0));
        assert_eq!(said(Tree::new(1, rows).set(&category(1, Some(7), 0))), "/parent_id out_of_range");
    }

    #[test]
    fn parents_come_first_and_siblings_by_position() {
        let order: Vec<Id> = tree().in_order().into_iter().map(|category| category.id).collect();
        assert_eq!(order, [4, 1, 2, 3].map(id));
    }

    #[test]
    fn only_what_is_empty_is_removed() {
        for (n, has_products, outcome) in [
            (3, HasProducts::No, Ok(true)),
            (3, HasProducts::Yes, Err(CatalogError::InUse)),
            (2, HasProducts::No, Err(CatalogError::InUse)),
            (9, HasProducts::No, Ok(false)),
        ] {
            assert_eq!(tree().delete(&id(n), has_products), outcome, "{n} {has_products:?}");
        }
    }
}
