//! The engine: wasmtime's settings, the clock that ends endless loops, and compiled code kept by digest.
//!
//! What matters here was measured (platform facts, section 5): with these settings a fresh instance per call
//! needs no memory-mapping system call. This module knows nothing of manifests, links or requests.

use std::{
    borrow::Cow,
    fmt::Write as _,
    fs,
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, component::Component};

use crate::manifest::MEMORY_MIB_MAX;

/// How often the engine looks at deadlines.
pub const TICK: Duration = Duration::from_millis(10);
/// Component instances alive at once; calls beyond it are answered as overload.
const INSTANCES_MAX: u32 = 1_000;
/// Core instances in a component: the program, and what the linker adds to pass values through.
const CORE_INSTANCES_PER_COMPONENT: u32 = 24;
/// Memories in a component: one for each of the parts that were fused.
const MEMORIES_PER_COMPONENT: u32 = 4;
/// Memory that stays mapped in a free slot, in bytes; a fresh instance reuses it without a page fault.
const KEEP_RESIDENT_MEMORY: usize = 128 << 10;
/// The same for tables, in bytes.
const KEEP_RESIDENT_TABLE: usize = 64 << 10;
/// Free slots that keep their memory; those beyond give it back.
const WARM_SLOTS: u32 = 64;
/// Stack that a component may use, in bytes.
const WASM_STACK: usize = 512 << 10;
/// Stack of a fiber, in bytes: the component's, and the host's own above it.
const FIBER_STACK: usize = 1 << 20;
/// Elements in a component's function table.
const TABLE_ELEMENTS: usize = 20_000;
/// The largest component file that is compiled, in bytes.
const COMPONENT_BYTES_MAX: usize = 16 << 20;

/// Compiles, keeps and loads components. One for the whole process.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    cache: PathBuf,
}

/// A component in machine code.
#[derive(Clone)]
pub struct Compiled {
    /// The code.
    pub component: Component,
    /// SHA-256 of the file, in hexadecimal.
    pub digest: String,
    /// Bytes of the file.
    pub size: usize,
}

impl Engine {
    /// Starts an engine that keeps compiled code in a directory.
    pub fn new(cache: PathBuf) -> Result<Self> {
        let engine = wasmtime::Engine::new(&config())?;
        fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
        start_ticking(&engine)?;
        Ok(Self { engine, cache })
    }

    /// The engine itself.
    pub fn wasmtime(&self) -> &wasmtime::Engine {
        &self.engine
    }

    /// Loads a component from its bytes, compiling it unless that was done before.
    pub fn load(&self, bytes: &[u8]) -> Result<Compiled> {
        anyhow::ensure!(
            bytes.len() <= COMPONENT_BYTES_MAX,
            "{} bytes are over the limit of {COMPONENT_BYTES_MAX}",
            bytes.len()
        );
        let digest = hexadecimal(&Sha256::digest(bytes));
        let component = self.kept_or(&digest, || Ok(bytes.into()))?;
        Ok(Compiled { component, digest, size: bytes.len() })
    }

    /// Loads a component made from others, whose digests say what it will be. It is made only when it was not compiled before.
    pub fn load_made(&self, digests: &[&str], make: impl FnOnce() -> Result<Vec<u8>>) -> Result<Component> {
        let digest = hexadecimal(&Sha256::digest(digests.join("+")));
        self.kept_or(&digest, || Ok(make()?.into()))
    }

    fn kept_or<'a>(&self, digest: &str, bytes: impl FnOnce() -> Result<Cow<'a, [u8]>>) -> Result<Component> {
        let path = self.cache.join(format!("{}.cwasm", self.key(digest)));
        match deserialize(&self.engine, &path) {
            Some(component) => Ok(component),
            None => self.compile(&bytes()?, &path),
        }
    }

    fn compile(&self, bytes: &[u8], path: &Path) -> Result<Component> {
        let component = Component::from_binary(&self.engine, bytes)?;
        // Renamed into place, so that a crash or a second host never leaves half a file.
        let draft = path.with_extension(format!("{}.draft", std::process::id()));
        let kept = component
            .serialize()
            .map_err(anyhow::Error::from)
            .and_then(|code| Ok(fs::write(&draft, code)?))
            .and_then(|()| Ok(fs::rename(&draft, path)?));
        if let Err(error) = kept {
            tracing::warn!(%error, path = %path.display(), "compiled code was not kept; the next start compiles again");
        }
        Ok(component)
    }

    /// Code is good for one component, one version of wasmtime and one set of settings.
    fn key(&self, digest: &str) -> String {
        let mut hasher = Sha256Hasher(Sha256::new());
        digest.hash(&mut hasher);
        self.engine.precompile_compatibility_hash().hash(&mut hasher);
        hexadecimal(&hasher.0.finalize())
    }
}

fn config() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    let cores = INSTANCES_MAX * 3;
    pool.total_component_instances(INSTANCES_MAX)
        .total_core_instances(cores)
        .total_memories(INSTANCES_MAX * 2)
        .total_tables(cores)
        .total_stacks(INSTANCES_MAX)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_tables_per_component(CORE_INSTANCES_PER_COMPONENT)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size((MEMORY_MIB_MAX << 20) as usize)
        .max_unused_warm_slots(WARM_SLOTS)
        .linear_memory_keep_resident(KEEP_RESIDENT_MEMORY)
        .table_keep_resident(KEEP_RESIDENT_TABLE)
        .async_stack_keep_resident(0)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_init_cow(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(FIBER_STACK)
        .async_stack_zeroing(false)
        .concurrency_support(false)
        .epoch_interruption(true)
        .wasm_component_model(true)
        .wasm_gc(false)
        .parallel_compilation(true);
    config
}

/// Raises the epoch every [`TICK`] for as long as the engine lives.
fn start_ticking(engine: &wasmtime::Engine) -> Result<()> {
    let weak = engine.weak();
    std::thread::Builder::new().name("souk-epoch".into()).spawn(move || {
        loop {
            std::thread::sleep(TICK);
            let Some(engine) = weak.upgrade() else { return };
            engine.increment_epoch();
        }
    })?;
    Ok(())
}

/// Loads kept code; none when there is none or it does not fit.
#[allow(
    unsafe_code,
    reason = "the file was written by `compile` into a directory that only this host's user may write"
)]
fn deserialize(engine: &wasmtime::Engine, path: &Path) -> Option<Component> {
    if !path.is_file() {
        return None;
    }
    // SAFETY: machine code is trusted like the host's own binary. The data directory is private to its user, and
    // the name holds a hash of the engine's settings and version, which wasmtime checks again.
    match unsafe { Component::deserialize_file(engine, path) } {
        Ok(component) => Some(component),
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "kept code does not load and is compiled again");
            None
        }
    }
}

/// Bytes in lower-case hexadecimal.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// SHA-256 where the standard library wants a hasher; the short result is never used.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}
