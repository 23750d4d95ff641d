//! Archives that attack: refused with a code, in bounded memory, and with nothing left behind.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use runledger::domain::limits::{ARCHIVE_ENTRIES_MAX, ARCHIVE_EXPANSION_RATIO_MAX, PROJECT_FILES_MAX};
use serde_json::json;
use tar::{EntryType, Header};
use tokio::task::JoinSet;

use super::project;
use crate::harness::{
    Backend, Client, ForBackend as _, Refusal, Server, Tar, Team, for_each_backend, gzip, noise, unique,
};

for_each_backend!(
    an_archive_that_attacks_is_refused_and_leaves_nothing,
    large_archives_are_saved_in_little_memory
);

/// What a server may need beyond what it needs at rest, whatever it is sent.
const MEMORY_BYTES_MAX: u64 = 160 * 1024 * 1024;

async fn refusal_of(client: &Client, archive: &[u8]) -> Refusal {
    let input = json!({ "projectKey": "attacked" });
    client.try_save_archive(input, archive).await.expect_err("it is refused")
}

async fn an_archive_that_attacks_is_refused_and_leaves_nothing(server: Server) {
    let team = Team::of(&server);
    let tar = || Tar::default().file("harmless", b"x");
    let named = |name: &[u8]| tar().entry(name, EntryType::Regular, 0o644, b"x").gz();
    let of_type = |kind: EntryType| tar().entry(b"a", kind, 0o644, b"").gz();
    let whole = Tar::of(&project()).file("noise", &noise(10_000)).gz();
    let mut turned = whole.clone();
    let middle = whole.len() / 2;
    turned[middle] ^= 1;
    for (attack, archive) in [
        ("leads out", named(b"../a")),
        ("leads out in the middle", named(b"a/../../b")),
        ("absolute", named(b"/etc/passwd")),
        ("of another system", named(b"C:\\a")),
        ("backslashes", named(b"..\\a")),
        ("not UTF-8", named(b"a\xff")),
        ("an overlong ..", named(b"\xc0\xae\xc0\xae/a")),
        ("a line break", named(b"a\nb")),
        ("an empty name", named(b"")),
        ("a symbolic link", of_type(EntryType::Symlink)),
        ("a hard link", of_type(EntryType::Link)),
        ("a character device", of_type(EntryType::Char)),
        ("a block device", of_type(EntryType::Block)),
        ("a pipe", of_type(EntryType::Fifo)),
        ("a sparse file", of_type(EntryType::GNUSparse)),
        ("an unknown type", of_type(EntryType::new(b'Z'))),
        ("twice", tar().file("a", b"1").file("a", b"2").gz()),
        ("twice by another name", tar().file("a", b"1").file("./a", b"2").gz()),
        ("a file and a folder", tar().file("a", b"1").file("a/b", b"2").gz()),
        (
            "a NUL in a long name",
            tar().entry(b"long", EntryType::GNULongName, 0o644, b"a\0b\0").file("x", b"").gz(),
        ),
        (
            "two names",
            tar()
                .entry(b"l", EntryType::GNULongName, 0o644, b"a\0")
                .entry(b"p", EntryType::XHeader, 0o644, b"9 path=b\n")
                .file("x", b"")
                .gz(),
        ),
        ("no files", Tar::default().entry(b"a/", EntryType::Directory, 0o755, b"").gz()),
        ("nothing", Tar::default().gz()),
        ("without an end", tar().gz_without_end()),
        ("cut off", whole[..whole.len() - 9].to_vec()),
        ("cut in the middle", whole[..middle].to_vec()),
        ("a turned bit", turned),
        ("another gzip after it", [whole.clone(), gzip(b"hidden")].concat()),
        ("bytes after it", [&whole[..], b"hidden"].concat()),
        ("a tar after it", gzip(&[vec![0; 1024], b"hidden".to_vec()].concat())),
        ("an empty file", Vec::new()),
        ("no gzip", b"PK\x03\x04 a zip, perhaps".to_vec()),
        ("no tar", gzip(&noise(5_000))),
    ] {
        let refusal = refusal_of(&team.owner, &archive).await;
        assert_eq!(
            (refusal.code(), refusal.field()),
            ("BAD_INPUT", Some("input.archive")),
            "{attack}: {refusal:?}"
        );
        assert!(
            !refusal.message().contains(&*server.data_folder().to_string_lossy()),
            "{attack}: {refusal:?}"
        );
    }
    assert_nothing_is_left(&server, &team).await;
    team.owner.try_save_archive(json!({ "projectKey": "attacked" }), &whole).await.expect("it is fine");
}

async fn assert_nothing_is_left(server: &Server, team: &Team) {
    for folder in ["objects", "staging", "cache"] {
        assert!(server.files_in(folder).is_empty(), "{folder}: {:?}", server.files_in(folder));
    }
    let projects = team.owner.query("{ projects { totalCount } }", json!({})).await;
    assert_eq!(projects["projects"]["totalCount"], 0, "not even a project");
}

/// What they cost does not depend on the database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archives_that_grow_without_end_are_refused_in_little_memory() {
    let server = Server::on(Backend::Sqlite).await.expect("SQLite is built in");
    let team = Team::of(&server);
    team.owner.query("{ projects { totalCount } }", json!({})).await;
    let at_rest = server.peak_memory_bytes();
    let zeros = vec![0; 1024 * 1024];
    let bomb = packed(|out| {
        out.write_all(header(b"bomb", EntryType::Regular, 512 * 1024 * 1024).as_bytes())?;
        (0..512).try_for_each(|_| out.write_all(&zeros))
    });
    assert!(bomb.len() < 1024 * 1024);
    let header_bomb = packed(|out| {
        out.write_all(header(b"name", EntryType::GNULongName, 200 * 1024 * 1024).as_bytes())?;
        (0..200).try_for_each(|_| out.write_all(&zeros))
    });
    let folders = packed(|out| numbered(out, EntryType::Directory));
    let files = packed(|out| numbered(out, EntryType::Regular));
    for (attack, archive, limit) in [
        ("a bomb", bomb, Some(ARCHIVE_EXPANSION_RATIO_MAX.name)),
        ("a bomb of a name", header_bomb, None),
        ("a million folders", folders, Some(ARCHIVE_ENTRIES_MAX.name)),
        ("a million files", files, Some(PROJECT_FILES_MAX.name)),
    ] {
        let archive = Arc::new(archive);
        let mut attackers = JoinSet::new();
        for _ in 0..4 {
            let (client, archive) = (team.owner.clone(), Arc::clone(&archive));
            attackers.spawn(async move { refusal_of(&client, &archive).await });
        }
        for refusal in attackers.join_all().await {
            assert_eq!(
                (refusal.code(), refusal.field()),
                ("TOO_LARGE", Some("input.archive")),
                "{attack}: {refusal:?}"
            );
            if let Some(limit) = limit {
                let named = &refusal.errors[0]["extensions"]["limit"]["name"];
                assert_eq!(named, limit, "{attack}: {refusal:?}");
            }
        }
        let grown = server.peak_memory_bytes() - at_rest;
        assert!(grown < MEMORY_BYTES_MAX, "{attack} took {} MiB", grown >> 20);
    }
    assert_nothing_is_left(&server, &team).await;
}

async fn large_archives_are_saved_in_little_memory(server: Server) {
    let team = Team::of(&server);
    team.owner.query("{ projects { totalCount } }", json!({})).await;
    let at_rest = server.peak_memory_bytes();
    let archive = Arc::new(Tar::default().file("noise", &noise(24 * 1024 * 1024)).gz());
    let mut savers = JoinSet::new();
    for _ in 0..4 {
        let (client, archive) = (team.owner.clone(), Arc::clone(&archive));
        savers.spawn(async move {
            let input = json!({ "projectKey": unique("large") });
            client.try_save_archive(input, &archive).await.expect("it is fine")
        });
    }
    savers.join_all().await;
    let grown = server.peak_memory_bytes() - at_rest;
    assert!(grown < MEMORY_BYTES_MAX, "4 archives of 24 MiB at once took {} MiB", grown >> 20);
}

fn header(name: &[u8], kind: EntryType, size_bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_size(size_bytes);
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.set_cksum();
    header
}

/// A million entries of a kind, each with a name of its own.
fn numbered(out: &mut impl std::io::Write, kind: EntryType) -> std::io::Result<()> {
    let template = *header(b"0000000", kind, 0).as_bytes();
    let sum: u32 =
        8 * 32 + template[..148].iter().chain(&template[156..]).map(|byte| u32::from(*byte)).sum::<u32>();
    let mut block = Vec::with_capacity(512 * 1_000);
    for number in 0..1_000_000_u32 {
        let name = format!("{number:07}");
        let digits: u32 = name.bytes().map(|digit| u32::from(digit - b'0')).sum();
        let at = block.len();
        block.extend_from_slice(&template);
        block[at..at + 7].copy_from_slice(name.as_bytes());
        block[at + 148..at + 154].copy_from_slice(format!("{:06o}", sum + digits).as_bytes());
        block[at + 154..at + 156].copy_from_slice(b"\0 ");
        if block.len() == 512 * 1_000 {
            out.write_all(&block)?;
            block.clear();
        }
    }
    out.write_all(&[0; 1024])
}

/// Packs what `write` gives, by the program `gzip`: this build of ours would take minutes.
fn packed(write: impl FnOnce(&mut std::process::ChildStdin) -> std::io::Result<()>) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let out = file.reopen().expect("it is there");
    let gzip = Command::new("gzip").arg("-6").stdin(Stdio::piped()).stdout(out).spawn();
    let mut gzip = gzip.expect("gzip is installed");
    let mut input = gzip.stdin.take().expect("it is piped");
    write(&mut input).expect("gzip reads");
    drop(input);
    assert!(gzip.wait().expect("it is our child").success());
    std::fs::read(file.path()).expect("it is there")
}
