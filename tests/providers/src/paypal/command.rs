//! Requests, judged without the account.

use serde_json::Value;

use super::error::Refusal;
use super::money::Money;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// `POST /v2/checkout/orders`
    CreateOrder(Create),
    /// `GET /v2/checkout/orders/{id}`
    ReadOrder(String),
    /// `PATCH /v2/checkout/orders/{id}`, of which only another `custom_id` is supported.
    Rename(String, String),
    /// `POST /v2/checkout/orders/{id}/authorize`
    AuthorizeOrder(String),
    /// `POST /v2/checkout/orders/{id}/capture`
    CaptureOrder(String),
    /// `GET /v2/payments/authorizations/{id}`
    ReadAuthorization(String),
    /// `POST /v2/payments/authorizations/{id}/capture`
    Capture(String, Capture),
    /// `POST /v2/payments/authorizations/{id}/void`
    Void(String),
    /// `POST /v2/payments/authorizations/{id}/reauthorize`
    Reauthorize(String, Option<Money>),
    /// `GET /v2/payments/captures/{id}`
    ReadCapture(String),
    /// `POST /v2/payments/captures/{id}/refund`
    Refund(String, Refund),
    /// `GET /v2/payments/refunds/{id}`
    ReadRefund(String),
}

/// Whether money is taken with the order, or held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Taken.
    Capture,
    /// Held.
    Authorize,
}

/// An order to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Create {
    /// Taken or held.
    pub intent: Intent,
    /// How much.
    pub amount: Money,
    /// The one purchase unit, as it came.
    pub unit: Value,
    /// What it is paid with, as it came: `paypal` or nothing.
    pub source: Option<Value>,
    /// Where the shopper comes back to.
    pub return_url: Option<String>,
    /// Where the shopper comes back to without having approved.
    pub cancel_url: Option<String>,
}

/// Money to be taken of what is held.
#[derive(Clone, Debug, PartialEq)]
pub struct Capture {
    /// All that is left when nothing is said.
    pub amount: Option<Money>,
    /// Unique among captures.
    pub invoice_id: Option<String>,
    /// Nothing more will be taken.
    pub is_final: bool,
}

/// Money to be given back.
#[derive(Clone, Debug, PartialEq)]
pub struct Refund {
    /// All that is left when nothing is said.
    pub amount: Option<Money>,
    /// Unique among refunds.
    pub invoice_id: Option<String>,
    /// The caller's own.
    pub custom_id: Option<String>,
    /// For the shopper.
    pub note: Option<String>,
}

/// Reads a request about orders and payments.
pub fn read(method: &str, path: &str, body: &str) -> Result<Command, Refusal> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    if let ("PATCH", ["v2", "checkout", "orders", id]) = (method, parts.as_slice()) {
        return Ok(Command::Rename((*id).to_owned(), renamed(body)?));
    }
    let body = Body::read(body)?;
    Ok(match (method, parts.as_slice()) {
        ("POST", ["v2", "checkout", "orders"]) => Command::CreateOrder(create(&body)?),
        ("GET", ["v2", "checkout", "orders", id]) => Command::ReadOrder((*id).to_owned()),
        ("POST", ["v2", "checkout", "orders", id, act]) => {
            body.only(&[])?;
            match *act {
                "authorize" => Command::AuthorizeOrder((*id).to_owned()),
                "capture" => Command::CaptureOrder((*id).to_owned()),
                _ => return Err(Refusal::no_such()),
            }
        }
        ("GET", ["v2", "payments", "authorizations", id]) => Command::ReadAuthorization((*id).to_owned()),
        ("POST", ["v2", "payments", "authorizations", id, "capture"]) => {
            body.only(&["amount", "invoice_id", "final_capture", "note_to_payer"])?;
            let is_final = body.value["final_capture"].as_bool().unwrap_or(false);
            let capture = Capture { amount: body.amount()?, invoice_id: body.text("invoice_id", 127)?, is_final };
            Command::Capture((*id).to_owned(), capture)
        }
        ("POST", ["v2", "payments", "authorizations", id, "void"]) => {
            body.only(&[])?;
            Command::Void((*id).to_owned())
        }
        ("POST", ["v2", "payments", "authorizations", id, "reauthorize"]) => {
            body.only(&["amount"])?;
            Command::Reauthorize((*id).to_owned(), body.amount()?)
        }
        ("GET", ["v2", "payments", "captures", id]) => Command::ReadCapture((*id).to_owned()),
        ("POST", ["v2", "payments", "captures", id, "refund"]) => {
            body.only(&["amount", "invoice_id", "custom_id", "note_to_payer"])?;
            let refund = Refund {
                amount: body.amount()?,
                invoice_id: body.text("invoice_id", 127)?,
                custom_id: body.text("custom_id", 127)?,
                note: body.text("note_to_payer", 255)?,
            };
            Command::Refund((*id).to_owned(), refund)
        }
        ("GET", ["v2", "payments", "refunds", id]) => Command::ReadRefund((*id).to_owned()),
        _ => return Err(Refusal::no_such()),
    })
}

/// The `custom_id` that the only purchase unit is to have: RFC 6902, with PayPal's own way to point into a list.
fn renamed(body: &str) -> Result<String, Refusal> {
    let patch: Value = serde_json::from_str(body).map_err(|_| Refusal::no_json())?;
    let Some([change]) = patch.as_array().map(Vec::as_slice) else { return Err(Refusal::not_supported("/1")) };
    let text = |name: &str| change[name].as_str().unwrap_or_default();
    if (text("op"), text("path")) != ("replace", "/purchase_units/@reference_id=='default'/custom_id") {
        return Err(Refusal::not_supported("/0/path"));
    }
    if !(1..=255).contains(&text("value").len()) {
        return Err(Refusal::syntax("/0/value"));
    }
    Ok(text("value").to_owned())
}

fn create(body: &Body) -> Result<Create, Refusal> {
    body.only(&["intent", "purchase_units", "payment_source", "application_context"])?;
    let intent = match body.text("intent", 255)?.as_deref() {
        Some("CAPTURE") => Intent::Capture,
        Some("AUTHORIZE") => Intent::Authorize,
        Some(_) => return Err(Refusal::syntax("/intent")),
        None => return Err(Refusal::missing("/intent")),
    };
    let unit = match body.value["purchase_units"].as_array().map(Vec::as_slice) {
        Some([unit]) => Body { value: unit.clone(), path: "/purchase_units/0".to_owned() },
        Some([_, _, ..]) => return Err(Refusal::not_supported("/purchase_units/1")),
        Some([]) | None => return Err(Refusal::missing("/purchase_units")),
    };
    unit.only(&["reference_id", "amount", "custom_id", "invoice_id", "description", "soft_descriptor"])?;
    for (name, longest) in [("reference_id", 256), ("custom_id", 255), ("invoice_id", 127), ("description", 127)] {
        unit.text(name, longest)?;
    }
    let amount = unit.amount()?.ok_or_else(|| Refusal::missing("/purchase_units/0/amount"))?;
    let source = body.inner("payment_source");
    source.only(&["paypal"])?;
    let paypal = source.inner("paypal");
    paypal.only(&["experience_context", "email_address"])?;
    let experience =
        if paypal.value.is_null() { body.inner("application_context") } else { paypal.inner("experience_context") };
    experience.only(&[
        "brand_name",
        "cancel_url",
        "landing_page",
        "locale",
        "payment_method_preference",
        "return_url",
        "shipping_preference",
        "user_action",
    ])?;
    Ok(Create {
        intent,
        amount,
        return_url: experience.url("return_url")?,
        cancel_url: experience.url("cancel_url")?,
        unit: unit.value,
        source: Some(source.value).filter(|source| source["paypal"].is_object()),
    })
}

/// An object of JSON, and where it stands.
struct Body {
    value: Value,
    path: String,
}

impl Body {
    /// Nothing is an empty object.
    fn read(text: &str) -> Result<Self, Refusal> {
        let text = if text.trim().is_empty() { "{}" } else { text };
        let value = serde_json::from_str(text).ok().filter(Value::is_object).ok_or_else(Refusal::no_json)?;
        Ok(Self { value, path: String::new() })
    }

    fn inner(&self, name: &str) -> Self {
        Self { value: self.value[name].clone(), path: format!("{}/{name}", self.path) }
    }

    /// Refuses fields that are not among these.
    fn only(&self, names: &[&str]) -> Result<(), Refusal> {
        let fields = self.value.as_object().into_iter().flatten();
        match fields.map(|(name, _)| name).find(|name| !names.contains(&name.as_str())) {
            Some(name) => Err(Refusal::not_supported(&format!("{}/{name}", self.path))),
            None => Ok(()),
        }
    }

    fn text(&self, name: &str, longest: usize) -> Result<Option<String>, Refusal> {
        match &self.value[name] {
            Value::Null => Ok(None),
            Value::String(text) if (1..=longest).contains(&text.chars().count()) => Ok(Some(text.clone())),
            _ => Err(Refusal::syntax(&format!("{}/{name}", self.path))),
        }
    }

    fn url(&self, name: &str) -> Result<Option<String>, Refusal> {
        let url = self.text(name, 4_000)?;
        if url.as_deref().is_some_and(|url| !url.starts_with("https://") && !url.starts_with("http://")) {
            return Err(Refusal::syntax(&format!("{}/{name}", self.path)));
        }
        Ok(url)
    }

    fn amount(&self) -> Result<Option<Money>, Refusal> {
        let amount = self.inner("amount");
        amount.only(&["currency_code", "value"])?;
        if amount.value.is_null() { Ok(None) } else { Money::read(&amount.value, &amount.path).map(Some) }
    }
}
