//! What is on the disk: each file and folder as programs see it, and as a power cut would leave it.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use fastrand::Rng;
use fuser::Errno;

/// The number of the topmost folder.
pub(super) const ROOT: u64 = 1;
/// What a disk writes as a whole, in bytes.
const SECTOR: usize = 512;
/// Files of this ending are memory that processes share.
const SHARED_MEMORY: &str = "-shm";

/// How a disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// From one write on all are refused with `ENOSPC`, until it heals.
    Full,
    /// One write fails with `EIO`.
    Write,
    /// One flush of a file or folder fails with `EIO`, and what it should have kept is forgotten.
    Flush,
}

/// How often something was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Calls {
    /// Writes, and changes of a file's length.
    pub(super) writes: u64,
    /// Flushes of files and folders.
    pub(super) flushes: u64,
}

/// A file, folder or link.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) content: Content,
    pub(super) mode: u16,
}

#[derive(Clone)]
pub(super) enum Content {
    File(File),
    Folder(Names),
    Link(PathBuf),
}

#[derive(Clone, Default)]
pub(super) struct File {
    pub(super) bytes: Vec<u8>,
    durable: Vec<u8>,
    unflushed: Vec<Change>,
    is_memory: bool,
}

#[derive(Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Resize(usize),
}

#[derive(Clone, Default)]
pub(super) struct Names {
    pub(super) seen: BTreeMap<OsString, u64>,
    durable: BTreeMap<OsString, u64>,
}

/// All of a disk.
#[derive(Clone)]
pub(super) struct Tree {
    nodes: BTreeMap<u64, Node>,
    last: u64,
    fault: Option<(Fault, u64)>,
    is_met: bool,
    calls: Calls,
}

impl Default for Tree {
    fn default() -> Self {
        let root = Node { content: Content::Folder(Names::default()), mode: 0o700 };
        Self { nodes: BTreeMap::from([(ROOT, root)]), last: ROOT, fault: None, is_met: false, calls: Calls::default() }
    }
}

impl Tree {
    pub(super) fn fail(&mut self, fault: Fault, nth: u64) {
        (self.fault, self.is_met, self.calls) = (Some((fault, nth)), false, Calls::default());
    }

    pub(super) fn heal(&mut self) -> bool {
        (self.fault, self.calls) = (None, Calls::default());
        std::mem::take(&mut self.is_met)
    }

    pub(super) fn calls(&self) -> Calls {
        self.calls
    }

    /// Leaves what was flushed, and of the rest what the dice say.
    pub(super) fn cut_power(&mut self, dice: &mut Rng) {
        self.heal();
        for node in self.nodes.values_mut() {
            match &mut node.content {
                Content::File(file) => file.cut_power(dice),
                // The names of a folder change in a journal of the file system: all of them or none.
                Content::Folder(names) if dice.bool() => names.durable = names.seen.clone(),
                Content::Folder(names) => names.seen = names.durable.clone(),
                Content::Link(_) => {}
            }
        }
    }

    /// A disk on which nothing is but what was flushed.
    pub(super) fn durable(&self) -> Self {
        let mut tree = self.clone();
        tree.heal();
        for node in tree.nodes.values_mut() {
            match &mut node.content {
                Content::File(file) => file.forget_unflushed(),
                Content::Folder(names) => names.seen = names.durable.clone(),
                Content::Link(_) => {}
            }
        }
        tree
    }

    pub(super) fn node(&self, number: u64) -> Result<&Node, Errno> {
        self.nodes.get(&number).ok_or(Errno::ENOENT)
    }

    pub(super) fn node_mut(&mut self, number: u64) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&number).ok_or(Errno::ENOENT)
    }

    pub(super) fn find(&self, folder: u64, name: &OsStr) -> Result<u64, Errno> {
        self.names(folder)?.seen.get(name).copied().ok_or(Errno::ENOENT)
    }

    pub(super) fn names(&self, folder: u64) -> Result<&Names, Errno> {
        match &self.node(folder)?.content {
            Content::Folder(names) => Ok(names),
            Content::File(_) | Content::Link(_) => Err(Errno::ENOTDIR),
        }
    }

    fn names_mut(&mut self, folder: u64) -> Result<&mut Names, Errno> {
        match &mut self.node_mut(folder)?.content {
            Content::Folder(names) => Ok(names),
            Content::File(_) | Content::Link(_) => Err(Errno::ENOTDIR),
        }
    }

    pub(super) fn file(&self, number: u64) -> Result<&File, Errno> {
        match &self.node(number)?.content {
            Content::File(file) => Ok(file),
            Content::Folder(_) | Content::Link(_) => Err(Errno::EINVAL),
        }
    }

    fn file_mut(&mut self, number: u64) -> Result<&mut File, Errno> {
        match &mut self.node_mut(number)?.content {
            Content::File(file) => Ok(file),
            Content::Folder(_) | Content::Link(_) => Err(Errno::EINVAL),
        }
    }

    /// Makes a node with a name that is free.
    pub(super) fn add(&mut self, folder: u64, name: &OsStr, content: Content, mode: u32) -> Result<u64, Errno> {
        let names = self.names(folder)?;
        if names.seen.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        self.last += 1;
        let number = self.last;
        let content = match content {
            Content::File(file) => {
                Content::File(File { is_memory: name.to_string_lossy().ends_with(SHARED_MEMORY), ..file })
            }
            other @ (Content::Folder(_) | Content::Link(_)) => other,
        };
        let mode = u16::try_from(mode & 0o7777).expect("twelve bits");
        self.nodes.insert(number, Node { content, mode });
        self.names_mut(folder)?.seen.insert(name.to_owned(), number);
        Ok(number)
    }

    /// Takes a name away. The node stays for whoever has it open.
    pub(super) fn remove(&mut self, folder: u64, name: &OsStr) -> Result<(), Errno> {
        let number = self.find(folder, name)?;
        if self.names(number).is_ok_and(|names| !names.seen.is_empty()) {
            return Err(Errno::ENOTEMPTY);
        }
        self.names_mut(folder)?.seen.remove(name);
        Ok(())
    }

    pub(super) fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr)) -> Result<(), Errno> {
        let number = self.find(from.0, from.1)?;
        self.names(to.0)?;
        self.names_mut(from.0)?.seen.remove(from.1);
        self.names_mut(to.0)?.seen.insert(to.1.to_owned(), number);
        Ok(())
    }

    pub(super) fn write(&mut self, number: u64, at: usize, bytes: &[u8]) -> Result<(), Errno> {
        self.change(number, Change::Write { at, bytes: bytes.to_owned() })
    }

    pub(super) fn resize(&mut self, number: u64, length: usize) -> Result<(), Errno> {
        self.change(number, Change::Resize(length))
    }

    fn change(&mut self, number: u64, change: Change) -> Result<(), Errno> {
        if self.file(number)?.is_memory {
            change.apply(&mut self.file_mut(number)?.bytes);
            return Ok(());
        }
        self.calls.writes += 1;
        let refused = match self.fault {
            Some((Fault::Full, nth)) if self.calls.writes >= nth => Some(Errno::ENOSPC),
            Some((Fault::Write, nth)) if self.calls.writes == nth => Some(Errno::EIO),
            Some((Fault::Full | Fault::Write | Fault::Flush, _)) | None => None,
        };
        if let Some(refused) = refused {
            self.is_met = true;
            return Err(refused);
        }
        let file = self.file_mut(number)?;
        change.apply(&mut file.bytes);
        file.unflushed.push(change);
        Ok(())
    }

    /// Makes durable what a file or folder holds.
    pub(super) fn flush(&mut self, number: u64) -> Result<(), Errno> {
        self.calls.flushes += 1;
        let fails = self.fault == Some((Fault::Flush, self.calls.flushes));
        self.is_met |= fails;
        match &mut self.node_mut(number)?.content {
            Content::File(file) if fails => file.unflushed.clear(),
            Content::File(file) => {
                for change in file.unflushed.drain(..) {
                    change.apply(&mut file.durable);
                }
            }
            Content::Folder(names) if !fails => names.durable = names.seen.clone(),
            Content::Folder(_) | Content::Link(_) => {}
        }
        if fails { Err(Errno::EIO) } else { Ok(()) }
    }
}

impl File {
    fn cut_power(&mut self, dice: &mut Rng) {
        for change in std::mem::take(&mut self.unflushed) {
            match change {
                Change::Resize(_) if dice.bool() => {}
                Change::Resize(_) => change.apply(&mut self.durable),
                Change::Write { at, bytes } => {
                    let mut done = 0;
                    while done < bytes.len() {
                        let end = bytes.len().min(done + SECTOR - (at + done) % SECTOR);
                        if dice.bool() {
                            let bytes = bytes[done..end].to_owned();
                            Change::Write { at: at + done, bytes }.apply(&mut self.durable);
                        }
                        done = end;
                    }
                }
            }
        }
        self.bytes = self.durable.clone();
    }

    fn forget_unflushed(&mut self) {
        self.unflushed.clear();
        self.bytes = self.durable.clone();
    }
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Change::Resize(length) => to.resize(*length, 0),
            Change::Write { at, bytes } => {
                let end = at + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[*at..end].copy_from_slice(bytes);
            }
        }
    }
}
