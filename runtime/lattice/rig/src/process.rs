//! Programs that the rig starts, and that never outlive it.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a program may take to end before it is killed.
const END_MAX: Duration = Duration::from_secs(25);
/// Bytes of a log's end that are shown when its program ended by itself.
const LOG_SHOWN: usize = 2_000;

/// A program: how it is started, and its process while it runs.
pub struct Program {
    /// How it is called.
    pub name: String,
    /// What is executed, with its arguments.
    pub command: Vec<OsString>,
    /// Where its temporary files go, when that matters.
    pub temp: Option<PathBuf>,
    /// The user that runs it, when it may not be root.
    pub user: Option<&'static str>,
    /// What ends it in good order.
    pub signal: Signal,
    /// What it prints.
    pub log: PathBuf,
    /// Its process.
    pub child: Option<Child>,
}

impl Program {
    /// A program that SIGTERM ends, not started yet.
    pub fn new(name: &str, data: &Path, command: impl IntoIterator<Item = impl Into<OsString>>) -> Program {
        Program {
            name: name.to_owned(),
            command: command.into_iter().map(Into::into).collect(),
            temp: None,
            user: None,
            signal: Signal::TERM,
            log: data.join(format!("{name}.log")),
            child: None,
        }
    }

    /// Starts it. The kernel ends it when this process ends, however that happens.
    pub fn start(&mut self) -> anyhow::Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("cannot write {}", self.log.display()))?;
        let signal = if self.signal == Signal::INT { "INT" } else { "TERM" };
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", signal]);
        command.args(self.user.map(|user| as_user(user)).into_iter().flatten());
        command.arg("--").args(&self.command);
        if let Some(temp) = &self.temp {
            std::fs::create_dir_all(temp)?;
            command.env("TMPDIR", temp);
        }
        let started = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        self.child = Some(started.with_context(|| format!("{} cannot be started", self.name))?);
        Ok(())
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref()?.id()
    }

    /// Says why it is not running any more, if it is not.
    pub fn check(&mut self) -> anyhow::Result<()> {
        let Some(child) = &mut self.child else { anyhow::bail!("{} was not started", self.name) };
        let Some(status) = child.try_wait()? else { return Ok(()) };
        let log = std::fs::read(&self.log).unwrap_or_default();
        let end = String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_SHOWN)..]).into_owned();
        anyhow::bail!("{} ended with {status}; the end of {}:\n{end}", self.name, self.log.display())
    }

    /// Ends it in good order, or kills it when that takes too long.
    pub async fn end(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        send(&child, self.signal);
        if timeout(END_MAX, child.wait()).await.is_err() {
            tracing::warn!(name = self.name, "did not end in time and is killed");
            send(&child, Signal::KILL);
            let _status = child.wait().await;
        }
    }

    /// Kills it as a failing machine would.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().with_context(|| format!("{} does not run", self.name))?;
        send(&child, Signal::KILL);
        child.wait().await?;
        Ok(())
    }
}

/// The arguments of `setpriv` that make it another user.
pub fn as_user(user: &str) -> [String; 3] {
    [format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()]
}

/// Whether this process is root's, who may not run Postgres.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn send(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(pid) = pid {
        // It may have ended this instant.
        let _sent = kill_process(pid, signal);
    }
}

/// A path as a text for a config file, which may not hold quotes.
pub fn quotable(path: &Path) -> anyhow::Result<&str> {
    let text = path.to_str().filter(|_| !path.as_os_str().as_bytes().iter().any(|byte| b"\"'\n".contains(byte)));
    text.with_context(|| format!("{} holds quotes or no text", path.display()))
}
