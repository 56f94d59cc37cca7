//! What the host counts, in Prometheus' terms.
//!
//! Labels come from the manifest and from WIT, never from a request, so their number is bounded. The providers
//! register what they count on the same [`prometheus::Registry`].

use std::sync::Arc;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

/// Upper bounds of the latency histograms, in seconds.
const BUCKETS: [f64; 13] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Everything the host itself counts.
pub struct Metrics {
    /// Where all of it, and what the providers count, is gathered.
    pub registry: Registry,
    /// What the server in front of the components counts.
    pub server: Arc<souk_server::Metrics>,
    /// Calls across a boundary by interface, function and outcome.
    pub calls: IntCounterVec,
    /// Time of calls across a boundary by interface and function.
    pub call_latency: HistogramVec,
    /// Instances that ended abnormally, by component.
    pub traps: IntCounterVec,
    /// Calls refused because a component had all the calls it may have, by component.
    pub shed: IntCounterVec,
    /// Component instances alive now.
    pub instances: IntGauge,
    /// Reloads that took effect, and those refused for the manifest's errors.
    pub reloads: IntCounterVec,
}

impl Metrics {
    /// A fresh set.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let vec = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(vec.clone()))?;
            Ok::<_, prometheus::Error>(vec)
        };
        let histograms = |name: &str, help: &str, labels: &[&str]| {
            let vec = HistogramVec::new(HistogramOpts::new(name, help).buckets(BUCKETS.to_vec()), labels)?;
            registry.register(Box::new(vec.clone()))?;
            Ok::<_, prometheus::Error>(vec)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        Ok(Self {
            server: Arc::new(souk_server::Metrics::new(&registry)?),
            calls: counters(
                "souk_calls_total",
                "Calls across a component boundary.",
                &["interface", "function", "outcome"],
            )?,
            call_latency: histograms(
                "souk_call_seconds",
                "Time of a call across a component boundary.",
                &["interface", "function"],
            )?,
            traps: counters("souk_traps_total", "Instances that ended abnormally.", &["component"])?,
            shed: counters("souk_shed_total", "Calls refused for want of capacity.", &["component"])?,
            instances: gauge("souk_instances", "Component instances alive.")?,
            reloads: counters("souk_reloads_total", "Reloads of the manifest.", &["outcome"])?,
            registry,
        })
    }

    /// All of it in Prometheus' text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be written");
        }
        text
    }
}
