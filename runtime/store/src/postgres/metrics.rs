//! What the Postgres engine counts.

use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry, exponential_buckets};

/// Counters of the connections and of what goes over them.
pub(super) struct PostgresMetrics {
    /// How long a commit took, repeats included.
    pub(super) commit_seconds: Histogram,
    /// Work that was done again, by reason.
    pub(super) repeats: IntCounterVec,
    /// Connections that are open.
    pub(super) connections: IntGauge,
    /// Callers that wait for a connection.
    pub(super) waiting: IntGauge,
}

impl PostgresMetrics {
    /// Makes the metrics and registers them.
    pub(super) fn new(registry: &Registry) -> prometheus::Result<PostgresMetrics> {
        let metrics = PostgresMetrics {
            commit_seconds: Histogram::with_opts(
                HistogramOpts::new("souk_postgres_commit_seconds", "Time to commit one batch")
                    .buckets(exponential_buckets(0.0005, 2.0, 14)?),
            )?,
            repeats: IntCounterVec::new(
                Opts::new("souk_postgres_repeats_total", "Work done again after a conflict or a lost connection"),
                &["reason"],
            )?,
            connections: IntGauge::new("souk_postgres_connections", "Open connections to the database")?,
            waiting: IntGauge::new("souk_postgres_waiting", "Callers that wait for a connection")?,
        };
        registry.register(Box::new(metrics.commit_seconds.clone()))?;
        registry.register(Box::new(metrics.repeats.clone()))?;
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.waiting.clone()))?;
        Ok(metrics)
    }
}
