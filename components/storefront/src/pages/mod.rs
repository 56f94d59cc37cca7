//! The pages, one file per subject.

pub mod account;
pub mod browse;
pub mod cart;
pub mod checkout;
pub mod layout;
pub mod order;
pub mod pay;
