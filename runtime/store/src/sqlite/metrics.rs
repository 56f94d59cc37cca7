//! What the writer counts.

use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry, exponential_buckets};

/// Counters of the writer.
pub(super) struct WriterMetrics {
    /// Groups that shared a flush.
    pub(super) group_size: Histogram,
    /// How long a flush took.
    pub(super) flush_seconds: Histogram,
    /// Work done by the writer, by outcome.
    pub(super) work: IntCounterVec,
    /// Work that waits for the writer.
    pub(super) queue: IntGauge,
}

impl WriterMetrics {
    /// Makes the metrics and registers them.
    pub(super) fn new(registry: &Registry) -> prometheus::Result<WriterMetrics> {
        let metrics = WriterMetrics {
            group_size: Histogram::with_opts(
                HistogramOpts::new("souk_writer_group_size", "Pieces of work that shared one flush")
                    .buckets(exponential_buckets(1.0, 2.0, 10)?),
            )?,
            flush_seconds: Histogram::with_opts(
                HistogramOpts::new("souk_writer_flush_seconds", "Time to commit and flush one group")
                    .buckets(exponential_buckets(0.0001, 2.0, 14)?),
            )?,
            work: IntCounterVec::new(Opts::new("souk_writer_work_total", "Work done by the writer"), &["outcome"])?,
            queue: IntGauge::new("souk_writer_queue", "Work that waits for the writer")?,
        };
        registry.register(Box::new(metrics.group_size.clone()))?;
        registry.register(Box::new(metrics.flush_seconds.clone()))?;
        registry.register(Box::new(metrics.work.clone()))?;
        registry.register(Box::new(metrics.queue.clone()))?;
        Ok(metrics)
    }
}
