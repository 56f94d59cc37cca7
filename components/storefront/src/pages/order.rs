//! One order, for whoever may see it.

use askama::Template;
use souk_kit::order::{FulfillmentStatus, OrderError, OrderState, OrderView, PaymentStatus};
use souk_kit::types::{Actor, Address, Context, Money};

use super::layout::{self, Layout};
use crate::app::{Failure, Page};
use crate::cookies;
use crate::shop::Shop;
use crate::visit::Visit;

/// A line of an order.
struct Line {
    title: String,
    variant_title: String,
    image_url: String,
    quantity: u32,
    total: String,
}

#[derive(Template)]
#[template(path = "order.html")]
struct OrderPage {
    page: Layout,
    number: String,
    headline: &'static str,
    explanation: String,
    /// Whether the page asks again by itself.
    waiting: bool,
    /// Where the shopper can finish the payment; empty when there is nothing to finish.
    action_url: String,
    email: String,
    payment: &'static str,
    fulfillment: &'static str,
    placed_at: String,
    lines: Vec<Line>,
    subtotal: String,
    shipping: String,
    tax: String,
    total: String,
    refunded: Option<String>,
    address: Address,
    shipments: Vec<String>,
    steps: Vec<(String, String)>,
}

/// Shows an order, and resumes its checkout when it has not ended.
pub fn show<S: Shop>(visit: &Visit<'_, S>, id: &str) -> Page {
    let order = match visible(visit, id)? {
        // Whoever asks about a checkout that has not ended resumes it. What came of it is read with the visitor's own
        // right to see it; while that cannot be told, the order as it was is the honest answer.
        order if matches!(order.state, OrderState::Pending | OrderState::AwaitingAction) => {
            match visit.shop.resume(&visit.ctx, &order.id) {
                Ok(_) => visible(visit, id)?,
                Err(_) => order,
            }
        }
        order => order,
    };
    if matches!(order.state, OrderState::Confirmed | OrderState::Completed)
        && visit.cart_id().as_ref() == Some(&order.cart_id)
    {
        visit.forget_cart();
    }
    // The order service shows no guest a timeline; that this visitor may see it was just found out.
    let ctx = Context { actor: Actor::System("a visitor who may see the order".to_owned()), ..visit.ctx.clone() };
    let timeline = visit.shop.list_timeline(&ctx, &order.id).unwrap_or_default();
    let steps =
        timeline.into_iter().map(|entry| (layout::date(entry.at), in_words(&entry.kind, &entry.detail))).collect();
    let page = Layout::new(visit, &format!("Order {}", order.number));
    let money = |amount: &Money| layout::price(amount);
    let currency = &order.totals.total.currency;
    let template = OrderPage {
        page,
        headline: headline(order.state),
        explanation: explanation(&order),
        waiting: order.state == OrderState::Pending,
        action_url: order.action_url.clone(),
        payment: payment_words(order.payment_status),
        fulfillment: fulfillment_words(order.fulfillment_status),
        placed_at: layout::date(order.placed_at),
        lines: order
            .lines
            .iter()
            .map(|line| Line {
                title: line.title.clone(),
                variant_title: line.variant_title.clone(),
                image_url: line.image_url.clone(),
                quantity: line.quantity,
                total: money(&line.total),
            })
            .collect(),
        subtotal: money(&order.totals.subtotal),
        shipping: money(&order.totals.shipping),
        tax: money(&order.totals.tax),
        total: money(&order.totals.total),
        refunded: (order.refunded > 0).then(|| money(&Money::new(order.refunded, currency))),
        shipments: order
            .shipments
            .iter()
            .map(|s| format!("{} {}", s.carrier, s.tracking_number).trim().to_owned())
            .collect(),
        steps,
        number: order.number,
        email: order.email,
        address: order.shipping_address,
    };
    Ok(layout::html(200, &template))
}

/// The order, for its user, or for whoever has its access token in the link or from placing it.
fn visible<S: Shop>(visit: &Visit<'_, S>, id: &str) -> Result<OrderView, Failure> {
    if let Actor::User(_) = &visit.ctx.actor {
        match visit.shop.get_order(&visit.ctx, id) {
            Ok(order) => return Ok(order),
            Err(OrderError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let linked = visit.request.query_pairs().into_iter().find_map(|(name, value)| (name == "token").then_some(value));
    if let Some(token) = linked {
        let order = visit.shop.find_order(&visit.ctx, id, &token)?;
        visit.set_cookie(cookies::set(cookies::ORDER, &format!("{}~{token}", order.id), cookies::DAY_SECONDS));
        return Ok(order);
    }
    let placed = visit.request.cookie(cookies::ORDER).and_then(|cookie| cookie.split_once('~'));
    match placed {
        Some((order_id, token)) if order_id == id => Ok(visit.shop.find_order(&visit.ctx, id, token)?),
        Some(_) | None => Err(Failure::NotFound),
    }
}

fn headline(state: OrderState) -> &'static str {
    match state {
        OrderState::Pending => "We are confirming your payment",
        OrderState::AwaitingAction => "Your payment needs one more step",
        OrderState::Confirmed => "Thank you for your order",
        OrderState::Completed => "Your order is complete",
        OrderState::Canceled => "This order was canceled",
    }
}

fn explanation(order: &OrderView) -> String {
    match order.state {
        OrderState::Pending => {
            "The bank has not answered yet. This page asks again by itself; nothing is charged twice.".to_owned()
        }
        OrderState::AwaitingAction => {
            let who = if order.payment_provider == "paypal" { "PayPal" } else { "Your bank" };
            format!("{who} asks you to confirm the payment. Nothing is charged until you do.")
        }
        OrderState::Confirmed => format!("A confirmation is on its way to {}.", order.email),
        OrderState::Completed => "Everything was handed over.".to_owned(),
        OrderState::Canceled => order
            .decline
            .as_ref()
            .map_or_else(|| cancel_reason(&order.cancel_reason), |decline| decline.message.clone()),
    }
}

/// Why an order was canceled, in words.
pub fn cancel_reason(code: &str) -> String {
    match code {
        "payment_declined" => "The payment was declined.".to_owned(),
        "out_of_stock" => "Someone else was quicker: not everything is available any more.".to_owned(),
        "abandoned" => "The payment was not finished in time.".to_owned(),
        "price_changed" => "The cart changed while the order was being placed.".to_owned(),
        other => other.to_owned(),
    }
}

/// A status of the payment, in words.
pub fn payment_words(status: PaymentStatus) -> &'static str {
    match status {
        PaymentStatus::Unpaid => "Not paid",
        PaymentStatus::Authorized => "Authorized",
        PaymentStatus::PartiallyPaid => "Partly paid",
        PaymentStatus::Paid => "Paid",
        PaymentStatus::PartiallyRefunded => "Partly refunded",
        PaymentStatus::Refunded => "Refunded",
        PaymentStatus::Voided => "Released",
    }
}

/// A status of the goods, in words.
pub fn fulfillment_words(status: FulfillmentStatus) -> &'static str {
    match status {
        FulfillmentStatus::Unfulfilled => "Being prepared",
        FulfillmentStatus::PartiallyFulfilled => "Partly shipped",
        FulfillmentStatus::Fulfilled => "Shipped",
    }
}

fn in_words(kind: &str, detail: &str) -> String {
    let mut letters = kind.replace('_', " ");
    if let Some(first) = letters.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if detail.is_empty() { letters } else { format!("{letters}: {detail}") }
}
