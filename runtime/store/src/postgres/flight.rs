//! Sending without waiting.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// A request that is on its way to the database.
pub(super) enum Sent<F: Future> {
    /// Not answered yet.
    Waiting(Pin<Box<F>>),
    /// Answered, or never sent.
    Done(F::Output),
}

/// Sends a request. The driver puts a request into the connection's queue at its first poll and only then waits, so
/// whatever is sent one after the other without an `await` between is one flight, in that order.
pub(super) fn send<F: Future>(request: F) -> Sent<F> {
    let mut request = Box::pin(request);
    match request.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Sent::Done(answer),
        Poll::Pending => Sent::Waiting(request),
    }
}

impl<F: Future> Sent<F> {
    /// Waits for the answer. Answers come in the order of the requests and must be taken in it.
    pub(super) async fn answer(self) -> F::Output {
        match self {
            Sent::Waiting(request) => request.await,
            Sent::Done(answer) => answer,
        }
    }
}
