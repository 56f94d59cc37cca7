//! How PayPal's answers are read: which effect they tell of, where an order is, and how much of it moved.

use serde::de::DeserializeOwned;
use souk_kit::Money;
use souk_kit::payment_extension::{Decline, ProviderAuthorization, ProviderError, ProviderPayment, ProviderState};
use souk_kit::types::{Id, Instant};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::amount::{from_paypal, to_paypal};
use crate::wire::{
    Amount, Authorization, AuthorizationStatus, Capture, CaptureStatus, Order, OrderStatus, Refund, RefundStatus,
    Request, Trouble, Unit, create,
};

/// The token of every payment: PayPal asks the shopper itself.
pub const TOKEN: &str = "paypal";
/// How old an order may be when it is made again under its key: PayPal keeps keys of orders for 6 hours, and an hour is
/// left for clocks and for requests on their way.
pub const KEY_AGE_MAX_MS: i64 = 5 * 3_600_000;
/// How long PayPal vouches for what is held: the honor period, three days of the 29 that an authorization lives.
/// Source: <https://developer.paypal.com/docs/checkout/standard/customize/authorization/>.
pub const HONOR_MS: i64 = 3 * 24 * 3_600_000;

const ID_BYTES_MAX: usize = 64;
const MESSAGE_CHARS_MAX: usize = 300;

/// Why a request did not do what it asked for.
#[derive(Clone, Debug)]
pub enum Failure {
    /// There is no such object.
    Missing,
    /// Refused for good.
    Refused(Decline),
    /// PayPal did not begin to do it; the same request may succeed later.
    NotDone(String),
    /// The effect is not known.
    Unknown(String),
}

impl Failure {
    /// In one line.
    pub fn describe(self) -> String {
        match self {
            Self::Missing => "there is no such object".to_owned(),
            Self::Refused(why) => why.message,
            Self::NotDone(why) | Self::Unknown(why) => why,
        }
    }
}

/// That an order is not to be paid any more, at the end of its `custom_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// We let it go.
    Voided,
    /// What the shopper chose to pay with was refused.
    Declined,
}

impl Mark {
    const ALL: [Self; 2] = [Self::Voided, Self::Declined];

    fn word(self) -> &'static str {
        match self {
            Self::Voided => " voided",
            Self::Declined => " declined",
        }
    }

    /// The `custom_id` of a marked order of ours.
    pub fn on(self, order_id: &str) -> String {
        format!("{order_id}{}", self.word())
    }
}

/// Whether a text has the form of an id of PayPal; only such are put into a path.
pub fn is_reference(reference: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&reference.len()) && reference.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// What is sent for an authorization, or why it cannot be asked of PayPal.
pub fn open(asked: &ProviderAuthorization) -> Result<Request, Decline> {
    if asked.token != TOKEN {
        return Err(decline("invalid_token", "This is not a payment with PayPal."));
    }
    Ok(create(asked, &amount(&asked.amount)?.value))
}

/// An amount as PayPal writes it, or why it cannot be asked for.
pub fn amount(money: &Money) -> Result<Amount, Decline> {
    let value = to_paypal(money).ok_or_else(|| rejected("PayPal does not move this amount of this currency."))?;
    Ok(Amount { currency_code: money.currency.clone(), value })
}

/// Whether PayPal may have forgotten the key of an order.
pub fn is_too_late(asked_at: Instant, now: Instant) -> bool {
    now.saturating_sub(asked_at) >= KEY_AGE_MAX_MS
}

/// Reads an answer: the object, or which effect it had instead.
pub fn hear<T: DeserializeOwned>(status: u16, body: &[u8]) -> Result<T, Failure> {
    let trouble = || serde_json::from_slice::<Trouble>(body).ok().filter(|trouble| !trouble.name.is_empty());
    match (status, trouble()) {
        (200..=299, _) => serde_json::from_slice(body)
            .map_err(|error| Failure::Unknown(format!("the answer is not understood: {error}"))),
        (404, Some(_)) => Err(Failure::Missing),
        (400 | 422, Some(trouble)) => Err(Failure::Refused(why(&trouble))),
        (401 | 403 | 429, trouble) => Err(Failure::NotDone(describe(status, trouble.as_ref()))),
        // 409: a request with this key is being worked on. 400, 404 and 422 without PayPal's body: somebody in between.
        (_, trouble) => Err(Failure::Unknown(describe(status, trouble.as_ref()))),
    }
}

fn issue(trouble: &Trouble) -> &str {
    trouble.details.first().map_or(trouble.name.as_str(), |detail| detail.issue.as_str())
}

fn describe(status: u16, trouble: Option<&Trouble>) -> String {
    format!("PayPal answered {status}: {}", shorten(trouble.map_or("", |trouble| trouble.message.as_str())))
}

/// PayPal's reason in ours: <https://developer.paypal.com/api/rest/reference/orders/v2/errors/>.
fn why(trouble: &Trouble) -> Decline {
    let issue = issue(trouble);
    match issue {
        "INSTRUMENT_DECLINED" | "TRANSACTION_REFUSED" | "PAYER_CANNOT_PAY" => {
            decline("card_declined", "PayPal could not charge what you chose to pay with.")
        }
        "PAYER_ACTION_REQUIRED" | "ORDER_NOT_APPROVED" => decline("action_failed", "The payment was not approved."),
        _ => rejected(&format!("PayPal refused this: {}.", shorten(issue))),
    }
}

fn shorten(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MESSAGE_CHARS_MAX).collect()
}

/// What a caller is told of a failure.
pub fn tell(failure: Failure) -> ProviderError {
    match failure {
        Failure::Missing => ProviderError::NotFound,
        Failure::Refused(why) => ProviderError::Refused(why),
        Failure::NotDone(why) => ProviderError::NotSent(why),
        Failure::Unknown(why) => ProviderError::Unknown(why),
    }
}

/// What a caller is told of a failure after something was sent whose effect is not known.
pub fn tell_after_write(failure: Failure) -> ProviderError {
    ProviderError::Unknown(failure.describe())
}

impl Order {
    /// Its purchase unit, when it was made for a payment.
    pub fn unit(&self, key: &Id) -> Result<&Unit, Failure> {
        match self.purchase_units.as_slice() {
            _ if !is_reference(&self.id) => Err(Failure::Unknown("PayPal told of no order".to_owned())),
            [unit] if unit.invoice_id == *key => Ok(unit),
            _ => Err(Failure::Unknown(format!("{} was not made for this payment", self.id))),
        }
    }

    /// Whether the shopper agreed, and nothing moved and nothing was let go since.
    pub fn is_to_be_taken(&self, key: &Id) -> Result<bool, Failure> {
        let unit = self.unit(key)?;
        Ok(self.status == OrderStatus::Approved && unit.mark().is_none() && unit.payments.is_empty())
    }

    /// What the caller is told.
    pub fn view(&self, key: &Id) -> Result<ProviderPayment, Failure> {
        let unit = self.unit(key)?;
        let state = self.state(unit)?;
        let held = unit.payments.held().filter(|_| state == ProviderState::Authorized && !unit.payments.is_taken());
        Ok(ProviderPayment {
            reference: self.id.clone(),
            order_id: unit.order_id().to_owned(),
            amount: unit.amount.read()?,
            captured: unit.payments.captured()?,
            refunded: unit.payments.refunded()?,
            held_until: held.and_then(Authorization::honored_until),
            state,
        })
    }

    fn state(&self, unit: &Unit) -> Result<ProviderState, Failure> {
        let payments = &unit.payments;
        let is = |status| payments.captures.iter().any(|capture| capture.status == status);
        if is(CaptureStatus::Completed) {
            return Ok(ProviderState::Authorized);
        }
        match (payments.authorizations.last().map(|held| held.status), self.status) {
            (
                Some(
                    AuthorizationStatus::Created
                    | AuthorizationStatus::PartiallyCaptured
                    | AuthorizationStatus::Captured,
                ),
                _,
            ) => Ok(ProviderState::Authorized),
            (Some(AuthorizationStatus::Pending), _) => Ok(ProviderState::Processing),
            (Some(AuthorizationStatus::Denied), _) => Ok(ProviderState::Declined(not_paid())),
            (Some(AuthorizationStatus::Voided), _) => Ok(ProviderState::Voided),
            (Some(AuthorizationStatus::Other), _) => Err(unheard_of()),
            (None, _) if is(CaptureStatus::Pending) => Ok(ProviderState::Processing),
            (None, _) if is(CaptureStatus::Declined) => Ok(ProviderState::Declined(not_paid())),
            (None, OrderStatus::Voided) => Ok(ProviderState::Voided),
            (None, OrderStatus::Completed | OrderStatus::Other) => Err(unheard_of()),
            (None, _) if unit.mark() == Some(Mark::Voided) => Ok(ProviderState::Voided),
            (None, _) if unit.mark() == Some(Mark::Declined) => Ok(ProviderState::Declined(not_paid())),
            // Approved, and the answer to its taking is awaited.
            (None, OrderStatus::Approved) => Ok(ProviderState::Processing),
            (None, OrderStatus::Created | OrderStatus::Saved | OrderStatus::PayerActionRequired) => self
                .page()
                .map(|page| ProviderState::RequiresAction(page.to_owned()))
                .ok_or_else(|| Failure::Unknown("the order came without PayPal's page".to_owned())),
        }
    }

    /// Where the shopper approves it.
    fn page(&self) -> Option<&str> {
        let link = |rel: &str| self.links.iter().find(|link| link.rel == rel);
        link("payer-action").or_else(|| link("approve")).map(|link| link.href.as_str())
    }
}

impl Unit {
    /// Our order.
    pub fn order_id(&self) -> &str {
        let unmarked = |mark: Mark| self.custom_id.strip_suffix(mark.word());
        Mark::ALL.into_iter().find_map(unmarked).unwrap_or(&self.custom_id)
    }

    /// Whether it is not to be paid any more.
    pub fn mark(&self) -> Option<Mark> {
        Mark::ALL.into_iter().find(|mark| self.custom_id.ends_with(mark.word()))
    }
}

impl Amount {
    /// In our minor units.
    pub fn read(&self) -> Result<Money, Failure> {
        let Self { value, currency_code: currency } = self;
        let minor = from_paypal(value, currency);
        let minor = minor.ok_or_else(|| Failure::Unknown(format!("{} is no amount", shorten(value))))?;
        Ok(Money::new(minor, currency))
    }
}

impl crate::wire::Payments {
    fn is_empty(&self) -> bool {
        self.authorizations.is_empty() && self.captures.is_empty()
    }

    /// What is held and may be taken.
    pub fn held(&self) -> Option<&Authorization> {
        self.authorizations.iter().rev().find(|held| held.status == AuthorizationStatus::Created)
    }

    /// Whether something was taken, or is being taken.
    pub fn is_taken(&self) -> bool {
        self.captures.iter().any(|capture| capture.status != CaptureStatus::Declined)
    }

    /// The capture that a command made.
    pub fn of_capture(&self, command: &Id) -> Option<&Capture> {
        self.captures.iter().find(|capture| capture.invoice_id == *command)
    }

    /// The refund that a command made.
    pub fn of_refund(&self, command: &Id) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.custom_id == *command)
    }

    fn captured(&self) -> Result<i64, Failure> {
        let there = self.captures.iter().filter(|capture| capture.status == CaptureStatus::Completed);
        sum(there.map(|capture| &capture.amount))
    }

    fn refunded(&self) -> Result<i64, Failure> {
        sum(self.refunds.iter().filter(|refund| refund.status != RefundStatus::Failed).map(|refund| &refund.amount))
    }
}

fn sum<'a>(amounts: impl Iterator<Item = &'a Amount>) -> Result<i64, Failure> {
    let mut sum = 0_i64;
    for amount in amounts {
        sum = sum
            .checked_add(amount.read()?.minor)
            .ok_or_else(|| Failure::Unknown("the amounts are more than can be counted".to_owned()))?;
    }
    Ok(sum)
}

impl Authorization {
    /// Until when PayPal vouches for it.
    fn honored_until(&self) -> Option<Instant> {
        instant(&self.create_time)?.checked_add(HONOR_MS)
    }
}

/// Milliseconds since 1970 of a time as RFC 3339 writes it.
pub fn instant(text: &str) -> Option<Instant> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}

fn unheard_of() -> Failure {
    Failure::Unknown("PayPal tells of a state that is not known here".to_owned())
}

fn not_paid() -> Decline {
    decline("card_declined", "PayPal could not charge what you chose to pay with.")
}

/// An authorization whose key PayPal may have forgotten, and whose answer was never heard.
pub fn too_late() -> Decline {
    rejected("The order is too old to be made at PayPal, and nothing was paid.")
}

/// A void that finds the money taken.
pub fn taken() -> Decline {
    rejected("The money is taken: it can be given back.")
}

/// A capture that finds nothing held.
pub fn not_held() -> Decline {
    rejected("PayPal holds nothing of this.")
}

/// A refund that PayPal took and that did not arrive.
pub fn refund_failed() -> Decline {
    rejected("The refund did not arrive.")
}

/// Whether PayPal said that what the shopper chose was refused: it would let them choose again.
pub fn is_declined(why: &Decline) -> bool {
    why.code == "card_declined"
}

fn rejected(message: &str) -> Decline {
    decline("rejected", message)
}

fn decline(code: &str, message: &str) -> Decline {
    Decline { code: code.to_owned(), message: message.to_owned() }
}
