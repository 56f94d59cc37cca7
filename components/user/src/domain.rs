//! What holds for accounts, sessions, secrets and address books, without ports, clock or randomness.

pub mod account;
pub mod address_book;
pub mod password;
pub mod secret;
pub mod session;
