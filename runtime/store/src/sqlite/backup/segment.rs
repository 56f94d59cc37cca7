//! A file of a backup: a header, numbered pages, and a checksum over all of it.
//!
//! ```text
//! magic 8 | generation 8 | number 8 | taken_at 8 | page size 4 | pages of the database 4 | pages here 4 | CRC-32 of these 4
//! for each page here: its number 4 | its bytes
//! CRC-32 of everything before 4
//! ```
//!
//! Numbers are big-endian. A file gets its name when it is whole and flushed, so one that is not whole was damaged later.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context as _, ensure};
use crc32fast::Hasher;

/// Tells our files from others.
const MAGIC: [u8; 8] = *b"soukseg1";
/// Bytes of a header without its checksum.
const HEADER_BYTES: usize = 44;

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The generation it belongs to.
    pub(super) generation: i64,
    /// Its place there; 0 is the snapshot.
    pub(super) number: u64,
    /// Up to when commits are in it or before it, in milliseconds since 1970.
    pub(super) taken_at: i64,
    /// Bytes of a page.
    pub(super) page_size: u32,
    /// Pages of the database after it.
    pub(super) database_pages: u32,
    /// Pages that it holds.
    pub(super) pages: u32,
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.generation.to_be_bytes());
        bytes.extend(self.number.to_be_bytes());
        bytes.extend(self.taken_at.to_be_bytes());
        bytes.extend(self.page_size.to_be_bytes());
        bytes.extend(self.database_pages.to_be_bytes());
        bytes.extend(self.pages.to_be_bytes());
        debug_assert_eq!(bytes.len(), HEADER_BYTES);
        let checksum = crc32fast::hash(&bytes);
        bytes.extend(checksum.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEADER_BYTES + 4]) -> anyhow::Result<Header> {
        let long = |at: usize| i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let short = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        ensure!(bytes[..8] == MAGIC, "it is no segment");
        ensure!(crc32fast::hash(&bytes[..HEADER_BYTES]) == short(HEADER_BYTES), "its header is damaged");
        Ok(Header {
            generation: long(8),
            number: long(16).cast_unsigned(),
            taken_at: long(24),
            page_size: short(32),
            database_pages: short(36),
            pages: short(40),
        })
    }
}

/// A segment that is being written.
pub(super) struct Draft {
    file: BufWriter<File>,
    hasher: Hasher,
}

impl Draft {
    /// Begins a file.
    pub(super) fn create(path: &Path, header: &Header) -> io::Result<Draft> {
        let mut draft = Draft { file: BufWriter::new(File::create(path)?), hasher: Hasher::new() };
        draft.write(&header.encode())?;
        Ok(draft)
    }

    /// Adds a page.
    pub(super) fn page(&mut self, number: u32, bytes: &[u8]) -> io::Result<()> {
        self.write(&number.to_be_bytes())?;
        self.write(bytes)
    }

    /// Flushes what there is, so that the end does not have to flush it all.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_data()
    }

    /// Ends the file and flushes it.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let checksum = self.hasher.clone().finalize();
        self.write(&checksum.to_be_bytes())?;
        self.file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.file.write_all(bytes)
    }
}

/// A segment that is being read.
pub(super) struct Segment {
    /// What it says about itself.
    pub(super) header: Header,
    file: BufReader<File>,
    hasher: Hasher,
}

impl Segment {
    /// Opens a file and checks its header.
    pub(super) fn open(path: &Path) -> anyhow::Result<Segment> {
        let mut file = BufReader::new(File::open(path)?);
        let mut bytes = [0; HEADER_BYTES + 4];
        file.read_exact(&mut bytes).context("it ends within its header")?;
        let header = Header::decode(&bytes)?;
        let mut hasher = Hasher::new();
        hasher.update(&bytes);
        Ok(Segment { header, file, hasher })
    }

    /// Hands every page over, and checks at the end that they were what was written.
    pub(super) fn read(mut self, mut page: impl FnMut(u32, &[u8]) -> io::Result<()>) -> anyhow::Result<()> {
        let mut bytes = vec![0; 4 + self.header.page_size as usize];
        for _ in 0..self.header.pages {
            self.file.read_exact(&mut bytes).context("it ends within a page")?;
            self.hasher.update(&bytes);
            let (number, content) = bytes.split_first_chunk().expect("longer than four bytes");
            let number = u32::from_be_bytes(*number);
            ensure!(number != 0, "its checksum does not fit");
            page(number, content)?;
        }
        let mut rest = Vec::new();
        self.file.take(5).read_to_end(&mut rest)?;
        ensure!(rest.len() >= 4, "it ends before its checksum");
        ensure!(rest == self.hasher.finalize().to_be_bytes(), "its checksum does not fit");
        Ok(())
    }
}
