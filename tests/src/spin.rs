//! Stand-ins for what Spin gives a component, for machines without the program `spin`.
//!
//! They do what Spin 4.0.2 does, from its sources, as far as the shop can tell: a new SQLite connection for each `open` and
//! failures that are text alone, variables by component, requests to `http://self` and to nothing else, headers
//! appended behind the client's, the limits of its instance pool, and a handler that goes on after its response.
//! They are no Spin: `spin up` itself is tried where it is installed.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bindings::fermyon::spin::variables;
use bindings::souk::shop::self_;
use souk_store::Clock;
use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::shop::root;
use outbound::Outbound;

mod database;
pub mod manifest;
pub mod outbound;
pub mod ports;
pub mod serve;

/// What Spin's interfaces look like, and the ports that `adapter-spin` exports.
pub mod bindings {
    #![allow(
        missing_docs,
        clippy::all,
        clippy::allow_attributes_without_reason,
        unused_qualifications,
        reason = "generated from WIT, where the documentation is"
    )]
    wasmtime::component::bindgen!({
        path: ["../components/adapter-spin/wit/deps/spin-sqlite", "../components/adapter-spin/wit/deps/spin", "../wit"],
        inline: "
            package souk:stand-in;

            world spin {
                import spin:sqlite/sqlite@3.0.0;
                import fermyon:spin/variables@2.0.0;
                import souk:shop/self@0.1.0;
                export souk:shop/sql@0.1.0;
                export souk:shop/kv@0.1.0;
                export souk:shop/outbox@0.1.0;
            }
        ",
        world: "souk:stand-in/spin",
        additional_derives: [serde::Deserialize, serde::Serialize],
        imports: { "spin:sqlite/sqlite": async | trappable },
        exports: { default: async },
        with: { "spin:sqlite/sqlite.connection": crate::spin::Database },
    });
}

pub use database::Database;

/// What one instance of a component may reach.
#[derive(Clone)]
pub struct Granted {
    /// The database `default`; none when it is not granted.
    pub database: Option<PathBuf>,
    /// Its variables.
    pub variables: Arc<BTreeMap<String, String>>,
    /// The address of the application when requests to itself are granted.
    pub itself: Option<SocketAddr>,
    /// The time that it sees.
    pub clock: Clock,
    /// What tells an adapter outside of a composite whom it serves.
    pub identity: Arc<str>,
}

/// What a store holds.
pub struct Instance {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    outbound: Outbound,
    granted: Granted,
}

impl Instance {
    /// A store for one instance.
    pub fn store(engine: &Engine, granted: Granted) -> Store<Instance> {
        let wasi = WasiCtx::builder().inherit_stderr().wall_clock(Time(granted.clock.clone())).build();
        let outbound = Outbound { itself: granted.itself };
        let (http, table) = (WasiHttpCtx::new(), ResourceTable::new());
        Store::new(engine, Instance { wasi, http, table, outbound, granted })
    }
}

/// A clock of the tests as WASI wants it.
struct Time(Clock);

impl HostWallClock for Time {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.now_ms().unsigned_abs())
    }
}

impl WasiView for Instance {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Instance {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outbound, table: &mut self.table, ctx: &mut self.http }
    }
}

impl variables::Host for Instance {
    fn get(&mut self, name: String) -> Result<String, variables::Error> {
        let value = self.granted.variables.get(&name).cloned();
        value.ok_or_else(|| variables::Error::Undefined(format!("no variable for {name:?}")))
    }
}

impl self_::Host for Instance {
    fn describe(&mut self) -> String {
        self.granted.identity.to_string()
    }
}

/// A limit of Spin's pool, which its operator may raise by this variable of the environment.
fn limit(variable: &str, default: u32) -> Result<u32> {
    std::env::var(variable).map_or(Ok(default), |value| value.parse().with_context(|| format!("{variable}={value}")))
}

/// An engine with the limits that Spin sets for the instances of a component.
pub fn engine() -> Result<Engine> {
    let instances = 1_000;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_memories(limit("SPIN_WASMTIME_TOTAL_MEMORIES", instances)?)
        .total_tables(limit("SPIN_WASMTIME_TOTAL_TABLES", 2 * instances)?)
        .total_stacks(instances)
        .total_core_instances(limit("SPIN_WASMTIME_TOTAL_CORE_INSTANCES", 4 * instances)?)
        .table_elements(100_000)
        .max_component_instance_size(10 << 20)
        .max_core_instance_size(10 << 20)
        .max_core_instances_per_component(200)
        .max_tables_per_component(64)
        .max_memories_per_component(32);
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool)).wasm_component_model(true);
    Ok(Engine::new(&config)?)
}

/// Everything that a component may import.
pub fn linker(engine: &Engine) -> Result<Linker<Instance>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    bindings::spin::sqlite::sqlite::add_to_linker::<_, HasSelf<Instance>>(&mut linker, |instance| instance)?;
    variables::add_to_linker::<_, HasSelf<Instance>>(&mut linker, |instance| instance)?;
    self_::add_to_linker::<_, HasSelf<Instance>>(&mut linker, |instance| instance)?;
    Ok(linker)
}

/// Loads a component file, compiled once for all processes: a composite takes many seconds.
pub fn load(engine: &Engine, path: &Path) -> Result<Component> {
    let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read; run `make spin`", path.display()))?;
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    engine.precompile_compatibility_hash().hash(&mut hasher);
    let cache = root().join("target/test-cache/spin");
    std::fs::create_dir_all(&cache)?;
    let kept = cache.join(format!("{:016x}.cwasm", hasher.finish()));
    if let Some(component) = kept.is_file().then(|| deserialize(engine, &kept)).transpose()? {
        return Ok(component);
    }
    let component = Component::from_binary(engine, &bytes)?;
    // Renamed into place, so that no process reads half a file.
    let draft = kept.with_extension(std::process::id().to_string());
    std::fs::write(&draft, component.serialize()?)?;
    std::fs::rename(&draft, &kept)?;
    Ok(component)
}

#[allow(unsafe_code, reason = "the file was written by `load` of a test, by the user whose tests read it")]
fn deserialize(engine: &Engine, path: &Path) -> Result<Component> {
    // SAFETY: machine code is trusted like the test that wrote it, and wasmtime checks that it is for this engine.
    Ok(unsafe { Component::deserialize_file(engine, path) }?)
}
