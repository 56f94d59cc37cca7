//! One request, from its head to the answer and the line in the log.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Response, StatusCode,
    body::Incoming,
    header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderName, HeaderValue, TRANSFER_ENCODING},
    http::request::Parts,
};

use crate::{
    Shared,
    edge::{self, Application, Edge},
    health::health,
    metrics::Metrics,
    problem::Problem,
    rate::Verdict,
    request::{self, Connection, Framing},
    trace::{self, Trace},
};

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
static RATE_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
static RATE_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// What is known of a request while it is answered.
struct Asked<'a> {
    metrics: &'a Metrics,
    head: &'a Parts,
    framing: Framing,
    request_id: Arc<str>,
    trace: Trace,
    client: std::net::IpAddr,
}

/// Answers one request. Never fails: whatever goes wrong becomes a problem document.
pub async fn answer<A: Application>(
    shared: &Shared<A>,
    connection: &Connection,
    framing: Framing,
    request: hyper::Request<Incoming>,
) -> Response<Full<Bytes>> {
    let started = Instant::now();
    let (head, incoming) = request.into_parts();
    if let Some(response) = health(shared, head.uri.path()) {
        return response;
    }
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let asked = Asked {
        metrics: &shared.metrics,
        request_id: trace::request_id(text("x-request-id")),
        trace: Trace::continued(text("traceparent")),
        client: connection.client(&head.headers),
        head: &head,
        framing,
    };
    let app = shared.app.load();
    let edge = app.edge(head.uri.path()).cloned();
    drop(app); // a reload need not wait for this request
    let in_flight = InFlight::enter(&shared.metrics);
    let verdict = edge.as_ref().and_then(|edge| Some(edge.limiter()?.ask(asked.client)));
    let answered = match &edge {
        Some(edge) => {
            let answering = asked.answered(connection, &**edge, verdict, incoming);
            caught(answering).await.unwrap_or_else(|| {
                shared.metrics.panics.inc();
                tracing::error!(request_id = &*asked.request_id, "the host panicked; the request is given up");
                Err(Problem::Internal)
            })
        }
        None => match request::check(&head, framing) {
            Ok(_) => Err(Problem::NotFound),
            Err(problem) => Err(problem),
        },
    };
    drop(in_flight);
    let problem = answered.as_ref().err().map(|problem| problem.code());
    let mut response = answered.unwrap_or_else(|problem| problem.response(&asked.request_id, head.uri.path()));
    asked.finish(&mut response, verdict, problem);
    asked.record(edge.as_deref(), &response, problem, started.elapsed());
    response
}

impl Asked<'_> {
    async fn answered(
        &self,
        connection: &Connection,
        edge: &impl Edge,
        verdict: Option<Verdict>,
        incoming: Incoming,
    ) -> Result<Response<Full<Bytes>>, Problem> {
        let host = request::check(self.head, self.framing)?;
        if let Some(verdict) = verdict.filter(|verdict| !verdict.allowed) {
            self.metrics.rate_limited.with_label_values(&[edge.route()]).inc();
            return Err(Problem::RateLimited(verdict.retry_after));
        }
        let headers = request::headers(&self.head.headers)?;
        let body = request::body(incoming, &self.head.headers, edge.body_bytes_max()).await?;
        let uri = &self.head.uri;
        let request = edge::Request {
            id: self.request_id.clone(),
            method: self.head.method.as_str().into(),
            path: uri.path().into(),
            query: uri.query().unwrap_or("").into(),
            origin: connection.origin(&self.head.headers, host),
            client: self.client.to_string(),
            headers,
            body,
        };
        let response = edge.handle(request, self.trace).await?;
        translated(response).map_err(|reason| {
            tracing::error!(
                component = edge.component(),
                reason,
                request_id = &*self.request_id,
                "the answer of the component is none"
            );
            Problem::Internal
        })
    }

    /// Adds what every answer has.
    fn finish(&self, response: &mut Response<Full<Bytes>>, verdict: Option<Verdict>, problem: Option<&str>) {
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            headers.insert(&REQUEST_ID, id);
        }
        if let Some(verdict) = verdict {
            headers.insert(&RATE_LIMIT, HeaderValue::from(verdict.limit));
            headers.insert(&RATE_REMAINING, HeaderValue::from(verdict.remaining));
            headers.insert(&RATE_RESET, HeaderValue::from(verdict.reset));
        }
        // Whoever counts bytes differently from us gets no second request on this connection: not after a head
        // we found malformed, and not after a chunked body, beside which a length may have been dropped.
        if problem == Some("malformed_request") || self.head.headers.contains_key(TRANSFER_ENCODING) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }

    fn record(
        &self,
        edge: Option<&impl Edge>,
        response: &Response<Full<Bytes>>,
        problem: Option<&str>,
        took: Duration,
    ) {
        let route = edge.map_or("none", Edge::route);
        let metrics = self.metrics;
        metrics.requests.with_label_values(&[route, response.status().as_str()]).inc();
        metrics.latency.with_label_values(&[route]).observe(took.as_secs_f64());
        tracing::info!(
            request_id = &*self.request_id,
            trace_id = %format_args!("{:032x}", self.trace.trace_id),
            span_id = %format_args!("{:016x}", self.trace.span_id),
            client = %self.client,
            method = self.head.method.as_str(),
            path = self.head.uri.path(),
            component = edge.map(Edge::component),
            interface = "http",
            function = "handle",
            status = response.status().as_u16(),
            outcome = problem.unwrap_or("ok"),
            micros = took.as_micros() as u64,
            "request"
        );
    }
}

/// Counts a request for as long as it is answered, also when the client goes away first.
struct InFlight<'a>(&'a Metrics);

impl<'a> InFlight<'a> {
    fn enter(metrics: &'a Metrics) -> Self {
        metrics.in_flight.inc();
        Self(metrics)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}

/// Turns a component's answer into HTTP, or says why it is none.
fn translated(answer: edge::Response) -> Result<Response<Full<Bytes>>, String> {
    let status = StatusCode::from_u16(answer.status)
        .ok()
        .filter(|status| (200..600).contains(&status.as_u16()))
        .ok_or_else(|| format!("the status {} is not from 200 to 599", answer.status))?;
    let mut headers = HeaderMap::with_capacity(answer.headers.len() + 4);
    for (name, value) in answer.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no header name"))?;
        if request::is_hop_by_hop(&name) || name == CONTENT_LENGTH || name == DATE || name == REQUEST_ID {
            return Err(format!("the header `{name}` is the host's to set"));
        }
        let value = HeaderValue::try_from(value).map_err(|_| format!("the header `{name}` has control characters"))?;
        headers.append(name, value);
    }
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// Runs a future; none when it panicked.
async fn caught<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        // What was being answered is dropped, and nothing else was in its hands.
        match std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Ready(output)) => Poll::Ready(Some(output)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::{caught, translated};
    use crate::edge::Response;

    #[test]
    fn an_answer_that_is_none_is_not_sent() {
        let answer = |status, headers: &[(&str, &str)]| {
            let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            translated(Response { status, headers, body: b"body".to_vec() })
        };
        let sent = answer(201, &[("set-cookie", "a=1"), ("set-cookie", "b=2")]).expect("an answer");
        assert_eq!(sent.headers().get_all("set-cookie").iter().count(), 2);
        for (status, headers) in [
            (0, vec![]),
            (100, vec![]),
            (199, vec![]),
            (600, vec![]),
            (200, vec![("content-length", "5")]),
            (200, vec![("transfer-encoding", "chunked")]),
            (200, vec![("connection", "close")]),
            (200, vec![("x-request-id", "other")]),
            (200, vec![("a b", "c")]),
            (200, vec![("x", "a\r\nb: c")]),
        ] {
            assert!(answer(status, &headers).is_err(), "{status} {headers:?}");
        }
    }

    #[tokio::test]
    async fn a_panic_ends_one_request_and_no_more() {
        assert_eq!(caught(async { 1 }).await, Some(1));
        assert_eq!(caught(async { assert_eq!(1, 2) }).await, None);
    }
}
