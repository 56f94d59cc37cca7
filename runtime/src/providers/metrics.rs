//! What the providers count.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, exponential_buckets};

/// Counters and gauges of all providers.
pub(super) struct Metrics {
    /// Groups that shared a flush.
    pub(super) group_size: Histogram,
    /// How long a flush took.
    pub(super) flush_seconds: Histogram,
    /// Work done by the writer, by outcome.
    pub(super) writes: IntCounterVec,
    /// Work that waits for the writer.
    pub(super) writer_queue: IntGauge,
    /// Events that are stored for at least one subscriber.
    pub(super) events_stored: IntCounter,
    /// Events that nobody hears.
    pub(super) events_unheard: IntCounter,
    /// Finished deliveries, by subscriber and outcome.
    pub(super) deliveries: IntCounterVec,
    /// Deliveries that wait, timers included.
    pub(super) outbox_depth: IntGauge,
    /// How long the oldest due delivery has been due.
    pub(super) outbox_age_seconds: IntGauge,
    /// Passwords that are being hashed or wait for it.
    pub(super) passwords_queue: IntGauge,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Metrics> {
        let metrics = Metrics {
            group_size: Histogram::with_opts(
                HistogramOpts::new("souk_writer_group_size", "Pieces of work that shared one flush")
                    .buckets(exponential_buckets(1.0, 2.0, 10)?),
            )?,
            flush_seconds: Histogram::with_opts(
                HistogramOpts::new("souk_writer_flush_seconds", "Time to commit and flush one group")
                    .buckets(exponential_buckets(0.0001, 2.0, 14)?),
            )?,
            writes: counters("souk_writer_work_total", "Work done by the writer", &["outcome"])?,
            writer_queue: gauge("souk_writer_queue", "Work that waits for the writer")?,
            events_stored: counter("souk_events_stored_total", "Events stored for some subscriber")?,
            events_unheard: counter("souk_events_unheard_total", "Events that nobody subscribes to")?,
            deliveries: counters(
                "souk_event_deliveries_total",
                "Finished deliveries of events",
                &["subscriber", "outcome"],
            )?,
            outbox_depth: gauge("souk_outbox_depth", "Deliveries that wait, timers included")?,
            outbox_age_seconds: gauge("souk_outbox_age_seconds", "How long the oldest due delivery has been due")?,
            passwords_queue: gauge("souk_passwords_queue", "Passwords being hashed or waiting for it")?,
        };
        registry.register(Box::new(metrics.group_size.clone()))?;
        registry.register(Box::new(metrics.flush_seconds.clone()))?;
        registry.register(Box::new(metrics.writes.clone()))?;
        registry.register(Box::new(metrics.writer_queue.clone()))?;
        registry.register(Box::new(metrics.events_stored.clone()))?;
        registry.register(Box::new(metrics.events_unheard.clone()))?;
        registry.register(Box::new(metrics.deliveries.clone()))?;
        registry.register(Box::new(metrics.outbox_depth.clone()))?;
        registry.register(Box::new(metrics.outbox_age_seconds.clone()))?;
        registry.register(Box::new(metrics.passwords_queue.clone()))?;
        Ok(metrics)
    }
}

fn counter(name: &str, help: &str) -> prometheus::Result<IntCounter> {
    IntCounter::new(name, help)
}

fn counters(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

fn gauge(name: &str, help: &str) -> prometheus::Result<IntGauge> {
    IntGauge::new(name, help)
}
