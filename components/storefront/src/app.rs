//! From a request to a page: routes, errors, and the files that every page needs.

use souk_kit::cart::CartError;
use souk_kit::catalog::{CatalogError, Category};
use souk_kit::http::{Request, Response};
use souk_kit::order::OrderError;
use souk_kit::types::Instant;
use souk_kit::user::UserError;

use crate::forms::{Distrust, Form};
use crate::pages::{account, browse, cart, checkout, layout, order};
use crate::shop::Shop;
use crate::visit::{ENTROPY_BYTES, Visit};

/// Why a page cannot be shown.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// There is no such page, or it is not this visitor's.
    NotFound,
    /// The page exists, but not for this method; the text is the `allow` header.
    Method(&'static str),
    /// What was posted does not come from a page of ours.
    Forged,
    /// What was posted is not what the page sends.
    Malformed,
    /// Someone must sign in first; the text is where they wanted to go.
    SignIn(String),
    /// There is no room for what was sent: later.
    StorageFull,
    /// A service is away or busy: later.
    Unavailable,
}

/// A page, or why there is none.
pub type Page = Result<Response, Failure>;

const CSS: &str = include_str!("../assets/shop.css");
const PAY_JS: &str = include_str!("../assets/pay.js");
const ICON: &str = include_str!("../assets/icon.svg");

/// How long browsers may keep a file whose name changes with its content.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// Answers one request.
pub fn handle(shop: &impl Shop, request: &Request, now: Instant, entropy: [u8; ENTROPY_BYTES]) -> Response {
    if let Some(file) = file(&request.path) {
        return file;
    }
    let visit = Visit::begin(shop, request, now, entropy);
    let page = match request.segments() {
        Some(segments) => {
            let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
            route(&visit, &segments)
        }
        None => Err(Failure::NotFound),
    };
    let response = page.unwrap_or_else(|failure| layout::failure_page(&visit, &failure));
    visit.finish(response)
}

fn file(path: &str) -> Option<Response> {
    let response = match path {
        path if path == layout::css_path() => {
            Response::new(200, "text/css; charset=utf-8", CSS).with("cache-control", IMMUTABLE)
        }
        path if path == layout::pay_js_path() => {
            Response::new(200, "text/javascript; charset=utf-8", PAY_JS).with("cache-control", IMMUTABLE)
        }
        "/assets/icon.svg" => Response::new(200, "image/svg+xml", ICON).with("cache-control", "public, max-age=86400"),
        "/robots.txt" => {
            let robots = "User-agent: *\nDisallow: /cart\nDisallow: /checkout\nDisallow: /account\nDisallow: /orders\nDisallow: /api\n";
            Response::new(200, "text/plain; charset=utf-8", robots).with("cache-control", "public, max-age=86400")
        }
        _ => return None,
    };
    Some(response.with("x-content-type-options", "nosniff"))
}

fn route<S: Shop>(visit: &Visit<'_, S>, segments: &[&str]) -> Page {
    let get = matches!(visit.request.method.as_str(), "GET" | "HEAD");
    let post = visit.request.method == "POST";
    // The token is checked here, once, for everything that changes anything.
    let form = || match Form::read(visit.request, &visit.csrf) {
        Ok(form) => Ok(form),
        Err(Distrust::NotAForm) => Err(Failure::Malformed),
        Err(Distrust::Forged) => Err(Failure::Forged),
    };
    match segments {
        [""] if get => browse::home(visit),
        ["c", slug] if get => browse::category(visit, slug),
        ["search"] if get => browse::search(visit),
        ["p", slug] if get => browse::product(visit, slug, None),
        ["cart"] if get => cart::show(visit, Vec::new()),
        ["cart", "add"] if post => cart::add(visit, &form()?),
        ["cart", "update"] if post => cart::update(visit, &form()?),
        ["checkout"] if get => checkout::start(visit),
        ["checkout"] if post => checkout::step(visit, &form()?),
        ["orders", id] if get => order::show(visit, id),
        // Back from the payment provider. What the shopper claims is not believed: the order's page asks the provider.
        ["orders", id, "return"] if get => Ok(Response::see_other(&format!("/orders/{id}"))),
        ["account"] if get => account::show(visit),
        ["account", "sign-in"] if get => account::sign_in_form(visit),
        ["account", "sign-in"] if post => account::sign_in(visit, &form()?),
        ["account", "register"] if get => account::register_form(visit),
        ["account", "register"] if post => account::register(visit, &form()?),
        ["account", "sign-out"] if post => form().and_then(|_| account::sign_out(visit)),
        ["account", "forgot"] if get => account::forgot_form(visit),
        ["account", "forgot"] if post => account::forgot(visit, &form()?),
        ["account", "reset"] if get => account::reset_form(visit),
        ["account", "reset"] if post => account::reset(visit, &form()?),
        ["account", "verify"] if get => account::verify_form(visit),
        ["account", "verify"] if post => account::verify(visit, &form()?),
        ["account", "addresses"] if post => account::set_address(visit, &form()?),
        ["account", "addresses", id, "delete"] if post => form().and_then(|_| account::delete_address(visit, id)),
        ["account", "sessions", id, "end"] if post => form().and_then(|_| account::end_session(visit, id)),
        ["" | "search" | "cart" | "account"] | ["c" | "p" | "orders", _] | ["orders", _, "return"] => {
            Err(Failure::Method("GET"))
        }
        ["checkout"] | ["account", "sign-in" | "register" | "forgot" | "reset" | "verify"] => {
            Err(Failure::Method("GET, POST"))
        }
        ["cart", "add" | "update"] | ["account", "sign-out" | "addresses"] => Err(Failure::Method("POST")),
        ["account", "addresses", _, "delete"] | ["account", "sessions", _, "end"] => Err(Failure::Method("POST")),
        _ => Err(Failure::NotFound),
    }
}

/// All categories, for the navigation; none while the catalog is away.
pub fn categories<S: Shop>(visit: &Visit<'_, S>) -> Vec<Category> {
    visit.shop.list_categories(&visit.ctx).unwrap_or_default()
}

impl From<CatalogError> for Failure {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NotFound => Self::NotFound,
            CatalogError::Invalid(_) => Self::Malformed,
            CatalogError::StorageFull => Self::StorageFull,
            CatalogError::OutOfStock(_)
            | CatalogError::Expired
            | CatalogError::Settled
            | CatalogError::InUse
            | CatalogError::Conflict
            | CatalogError::Unavailable(_) => Self::Unavailable,
        }
    }
}

impl From<CartError> for Failure {
    fn from(error: CartError) -> Self {
        match error {
            CartError::NotFound => Self::NotFound,
            CartError::Invalid(_) | CartError::NotSold | CartError::LimitReached | CartError::Closed => Self::Malformed,
            CartError::StorageFull => Self::StorageFull,
            CartError::Conflict | CartError::Unavailable(_) => Self::Unavailable,
        }
    }
}

impl From<OrderError> for Failure {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::NotFound => Self::NotFound,
            OrderError::Invalid(_)
            | OrderError::CartEmpty
            | OrderError::CartClosed(_)
            | OrderError::PriceChanged(_)
            | OrderError::OutOfStock(_)
            | OrderError::ShippingUnavailable
            | OrderError::UnknownProvider
            | OrderError::WrongState(_)
            | OrderError::Exceeds(_)
            | OrderError::PaymentRefused(_) => Self::Malformed,
            OrderError::StorageFull => Self::StorageFull,
            OrderError::Conflict | OrderError::Unavailable(_) => Self::Unavailable,
        }
    }
}

impl From<UserError> for Failure {
    fn from(error: UserError) -> Self {
        match error {
            UserError::NotFound => Self::NotFound,
            UserError::Invalid(_)
            | UserError::EmailTaken
            | UserError::WrongCredentials
            | UserError::InvalidToken
            | UserError::LimitReached => Self::Malformed,
            UserError::StorageFull => Self::StorageFull,
            UserError::Throttled(_) | UserError::Conflict | UserError::Unavailable(_) => Self::Unavailable,
        }
    }
}
