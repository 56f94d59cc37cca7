//! Reads SQLite's write-ahead log: <https://www.sqlite.org/fileformat2.html#walformat>, section 4.
//!
//! A frame counts when its salts are those of the log's header and its running checksum fits; what was committed ends with
//! a frame that names the size of the database. Up to which frame the log is flushed, the writer says: it is never guessed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context as _, ensure};

/// Bytes of the log's header.
const HEADER_BYTES: usize = 32;
/// Bytes before the page of a frame.
const FRAME_HEADER_BYTES: usize = 24;
/// The first bytes of a log whose checksums read words with the low byte first; the last bit says high byte first.
const MAGIC: u32 = 0x377f_0682;

/// Pages of a database, each as it was last.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// By number.
    pub(super) images: BTreeMap<u32, Vec<u8>>,
    /// How many the database has.
    pub(super) database_pages: u32,
}

/// A log and how far it was read.
pub(super) struct Log {
    path: PathBuf,
    salts: Option<[u8; 8]>,
    /// Frames that were read.
    frames: u32,
    sum: (u32, u32),
}

impl Log {
    /// A log of which nothing was read.
    pub(super) fn new(path: PathBuf) -> Log {
        Log { path, salts: None, frames: 0, sum: (0, 0) }
    }

    /// Reads on until so many frames of the log were read, which end with a commit. A log that has started over is read
    /// from its beginning.
    pub(super) fn read(&mut self, until: u32, pages: &mut Pages) -> anyhow::Result<()> {
        let mut file = BufReader::new(File::open(&self.path)?);
        if until == 0 || file.get_ref().metadata()?.len() == 0 {
            return Ok(()); // emptied by a checkpoint
        }
        let mut header = [0; HEADER_BYTES];
        file.read_exact(&mut header)?;
        let magic = word(&header, 0);
        ensure!(magic & !1 == MAGIC, "{} is no log of SQLite", self.path.display());
        let high_first = magic & 1 == 1;
        let sum = checksum((0, 0), &header[..24], high_first);
        ensure!(sum == (word(&header, 24), word(&header, 28)), "the header of the log is damaged");
        let salts: [u8; 8] = header[16..24].try_into().expect("eight bytes");
        if self.salts != Some(salts) {
            (self.salts, self.frames, self.sum) = (Some(salts), 0, sum);
        }
        ensure!(self.frames <= until, "the log has lost frames");
        let mut frame = vec![0; FRAME_HEADER_BYTES + word(&header, 8) as usize];
        file.seek(SeekFrom::Start(HEADER_BYTES as u64 + u64::from(self.frames) * frame.len() as u64))?;
        let mut committed = true;
        while self.frames < until {
            file.read_exact(&mut frame).context("the log ends early")?;
            let (head, page) = frame.split_at(FRAME_HEADER_BYTES);
            self.sum = checksum(checksum(self.sum, &head[..8], high_first), page, high_first);
            ensure!(head[8..16] == salts && self.sum == (word(head, 16), word(head, 20)), "the log is damaged");
            pages.images.insert(word(head, 0), page.to_vec());
            committed = word(head, 4) != 0;
            if committed {
                pages.database_pages = word(head, 4);
            }
            self.frames += 1;
        }
        ensure!(committed, "the log ends within a commit");
        Ok(())
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// The checksum of section 4.2, continued over whole pairs of words.
fn checksum(mut sum: (u32, u32), bytes: &[u8], high_first: bool) -> (u32, u32) {
    let read = |word: &[u8]| {
        let word = word.try_into().expect("four bytes");
        if high_first { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
    };
    for pair in bytes.chunks_exact(8) {
        sum.0 = sum.0.wrapping_add(read(&pair[..4])).wrapping_add(sum.1);
        sum.1 = sum.1.wrapping_add(read(&pair[4..])).wrapping_add(sum.0);
    }
    sum
}
