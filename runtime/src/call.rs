//! One call into a component: a fresh store, its limits, and what becomes of a failure.
//!
//! A callee that traps, takes too long or is busy is answered with an error value when the called function has
//! one for it; only otherwise does the caller trap as well. Nothing of a call outlives it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use prometheus::{Histogram, IntCounter};
use souk_server::trace;
use tokio::sync::{Semaphore, SemaphorePermit};
use wasmtime::{
    PoolConcurrencyLimitError, ResourceLimiter, Store, StoreContextMut, UpdateDeadline,
    component::{ComponentExportIndex, Instance, InstancePre, Val, types::ComponentFunc},
};

use crate::{
    manifest::Limits,
    metrics::Metrics,
    ports::{Crossing, Grants, Ports, RequestInfo},
    providers::Providers,
    shape::{self, Fallback},
};

/// Calls across boundaries that one request may cause.
const CROSSINGS_MAX: u32 = 10_000;
/// How long a call waits for a component that has all the calls it may have.
const WAIT_MAX: Duration = Duration::from_millis(500);
/// Ticks a component computes before others on its thread get a turn.
const SLICE_TICKS: u64 = 1;
/// Core instances that one call may make, the linker's helpers included.
const CORE_INSTANCES_MAX: usize = 64;

/// What all calls of one request or event share.
pub struct Scope {
    /// The identity of the request, for logs.
    pub request_id: Arc<str>,
    /// W3C trace context: the trace.
    pub trace_id: u128,
    /// When the answer is of no use any more.
    pub deadline: Instant,
    crossings_left: AtomicU32,
}

impl Scope {
    /// A scope with a full budget of crossings.
    pub fn new(request_id: Arc<str>, trace_id: u128, deadline: Instant) -> Arc<Self> {
        Arc::new(Self { request_id, trace_id, deadline, crossings_left: AtomicU32::new(CROSSINGS_MAX) })
    }

    /// Takes one crossing from the budget; false when there was none left.
    fn cross(&self) -> bool {
        let taken = self.crossings_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        taken.is_ok()
    }

    fn exhausted(&self) -> bool {
        self.crossings_left.load(Ordering::Relaxed) == 0
    }
}

/// Why a call has no answer.
#[derive(Debug)]
pub enum Failure {
    /// The component, or the host, has all the calls it may have. Nothing was done.
    Busy,
    /// It took too long and was stopped.
    Deadline,
    /// The instance ended abnormally.
    Trap(wasmtime::Error),
}

impl Failure {
    fn of(error: wasmtime::Error) -> Self {
        if error.is::<PoolConcurrencyLimitError>() {
            Self::Busy
        } else if error.is::<DeadlineExceeded>() {
            Self::Deadline
        } else {
            Self::Trap(error)
        }
    }

    /// Its name in logs and metrics.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Deadline => "deadline",
            Self::Trap(_) => "trap",
        }
    }

    fn text(&self, component: &str) -> String {
        match self {
            Self::Busy => format!("component {component} is busy"),
            Self::Deadline => format!("component {component} took too long"),
            Self::Trap(_) => format!("component {component} trapped"),
        }
    }
}

/// Raised inside a component that computes beyond its deadline.
#[derive(Debug)]
struct DeadlineExceeded;

impl fmt::Display for DeadlineExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline of the call has passed")
    }
}

impl std::error::Error for DeadlineExceeded {}

/// What a store holds.
pub struct State {
    ports: Ports,
    scope: Arc<Scope>,
    memory: Memory,
    _alive: Alive,
}

impl State {
    /// The ports of the store's component.
    pub fn ports(&mut self) -> &mut Ports {
        &mut self.ports
    }
}

/// Counts an instance for as long as its store lives.
struct Alive(Arc<Metrics>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.instances.dec();
    }
}

/// The memory limit of one store.
struct Memory {
    limit: usize,
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired > self.limit {
            wasmtime::bail!("the memory limit of {} bytes does not allow {desired}", self.limit);
        }
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, _: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // The pool's slots bound tables; `maximum` is that bound.
        Ok(maximum.is_some())
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX
    }
}

/// A component that is ready to be called.
pub struct Unit {
    /// Its name in the manifest.
    pub name: Arc<str>,
    /// What bounds it.
    pub limits: Limits,
    pre: InstancePre<State>,
    grants: Arc<Grants>,
    permits: Semaphore,
    providers: Arc<Providers>,
    metrics: Arc<Metrics>,
    traps: IntCounter,
    shed: IntCounter,
}

impl Unit {
    /// Makes a component ready.
    pub fn new(
        pre: InstancePre<State>,
        grants: Arc<Grants>,
        limits: Limits,
        providers: Arc<Providers>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let name = grants.component.clone();
        Arc::new(Self {
            permits: Semaphore::new(limits.concurrency),
            traps: metrics.traps.with_label_values(&[&*name]),
            shed: metrics.shed.with_label_values(&[&*name]),
            name,
            limits,
            pre,
            grants,
            providers,
            metrics,
        })
    }

    /// When a call that starts now has to be over.
    pub fn deadline(&self, scope: &Scope) -> Instant {
        scope.deadline.min(Instant::now() + self.limits.deadline)
    }

    /// A turn to call the component, if there is one now.
    pub fn try_turn(&self) -> Option<SemaphorePermit<'_>> {
        self.permits.try_acquire().ok()
    }

    /// Waits for a turn to call the component, but not for long.
    pub async fn turn(&self, deadline: Instant, wait: Duration) -> Result<SemaphorePermit<'_>, Failure> {
        if let Some(permit) = self.try_turn() {
            return Ok(permit);
        }
        let until = deadline.min(Instant::now() + wait);
        match tokio::time::timeout_at(until.into(), self.permits.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Failure::Busy),
        }
    }

    /// Makes a fresh instance.
    pub async fn instantiate(
        &self,
        scope: &Arc<Scope>,
        span_id: u64,
        deadline: Instant,
    ) -> Result<(Store<State>, Instance), Failure> {
        let request = RequestInfo { request_id: scope.request_id.clone(), trace_id: scope.trace_id, span_id, deadline };
        let hook = {
            let (scope, metrics) = (scope.clone(), self.metrics.clone());
            Arc::new(move |crossing: &Crossing<'_>| {
                scope.cross();
                record(&metrics, crossing);
            })
        };
        self.metrics.instances.inc();
        let state = State {
            ports: Ports::new(self.grants.clone(), self.providers.clone(), request).observed_by(hook),
            scope: scope.clone(),
            memory: Memory { limit: self.limits.memory },
            _alive: Alive(self.metrics.clone()),
        };
        let mut store = Store::new(self.pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_epoch_deadline(SLICE_TICKS);
        store.epoch_deadline_callback(|store| on_tick(&store));
        let instance = self.pre.instantiate_async(&mut store).await.map_err(Failure::of)?;
        Ok((store, instance))
    }

    /// Logs and counts a failure of this component.
    pub fn failed(&self, failure: &Failure, scope: &Scope, interface: &str, function: &str) {
        match failure {
            Failure::Busy => self.shed.inc(),
            Failure::Deadline | Failure::Trap(_) => self.traps.inc(),
        }
        let reason = match failure {
            Failure::Trap(error) => error.root_cause().to_string(),
            Failure::Busy | Failure::Deadline => failure.text(&self.name),
        };
        let backtrace = match failure {
            Failure::Trap(error) => format!("{error:#}"),
            Failure::Busy | Failure::Deadline => String::new(),
        };
        tracing::error!(
            component = &*self.name,
            interface,
            function,
            outcome = failure.outcome(),
            reason,
            backtrace,
            request_id = &*scope.request_id,
            trace_id = %format_args!("{:032x}", scope.trace_id),
            "call failed"
        );
    }
}

/// Runs a call until its deadline.
pub async fn within<T>(deadline: Instant, call: impl Future<Output = wasmtime::Result<T>>) -> Result<T, Failure> {
    match tokio::time::timeout_at(deadline.into(), call).await {
        Ok(answer) => answer.map_err(Failure::of),
        Err(_) => Err(Failure::Deadline),
    }
}

/// Decides, every few ticks, whether a computing component may go on.
fn on_tick(store: &StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
    let state = store.data();
    if Instant::now() >= state.ports.request().deadline {
        return Err(wasmtime::Error::new(DeadlineExceeded));
    }
    if state.scope.exhausted() {
        wasmtime::bail!("more than {CROSSINGS_MAX} calls across boundaries in one request");
    }
    Ok(UpdateDeadline::Yield(SLICE_TICKS))
}

/// Counts a call to a port.
fn record(metrics: &Metrics, crossing: &Crossing<'_>) {
    let Crossing { interface, function, outcome, .. } = crossing;
    metrics.calls.with_label_values(&[interface, function, outcome]).inc();
    metrics.call_latency.with_label_values(&[interface, function]).observe(crossing.duration.as_secs_f64());
    tracing::debug!(
        component = crossing.component,
        interface,
        function,
        outcome,
        request_id = &*crossing.request.request_id,
        trace_id = %format_args!("{:032x}", crossing.request.trace_id),
        parent_span_id = %format_args!("{:016x}", crossing.request.span_id),
        micros = crossing.duration.as_micros() as u64,
        "port"
    );
}

/// One function that a component exports, ready to be called by another.
pub struct Export {
    /// The component.
    pub unit: Arc<Unit>,
    /// The interface without package and version.
    pub interface: Arc<str>,
    /// The function.
    pub function: Arc<str>,
    /// Its type.
    pub ty: ComponentFunc,
    index: ComponentExportIndex,
    fallback: Fallback,
    answered: IntCounter,
    latency: Histogram,
}

impl Export {
    /// Makes a function ready. `index` is its place in the component.
    pub fn new(
        unit: Arc<Unit>,
        interface: &str,
        function: &str,
        ty: ComponentFunc,
        index: ComponentExportIndex,
    ) -> Self {
        let interface = shape::short(interface);
        let metrics = &unit.metrics;
        Self {
            interface: interface.into(),
            function: function.into(),
            fallback: Fallback::find(&ty, &["unavailable"]),
            answered: metrics.calls.with_label_values(&[interface, function, "ok"]),
            latency: metrics.call_latency.with_label_values(&[interface, function]),
            ty,
            index,
            unit,
        }
    }

    /// Calls the function in an instance of its own. A failure becomes the function's own error value where it
    /// has one; an error here is for a caller that has to trap.
    pub async fn call(&self, scope: &Arc<Scope>, params: &[Val], results: &mut [Val]) -> wasmtime::Result<()> {
        if !scope.cross() {
            wasmtime::bail!("more than {CROSSINGS_MAX} calls across boundaries in one request");
        }
        let started = Instant::now();
        let span_id = trace::span_id();
        let answer = self.run(scope, span_id, params, results).await;
        let duration = started.elapsed();
        self.latency.observe(duration.as_secs_f64());
        let outcome = match &answer {
            Ok(()) => shape::outcome(results),
            Err(failure) => failure.outcome(),
        };
        match outcome {
            "ok" => self.answered.inc(),
            other => {
                self.unit.metrics.calls.with_label_values(&[&*self.interface, &*self.function, other]).inc();
            }
        }
        tracing::debug!(
            component = &*self.unit.name,
            interface = &*self.interface,
            function = &*self.function,
            outcome,
            request_id = &*scope.request_id,
            trace_id = %format_args!("{:032x}", scope.trace_id),
            span_id = %format_args!("{span_id:016x}"),
            micros = duration.as_micros() as u64,
            "call"
        );
        let Err(failure) = answer else { return Ok(()) };
        self.unit.failed(&failure, scope, &self.interface, &self.function);
        let text = failure.text(&self.unit.name);
        match (self.fallback.value(&self.ty, &text), results) {
            (Some(value), [result]) => {
                *result = value;
                Ok(())
            }
            _ => Err(wasmtime::Error::msg(text)),
        }
    }

    async fn run(&self, scope: &Arc<Scope>, span_id: u64, params: &[Val], results: &mut [Val]) -> Result<(), Failure> {
        let deadline = self.unit.deadline(scope);
        let _turn = self.unit.turn(deadline, WAIT_MAX).await?;
        let (mut store, instance) = self.unit.instantiate(scope, span_id, deadline).await?;
        let function = instance
            .get_func(&mut store, self.index)
            .ok_or_else(|| Failure::Trap(wasmtime::Error::msg("the export is not a function")))?;
        within(deadline, function.call_async(&mut store, params, results)).await
    }
}

/// The scope of the request on whose behalf a store runs.
pub fn scope_of(store: &StoreContextMut<'_, State>) -> Arc<Scope> {
    store.data().scope.clone()
}
