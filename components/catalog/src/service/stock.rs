//! Stock: reservations, adjustments and movements.
//!
//! A reservation is recognized by its order, for as long as it is kept: the row itself, and not the memory of
//! batches, makes a repeat harmless.

use crate::values::{CatalogError, MovementPage, Reservation, ReservationState, StockLine, VariantDetail};
use souk_kit::types::{Id, PageRequest};
use souk_kit::{Call, Sql, cursor};

use super::decided;
use crate::domain::invalid;
use crate::domain::stock::{self, Command};
use crate::store::Commit;
use crate::store::stock as store;
use crate::store::stock::Loaded;

/// Orders of one answer to [`reserved_orders`].
const RESERVED_ORDERS_MAX: u32 = 200;

/// Promises stock to an order: all lines or none.
pub fn reserve(
    ports: &impl Sql,
    call: &Call,
    order_id: &Id,
    lines: &[StockLine],
    ttl_seconds: u32,
) -> Result<Reservation, CatalogError> {
    stock::check_order_id(order_id)?;
    let lines = stock::sum_lines(lines)?;
    let expires_at = stock::expiry(call.now, ttl_seconds)?;
    let command = Command::Reserve { lines: lines.clone(), expires_at };
    settle(ports, call, order_id, &command, || store::reservation_and_shelf(ports, order_id, lines.keys()))
}

/// Turns a promise into a sale.
pub fn commit_reservation(ports: &impl Sql, call: &Call, order_id: &Id) -> Result<Reservation, CatalogError> {
    stock::check_order_id(order_id)?;
    settle(ports, call, order_id, &Command::Commit, || store::reservation(ports, order_id))
}

/// Gives a promise back, or makes sure that none will be given.
pub fn release_reservation(ports: &impl Sql, call: &Call, order_id: &Id) -> Result<Reservation, CatalogError> {
    stock::check_order_id(order_id)?;
    settle(ports, call, order_id, &Command::Release { now: call.now }, || store::reservation(ports, order_id))
}

/// Reads what an order holds or held.
pub fn get_reservation(ports: &impl Sql, order_id: &Id) -> Result<Reservation, CatalogError> {
    store::reservation(ports, order_id)?.reservation.ok_or(CatalogError::NotFound)
}

/// Orders that hold or held stock, by id, after this one.
pub fn reserved_orders(ports: &impl Sql, after: &Id, limit: u32) -> Result<Vec<Id>, CatalogError> {
    store::reserved_orders(ports, after, limit.min(RESERVED_ORDERS_MAX))
}

/// Hears that a reservation is due. One that was settled is left alone; one whose time has not come is asked about again.
pub fn reservation_due(ports: &impl Sql, call: &Call, order_id: &Id) -> Result<(), String> {
    let command = Command::Expire { now: call.now };
    let after = decided(|| {
        let loaded = store::reservation(ports, order_id)?;
        match &loaded.reservation {
            None => Ok(Some(None)),
            Some(_) => Ok(change(ports, call, order_id, &command, &loaded)?.map(Some)),
        }
    });
    match after {
        // The sender's clock was ahead of ours. Were this a success, nobody would give the stock back.
        Ok(Some(held)) if held.state == ReservationState::Held => {
            Err(format!("{order_id} is held until {}, and it is {}", held.expires_at, call.now))
        }
        Ok(Some(_) | None) => Ok(()),
        Err(error) => Err(format!("{order_id} could not be released: {error:?}")),
    }
}

fn settle(
    ports: &impl Sql,
    call: &Call,
    order_id: &Id,
    command: &Command,
    load: impl Fn() -> Result<Loaded, CatalogError>,
) -> Result<Reservation, CatalogError> {
    decided(|| change(ports, call, order_id, command, &load()?))
}

/// Decides and commits: the reservation afterwards, or nothing when another writer came first.
fn change(
    ports: &impl Sql,
    call: &Call,
    order_id: &Id,
    command: &Command,
    loaded: &Loaded,
) -> Result<Option<Reservation>, CatalogError> {
    let present = loaded.reservation.as_ref();
    let Some(transition) = stock::decide(present, command, order_id, &loaded.shelf)? else {
        return Ok(Some(present.expect("there is nothing to do only where there is a reservation").clone()));
    };
    match store::change_reservation(ports, &transition, &call.actor(), call.now)? {
        Commit::Done => Ok(Some(transition.next)),
        Commit::Missed => Ok(None),
    }
}

/// Puts units that an order had taken back on the shelf.
pub fn restock(
    ports: &impl Sql,
    call: &Call,
    command_id: &Id,
    order_id: &Id,
    lines: &[StockLine],
) -> Result<(), CatalogError> {
    stock::check_restock(command_id, order_id, lines)?;
    decided(|| {
        let Some(loaded) = store::restocking(ports, command_id, order_id)? else {
            return Ok(Some(())); // this command committed before; only its answer was lost
        };
        let moves = stock::decide_restock(loaded.reservation.as_ref(), &loaded.restocked, lines)?;
        let restocked = store::restock(ports, command_id, order_id, &moves, &call.actor(), call.now)?;
        Ok((restocked == Commit::Done).then_some(()))
    })
}

/// Changes the units counted of one variant by a difference.
pub fn adjust_stock(
    ports: &impl Sql,
    call: &Call,
    movement_id: &Id,
    variant_id: &Id,
    delta: i64,
    reason: &str,
) -> Result<VariantDetail, CatalogError> {
    stock::check_adjust(movement_id, variant_id, delta, reason)?;
    decided(|| {
        let loaded = store::adjusting(ports, movement_id, variant_id)?;
        let before = loaded.variant.as_ref().map(store::units_of);
        match &loaded.moved {
            Some(moved) if *moved != (variant_id.clone(), delta) => return Err(CatalogError::Conflict),
            Some(_) => return loaded.variant.map(Some).ok_or(CatalogError::NotFound),
            None => {}
        }
        let after = stock::decide_adjust(variant_id, before.as_ref(), delta)?;
        let (Some(variant), Some(before)) = (loaded.variant, before) else { return Err(CatalogError::NotFound) };
        let adjustment = store::Adjustment { movement_id, variant_id, before, after, reason };
        let adjusted = store::adjust(ports, &adjustment, &call.actor(), call.now)?;
        Ok((adjusted == Commit::Done).then_some(VariantDetail { on_hand: after.on_hand, ..variant }))
    })
}

/// Movements of one variant, newest first. Those of a deleted variant stay to be seen.
pub fn list_stock_movements(
    ports: &impl Sql,
    variant_id: &Id,
    page: &PageRequest,
) -> Result<MovementPage, CatalogError> {
    let (after, limit) = cursor::decode::<2>(page).map_err(|error| CatalogError::Invalid(vec![error]))?;
    let malformed = || invalid("/cursor", "malformed", "the cursor is not one that this list gave");
    let after = match after {
        Some([at, id]) => Some((at.parse().map_err(|_| malformed())?, id)),
        None => None,
    };
    let limit_and_one = limit + 1;
    let items = store::movements_of(ports, variant_id, after, limit_and_one)?;
    let mut items = items.ok_or(CatalogError::NotFound)?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| more).map(|last| cursor::encode(&[&last.at.to_string(), &last.id]));
    Ok(MovementPage { items, next })
}
