//! Payments and commands, their invariants, and what may be asked for.
//!
//! Nothing here calls a port, reads a clock or draws a number. What a provider's answer does is in [`hear`],
//! where money is, in [`ledger`], what webhooks say, in [`inbox`].

pub mod hear;
pub mod inbox;
pub mod ledger;

use ledger::{ACCOUNTS, Account, Transfer};
use souk_kit::check::Check;
use souk_kit::payment::{Authorization, PaymentError, PaymentState};
use souk_kit::payment_extension::{CapturePolicy, Decline};
use souk_kit::types::{FieldError, Id, Instant, Money};
use souk_kit::{ids, money};

/// First wait for a lost answer, and the shortest between two questions.
pub const CHECK_DELAY_MIN_MS: i64 = 10_000;
/// Longest wait between two questions at first: a provider that comes back is asked within a minute.
pub const CHECK_DELAY_MAX_MS: i64 = 45_000;
/// How long it is asked that often: longer than providers are away, and than they keep idempotency keys.
pub const CHECK_OFTEN_MS: i64 = 3 * DAY_MS;
/// Longest wait between two questions after that, and for a payment that is only watched.
pub const CHECK_DELAY_OLD_MS: i64 = 3_600_000;
/// Wait between two questions while money is held: a webhook that tells of its end at the provider may be lost.
pub const CHECK_DELAY_HELD_MS: i64 = 6 * CHECK_DELAY_OLD_MS;
/// The part of a hold's time after which it is taken by itself, in percent: what is left is for a provider that is away.
pub const TAKEN_AFTER_PERCENT: i64 = 80;
/// After this long nobody asks any more by itself; `audit` has told of it since its first hour.
pub const CHECK_AGE_MAX_MS: i64 = 30 * DAY_MS;
/// How long a payment that was abandoned without the provider knowing it is watched for a late effect.
pub const WATCH_MS: i64 = DAY_MS;
/// How much earlier than planned a timer may be heard, since hosts' clocks differ.
pub const CHECK_SLACK_MS: i64 = 5_000;

const DAY_MS: i64 = 86_400_000;
const PROVIDER_BYTES_MAX: usize = 64;
const TOKEN_BYTES_MAX: usize = 200;
const URL_BYTES_MAX: usize = 2_000;

/// What the provider holds for a payment that is over. It is let go as soon as it is seen.
pub const LATE_HOLD: &str = "the provider holds money for a payment that is over";

/// Money held and moved for one order, in minor units of one currency.
///
/// Invariant: `refunded <= captured <= authorized <= amount`, commands on their way included; nothing is authorized
/// outside the state `authorized`; a void is on its way only while nothing is captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// `pay_...`, the provider's idempotency key.
    pub id: Id,
    /// `ord_...`.
    pub order_id: Id,
    /// Name of the payment provider.
    pub provider: String,
    /// The provider's name for it; empty until it has answered.
    pub reference: String,
    /// A digest of what was asked for, to tell a repeat from another wish.
    pub request: String,
    /// The provider's token; emptied when it is not needed any more.
    pub token: String,
    /// Where the provider sends the shopper back to.
    pub return_url: String,
    /// Whether money is taken at once.
    pub capture: CapturePolicy,
    /// Where it is.
    pub state: PaymentState,
    /// What the order asks for.
    pub amount: i64,
    /// Of all amounts.
    pub currency: String,
    /// Held or taken; zero again once voided.
    pub authorized: i64,
    /// Taken or being taken.
    pub captured: i64,
    /// Given back or being given back.
    pub refunded: i64,
    /// The one command that awaits the provider's answer.
    pub in_flight: Option<Command>,
    /// Where the shopper must go while `requires-action`.
    pub action_url: String,
    /// Why it was declined.
    pub decline: Option<Decline>,
    /// Why the provider's last answer was not believed; empty when all is well. A payment with a problem is quarantined.
    pub problem: String,
    /// Until when a payment that is over is asked about; zero for one that is not.
    pub watch_until: Instant,
    /// When the next timer is due. A timer that comes much earlier has been replaced by it.
    pub check_at: Instant,
    /// When what is held is taken without anybody asking, before it expires; zero when the provider does not say when
    /// it does.
    pub take_by: Instant,
    /// When the intent was stored.
    pub created_at: Instant,
    /// When the provider last said something that was believed.
    pub heard_at: Instant,
    /// Raised by every write.
    pub version: u64,
}

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Takes money that is held.
    Capture,
    /// Lets go of what is held.
    Void,
    /// Gives money back.
    Refund,
}

/// How far a command is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The provider's answer is not known.
    InFlight,
    /// The provider did it.
    Done,
    /// The provider refused for good, and nothing happened.
    Refused(Decline),
}

/// A capture, a void or a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Minted by the caller; the idempotency key at the provider.
    pub id: Id,
    /// The payment it is for.
    pub payment_id: Id,
    /// What it does.
    pub kind: Kind,
    /// How much; zero for a void.
    pub amount: i64,
    /// Why, for a refund.
    pub reason: String,
    /// How far it is.
    pub progress: Progress,
    /// When it was asked for.
    pub created_at: Instant,
}

/// What a step does to the rows of commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandChange {
    /// A new row.
    Added(Command),
    /// The command on its way has ended.
    Ended(Id, Progress),
}

/// What others are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The payment became authorized, declined or voided.
    Settled,
    /// Amounts changed, or a command ended, after an answer had been unknown.
    Changed,
    /// To ourselves: ask again at `check_at`.
    CheckDue,
}

/// All that one decision writes, in one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The payment afterwards.
    pub next: Payment,
    /// Money that moves.
    pub transfers: Vec<Transfer>,
    /// Commands that begin or end.
    pub commands: Vec<CommandChange>,
    /// Events.
    pub facts: Vec<Fact>,
}

impl Step {
    /// A step that changes nothing so far.
    pub fn from(payment: &Payment) -> Self {
        Self { next: payment.clone(), transfers: Vec::new(), commands: Vec::new(), facts: Vec::new() }
    }

    /// Whether anything is to be written. That the provider said the same again is not.
    pub fn changes(&self, before: &Payment) -> bool {
        self.next != Payment { heard_at: self.next.heard_at, ..before.clone() } || !self.transfers.is_empty()
    }

    /// Ends the command on its way.
    fn end(&mut self, progress: Progress) {
        if let Some(command) = self.next.in_flight.take() {
            self.commands.push(CommandChange::Ended(command.id, progress));
        }
    }

    fn transfer(&mut self, id: String, from: Account, to: Account, amount: i64) {
        if amount > 0 {
            self.transfers.push(Transfer::new(id, from, to, amount));
        }
    }

    /// Arms a timer.
    pub fn arm(&mut self, at: Instant) {
        self.next.check_at = at;
        self.facts.push(Fact::CheckDue);
    }

    /// Asserts that the payment is sound and that the ledger moves exactly as the columns do.
    fn sound(self, before: &Payment) -> Self {
        self.next.assert_sound();
        for account in ACCOUNTS {
            let moved = ledger::balance(&self.next, account) - ledger::balance(before, account);
            assert_eq!(moved, ledger::effect(&self.transfers, account), "{account:?} moves as the columns do");
        }
        self
    }
}

impl Payment {
    /// Whether the provider is still to say something.
    pub fn is_open(&self) -> bool {
        match self.state {
            PaymentState::Pending | PaymentState::RequiresAction => true,
            PaymentState::Authorized => self.in_flight.is_some(),
            PaymentState::Declined | PaymentState::Voided => false,
        }
    }

    /// Whether the provider is asked about it all the same: it may hear of it late, or was not believed.
    pub fn is_watched(&self, now: Instant) -> bool {
        !self.is_open() && (now < self.watch_until || !self.problem.is_empty())
    }

    /// Whether something is held that is not taken, so that the provider may do something to it by itself.
    pub fn is_held(&self) -> bool {
        ledger::balance(self, Account::Held) > 0
    }

    /// When to ask next, if at all: the waits grow with the age of what is waited for.
    pub fn next_check(&self, now: Instant) -> Option<Instant> {
        let since = self.in_flight.as_ref().map_or(self.created_at, |command| command.created_at);
        let age = now - since;
        if age >= CHECK_AGE_MAX_MS {
            return None;
        }
        if self.is_open() || self.is_watched(now) {
            let longest = if self.is_open() && age < CHECK_OFTEN_MS { CHECK_DELAY_MAX_MS } else { CHECK_DELAY_OLD_MS };
            return Some(now + age.clamp(CHECK_DELAY_MIN_MS, longest));
        }
        self.is_held().then(|| self.next_look(now))
    }

    /// When to look after what is held.
    pub fn next_look(&self, now: Instant) -> Instant {
        let usual = now + CHECK_DELAY_HELD_MS;
        if now < self.take_by { usual.min(self.take_by) } else { usual }
    }

    /// Whether what is held has to be taken now, or it would expire. A void that is on its way decides otherwise.
    pub fn is_to_be_taken(&self, now: Instant) -> bool {
        self.is_held() && self.in_flight.is_none() && self.take_by != 0 && self.take_by <= now + CHECK_SLACK_MS
    }

    fn assert_sound(&self) {
        assert!(0 <= self.refunded && self.refunded <= self.captured, "refunded <= captured");
        assert!(self.captured <= self.authorized && self.authorized <= self.amount, "captured <= authorized <= amount");
        assert!(self.authorized == 0 || self.state == PaymentState::Authorized, "only the authorized hold money");
        match (&self.in_flight, self.state) {
            (None, _) => {}
            (Some(command), PaymentState::Pending | PaymentState::RequiresAction) => {
                assert!(command.kind == Kind::Void, "before an authorization there is only a void");
            }
            (Some(command), PaymentState::Authorized) => match command.kind {
                Kind::Capture => assert!(command.amount <= self.captured, "a capture on its way is counted"),
                Kind::Refund => assert!(command.amount <= self.refunded, "a refund on its way is counted"),
                Kind::Void => assert!(self.captured == 0, "a void meets nothing taken"),
            },
            (Some(_), PaymentState::Declined | PaymentState::Voided) => panic!("what is over awaits nothing"),
        }
    }
}

/// Checks an authorization before anything is stored.
pub fn check_authorization(asked: &Authorization) -> Result<(), Vec<FieldError>> {
    let mut check = Check::new();
    check.id("/payment_id", "pay", &asked.payment_id);
    check.id("/order_id", "ord", &asked.order_id);
    check_amount(&mut check, &asked.amount);
    check_bytes(&mut check, "/provider", &asked.provider, 1, PROVIDER_BYTES_MAX);
    check_bytes(&mut check, "/token", &asked.token, 1, TOKEN_BYTES_MAX);
    check_bytes(&mut check, "/return_url", &asked.return_url, 1, URL_BYTES_MAX);
    check.done()
}

/// Checks a command before anything is stored. A void has no amount.
pub fn check_command(id: &Id, amount: Option<&Money>, reason: &str) -> Result<(), Vec<FieldError>> {
    let mut check = Check::new();
    check_bytes(&mut check, "/command_id", id, 1, ids::ID_BYTES_MAX);
    if let Some(amount) = amount {
        check_amount(&mut check, amount);
    }
    check.text("/reason", reason, 0, 500);
    check.done()
}

fn check_amount(check: &mut Check, amount: &Money) {
    check.range("/amount/minor", amount.minor, 1, money::AMOUNT_MAX);
    check.currency("/amount/currency", &amount.currency);
}

fn check_bytes(check: &mut Check, pointer: &str, text: &str, least: usize, most: usize) {
    if text.len() < least {
        check.fail(pointer, "required", "this is required");
    } else if text.len() > most {
        check.fail(pointer, "too_long", format!("at most {most} bytes"));
    } else if text.chars().any(char::is_control) {
        check.fail(pointer, "malformed", "control characters are not allowed");
    }
}

/// What identifies an authorization: a repeat must ask for the same.
pub fn request_digest(asked: &Authorization) -> String {
    ids::digest(&[
        &asked.order_id,
        &asked.amount.minor.to_string(),
        &asked.amount.currency,
        &asked.provider,
        &asked.token,
        &asked.return_url,
        policy_name(asked.capture),
    ])
}

/// The name of a policy in rows.
pub fn policy_name(policy: CapturePolicy) -> &'static str {
    match policy {
        CapturePolicy::Automatic => "automatic",
        CapturePolicy::Manual => "manual",
    }
}

/// The intent: what is stored before the provider is asked, with the timer that resumes it if nobody else does.
pub fn intend(asked: &Authorization, now: Instant) -> Step {
    let payment = Payment {
        id: asked.payment_id.clone(),
        order_id: asked.order_id.clone(),
        provider: asked.provider.clone(),
        reference: String::new(),
        request: request_digest(asked),
        token: asked.token.clone(),
        return_url: asked.return_url.clone(),
        capture: asked.capture,
        state: PaymentState::Pending,
        amount: asked.amount.minor,
        currency: asked.amount.currency.clone(),
        authorized: 0,
        captured: 0,
        refunded: 0,
        in_flight: None,
        action_url: String::new(),
        decline: None,
        problem: String::new(),
        watch_until: 0,
        check_at: 0,
        take_by: 0,
        created_at: now,
        heard_at: now,
        version: 1,
    };
    let mut step = Step::from(&payment);
    step.arm(now + CHECK_DELAY_MIN_MS);
    step
}

/// The capture that takes what is held before it expires. A payment has one, under an id of its own.
pub fn last_capture(payment: &Payment, now: Instant) -> Command {
    Command {
        id: ids::derive("cmd", &[&payment.id, "hold-ends"]),
        payment_id: payment.id.clone(),
        kind: Kind::Capture,
        amount: ledger::balance(payment, Account::Held),
        reason: String::new(),
        progress: Progress::InFlight,
        created_at: now,
    }
}

/// Reserves what a command asks for, before the provider is asked, or says why it may not be asked for.
pub fn request(payment: &Payment, command: Command) -> Result<Step, PaymentError> {
    assert!(
        command.payment_id == payment.id && command.progress == Progress::InFlight,
        "a new command of this payment"
    );
    let fits = match (command.kind, payment.state) {
        (Kind::Capture | Kind::Refund, PaymentState::Authorized) => true,
        (
            Kind::Capture | Kind::Refund,
            PaymentState::Pending | PaymentState::RequiresAction | PaymentState::Declined | PaymentState::Voided,
        ) => false,
        (Kind::Void, PaymentState::Pending | PaymentState::RequiresAction) => true,
        (Kind::Void, PaymentState::Authorized) => payment.captured == 0,
        (Kind::Void, PaymentState::Declined | PaymentState::Voided) => false,
    };
    if !fits {
        return Err(PaymentError::WrongState(payment.state));
    }
    let left = match command.kind {
        Kind::Capture => ledger::balance(payment, Account::Held),
        Kind::Refund => ledger::balance(payment, Account::ProviderClearing),
        Kind::Void => 0,
    };
    if command.amount > left {
        return Err(PaymentError::Exceeds(left.max(0)));
    }
    if let Some(other) = &payment.in_flight {
        return Err(PaymentError::Unavailable(format!("{} awaits the provider's answer", other.id)));
    }
    let mut step = Step::from(payment);
    match command.kind {
        Kind::Capture => {
            step.next.captured += command.amount;
            let id = format!("{}/requested", command.id);
            step.transfer(id, Account::Held, Account::CaptureInTransit, command.amount);
        }
        Kind::Refund => {
            step.next.refunded += command.amount;
            let id = format!("{}/requested", command.id);
            step.transfer(id, Account::ProviderClearing, Account::RefundInTransit, command.amount);
        }
        Kind::Void => {}
    }
    step.arm(command.created_at + CHECK_DELAY_MIN_MS);
    step.next.in_flight = Some(command.clone());
    step.commands.push(CommandChange::Added(command));
    Ok(step.sound(payment))
}

/// Takes back what was reserved for the command on its way: the provider refused it, and nothing happened.
pub fn refuse(payment: &Payment, decline: &Decline) -> Step {
    let mut step = Step::from(payment);
    reverse(&mut step);
    step.end(Progress::Refused(decline.clone()));
    step.sound(payment)
}

/// Reverses the reservation of the command on its way.
fn reverse(step: &mut Step) {
    let Some(command) = step.next.in_flight.clone() else { return };
    let id = format!("{}/reversed", command.id);
    match command.kind {
        Kind::Capture => {
            step.next.captured -= command.amount;
            step.transfer(id, Account::CaptureInTransit, Account::Held, command.amount);
        }
        Kind::Refund => {
            step.next.refunded -= command.amount;
            step.transfer(id, Account::RefundInTransit, Account::ProviderClearing, command.amount);
        }
        Kind::Void => {}
    }
}

/// Ends an open payment for which the provider has nothing. It is watched, since a call that was lost on its way
/// may still arrive there.
pub fn abandon(payment: &Payment, now: Instant) -> Step {
    assert!(matches!(payment.state, PaymentState::Pending | PaymentState::RequiresAction), "only what is open");
    let mut step = Step::from(payment);
    settle(&mut step, PaymentState::Voided);
    step.end(Progress::Done);
    step.next.watch_until = now + WATCH_MS;
    step.sound(payment)
}

/// Declines an open payment.
pub fn decline(payment: &Payment, why: &Decline) -> Step {
    assert!(matches!(payment.state, PaymentState::Pending | PaymentState::RequiresAction), "only what is open");
    let mut step = Step::from(payment);
    step.next.decline = Some(why.clone());
    settle(&mut step, PaymentState::Declined);
    step.end(Progress::Done);
    step.sound(payment)
}

/// Quarantines a payment: what its provider says is not believed, and nothing moves. It is asked again later.
pub fn quarantine(payment: &Payment, problem: &str, now: Instant) -> Step {
    let mut step = Step::from(payment);
    if payment.problem.is_empty() && !payment.is_open() {
        step.arm(now + CHECK_DELAY_MIN_MS);
    }
    if payment.problem != LATE_HOLD {
        problem.clone_into(&mut step.next.problem);
    }
    step
}

/// Moves to a state that the order waits for.
fn settle(step: &mut Step, state: PaymentState) {
    step.next.state = state;
    step.next.token.clear();
    step.next.action_url.clear();
    step.next.problem.clear();
    step.facts.push(Fact::Settled);
}
