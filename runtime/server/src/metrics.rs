//! What the server counts, in Prometheus' terms.
//!
//! Labels are routes and status codes, whose number is bounded by the manifest; nothing of a request is one.

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Upper bounds of the latency histogram, in seconds.
const BUCKETS: [f64; 13] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Everything the server counts.
pub struct Metrics {
    /// Answered requests by route and status.
    pub requests: IntCounterVec,
    /// Time from the end of the head to the answer, by route.
    pub latency: HistogramVec,
    /// Requests refused because one client sent too many, by route.
    pub rate_limited: IntCounterVec,
    /// Requests being answered now.
    pub in_flight: IntGauge,
    /// Open connections.
    pub connections: IntGauge,
    /// Panics that were caught at the edge of a request.
    pub panics: IntCounter,
}

impl Metrics {
    /// A fresh set, gathered with all else that the registry has.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            requests: IntCounterVec::new(Opts::new("souk_requests_total", "Answered requests."), &["route", "status"])?,
            latency: HistogramVec::new(
                HistogramOpts::new("souk_request_seconds", "Time to answer a request.").buckets(BUCKETS.to_vec()),
                &["route"],
            )?,
            rate_limited: IntCounterVec::new(
                Opts::new("souk_rate_limited_total", "Requests over a client's rate."),
                &["route"],
            )?,
            in_flight: IntGauge::new("souk_requests_in_flight", "Requests being answered.")?,
            connections: IntGauge::new("souk_connections", "Open connections.")?,
            panics: IntCounter::new("souk_panics_total", "Panics caught at the edge of a request.")?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.latency.clone()))?;
        registry.register(Box::new(metrics.rate_limited.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.panics.clone()))?;
        Ok(metrics)
    }
}
