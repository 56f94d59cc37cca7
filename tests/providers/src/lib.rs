//! Stand-ins for the outside companies that connectors talk to.
//!
//! Each company is a plain state machine: time and faults come as arguments, and the same calls always give the same
//! answers. [`server`] puts one behind HTTP for clients that need a socket. Nothing here knows of Souk.
//!
//! | room | what is there |
//! |---|---|
//! | [`provider`] | what every company is to those who run it |
//! | [`stripe`], [`paypal`], [`sendgrid`], [`twilio`] | the companies |
//! | [`faults`], [`hooks`] | what goes wrong with requests and with webhooks, by plan or by seed |
//! | [`keys`], [`random`] | idempotency keys and seeded chance |

pub mod faults;
pub mod hooks;
pub mod keys;
pub mod paypal;
pub mod provider;
pub mod random;
pub mod sendgrid;
pub mod server;
pub mod stripe;
pub mod twilio;
