//! Archives that attack.

use std::cell::Cell;
use std::io::{self, Read, Write as _};
use std::rc::Rc;

use flate2::read::GzEncoder;
use flate2::{Compression, GzBuilder};
use tar::Header;

use super::fixture::{
    END, FIELD, Metered, archive, assert_bad, assert_too_large, changed, entry, entry_of_size, file, gzip,
    inspected, packed, padded, pax,
};
use crate::archive::{inspect, read_files};
use crate::domain::limits::{
    ARCHIVE_ENTRIES_MAX, ARCHIVE_EXPANSION_RATIO_MAX, ARCHIVE_HEADER_BYTES_MAX, ARCHIVE_SMALL_BYTES_MAX,
    PROJECT_FILES_MAX, PROJECT_PATHS_BYTES_MAX, PROJECT_UNPACKED_BYTES_MAX,
};
use crate::error::Code;

#[test]
fn names_that_lead_elsewhere_are_refused_wherever_they_stand() {
    let long = |name: &[u8]| {
        let text = [name, b"\0"].concat();
        [entry(b"././@LongLink", b'L', &text), file("ok", "x")].concat()
    };
    let in_pax = |name: &[u8]| [pax(b'x', &[("path", name)]), file("ok", "x")].concat();
    for name in [
        &b"../x"[..],
        b"a/../../x",
        b"..",
        b"/etc/passwd",
        b"//x",
        b"a//b",
        b"a/./b",
        b"..\\x",
        b"C:\\x",
        b"c:x",
        b"a\nb",
        b"a\x1b[31m",
        b"caf\xe9",
        b"\xc0\xae\xc0\xae/x",
        b".",
        b"./",
        b"",
    ] {
        let shown = String::from_utf8_lossy(name);
        for (how, entries) in
            [("long", long(name)), ("pax", in_pax(name)), ("header", entry(name, b'0', b"x"))]
        {
            let error = inspected(&archive(&[entries])).expect_err(&format!("{shown:?} {how}"));
            assert_eq!((error.code(), error.field()), (Code::BadInput, Some(FIELD)), "{shown:?} {how}");
            assert!(!error.message().chars().any(char::is_control), "{:?}", error.message());
        }
    }
    // In a header the name ends at its first NUL, for every tool.
    assert_bad(&archive(&[long(b"a\0b")]), "control characters");
    assert_bad(&archive(&[long(b"a\0\0")]), "control characters");
    assert_bad(&archive(&[in_pax(b"a\0b")]), "control characters");
    assert_bad(&archive(&[entry(b"../up/", b'5', b"")]), "must not contain the name ..");
    assert_bad(&archive(&[entry(b"/", b'5', b"")]), "refused");
}

#[test]
fn a_message_names_the_entry_briefly() {
    let name = [b"../", &b"x".repeat(1000)[..]].concat();
    let error = inspected(&archive(&[pax(b'x', &[("path", &name)]), file("ok", "x")])).unwrap_err();
    assert!(error.message().starts_with("\"../xxx") && error.message().len() < 250, "{}", error.message());
}

#[test]
fn what_is_neither_a_file_nor_a_folder_is_refused() {
    for (kind, reason) in [
        (b'1', "\"odd\" is a hard link"),
        (b'2', "\"odd\" is a symbolic link"),
        (b'3', "\"odd\" is a device"),
        (b'4', "\"odd\" is a device"),
        (b'6', "\"odd\" is a pipe"),
        (b'7', "of type 7"),
        (b'K', "is the target of a link"),
        (b'S', "is a sparse file"),
        (b'M', "of type M"),
        (b'V', "of type V"),
        (b'D', "of type D"),
        (b'X', "of type X"),
        (0xff, "of type \\xff"),
    ] {
        assert_bad(&archive(&[file("ok", "x"), entry(b"odd", kind, b"")]), reason);
    }
    assert_bad(
        &archive(&[pax(b'x', &[("path", b"long name")]), entry(b"odd", b'2', b"")]),
        "\"long name\" is a symbolic",
    );
}

#[test]
fn sparse_files_do_not_hide_in_pax_headers() {
    for key in ["GNU.sparse.major", "GNU.sparse.name", "GNU.sparse.realsize", "GNU.sparse.map"] {
        assert_bad(&archive(&[pax(b'x', &[(key, b"1")]), file("a", "x")]), "sparse");
        assert_bad(&archive(&[pax(b'g', &[(key, b"1")]), file("a", "x")]), "sparse");
    }
}

#[test]
fn no_two_entries_share_a_place() {
    for (entries, reason) in [
        (&[file("a", "1"), file("b", "2"), file("a", "1")][..], "\"a\" comes twice"),
        (&[file("a", "1"), file("./a", "2")], "\"a\" comes twice"),
        (&[file("a", "1"), file("a/b", "2")], "\"a\" is a file and a folder"),
        (&[file("a/b", "1"), file("a", "2")], "\"a\" is a file and a folder"),
        (&[file("a", "1"), entry(b"a/", b'5', b"")], "\"a\" is a file and a folder"),
        (&[entry(b"a/b/c/", b'5', b""), file("a/b", "1")], "\"a/b\" is a file and a folder"),
        (&[pax(b'x', &[("path", b"a")]), file("x", "1"), file("a", "1")], "\"a\" comes twice"),
    ] {
        assert_bad(&archive(entries), reason);
    }
}

#[test]
fn what_tools_read_differently_is_refused() {
    let long = entry(b"././@LongLink", b'L', b"long\0");
    let name = pax(b'x', &[("path", b"pax")]);
    for (entries, reason) in [
        (vec![long.clone(), name.clone(), file("a", "x")], "two names"),
        (vec![name.clone(), long.clone(), file("a", "x")], "two names"),
        (vec![long.clone(), long.clone(), file("a", "x")], "two extension headers"),
        (vec![name.clone(), name.clone(), file("a", "x")], "two extension headers"),
        (vec![pax(b'x', &[("path", b"a"), ("path", b"b")]), file("a", "x")], "two names"),
        (vec![pax(b'x', &[("size", b"1"), ("size", b"1")]), file("a", "x")], "two sizes"),
        (vec![pax(b'x', &[("size", b"512")]), file("a", "x")], "\"a\" has two sizes"),
        (vec![pax(b'x', &[("size", b"0")]), file("a", "x")], "\"a\" has two sizes"),
        (vec![pax(b'x', &[("size", b"-1")]), file("a", "x")], "malformed"),
        (vec![pax(b'x', &[("linkpath", b"b")]), file("a", "x")], "link"),
        (vec![pax(b'g', &[("path", b"b")]), file("a", "x")], "all entries"),
        (vec![pax(b'g', &[("size", b"1")]), file("a", "x")], "all entries"),
        (vec![entry(b"pax", b'x', b"8 path=a\n"), file("a", "x")], "malformed"),
        (vec![file("a", "x"), name], "after an extension header"),
        (vec![file("a", "x"), long], "after an extension header"),
        (vec![file("a/", "x")], "ends like that of a folder"),
        (vec![entry(b"a/", 0, b"x")], "ends like that of a folder"),
        (vec![entry(b"a/", b'5', b"x")], "a folder with content"),
    ] {
        assert_bad(&archive(&entries), reason);
    }
}

#[test]
fn an_empty_line_does_not_end_a_pax_header() {
    let hidden = pax(b'x', &[("comment", b"\n\n"), ("path", b"../x")]);
    assert_bad(&archive(&[hidden, file("a", "x")]), "must not contain the name ..");
}

#[test]
fn headers_of_unknown_formats_are_refused() {
    let header = || {
        let mut header = Header::new_ustar();
        header.set_size(0);
        header.set_mode(0o644);
        header
    };
    let named = |bytes: &mut [u8; 512]| bytes[0] = b'a';
    assert!(inspected(&archive(&[changed(header(), named)])).is_ok());
    let version = changed(header(), |bytes| {
        named(bytes);
        bytes[263] = b'9';
    });
    assert_bad(&archive(&[version]), "unknown format");
    let prefix = changed(Header::new_gnu(), |bytes| {
        named(bytes);
        bytes[124] = b'0';
        bytes[345..348].copy_from_slice(b"../");
    });
    assert_bad(&archive(&[prefix]), "incremental backup");
    // Without a magic word there are no extensions.
    let old = changed(Header::new_old(), |bytes| {
        named(bytes);
        bytes[124] = b'0';
        bytes[156] = b'L';
    });
    assert_bad(&archive(&[old]), "of type L");
}

#[test]
fn an_archive_that_is_cut_off_is_refused_wherever_the_cut_is() {
    let whole = packed(&[("a", &b"some text ".repeat(300)), ("b/c", b"\x01\x02")]).0;
    assert!(inspected(&whole).is_ok());
    for length in 0..whole.len() {
        let error = inspected(&whole[..length]).unwrap_err();
        assert_eq!(error.code(), Code::BadInput, "at {length}");
    }
    let tar = [file("a", &"x".repeat(700)), file("b", "y")].concat();
    for length in 0..tar.len() {
        let error = inspected(&gzip(&tar[..length])).unwrap_err();
        assert_eq!(error.code(), Code::BadInput, "the tar at {length}");
    }
    assert_bad(&gzip(&tar), "cut off");
}

#[test]
fn a_flipped_bit_changes_nothing_unnoticed() {
    let whole = packed(&[("a", &b"some text ".repeat(30)), ("b", b"\x01")]).0;
    let manifest = inspected(&whole).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        // Some bits say nothing: of the gzip header, and where two codes stand for the same bytes.
        if let Ok(same) = inspected(&bytes) {
            assert_eq!(same, manifest, "at {at}");
        }
    }
}

#[test]
fn nothing_hides_after_the_end() {
    let hidden = file("hidden", "x");
    let tar = [file("a", "x"), END.to_vec()].concat();
    assert!(inspected(&gzip(&[&tar[..], &[0; 9000]].concat())).is_ok(), "tools fill the last block");
    for tail in [&hidden[..], &[&[0; 5120][..], &hidden].concat(), b"x"] {
        assert_bad(&gzip(&[&tar[..], tail].concat()), "follows the end of the tar");
    }
    let one_block = [file("a", "x"), vec![0; 512], hidden].concat();
    assert_bad(&gzip(&one_block), "follows the end of the tar");
    let whole = gzip(&tar);
    for tail in [&b"x"[..], &[0; 512], &whole] {
        assert_bad(&[&whole[..], tail].concat(), "follows the end of the gzip");
    }
}

#[test]
fn an_archive_without_files_is_none() {
    for empty in [vec![], vec![entry(b"a/", b'5', b""), entry(b"./", b'5', b"")]] {
        assert_bad(&archive(&empty), "no files");
    }
    for (bytes, reason) in [
        (&b""[..], "cut off"),
        (b"PK\x03\x04 some zip file", "not an intact tar.gz"),
        (&gzip(b""), "cut off"),
        (&gzip(&b"x".repeat(4096)), "not an intact tar.gz"),
        (&padded(b"a tar without gzip"), "not an intact tar.gz"),
    ] {
        assert_bad(bytes, reason);
    }
}

/// Inspects a gzip of `tar` without having either in memory; also gives how much of the tar was made.
fn inspected_while_made(tar: impl Read) -> (Result<(), crate::error::Error>, u64) {
    let made = Rc::new(Cell::new(0));
    let tar = Metered { inner: tar, bytes: Rc::clone(&made) };
    let gzip = Trickle(GzEncoder::new(tar, Compression::new(6)));
    (inspect(FIELD, gzip).map(drop), made.get())
}

/// Gives little at a time, so that what is made is what is needed: a buffer of a bomb is worth a thousand times its size.
struct Trickle<R>(R);

impl<R: Read> Read for Trickle<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(512);
        self.0.read(&mut buffer[..count])
    }
}

#[test]
fn ten_gigabytes_of_zeros_are_refused_after_a_few_megabytes() {
    let zeros = || io::repeat(0).take(10 << 30);
    for start in [
        entry_of_size(b"zeros", b'0', b"", 10 << 30),
        // After the end, where no tool looks.
        [file("a", "x"), END.to_vec()].concat(),
    ] {
        let (result, made) = inspected_while_made(start.chain(zeros()));
        assert_too_large(result, ARCHIVE_EXPANSION_RATIO_MAX);
        assert!(made < 2 * ARCHIVE_SMALL_BYTES_MAX, "{made} bytes");
    }
}

#[test]
fn a_ratio_that_source_may_have_is_no_bomb() {
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
    gzip.write_all(&entry_of_size(b"zeros", b'0', b"", ARCHIVE_SMALL_BYTES_MAX - 2048)).unwrap();
    io::copy(&mut io::repeat(0).take(ARCHIVE_SMALL_BYTES_MAX - 2048 + 1024), &mut gzip).unwrap();
    assert!(inspected(&gzip.finish().unwrap()).is_ok());
}

/// Bytes that repeat, so that they pack well, but not as well as a bomb.
fn text(bytes: u64) -> impl Read {
    let mut state = 1_u32;
    let mut line = Vec::new();
    for _ in 0..64 * 1024 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        line.extend_from_slice(if state >> 28 == 0 { b"a" } else { b"b" });
    }
    let mut at = 0;
    Generated(move |buffer: &mut [u8]| {
        let count = buffer.len().min(line.len() - at);
        buffer[..count].copy_from_slice(&line[at..at + count]);
        at = (at + count) % line.len();
        count
    })
    .take(bytes)
}

struct Generated<F>(F);

impl<F: FnMut(&mut [u8]) -> usize> Read for Generated<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok((self.0)(buffer))
    }
}

#[test]
fn more_than_a_project_may_have_is_refused_when_it_gets_there() {
    // The start of a gzip, and one block of it that can be repeated without an end.
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::fast());
    gzip.write_all(&entry_of_size(b"large", b'0', b"", 3 << 30)).unwrap();
    gzip.flush().unwrap();
    let start = gzip.get_ref().clone();
    io::copy(&mut text(1 << 20), &mut gzip).unwrap();
    gzip.flush().unwrap();
    let block = gzip.get_ref()[start.len()..].to_vec();
    let blocks = Rc::new(Cell::new(0));
    let counted = Rc::clone(&blocks);
    let repeated = entries(usize::MAX, move |_| {
        counted.set(counted.get() + 1);
        block.clone()
    });
    assert_too_large(inspect(FIELD, start.chain(repeated)), PROJECT_UNPACKED_BYTES_MAX);
    assert!(blocks.get() << 20 <= PROJECT_UNPACKED_BYTES_MAX.max + (1 << 20), "{} blocks", blocks.get());
}

/// Entries that are made when they are read.
fn entries(count: usize, make: impl Fn(usize) -> Vec<u8>) -> impl Read {
    let mut waiting: Vec<u8> = Vec::new();
    let mut number = 0;
    Generated(move |buffer: &mut [u8]| {
        if waiting.is_empty() && number < count {
            waiting = make(number);
            number += 1;
        }
        let size = buffer.len().min(waiting.len());
        buffer[..size].copy_from_slice(&waiting[..size]);
        waiting.drain(..size);
        size
    })
}

#[test]
fn a_million_entries_are_refused_at_the_limit() {
    let files = entries(1_000_000, |number| file(&format!("{number}"), ""));
    let (result, made) = inspected_while_made(files);
    assert_too_large(result, PROJECT_FILES_MAX);
    assert!(made < (PROJECT_FILES_MAX.max + 20_000) * 512, "{made} bytes");

    let folders = entries(1_000_000, |number| entry(format!("{number}/").as_bytes(), b'5', b""));
    let (result, made) = inspected_while_made(folders);
    assert_too_large(result, ARCHIVE_ENTRIES_MAX);
    assert!(made < (ARCHIVE_ENTRIES_MAX.max + 20_000) * 512, "{made} bytes");
}

#[test]
fn long_paths_are_limited_together() {
    let long = |number: usize| {
        let name = format!("{number}/{}", vec!["x".repeat(99); 10].join("/"));
        [entry(b"long", b'L', name.as_bytes()), file("x", "")].concat()
    };
    let (result, made) = inspected_while_made(entries(1_000_000, long));
    assert_too_large(result, PROJECT_PATHS_BYTES_MAX);
    assert!(made < 4 * PROJECT_PATHS_BYTES_MAX.max, "{made} bytes");
}

#[test]
fn extension_headers_are_small_and_few() {
    let size = ARCHIVE_HEADER_BYTES_MAX.max + 1;
    for kind in [b'L', b'x', b'g'] {
        // Whatever it announces, no more than the limit is read into memory.
        let header = entry_of_size(b"long", kind, b"", 8 << 30);
        let (result, made) = inspected_while_made(header.chain(text(8 << 30)));
        assert_too_large(result, ARCHIVE_HEADER_BYTES_MAX);
        assert!(made < 1 << 20, "{made} bytes");

        let header = entry_of_size(b"long", kind, b"", size);
        assert_too_large(inspected_while_made(header.chain(text(size))).0, ARCHIVE_HEADER_BYTES_MAX);
    }
    let (result, made) = inspected_while_made(entries(1_000_000, |_| pax(b'g', &[("comment", b"x")])));
    assert_eq!(result.unwrap_err().code(), Code::BadInput);
    assert!(made < 16 << 20, "{made} bytes");
}

#[test]
fn a_disk_that_fails_is_no_fault_of_the_archive() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let (whole, manifest) = packed(&[("a", &b"some text ".repeat(300))]);
    for length in [0, 5, 20, whole.len() - 4] {
        let error = inspect(FIELD, whole[..length].chain(Failing)).unwrap_err();
        assert!(error.cause().is_some_and(|cause| cause.contains("the disk is gone")), "{error:?}");
    }
    let wanted: Vec<_> = manifest.files().iter().collect();
    let error = read_files(FIELD, whole[..20].chain(Failing), &wanted, PROJECT_UNPACKED_BYTES_MAX);
    assert_eq!(error.unwrap_err().code(), Code::Internal);
}
