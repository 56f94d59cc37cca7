//! Objects of the provider, what each token makes of them, and what may be done to them.

use souk_kit::ids;
use souk_kit::payment_extension::{CapturePolicy, Decline, ProviderAuthorization, ProviderPayment, ProviderState};
use souk_kit::types::{Id, Instant, Money};

/// How long a delayed decision takes.
pub const DELAY_MS: i64 = 2_000;

/// How long it says that it holds what is not taken: as long as cards mostly are. It never lets go by itself.
pub const HOLD_MS: i64 = 7 * 86_400_000;

/// Where the page of an object lives, without its reference.
pub const PAGE: &str = "/dev/test-payments";

const URL_BYTES_MAX: usize = 2_000;

/// What a token makes of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Authorized at once.
    Success,
    /// Declined at once, with a code and words for the shopper.
    Declined(&'static str, &'static str),
    /// The shopper decides on our page.
    Action,
    /// Authorized; the answer is lost.
    TimeoutAfter,
    /// The first call is lost on its way here.
    TimeoutBefore,
    /// Authorized later.
    Delayed,
    /// Declined later.
    DelayedDeclined,
    /// Authorized later; whoever does not hear a webhook learns it by asking.
    Unheard,
    /// Authorized; captures are refused.
    CaptureRefused,
    /// Authorized; refunds are refused.
    RefundRefused,
    /// Authorized; the first answer to a refund is lost.
    RefundTimeout,
}

/// A token and what it does.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    /// What is given for a means of payment.
    pub name: &'static str,
    /// What it does, for a person.
    pub meaning: &'static str,
    /// What it does.
    pub scenario: Scenario,
}

const fn token(name: &'static str, meaning: &'static str, scenario: Scenario) -> Token {
    Token { name, meaning, scenario }
}

/// Every token.
pub const TOKENS: [Token; 13] = [
    token("tok_success", "Authorized.", Scenario::Success),
    token("tok_declined", "Declined by the bank.", Scenario::Declined("card_declined", "The card was declined.")),
    token(
        "tok_insufficient_funds",
        "Declined: not enough money.",
        Scenario::Declined("insufficient_funds", "There is not enough money on the card."),
    ),
    token(
        "tok_expired",
        "Declined: the card has expired.",
        Scenario::Declined("expired_card", "The card has expired."),
    ),
    token("tok_action", "You approve or decline on a page.", Scenario::Action),
    token("tok_timeout_after", "Authorized, but the answer is lost.", Scenario::TimeoutAfter),
    token("tok_timeout_before", "The first call is lost on its way; the next is authorized.", Scenario::TimeoutBefore),
    token("tok_delayed", "Authorized two seconds later.", Scenario::Delayed),
    token("tok_delayed_declined", "Declined two seconds later.", Scenario::DelayedDeclined),
    token("tok_unheard", "Authorized two seconds later, and nothing but a webhook says so.", Scenario::Unheard),
    token("tok_capture_refused", "Authorized; every capture is refused.", Scenario::CaptureRefused),
    token("tok_refund_refused", "Authorized; every refund is refused.", Scenario::RefundRefused),
    token("tok_refund_timeout", "Authorized; a refund's first answer is lost.", Scenario::RefundTimeout),
];

/// What a token does; one that is not ours is declined.
pub fn scenario(token: &str) -> Scenario {
    TOKENS
        .iter()
        .find(|known| known.name == token)
        .map_or(Scenario::Declined("invalid_token", "This is not a token of the test provider."), |known| {
            known.scenario
        })
}

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// To be decided at `ready-at`.
    Processing,
    /// The shopper decides.
    RequiresAction,
    /// Held or taken.
    Authorized,
    /// Refused.
    Declined(Decline),
    /// Let go.
    Voided,
}

/// The provider's object for one payment. Invariant: `refunded <= captured <= amount`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The payment's id.
    pub key: Id,
    /// Our name for it, and the address of its page.
    pub reference: String,
    /// The order it is for.
    pub order_id: Id,
    /// How much.
    pub amount: Money,
    /// What it was paid with.
    pub token: String,
    /// Where the shopper goes after the page.
    pub return_url: String,
    /// Whether money is taken at once.
    pub capture: CapturePolicy,
    /// Where it is.
    pub state: State,
    /// When a delayed decision falls.
    pub ready_at: Option<Instant>,
    /// Taken.
    pub captured: i64,
    /// Given back.
    pub refunded: i64,
    /// When it was made.
    pub created_at: Instant,
    /// Raised by every write.
    pub version: u64,
}

/// What may be asked of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Take what is held.
    Capture,
    /// Let go of it.
    Void,
    /// Give back what was taken.
    Refund,
}

/// What the shopper chose on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Pay.
    Approve,
    /// Do not.
    Decline,
}

/// Makes the object that an authorization asks for, or says why it may not be made.
pub fn open(asked: &ProviderAuthorization, now: Instant) -> Result<Object, Decline> {
    if asked.amount.minor <= 0 {
        return Err(rejected("An amount is above zero."));
    }
    if !is_web_address(&asked.return_url) {
        return Err(rejected("The return address is a path of this shop or a web address."));
    }
    let mut object = Object {
        key: asked.key.clone(),
        reference: ids::derive("tpr", &[&asked.key, &asked.order_id, "test-payments"]),
        order_id: asked.order_id.clone(),
        amount: asked.amount.clone(),
        token: asked.token.clone(),
        return_url: asked.return_url.clone(),
        capture: asked.capture,
        state: State::Processing,
        ready_at: None,
        captured: 0,
        refunded: 0,
        created_at: now,
        version: 1,
    };
    match scenario(&asked.token) {
        Scenario::Success
        | Scenario::TimeoutAfter
        | Scenario::TimeoutBefore
        | Scenario::CaptureRefused
        | Scenario::RefundRefused
        | Scenario::RefundTimeout => object.authorize(),
        Scenario::Declined(code, message) => object.state = State::Declined(decline(code, message)),
        Scenario::Action => object.state = State::RequiresAction,
        Scenario::Delayed | Scenario::DelayedDeclined | Scenario::Unheard => object.ready_at = Some(now + DELAY_MS),
    }
    Ok(object)
}

impl Object {
    /// The object as it is now: a delayed decision falls by itself.
    #[must_use]
    pub fn at(mut self, now: Instant) -> Self {
        if self.state == State::Processing && self.ready_at.is_some_and(|ready_at| ready_at <= now) {
            match scenario(&self.token) {
                Scenario::DelayedDeclined => {
                    self.state = State::Declined(decline("card_declined", "The card was declined."));
                }
                Scenario::Success
                | Scenario::Declined(_, _)
                | Scenario::Action
                | Scenario::TimeoutAfter
                | Scenario::TimeoutBefore
                | Scenario::Delayed
                | Scenario::Unheard
                | Scenario::CaptureRefused
                | Scenario::RefundRefused
                | Scenario::RefundTimeout => self.authorize(),
            }
        }
        self
    }

    fn authorize(&mut self) {
        self.state = State::Authorized;
        match self.capture {
            CapturePolicy::Automatic => self.captured = self.amount.minor,
            CapturePolicy::Manual => {}
        }
    }

    /// Whether an authorization asks for this very object.
    pub fn is_for(&self, asked: &ProviderAuthorization) -> bool {
        self.order_id == asked.order_id && self.amount == asked.amount && self.capture == asked.capture
    }

    /// What the caller is told.
    pub fn view(self) -> ProviderPayment {
        let holds = self.state == State::Authorized && self.captured < self.amount.minor;
        let held_until = holds.then(|| self.created_at + HOLD_MS);
        ProviderPayment {
            state: match self.state {
                State::Processing => ProviderState::Processing,
                State::RequiresAction => ProviderState::RequiresAction(format!("{PAGE}/{}", self.reference)),
                State::Authorized => ProviderState::Authorized,
                State::Declined(why) => ProviderState::Declined(why),
                State::Voided => ProviderState::Voided,
            },
            reference: self.reference,
            order_id: self.order_id,
            amount: self.amount,
            captured: self.captured,
            refunded: self.refunded,
            held_until,
        }
    }
}

/// Applies a capture, void or refund, or says why it is refused for good.
pub fn decide(object: &Object, kind: Kind, amount: i64) -> Result<Object, Decline> {
    let scenario = scenario(&object.token);
    let mut next = object.clone();
    match (kind, &object.state) {
        (Kind::Capture, State::Authorized) => {
            if scenario == Scenario::CaptureRefused {
                return Err(rejected("The capture was refused."));
            }
            if !(1..=object.amount.minor - object.captured).contains(&amount) {
                return Err(rejected("More than is held."));
            }
            next.captured += amount;
        }
        (Kind::Refund, State::Authorized) => {
            if scenario == Scenario::RefundRefused {
                return Err(rejected("The refund was refused."));
            }
            if !(1..=object.captured - object.refunded).contains(&amount) {
                return Err(rejected("More than was taken."));
            }
            next.refunded += amount;
        }
        (Kind::Void, State::Authorized) if object.captured > 0 => return Err(rejected("The money was taken already.")),
        (Kind::Void, State::Authorized | State::Processing | State::RequiresAction | State::Voided) => {
            next.state = State::Voided;
        }
        (Kind::Void, State::Declined(_)) => return Err(rejected("Nothing is held.")),
        (
            Kind::Capture | Kind::Refund,
            State::Processing | State::RequiresAction | State::Declined(_) | State::Voided,
        ) => return Err(rejected("Nothing is held.")),
    }
    assert!(0 <= next.refunded && next.refunded <= next.captured && next.captured <= next.amount.minor);
    Ok(next)
}

/// Applies the shopper's choice; none when there is nothing to choose any more.
pub fn choose(object: &Object, choice: Choice) -> Option<Object> {
    if object.state != State::RequiresAction {
        return None;
    }
    let mut next = object.clone();
    match choice {
        Choice::Approve => next.authorize(),
        Choice::Decline => next.state = State::Declined(decline("action_failed", "The payment was not approved.")),
    }
    Some(next)
}

/// Refused for good, for a reason that has no code of its own.
pub fn rejected(message: &str) -> Decline {
    decline("rejected", message)
}

fn decline(code: &str, message: &str) -> Decline {
    Decline { code: code.to_owned(), message: message.to_owned() }
}

/// A path of this origin, or an address over HTTP: nothing else is put into a redirect.
fn is_web_address(url: &str) -> bool {
    let path = url.starts_with('/') && !url.starts_with("//");
    let absolute = url.starts_with("https://") || url.starts_with("http://");
    (path || absolute) && url.len() <= URL_BYTES_MAX && url.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
}
