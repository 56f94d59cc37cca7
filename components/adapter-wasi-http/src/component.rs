//! The component: bindings, and the resources of `wasi:http`.
#![allow(unsafe_code, reason = "the generated exports are called through the canonical ABI")]

use bindings::exports::wasi::http::incoming_handler::Guest;
use bindings::souk::shop::http::{self, Request};
use bindings::souk::shop::ingress;
use bindings::souk::shop::self_;
use bindings::wasi::clocks::monotonic_clock;
use bindings::wasi::http::types::{
    Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use bindings::wasi::io::poll::poll;
use bindings::wasi::io::streams::{InputStream, OutputStream, StreamError};
use serde::Deserialize;
use souk_kit::bindings::souk::shop::log;
use souk_kit::guest;

use crate::problem::Problem;
use crate::request::{self, Checked, Head};
use crate::response::Response;

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

/// Bytes that one read of a body asks for.
const READ_BYTES_MAX: u64 = 64 << 10;
/// How long a client may pause within a body, in nanoseconds.
const BODY_PAUSE_MAX_NS: u64 = 5_000_000_000;
/// How long a body may take altogether, in nanoseconds.
const BODY_MAX_NS: u64 = 30_000_000_000;
/// Bytes of a refused body that are read and dropped: a client that is busy sending sees no answer that comes with
/// a closed connection.
const BODY_BYTES_DROPPED_MAX: usize = 16 << 20;
/// How long a refused body is read for, in nanoseconds.
const BODY_DROPPED_MAX_NS: u64 = 5_000_000_000;

/// The part of `self.describe` that matters here.
#[derive(Deserialize)]
struct Edge {
    body_bytes: usize,
}

struct Component;

impl Guest for Component {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        guest::report_panics();
        let head = head(&request);
        let id = request::request_id(&names(&head)).map_or_else(mint, str::to_owned);
        let path = head.target.clone().unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let response = request::check(head)
            .and_then(|checked| handle(&request, &id, checked))
            .unwrap_or_else(|problem| problem.response(&id, path));
        send(answer, &id, &response);
        ingress::answered(response.status);
    }
}

/// The names and those values that are text, for what is looked up before the head has been checked.
fn names(head: &Head) -> Vec<(String, String)> {
    let text =
        |(name, value): &(String, Vec<u8>)| Some((name.to_ascii_lowercase(), str::from_utf8(value).ok()?.into()));
    head.headers.iter().filter_map(text).collect()
}

fn mint() -> String {
    request::minted_id(guest::now().unsigned_abs(), guest::entropy())
}

fn head(request: &IncomingRequest) -> Head {
    let method = match request.method() {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(other) => &other.clone(),
    };
    Head {
        method: method.to_owned(),
        target: request.path_with_query(),
        host: request.authority(),
        headers: request.headers().entries(),
    }
}

fn handle(request: &IncomingRequest, id: &str, checked: Checked) -> Result<Response, Problem> {
    let edge: Edge = serde_json::from_str(&self_::describe()).expect("`souk compose` writes the description");
    let body = body(request, checked.announced, edge.body_bytes)?;
    let Checked { method, path, query, host, headers, announced: _ } = checked;
    let sender = ingress::identify(&host, &headers);
    let answered = http::handle(&Request {
        id: id.to_owned(),
        method,
        path,
        query,
        origin: sender.origin,
        client: sender.client,
        headers,
        body,
    });
    let response = Response { status: answered.status, headers: answered.headers, body: answered.body };
    match response.check() {
        Ok(()) => Ok(response),
        Err(reason) => {
            log::error(&format!("{id}: the edge's answer cannot be sent: {reason}"));
            Err(Problem::Internal)
        }
    }
}

/// Reads a body, up to a limit and not forever.
fn body(request: &IncomingRequest, announced: Option<u64>, limit: usize) -> Result<Vec<u8>, Problem> {
    let gone = Problem::Malformed("The body cannot be read.");
    let incoming: IncomingBody = request.consume().map_err(|()| gone)?;
    let stream = incoming.stream().map_err(|()| gone)?;
    let body = if announced.is_some_and(|bytes| bytes > limit as u64) {
        Err(Problem::PayloadTooLarge(limit))
    } else {
        collect(&stream, limit, BODY_MAX_NS)
    };
    if body == Err(Problem::PayloadTooLarge(limit))
        && announced.is_none_or(|bytes| bytes <= BODY_BYTES_DROPPED_MAX as u64)
    {
        // What is too long even for this ends with the connection.
        let _ = collect(&stream, BODY_BYTES_DROPPED_MAX, BODY_DROPPED_MAX_NS);
    }
    body
}

/// Reads to the end of a stream, or until it is too long or takes too long.
fn collect(stream: &InputStream, limit: usize, time_max_ns: u64) -> Result<Vec<u8>, Problem> {
    let ready = stream.subscribe();
    let over = monotonic_clock::subscribe_duration(time_max_ns);
    let mut collected = Vec::new();
    loop {
        let pause = monotonic_clock::subscribe_duration(BODY_PAUSE_MAX_NS);
        // The first pollable is the stream's; when it is not among those that are ready, a deadline is.
        if !poll(&[&ready, &over, &pause]).contains(&0) {
            return Err(Problem::RequestTimeout);
        }
        match stream.read(READ_BYTES_MAX) {
            Ok(data) if collected.len() + data.len() > limit => return Err(Problem::PayloadTooLarge(limit)),
            Ok(data) => collected.extend_from_slice(&data),
            Err(StreamError::Closed) => return Ok(collected),
            Err(StreamError::LastOperationFailed(_)) => {
                return Err(Problem::Malformed("The body ended early or is not well formed."));
            }
        }
    }
}

/// Sends a response. What fails here is the connection, and then nobody is left to be told.
fn send(answer: ResponseOutparam, id: &str, response: &Response) {
    let header = |name: &str, value: String| (name.to_owned(), value.into_bytes());
    let mut headers: Vec<_> =
        response.headers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect();
    headers.push(header("x-request-id", id.to_owned()));
    if response.has_length() {
        headers.push(header("content-length", response.body.len().to_string()));
    }
    let headers = Fields::from_list(&headers).expect("the names and values have been checked");
    let outgoing = OutgoingResponse::new(headers);
    outgoing.set_status_code(response.status).expect("the status has been checked");
    let body = outgoing.body().expect("the body of a new response has not been taken");
    ResponseOutparam::set(answer, Ok(outgoing));
    if response.has_length() && !response.body.is_empty() {
        let stream = body.write().expect("the stream of a new body has not been taken");
        let _ = write(&stream, &response.body);
    }
    let _ = OutgoingBody::finish(body, None);
}

fn write(stream: &OutputStream, mut bytes: &[u8]) -> Result<(), StreamError> {
    while !bytes.is_empty() {
        let room = usize::try_from(stream.check_write()?).unwrap_or(usize::MAX).min(bytes.len());
        if room == 0 {
            stream.subscribe().block();
            continue;
        }
        stream.write(&bytes[..room])?;
        bytes = &bytes[room..];
    }
    stream.blocking_flush()
}

bindings::export!(Component with_types_in bindings);
