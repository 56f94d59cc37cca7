//! The component: bindings, and the exchange over the resources of `wasi:http`.
#![allow(unsafe_code, reason = "the generated exports are called through the canonical ABI")]

use bindings::exports::souk::shop::http_out::{Guest, HttpOutError, InResponse, OutRequest};
use bindings::souk::shop::{config, self_};
use bindings::wasi::clocks::monotonic_clock;
use bindings::wasi::http::outgoing_handler;
use bindings::wasi::http::types::{self, ErrorCode, Fields, IncomingResponse, OutgoingBody, OutgoingRequest};
use bindings::wasi::io::poll::{Pollable, poll};
use bindings::wasi::io::streams::StreamError;
use serde::Deserialize;

use crate::grant;
use crate::request::{self, Method};
use crate::url::{Scheme, Url};

mod bindings {
    #![allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        reason = "generated from WIT, where the documentation is"
    )]
    wit_bindgen::generate!({
        path: "wit",
        world: "adapter",
        generate_all,
    });
}

/// Headers of a response.
const RESPONSE_HEADERS_MAX: usize = 100;
/// The body of a response, in bytes.
const RESPONSE_BODY_BYTES_MAX: usize = 4 << 20;
/// What is told of the platform's own words for a failure, in bytes.
const ERROR_BYTES_MAX: usize = 200;
/// Bytes that one read of a body asks for.
const READ_BYTES_MAX: u64 = 64 << 10;

/// The part of `self.describe` that matters here.
#[derive(Deserialize)]
struct Identity {
    outbound_hosts: Vec<String>,
}

struct Adapter;

bindings::export!(Adapter with_types_in bindings);

impl Guest for Adapter {
    fn send(sent: OutRequest) -> Result<InResponse, HttpOutError> {
        let checked = request::check(&sent.method, &sent.url, &sent.headers, sent.body.len(), sent.timeout_ms);
        let (method, url) = checked.map_err(HttpOutError::Invalid)?;
        let identity: Identity =
            serde_json::from_str(&self_::describe()).expect("`souk compose` writes the description");
        grant::check(&identity.outbound_hosts, config::get, &url).map_err(HttpOutError::NotGranted)?;

        let deadline = Deadline::after_ms(sent.timeout_ms);
        let (request, body) = outgoing(method, &url, &sent.headers)?;
        let waiting = outgoing_handler::handle(request, None).map_err(classified)?;
        write(body, &sent.body, &deadline)?;
        let answer = waiting.subscribe();
        deadline.wait(&answer)?;
        drop(answer);
        let response = waiting.get().expect("the answer is there when its pollable is ready");
        let response = response.expect("the answer is taken once").map_err(classified)?;
        receive(&response, &deadline)
    }
}

/// When an exchange has to be over.
struct Deadline(Pollable);

impl Deadline {
    fn after_ms(millis: u32) -> Self {
        Self(monotonic_clock::subscribe_duration(u64::from(millis) * 1_000_000))
    }

    /// Waits, but not beyond the deadline.
    fn wait(&self, ready: &Pollable) -> Result<(), HttpOutError> {
        const READY: u32 = 0;
        if poll(&[ready, &self.0]).contains(&READY) {
            Ok(())
        } else {
            Err(HttpOutError::Unknown("no whole answer came in time".to_owned()))
        }
    }
}

/// The request, and the body that is still to be written.
fn outgoing(
    method: Method,
    url: &Url,
    headers: &[(String, String)],
) -> Result<(OutgoingRequest, OutgoingBody), HttpOutError> {
    let fields: Vec<_> = headers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect();
    let fields = Fields::from_list(&fields)
        .map_err(|error| HttpOutError::Invalid(format!("the platform refuses a header: {error:?}")))?;
    let request = OutgoingRequest::new(fields);
    let method = match method {
        Method::Get => types::Method::Get,
        Method::Post => types::Method::Post,
        Method::Put => types::Method::Put,
        Method::Patch => types::Method::Patch,
        Method::Delete => types::Method::Delete,
    };
    let scheme = match url.scheme {
        Scheme::Http => types::Scheme::Http,
        Scheme::Https => types::Scheme::Https,
    };
    let refused = |()| HttpOutError::Invalid("the platform refuses the method or the URL".to_owned());
    request.set_method(&method).map_err(refused)?;
    request.set_scheme(Some(&scheme)).map_err(refused)?;
    request.set_authority(Some(&url.authority)).map_err(refused)?;
    request.set_path_with_query(Some(&url.target)).map_err(refused)?;
    let body = request.body().expect("the body of a new request is taken once");
    Ok((request, body))
}

/// Writes a body. Whoever answers before it has all of it is asked for the answer instead.
fn write(body: OutgoingBody, bytes: &[u8], deadline: &Deadline) -> Result<(), HttpOutError> {
    let stream = body.write().expect("the stream of a new body is taken once");
    let writable = stream.subscribe();
    let mut rest = bytes;
    let mut closed = false;
    while !rest.is_empty() && !closed {
        match stream.check_write() {
            Ok(0) => deadline.wait(&writable)?,
            Ok(room) => {
                let room = usize::try_from(room).unwrap_or(usize::MAX).min(rest.len());
                closed = stream.write(&rest[..room]).is_err();
                rest = &rest[room..];
            }
            Err(_) => closed = true,
        }
    }
    drop(writable);
    drop(stream);
    if closed {
        drop(body);
        return Ok(());
    }
    OutgoingBody::finish(body, None).map_err(classified)
}

fn receive(response: &IncomingResponse, deadline: &Deadline) -> Result<InResponse, HttpOutError> {
    let unknown = |reason: String| HttpOutError::Unknown(reason);
    let status = response.status();
    let fields = response.headers().entries();
    if fields.len() > RESPONSE_HEADERS_MAX {
        return Err(unknown(format!("the answer has over {RESPONSE_HEADERS_MAX} headers")));
    }
    let headers = fields
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), String::from_utf8_lossy(&value).into_owned()))
        .collect();
    let incoming = response.consume().expect("the body of a new response is taken once");
    let stream = incoming.stream().expect("the stream of a new body is taken once");
    let readable = stream.subscribe();
    let mut body = Vec::new();
    loop {
        match stream.read(READ_BYTES_MAX) {
            Ok(bytes) if bytes.is_empty() => deadline.wait(&readable)?,
            Ok(bytes) if body.len() + bytes.len() > RESPONSE_BODY_BYTES_MAX => {
                return Err(unknown(format!("the answer is over {RESPONSE_BODY_BYTES_MAX} bytes")));
            }
            Ok(bytes) => body.extend_from_slice(&bytes),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => {
                let reason =
                    types::http_error_code(&error).map_or_else(String::new, |code| format!(": {}", brief(&code)));
                return Err(unknown(format!("the answer broke off{reason}")));
            }
        }
    }
    Ok(InResponse { status, headers, body })
}

/// Sorts a failure by whether anything can have reached the other side.
fn classified(error: ErrorCode) -> HttpOutError {
    let text = brief(&error);
    match error {
        ErrorCode::DestinationIpProhibited | ErrorCode::HttpRequestDenied => HttpOutError::NotGranted(text),
        ErrorCode::DnsTimeout
        | ErrorCode::DnsError(_)
        | ErrorCode::DestinationNotFound
        | ErrorCode::DestinationUnavailable
        | ErrorCode::DestinationIpUnroutable
        | ErrorCode::ConnectionRefused
        | ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionLimitReached
        | ErrorCode::TlsCertificateError => HttpOutError::NotSent(text),
        ErrorCode::HttpRequestMethodInvalid | ErrorCode::HttpRequestUriInvalid | ErrorCode::HttpRequestUriTooLong => {
            HttpOutError::Invalid(text)
        }
        // Everything else may have happened after the request was on its way.
        _ => HttpOutError::Unknown(text),
    }
}

/// The name of a failure. Some platforms add a text of many lines.
fn brief(error: &ErrorCode) -> String {
    let text = format!("{error:?}");
    text[..text.floor_char_boundary(ERROR_BYTES_MAX)].to_owned()
}
