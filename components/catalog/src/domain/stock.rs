//! Stock of variants, and the reservations that promise it to orders.
//!
//! Invariant: `0 <= reserved <= on hand` for every variant; `available` is the difference. A reservation goes
//! from held to committed, or to released, and from there perhaps to committed: never back. So its state alone
//! guards each of its changes. The file is long because half of it are the tables and laws of exactly that.

use std::collections::BTreeMap;

use crate::values::{CatalogError, Reservation, ReservationState, Shortage, StockLine};
use souk_kit::check::Check;
use souk_kit::types::{Id, Instant};

use super::{check_command_id, done, invalid};

/// Most lines of one reservation or of one restocking.
pub const LINES_MAX: usize = 200;
/// Most units in one line.
pub const LINE_UNITS_MAX: i64 = 999_999;
/// Most units of one variant that may be counted.
pub const ON_HAND_MAX: i64 = 1_000_000_000;
/// Shortest and longest promise, in seconds.
pub const TTL_SECONDS: std::ops::RangeInclusive<u32> = 60..=86_400;
/// Longest reason of a movement, in characters.
pub const REASON_CHARS_MAX: usize = 64;

/// Units of one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    /// Counted.
    pub on_hand: i64,
    /// Promised.
    pub reserved: i64,
    /// Whether the variant is still offered, or was deleted.
    pub offered: Offered,
}

impl Units {
    /// Units that could be promised now.
    pub fn available(&self) -> i64 {
        assert!(0 <= self.reserved && self.reserved <= self.on_hand, "the table's own check keeps this");
        self.on_hand - self.reserved
    }
}

/// Whether a variant is still part of the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It may be promised.
    Yes,
    /// It was deleted: what is promised settles, nothing more is promised.
    No,
}

/// What stands on the shelf, for the variants that a decision is about. One that is absent never existed.
pub type Shelf = BTreeMap<Id, Units>;

/// What an order asks of its reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Promise these units, each variant once, until then.
    Reserve {
        /// Units by variant.
        lines: BTreeMap<Id, u32>,
        /// When the promise ends.
        expires_at: Instant,
    },
    /// Turn the promise into a sale.
    Commit,
    /// Give the promise back.
    Release {
        /// The present: when a promise that was never given ends.
        now: Instant,
    },
    /// Give the promise back if it has expired.
    Expire {
        /// The present.
        now: Instant,
    },
}

/// A change of the units of one variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The variant.
    pub variant_id: Id,
    /// Change of the units counted.
    pub on_hand: i64,
    /// Change of the units promised.
    pub reserved: i64,
}

/// Why units of an order moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Promised.
    Reserved,
    /// Sold.
    Sold,
    /// The promise was given back.
    Released,
    /// The promise ended.
    Expired,
}

impl Reason {
    /// How the reason is written on a movement.
    pub fn text(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Sold => "sold",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }
}

/// One change of a reservation with all that it moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state that it leaves; none when there was no reservation.
    pub from: Option<ReservationState>,
    /// The reservation afterwards.
    pub next: Reservation,
    /// Why the units move.
    pub reason: Reason,
    /// What moves, by variant id.
    pub moves: Vec<Move>,
}

/// Decides on a command, given the reservation as it is. None means that there is nothing to do.
///
/// `shelf` holds the variants of the command, or those of the reservation when it is committed.
pub fn decide(
    present: Option<&Reservation>,
    command: &Command,
    order_id: &Id,
    shelf: &Shelf,
) -> Result<Option<Transition>, CatalogError> {
    use ReservationState::{Committed, Held, Released};
    match (command, present.map(|reservation| (reservation.state, reservation))) {
        (Command::Reserve { lines, expires_at }, None) => promise(order_id, lines, *expires_at, shelf).map(Some),
        (Command::Reserve { .. }, Some((Held | Committed | Released, _))) => Ok(None),

        (Command::Commit, None) => Err(CatalogError::NotFound),
        (Command::Commit, Some((Held, held))) => Ok(Some(change(held, Committed, Reason::Sold, -1, -1))),
        (Command::Commit, Some((Released, released))) => take_again(released, shelf).map(Some),
        (Command::Commit, Some((Committed, _))) => Ok(None),

        // The release came before the reservation, or there never will be one. What stays behind refuses a late one.
        (Command::Release { now }, None) => Ok(Some(Transition {
            from: None,
            next: Reservation { order_id: order_id.clone(), state: Released, lines: Vec::new(), expires_at: *now },
            reason: Reason::Released,
            moves: Vec::new(),
        })),
        (Command::Release { .. }, Some((Held, held))) => Ok(Some(change(held, Released, Reason::Released, 0, -1))),
        (Command::Release { .. }, Some((Released, _))) => Ok(None),
        (Command::Release { .. }, Some((Committed, _))) => Err(CatalogError::Settled),

        (Command::Expire { now }, Some((Held, held))) if held.expires_at <= *now => {
            Ok(Some(change(held, Released, Reason::Expired, 0, -1)))
        }
        (Command::Expire { .. }, Some((Held | Committed | Released, _)) | None) => Ok(None),
    }
}

fn promise(
    order_id: &Id,
    lines: &BTreeMap<Id, u32>,
    expires_at: Instant,
    shelf: &Shelf,
) -> Result<Transition, CatalogError> {
    if lines.keys().any(|variant_id| !shelf.contains_key(variant_id)) {
        return Err(CatalogError::NotFound);
    }
    let shortages: Vec<Shortage> = lines
        .iter()
        .filter_map(|(variant_id, quantity)| {
            let units = &shelf[variant_id];
            // A variant that was deleted after the shopper saw it is sold out, not unheard of.
            let available = match units.offered {
                Offered::Yes => units.available(),
                Offered::No => 0,
            };
            (available < i64::from(*quantity)).then(|| Shortage { variant_id: variant_id.clone(), available })
        })
        .collect();
    if !shortages.is_empty() {
        return Err(CatalogError::OutOfStock(shortages));
    }
    let lines = lines.iter().map(|(id, quantity)| StockLine { variant_id: id.clone(), quantity: *quantity }).collect();
    let held = Reservation { order_id: order_id.clone(), state: ReservationState::Held, lines, expires_at };
    Ok(Transition { from: None, ..change(&held, ReservationState::Held, Reason::Reserved, 0, 1) })
}

// Only what the order once held can be taken again: a release without a reservation promised nothing.
fn take_again(released: &Reservation, shelf: &Shelf) -> Result<Transition, CatalogError> {
    let there = |line: &StockLine| {
        shelf.get(&line.variant_id).is_some_and(|units| units.available() >= i64::from(line.quantity))
    };
    if released.lines.is_empty() || !released.lines.iter().all(there) {
        return Err(CatalogError::Expired);
    }
    Ok(change(released, ReservationState::Committed, Reason::Sold, -1, 0))
}

/// Moves every line: `on_hand` and `reserved` say how often and in which direction its quantity counts.
fn change(present: &Reservation, state: ReservationState, reason: Reason, on_hand: i64, reserved: i64) -> Transition {
    let moves = present.lines.iter().map(|line| {
        let quantity = i64::from(line.quantity);
        Move { variant_id: line.variant_id.clone(), on_hand: on_hand * quantity, reserved: reserved * quantity }
    });
    Transition {
        from: Some(present.state),
        next: Reservation { state, ..present.clone() },
        reason,
        moves: moves.collect(),
    }
}

/// Units of one line that have come back, beside the line itself.
pub type Restocked = BTreeMap<Id, u32>;

/// Decides on putting units back: what moves, by variant id. At most what the order took and has not given back.
pub fn decide_restock(
    present: Option<&Reservation>,
    restocked: &Restocked,
    lines: &[StockLine],
) -> Result<Vec<Move>, CatalogError> {
    let reservation = present.ok_or(CatalogError::NotFound)?;
    let took = |line: &StockLine| match reservation.state {
        ReservationState::Committed => i64::from(line.quantity),
        ReservationState::Held | ReservationState::Released => 0,
    };
    if reservation.state == ReservationState::Released {
        return Err(CatalogError::Settled);
    }
    let mut check = Check::new();
    let mut wanted: BTreeMap<&Id, i64> = BTreeMap::new();
    for (place, line) in lines.iter().enumerate() {
        let Some(taken) = reservation.lines.iter().find(|taken| taken.variant_id == line.variant_id) else {
            check.fail(&format!("/lines/{place}/variant_id"), "unknown", "the order has no such variant");
            continue;
        };
        let units = wanted.entry(&line.variant_id).or_insert(0);
        *units += i64::from(line.quantity);
        let left = took(taken) - i64::from(restocked.get(&line.variant_id).copied().unwrap_or(0));
        if *units > left {
            let detail = format!("at most {left}: what the order took and has not given back");
            check.fail(&format!("/lines/{place}/quantity"), "out_of_range", detail);
        }
    }
    done(check)?;
    Ok(wanted.into_iter().map(|(id, units)| Move { variant_id: id.clone(), on_hand: units, reserved: 0 }).collect())
}

/// Decides on a counted difference; answers the units afterwards.
pub fn decide_adjust(variant_id: &Id, present: Option<&Units>, delta: i64) -> Result<Units, CatalogError> {
    let units = match present {
        Some(units) if units.offered == Offered::Yes => units,
        Some(_) | None => return Err(CatalogError::NotFound),
    };
    let on_hand = units.on_hand.checked_add(delta).filter(|on_hand| *on_hand <= ON_HAND_MAX);
    let Some(on_hand) = on_hand else {
        return Err(invalid("/delta", "out_of_range", format!("at most {ON_HAND_MAX} units are counted")));
    };
    if on_hand < units.reserved {
        let shortage = Shortage { variant_id: variant_id.clone(), available: units.available() };
        return Err(CatalogError::OutOfStock(vec![shortage]));
    }
    Ok(Units { on_hand, ..*units })
}

/// Checks the lines of a command and sums them by variant.
pub fn sum_lines(lines: &[StockLine]) -> Result<BTreeMap<Id, u32>, CatalogError> {
    let mut check = Check::new();
    if lines.is_empty() {
        check.fail("/lines", "required", "at least one line");
    }
    if lines.len() > LINES_MAX {
        check.fail("/lines", "too_long", format!("at most {LINES_MAX} lines"));
    }
    let mut sums: BTreeMap<Id, u32> = BTreeMap::new();
    for (place, line) in lines.iter().enumerate().take(LINES_MAX) {
        check.id(&format!("/lines/{place}/variant_id"), "var", &line.variant_id);
        check.range(&format!("/lines/{place}/quantity"), i64::from(line.quantity), 1, LINE_UNITS_MAX);
        let sum = sums.entry(line.variant_id.clone()).or_insert(0);
        *sum = sum.saturating_add(line.quantity);
    }
    done(check)?;
    Ok(sums)
}

/// Checks how long a promise is to last; answers when it ends.
pub fn expiry(now: Instant, ttl_seconds: u32) -> Result<Instant, CatalogError> {
    if !TTL_SECONDS.contains(&ttl_seconds) {
        let detail = format!("from {} to {} seconds", TTL_SECONDS.start(), TTL_SECONDS.end());
        return Err(invalid("/ttl_seconds", "out_of_range", detail));
    }
    Ok(now + i64::from(ttl_seconds) * 1000)
}

/// Checks the id of an order.
pub fn check_order_id(order_id: &Id) -> Result<(), CatalogError> {
    let mut check = Check::new();
    check.id("/order_id", "ord", order_id);
    done(check)
}

/// Checks an adjustment, whatever there is on the shelf.
pub fn check_adjust(movement_id: &Id, variant_id: &Id, delta: i64, reason: &str) -> Result<(), CatalogError> {
    let mut check = Check::new();
    check_command_id(&mut check, "/movement_id", movement_id);
    check.id("/variant_id", "var", variant_id);
    check.range("/delta", delta, -ON_HAND_MAX, ON_HAND_MAX);
    check.text("/reason", reason, 1, REASON_CHARS_MAX);
    done(check)
}

/// Checks the id of a restocking and sums its lines.
pub fn check_restock(command_id: &Id, order_id: &Id, lines: &[StockLine]) -> Result<(), CatalogError> {
    let mut check = Check::new();
    check_command_id(&mut check, "/command_id", command_id);
    check.id("/order_id", "ord", order_id);
    done(check)?;
    sum_lines(lines).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::called;

    const NOW: Instant = 1_000;

    fn order() -> Id {
        format!("ord_{:032x}", 1)
    }

    /// `none`, `nothing` (a release without a reservation), or a state and the units of one line, expiring at `NOW` unless `held+`.
    fn reservation(text: &str) -> Option<Reservation> {
        let (state, quantity, expires_at) = match text.split_once(' ').unwrap_or((text, "0")) {
            ("none", _) => return None,
            ("nothing", _) => (ReservationState::Released, "0", NOW),
            ("held", quantity) => (ReservationState::Held, quantity, NOW),
            ("held+", quantity) => (ReservationState::Held, quantity, NOW + 1),
            ("committed", quantity) => (ReservationState::Committed, quantity, NOW),
            ("released", quantity) => (ReservationState::Released, quantity, NOW),
            other => panic!("{other:?}"),
        };
        let quantity = quantity.parse().expect("a quantity");
        let line = StockLine { variant_id: "a".to_owned(), quantity };
        let lines = if quantity == 0 { Vec::new() } else { vec![line] };
        Some(Reservation { order_id: order(), state, lines, expires_at })
    }

    /// `gone` never existed; a star behind the units means that the variant was deleted.
    fn shelf(text: &str) -> Shelf {
        if text == "gone" {
            return Shelf::new();
        }
        let offered = if text.ends_with('*') { Offered::No } else { Offered::Yes };
        let (on_hand, reserved) = text.trim_end_matches('*').split_once(' ').expect("two numbers");
        let [on_hand, reserved] = [on_hand, reserved].map(|number| number.parse().expect("units"));
        Shelf::from([("a".to_owned(), Units { on_hand, reserved, offered })])
    }

    fn command(text: &str) -> Command {
        match text.split_once(' ').unwrap_or((text, "")) {
            ("reserve", quantity) => Command::Reserve {
                lines: BTreeMap::from([("a".to_owned(), quantity.parse().expect("a quantity"))]),
                expires_at: NOW + 60_000,
            },
            ("commit", _) => Command::Commit,
            ("release", _) => Command::Release { now: NOW },
            ("expire", _) => Command::Expire { now: NOW },
            other => panic!("{other:?}"),
        }
    }

    fn check(table: &str) {
        for row in table.lines().filter(|line| line.contains('|')).skip(1) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let [present, on_shelf, asked, outcome] = cells[..] else { panic!("four cells: {row}") };
            let decided = decide(reservation(present).as_ref(), &command(asked), &order(), &shelf(on_shelf));
            let said = match decided {
                Ok(None) => "same".to_owned(),
                Ok(Some(transition)) => {
                    assert_eq!(transition.from, reservation(present).map(|present| present.state), "{row}");
                    let moves: Vec<String> =
                        transition.moves.iter().map(|m| format!(" {:+} {:+}", m.on_hand, m.reserved)).collect();
                    format!("{} {:?}{}", called(transition.next.state), transition.reason, moves.concat())
                }
                Err(CatalogError::OutOfStock(short)) => format!("OutOfStock {}", short[0].available),
                Err(error) => called(error),
            };
            assert_eq!(said, outcome, "{row}");
        }
    }

    #[test]
    fn every_reservation_meets_every_command() {
        check(
            "
            reservation | on hand, reserved | command   | outcome
            none        | 5 2               | reserve 3 | Held Reserved +0 +3
            none        | 5 2               | reserve 4 | OutOfStock 3
            none        | 5 2*              | reserve 1 | OutOfStock 0
            none        | gone              | reserve 1 | NotFound
            held 2      | 5 2               | reserve 9 | same
            committed 2 | 3 0               | reserve 1 | same
            released 2  | 5 0               | reserve 1 | same
            nothing     | 5 0               | reserve 1 | same
            none        | 5 0               | commit    | NotFound
            held 2      | 5 2               | commit    | Committed Sold -2 -2
            held+ 2     | 5 2               | commit    | Committed Sold -2 -2
            held 2      | 5 2*              | commit    | Committed Sold -2 -2
            committed 2 | 3 0               | commit    | same
            released 2  | 5 3               | commit    | Committed Sold -2 +0
            released 2  | 5 4               | commit    | Expired
            released 2  | 5 3*              | commit    | Committed Sold -2 +0
            nothing     | 5 0               | commit    | Expired
            none        | 5 0               | release   | Released Released
            held 2      | 5 2               | release   | Released Released +0 -2
            held+ 2     | 5 2*              | release   | Released Released +0 -2
            committed 2 | 3 0               | release   | Settled
            released 2  | 5 0               | release   | same
            nothing     | 5 0               | release   | same
            none        | 5 0               | expire    | same
            held 2      | 5 2               | expire    | Released Expired +0 -2
            held+ 2     | 5 2               | expire    | same
            committed 2 | 3 0               | expire    | same
            released 2  | 5 0               | expire    | same
            nothing     | 5 0               | expire    | same
        ",
        );
    }

    #[test]
    fn no_more_returns_than_was_taken() {
        for (present, back, lines, outcome) in [
            ("none", 0, vec![("a", 1)], "NotFound"),
            ("held 3", 0, vec![("a", 1)], "/lines/0/quantity out_of_range"),
            ("released 3", 0, vec![("a", 1)], "Settled"),
            ("nothing", 0, vec![("a", 1)], "Settled"),
            ("committed 3", 0, vec![("a", 3)], "a +3"),
            ("committed 3", 0, vec![("a", 1), ("a", 2)], "a +3"),
            ("committed 3", 0, vec![("a", 2), ("a", 2)], "/lines/1/quantity out_of_range"),
            ("committed 3", 2, vec![("a", 2)], "/lines/0/quantity out_of_range"),
            ("committed 3", 2, vec![("a", 1)], "a +1"),
            ("committed 3", 0, vec![("b", 1)], "/lines/0/variant_id unknown"),
        ] {
            let lines: Vec<StockLine> =
                lines.iter().map(|&(id, quantity)| StockLine { variant_id: id.to_owned(), quantity }).collect();
            let restocked = Restocked::from([("a".to_owned(), back)]);
            let said = match decide_restock(reservation(present).as_ref(), &restocked, &lines) {
                Ok(moves) => moves.iter().map(|m| format!("{} {:+}", m.variant_id, m.on_hand)).collect(),
                Err(CatalogError::Invalid(errors)) => format!("{} {}", errors[0].pointer, errors[0].code),
                Err(error) => called(error),
            };
            assert_eq!(said, outcome, "{present} {back} {lines:?}");
        }
    }

    #[test]
    fn what_is_promised_stays_promised_when_stock_is_counted() {
        for (on_shelf, delta, outcome) in [
            ("5 2", 3, "8 2"),
            ("5 2", 0, "5 2"),
            ("5 2", -3, "2 2"),
            ("5 2", -4, "OutOfStock 3"),
            ("5 2*", 1, "NotFound"),
            ("gone", 1, "NotFound"),
            ("1000000000 0", 1, "/delta out_of_range"),
            ("5 2", i64::MAX, "/delta out_of_range"),
            ("5 2", i64::MIN, "OutOfStock 3"),
        ] {
            let said = match decide_adjust(&"a".to_owned(), shelf(on_shelf).get("a"), delta) {
                Ok(units) => format!("{} {}", units.on_hand, units.reserved),
                Err(CatalogError::OutOfStock(short)) => format!("OutOfStock {}", short[0].available),
                Err(CatalogError::Invalid(errors)) => format!("{} {}", errors[0].pointer, errors[0].code),
                Err(error) => called(error),
            };
            assert_eq!(said, outcome, "{on_shelf} {delta}");
        }
    }

    #[test]
    fn lines_of_one_variant_are_summed_and_all_that_is_wrong_is_named() {
        let [a, b] = [1, 2].map(|n| format!("var_{n:032x}"));
        let line = |id: &Id, quantity| StockLine { variant_id: id.clone(), quantity };
        let sums = sum_lines(&[line(&b, 1), line(&a, 2), line(&b, 3)]).expect("the lines are fine");
        assert_eq!(sums.into_iter().collect::<Vec<_>>(), [(a.clone(), 2), (b, 4)]);
        let wrong = [line(&a, 0), line(&a, 1_000_000), line(&"x".to_owned(), 1)];
        let Err(CatalogError::Invalid(errors)) = sum_lines(&wrong) else { panic!("the lines are wrong") };
        assert_eq!(errors.len(), 3);
        assert!(matches!(sum_lines(&[]), Err(CatalogError::Invalid(_))));
        let many: Vec<StockLine> = (0..=LINES_MAX).map(|_| line(&a, 1)).collect();
        assert!(matches!(sum_lines(&many), Err(CatalogError::Invalid(_))));
        for (ttl, fine) in [(59, false), (60, true), (86_400, true), (86_401, false)] {
            assert_eq!(expiry(NOW, ttl).is_ok(), fine, "{ttl}");
        }
    }
}
