//! Amounts in minor units: exact sums, one rounding rule, and how currencies are written.
//!
//! The rounding rule, everywhere: a share of an amount is rounded half up (away from zero) to the minor unit, once.

use crate::types::Money;

/// Largest amount that a price, a line or an order may have, in minor units: it leaves room to multiply and add.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000;

/// Basis points in one whole.
pub const BASIS_POINTS: i64 = 10_000;

impl Money {
    /// An amount of a currency.
    pub fn new(minor: i64, currency: &str) -> Self {
        Self { minor, currency: currency.to_owned() }
    }
}

/// `price` times `quantity`; none above [`AMOUNT_MAX`].
pub fn times(price: i64, quantity: u32) -> Option<i64> {
    price.checked_mul(i64::from(quantity)).filter(|product| product.abs() <= AMOUNT_MAX)
}

/// The sum; none above [`AMOUNT_MAX`].
pub fn sum(amounts: impl IntoIterator<Item = i64>) -> Option<i64> {
    amounts.into_iter().try_fold(0i64, i64::checked_add).filter(|sum| sum.abs() <= AMOUNT_MAX)
}

/// `basis_points` of an amount that is not negative, rounded half up to the minor unit.
pub fn share_half_up(amount: i64, basis_points: u32) -> i64 {
    assert!((0..=AMOUNT_MAX).contains(&amount), "a share is taken of an amount within its limits");
    let product = i128::from(amount) * i128::from(basis_points);
    let whole = i128::from(BASIS_POINTS);
    i64::try_from((product + whole / 2) / whole).expect("a share of a bounded amount fits")
}

/// How many digits of an amount are behind the point: ISO 4217's exponent; none for a code that is not a currency we know.
pub fn exponent(currency: &str) -> Option<u32> {
    Some(match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "VND" | "VUV"
        | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "AED" | "AFN" | "ALL" | "AMD" | "AOA" | "ARS" | "AUD" | "AWG" | "AZN" | "BAM" | "BBD" | "BDT" | "BGN"
        | "BMD" | "BND" | "BOB" | "BRL" | "BSD" | "BTN" | "BWP" | "BYN" | "BZD" | "CAD" | "CDF" | "CHF" | "CNY"
        | "COP" | "CRC" | "CUP" | "CVE" | "CZK" | "DKK" | "DOP" | "DZD" | "EGP" | "ERN" | "ETB" | "EUR" | "FJD"
        | "FKP" | "GBP" | "GEL" | "GHS" | "GIP" | "GMD" | "GTQ" | "GYD" | "HKD" | "HNL" | "HTG" | "HUF" | "IDR"
        | "ILS" | "INR" | "IRR" | "JMD" | "KES" | "KGS" | "KHR" | "KPW" | "KYD" | "KZT" | "LAK" | "LBP" | "LKR"
        | "LRD" | "LSL" | "MAD" | "MDL" | "MGA" | "MKD" | "MMK" | "MNT" | "MOP" | "MRU" | "MUR" | "MVR" | "MWK"
        | "MXN" | "MYR" | "MZN" | "NAD" | "NGN" | "NIO" | "NOK" | "NPR" | "NZD" | "PAB" | "PEN" | "PGK" | "PHP"
        | "PKR" | "PLN" | "QAR" | "RON" | "RSD" | "RUB" | "SAR" | "SBD" | "SCR" | "SDG" | "SEK" | "SGD" | "SHP"
        | "SLE" | "SOS" | "SRD" | "SSP" | "STN" | "SVC" | "SYP" | "SZL" | "THB" | "TJS" | "TMT" | "TOP" | "TRY"
        | "TTD" | "TWD" | "TZS" | "UAH" | "USD" | "UYU" | "UZS" | "VED" | "VES" | "WST" | "XCD" | "YER" | "ZAR"
        | "ZMW" => 2,
        _ => return None,
    })
}

/// An amount as people read it, for mails and pages: `19.99 USD`, `1999 JPY`.
pub fn format(money: &Money) -> String {
    let digits = exponent(&money.currency).unwrap_or(2);
    let unit = 10u64.pow(digits);
    let minor = money.minor.unsigned_abs();
    let sign = if money.minor < 0 { "-" } else { "" };
    if digits == 0 {
        format!("{sign}{minor} {}", money.currency)
    } else {
        format!("{sign}{}.{:0width$} {}", minor / unit, minor % unit, money.currency, width = digits as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_with_the_digits_of_their_currency() {
        for (minor, currency, text) in [
            (1999, "USD", "19.99 USD"),
            (5, "EUR", "0.05 EUR"),
            (-1999, "USD", "-19.99 USD"),
            (1999, "JPY", "1999 JPY"),
            (1999, "KWD", "1.999 KWD"),
        ] {
            assert_eq!(format(&Money::new(minor, currency)), text);
        }
    }

    #[test]
    fn shares_are_rounded_half_up_once() {
        for (amount, basis_points, share) in
            [(1050, 1000, 105), (1, 5000, 1), (1, 4999, 0), (999, 1900, 190), (0, 1900, 0)]
        {
            assert_eq!(share_half_up(amount, basis_points), share, "{basis_points} of {amount}");
        }
    }

    #[test]
    fn sums_and_products_stop_at_their_limit() {
        assert_eq!(times(AMOUNT_MAX, 1), Some(AMOUNT_MAX));
        assert_eq!(times(AMOUNT_MAX, 2), None);
        assert_eq!(times(i64::MAX, 2), None);
        assert_eq!(sum([AMOUNT_MAX, 1]), None);
        assert_eq!(sum([1, 2, 3]), Some(6));
    }
}
