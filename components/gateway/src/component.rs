//! The component: bindings, conversions and exports.
#![allow(unsafe_code, reason = "the generated exports are called through the canonical ABI")]

use bindings::exports::souk::shop::http;
use souk_kit::cart::CartError;
use souk_kit::catalog::CatalogError;
use souk_kit::guest::{self, Host};
use souk_kit::http::Request;
use souk_kit::notification::NotificationError;
use souk_kit::order::OrderError;
use souk_kit::payment_extension::{Hook, HookError};
use souk_kit::user::UserError;
use souk_kit::{Context, Id, Money, PageRequest, cart, catalog, notification, order, payment, user};

use crate::exchange::Arrival;
use crate::ports::{Carts, Catalog, Notifications, Orders, Payments, Users};

mod bindings {
    #![allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        reason = "generated from wit/, where the documentation is"
    )]
    wit_bindgen::generate!({
        path: "../../wit",
        world: "gateway-edge",
        with: {
            "wasi:clocks/wall-clock@0.2.0": souk_kit::bindings::wasi::clocks::wall_clock,
            "wasi:random/random@0.2.0": souk_kit::bindings::wasi::random::random,
            "souk:shop/types@0.1.0": souk_kit::bindings::souk::shop::types,
            "souk:shop/kv@0.1.0": souk_kit::bindings::souk::shop::kv,
            "souk:shop/config@0.1.0": souk_kit::bindings::souk::shop::config,
            "souk:shop/log@0.1.0": souk_kit::bindings::souk::shop::log,
            "souk:shop/user@0.1.0": souk_kit::bindings::souk::shop::user,
            "souk:shop/catalog@0.1.0": souk_kit::bindings::souk::shop::catalog,
            "souk:shop/cart@0.1.0": souk_kit::bindings::souk::shop::cart,
            "souk:shop/order@0.1.0": souk_kit::bindings::souk::shop::order,
            "souk:shop/payment@0.1.0": souk_kit::bindings::souk::shop::payment,
            "souk:shop/payment-extension@0.1.0": souk_kit::bindings::souk::shop::payment_extension,
            "souk:shop/notification@0.1.0": souk_kit::bindings::souk::shop::notification,
        },
    });
}

struct Component;

impl http::Guest for Component {
    fn handle(request: http::Request) -> http::Response {
        guest::report_panics();
        let http::Request { id, method, path, query, origin, client, headers, body } = request;
        let request = Request { id, method, path, query, origin, client, headers, body };
        let arrival = Arrival { now: guest::now(), entropy: guest::entropy };
        let response = crate::handle(&Host, &arrival, &request);
        http::Response { status: response.status, headers: response.headers, body: response.body }
    }
}

bindings::export!(Component with_types_in bindings);

impl Users for Host {
    fn register(
        &self,
        ctx: &Context,
        registration: &user::Registration,
        device: &str,
    ) -> Result<user::Session, UserError> {
        user::register(ctx, registration, device)
    }

    fn sign_in(&self, ctx: &Context, email: &str, password: &str, device: &str) -> Result<user::Session, UserError> {
        user::sign_in(ctx, email, password, device)
    }

    fn refresh(&self, ctx: &Context, refresh_token: &str) -> Result<user::Session, UserError> {
        user::refresh(ctx, refresh_token)
    }

    fn sign_out(&self, ctx: &Context, refresh_token: &str) -> Result<(), UserError> {
        user::sign_out(ctx, refresh_token)
    }

    fn list_sessions(&self, ctx: &Context, user_id: &str) -> Result<Vec<user::SessionSummary>, UserError> {
        user::list_sessions(ctx, user_id)
    }

    fn end_session(&self, ctx: &Context, user_id: &str, session_id: &str) -> Result<(), UserError> {
        user::end_session(ctx, user_id, session_id)
    }

    fn change_password(
        &self,
        ctx: &Context,
        user_id: &str,
        session_id: &str,
        current: &str,
        new: &str,
    ) -> Result<(), UserError> {
        user::change_password(ctx, user_id, session_id, current, new)
    }

    fn request_password_reset(&self, ctx: &Context, email: &str) -> Result<(), UserError> {
        user::request_password_reset(ctx, email)
    }

    fn reset_password(&self, ctx: &Context, token: &str, new: &str) -> Result<(), UserError> {
        user::reset_password(ctx, token, new)
    }

    fn request_verification(&self, ctx: &Context, user_id: &str) -> Result<(), UserError> {
        user::request_verification(ctx, user_id)
    }

    fn verify_email(&self, ctx: &Context, token: &str) -> Result<user::Profile, UserError> {
        user::verify_email(ctx, token)
    }

    fn get_profile(&self, ctx: &Context, user_id: &str) -> Result<user::Profile, UserError> {
        user::get_profile(ctx, user_id)
    }

    fn set_name(
        &self,
        ctx: &Context,
        user_id: &str,
        name: &str,
        version: Option<u64>,
    ) -> Result<user::Profile, UserError> {
        user::set_name(ctx, user_id, name, version)
    }

    fn list_addresses(&self, ctx: &Context, user_id: &str) -> Result<Vec<user::SavedAddress>, UserError> {
        user::list_addresses(ctx, user_id)
    }

    fn set_address(
        &self,
        ctx: &Context,
        user_id: &str,
        address: &user::SavedAddress,
    ) -> Result<user::SavedAddress, UserError> {
        user::set_address(ctx, user_id, address)
    }

    fn delete_address(&self, ctx: &Context, user_id: &str, address_id: &str) -> Result<(), UserError> {
        user::delete_address(ctx, user_id, address_id)
    }

    fn list_users(&self, ctx: &Context, search: &str, page: &PageRequest) -> Result<user::UserPage, UserError> {
        user::list_users(ctx, search, page)
    }

    fn set_role(&self, ctx: &Context, user_id: &str, role: user::Role) -> Result<user::Profile, UserError> {
        user::set_role(ctx, user_id, role)
    }

    fn set_disabled(&self, ctx: &Context, user_id: &str, disabled: bool) -> Result<user::Profile, UserError> {
        user::set_disabled(ctx, user_id, disabled)
    }

    fn create_first_staff(
        &self,
        ctx: &Context,
        setup_token: &str,
        registration: &user::Registration,
        device: &str,
    ) -> Result<user::Session, UserError> {
        user::create_first_staff(ctx, setup_token, registration, device)
    }
}

impl Catalog for Host {
    fn list_products(
        &self,
        ctx: &Context,
        query: &catalog::ProductQuery,
        page: &PageRequest,
    ) -> Result<catalog::ProductPage, CatalogError> {
        catalog::list_products(ctx, query, page)
    }

    fn get_product(
        &self,
        ctx: &Context,
        key: &str,
        visibility: catalog::Visibility,
    ) -> Result<catalog::Product, CatalogError> {
        catalog::get_product(ctx, key, visibility)
    }

    fn list_categories(&self, ctx: &Context) -> Result<Vec<catalog::Category>, CatalogError> {
        catalog::list_categories(ctx)
    }

    fn create_product(&self, ctx: &Context, product: &catalog::Product) -> Result<catalog::Product, CatalogError> {
        catalog::create_product(ctx, product)
    }

    fn update_product(&self, ctx: &Context, product: &catalog::Product) -> Result<catalog::Product, CatalogError> {
        catalog::update_product(ctx, product)
    }

    fn delete_product(&self, ctx: &Context, product_id: &str, version: Option<u64>) -> Result<(), CatalogError> {
        catalog::delete_product(ctx, product_id, version)
    }

    fn set_category(&self, ctx: &Context, category: &catalog::Category) -> Result<catalog::Category, CatalogError> {
        catalog::set_category(ctx, category)
    }

    fn delete_category(&self, ctx: &Context, category_id: &str) -> Result<(), CatalogError> {
        catalog::delete_category(ctx, category_id)
    }

    fn put_media(&self, ctx: &Context, file: &catalog::MediaFile) -> Result<Id, CatalogError> {
        catalog::put_media(ctx, file)
    }

    fn get_media(&self, ctx: &Context, media_id: &str) -> Result<catalog::MediaFile, CatalogError> {
        catalog::get_media(ctx, media_id)
    }

    fn adjust_stock(
        &self,
        ctx: &Context,
        movement_id: &str,
        variant_id: &str,
        delta: i64,
        reason: &str,
    ) -> Result<catalog::VariantDetail, CatalogError> {
        catalog::adjust_stock(ctx, movement_id, variant_id, delta, reason)
    }

    fn list_stock_movements(
        &self,
        ctx: &Context,
        variant_id: &str,
        page: &PageRequest,
    ) -> Result<catalog::MovementPage, CatalogError> {
        catalog::list_stock_movements(ctx, variant_id, page)
    }
}

impl Carts for Host {
    fn create_cart(&self, ctx: &Context, cart_id: &str, currency: &str) -> Result<cart::CartView, CartError> {
        cart::create(ctx, cart_id, currency)
    }

    fn get_cart(&self, ctx: &Context, cart_id: &str) -> Result<cart::CartView, CartError> {
        cart::get(ctx, cart_id)
    }

    fn set_lines(
        &self,
        ctx: &Context,
        cart_id: &str,
        changes: &[cart::LineChange],
        version: Option<u64>,
    ) -> Result<cart::CartView, CartError> {
        cart::set_lines(ctx, cart_id, changes, version)
    }

    fn get_cart_for_user(&self, ctx: &Context, user_id: &str) -> Result<cart::CartView, CartError> {
        cart::get_for_user(ctx, user_id)
    }

    fn claim_cart(&self, ctx: &Context, cart_id: &str, user_id: &str) -> Result<cart::CartView, CartError> {
        cart::claim(ctx, cart_id, user_id)
    }
}

impl Orders for Host {
    fn get_quote(&self, ctx: &Context, request: &order::QuoteRequest) -> Result<order::Quote, OrderError> {
        order::get_quote(ctx, request)
    }

    fn place(&self, ctx: &Context, placement: &order::Placement) -> Result<order::OrderView, OrderError> {
        order::place(ctx, placement)
    }

    fn resume(&self, ctx: &Context, order_id: &str) -> Result<order::OrderView, OrderError> {
        order::resume(ctx, order_id)
    }

    fn get_order(&self, ctx: &Context, order_id: &str) -> Result<order::OrderView, OrderError> {
        order::get_order(ctx, order_id)
    }

    fn find_order(&self, ctx: &Context, number: &str, access_token: &str) -> Result<order::OrderView, OrderError> {
        order::find(ctx, number, access_token)
    }

    fn list_orders(
        &self,
        ctx: &Context,
        query: &order::OrderQuery,
        page: &PageRequest,
    ) -> Result<order::OrderPage, OrderError> {
        order::list_orders(ctx, query, page)
    }

    fn list_timeline(&self, ctx: &Context, order_id: &str) -> Result<Vec<order::TimelineEntry>, OrderError> {
        order::list_timeline(ctx, order_id)
    }

    fn cancel(
        &self,
        ctx: &Context,
        command_id: &str,
        order_id: &str,
        reason: &str,
    ) -> Result<order::OrderView, OrderError> {
        order::cancel(ctx, command_id, order_id, reason)
    }

    fn capture(
        &self,
        ctx: &Context,
        command_id: &str,
        order_id: &str,
        amount: Option<&Money>,
    ) -> Result<order::OrderView, OrderError> {
        order::capture(ctx, command_id, order_id, amount)
    }

    fn refund(
        &self,
        ctx: &Context,
        command_id: &str,
        order_id: &str,
        amount: &Money,
        reason: &str,
        restock: &[order::FulfillmentLine],
    ) -> Result<order::OrderView, OrderError> {
        order::refund(ctx, command_id, order_id, amount, reason, restock)
    }

    fn ship(
        &self,
        ctx: &Context,
        command_id: &str,
        order_id: &str,
        lines: &[order::FulfillmentLine],
        carrier: &str,
        tracking_number: &str,
    ) -> Result<order::OrderView, OrderError> {
        order::ship(ctx, command_id, order_id, lines, carrier, tracking_number)
    }
}

impl Payments for Host {
    fn list_providers(&self, ctx: &Context) -> Vec<String> {
        payment::list_providers(ctx)
    }

    fn take_hook(&self, ctx: &Context, provider: &str, hook: &Hook) -> Result<(), HookError> {
        payment::take_hook(ctx, provider, hook)
    }
}

impl Notifications for Host {
    fn list_notifications(
        &self,
        ctx: &Context,
        recipient: &str,
        page: &PageRequest,
    ) -> Result<notification::NotificationPage, NotificationError> {
        notification::list_notifications(ctx, recipient, page)
    }

    fn resend(&self, ctx: &Context, command_id: &str, notification_id: &str) -> Result<(), NotificationError> {
        notification::resend(ctx, command_id, notification_id)
    }
}
