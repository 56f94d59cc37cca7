//! Amounts as PayPal writes them: a decimal string and a currency.

use serde_json::{Value, json};

use super::error::Refusal;

/// The currencies that PayPal takes: <https://developer.paypal.com/reference/currency-codes/>.
const CURRENCIES: [&str; 24] = [
    "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "JPY", "MXN", "MYR", "NOK",
    "NZD", "PHP", "PLN", "SEK", "SGD", "THB", "TWD", "USD",
];
/// Those that PayPal takes without decimals.
const WHOLE: [&str; 3] = ["HUF", "JPY", "TWD"];
/// Most digits of an amount in its smallest unit.
const DIGITS_MAX: usize = 9;

/// An amount in the currency's smallest unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Money {
    /// In the smallest unit.
    pub minor: i64,
    /// Upper case.
    pub currency: String,
}

impl Money {
    /// The same currency, another amount.
    pub fn of(&self, minor: i64) -> Self {
        Self { minor, currency: self.currency.clone() }
    }

    /// Reads `{"currency_code": "USD", "value": "1.00"}`, which has to be more than nothing.
    pub fn read(value: &Value, field: &str) -> Result<Self, Refusal> {
        let part = |name: &str| value[name].as_str().ok_or_else(|| Refusal::missing(&format!("{field}/{name}")));
        let (currency, text) = (part("currency_code")?, part("value")?);
        if !CURRENCIES.contains(&currency) {
            return Err(Refusal::semantic("INVALID_CURRENCY_CODE"));
        }
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let digits = decimals_of(currency);
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if text.starts_with('-') {
            return Err(Refusal::semantic("CANNOT_BE_ZERO_OR_NEGATIVE"));
        }
        if !is_number(whole) || !is_number(decimals) || whole.len() + decimals.len() == 0 || text.ends_with('.') {
            return Err(Refusal::syntax(&format!("{field}/value")));
        }
        if decimals.len() > digits {
            let issue = if digits == 0 { "DECIMALS_NOT_SUPPORTED" } else { "DECIMAL_PRECISION" };
            return Err(Refusal::semantic(issue));
        }
        if whole.len() + digits > DIGITS_MAX {
            return Err(Refusal::semantic("MAX_VALUE_EXCEEDED"));
        }
        let minor = format!("{whole}{decimals:0<digits$}").parse().expect("a few digits are a number");
        if minor == 0 {
            return Err(Refusal::semantic("CANNOT_BE_ZERO_OR_NEGATIVE"));
        }
        Ok(Self { minor, currency: currency.to_owned() })
    }

    /// As PayPal writes it.
    pub fn value(&self) -> Value {
        let (digits, minor) = (decimals_of(&self.currency), self.minor);
        let text = match 10_i64.pow(u32::try_from(digits).expect("it is none or two")) {
            1 => minor.to_string(),
            unit => format!("{}.{:0digits$}", minor / unit, minor % unit),
        };
        json!({"currency_code": self.currency, "value": text})
    }
}

fn decimals_of(currency: &str) -> usize {
    if WHOLE.contains(&currency) { 0 } else { 2 }
}
