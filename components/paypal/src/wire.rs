//! Requests and answers as PayPal writes them, as far as they are looked at.
//!
//! Source: <https://developer.paypal.com/docs/api/orders/v2/> and <https://developer.paypal.com/docs/api/payments/v2/>.

use serde::Deserialize;
use serde_json::{Value, json};
use souk_kit::payment_extension::{CapturePolicy, ProviderAuthorization};

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Asks for an access token.
    SignIn,
    /// A path to be read.
    Read(String),
    /// A question that moves nothing and is too long for a path.
    Ask {
        /// The path.
        path: String,
        /// The body.
        json: String,
    },
    /// A change to an order that moves nothing and may be repeated.
    Mark {
        /// The path.
        path: String,
        /// The body.
        json: String,
    },
    /// Something that is done once for a key.
    Write {
        /// The path.
        path: String,
        /// The body.
        json: String,
        /// `PayPal-Request-Id`.
        key: String,
    },
}

/// The only purchase unit of an order.
const UNIT: &str = "default";
/// Where captures are.
const CAPTURES: &str = "/v2/payments/captures/";

/// Makes an order. The shopper pays with an account of PayPal at once, and what is bought is sent by us.
pub fn create(asked: &ProviderAuthorization, value: &str) -> Request {
    let intent = match asked.capture {
        CapturePolicy::Automatic => "CAPTURE",
        CapturePolicy::Manual => "AUTHORIZE",
    };
    let body = json!({
        "intent": intent,
        "purchase_units": [{
            "reference_id": UNIT, "invoice_id": asked.key, "custom_id": asked.order_id,
            "amount": { "currency_code": asked.amount.currency, "value": value },
        }],
        "payment_source": { "paypal": { "experience_context": {
            "user_action": "PAY_NOW", "shipping_preference": "NO_SHIPPING",
            "payment_method_preference": "IMMEDIATE_PAYMENT_REQUIRED",
            "return_url": asked.return_url, "cancel_url": asked.return_url,
        } } },
    });
    write("/v2/checkout/orders".to_owned(), &body, &asked.key)
}

/// Reads an order with its payments.
pub fn read(order: &str) -> Request {
    Request::Read(format!("/v2/checkout/orders/{order}"))
}

/// Holds or takes what the shopper approved.
pub fn take(order: &Order, key: &str) -> Request {
    let act = match order.intent {
        Intent::Authorize => "authorize",
        Intent::Capture => "capture",
    };
    write(format!("/v2/checkout/orders/{}/{act}", order.id), &json!({}), &format!("{key}-{act}"))
}

/// Marks an order that is not to be paid any more.
pub fn mark(order: &str, custom_id: &str) -> Request {
    let path = format!("/purchase_units/@reference_id=='{UNIT}'/custom_id");
    let body = json!([{ "op": "replace", "path": path, "value": custom_id }]);
    Request::Mark { path: format!("/v2/checkout/orders/{order}"), json: body.to_string() }
}

/// Reads a capture, for the order that it was made for.
pub fn read_capture(capture: &str) -> Request {
    Request::Read(format!("{CAPTURES}{capture}"))
}

/// Takes what is held, once.
pub fn capture(authorization: &str, command: &str, amount: &Amount) -> Request {
    let body = json!({
        "amount": { "currency_code": amount.currency_code, "value": amount.value },
        "invoice_id": command, "final_capture": true,
    });
    write(format!("/v2/payments/authorizations/{authorization}/capture"), &body, command)
}

/// Lets go of what is held.
pub fn void(authorization: &str, command: &str) -> Request {
    write(format!("/v2/payments/authorizations/{authorization}/void"), &json!({}), command)
}

/// Gives an amount back.
pub fn refund(capture: &str, command: &str, amount: &Amount) -> Request {
    let body = json!({
        "amount": { "currency_code": amount.currency_code, "value": amount.value },
        "invoice_id": command, "custom_id": command,
    });
    write(format!("{CAPTURES}{capture}/refund"), &body, command)
}

fn write(path: String, json: &Value, key: &str) -> Request {
    Request::Write { path, json: json.to_string(), key: key.to_owned() }
}

/// An access token.
#[derive(Deserialize)]
pub struct Token {
    /// It.
    pub access_token: String,
}

/// An answer of which nothing is read.
#[derive(Deserialize)]
pub struct Nothing {}

/// Whether money is taken with the order.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Intent {
    /// It is.
    Capture,
    /// It is held.
    Authorize,
}

/// An order.
#[derive(Clone, Debug, Deserialize)]
pub struct Order {
    /// Capital letters and digits.
    pub id: String,
    /// Whether money is taken with it.
    pub intent: Intent,
    /// Where it is.
    pub status: OrderStatus,
    /// What is bought; ours have one.
    #[serde(default)]
    pub purchase_units: Vec<Unit>,
    /// Where to go from here.
    #[serde(default)]
    pub links: Vec<Link>,
}

/// Where an order is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OrderStatus {
    /// Nobody approved it yet.
    Created,
    /// The same.
    Saved,
    /// The same: the shopper must go to PayPal.
    PayerActionRequired,
    /// The shopper agreed. Nothing moved yet.
    Approved,
    /// It cannot be paid any more.
    Voided,
    /// Its payments say how it went.
    Completed,
    /// A state that is not known here.
    #[serde(other)]
    Other,
}

/// What is bought.
#[derive(Clone, Debug, Deserialize)]
pub struct Unit {
    /// For how much.
    pub amount: Amount,
    /// Our payment.
    #[serde(default)]
    pub invoice_id: String,
    /// Our order, and whether it is let go: see [`crate::domain::Mark`].
    #[serde(default)]
    pub custom_id: String,
    /// What moved.
    #[serde(default)]
    pub payments: Payments,
}

/// An amount, in decimal text.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Amount {
    /// ISO 4217.
    pub currency_code: String,
    /// Decimal.
    pub value: String,
}

/// What moved for an order.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Payments {
    /// Held.
    #[serde(default)]
    pub authorizations: Vec<Authorization>,
    /// Taken.
    #[serde(default)]
    pub captures: Vec<Capture>,
    /// Given back.
    #[serde(default)]
    pub refunds: Vec<Refund>,
}

/// Money that is held.
#[derive(Clone, Debug, Deserialize)]
pub struct Authorization {
    /// PayPal's name for it.
    pub id: String,
    /// Where it is.
    pub status: AuthorizationStatus,
    /// When it was made: RFC 3339.
    #[serde(default)]
    pub create_time: String,
}

/// Where an authorization is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AuthorizationStatus {
    /// Held.
    Created,
    /// PayPal looks at it.
    Pending,
    /// Refused.
    Denied,
    /// Some was taken.
    PartiallyCaptured,
    /// Taken.
    Captured,
    /// Let go, or ended by itself.
    #[serde(alias = "EXPIRED")]
    Voided,
    /// A state that is not known here.
    #[serde(other)]
    Other,
}

/// Money that is taken.
#[derive(Clone, Debug, Deserialize)]
pub struct Capture {
    /// PayPal's name for it.
    pub id: String,
    /// Where it is.
    pub status: CaptureStatus,
    /// How much.
    pub amount: Amount,
    /// Our command; our payment where it was taken with the order.
    #[serde(default)]
    pub invoice_id: String,
    /// Which order it was made for; not told inside of the order.
    #[serde(default)]
    pub supplementary_data: Supplementary,
}

/// What belongs to an object.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Supplementary {
    /// Other objects.
    #[serde(default)]
    pub related_ids: Related,
}

/// Names of other objects.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Related {
    /// The order.
    #[serde(default)]
    pub order_id: Option<String>,
}

/// Where a capture is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CaptureStatus {
    /// Taken.
    #[serde(alias = "PARTIALLY_REFUNDED", alias = "REFUNDED")]
    Completed,
    /// PayPal looks at it.
    Pending,
    /// Refused.
    #[serde(alias = "FAILED")]
    Declined,
    /// A state that is not known here.
    #[serde(other)]
    Other,
}

/// Money that goes back.
#[derive(Clone, Debug, Deserialize)]
pub struct Refund {
    /// Where it is.
    pub status: RefundStatus,
    /// How much.
    pub amount: Amount,
    /// Our command; empty with one that was made by hand.
    #[serde(default)]
    pub custom_id: String,
}

/// Where a refund is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RefundStatus {
    /// Done.
    Completed,
    /// On its way.
    Pending,
    /// It did not arrive, and the money is back.
    #[serde(alias = "CANCELLED")]
    Failed,
    /// A state that is not known here.
    #[serde(other)]
    Other,
}

/// Where to go from here.
#[derive(Clone, Debug, Deserialize)]
pub struct Link {
    /// What it is for.
    pub rel: String,
    /// The address.
    pub href: String,
}

impl Link {
    /// The capture that it leads to.
    pub fn capture(&self) -> Option<&str> {
        self.href.split_once(CAPTURES).map(|(_, id)| id)
    }
}

/// What stands in the body of an answer that is an error.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Trouble {
    /// `UNPROCESSABLE_ENTITY`, `RESOURCE_NOT_FOUND`, ...
    #[serde(default)]
    pub name: String,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// What exactly.
    #[serde(default)]
    pub details: Vec<Detail>,
}

/// What exactly is wrong.
#[derive(Clone, Debug, Deserialize)]
pub struct Detail {
    /// What programs go by.
    #[serde(default)]
    pub issue: String,
}

/// Whether a webhook is PayPal's.
#[derive(Deserialize)]
pub struct Verdict {
    /// `SUCCESS` or `FAILURE`.
    pub verification_status: String,
}
