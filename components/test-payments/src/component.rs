//! The component: bindings, conversions and exports.
#![allow(unsafe_code, reason = "the generated exports are called through the canonical ABI")]

use bindings::exports::souk::shop::{http, payment_provider};
use souk_kit::guest;
use souk_kit::http::Request;
use souk_kit::payment_extension::{ProviderAuthorization, ProviderError, ProviderPayment};
use souk_kit::types::{Actor, Context, Id, Money};

use crate::domain::Kind;
use crate::page;
use crate::service::{self, Wish};

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
        world: "test-payments-connector",
        with: {
            "wasi:clocks/wall-clock@0.2.0": souk_kit::bindings::wasi::clocks::wall_clock,
            "souk:shop/types@0.1.0": souk_kit::bindings::souk::shop::types,
            "souk:shop/events@0.1.0": souk_kit::bindings::souk::shop::events,
            "souk:shop/sql@0.1.0": souk_kit::bindings::souk::shop::sql,
            "souk:shop/log@0.1.0": souk_kit::bindings::souk::shop::log,
            "souk:shop/payment-extension@0.1.0": souk_kit::bindings::souk::shop::payment_extension,
        },
    });
}

struct Component;

impl payment_provider::Guest for Component {
    fn authorize(ctx: Context, asked: ProviderAuthorization) -> Result<ProviderPayment, ProviderError> {
        service::authorize(&guest::Host, &guest::start(ctx), &asked)
    }

    fn lookup(ctx: Context, key: Id) -> Result<ProviderPayment, ProviderError> {
        service::lookup(&guest::Host, &guest::start(ctx), &key)
    }

    fn capture(ctx: Context, key: Id, command_id: Id, amount: Money) -> Result<ProviderPayment, ProviderError> {
        command(ctx, Wish { key, command_id, kind: Kind::Capture, amount: Some(amount) })
    }

    fn void(ctx: Context, key: Id, command_id: Id) -> Result<ProviderPayment, ProviderError> {
        command(ctx, Wish { key, command_id, kind: Kind::Void, amount: None })
    }

    fn refund(ctx: Context, key: Id, command_id: Id, amount: Money) -> Result<ProviderPayment, ProviderError> {
        command(ctx, Wish { key, command_id, kind: Kind::Refund, amount: Some(amount) })
    }
}

fn command(ctx: Context, wish: Wish) -> Result<ProviderPayment, ProviderError> {
    service::command(&guest::Host, &guest::start(ctx), &wish)
}

impl http::Guest for Component {
    fn handle(request: http::Request) -> http::Response {
        let ctx = Context { request_id: request.id.clone(), actor: Actor::Guest, client: request.client.clone() };
        let request = Request {
            id: request.id,
            method: request.method,
            path: request.path,
            query: request.query,
            origin: request.origin,
            client: request.client,
            headers: request.headers,
            body: request.body,
        };
        let response = page::handle(&guest::Host, &guest::start(ctx), &request);
        http::Response { status: response.status, headers: response.headers, body: response.body }
    }
}

bindings::export!(Component with_types_in bindings);
