//! The size and the checksum of what is read or written.

use std::io::{self, Read, Write};

use aws_lc_rs::digest::{Context, SHA256};

use crate::domain::text::hex;

/// What went through a [`Summed`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    pub size_bytes: u64,
    /// In hexadecimal, in lower case.
    pub sha256: String,
}

/// A reader or a writer that counts and hashes what goes through it.
pub struct Summed<T> {
    inner: T,
    size_bytes: u64,
    hash: Context,
}

impl<T> Summed<T> {
    /// Around `inner`, from where it stands.
    pub fn new(inner: T) -> Self {
        Self { inner, size_bytes: 0, hash: Context::new(&SHA256) }
    }

    /// The sum of all that went through so far, and what it went to or came from.
    pub fn finish(self) -> (T, Sum) {
        let sum = Sum { size_bytes: self.size_bytes, sha256: hex(self.hash.finish().as_ref()) };
        (self.inner, sum)
    }

    fn add(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.size_bytes += bytes.len() as u64;
    }
}

impl<T: Read> Read for Summed<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.add(&buffer[..count]);
        Ok(count)
    }
}

impl<T: Write> Write for Summed<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.add(&bytes[..count]);
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
    fn what_goes_through_is_summed_in_either_direction() {
        let expected = Sum {
            size_bytes: 3,
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into(),
        };
        let mut reader = Summed::new(&b"abc"[..]);
        io::copy(&mut reader, &mut io::sink()).unwrap();
        assert_eq!(reader.finish().1, expected);
        let mut writer = Summed::new(Vec::new());
        writer.write_all(b"abc").unwrap();
        assert_eq!(writer.finish(), (b"abc".to_vec(), expected));
    }
}
