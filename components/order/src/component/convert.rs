//! Values of the exported interface, to and from those that all components share. Field by field, and nothing else.

use super::{exported, kit};

pub fn answer(outcome: Result<kit::OrderView, kit::OrderError>) -> Result<exported::OrderView, exported::OrderError> {
    outcome.map(view).map_err(failure)
}

pub fn quote_request(request: exported::QuoteRequest) -> kit::QuoteRequest {
    let exported::QuoteRequest { cart_id, shipping_address, shipping_method } = request;
    kit::QuoteRequest { cart_id, shipping_address, shipping_method }
}

pub fn placement(placement: exported::Placement) -> kit::Placement {
    kit::Placement {
        order_id: placement.order_id,
        cart_id: placement.cart_id,
        quote_hash: placement.quote_hash,
        email: placement.email,
        shipping_address: placement.shipping_address,
        billing_address: placement.billing_address,
        shipping_method: placement.shipping_method,
        payment_provider: placement.payment_provider,
        payment_token: placement.payment_token,
        return_url: placement.return_url,
    }
}

pub fn query(query: exported::OrderQuery) -> kit::OrderQuery {
    let state = query.state.map(|state| match state {
        exported::OrderState::Pending => kit::OrderState::Pending,
        exported::OrderState::AwaitingAction => kit::OrderState::AwaitingAction,
        exported::OrderState::Confirmed => kit::OrderState::Confirmed,
        exported::OrderState::Completed => kit::OrderState::Completed,
        exported::OrderState::Canceled => kit::OrderState::Canceled,
    });
    kit::OrderQuery { user_id: query.user_id, state, search: query.search }
}

pub fn lines(lines: Vec<exported::FulfillmentLine>) -> Vec<kit::FulfillmentLine> {
    let line =
        |line: exported::FulfillmentLine| kit::FulfillmentLine { variant_id: line.variant_id, quantity: line.quantity };
    lines.into_iter().map(line).collect()
}

pub fn quote(quote: kit::Quote) -> exported::Quote {
    let option = |option: kit::ShippingOption| exported::ShippingOption {
        code: option.code,
        title: option.title,
        price: option.price,
    };
    exported::Quote {
        hash: quote.hash,
        cart_id: quote.cart_id,
        cart_version: quote.cart_version,
        lines: quote.lines.into_iter().map(line).collect(),
        shipping_options: quote.shipping_options.into_iter().map(option).collect(),
        shipping_method: quote.shipping_method,
        totals: totals(quote.totals),
        expires_at: quote.expires_at,
    }
}

pub fn page(page: kit::OrderPage) -> exported::OrderPage {
    let summary = |order: kit::OrderSummary| exported::OrderSummary {
        id: order.id,
        number: order.number,
        email: order.email,
        state: state(order.state),
        payment_status: payment_status(order.payment_status),
        fulfillment_status: fulfillment_status(order.fulfillment_status),
        total: order.total,
        units: order.units,
        placed_at: order.placed_at,
    };
    exported::OrderPage { items: page.items.into_iter().map(summary).collect(), next: page.next }
}

pub fn timeline(entries: Vec<kit::TimelineEntry>) -> Vec<exported::TimelineEntry> {
    let entry = |entry: kit::TimelineEntry| exported::TimelineEntry {
        kind: entry.kind,
        detail: entry.detail,
        actor: entry.actor,
        at: entry.at,
    };
    entries.into_iter().map(entry).collect()
}

pub fn failure(error: kit::OrderError) -> exported::OrderError {
    let shortage =
        |short: kit::LineShortage| exported::LineShortage { variant_id: short.variant_id, available: short.available };
    match error {
        kit::OrderError::Invalid(errors) => exported::OrderError::Invalid(errors),
        kit::OrderError::NotFound => exported::OrderError::NotFound,
        kit::OrderError::CartEmpty => exported::OrderError::CartEmpty,
        kit::OrderError::CartClosed(order_id) => exported::OrderError::CartClosed(order_id),
        kit::OrderError::PriceChanged(now) => exported::OrderError::PriceChanged(quote(now)),
        kit::OrderError::OutOfStock(short) => {
            exported::OrderError::OutOfStock(short.into_iter().map(shortage).collect())
        }
        kit::OrderError::ShippingUnavailable => exported::OrderError::ShippingUnavailable,
        kit::OrderError::UnknownProvider => exported::OrderError::UnknownProvider,
        kit::OrderError::WrongState(states) => {
            exported::OrderError::WrongState(states.into_iter().map(state).collect())
        }
        kit::OrderError::Exceeds(left) => exported::OrderError::Exceeds(left),
        kit::OrderError::PaymentRefused(decline) => exported::OrderError::PaymentRefused(decline),
        kit::OrderError::Conflict => exported::OrderError::Conflict,
        kit::OrderError::StorageFull => exported::OrderError::StorageFull,
        kit::OrderError::Unavailable(why) => exported::OrderError::Unavailable(why),
    }
}

fn view(order: kit::OrderView) -> exported::OrderView {
    exported::OrderView {
        id: order.id,
        number: order.number,
        access_token: order.access_token,
        user_id: order.user_id,
        cart_id: order.cart_id,
        email: order.email,
        state: state(order.state),
        payment_status: payment_status(order.payment_status),
        fulfillment_status: fulfillment_status(order.fulfillment_status),
        lines: order.lines.into_iter().map(line).collect(),
        totals: totals(order.totals),
        shipping_method: order.shipping_method,
        shipping_address: order.shipping_address,
        billing_address: order.billing_address,
        payment_id: order.payment_id,
        payment_provider: order.payment_provider,
        captured: order.captured,
        refunded: order.refunded,
        action_url: order.action_url,
        cancel_reason: order.cancel_reason,
        decline: order.decline,
        shipments: order.shipments.into_iter().map(shipment).collect(),
        placed_at: order.placed_at,
        version: order.version,
    }
}

fn line(line: kit::OrderLine) -> exported::OrderLine {
    exported::OrderLine {
        variant_id: line.variant_id,
        product_id: line.product_id,
        title: line.title,
        variant_title: line.variant_title,
        sku: line.sku,
        image_url: line.image_url,
        quantity: line.quantity,
        fulfilled: line.fulfilled,
        unit_price: line.unit_price,
        total: line.total,
        tax: line.tax,
    }
}

fn totals(totals: kit::Totals) -> exported::Totals {
    let kit::Totals { subtotal, shipping, tax, total } = totals;
    exported::Totals { subtotal, shipping, tax, total }
}

fn shipment(shipment: kit::Shipment) -> exported::Shipment {
    let line =
        |line: kit::FulfillmentLine| exported::FulfillmentLine { variant_id: line.variant_id, quantity: line.quantity };
    exported::Shipment {
        id: shipment.id,
        lines: shipment.lines.into_iter().map(line).collect(),
        carrier: shipment.carrier,
        tracking_number: shipment.tracking_number,
        at: shipment.at,
    }
}

fn state(state: kit::OrderState) -> exported::OrderState {
    match state {
        kit::OrderState::Pending => exported::OrderState::Pending,
        kit::OrderState::AwaitingAction => exported::OrderState::AwaitingAction,
        kit::OrderState::Confirmed => exported::OrderState::Confirmed,
        kit::OrderState::Completed => exported::OrderState::Completed,
        kit::OrderState::Canceled => exported::OrderState::Canceled,
    }
}

fn payment_status(status: kit::PaymentStatus) -> exported::PaymentStatus {
    match status {
        kit::PaymentStatus::Unpaid => exported::PaymentStatus::Unpaid,
        kit::PaymentStatus::Authorized => exported::PaymentStatus::Authorized,
        kit::PaymentStatus::PartiallyPaid => exported::PaymentStatus::PartiallyPaid,
        kit::PaymentStatus::Paid => exported::PaymentStatus::Paid,
        kit::PaymentStatus::PartiallyRefunded => exported::PaymentStatus::PartiallyRefunded,
        kit::PaymentStatus::Refunded => exported::PaymentStatus::Refunded,
        kit::PaymentStatus::Voided => exported::PaymentStatus::Voided,
    }
}

fn fulfillment_status(status: kit::FulfillmentStatus) -> exported::FulfillmentStatus {
    match status {
        kit::FulfillmentStatus::Unfulfilled => exported::FulfillmentStatus::Unfulfilled,
        kit::FulfillmentStatus::PartiallyFulfilled => exported::FulfillmentStatus::PartiallyFulfilled,
        kit::FulfillmentStatus::Fulfilled => exported::FulfillmentStatus::Fulfilled,
    }
}
