//! Products and their variants: what an acceptable one is, and when it may be written.

use std::collections::BTreeSet;

use crate::values::{CatalogError, Media, Product, ProductOption, ProductStatus, VariantDetail};
use souk_kit::check::Check;
use souk_kit::types::Id;
use souk_kit::{ids, money};

use super::media::is_media_url;
use super::{TITLE_CHARS_MAX, check_slug, done};

/// Longest description, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 10_000;
/// Most categories of a product.
pub const CATEGORIES_MAX: usize = 20;
/// Most options of a product.
pub const OPTIONS_MAX: usize = 3;
/// Most values of an option.
pub const OPTION_VALUES_MAX: usize = 100;
/// Longest name or value of an option, in characters.
pub const OPTION_CHARS_MAX: usize = 100;
/// Most variants of a product.
pub const VARIANTS_MAX: usize = 500;
/// Longest SKU or barcode, in characters.
pub const SKU_CHARS_MAX: usize = 64;
/// Most currencies in which a variant is sold.
pub const PRICES_MAX: usize = 20;
/// Most pictures of a product.
pub const MEDIA_MAX: usize = 50;
/// Longest text that describes a picture, in characters.
pub const ALT_CHARS_MAX: usize = 200;

/// How a status is written, in rows and in digests.
pub fn status_text(status: ProductStatus) -> &'static str {
    match status {
        ProductStatus::Draft => "draft",
        ProductStatus::Published => "published",
        ProductStatus::Archived => "archived",
    }
}

/// The digest of all that a command says of a product: what tells a repeat from another command.
pub fn digest(product: &Product) -> String {
    let options: Vec<_> = product.options.iter().map(|option| (&option.name, &option.values)).collect();
    let media: Vec<_> = product.media.iter().map(|media| (&media.url, &media.alt)).collect();
    let variants: Vec<_> = product
        .variants
        .iter()
        .map(|v| {
            let prices: Vec<_> = v.prices.iter().map(|price| (&price.currency, price.minor)).collect();
            (&v.id, &v.sku, &v.barcode, v.weight_grams, &v.option_values, prices)
        })
        .collect();
    let (slug, title, description) = (&product.slug, &product.title, &product.description);
    let status = status_text(product.status);
    let content = (slug, title, description, status, &product.category_ids, options, media, variants);
    ids::digest(&[&serde_json::to_string(&content).expect("texts and numbers are always JSON")])
}

/// What makes a product unacceptable whatever else there is.
pub fn check(product: &Product) -> Result<(), CatalogError> {
    let mut check = Check::new();
    check.id("/id", "prod", &product.id);
    check_slug(&mut check, &product.slug);
    check.text("/title", &product.title, 1, TITLE_CHARS_MAX);
    check.text("/description", &product.description, 0, DESCRIPTION_CHARS_MAX);
    check_categories(&mut check, &product.category_ids);
    check_options(&mut check, &product.options);
    check_variants(&mut check, product);
    check_media(&mut check, &product.media);
    done(check)
}

fn check_categories(check: &mut Check, category_ids: &[Id]) {
    if category_ids.len() > CATEGORIES_MAX {
        check.fail("/category_ids", "too_long", format!("at most {CATEGORIES_MAX} categories"));
    }
    let mut seen = BTreeSet::new();
    for (place, id) in category_ids.iter().enumerate().take(CATEGORIES_MAX) {
        let pointer = format!("/category_ids/{place}");
        check.id(&pointer, "cat", id);
        if !seen.insert(id) {
            check.fail(&pointer, "taken", "the product is in this category already");
        }
    }
}

fn check_options(check: &mut Check, options: &[ProductOption]) {
    if options.len() > OPTIONS_MAX {
        check.fail("/options", "too_long", format!("at most {OPTIONS_MAX} options"));
    }
    let mut names = BTreeSet::new();
    for (place, option) in options.iter().enumerate().take(OPTIONS_MAX) {
        let pointer = format!("/options/{place}");
        check.text(&format!("{pointer}/name"), &option.name, 1, OPTION_CHARS_MAX);
        if !names.insert(&option.name) {
            check.fail(&format!("{pointer}/name"), "taken", "another option has this name");
        }
        if option.values.is_empty() {
            check.fail(&format!("{pointer}/values"), "required", "an option has at least one value");
        }
        if option.values.len() > OPTION_VALUES_MAX {
            check.fail(&format!("{pointer}/values"), "too_long", format!("at most {OPTION_VALUES_MAX} values"));
        }
        let mut values = BTreeSet::new();
        for (at, value) in option.values.iter().enumerate().take(OPTION_VALUES_MAX) {
            check.text(&format!("{pointer}/values/{at}"), value, 1, OPTION_CHARS_MAX);
            if !values.insert(value) {
                check.fail(&format!("{pointer}/values/{at}"), "taken", "the option has this value already");
            }
        }
    }
}

fn check_variants(check: &mut Check, product: &Product) {
    if product.variants.is_empty() {
        check.fail("/variants", "required", "a product has at least one variant");
    }
    if product.variants.len() > VARIANTS_MAX {
        check.fail("/variants", "too_long", format!("at most {VARIANTS_MAX} variants"));
    }
    let (mut ids, mut skus, mut choices) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (place, variant) in product.variants.iter().enumerate().take(VARIANTS_MAX) {
        let pointer = format!("/variants/{place}");
        check.id(&format!("{pointer}/id"), "var", &variant.id);
        if !ids.insert(&variant.id) {
            check.fail(&format!("{pointer}/id"), "taken", "another variant has this id");
        }
        check.text(&format!("{pointer}/sku"), &variant.sku, 1, SKU_CHARS_MAX);
        if !skus.insert(&variant.sku) {
            check.fail(&format!("{pointer}/sku"), "taken", "another variant has this SKU");
        }
        check.text(&format!("{pointer}/barcode"), &variant.barcode, 0, SKU_CHARS_MAX);
        check_choice(check, &pointer, product, variant);
        if !choices.insert(&variant.option_values) {
            check.fail(&format!("{pointer}/option_values"), "taken", "another variant has these option values");
        }
        check_prices(check, &pointer, variant);
    }
}

fn check_choice(check: &mut Check, pointer: &str, product: &Product, variant: &VariantDetail) {
    let pointer = format!("{pointer}/option_values");
    if variant.option_values.len() != product.options.len() {
        return check.fail(&pointer, "out_of_range", "one value for each option of the product");
    }
    for (place, (value, option)) in variant.option_values.iter().zip(&product.options).enumerate() {
        if !option.values.contains(value) {
            check.fail(&format!("{pointer}/{place}"), "unknown", "this is not a value of the option");
        }
    }
}

fn check_prices(check: &mut Check, pointer: &str, variant: &VariantDetail) {
    if variant.prices.len() > PRICES_MAX {
        check.fail(&format!("{pointer}/prices"), "too_long", format!("at most {PRICES_MAX} prices"));
    }
    let mut currencies = BTreeSet::new();
    for (place, price) in variant.prices.iter().enumerate().take(PRICES_MAX) {
        let pointer = format!("{pointer}/prices/{place}");
        check.currency(&format!("{pointer}/currency"), &price.currency);
        if !currencies.insert(&price.currency) {
            check.fail(&format!("{pointer}/currency"), "taken", "the variant has a price in this currency");
        }
        check.range(&format!("{pointer}/minor"), price.minor, 0, money::AMOUNT_MAX);
    }
}

fn check_media(check: &mut Check, media: &[Media]) {
    if media.len() > MEDIA_MAX {
        check.fail("/media", "too_long", format!("at most {MEDIA_MAX} pictures"));
    }
    for (place, media) in media.iter().enumerate().take(MEDIA_MAX) {
        if !is_media_url(&media.url) {
            let detail = "an absolute https URL or a path of this shop, /media/med_...";
            check.fail(&format!("/media/{place}/url"), "malformed", detail);
        }
        check.text(&format!("/media/{place}/alt"), &media.alt, 0, ALT_CHARS_MAX);
    }
}

/// What the database knows that matters for writing a product.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Whether the very command was committed before.
    pub committed: bool,
    /// The product as it is.
    pub present: Option<Present>,
    /// Whether another product that is not deleted has the slug.
    pub slug_taken: bool,
    /// SKUs of the command that variants of other products have which are not deleted.
    pub skus_taken: BTreeSet<String>,
    /// Variant ids of the command that belong to other products, deleted or not.
    pub variants_taken: BTreeSet<Id>,
    /// Which categories of the command exist.
    pub categories: BTreeSet<Id>,
    /// The version of the category tree in which they do.
    pub tree_version: u64,
}

/// A product as far as writing it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// Its version.
    pub version: u64,
    /// Whether it was deleted.
    pub deleted: bool,
    /// The digest of the command that made it.
    pub created_digest: String,
}

/// Whether a product is to be made now, or was made by this very command before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// It is to be written.
    New,
    /// It is there; only the answer was lost.
    Repeated,
}

/// Decides on a new product. Ids are never used again, not even those of deleted products.
pub fn decide_create(around: &Surroundings, product: &Product, digest: &str) -> Result<Creation, CatalogError> {
    match &around.present {
        Some(present) if present.created_digest != digest => Err(CatalogError::Conflict),
        Some(present) if present.deleted => Err(CatalogError::NotFound),
        Some(_) => Ok(Creation::Repeated),
        None => check_around(around, product).map(|()| Creation::New),
    }
}

/// Decides on the new content of a product; answers the version that it replaces.
pub fn decide_update(around: &Surroundings, product: &Product) -> Result<u64, CatalogError> {
    check_around(around, product)?;
    match &around.present {
        None => Err(CatalogError::NotFound),
        Some(present) if present.deleted => Err(CatalogError::NotFound),
        Some(present) if present.version != product.version => Err(CatalogError::Conflict),
        Some(present) => Ok(present.version),
    }
}

/// Decides on a deletion; answers the version that ends, or none when it is done already.
pub fn decide_delete(present: Option<&Present>, version: Option<u64>) -> Result<Option<u64>, CatalogError> {
    match present {
        None => Err(CatalogError::NotFound),
        Some(present) if present.deleted => Ok(None),
        Some(present) if version.is_some_and(|version| version != present.version) => Err(CatalogError::Conflict),
        Some(present) => Ok(Some(present.version)),
    }
}

fn check_around(around: &Surroundings, product: &Product) -> Result<(), CatalogError> {
    let mut check = Check::new();
    if around.slug_taken {
        check.fail("/slug", "taken", "another product has this slug");
    }
    for (place, id) in product.category_ids.iter().enumerate() {
        if !around.categories.contains(id) {
            check.fail(&format!("/category_ids/{place}"), "unknown", "there is no such category");
        }
    }
    for (place, variant) in product.variants.iter().enumerate() {
        if around.variants_taken.contains(&variant.id) {
            check.fail(&format!("/variants/{place}/id"), "taken", "a variant of another product has this id");
        }
        if around.skus_taken.contains(&variant.sku) {
            check.fail(&format!("/variants/{place}/sku"), "taken", "a variant of another product has this SKU");
        }
    }
    done(check)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{called, product, variant};

    fn said<T: std::fmt::Debug>(outcome: Result<T, CatalogError>) -> String {
        match outcome {
            Ok(decided) => format!("{decided:?}"),
            Err(CatalogError::Invalid(errors)) => {
                let errors: Vec<String> = errors.iter().map(|e| format!("{} {}", e.pointer, e.code)).collect();
                errors.join(", ")
            }
            Err(error) => called(error),
        }
    }

    fn check_with(change: impl FnOnce(&mut Product), outcome: &str) {
        let mut product = product(1, &["A", "B"]);
        change(&mut product);
        assert_eq!(said(check(&product)), outcome);
    }

    #[test]
    fn an_acceptable_product_has_a_name_a_place_and_variants_that_differ() {
        check_with(|_| {}, "()");
        check_with(|p| p.id = "prod_1".to_owned(), "/id malformed");
        check_with(|p| p.slug = "Tee Shirt".to_owned(), "/slug malformed");
        check_with(|p| p.slug = "x".repeat(101), "/slug too_long");
        check_with(|p| p.title = " ".to_owned(), "/title required");
        check_with(|p| p.description = "x".repeat(10_001), "/description too_long");
        check_with(|p| p.variants.clear(), "/variants required");
        check_with(|p| p.category_ids = vec!["x".to_owned()], "/category_ids/0 malformed");
        check_with(|p| p.options[0].values.clear(), {
            "/options/0/values required, /variants/0/option_values/0 unknown, /variants/1/option_values/0 unknown"
        });
        check_with(|p| p.options.push(p.options[0].clone()), {
            "/options/1/name taken, /variants/0/option_values out_of_range, /variants/1/option_values out_of_range"
        });
        check_with(|p| p.variants[1].option_values[0] = "XXL".to_owned(), "/variants/1/option_values/0 unknown");
        check_with(|p| p.variants[1].option_values = p.variants[0].option_values.clone(), {
            "/variants/1/option_values taken"
        });
        check_with(|p| p.variants[1].sku = "A".to_owned(), "/variants/1/sku taken");
        check_with(|p| p.variants[1].id = p.variants[0].id.clone(), "/variants/1/id taken");
        check_with(|p| p.variants[0].prices[0].minor = -1, "/variants/0/prices/0/minor out_of_range");
        check_with(|p| p.variants[0].prices[0].currency = "usd".to_owned(), "/variants/0/prices/0/currency unknown");
        check_with(|p| p.variants[0].prices[1].currency = "EUR".to_owned(), "/variants/0/prices/1/currency taken");
        check_with(|p| p.media[0].url = "http://example.org".to_owned(), "/media/0/url malformed");
        let unknown = (2..500).map(|n| format!("/variants/{n}/option_values/0 unknown"));
        let wrong: Vec<String> = std::iter::once("/variants too_long".to_owned()).chain(unknown).collect();
        check_with(|p| p.variants = (0..501).map(|n| variant(1, n, &n.to_string())).collect(), &wrong.join(", "));
    }

    fn present(version: u64, deleted: bool, digest: &str) -> Option<Present> {
        Some(Present { version, deleted, created_digest: digest.to_owned() })
    }

    #[test]
    fn a_create_is_new_repeated_or_refused() {
        let product = product(1, &["A"]);
        for (there, outcome) in [
            (None, "New"),
            (present(1, false, "same"), "Repeated"),
            (present(9, false, "same"), "Repeated"),
            (present(1, false, "other"), "Conflict"),
            (present(2, true, "same"), "NotFound"),
            (present(2, true, "other"), "Conflict"),
        ] {
            let around = Surroundings { present: there.clone(), ..Surroundings::default() };
            assert_eq!(said(decide_create(&around, &product, "same")), outcome, "{there:?}");
        }
    }

    #[test]
    fn an_update_names_the_version_that_it_replaces() {
        let product = Product { version: 3, ..product(1, &["A"]) };
        for (there, outcome) in [
            (None, "NotFound"),
            (present(3, true, ""), "NotFound"),
            (present(2, false, ""), "Conflict"),
            (present(4, false, ""), "Conflict"),
            (present(3, false, ""), "3"),
        ] {
            let around = Surroundings { present: there.clone(), ..Surroundings::default() };
            assert_eq!(said(decide_update(&around, &product)), outcome, "{there:?}");
        }
    }

    #[test]
    fn a_delete_is_done_once() {
        for (there, version, outcome) in [
            (None, None, "NotFound"),
            (present(3, true, ""), Some(1), "None"),
            (present(3, false, ""), Some(2), "Conflict"),
            (present(3, false, ""), Some(u64::MAX), "Conflict"),
            (present(3, false, ""), Some(3), "Some(3)"),
            (present(3, false, ""), None, "Some(3)"),
        ] {
            assert_eq!(said(decide_delete(there.as_ref(), version)), outcome, "{there:?} {version:?}");
        }
    }

    #[test]
    fn what_others_have_is_named_where_it_stands() {
        let product = Product { category_ids: vec!["c".to_owned()], ..product(1, &["A", "B"]) };
        let around = Surroundings {
            slug_taken: true,
            skus_taken: BTreeSet::from(["B".to_owned()]),
            variants_taken: BTreeSet::from([product.variants[0].id.clone()]),
            ..Surroundings::default()
        };
        let outcome = "/slug taken, /category_ids/0 unknown, /variants/0/id taken, /variants/1/sku taken";
        assert_eq!(said(decide_create(&around, &product, "d")), outcome);
        assert_eq!(said(decide_update(&around, &product)), outcome);
    }
}
