//! Recomputes what must hold of every payment from its rows.

use souk_kit::Sql;
use souk_kit::ports::Call;
use souk_kit::types::Instant;

use crate::domain::ledger;
use crate::store::{self, Books};

/// Payments checked in one step.
pub const PAGE_PAYMENTS_MAX: u32 = 100;

/// How long a payment may await its provider before the audit tells of it.
pub const SILENCE_MAX_MS: i64 = 3_600_000;

/// Something that does not add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The invariant, in snake_case.
    pub invariant: &'static str,
    /// The payment.
    pub subject: String,
    /// What was found and what was expected.
    pub detail: String,
}

/// One step of an audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Payments checked.
    pub checked: u64,
    /// What does not add up.
    pub findings: Vec<Finding>,
    /// Where the next step starts.
    pub next: Option<String>,
}

/// Checks the next payments, in the order of their ids. The cursor is the last id that was checked.
pub fn check(ports: &impl Sql, call: &Call, cursor: Option<&str>) -> Result<Page, String> {
    let books = store::books(ports, cursor.unwrap_or_default(), PAGE_PAYMENTS_MAX).map_err(|error| error.describe())?;
    let full = books.len() == PAGE_PAYMENTS_MAX as usize;
    Ok(Page {
        checked: books.len() as u64,
        findings: books.iter().flat_map(|book| findings(book, call.now)).collect(),
        next: books.last().filter(|_| full).map(|book| book.payment.id.clone()),
    })
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
    find(!payment.problem.is_empty(), "payment_is_believed", payment.problem.clone());
    findings
}
