//! Clears up when the test process ends, however it ends: statics are never dropped, and a killed process drops nothing.

use std::{
    io::Write as _,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    sync::{LazyLock, Mutex},
};

/// A shell that reads commands until its input closes (which the end of this process does) and only then runs them.
static JANITOR: LazyLock<Mutex<Child>> = LazyLock::new(|| {
    Mutex::new(
        Command::new("sh")
            .args(["-c", r#"trap "" HUP INT TERM; eval "$(cat)""#])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell starts"),
    )
});

/// Has the shell `command` run after this process has ended.
pub(crate) fn when_the_tests_end(command: &str) {
    let mut janitor = JANITOR.lock().expect("no test panics while it registers");
    let input = janitor.stdin.as_mut().expect("its input is piped");
    writeln!(input, "{command}").expect("the janitor reads");
}
