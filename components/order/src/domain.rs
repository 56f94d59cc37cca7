//! An order: what was agreed, how far its checkout came, what money and goods did since. Pure.

use std::collections::BTreeMap;

use souk_kit::order::{
    FulfillmentLine, FulfillmentStatus, OrderLine, OrderState, OrderView, PaymentStatus, Shipment, Totals,
};
use souk_kit::payment::{PaymentState, PaymentView};
use souk_kit::payment_extension::{CapturePolicy, Decline};
use souk_kit::{Address, Id, Instant, Money, ids, money};

mod ask;
pub mod decide;
pub mod facts;
pub mod quote;
pub mod task;
pub mod terms;

/// Most lines of an order.
pub const LINES_MAX: usize = 100;

/// How long a checkout may take before it is given up as abandoned.
pub const CHECKOUT_MILLIS_MAX: i64 = 30 * 60 * 1000;

/// How long stock is promised to a checkout.
pub const RESERVATION_SECONDS: u32 = 900;

/// The reason of an order that was given up because the shopper never came back.
pub const ABANDONED: &str = "abandoned";
/// The reason of an order whose payment was declined.
pub const PAYMENT_DECLINED: &str = "payment_declined";
/// The reason of an order whose stock was gone.
pub const OUT_OF_STOCK: &str = "out_of_stock";
/// The reason of an order whose cart changed before it was frozen.
pub const PRICE_CHANGED: &str = "price_changed";

/// Units by variant.
pub type Units = BTreeMap<Id, u32>;

/// Where an order is. One machine; what others see is [`Stage::state`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its checkout goes forward.
    Pending,
    /// Its checkout waits for the shopper.
    AwaitingAction,
    /// Its checkout was given up and is being undone. Nothing leads back to `Confirmed`.
    GivingUp,
    /// Agreed.
    Confirmed,
    /// It had been agreed and is being undone.
    Canceling,
    /// All of it was handed over.
    Completed,
    /// Undone: nothing is held.
    Canceled,
}

impl Stage {
    /// What others see.
    pub fn state(self) -> OrderState {
        match self {
            Self::Pending | Self::GivingUp => OrderState::Pending,
            Self::AwaitingAction => OrderState::AwaitingAction,
            Self::Confirmed | Self::Canceling => OrderState::Confirmed,
            Self::Completed => OrderState::Completed,
            Self::Canceled => OrderState::Canceled,
        }
    }

    /// Whether the saga has something left to do.
    pub fn is_moving(self) -> bool {
        match self {
            Self::Pending | Self::AwaitingAction | Self::GivingUp | Self::Canceling => true,
            Self::Confirmed | Self::Completed | Self::Canceled => false,
        }
    }
}

/// A line with its price frozen, and where its units went.
///
/// Invariant: `fulfilled + withdrawn <= quantity` and `returned <= fulfilled`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What was agreed, and the units handed over.
    pub item: OrderLine,
    /// Units put back on the shelf before they were handed over: they never will be.
    pub withdrawn: u32,
    /// Units handed over, sent back and put back on the shelf.
    pub returned: u32,
}

impl Line {
    /// Units that are still to be handed over.
    pub fn left(&self) -> u32 {
        self.item.quantity - self.item.fulfilled - self.withdrawn
    }

    /// Units that have left the shelf for this order and were not put back.
    pub fn restockable(&self) -> u32 {
        self.item.quantity - self.withdrawn - self.returned
    }
}

/// The payment as `payment` last told. Invariant: `refunded <= captured <= authorized`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Funds {
    /// Where it is; none while nothing was heard of it.
    pub state: Option<PaymentState>,
    /// Held in all.
    pub authorized: i64,
    /// Taken.
    pub captured: i64,
    /// Given back.
    pub refunded: i64,
}

impl Funds {
    /// Nothing was heard yet.
    pub const NONE: Self = Self { state: None, authorized: 0, captured: 0, refunded: 0 };

    /// What can still be taken.
    pub fn held(&self) -> i64 {
        match self.state {
            Some(PaymentState::Authorized) => self.authorized - self.captured,
            Some(
                PaymentState::Pending | PaymentState::RequiresAction | PaymentState::Declined | PaymentState::Voided,
            )
            | None => 0,
        }
    }

    /// What can still be given back.
    pub fn refundable(&self) -> i64 {
        self.captured - self.refunded
    }
}

/// An order with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// `ord_...`
    pub id: Id,
    /// For people.
    pub number: String,
    /// What shows the order to a guest.
    pub access_token: String,
    /// Whose it is; none for a guest.
    pub user_id: Option<Id>,
    /// The cart it was made from.
    pub cart_id: Id,
    /// The version of the cart it was made from.
    pub cart_version: u64,
    /// Where news of it goes.
    pub email: String,
    /// Digest of what was agreed to.
    pub placement: String,
    /// Where it is.
    pub stage: Stage,
    /// What is sold.
    pub lines: Vec<Line>,
    /// What it costs.
    pub totals: Totals,
    /// The way of shipping: its code.
    pub shipping_method: String,
    /// Where it goes.
    pub shipping_address: Address,
    /// Who pays.
    pub billing_address: Address,
    /// Name of the payment provider.
    pub payment_provider: String,
    /// The provider's token; empty once the authorization needs no repeat.
    pub payment_token: String,
    /// Where the provider sends the shopper back to.
    pub return_url: String,
    /// Whether money is taken at once; frozen, so that a repeated authorization asks for the same.
    pub capture: CapturePolicy,
    /// Money, as the payment last told.
    pub funds: Funds,
    /// Where the shopper must go while awaiting action; empty otherwise.
    pub action_url: String,
    /// Why the payment was declined.
    pub decline: Option<Decline>,
    /// Why it is or is being canceled; empty otherwise.
    pub cancel_reason: String,
    /// Whether somebody must be told when it is canceled.
    pub announce: bool,
    /// Parcels, oldest first.
    pub shipments: Vec<Shipment>,
    /// The command whose effects are being made; one at a time.
    pub open: Option<task::OpenCommand>,
    /// When it was placed.
    pub placed_at: Instant,
    /// When it was confirmed, if it ever was.
    pub confirmed_at: Option<Instant>,
    /// When it was canceled.
    pub canceled_at: Option<Instant>,
    /// Raised by every change.
    pub version: u64,
}

impl Order {
    /// The payment of this order: derived, so that every repeat names the same one.
    pub fn payment_id(&self) -> Id {
        payment_id(&self.id)
    }

    /// What is to be paid, in minor units.
    pub fn total(&self) -> i64 {
        self.totals.total.minor
    }

    /// An amount in the currency of this order.
    pub fn money(&self, minor: i64) -> Money {
        Money::new(minor, &self.totals.total.currency)
    }

    /// Whether there is anything to be paid. A free order has no payment.
    pub fn needs_payment(&self) -> bool {
        self.total() > 0
    }

    /// Whether something is left to do that needs no new command.
    pub fn is_unfinished(&self) -> bool {
        self.stage.is_moving() || self.open.is_some()
    }

    /// Units agreed, handed over, and withdrawn, over all lines.
    pub fn units(&self) -> (u32, u32, u32) {
        self.lines.iter().fold((0, 0, 0), |(agreed, fulfilled, withdrawn), line| {
            (agreed + line.item.quantity, fulfilled + line.item.fulfilled, withdrawn + line.withdrawn)
        })
    }

    /// Units on their way to the shopper or still to go: what stock gets back when all of it is undone.
    pub fn taken(&self) -> Units {
        let each = self.lines.iter().map(|line| (line.item.variant_id.clone(), line.restockable()));
        each.filter(|(_, units)| *units > 0).collect()
    }

    /// Money, as others see it.
    pub fn payment_status(&self) -> PaymentStatus {
        payment_status(self.stage, self.total(), &self.funds)
    }

    /// Traps when the books of this order do not add up.
    pub fn assert_sound(&self) {
        if let Err((invariant, detail)) = self.sound() {
            panic!("{invariant} is broken for {}: {detail}", self.id);
        }
    }

    /// The invariants of one order, or the first that is broken and how.
    pub fn sound(&self) -> Result<(), (&'static str, String)> {
        let holds = |holds: bool, invariant, detail: String| if holds { Ok(()) } else { Err((invariant, detail)) };
        let totals = &self.totals;
        let lines = money::sum(self.lines.iter().map(|line| line.item.total.minor));
        holds(
            lines == Some(totals.subtotal.minor),
            "lines_make_the_subtotal",
            format!("{lines:?} over the lines, {} in the order", totals.subtotal.minor),
        )?;
        let total = money::sum([totals.subtotal.minor, totals.shipping.minor, totals.tax.minor]);
        holds(
            total == Some(totals.total.minor),
            "parts_make_the_total",
            format!(
                "{} + {} + {} is not {}",
                totals.subtotal.minor, totals.shipping.minor, totals.tax.minor, totals.total.minor
            ),
        )?;
        let taxes = money::sum(self.lines.iter().map(|line| line.item.tax.minor));
        holds(
            taxes.is_some_and(|taxes| taxes <= totals.tax.minor),
            "taxes_of_lines_are_in_the_tax",
            format!("{taxes:?} over the lines, {} in the order", totals.tax.minor),
        )?;
        for line in &self.lines {
            let item = &line.item;
            holds(
                money::times(item.unit_price.minor, item.quantity) == Some(item.total.minor),
                "units_make_the_line",
                format!(
                    "{} x {} of {} is not {}",
                    item.quantity, item.unit_price.minor, item.variant_id, item.total.minor
                ),
            )?;
            holds(
                item.fulfilled.checked_add(line.withdrawn).is_some_and(|gone| gone <= item.quantity)
                    && line.returned <= item.fulfilled,
                "no_more_leaves_than_was_sold",
                format!(
                    "{}: {} of {}, {} withdrawn, {} returned",
                    item.variant_id, item.fulfilled, item.quantity, line.withdrawn, line.returned
                ),
            )?;
        }
        let shipped = self.shipments.iter().flat_map(|shipment| &shipment.lines).fold(
            Units::new(),
            |mut shipped: Units, line: &FulfillmentLine| {
                *shipped.entry(line.variant_id.clone()).or_default() += line.quantity;
                shipped
            },
        );
        let fulfilled: Units = self
            .lines
            .iter()
            .filter(|line| line.item.fulfilled > 0)
            .map(|line| (line.item.variant_id.clone(), line.item.fulfilled))
            .collect();
        holds(shipped == fulfilled, "parcels_hold_what_was_handed_over", format!("{shipped:?} and {fulfilled:?}"))?;
        let funds = &self.funds;
        holds(
            0 <= funds.refunded
                && funds.refunded <= funds.captured
                && funds.captured <= funds.authorized
                && funds.authorized <= self.total(),
            "refunded_captured_authorized_are_in_order",
            format!("{funds:?} of {}", self.total()),
        )
    }

    /// The order as others see it.
    pub fn view(&self) -> OrderView {
        let (units, fulfilled, withdrawn) = self.units();
        OrderView {
            id: self.id.clone(),
            number: self.number.clone(),
            access_token: self.access_token.clone(),
            user_id: self.user_id.clone(),
            cart_id: self.cart_id.clone(),
            email: self.email.clone(),
            state: self.stage.state(),
            payment_status: self.payment_status(),
            fulfillment_status: fulfillment_status(units, fulfilled, withdrawn),
            lines: self.lines.iter().map(|line| line.item.clone()).collect(),
            totals: self.totals.clone(),
            shipping_method: self.shipping_method.clone(),
            shipping_address: self.shipping_address.clone(),
            billing_address: self.billing_address.clone(),
            payment_id: self.payment_id(),
            payment_provider: self.payment_provider.clone(),
            captured: self.funds.captured,
            refunded: self.funds.refunded,
            action_url: self.action_url.clone(),
            cancel_reason: self.cancel_reason.clone(),
            decline: self.decline.clone(),
            shipments: self.shipments.clone(),
            placed_at: self.placed_at,
            version: self.version,
        }
    }
}

/// The payment of an order.
pub fn payment_id(order_id: &str) -> Id {
    ids::derive("pay", &[order_id])
}

/// What a payment tells, if it is the payment of this order and its amounts are in order. The text says what is wrong.
pub fn funds_of(order: &Order, payment: &PaymentView) -> Result<Funds, String> {
    if payment.id != order.payment_id() || payment.order_id != order.id || payment.amount != order.totals.total {
        return Err(format!("payment {} is not for the total of {}", payment.id, order.id));
    }
    let funds = Funds {
        state: Some(payment.state),
        authorized: payment.authorized,
        captured: payment.captured,
        refunded: payment.refunded,
    };
    let in_order = 0 <= funds.refunded
        && funds.refunded <= funds.captured
        && funds.captured <= funds.authorized
        && funds.authorized <= order.total();
    if !in_order {
        return Err(format!("the amounts of payment {} do not add up: {funds:?}", payment.id));
    }
    Ok(funds)
}

/// Money, as others see it.
pub fn payment_status(stage: Stage, total: i64, funds: &Funds) -> PaymentStatus {
    if total == 0 {
        return match stage {
            Stage::Confirmed | Stage::Completed => PaymentStatus::Paid,
            Stage::Pending | Stage::AwaitingAction | Stage::GivingUp | Stage::Canceling | Stage::Canceled => {
                PaymentStatus::Unpaid
            }
        };
    }
    match funds.state {
        None | Some(PaymentState::Pending | PaymentState::RequiresAction | PaymentState::Declined) => {
            PaymentStatus::Unpaid
        }
        Some(PaymentState::Voided) => PaymentStatus::Voided,
        Some(PaymentState::Authorized) if funds.captured == 0 => PaymentStatus::Authorized,
        Some(PaymentState::Authorized) if funds.refunded == funds.captured => PaymentStatus::Refunded,
        Some(PaymentState::Authorized) if funds.refunded > 0 => PaymentStatus::PartiallyRefunded,
        Some(PaymentState::Authorized) if funds.captured < total => PaymentStatus::PartiallyPaid,
        Some(PaymentState::Authorized) => PaymentStatus::Paid,
    }
}

/// Goods, as others see them. What was withdrawn is no longer waited for.
pub fn fulfillment_status(units: u32, fulfilled: u32, withdrawn: u32) -> FulfillmentStatus {
    if fulfilled == 0 {
        FulfillmentStatus::Unfulfilled
    } else if fulfilled + withdrawn < units {
        FulfillmentStatus::PartiallyFulfilled
    } else {
        FulfillmentStatus::Fulfilled
    }
}

/// Whether all of an order is paid for, whatever was given back since.
pub fn funds_are_paid(order: &Order) -> bool {
    order.funds.captured == order.total()
}
