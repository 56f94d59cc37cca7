//! `/api/v1/store`: what a shopper needs, signed in or not.

pub mod carts;
pub mod categories;
pub mod checkout;
pub mod media;
pub mod order_shapes;
pub mod orders;
pub mod products;

use crate::routes::Route;

/// The routes of the store, the busiest first.
pub const ROUTES: &[&[Route]] =
    &[products::ROUTES, carts::ROUTES, checkout::ROUTES, orders::ROUTES, categories::ROUTES, media::ROUTES];
