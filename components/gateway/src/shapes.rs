//! Values that many resources share, as our JSON has them.

use serde::{Deserialize, Serialize};
use souk_kit::{Instant, catalog, order, payment_extension, types};

/// Milliseconds in a day.
const DAY_MILLIS: i64 = 86_400_000;

/// An amount in minor units of one currency: 1999 and `USD` are 19.99 dollars, 1999 and `JPY` are 1999 yen.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct Money {
    /// Minor units.
    #[cfg_attr(not(target_arch = "wasm32"), schema(example = 1999))]
    pub amount: i64,
    /// ISO 4217 code.
    #[cfg_attr(not(target_arch = "wasm32"), schema(example = "USD", pattern = "^[A-Z]{3}$"))]
    pub currency: String,
}

/// The same, for lists: the currency is borrowed.
#[derive(Serialize)]
pub struct Price<'a> {
    /// Minor units.
    pub amount: i64,
    /// ISO 4217 code.
    pub currency: &'a str,
}

/// One page of a list.
#[derive(Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct List<T> {
    /// The items of this page.
    pub data: Vec<T>,
    /// Whether there is a next page.
    pub has_more: bool,
    /// What `cursor` takes for the next page. Opaque.
    pub next_cursor: Option<String>,
}

/// Which page of a list is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct PageQuery {
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Items wanted, 1 to 100.
    #[serde(default = "page_items")]
    #[cfg_attr(not(target_arch = "wasm32"), param(minimum = 1, maximum = 100, required = false))]
    pub limit: u32,
}

/// Items of a page when the client does not say.
pub fn page_items() -> u32 {
    20
}

impl From<PageQuery> for types::PageRequest {
    fn from(page: PageQuery) -> Self {
        Self { cursor: page.cursor, limit: page.limit }
    }
}

/// A postal address.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct Address {
    /// Full name of the recipient.
    #[cfg_attr(not(target_arch = "wasm32"), schema(max_length = 200))]
    pub name: String,
    /// Company.
    #[serde(default)]
    #[cfg_attr(not(target_arch = "wasm32"), schema(max_length = 200, required = false))]
    pub company: String,
    /// Street and number.
    #[cfg_attr(not(target_arch = "wasm32"), schema(max_length = 200))]
    pub line1: String,
    /// Second line.
    #[serde(default)]
    #[cfg_attr(not(target_arch = "wasm32"), schema(max_length = 200, required = false))]
    pub line2: String,
    /// City.
    #[cfg_attr(not(target_arch = "wasm32"), schema(max_length = 200))]
    pub city: String,
    /// State, province or region.
    #[serde(default)]
    #[cfg_attr(not(target_arch = "wasm32"), schema(max_length = 200, required = false))]
    pub region: String,
    /// Postal code; some countries have none.
    #[serde(default)]
    #[cfg_attr(not(target_arch = "wasm32"), schema(max_length = 200, required = false))]
    pub postal_code: String,
    /// ISO 3166-1 alpha-2 code.
    #[cfg_attr(not(target_arch = "wasm32"), schema(example = "DE", pattern = "^[A-Z]{2}$"))]
    pub country: String,
    /// Telephone number.
    #[serde(default)]
    #[cfg_attr(not(target_arch = "wasm32"), schema(max_length = 200, required = false))]
    pub phone: String,
}

/// What a payment provider said when it refused.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct Decline {
    /// Stable: `card_declined`, `insufficient_funds`, `expired_card`, `action_failed`, `invalid_token`, `rejected`.
    pub code: String,
    /// For the shopper.
    pub message: String,
}

/// A variant of which too few units are available.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct Shortage {
    /// `var_...`
    pub variant_id: String,
    /// Units available.
    pub available: i64,
}

/// An instant, as RFC 3339 in UTC with milliseconds.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(utoipa::ToSchema),
    schema(value_type = String, format = DateTime, example = "2026-01-01T00:00:00.000Z")
)]
pub struct Timestamp(pub Instant);

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&rfc3339(self.0))
    }
}

/// Writes an instant as RFC 3339. The calendar is Hinnant's `civil_from_days`.
fn rfc3339(instant: Instant) -> String {
    let (days, millis) = (instant.div_euclid(DAY_MILLIS), instant.rem_euclid(DAY_MILLIS));
    let shifted = days + 719_468; // days since 0000-03-01, so that a leap day ends its year
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

impl From<types::Money> for Money {
    fn from(money: types::Money) -> Self {
        Self { amount: money.minor, currency: money.currency }
    }
}

impl From<Money> for types::Money {
    fn from(money: Money) -> Self {
        Self { minor: money.amount, currency: money.currency }
    }
}

impl From<types::Address> for Address {
    fn from(address: types::Address) -> Self {
        let types::Address { name, company, line1, line2, city, region, postal_code, country, phone } = address;
        Self { name, company, line1, line2, city, region, postal_code, country, phone }
    }
}

impl From<Address> for types::Address {
    fn from(address: Address) -> Self {
        let Address { name, company, line1, line2, city, region, postal_code, country, phone } = address;
        Self { name, company, line1, line2, city, region, postal_code, country, phone }
    }
}

impl From<payment_extension::Decline> for Decline {
    fn from(decline: payment_extension::Decline) -> Self {
        Self { code: decline.code, message: decline.message }
    }
}

impl From<catalog::Shortage> for Shortage {
    fn from(shortage: catalog::Shortage) -> Self {
        Self { variant_id: shortage.variant_id, available: shortage.available }
    }
}

impl From<order::LineShortage> for Shortage {
    fn from(shortage: order::LineShortage) -> Self {
        Self { variant_id: shortage.variant_id, available: shortage.available }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_in_the_calendar() {
        for (instant, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_001, "2000-03-01T00:00:00.001Z"),
            (1_767_225_600_000, "2026-01-01T00:00:00.000Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(instant), text);
        }
    }
}
