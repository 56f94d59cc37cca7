//! A disk that fails when it is told to, or loses its power; `tests/disk` says how it behaves.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::{folder::Folder, shop::root};

/// The device of a file system that a program of ours is.
const DEVICE: &str = "/dev/fuse";

/// A disk and where it is mounted.
pub struct Disk {
    place: Folder,
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// Calls of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Writes, and changes of a file's length.
    pub writes: u64,
    /// Flushes of files and folders.
    pub flushes: u64,
}

/// How a disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// From one write on all are refused with `ENOSPC`, until it heals.
    Full,
    /// One write fails with `EIO`.
    Write,
    /// One flush of a file or folder fails with `EIO`, and what it should have kept is forgotten.
    Flush,
}

impl Disk {
    /// An empty disk, mounted.
    pub fn empty() -> Self {
        assert!(
            Path::new(DEVICE).exists(),
            "{DEVICE} is missing: load the kernel's module `fuse`, or give it to the container"
        );
        let place = Folder::new();
        let program = root().join("target/disk/release/souk-failing-disk");
        assert!(program.exists(), "{} is missing; run `cargo build --release` in tests/disk", program.display());
        let mut child = Command::new(program)
            .arg(place.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the disk starts");
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("standard output is piped"));
        let mut disk = Self { place, child, orders, answers };
        assert_eq!(disk.answer(), "ok", "it is mounted");
        disk
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.place.path().to_owned()
    }

    /// Cuts the power: what was not flushed is lost, or some of it as the seed says. Whoever used the disk must be gone. It
    /// is mounted again afterwards, without faults.
    pub fn cut_power(&mut self, seed: u64) {
        self.order(&format!("cut {seed}"));
    }

    /// Remembers all that is durable.
    pub fn keep(&mut self) {
        self.order("keep");
    }

    /// Brings back what was kept. Whoever used the disk must be gone.
    pub fn reset(&mut self) {
        self.order("reset");
    }

    /// Lets calls fail from here on: the `nth`, counted from one, of those that the fault is about.
    pub fn fail(&mut self, fault: Fault, nth: u64) {
        let word = match fault {
            Fault::Full => "full",
            Fault::Write => "write",
            Fault::Flush => "flush",
        };
        self.order(&format!("fail {word} {nth}"));
    }

    /// Ends the fault, and answers whether a call has met it.
    pub fn heal(&mut self) -> bool {
        self.ask("heal") == "met"
    }

    /// Calls since the last [`Disk::fail`] or [`Disk::heal`].
    pub fn calls(&mut self) -> Calls {
        let answer = self.ask("calls");
        let mut numbers = answer.split(' ').map(|number| number.parse().expect("they are numbers"));
        let mut next = || numbers.next().expect("there are two numbers");
        Calls { writes: next(), flushes: next() }
    }

    fn order(&mut self, order: &str) {
        assert_eq!(self.ask(order), "ok", "{order}");
    }

    fn ask(&mut self, order: &str) -> String {
        let orders = self.orders.as_mut().expect("it takes orders until it is dropped");
        writeln!(orders, "{order}").expect("the disk listens");
        self.answer()
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the disk answers in text");
        assert!(!line.is_empty(), "the disk went away; its last words are on standard error");
        line.trim_end().to_owned()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.orders.take());
        // A test that failed may leave somebody behind who uses it; it ends with them then.
        let _ = self.child.wait();
        let _ = fs::remove_dir(self.place.path());
    }
}
