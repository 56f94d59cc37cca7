//! Connector to PayPal: an amount is held, taken, let go and given back as an order of Orders v2 and its authorization,
//! captures and refunds of Payments v2.
//!
//! The shopper approves the order at a page of PayPal's, so the token says nothing: it is `paypal`. Approval moves
//! nothing; the first look at the order afterwards holds or takes the money. It keeps no rows: what it must remember
//! stands with PayPal's objects. An order carries the payment as `invoice_id` and ours as `custom_id`; a capture
//! carries its command as `invoice_id`, a refund as `custom_id`.
//!
//! | setting | what it is |
//! |---|---|
//! | `paypal_client_id`, `paypal_client_secret` | the REST app's, sandbox or live |
//! | `paypal_webhook_ids` | the ids of the webhook's registrations, several with commas while one replaces another |
//! | `paypal_api_base` | `https://api-m.paypal.com`, `https://api-m.sandbox.paypal.com`, or a simulator's address |
//!
//! The webhook at PayPal is registered with the types in [`hook::TYPES`]. PayPal is asked whether one is genuine, since
//! its signature needs RSA.
//!
//! How a lost answer is found again, by [`service`]: an order is made again under its key while PayPal keeps it (6
//! hours; we trust 5). One whose answer was never heard moves nothing, ever: no shopper knows its page. What moves money
//! happens once by the object's own state, and a refund is looked for by its command before it is sent.
//!
//! PayPal cannot cancel an order that is not approved yet, so one that is let go is marked in its `custom_id`, and
//! nothing is taken for a marked order.
//!
//! Every call signs in anew, which is one exchange more. PayPal's token is good for hours and moves money: kept in
//! `kv`, it would stand in the shop's storage as well.
//!
//! Never here: whether a total fits the ledger. Order, amount and currency are handed over as PayPal tells them, and
//! `payment` compares them with its intent and quarantines what does not fit.

pub mod amount;
pub mod client;
#[cfg(target_arch = "wasm32")]
mod component;
pub mod domain;
pub mod hook;
pub mod service;
pub mod wire;

#[cfg(test)]
mod tests;
