//! The component: bindings and exports.
#![allow(unsafe_code, reason = "the generated exports are called through the canonical ABI")]

use bindings::exports::souk::shop::{http, notification_channel};
use souk_kit::guest::{self, Host};
use souk_kit::http::{Request, Response};
use souk_kit::notification_extension::{ChannelError, RenderedMessage};
use souk_kit::types::Context;

use crate::{pages, service};

mod bindings {
    #![allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        reason = "generated from wit/, where the documentation is"
    )]
    wit_bindgen::generate!({
        path: "../../wit",
        world: "mailbox-connector",
        with: {
            "wasi:clocks/wall-clock@0.2.0": souk_kit::bindings::wasi::clocks::wall_clock,
            "souk:shop/types@0.1.0": souk_kit::types,
            "souk:shop/events@0.1.0": souk_kit::events,
            "souk:shop/sql@0.1.0": souk_kit::bindings::souk::shop::sql,
            "souk:shop/log@0.1.0": souk_kit::bindings::souk::shop::log,
            "souk:shop/notification-extension@0.1.0": souk_kit::notification_extension,
            "souk:shop/http@0.1.0/request": souk_kit::http::Request,
            "souk:shop/http@0.1.0/response": souk_kit::http::Response,
        },
    });
}

struct Component;

impl notification_channel::Guest for Component {
    fn send(ctx: Context, message: RenderedMessage) -> Result<String, ChannelError> {
        service::send(&Host, &guest::start(ctx), message)
    }
}

impl http::Guest for Component {
    fn handle(request: Request) -> Response {
        guest::report_panics();
        pages::handle(&Host, &request)
    }
}

bindings::export!(Component with_types_in bindings);
