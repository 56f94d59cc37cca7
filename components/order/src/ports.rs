//! What an order needs from the outside: its rows, its configuration and three services.
//!
//! Every call that changes something is named by the order's id, or by an id derived from it, and may be made again.

use souk_kit::cart::{CartError, CartView};
use souk_kit::catalog::{CatalogError, Reservation, StockLine};
use souk_kit::payment::{Authorization, PaymentError, PaymentView};
use souk_kit::{Config, Context, Id, Money, Sql};

/// The carts that orders are made from: see `wit/cart.wit`.
pub trait Carts {
    /// Reads a cart and prices it.
    fn get_cart(&self, ctx: &Context, cart_id: &str) -> Result<CartView, CartError>;
    /// Freezes an open cart for an order.
    fn begin_checkout(&self, ctx: &Context, cart_id: &str, version: u64, order_id: &str)
    -> Result<CartView, CartError>;
    /// Ends the checkout: completed, or open again.
    fn end_checkout(&self, ctx: &Context, cart_id: &str, order_id: &str, confirmed: bool) -> Result<(), CartError>;
}

/// The stock that orders take: see `wit/catalog.wit`.
pub trait Stock {
    /// Promises stock to an order.
    fn reserve(
        &self,
        ctx: &Context,
        order_id: &str,
        lines: &[StockLine],
        ttl_seconds: u32,
    ) -> Result<Reservation, CatalogError>;
    /// Turns the promise into a sale.
    fn commit_reservation(&self, ctx: &Context, order_id: &str) -> Result<Reservation, CatalogError>;
    /// Gives the promise back.
    fn release_reservation(&self, ctx: &Context, order_id: &str) -> Result<Reservation, CatalogError>;
    /// Reads what an order holds or held.
    fn get_reservation(&self, ctx: &Context, order_id: &str) -> Result<Reservation, CatalogError>;
    /// Orders that hold or held stock, by id, after this one.
    fn list_reserved_orders(&self, ctx: &Context, after: &str, limit: u32) -> Result<Vec<Id>, CatalogError>;
    /// Puts units that an order had taken back on the shelf.
    fn restock(&self, ctx: &Context, command_id: &str, order_id: &str, lines: &[StockLine])
    -> Result<(), CatalogError>;
}

/// The payments of orders: see `wit/payment.wit`.
pub trait Payments {
    /// Stores the intent, then asks the provider to hold the amount.
    fn authorize(&self, ctx: &Context, authorization: &Authorization) -> Result<PaymentView, PaymentError>;
    /// Asks the provider what is not known yet.
    fn refresh(&self, ctx: &Context, payment_id: &str) -> Result<PaymentView, PaymentError>;
    /// Reads a payment.
    fn get_payment(&self, ctx: &Context, payment_id: &str) -> Result<PaymentView, PaymentError>;
    /// Orders that money was asked for, by id, after this one.
    fn list_paid_orders(&self, ctx: &Context, after: &str, limit: u32) -> Result<Vec<Id>, PaymentError>;
    /// Takes money that is held.
    fn capture(
        &self,
        ctx: &Context,
        command_id: &str,
        payment_id: &str,
        amount: &Money,
    ) -> Result<PaymentView, PaymentError>;
    /// Lets go of what is held.
    fn void(&self, ctx: &Context, command_id: &str, payment_id: &str) -> Result<PaymentView, PaymentError>;
    /// Gives money back.
    fn refund(
        &self,
        ctx: &Context,
        command_id: &str,
        payment_id: &str,
        amount: &Money,
        reason: &str,
    ) -> Result<PaymentView, PaymentError>;
    /// Names of the payment providers on offer.
    fn list_providers(&self, ctx: &Context) -> Vec<String>;
}

/// All of it.
pub trait Ports: Sql + Config + Carts + Stock + Payments {}

impl<T: Sql + Config + Carts + Stock + Payments> Ports for T {}
