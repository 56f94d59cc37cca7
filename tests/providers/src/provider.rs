//! What every company is to those who run it: an account that time and requests change, and that tells what happened.

use serde_json::Value;

use crate::hooks::{Delivery, Webhook};

/// How refunds are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundPolicy {
    /// No more than was taken.
    Capped,
    /// Wrongly, anything.
    Uncapped,
}

/// An account at a company. Instants are in milliseconds since 1970.
pub trait Provider: Send + 'static {
    /// The field of an event that says of which type it is.
    const EVENT_TYPE: &str;
    /// Of which type the bodies of webhooks are.
    const CONTENT_TYPE: &str = "application/json; charset=utf-8";
    /// Whether an event names its own address, in `url`. Otherwise all go to the account's.
    const CALLS_BACK: bool = false;

    /// An account without anything. `credentials` are what its API takes, and `url` is where its pages are; ids of
    /// objects hold the seed, so that those of two accounts differ.
    fn new(credentials: &str, url: &str, seed: u32) -> Self;

    /// From now on refunds are checked so; a company that moves no money has none.
    fn check_refunds(&mut self, _policy: RefundPolicy) {}

    /// Lets time pass.
    fn advance(&mut self, now: i64);

    /// Takes the events since the last call, oldest first.
    fn take_events(&mut self) -> Vec<Value>;

    /// All objects, each kind in the order in which they were made.
    fn objects(&self) -> Value;

    /// A delivery as it is sent at `at`, signed under each of the secrets.
    fn webhook(delivery: &Delivery, secrets: &[&str], at: i64) -> Webhook;
}
