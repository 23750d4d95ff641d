//! `.env.example`: the reference of all settings, made from their definition.

use std::fmt::Write as _;
use std::path::Path;

use crate::config::Settings;

/// Columns of the file.
const WIDTH: usize = 118;

const OPENING: &str = "\
# Every setting of Runledger, with its default. Each is an environment variable and a flag: RUNLEDGER_DATA_DIR is
# --data-dir. Nothing has to be set to try Runledger on one machine. An empty variable counts as absent.
#
# Runledger does not read this file. Give it a copy by what starts it: EnvironmentFile= of systemd, --env-file of
# Docker, or `set -a; . ./.env; set +a` in a shell.
#
# Made from the definition in src/config/settings.rs. A test fails when it is stale; to write it anew:
# RUNLEDGER_UPDATE_FILES=1 cargo test env_example
";

fn example() -> String {
    let mut text = OPENING.to_owned();
    let mut heading = String::new();
    for argument in Settings::command().get_arguments() {
        let group = argument.get_help_heading().unwrap_or_default();
        if group != heading {
            heading = group.to_owned();
            write!(text, "\n# ---- {heading} ----\n").unwrap();
        }
        let help = argument.get_long_help().or(argument.get_help()).unwrap().to_string();
        text.push('\n');
        for paragraph in help.split("\n\n") {
            wrap(paragraph, &mut text);
        }
        let variable = argument.get_env().unwrap().to_str().unwrap();
        let default = argument.get_default_values().first().and_then(|value| value.to_str());
        writeln!(text, "# {variable}={}", default.unwrap_or_default()).unwrap();
    }
    text
}

fn wrap(paragraph: &str, text: &mut String) {
    let mut line = String::from("#");
    for word in paragraph.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            writeln!(text, "{line}").unwrap();
            line = String::from("#");
        }
        write!(line, " {word}").unwrap();
    }
    let end = if line.ends_with('.') { "" } else { "." };
    writeln!(text, "{line}{end}").unwrap();
}

#[test]
fn env_example_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".env.example");
    let expected = example();
    if std::env::var_os("RUNLEDGER_UPDATE_FILES").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "stale: RUNLEDGER_UPDATE_FILES=1 cargo test env_example");
}
