//! What a row means: cells to values and back.

use serde::{Deserialize, Serialize};
use souk_kit::order::{FulfillmentLine, OrderLine, OrderSummary, Shipment, Totals};
use souk_kit::payment::PaymentState;
use souk_kit::payment_extension::{CapturePolicy, Decline};
use souk_kit::sql::Cells;
use souk_kit::{Address, Money};

use crate::domain::task::{CommandRecord, Outcome, Outside, Task};
use crate::domain::{Funds, Line, Order, Stage, Units, fulfillment_status, payment_status};

/// An order without its lines, parcels and commands.
pub(super) fn order_of(cells: &mut Cells<'_>) -> Order {
    let (id, number, access_token, user_id) = (cells.text(), cells.text(), cells.text(), cells.optional_text());
    let (cart_id, cart_version, email, placement) = (cells.text(), cells.count(), cells.text(), cells.text());
    let stage = stage_of(cells.str());
    let currency = cells.text();
    let mut amount = || Money::new(cells.integer(), &currency);
    let totals = Totals { subtotal: amount(), shipping: amount(), tax: amount(), total: amount() };
    Order {
        id,
        number,
        access_token,
        user_id,
        cart_id,
        cart_version,
        email,
        placement,
        stage,
        lines: Vec::new(),
        totals,
        shipping_method: cells.text(),
        shipping_address: address_of(cells.str()),
        billing_address: address_of(cells.str()),
        payment_provider: cells.text(),
        payment_token: cells.text(),
        return_url: cells.text(),
        capture: capture_of(cells.str()),
        funds: funds_of(cells),
        action_url: cells.text(),
        decline: match (cells.optional_text(), cells.optional_text()) {
            (Some(code), Some(message)) => Some(Decline { code, message }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => panic!("a decline has both a code and a message"),
        },
        cancel_reason: cells.text(),
        announce: cells.flag(),
        shipments: Vec::new(),
        open: None,
        placed_at: cells.integer(),
        confirmed_at: cells.optional_integer(),
        canceled_at: cells.optional_integer(),
        version: cells.count(),
    }
}

fn funds_of(cells: &mut Cells<'_>) -> Funds {
    Funds {
        state: cells.optional_text().as_deref().map(payment_state_of),
        authorized: cells.integer(),
        captured: cells.integer(),
        refunded: cells.integer(),
    }
}

/// A line.
pub(super) fn line_of(cells: &mut Cells<'_>, currency: &str) -> Line {
    let (variant_id, product_id, title, variant_title) = (cells.text(), cells.text(), cells.text(), cells.text());
    let (sku, image_url, quantity) = (cells.text(), cells.text(), cells.small());
    let mut amount = || Money::new(cells.integer(), currency);
    let (unit_price, total, tax) = (amount(), amount(), amount());
    let fulfilled = cells.small();
    let item = OrderLine {
        variant_id,
        product_id,
        title,
        variant_title,
        sku,
        image_url,
        quantity,
        fulfilled,
        unit_price,
        total,
        tax,
    };
    Line { item, withdrawn: cells.small(), returned: cells.small() }
}

/// A parcel.
pub(super) fn shipment_of(cells: &mut Cells<'_>) -> Shipment {
    let id = cells.text();
    let units: Units = from_json(cells.str());
    let lines = units.into_iter().map(|(variant_id, quantity)| FulfillmentLine { variant_id, quantity }).collect();
    Shipment { id, lines, carrier: cells.text(), tracking_number: cells.text(), at: cells.integer() }
}

/// A command.
pub(super) fn command_of(cells: &mut Cells<'_>) -> CommandRecord {
    let (id, digest) = (cells.text(), cells.text());
    let task: Task = from_json(cells.str());
    let outcome = match (cells.text().as_str(), cells.optional_text()) {
        ("open", None) => Outcome::Open,
        ("done", None) => Outcome::Done,
        ("refused", Some(refusal)) => Outcome::Refused(from_json::<Outside>(&refusal)),
        (state, refusal) => panic!("a command is not {state} with {refusal:?}"),
    };
    CommandRecord { id, digest, task, outcome, opened_at: cells.integer() }
}

/// An order in a list.
pub(super) fn summary_of(cells: &mut Cells<'_>) -> OrderSummary {
    let (id, number, email) = (cells.text(), cells.text(), cells.text());
    let stage = stage_of(cells.str());
    let currency = cells.text();
    let total = cells.integer();
    let (units, fulfilled, withdrawn) = (cells.small(), cells.small(), cells.small());
    let funds = funds_of(cells);
    OrderSummary {
        id,
        number,
        email,
        state: stage.state(),
        payment_status: payment_status(stage, total, &funds),
        fulfillment_status: fulfillment_status(units, fulfilled, withdrawn),
        total: Money::new(total, &currency),
        units,
        placed_at: cells.integer(),
    }
}

/// How a command ended: its state, and why it was refused.
pub(super) fn outcome_cells(outcome: &Outcome) -> (&'static str, Option<String>) {
    match outcome {
        Outcome::Open => ("open", None),
        Outcome::Done => ("done", None),
        Outcome::Refused(outside) => ("refused", Some(json(outside))),
    }
}

/// A stage, as it is stored.
pub(super) fn stage_text(stage: Stage) -> &'static str {
    match stage {
        Stage::Pending => "pending",
        Stage::AwaitingAction => "awaiting_action",
        Stage::GivingUp => "giving_up",
        Stage::Confirmed => "confirmed",
        Stage::Canceling => "canceling",
        Stage::Completed => "completed",
        Stage::Canceled => "canceled",
    }
}

fn stage_of(text: &str) -> Stage {
    match text {
        "pending" => Stage::Pending,
        "awaiting_action" => Stage::AwaitingAction,
        "giving_up" => Stage::GivingUp,
        "confirmed" => Stage::Confirmed,
        "canceling" => Stage::Canceling,
        "completed" => Stage::Completed,
        "canceled" => Stage::Canceled,
        other => panic!("a constraint keeps the stage from being {other}"),
    }
}

/// A capture policy, as it is stored.
pub(super) fn capture_text(capture: CapturePolicy) -> &'static str {
    match capture {
        CapturePolicy::Automatic => "automatic",
        CapturePolicy::Manual => "manual",
    }
}

fn capture_of(text: &str) -> CapturePolicy {
    match text {
        "automatic" => CapturePolicy::Automatic,
        "manual" => CapturePolicy::Manual,
        other => panic!("a constraint keeps the capture policy from being {other}"),
    }
}

/// The state of a payment, as it is stored.
pub(super) fn payment_state_text(state: PaymentState) -> &'static str {
    match state {
        PaymentState::Pending => "pending",
        PaymentState::RequiresAction => "requires_action",
        PaymentState::Authorized => "authorized",
        PaymentState::Declined => "declined",
        PaymentState::Voided => "voided",
    }
}

fn payment_state_of(text: &str) -> PaymentState {
    match text {
        "pending" => PaymentState::Pending,
        "requires_action" => PaymentState::RequiresAction,
        "authorized" => PaymentState::Authorized,
        "declined" => PaymentState::Declined,
        "voided" => PaymentState::Voided,
        other => panic!("a constraint keeps the payment state from being {other}"),
    }
}

/// An address as it is stored.
#[derive(Serialize, Deserialize)]
struct AddressRow {
    name: String,
    company: String,
    line1: String,
    line2: String,
    city: String,
    region: String,
    postal_code: String,
    country: String,
    phone: String,
}

/// An address, as it is stored.
pub(super) fn address_json(address: &Address) -> String {
    let Address { name, company, line1, line2, city, region, postal_code, country, phone } = address.clone();
    json(&AddressRow { name, company, line1, line2, city, region, postal_code, country, phone })
}

fn address_of(text: &str) -> Address {
    let AddressRow { name, company, line1, line2, city, region, postal_code, country, phone } = from_json(text);
    Address { name, company, line1, line2, city, region, postal_code, country, phone }
}

/// A value, as it is stored.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("our own rows are always JSON")
}

fn from_json<T: for<'a> Deserialize<'a>>(text: &str) -> T {
    serde_json::from_str(text).expect("this table holds only what was written here")
}
