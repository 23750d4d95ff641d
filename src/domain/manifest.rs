//! What a generated project consists of: its files by path, size and checksum.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::limits::{PROJECT_PATH_BYTES_MAX, PROJECT_PATH_NAME_BYTES_MAX, PROJECT_PATH_NAMES_MAX};
use super::text::shown;

/// Where a file is in its project: relative, normal, UTF-8, with `/` between its names, and the same on every system.
///
/// There is no name `..` or `.`, none that is empty, no backslash (which separates on Windows), no drive letter, no NUL
/// or other control character; so that it leads out of no folder that it is appended to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProjectPath(String);

impl ProjectPath {
    /// Reads a path; a leading `./`, as `tar` writes it, is dropped.
    ///
    /// # Errors
    /// The rule that it breaks. The path itself is left to the caller to name, by [`shown`].
    pub fn parse(path: &str) -> Result<Self, String> {
        let path = path.strip_prefix("./").unwrap_or(path);
        if path.is_empty() {
            return Err("a path must not be empty".into());
        }
        if PROJECT_PATH_BYTES_MAX.is_passed_by(path.len()) {
            return Err(format!("a path must not be longer than {} bytes", PROJECT_PATH_BYTES_MAX.max));
        }
        if path.chars().any(char::is_control) {
            return Err("a path must not contain control characters".into());
        }
        if path.contains('\\') {
            return Err("a path must not contain backslashes".into());
        }
        if path.starts_with('/') || has_drive(path) {
            return Err("a path must be relative".into());
        }
        for name in path.split('/') {
            match name {
                "" => return Err("a path must not contain empty names".into()),
                "." | ".." => return Err(format!("a path must not contain the name {name}")),
                _ if PROJECT_PATH_NAME_BYTES_MAX.is_passed_by(name.len()) => {
                    let max = PROJECT_PATH_NAME_BYTES_MAX.max;
                    return Err(format!("a name in a path must not be longer than {max} bytes"));
                }
                _ => {}
            }
        }
        if PROJECT_PATH_NAMES_MAX.is_passed_by(path.split('/').count()) {
            return Err(format!("a path must not be deeper than {} names", PROJECT_PATH_NAMES_MAX.max));
        }
        Ok(Self(path.to_owned()))
    }

    /// [`parse`](Self::parse) for a path that comes as bytes.
    ///
    /// # Errors
    /// The rule that it breaks; being UTF-8 is one.
    pub fn from_bytes(path: &[u8]) -> Result<Self, String> {
        let path = std::str::from_utf8(path).map_err(|_| "a path must be UTF-8".to_owned())?;
        Self::parse(path)
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folders that it is in, the outermost first.
    fn folders(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(at, _)| &self.0[..at])
    }
}

fn has_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

impl fmt::Display for ProjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ProjectPath {
    type Error = String;

    fn try_from(path: String) -> Result<Self, String> {
        Self::parse(&path)
    }
}

impl From<ProjectPath> for String {
    fn from(path: ProjectPath) -> Self {
        path.0
    }
}

/// One file of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestFile {
    pub path: ProjectPath,
    pub size_bytes: u64,
    /// Of its content, in hexadecimal, in lower case.
    pub sha256: String,
    /// Whether its owner may run it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

/// The files of a project, in the order of their paths. No two have the same path, and none lies below another.
///
/// As JSON it is the list of its files; what is read from JSON is checked like any other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<ManifestFile>")]
pub struct Manifest(Vec<ManifestFile>);

impl Manifest {
    /// Of files in any order.
    ///
    /// # Errors
    /// The path that comes twice, or that is a file and a folder.
    pub fn new(mut files: Vec<ManifestFile>) -> Result<Self, String> {
        files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        if let Some(pair) = files.windows(2).find(|pair| pair[0].path == pair[1].path) {
            return Err(format!("{} comes twice", shown(pair[0].path.as_str())));
        }
        let manifest = Self(files);
        let mut previous = "";
        for file in &manifest.0 {
            // Neighbours share most of their folders.
            let mut folders = file.path.folders().filter(|folder| !is_in(previous, folder));
            if let Some(folder) = folders.find(|folder| manifest.find(folder).is_some()) {
                return Err(both(folder));
            }
            previous = file.path.as_str();
        }
        Ok(manifest)
    }

    /// Checks that an empty folder can be in the project, too.
    ///
    /// # Errors
    /// The path that is a file and a folder.
    pub fn check_folder(&self, folder: &ProjectPath) -> Result<(), String> {
        match folder.folders().chain([folder.as_str()]).find(|folder| self.find(folder).is_some()) {
            Some(folder) => Err(both(folder)),
            None => Ok(()),
        }
    }

    /// The file at `path`, written exactly so.
    pub fn find(&self, path: &str) -> Option<&ManifestFile> {
        let at = self.0.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
        self.0.get(at)
    }

    /// All files, in the order of their paths.
    pub fn files(&self) -> &[ManifestFile] {
        &self.0
    }

    /// How many files there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The sizes of all files together.
    pub fn total_bytes(&self) -> u64 {
        self.0.iter().fold(0, |sum, file| sum.saturating_add(file.size_bytes))
    }
}

fn is_in(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

fn both(path: &str) -> String {
    format!("{} is a file and a folder", shown(path))
}

impl TryFrom<Vec<ManifestFile>> for Manifest {
    type Error = String;

    fn try_from(files: Vec<ManifestFile>) -> Result<Self, String> {
        Self::new(files)
    }
}

/// How one project differs from another, each list in the order of the paths.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Comparison<'a> {
    /// Only in the later one.
    pub added: Vec<&'a ManifestFile>,
    /// Only in the earlier one.
    pub removed: Vec<&'a ManifestFile>,
    /// In both, with other content or another [`executable`](ManifestFile::executable): as it was, as it is.
    pub changed: Vec<(&'a ManifestFile, &'a ManifestFile)>,
}

/// What has to be done to `before` to make it `after`.
pub fn compare<'a>(before: &'a Manifest, after: &'a Manifest) -> Comparison<'a> {
    let mut comparison = Comparison::default();
    let (mut old, mut new) = (before.0.iter().peekable(), after.0.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return comparison,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.path.cmp(&new.path),
        };
        match order {
            Ordering::Less => comparison.removed.extend(old.next()),
            Ordering::Greater => comparison.added.extend(new.next()),
            Ordering::Equal => comparison.changed.extend(old.next().zip(new.next()).filter(differ)),
        }
    }
}

fn differ((old, new): &(&ManifestFile, &ManifestFile)) -> bool {
    old.sha256 != new.sha256 || old.executable != new.executable
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ProjectPath {
        ProjectPath::parse(text).unwrap()
    }

    fn file(name: &str, content: &str) -> ManifestFile {
        let size_bytes = content.len().try_into().unwrap();
        ManifestFile { path: path(name), size_bytes, sha256: content.into(), executable: false }
    }

    fn manifest(names: &[&str]) -> Result<Manifest, String> {
        Manifest::new(names.iter().map(|name| file(name, "x")).collect())
    }

    fn paths(files: &[&ManifestFile]) -> Vec<String> {
        files.iter().map(|file| file.path.to_string()).collect()
    }

    #[test]
    fn what_could_lead_out_of_a_folder_is_no_path() {
        for bad in [
            "",
            ".",
            "./",
            "..",
            "/",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a/..",
            "./../x",
            "././x",
            "a/./b",
            "a//b",
            "a/",
            ".//x",
            "\\",
            "a\\b",
            "..\\x",
            "C:",
            "c:/x",
            "C:\\x",
            "a\0b",
            "a\nb",
            "a\u{7f}",
            "a\u{85}b",
        ] {
            assert!(ProjectPath::parse(bad).is_err(), "{bad:?}");
        }
        assert!(ProjectPath::from_bytes(b"a\xffb").is_err());
        assert!(ProjectPath::from_bytes(b"\xc0\xae\xc0\xae/x").is_err(), "an overlong spelling of ..");
    }

    #[test]
    fn a_path_of_a_project_is_kept_as_it_is() {
        for good in ["a", "a/b.c", ".env", "..a", "a..", "...", " ", "ünï/🦀", "ab:c", "12:30", "-x", "a b/~"]
        {
            assert_eq!(path(good).as_str(), good);
        }
        assert_eq!(path("./a/b").as_str(), "a/b");
        assert_eq!(path(".env").as_str(), ".env");
    }

    #[test]
    fn a_path_is_limited_in_bytes_names_and_depth() {
        let name = PROJECT_PATH_NAME_BYTES_MAX.to_usize();
        assert!(ProjectPath::parse(&"x".repeat(name)).is_ok());
        assert!(ProjectPath::parse(&"x".repeat(name + 1)).is_err());
        assert!(ProjectPath::parse(&format!("{}é", "x".repeat(name - 1))).is_err(), "bytes, not characters");
        let depth = PROJECT_PATH_NAMES_MAX.to_usize();
        assert!(ProjectPath::parse(&vec!["x"; depth].join("/")).is_ok());
        assert!(ProjectPath::parse(&vec!["x"; depth + 1].join("/")).is_err());
        let long = vec!["x".repeat(99); 11].join("/");
        assert!(ProjectPath::parse(&long).is_err());
        assert!(ProjectPath::parse(&long[..PROJECT_PATH_BYTES_MAX.to_usize()]).is_ok());
    }

    #[test]
    fn nothing_in_a_manifest_comes_twice_or_is_both_a_file_and_a_folder() {
        for bad in
            [&["a", "b", "a"][..], &["a", "a/b"], &["a/b/c/d", "a-b", "a/b"], &["a/b", "a/b.c", "a/b/c"]]
        {
            assert!(manifest(bad).is_err(), "{bad:?}");
        }
        let error = manifest(&["x/a", "x/a/b"]).unwrap_err();
        assert!(error.contains("\"x/a\""), "{error}");
        assert!(manifest(&["a", "A", "a.b/c", "a-b", "b/a", "b/a.c", "c/a/b", "c/a-"]).is_ok());
    }

    #[test]
    fn a_folder_may_be_where_no_file_is() {
        let manifest = manifest(&["a", "b/c"]).unwrap();
        for (folder, ok) in
            [("a", false), ("a/x", false), ("b", true), ("b/c", false), ("b/c/d", false), ("x", true)]
        {
            assert_eq!(manifest.check_folder(&path(folder)).is_ok(), ok, "{folder}");
        }
    }

    #[test]
    fn a_manifest_is_sorted_counted_and_looked_up() {
        let manifest = manifest(&["b/c", "a", "b.c"]).unwrap();
        assert_eq!(paths(&manifest.files().iter().collect::<Vec<_>>()), ["a", "b.c", "b/c"]);
        assert_eq!((manifest.count(), manifest.total_bytes()), (3, 3));
        assert!(
            manifest.find("b/c").is_some() && manifest.find("b").is_none() && manifest.find("./a").is_none()
        );
    }

    #[test]
    fn a_manifest_reads_back_from_compact_json_and_is_checked_again() {
        let mut files = vec![file("a", "1"), file("b/c", "22")];
        files[1].executable = true;
        let manifest = Manifest::new(files).unwrap();
        let json = serde_json::to_string(&manifest).unwrap();
        assert_eq!(
            json,
            r#"[{"path":"a","sizeBytes":1,"sha256":"1"},{"path":"b/c","sizeBytes":2,"sha256":"22","executable":true}]"#
        );
        assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), manifest);
        for bad in ["a/b", "../a", "b/c"] {
            assert!(
                serde_json::from_str::<Manifest>(
                    &json.replace("\"b/c\"", "\"a\"").replace("\"a\"", &format!("{bad:?}"))
                )
                .is_err()
            );
        }
    }

    #[test]
    fn a_comparison_names_each_difference_once() {
        let before =
            Manifest::new(vec![file("a", "1"), file("b", "1"), file("c", "1"), file("run", "1")]).unwrap();
        let mut run = file("run", "1");
        run.executable = true;
        let after = Manifest::new(vec![file("a", "1"), file("b", "2"), file("d", "1"), run]).unwrap();
        let Comparison { added, removed, changed } = compare(&before, &after);
        assert_eq!((paths(&added), paths(&removed)), (vec!["d".to_owned()], vec!["c".to_owned()]));
        let changed: Vec<_> =
            changed.iter().map(|(old, new)| (old.sha256.as_str(), new.path.as_str())).collect();
        assert_eq!(changed, [("1", "b"), ("1", "run")]);

        assert_eq!(compare(&before, &before), Comparison::default());
        assert_eq!(compare(&Manifest::default(), &after).added.len(), 4);
        assert_eq!(compare(&before, &Manifest::default()).removed.len(), 4);
    }
}
