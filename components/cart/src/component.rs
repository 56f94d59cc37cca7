//! The component: bindings and exports.
#![allow(unsafe_code, reason = "the generated exports are called through the canonical ABI")]

use bindings::exports::souk::shop::cart;
use souk_kit::cart::{CartError, CartView, LineChange};
use souk_kit::catalog::{CatalogError, Offer};
use souk_kit::guest::{self, Host};
use souk_kit::types::{Context, Id};

use crate::domain::Outcome;
use crate::service::{self, Catalog};

mod bindings {
    #![allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        reason = "generated from wit/, where the documentation is"
    )]
    wit_bindgen::generate!({
        path: "../../wit",
        world: "cart-service",
        with: {
            "wasi:clocks/wall-clock@0.2.0": souk_kit::bindings::wasi::clocks::wall_clock,
            "souk:shop/types@0.1.0": souk_kit::types,
            "souk:shop/kv@0.1.0": souk_kit::kv,
            "souk:shop/log@0.1.0": souk_kit::bindings::souk::shop::log,
            "souk:shop/catalog@0.1.0": souk_kit::catalog,
            "souk:shop/cart@0.1.0/cart-error": souk_kit::cart::CartError,
            "souk:shop/cart@0.1.0/cart-state": souk_kit::cart::CartState,
            "souk:shop/cart@0.1.0/cart-view": souk_kit::cart::CartView,
            "souk:shop/cart@0.1.0/line-change": souk_kit::cart::LineChange,
            "souk:shop/cart@0.1.0/line-item": souk_kit::cart::LineItem,
            "souk:shop/cart@0.1.0/line-warning": souk_kit::cart::LineWarning,
        },
    });
}

struct Component;

impl Catalog for Host {
    fn get_offers(&self, ctx: &Context, variant_ids: &[Id], currency: &str) -> Result<Vec<Offer>, CatalogError> {
        souk_kit::catalog::get_offers(ctx, variant_ids, currency)
    }
}

impl cart::Guest for Component {
    fn create(ctx: Context, cart_id: Id, currency: String) -> Result<CartView, CartError> {
        service::create(&Host, &guest::start(ctx), &cart_id, &currency)
    }

    fn get(ctx: Context, cart_id: Id) -> Result<CartView, CartError> {
        service::get(&Host, &guest::start(ctx), &cart_id)
    }

    fn set_lines(
        ctx: Context,
        cart_id: Id,
        changes: Vec<LineChange>,
        version: Option<u64>,
    ) -> Result<CartView, CartError> {
        service::set_lines(&Host, &guest::start(ctx), &cart_id, &changes, version)
    }

    fn get_for_user(ctx: Context, user_id: Id) -> Result<CartView, CartError> {
        service::get_for_user(&Host, &guest::start(ctx), &user_id)
    }

    fn claim(ctx: Context, cart_id: Id, user_id: Id) -> Result<CartView, CartError> {
        service::claim(&Host, &guest::start(ctx), &cart_id, &user_id)
    }

    fn begin_checkout(ctx: Context, cart_id: Id, version: u64, order_id: Id) -> Result<CartView, CartError> {
        service::begin_checkout(&Host, &guest::start(ctx), &cart_id, version, &order_id)
    }

    fn end_checkout(ctx: Context, cart_id: Id, order_id: Id, confirmed: bool) -> Result<(), CartError> {
        let outcome = if confirmed { Outcome::Confirmed } else { Outcome::Canceled };
        service::end_checkout(&Host, &guest::start(ctx), &cart_id, &order_id, outcome)
    }
}

bindings::export!(Component with_types_in bindings);
