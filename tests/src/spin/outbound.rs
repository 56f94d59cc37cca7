//! Spin's outbound HTTP, as far as it leads back to the application itself. Everything else is denied.

use std::net::SocketAddr;

use http_body_util::BodyExt as _;
use hyper::header::HOST;
use hyper::http::{HeaderValue, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// The name that stands for the application itself.
const ITSELF: &str = "self.alt";

/// What an instance may send.
pub struct Outbound {
    /// Where the application listens, when it may ask itself.
    pub itself: Option<SocketAddr>,
}

type Ended = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answered = Result<(Response<WasiBody>, Ended), Error>;

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Ended,
    ) -> Box<dyn Future<Output = Answered> + Send> {
        let is_itself = request.uri().authority().is_some_and(|authority| authority.as_str() == ITSELF);
        let itself = self.itself.filter(|_| is_itself);
        Box::new(async move {
            let Some(address) = itself else { return Err(Error::HttpRequestDenied) };
            ask(request, address).await
        })
    }
}

/// Sends a request to an address, without TLS.
pub async fn ask(mut request: Request<WasiBody>, address: SocketAddr) -> Answered {
    let host = HeaderValue::try_from(address.to_string()).map_err(|_| Error::HttpRequestUriInvalid)?;
    request.headers_mut().insert(HOST, host);
    // A server wants the path alone.
    let path = request.uri().path_and_query().cloned().ok_or(Error::HttpRequestUriInvalid)?;
    *request.uri_mut() = Uri::from(path);
    let stream = TcpStream::connect(address).await.map_err(Error::Connect)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let ended: Ended = Box::new(async move {
        // The end of the connection says nothing that the body did not say.
        let _ = connection.await;
        Ok(())
    });
    Ok((response.map(|body| body.map_err(Error::Hyper).boxed_unsync()), ended))
}
