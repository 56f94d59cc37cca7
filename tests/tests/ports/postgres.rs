//! The port suite on Postgres, and what only a database that many hosts share, over a network, can do.

mod fences;
mod hosts;
mod outages;
mod proxy;

souk_tests::port_suite!(crate::OwnHost::on_postgres);
