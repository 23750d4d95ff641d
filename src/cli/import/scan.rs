//! Finds the generations in a folder, whichever way they are laid out there.
//!
//! ```text
//! FOLDER/{projectId}/generations/v{n}__{generationId}/…   hierarchical
//! FOLDER/{generationId}/…                                 flat
//! ```
//!
//! Each folder right below is told by itself, so that both may stand side by side. Files right below, and names that begin
//! with a dot, are nobody's generation.

use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};

use super::described::{self, Described};
use crate::archive::Folder;
use crate::clock::Timestamp;
use crate::domain::text;
use crate::error::Error;

/// The project of a generation that names none.
const PROJECT_DEFAULT: &str = "imported";
/// What the folder of a project has its generations in.
const GENERATIONS: &str = "generations";

/// A generation that can be sent.
#[derive(Debug)]
pub(super) struct Found {
    pub path: PathBuf,
    /// From the folder that was scanned, for people.
    pub name: String,
    /// The key of its project.
    pub project: String,
    /// What it is called among the generations: the id of the hierarchical layout's folder, or the folder's name.
    pub generation: String,
    /// The number that it had, which decides the order.
    pub version: Option<u64>,
    pub created_at: Option<Timestamp>,
    pub message: Option<String>,
    pub file_count: usize,
    /// Of its files together.
    pub size_bytes: u64,
    /// What is worth a look, but keeps nobody from sending it.
    pub notes: Vec<String>,
}

/// Something that cannot be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub name: String,
    pub project: Option<String>,
    pub reason: String,
}

/// What is in a folder.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// By project, then in the order in which they were made.
    pub found: Vec<Found>,
    pub broken: Vec<Broken>,
}

/// Looks through `folder`; with `project`, only for the generations of this one.
///
/// # Errors
/// That the folder itself cannot be listed.
pub(super) fn scan(folder: &Path, project: Option<&str>) -> Result<Scan, String> {
    let mut scan = Scanning { project, scan: Scan::default() };
    let entries = list(folder).map_err(|reason| format!("{} {reason}", folder.display()))?;
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        match Kind::of(&entry) {
            Kind::Ignored => {}
            Kind::Broken(reason) if scan.takes(&name) => scan.broken(name, None, reason),
            Kind::Broken(_) => {}
            Kind::Folder => scan.visit(&entry.path(), name),
        }
    }
    let Scan { mut found, mut broken } = scan.scan;
    found.sort_by(|one, other| order(one).cmp(&order(other)));
    broken.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Scan { found, broken })
}

fn order(found: &Found) -> (&str, u64, Timestamp, &str) {
    (
        &found.project,
        found.version.unwrap_or(u64::MAX),
        found.created_at.unwrap_or(Timestamp::MAX_UTC),
        &found.name,
    )
}

/// The entries of a folder by name.
fn list(folder: &Path) -> Result<Vec<DirEntry>, String> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut entries = entries.map_err(|error| format!("cannot be listed: {error}"))?;
    entries.sort_by_key(DirEntry::file_name);
    Ok(entries)
}

/// What may be a generation, or have some.
enum Kind {
    Folder,
    /// Not meant to be one.
    Ignored,
    Broken(&'static str),
}

impl Kind {
    fn of(entry: &DirEntry) -> Self {
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            return Self::Ignored;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && entry.file_name().to_str().is_none() => {
                Self::Broken("its name is not UTF-8")
            }
            Ok(kind) if kind.is_dir() => Self::Folder,
            Ok(kind) if kind.is_symlink() => Self::Broken("is a symbolic link"),
            _ => Self::Ignored,
        }
    }
}

struct Scanning<'a> {
    project: Option<&'a str>,
    scan: Scan,
}

impl Scanning<'_> {
    fn broken(&mut self, name: String, project: Option<&str>, reason: impl Into<String>) {
        self.scan.broken.push(Broken { name, project: project.map(str::to_owned), reason: reason.into() });
    }

    /// Whether a project was asked for.
    fn takes(&self, project: &str) -> bool {
        self.project.is_none_or(|wanted| wanted == project)
    }

    /// Visits a folder right below: a project with generations, or a generation.
    fn visit(&mut self, path: &Path, name: String) {
        let generations = path.join(GENERATIONS);
        // A generation may have a folder of this name, too, with something else in it.
        match generations.symlink_metadata().is_ok_and(|found| found.is_dir()).then(|| list(&generations)) {
            Some(Ok(entries))
                if entries.is_empty() || entries.iter().any(|entry| numbered(entry).is_some()) =>
            {
                if self.takes(&name) {
                    self.visit_project(&name, &entries);
                }
            }
            Some(Err(reason)) if self.takes(&name) => {
                self.broken(format!("{name}/{GENERATIONS}"), Some(&name), reason);
            }
            Some(Err(_)) => {}
            Some(Ok(_)) | None => self.take(path, name.clone(), None, None, name),
        }
    }

    fn visit_project(&mut self, project: &str, entries: &[DirEntry]) {
        for entry in entries {
            let name = format!("{project}/{GENERATIONS}/{}", entry.file_name().to_string_lossy());
            match (Kind::of(entry), numbered(entry)) {
                (Kind::Ignored, _) => {}
                (Kind::Broken(reason), _) => self.broken(name, Some(project), reason),
                (Kind::Folder, None) => {
                    self.broken(name, Some(project), "its name is not v{n}__{generationId}");
                }
                (Kind::Folder, Some((version, generation))) => {
                    self.take(&entry.path(), name, Some(project), Some(version), generation);
                }
            }
        }
    }

    /// Takes one generation; its layout may say to which project it belongs, and in which place.
    fn take(
        &mut self,
        path: &Path,
        name: String,
        project: Option<&str>,
        version: Option<u64>,
        generation: String,
    ) {
        let (described, notes) = match described::read(path) {
            Ok(described) => (described, Vec::new()),
            Err(note) => (Described::default(), vec![note]),
        };
        let Described { project: described_project, version: described_version, message, created_at } =
            described;
        let project = project.map(str::to_owned).or(described_project);
        let project = project.unwrap_or_else(|| PROJECT_DEFAULT.to_owned());
        if !self.takes(&project) {
            return;
        }
        let checked = text::short("the project's key", project.clone()).and_then(|_| Folder::scan(path));
        match checked {
            Ok(folder) => self.scan.found.push(Found {
                path: path.to_owned(),
                name,
                project,
                generation,
                version: version.or(described_version),
                created_at,
                message,
                file_count: folder.file_count(),
                size_bytes: folder.size_bytes(),
                notes,
            }),
            Err(error) => self.broken(name, Some(&project), reason(&error)),
        }
    }
}

/// What a person is told of an error of this machine.
pub(super) fn reason(error: &Error) -> String {
    error.cause().map_or_else(|| error.message(), str::to_owned)
}

/// The number and the id in `v{n}__{generationId}`.
fn numbered(entry: &DirEntry) -> Option<(u64, String)> {
    let name = entry.file_name();
    let (number, generation) = name.to_str()?.strip_prefix('v')?.split_once("__")?;
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse().ok().filter(|_| is_number)?;
    (!generation.is_empty()).then(|| (number, generation.to_owned()))
}
