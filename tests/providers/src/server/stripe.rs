//! Stripe over HTTP: its API, the fields for a card, and the page of 3-D Secure.

mod api;
mod elements;
mod page;

use axum::Router;

use super::{Shared, Site};
use crate::stripe::Stripe;

impl Site for Stripe {
    fn routes() -> Router<Shared<Self>> {
        api::routes().merge(page::routes()).merge(elements::routes())
    }
}
