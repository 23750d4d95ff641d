//! Data flows one way, as the crate's front page says: nothing imports upward.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// What every part may name: the pure types and rules, errors, and the clock.
const KNOWN_TO_ALL: [&str; 3] = ["clock", "domain", "error"];

/// What else each part of `src` may name, from the bottom up. A new part needs a row.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("error", &[]),
    ("domain", &[]),
    ("config", &[]),
    ("monitor", &[]),
    ("analytics", &["config", "monitor"]),
    ("auth", &["config"]),
    ("grouping", &[]),
    ("store", &["auth", "config", "grouping", "monitor"]),
    ("blob", &["config", "monitor"]),
    ("event", &["auth", "store"]),
    ("logs", &["auth", "blob", "event", "grouping", "monitor", "storage", "store"]),
    ("archive", &[]),
    ("export", &["auth", "store"]),
    ("storage", &["blob", "config", "monitor", "store"]),
    ("jobs", &["blob", "event", "monitor", "storage", "store"]),
    ("syntax", &[]),
    (
        "service",
        &[
            "analytics",
            "archive",
            "auth",
            "event",
            "export",
            "grouping",
            "logs",
            "storage",
            "store",
            "syntax",
        ],
    ),
    ("graphql", &["auth", "event", "logs", "monitor", "service", "store"]),
    ("http", &["auth", "config", "graphql", "logs", "monitor", "service"]),
    (
        "app",
        &[
            "analytics",
            "auth",
            "blob",
            "config",
            "event",
            "graphql",
            "http",
            "jobs",
            "logs",
            "monitor",
            "service",
            "storage",
            "store",
        ],
    ),
    ("client", &["auth"]),
    ("cli", &["app", "archive", "auth", "blob", "client", "config", "graphql", "syntax"]),
    ("lib", &[]),
    ("main", &[]),
];

/// Which parts may name a crate that must not spread.
const MAY_USE: &[(&str, &[&str])] = &[
    ("sea_orm", &["store"]),
    ("migration", &["store"]),
    // To listen for wake-ups, and to read a database's address.
    ("sqlx", &["store", "event", "config"]),
    ("tree_sitter", &["syntax"]),
    ("tar", &["archive"]),
    ("similar", &["archive"]),
    ("csv", &["export"]),
    ("async_graphql", &["graphql", "http"]),
    // Behind one trait, because its releases break.
    ("opendal", &["blob"]),
    ("reqsign_aws_v4", &["blob"]),
    ("reqsign_core", &["blob"]),
    // So that one file has every metric, and no label is made up elsewhere.
    ("metrics", &["monitor"]),
    ("metrics_exporter_prometheus", &["monitor"]),
];

#[test]
fn nothing_imports_upward() {
    let table: BTreeMap<_, _> = MAY_NAME.iter().copied().collect();
    let mut complaints = BTreeSet::new();
    for Source { part, path, text } in sources("src") {
        let Some(allowed) = table.get(part.as_str()) else {
            complaints.insert(format!("{part} needs a row in MAY_NAME"));
            continue;
        };
        for named in parts_named_in(&text) {
            let is_allowed = named == part || KNOWN_TO_ALL.contains(&named) || allowed.contains(&named);
            // A macro or an item of the crate's root is no part.
            if table.contains_key(named) && !is_allowed {
                complaints.insert(format!("{} names crate::{named}", path.display()));
            }
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn what_is_known_to_all_knows_nobody_else() {
    let allowed: BTreeSet<_> = KNOWN_TO_ALL.into_iter().collect();
    for Source { part, path, text } in
        sources("src").into_iter().filter(|source| allowed.contains(source.part.as_str()))
    {
        let below: &[&str] = if part == "domain" { &["clock", "domain", "error"] } else { &["clock"] };
        for named in parts_named_in(&text) {
            assert!(named == part || below.contains(&named), "{} names crate::{named}", path.display());
        }
    }
}

#[test]
fn the_database_graphql_and_storage_stay_in_their_parts() {
    for Source { part, path, text } in sources("src") {
        for (name, parts) in MAY_USE.iter().filter(|(_, parts)| !parts.contains(&part.as_str())) {
            let uses = text.match_indices(&format!("{name}::")).any(|(at, _)| {
                !text[..at].ends_with(|before: char| before.is_alphanumeric() || [':', '_'].contains(&before))
            });
            assert!(!uses, "{} names {name}, which only {parts:?} may", path.display());
        }
    }
}

#[test]
fn entities_and_migrations_know_nothing_of_each_other_nor_of_graphql() {
    for (folder, banned) in [
        ("entity", ["async_graphql", "migration", "runledger"]),
        ("migration", ["async_graphql", "entity", "runledger"]),
    ] {
        for Source { path, text, .. } in sources(&format!("{folder}/src")) {
            for name in banned {
                assert!(!text.contains(&format!("{name}::")), "{} names {name}", path.display());
            }
        }
    }
}

/// A source file, and the part that it belongs to: its folder right below the root, or itself.
struct Source {
    part: String,
    path: PathBuf,
    /// Without comments.
    text: String,
}

fn sources(root: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of the sources is readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(&root).expect("it is below the root");
                let first = below.iter().next().expect("it has a name").to_string_lossy();
                let text = fs::read_to_string(&path).expect("a source is readable");
                let code = text
                    .lines()
                    .map(|line| line.split("//").next().unwrap_or(""))
                    .collect::<Vec<_>>()
                    .join("\n");
                sources.push(Source { part: first.trim_end_matches(".rs").to_owned(), path, text: code });
            }
        }
    }
    assert!(!sources.is_empty(), "{} has sources", root.display());
    sources
}

/// What follows each `crate::`, also in a group: `crate::{auth, config::Config}` names two parts.
fn parts_named_in(text: &str) -> Vec<&str> {
    let rests = text.match_indices("crate::").map(|(at, prefix)| &text[at + prefix.len()..]);
    rests
        .flat_map(|rest| match rest.strip_prefix('{') {
            None => vec![first_word(rest)],
            Some(group) => items(group).into_iter().map(first_word).collect(),
        })
        .collect()
}

/// The items of a group, up to the brace that closes it.
fn items(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0, 0, Vec::new());
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                items.push(group[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
        if character == '}' && start == at + 1 {
            break;
        }
    }
    items
}

fn first_word(text: &str) -> &str {
    let is_in_word = |character: char| character.is_alphanumeric() || character == '_';
    &text[..text.find(|character| !is_in_word(character)).unwrap_or(text.len())]
}

#[test]
fn groups_are_read_to_their_end() {
    let text =
        "use crate::{auth, store::{Reader, Store}, http}; use crate::config::Config; x(crate::clock::now())";
    assert_eq!(parts_named_in(text), ["auth", "store", "http", "config", "clock"]);
}
