//! Connector to Stripe: an amount is held, taken, let go and given back as a `PaymentIntent` and its refunds.
//!
//! The token is the id of a payment method (`pm_...`) that Stripe's hosted fields made in the shopper's browser, so
//! card data never comes here. It keeps no rows: what it must remember stands with Stripe's object, in the metadata
//! `souk_payment`, `souk_order` and, with a refund, `souk_command`.
//!
//! | setting | what it is |
//! |---|---|
//! | `stripe_secret_key` | `sk_...` or a restricted key `rk_...` that may write payment intents and refunds and read charges; test or live |
//! | `stripe_webhook_secrets` | `whsec_...`, several with commas while one replaces another |
//! | `stripe_api_base` | another address than `https://api.stripe.com`, for a simulator |
//!
//! The webhook endpoint at Stripe is made with the version [`wire::VERSION`] and the types in [`hook::TYPES`].
//!
//! How a lost answer is found again, by [`service`]: while Stripe keeps the idempotency key (24 hours; we trust 23)
//! the same call is repeated under the same key and makes nothing twice. After that nothing is authorized any more, and
//! questions are asked: the object is read by its reference or, when no answer was ever heard, looked for in the list
//! of those made since the intent was stored. Stripe's search is not asked, since it may be an hour behind. Captures
//! and voids happen once by the object's own state; a refund is looked for by its command before it is sent.
//!
//! Never here: whether a total fits the ledger. Order, amount and currency are handed over as Stripe tells them, and
//! `payment` compares them with its intent and quarantines what does not fit.

pub mod amount;
pub mod client;
#[cfg(target_arch = "wasm32")]
mod component;
pub mod domain;
pub mod hook;
pub mod service;
pub mod signature;
pub mod wire;

#[cfg(test)]
mod tests;
