//! Stripe's test payment methods: which card decides what. Source: <https://docs.stripe.com/testing>.

use serde_json::{Value, json};

/// What the bank says to a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds the amount.
    Approved,
    /// It does not.
    Declined(Decline),
}

/// Why a bank declined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decline {
    /// The error's `code`.
    pub code: &'static str,
    /// The error's `decline_code`.
    pub decline_code: &'static str,
    /// For the shopper.
    pub message: &'static str,
}

impl Decline {
    /// The `card_error`.
    pub fn error(self) -> Value {
        json!({"type": "card_error", "code": self.code, "decline_code": self.decline_code, "message": self.message})
    }
}

/// What becomes of a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundFate {
    /// It succeeds at once.
    Succeeds,
    /// It succeeds at once, and fails later.
    Fails,
    /// It is pending first, and succeeds later.
    Pends,
}

/// How a card behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Card {
    /// Whether the shopper must pass 3-D Secure first.
    pub authenticates: bool,
    /// What the bank says.
    pub verdict: Verdict,
    /// What becomes of refunds.
    pub refunds: RefundFate,
}

const GOOD: Card = Card { authenticates: false, verdict: Verdict::Approved, refunds: RefundFate::Succeeds };

fn declines(code: &'static str, decline_code: &'static str, message: &'static str) -> Card {
    Card { verdict: Verdict::Declined(Decline { code, decline_code, message }), ..GOOD }
}

/// The card behind a test payment method; none when Stripe has no such.
pub fn card(method: &str) -> Option<Card> {
    // The names of declining cards stand in Stripe's pages with and without the brand.
    let name = method.strip_prefix("pm_card_")?;
    let declined = "Your card was declined.";
    Some(match name.strip_prefix("visa_").filter(|rest| rest.starts_with("chargeDeclined")).unwrap_or(name) {
        "visa" | "visa_debit" | "mastercard" | "amex" | "discover" => GOOD,
        "authenticationRequired" | "threeDSecure2Required" | "threeDSecureRequired" => {
            Card { authenticates: true, ..GOOD }
        }
        "threeDSecureRequiredChargeDeclined" => {
            Card { authenticates: true, ..declines("card_declined", "generic_decline", declined) }
        }
        "chargeDeclined" => declines("card_declined", "generic_decline", declined),
        "chargeDeclinedInsufficientFunds" => {
            declines("card_declined", "insufficient_funds", "Your card has insufficient funds.")
        }
        "chargeDeclinedLostCard" => declines("card_declined", "lost_card", declined),
        "chargeDeclinedStolenCard" => declines("card_declined", "stolen_card", declined),
        "chargeDeclinedExpiredCard" => declines("expired_card", "expired_card", "Your card has expired."),
        "chargeDeclinedIncorrectCvc" => {
            declines("incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect.")
        }
        "chargeDeclinedProcessingError" => declines(
            "processing_error",
            "processing_error",
            "An error occurred while processing your card. Try again in a little bit.",
        ),
        "refundFail" => Card { refunds: RefundFate::Fails, ..GOOD },
        "pendingRefund" => Card { refunds: RefundFate::Pends, ..GOOD },
        _ => return None,
    })
}

/// The payment method that stands for a card's number, digits alone; none when it is not one of Stripe's test cards.
pub fn method(number: &str) -> Option<&'static str> {
    Some(match number {
        "4242424242424242" => "pm_card_visa",
        "5555555555554444" => "pm_card_mastercard",
        "378282246310005" => "pm_card_amex",
        "4000002500003155" => "pm_card_authenticationRequired",
        "4000000000003220" => "pm_card_threeDSecure2Required",
        "4000008400001629" => "pm_card_threeDSecureRequiredChargeDeclined",
        "4000000000000002" => "pm_card_visa_chargeDeclined",
        "4000000000009995" => "pm_card_visa_chargeDeclinedInsufficientFunds",
        "4000000000009987" => "pm_card_visa_chargeDeclinedLostCard",
        "4000000000009979" => "pm_card_visa_chargeDeclinedStolenCard",
        "4000000000000069" => "pm_card_chargeDeclinedExpiredCard",
        "4000000000000127" => "pm_card_chargeDeclinedIncorrectCvc",
        "4000000000000119" => "pm_card_chargeDeclinedProcessingError",
        "4000000000005126" => "pm_card_refundFail",
        "4000000000007726" => "pm_card_pendingRefund",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{card, method};

    #[test]
    fn a_number_stands_for_a_card_that_behaves_so() {
        let of = |number| card(method(number).expect("it is a test card")).expect("it has a name");
        assert!(of("4000002500003155").authenticates);
        assert_eq!(of("4242424242424242"), card("pm_card_visa").expect("it is known"));
        assert_eq!(method("4111111111111112"), None);
    }
}
