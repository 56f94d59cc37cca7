//! How Stripe's answers are read: which effect they tell of, where an object is, and how much of it moved.

use serde::de::DeserializeOwned;
use souk_kit::Money;
use souk_kit::payment_extension::{
    Decline, ProviderAuthorization, ProviderError, ProviderObject, ProviderPayment, ProviderState,
};
use souk_kit::types::{Id, Instant};

use crate::amount::{from_stripe, to_stripe};
use crate::wire::{
    COMMAND, Charge, ChargeField, Failed, Intent, NextAction, ORDER, PAYMENT, Refund, RefundStatus, Request, Status,
    Trouble, create,
};

/// How old a call may be when it is repeated under its key: Stripe keeps keys for 24 hours at least, and an hour is
/// left for clocks and for requests on their way. What is older is only asked about.
pub const KEY_AGE_MAX_MS: i64 = 23 * 3_600_000;
/// Keys that one call may use: its own and, after failures that Stripe keeps and repeats, those derived from it. The
/// last is for a call that is 17 hours old; soon after that the first is forgotten.
pub const KEYS_MAX: u32 = 13;
/// How old a call must be for its second key, so that a late effect shows before it is made again; twice as old for
/// each other one. A call that Stripe would let succeed has a new key before it is twice as old.
pub const KEY_WAIT_MS: i64 = 30_000;
/// How far Stripe's clock and ours may differ when an object is looked for by when it was made.
pub const SKEW_SECONDS: i64 = 60;
/// When the first call for an intent has surely ended.
pub const FIRST_CALL_SECONDS: i64 = 120;

const ID_BYTES_MAX: usize = 200;
const MESSAGE_CHARS_MAX: usize = 300;

/// An HTTP response, as far as it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Whether Stripe repeats the first answer to this key: `idempotent-replayed: true`.
    pub replayed: bool,
    /// The body.
    pub body: Vec<u8>,
}

/// Why a request did not do what it asked for.
#[derive(Clone, Debug)]
pub enum Failure {
    /// There is no such object.
    Missing,
    /// Refused for good, with the payment intent as it was left when Stripe tells.
    Refused(Decline, Option<Box<Intent>>),
    /// Stripe did not begin to do it; the same request may succeed later.
    NotDone(String),
    /// The effect is not known.
    Unknown(String),
    /// It failed within Stripe, and is over: the same key gives this answer for as long as it is kept.
    Stuck(String),
}

/// Whether a token has the form of a payment method's id; only such are put into a request.
pub fn is_token(token: &str) -> bool {
    is_id("pm_", token)
}

/// Whether a text has the form of a payment intent's id; only such are put into a path.
pub fn is_reference(reference: &str) -> bool {
    is_id("pi_", reference)
}

fn is_id(prefix: &str, text: &str) -> bool {
    text.len() <= ID_BYTES_MAX
        && text.strip_prefix(prefix).is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        })
}

/// What is sent for an authorization, or why it cannot be asked of Stripe.
pub fn open(asked: &ProviderAuthorization) -> Result<Request, Decline> {
    if !is_token(&asked.token) {
        return Err(decline("invalid_token", "This is not a payment method of Stripe."));
    }
    Ok(create(asked, amount(&asked.amount)?))
}

/// An amount as Stripe counts, or why it cannot be asked for.
pub fn amount(money: &Money) -> Result<i64, Decline> {
    to_stripe(money).ok_or_else(|| rejected("Stripe does not move this amount of this currency to the unit."))
}

/// The key of the nth attempt, from one: it derives from the first, so that whoever gets this far uses the same.
pub fn key(first: &str, attempt: u32) -> String {
    if attempt == 1 { first.to_owned() } else { format!("{first}-{attempt}") }
}

/// Whether the nth attempt may be made, from one.
pub fn may_attempt(attempt: u32, asked_at: Instant, now: Instant) -> bool {
    match attempt {
        1 => true,
        2..=KEYS_MAX => now.saturating_sub(asked_at) >= KEY_WAIT_MS << (attempt - 2),
        _ => false,
    }
}

/// Whether Stripe may have forgotten the key.
pub fn is_too_late(asked_at: Instant, now: Instant) -> bool {
    now.saturating_sub(asked_at) >= KEY_AGE_MAX_MS
}

/// The seconds since 1970 between which an object was made whose answer was never heard: the first call first, then
/// whatever was repeated.
pub fn made_between(object: &ProviderObject, now: Instant) -> Vec<(i64, i64)> {
    let asked = object.asked_at.div_euclid(1_000);
    let last = (object.asked_at.saturating_add(KEY_AGE_MAX_MS)).min(now).div_euclid(1_000) + SKEW_SECONDS;
    let first_call = asked + FIRST_CALL_SECONDS + SKEW_SECONDS;
    let ranges = [(asked - SKEW_SECONDS, first_call.min(last)), (first_call + 1, last)];
    ranges.into_iter().filter(|(from, to)| from <= to).collect()
}

/// Reads an answer: the object, or which effect it had instead.
pub fn hear<T: DeserializeOwned>(reply: &Reply) -> Result<T, Failure> {
    let trouble = || serde_json::from_slice::<Failed>(&reply.body).ok().map(|failed| failed.error);
    let status = reply.status;
    match (status, trouble()) {
        (200..=299, _) => serde_json::from_slice(&reply.body)
            .map_err(|error| Failure::Unknown(format!("the answer is not understood: {error}"))),
        (400 | 402 | 404, Some(trouble)) => Err(hear_trouble(trouble)),
        (401 | 403 | 429, trouble) => Err(Failure::NotDone(describe(status, trouble.as_ref()))),
        (500..=599, trouble) if reply.replayed => Err(Failure::Stuck(describe(status, trouble.as_ref()))),
        // 409: a request with this key is being worked on. 400, 402 and 404 without Stripe's body: somebody in between.
        (_, trouble) => Err(Failure::Unknown(describe(status, trouble.as_ref()))),
    }
}

fn hear_trouble(trouble: Trouble) -> Failure {
    let missing = trouble.code.as_deref() == Some("resource_missing");
    if missing && trouble.param.as_deref() != Some("payment_method") {
        return Failure::Missing;
    }
    // The key was used for something else. What that did is not told, so it is no refusal.
    if trouble.kind == "idempotency_error" {
        return Failure::Unknown(describe(400, Some(&trouble)));
    }
    Failure::Refused(why(&trouble), trouble.payment_intent)
}

fn describe(status: u16, trouble: Option<&Trouble>) -> String {
    let message = trouble.and_then(|trouble| trouble.message.as_deref()).unwrap_or_default();
    format!("Stripe answered {status}: {}", shorten(message))
}

/// Stripe's reason in ours. What the bank says is for the shopper; everything else is for whoever runs the shop.
fn why(trouble: &Trouble) -> Decline {
    let code = trouble.code.as_deref().unwrap_or_default();
    let ours = match (code, trouble.decline_code.as_deref().unwrap_or_default()) {
        ("insufficient_funds", _) | (_, "insufficient_funds") => "insufficient_funds",
        ("expired_card", _) | (_, "expired_card") => "expired_card",
        ("payment_intent_authentication_failure" | "authentication_required", _) | (_, "authentication_required") => {
            "action_failed"
        }
        ("resource_missing" | "payment_method_not_available" | "payment_method_invalid_parameter", _) => {
            "invalid_token"
        }
        _ if trouble.kind == "card_error" => "card_declined",
        _ => "rejected",
    };
    match (&trouble.message, trouble.kind.as_str()) {
        (Some(message), "card_error") => decline(ours, &shorten(message)),
        _ if ours == "action_failed" => decline(ours, "The payment was not approved."),
        _ if code.is_empty() => decline(ours, "Stripe refused this."),
        _ => decline(ours, &format!("Stripe refused this: {}.", shorten(code))),
    }
}

fn shorten(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MESSAGE_CHARS_MAX).collect()
}

/// What a caller is told of a failure.
pub fn tell(failure: Failure) -> ProviderError {
    match failure {
        Failure::Missing => ProviderError::NotFound,
        Failure::Refused(why, _) => ProviderError::Refused(why),
        Failure::NotDone(why) => ProviderError::NotSent(why),
        Failure::Unknown(why) | Failure::Stuck(why) => ProviderError::Unknown(why),
    }
}

/// What a caller is told of a failure after something was sent whose effect is not known.
pub fn tell_after_write(failure: Failure) -> ProviderError {
    match failure {
        Failure::Missing => ProviderError::Unknown("the object was not found when it was read again".to_owned()),
        Failure::Refused(why, _) => ProviderError::Unknown(why.message),
        Failure::NotDone(why) | Failure::Unknown(why) | Failure::Stuck(why) => ProviderError::Unknown(why),
    }
}

impl Intent {
    /// Whether it was made for a payment, in the mode that our key is of.
    pub fn is_for(&self, key: &Id, livemode: bool) -> Result<(), Failure> {
        let wrong = |why: &str| Err(Failure::Unknown(format!("{} {why}", shorten(&self.id))));
        if !is_reference(&self.id) {
            return wrong("is not the id of a payment intent");
        }
        if self.livemode != livemode {
            return wrong("is of the other mode: test or live");
        }
        if self.metadata.get(PAYMENT) != Some(key) {
            return wrong("was not made for this payment");
        }
        Ok(())
    }

    /// The charge, when something may have been given back of it: then its refunds tell how much.
    pub fn refunded_charge(&self) -> Result<Option<&Charge>, Failure> {
        match &self.latest_charge {
            _ if self.amount_received == 0 => Ok(None),
            Some(ChargeField::Charge(charge)) => Ok(Some(charge).filter(|charge| charge.amount_refunded > 0)),
            Some(ChargeField::Id(_)) | None => {
                Err(Failure::Unknown("the payment intent came without its charge".to_owned()))
            }
        }
    }

    /// How far along it is, where a key has made two.
    pub fn rank(&self) -> u8 {
        match self.status {
            Status::Canceled => 0,
            Status::RequiresPaymentMethod | Status::RequiresConfirmation | Status::Other => 1,
            Status::RequiresAction => 2,
            Status::Processing => 3,
            Status::RequiresCapture => 4,
            Status::Succeeded => 5,
        }
    }

    /// What the caller is told. `refunded` is as Stripe counts.
    pub fn view(self, refunded: i64) -> Result<ProviderPayment, Failure> {
        let currency = self.currency.to_ascii_uppercase();
        let ours = |amount: i64| {
            from_stripe(amount, &currency)
                .ok_or_else(|| Failure::Unknown(format!("{amount} {currency} is no amount of this currency")))
        };
        let (amount, captured, refunded) = (ours(self.amount)?, ours(self.amount_received)?, ours(refunded)?);
        Ok(ProviderPayment {
            held_until: self.held_until(),
            order_id: self.metadata.get(ORDER).cloned().unwrap_or_default(),
            amount: Money::new(amount, &currency),
            state: state(self.status, self.next_action, self.last_payment_error.as_ref())?,
            captured,
            refunded,
            reference: self.id,
        })
    }

    /// Until when Stripe holds what is not taken: <https://docs.stripe.com/payments/place-a-hold-on-a-payment-method>.
    fn held_until(&self) -> Option<Instant> {
        let Some(ChargeField::Charge(charge)) = &self.latest_charge else { return None };
        let card = charge.payment_method_details.as_ref()?.card.as_ref()?;
        let seconds = card.capture_before.filter(|_| self.status == Status::RequiresCapture)?;
        seconds.checked_mul(1_000)
    }
}

fn state(
    status: Status,
    next_action: Option<NextAction>,
    last_error: Option<&Trouble>,
) -> Result<ProviderState, Failure> {
    match status {
        Status::Succeeded | Status::RequiresCapture => Ok(ProviderState::Authorized),
        Status::Canceled => Ok(ProviderState::Voided),
        // It is confirmed with the call that makes it, so this lasts a moment.
        Status::Processing | Status::RequiresConfirmation => Ok(ProviderState::Processing),
        Status::RequiresAction => match next_action.and_then(|action| action.redirect_to_url) {
            Some(redirect) => Ok(ProviderState::RequiresAction(redirect.url)),
            None => Err(Failure::Unknown("Stripe asks for an action that is not a page".to_owned())),
        },
        Status::RequiresPaymentMethod => Ok(ProviderState::Declined(
            last_error.map_or_else(|| decline("action_failed", "The payment was not completed."), why),
        )),
        Status::Other => Err(Failure::Unknown("Stripe tells of a state that is not known here".to_owned())),
    }
}

impl Refund {
    /// Whether a command of ours made it.
    pub fn is_of(&self, command_id: &Id) -> bool {
        self.metadata.as_ref().is_some_and(|metadata| metadata.get(COMMAND) == Some(command_id))
    }

    /// Whether it is what was asked for.
    pub fn is_what(&self, reference: &str, amount: i64, currency: &str) -> Result<(), Failure> {
        let same = self.payment_intent.as_deref() == Some(reference)
            && self.amount == amount
            && self.currency.eq_ignore_ascii_case(currency);
        if same { Ok(()) } else { Err(Failure::Unknown(format!("{} is not what was asked for", shorten(&self.id)))) }
    }

    /// Whether the money is the shopper's, or on its way. One that failed gave it back to us.
    pub fn stands(&self) -> bool {
        match self.status {
            Some(RefundStatus::Failed | RefundStatus::Canceled) => false,
            Some(
                RefundStatus::Pending | RefundStatus::RequiresAction | RefundStatus::Succeeded | RefundStatus::Other,
            )
            | None => true,
        }
    }

    /// Whether it only says that a rest was let go: a capture of less than was held leaves such a refund. It moves no
    /// balance, and nobody asked for it.
    fn is_release(&self, charge: &Charge) -> bool {
        charge.amount.checked_sub(charge.amount_captured) == Some(self.amount)
            && self.balance_transaction.is_none()
            && !self.metadata.as_ref().is_some_and(|metadata| metadata.contains_key(COMMAND))
    }
}

/// Given back of a charge, as Stripe counts: its refunds that stand, without the rest that was never taken.
///
/// The total in the charge would not do: it counts that rest, and there is no saying whether it does in any version.
pub fn refunded(charge: &Charge, refunds: &[Refund]) -> Result<i64, Failure> {
    let release = refunds.iter().position(|refund| refund.is_release(charge));
    refunds
        .iter()
        .enumerate()
        .filter(|(place, refund)| Some(*place) != release && refund.stands())
        .try_fold(0_i64, |sum, (_, refund)| sum.checked_add(refund.amount))
        .ok_or_else(|| Failure::Unknown("the refunds are more than can be counted".to_owned()))
}

/// A refund that Stripe took and that did not arrive.
pub fn refund_failed() -> Decline {
    rejected("The refund did not arrive, and Stripe gave the money back.")
}

/// Something that the call names is not at Stripe, and nothing was made.
pub fn nothing_made() -> Decline {
    rejected("Stripe refused this: resource_missing.")
}

/// Nothing was done with a call, and its key is too old for it to be made now.
pub fn too_late() -> Decline {
    rejected("Stripe was not reached in time, and nothing happened.")
}

fn rejected(message: &str) -> Decline {
    decline("rejected", message)
}

fn decline(code: &str, message: &str) -> Decline {
    Decline { code: code.to_owned(), message: message.to_owned() }
}
