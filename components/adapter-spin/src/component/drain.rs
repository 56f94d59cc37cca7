//! Asking the drain of this application to deliver what is due.

use super::bindings::wasi::clocks::monotonic_clock;
use super::bindings::wasi::http::outgoing_handler;
use super::bindings::wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
};
use super::bindings::wasi::io::poll::poll;

/// Spin's name for the application itself in a URL; granted as `http://self`.
const AUTHORITY: &str = "self.alt";
/// The route of the drain.
const PATH: &str = "/souk/drain";
/// How long the drain is waited for, in nanoseconds: until it has surely begun, since an instance that waits takes the
/// place of another. It goes on when nobody waits any more.
const WAIT_NS: u64 = 100_000_000;

/// Asks, with the secret, and does not wait for the end. What goes wrong is made good by whoever asks next.
pub fn ask(token: &str) {
    if let Some(Ok(response)) = send(token) {
        let over = monotonic_clock::subscribe_duration(WAIT_NS);
        poll(&[&response.subscribe(), &over]);
    }
}

fn send(token: &str) -> Option<Result<FutureIncomingResponse, ErrorCode>> {
    let headers = [
        ("authorization".to_owned(), format!("Bearer {token}").into_bytes()),
        ("content-length".to_owned(), b"0".to_vec()),
    ];
    let request = OutgoingRequest::new(Fields::from_list(&headers).ok()?);
    request.set_method(&Method::Post).ok()?;
    request.set_scheme(Some(&Scheme::Http)).ok()?;
    request.set_authority(Some(AUTHORITY)).ok()?;
    request.set_path_with_query(Some(PATH)).ok()?;
    let body = request.body().ok()?;
    let response = outgoing_handler::handle(request, None);
    let _ = OutgoingBody::finish(body, None);
    Some(response)
}
