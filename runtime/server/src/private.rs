//! A port for operators and machines, beside the one for shoppers: one question, one short answer.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::guard::{Guarded, PATIENCE, Phase};

/// Serves operators until the process ends.
pub async fn serve_private<F, Answer>(listener: TcpListener, answer: F)
where
    F: Fn(Request<Incoming>) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Response<Full<Bytes>>> + Send,
{
    let answer = Arc::new(answer);
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let phase = Phase::default();
        let service = {
            let (answer, phase) = (answer.clone(), phase.clone());
            service_fn(move |request: Request<Incoming>| {
                phase.busy();
                let (answer, phase) = (answer.clone(), phase.clone());
                async move {
                    let response = answer(request).await;
                    phase.idle();
                    Ok::<_, Infallible>(response)
                }
            })
        };
        let connection = http1::Builder::new()
            .header_read_timeout(None) // `Guarded` has the deadlines
            .serve_connection(TokioIo::new(Guarded::new(stream, phase, PATIENCE)), service);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "private connection ended early");
            }
        });
    }
}
