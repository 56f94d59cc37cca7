//! What all pages share: head, navigation, errors, and how things are written.

use askama::Template;
use souk_kit::catalog::Category;
use souk_kit::http::Response;
use souk_kit::money;
use souk_kit::types::{Instant, Money};

use crate::app::{self, Failure};
use crate::shop::Shop;
use crate::visit::Visit;

/// What the frame of a page shows.
pub struct Layout {
    /// Name of the shop.
    pub shop_name: String,
    /// Title of the page.
    pub title: String,
    /// Name of the style sheet.
    pub css: String,
    /// Categories of the top level.
    pub categories: Vec<Category>,
    /// Units in the cart.
    pub cart_units: u32,
    /// Whether someone is signed in.
    pub signed_in: bool,
    /// Whether payments and mail are those of test mode.
    pub test_mode: bool,
    /// The double-submit token for forms.
    pub csrf: String,
    /// What was searched for.
    pub search: String,
}

impl Layout {
    /// The frame of a page with this title.
    pub fn new<S: Shop>(visit: &Visit<'_, S>, title: &str) -> Self {
        let mut categories = app::categories(visit);
        categories.retain(|category| category.parent_id.is_none());
        Self {
            shop_name: shop_name(visit),
            title: title.to_owned(),
            css: css_path(),
            categories,
            cart_units: visit.cart_units(),
            signed_in: visit.claims.is_some(),
            test_mode: visit.shop.get("test_mode").is_some_and(|value| value == "true"),
            csrf: visit.csrf.clone(),
            search: String::new(),
        }
    }
}

/// Name of the shop, from the configuration.
pub fn shop_name<S: Shop>(visit: &Visit<'_, S>) -> String {
    visit.shop.get("shop_name").unwrap_or_else(|| "Souk".to_owned())
}

/// Currency in which the shop shows its prices, from the configuration.
pub fn currency<S: Shop>(visit: &Visit<'_, S>) -> String {
    visit.shop.get("shop_currency").unwrap_or_else(|| "USD".to_owned())
}

/// Renders a page.
pub fn html(status: u16, template: &impl Template) -> Response {
    let body = template.render().expect("a template renders into memory");
    Response::new(status, "text/html; charset=utf-8", body)
}

/// The style sheet's name changes with its content, so browsers may keep it forever.
pub fn css_path() -> String {
    const VERSION: u64 = fingerprint(include_bytes!("../../assets/shop.css"));
    format!("/assets/shop.{VERSION:016x}.css")
}

/// The same for the script of the page that places an order.
pub fn pay_js_path() -> String {
    const VERSION: u64 = fingerprint(include_bytes!("../../assets/pay.js"));
    format!("/assets/pay.{VERSION:016x}.js")
}

/// FNV-1a (Fowler, Noll, Vo), 64 bits: enough to tell two versions of a file apart.
const fn fingerprint(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash
}

/// An amount as shoppers read it: `$19.99`, `19.99 CHF`.
pub fn price(amount: &Money) -> String {
    let sign = match amount.currency.as_str() {
        "USD" => "$",
        "EUR" => "€",
        "GBP" => "£",
        "JPY" => "¥",
        _ => return money::format(amount),
    };
    let written = money::format(amount);
    let digits = written.split(' ').next().unwrap_or_default();
    match digits.strip_prefix('-') {
        Some(digits) => format!("-{sign}{digits}"),
        None => format!("{sign}{digits}"),
    }
}

/// An instant as shoppers read it: `2026-11-22 13:05 UTC`. Days by Howard Hinnant's `civil_from_days`.
pub fn date(at: Instant) -> String {
    let days = at.div_euclid(86_400_000);
    let minutes = at.rem_euclid(86_400_000) / 60_000;
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60, minutes % 60)
}

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage {
    page: Layout,
    detail: &'static str,
    request_id: String,
}

/// The page that says why there is none.
pub fn failure_page<S: Shop>(visit: &Visit<'_, S>, failure: &Failure) -> Response {
    let (status, title, detail) = match failure {
        Failure::SignIn(wanted) => {
            let wanted = souk_kit::http::encode(wanted);
            return Response::see_other(&format!("/account/sign-in?next={wanted}"));
        }
        Failure::NotFound => (404, "Not found", "There is nothing here, or nothing that you may see."),
        Failure::Method(_) => (405, "Not possible", "This page does not work that way."),
        Failure::Forged => (
            403,
            "Please try again",
            "This form was open for too long or came from elsewhere. Go back, reload and send it again.",
        ),
        Failure::Malformed => {
            (400, "Something is off", "We could not make sense of what was sent. Go back and try again.")
        }
        Failure::StorageFull => {
            (507, "One moment, please", "The shop cannot take this now. Nothing was lost: try again in a minute.")
        }
        Failure::Unavailable => {
            (503, "One moment, please", "The shop is busy. Nothing was lost: try again in a few seconds.")
        }
    };
    let page = Layout::new(visit, title);
    let response = html(status, &FailurePage { page, detail, request_id: visit.request.id.clone() });
    match failure {
        Failure::Method(allow) => response.with("allow", *allow),
        Failure::StorageFull => response.with("retry-after", "10"),
        Failure::Unavailable => response.with("retry-after", "2"),
        Failure::NotFound | Failure::Forged | Failure::Malformed | Failure::SignIn(_) => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (at, written) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_400_000, "2000-02-29 00:00 UTC"),
            (1_767_225_599_999, "2025-12-31 23:59 UTC"),
            (1_767_225_600_000, "2026-01-01 00:00 UTC"),
        ] {
            assert_eq!(date(at), written);
        }
    }

    #[test]
    fn prices_carry_their_sign() {
        for (minor, currency, written) in
            [(1999, "USD", "$19.99"), (-5, "EUR", "-€0.05"), (1999, "JPY", "¥1999"), (1999, "CHF", "19.99 CHF")]
        {
            assert_eq!(price(&Money::new(minor, currency)), written);
        }
    }
}
