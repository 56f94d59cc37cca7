//! The shapes of orders, for shoppers and for staff.

use serde::{Deserialize, Serialize};
use souk_kit::order;

use crate::shapes::{Address, Decline, Money, Timestamp};

/// Where an order is in its life.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub enum OrderState {
    /// Its checkout is under way.
    Pending,
    /// The shopper must do something at the payment provider.
    AwaitingAction,
    /// Agreed: stock is sold, money is held or taken.
    Confirmed,
    /// All of it was handed over.
    Completed,
    /// Nothing is agreed: stock is free, money is let go or given back.
    Canceled,
}

/// Money, as the order sees it.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub enum PaymentStatus {
    /// Nothing is held.
    Unpaid,
    /// All is held, nothing taken.
    Authorized,
    /// Some is taken.
    PartiallyPaid,
    /// All is taken.
    Paid,
    /// Some was given back.
    PartiallyRefunded,
    /// All that was taken was given back.
    Refunded,
    /// What was held was let go.
    Voided,
}

/// Goods, as the order sees them.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub enum FulfillmentStatus {
    /// Nothing was handed over.
    Unfulfilled,
    /// Some was.
    PartiallyFulfilled,
    /// All was.
    Fulfilled,
}

/// A line with its price frozen.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct OrderLine {
    /// `var_...`
    pub variant_id: String,
    /// `prod_...`
    pub product_id: String,
    /// The product's title as it was.
    pub title: String,
    /// The option values as they were; may be empty.
    pub variant_title: String,
    /// The merchant's own code as it was.
    pub sku: String,
    /// URL of a picture as it was; may be empty.
    pub image_url: String,
    /// Units.
    pub quantity: u32,
    /// Units handed over so far.
    pub fulfilled: u32,
    /// Price of one unit, without tax.
    pub unit_price: Money,
    /// `quantity` times `unit_price`.
    pub total: Money,
    /// Tax on the line: total times rate, rounded half up to the minor unit, once per line.
    pub tax: Money,
}

/// What it costs: `total = subtotal + shipping + tax`, exactly.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct Totals {
    /// Sum of the line totals.
    pub subtotal: Money,
    /// Shipping, without tax.
    pub shipping: Money,
    /// All tax.
    pub tax: Money,
    /// What is to be paid.
    pub total: Money,
}

/// Units of one variant.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct FulfillmentLine {
    /// `var_...`
    pub variant_id: String,
    /// Units.
    #[cfg_attr(not(target_arch = "wasm32"), schema(minimum = 1))]
    pub quantity: u32,
}

/// One parcel.
#[derive(Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct Shipment {
    /// `ful_...`
    pub id: String,
    /// What is in it.
    pub lines: Vec<FulfillmentLine>,
    /// Carrier; may be empty.
    pub carrier: String,
    /// Tracking number; may be empty.
    pub tracking_number: String,
    /// When it was handed over.
    pub at: Timestamp,
}

/// What the shopper must do next.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub enum NextAction {
    /// Go to the payment provider, then resume the order.
    Redirect {
        /// Where.
        url: String,
    },
}

/// An order with all that belongs to it.
#[derive(Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct Order {
    /// `ord_...`
    pub id: String,
    /// For people, unique.
    pub number: String,
    /// Secret that lets a guest see the order. Not shown to staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token: Option<String>,
    /// Whose it is; null for a guest.
    pub user_id: Option<String>,
    /// The cart it was made from.
    pub cart_id: String,
    /// Where news of it goes.
    pub email: String,
    /// Where it is in its life.
    pub state: OrderState,
    /// Money.
    pub payment_status: PaymentStatus,
    /// Goods.
    pub fulfillment_status: FulfillmentStatus,
    /// What the shopper must do next, while `awaiting_action`.
    pub next_action: Option<NextAction>,
    /// Lines with frozen prices.
    pub lines: Vec<OrderLine>,
    /// What it costs.
    pub totals: Totals,
    /// Taken so far.
    pub captured: Money,
    /// Given back so far.
    pub refunded: Money,
    /// The way of shipping.
    pub shipping_method: String,
    /// Where it goes.
    pub shipping_address: Address,
    /// Who pays.
    pub billing_address: Address,
    /// `pay_...`
    pub payment_id: String,
    /// Name of the payment provider.
    pub payment_provider: String,
    /// Why it was canceled: `payment_declined`, `out_of_stock`, `abandoned`, `price_changed`, or what the one who canceled it said.
    pub cancel_reason: Option<String>,
    /// What the payment provider said when it declined.
    pub decline: Option<Decline>,
    /// Parcels, oldest first.
    pub shipments: Vec<Shipment>,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// Raised by every change.
    pub version: u64,
}

/// An order in a list.
#[derive(Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct OrderSummary {
    /// `ord_...`
    pub id: String,
    /// For people.
    pub number: String,
    /// Where news of it goes.
    pub email: String,
    /// Where it is in its life.
    pub state: OrderState,
    /// Money.
    pub payment_status: PaymentStatus,
    /// Goods.
    pub fulfillment_status: FulfillmentStatus,
    /// What is to be paid.
    pub total: Money,
    /// Units over all lines.
    pub units: u32,
    /// When it was placed.
    pub placed_at: Timestamp,
}

/// Something that happened to an order.
#[derive(Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct TimelineEntry {
    /// What: `placed`, `stock_reserved`, `payment_authorized`, `confirmed`, `captured`, `shipped`, ...
    pub kind: String,
    /// For people; may be empty.
    pub detail: String,
    /// Who: `guest`, a user id, or `system:...`.
    pub actor: String,
    /// When.
    pub at: Timestamp,
}

impl Order {
    /// What its shopper sees.
    pub fn for_shopper(order: order::OrderView) -> Self {
        let access_token = Some(order.access_token.clone()).filter(|token| !token.is_empty());
        Self { access_token, ..Self::for_staff(order) }
    }

    /// What staff see.
    pub fn for_staff(order: order::OrderView) -> Self {
        let currency = &order.totals.total.currency;
        let money = |amount| Money { amount, currency: currency.clone() };
        let (captured, refunded) = (money(order.captured), money(order.refunded));
        let some = |text: String| if text.is_empty() { None } else { Some(text) };
        Self {
            id: order.id,
            number: order.number,
            access_token: None,
            user_id: order.user_id,
            cart_id: order.cart_id,
            email: order.email,
            state: order.state.into(),
            payment_status: order.payment_status.into(),
            fulfillment_status: order.fulfillment_status.into(),
            next_action: some(order.action_url).map(|url| NextAction::Redirect { url }),
            lines: order.lines.into_iter().map(OrderLine::from).collect(),
            totals: order.totals.into(),
            captured,
            refunded,
            shipping_method: order.shipping_method,
            shipping_address: order.shipping_address.into(),
            billing_address: order.billing_address.into(),
            payment_id: order.payment_id,
            payment_provider: order.payment_provider,
            cancel_reason: some(order.cancel_reason),
            decline: order.decline.map(Decline::from),
            shipments: order.shipments.into_iter().map(Shipment::from).collect(),
            placed_at: Timestamp(order.placed_at),
            version: order.version,
        }
    }
}

impl From<order::OrderState> for OrderState {
    fn from(state: order::OrderState) -> Self {
        match state {
            order::OrderState::Pending => Self::Pending,
            order::OrderState::AwaitingAction => Self::AwaitingAction,
            order::OrderState::Confirmed => Self::Confirmed,
            order::OrderState::Completed => Self::Completed,
            order::OrderState::Canceled => Self::Canceled,
        }
    }
}

impl From<OrderState> for order::OrderState {
    fn from(state: OrderState) -> Self {
        match state {
            OrderState::Pending => Self::Pending,
            OrderState::AwaitingAction => Self::AwaitingAction,
            OrderState::Confirmed => Self::Confirmed,
            OrderState::Completed => Self::Completed,
            OrderState::Canceled => Self::Canceled,
        }
    }
}

impl From<order::PaymentStatus> for PaymentStatus {
    fn from(status: order::PaymentStatus) -> Self {
        match status {
            order::PaymentStatus::Unpaid => Self::Unpaid,
            order::PaymentStatus::Authorized => Self::Authorized,
            order::PaymentStatus::PartiallyPaid => Self::PartiallyPaid,
            order::PaymentStatus::Paid => Self::Paid,
            order::PaymentStatus::PartiallyRefunded => Self::PartiallyRefunded,
            order::PaymentStatus::Refunded => Self::Refunded,
            order::PaymentStatus::Voided => Self::Voided,
        }
    }
}

impl From<order::FulfillmentStatus> for FulfillmentStatus {
    fn from(status: order::FulfillmentStatus) -> Self {
        match status {
            order::FulfillmentStatus::Unfulfilled => Self::Unfulfilled,
            order::FulfillmentStatus::PartiallyFulfilled => Self::PartiallyFulfilled,
            order::FulfillmentStatus::Fulfilled => Self::Fulfilled,
        }
    }
}

impl From<order::OrderLine> for OrderLine {
    fn from(line: order::OrderLine) -> Self {
        Self {
            variant_id: line.variant_id,
            product_id: line.product_id,
            title: line.title,
            variant_title: line.variant_title,
            sku: line.sku,
            image_url: line.image_url,
            quantity: line.quantity,
            fulfilled: line.fulfilled,
            unit_price: line.unit_price.into(),
            total: line.total.into(),
            tax: line.tax.into(),
        }
    }
}

impl From<order::Totals> for Totals {
    fn from(totals: order::Totals) -> Self {
        Self {
            subtotal: totals.subtotal.into(),
            shipping: totals.shipping.into(),
            tax: totals.tax.into(),
            total: totals.total.into(),
        }
    }
}

impl From<order::FulfillmentLine> for FulfillmentLine {
    fn from(line: order::FulfillmentLine) -> Self {
        Self { variant_id: line.variant_id, quantity: line.quantity }
    }
}

impl From<FulfillmentLine> for order::FulfillmentLine {
    fn from(line: FulfillmentLine) -> Self {
        Self { variant_id: line.variant_id, quantity: line.quantity }
    }
}

impl From<order::Shipment> for Shipment {
    fn from(shipment: order::Shipment) -> Self {
        Self {
            id: shipment.id,
            lines: shipment.lines.into_iter().map(FulfillmentLine::from).collect(),
            carrier: shipment.carrier,
            tracking_number: shipment.tracking_number,
            at: Timestamp(shipment.at),
        }
    }
}

impl From<order::OrderSummary> for OrderSummary {
    fn from(order: order::OrderSummary) -> Self {
        Self {
            id: order.id,
            number: order.number,
            email: order.email,
            state: order.state.into(),
            payment_status: order.payment_status.into(),
            fulfillment_status: order.fulfillment_status.into(),
            total: order.total.into(),
            units: order.units,
            placed_at: Timestamp(order.placed_at),
        }
    }
}

impl From<order::TimelineEntry> for TimelineEntry {
    fn from(entry: order::TimelineEntry) -> Self {
        Self { kind: entry.kind, detail: entry.detail, actor: entry.actor, at: Timestamp(entry.at) }
    }
}
