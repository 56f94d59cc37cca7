//! Amounts as PayPal writes them: decimal text.
//!
//! Source: <https://developer.paypal.com/api/rest/reference/currency-codes/>. HUF and TWD have two digits in ISO 4217, and
//! whole amounts there.

use souk_kit::money;
use souk_kit::types::Money;

/// What PayPal moves.
const CURRENCIES: [&str; 25] = [
    "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "JPY", "MXN", "MYR", "NOK",
    "NZD", "PHP", "PLN", "RUB", "SEK", "SGD", "THB", "TWD", "USD",
];

/// Longest text of an amount, in bytes.
const TEXT_BYTES_MAX: usize = 32;

/// What PayPal is asked for; none when it cannot move this amount of this currency.
pub fn to_paypal(money: &Money) -> Option<String> {
    if money.minor < 0 || !CURRENCIES.contains(&money.currency.as_str()) {
        return None;
    }
    match money.currency.as_str() {
        "JPY" => Some(money.minor.to_string()),
        "HUF" | "TWD" => (money.minor % 100 == 0).then(|| (money.minor / 100).to_string()),
        _ => Some(format!("{}.{:02}", money.minor / 100, money.minor % 100)),
    }
}

/// What PayPal tells of, in our minor units; none when they cannot say it.
pub fn from_paypal(value: &str, currency: &str) -> Option<i64> {
    let digits = usize::try_from(money::exponent(currency)?).ok()?;
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if value.len() > TEXT_BYTES_MAX || whole.is_empty() || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let (minor, rest) = fraction.split_at(fraction.len().min(digits));
    if rest.bytes().any(|byte| byte != b'0') {
        return None;
    }
    format!("{whole}{minor:0<digits$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_come_back_as_they_went() {
        for (currency, ours, paypals) in [
            ("USD", 1_999, Some("19.99")),
            ("EUR", 5, Some("0.05")),
            ("JPY", 500, Some("500")),
            ("HUF", 104_500, Some("1045")),
            ("HUF", 104_545, None),
            ("TWD", 80_000, Some("800")),
            ("USD", -1, None),
            ("KWD", 5_120, None),
            ("XXX", 1, None),
        ] {
            assert_eq!(to_paypal(&Money::new(ours, currency)).as_deref(), paypals, "{ours} {currency}");
            if let Some(paypals) = paypals {
                assert_eq!(from_paypal(paypals, currency), Some(ours), "{paypals} {currency}");
            }
        }
    }

    #[test]
    fn other_ways_to_write_an_amount_are_read_and_nothing_is_rounded() {
        for (value, currency, ours) in [
            ("10", "USD", Some(1_000)),
            ("10.5", "USD", Some(1_050)),
            ("10.500", "USD", Some(1_050)),
            ("10.505", "USD", None),
            ("500.00", "JPY", Some(500)),
            ("500.5", "JPY", None),
            ("", "USD", None),
            (".5", "USD", None),
            ("-1.00", "USD", None),
            ("+1.00", "USD", None),
            ("1e3", "USD", None),
            ("1.0.0", "USD", None),
            ("99999999999999999999", "USD", None),
            ("1.00", "ABC", None),
        ] {
            assert_eq!(from_paypal(value, currency), ours, "{value} {currency}");
        }
    }
}
