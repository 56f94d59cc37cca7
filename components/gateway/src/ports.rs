//! What stands below the gateway, as traits: the ports and the services it calls.
//!
//! The traits name kit's generated types, so that nothing here needs a component: `component.rs` puts the imports
//! behind them, tests put a shop of paper there. Documentation of each function is in `wit/`.
#![allow(missing_docs, reason = "the functions are those of wit/, which documents them")]

use souk_kit::cart::CartError;
use souk_kit::catalog::CatalogError;
use souk_kit::notification::NotificationError;
use souk_kit::order::OrderError;
use souk_kit::payment_extension::{Hook, HookError};
use souk_kit::user::UserError;
use souk_kit::{Config, Context, Id, Kv, Money, PageRequest, cart, catalog, notification, order, user};

/// All that the gateway may reach.
pub trait Ports: Kv + Config + Users + Catalog + Carts + Orders + Payments + Notifications {}

impl<T: Kv + Config + Users + Catalog + Carts + Orders + Payments + Notifications> Ports for T {}

/// Accounts: see `wit/user.wit`.
pub trait Users {
    fn register(
        &self,
        ctx: &Context,
        registration: &user::Registration,
        device: &str,
    ) -> Result<user::Session, UserError>;
    fn sign_in(&self, ctx: &Context, email: &str, password: &str, device: &str) -> Result<user::Session, UserError>;
    fn refresh(&self, ctx: &Context, refresh_token: &str) -> Result<user::Session, UserError>;
    fn sign_out(&self, ctx: &Context, refresh_token: &str) -> Result<(), UserError>;
    fn list_sessions(&self, ctx: &Context, user_id: &str) -> Result<Vec<user::SessionSummary>, UserError>;
    fn end_session(&self, ctx: &Context, user_id: &str, session_id: &str) -> Result<(), UserError>;
    fn change_password(
        &self,
        ctx: &Context,
        user_id: &str,
        session_id: &str,
        current: &str,
        new: &str,
    ) -> Result<(), UserError>;
    fn request_password_reset(&self, ctx: &Context, email: &str) -> Result<(), UserError>;
    fn reset_password(&self, ctx: &Context, token: &str, new: &str) -> Result<(), UserError>;
    fn request_verification(&self, ctx: &Context, user_id: &str) -> Result<(), UserError>;
    fn verify_email(&self, ctx: &Context, token: &str) -> Result<user::Profile, UserError>;
    fn get_profile(&self, ctx: &Context, user_id: &str) -> Result<user::Profile, UserError>;
    fn set_name(
        &self,
        ctx: &Context,
        user_id: &str,
        name: &str,
        version: Option<u64>,
    ) -> Result<user::Profile, UserError>;
    fn list_addresses(&self, ctx: &Context, user_id: &str) -> Result<Vec<user::SavedAddress>, UserError>;
    fn set_address(
        &self,
        ctx: &Context,
        user_id: &str,
        address: &user::SavedAddress,
    ) -> Result<user::SavedAddress, UserError>;
    fn delete_address(&self, ctx: &Context, user_id: &str, address_id: &str) -> Result<(), UserError>;
    fn list_users(&self, ctx: &Context, search: &str, page: &PageRequest) -> Result<user::UserPage, UserError>;
    fn set_role(&self, ctx: &Context, user_id: &str, role: user::Role) -> Result<user::Profile, UserError>;
    fn set_disabled(&self, ctx: &Context, user_id: &str, disabled: bool) -> Result<user::Profile, UserError>;
    fn create_first_staff(
        &self,
        ctx: &Context,
        setup_token: &str,
        registration: &user::Registration,
        device: &str,
    ) -> Result<user::Session, UserError>;
}

/// Products and stock: see `wit/catalog.wit`.
pub trait Catalog {
    fn list_products(
        &self,
        ctx: &Context,
        query: &catalog::ProductQuery,
        page: &PageRequest,
    ) -> Result<catalog::ProductPage, CatalogError>;
    fn get_product(
        &self,
        ctx: &Context,
        key: &str,
        visibility: catalog::Visibility,
    ) -> Result<catalog::Product, CatalogError>;
    fn list_categories(&self, ctx: &Context) -> Result<Vec<catalog::Category>, CatalogError>;
    fn create_product(&self, ctx: &Context, product: &catalog::Product) -> Result<catalog::Product, CatalogError>;
    fn update_product(&self, ctx: &Context, product: &catalog::Product) -> Result<catalog::Product, CatalogError>;
    fn delete_product(&self, ctx: &Context, product_id: &str, version: Option<u64>) -> Result<(), CatalogError>;
    fn set_category(&self, ctx: &Context, category: &catalog::Category) -> Result<catalog::Category, CatalogError>;
    fn delete_category(&self, ctx: &Context, category_id: &str) -> Result<(), CatalogError>;
    fn put_media(&self, ctx: &Context, file: &catalog::MediaFile) -> Result<Id, CatalogError>;
    fn get_media(&self, ctx: &Context, media_id: &str) -> Result<catalog::MediaFile, CatalogError>;
    fn adjust_stock(
        &self,
        ctx: &Context,
        movement_id: &str,
        variant_id: &str,
        delta: i64,
        reason: &str,
    ) -> Result<catalog::VariantDetail, CatalogError>;
    fn list_stock_movements(
        &self,
        ctx: &Context,
        variant_id: &str,
        page: &PageRequest,
    ) -> Result<catalog::MovementPage, CatalogError>;
}

/// Carts: see `wit/cart.wit`.
pub trait Carts {
    fn create_cart(&self, ctx: &Context, cart_id: &str, currency: &str) -> Result<cart::CartView, CartError>;
    fn get_cart(&self, ctx: &Context, cart_id: &str) -> Result<cart::CartView, CartError>;
    fn set_lines(
        &self,
        ctx: &Context,
        cart_id: &str,
        changes: &[cart::LineChange],
        version: Option<u64>,
    ) -> Result<cart::CartView, CartError>;
    fn get_cart_for_user(&self, ctx: &Context, user_id: &str) -> Result<cart::CartView, CartError>;
    fn claim_cart(&self, ctx: &Context, cart_id: &str, user_id: &str) -> Result<cart::CartView, CartError>;
}

/// Orders and checkout: see `wit/order.wit`.
pub trait Orders {
    fn get_quote(&self, ctx: &Context, request: &order::QuoteRequest) -> Result<order::Quote, OrderError>;
    fn place(&self, ctx: &Context, placement: &order::Placement) -> Result<order::OrderView, OrderError>;
    fn resume(&self, ctx: &Context, order_id: &str) -> Result<order::OrderView, OrderError>;
    fn get_order(&self, ctx: &Context, order_id: &str) -> Result<order::OrderView, OrderError>;
    fn find_order(&self, ctx: &Context, number: &str, access_token: &str) -> Result<order::OrderView, OrderError>;
    fn list_orders(
        &self,
        ctx: &Context,
        query: &order::OrderQuery,
        page: &PageRequest,
    ) -> Result<order::OrderPage, OrderError>;
    fn list_timeline(&self, ctx: &Context, order_id: &str) -> Result<Vec<order::TimelineEntry>, OrderError>;
    fn cancel(
        &self,
        ctx: &Context,
        command_id: &str,
        order_id: &str,
        reason: &str,
    ) -> Result<order::OrderView, OrderError>;
    fn capture(
        &self,
        ctx: &Context,
        command_id: &str,
        order_id: &str,
        amount: Option<&Money>,
    ) -> Result<order::OrderView, OrderError>;
    fn refund(
        &self,
        ctx: &Context,
        command_id: &str,
        order_id: &str,
        amount: &Money,
        reason: &str,
        restock: &[order::FulfillmentLine],
    ) -> Result<order::OrderView, OrderError>;
    fn ship(
        &self,
        ctx: &Context,
        command_id: &str,
        order_id: &str,
        lines: &[order::FulfillmentLine],
        carrier: &str,
        tracking_number: &str,
    ) -> Result<order::OrderView, OrderError>;
}

/// Payments: see `wit/payment.wit`.
pub trait Payments {
    fn list_providers(&self, ctx: &Context) -> Vec<String>;
    fn take_hook(&self, ctx: &Context, provider: &str, hook: &Hook) -> Result<(), HookError>;
}

/// Messages: see `wit/notification.wit`.
pub trait Notifications {
    fn list_notifications(
        &self,
        ctx: &Context,
        recipient: &str,
        page: &PageRequest,
    ) -> Result<notification::NotificationPage, NotificationError>;
    fn resend(&self, ctx: &Context, command_id: &str, notification_id: &str) -> Result<(), NotificationError>;
}
