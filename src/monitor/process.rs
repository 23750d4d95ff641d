//! What the process takes, under the names that Prometheus's own clients use. Linux tells memory and files.

use std::fmt::Write as _;

use rustix::time::{ClockId, clock_gettime};

/// In Prometheus's text format.
pub(super) fn render() -> String {
    let mut text = String::new();
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = used.tv_sec as f64 + used.tv_nsec as f64 / 1e9;
    write(
        &mut text,
        "process_cpu_seconds_total",
        "counter",
        "Time that the process has used of CPUs",
        seconds,
    );
    if let Some(bytes) = resident_memory_bytes() {
        write(&mut text, "process_resident_memory_bytes", "gauge", "Memory of the process", bytes);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        write(
            &mut text,
            "process_open_fds",
            "gauge",
            "Files and sockets of the process",
            files.count() as f64,
        );
    }
    text
}

fn write(text: &mut String, name: &str, kind: &str, help: &str, value: f64) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
}

fn resident_memory_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = kibibytes.trim().strip_suffix(" kB")?.parse().ok()?;
    Some((kibibytes * 1024) as f64)
}
