//! What services refuse, as problem documents. One exhaustive match for each service, so that a new case cannot be forgotten.

use souk_kit::FieldError;
use souk_kit::cart::CartError;
use souk_kit::catalog::CatalogError;
use souk_kit::kv::KvError;
use souk_kit::notification::NotificationError;
use souk_kit::order::OrderError;
use souk_kit::payment_extension::HookError;
use souk_kit::user::UserError;

use crate::auth;
use crate::problem::{Code, Problem};
use crate::shapes::Shortage;

/// Seconds after which a full storage is worth another try: somebody has to make room.
const ROOM_AFTER_SECONDS: u32 = 10;
/// Seconds after which a failed dependency is worth another try.
const RETRY_AFTER_SECONDS: u32 = 1;

/// Field errors of a service. Services say `minor` where our JSON says `amount`.
fn invalid(mut errors: Vec<FieldError>) -> Problem {
    for error in &mut errors {
        if let Some(money) = error.pointer.strip_suffix("/minor") {
            error.pointer = format!("{money}/amount");
        }
    }
    Problem::invalid(errors)
}

/// A dependency that failed. Its text is for the operator's log, which the host writes at the crossing; it is not shown.
fn unavailable() -> Problem {
    Problem::from(Code::Unavailable).header("retry-after", RETRY_AFTER_SECONDS.to_string())
}

/// There is no room for what a request writes; what only reads is answered.
fn storage_full() -> Problem {
    Problem::from(Code::StorageFull).header("retry-after", ROOM_AFTER_SECONDS.to_string())
}

fn throttled(seconds: u32) -> Problem {
    Problem::new(Code::Throttled, format!("try again in {seconds} seconds"))
        .header("retry-after", seconds.max(1).to_string())
}

impl From<UserError> for Problem {
    fn from(error: UserError) -> Self {
        match error {
            UserError::Invalid(errors) => invalid(errors),
            UserError::EmailTaken => Code::EmailTaken.into(),
            UserError::WrongCredentials => Code::WrongCredentials.into(),
            UserError::InvalidToken => auth::invalid_token(),
            UserError::Throttled(seconds) => throttled(seconds),
            UserError::NotFound => Code::NotFound.into(),
            UserError::LimitReached => Code::LimitReached.into(),
            UserError::Conflict => Code::Conflict.into(),
            UserError::StorageFull => storage_full(),
            UserError::Unavailable(_) => unavailable(),
        }
    }
}

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Invalid(errors) => invalid(errors),
            CatalogError::NotFound => Code::NotFound.into(),
            CatalogError::OutOfStock(shortages) => {
                let shortages = shortages.into_iter().map(Shortage::from).collect();
                Self::from(Code::OutOfStock).with(|more| more.shortages = Some(shortages))
            }
            CatalogError::Expired => Code::ReservationExpired.into(),
            CatalogError::Settled => Code::Settled.into(),
            CatalogError::InUse => Code::InUse.into(),
            CatalogError::Conflict => Code::Conflict.into(),
            CatalogError::StorageFull => storage_full(),
            CatalogError::Unavailable(_) => unavailable(),
        }
    }
}

impl From<CartError> for Problem {
    fn from(error: CartError) -> Self {
        match error {
            CartError::Invalid(errors) => invalid(errors),
            CartError::NotFound => Code::NotFound.into(),
            CartError::Closed => Code::CartClosed.into(),
            CartError::NotSold => Code::NotSold.into(),
            CartError::LimitReached => Code::LimitReached.into(),
            CartError::Conflict => Code::Conflict.into(),
            CartError::StorageFull => storage_full(),
            CartError::Unavailable(_) => unavailable(),
        }
    }
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Invalid(errors) => invalid(errors),
            OrderError::NotFound => Code::NotFound.into(),
            OrderError::CartEmpty => Code::CartEmpty.into(),
            OrderError::CartClosed(order_id) => {
                Self::from(Code::CartClosed).with(|more| more.order_id = Some(order_id))
            }
            OrderError::PriceChanged(quote) => {
                Self::from(Code::PriceChanged).with(|more| more.quote = Some(quote.into()))
            }
            OrderError::OutOfStock(shortages) => {
                let shortages = shortages.into_iter().map(Shortage::from).collect();
                Self::from(Code::OutOfStock).with(|more| more.shortages = Some(shortages))
            }
            OrderError::ShippingUnavailable => Code::ShippingUnavailable.into(),
            OrderError::UnknownProvider => Code::UnknownProvider.into(),
            OrderError::WrongState(states) => {
                let states = states.into_iter().map(Into::into).collect();
                Self::from(Code::WrongState).with(|more| more.allowed = Some(states))
            }
            OrderError::Exceeds(left) => Self::from(Code::Exceeds).with(|more| more.left = Some(left)),
            OrderError::PaymentRefused(decline) => {
                Self::from(Code::PaymentRefused).with(|more| more.decline = Some(decline.into()))
            }
            OrderError::Conflict => Code::Conflict.into(),
            OrderError::StorageFull => storage_full(),
            OrderError::Unavailable(_) => unavailable(),
        }
    }
}

impl From<NotificationError> for Problem {
    fn from(error: NotificationError) -> Self {
        match error {
            NotificationError::Invalid(detail) => Self::new(Code::Invalid, detail),
            NotificationError::NotFound => Code::NotFound.into(),
            NotificationError::Conflict => Code::Conflict.into(),
            NotificationError::StorageFull => storage_full(),
            NotificationError::Unavailable(_) => unavailable(),
        }
    }
}

impl From<HookError> for Problem {
    /// What exactly is wrong with a signature is for the operator's log and not for whoever sent it.
    fn from(error: HookError) -> Self {
        match error {
            HookError::Forged(_) => Code::HookForged.into(),
            HookError::Malformed(_) => Code::MalformedRequest.into(),
            HookError::UnknownProvider => Code::NotFound.into(),
            HookError::StorageFull => storage_full(),
            HookError::Unavailable(_) => unavailable(),
        }
    }
}

impl From<KvError> for Problem {
    /// For the records of idempotency keys: a conflict is handled where they are written.
    fn from(error: KvError) -> Self {
        match error {
            KvError::StorageFull => storage_full(),
            KvError::Invalid(_) | KvError::Conflict | KvError::Unavailable(_) => unavailable(),
        }
    }
}
