//! What is packed is what is inspected and read; archives of other tools are taken.

use std::cell::Cell;
use std::rc::Rc;

use super::fixture::{
    END, FIELD, Metered, Numbers, archive, assert_too_large, entry, file, gzip, inspected, packed, path, pax,
};
use crate::archive::{PackFile, Summed, inspect, pack, read_files};
use crate::domain::limits::{ARCHIVE_EXPANSION_RATIO_MAX, PROJECT_FILES_MAX, PROJECT_PATHS_BYTES_MAX};
use crate::domain::manifest::{Manifest, ManifestFile};
use crate::error::{Code, Error, Limit};

const BYTES_MAX: Limit = Limit { name: "test_bytes_max", max: 1 << 20 };

/// Files with names and sizes of all kinds.
fn any_files(numbers: &mut Numbers) -> Vec<(String, Vec<u8>, bool)> {
    let sizes = [0, 1, 511, 512, 513, 8192, 65_536, 100_000];
    let names = ["a", "src", "README.md", "ünï", "x".repeat(120).leak(), "..b", " ", "-", "100%"];
    (0..1 + numbers.below(40))
        .map(|number| {
            let mut name = format!("{number}");
            for _ in 0..numbers.below(5) {
                name = format!("{name}/{}", names[numbers.below(names.len())]);
            }
            let kinds = 1 + numbers.below(200);
            let size = sizes[numbers.below(sizes.len())];
            let content = (0..size).map(|_| u8::try_from(numbers.below(kinds)).unwrap()).collect();
            (name, content, numbers.below(2) == 0)
        })
        .collect()
}

fn packed_files(files: &[(String, Vec<u8>, bool)]) -> (Vec<u8>, Manifest) {
    let mut out = Vec::new();
    let files = files.iter().map(|(name, content, executable)| {
        let size_bytes = content.len() as u64;
        Ok(PackFile { path: path(name), executable: *executable, size_bytes, content: content.as_slice() })
    });
    let manifest = pack(FIELD, files, &mut out).unwrap();
    (out, manifest)
}

#[test]
fn what_is_packed_reads_back_byte_for_byte() {
    let mut numbers = Numbers(7);
    for _ in 0..60 {
        let files = any_files(&mut numbers);
        let (bytes, manifest) = packed_files(&files);
        assert_eq!(inspected(&bytes).unwrap(), manifest);
        assert_eq!(packed_files(&files).0, bytes, "the same files make the same bytes");

        let all: Vec<_> = manifest.files().iter().collect();
        let read = read_files(FIELD, &bytes[..], &all, BYTES_MAX.with(100 << 20)).unwrap();
        assert_eq!(read.len(), files.len());
        for (name, content, executable) in &files {
            assert_eq!(&read[&path(name)], content);
            let file = manifest.find(name).unwrap();
            let mut summed = Summed::new(content.as_slice());
            std::io::copy(&mut summed, &mut std::io::sink()).unwrap();
            let sum = summed.finish().1;
            assert_eq!(
                (&file.sha256, file.size_bytes, file.executable),
                (&sum.sha256, sum.size_bytes, *executable)
            );
        }
    }
}

impl Limit {
    fn with(self, max: u64) -> Self {
        Self { max, ..self }
    }
}

#[test]
fn files_that_are_no_project_are_not_packed() {
    let refused = |files: Vec<(&str, &'static [u8], u64)>| {
        let files = files.into_iter().map(|(name, content, size_bytes)| {
            Ok(PackFile { path: path(name), executable: false, size_bytes, content })
        });
        let error = pack(FIELD, files, std::io::sink()).unwrap_err();
        assert_eq!((error.code(), error.field()), (Code::BadInput, Some(FIELD)), "{error:?}");
        error.message()
    };
    assert!(refused(vec![]).contains("no files"));
    assert!(refused(vec![("a", b"", 0), ("a", b"", 0)]).contains("\"a\" comes twice"));
    assert!(refused(vec![("a", b"", 0), ("a/b", b"", 0)]).contains("\"a\" is a file and a folder"));
    assert!(refused(vec![("a", b"xx", 1)]).contains("\"a\" changes its size"));
    assert!(refused(vec![("a", b"xx", 3)]).contains("\"a\" changes its size"));
    let mine = || Err::<PackFile<&[u8]>, _>(Error::RateLimited);
    assert_eq!(pack(FIELD, [mine()], std::io::sink()).unwrap_err().code(), Code::RateLimited);
}

#[test]
fn what_inspection_would_refuse_as_too_large_is_not_packed_either() {
    let empty = |number: usize, name: &str| {
        Ok(PackFile {
            path: path(&format!("{name}{number}")),
            executable: false,
            size_bytes: 0,
            content: &b""[..],
        })
    };
    let too_many = (0..=PROJECT_FILES_MAX.to_usize()).map(|number| empty(number, ""));
    assert_too_large(pack(FIELD, too_many, std::io::sink()), PROJECT_FILES_MAX);
    let long = vec!["x".repeat(200); 4].join("/");
    assert_too_large(
        pack(FIELD, (0..40_000).map(|number| empty(number, &long)), std::io::sink()),
        PROJECT_PATHS_BYTES_MAX,
    );
    let size_bytes = 100 << 20;
    let zeros = PackFile { path: path("zeros"), executable: false, size_bytes, content: std::io::repeat(0) };
    assert_too_large(pack(FIELD, [Ok(zeros)], std::io::sink()), ARCHIVE_EXPANSION_RATIO_MAX);
}

#[test]
fn a_full_disk_is_no_fault_of_the_files() {
    let content = &[1; 100_000][..];
    let file = PackFile { path: path("a"), executable: false, size_bytes: 100_000, content };
    let mut small = [0; 100];
    let error = pack(FIELD, [Ok(file)], &mut small[..]).unwrap_err();
    assert_eq!(error.code(), Code::Internal, "{error:?}");
}

#[test]
fn archives_of_other_tools_are_taken() {
    let plain = inspected(&archive(&[file("a/b", "x")])).unwrap();
    let comment = |kind| {
        pax(kind, &[("comment", b"0123\n\n4567"), ("mtime", b"1.5"), ("SCHILY.xattr.user.x", b"\xff\n=\0")])
    };
    for (tool, entries) in [
        ("tar -C dir .", vec![entry(b"./", b'5', b""), entry(b"./a/", b'5', b""), file("./a/b", "x")]),
        ("git archive", vec![comment(b'g'), entry(b"a/", b'5', b""), file("a/b", "x")]),
        ("bsdtar, Python", vec![comment(b'x'), entry(b"a/", b'5', b""), comment(b'x'), file("a/b", "x")]),
        ("a long name", vec![entry(b"././@LongLink", b'L', b"a/b\0"), file("a", "x")]),
        ("a long name without its end", vec![entry(b"././@LongLink", b'L', b"a/b"), file("a", "x")]),
        ("a pax name", vec![pax(b'x', &[("path", b"a/b"), ("size", b"1")]), file("a", "x")]),
        ("the same folder again", vec![entry(b"a", b'5', b""), file("a/b", "x"), entry(b"a/", b'5', b"")]),
        ("an old type", vec![entry(b"a/b", 0, b"x")]),
    ] {
        assert_eq!(inspected(&archive(&entries)).expect(tool), plain, "{tool}");
    }
    let one_block = gzip(&[file("a/b", "x"), vec![0; 512]].concat());
    assert_eq!(inspected(&one_block).unwrap(), plain);
    assert!(inspected(&archive(&[file("a", ""), file("A", "")])).is_ok(), "names that differ by case");
    assert_eq!(END.len(), 1024);
}

#[test]
fn of_modes_only_the_owners_right_to_run_counts() {
    for (mode, executable) in [(0o644, false), (0o755, true), (0o4755, true), (0o6611, false), (0o011, false)]
    {
        let mut header = tar::Header::new_gnu();
        header.set_path("a").unwrap();
        header.set_size(0);
        header.set_mode(mode);
        header.set_cksum();
        let manifest = inspected(&archive(&[header.as_bytes().to_vec()])).unwrap();
        assert_eq!(manifest.files()[0].executable, executable, "{mode:o}");
    }
}

#[test]
fn reading_stops_at_the_last_wanted_file() {
    let large = noise(4 << 20);
    let (bytes, manifest) = packed(&[("a", b"first"), ("b", b"second"), ("c", &large)]);
    let read = Rc::new(Cell::new(0));
    let input = Metered { inner: &bytes[..], bytes: Rc::clone(&read) };
    let wanted = [manifest.find("b").unwrap(), manifest.find("a").unwrap()];
    let files = read_files(FIELD, input, &wanted, BYTES_MAX).unwrap();
    assert_eq!((&files[&path("a")][..], &files[&path("b")][..]), (&b"first"[..], &b"second"[..]));
    assert!(read.get() < 1 << 20, "{} bytes", read.get());

    assert!(read_files(FIELD, &b"not read"[..], &[], BYTES_MAX).unwrap().is_empty());
}

fn noise(size: usize) -> Vec<u8> {
    let mut numbers = Numbers(3);
    (0..size).map(|_| u8::try_from(numbers.below(256)).unwrap()).collect()
}

#[test]
fn more_than_is_allowed_is_not_read() {
    let (_, manifest) = packed(&[("a", &[1; 1000]), ("b", &[2; 1000])]);
    let wanted: Vec<_> = manifest.files().iter().collect();
    let limit = BYTES_MAX.with(1999);
    assert_too_large(read_files(FIELD, &b"not read"[..], &wanted, limit), limit);
}

#[test]
fn an_archive_that_is_not_that_of_its_manifest_is_a_fault_of_ours() {
    let (bytes, manifest) = packed(&[("a", b"content")]);
    let file = manifest.files()[0].clone();
    for other in [
        ManifestFile { path: path("b"), ..file.clone() },
        ManifestFile { size_bytes: 6, ..file.clone() },
        ManifestFile { sha256: "0".repeat(64), ..file },
    ] {
        let error = read_files(FIELD, &bytes[..], &[&other], BYTES_MAX).unwrap_err();
        assert_eq!(error.code(), Code::Internal, "{error:?}");
    }
    let wanted: Vec<_> = manifest.files().iter().collect();
    let error = read_files(FIELD, &bytes[..bytes.len() / 2], &wanted, BYTES_MAX).unwrap_err();
    assert_eq!(error.code(), Code::Internal, "{error:?}");
    assert!(inspect(FIELD, &bytes[..]).is_ok());
}
