//! The file that takes what the server has not taken yet: enough to deliver the rest of a recording later, on its own.
//!
//! It is append-only and owned by one process at a time (a lock on the file says so). Layout: the text [`MAGIC`], then
//! records of a kind (one byte), a length (four bytes, little endian) and that many bytes:
//!
//! | kind | what |
//! |---|---|
//! | `S` | [`Header`] as JSON: what to start, where to deliver, the number of the first line; always first |
//! | `B` | a [`Block`]: stream and flags (one byte), microseconds since 1970 (eight bytes), then its bytes |
//! | `E` | `FinishExecutionInput` as JSON; absent when the recording process itself was killed |
//!
//! Blocks hold output as it came, so the file is hardly larger than the output. A record that was cut off by a crash
//! ends the file. The file is readable by its owner only: output may contain secrets.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::DateTime;
use serde::{Deserialize, Serialize};

use super::api::{FinishInput, StartInput};
use super::lines::{Block, Stream};

const MAGIC: &[u8] = b"runledger spool 1\n";
const KIND_START: u8 = b'S';
const KIND_BLOCK: u8 = b'B';
const KIND_END: u8 = b'E';
const HEAD_BYTES: usize = 5;
const BLOCK_HEAD_BYTES: usize = 9;
/// No record is longer; a length beyond it means that the file is damaged.
const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;
const FLAG_STDERR: u8 = 1;
const FLAG_CONTINUED: u8 = 2;

/// What a spool says about its recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Header {
    /// The server's address.
    pub server: String,
    pub start: StartInput,
    /// The sequence number of the first line in the file.
    pub first_seq: u64,
}

/// A spool that this process owns.
pub(super) struct Spool {
    file: Arc<File>,
    path: PathBuf,
    /// Where the next block is read.
    read_at: u64,
    /// Where the next record is written, behind the last whole one.
    write_at: u64,
    /// More than this is not written.
    bytes_max: u64,
    end_written: bool,
}

/// What an existing spool holds besides its blocks.
pub(super) struct Opened {
    pub spool: Spool,
    pub header: Header,
    pub end: Option<FinishInput>,
}

impl Spool {
    /// Makes a new file in `folder`. Its name is the execution's id, so that two recordings never meet.
    pub(super) fn create(folder: &Path, header: &Header, bytes_max: u64) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("runledger-{}.spool", header.start.id));
        // `create_new` follows no link that someone else may have put into a shared folder.
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        file.try_lock()?;
        let mut spool =
            Self { file: Arc::new(file), path, read_at: 0, write_at: 0, bytes_max, end_written: false };
        let written =
            spool.write(MAGIC).and_then(|()| spool.append(KIND_START, &serde_json::to_vec(header)?));
        if let Err(error) = written {
            spool.delete();
            return Err(error);
        }
        spool.read_at = spool.write_at;
        Ok(spool)
    }

    /// Opens one that an earlier run left, unless that run still has it.
    pub(super) fn open(path: &Path) -> io::Result<Opened> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other("it is in use by another runledger exec"),
            TryLockError::Error(error) => error,
        })?;
        let mut magic = vec![0; MAGIC.len()];
        (&file).read_exact(&mut magic).map_err(|_| damaged("it is not a spool"))?;
        if magic != MAGIC {
            return Err(damaged("it is not a spool"));
        }
        let size = file.metadata()?.len();
        let mut spool = Self {
            file: Arc::new(file),
            path: path.to_owned(),
            read_at: MAGIC.len() as u64,
            write_at: size,
            bytes_max: u64::MAX,
            end_written: false,
        };
        let Some((KIND_START, start)) = spool.reader().record()? else {
            return Err(damaged("it does not say what it records"));
        };
        spool.read_at += (HEAD_BYTES + start.len()) as u64;
        let header = serde_json::from_slice(&start)?;
        let end = spool.find_end()?;
        Ok(Opened { spool, header, end })
    }

    /// Walks over the blocks, to the end record or to where a crash cut the file.
    fn find_end(&mut self) -> io::Result<Option<FinishInput>> {
        let mut reader = self.reader();
        loop {
            let at = reader.at;
            let Ok(head) = reader.head() else {
                self.write_at = at;
                return Ok(None);
            };
            match head {
                Some((KIND_BLOCK, len)) => reader.at = at + (HEAD_BYTES + len) as u64,
                Some((KIND_END, _)) => {
                    let Some((_, end)) = reader.record()? else { return Ok(None) };
                    self.write_at = at;
                    self.end_written = true;
                    return Ok(Some(serde_json::from_slice(&end)?));
                }
                Some(_) | None => {
                    self.write_at = at;
                    return Ok(None);
                }
            }
        }
    }

    /// Adds a block at the end.
    pub(super) fn push(&mut self, block: &Block) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(BLOCK_HEAD_BYTES + block.bytes.len());
        let stderr = if block.stream == Stream::Stderr { FLAG_STDERR } else { 0 };
        bytes.push(stderr | if block.continued { FLAG_CONTINUED } else { 0 });
        bytes.extend_from_slice(&block.at.timestamp_micros().to_le_bytes());
        bytes.extend_from_slice(&block.bytes);
        self.append(KIND_BLOCK, &bytes)
    }

    /// Adds the end and makes all of it durable: the file is about to outlive the process.
    pub(super) fn keep(&mut self, end: Option<&FinishInput>) -> io::Result<PathBuf> {
        if let Some(end) = end.filter(|_| !self.end_written) {
            self.append(KIND_END, &serde_json::to_vec(end)?)?;
            self.end_written = true;
        }
        self.file.sync_all()?;
        Ok(self.path.clone())
    }

    /// Reads the blocks that have not been read, apart from the spool, so that a read can wait for the disk while
    /// blocks are added.
    pub(super) fn reader(&self) -> SpoolReader {
        SpoolReader { file: Arc::clone(&self.file), at: self.read_at, end: self.write_at }
    }

    /// Moves on behind what `reader` has read.
    pub(super) fn advance(&mut self, reader: &SpoolReader) {
        self.read_at = reader.at;
    }

    /// Passes over the next block without reading it.
    pub(super) fn skip(&mut self, block: &Block) {
        self.read_at += (HEAD_BYTES + BLOCK_HEAD_BYTES + block.bytes.len()) as u64;
    }

    /// Whether every block has been read.
    pub(super) fn is_read(&self) -> bool {
        self.read_at >= self.write_at
    }

    /// Removes the file.
    pub(super) fn delete(self) {
        // Nothing is lost when it stays: delivering it again would change nothing.
        let _ = std::fs::remove_file(&self.path);
    }

    fn append(&mut self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        let len = u32::try_from(bytes.len()).map_err(|_| damaged("a record is too long"))?;
        let mut record = Vec::with_capacity(HEAD_BYTES + bytes.len());
        record.push(kind);
        record.extend_from_slice(&len.to_le_bytes());
        record.extend_from_slice(bytes);
        self.write(&record)
    }

    /// Writes behind the last whole record, so that one that failed half way is overwritten, not read.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.write_at + bytes.len() as u64;
        if end > self.bytes_max {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("it would be larger than --spool-bytes-max, {} bytes", self.bytes_max),
            ));
        }
        if let Err(error) = self.file.write_all_at(bytes, self.write_at) {
            self.file.set_len(self.write_at).ok();
            return Err(error);
        }
        self.write_at = end;
        Ok(())
    }
}

/// A position in a spool.
pub(super) struct SpoolReader {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl SpoolReader {
    /// The next block. It waits for the disk: not to be called where that would hold others up.
    pub(super) fn block(&mut self) -> io::Result<Option<Block>> {
        let Some((KIND_BLOCK, mut bytes)) = self.record()? else { return Ok(None) };
        if bytes.len() < BLOCK_HEAD_BYTES {
            return Err(damaged("a block is too short"));
        }
        let flags = bytes[0];
        let micros = bytes[1..BLOCK_HEAD_BYTES].try_into().map(i64::from_le_bytes).unwrap_or_default();
        bytes.drain(..BLOCK_HEAD_BYTES);
        Ok(Some(Block {
            stream: if flags & FLAG_STDERR == 0 { Stream::Stdout } else { Stream::Stderr },
            at: DateTime::from_timestamp_micros(micros).ok_or_else(|| damaged("a time is out of range"))?,
            continued: flags & FLAG_CONTINUED != 0,
            bytes,
        }))
    }

    fn record(&mut self) -> io::Result<Option<(u8, Vec<u8>)>> {
        let Some((kind, len)) = self.head()? else { return Ok(None) };
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, self.at + HEAD_BYTES as u64)?;
        self.at += (HEAD_BYTES + len) as u64;
        Ok(Some((kind, bytes)))
    }

    /// The kind and length of the next record, which stays the next one. An error when it is not there as a whole.
    fn head(&self) -> io::Result<Option<(u8, usize)>> {
        if self.at >= self.end {
            return Ok(None);
        }
        let mut head = [0; HEAD_BYTES];
        self.file.read_exact_at(&mut head, self.at)?;
        let [kind, len @ ..] = head;
        let len = usize::try_from(u32::from_le_bytes(len)).unwrap_or(usize::MAX);
        if len > RECORD_BYTES_MAX || self.at + (HEAD_BYTES + len) as u64 > self.end {
            return Err(damaged("a record is cut off"));
        }
        Ok(Some((kind, len)))
    }
}

fn damaged(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::cli::exec::test_support::{block, finish_input, header};

    fn blocks(spool: &Spool) -> Vec<Block> {
        let mut reader = spool.reader();
        std::iter::from_fn(|| reader.block().unwrap()).collect()
    }

    #[test]
    fn a_kept_spool_gives_back_all_that_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let header = header();
        let written = [block("a\nb\n"), Block { continued: true, stream: Stream::Stderr, ..block("\0\n") }];
        let mut spool = Spool::create(folder.path(), &header, u64::MAX).unwrap();
        for block in &written {
            spool.push(block).unwrap();
        }
        let path = spool.keep(Some(&finish_input())).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        drop(spool);

        let opened = Spool::open(&path).unwrap();
        assert_eq!((opened.header, opened.end), (header, Some(finish_input())));
        assert_eq!(blocks(&opened.spool), written);
        opened.spool.delete();
        assert!(!path.exists());
    }

    #[test]
    fn a_spool_that_a_crash_cut_anywhere_gives_its_whole_records() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::create(folder.path(), &header(), u64::MAX).unwrap();
        spool.push(&block("first\n")).unwrap();
        let one = spool.write_at;
        spool.push(&block("second\n")).unwrap();
        let path = spool.keep(Some(&finish_input())).unwrap();
        let all = spool.write_at;
        drop(spool);

        for len in (one..all).rev() {
            OpenOptions::new().write(true).open(&path).unwrap().set_len(len).unwrap();
            let opened = Spool::open(&path).unwrap();
            assert_eq!(opened.end, None);
            let blocks = blocks(&opened.spool);
            assert!(blocks == [block("first\n"), block("second\n")] || blocks == [block("first\n")], "{len}");
        }
    }

    #[test]
    fn a_spool_in_use_is_not_opened_and_a_file_of_another_kind_is_not_either() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::create(folder.path(), &header(), u64::MAX).unwrap();
        assert!(Spool::open(&spool.path).is_err_and(|error| error.to_string().contains("in use")));

        let other = folder.path().join("other");
        std::fs::write(&other, "hello").unwrap();
        assert!(Spool::open(&other).is_err_and(|error| error.to_string().contains("not a spool")));
    }

    #[test]
    fn a_spool_has_a_limit_and_stays_whole_when_it_is_reached() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::create(folder.path(), &header(), 2000).unwrap();
        let mut pushed = 0;
        while spool.push(&block("twenty bytes of text\n")).is_ok() {
            pushed += 1;
        }
        assert!(pushed > 10);
        assert_eq!(blocks(&spool).len(), pushed);
    }
}
