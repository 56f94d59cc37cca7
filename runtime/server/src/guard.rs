//! A connection that does not wait forever: for a request to begin, for its head to be complete, or for the
//! client to take what it is sent.
//!
//! The time that a body may take is bounded where bodies are read. This module knows no HTTP beyond the three
//! phases of a connection, and where a head ends.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// How long a connection is waited for.
#[derive(Clone, Copy)]
pub struct Patience {
    /// How long a kept connection may be without a request.
    idle: Duration,
    /// How long the head of a request may take once it has begun.
    head: Duration,
    /// How long a client may take nothing of what it is sent.
    stall: Duration,
}

/// What clients get.
pub const PATIENCE: Patience =
    Patience { idle: Duration::from_secs(60), head: Duration::from_secs(5), stall: Duration::from_secs(10) };

/// Bytes of a head that are kept as they came.
const HEAD_BYTES_KEPT: usize = 64 << 10;

/// What the stream of a connection and the service behind it tell each other.
#[derive(Clone, Default)]
pub struct Phase(Arc<Told>);

#[derive(Default)]
struct Told {
    /// The low two bits are the phase: between requests, within a head, or with a request being answered. The
    /// rest counts requests, so that two waits are never taken for one.
    phase: AtomicU32,
    /// The head being read, as it came.
    head: Mutex<Vec<u8>>,
}

const PHASES: u32 = 4;
const IDLE: u32 = 0;
const HEAD: u32 = 1;
const BUSY: u32 = 2;

impl Phase {
    /// A request's head is complete.
    pub fn busy(&self) {
        self.set(BUSY);
    }

    /// An answer is ready to be sent, and the next request may begin.
    pub fn idle(&self) {
        self.0.phase.fetch_add(PHASES, Ordering::Relaxed);
        self.set(IDLE);
        self.head().clear();
    }

    /// Whether the request, which is chunked, also came with a length: the parser drops it silently, and a proxy
    /// in front may have believed it. A head that was not seen whole counts as one that has it.
    pub fn hides_a_length(&self) -> bool {
        let head = self.head();
        let Some(end) = head.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return true };
        let name = b"content-length";
        head[..end]
            .split(|byte| *byte == b'\n')
            .any(|line| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))
    }

    // One task owns a connection, so that reading and writing need not be one step.
    fn set(&self, phase: u32) {
        let now = self.0.phase.load(Ordering::Relaxed);
        self.0.phase.store(now - now % PHASES + phase, Ordering::Relaxed);
    }

    fn get(&self) -> u32 {
        self.0.phase.load(Ordering::Relaxed)
    }

    fn head(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes have come in.
    fn arrived(&self, bytes: &[u8]) {
        match self.get() % PHASES {
            BUSY => return,
            IDLE => self.set(HEAD),
            _ => {}
        }
        let mut head = self.head();
        let room = HEAD_BYTES_KEPT.saturating_sub(head.len());
        head.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// A stream with the three deadlines.
pub struct Guarded<S> {
    stream: S,
    phase: Phase,
    patience: Patience,
    since: Instant,
    last: u32,
    reading: Pin<Box<Sleep>>,
    writing: Option<Pin<Box<Sleep>>>,
}

impl<S> Guarded<S> {
    /// Guards a fresh connection.
    pub fn new(stream: S, phase: Phase, patience: Patience) -> Self {
        let since = Instant::now();
        let reading = Box::pin(tokio::time::sleep_until(since + patience.head));
        // A fresh connection that sends nothing is not better than one that sends slowly.
        phase.set(HEAD);
        Self { stream, last: phase.get(), phase, patience, since, reading, writing: None }
    }

    /// Whether the phase that the connection is in has lasted too long.
    fn overdue(&mut self, cx: &mut Context<'_>) -> bool {
        let phase = self.phase.get();
        if phase != self.last {
            self.last = phase;
            self.since = Instant::now();
        }
        let deadline = match phase % PHASES {
            BUSY => return false,
            HEAD => self.since + self.patience.head,
            _ => self.since + self.patience.idle,
        };
        // The timer is moved only when it would be late; when it is early, it is set anew as it fires.
        if self.reading.deadline() > deadline {
            self.reading.as_mut().reset(deadline);
        }
        while self.reading.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return true;
            }
            self.reading.as_mut().reset(deadline);
        }
        false
    }
}

impl<S: AsyncWrite + Unpin> Guarded<S> {
    fn stalled<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing = None;
            return written;
        }
        let stall = self.patience.stall;
        let timer = self.writing.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_pending() {
            if self.overdue(cx) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        } else if buffer.filled().len() > before {
            self.phase.arrived(&buffer.filled()[before..]);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.stalled(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.stalled(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.stalled(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.stalled(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::timeout,
    };

    use super::{Guarded, Patience, Phase};

    const UNIT: Duration = Duration::from_millis(40);
    const SHORT: Patience = Patience { idle: UNIT.saturating_mul(4), head: UNIT, stall: UNIT };

    #[tokio::test]
    async fn each_wait_has_its_own_end() {
        let phase = Phase::default();
        let (mut client, server) = tokio::io::duplex(64);
        let mut guarded = Guarded::new(server, phase.clone(), SHORT);
        let mut buffer = [0; 8];
        client.write_all(b"GET").await.expect("writes");
        assert_eq!(guarded.read(&mut buffer).await.expect("reads"), 3);
        phase.busy();
        let waited = timeout(UNIT * 8, guarded.read(&mut buffer)).await;
        assert!(waited.is_err(), "a request being answered is not hurried");
        for _ in 0..3 {
            phase.idle();
            let waited = timeout(UNIT * 2, guarded.read(&mut buffer)).await;
            assert!(waited.is_err(), "a kept connection may wait longer than a head, each time anew");
            phase.busy();
        }
        phase.idle();
        client.write_all(b"G").await.expect("writes");
        assert_eq!(guarded.read(&mut buffer).await.expect("reads"), 1);
        let cut = timeout(UNIT * 3, guarded.read(&mut buffer)).await;
        assert!(cut.expect("a head that trickles in is cut off").is_err());
    }

    #[tokio::test]
    async fn a_kept_connection_is_not_kept_forever() {
        let phase = Phase::default();
        let (_client, server) = tokio::io::duplex(64);
        let mut guarded = Guarded::new(server, phase.clone(), SHORT);
        phase.busy();
        phase.idle();
        let cut = timeout(UNIT * 8, guarded.read(&mut [0; 8])).await;
        assert!(cut.expect("cut off").is_err());
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_cut_off() {
        let (_client, server) = tokio::io::duplex(4);
        let mut guarded = Guarded::new(server, Phase::default(), SHORT);
        let written = timeout(UNIT * 4, guarded.write_all(b"too much")).await;
        assert!(written.expect("cut off").is_err());
    }

    #[tokio::test]
    async fn a_length_beside_chunks_is_seen_in_the_head_alone() {
        for (text, hidden) in [
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\ncontent-length: 1\r\n", false),
            ("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", true),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\ncontent-length:1\r\n\r\n", true),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", true),
        ] {
            let phase = Phase::default();
            let (mut client, server) = tokio::io::duplex(1024);
            let mut guarded = Guarded::new(server, phase.clone(), SHORT);
            client.write_all(text.as_bytes()).await.expect("writes");
            let mut buffer = [0; 7]; // the head comes in pieces
            while let Ok(Ok(1..)) = timeout(UNIT / 2, guarded.read(&mut buffer)).await {}
            assert_eq!(phase.hides_a_length(), hidden, "{text}");
        }
    }
}
