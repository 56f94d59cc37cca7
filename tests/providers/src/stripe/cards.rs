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
