//! What stands behind the server: an application of edges, each of which answers requests as values.
//!
//! The values are those of `wit/http.wit`. How an edge is called is no concern of the server's: our own host makes
//! an instance, a lattice sends a message.

use std::sync::Arc;

use crate::{problem::Problem, rate::Limiter, trace::Trace};

/// Everything that answers requests. It never changes; a reload makes another one.
pub trait Application: Send + Sync + 'static {
    /// What answers one route.
    type Edge: Edge;

    /// Who answers a path, if anybody does.
    fn edge(&self, path: &str) -> Option<&Arc<Self::Edge>>;

    /// Why requests would be in vain at the moment, in a few words for operators; none when all is well.
    fn unready(&self) -> Option<&'static str>;
}

/// What answers the requests of one route.
pub trait Edge: Send + Sync + 'static {
    /// The route as it was configured, for metrics.
    fn route(&self) -> &str;

    /// The name of the component, for logs.
    fn component(&self) -> &str;

    /// The largest body that it takes, in bytes.
    fn body_bytes_max(&self) -> usize;

    /// What bounds the requests of one client, when anything does.
    fn limiter(&self) -> Option<&Limiter>;

    /// Answers one request, within its own limits of time and number.
    fn handle(&self, request: Request, trace: Trace) -> impl Future<Output = Result<Response, Problem>> + Send;
}

/// A request: parsed, bounded and routed.
#[derive(Clone, Debug)]
pub struct Request {
    /// The identity of the request.
    pub id: Arc<str>,
    /// The method in upper case.
    pub method: String,
    /// The whole path as it was sent.
    pub path: String,
    /// What came after the question mark.
    pub query: String,
    /// Scheme, host and port that the client used.
    pub origin: String,
    /// The network address of the client.
    pub client: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A response as an edge gives it; the server checks it before it goes out.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}
