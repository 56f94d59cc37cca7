//! Use cases on a real database, as tables, laws and stories.

use souk_kit::Call;
use souk_kit::testing::TestPorts;
use souk_kit::types::{Actor, Id, Money, PageRequest};

use crate::service::{audit, products, stock};
use crate::values::{
    Media, Product, ProductOption, ProductQuery, ProductSort, ProductStatus, ProductSummary, StockLine, VariantDetail,
    Visibility,
};

mod catalog;
mod laws;
mod lists;
mod races;
mod reservations;

/// A database with this service's tables.
pub fn ports() -> TestPorts {
    TestPorts::new("catalog", &[include_str!("../migrations/0001_catalog.sql")])
}

/// A call of a member of staff, now.
pub fn staff(ports: &TestPorts) -> Call {
    ports.call(Actor::Staff(id("usr", 1)))
}

/// An id with this prefix.
pub fn id(prefix: &str, n: u64) -> Id {
    format!("{prefix}_{n:032x}")
}

/// The id of a variant of a product.
pub fn variant_id(product: u64, n: u64) -> Id {
    id("var", product * 1_000 + n)
}

/// A variant of a product: size `S0`, `S1`, ..., 10 EUR and 11 USD and a little more for each.
pub fn variant(product: u64, n: u64, sku: &str) -> VariantDetail {
    let price = 1_000 + i64::try_from(n).expect("tests keep numbers small");
    VariantDetail {
        id: variant_id(product, n),
        sku: sku.to_owned(),
        barcode: String::new(),
        weight_grams: 100,
        option_values: vec![format!("S{n}")],
        prices: vec![Money::new(price, "EUR"), Money::new(price + 100, "USD")],
        on_hand: 0,
        reserved: 0,
    }
}

/// A published product with a variant for each SKU.
pub fn product(n: u64, skus: &[&str]) -> Product {
    let variants: Vec<VariantDetail> = skus.iter().zip(0..).map(|(sku, at)| variant(n, at, sku)).collect();
    Product {
        id: id("prod", n),
        slug: format!("product-{n}"),
        title: format!("Product {n}"),
        description: "Plain".to_owned(),
        status: ProductStatus::Published,
        category_ids: Vec::new(),
        options: vec![ProductOption {
            name: "Size".to_owned(),
            values: (0..skus.len()).map(|at| format!("S{at}")).collect(),
        }],
        variants,
        media: vec![Media { url: "https://example.org/a.png".to_owned(), alt: "A picture".to_owned() }],
        created_at: 0,
        updated_at: 0,
        version: 0,
    }
}

/// A shop with one product and this many units of each of its variants.
pub fn shop_with(units: &[i64]) -> TestPorts {
    let ports = ports();
    let skus: Vec<String> = (0..units.len()).map(|n| format!("SKU-{n}")).collect();
    let skus: Vec<&str> = skus.iter().map(String::as_str).collect();
    products::create_product(&ports, &staff(&ports), &product(1, &skus)).expect("the product is fine");
    for (units, n) in units.iter().zip(0..) {
        stock::adjust_stock(&ports, &staff(&ports), &id("mov", n), &variant_id(1, n), *units, "received")
            .expect("units are received");
    }
    ports.take_due_events();
    ports
}

/// One line of a command, for a variant of the first product.
pub fn line(n: u64, quantity: u32) -> StockLine {
    StockLine { variant_id: variant_id(1, n), quantity }
}

/// Everything published, newest first, in euros.
pub fn query() -> ProductQuery {
    ProductQuery {
        visibility: Visibility::Published,
        currency: "EUR".to_owned(),
        category: None,
        search: String::new(),
        price_min: None,
        price_max: None,
        in_stock: false,
        sort: ProductSort::Newest,
    }
}

/// The first page with up to 100 products.
pub fn list(ports: &TestPorts, query: ProductQuery) -> Vec<ProductSummary> {
    let page = PageRequest { cursor: None, limit: 100 };
    products::list_products(ports, query, &page).expect("the query is fine").items
}

/// Units on hand and reserved of a variant of the first product, and the available of its listing.
pub fn units(ports: &TestPorts, n: u64) -> (i64, i64) {
    let of = |column: &str| {
        ports.integer(&format!("SELECT {column} FROM catalog_stock WHERE variant_id = '{}'", variant_id(1, n)))
    };
    (of("on_hand"), of("reserved"))
}

/// Runs the whole audit; answers subjects checked and the names of what is broken.
pub fn audited(ports: &TestPorts) -> (u64, Vec<&'static str>) {
    let (mut checked, mut broken, mut from) = (0, Vec::new(), None);
    loop {
        let step = audit::check(ports, &staff(ports), from).expect("the database answers");
        checked += step.checked;
        broken.extend(step.findings.iter().map(|finding| finding.invariant));
        match step.next {
            None => return (checked, broken),
            next => from = next,
        }
    }
}

/// How a case without content is called in tables; generated types write the name of their type before it.
pub fn called(case: impl std::fmt::Debug) -> String {
    let written = format!("{case:?}");
    written.rsplit("::").next().unwrap_or_default().to_owned()
}

/// Fails unless the books add up.
pub fn assert_sound(ports: &TestPorts) {
    assert_eq!(audited(ports).1, Vec::<&str>::new());
}
