//! Stories of products, categories and pictures; with faults at every commit.

use souk_kit::testing::{Fault, TestPorts};
use souk_kit::types::Money;

use super::{assert_sound, id, line, list, ports, product, query, shop_with, staff, units, variant, variant_id};
use crate::service::{categories, media, products, stock};
use crate::values::{CatalogError, Category, MediaFile, Product, ProductStatus, Visibility};

fn create(ports: &TestPorts, product: &Product) -> Result<Product, CatalogError> {
    products::create_product(ports, &staff(ports), product)
}

fn update(ports: &TestPorts, product: &Product) -> Result<Product, CatalogError> {
    products::update_product(ports, &staff(ports), product)
}

fn errors(outcome: Result<Product, CatalogError>) -> String {
    match outcome {
        Err(CatalogError::Invalid(errors)) => {
            errors.iter().map(|e| format!("{} {}", e.pointer, e.code)).collect::<Vec<_>>().join(", ")
        }
        other => panic!("{other:?}"),
    }
}

fn category(n: u64, parent: Option<u64>) -> Category {
    let (slug, title) = (format!("category-{n}"), format!("Category {n}"));
    Category { id: id("cat", n), parent_id: parent.map(|n| id("cat", n)), slug, title, position: 0 }
}

#[test]
fn a_product_comes_back_as_it_was_made() {
    let ports = ports();
    categories::set_category(&ports, &category(1, None)).expect("it is fine");
    categories::set_category(&ports, &category(2, None)).expect("it is fine");
    let category_ids = vec![id("cat", 2), id("cat", 1)];
    let wanted = Product { category_ids, status: ProductStatus::Draft, ..product(1, &["B", "A"]) };
    let made = create(&ports, &wanted).expect("it is fine");
    let now = ports.now();
    assert_eq!(made, Product { created_at: now, updated_at: now, version: 1, ..wanted });
    assert_eq!(products::get_product(&ports, "product-1", Visibility::All), Ok(made));
    let events: Vec<_> = ports.take_due_events().into_iter().map(|event| (event.topic, event.payload)).collect();
    let payload = format!(r#"{{"product_id":"{}","version":1}}"#, id("prod", 1));
    assert_eq!(events, [("catalog.product-changed".to_owned(), payload)]);
    assert_sound(&ports);
}

#[test]
fn a_create_is_repeated_with_its_content_and_no_other() {
    let ports = ports();
    let first = product(1, &["A"]);
    create(&ports, &first).expect("it is fine");
    let changed =
        update(&ports, &Product { title: "New".to_owned(), version: 1, ..first.clone() }).expect("it is fine");
    assert_eq!(create(&ports, &first), Ok(changed), "a late repeat answers the product as it is now");
    assert_eq!(create(&ports, &Product { title: "Other".to_owned(), ..first.clone() }), Err(CatalogError::Conflict));
    products::delete_product(&ports, &staff(&ports), &first.id, None).expect("it is there");
    assert_eq!(create(&ports, &first), Err(CatalogError::NotFound), "it was made and is gone");
}

#[test]
fn slugs_and_skus_are_unique_among_what_is_not_deleted() {
    let ports = ports();
    create(&ports, &product(1, &["A", "B"])).expect("it is fine");
    let other = Product { slug: "product-1".to_owned(), ..product(2, &["C", "B"]) };
    assert_eq!(errors(create(&ports, &other)), "/slug taken, /variants/1/sku taken");
    create(&ports, &product(2, &["C", "D"])).expect("it is fine");
    assert_eq!(errors(update(&ports, &Product { version: 1, ..other.clone() })), "/slug taken, /variants/1/sku taken");
    let mut stolen = product(3, &["E"]);
    stolen.variants[0].id = variant_id(1, 0);
    assert_eq!(errors(create(&ports, &stolen)), "/variants/0/id taken");
    products::delete_product(&ports, &staff(&ports), &id("prod", 1), None).expect("it is there");
    assert_eq!(errors(create(&ports, &stolen)), "/variants/0/id taken", "ids are never used again");
    update(&ports, &Product { version: 1, ..other }).expect("slug and SKU are free");
    let nowhere = Product { category_ids: vec![id("cat", 9)], ..product(4, &["F"]) };
    assert_eq!(errors(create(&ports, &nowhere)), "/category_ids/0 unknown");
    assert_sound(&ports);
}

#[test]
fn skus_change_places_in_one_update_and_stock_stays_where_it_is() {
    let ports = shop_with(&[5, 7, 9]);
    stock::reserve(&ports, &staff(&ports), &id("ord", 1), &[line(0, 1), line(2, 2)], 600).expect("there is enough");
    let mut swapped = Product { version: 1, ..product(1, &["SKU-1", "SKU-0"]) };
    swapped.variants[0].prices = vec![Money::new(5, "EUR")];
    let changed = update(&ports, &swapped).expect("the version is the present one");
    let seen: Vec<_> = changed.variants.iter().map(|v| (v.sku.as_str(), v.on_hand, v.reserved)).collect();
    assert_eq!(seen, [("SKU-1", 5, 1), ("SKU-0", 7, 0)]);
    assert_eq!(changed.version, 2);
    let listed = &list(&ports, query())[0];
    assert_eq!((listed.price_minor, listed.available), (5, 11), "what was left out counts no more");
    stock::release_reservation(&ports, &staff(&ports), &id("ord", 1)).expect("it is held");
    assert_eq!((units(&ports, 2), list(&ports, query())[0].available), ((9, 0), 12));
    let back = Product { version: 2, ..product(1, &["SKU-0", "SKU-1", "SKU-2"]) };
    update(&ports, &back).expect("a variant that was left out may come back");
    assert_eq!(list(&ports, query())[0].available, 21);
    assert_sound(&ports);
}

#[test]
fn an_update_replaces_the_version_that_was_read() {
    let ports = ports();
    let first = create(&ports, &product(1, &["A"])).expect("it is fine");
    assert_eq!(update(&ports, &Product { version: 7, ..first.clone() }), Err(CatalogError::Conflict));
    assert_eq!(update(&ports, &Product { version: u64::MAX, ..first.clone() }), Err(CatalogError::Conflict));
    ports.advance(5);
    let second = update(&ports, &Product { title: "Two".to_owned(), ..first.clone() }).expect("it is the present one");
    assert_eq!((second.version, second.created_at, second.updated_at), (2, first.created_at, first.created_at + 5));
    assert_eq!(update(&ports, &Product { title: "Two".to_owned(), ..first.clone() }), Ok(second), "a repeat");
    assert_eq!(update(&ports, &Product { title: "Three".to_owned(), ..first }), Err(CatalogError::Conflict));
    assert_eq!(update(&ports, &Product { version: 1, ..product(9, &["Z"]) }), Err(CatalogError::NotFound));
}

#[test]
fn offers_tell_a_cart_what_it_needs_and_leave_out_what_is_gone() {
    let ports = shop_with(&[5, 0]);
    stock::reserve(&ports, &staff(&ports), &id("ord", 1), &[line(0, 2)], 600).expect("there is enough");
    create(&ports, &Product { status: ProductStatus::Draft, ..product(2, &["D"]) }).expect("it is fine");
    let ids = [variant_id(1, 0), variant_id(9, 9), variant_id(2, 0)];
    let mut offers = products::get_offers(&ports, &ids, "USD").expect("it is fine");
    offers.sort_by(|a, b| a.variant_id.cmp(&b.variant_id));
    let seen: Vec<_> =
        offers.iter().map(|o| (o.sku.as_str(), o.available, o.on_sale, o.variant_title.as_str())).collect();
    assert_eq!(seen, [("SKU-0", 3, true, "S0"), ("D", 0, false, "S0")]);
    assert_eq!(offers[0].unit_price, Some(Money::new(1_100, "USD")));
    let yen = products::get_offers(&ports, &ids[..1], "JPY").expect("it is fine");
    assert_eq!(yen[0].unit_price, None);
    assert_eq!(products::get_offers(&ports, &[], "USD"), Ok(Vec::new()));
    let skus: Vec<String> = (0..300).map(|n| format!("M{n}")).collect();
    let skus: Vec<&str> = skus.iter().map(String::as_str).collect();
    let mut many = product(3, &skus[..100]);
    many.options.push(crate::values::ProductOption {
        name: "Color".to_owned(),
        values: vec!["Red".to_owned(), "Blue".to_owned(), "Green".to_owned()],
    });
    many.variants = (0..300u64)
        .map(|n| {
            let option_values = vec![format!("S{}", n % 100), ["Red", "Blue", "Green"][n as usize / 100].to_owned()];
            crate::values::VariantDetail { option_values, ..variant(3, n, skus[n as usize]) }
        })
        .collect();
    assert_eq!(create(&ports, &many).expect("it is fine").variants.len(), 300);
    let ids: Vec<_> = (0..201).map(|n| variant_id(3, n)).collect();
    let offers = products::get_offers(&ports, &ids[..200], "EUR").expect("it is fine");
    assert_eq!(offers.len(), 200);
    assert_eq!(offers.iter().filter(|offer| offer.variant_title == "S7 / Blue").count(), 1);
    assert!(matches!(products::get_offers(&ports, &ids, "EUR"), Err(CatalogError::Invalid(_))));
    assert_sound(&ports);
}

#[test]
fn the_largest_product_fits_one_batch_and_one_answer() {
    let ports = ports();
    let currencies = [
        "AED", "AUD", "BRL", "CAD", "CHF", "CLP", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "INR", "JPY", "KRW",
        "MXN", "NOK", "NZD", "USD",
    ];
    let mut largest = product(1, &["X"]);
    largest.title = "t".repeat(200);
    largest.description = (0..2_500).map(|n| format!("{n:03x} ")).collect();
    largest.options = ["Size", "Color"]
        .map(|name| crate::values::ProductOption {
            name: name.to_owned(),
            values: (0..25).map(|n| format!("{name} {n}")).collect(),
        })
        .to_vec();
    largest.variants = (0..500u64)
        .map(|n| crate::values::VariantDetail {
            option_values: vec![format!("Size {}", n % 25), format!("Color {}", n / 25)],
            prices: currencies.map(|currency| Money::new(5, currency)).to_vec(),
            ..variant(1, n, &format!("SKU-{n:060}"))
        })
        .collect();
    let made = create(&ports, &largest).expect("it is within every limit");
    assert_eq!((made.variants.len(), made.variants[499].prices.len()), (500, 20));
    assert_eq!(update(&ports, &made).expect("nothing changes").version, 2);
    assert_sound(&ports);
}

#[test]
fn categories_are_set_moved_and_removed() {
    let ports = ports();
    for (n, parent) in [(1, None), (2, Some(1))] {
        assert_eq!(categories::set_category(&ports, &category(n, parent)), Ok(category(n, parent)));
        let commits = ports.commits();
        assert_eq!(categories::set_category(&ports, &category(n, parent)), Ok(category(n, parent)));
        assert_eq!(ports.commits(), commits, "a repeat writes nothing");
    }
    assert!(matches!(categories::set_category(&ports, &category(1, Some(2))), Err(CatalogError::Invalid(_))));
    let renamed = Category { slug: "renamed".to_owned(), ..category(2, Some(1)) };
    categories::set_category(&ports, &renamed).expect("the slug is free");
    assert_eq!(categories::list_categories(&ports), Ok(vec![category(1, None), renamed]));
    create(&ports, &Product { category_ids: vec![id("cat", 2)], ..product(1, &["A"]) }).expect("it is fine");
    assert_eq!(categories::delete_category(&ports, &id("cat", 1)), Err(CatalogError::InUse));
    assert_eq!(categories::delete_category(&ports, &id("cat", 2)), Err(CatalogError::InUse));
    products::delete_product(&ports, &staff(&ports), &id("prod", 1), None).expect("it is there");
    for n in [2, 1, 1, 9] {
        assert_eq!(categories::delete_category(&ports, &id("cat", n)), Ok(()), "{n}");
    }
    assert_eq!(categories::list_categories(&ports), Ok(Vec::new()));
    categories::set_category(&ports, &category(2, None)).expect("a category may come back");
}

#[test]
fn a_picture_is_kept_once() {
    let ports = ports();
    let png = MediaFile { content_type: "image/png".to_owned(), bytes: b"\x89PNG\r\n\x1a\n\0\xff".to_vec() };
    let id = media::put_media(&ports, &staff(&ports), &png).expect("it is a picture");
    assert_eq!(media::put_media(&ports, &staff(&ports), &png), Ok(id.clone()));
    assert_eq!(media::get_media(&ports, &id), Ok(png.clone()));
    assert_eq!(ports.integer("SELECT COUNT(*) FROM catalog_media"), 1);
    assert_eq!(media::get_media(&ports, &super::id("med", 1)), Err(CatalogError::NotFound));
    let false_png = MediaFile { bytes: b"<svg/>".to_vec(), ..png };
    assert!(matches!(media::put_media(&ports, &staff(&ports), &false_png), Err(CatalogError::Invalid(_))));
}

/// The life of a product, step by step. Each step may be repeated until it succeeds.
fn life(ports: &TestPorts, step: u32) -> Result<(), CatalogError> {
    let filed = Product { category_ids: vec![id("cat", 2)], ..product(1, &["A", "B"]) };
    match step {
        0 => categories::set_category(ports, &category(1, None)).map(|_| ()),
        1 => categories::set_category(ports, &category(2, Some(1))).map(|_| ()),
        2 => create(ports, &filed).map(|_| ()),
        3 => update(ports, &Product { version: 1, slug: "new".to_owned(), ..product(1, &["B", "A"]) }).map(|_| ()),
        4 => categories::delete_category(ports, &id("cat", 2)),
        5 => create(ports, &product(2, &["C"])).map(|_| ()),
        6 => products::delete_product(ports, &staff(ports), &id("prod", 2), Some(1)),
        other => panic!("there is no step {other}"),
    }
}

#[test]
fn every_step_survives_a_fault_at_its_commit_and_a_repeat() {
    for fault in [Fault::BeforeCommit, Fault::LostReply] {
        for broken in 0..7 {
            let ports = ports();
            for step in 0..7 {
                if step == broken {
                    ports.fail_commit(0, fault);
                    assert!(matches!(life(&ports, step), Err(CatalogError::Unavailable(_))), "{step}");
                }
                life(&ports, step).expect("a repeat succeeds");
                life(&ports, step).expect("and so does another");
            }
            let seen = products::get_product(&ports, "new", Visibility::All).expect("it was renamed");
            assert_eq!((seen.version, seen.variants[0].sku.as_str()), (2, "B"));
            assert_eq!(categories::list_categories(&ports).map(|all| all.len()), Ok(1));
            assert_eq!(list(&ports, query()).len(), 1);
            assert_sound(&ports);
        }
    }
}
