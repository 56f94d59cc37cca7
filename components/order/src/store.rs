//! The tables of orders: the only SQL. What a row means is in [`rows`].

mod rows;

use rows::{
    address_json, capture_text, command_of, json, line_of, order_of, outcome_cells, payment_state_text, shipment_of,
    stage_text, summary_of,
};
use souk_kit::events::NewEvent;
use souk_kit::order::{OrderState, OrderSummary, Shipment, TimelineEntry};
use souk_kit::sql::{Batch, SqlError, Value, Write, guarded, read, write};
use souk_kit::{Id, Instant, Sql, ids};

use crate::domain::decide::{Change, CommandChange};
use crate::domain::task::{CommandRecord, OpenCommand, Outcome};
use crate::domain::{Order, Units, facts};

/// Most timeline entries that are read.
const TIMELINE_ENTRIES_MAX: u32 = 500;

/// The columns of [`order_of`], in its order.
macro_rules! order_columns {
    () => {
        "id, number, access_token, user_id, cart_id, cart_version, email, placement, stage, currency, \
         subtotal, shipping, tax, total, shipping_method, shipping_address, billing_address, payment_provider, \
         payment_token, return_url, capture, payment_state, authorized, captured, refunded, action_url, \
         decline_code, decline_message, cancel_reason, announce, placed_at, confirmed_at, canceled_at, version"
    };
}

/// The columns of [`summary_of`], in its order, of orders after a place in the list and in a stage or any.
macro_rules! summary_columns {
    () => {
        "SELECT id, number, email, stage, currency, total, units, fulfilled, withdrawn, payment_state, authorized, \
         captured, refunded, placed_at FROM order_orders \
         WHERE (placed_at, id) < ($1, $2) AND (stage = $3 OR stage = $4 OR CAST($5 AS BIGINT) = 1) "
    };
}

const ORDER: &str = concat!("SELECT ", order_columns!(), " FROM order_orders WHERE id = $1");
const LINES: &str = "SELECT variant_id, product_id, title, variant_title, sku, image_url, quantity, unit_minor, \
    total_minor, tax_minor, fulfilled, withdrawn, returned FROM order_lines WHERE order_id = $1 ORDER BY place";
const SHIPMENTS: &str =
    "SELECT id, units, carrier, tracking_number, at FROM order_shipments WHERE order_id = $1 ORDER BY place";
const COMMANDS: &str = "SELECT id, digest, task, state, refusal, opened_at FROM order_commands \
    WHERE order_id = $1 AND (state = 'open' OR id = $2)";
const ACTIVE_FOR_CART: &str = "SELECT id FROM order_orders WHERE cart_id = $1 AND stage <> 'canceled'";

/// What one round trip tells of an order.
pub struct Loaded {
    /// The order.
    pub order: Order,
    /// The command that was asked about, if it was given before.
    pub command: Option<CommandRecord>,
}

/// Reads an order, and what became of a command on it.
pub fn load(ports: &impl Sql, order_id: &str, command_id: Option<&str>) -> Result<Option<Loaded>, SqlError> {
    let id = || vec![Value::from(order_id)];
    let reads = [
        read(ORDER, id()),
        read(LINES, id()),
        read(SHIPMENTS, id()),
        read(COMMANDS, [order_id.into(), command_id.unwrap_or_default().into()]),
    ];
    let results = ports.query(&reads, None)?.results;
    let Some(mut order) = results[0].first(order_of) else { return Ok(None) };
    let currency = order.totals.total.currency.clone();
    order.lines = results[1].map(|cells| line_of(cells, &currency));
    order.shipments = results[2].map(shipment_of);
    let commands = results[3].map(command_of);
    order.open = commands.iter().find(|command| command.outcome == Outcome::Open).map(|command| OpenCommand {
        id: command.id.clone(),
        task: command.task.clone(),
        opened_at: command.opened_at,
    });
    let command = commands.into_iter().find(|command| Some(command.id.as_str()) == command_id);
    Ok(Some(Loaded { order, command }))
}

/// What stands in the way of placing an order: whether its id is taken, and the order that the cart has already.
pub fn taken(ports: &impl Sql, order_id: &str, cart_id: &str) -> Result<(bool, Option<Id>), SqlError> {
    let reads =
        [read("SELECT id FROM order_orders WHERE id = $1", [order_id.into()]), read(ACTIVE_FOR_CART, [cart_id.into()])];
    let results = ports.query(&reads, None)?.results;
    let mut ids = results.iter().map(|rows| rows.first(|cells| cells.text()));
    Ok((ids.next().flatten().is_some(), ids.next().flatten()))
}

/// The id of the order with this number or id.
pub fn find(ports: &impl Sql, number: &str) -> Result<Option<Id>, SqlError> {
    let reads = [read("SELECT id FROM order_orders WHERE number = $1 OR id = $1", [number.into()])];
    Ok(ports.query(&reads, None)?.results[0].first(|cells| cells.text()))
}

/// Which orders a page holds.
pub struct Filter<'a> {
    /// Of this user; none for all.
    pub user_id: Option<&'a str>,
    /// In this state; none for all.
    pub state: Option<OrderState>,
    /// Starts of a number or an e-mail address, as they are compared; empty for all.
    pub search: &'a str,
    /// The last order of the page before.
    pub after: Option<(Instant, Id)>,
    /// Orders wanted.
    pub limit: u32,
}

/// Reads summaries, newest first.
pub fn list(ports: &impl Sql, filter: Filter<'_>) -> Result<Vec<OrderSummary>, SqlError> {
    // Two stages can look the same from outside; without a filter every stage passes.
    let (stage, other, any) = match filter.state {
        None => ("", "", 1i64),
        Some(OrderState::Pending) => ("pending", "giving_up", 0),
        Some(OrderState::AwaitingAction) => ("awaiting_action", "", 0),
        Some(OrderState::Confirmed) => ("confirmed", "canceling", 0),
        Some(OrderState::Completed) => ("completed", "", 0),
        Some(OrderState::Canceled) => ("canceled", "", 0),
    };
    // `~` sorts after every id, so the first page starts before everything.
    let (at, id) = filter.after.unwrap_or_else(|| (Instant::MAX, "~".to_owned()));
    let mut params: Vec<Value> = vec![at.into(), id.into(), stage.into(), other.into(), any.into()];
    let (number, email) = (filter.search.to_uppercase(), filter.search.to_lowercase());
    let starts = [&number, &email].map(|start| [Value::from(start), Value::from(format!("{start}\u{10ffff}"))]);
    let sql = match (filter.search, filter.user_id) {
        ("", None) => concat!(summary_columns!(), "ORDER BY placed_at DESC, id DESC LIMIT $6"),
        ("", Some(user)) => {
            params.push(user.into());
            concat!(summary_columns!(), "AND user_id = $6 ORDER BY placed_at DESC, id DESC LIMIT $7")
        }
        (_, None) => {
            params.extend(starts.into_iter().flatten());
            concat!(
                summary_columns!(),
                "AND ((number >= $6 AND number < $7) OR (email_key >= $8 AND email_key < $9)) \
                 ORDER BY placed_at DESC, id DESC LIMIT $10"
            )
        }
        (_, Some(user)) => {
            params.extend(starts.into_iter().flatten().chain([user.into()]));
            concat!(
                summary_columns!(),
                "AND ((number >= $6 AND number < $7) OR (email_key >= $8 AND email_key < $9)) AND user_id = $10 \
                 ORDER BY placed_at DESC, id DESC LIMIT $11"
            )
        }
    };
    params.push(filter.limit.into());
    Ok(ports.query(&[read(sql, params)], None)?.results[0].map(summary_of))
}

/// Ids of orders after `after`, in their order.
pub fn ids_after(ports: &impl Sql, after: &str, limit: u32) -> Result<Vec<Id>, SqlError> {
    let sql = "SELECT id FROM order_orders WHERE id > $1 ORDER BY id LIMIT $2";
    Ok(ports.query(&[read(sql, [after.into(), limit.into()])], None)?.results[0].map(|cells| cells.text()))
}

/// Those of some ids that no order has.
pub fn unknown(ports: &impl Sql, ids: Vec<Id>) -> Result<Vec<Id>, SqlError> {
    let places: Vec<String> = (1..=ids.len()).map(|place| format!("${place}")).collect();
    let sql = format!("SELECT id FROM order_orders WHERE id IN ({})", places.join(", "));
    let params: Vec<_> = ids.iter().map(Into::into).collect();
    let known: Vec<Id> = ports.query(&[read(&sql, params)], None)?.results[0].map(|cells| cells.text());
    Ok(ids.into_iter().filter(|id| !known.contains(id)).collect())
}

/// The sums of units that a row keeps beside its lines.
pub fn sums(ports: &impl Sql, order_id: &str) -> Result<Option<(u32, u32, u32)>, SqlError> {
    let sql = "SELECT units, fulfilled, withdrawn FROM order_orders WHERE id = $1";
    let results = ports.query(&[read(sql, [order_id.into()])], None)?.results;
    Ok(results[0].first(|cells| (cells.small(), cells.small(), cells.small())))
}

/// Reads the timeline, oldest first.
pub fn timeline(ports: &impl Sql, order_id: &str) -> Result<Vec<TimelineEntry>, SqlError> {
    let sql = "SELECT kind, detail, actor, at FROM order_timeline WHERE order_id = $1 \
        ORDER BY version, place LIMIT $2";
    let results = ports.query(&[read(sql, [order_id.into(), TIMELINE_ENTRIES_MAX.into()])], None)?.results;
    Ok(results[0].map(|cells| TimelineEntry {
        kind: cells.text(),
        detail: cells.text(),
        actor: cells.text(),
        at: cells.integer(),
    }))
}

/// Stores a new order and gives it its number. A missed guard means that its id or its cart is taken.
pub fn place(ports: &impl Sql, order: &Order, actor: &str, due_at: Instant) -> Result<(), SqlError> {
    let (units, fulfilled, withdrawn) = order.units();
    let totals = &order.totals;
    let mut writes = vec![
        guarded("UPDATE order_counters SET value = value + 1 WHERE name = 'number'", []),
        guarded(
            "INSERT INTO order_orders (number, id, access_token, user_id, cart_id, cart_version, email, email_key, \
             placement, stage, currency, subtotal, shipping, tax, total, units, fulfilled, withdrawn, \
             shipping_method, shipping_address, billing_address, payment_provider, payment_token, return_url, \
             capture, authorized, captured, refunded, action_url, cancel_reason, announce, placed_at, version) \
             VALUES ((SELECT 'S-' || CAST(value AS TEXT) FROM order_counters WHERE name = 'number'), \
             $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, \
             $23, $24, 0, 0, 0, '', '', 0, $25, $26) ON CONFLICT DO NOTHING",
            [
                (&order.id).into(),
                (&order.access_token).into(),
                order.user_id.as_deref().into(),
                (&order.cart_id).into(),
                order.cart_version.into(),
                (&order.email).into(),
                order.email.to_lowercase().into(),
                (&order.placement).into(),
                stage_text(order.stage).into(),
                (&totals.total.currency).into(),
                totals.subtotal.minor.into(),
                totals.shipping.minor.into(),
                totals.tax.minor.into(),
                totals.total.minor.into(),
                units.into(),
                fulfilled.into(),
                withdrawn.into(),
                (&order.shipping_method).into(),
                address_json(&order.shipping_address).into(),
                address_json(&order.billing_address).into(),
                (&order.payment_provider).into(),
                (&order.payment_token).into(),
                (&order.return_url).into(),
                capture_text(order.capture).into(),
                order.placed_at.into(),
                order.version.into(),
            ],
        ),
    ];
    for (place, line) in order.lines.iter().enumerate() {
        let item = &line.item;
        writes.push(guarded(
            "INSERT INTO order_lines (order_id, variant_id, place, product_id, title, variant_title, sku, image_url, \
             quantity, unit_minor, total_minor, tax_minor, fulfilled, withdrawn, returned) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, 0, 0)",
            [
                (&order.id).into(),
                (&item.variant_id).into(),
                (place as u64).into(),
                (&item.product_id).into(),
                (&item.title).into(),
                (&item.variant_title).into(),
                (&item.sku).into(),
                (&item.image_url).into(),
                item.quantity.into(),
                item.unit_price.minor.into(),
                item.total.minor.into(),
                item.tax.minor.into(),
            ],
        ));
    }
    writes.push(entry(order, 0, "placed", "", actor, order.placed_at));
    let events = vec![facts::due(&order.id, due_at)];
    ports.commit(&Batch { id: format!("{}/place", order.id), writes, events }).map(|_| ())
}

/// Who changes an order, when, and when it is to be looked at again.
pub struct Cause<'a> {
    /// Names the step; with the order, the version that it replaces and what is decided it names the batch.
    pub step: &'a str,
    /// Who acts.
    pub actor: &'a str,
    /// When.
    pub now: Instant,
    /// When a timer is to look at the order again; none when one is set already or nothing is left to do.
    pub due_at: Option<Instant>,
}

/// Stores a change of an order, if `before` is still the present one. The guard on its version is what decides between two
/// that race.
pub fn save(ports: &impl Sql, before: &Order, change: &Change, cause: &Cause<'_>) -> Result<(), SqlError> {
    let order = &change.next;
    let (_, fulfilled, withdrawn) = order.units();
    let funds = &order.funds;
    let mut writes = vec![guarded(
        "UPDATE order_orders SET stage = $1, fulfilled = $2, withdrawn = $3, payment_token = $4, payment_state = $5, \
         authorized = $6, captured = $7, refunded = $8, action_url = $9, decline_code = $10, decline_message = $11, \
         cancel_reason = $12, announce = $13, confirmed_at = $14, canceled_at = $15, version = $16 \
         WHERE id = $17 AND version = $18",
        [
            stage_text(order.stage).into(),
            fulfilled.into(),
            withdrawn.into(),
            (&order.payment_token).into(),
            funds.state.map(payment_state_text).into(),
            funds.authorized.into(),
            funds.captured.into(),
            funds.refunded.into(),
            (&order.action_url).into(),
            order.decline.as_ref().map(|decline| decline.code.as_str()).into(),
            order.decline.as_ref().map(|decline| decline.message.as_str()).into(),
            (&order.cancel_reason).into(),
            order.announce.into(),
            order.confirmed_at.into(),
            order.canceled_at.into(),
            order.version.into(),
            (&order.id).into(),
            before.version.into(),
        ],
    )];
    let changed = order.lines.iter().zip(&before.lines).filter(|(line, before)| line != before);
    writes.extend(changed.map(|(line, _)| {
        guarded(
            "UPDATE order_lines SET fulfilled = $1, withdrawn = $2, returned = $3 \
             WHERE order_id = $4 AND variant_id = $5",
            [
                line.item.fulfilled.into(),
                line.withdrawn.into(),
                line.returned.into(),
                (&order.id).into(),
                (&line.item.variant_id).into(),
            ],
        )
    }));
    let shipments = order.shipments.iter().enumerate().skip(before.shipments.len());
    writes.extend(shipments.map(|(place, shipment)| insert_shipment(&order.id, place as u64, shipment)));
    writes.extend(change.command.as_ref().map(|command| write_command(&order.id, command, cause.now)));
    let entries = change.entries.iter().enumerate();
    writes.extend(entries.map(|(at, (kind, detail))| entry(order, at as u64, kind, detail, cause.actor, cause.now)));
    let mut events: Vec<NewEvent> = change.facts.iter().map(|fact| facts::event(order, fact)).collect();
    events.extend(cause.due_at.map(|at| facts::due(&order.id, at)));
    // What is decided is in the id: two that decide otherwise at the same version are two batches, and one misses.
    let decided = ids::digest(&[&format!("{change:?}")]);
    let id = format!("{}/{}/{}/{}", order.id, before.version, cause.step, &decided[..32]);
    ports.commit(&Batch { id, writes, events }).map(|_| ())
}

/// Sets the next timer of an order. `cause` names what asked for it.
pub fn look_again(ports: &impl Sql, order_id: &str, cause: &str, at: Instant) -> Result<(), SqlError> {
    let batch =
        Batch { id: format!("{order_id}/due/{cause}"), writes: Vec::new(), events: vec![facts::due(order_id, at)] };
    ports.commit(&batch).map(|_| ())
}

fn entry(order: &Order, place: u64, kind: &str, detail: &str, actor: &str, now: Instant) -> Write {
    write(
        "INSERT INTO order_timeline (order_id, version, place, kind, detail, actor, at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        [(&order.id).into(), order.version.into(), place.into(), kind.into(), detail.into(), actor.into(), now.into()],
    )
}

fn insert_shipment(order_id: &str, place: u64, shipment: &Shipment) -> Write {
    let units: Units = shipment.lines.iter().map(|line| (line.variant_id.clone(), line.quantity)).collect();
    guarded(
        "INSERT INTO order_shipments (order_id, id, place, units, carrier, tracking_number, at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        [
            order_id.into(),
            (&shipment.id).into(),
            place.into(),
            json(&units).into(),
            (&shipment.carrier).into(),
            (&shipment.tracking_number).into(),
            shipment.at.into(),
        ],
    )
}

fn write_command(order_id: &str, change: &CommandChange, now: Instant) -> Write {
    match change {
        CommandChange::Accepted { id, digest, task, outcome } => {
            let (state, refusal) = outcome_cells(outcome);
            guarded(
                "INSERT INTO order_commands (order_id, id, digest, task, state, refusal, opened_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
                [
                    order_id.into(),
                    id.into(),
                    digest.into(),
                    json(task).into(),
                    state.into(),
                    refusal.into(),
                    now.into(),
                ],
            )
        }
        CommandChange::Ended { id, outcome } => {
            let (state, refusal) = outcome_cells(outcome);
            guarded(
                "UPDATE order_commands SET state = $1, refusal = $2 WHERE order_id = $3 AND id = $4 AND state = 'open'",
                [state.into(), refusal.into(), order_id.into(), id.into()],
            )
        }
    }
}
