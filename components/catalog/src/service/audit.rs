//! The books: every number that is kept is summed again from what it follows from, some subjects at a time.

use crate::values::{CatalogError, Visibility};
use souk_kit::bindings::souk::shop::types::{FieldError, PageRequest};
use souk_kit::types::Id;
use souk_kit::{Call, Sql, cursor, ids};

use super::products;
use crate::store::audit::{self, ListingCheck, ReservationCheck, StockCheck};

/// Subjects that one step checks.
pub const AUDIT_SUBJECTS_MAX: u32 = 200;

/// How long after its end a reservation may still be held, in milliseconds: the timer may be late, not lost.
pub const OVERDUE_MILLIS_MAX: i64 = 3_600_000;

/// Something that does not add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The invariant, in snake_case.
    pub invariant: &'static str,
    /// What it is broken for.
    pub subject: Id,
    /// What was found and what was expected.
    pub detail: String,
}

/// One step of an audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Subjects checked.
    pub checked: u64,
    /// What does not add up.
    pub findings: Vec<Finding>,
    /// Where the next step starts.
    pub next: Option<String>,
}

/// What is audited, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Stock,
    Listings,
    Reservations,
}

impl Phase {
    const FIRST: Self = Self::Stock;

    fn text(self) -> &'static str {
        match self {
            Self::Stock => "stock",
            Self::Listings => "listings",
            Self::Reservations => "reservations",
        }
    }

    fn after(self) -> Option<Self> {
        match self {
            Self::Stock => Some(Self::Listings),
            Self::Listings => Some(Self::Reservations),
            Self::Reservations => None,
        }
    }
}

/// Checks the next subjects. The text of an error is for a person.
pub fn check(ports: &impl Sql, call: &Call, from: Option<String>) -> Result<Step, String> {
    let (phase, after) = start(from).map_err(|error| error.detail)?;
    let mut step = Step { checked: 0, findings: Vec::new(), next: None };
    let last = match phase {
        Phase::Stock => {
            let rows = audit::stock(ports, &after, AUDIT_SUBJECTS_MAX).map_err(describe)?;
            rows.iter().for_each(|row| check_stock(&mut step, row));
            rows.last().map(|row| row.variant_id.clone())
        }
        Phase::Listings => {
            let rows = audit::listings(ports, &after, AUDIT_SUBJECTS_MAX).map_err(describe)?;
            rows.iter().for_each(|row| check_listing(&mut step, row));
            rows.last().map(|row| row.product_id.clone())
        }
        Phase::Reservations => {
            let rows = audit::reservations(ports, &after, AUDIT_SUBJECTS_MAX).map_err(describe)?;
            rows.iter().for_each(|row| check_reservation(&mut step, row, call.now));
            rows.last().map(|row| row.order_id.clone())
        }
    };
    step.next = match last {
        Some(id) if step.checked == u64::from(AUDIT_SUBJECTS_MAX) => Some(cursor::encode(&[phase.text(), &id])),
        Some(_) | None => phase.after().map(|phase| cursor::encode(&[phase.text(), ""])),
    };
    Ok(step)
}

/// Writes a product again as it is, and with it all that lists and search hold of it. False for anything else, and for a
/// product that was deleted. The text of an error is for a person.
pub fn rebuild(ports: &impl Sql, call: &Call, subject: &str) -> Result<bool, String> {
    if !ids::is_id("prod", subject) {
        return Ok(false);
    }
    let product = match products::get_product(ports, subject, Visibility::All) {
        Err(CatalogError::NotFound) => return Ok(false),
        found => found.map_err(|error| format!("{error:?}"))?,
    };
    products::update_product(ports, call, &product).map_err(|error| format!("{error:?}"))?;
    Ok(true)
}

fn start(from: Option<String>) -> Result<(Phase, String), FieldError> {
    let page = PageRequest { cursor: from, limit: 1 };
    let (after, _) = cursor::decode::<2>(&page)?;
    let Some([named, id]) = after else { return Ok((Phase::FIRST, String::new())) };
    let phase = [Phase::Stock, Phase::Listings, Phase::Reservations].into_iter().find(|phase| phase.text() == named);
    phase.map(|phase| (phase, id)).ok_or_else(|| FieldError {
        pointer: "/cursor".to_owned(),
        code: "malformed".to_owned(),
        detail: "the cursor is not one that this audit gave".to_owned(),
    })
}

fn describe(error: CatalogError) -> String {
    match error {
        CatalogError::Unavailable(text) => text,
        CatalogError::Invalid(_)
        | CatalogError::NotFound
        | CatalogError::OutOfStock(_)
        | CatalogError::Expired
        | CatalogError::Settled
        | CatalogError::InUse
        | CatalogError::Conflict
        | CatalogError::StorageFull => unreachable!("reading for an audit refuses nothing"),
    }
}

impl Step {
    fn expect(&mut self, holds: bool, invariant: &'static str, subject: &Id, detail: impl FnOnce() -> String) {
        if !holds {
            self.findings.push(Finding { invariant, subject: subject.clone(), detail: detail() });
        }
    }
}

fn check_stock(step: &mut Step, row: &StockCheck) {
    step.checked += 1;
    let id = &row.variant_id;
    step.expect(row.on_hand == row.on_hand_moved, "on_hand_equals_movements", id, || {
        format!("{} units are on hand, movements make {}", row.on_hand, row.on_hand_moved)
    });
    step.expect(row.reserved == row.reserved_moved, "reserved_equals_movements", id, || {
        format!("{} units are reserved, movements make {}", row.reserved, row.reserved_moved)
    });
    step.expect(row.reserved == row.held, "reserved_equals_held_lines", id, || {
        format!("{} units are reserved, held reservations have {}", row.reserved, row.held)
    });
    step.expect((0..=row.on_hand).contains(&row.reserved), "reserved_is_within_on_hand", id, || {
        format!("{} units are reserved of {}", row.reserved, row.on_hand)
    });
    step.expect(!row.wrongly_listed, "stock_knows_deleted_variants", id, || {
        "stock and variant disagree on whether the variant is deleted".to_owned()
    });
}

fn check_listing(step: &mut Step, row: &ListingCheck) {
    step.checked += 1;
    let id = &row.product_id;
    step.expect(row.wrong_available == 0, "listings_show_what_is_available", id, || {
        format!("{} listings do not show the {} units available", row.wrong_available, row.available)
    });
    step.expect(row.listings == row.currencies, "each_currency_has_a_listing", id, || {
        format!("{} listings for {} currencies", row.listings, row.currencies)
    });
    step.expect(row.right_prices == row.listings, "listings_show_prices_of_variants", id, || {
        format!("{} of {} listings show the prices of the variants", row.right_prices, row.listings)
    });
    step.expect(row.in_categories == row.wanted_in_categories, "categories_list_their_products", id, || {
        format!("listed {} times in categories instead of {}", row.in_categories, row.wanted_in_categories)
    });
}

fn check_reservation(step: &mut Step, row: &ReservationCheck, now: i64) {
    step.checked += 1;
    let id = &row.order_id;
    let held = row.state == "held";
    step.expect(row.wrong_lines == 0, "sales_and_returns_have_movements", id, || {
        format!("{} lines of the {} reservation have other movements", row.wrong_lines, row.state)
    });
    let promised = if held { row.quantity } else { 0 };
    step.expect(row.reserved_moved == promised, "promises_have_movements", id, || {
        format!("{promised} units are promised, movements make {}", row.reserved_moved)
    });
    step.expect(row.restocked == 0 || row.state == "committed", "only_what_was_sold_returns", id, || {
        format!("{} units returned to a reservation that is {}", row.restocked, row.state)
    });
    step.expect(!held || now - row.expires_at <= OVERDUE_MILLIS_MAX, "a_promise_ends", id, || {
        format!("held, though it expired at {}", row.expires_at)
    });
}
