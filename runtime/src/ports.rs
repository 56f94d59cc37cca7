//! The ports as a component sees them: what one store may reach, and through which grants.
//!
//! Every function here crosses a component boundary: it checks the grant, hands the plain values to a
//! provider and reports the crossing to a [`Hook`]. This module never looks inside a statement, a key or an
//! event; the providers do.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{HasData, Linker};

use crate::providers::Providers;
use bindings::souk::shop::{config, http_out, kv, log, passwords, sql};
use bindings::wasi::clocks::wall_clock;
use bindings::wasi::random::random;
use values::all;

mod values;

/// The ports' generated types and traits. Their documentation is in `wit/`.
pub mod bindings {
    #![allow(missing_docs, reason = "generated from WIT, where every item is documented")]
    #![allow(clippy::all, reason = "generated")]
    #![allow(unused_qualifications, reason = "generated")]

    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "
            package souk:host;

            world ports {
                import souk:shop/sql@0.1.0;
                import souk:shop/kv@0.1.0;
                import souk:shop/http-out@0.1.0;
                import souk:shop/passwords@0.1.0;
                import souk:shop/config@0.1.0;
                import souk:shop/log@0.1.0;
                import wasi:clocks/wall-clock@0.2.0;
                import wasi:random/random@0.2.0;
            }
        ",
        world: "souk:host/ports",
        additional_derives: [PartialEq],
        imports: {
            "souk:shop/sql": async,
            "souk:shop/kv": async,
            "souk:shop/http-out": async,
            "souk:shop/passwords": async,
            "wasi:random/random": trappable,
        },
    });
}

/// The interfaces that [`add_to_linker`] provides, as a component imports them.
pub const PORT_INTERFACES: &[&str] = &[
    "souk:shop/sql@0.1.0",
    "souk:shop/kv@0.1.0",
    "souk:shop/http-out@0.1.0",
    "souk:shop/passwords@0.1.0",
    "souk:shop/config@0.1.0",
    "souk:shop/log@0.1.0",
    "wasi:clocks/wall-clock@0.2.0",
    "wasi:random/random@0.2.0",
];

/// Random bytes that one call may ask for. An id needs ten.
const RANDOM_BYTES_MAX: u64 = 64 * 1024;

/// What a call of the store leaves of the request's time, so that its `unavailable` still reaches the client.
const ANSWER_TIME: Duration = Duration::from_millis(250);

/// The longest line that a component may write to the log, in bytes.
const LOG_LINE_BYTES_MAX: usize = 4 * 1024;

/// What the manifest permits one component. The same for all its instances.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// The component's name in the manifest, for logs.
    pub component: Arc<str>,
    /// Whose tables and batches `sql` reaches; none when it may not be used. A fused component is several, of which one has tables.
    pub sql: Option<Arc<str>>,
    /// Whose keys `kv` reaches; none when it may not be used.
    pub kv: Option<Arc<str>>,
    /// May use `passwords`.
    pub passwords: bool,
    /// Destinations of `http-out`, in Spin's `allowed_outbound_hosts` syntax; empty means no network.
    /// A private address is reachable only where it is named literally.
    pub outbound_hosts: Vec<String>,
    /// What `config` answers.
    pub variables: BTreeMap<String, String>,
}

/// The request on whose behalf a store runs.
#[derive(Clone, Debug)]
pub struct RequestInfo {
    /// The identity of the request, for logs.
    pub request_id: Arc<str>,
    /// W3C trace context: the trace.
    pub trace_id: u128,
    /// W3C trace context: the span that is calling.
    pub span_id: u64,
    /// When the answer is of no use any more. No port waits longer.
    pub deadline: Instant,
}

/// One finished call from a component to a port.
#[derive(Clone, Copy, Debug)]
pub struct Crossing<'a> {
    /// The component that called.
    pub component: &'a str,
    /// The request on whose behalf it called.
    pub request: &'a RequestInfo,
    /// The interface without package and version: `sql`.
    pub interface: &'static str,
    /// The function: `commit`.
    pub function: &'static str,
    /// `ok`, or the case of the error: `guard-missed`.
    pub outcome: &'static str,
    /// How long the host took.
    pub duration: Duration,
}

/// Hears every crossing, on the thread that made it, after it ended.
pub type Hook = Arc<dyn Fn(&Crossing<'_>) + Send + Sync>;

/// What one store may reach.
pub struct Ports {
    grants: Arc<Grants>,
    providers: Arc<Providers>,
    request: RequestInfo,
    hook: Option<Hook>,
}

impl Ports {
    /// Gives a store its ports.
    pub fn new(grants: Arc<Grants>, providers: Arc<Providers>, request: RequestInfo) -> Ports {
        Ports { grants, providers, request, hook: None }
    }

    /// Reports every crossing to `hook`.
    pub fn observed_by(mut self, hook: Hook) -> Ports {
        self.hook = Some(hook);
        self
    }

    /// What the store's component may do.
    pub fn grants(&self) -> &Arc<Grants> {
        &self.grants
    }

    /// The request on whose behalf the store runs.
    pub fn request(&self) -> &RequestInfo {
        &self.request
    }

    /// Puts another request in place, where a store is used again.
    pub fn set_request(&mut self, request: RequestInfo) {
        self.request = request;
    }

    fn crossed(&self, interface: &'static str, function: &'static str, outcome: &'static str, started: Instant) {
        if let Some(hook) = &self.hook {
            hook(&Crossing {
                component: &self.grants.component,
                request: &self.request,
                interface,
                function,
                outcome,
                duration: started.elapsed(),
            });
        }
    }

    /// Runs one call of a port and reports it.
    async fn cross<T, E: Case>(
        &self,
        interface: &'static str,
        function: &'static str,
        call: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        let started = Instant::now();
        let answer = call.await;
        let outcome = answer.as_ref().map_or_else(Case::case, |_| "ok");
        self.crossed(interface, function, outcome, started);
        answer
    }
}

/// Adds every interface of [`PORT_INTERFACES`] to a linker whose stores hold their [`Ports`] somewhere.
pub fn add_to_linker<T: Send + 'static>(linker: &mut Linker<T>, get: fn(&mut T) -> &mut Ports) -> wasmtime::Result<()> {
    sql::add_to_linker::<T, InStore>(linker, get)?;
    kv::add_to_linker::<T, InStore>(linker, get)?;
    http_out::add_to_linker::<T, InStore>(linker, get)?;
    passwords::add_to_linker::<T, InStore>(linker, get)?;
    config::add_to_linker::<T, InStore>(linker, get)?;
    log::add_to_linker::<T, InStore>(linker, get)?;
    wall_clock::add_to_linker::<T, InStore>(linker, get)?;
    random::add_to_linker::<T, InStore>(linker, get)
}

/// Says that a store lends its [`Ports`] for the time of a call.
struct InStore;

impl HasData for InStore {
    type Data<'a> = &'a mut Ports;
}

/// The name of an error's case, for metrics and logs.
trait Case {
    fn case(&self) -> &'static str;
}

impl Case for sql::SqlError {
    fn case(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::TooLarge(_) => "too-large",
            Self::Constraint(_) => "constraint",
            Self::GuardMissed(_) => "guard-missed",
            Self::StorageFull => "storage-full",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

impl Case for kv::KvError {
    fn case(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::Conflict => "conflict",
            Self::StorageFull => "storage-full",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

impl Case for http_out::HttpOutError {
    fn case(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::NotGranted(_) => "not-granted",
            Self::NotSent(_) => "not-sent",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl Case for passwords::PasswordError {
    fn case(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::Busy => "busy",
        }
    }
}

impl sql::Host for Ports {
    async fn query(&mut self, reads: Vec<sql::Read>, batch_id: Option<String>) -> Result<sql::Snapshot, sql::SqlError> {
        self.cross("sql", "query", async {
            let owner = self.sql_owner()?;
            let reads: Vec<_> = all(reads);
            let deadline = self.store_deadline();
            Ok(self.providers.store.query(owner, &reads, batch_id.as_deref(), deadline).await?.into())
        })
        .await
    }

    async fn commit(&mut self, batch: sql::Batch) -> Result<Vec<u64>, sql::SqlError> {
        self.cross("sql", "commit", async {
            let owner = self.sql_owner()?;
            Ok(self.providers.store.commit(owner, batch.into(), self.store_deadline()).await?)
        })
        .await
    }
}

impl kv::Host for Ports {
    async fn get(&mut self, key: String) -> Result<Option<kv::Entry>, kv::KvError> {
        self.cross("kv", "get", async {
            let owner = self.kv_owner()?;
            let entry = self.providers.store.kv_get(owner, &key, self.store_deadline()).await?;
            Ok(entry.map(Into::into))
        })
        .await
    }

    async fn set(
        &mut self,
        key: String,
        value: String,
        condition: kv::Condition,
        ttl_seconds: Option<u64>,
    ) -> Result<u64, kv::KvError> {
        self.cross("kv", "set", async {
            let owner = self.kv_owner()?;
            let deadline = self.store_deadline();
            Ok(self.providers.store.kv_set(owner, key, value, condition.into(), ttl_seconds, deadline).await?)
        })
        .await
    }

    async fn delete(&mut self, key: String, condition: kv::Condition) -> Result<(), kv::KvError> {
        self.cross("kv", "delete", async {
            let owner = self.kv_owner()?;
            Ok(self.providers.store.kv_delete(owner, key, condition.into(), self.store_deadline()).await?)
        })
        .await
    }

    async fn increment(&mut self, key: String, by: i64, ttl_seconds: Option<u64>) -> Result<i64, kv::KvError> {
        self.cross("kv", "increment", async {
            let owner = self.kv_owner()?;
            Ok(self.providers.store.kv_increment(owner, key, by, ttl_seconds, self.store_deadline()).await?)
        })
        .await
    }
}

impl Ports {
    fn store_deadline(&self) -> Instant {
        self.request.deadline.checked_sub(ANSWER_TIME).unwrap_or(self.request.deadline)
    }

    fn sql_owner(&self) -> Result<&Arc<str>, sql::SqlError> {
        self.grants.sql.as_ref().ok_or_else(|| sql::SqlError::Invalid(not_granted("sql")))
    }

    fn kv_owner(&self) -> Result<&Arc<str>, kv::KvError> {
        self.grants.kv.as_ref().ok_or_else(|| kv::KvError::Invalid(not_granted("kv")))
    }
}

impl http_out::Host for Ports {
    async fn send(&mut self, request: http_out::OutRequest) -> Result<http_out::InResponse, http_out::HttpOutError> {
        self.cross("http-out", "send", self.providers.http_send(&self.grants, &self.request, request)).await
    }
}

impl passwords::Host for Ports {
    async fn hash(&mut self, password: String) -> Result<String, passwords::PasswordError> {
        self.cross("passwords", "hash", async {
            self.passwords_granted()?;
            self.providers.password_hash(password).await
        })
        .await
    }

    async fn verify(&mut self, password: String, hash: String) -> Result<passwords::Verdict, passwords::PasswordError> {
        self.cross("passwords", "verify", async {
            self.passwords_granted()?;
            self.providers.password_verify(password, hash).await
        })
        .await
    }
}

impl Ports {
    fn passwords_granted(&self) -> Result<(), passwords::PasswordError> {
        if self.grants.passwords { Ok(()) } else { Err(passwords::PasswordError::Invalid(not_granted("passwords"))) }
    }
}

impl config::Host for Ports {
    fn get(&mut self, name: String) -> Option<String> {
        let started = Instant::now();
        let value = self.grants.variables.get(&name).cloned();
        self.crossed("config", "get", if value.is_some() { "ok" } else { "none" }, started);
        value
    }
}

impl log::Host for Ports {
    fn error(&mut self, message: String) {
        let started = Instant::now();
        let line = &message[..message.floor_char_boundary(LOG_LINE_BYTES_MAX)];
        tracing::error!(
            component = %self.grants.component,
            request_id = %self.request.request_id,
            trace_id = %format_args!("{:032x}", self.request.trace_id),
            "{line}"
        );
        self.crossed("log", "error", "ok", started);
    }
}

impl wall_clock::Host for Ports {
    fn now(&mut self) -> wall_clock::Datetime {
        let now = self.providers.store.clock().now_ms().max(0).unsigned_abs();
        // Milliseconds are all that the shop's instants hold; the fraction below them stays here.
        wall_clock::Datetime {
            seconds: now / 1_000,
            nanoseconds: u32::try_from(now % 1_000).unwrap_or_default() * 1_000_000,
        }
    }
}

impl random::Host for Ports {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        if len > RANDOM_BYTES_MAX {
            wasmtime::bail!("{len} random bytes asked for; {RANDOM_BYTES_MAX} are the limit");
        }
        let mut bytes = vec![0; usize::try_from(len)?];
        getrandom::fill(&mut bytes).map_err(|error| wasmtime::format_err!("randomness: {error}"))?;
        Ok(bytes)
    }
}

fn not_granted(port: &str) -> String {
    format!("the manifest does not grant `{port}` to this component")
}
