//! A disk that fails: a file system in memory, mounted with FUSE, that loses what was not flushed when the power is cut
//! and refuses the nth write or flush.
//!
//! `souk-failing-disk FOLDER` mounts it and takes orders, a line each, and answers each with a line. The end of the
//! orders unmounts it. Whoever uses the disk must be gone before `cut` and `reset`.
//!
//! | order | what it does | answer |
//! |---|---|---|
//! | `fail full N`, `fail write N`, `fail flush N` | see [`Fault`]; calls are counted from here, from one | `ok` |
//! | `heal` | ends the fault | `met` or `missed` |
//! | `calls` | | writes and flushes since the last `fail` or `heal` |
//! | `cut SEED` | cuts the power: what was not flushed is lost, or some of it as the seed says | `ok` |
//! | `keep` | remembers all that is durable | `ok` |
//! | `reset` | brings back what was kept | `ok` |
//!
//! It is as strict as POSIX allows. A file's bytes are durable when the file was flushed, its name when its folder was. Of
//! what was not flushed each sector survives a power cut or does not. A flush that failed has forgotten what it
//! should have kept, as Linux has: the next one succeeds and brings nothing back.
//!
//! Files that SQLite shares between processes as memory (`-shm`) take no part: nothing reads them after a power cut.

use std::{
    io::{BufRead as _, Write as _},
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use fuser::{BackgroundSession, Config, MountOption};

use tree::{Fault, Tree};

mod mounted;
mod tree;

/// How long whoever used the disk may take to let go of it.
const UNMOUNT_MAX: Duration = Duration::from_secs(10);
/// How often it is tried.
const UNMOUNT_EVERY: Duration = Duration::from_millis(20);

fn main() -> anyhow::Result<()> {
    let folder = std::env::args_os().nth(1).context("usage: souk-failing-disk FOLDER")?;
    let mut disk = Disk { tree: Arc::default(), kept: Tree::default(), folder: folder.into(), session: None };
    disk.mount()?;
    let mut answers = std::io::stdout();
    writeln!(answers, "ok")?;
    for order in std::io::stdin().lock().lines() {
        let order = order?;
        let answer = disk.obey(&order).with_context(|| order.clone())?;
        writeln!(answers, "{answer}")?;
    }
    disk.unmount()
}

struct Disk {
    tree: Arc<Mutex<Tree>>,
    kept: Tree,
    folder: PathBuf,
    session: Option<BackgroundSession>,
}

impl Disk {
    fn obey(&mut self, order: &str) -> anyhow::Result<String> {
        let words: Vec<&str> = order.split(' ').collect();
        match words[..] {
            ["fail", fault, nth] => {
                let fault = match fault {
                    "full" => Fault::Full,
                    "write" => Fault::Write,
                    "flush" => Fault::Flush,
                    _ => bail!("no such fault"),
                };
                self.tree().fail(fault, nth.parse()?);
            }
            ["heal"] => return Ok(if self.tree().heal() { "met" } else { "missed" }.into()),
            ["calls"] => {
                let calls = self.tree().calls();
                return Ok(format!("{} {}", calls.writes, calls.flushes));
            }
            ["cut", seed] => {
                let mut dice = fastrand::Rng::with_seed(seed.parse()?);
                self.unmount()?;
                self.tree().cut_power(&mut dice);
                self.mount()?;
            }
            ["keep"] => {
                let durable = self.tree().durable();
                self.kept = durable;
            }
            ["reset"] => {
                self.unmount()?;
                *lock(&self.tree) = self.kept.clone();
                self.mount()?;
            }
            _ => bail!("no such order"),
        }
        Ok("ok".into())
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        lock(&self.tree)
    }

    fn mount(&mut self) -> anyhow::Result<()> {
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("souk-failing-disk".into())];
        let mounted = mounted::Mounted::new(Arc::clone(&self.tree), &self.folder)?;
        let session = fuser::spawn_mount(mounted, &self.folder, &config);
        self.session = Some(session.context("cannot mount; are /dev/fuse and fusermount3 there?")?);
        Ok(())
    }

    fn unmount(&mut self) -> anyhow::Result<()> {
        let session = self.session.take().context("it is not mounted")?;
        let end = Instant::now() + UNMOUNT_MAX;
        // A program that a test starts holds the test's own files for the moment until it runs.
        loop {
            let output = Command::new("fusermount3").args(["-u", "--"]).arg(&self.folder).output()?;
            if output.status.success() {
                break;
            }
            ensure!(Instant::now() < end, "somebody uses it still: {}", String::from_utf8_lossy(&output.stderr));
            std::thread::sleep(UNMOUNT_EVERY);
        }
        Ok(session.join()?)
    }
}

fn lock(tree: &Mutex<Tree>) -> MutexGuard<'_, Tree> {
    tree.lock().unwrap_or_else(PoisonError::into_inner)
}
