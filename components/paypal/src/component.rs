//! The component: bindings, conversions and exports.
#![allow(unsafe_code, reason = "the generated exports are called through the canonical ABI")]

use bindings::exports::souk::shop::payment_provider;
use souk_kit::bindings::souk::shop::http_out::{self, HttpOutError, InResponse, OutRequest};
use souk_kit::guest;
use souk_kit::payment_extension::{
    Hook, HookError, News, ProviderAuthorization, ProviderCommand, ProviderError, ProviderObject, ProviderPayment,
};
use souk_kit::types::{Context, Money};

use crate::client::Network;
use crate::service;

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
        world: "paypal-connector",
        with: {
            "wasi:clocks/wall-clock@0.2.0": souk_kit::bindings::wasi::clocks::wall_clock,
            "souk:shop/types@0.1.0": souk_kit::bindings::souk::shop::types,
            "souk:shop/http-out@0.1.0": souk_kit::bindings::souk::shop::http_out,
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
        service::lookup(&guest::Host, &guest::start(ctx), &object)
    }

    fn capture(
        ctx: Context,
        object: ProviderObject,
        command: ProviderCommand,
        amount: Money,
    ) -> Result<ProviderPayment, ProviderError> {
        service::capture(&guest::Host, &guest::start(ctx), &object, &command, &amount)
    }

    fn void(ctx: Context, object: ProviderObject, command: ProviderCommand) -> Result<ProviderPayment, ProviderError> {
        service::void(&guest::Host, &guest::start(ctx), &object, &command)
    }

    fn refund(
        ctx: Context,
        object: ProviderObject,
        command: ProviderCommand,
        amount: Money,
    ) -> Result<ProviderPayment, ProviderError> {
        service::refund(&guest::Host, &guest::start(ctx), &object, &command, &amount)
    }

    fn read_hook(ctx: Context, hook: Hook) -> Result<Option<News>, HookError> {
        service::read_hook(&guest::Host, &guest::start(ctx), &hook)
    }
}

impl Network for guest::Host {
    fn send(&self, request: &OutRequest) -> Result<InResponse, HttpOutError> {
        http_out::send(request)
    }
}

bindings::export!(Component with_types_in bindings);
