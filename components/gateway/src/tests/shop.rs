//! A shop of paper: every service answers a sample, or what a test wrote for it, and remembers what it was asked.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Debug;

use souk_kit::cart::CartError;
use souk_kit::catalog::CatalogError;
use souk_kit::http::{Request, Response};
use souk_kit::kv::{Condition, Entry, KvError};
use souk_kit::notification::NotificationError;
use souk_kit::order::OrderError;
use souk_kit::payment_extension::{Hook, HookError};
use souk_kit::testing::TestPorts;
use souk_kit::tokens::{self, Claims};
use souk_kit::user::UserError;
use souk_kit::{Config, Context, Id, Kv, Money, PageRequest, cart, catalog, notification, order, user};

use super::samples;
use crate::exchange::Arrival;
use crate::ports::{Carts, Catalog, Notifications, Orders, Payments, Users};

/// All that the gateway may reach, on paper.
pub struct Shop {
    ports: TestPorts,
    calls: RefCell<Vec<String>>,
    script: RefCell<BTreeMap<&'static str, Vec<Box<dyn Any>>>>,
    /// Lets the write to `kv` after this many others fail, once.
    pub kv_fault: Cell<Option<u32>>,
}

impl Shop {
    /// A shop whose tokens are signed with the keys for tests.
    pub fn new() -> Self {
        let ports = TestPorts::new("gateway", &[]);
        ports.configure("token_public_key", &tokens::test_keys().1);
        Self { ports, calls: RefCell::default(), script: RefCell::default(), kv_fault: Cell::new(None) }
    }

    /// A shop without any configuration.
    pub fn unconfigured() -> Self {
        Self { ports: TestPorts::new("gateway", &[]), ..Self::new() }
    }

    /// Writes the next answer of a function, by its name.
    pub fn script<T: 'static, E: 'static>(&self, name: &'static str, answer: Result<T, E>) {
        self.script.borrow_mut().entry(name).or_default().insert(0, Box::new(answer));
    }

    /// Takes what was asked so far: who asked, the function, its arguments.
    pub fn take_calls(&self) -> Vec<String> {
        self.calls.take()
    }

    /// Moves the clock.
    pub fn advance(&self, millis: i64) {
        self.ports.advance(millis);
    }

    /// Answers a request.
    pub fn send(&self, request: &Request) -> Response {
        crate::handle(self, &Arrival { now: self.ports.now(), entropy }, request)
    }

    /// An access token of a user, good for 15 minutes.
    pub fn token(&self, user_id: &str, staff: bool) -> String {
        let claims = Claims {
            user_id: user_id.to_owned(),
            session_id: samples::SESSION.to_owned(),
            staff,
            expires_at: self.ports.now() + 900_000,
        };
        tokens::sign(&tokens::test_keys().0, &claims).expect("the key for tests is one")
    }

    fn heard(&self, ctx: &Context, name: &str, arguments: &impl Debug) {
        self.calls.borrow_mut().push(format!("{:?} {name}{arguments:?}", ctx.actor));
    }

    fn scripted<T: 'static, E: 'static>(&self, name: &str) -> Option<Result<T, E>> {
        let answer = self.script.borrow_mut().get_mut(name)?.pop()?;
        Some(*answer.downcast().expect("the answer that a test wrote has the type of the function's"))
    }

    fn kv_fails(&self) -> Result<(), KvError> {
        match self.kv_fault.take() {
            Some(0) => Err(KvError::Unavailable("a fault that the test asked for".to_owned())),
            Some(left) => {
                self.kv_fault.set(Some(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// Bytes that differ at every call, the same in every run of a test: each runs in a thread of its own.
fn entropy() -> [u8; 16] {
    thread_local!(static CALLS: Cell<u8> = const { Cell::new(0) });
    CALLS.set(CALLS.get() + 1);
    [CALLS.get(); 16]
}

impl Kv for Shop {
    fn get(&self, key: &str) -> Result<Option<Entry>, KvError> {
        Kv::get(&self.ports, key)
    }

    fn set(&self, key: &str, value: &str, condition: Condition, ttl_seconds: Option<u64>) -> Result<u64, KvError> {
        self.kv_fails()?;
        self.calls.borrow_mut().push(format!("kv.set {condition:?}"));
        self.ports.set(key, value, condition, ttl_seconds)
    }

    fn delete(&self, key: &str, condition: Condition) -> Result<(), KvError> {
        self.kv_fails()?;
        self.calls.borrow_mut().push(format!("kv.delete {condition:?}"));
        self.ports.delete(key, condition)
    }

    fn increment(&self, key: &str, by: i64, ttl_seconds: Option<u64>) -> Result<i64, KvError> {
        self.ports.increment(key, by, ttl_seconds)
    }
}

impl Config for Shop {
    fn get(&self, name: &str) -> Option<String> {
        self.calls.borrow_mut().push(format!("config.get {name}"));
        Config::get(&self.ports, name)
    }
}

impl Users for Shop {
    fn register(
        &self,
        ctx: &Context,
        registration: &user::Registration,
        device: &str,
    ) -> Result<user::Session, UserError> {
        self.heard(ctx, "register", &(registration, device));
        self.scripted("register").unwrap_or_else(|| Ok(samples::session()))
    }

    fn sign_in(&self, ctx: &Context, email: &str, password: &str, device: &str) -> Result<user::Session, UserError> {
        self.heard(ctx, "sign_in", &(email, password, device));
        self.scripted("sign_in").unwrap_or_else(|| Ok(samples::session()))
    }

    fn refresh(&self, ctx: &Context, refresh_token: &str) -> Result<user::Session, UserError> {
        self.heard(ctx, "refresh", &(refresh_token,));
        self.scripted("refresh").unwrap_or_else(|| Ok(samples::session()))
    }

    fn sign_out(&self, ctx: &Context, refresh_token: &str) -> Result<(), UserError> {
        self.heard(ctx, "sign_out", &(refresh_token,));
        self.scripted("sign_out").unwrap_or(Ok(()))
    }

    fn list_sessions(&self, ctx: &Context, user_id: &str) -> Result<Vec<user::SessionSummary>, UserError> {
        self.heard(ctx, "list_sessions", &(user_id,));
        self.scripted("list_sessions").unwrap_or_else(|| Ok(samples::sessions()))
    }

    fn end_session(&self, ctx: &Context, user_id: &str, session_id: &str) -> Result<(), UserError> {
        self.heard(ctx, "end_session", &(user_id, session_id));
        self.scripted("end_session").unwrap_or(Ok(()))
    }

    fn change_password(
        &self,
        ctx: &Context,
        user_id: &str,
        session_id: &str,
        current: &str,
        new: &str,
    ) -> Result<(), UserError> {
        self.heard(ctx, "change_password", &(user_id, session_id, current, new));
        self.scripted("change_password").unwrap_or(Ok(()))
    }

    fn request_password_reset(&self, ctx: &Context, email: &str) -> Result<(), UserError> {
        self.heard(ctx, "request_password_reset", &(email,));
        self.scripted("request_password_reset").unwrap_or(Ok(()))
    }

    fn reset_password(&self, ctx: &Context, token: &str, new: &str) -> Result<(), UserError> {
        self.heard(ctx, "reset_password", &(token, new));
        self.scripted("reset_password").unwrap_or(Ok(()))
    }

    fn request_verification(&self, ctx: &Context, user_id: &str) -> Result<(), UserError> {
        self.heard(ctx, "request_verification", &(user_id,));
        self.scripted("request_verification").unwrap_or(Ok(()))
    }

    fn verify_email(&self, ctx: &Context, token: &str) -> Result<user::Profile, UserError> {
        self.heard(ctx, "verify_email", &(token,));
        self.scripted("verify_email").unwrap_or_else(|| Ok(samples::profile()))
    }

    fn get_profile(&self, ctx: &Context, user_id: &str) -> Result<user::Profile, UserError> {
        self.heard(ctx, "get_profile", &(user_id,));
        self.scripted("get_profile").unwrap_or_else(|| Ok(samples::profile()))
    }

    fn set_name(
        &self,
        ctx: &Context,
        user_id: &str,
        name: &str,
        version: Option<u64>,
    ) -> Result<user::Profile, UserError> {
        self.heard(ctx, "set_name", &(user_id, name, version));
        self.scripted("set_name").unwrap_or_else(|| Ok(samples::profile()))
    }

    fn list_addresses(&self, ctx: &Context, user_id: &str) -> Result<Vec<user::SavedAddress>, UserError> {
        self.heard(ctx, "list_addresses", &(user_id,));
        self.scripted("list_addresses").unwrap_or_else(|| Ok(samples::addresses()))
    }

    fn set_address(
        &self,
        ctx: &Context,
        user_id: &str,
        address: &user::SavedAddress,
    ) -> Result<user::SavedAddress, UserError> {
        self.heard(ctx, "set_address", &(user_id, address));
        self.scripted("set_address").unwrap_or_else(|| Ok(samples::saved_address()))
    }

    fn delete_address(&self, ctx: &Context, user_id: &str, address_id: &str) -> Result<(), UserError> {
        self.heard(ctx, "delete_address", &(user_id, address_id));
        self.scripted("delete_address").unwrap_or(Ok(()))
    }

    fn list_users(&self, ctx: &Context, search: &str, page: &PageRequest) -> Result<user::UserPage, UserError> {
        self.heard(ctx, "list_users", &(search, page));
        self.scripted("list_users").unwrap_or_else(|| Ok(samples::users()))
    }

    fn set_role(&self, ctx: &Context, user_id: &str, role: user::Role) -> Result<user::Profile, UserError> {
        self.heard(ctx, "set_role", &(user_id, role));
        self.scripted("set_role").unwrap_or_else(|| Ok(samples::profile()))
    }

    fn set_disabled(&self, ctx: &Context, user_id: &str, disabled: bool) -> Result<user::Profile, UserError> {
        self.heard(ctx, "set_disabled", &(user_id, disabled));
        self.scripted("set_disabled").unwrap_or_else(|| Ok(samples::profile()))
    }

    fn create_first_staff(
        &self,
        ctx: &Context,
        setup_token: &str,
        registration: &user::Registration,
        device: &str,
    ) -> Result<user::Session, UserError> {
        self.heard(ctx, "create_first_staff", &(setup_token, registration, device));
        self.scripted("create_first_staff").unwrap_or_else(|| Ok(samples::session()))
    }
}

impl Catalog for Shop {
    fn list_products(
        &self,
        ctx: &Context,
        query: &catalog::ProductQuery,
        page: &PageRequest,
    ) -> Result<catalog::ProductPage, CatalogError> {
        self.heard(ctx, "list_products", &(query, page));
        self.scripted("list_products").unwrap_or_else(|| Ok(samples::products()))
    }

    fn get_product(
        &self,
        ctx: &Context,
        key: &str,
        visibility: catalog::Visibility,
    ) -> Result<catalog::Product, CatalogError> {
        self.heard(ctx, "get_product", &(key, visibility));
        self.scripted("get_product").unwrap_or_else(|| Ok(samples::product()))
    }

    fn list_categories(&self, ctx: &Context) -> Result<Vec<catalog::Category>, CatalogError> {
        self.heard(ctx, "list_categories", &());
        self.scripted("list_categories").unwrap_or_else(|| Ok(samples::categories()))
    }

    fn create_product(&self, ctx: &Context, product: &catalog::Product) -> Result<catalog::Product, CatalogError> {
        self.heard(ctx, "create_product", &(product,));
        self.scripted("create_product").unwrap_or_else(|| Ok(samples::product()))
    }

    fn update_product(&self, ctx: &Context, product: &catalog::Product) -> Result<catalog::Product, CatalogError> {
        self.heard(ctx, "update_product", &(product,));
        self.scripted("update_product").unwrap_or_else(|| Ok(samples::product()))
    }

    fn delete_product(&self, ctx: &Context, product_id: &str, version: Option<u64>) -> Result<(), CatalogError> {
        self.heard(ctx, "delete_product", &(product_id, version));
        self.scripted("delete_product").unwrap_or(Ok(()))
    }

    fn set_category(&self, ctx: &Context, category: &catalog::Category) -> Result<catalog::Category, CatalogError> {
        self.heard(ctx, "set_category", &(category,));
        self.scripted("set_category").unwrap_or_else(|| Ok(samples::category()))
    }

    fn delete_category(&self, ctx: &Context, category_id: &str) -> Result<(), CatalogError> {
        self.heard(ctx, "delete_category", &(category_id,));
        self.scripted("delete_category").unwrap_or(Ok(()))
    }

    fn put_media(&self, ctx: &Context, file: &catalog::MediaFile) -> Result<Id, CatalogError> {
        self.heard(ctx, "put_media", &(file,));
        self.scripted("put_media").unwrap_or_else(|| Ok(samples::media_id()))
    }

    fn get_media(&self, ctx: &Context, media_id: &str) -> Result<catalog::MediaFile, CatalogError> {
        self.heard(ctx, "get_media", &(media_id,));
        self.scripted("get_media").unwrap_or_else(|| Ok(samples::picture()))
    }

    fn adjust_stock(
        &self,
        ctx: &Context,
        movement_id: &str,
        variant_id: &str,
        delta: i64,
        reason: &str,
    ) -> Result<catalog::VariantDetail, CatalogError> {
        self.heard(ctx, "adjust_stock", &(movement_id, variant_id, delta, reason));
        self.scripted("adjust_stock").unwrap_or_else(|| Ok(samples::variant()))
    }

    fn list_stock_movements(
        &self,
        ctx: &Context,
        variant_id: &str,
        page: &PageRequest,
    ) -> Result<catalog::MovementPage, CatalogError> {
        self.heard(ctx, "list_stock_movements", &(variant_id, page));
        self.scripted("list_stock_movements").unwrap_or_else(|| Ok(samples::movements()))
    }
}

impl Carts for Shop {
    fn create_cart(&self, ctx: &Context, cart_id: &str, currency: &str) -> Result<cart::CartView, CartError> {
        self.heard(ctx, "create_cart", &(cart_id, currency));
        self.scripted("create_cart").unwrap_or_else(|| Ok(samples::cart()))
    }

    fn get_cart(&self, ctx: &Context, cart_id: &str) -> Result<cart::CartView, CartError> {
        self.heard(ctx, "get_cart", &(cart_id,));
        self.scripted("get_cart").unwrap_or_else(|| Ok(samples::cart()))
    }

    fn set_lines(
        &self,
        ctx: &Context,
        cart_id: &str,
        changes: &[cart::LineChange],
        version: Option<u64>,
    ) -> Result<cart::CartView, CartError> {
        self.heard(ctx, "set_lines", &(cart_id, changes, version));
        self.scripted("set_lines").unwrap_or_else(|| Ok(samples::cart()))
    }

    fn get_cart_for_user(&self, ctx: &Context, user_id: &str) -> Result<cart::CartView, CartError> {
        self.heard(ctx, "get_cart_for_user", &(user_id,));
        self.scripted("get_cart_for_user").unwrap_or_else(|| Ok(samples::cart()))
    }

    fn claim_cart(&self, ctx: &Context, cart_id: &str, user_id: &str) -> Result<cart::CartView, CartError> {
        self.heard(ctx, "claim_cart", &(cart_id, user_id));
        self.scripted("claim_cart").unwrap_or_else(|| Ok(samples::cart()))
    }
}

impl Orders for Shop {
    fn get_quote(&self, ctx: &Context, request: &order::QuoteRequest) -> Result<order::Quote, OrderError> {
        self.heard(ctx, "get_quote", &(request,));
        self.scripted("get_quote").unwrap_or_else(|| Ok(samples::quote()))
    }

    fn place(&self, ctx: &Context, placement: &order::Placement) -> Result<order::OrderView, OrderError> {
        self.heard(ctx, "place", &(placement,));
        self.scripted("place").unwrap_or_else(|| Ok(samples::order()))
    }

    fn resume(&self, ctx: &Context, order_id: &str) -> Result<order::OrderView, OrderError> {
        self.heard(ctx, "resume", &(order_id,));
        self.scripted("resume").unwrap_or_else(|| Ok(samples::order()))
    }

    fn get_order(&self, ctx: &Context, order_id: &str) -> Result<order::OrderView, OrderError> {
        self.heard(ctx, "get_order", &(order_id,));
        self.scripted("get_order").unwrap_or_else(|| Ok(samples::order()))
    }

    fn find_order(&self, ctx: &Context, number: &str, access_token: &str) -> Result<order::OrderView, OrderError> {
        self.heard(ctx, "find_order", &(number, access_token));
        self.scripted("find_order").unwrap_or_else(|| Ok(samples::order()))
    }

    fn list_orders(
        &self,
        ctx: &Context,
        query: &order::OrderQuery,
        page: &PageRequest,
    ) -> Result<order::OrderPage, OrderError> {
        self.heard(ctx, "list_orders", &(query, page));
        self.scripted("list_orders").unwrap_or_else(|| Ok(samples::orders()))
    }

    fn list_timeline(&self, ctx: &Context, order_id: &str) -> Result<Vec<order::TimelineEntry>, OrderError> {
        self.heard(ctx, "list_timeline", &(order_id,));
        self.scripted("list_timeline").unwrap_or_else(|| Ok(samples::timeline()))
    }

    fn cancel(
        &self,
        ctx: &Context,
        command_id: &str,
        order_id: &str,
        reason: &str,
    ) -> Result<order::OrderView, OrderError> {
        self.heard(ctx, "cancel", &(command_id, order_id, reason));
        self.scripted("cancel").unwrap_or_else(|| Ok(samples::order()))
    }

    fn capture(
        &self,
        ctx: &Context,
        command_id: &str,
        order_id: &str,
        amount: Option<&Money>,
    ) -> Result<order::OrderView, OrderError> {
        self.heard(ctx, "capture", &(command_id, order_id, amount));
        self.scripted("capture").unwrap_or_else(|| Ok(samples::order()))
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
        self.heard(ctx, "refund", &(command_id, order_id, amount, reason, restock));
        self.scripted("refund").unwrap_or_else(|| Ok(samples::order()))
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
        self.heard(ctx, "ship", &(command_id, order_id, lines, carrier, tracking_number));
        self.scripted("ship").unwrap_or_else(|| Ok(samples::order()))
    }
}

impl Payments for Shop {
    fn list_providers(&self, ctx: &Context) -> Vec<String> {
        self.heard(ctx, "list_providers", &());
        samples::providers()
    }

    fn take_hook(&self, ctx: &Context, provider: &str, hook: &Hook) -> Result<(), HookError> {
        self.heard(ctx, "take_hook", &(provider, &hook.headers, String::from_utf8_lossy(&hook.body)));
        self.scripted("take_hook").unwrap_or(Ok(()))
    }
}

impl Notifications for Shop {
    fn list_notifications(
        &self,
        ctx: &Context,
        recipient: &str,
        page: &PageRequest,
    ) -> Result<notification::NotificationPage, NotificationError> {
        self.heard(ctx, "list_notifications", &(recipient, page));
        self.scripted("list_notifications").unwrap_or_else(|| Ok(samples::notifications()))
    }

    fn resend(&self, ctx: &Context, command_id: &str, notification_id: &str) -> Result<(), NotificationError> {
        self.heard(ctx, "resend", &(command_id, notification_id));
        self.scripted("resend").unwrap_or(Ok(()))
    }
}
