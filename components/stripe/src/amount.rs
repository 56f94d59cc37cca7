//! Amounts as Stripe counts them. Ours have the digits of ISO 4217; Stripe's differ for a few currencies.
//!
//! Source: <https://docs.stripe.com/currencies>, "Zero-decimal currencies", "Three-decimal currencies" and "Special
//! cases". HUF and TWD have whole amounts in payouts only, which are not made here.

use souk_kit::types::Money;

/// How an amount of ours relates to Stripe's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// The same.
    Same,
    /// Whole amounts here, and with two digits that must be zero there.
    Hundredfold,
    /// Two digits here, which must be zero, and whole amounts there.
    Hundredth,
    /// The same, and the last digit must be zero.
    Tens,
}

fn unit(currency: &str) -> Unit {
    match currency {
        "ISK" | "UGX" => Unit::Hundredfold,
        "MGA" => Unit::Hundredth,
        "BHD" | "JOD" | "KWD" | "OMR" | "TND" => Unit::Tens,
        _ => Unit::Same,
    }
}

/// What Stripe is asked for; none when it cannot move this amount to the unit.
pub fn to_stripe(money: &Money) -> Option<i64> {
    match unit(&money.currency) {
        Unit::Same => Some(money.minor),
        Unit::Hundredfold => money.minor.checked_mul(100),
        Unit::Hundredth => (money.minor % 100 == 0).then_some(money.minor / 100),
        Unit::Tens => (money.minor % 10 == 0).then_some(money.minor),
    }
}

/// What Stripe tells of, in our minor units; none when they cannot say it.
pub fn from_stripe(amount: i64, currency: &str) -> Option<i64> {
    match unit(currency) {
        Unit::Same | Unit::Tens => Some(amount),
        Unit::Hundredfold => (amount % 100 == 0).then_some(amount / 100),
        Unit::Hundredth => amount.checked_mul(100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_come_back_as_they_went() {
        for (currency, ours, stripes) in [
            ("USD", 1_999, Some(1_999)),
            ("JPY", 500, Some(500)),
            ("HUF", 1_045, Some(1_045)),
            ("TWD", 80_045, Some(80_045)),
            ("ISK", 5, Some(500)),
            ("UGX", 5_000, Some(500_000)),
            ("MGA", 12_300, Some(123)),
            ("MGA", 12_340, None),
            ("KWD", 5_120, Some(5_120)),
            ("KWD", 5_124, None),
            ("ISK", i64::MAX, None),
        ] {
            assert_eq!(to_stripe(&Money::new(ours, currency)), stripes, "{ours} {currency}");
            if let Some(stripes) = stripes {
                assert_eq!(from_stripe(stripes, currency), Some(ours), "{stripes} {currency}");
            }
        }
    }

    #[test]
    fn what_our_units_cannot_say_is_not_rounded() {
        assert_eq!(from_stripe(4_010, "ISK"), None);
        assert_eq!(from_stripe(i64::MAX, "MGA"), None);
    }
}
