//! Whether the books of orders add up, alone and beside those of the catalog and of payments.

use souk_kit::catalog::{CatalogError, ReservationState};
use souk_kit::payment::{PaymentError, PaymentState};
use souk_kit::{Call, Context, Id, cursor};

use super::{SELF, words};
use crate::domain::{Order, Stage, Units};
use crate::ports::Ports;
use crate::store;

/// Orders checked in one step.
const ORDERS_PER_PAGE: u32 = 50;

/// A checkout or command may be on its way for this long before the others are asked about it.
const YOUNG_MILLIS: i64 = 10 * 60 * 1000;

/// A checkout or command that takes longer needs a person.
const OVERDUE_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// Something that does not add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The invariant.
    pub invariant: &'static str,
    /// The order.
    pub subject: Id,
    /// What was found and what was expected.
    pub detail: String,
}

/// One step of an audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Orders checked.
    pub checked: u64,
    /// What does not add up.
    pub findings: Vec<Finding>,
    /// Where the next step starts.
    pub next: Option<String>,
}

/// Whose word on which orders there are is checked, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Orders,
    Catalog,
    Payment,
}

impl Source {
    const ALL: [Self; 3] = [Self::Orders, Self::Catalog, Self::Payment];

    fn text(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Catalog => "catalog",
            Self::Payment => "payment",
        }
    }

    fn after(self) -> Option<Self> {
        match self {
            Self::Orders => Some(Self::Catalog),
            Self::Catalog => Some(Self::Payment),
            Self::Payment => None,
        }
    }
}

/// Checks one page: of orders, then of orders that stock is promised to, then of orders that money was asked for.
pub fn check(ports: &impl Ports, call: &Call, from: Option<String>) -> Result<Page, String> {
    let request = souk_kit::PageRequest { cursor: from, limit: ORDERS_PER_PAGE };
    let (at, limit) = cursor::decode::<2>(&request).map_err(|error| error.detail)?;
    let (source, after) = match at {
        None => (Source::Orders, String::new()),
        Some([named, id]) => {
            let source = Source::ALL.into_iter().find(|source| source.text() == named);
            (source.ok_or("the cursor is not one that this audit gave")?, id)
        }
    };
    let ctx = call.as_system(SELF);
    let (ids, findings) = match source {
        Source::Orders => {
            let ids = store::ids_after(ports, &after, limit).map_err(|error| error.describe())?;
            let mut findings = Vec::new();
            for id in &ids {
                findings.extend(check_order(ports, call, id)?);
            }
            (ids, findings)
        }
        Source::Catalog => {
            let ids = ports.list_reserved_orders(&ctx, &after, limit).map_err(|error| words::catalog(&error))?;
            let findings = strangers(ports, &ids, "stock_is_promised_to_orders_alone")?;
            (ids, findings)
        }
        Source::Payment => {
            let ids = ports.list_paid_orders(&ctx, &after, limit).map_err(|error| words::payment(&error))?;
            let findings = strangers(ports, &ids, "money_is_asked_for_orders_alone")?;
            (ids, findings)
        }
    };
    let next = match ids.last() {
        Some(last) if ids.len() == limit as usize => Some(cursor::encode(&[source.text(), last])),
        Some(_) | None => source.after().map(|source| cursor::encode(&[source.text(), ""])),
    };
    Ok(Page { checked: ids.len() as u64, findings, next })
}

/// Findings for ids that are no orders: an order is stored before anybody else hears of it.
fn strangers(ports: &impl Ports, ids: &[Id], invariant: &'static str) -> Result<Vec<Finding>, String> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let unknown = store::unknown(ports, ids.to_vec()).map_err(|error| error.describe())?;
    let finding = |subject| Finding { invariant, subject, detail: "there is no such order".to_owned() };
    Ok(unknown.into_iter().map(finding).collect())
}

/// Checks one order. What does not fit is looked at only if the order is still as it was afterwards: otherwise the
/// others were asked at another moment.
fn check_order(ports: &impl Ports, call: &Call, id: &str) -> Result<Vec<Finding>, String> {
    let Some(order) = load(ports, id)? else { return Ok(Vec::new()) };
    let mut findings = own(ports, call, &order)?;
    let since = order.open.as_ref().map_or(order.placed_at, |open| open.opened_at);
    if !order.is_unfinished() || call.now - since > YOUNG_MILLIS {
        findings.extend(shared(ports, &call.as_system(SELF), &order)?);
    }
    let same = findings.is_empty() || load(ports, id)?.is_some_and(|later| later.version == order.version);
    Ok(if same { findings } else { Vec::new() })
}

fn load(ports: &impl Ports, id: &str) -> Result<Option<Order>, String> {
    let loaded = store::load(ports, id, None).map_err(|error| error.describe())?;
    Ok(loaded.map(|loaded| loaded.order))
}

fn own(ports: &impl Ports, call: &Call, order: &Order) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    if let Err((invariant, detail)) = order.sound() {
        findings.push(finding(order, invariant, detail));
    }
    let sums = store::sums(ports, &order.id).map_err(|error| error.describe())?;
    if sums != Some(order.units()) {
        findings.push(finding(order, "sums_are_those_of_the_lines", format!("{sums:?} and {:?}", order.units())));
    }
    let since = order.open.as_ref().map_or(order.placed_at, |open| open.opened_at);
    if order.is_unfinished() && call.now - since > OVERDUE_MILLIS {
        findings.push(finding(order, "what_was_begun_ends", format!("{:?} since {since}", order.stage)));
    }
    Ok(findings)
}

fn shared(ports: &impl Ports, ctx: &Context, order: &Order) -> Result<Vec<Finding>, String> {
    let mut findings: Vec<Finding> = stock(ports, ctx, order)?.into_iter().collect();
    if order.needs_payment() {
        findings.extend(money(ports, ctx, order)?);
    }
    Ok(findings)
}

fn stock(ports: &impl Ports, ctx: &Context, order: &Order) -> Result<Option<Finding>, String> {
    let (state, lines) = match ports.get_reservation(ctx, &order.id) {
        Ok(reservation) => (Some(reservation.state), reservation.lines),
        Err(CatalogError::NotFound) => (None, Vec::new()),
        Err(error) => return Err(words::catalog(&error)),
    };
    let held: Units = lines.into_iter().map(|line| (line.variant_id, line.quantity)).collect();
    let sold: Units = order.lines.iter().map(|line| (line.item.variant_id.clone(), line.item.quantity)).collect();
    let fits = match order.stage {
        Stage::Confirmed | Stage::Completed => state == Some(ReservationState::Committed) && held == sold,
        // What had been sold went back on the shelf by a movement of its own.
        Stage::Canceled => state != Some(ReservationState::Held),
        Stage::Pending | Stage::AwaitingAction | Stage::GivingUp | Stage::Canceling => true,
    };
    let detail = || format!("{:?} with a reservation {state:?} of {held:?}, agreed {sold:?}", order.stage);
    Ok((!fits).then(|| finding(order, "stock_is_sold_exactly_once", detail())))
}

fn money(ports: &impl Ports, ctx: &Context, order: &Order) -> Result<Option<Finding>, String> {
    let payment = match ports.get_payment(ctx, &order.payment_id()) {
        Ok(payment) => payment,
        Err(PaymentError::NotFound) => {
            let fits = match order.stage {
                Stage::Confirmed | Stage::Completed | Stage::Canceling => false,
                Stage::Pending | Stage::AwaitingAction | Stage::GivingUp | Stage::Canceled => true,
            };
            return Ok((!fits).then(|| finding(order, "an_agreed_order_is_paid", "there is no payment".to_owned())));
        }
        Err(error) => return Err(words::payment(&error)),
    };
    if payment.amount != order.totals.total || payment.order_id != order.id {
        let detail = format!("the payment is over {:?} for {}", payment.amount, payment.order_id);
        return Ok(Some(finding(order, "what_is_asked_for_is_the_total", detail)));
    }
    if payment.in_flight {
        return Ok(None); // the payment's own audit watches over it
    }
    let told = (payment.captured, payment.refunded) == (order.funds.captured, order.funds.refunded);
    let (invariant, fits) = match order.stage {
        Stage::Confirmed | Stage::Completed => (
            "an_agreed_order_is_paid",
            told && match payment.state {
                PaymentState::Authorized => payment.authorized == order.total(),
                // The provider let it go; nothing will leave unpaid.
                PaymentState::Voided => payment.captured == 0,
                PaymentState::Pending | PaymentState::RequiresAction | PaymentState::Declined => false,
            },
        ),
        Stage::Canceled => (
            "a_canceled_order_holds_nothing",
            payment.captured == payment.refunded
                && match payment.state {
                    // Money that was taken and given back; a rest that was never taken lapses at the provider.
                    PaymentState::Authorized => payment.captured > 0,
                    PaymentState::Declined | PaymentState::Voided => true,
                    PaymentState::Pending | PaymentState::RequiresAction => false,
                },
        ),
        Stage::Pending | Stage::AwaitingAction | Stage::GivingUp | Stage::Canceling => ("", true),
    };
    let detail = || {
        let (state, funds) = (words::payment_state(payment.state), &order.funds);
        format!(
            "{:?} with {} taken and {} given back; the payment is {state} with {} of {}, {} taken, {} given back",
            order.stage,
            funds.captured,
            funds.refunded,
            payment.authorized,
            order.total(),
            payment.captured,
            payment.refunded
        )
    };
    Ok((!fits).then(|| finding(order, invariant, detail())))
}

fn finding(order: &Order, invariant: &'static str, detail: String) -> Finding {
    Finding { invariant, subject: order.id.clone(), detail }
}
