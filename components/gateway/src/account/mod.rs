//! `/api/v1/auth`: getting in, and one's own account.

pub mod addresses;
pub mod entry;
pub mod me;

use crate::routes::Route;

/// The routes of accounts.
pub const ROUTES: &[&[Route]] = &[entry::ROUTES, me::ROUTES, addresses::ROUTES];
