//! The payment provider of test mode: no money moves, and the token says how a payment goes.
//!
//! | token | what happens |
//! |---|---|
//! | `tok_success` | authorized |
//! | `tok_declined` | declined, `card_declined` |
//! | `tok_insufficient_funds` | declined, `insufficient_funds` |
//! | `tok_expired` | declined, `expired_card` |
//! | `tok_action` | the shopper approves or declines on a page of ours, `/dev/test-payments/{reference}` |
//! | `tok_timeout_after` | authorized, but the answer is lost; `lookup` tells |
//! | `tok_timeout_before` | the first call is lost on its way, `lookup` finds nothing; the next call is authorized |
//! | `tok_delayed` | processing; authorized two seconds later |
//! | `tok_delayed_declined` | processing; declined two seconds later |
//! | `tok_unheard` | processing; authorized two seconds later, and nothing but a webhook says so |
//! | `tok_capture_refused` | authorized; every capture is refused |
//! | `tok_refund_refused` | authorized; every refund is refused |
//! | `tok_refund_timeout` | authorized; a refund happens, but its first answer is lost |
//!
//! Any other token is declined, `invalid_token`. Objects are found again by the payment's id, captures and refunds
//! by the command's, as at a real provider; it never takes more than it holds nor gives back more than it took.
//!
//! It has no source of randomness: a reference derives from the payment's and the order's ids, and whoever knows
//! both could open another shopper's page. That is fine where no money moves, and nowhere else.

#[cfg(target_arch = "wasm32")]
mod component;
pub mod domain;
pub mod hook;
pub mod page;
pub mod service;
pub mod store;

#[cfg(test)]
mod tests;
