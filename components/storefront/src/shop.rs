//! The services as the storefront calls them.

use souk_kit::cart::{CartError, CartView, LineChange};
use souk_kit::catalog::{CatalogError, Category, Product, ProductPage, ProductQuery, Visibility};
use souk_kit::order::{OrderError, OrderPage, OrderQuery, OrderView, Placement, Quote, QuoteRequest, TimelineEntry};
use souk_kit::user::{Profile, Registration, SavedAddress, Session, SessionSummary, UserError};
use souk_kit::{Config, Context, PageRequest};

/// What the pages need of the services. The signatures are those of the WIT imports.
#[allow(missing_docs, reason = "each function is documented in wit/, under the same name")]
pub trait Shop: Config {
    fn list_products(
        &self,
        ctx: &Context,
        query: &ProductQuery,
        page: &PageRequest,
    ) -> Result<ProductPage, CatalogError>;
    fn get_product(&self, ctx: &Context, key: &str, visibility: Visibility) -> Result<Product, CatalogError>;
    fn list_categories(&self, ctx: &Context) -> Result<Vec<Category>, CatalogError>;

    fn create_cart(&self, ctx: &Context, cart_id: &str, currency: &str) -> Result<CartView, CartError>;
    fn get_cart(&self, ctx: &Context, cart_id: &str) -> Result<CartView, CartError>;
    fn set_lines(
        &self,
        ctx: &Context,
        cart_id: &str,
        changes: &[LineChange],
        version: Option<u64>,
    ) -> Result<CartView, CartError>;
    fn get_cart_for_user(&self, ctx: &Context, user_id: &str) -> Result<CartView, CartError>;
    fn claim_cart(&self, ctx: &Context, cart_id: &str, user_id: &str) -> Result<CartView, CartError>;

    fn get_quote(&self, ctx: &Context, request: &QuoteRequest) -> Result<Quote, OrderError>;
    fn place(&self, ctx: &Context, placement: &Placement) -> Result<OrderView, OrderError>;
    fn resume(&self, ctx: &Context, order_id: &str) -> Result<OrderView, OrderError>;
    fn get_order(&self, ctx: &Context, order_id: &str) -> Result<OrderView, OrderError>;
    fn find_order(&self, ctx: &Context, number: &str, access_token: &str) -> Result<OrderView, OrderError>;
    fn list_orders(&self, ctx: &Context, query: &OrderQuery, page: &PageRequest) -> Result<OrderPage, OrderError>;
    fn list_timeline(&self, ctx: &Context, order_id: &str) -> Result<Vec<TimelineEntry>, OrderError>;
    fn list_providers(&self, ctx: &Context) -> Vec<String>;

    fn register(&self, ctx: &Context, registration: &Registration, device: &str) -> Result<Session, UserError>;
    fn sign_in(&self, ctx: &Context, email: &str, password: &str, device: &str) -> Result<Session, UserError>;
    fn refresh(&self, ctx: &Context, refresh_token: &str) -> Result<Session, UserError>;
    fn sign_out(&self, ctx: &Context, refresh_token: &str) -> Result<(), UserError>;
    fn request_password_reset(&self, ctx: &Context, email: &str) -> Result<(), UserError>;
    fn reset_password(&self, ctx: &Context, token: &str, new_password: &str) -> Result<(), UserError>;
    fn verify_email(&self, ctx: &Context, token: &str) -> Result<Profile, UserError>;
    fn get_profile(&self, ctx: &Context, user_id: &str) -> Result<Profile, UserError>;
    fn list_addresses(&self, ctx: &Context, user_id: &str) -> Result<Vec<SavedAddress>, UserError>;
    fn set_address(&self, ctx: &Context, user_id: &str, address: &SavedAddress) -> Result<SavedAddress, UserError>;
    fn delete_address(&self, ctx: &Context, user_id: &str, address_id: &str) -> Result<(), UserError>;
    fn list_sessions(&self, ctx: &Context, user_id: &str) -> Result<Vec<SessionSummary>, UserError>;
    fn end_session(&self, ctx: &Context, user_id: &str, session_id: &str) -> Result<(), UserError>;
}
