//! The disk as the kernel asks for it.

use std::{
    ffi::OsStr,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use crate::lock;
use crate::tree::{Content, File, Names, Node, Tree};

/// How long the kernel may believe what it was told: nobody but the kernel changes anything.
const KNOWN_FOR: Duration = Duration::from_secs(3_600);
/// No number of a node is used twice, so one generation is enough.
const GENERATION: Generation = Generation(0);
/// Nothing is kept per open file.
const HANDLE: FileHandle = FileHandle(0);

/// Answers the kernel.
pub(super) struct Mounted {
    tree: Arc<Mutex<Tree>>,
    owner: (u32, u32),
}

impl Mounted {
    /// All on the disk belongs to whom the folder belongs to that it is mounted on.
    pub(super) fn new(tree: Arc<Mutex<Tree>>, folder: &Path) -> std::io::Result<Self> {
        let metadata = folder.metadata()?;
        Ok(Self { tree, owner: (metadata.uid(), metadata.gid()) })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Tree) -> Result<T, Errno>) -> Result<T, Errno> {
        work(&mut lock(&self.tree))
    }

    fn attributes(&self, number: u64, node: &Node) -> FileAttr {
        let (kind, size) = match &node.content {
            Content::File(file) => (FileType::RegularFile, file.bytes.len()),
            Content::Folder(_) => (FileType::Directory, 0),
            Content::Link(to) => (FileType::Symlink, to.as_os_str().len()),
        };
        let then = SystemTime::UNIX_EPOCH;
        FileAttr {
            ino: INodeNo(number),
            size: size as u64,
            blocks: size.div_ceil(512) as u64,
            atime: then,
            mtime: then,
            ctime: then,
            crtime: then,
            kind,
            perm: node.mode,
            nlink: 1,
            uid: self.owner.0,
            gid: self.owner.1,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    fn seen(&self, number: u64) -> Result<FileAttr, Errno> {
        self.with(|tree| Ok(self.attributes(number, tree.node(number)?)))
    }

    fn add(&self, folder: INodeNo, name: &OsStr, content: Content, mode: u32) -> Result<FileAttr, Errno> {
        let number = self.with(|tree| tree.add(folder.0, name, content, mode))?;
        self.seen(number)
    }
}

fn entry(reply: ReplyEntry, outcome: Result<FileAttr, Errno>) {
    match outcome {
        Ok(attributes) => reply.entry(&KNOWN_FOR, &attributes, GENERATION),
        Err(error) => reply.error(error),
    }
}

fn empty(reply: ReplyEmpty, outcome: Result<(), Errno>) {
    match outcome {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn attributes(reply: ReplyAttr, outcome: Result<FileAttr, Errno>) {
    match outcome {
        Ok(attributes) => reply.attr(&KNOWN_FOR, &attributes),
        Err(error) => reply.error(error),
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a file of a test fits into memory")
}

impl Filesystem for Mounted {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        entry(reply, self.with(|tree| tree.find(parent.0, name)).and_then(|number| self.seen(number)));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        attributes(reply, self.seen(ino.0));
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        length: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let changed = self.with(|tree| {
            if let Some(length) = length {
                tree.resize(ino.0, size(length))?;
            }
            if let Some(mode) = mode {
                tree.node_mut(ino.0)?.mode = u16::try_from(mode & 0o7777).expect("twelve bits");
            }
            Ok(())
        });
        attributes(reply, changed.and_then(|()| self.seen(ino.0)));
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        let target = self.with(|tree| match &tree.node(ino.0)?.content {
            Content::Link(to) => Ok(to.as_os_str().as_bytes().to_owned()),
            Content::File(_) | Content::Folder(_) => Err(Errno::EINVAL),
        });
        match target {
            Ok(target) => reply.data(&target),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        entry(reply, self.add(parent, name, Content::Folder(Names::default()), mode & !umask));
    }

    fn symlink(&self, _: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        entry(reply, self.add(parent, name, Content::Link(target.to_owned()), 0o777));
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        match self.add(parent, name, Content::File(File::default()), mode & !umask) {
            Ok(attributes) => {
                reply.created(&KNOWN_FOR, &attributes, GENERATION, HANDLE, FopenFlags::FOPEN_KEEP_CACHE);
            }
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.with(|tree| tree.remove(parent.0, name)));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.with(|tree| tree.remove(parent.0, name)));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        empty(reply, self.with(|tree| tree.rename((parent.0, name), (newparent.0, newname))));
    }

    fn open(&self, _: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        reply.opened(HANDLE, FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let bytes = self.with(|tree| {
            let bytes = &tree.file(ino.0)?.bytes;
            let begin = size(offset).min(bytes.len());
            let end = (begin + size(length.into())).min(bytes.len());
            Ok(bytes[begin..end].to_owned())
        });
        match bytes {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.with(|tree| tree.write(ino.0, size(offset), data)) {
            Ok(()) => reply.written(u32::try_from(data.len()).expect("the kernel asks for less than 4 GiB")),
            Err(error) => reply.error(error),
        }
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        empty(reply, self.with(|tree| tree.flush(ino.0)));
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        empty(reply, self.with(|tree| tree.flush(ino.0)));
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listed = self.with(|tree| {
            for (place, (name, number)) in (1..).zip(&tree.names(ino.0)?.seen).skip(size(offset)) {
                let kind = self.attributes(*number, tree.node(*number)?).kind;
                if reply.add(INodeNo(*number), place, kind, name) {
                    break;
                }
            }
            Ok(())
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }
}
