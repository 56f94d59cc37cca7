//! Recomputes what must hold of every payment from its rows, and tells of what nothing came of in the inbox.

use souk_kit::Sql;
use souk_kit::payment_extension::ProviderError;
use souk_kit::ports::Call;
use souk_kit::sql::SqlError;
use souk_kit::types::Instant;

use crate::domain::{Payment, ledger};
use crate::service::{self, Ports};
use crate::store::inbox::{self, Waiting};
use crate::store::{self, Books};

/// Payments, or webhooks, checked in one step.
pub const PAGE_MAX: u32 = 100;

/// How long a payment may await its provider, or a webhook be parked, before the audit tells of it.
pub const SILENCE_MAX_MS: i64 = 3_600_000;

/// Payments compared with their providers in one step: each is a call outside.
pub const ASKED_MAX: u32 = 10;

/// Something that does not add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The invariant, in snake_case.
    pub invariant: &'static str,
    /// The payment, or the webhook.
    pub subject: String,
    /// What was found and what was expected.
    pub detail: String,
}

/// One step of an audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Payments and webhooks checked.
    pub checked: u64,
    /// What does not add up.
    pub findings: Vec<Finding>,
    /// Where the next step starts.
    pub next: Option<String>,
}

/// What ids of webhooks begin with. They are checked after the payments.
const HOOKS: &str = "hook_";

/// Checks the next payments, or the next webhooks, in the order of their ids. The cursor is the last id that was checked.
pub fn check(ports: &impl Sql, call: &Call, cursor: Option<&str>) -> Result<Page, String> {
    let after = cursor.unwrap_or_default();
    let page =
        if after.starts_with(HOOKS) { check_hooks(ports, call, after) } else { check_payments(ports, call, after) };
    page.map_err(|error| error.describe())
}

/// Compares the next payments with what their providers say, in the order of their ids; those on their way are left out, since a
/// later answer settles them. The cursor is the last id that was compared. A provider that cannot be asked ends it.
pub fn reconcile(ports: &impl Ports, call: &Call, cursor: Option<&str>) -> Result<Page, String> {
    let books = store::books(ports, cursor.unwrap_or_default(), ASKED_MAX).map_err(|error| error.describe())?;
    let mut page = Page { checked: 0, findings: Vec::new(), next: None };
    for Books { payment, .. } in &books {
        if payment.is_open() || payment.in_flight.is_some() {
            continue;
        }
        page.checked += 1;
        let said = match service::lookup(ports, call, payment) {
            Ok(told) => (told.captured, told.refunded),
            Err(ProviderError::NotFound) => (0, 0),
            Err(error) => return Err(format!("{} about {}: {error:?}", payment.provider, payment.id)),
        };
        if said != (payment.captured, payment.refunded) && is_unchanged(ports, payment)? {
            let (captured, refunded) = said;
            page.findings.push(Finding {
                invariant: "payment_is_what_its_provider_says",
                subject: payment.id.clone(),
                detail: format!(
                    "{} took {captured} and gave back {refunded}, the ledger says {} and {}",
                    payment.provider, payment.captured, payment.refunded
                ),
            });
        }
    }
    page.next = books.last().filter(|_| books.len() == ASKED_MAX as usize).map(|book| book.payment.id.clone());
    Ok(page)
}

/// Whether a payment is as it was before its provider was asked.
fn is_unchanged(ports: &impl Sql, payment: &Payment) -> Result<bool, String> {
    let now = store::load(ports, &payment.id).map_err(|error| error.describe())?;
    Ok(now.is_some_and(|loaded| loaded.payment.version == payment.version))
}

fn check_payments(ports: &impl Sql, call: &Call, after: &str) -> Result<Page, SqlError> {
    let books = store::books(ports, after, PAGE_MAX)?;
    let full = books.len() == PAGE_MAX as usize;
    Ok(Page {
        checked: books.len() as u64,
        findings: books.iter().flat_map(|book| findings(book, call.now)).collect(),
        next: books
            .last()
            .filter(|_| full)
            .map_or_else(|| Some(HOOKS.to_owned()), |book| Some(book.payment.id.clone())),
    })
}

fn check_hooks(ports: &impl Sql, call: &Call, after: &str) -> Result<Page, SqlError> {
    let waiting = inbox::waiting(ports, after, call.now - SILENCE_MAX_MS, PAGE_MAX)?;
    let full = waiting.len() == PAGE_MAX as usize;
    Ok(Page {
        checked: waiting.len() as u64,
        findings: waiting.iter().map(|waiting| unheard(waiting, call.now)).collect(),
        next: waiting.last().filter(|_| full).map(|waiting| waiting.hook.id.clone()),
    })
}

fn unheard(Waiting { hook, problem }: &Waiting, now: Instant) -> Finding {
    let again = if hook.retry_at(now).is_some() { "it is tried again" } else { "it is not tried again" };
    Finding {
        invariant: "payment_hook_is_handled",
        subject: hook.id.clone(),
        detail: format!(
            "event {} of {} about {} came {} minutes ago and was tried {} times; {again}: {problem}",
            hook.event_id,
            hook.provider,
            hook.reference,
            (now - hook.received_at) / 60_000,
            hook.attempts
        ),
    }
}

fn findings(book: &Books, now: Instant) -> Vec<Finding> {
    let payment = &book.payment;
    let mut findings = Vec::new();
    let mut find = |broken: bool, invariant: &'static str, detail: String| {
        if broken {
            findings.push(Finding { invariant, subject: payment.id.clone(), detail });
        }
    };
    let (authorized, captured, refunded) = (payment.authorized, payment.captured, payment.refunded);
    find(
        !(0 <= refunded && refunded <= captured && captured <= authorized && authorized <= payment.amount),
        "payment_amounts_are_in_order",
        format!("refunded {refunded}, captured {captured}, authorized {authorized}, amount {}", payment.amount),
    );
    for (account, found) in &book.balances {
        let expected = ledger::balance(payment, *account);
        find(
            *found != expected,
            "payment_ledger_matches_columns",
            format!("account {} holds {found}, the columns say {expected}", account.name()),
        );
    }
    let sum: i64 = book.balances.iter().map(|(_, balance)| balance).sum();
    find(sum != 0, "payment_ledger_sums_to_zero", format!("the accounts sum to {sum}"));
    find(
        book.lopsided > 0,
        "payment_ledger_sums_to_zero",
        format!("{} transfers are not two equal halves", book.lopsided),
    );
    find(
        book.refunds != refunded,
        "payment_refunds_add_up",
        format!("its refunds sum to {}, the column says {refunded}", book.refunds),
    );
    let silence = now - payment.heard_at.max(payment.in_flight.as_ref().map_or(0, |command| command.created_at));
    find(
        payment.is_open() && silence > SILENCE_MAX_MS,
        "payment_has_news",
        format!(
            "{} has no news from {} for {} minutes",
            store::state_name(payment.state),
            payment.provider,
            silence / 60_000
        ),
    );
    find(
        payment.captured == 0 && payment.is_held() && payment.take_by != 0 && now - payment.take_by > SILENCE_MAX_MS,
        "payment_is_taken_in_time",
        format!("what {} holds expires soon, and it was not taken", payment.provider),
    );
    find(!payment.problem.is_empty(), "payment_is_believed", payment.problem.clone());
    findings
}
