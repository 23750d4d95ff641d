//! Archives made byte by byte, as no tool makes them.

use std::cell::Cell;
use std::io::{self, Read, Write as _};
use std::rc::Rc;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::Header;

use crate::archive::{PackFile, inspect, pack};
use crate::domain::manifest::{Manifest, ProjectPath};
use crate::error::{Code, Error, Limit};

pub(super) const FIELD: &str = "input.archive";
pub(super) const END: [u8; 1024] = [0; 1024];

/// An entry with any name, type and content, in GNU's format.
pub(super) fn entry(name: &[u8], kind: u8, content: &[u8]) -> Vec<u8> {
    entry_of_size(name, kind, content, content.len() as u64)
}

/// An entry whose header may say another size than it has.
pub(super) fn entry_of_size(name: &[u8], kind: u8, content: &[u8], size: u64) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    changed(header, |bytes| {
        bytes[..name.len()].copy_from_slice(name);
        bytes[156] = kind;
    })
    .into_iter()
    .chain(padded(content))
    .collect()
}

/// A header with other bytes, and the checksum that they have.
pub(super) fn changed(mut header: Header, change: impl FnOnce(&mut [u8; 512])) -> Vec<u8> {
    change(header.as_mut_bytes());
    header.set_cksum();
    header.as_bytes().to_vec()
}

pub(super) fn padded(content: &[u8]) -> Vec<u8> {
    let mut padded = content.to_vec();
    padded.resize(content.len().next_multiple_of(512), 0);
    padded
}

pub(super) fn file(name: &str, content: &str) -> Vec<u8> {
    entry(name.as_bytes(), b'0', content.as_bytes())
}

/// A pax header with these records.
pub(super) fn pax(kind: u8, records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut text = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let length =
            (1..5).map(|digits| rest + digits).find(|length| length.to_string().len() + rest == *length);
        write!(text, "{} {key}=", length.unwrap()).unwrap();
        text.extend_from_slice(value);
        text.push(b'\n');
    }
    entry(b"pax", kind, &text)
}

pub(super) fn gzip(tar: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(tar).unwrap();
    gzip.finish().unwrap()
}

/// These entries, and the end, as a `tar.gz`.
pub(super) fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    gzip(&[&entries.concat()[..], &END].concat())
}

pub(super) fn inspected(archive: &[u8]) -> Result<Manifest, Error> {
    inspect(FIELD, archive)
}

/// Refused as bad input, with a message that says so.
pub(super) fn assert_bad(archive: &[u8], reason: &str) {
    let error = inspected(archive).expect_err(reason);
    assert_eq!((error.code(), error.field()), (Code::BadInput, Some(FIELD)), "{reason}: {error:?}");
    assert!(error.message().contains(reason), "{reason}: {}", error.message());
}

pub(super) fn assert_too_large<T: std::fmt::Debug>(result: Result<T, Error>, limit: Limit) {
    let error = result.expect_err(limit.name);
    assert_eq!((error.code(), error.limit()), (Code::TooLarge, Some(limit)), "{error:?}");
}

pub(super) fn path(text: &str) -> ProjectPath {
    ProjectPath::parse(text).unwrap()
}

/// Packs texts under their names.
pub(super) fn packed(files: &[(&str, &[u8])]) -> (Vec<u8>, Manifest) {
    let mut out = Vec::new();
    let files = files.iter().map(|(name, content)| {
        Ok(PackFile {
            path: path(name),
            executable: false,
            size_bytes: content.len() as u64,
            content: *content,
        })
    });
    let manifest = pack("input.files", files, &mut out).unwrap();
    (out, manifest)
}

/// Counts what is read of a source that may never end.
pub(super) struct Metered<R> {
    pub inner: R,
    pub bytes: Rc<Cell<u64>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes.set(self.bytes.get() + count as u64);
        Ok(count)
    }
}

/// Numbers that look random and are the same each time.
pub(super) struct Numbers(pub u64);

impl Numbers {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}
