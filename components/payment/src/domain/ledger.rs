//! The ledger: accounts, transfers between them, and what each account must hold.
//!
//! Amounts are signed: a debit adds to an account, a credit takes from it, and the two rows of a transfer sum to
//! zero. A movement that turns out not to have happened is reversed by another transfer; no row is ever changed.
//!
//! ```text
//!            authorized              capture asked          capture done
//!  shopper  ------------>  held  ------------> capture_in_transit ------------> provider_clearing
//!      ^                    |                                                     | refund asked
//!      |<------ voided -----+                                                     v
//!      +<------------------------------- refund done ----------------- refund_in_transit
//! ```

use super::{Kind, Payment};
use crate::domain::Command;

/// Where money can be, seen from the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    /// The shopper's means of payment.
    Shopper,
    /// Held for us at the shopper's bank, and not asked for yet.
    Held,
    /// Asked for; the provider has not confirmed it.
    CaptureInTransit,
    /// Taken by the provider for us, to be paid out.
    ProviderClearing,
    /// To be given back; the provider has not confirmed it.
    RefundInTransit,
}

/// Every account, for whoever adds them up.
pub const ACCOUNTS: [Account; 5] =
    [Account::Shopper, Account::Held, Account::CaptureInTransit, Account::ProviderClearing, Account::RefundInTransit];

impl Account {
    /// The name in rows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shopper => "shopper",
            Self::Held => "held",
            Self::CaptureInTransit => "capture_in_transit",
            Self::ProviderClearing => "provider_clearing",
            Self::RefundInTransit => "refund_in_transit",
        }
    }
}

/// One movement of money from an account to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Its identity, derived from what caused it, so that a repeated cause cannot move money again.
    pub id: String,
    /// Where the money goes to.
    pub debit: Account,
    /// Where it comes from.
    pub credit: Account,
    /// How much, above zero.
    pub amount: i64,
}

impl Transfer {
    /// Moves an amount `from` an account `to` another.
    pub fn new(id: String, from: Account, to: Account, amount: i64) -> Self {
        assert!(amount > 0, "a transfer moves something");
        Self { id, debit: to, credit: from, amount }
    }
}

/// What an account must hold, given a payment's columns and the command on its way.
pub fn balance(payment: &Payment, account: Account) -> i64 {
    let on_the_way = |kind: Kind| match &payment.in_flight {
        Some(Command { kind: k, amount, .. }) if *k == kind => *amount,
        Some(_) | None => 0,
    };
    let (capturing, refunding) = (on_the_way(Kind::Capture), on_the_way(Kind::Refund));
    match account {
        Account::Shopper => payment.refunded - refunding - payment.authorized,
        Account::Held => payment.authorized - payment.captured,
        Account::CaptureInTransit => capturing,
        Account::ProviderClearing => payment.captured - capturing - payment.refunded,
        Account::RefundInTransit => refunding,
    }
}

/// What transfers do to an account.
pub fn effect(transfers: &[Transfer], account: Account) -> i64 {
    transfers
        .iter()
        .map(|transfer| match (transfer.debit == account, transfer.credit == account) {
            (true, false) => transfer.amount,
            (false, true) => -transfer.amount,
            (true, true) | (false, false) => 0,
        })
        .sum()
}
