//! The terms of sale that the manifest sets: tax rates, ways of shipping, when money is taken.
//!
//! A value that cannot be read stops checkout with a text that names it; nothing is sold on guessed terms.

use std::collections::BTreeMap;

use serde::Deserialize;
use souk_kit::money::{AMOUNT_MAX, BASIS_POINTS, exponent};
use souk_kit::payment_extension::CapturePolicy;

/// Any country.
const ANY: &str = "*";

/// Most ways of shipping.
const METHODS_MAX: usize = 50;

/// The ways of shipping of a shop that has not set its own.
const METHODS_DEFAULT: &str = r#"[{"code":"standard","title":"Standard, 3 to 5 days",
    "price":{"USD":500,"EUR":450,"GBP":400},"free_over":{"USD":10000,"EUR":9000,"GBP":8000}}]"#;

/// A way of shipping, as configured.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// Stable name.
    pub code: String,
    /// For a person.
    pub title: String,
    /// Price by currency, in minor units, without tax. It is not offered in a currency that is absent.
    pub price: BTreeMap<String, i64>,
    /// Subtotal by currency from which it costs nothing.
    #[serde(default)]
    pub free_over: BTreeMap<String, i64>,
    /// Countries it goes to; `*` is any.
    #[serde(default = "anywhere")]
    pub countries: Vec<String>,
}

impl Method {
    /// What it costs to send goods worth `subtotal` to a country; none when it is not offered there.
    pub fn price(&self, country: &str, currency: &str, subtotal: i64) -> Option<i64> {
        let goes_there = self.countries.iter().any(|to| to == ANY || to == country);
        let price = *self.price.get(currency).filter(|_| goes_there)?;
        let free = self.free_over.get(currency).is_some_and(|over| subtotal >= *over);
        Some(if free { 0 } else { price })
    }
}

/// The terms of sale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    rates: BTreeMap<String, u32>,
    /// Ways of shipping.
    pub methods: Vec<Method>,
    /// When money is taken.
    pub capture: CapturePolicy,
}

impl Terms {
    /// Reads the values `tax_rates`, `shipping_methods` and `capture`. The text of an error is for the merchant.
    pub fn parse(
        tax_rates: Option<&str>,
        shipping_methods: Option<&str>,
        capture: Option<&str>,
    ) -> Result<Self, String> {
        let rates = tax_rates.map_or_else(|| Ok(BTreeMap::from([(ANY.to_owned(), 0)])), parse_rates)?;
        let methods = parse_methods(shipping_methods.unwrap_or(METHODS_DEFAULT))?;
        let capture = match capture {
            None | Some("automatic") => CapturePolicy::Automatic,
            Some("manual") => CapturePolicy::Manual,
            Some(other) => return Err(format!("configuration `capture`: `{other}` is neither automatic nor manual")),
        };
        Ok(Self { rates, methods, capture })
    }

    /// The tax rate of a country in basis points. A country without a rate is not sold to at a guessed one.
    pub fn rate(&self, country: &str) -> Result<u32, String> {
        let rate = self.rates.get(country).or_else(|| self.rates.get(ANY));
        rate.copied().ok_or_else(|| format!("configuration `tax_rates` has no rate for {country}, and none for `*`"))
    }
}

fn anywhere() -> Vec<String> {
    vec![ANY.to_owned()]
}

fn is_country(text: &str) -> bool {
    text == ANY || (text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase()))
}

fn parse_rates(text: &str) -> Result<BTreeMap<String, u32>, String> {
    let wrong = |part: &str, why: &str| Err(format!("configuration `tax_rates`: `{part}` {why}, as in `DE=1900,*=0`"));
    let mut rates = BTreeMap::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let Some((country, rate)) = part.split_once('=') else { return wrong(part, "has no `=`") };
        if !is_country(country.trim()) {
            return wrong(part, "does not start with a country of two upper-case letters or `*`");
        }
        let rate = rate.trim().parse::<u32>().ok().filter(|rate| i64::from(*rate) <= BASIS_POINTS);
        let Some(rate) = rate else { return wrong(part, "does not end with basis points from 0 to 10000") };
        if rates.insert(country.trim().to_owned(), rate).is_some() {
            return wrong(part, "names a country twice");
        }
    }
    Ok(rates)
}

fn parse_methods(text: &str) -> Result<Vec<Method>, String> {
    let wrong = |why: String| Err(format!("configuration `shipping_methods`: {why}"));
    let methods: Vec<Method> = match serde_json::from_str(text) {
        Ok(methods) => methods,
        Err(error) => return wrong(error.to_string()),
    };
    if methods.is_empty() || methods.len() > METHODS_MAX {
        return wrong(format!("there are 1 to {METHODS_MAX} ways of shipping"));
    }
    for (place, method) in methods.iter().enumerate() {
        let code = &method.code;
        let sound =
            (1..=50).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if !sound {
            return wrong(format!("the code `{code}` is not 1 to 50 letters, digits, `-` or `_`"));
        }
        if methods[..place].iter().any(|earlier| earlier.code == *code) {
            return wrong(format!("the code `{code}` stands twice"));
        }
        if !(1..=200).contains(&method.title.chars().count()) {
            return wrong(format!("the title of `{code}` has not 1 to 200 characters"));
        }
        for (currency, minor) in method.price.iter().chain(&method.free_over) {
            if exponent(currency).is_none() || !(0..=AMOUNT_MAX).contains(minor) {
                return wrong(format!("`{currency}`: {minor} of `{code}` is not a currency and an amount"));
            }
        }
        if let Some(country) = method.countries.iter().find(|country| !is_country(country)) {
            return wrong(format!("`{country}` of `{code}` is not a country of two upper-case letters or `*`"));
        }
    }
    Ok(methods)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_that_cannot_be_read_are_named() {
        for (tax, shipping, capture, names) in [
            (Some("DE"), None, None, "`DE` has no `=`"),
            (Some("de=1"), None, None, "two upper-case letters"),
            (Some("DE=-1"), None, None, "basis points"),
            (Some("DE=10001"), None, None, "basis points"),
            (Some("DE=1,DE=2"), None, None, "twice"),
            (None, Some(""), None, "EOF"),
            (None, Some("[]"), None, "1 to 50 ways"),
            (None, Some(r#"[{"code":"a b","title":"A","price":{}}]"#), None, "the code `a b`"),
            (
                None,
                Some(r#"[{"code":"a","title":"A","price":{}},{"code":"a","title":"A","price":{}}]"#),
                None,
                "stands twice",
            ),
            (None, Some(r#"[{"code":"a","title":"","price":{}}]"#), None, "the title"),
            (None, Some(r#"[{"code":"a","title":"A","price":{"usd":1}}]"#), None, "`usd`"),
            (None, Some(r#"[{"code":"a","title":"A","price":{"USD":-1}}]"#), None, "-1"),
            (None, Some(r#"[{"code":"a","title":"A","price":{"USD":1.5}}]"#), None, "floating point"),
            (None, Some(r#"[{"code":"a","title":"A","price":{},"countries":["Germany"]}]"#), None, "`Germany`"),
            (None, Some(r#"[{"code":"a","title":"A","price":{},"cost":1}]"#), None, "cost"),
            (None, None, Some("later"), "`later`"),
        ] {
            let error = Terms::parse(tax, shipping, capture).expect_err("it cannot be read");
            assert!(error.starts_with("configuration `") && error.contains(names), "{error}");
        }
    }

    #[test]
    fn a_country_has_its_own_rate_or_that_of_any() {
        let terms = Terms::parse(Some("DE=1900, FR=2000,*=0"), None, None).expect("it reads");
        assert_eq!((terms.rate("DE"), terms.rate("FR"), terms.rate("US")), (Ok(1900), Ok(2000), Ok(0)));
        let terms = Terms::parse(Some("DE=1900"), None, None).expect("it reads");
        assert!(terms.rate("US").is_err(), "no rate is guessed");
        assert_eq!(Terms::parse(None, None, None).expect("the defaults read").rate("US"), Ok(0));
    }

    #[test]
    fn shipping_is_free_from_its_threshold_on() {
        let terms = Terms::parse(None, None, None).expect("the defaults read");
        let method = &terms.methods[0];
        assert_eq!(method.price("US", "USD", 9_999), Some(500));
        assert_eq!(method.price("US", "USD", 10_000), Some(0));
        assert_eq!(method.price("US", "JPY", 1), None);
    }
}
