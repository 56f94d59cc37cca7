//! Finding things: home, category, search, product.

use askama::Template;
use souk_kit::catalog::{
    Category, Product, ProductPage, ProductQuery, ProductSort, ProductSummary, VariantDetail, Visibility,
};
use souk_kit::http::encode;
use souk_kit::types::{Money, PageRequest};

use super::layout::{self, Layout};
use crate::app::{Failure, Page};
use crate::shop::Shop;
use crate::visit::Visit;

/// Products on a page of a list.
const PRODUCTS_PER_PAGE: u32 = 24;
/// Products on the home page.
const PRODUCTS_AT_HOME: u32 = 12;

/// A product as a card.
struct Card {
    slug: String,
    title: String,
    image_url: String,
    image_alt: String,
    price: String,
    from: bool,
    sold_out: bool,
}

fn cards(products: Vec<ProductSummary>, currency: &str) -> Vec<Card> {
    let card = |product: ProductSummary| Card {
        price: layout::price(&Money::new(product.price_minor, currency)),
        from: product.price_varies,
        sold_out: product.available == 0,
        slug: product.slug,
        title: product.title,
        image_url: product.image_url,
        image_alt: product.image_alt,
    };
    products.into_iter().map(card).collect()
}

fn query<S: Shop>(visit: &Visit<'_, S>) -> ProductQuery {
    ProductQuery {
        visibility: Visibility::Published,
        currency: layout::currency(visit),
        category: None,
        search: String::new(),
        price_min: None,
        price_max: None,
        in_stock: false,
        sort: ProductSort::Newest,
    }
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    page: Layout,
    cards: Vec<Card>,
}

/// The first page.
pub fn home<S: Shop>(visit: &Visit<'_, S>) -> Page {
    let query = query(visit);
    let products =
        visit.shop.list_products(&visit.ctx, &query, &PageRequest { cursor: None, limit: PRODUCTS_AT_HOME })?;
    let page = Layout::new(visit, "Welcome");
    Ok(layout::html(200, &Home { page, cards: cards(products.items, &query.currency) }))
}

#[derive(Template)]
#[template(path = "list.html")]
struct List {
    page: Layout,
    heading: String,
    children: Vec<Category>,
    cards: Vec<Card>,
    /// What a form must send along to stay on this list.
    kept: Vec<(&'static str, String)>,
    path: String,
    sort: String,
    in_stock: bool,
    next: Option<String>,
}

/// The products of a category and those below it.
pub fn category<S: Shop>(visit: &Visit<'_, S>, slug: &str) -> Page {
    let page = Layout::new(visit, "");
    let all = crate::app::categories(visit);
    let category = all.iter().find(|category| category.slug == slug).ok_or(Failure::NotFound)?;
    let children = all.iter().filter(|child| child.parent_id.as_ref() == Some(&category.id)).cloned().collect();
    let mut query = query(visit);
    query.category = Some(category.id.clone());
    list(visit, page, query, category.title.clone(), children, format!("/c/{slug}"), Vec::new())
}

/// The products that match words.
pub fn search<S: Shop>(visit: &Visit<'_, S>) -> Page {
    let words = parameter(visit, "q");
    let mut page = Layout::new(visit, "");
    page.search.clone_from(&words);
    let mut query = query(visit);
    query.search = words.chars().take(200).collect();
    let heading = if words.is_empty() { "All products".to_owned() } else { format!("Results for “{words}”") };
    list(visit, page, query, heading, Vec::new(), "/search".to_owned(), vec![("q", words)])
}

fn list<S: Shop>(
    visit: &Visit<'_, S>,
    mut page: Layout,
    mut query: ProductQuery,
    heading: String,
    children: Vec<Category>,
    path: String,
    kept: Vec<(&'static str, String)>,
) -> Page {
    let sort = parameter(visit, "sort");
    query.sort = match sort.as_str() {
        "price" => ProductSort::PriceAscending,
        "-price" => ProductSort::PriceDescending,
        "title" => ProductSort::Title,
        _ => ProductSort::Newest,
    };
    query.in_stock = parameter(visit, "in_stock") == "1";
    let cursor = Some(parameter(visit, "after")).filter(|cursor| !cursor.is_empty());
    let request = PageRequest { cursor, limit: PRODUCTS_PER_PAGE };
    let ProductPage { items, next } = visit.shop.list_products(&visit.ctx, &query, &request)?;
    page.title.clone_from(&heading);
    let next = next.map(|after| {
        let mut link = format!("{path}?after={}&sort={}", encode(&after), encode(&sort));
        if query.in_stock {
            link.push_str("&in_stock=1");
        }
        for (name, value) in &kept {
            link.push_str(&format!("&{name}={}", encode(value)));
        }
        link
    });
    let in_stock = query.in_stock;
    Ok(layout::html(
        200,
        &List { page, heading, children, cards: cards(items, &query.currency), kept, path, sort, in_stock, next },
    ))
}

fn parameter<S>(visit: &Visit<'_, S>, name: &str) -> String {
    let pairs = visit.request.query_pairs();
    pairs.into_iter().find_map(|(n, value)| (n == name).then_some(value)).unwrap_or_default().trim().to_owned()
}

/// A variant as a choice.
struct Choice {
    id: String,
    title: String,
    price: String,
    available: bool,
    stock: String,
}

#[derive(Template)]
#[template(path = "product.html")]
struct ProductView {
    page: Layout,
    product: Product,
    options: String,
    choices: Vec<Choice>,
    chosen: String,
    price: String,
    buyable: bool,
    categories: Vec<Category>,
    notice: Option<String>,
}

/// One product, with a notice when something could not be done.
pub fn product<S: Shop>(visit: &Visit<'_, S>, slug: &str, notice: Option<String>) -> Page {
    let product = visit.shop.get_product(&visit.ctx, slug, Visibility::Published)?;
    let currency = layout::currency(visit);
    let choices: Vec<Choice> = product.variants.iter().filter_map(|variant| choice(variant, &currency)).collect();
    let lowest = product
        .variants
        .iter()
        .filter_map(|v| v.prices.iter().find(|p| p.currency == currency))
        .min_by_key(|p| p.minor);
    let price = lowest.map_or_else(|| "Not sold in this currency".to_owned(), layout::price);
    let chosen = choices.iter().find(|c| c.available).or(choices.first()).map(|c| c.id.clone()).unwrap_or_default();
    let page = Layout::new(visit, &product.title);
    let mut categories = crate::app::categories(visit);
    categories.retain(|category| product.category_ids.contains(&category.id));
    let options = product.options.iter().map(|option| option.name.as_str()).collect::<Vec<_>>().join(" / ");
    let buyable = choices.iter().any(|choice| choice.available);
    let status = if notice.is_some() { 422 } else { 200 };
    Ok(layout::html(
        status,
        &ProductView { page, product, options, choices, chosen, price, buyable, categories, notice },
    ))
}

fn choice(variant: &VariantDetail, currency: &str) -> Option<Choice> {
    /// From how few units on a shopper is told to hurry.
    const FEW: i64 = 5;
    let price = variant.prices.iter().find(|price| price.currency == currency)?;
    let available = variant.on_hand - variant.reserved;
    let stock = match available {
        ..=0 => "Sold out".to_owned(),
        1..=FEW => format!("Only {available} left"),
        _ => "In stock".to_owned(),
    };
    let title = variant.option_values.join(" / ");
    Some(Choice { id: variant.id.clone(), title, price: layout::price(price), available: available > 0, stock })
}
