//! The component: bindings, conversions and exports.
#![allow(unsafe_code, reason = "the generated exports are called through the canonical ABI")]

use bindings::exports::souk::shop::http;
use souk_kit::cart::{CartError, CartView, LineChange};
use souk_kit::catalog::{CatalogError, Category, Product, ProductPage, ProductQuery, Visibility};
use souk_kit::guest::{self, Host};
use souk_kit::http::Request;
use souk_kit::order::{OrderError, OrderPage, OrderQuery, OrderView, Placement, Quote, QuoteRequest, TimelineEntry};
use souk_kit::user::{Profile, Registration, SavedAddress, Session, SessionSummary, UserError};
use souk_kit::{Context, PageRequest, cart, catalog, order, payment, user};

use crate::app;
use crate::shop::Shop;

mod bindings {
    #![allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        reason = "generated from wit/, where the documentation is"
    )]
    wit_bindgen::generate!({
        path: "../../wit",
        world: "storefront-edge",
        with: {
            "wasi:clocks/wall-clock@0.2.0": souk_kit::bindings::wasi::clocks::wall_clock,
            "wasi:random/random@0.2.0": souk_kit::bindings::wasi::random::random,
            "souk:shop/types@0.1.0": souk_kit::bindings::souk::shop::types,
            "souk:shop/config@0.1.0": souk_kit::bindings::souk::shop::config,
            "souk:shop/log@0.1.0": souk_kit::bindings::souk::shop::log,
            "souk:shop/user@0.1.0": souk_kit::bindings::souk::shop::user,
            "souk:shop/catalog@0.1.0": souk_kit::bindings::souk::shop::catalog,
            "souk:shop/cart@0.1.0": souk_kit::bindings::souk::shop::cart,
            "souk:shop/order@0.1.0": souk_kit::bindings::souk::shop::order,
            "souk:shop/payment-extension@0.1.0": souk_kit::bindings::souk::shop::payment_extension,
            "souk:shop/payment@0.1.0": souk_kit::bindings::souk::shop::payment,
        },
    });
}

struct Component;

impl http::Guest for Component {
    fn handle(request: http::Request) -> http::Response {
        guest::report_panics();
        let http::Request { id, method, path, query, origin, client, headers, body } = request;
        let request = Request { id, method, path, query, origin, client, headers, body };
        let response = app::handle(&Host, &request, guest::now(), guest::entropy());
        http::Response { status: response.status, headers: response.headers, body: response.body }
    }
}

impl Shop for Host {
    fn list_products(
        &self,
        ctx: &Context,
        query: &ProductQuery,
        page: &PageRequest,
    ) -> Result<ProductPage, CatalogError> {
        catalog::list_products(ctx, query, page)
    }
    fn get_product(&self, ctx: &Context, key: &str, visibility: Visibility) -> Result<Product, CatalogError> {
        catalog::get_product(ctx, key, visibility)
    }
    fn list_categories(&self, ctx: &Context) -> Result<Vec<Category>, CatalogError> {
        catalog::list_categories(ctx)
    }
    fn create_cart(&self, ctx: &Context, cart_id: &str, currency: &str) -> Result<CartView, CartError> {
        cart::create(ctx, cart_id, currency)
    }
    fn get_cart(&self, ctx: &Context, cart_id: &str) -> Result<CartView, CartError> {
        cart::get(ctx, cart_id)
    }
    fn set_lines(
        &self,
        ctx: &Context,
        cart_id: &str,
        changes: &[LineChange],
        version: Option<u64>,
    ) -> Result<CartView, CartError> {
        cart::set_lines(ctx, cart_id, changes, version)
    }
    fn get_cart_for_user(&self, ctx: &Context, user_id: &str) -> Result<CartView, CartError> {
        cart::get_for_user(ctx, user_id)
    }
    fn claim_cart(&self, ctx: &Context, cart_id: &str, user_id: &str) -> Result<CartView, CartError> {
        cart::claim(ctx, cart_id, user_id)
    }
    fn get_quote(&self, ctx: &Context, request: &QuoteRequest) -> Result<Quote, OrderError> {
        order::get_quote(ctx, request)
    }
    fn place(&self, ctx: &Context, placement: &Placement) -> Result<OrderView, OrderError> {
        order::place(ctx, placement)
    }
    fn resume(&self, ctx: &Context, order_id: &str) -> Result<OrderView, OrderError> {
        order::resume(ctx, order_id)
    }
    fn get_order(&self, ctx: &Context, order_id: &str) -> Result<OrderView, OrderError> {
        order::get_order(ctx, order_id)
    }
    fn find_order(&self, ctx: &Context, number: &str, access_token: &str) -> Result<OrderView, OrderError> {
        order::find(ctx, number, access_token)
    }
    fn list_orders(&self, ctx: &Context, query: &OrderQuery, page: &PageRequest) -> Result<OrderPage, OrderError> {
        order::list_orders(ctx, query, page)
    }
    fn list_timeline(&self, ctx: &Context, order_id: &str) -> Result<Vec<TimelineEntry>, OrderError> {
        order::list_timeline(ctx, order_id)
    }
    fn list_providers(&self, ctx: &Context) -> Vec<String> {
        payment::list_providers(ctx)
    }
    fn register(&self, ctx: &Context, registration: &Registration, device: &str) -> Result<Session, UserError> {
        user::register(ctx, registration, device)
    }
    fn sign_in(&self, ctx: &Context, email: &str, password: &str, device: &str) -> Result<Session, UserError> {
        user::sign_in(ctx, email, password, device)
    }
    fn refresh(&self, ctx: &Context, refresh_token: &str) -> Result<Session, UserError> {
        user::refresh(ctx, refresh_token)
    }
    fn sign_out(&self, ctx: &Context, refresh_token: &str) -> Result<(), UserError> {
        user::sign_out(ctx, refresh_token)
    }
    fn request_password_reset(&self, ctx: &Context, email: &str) -> Result<(), UserError> {
        user::request_password_reset(ctx, email)
    }
    fn reset_password(&self, ctx: &Context, token: &str, new_password: &str) -> Result<(), UserError> {
        user::reset_password(ctx, token, new_password)
    }
    fn verify_email(&self, ctx: &Context, token: &str) -> Result<Profile, UserError> {
        user::verify_email(ctx, token)
    }
    fn get_profile(&self, ctx: &Context, user_id: &str) -> Result<Profile, UserError> {
        user::get_profile(ctx, user_id)
    }
    fn list_addresses(&self, ctx: &Context, user_id: &str) -> Result<Vec<SavedAddress>, UserError> {
        user::list_addresses(ctx, user_id)
    }
    fn set_address(&self, ctx: &Context, user_id: &str, address: &SavedAddress) -> Result<SavedAddress, UserError> {
        user::set_address(ctx, user_id, address)
    }
    fn delete_address(&self, ctx: &Context, user_id: &str, address_id: &str) -> Result<(), UserError> {
        user::delete_address(ctx, user_id, address_id)
    }
    fn list_sessions(&self, ctx: &Context, user_id: &str) -> Result<Vec<SessionSummary>, UserError> {
        user::list_sessions(ctx, user_id)
    }
    fn end_session(&self, ctx: &Context, user_id: &str, session_id: &str) -> Result<(), UserError> {
        user::end_session(ctx, user_id, session_id)
    }
}

bindings::export!(Component with_types_in bindings);
