//! Commands on an order that was placed: what is asked, what was decided to be done, and how it ended.

use serde::{Deserialize, Serialize};
use souk_kit::order::FulfillmentLine;
use souk_kit::{Id, Instant, Money, ids};

use super::Units;

/// What somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Undo the order.
    Cancel {
        /// Why.
        reason: String,
    },
    /// Take money that is held.
    Capture {
        /// How much; none for all that is left.
        amount: Option<Money>,
    },
    /// Give money back.
    Refund {
        /// How much.
        amount: Money,
        /// Why.
        reason: String,
        /// Units that go back on the shelf.
        restock: Vec<FulfillmentLine>,
    },
    /// Hand over units.
    Ship {
        /// Which; none for all that is left.
        lines: Vec<FulfillmentLine>,
        /// Carrier; may be empty.
        carrier: String,
        /// Tracking number; may be empty.
        tracking_number: String,
    },
}

impl Request {
    /// Tells a repeat from another command with the same id.
    pub fn digest(&self) -> String {
        let mut parts = Vec::new();
        let units = |parts: &mut Vec<String>, lines: &[FulfillmentLine]| {
            for line in lines {
                parts.extend([line.variant_id.clone(), line.quantity.to_string()]);
            }
        };
        match self {
            Self::Cancel { reason } => parts.extend(["cancel".to_owned(), reason.clone()]),
            Self::Capture { amount } => {
                parts.push("capture".to_owned());
                parts.extend(amount.iter().flat_map(|amount| [amount.minor.to_string(), amount.currency.clone()]));
            }
            Self::Refund { amount, reason, restock } => {
                parts.extend(["refund".to_owned(), amount.minor.to_string(), amount.currency.clone(), reason.clone()]);
                units(&mut parts, restock);
            }
            Self::Ship { lines, carrier, tracking_number } => {
                parts.extend(["ship".to_owned(), carrier.clone(), tracking_number.clone()]);
                units(&mut parts, lines);
            }
        }
        ids::digest(&parts.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

/// What was decided to be done, with every amount and unit fixed: a repeat after a crash does the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Undo the order. The order's stage says how far it is.
    Cancel {
        /// Why.
        reason: String,
    },
    /// Take money.
    Capture {
        /// Minor units.
        amount: i64,
    },
    /// Give money back, then put units on the shelf.
    Refund {
        /// Minor units.
        amount: i64,
        /// Why.
        reason: String,
        /// Units that go back on the shelf.
        restock: Units,
    },
    /// Take what is held, then hand over units.
    Ship {
        /// Minor units to be taken first; zero when nothing is held.
        capture: i64,
        /// What is handed over.
        units: Units,
        /// Carrier; may be empty.
        carrier: String,
        /// Tracking number; may be empty.
        tracking_number: String,
    },
}

/// A command whose effects are being made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenCommand {
    /// The command.
    pub id: Id,
    /// What is to be done.
    pub task: Task,
    /// When it was decided.
    pub opened_at: Instant,
}

/// Why a service refused an effect for good, after the command had been accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outside {
    /// More than is left, in minor units.
    Exceeds {
        /// What is left.
        left: i64,
    },
    /// The payment provider refused.
    PaymentRefused {
        /// Stable code.
        code: String,
        /// For a person.
        message: String,
    },
}

/// How a command ended, or that it has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its effects are being made.
    Open,
    /// Done.
    Done,
    /// Refused for good.
    Refused(Outside),
}

/// A command as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRecord {
    /// The command.
    pub id: Id,
    /// Digest of what was asked.
    pub digest: String,
    /// What was decided.
    pub task: Task,
    /// How it ended.
    pub outcome: Outcome,
    /// When it was decided.
    pub opened_at: Instant,
}
