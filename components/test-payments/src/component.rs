//! The component: bindings, conversions and exports.
#![allow(unsafe_code, reason = "the generated exports are called through the canonical ABI")]

use bindings::exports::souk::shop::{http, payment_provider};
use souk_kit::guest;
use souk_kit::http::Request;
use souk_kit::payment_extension::{
    Hook, HookError, News, ProviderAuthorization, ProviderCommand, ProviderError, ProviderObject, ProviderPayment,
};
use souk_kit::types::{Actor, Context, Money};

use crate::domain::Kind;
use crate::service::{self, Wish};
use crate::{hook, page};

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
            "souk:shop/config@0.1.0": souk_kit::bindings::souk::shop::config,
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

    fn lookup(ctx: Context, object: ProviderObject) -> Result<ProviderPayment, ProviderError> {
        service::lookup(&guest::Host, &guest::start(ctx), &object.key)
    }

    fn capture(
        ctx: Context,
        object: ProviderObject,
        asked: ProviderCommand,
        amount: Money,
    ) -> Result<ProviderPayment, ProviderError> {
        command(ctx, object, asked, Kind::Capture, Some(amount))
    }

    fn void(ctx: Context, object: ProviderObject, asked: ProviderCommand) -> Result<ProviderPayment, ProviderError> {
        command(ctx, object, asked, Kind::Void, None)
    }

    fn refund(
        ctx: Context,
        object: ProviderObject,
        asked: ProviderCommand,
        amount: Money,
    ) -> Result<ProviderPayment, ProviderError> {
        command(ctx, object, asked, Kind::Refund, Some(amount))
    }

    fn read_hook(ctx: Context, hook: Hook) -> Result<Option<News>, HookError> {
        hook::read(&guest::Host, &guest::start(ctx), &hook)
    }
}

fn command(
    ctx: Context,
    object: ProviderObject,
    asked: ProviderCommand,
    kind: Kind,
    amount: Option<Money>,
) -> Result<ProviderPayment, ProviderError> {
    let wish = Wish { key: object.key, command_id: asked.id, kind, amount };
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
