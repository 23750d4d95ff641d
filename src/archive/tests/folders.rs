//! Folders on disk.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::fixture::{assert_too_large, inspected};
use crate::archive::{Folder, pack_folder};
use crate::domain::limits::PROJECT_PATHS_BYTES_MAX;
use crate::error::Code;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }
    folder
}

fn refused(dir: &Path, reason: &str) {
    let error = pack_folder(dir, std::io::sink()).expect_err(reason);
    assert_eq!(error.code(), Code::BadInput, "{error:?}");
    assert!(error.message().contains(reason), "{reason}: {}", error.message());
}

#[test]
fn links_devices_and_odd_names_are_named_and_refused() {
    let make = |odd: &dyn Fn(&Path)| {
        let folder = folder(&[("a/b", "x")]);
        odd(&folder.path().join("a"));
        folder
    };
    refused(
        make(&|a| symlink("/etc/passwd", a.join("link")).unwrap()).path(),
        "\"a/link\" is a symbolic link",
    );
    refused(make(&|a| symlink(".", a.join("loop")).unwrap()).path(), "\"a/loop\" is a symbolic link");
    refused(make(&|a| drop(UnixListener::bind(a.join("s")).unwrap())).path(), "\"a/s\" is a socket");
    let pipe = |a: &Path| assert!(Command::new("mkfifo").arg(a.join("p")).status().unwrap().success());
    refused(make(&pipe).path(), "\"a/p\" is a pipe");
    refused(make(&|a| fs::write(a.join("back\\slash"), "").unwrap()).path(), "backslash");
    refused(make(&|a| fs::write(a.join("line\nfeed"), "").unwrap()).path(), "\"a/line\\nfeed\"");
    let latin = std::ffi::OsString::from(String::from("x"));
    let mut bytes = latin.into_encoded_bytes();
    bytes.push(0xe9);
    let name = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&bytes).to_owned();
    refused(make(&|a| fs::write(a.join(&name), "").unwrap()).path(), "UTF-8");
    refused(folder(&[]).path(), "no files");
    refused(make(&|a| fs::remove_file(a.join("b")).unwrap()).path(), "no files");
    refused(Path::new("/nonexistent/project"), "the folder cannot be listed");
}

#[test]
fn a_file_that_cannot_be_read_is_found_before_anything_is_packed() {
    let folder = folder(&[("a/b", "x")]);
    let file = folder.path().join("a/b");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&file).is_ok() {
        eprintln!("this user may read everything; nothing is tried");
        return;
    }
    let error = Folder::scan(folder.path()).unwrap_err();
    assert!(error.message().contains("\"a/b\" cannot be read"), "{}", error.message());
}

#[test]
fn a_file_that_changes_while_it_is_read_is_refused() {
    for (change, reason) in [
        (&(|path: &Path| fs::write(path, "longer").unwrap()) as &dyn Fn(&Path), "changes its size"),
        (&|path: &Path| fs::write(path, "").unwrap(), "changes its size"),
        (&|path: &Path| fs::remove_file(path).unwrap(), "cannot be read"),
        (
            &|path: &Path| {
                fs::rename(path, path.with_extension("old")).unwrap();
                symlink("/etc/hostname", path).unwrap();
            },
            "is replaced",
        ),
    ] {
        let folder = folder(&[("a", "x"), ("b", "text")]);
        let scanned = Folder::scan(folder.path()).unwrap();
        change(&folder.path().join("b"));
        let error = scanned.pack(std::io::sink()).unwrap_err();
        assert_eq!(error.code(), Code::BadInput);
        assert!(error.message().contains("\"b\"") && error.message().contains(reason), "{}", error.message());
    }
}

#[test]
fn paths_that_are_too_long_together_are_refused_while_listing() {
    let folder = tempfile::tempdir().unwrap();
    let deep = vec!["x".repeat(200); 4].join("/");
    let dir = folder.path().join(deep);
    fs::create_dir_all(&dir).unwrap();
    for number in 0..=PROJECT_PATHS_BYTES_MAX.max / 800 {
        fs::write(dir.join(number.to_string()), "").unwrap();
    }
    assert_too_large(Folder::scan(folder.path()), PROJECT_PATHS_BYTES_MAX);
}

#[test]
fn a_folder_is_packed_in_the_order_of_its_paths_and_the_same_each_time() {
    let files = [
        ("a/z", "1"),
        ("a.txt", "2"),
        ("a-b/c", "3"),
        (".env", "4"),
        ("b/c/d/e", ""),
        ("manifest.json", "{}"),
    ];
    let folder = folder(&files);
    fs::create_dir(folder.path().join("empty")).unwrap();
    let run = folder.path().join("a/z");
    fs::set_permissions(&run, fs::Permissions::from_mode(0o700)).unwrap();

    let scanned = Folder::scan(folder.path()).unwrap();
    assert_eq!((scanned.file_count(), scanned.size_bytes()), (6, 6));
    let mut bytes = Vec::new();
    let manifest = scanned.pack(&mut bytes).unwrap();
    assert_eq!(inspected(&bytes).unwrap(), manifest);
    assert!(manifest.find("a/z").unwrap().executable && !manifest.find("a.txt").unwrap().executable);

    let unpacked = flate2::read::GzDecoder::new(&bytes[..]);
    let mut archive = tar::Archive::new(unpacked);
    let names: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    let sorted: Vec<_> = manifest.files().iter().map(|file| file.path.to_string()).collect();
    assert_eq!(names, sorted);

    fs::File::open(&run).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let mut again = Vec::new();
    pack_folder(folder.path(), &mut again).unwrap();
    assert_eq!(again, bytes);
}

#[test]
fn tar_unpacks_what_is_packed_here_and_packs_what_is_taken_here() {
    if Command::new("tar").arg("--version").output().is_err() {
        eprintln!("tar is not installed; nothing is tried");
        return;
    }
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let folder = folder(&[("a/b", "text"), (&long, "long"), ("ünï/ö", ""), ("a b", "x")]);
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("packed.tar.gz");
    let manifest = pack_folder(folder.path(), fs::File::create(&file).unwrap()).unwrap();
    let tar = |arguments: &[&str]| {
        let output = Command::new("tar").current_dir(place.path()).args(arguments).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    };
    fs::create_dir(place.path().join("unpacked")).unwrap();
    tar(&["-xzf", "packed.tar.gz", "-C", "unpacked"]);
    assert_eq!(pack_folder(&place.path().join("unpacked"), std::io::sink()).unwrap(), manifest);

    for format in ["gnu", "ustar", "posix", "oldgnu", "v7"] {
        // Old formats have no room for long names.
        let exclude = if ["ustar", "v7"].contains(&format) { "--exclude=ddd*" } else { "--exclude=none" };
        let format_option = format!("--format={format}");
        tar(&["-czf", "theirs.tar.gz", &format_option, exclude, "-C", "unpacked", "."]);
        let theirs = inspected(&fs::read(place.path().join("theirs.tar.gz")).unwrap()).expect(format);
        assert_eq!(theirs.count(), if exclude == "--exclude=none" { 4 } else { 3 }, "{format}");
        assert!(
            theirs.files().iter().all(|file| manifest.find(file.path.as_str()) == Some(file)),
            "{format}"
        );
    }
}
