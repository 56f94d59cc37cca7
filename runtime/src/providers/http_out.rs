//! `http-out`: one request to the outside, fenced by the grants of the component that sends it.
//!
//! Every component has a client of its own, whose resolver drops private addresses: the address that was
//! checked is the address that is connected to. No proxy, no redirects, no cookies.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Response, Url, redirect};

use crate::ports::bindings::souk::shop::http_out::{HttpOutError, InResponse, OutRequest};
use crate::ports::{Grants, RequestInfo};
use grant::Destination;

mod grant;

/// Headers of a request.
const REQUEST_HEADERS_MAX: usize = 50;
/// The body of a request, in bytes.
const REQUEST_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Headers of a response.
const RESPONSE_HEADERS_MAX: usize = 100;
/// The body of a response, in bytes.
const RESPONSE_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The longest exchange, in milliseconds.
const TIMEOUT_MS_MAX: u32 = 30_000;
/// The longest wait for a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// Connections to one host that are kept open.
const IDLE_CONNECTIONS_MAX: usize = 8;
/// How long an idle connection is kept.
const IDLE_TIME_MAX: Duration = Duration::from_secs(30);

/// Headers that the host sets itself, or that speak about the connection.
const HEADERS_REFUSED: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "traceparent",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Says what is wrong with an entry of `allowed_outbound_hosts`.
pub fn check_outbound_host(entry: &str) -> Result<(), String> {
    grant::parse(entry).map(|_| ())
}

/// The clients of all components.
#[derive(Default)]
pub(super) struct HttpOut {
    by_component: Mutex<HashMap<Arc<str>, Arc<Egress>>>,
}

/// What one component sends with.
struct Egress {
    hosts: Vec<String>,
    destinations: Vec<Destination>,
    client: Client,
}

impl HttpOut {
    /// `http-out.send`.
    pub(super) async fn send(
        &self,
        grants: &Grants,
        info: &RequestInfo,
        request: OutRequest,
    ) -> Result<InResponse, HttpOutError> {
        let (method, url) = check(&request).map_err(HttpOutError::Invalid)?;
        let mut headers = headers(&request.headers).map_err(HttpOutError::Invalid)?;
        let egress = self.egress(grants)?;
        grant::check(&egress.destinations, &url).map_err(HttpOutError::NotGranted)?;

        headers.insert("traceparent", traceparent(info)?);
        let left = info.deadline.saturating_duration_since(Instant::now());
        let timeout = Duration::from_millis(request.timeout_ms.into()).min(left);
        if timeout.is_zero() {
            return Err(HttpOutError::NotSent("the deadline has passed".into()));
        }
        let sent = egress.client.request(method, url).headers(headers).body(request.body).timeout(timeout);
        let response = sent.send().await.map_err(classify)?;
        receive(response).await
    }

    /// The client of a component, made anew when its grants have changed.
    fn egress(&self, grants: &Grants) -> Result<Arc<Egress>, HttpOutError> {
        let mut by_component = self.by_component.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(egress) = by_component.get(&grants.component)
            && egress.hosts == grants.outbound_hosts
        {
            return Ok(Arc::clone(egress));
        }
        let parsed = grants.outbound_hosts.iter().map(|entry| grant::parse(entry));
        let destinations = parsed.collect::<Result<Vec<_>, _>>().map_err(HttpOutError::NotGranted)?;
        let resolver = Fenced { localhost: grant::names_localhost(&destinations) };
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .http1_only()
            .connect_timeout(CONNECT_TIME_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .pool_idle_timeout(IDLE_TIME_MAX)
            .dns_resolver(Arc::new(resolver))
            .build()
            .map_err(|error| HttpOutError::NotSent(chain(&error)))?;
        let egress = Arc::new(Egress { hosts: grants.outbound_hosts.clone(), destinations, client });
        by_component.insert(Arc::clone(&grants.component), Arc::clone(&egress));
        Ok(egress)
    }
}

fn check(request: &OutRequest) -> Result<(Method, Url), String> {
    let method = match request.method.as_str() {
        "GET" => Method::GET,
        "POST" => Method::POST,
        "PUT" => Method::PUT,
        "PATCH" => Method::PATCH,
        "DELETE" => Method::DELETE,
        _ => return Err("the method is not GET, POST, PUT, PATCH or DELETE".into()),
    };
    let url = Url::parse(&request.url).map_err(|error| format!("the URL is not one: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("the scheme of the URL is neither https nor http".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL has a user part".into());
    }
    if url.fragment().is_some() {
        return Err("the URL has a fragment".into());
    }
    if request.body.len() > REQUEST_BODY_BYTES_MAX {
        return Err(format!("the body is over {REQUEST_BODY_BYTES_MAX} bytes"));
    }
    if request.timeout_ms == 0 || request.timeout_ms > TIMEOUT_MS_MAX {
        return Err(format!("the timeout is not 1 to {TIMEOUT_MS_MAX} milliseconds"));
    }
    Ok((method, url))
}

fn headers(given: &[(String, String)]) -> Result<HeaderMap, String> {
    if given.len() > REQUEST_HEADERS_MAX {
        return Err(format!("there are over {REQUEST_HEADERS_MAX} headers"));
    }
    let mut headers = HeaderMap::with_capacity(given.len() + 1);
    for (name, value) in given {
        if HEADERS_REFUSED.contains(&name.as_str()) {
            return Err(format!("the host sets `{name}` itself"));
        }
        let lower = HeaderName::from_lowercase(name.as_bytes());
        let lower = lower.map_err(|_| format!("`{name}` is not a header's name in lower case"))?;
        let value = HeaderValue::from_str(value);
        let value = value.map_err(|_| format!("the value of `{name}` is not visible ASCII"))?;
        headers.append(lower, value);
    }
    Ok(headers)
}

fn traceparent(info: &RequestInfo) -> Result<HeaderValue, HttpOutError> {
    let text = format!("00-{:032x}-{:016x}-01", info.trace_id, info.span_id);
    HeaderValue::from_str(&text).map_err(|error| HttpOutError::Invalid(error.to_string()))
}

async fn receive(mut response: Response) -> Result<InResponse, HttpOutError> {
    if response.headers().len() > RESPONSE_HEADERS_MAX {
        return Err(HttpOutError::Unknown(format!("the response has over {RESPONSE_HEADERS_MAX} headers")));
    }
    let too_large =
        || HttpOutError::Unknown(format!("the body of the response is over {RESPONSE_BODY_BYTES_MAX} bytes"));
    let announced = response.content_length().unwrap_or_default();
    if announced > RESPONSE_BODY_BYTES_MAX as u64 {
        return Err(too_large());
    }
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let headers = headers.collect();
    let mut body = Vec::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|error| HttpOutError::Unknown(chain(&error.without_url())))?
    {
        if body.len() + chunk.len() > RESPONSE_BODY_BYTES_MAX {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(InResponse { status, headers, body })
}

/// Sorts a failure by whether anything can have reached the other side.
fn classify(error: reqwest::Error) -> HttpOutError {
    // A URL may hold a secret, and errors are logged.
    let error = error.without_url();
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(cause) = source {
        if let Some(Private(reason)) = cause.downcast_ref() {
            return HttpOutError::NotGranted(reason.clone());
        }
        source = cause.source();
    }
    if error.is_builder() {
        HttpOutError::Invalid(chain(&error))
    } else if error.is_connect() {
        HttpOutError::NotSent(chain(&error))
    } else {
        HttpOutError::Unknown(chain(&error))
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// A name that leads only to private addresses.
#[derive(Debug)]
struct Private(String);

impl std::fmt::Display for Private {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Private {}

/// The system's resolver without its private answers.
struct Fenced {
    /// Whether the manifest names `localhost`.
    localhost: bool,
}

impl Resolve for Fenced {
    fn resolve(&self, name: Name) -> Resolving {
        let localhost = self.localhost && name.as_str() == grant::LOCALHOST;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found
                .filter(|address| {
                    let ip = address.ip().to_canonical();
                    if localhost { ip.is_loopback() } else { grant::is_public(ip) }
                })
                .collect();
            if allowed.is_empty() {
                let reason = format!("`{}` leads only to private addresses", name.as_str());
                return Err(Private(reason).into());
            }
            let addresses: Addrs = Box::new(allowed.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests;
