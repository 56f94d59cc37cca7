//! What a request asks for, judged without the account: whatever is refused here never began.

use std::collections::BTreeMap;

use super::error::Refusal;
use super::form::Form;

/// Most objects on one page of a list.
pub const PAGE_MAX: i64 = 100;
/// Objects on a page of a list when nothing is said.
const PAGE: i64 = 10;
/// Largest amount of a payment, in the currency's smallest unit.
pub const AMOUNT_MAX: i64 = 99_999_999;
/// Smallest payments: <https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts>. Others: one.
const AMOUNTS_MIN: [(&str, i64); 5] = [("usd", 50), ("eur", 50), ("gbp", 30), ("jpy", 50), ("chf", 50)];

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// `POST /v1/payment_intents`
    Create(Create),
    /// `GET /v1/payment_intents/{id}`
    Read(String),
    /// `GET /v1/payment_intents`
    ListIntents(Page),
    /// `POST /v1/payment_intents/{id}/confirm`
    Confirm(String, Confirm),
    /// `POST /v1/payment_intents/{id}/capture`, with how much; all of it when nothing is said.
    Capture(String, Option<i64>),
    /// `POST /v1/payment_intents/{id}/cancel`, with the reason.
    Cancel(String, Option<String>),
    /// `POST /v1/refunds`
    Refund(Refund),
    /// `GET /v1/refunds/{id}`
    ReadRefund(String),
    /// `GET /v1/refunds`, of one payment intent or all.
    ListRefunds(Page, Option<String>),
}

/// When money is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// With the confirmation.
    Automatic,
    /// The same to a client; the default since 2024.
    AutomaticAsync,
    /// Later.
    Manual,
}

/// Which payment methods an intent takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Methods {
    /// Cards alone.
    Cards,
    /// Those of the dashboard, some of which send the shopper to a page.
    Any,
    /// Those of the dashboard that do not.
    WithoutRedirects,
}

/// A payment intent to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Create {
    /// In the currency's smallest unit.
    pub amount: i64,
    /// Lower case.
    pub currency: String,
    /// When money is taken.
    pub capture: Capture,
    /// Which payment methods it takes.
    pub methods: Methods,
    /// The caller's own.
    pub metadata: BTreeMap<String, String>,
    /// For people.
    pub description: Option<String>,
    /// The payment method.
    pub method: Option<String>,
    /// Set when it is confirmed at once.
    pub confirm: Option<Confirm>,
}

/// A confirmation.
#[derive(Clone, Debug, PartialEq)]
pub struct Confirm {
    /// Replaces the payment method of the intent.
    pub method: Option<String>,
    /// Where the shopper comes back to.
    pub return_url: Option<String>,
}

/// A refund to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Refund {
    /// Of which payment intent.
    pub intent: Option<String>,
    /// Of which charge, when no payment intent is named.
    pub charge: Option<String>,
    /// How much; all that is left when nothing is said.
    pub amount: Option<i64>,
    /// Why.
    pub reason: Option<String>,
    /// The caller's own.
    pub metadata: BTreeMap<String, String>,
}

/// Which page of a list. Lists show the newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Most objects.
    pub limit: usize,
    /// Those after this object.
    pub after: Option<String>,
    /// Made in this second or later.
    pub from: i64,
    /// Made in this second or before.
    pub to: i64,
}

/// Reads a request, and which parts of its answer are to be written out.
pub fn read(method: &str, path: &str, form: &str) -> Result<(Command, Vec<String>), Refusal> {
    let mut form = Form::read(form);
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let command = match (method, parts.as_slice()) {
        ("POST", ["v1", "payment_intents"]) => Command::Create(create(&mut form)?),
        ("GET", ["v1", "payment_intents"]) => Command::ListIntents(page(&mut form)?),
        ("GET", ["v1", "payment_intents", id]) => Command::Read((*id).to_owned()),
        ("POST", ["v1", "payment_intents", id, "confirm"]) => {
            let confirm = Confirm { method: form.text("payment_method")?, return_url: return_url(&mut form)? };
            Command::Confirm((*id).to_owned(), confirm)
        }
        ("POST", ["v1", "payment_intents", id, "capture"]) => {
            Command::Capture((*id).to_owned(), amount(&mut form, "amount_to_capture")?)
        }
        ("POST", ["v1", "payment_intents", id, "cancel"]) => {
            let reasons = ["duplicate", "fraudulent", "requested_by_customer", "abandoned"].map(|word| (word, word));
            let reason = form.word("cancellation_reason", &reasons)?;
            Command::Cancel((*id).to_owned(), reason.map(str::to_owned))
        }
        ("POST", ["v1", "refunds"]) => Command::Refund(refund(&mut form)?),
        ("GET", ["v1", "refunds"]) => {
            let of = form.text("payment_intent")?;
            Command::ListRefunds(page(&mut form)?, of)
        }
        ("GET", ["v1", "refunds", id]) => Command::ReadRefund((*id).to_owned()),
        _ => return Err(Refusal::no_url(method, path)),
    };
    let expand = form.list("expand");
    form.finish()?;
    if let Some(path) = expand.iter().find(|path| !command.expandable().contains(&path.as_str())) {
        return Err(Refusal::plain("expand", &format!("This property cannot be expanded ({path}).")));
    }
    Ok((command, expand))
}

impl Command {
    fn expandable(&self) -> &'static [&'static str] {
        match self {
            Self::Create(_) | Self::Read(_) | Self::Confirm(..) | Self::Capture(..) | Self::Cancel(..) => {
                &["latest_charge"]
            }
            Self::ListIntents(_) => &["data.latest_charge"],
            Self::Refund(_) | Self::ReadRefund(_) => &["charge", "payment_intent"],
            Self::ListRefunds(..) => &["data.charge", "data.payment_intent"],
        }
    }
}

fn create(form: &mut Form) -> Result<Create, Refusal> {
    let amount = amount(form, "amount")?.ok_or_else(|| missing("amount"))?;
    let currency = form.required("currency")?.to_ascii_lowercase();
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Err(Refusal::plain("currency", &format!("Invalid currency: {currency}")));
    }
    let least = AMOUNTS_MIN.iter().find(|(of, _)| *of == currency).map_or(1, |(_, least)| *least);
    if amount < least {
        return Err(Refusal::param("amount_too_small", "amount", "The amount is below the smallest charge."));
    }
    let method = form.text("payment_method")?;
    let url = return_url(form)?;
    let methods = methods(form)?;
    let is_confirmed = form.flag("confirm")?;
    if url.is_some() && !is_confirmed {
        return Err(Refusal::plain("return_url", "`return_url` can only be used with `confirm=true`."));
    }
    let captures =
        [("automatic", Capture::Automatic), ("automatic_async", Capture::AutomaticAsync), ("manual", Capture::Manual)];
    Ok(Create {
        amount,
        currency,
        capture: form.word("capture_method", &captures)?.unwrap_or(Capture::AutomaticAsync),
        methods,
        metadata: form.metadata()?,
        description: form.text("description")?,
        confirm: is_confirmed.then(|| Confirm { method: method.clone(), return_url: url }),
        method,
    })
}

fn methods(form: &mut Form) -> Result<Methods, Refusal> {
    let types = form.list("payment_method_types");
    let automatic = form.flag("automatic_payment_methods[enabled]")?;
    let redirects = [("always", Methods::Any), ("never", Methods::WithoutRedirects)];
    let automatic_methods = form.word("automatic_payment_methods[allow_redirects]", &redirects)?;
    match (types.as_slice(), automatic) {
        ([], _) => Ok(automatic_methods.unwrap_or(Methods::Any)),
        ([card], false) if card == "card" => Ok(Methods::Cards),
        (_, true) => Err(Refusal::plain("payment_method_types", "You may only specify one of these parameters.")),
        (_, false) => Err(Refusal::plain("payment_method_types", "The simulator knows cards alone.")),
    }
}

fn refund(form: &mut Form) -> Result<Refund, Refusal> {
    let (intent, charge) = (form.text("payment_intent")?, form.text("charge")?);
    if intent.is_none() && charge.is_none() {
        return Err(missing("payment_intent"));
    }
    let reasons = ["duplicate", "fraudulent", "requested_by_customer"].map(|word| (word, word));
    Ok(Refund {
        intent,
        charge,
        amount: amount(form, "amount")?,
        reason: form.word("reason", &reasons)?.map(str::to_owned),
        metadata: form.metadata()?,
    })
}

fn page(form: &mut Form) -> Result<Page, Refusal> {
    let limit = form.integer("limit")?.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Refusal::plain("limit", &format!("The limit must be between 1 and {PAGE_MAX}.")));
    }
    let above = form.integer("created[gt]")?.map(|second| second.saturating_add(1));
    let below = form.integer("created[lt]")?.map(|second| second.saturating_sub(1));
    Ok(Page {
        limit: usize::try_from(limit).expect("it was just checked"),
        after: form.text("starting_after")?,
        from: form.integer("created[gte]")?.or(above).unwrap_or(i64::MIN),
        to: form.integer("created[lte]")?.or(below).unwrap_or(i64::MAX),
    })
}

fn amount(form: &mut Form, name: &str) -> Result<Option<i64>, Refusal> {
    match form.integer(name)? {
        Some(..=0) => Err(Refusal::param("parameter_invalid_integer", name, "This value must be at least 1.")),
        Some(amount) if amount > AMOUNT_MAX => {
            Err(Refusal::param("amount_too_large", name, "The amount is above the largest charge."))
        }
        amount => Ok(amount),
    }
}

fn return_url(form: &mut Form) -> Result<Option<String>, Refusal> {
    let url = form.text("return_url")?;
    if url.as_deref().is_some_and(|url| !url.starts_with("https://") && !url.starts_with("http://")) {
        return Err(Refusal::param("url_invalid", "return_url", "Not a valid URL"));
    }
    Ok(url)
}

fn missing(name: &str) -> Refusal {
    Refusal::param("parameter_missing", name, &format!("Missing required param: {name}."))
}
