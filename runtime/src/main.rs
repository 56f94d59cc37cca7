//! The command line of the host.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum, error::ErrorKind};
use souk::{
    commands::{
        Misconfigured, Outcome, Place, audit, backup, compose, dead_letters, external, inspect, migrate, restore, seed,
        up,
    },
    log,
};
use tracing::level_filters::LevelFilter;

/// Calls between components make and drop many small values on whatever thread is free.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs shops made of WebAssembly components.
///
/// Exit codes: 0 all is well, 1 something was found or went wrong, 2 the configuration or the command line is wrong.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// The least important lines that are logged, as JSON on standard error.
    #[arg(long, global = true, value_enum, default_value_t = Level::Info)]
    log: Level,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the application until SIGTERM; SIGHUP loads changed components without dropping a request.
    Up(up::Up),
    /// Brings the tables of every component up to date, and makes the secrets that are missing.
    Migrate(Place),
    /// Shows what each component imports, exports and is granted.
    Inspect {
        #[command(flatten)]
        place: Place,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Asks every component whether its books add up; exits with 1 when any do not.
    Audit {
        #[command(flatten)]
        extent: audit::Extent,
        #[command(flatten)]
        place: Place,
    },
    /// Plays a file of HTTP requests against a running server.
    Seed(seed::Seed),
    /// Copies the database to a new file, also while the server runs.
    Backup {
        /// The new file.
        file: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// Makes a database file of what `up --backup` has copied.
    Restore(restore::Restore),
    /// Makes one component file out of several, for platforms that do not link components themselves.
    Compose(compose::Compose),
    /// Shows or replays events that could not be delivered.
    DeadLetters {
        #[command(subcommand)]
        action: dead_letters::Action,
        #[command(flatten)]
        place: Place,
    },
    /// Runs the program `souk-NAME`, found beside this one or on the PATH.
    #[command(external_subcommand)]
    External(Vec<OsString>),
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let logging = match log::to_stderr(level(cli.log, &cli.command)) {
        Ok(logging) => logging,
        Err(error) => return failed(&error.into()),
    };
    let ended = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(cli.command)),
        Err(error) => Err(error.into()),
    };
    drop(logging); // what it still holds comes before the last words
    match ended {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Found) => ExitCode::from(1),
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref::<Misconfigured>() {
        Some(misconfigured) => {
            eprintln!("{misconfigured}");
            ExitCode::from(2)
        }
        None => {
            eprintln!("error: {error:#}");
            ExitCode::from(1)
        }
    }
}

async fn run(command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Up(up) => up::run(up).await,
        Command::Migrate(place) => migrate::run(&place).await,
        Command::Inspect { place, json } => inspect::run(&place, json),
        Command::Audit { extent, place } => audit::run(&place, extent).await,
        Command::Seed(seed) => seed::run(&seed).await,
        Command::Backup { file, place } => backup::run(&place, &file),
        Command::Restore(restore) => restore::run(&restore),
        Command::Compose(compose) => compose::run(&compose),
        Command::DeadLetters { action, place } => dead_letters::run(&place, &action).await,
        Command::External(arguments) => {
            let (name, arguments) = arguments.split_first().context("a command has a name")?;
            let shown = name.display();
            let Some(program) = external::find(name) else {
                let why = format!("there is no command `{shown}`, and no program `souk-{shown}`");
                Cli::command().error(ErrorKind::InvalidSubcommand, why).exit()
            };
            match external::start(&program, arguments).with_context(|| program.display().to_string())? {}
        }
    }
}

/// The least important lines that a command logs.
fn level(asked: Level, command: &Command) -> LevelFilter {
    let serves = matches!(command, Command::Up(_));
    match asked {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info if serves => LevelFilter::INFO,
        // Commands that end by themselves print what they find; their log is for what goes wrong.
        Level::Info => LevelFilter::WARN,
        Level::Debug => LevelFilter::DEBUG,
    }
}
