//! The command line of the rig.
// The futures of a wasmCloud host are nested deeper than rustc follows by itself.
#![recursion_limit = "512"]

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use souk_lattice::{host, pack, rig};
use tracing_subscriber::EnvFilter;

/// What is logged when `RUST_LOG` does not say.
const LOG: &str = "warn,wasmcloud_host=info,wadm=warn,souk_lattice=info";

/// A wasmCloud lattice on one machine.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves a lattice until ctrl-c, or until its standard input ends.
    Up(rig::Up),
    /// Runs one wasmCloud host.
    Host(host::Run),
    /// Runs wadm, which places what manifests ask for.
    Wadm(wadm::config::WadmConfig),
    /// Makes signed provider archives of the capability providers.
    Pack(pack::Pack),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let many = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match command {
        Command::Up(up) => {
            // What it starts is told by the kernel when the thread that started it ends: that must be the main one.
            let one = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let ended = one.block_on(rig::up(up));
            // A line that is still awaited from standard input would be waited for.
            one.shutdown_background();
            ended
        }
        Command::Host(host) => many.block_on(host::run(host)),
        Command::Wadm(config) => many.block_on(async {
            let mut tasks = wadm::start_wadm(config).await.context("wadm cannot start")?;
            let ended = tasks.join_next().await.context("wadm has nothing to do")?;
            ended?.context("wadm ended")
        }),
        Command::Pack(pack) => many.block_on(pack::pack(&pack)),
    }
}
