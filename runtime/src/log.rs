//! Where log lines go: into memory, and from there to standard error on a thread of its own.
//!
//! A request never waits for a terminal or a pipe. Lines are written a few milliseconds after they were made,
//! errors at once; when nobody reads them, the newest are dropped and counted.

use std::{
    io::{self, Write},
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, Thread},
    time::Duration,
};

use tracing::{Level, Metadata, level_filters::LevelFilter};
use tracing_subscriber::fmt::MakeWriter;

/// How long lines are collected before they are written together.
const COLLECT: Duration = Duration::from_millis(20);
/// Bytes that wait to be written; more are dropped.
const WAITING_BYTES_MAX: usize = 8 << 20;

/// Logs as JSON to standard error, down to a level, until the guard is dropped.
pub fn to_stderr(level: LevelFilter) -> io::Result<Flushed> {
    let shared = Arc::new(Shared::default());
    let writing = shared.clone();
    let thread = thread::Builder::new().name("souk-log".into()).spawn(move || write(&writing))?;
    let lines = Lines { shared: shared.clone(), writer: thread.thread().clone() };
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_max_level(level)
        .with_writer(lines)
        .init();
    Ok(Flushed { shared, thread: Some(thread) })
}

/// Writes what is left when it is dropped.
pub struct Flushed {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Flushed {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Whether the thread should not wait for more lines.
    urgent: AtomicBool,
    ended: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    dropped: u64,
}

fn write(shared: &Shared) {
    let mut batch = Waiting::default();
    loop {
        let ended = shared.ended.load(Ordering::Acquire);
        mem::swap(&mut batch, &mut *shared.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        if batch.dropped > 0 {
            let line =
                format!("{{\"level\":\"WARN\",\"message\":\"log lines dropped\",\"lines\":{}}}\n", batch.dropped);
            batch.bytes.extend_from_slice(line.as_bytes());
        }
        if !batch.bytes.is_empty() {
            // There is nowhere to say that standard error cannot be written to.
            let _ = io::stderr().lock().write_all(&batch.bytes);
            batch.bytes.clear();
            batch.dropped = 0;
        } else if ended {
            return;
        } else {
            thread::park();
        }
        if !ended && !shared.urgent.swap(false, Ordering::AcqRel) {
            thread::park_timeout(COLLECT);
        }
    }
}

/// Makes a writer for each line.
struct Lines {
    shared: Arc<Shared>,
    writer: Thread,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { lines: self, urgent: false }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        Line { lines: self, urgent: *meta.level() == Level::ERROR }
    }
}

/// Takes one line.
struct Line<'a> {
    lines: &'a Lines,
    urgent: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let shared = &self.lines.shared;
        let mut waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let first = waiting.bytes.is_empty();
        if waiting.bytes.len() + line.len() > WAITING_BYTES_MAX {
            waiting.dropped += 1;
        } else {
            waiting.bytes.extend_from_slice(line);
        }
        drop(waiting);
        if self.urgent {
            shared.urgent.store(true, Ordering::Release);
        }
        if first || self.urgent {
            self.lines.writer.unpark();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
