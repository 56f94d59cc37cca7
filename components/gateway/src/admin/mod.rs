//! `/api/v1/admin`: running the shop. For staff alone, but for the setup that makes the first of them.

pub mod categories;
pub mod customers;
pub mod media;
pub mod notifications;
pub mod orders;
pub mod products;
pub mod setup;
pub mod stock;

use crate::routes::Route;

/// The routes of staff.
pub const ROUTES: &[&[Route]] = &[
    products::ROUTES,
    categories::ROUTES,
    media::ROUTES,
    stock::ROUTES,
    orders::ROUTES,
    customers::ROUTES,
    notifications::ROUTES,
    setup::ROUTES,
];
