//! Stripe's API as it is written: what is sent, and the parts of the answers that are read.
//!
//! Source: <https://docs.stripe.com/api>, and the types of Stripe's own libraries for the same version. Whatever
//! is not named here is ignored, so fields that Stripe adds change nothing.

use std::collections::BTreeMap;

use form_urlencoded::Serializer;
use serde::Deserialize;
use souk_kit::payment_extension::{CapturePolicy, ProviderAuthorization};
use souk_kit::types::Id;

/// The version of the API that everything here is written for; sent with every request.
pub const VERSION: &str = "2026-10-28.endive";
/// Metadata: the payment, with a payment intent and with its refunds.
pub const PAYMENT: &str = "souk_payment";
/// Metadata: the order, with a payment intent.
pub const ORDER: &str = "souk_order";
/// Metadata: the command, with a refund.
pub const COMMAND: &str = "souk_command";
/// Objects on one page of a list; Stripe gives no more.
pub const PAGE: usize = 100;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `GET`, with a path and its query.
    Read(String),
    /// `POST`.
    Write {
        /// The path.
        path: String,
        /// The body, `application/x-www-form-urlencoded`.
        form: String,
        /// The idempotency key.
        key: String,
    },
}

impl Request {
    /// The same write under another key.
    #[must_use]
    pub fn under(&self, key: &str) -> Self {
        match self {
            Self::Read(path) => Self::Read(path.clone()),
            Self::Write { path, form, .. } => {
                Self::Write { path: path.clone(), form: form.clone(), key: key.to_owned() }
            }
        }
    }
}

/// Makes and confirms a payment intent. `amount` is as Stripe counts.
pub fn create(asked: &ProviderAuthorization, amount: i64) -> Request {
    let capture = match asked.capture {
        CapturePolicy::Automatic => "automatic",
        CapturePolicy::Manual => "manual",
    };
    let form = form(&[
        ("amount", &amount.to_string()),
        ("currency", &asked.amount.currency.to_ascii_lowercase()),
        ("payment_method", &asked.token),
        ("payment_method_types[0]", "card"),
        ("capture_method", capture),
        ("confirm", "true"),
        ("return_url", &asked.return_url),
        (&metadata(PAYMENT), &asked.key),
        (&metadata(ORDER), &asked.order_id),
        ("expand[0]", "latest_charge"),
    ]);
    Request::Write { path: "/v1/payment_intents".to_owned(), form, key: asked.key.clone() }
}

/// Reads a payment intent with its charge.
pub fn read(reference: &str) -> Request {
    Request::Read(format!("/v1/payment_intents/{reference}?{}", form(&[("expand[0]", "latest_charge")])))
}

/// Takes an amount; what is left is let go, which is what Stripe does with a capture unless asked otherwise.
pub fn capture(reference: &str, command_id: &Id, amount: i64) -> Request {
    Request::Write {
        path: format!("/v1/payment_intents/{reference}/capture"),
        form: form(&[("amount_to_capture", &amount.to_string()), ("expand[0]", "latest_charge")]),
        key: command_id.clone(),
    }
}

/// Lets go of a payment intent.
pub fn cancel(reference: &str, command_id: &Id) -> Request {
    Request::Write {
        path: format!("/v1/payment_intents/{reference}/cancel"),
        form: form(&[("expand[0]", "latest_charge")]),
        key: command_id.clone(),
    }
}

/// Gives an amount back.
pub fn refund(reference: &str, payment_id: &Id, command_id: &Id, amount: i64) -> Request {
    let form = form(&[
        ("payment_intent", reference),
        ("amount", &amount.to_string()),
        (&metadata(PAYMENT), payment_id),
        (&metadata(COMMAND), command_id),
    ]);
    Request::Write { path: "/v1/refunds".to_owned(), form, key: command_id.clone() }
}

/// A page of the refunds of a payment intent, newest first.
pub fn list_refunds(reference: &str, after: Option<&str>) -> Request {
    Request::Read(format!("/v1/refunds?{}", page(&[("payment_intent", reference)], after)))
}

/// A page of the payment intents that were made in these seconds since 1970, both included, newest first.
pub fn list_intents(from: i64, to: i64, after: Option<&str>) -> Request {
    let range = [("created[gte]", from.to_string()), ("created[lte]", to.to_string())];
    let range: Vec<(&str, &str)> = range.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Request::Read(format!("/v1/payment_intents?{}", page(&range, after)))
}

fn page(filter: &[(&str, &str)], after: Option<&str>) -> String {
    let limit = PAGE.to_string();
    let mut fields = filter.to_vec();
    fields.push(("limit", &limit));
    fields.extend(after.map(|after| ("starting_after", after)));
    form(&fields)
}

fn metadata(name: &str) -> String {
    format!("metadata[{name}]")
}

fn form(fields: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// Text by name that we put with an object.
pub type Metadata = BTreeMap<String, String>;

/// A payment intent.
#[derive(Clone, Debug, Deserialize)]
pub struct Intent {
    /// `pi_...`.
    pub id: String,
    /// Whether money moves.
    pub livemode: bool,
    /// Where it is.
    pub status: Status,
    /// What it is for, as Stripe counts.
    pub amount: i64,
    /// Lower case.
    pub currency: String,
    /// Taken, as Stripe counts.
    #[serde(default)]
    pub amount_received: i64,
    /// What we put with it.
    #[serde(default)]
    pub metadata: Metadata,
    /// What the shopper must do.
    #[serde(default)]
    pub next_action: Option<NextAction>,
    /// Why the last attempt failed.
    #[serde(default)]
    pub last_payment_error: Option<Trouble>,
    /// The charge of the last attempt, or its id where it was not asked for.
    #[serde(default)]
    pub latest_charge: Option<ChargeField>,
}

/// Where a payment intent is: <https://docs.stripe.com/payments/paymentintents/lifecycle>.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The attempt failed, or the shopper gave up.
    RequiresPaymentMethod,
    /// Not yet tried.
    RequiresConfirmation,
    /// The shopper must do something.
    RequiresAction,
    /// Not decided.
    Processing,
    /// Held.
    RequiresCapture,
    /// Let go.
    Canceled,
    /// Taken.
    Succeeded,
    /// A state that the pinned version does not have.
    #[serde(other)]
    Other,
}

/// What the shopper must do.
#[derive(Clone, Debug, Deserialize)]
pub struct NextAction {
    /// Where to go; the only action of cards that are confirmed here.
    #[serde(default)]
    pub redirect_to_url: Option<Redirect>,
}

/// Where the shopper goes.
#[derive(Clone, Debug, Deserialize)]
pub struct Redirect {
    /// The bank's page.
    pub url: String,
}

/// A charge as it stands in a payment intent.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum ChargeField {
    /// `ch_...`: the charge itself was not asked for.
    Id(String),
    /// The charge.
    Charge(Charge),
}

/// A charge, amounts as Stripe counts.
#[derive(Clone, Debug, Deserialize)]
pub struct Charge {
    /// What was held.
    pub amount: i64,
    /// What was taken of it.
    pub amount_captured: i64,
    /// Given back, including what was held and never taken.
    pub amount_refunded: i64,
    /// How it was paid.
    #[serde(default)]
    pub payment_method_details: Option<MethodDetails>,
}

/// How a charge was paid.
#[derive(Clone, Debug, Deserialize)]
pub struct MethodDetails {
    /// With a card.
    #[serde(default)]
    pub card: Option<CardDetails>,
}

/// A charge of a card.
#[derive(Clone, Debug, Deserialize)]
pub struct CardDetails {
    /// Until when what is not taken is held, in seconds since 1970.
    #[serde(default)]
    pub capture_before: Option<i64>,
}

/// A refund.
#[derive(Clone, Debug, Deserialize)]
pub struct Refund {
    /// `re_...`.
    pub id: String,
    /// As Stripe counts.
    pub amount: i64,
    /// Lower case.
    pub currency: String,
    /// How far it is.
    #[serde(default)]
    pub status: Option<RefundStatus>,
    /// Which payment intent it is of.
    #[serde(default)]
    pub payment_intent: Option<String>,
    /// What we put with it; nothing with one that was made by hand.
    #[serde(default)]
    pub metadata: Option<Metadata>,
    /// What it did to the account's balance; none while pending, and for what was held and never taken.
    #[serde(default)]
    pub balance_transaction: Option<String>,
}

/// How far a refund is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// On its way.
    Pending,
    /// The shopper must do something to get it.
    RequiresAction,
    /// Done.
    Succeeded,
    /// It did not arrive, and the money is back.
    Failed,
    /// Called back.
    Canceled,
    /// A state that the pinned version does not have.
    #[serde(other)]
    Other,
}

/// A page of a list.
#[derive(Clone, Debug, Deserialize)]
pub struct Page<T> {
    /// Newest first.
    pub data: Vec<T>,
    /// Whether there are older ones.
    pub has_more: bool,
}

/// What stands in the body of an answer that is an error.
#[derive(Clone, Debug, Deserialize)]
pub struct Failed {
    /// It.
    pub error: Trouble,
}

/// Why something failed: <https://docs.stripe.com/api/errors>.
#[derive(Clone, Debug, Deserialize)]
pub struct Trouble {
    /// `card_error`, `invalid_request_error`, `idempotency_error` or `api_error`.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// What programs go by.
    #[serde(default)]
    pub code: Option<String>,
    /// What the bank said.
    #[serde(default)]
    pub decline_code: Option<String>,
    /// For people; of a `card_error`, for the shopper.
    #[serde(default)]
    pub message: Option<String>,
    /// Which field of the request it is about.
    #[serde(default)]
    pub param: Option<String>,
    /// The payment intent as it was left.
    #[serde(default)]
    pub payment_intent: Option<Box<Intent>>,
}
