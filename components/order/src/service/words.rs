//! What an error of another service says, in one line for a person. It is never parsed.

use souk_kit::FieldError;
use souk_kit::cart::CartError;
use souk_kit::catalog::CatalogError;
use souk_kit::order::OrderError;
use souk_kit::payment::{PaymentError, PaymentState};

const FULL: &str = "its storage is full";

/// What the cart said.
pub fn cart(error: &CartError) -> String {
    let what = match error {
        CartError::Invalid(errors) => fields(errors),
        CartError::NotFound => "there is no such cart".to_owned(),
        CartError::Closed => "the cart is closed".to_owned(),
        CartError::NotSold => "a variant is not on sale".to_owned(),
        CartError::LimitReached => "the cart is full".to_owned(),
        CartError::Conflict => "the cart changed meanwhile".to_owned(),
        CartError::StorageFull => FULL.to_owned(),
        CartError::Unavailable(why) => why.clone(),
    };
    format!("cart: {what}")
}

/// What the catalog said.
pub fn catalog(error: &CatalogError) -> String {
    let what = match error {
        CatalogError::Invalid(errors) => fields(errors),
        CatalogError::NotFound => "there is no such variant or reservation".to_owned(),
        CatalogError::OutOfStock(short) => format!("{} variants are short", short.len()),
        CatalogError::Expired => "the reservation has expired".to_owned(),
        CatalogError::Settled => "the reservation is settled".to_owned(),
        CatalogError::InUse => "it is in use".to_owned(),
        CatalogError::Conflict => "the stock changed meanwhile".to_owned(),
        CatalogError::StorageFull => FULL.to_owned(),
        CatalogError::Unavailable(why) => why.clone(),
    };
    format!("catalog: {what}")
}

/// What the payment said.
pub fn payment(error: &PaymentError) -> String {
    let what = match error {
        PaymentError::Invalid(errors) => fields(errors),
        PaymentError::NotFound => "there is no such payment".to_owned(),
        PaymentError::UnknownProvider => "no payment provider has this name".to_owned(),
        PaymentError::WrongState(state) => format!("the payment is {}", payment_state(*state)),
        PaymentError::Exceeds(left) => format!("only {left} is left"),
        PaymentError::Refused(decline) => decline.message.clone(),
        PaymentError::Conflict => "the payment changed meanwhile".to_owned(),
        PaymentError::StorageFull => FULL.to_owned(),
        PaymentError::Unavailable(why) => why.clone(),
    };
    format!("payment: {what}")
}

/// What an order itself said, for whoever redelivers an event.
pub fn order(error: &OrderError) -> String {
    match error {
        OrderError::Invalid(errors) => fields(errors),
        OrderError::NotFound => "there is no such order or cart".to_owned(),
        OrderError::CartEmpty => "the cart is empty".to_owned(),
        OrderError::CartClosed(order) => format!("the cart belongs to {order}"),
        OrderError::PriceChanged(_) => "the price changed".to_owned(),
        OrderError::OutOfStock(short) => format!("{} variants are short", short.len()),
        OrderError::ShippingUnavailable => "the way of shipping is not offered".to_owned(),
        OrderError::UnknownProvider => "no payment provider has this name".to_owned(),
        OrderError::WrongState(_) => "the order is not in a state for this".to_owned(),
        OrderError::Exceeds(left) => format!("only {left} is left"),
        OrderError::PaymentRefused(decline) => decline.message.clone(),
        OrderError::Conflict => "the order changed meanwhile".to_owned(),
        OrderError::StorageFull => FULL.to_owned(),
        OrderError::Unavailable(why) => why.clone(),
    }
}

/// The name of a state of payments.
pub fn payment_state(state: PaymentState) -> &'static str {
    match state {
        PaymentState::Pending => "pending",
        PaymentState::RequiresAction => "requires_action",
        PaymentState::Authorized => "authorized",
        PaymentState::Declined => "declined",
        PaymentState::Voided => "voided",
    }
}

fn fields(errors: &[FieldError]) -> String {
    let each = errors.iter().map(|error| format!("{}: {}", error.pointer, error.detail));
    each.collect::<Vec<_>>().join("; ")
}
