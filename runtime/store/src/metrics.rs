//! What the store counts on every engine.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Counters and gauges of the outbox.
pub(crate) struct Metrics {
    /// Events that are stored for at least one subscriber.
    pub(crate) events_stored: IntCounter,
    /// Events that nobody hears.
    pub(crate) events_unheard: IntCounter,
    /// Finished deliveries, by subscriber and outcome.
    pub(crate) deliveries: IntCounterVec,
    /// Deliveries that wait, timers included.
    pub(crate) outbox_depth: IntGauge,
    /// How long the oldest due delivery has been due.
    pub(crate) outbox_age_seconds: IntGauge,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Metrics> {
        let metrics = Metrics {
            events_stored: IntCounter::new("souk_events_stored_total", "Events stored for some subscriber")?,
            events_unheard: IntCounter::new("souk_events_unheard_total", "Events that nobody subscribes to")?,
            deliveries: IntCounterVec::new(
                Opts::new("souk_event_deliveries_total", "Finished deliveries of events"),
                &["subscriber", "outcome"],
            )?,
            outbox_depth: IntGauge::new("souk_outbox_depth", "Deliveries that wait, timers included")?,
            outbox_age_seconds: IntGauge::new(
                "souk_outbox_age_seconds",
                "How long the oldest due delivery has been due",
            )?,
        };
        registry.register(Box::new(metrics.events_stored.clone()))?;
        registry.register(Box::new(metrics.events_unheard.clone()))?;
        registry.register(Box::new(metrics.deliveries.clone()))?;
        registry.register(Box::new(metrics.outbox_depth.clone()))?;
        registry.register(Box::new(metrics.outbox_age_seconds.clone()))?;
        Ok(metrics)
    }
}
