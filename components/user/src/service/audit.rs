//! Recomputes what must hold in the tables of this service, a page of accounts at a time.

use souk_kit::user::UserError;
use souk_kit::{Call, PageRequest, cursor};

use super::Ports;
use crate::domain::account::email_key;
use crate::domain::address_book::ADDRESSES_MAX;
use crate::domain::session::{SESSION_LIFETIME, SESSIONS_MAX};
use crate::store::audit::{self, Counted};

/// Accounts checked in one step.
pub const ACCOUNTS_PER_STEP: u32 = 100;

/// Something that does not add up.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// The invariant.
    pub invariant: &'static str,
    /// What it is broken for.
    pub subject: String,
    /// What was found and what was expected.
    pub detail: String,
}

/// One step of an audit.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// Subjects checked in this step.
    pub checked: u64,
    /// What does not add up.
    pub findings: Vec<Finding>,
    /// Where the next step starts.
    pub next: Option<String>,
}

/// Checks the accounts of one step; the first also checks the count of staff.
pub fn check(ports: &impl Ports, call: &Call, cursor: Option<String>) -> Result<Page, String> {
    let first = cursor.is_none();
    let (key, limit) = cursor::decode::<1>(&PageRequest { cursor, limit: ACCOUNTS_PER_STEP })
        .map_err(|error| format!("{}: {}", error.pointer, error.detail))?;
    let after = key.map_or_else(String::new, |[id]| id);
    if after.contains('\0') {
        return Err("the cursor is not one that an audit gave".to_owned());
    }
    let mut findings = Vec::new();
    let mut checked = 0;
    if first {
        checked += 1;
        let (noted, counted) = audit::count_staff(ports).map_err(describe)?;
        expect(&mut findings, "active_staff_is_counted", "staff", noted == counted, || {
            format!("{noted} noted, {counted} counted")
        });
    }
    let accounts = audit::count(ports, &after, limit, SESSION_LIFETIME, call.now).map_err(describe)?;
    for account in &accounts {
        check_account(&mut findings, account);
    }
    checked += accounts.len() as u64;
    let full = accounts.len() == limit as usize;
    let next = accounts.last().filter(|_| full).map(|last| cursor::encode(&[&last.id]));
    Ok(Page { checked, findings, next })
}

fn check_account(findings: &mut Vec<Finding>, account: &Counted) {
    let mut expect =
        |invariant, holds, detail: &dyn Fn() -> String| expect(findings, invariant, &account.id, holds, detail);
    expect("email_key_follows_from_email", account.email_key == email_key(&account.email), &|| {
        format!("the key is {}", account.email_key)
    });
    expect("sessions_are_within_their_limit", account.open_sessions <= SESSIONS_MAX, &|| {
        format!("{} open sessions, at most {SESSIONS_MAX}", account.open_sessions)
    });
    expect("a_disabled_account_has_no_session", !account.disabled || account.open_sessions == 0, &|| {
        format!("{} open sessions", account.open_sessions)
    });
    expect("sessions_last_thirty_days", account.misdated_sessions == 0, &|| {
        format!("{} sessions with other dates", account.misdated_sessions)
    });
    expect("addresses_are_within_their_limit", account.addresses <= ADDRESSES_MAX as u64, &|| {
        format!("{} addresses, at most {ADDRESSES_MAX}", account.addresses)
    });
    expect("one_default_of_a_kind", account.default_shipping <= 1 && account.default_billing <= 1, &|| {
        format!("{} defaults for shipping, {} for billing", account.default_shipping, account.default_billing)
    });
    expect("addresses_came_with_their_book", account.misplaced_addresses == 0, &|| {
        format!("{} addresses are newer than version {}", account.misplaced_addresses, account.book_version)
    });
}

fn expect(
    findings: &mut Vec<Finding>,
    invariant: &'static str,
    subject: &str,
    holds: bool,
    detail: impl Fn() -> String,
) {
    if !holds {
        findings.push(Finding { invariant, subject: subject.to_owned(), detail: detail() });
    }
}

fn describe(error: UserError) -> String {
    match error {
        UserError::Unavailable(text) => text,
        UserError::Invalid(_)
        | UserError::EmailTaken
        | UserError::WrongCredentials
        | UserError::InvalidToken
        | UserError::Throttled(_)
        | UserError::NotFound
        | UserError::LimitReached
        | UserError::Conflict
        | UserError::StorageFull => unreachable!("reading what an audit counts fails only with the database"),
    }
}
