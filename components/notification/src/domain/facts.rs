//! What events say, as `wit/events.wit` promises it.
//!
//! Every text loses its control characters here, so that no name can break a line of a subject or fake a paragraph
//! further on.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use souk_kit::check::Check;
use souk_kit::{Money, money};

/// A fact that someone is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// `user.registered`
    Registered(Account),
    /// `user.verification-requested`
    VerificationRequested(Account),
    /// `user.password-reset-requested`
    PasswordResetRequested(Account),
    /// `order.placed`
    Placed(Order, Placed),
    /// `order.canceled`
    Canceled(Order, Canceled),
    /// `order.refunded`
    Refunded(Order, Refunded),
    /// `order.shipped`
    Shipped(Order, Shipped),
}

/// What every event of an account says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Account {
    /// Where the message goes.
    #[serde(deserialize_with = "one_line")]
    pub email: String,
    /// Whom it greets.
    #[serde(deserialize_with = "one_line")]
    pub name: String,
    /// The secret that its link carries.
    #[serde(deserialize_with = "one_line")]
    pub token: String,
}

/// What every event of an order says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Order {
    /// `ord_...`
    #[serde(deserialize_with = "one_line")]
    pub order_id: String,
    /// For people: `S-1042`.
    #[serde(deserialize_with = "one_line")]
    pub number: String,
    /// The secret that its link carries.
    #[serde(deserialize_with = "one_line")]
    pub access_token: String,
    /// Where the message goes.
    #[serde(deserialize_with = "one_line")]
    pub email: String,
    /// Whom it greets.
    #[serde(deserialize_with = "one_line")]
    pub name: String,
}

/// What was ordered and what it costs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Placed {
    /// Currency of all amounts.
    #[serde(deserialize_with = "one_line")]
    pub currency: String,
    /// Sum of the lines.
    pub subtotal_minor: i64,
    /// Shipping.
    pub shipping_minor: i64,
    /// All tax.
    pub tax_minor: i64,
    /// What is to be paid.
    pub total_minor: i64,
    /// What was ordered.
    pub lines: Vec<Line>,
}

/// Why there is no order any more.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Canceled {
    /// Currency of the amount.
    #[serde(deserialize_with = "one_line")]
    pub currency: String,
    /// What it would have cost.
    pub total_minor: i64,
    /// A code of `order` or what the one who canceled it said; may be empty.
    #[serde(deserialize_with = "one_line")]
    pub reason: String,
}

/// Money that was given back.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Refunded {
    /// Currency of the amount.
    #[serde(deserialize_with = "one_line")]
    pub currency: String,
    /// How much.
    pub amount_minor: i64,
    /// Why; may be empty.
    #[serde(deserialize_with = "one_line")]
    pub reason: String,
}

/// A parcel.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Shipped {
    /// Who carries it; may be empty.
    #[serde(deserialize_with = "one_line")]
    pub carrier: String,
    /// What to ask the carrier for; may be empty.
    #[serde(deserialize_with = "one_line")]
    pub tracking_number: String,
    /// What is in it.
    pub lines: Vec<Line>,
}

/// Units of one variant.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Line {
    /// The product's title.
    #[serde(deserialize_with = "one_line")]
    pub title: String,
    /// The option values; may be empty.
    #[serde(deserialize_with = "one_line")]
    pub variant_title: String,
    /// The merchant's own code.
    #[serde(deserialize_with = "one_line")]
    pub sku: String,
    /// Units.
    pub quantity: u32,
    /// What they cost together.
    pub total_minor: i64,
}

impl Fact {
    /// Reads an event. The error says what its payload lacks.
    pub fn parse(topic: &str, payload: &str) -> Result<Self, String> {
        let fact = match topic {
            "user.registered" => Self::Registered(read(payload)?),
            "user.verification-requested" => Self::VerificationRequested(read(payload)?),
            "user.password-reset-requested" => Self::PasswordResetRequested(read(payload)?),
            "order.placed" => Self::Placed(read(payload)?, read(payload)?),
            "order.canceled" => Self::Canceled(read(payload)?, read(payload)?),
            "order.refunded" => Self::Refunded(read(payload)?, read(payload)?),
            "order.shipped" => Self::Shipped(read(payload)?, read(payload)?),
            other => return Err(format!("there is no message for the topic {other}")),
        };
        let mut check = Check::new();
        check.email("/email", fact.recipient());
        check.done().map_err(|_| "the payload's email is not an e-mail address".to_owned())?;
        Ok(fact)
    }

    /// Where the message goes.
    pub fn recipient(&self) -> &str {
        match self {
            Self::Registered(account)
            | Self::VerificationRequested(account)
            | Self::PasswordResetRequested(account) => &account.email,
            Self::Placed(order, _) | Self::Canceled(order, _) | Self::Refunded(order, _) | Self::Shipped(order, _) => {
                &order.email
            }
        }
    }
}

impl Placed {
    /// An amount as people read it.
    pub fn price(&self, minor: &i64) -> String {
        money::format(&Money::new(*minor, &self.currency))
    }
}

impl Canceled {
    /// What it would have cost, as people read it.
    pub fn total(&self) -> String {
        money::format(&Money::new(self.total_minor, &self.currency))
    }

    /// Why, in a sentence; empty when nobody said.
    pub fn sentence(&self) -> String {
        match self.reason.as_str() {
            "" => String::new(),
            "payment_declined" => "The payment was declined.".to_owned(),
            "out_of_stock" => "Something in it had sold out before the order was complete.".to_owned(),
            "abandoned" => "The checkout was not finished in time.".to_owned(),
            "price_changed" => "Prices changed before the order was complete.".to_owned(),
            said => format!("Reason: {said}"),
        }
    }
}

impl Refunded {
    /// The amount as people read it.
    pub fn amount(&self) -> String {
        money::format(&Money::new(self.amount_minor, &self.currency))
    }
}

impl Line {
    /// What it is, as people read it: `Shirt, M / Blue`.
    pub fn name(&self) -> String {
        if self.variant_title.is_empty() {
            self.title.clone()
        } else {
            format!("{}, {}", self.title, self.variant_title)
        }
    }
}

fn read<T: DeserializeOwned>(payload: &str) -> Result<T, String> {
    serde_json::from_str(payload).map_err(|error| format!("the payload is not as the topic promises: {error}"))
}

fn one_line<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(text.replace(breaks_a_line, " ").trim().to_owned())
}

/// Whether a character may end a line or a string somewhere on the way to a person.
pub(super) fn breaks_a_line(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}
