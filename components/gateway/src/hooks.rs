//! `/api/v1/hooks`: webhooks of payment providers, handed on as they came. Whether they are genuine is said by the
//! provider's connector; the sender has no session, and the event's own id makes a repeat harmless.

use souk_kit::http::Response;
use souk_kit::payment_extension::Hook;

use crate::exchange::Exchange;
use crate::problem::{Code, Problem};
use crate::routes::{Access, Answer, Keyed, Route};

/// The routes of this file.
pub const ROUTES: &[Route] = &[Route::post("{provider}", Access::Open, Keyed::Never, take_hook)];

/// Largest webhook, in bytes: 256 KiB.
const HOOK_BYTES_MAX: usize = 256 * 1024;

/// Takes a webhook of a payment provider.
///
/// For the provider, not for clients. `200` says that it is genuine and kept; the provider is then asked what became of the object
/// that it names, and nothing else in it counts. An event that comes again is kept once. `400` says that the signature, its time or the
/// body does not hold, `404` that there is no such provider, and `503` or `507` that the same is to be sent
/// again later.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/hooks/{provider}", tag = "webhooks",
    params(("provider" = String, Path, description = "Name of the payment provider.")),
    request_body(content = Object, content_type = "application/json",
        description = "As the provider sends it, with its signature in the headers; at most 256 KiB."),
    responses((status = 200, description = "It is kept."))))]
pub fn take_hook(exchange: &Exchange<'_>) -> Answer {
    let request = exchange.request;
    if request.body.len() > HOOK_BYTES_MAX {
        return Err(Problem::new(Code::TooLarge, format!("at most {HOOK_BYTES_MAX} bytes")));
    }
    let hook = Hook { headers: request.headers.clone(), body: request.body.clone() };
    exchange.ports.take_hook(&exchange.ctx, exchange.part("provider"), &hook)?;
    Ok(Response { status: 200, ..Response::default() })
}
