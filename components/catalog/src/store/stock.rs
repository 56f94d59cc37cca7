//! Stock, reservations and movements. Nothing here decides: the guards only refuse what the domain did not foresee.

use crate::values::{CatalogError, Reservation, ReservationState, StockLine, StockMovement, VariantDetail};
use souk_kit::Sql;
use souk_kit::events::NewEvent;
use souk_kit::ids;
use souk_kit::sql::{Cells, Rows, Value, Write, guarded, read, write};
use souk_kit::types::{Id, Instant};

use super::products::{VARIANT, prices_by_variant, variant};
use super::{Commit, IN_LIST_MAX, commit, in_list, insert, query};
use crate::domain::stock::{Move, Offered, Restocked, Shelf, Transition, Units};

/// How a state is written in rows.
fn state_text(state: ReservationState) -> &'static str {
    match state {
        ReservationState::Held => "held",
        ReservationState::Committed => "committed",
        ReservationState::Released => "released",
    }
}

fn state(text: &str) -> ReservationState {
    match text {
        "held" => ReservationState::Held,
        "committed" => ReservationState::Committed,
        "released" => ReservationState::Released,
        other => panic!("a constraint keeps the state from being {other}"),
    }
}

/// A reservation as it is, with what is beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The reservation, if there is one.
    pub reservation: Option<Reservation>,
    /// Units that came back, by variant.
    pub restocked: Restocked,
    /// The shelf of its variants, or of those that were asked for.
    pub shelf: Shelf,
}

const RESERVATION: &str = "SELECT order_id, state, expires_at FROM catalog_reservations WHERE order_id = $1";
const LINES: &str = "SELECT variant_id, quantity, restocked FROM catalog_reservation_lines \
     WHERE order_id = $1 ORDER BY variant_id";

/// Reads the reservation of an order and the shelf of the variants in it: three reads in one snapshot.
pub fn reservation(ports: &impl Sql, order_id: &Id) -> Result<Loaded, CatalogError> {
    let shelf = "SELECT s.variant_id, s.on_hand, s.reserved, s.listed FROM catalog_reservation_lines l \
         JOIN catalog_stock s ON s.variant_id = l.variant_id WHERE l.order_id = $1";
    let id = || vec![Value::from(order_id)];
    let found = query(ports, vec![(RESERVATION, id()), (LINES, id()), (shelf, id())], None)?;
    Ok(loaded(&found.results))
}

/// Orders with a reservation, by id, after this one.
pub fn reserved_orders(ports: &impl Sql, after: &Id, limit: u32) -> Result<Vec<Id>, CatalogError> {
    let sql = "SELECT order_id FROM catalog_reservations WHERE order_id > $1 ORDER BY order_id LIMIT $2";
    let found = query(ports, vec![(sql, vec![after.into(), limit.into()])], None)?;
    Ok(found.results[0].map(|cells| cells.text()))
}

/// Reads the reservation of an order and the shelf of some variants: three or four reads in one snapshot.
pub fn reservation_and_shelf<'a>(
    ports: &impl Sql,
    order_id: &Id,
    variant_ids: impl Iterator<Item = &'a Id>,
) -> Result<Loaded, CatalogError> {
    let mut reads = vec![read(RESERVATION, [order_id.into()]), read(LINES, [order_id.into()])];
    for ids in variant_ids.collect::<Vec<_>>().chunks(IN_LIST_MAX) {
        let mut params = Vec::new();
        let places = in_list(&mut params, ids);
        let sql = "SELECT variant_id, on_hand, reserved, listed FROM catalog_stock WHERE variant_id IN";
        reads.push(read(&format!("{sql} ({places})"), params));
    }
    let found = ports.query(&reads, None).map_err(|error| super::unavailable(&error))?;
    Ok(loaded(&found.results))
}

fn loaded(results: &[Rows]) -> Loaded {
    let lines = results[1].map(|cells| (cells.text(), cells.small(), cells.small()));
    let restocked = lines.iter().map(|(variant_id, _, restocked)| (variant_id.clone(), *restocked)).collect();
    let lines = lines.into_iter().map(|(variant_id, quantity, _)| StockLine { variant_id, quantity }).collect();
    let reservation = results[0].first(|cells| Reservation {
        order_id: cells.text(),
        state: state(cells.str()),
        lines,
        expires_at: cells.integer(),
    });
    let shelf = results[2..].iter().flat_map(|rows| rows.map(|cells| (cells.text(), units(cells)))).collect();
    Loaded { reservation, restocked, shelf }
}

fn units(cells: &mut Cells<'_>) -> Units {
    let (on_hand, reserved) = (cells.integer(), cells.integer());
    Units { on_hand, reserved, offered: if cells.flag() { Offered::Yes } else { Offered::No } }
}

/// Writes one change of a reservation.
///
/// The identity of the batch is the order and the step, and for a new reservation what it says: of two that differ,
/// the one that comes second misses the guard and reads what there is.
pub fn change_reservation(
    ports: &impl Sql,
    transition: &Transition,
    actor: &str,
    now: Instant,
) -> Result<Commit, CatalogError> {
    let Reservation { order_id, state, lines, expires_at } = &transition.next;
    let mut writes = Vec::new();
    let mut events = Vec::new();
    let batch_id = match transition.from {
        None => {
            writes.push(guarded(
                "INSERT INTO catalog_reservations (order_id, state, expires_at) VALUES ($1, $2, $3) \
                 ON CONFLICT (order_id) DO NOTHING",
                [order_id.into(), state_text(*state).into(), (*expires_at).into()],
            ));
            if *state == ReservationState::Held {
                events.push(due(order_id, *expires_at));
            }
            format!("reservation/{order_id}/none/{}", digest(&transition.next))
        }
        Some(from) => {
            writes.push(guarded(
                "UPDATE catalog_reservations SET state = $1 WHERE order_id = $2 AND state = $3",
                [state_text(*state).into(), order_id.into(), state_text(from).into()],
            ));
            format!("reservation/{order_id}/{}/{}", state_text(from), state_text(*state))
        }
    };
    // Only what is promised anew must still be offered; what was promised settles in any case.
    let offered = if transition.from.is_none() { Offered::Yes } else { Offered::No };
    writes.extend(moved(&transition.moves, offered));
    if transition.from.is_none() {
        let rows = lines
            .iter()
            .map(|line| vec![order_id.into(), (&line.variant_id).into(), line.quantity.into(), 0u32.into()]);
        let into = "catalog_reservation_lines (order_id, variant_id, quantity, restocked)";
        writes.extend(insert(into, "", rows.collect()));
    }
    let reason = transition.reason.text();
    // A variant moves at most once for each state that its order's reservation comes to.
    let id = |_, moved: &Move| ids::derive("mov", &[order_id, state_text(*state), &moved.variant_id]);
    writes.extend(movements(&transition.moves, id, reason, order_id, actor, now));
    commit(ports, batch_id, writes, events)
}

fn digest(reservation: &Reservation) -> String {
    let lines: Vec<_> = reservation.lines.iter().map(|line| (&line.variant_id, line.quantity)).collect();
    let content = (state_text(reservation.state), reservation.expires_at, lines);
    ids::digest(&[&super::to_json(&content)])
}

/// The timer that gives back what nobody settled.
fn due(order_id: &Id, expires_at: Instant) -> NewEvent {
    NewEvent {
        topic: "catalog.reservation-due".to_owned(),
        key: order_id.clone(),
        payload: serde_json::json!({ "order_id": order_id }).to_string(),
        not_before: Some(expires_at),
    }
}

/// Moves units, variant by variant in the order of their ids, so that two batches never wait for each other.
///
/// The guard is the invariant of the table, whatever moves in whichever direction.
fn moved(moves: &[Move], offered: Offered) -> Vec<Write> {
    let listed = match offered {
        Offered::Yes => 1u32,
        Offered::No => 0,
    };
    let stock = moves.iter().map(|moved| {
        guarded(
            "UPDATE catalog_stock SET on_hand = on_hand + $1, reserved = reserved + $2 WHERE variant_id = $3 \
             AND reserved + $2 >= 0 AND on_hand + $1 >= reserved + $2 AND listed >= $4",
            [moved.on_hand.into(), moved.reserved.into(), (&moved.variant_id).into(), listed.into()],
        )
    });
    let available = moves.iter().filter(|moved| moved.on_hand != moved.reserved).map(|moved| {
        let delta = moved.on_hand - moved.reserved;
        list_available(&moved.variant_id, delta)
    });
    stock.chain(available).collect()
}

/// Tells lists what is available. A variant that was deleted counts in none.
fn list_available(variant_id: &Id, delta: i64) -> Write {
    write(
        "UPDATE catalog_listings SET available = available + $1 WHERE product_id = \
         (SELECT s.product_id FROM catalog_stock s WHERE s.variant_id = $2 AND s.listed = 1)",
        [delta.into(), variant_id.into()],
    )
}

fn movements(
    moves: &[Move],
    id: impl Fn(usize, &Move) -> Id,
    reason: &str,
    order_id: &str,
    actor: &str,
    now: Instant,
) -> Vec<Write> {
    let rows = moves.iter().enumerate().map(|(place, moved)| {
        vec![
            id(place, moved).into(),
            (&moved.variant_id).into(),
            moved.on_hand.into(),
            moved.reserved.into(),
            reason.into(),
            order_id.into(),
            actor.into(),
            now.into(),
        ]
    });
    let into = "catalog_movements (id, variant_id, on_hand_delta, reserved_delta, reason, order_id, actor, moved_at)";
    insert(into, " ON CONFLICT (id) DO NOTHING", rows.collect())
}

/// The identity of one movement of a restocking. By the first, a repeat is recognized as long as movements are kept.
fn restock_id(command_id: &Id, place: usize) -> Id {
    ids::derive("mov", &["restock", command_id, &place.to_string()])
}

/// Reads what a restocking needs: three reads in one snapshot. None when this command committed before.
pub fn restocking(ports: &impl Sql, command_id: &Id, order_id: &Id) -> Result<Option<Loaded>, CatalogError> {
    let moved = "SELECT id FROM catalog_movements WHERE id = $1";
    let id = || vec![Value::from(order_id)];
    let first = vec![restock_id(command_id, 0).into()];
    let found = query(ports, vec![(RESERVATION, id()), (LINES, id()), (moved, first)], None)?;
    let is_done = !found.results[2].packed.is_empty();
    Ok((!is_done).then(|| loaded(&found.results[..2])))
}

/// Puts units of an order back on the shelf.
pub fn restock(
    ports: &impl Sql,
    command_id: &Id,
    order_id: &Id,
    moves: &[Move],
    actor: &str,
    now: Instant,
) -> Result<Commit, CatalogError> {
    let mut writes: Vec<Write> = moves
        .iter()
        .map(|moved| {
            guarded(
                "UPDATE catalog_reservation_lines SET restocked = restocked + $1 \
                 WHERE order_id = $2 AND variant_id = $3 AND restocked + $1 <= quantity",
                [moved.on_hand.into(), order_id.into(), (&moved.variant_id).into()],
            )
        })
        .collect();
    writes.extend(moved(moves, Offered::No));
    writes.extend(movements(moves, |place, _| restock_id(command_id, place), "returned", order_id, actor, now));
    commit(ports, format!("restock/{command_id}"), writes, Vec::new())
}

/// What an adjustment needs to know.
#[derive(Clone, Debug)]
pub struct Adjusting {
    /// The variant with its stock; none when there is no such variant or it was deleted.
    pub variant: Option<VariantDetail>,
    /// The variant and difference of the movement that has the command's id already.
    pub moved: Option<(Id, i64)>,
}

/// Reads what an adjustment needs: three reads in one snapshot.
pub fn adjusting(ports: &impl Sql, movement_id: &Id, variant_id: &Id) -> Result<Adjusting, CatalogError> {
    let variants = format!(
        "SELECT {VARIANT} FROM catalog_variants v JOIN catalog_stock s ON s.variant_id = v.id \
         WHERE v.id = $1 AND v.deleted_at IS NULL"
    );
    let prices =
        "SELECT variant_id, currency, minor FROM catalog_variant_prices WHERE variant_id = $1 ORDER BY currency";
    let moved = "SELECT variant_id, on_hand_delta FROM catalog_movements WHERE id = $1";
    let id = || vec![Value::from(variant_id)];
    let found = query(ports, vec![(&variants, id()), (prices, id()), (moved, vec![movement_id.into()])], None)?;
    let mut prices = prices_by_variant(&found.results[1]);
    Ok(Adjusting {
        variant: found.results[0].first(|cells| variant(cells, &mut prices)),
        moved: found.results[2].first(|cells| (cells.text(), cells.integer())),
    })
}

/// One adjustment, decided.
#[derive(Clone, Copy, Debug)]
pub struct Adjustment<'a> {
    /// The identity of the command and of its movement.
    pub movement_id: &'a Id,
    /// The variant.
    pub variant_id: &'a Id,
    /// Units as they were read.
    pub before: Units,
    /// Units afterwards.
    pub after: Units,
    /// The merchant's word for it.
    pub reason: &'a str,
}

/// Writes an adjustment, if the units are still those that were read: the event says what they are afterwards.
pub fn adjust(
    ports: &impl Sql,
    adjustment: &Adjustment<'_>,
    actor: &str,
    now: Instant,
) -> Result<Commit, CatalogError> {
    let Adjustment { movement_id, variant_id, before, after, reason } = *adjustment;
    let delta = after.on_hand - before.on_hand;
    let mut writes = vec![
        guarded(
            "UPDATE catalog_stock SET on_hand = $1 WHERE variant_id = $2 AND on_hand = $3 AND reserved = $4 AND listed = 1",
            [after.on_hand.into(), variant_id.into(), before.on_hand.into(), before.reserved.into()],
        ),
        list_available(variant_id, delta),
    ];
    let moves = [Move { variant_id: variant_id.clone(), on_hand: delta, reserved: 0 }];
    writes.extend(movements(&moves, |_, _| movement_id.clone(), reason, "", actor, now));
    let changed = NewEvent {
        topic: "catalog.stock-changed".to_owned(),
        key: variant_id.clone(),
        payload: serde_json::json!({
            "variant_id": variant_id, "on_hand": after.on_hand, "reserved": after.reserved,
        })
        .to_string(),
        not_before: None,
    };
    // A command with the same id that says something else is another batch, which misses the guard of the movement.
    commit(ports, format!("adjust-stock/{movement_id}/{variant_id}/{delta}"), writes, vec![changed])
}

/// A page of movements of a variant, newest first, after an instant and id; none when there never was such a variant.
pub fn movements_of(
    ports: &impl Sql,
    variant_id: &Id,
    after: Option<(Instant, String)>,
    limit: u32,
) -> Result<Option<Vec<StockMovement>>, CatalogError> {
    let columns = "SELECT id, variant_id, on_hand_delta, reserved_delta, reason, order_id, actor, moved_at \
         FROM catalog_movements WHERE variant_id = $1";
    let order = "ORDER BY moved_at DESC, id DESC LIMIT";
    let (sql, params) = match after {
        None => (format!("{columns} {order} $2"), vec![variant_id.into(), limit.into()]),
        Some((at, id)) => (
            format!("{columns} AND (moved_at, id) < ($2, $3) {order} $4"),
            vec![variant_id.into(), at.into(), id.into(), limit.into()],
        ),
    };
    let known = "SELECT variant_id FROM catalog_stock WHERE variant_id = $1";
    let found = query(ports, vec![(known, vec![variant_id.into()]), (&sql, params)], None)?;
    if found.results[0].packed.is_empty() {
        return Ok(None);
    }
    Ok(Some(found.results[1].map(|cells| StockMovement {
        id: cells.text(),
        variant_id: cells.text(),
        on_hand_delta: cells.integer(),
        reserved_delta: cells.integer(),
        reason: cells.text(),
        order_id: cells.text(),
        actor: cells.text(),
        at: cells.integer(),
    })))
}

/// How a variant's units look to the domain.
pub fn units_of(variant: &VariantDetail) -> Units {
    Units { on_hand: variant.on_hand, reserved: variant.reserved, offered: Offered::Yes }
}
