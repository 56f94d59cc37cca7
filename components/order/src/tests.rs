//! The service over a real SQLite and small faithful copies of the three services below it.

mod checkout;
mod commands;
mod deciding;
mod faults;
mod reading;
mod world;
