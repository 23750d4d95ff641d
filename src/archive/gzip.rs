//! The gzip around a tar, in both directions, with the limits on what may be in it.

use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

use super::BUFFER_BYTES;
use crate::domain::limits::{
    ARCHIVE_EXPANSION_RATIO_MAX, ARCHIVE_SMALL_BYTES_MAX, PROJECT_UNPACKED_BYTES_MAX,
};
use crate::domain::text::shown;
use crate::error::{Error, Limit};

/// As small as `gzip` makes it by default, within a few percent, in less time; see `tests/benchmarks/archive.rs`.
const LEVEL: Compression = Compression::new(6);

/// The limit that is passed when this much has become that much.
fn passed(packed_bytes: u64, unpacked_bytes: u64) -> Option<Limit> {
    if unpacked_bytes > PROJECT_UNPACKED_BYTES_MAX.max {
        return Some(PROJECT_UNPACKED_BYTES_MAX);
    }
    let is_bomb = unpacked_bytes > ARCHIVE_SMALL_BYTES_MAX
        && unpacked_bytes / ARCHIVE_EXPANSION_RATIO_MAX.max > packed_bytes;
    is_bomb.then_some(ARCHIVE_EXPANSION_RATIO_MAX)
}

fn check(packed_bytes: u64, unpacked_bytes: u64, noted: &mut Option<Limit>) -> io::Result<()> {
    *noted = passed(packed_bytes, unpacked_bytes);
    match noted {
        Some(limit) => Err(io::Error::other(limit.name)),
        None => Ok(()),
    }
}

fn too_large(field: &str, limit: Limit) -> Error {
    Error::TooLarge { field: field.to_owned().into(), limit }
}

/// Packs what is written to it.
pub(super) struct Gzip<W: Write> {
    encoder: GzEncoder<Counted<W>>,
    unpacked_bytes: u64,
    passed: Option<Limit>,
}

impl<W: Write> Gzip<W> {
    pub(super) fn new(out: W) -> Self {
        let out = Counted { inner: out, bytes: 0, failure: None };
        Self { encoder: GzEncoder::new(out, LEVEL), unpacked_bytes: 0, passed: None }
    }

    /// Writes the end.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.encoder.try_finish()?;
        // The encoder's own flush would begin another block.
        self.encoder.get_mut().flush()
    }

    /// Why writing has failed.
    pub(super) fn explain(&self, field: &str, error: &io::Error) -> Error {
        match self.passed {
            Some(limit) => too_large(field, limit),
            None => Error::internal(format_args!("an archive cannot be written: {error}")),
        }
    }
}

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.encoder.write(bytes)?;
        self.unpacked_bytes += count as u64;
        check(self.encoder.get_ref().bytes, self.unpacked_bytes, &mut self.passed)?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush()
    }
}

/// Unpacks what is read from it.
pub(super) struct Gunzip<R: Read> {
    decoder: GzDecoder<Counted<BufReader<R>>>,
    unpacked_bytes: u64,
    passed: Option<Limit>,
    ended: bool,
}

impl<R: Read> Gunzip<R> {
    pub(super) fn new(input: R) -> Self {
        let input = BufReader::with_capacity(BUFFER_BYTES, input);
        let decoder = GzDecoder::new(Counted { inner: input, bytes: 0, failure: None });
        Self { decoder, unpacked_bytes: 0, passed: None, ended: false }
    }

    /// Whether all that was packed has been read.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Whether nothing follows what was packed.
    pub(super) fn is_last(&mut self) -> io::Result<bool> {
        Ok(self.decoder.get_mut().fill_buf()?.is_empty())
    }

    /// Why reading has failed: a limit, the disk, or what the archive is.
    pub(super) fn explain(&self, field: &str, error: &io::Error) -> Error {
        if let Some(limit) = self.passed {
            return too_large(field, limit);
        }
        if let Some(cause) = &self.decoder.get_ref().failure {
            return Error::internal(format_args!("an archive cannot be read: {cause}"));
        }
        let message = if self.ended || error.kind() == io::ErrorKind::UnexpectedEof {
            "the archive is cut off".to_owned()
        } else {
            // The text may quote the archive.
            format!("the archive is not an intact tar.gz: {}", shown(error.to_string()))
        };
        Error::bad_input(field.to_owned(), message)
    }
}

impl<R: Read> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(buffer)?;
        self.ended |= count == 0 && !buffer.is_empty();
        self.unpacked_bytes += count as u64;
        check(self.decoder.get_ref().bytes, self.unpacked_bytes, &mut self.passed)?;
        Ok(count)
    }
}

/// Counts the packed bytes, and tells a fault of the disk from one of the archive.
struct Counted<T> {
    inner: T,
    bytes: u64,
    failure: Option<String>,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let failure = &mut self.failure;
        self.inner.fill_buf().inspect_err(|error| *failure = Some(error.to_string()))
    }

    fn consume(&mut self, count: usize) {
        self.bytes += count as u64;
        self.inner.consume(count);
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_little_may_expand_to_anything_and_much_to_what_source_does() {
        let (small, ratio) = (ARCHIVE_SMALL_BYTES_MAX, ARCHIVE_EXPANSION_RATIO_MAX.max);
        let most = PROJECT_UNPACKED_BYTES_MAX.max;
        for (packed, unpacked, limit) in [
            (0, 0, None),
            (1, small, None),
            (1, small + 1, Some(ARCHIVE_EXPANSION_RATIO_MAX)),
            (1 << 20, ratio << 20, None),
            (1 << 20, (ratio + 1) << 20, Some(ARCHIVE_EXPANSION_RATIO_MAX)),
            (most, most, None),
            (most, most + 1, Some(PROJECT_UNPACKED_BYTES_MAX)),
            (1, u64::MAX, Some(PROJECT_UNPACKED_BYTES_MAX)),
        ] {
            assert_eq!(passed(packed, unpacked), limit, "{packed} {unpacked}");
        }
    }
}
