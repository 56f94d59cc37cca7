//! What others hear of an order: the payloads of its events, as `wit/events.wit` lists their fields.

use serde_json::{Value, json};
use souk_kit::Instant;
use souk_kit::events::NewEvent;
use souk_kit::order::Shipment;

use super::{Line, Order, Units};

/// Room for the lines of a payload, in bytes: an event holds 64 KiB in all.
const LINES_BYTES_MAX: usize = 56 * 1024;

/// Characters that each text of a line keeps when whole texts would be too much.
const SHORT_TEXT_CHARS: usize = 40;

/// What happened to an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// It was confirmed.
    Placed,
    /// It was canceled.
    Canceled,
    /// Money was given back.
    Refunded {
        /// Minor units.
        amount: i64,
        /// Why.
        reason: String,
    },
    /// Units were handed over.
    Shipped {
        /// The parcel.
        shipment: Shipment,
    },
}

/// The event that tells a fact of an order.
pub fn event(order: &Order, fact: &Fact) -> NewEvent {
    let totals = &order.totals;
    let currency = &totals.total.currency;
    let (topic, fields) = match fact {
        Fact::Placed => (
            "order.placed",
            json!({
                "currency": currency,
                "subtotal_minor": totals.subtotal.minor,
                "shipping_minor": totals.shipping.minor,
                "tax_minor": totals.tax.minor,
                "total_minor": totals.total.minor,
                "lines": lines(order, |line| line.item.quantity),
            }),
        ),
        Fact::Canceled => (
            "order.canceled",
            json!({ "currency": currency, "total_minor": totals.total.minor, "reason": order.cancel_reason }),
        ),
        Fact::Refunded { amount, reason } => {
            ("order.refunded", json!({ "currency": currency, "amount_minor": amount, "reason": reason }))
        }
        Fact::Shipped { shipment } => {
            let units: Units = shipment.lines.iter().map(|line| (line.variant_id.clone(), line.quantity)).collect();
            let lines = lines(order, |line| units.get(&line.item.variant_id).copied().unwrap_or(0));
            let (carrier, tracking_number) = (&shipment.carrier, &shipment.tracking_number);
            ("order.shipped", json!({ "carrier": carrier, "tracking_number": tracking_number, "lines": lines }))
        }
    };
    let mut payload = json!({
        "order_id": order.id,
        "number": order.number,
        "access_token": order.access_token,
        "email": order.email,
        "name": order.shipping_address.name,
    });
    if let (Value::Object(payload), Value::Object(fields)) = (&mut payload, fields) {
        payload.extend(fields);
    }
    NewEvent { topic: topic.to_owned(), key: order.id.clone(), payload: payload.to_string(), not_before: None }
}

/// The timer that looks at an order again.
pub fn due(order_id: &str, at: Instant) -> NewEvent {
    let payload = json!({ "order_id": order_id }).to_string();
    NewEvent { topic: "order.checkout-due".to_owned(), key: order_id.to_owned(), payload, not_before: Some(at) }
}

/// The lines of which any units are told, with texts cut short only when an event could not hold them.
fn lines(order: &Order, units: impl Fn(&Line) -> u32) -> Value {
    let whole = cut(order, &units, usize::MAX);
    if whole.to_string().len() <= LINES_BYTES_MAX { whole } else { cut(order, &units, SHORT_TEXT_CHARS) }
}

fn cut(order: &Order, units: &impl Fn(&Line) -> u32, chars: usize) -> Value {
    let short = |text: &str| text.chars().take(chars).collect::<String>();
    let told = order.lines.iter().map(|line| (&line.item, units(line))).filter(|(_, units)| *units > 0);
    told.map(|(item, quantity)| {
        json!({
            "title": short(&item.title),
            "variant_title": short(&item.variant_title),
            "sku": short(&item.sku),
            "quantity": quantity,
            "total_minor": item.unit_price.minor * i64::from(quantity),
        })
    })
    .collect()
}
