//! Packing and inspecting a project of 1,000 files and 50 MB, against `tar -cz` of the same folder to the same disk.
//!
//! `cargo bench --bench archive`. It asserts nothing: what it prints is for a quiet machine. The goal is a pack that costs
//! at most 1.3 times what `tar -cz` does, for an archive of the same size within 5 %, in memory that does not grow.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use runledger::archive::{Summed, inspect, pack_folder};

const FILES: u64 = 1_000;
const BYTES: u64 = 50_000_000;
const ROUNDS: usize = 3;
/// One file of so many is binary, and does not pack.
const BINARY_EACH: u64 = 20;

fn main() {
    if was_child() {
        return;
    }
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the target folder can be written");
    let small = place.path().join("project");
    make(&small, 1);
    let (theirs, ours) = (place.path().join("theirs.tar.gz"), place.path().join("ours.tar.gz"));
    let run_tar = || {
        let mut tar = Command::new("tar");
        tar.arg("-czf").arg(&theirs).arg("-C").arg(&small).arg(".");
        assert!(tar.status().expect("tar is installed").success());
        File::open(&theirs).and_then(|file| file.sync_all()).expect("it can be synced");
    };
    let run_pack = || pack(&small, &ours);
    let run_inspect = || drop(inspect("archive", open(&ours)).expect("it is what was packed"));

    // The first round of each fills the page cache.
    let tar = median(run_tar);
    let packed = median(run_pack);
    let inspected = median(run_inspect);
    let (their_size, our_size) = (size(&theirs), size(&ours));
    println!("tar -cz      {:>5} ms  {their_size} bytes", tar.as_millis());
    println!("pack_folder  {:>5} ms  {our_size} bytes", packed.as_millis());
    println!("inspect      {:>5} ms", inspected.as_millis());
    println!(
        "pack / tar -cz     {:.2} of the time, {:.3} of the size",
        ratio(packed, tar),
        our_size / their_size
    );
    println!("inspect / tar -cz  {:.2} of the time", ratio(inspected, tar));

    // In processes of their own, so that nothing else counts.
    let large = place.path().join("large");
    make(&large, 4);
    for (name, folder) in [("50 MB", &small), ("200 MB", &large)] {
        println!("{name}: packing takes {} of memory at most", peak_of(&["pack".as_ref(), folder, &ours]));
        println!("{name}: inspecting takes {} of memory at most", peak_of(&["inspect".as_ref(), &ours]));
    }
    println!("none: a process takes {} of memory", peak_of(&["nothing".as_ref()]));
}

/// Does one thing in a process of its own, and gives the most memory that it had.
fn peak_of(arguments: &[&Path]) -> String {
    let program = std::env::current_exe().expect("it runs");
    let output = Command::new(program).args(arguments).output().expect("it runs again");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What [`peak_of`] starts; false when this is the benchmark itself.
fn was_child() -> bool {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.iter().map(|argument| argument.to_str()).collect::<Vec<_>>()[..] {
        [Some("pack"), Some(folder), Some(to)] => pack(folder.as_ref(), to.as_ref()),
        [Some("inspect"), Some(archive)] => {
            drop(inspect("archive", open(archive.as_ref())).expect("it is whole"));
        }
        [Some("nothing")] => {}
        _ => return false,
    }
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells it");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells it");
    print!("{}", peak.trim());
    true
}

fn pack(folder: &Path, to: &Path) {
    let mut out = Summed::new(File::create(to).expect("it can be made"));
    pack_folder(folder, &mut out).expect("it can be packed");
    out.finish().0.sync_all().expect("it can be synced");
}

fn open(path: &Path) -> File {
    File::open(path).expect("it was just made")
}

fn size(path: &Path) -> f64 {
    fs::metadata(path).expect("it was just made").len() as f64
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

fn median(mut run: impl FnMut()) -> Duration {
    run();
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            run();
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[ROUNDS / 2]
}

/// A project that has so many times the usual bytes.
fn make(folder: &Path, times: u64) {
    let mut numbers = Numbers(11);
    let words: Vec<String> = (0..3_000).map(|_| word(&mut numbers)).collect();
    for number in 0..FILES {
        let file = folder.join(format!("src/part{}/file{number}.py", number % 37));
        fs::create_dir_all(file.parent().expect("it has one")).expect("it can be made");
        let mut out = io::BufWriter::new(File::create(file).expect("it can be made"));
        // From a tenth of the average to nearly twice of it.
        let size = BYTES * times / FILES * (1 + numbers.below(19)) / 10;
        let write = if number % BINARY_EACH == 0 { write_noise } else { write_source };
        write(&mut out, &words, size, &mut numbers).and_then(|()| out.flush()).expect("it can be written");
    }
}

fn write_noise(out: &mut impl io::Write, _: &[String], size: u64, numbers: &mut Numbers) -> io::Result<()> {
    (0..size / 4).try_for_each(|_| out.write_all(&(numbers.below(1 << 31) as u32 * 2).to_le_bytes()))
}

/// Lines of words, of which some are much more frequent than others.
fn write_source(
    out: &mut impl io::Write,
    words: &[String],
    size: u64,
    numbers: &mut Numbers,
) -> io::Result<()> {
    let mut left = size as usize;
    while left > 0 {
        let mut line = " ".repeat(4 * numbers.below(5) as usize);
        for _ in 0..=numbers.below(9) {
            let rank = numbers.below(words.len() as u64) * numbers.below(1_000) / 1_000
                * numbers.below(1_000)
                / 1_000;
            line += &words[rank as usize];
            line += [" ", " = ", "(", ".", ", ", "): ", " "][numbers.below(7) as usize];
        }
        line += "\n";
        line.truncate(left);
        out.write_all(line.as_bytes())?;
        left -= line.len();
    }
    Ok(())
}

fn word(numbers: &mut Numbers) -> String {
    (0..2 + numbers.below(9))
        .map(|_| b"etaoinsrhldcumfpgwybvkxjqz_"[numbers.below(27) as usize] as char)
        .collect()
}

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}
