//! A Postgres cluster of the rig's own.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::process::Signal;
use tokio::process::Command;

use crate::process::{Program, as_user, is_root, quotable};

/// Where Debian puts the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// The user that runs it instead of root, and whom Debian's package makes.
const USER: &str = "postgres";

/// Prepares the server, and makes the cluster when it is missing. It trusts whoever reaches its port, and sorts text by bytes.
pub async fn program(data: &Path, port: u16) -> anyhow::Result<Program> {
    let bin = newest()?;
    let cluster = data.join("postgres");
    let user = is_root().then_some(USER);
    if !cluster.join("PG_VERSION").exists() {
        std::fs::create_dir_all(&cluster)?;
        if user.is_some() {
            run(Command::new("chown").arg(USER).arg(&cluster)).await?;
        }
        let mut initdb = Command::new("setpriv");
        initdb.args(user.map(as_user).into_iter().flatten()).arg("--").arg(bin.join("initdb"));
        initdb.args(["-U", "souk", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"]).arg(&cluster);
        run(&mut initdb).await?;
    }
    let settings = [format!("port={port}"), "listen_addresses=127.0.0.1".into(), "unix_socket_directories=".into()];
    let mut command = vec![bin.join("postgres").into_os_string(), "-D".into(), quotable(&cluster)?.into()];
    command.extend(settings.into_iter().flat_map(|setting| ["-c".into(), setting.into()]));
    let program = Program::new("postgres", data, command);
    // SIGTERM would wait for every client to leave.
    Ok(Program { user, signal: Signal::INT, ..program })
}

/// The address of the database.
pub fn url(port: u16) -> String {
    format!("postgres://souk@127.0.0.1:{port}/postgres")
}

/// Whether the server takes questions.
pub async fn ready(port: u16) -> bool {
    let Ok(bin) = newest() else { return false };
    let mut ask = Command::new(bin.join("pg_isready"));
    ask.args(["-q", "-h", "127.0.0.1", "-p"]).arg(port.to_string()).status().await.is_ok_and(|status| status.success())
}

/// Makes a database and answers its address.
pub async fn make_database(port: u16, name: &str) -> anyhow::Result<String> {
    let mut make = Command::new(newest()?.join("createdb"));
    run(make.args(["-h", "127.0.0.1", "-U", "souk", "-p"]).arg(port.to_string()).arg(name)).await?;
    Ok(format!("postgres://souk@127.0.0.1:{port}/{name}"))
}

/// The folder of the newest version's programs.
fn newest() -> anyhow::Result<PathBuf> {
    let versions = std::fs::read_dir(DEBIAN).with_context(|| format!("{DEBIAN} is missing: run `make setup`"))?;
    let numbers = versions.filter_map(|version| version.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let newest = numbers.max().with_context(|| format!("{DEBIAN} holds no version"))?;
    Ok(Path::new(DEBIAN).join(newest.to_string()).join("bin"))
}

async fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().await.context("cannot be run")?;
    let error = || String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(output.status.success(), "{:?}: {}", command.as_std(), error());
    Ok(())
}
