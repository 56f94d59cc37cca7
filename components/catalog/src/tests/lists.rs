//! Lists: what is found, in what order, page by page.

use souk_kit::testing::{Dice, TestPorts, law};
use souk_kit::types::{Money, PageRequest};

use super::{assert_sound, id, list, ports, product, query, staff, variant_id};
use crate::service::{categories, products, stock};
use crate::values::{CatalogError, Category, Product, ProductQuery, ProductSort, ProductStatus, Visibility};

fn create(ports: &TestPorts, product: &Product) {
    products::create_product(ports, &staff(ports), product).expect("the product is fine");
}

fn category(ports: &TestPorts, n: u64, parent: Option<u64>) {
    let parent_id = parent.map(|n| id("cat", n));
    let (slug, title) = (format!("category-{n}"), format!("Category {n}"));
    let category = Category { id: id("cat", n), parent_id, slug, title, position: 0 };
    categories::set_category(ports, &category).expect("the category is fine");
}

/// Numbers of the products found, in their order.
fn found(ports: &TestPorts, query: ProductQuery) -> Vec<u64> {
    let number = |id: &str| u64::from_str_radix(&id[id.len() - 8..], 16).expect("ids of tests end in a number");
    list(ports, query).iter().map(|product| number(&product.id)).collect()
}

#[test]
fn a_search_finds_the_beginnings_of_words_in_titles_descriptions_and_skus() {
    let ports = ports();
    create(&ports, &Product { title: "Crème Brûlée Torch".to_owned(), ..product(1, &["TRC-100"]) });
    create(&ports, &Product { title: "Torchlight".to_owned(), ..product(2, &["LGT/7"]) });
    create(&ports, &Product { description: "Burns sugar on a crème".to_owned(), ..product(3, &["SUG"]) });
    for (search, numbers) in [
        ("", vec![3, 2, 1]),
        ("torch", vec![2, 1]),
        ("TORCHL", vec![2]),
        ("creme", vec![3, 1]),
        ("brul tor", vec![1]),
        ("trc-1", vec![1]),
        ("100", vec![1]),
        ("lgt/7", vec![2]),
        ("orch", vec![]),
        ("torch sugar", vec![]),
        ("100% _", vec![1]),
        ("'; DROP TABLE catalog_products; --", vec![]),
    ] {
        assert_eq!(found(&ports, ProductQuery { search: search.to_owned(), ..query() }), numbers, "{search}");
        let staff_query = ProductQuery { search: search.to_owned(), visibility: Visibility::All, ..query() };
        assert_eq!(found(&ports, staff_query), numbers, "{search}, for staff");
    }
    let renamed = Product { title: "Lamp".to_owned(), version: 1, ..product(2, &["LGT/8"]) };
    products::update_product(&ports, &staff(&ports), &renamed).expect("the version is the present one");
    assert_eq!(found(&ports, ProductQuery { search: "torchl".to_owned(), ..query() }), Vec::<u64>::new());
    assert_eq!(found(&ports, ProductQuery { search: "8 lam".to_owned(), ..query() }), [2]);
}

#[test]
fn shoppers_see_what_is_published_and_priced_and_staff_see_all() {
    let ports = ports();
    create(&ports, &product(1, &["A"]));
    create(&ports, &Product { status: ProductStatus::Draft, ..product(2, &["B"]) });
    create(&ports, &Product { status: ProductStatus::Archived, ..product(3, &["C"]) });
    let mut unpriced = product(4, &["D"]);
    unpriced.variants[0].prices = vec![Money::new(5, "JPY")];
    create(&ports, &unpriced);
    create(&ports, &product(5, &["E"]));
    products::delete_product(&ports, &staff(&ports), &id("prod", 5), Some(1)).expect("it is there");
    stock::adjust_stock(&ports, &staff(&ports), &id("mov", 1), &variant_id(2, 0), 3, "received").expect("it is there");
    assert_eq!(found(&ports, query()), [1]);
    assert_eq!(found(&ports, ProductQuery { currency: "JPY".to_owned(), ..query() }), [4]);
    let all = ProductQuery { visibility: Visibility::All, ..query() };
    assert_eq!(found(&ports, all.clone()), [4, 3, 2, 1]);
    assert_eq!(found(&ports, ProductQuery { in_stock: true, ..all.clone() }), [2]);
    for (sort, numbers) in [(ProductSort::Newest, [3, 2, 1]), (ProductSort::PriceAscending, [1, 2, 3])] {
        for (price_min, price_max) in [(Some(0), None), (None, Some(9_999))] {
            let priced = ProductQuery { price_min, price_max, sort, ..all.clone() };
            assert_eq!(found(&ports, priced), numbers, "what has no price is in no span of prices");
        }
    }
    let seen = list(&ports, all);
    let seen: Vec<_> = seen.iter().map(|p| (p.status, p.price_minor, p.available)).collect();
    let wanted = [
        (ProductStatus::Published, 0, 0),
        (ProductStatus::Archived, 1_000, 0),
        (ProductStatus::Draft, 1_000, 3),
        (ProductStatus::Published, 1_000, 0),
    ];
    assert_eq!(seen, wanted);
    for (key, visibility, there) in [
        ("product-1", Visibility::Published, true),
        ("product-2", Visibility::Published, false),
        ("product-2", Visibility::All, true),
        (&id("prod", 2), Visibility::All, true),
        (&id("prod", 5), Visibility::All, false),
    ] {
        assert_eq!(products::get_product(&ports, key, visibility).is_ok(), there, "{key}");
    }
}

#[test]
fn a_category_lists_what_is_in_it_and_below_it_also_after_it_moved() {
    let ports = ports();
    for (n, parent) in [(1, None), (2, Some(1)), (3, Some(2)), (4, None)] {
        category(&ports, n, parent);
    }
    for (n, categories) in [(1, vec![1]), (2, vec![2]), (3, vec![3]), (4, vec![3, 4]), (5, vec![])] {
        let category_ids = categories.into_iter().map(|n| id("cat", n)).collect();
        create(&ports, &Product { category_ids, ..product(n, &[&format!("S{n}")]) });
    }
    let within =
        |key: &str, visibility| found(&ports, ProductQuery { category: Some(key.to_owned()), visibility, ..query() });
    let check = |rows: [(u64, &[u64]); 4]| {
        for (n, numbers) in rows {
            for visibility in [Visibility::Published, Visibility::All] {
                assert_eq!(within(&format!("category-{n}"), visibility), numbers, "{n} {visibility:?}");
                assert_eq!(within(&id("cat", n), visibility), numbers, "{n} {visibility:?}");
            }
        }
        assert_sound(&ports);
    };
    check([(1, &[4, 3, 2, 1]), (2, &[4, 3, 2]), (3, &[4, 3]), (4, &[4])]);
    category(&ports, 2, Some(4));
    check([(1, &[1]), (2, &[4, 3, 2]), (3, &[4, 3]), (4, &[4, 3, 2])]);
    category(&ports, 2, None);
    check([(1, &[1]), (2, &[4, 3, 2]), (3, &[4, 3]), (4, &[4])]);
    let moved = Product { version: 1, category_ids: vec![id("cat", 1)], ..product(4, &["S4"]) };
    products::update_product(&ports, &staff(&ports), &moved).expect("the version is the present one");
    check([(1, &[4, 1]), (2, &[3, 2]), (3, &[3]), (4, &[])]);
    let page = PageRequest { cursor: None, limit: 1 };
    let unknown = ProductQuery { category: Some("nowhere".to_owned()), ..query() };
    assert_eq!(products::list_products(&ports, unknown, &page), Err(CatalogError::NotFound));
}

#[test]
fn a_list_shows_the_lowest_price_and_what_is_available() {
    let ports = ports();
    create(&ports, &product(1, &["A", "B", "C"]));
    create(&ports, &product(2, &["D"]));
    for (n, units) in [(0, 2), (2, 3)] {
        stock::adjust_stock(&ports, &staff(&ports), &id("mov", n), &variant_id(1, n), units, "received")
            .expect("it is there");
    }
    let [second, first] = &list(&ports, query())[..] else { panic!("two products") };
    assert_eq!((first.price_minor, first.price_varies, first.available), (1_000, true, 5));
    assert_eq!((second.price_minor, second.price_varies, second.available), (1_000, false, 0));
    assert_eq!((first.image_url.as_str(), first.image_alt.as_str()), ("https://example.org/a.png", "A picture"));
    assert_eq!(found(&ports, ProductQuery { in_stock: true, ..query() }), [1]);
    let dollars = list(&ports, ProductQuery { currency: "USD".to_owned(), ..query() });
    assert_eq!((dollars[1].price_minor, dollars[1].available), (1_100, 5));
}

#[test]
fn what_is_wrong_with_a_query_is_named() {
    let ports = ports();
    let page = PageRequest { cursor: None, limit: 20 };
    let wrong = ProductQuery {
        currency: "euro".to_owned(),
        search: "x".repeat(201),
        price_min: Some(-1),
        price_max: Some(i64::MAX),
        ..query()
    };
    let Err(CatalogError::Invalid(errors)) = products::list_products(&ports, wrong, &page) else {
        panic!("it is wrong")
    };
    let pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(pointers, ["/currency", "/search", "/price_min", "/price_max"]);
    for (cursor, limit, pointer) in [
        (None, 0, "/limit"),
        (None, 101, "/limit"),
        (Some("%".to_owned()), 20, "/cursor"),
        (Some(souk_kit::cursor::encode(&["title", "a", "b"])), 20, "/cursor"),
        (Some(souk_kit::cursor::encode(&["newest", "a", "b"])), 20, "/cursor"),
    ] {
        let listed = products::list_products(&ports, query(), &PageRequest { cursor, limit });
        let Err(CatalogError::Invalid(errors)) = listed else { panic!("it is wrong") };
        assert_eq!(errors[0].pointer, pointer);
    }
}

/// Fills a shop at random, and answers each product with its lowest price.
fn random_shop(dice: &mut Dice, ports: &TestPorts) -> Vec<Product> {
    category(ports, 1, None);
    category(ports, 2, Some(1));
    let titles = ["Apple", "apple", "Äpfel", "Birne", "Zebra", "zoo"];
    (1..=30)
        .map(|n| {
            let mut product = product(n, &[&format!("S{n}")]);
            product.title = (*dice.pick(&titles)).to_owned();
            product.variants[0].prices[0].minor = i64::try_from(dice.below(5)).expect("small");
            if dice.below(3) == 0 {
                product.category_ids = vec![id("cat", 1 + dice.below(2))];
            }
            create(ports, &product);
            ports.advance(i64::try_from(dice.below(2)).expect("small"));
            if dice.below(2) == 0 {
                stock::adjust_stock(ports, &staff(ports), &id("mov", n), &variant_id(n, 0), 1, "received")
                    .expect("it is there");
            }
            product
        })
        .collect()
}

#[test]
fn pages_of_any_size_make_the_whole_list_in_order_and_each_product_once() {
    law(30, |dice| {
        let ports = ports();
        let all = random_shop(dice, &ports);
        for sort in [ProductSort::Newest, ProductSort::PriceAscending, ProductSort::PriceDescending, ProductSort::Title]
        {
            for visibility in [Visibility::Published, Visibility::All] {
                let category = [None, Some("category-1".to_owned())][usize::from(dice.below(2) == 0)].clone();
                let in_stock = dice.below(2) == 0;
                let wanted = ProductQuery { sort, visibility, category, in_stock, ..query() };
                let whole = list(&ports, wanted.clone());
                let limit = u32::try_from(1 + dice.below(7)).expect("small");
                let (mut pages, mut cursor) = (Vec::new(), None);
                loop {
                    let page = PageRequest { cursor, limit };
                    let page = products::list_products(&ports, wanted.clone(), &page).expect("the query is fine");
                    assert!(page.items.len() == limit as usize || page.next.is_none());
                    pages.extend(page.items);
                    cursor = page.next;
                    if cursor.is_none() {
                        break;
                    }
                }
                assert_eq!(pages, whole, "{wanted:?}");
                let of = |summary: &crate::values::ProductSummary| {
                    all.iter().find(|product| product.id == summary.id).expect("it was created")
                };
                assert!(whole.iter().all(|product| !in_stock || product.available > 0));
                assert!(whole.iter().all(|p| wanted.category.is_none() || !of(p).category_ids.is_empty()));
                assert!(
                    whole.windows(2).all(|pair| match sort {
                        ProductSort::Newest => pair[0].id > pair[1].id,
                        ProductSort::PriceAscending => pair[0].price_minor <= pair[1].price_minor,
                        ProductSort::PriceDescending => pair[0].price_minor >= pair[1].price_minor,
                        ProductSort::Title => {
                            crate::domain::search::fold(&pair[0].title) <= crate::domain::search::fold(&pair[1].title)
                        }
                    }),
                    "{wanted:?}"
                );
                let count = all.iter().filter(|p| wanted.category.is_none() || !p.category_ids.is_empty()).count();
                assert!(in_stock || whole.len() == count, "nothing is missing: {wanted:?}");
            }
        }
        assert_sound(&ports);
    });
}
