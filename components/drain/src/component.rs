//! The component: bindings and exports.
#![allow(unsafe_code, reason = "the generated exports are called through the canonical ABI")]

use bindings::exports::souk::shop::http;
use bindings::souk::shop::outbox::{self, Delivery};
use bindings::souk::shop::subscribers;
use souk_kit::bindings::souk::shop::{config, log};
use souk_kit::guest;
use souk_kit::http::{Request, Response};
use souk_kit::types::{Actor, Context};

use crate::door;
use crate::round::{self, Office, Outcome};

mod bindings {
    #![allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        reason = "generated from wit/, where the documentation is"
    )]
    wit_bindgen::generate!({
        path: "../../wit",
        world: "drain-edge",
        generate_all,
        with: {
            "wasi:clocks/wall-clock@0.2.0": souk_kit::bindings::wasi::clocks::wall_clock,
            "souk:shop/types@0.1.0": souk_kit::types,
            "souk:shop/events@0.1.0": souk_kit::events,
            "souk:shop/config@0.1.0": souk_kit::bindings::souk::shop::config,
            "souk:shop/log@0.1.0": souk_kit::bindings::souk::shop::log,
            "souk:shop/http@0.1.0/request": souk_kit::http::Request,
            "souk:shop/http@0.1.0/response": souk_kit::http::Response,
        },
    });
}

/// The variable that holds the secret.
const SECRET: &str = "drain_token";

/// The outbox of the application and those who hear.
struct Application;

impl Office for Application {
    type Delivery = Delivery;

    fn begin(&self) -> Result<bool, String> {
        outbox::begin()
    }

    fn next(&self, last: Option<Outcome<Delivery>>) -> Result<Option<Delivery>, String> {
        outbox::next(last.map(settled).as_ref())
    }

    fn settle(&self, last: Outcome<Delivery>) -> Result<(), String> {
        outbox::settle(&settled(last))
    }

    fn hand_over(&self, delivery: &Delivery) -> Result<(), String> {
        // The id of the event finds all of its deliveries; the request that caused it stands in its payload.
        let request_id = delivery.event.id.clone();
        let context = Context { request_id, actor: Actor::System("event".into()), client: String::new() };
        let heard = subscribers::handle(&delivery.claim.subscriber, &context, &delivery.event);
        heard.inspect_err(|reason| {
            log::error(&format!("{} did not take {}: {reason}", delivery.claim.subscriber, delivery.event.id));
        })
    }

    fn finish(&self) -> Result<(), String> {
        outbox::finish()
    }

    fn now_ms(&self) -> i64 {
        guest::now()
    }
}

fn settled(outcome: Outcome<Delivery>) -> outbox::Outcome {
    outbox::Outcome { claim: outcome.delivery.claim, failure: outcome.failure }
}

struct Component;

impl http::Guest for Component {
    fn handle(request: Request) -> Response {
        guest::report_panics();
        if let Err(refusal) = door::check(&request, config::get(SECRET).as_deref()) {
            return refusal;
        }
        let report = round::run(&Application);
        if let Err(reason) = &report {
            log::error(&format!("the outbox is away: {reason}"));
        }
        door::answer(&request, &report)
    }
}

bindings::export!(Component with_types_in bindings);
