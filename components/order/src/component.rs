//! The component: bindings, conversions and exports. The only place with a clock and randomness.
#![allow(unsafe_code, reason = "the generated exports are called through the canonical ABI")]

mod convert;

use bindings::exports::souk::shop::{audit, order as exported, subscriber};
use souk_kit::cart::{CartError, CartView};
use souk_kit::catalog::{CatalogError, Reservation, StockLine};
use souk_kit::order as kit;
use souk_kit::payment::{Authorization, PaymentError, PaymentView};
use souk_kit::types::{Context, Id, Money, PageRequest};
use souk_kit::{cart, catalog, guest, payment};

use crate::domain::task::Request;
use crate::ports::{Carts, Payments, Stock};
use crate::service;
use convert::{answer, failure, lines, page, placement, query, quote, quote_request, timeline};

mod bindings {
    #![allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        clippy::allow_attributes_without_reason,
        reason = "generated from wit/, where the documentation is"
    )]
    wit_bindgen::generate!({
        path: "../../wit",
        world: "order-service",
        with: {
            "wasi:clocks/wall-clock@0.2.0": souk_kit::bindings::wasi::clocks::wall_clock,
            "wasi:random/random@0.2.0": souk_kit::bindings::wasi::random::random,
            "souk:shop/types@0.1.0": souk_kit::bindings::souk::shop::types,
            "souk:shop/events@0.1.0": souk_kit::bindings::souk::shop::events,
            "souk:shop/sql@0.1.0": souk_kit::bindings::souk::shop::sql,
            "souk:shop/config@0.1.0": souk_kit::bindings::souk::shop::config,
            "souk:shop/log@0.1.0": souk_kit::bindings::souk::shop::log,
            "souk:shop/cart@0.1.0": souk_kit::bindings::souk::shop::cart,
            "souk:shop/catalog@0.1.0": souk_kit::bindings::souk::shop::catalog,
            "souk:shop/payment@0.1.0": souk_kit::bindings::souk::shop::payment,
            "souk:shop/payment-extension@0.1.0": souk_kit::bindings::souk::shop::payment_extension,
        },
    });
}

struct Component;

impl exported::Guest for Component {
    fn get_quote(ctx: Context, request: exported::QuoteRequest) -> Result<exported::Quote, exported::OrderError> {
        let call = guest::start(ctx);
        service::place::get_quote(&guest::Host, &call, &quote_request(request)).map(quote).map_err(failure)
    }

    fn place(ctx: Context, asked: exported::Placement) -> Result<exported::OrderView, exported::OrderError> {
        let call = guest::start(ctx);
        answer(service::place::place(&guest::Host, &call, &placement(asked), guest::entropy()))
    }

    fn resume(ctx: Context, order_id: Id) -> Result<exported::OrderView, exported::OrderError> {
        answer(service::resume(&guest::Host, &guest::start(ctx), &order_id))
    }

    fn get_order(ctx: Context, order_id: Id) -> Result<exported::OrderView, exported::OrderError> {
        answer(service::read::get_order(&guest::Host, &guest::start(ctx), &order_id))
    }

    fn find(ctx: Context, number: String, access_token: String) -> Result<exported::OrderView, exported::OrderError> {
        guest::start(ctx);
        answer(service::read::find(&guest::Host, &number, &access_token))
    }

    fn list_orders(
        ctx: Context,
        asked: exported::OrderQuery,
        wanted: PageRequest,
    ) -> Result<exported::OrderPage, exported::OrderError> {
        let call = guest::start(ctx);
        service::read::list_orders(&guest::Host, &call, &query(asked), &wanted).map(page).map_err(failure)
    }

    fn list_timeline(ctx: Context, order_id: Id) -> Result<Vec<exported::TimelineEntry>, exported::OrderError> {
        let call = guest::start(ctx);
        service::read::list_timeline(&guest::Host, &call, &order_id).map(timeline).map_err(failure)
    }

    fn cancel(
        ctx: Context,
        command_id: Id,
        order_id: Id,
        reason: String,
    ) -> Result<exported::OrderView, exported::OrderError> {
        execute(ctx, &command_id, &order_id, Request::Cancel { reason })
    }

    fn capture(
        ctx: Context,
        command_id: Id,
        order_id: Id,
        amount: Option<Money>,
    ) -> Result<exported::OrderView, exported::OrderError> {
        execute(ctx, &command_id, &order_id, Request::Capture { amount })
    }

    fn refund(
        ctx: Context,
        command_id: Id,
        order_id: Id,
        amount: Money,
        reason: String,
        restock: Vec<exported::FulfillmentLine>,
    ) -> Result<exported::OrderView, exported::OrderError> {
        execute(ctx, &command_id, &order_id, Request::Refund { amount, reason, restock: lines(restock) })
    }

    fn ship(
        ctx: Context,
        command_id: Id,
        order_id: Id,
        asked: Vec<exported::FulfillmentLine>,
        carrier: String,
        tracking_number: String,
    ) -> Result<exported::OrderView, exported::OrderError> {
        execute(ctx, &command_id, &order_id, Request::Ship { lines: lines(asked), carrier, tracking_number })
    }
}

fn execute(
    ctx: Context,
    command_id: &str,
    order_id: &str,
    request: Request,
) -> Result<exported::OrderView, exported::OrderError> {
    answer(service::command::execute(&guest::Host, &guest::start(ctx), command_id, order_id, request))
}

impl audit::Guest for Component {
    fn check(ctx: Context, cursor: Option<String>) -> Result<audit::AuditPage, String> {
        let page = service::audit::check(&guest::Host, &guest::start(ctx), cursor)?;
        let findings = page.findings.into_iter().map(|finding| audit::Finding {
            invariant: finding.invariant.to_owned(),
            subject: finding.subject,
            detail: finding.detail,
        });
        Ok(audit::AuditPage { checked: page.checked, findings: findings.collect(), next: page.next })
    }
}

impl subscriber::Guest for Component {
    fn handle(ctx: Context, event: subscriber::Event) -> Result<(), String> {
        service::events::handle(&guest::Host, &guest::start(ctx), &event)
    }
}

impl Carts for guest::Host {
    fn get_cart(&self, ctx: &Context, cart_id: &str) -> Result<CartView, CartError> {
        cart::get(ctx, cart_id)
    }

    fn begin_checkout(
        &self,
        ctx: &Context,
        cart_id: &str,
        version: u64,
        order_id: &str,
    ) -> Result<CartView, CartError> {
        cart::begin_checkout(ctx, cart_id, version, order_id)
    }

    fn end_checkout(&self, ctx: &Context, cart_id: &str, order_id: &str, confirmed: bool) -> Result<(), CartError> {
        cart::end_checkout(ctx, cart_id, order_id, confirmed)
    }
}

impl Stock for guest::Host {
    fn reserve(
        &self,
        ctx: &Context,
        order_id: &str,
        lines: &[StockLine],
        ttl_seconds: u32,
    ) -> Result<Reservation, CatalogError> {
        catalog::reserve(ctx, order_id, lines, ttl_seconds)
    }

    fn commit_reservation(&self, ctx: &Context, order_id: &str) -> Result<Reservation, CatalogError> {
        catalog::commit_reservation(ctx, order_id)
    }

    fn release_reservation(&self, ctx: &Context, order_id: &str) -> Result<Reservation, CatalogError> {
        catalog::release_reservation(ctx, order_id)
    }

    fn get_reservation(&self, ctx: &Context, order_id: &str) -> Result<Reservation, CatalogError> {
        catalog::get_reservation(ctx, order_id)
    }

    fn list_reserved_orders(&self, ctx: &Context, after: &str, limit: u32) -> Result<Vec<Id>, CatalogError> {
        catalog::list_reserved_orders(ctx, after, limit)
    }

    fn restock(
        &self,
        ctx: &Context,
        command_id: &str,
        order_id: &str,
        lines: &[StockLine],
    ) -> Result<(), CatalogError> {
        catalog::restock(ctx, command_id, order_id, lines)
    }
}

impl Payments for guest::Host {
    fn authorize(&self, ctx: &Context, authorization: &Authorization) -> Result<PaymentView, PaymentError> {
        payment::authorize(ctx, authorization)
    }

    fn refresh(&self, ctx: &Context, payment_id: &str) -> Result<PaymentView, PaymentError> {
        payment::refresh(ctx, payment_id)
    }

    fn get_payment(&self, ctx: &Context, payment_id: &str) -> Result<PaymentView, PaymentError> {
        payment::get_payment(ctx, payment_id)
    }

    fn list_paid_orders(&self, ctx: &Context, after: &str, limit: u32) -> Result<Vec<Id>, PaymentError> {
        payment::list_paid_orders(ctx, after, limit)
    }

    fn capture(
        &self,
        ctx: &Context,
        command_id: &str,
        payment_id: &str,
        amount: &Money,
    ) -> Result<PaymentView, PaymentError> {
        payment::capture(ctx, command_id, payment_id, amount)
    }

    fn void(&self, ctx: &Context, command_id: &str, payment_id: &str) -> Result<PaymentView, PaymentError> {
        payment::void(ctx, command_id, payment_id)
    }

    fn refund(
        &self,
        ctx: &Context,
        command_id: &str,
        payment_id: &str,
        amount: &Money,
        reason: &str,
    ) -> Result<PaymentView, PaymentError> {
        payment::refund(ctx, command_id, payment_id, amount, reason)
    }

    fn list_providers(&self, ctx: &Context) -> Vec<String> {
        payment::list_providers(ctx)
    }
}

bindings::export!(Component with_types_in bindings);
