//! What has changed in a text, as `patch` understands it.

use std::time::Duration;

use similar::TextDiff;

use crate::domain::limits::{DIFF_SEARCH_MILLISECONDS_MAX, DIFF_TEXT_BYTES_MAX};
use crate::domain::manifest::ProjectPath;

/// Lines around a change that are shown with it.
const CONTEXT_LINES: usize = 3;

/// The difference between two contents of the file at `path`, in the unified format: with three lines of context, as
/// `a/path` and `b/path`. It is empty when they are the same.
///
/// None for what is no text (NUL bytes, or not UTF-8), or has more than [`DIFF_TEXT_BYTES_MAX`]. Texts with little in
/// common get a difference that is right, but not the shortest, when finding that takes longer than
/// [`DIFF_SEARCH_MILLISECONDS_MAX`].
pub fn unified_diff(path: &ProjectPath, before: &[u8], after: &[u8]) -> Option<String> {
    let (before, after) = (lines(before)?, lines(after)?);
    let diff = TextDiff::configure()
        .timeout(Duration::from_millis(DIFF_SEARCH_MILLISECONDS_MAX))
        .diff_slices(&before, &after);
    if before == after {
        return Some(String::new());
    }
    // `patch` takes a name up to its first space unless a tab ends it.
    let end = if path.as_str().contains(' ') { "\t" } else { "" };
    let mut text = format!("--- a/{path}{end}\n+++ b/{path}{end}\n");
    for hunk in diff.unified_diff().context_radius(CONTEXT_LINES).iter_hunks() {
        text += &format!("{}\n", hunk.header());
        for change in hunk.iter_changes() {
            let line = change.value();
            let end = if line.ends_with('\n') { "" } else { "\n\\ No newline at end of file\n" };
            text += &format!("{}{line}{end}", change.tag());
        }
    }
    Some(text)
}

/// The lines of a text, each with its line feed. The library's own also end at a lone carriage return, which ends no line
/// for `patch`; that is why its own formatting is not used either.
fn lines(content: &[u8]) -> Option<Vec<&str>> {
    if DIFF_TEXT_BYTES_MAX.is_passed_by(content.len()) || content.contains(&0) {
        return None;
    }
    Some(std::str::from_utf8(content).ok()?.split_inclusive('\n').collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    use std::time::Instant;

    use super::*;

    fn diff(before: &str, after: &str) -> String {
        unified_diff(&ProjectPath::parse("a b/f.txt").unwrap(), before.as_bytes(), after.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_no_text_or_too_long_has_no_diff() {
        let path = ProjectPath::parse("f").unwrap();
        let long = vec![b'x'; DIFF_TEXT_BYTES_MAX.to_usize() + 1];
        for odd in [&b"a\0b"[..], b"\xff\xfe", &long] {
            assert_eq!(unified_diff(&path, odd, b"x"), None);
            assert_eq!(unified_diff(&path, b"x", odd), None);
        }
        assert!(unified_diff(&path, &long[1..], b"x").is_some());
    }

    #[test]
    fn texts_with_nothing_in_common_do_not_take_long() {
        // Every line differs, none is unique: the worst case of the search.
        let line = |number: usize, step: usize| format!("{}\n", number * step % 1013);
        let before: String = (0..200_000).map(|number| line(number, 7)).collect();
        let after: String = (0..200_000).map(|number| line(number, 11)).collect();
        let began = Instant::now();
        let text = diff(&before, &after);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert!(text.len() > 100_000);
    }

    #[test]
    fn the_same_text_has_an_empty_diff() {
        assert_eq!(diff("a\nb", "a\nb"), "");
    }

    #[test]
    fn a_diff_shows_three_lines_around_a_change() {
        let expected =
            "--- a/a b/f.txt\t\n+++ b/a b/f.txt\t\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+V\n 6\n 7\n 8\n";
        assert_eq!(diff("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nV\n6\n7\n8\n9\n"), expected);
    }

    #[test]
    fn patch_makes_the_later_text_of_the_earlier_one() {
        if Command::new("patch").arg("--version").stdout(Stdio::null()).status().is_err() {
            eprintln!("patch is not installed; nothing is tried");
            return;
        }
        let many: String = (0..50).map(|number| format!("line {number}\n")).collect();
        let texts = [
            String::new(),
            "a".into(),
            "a\n".into(),
            "a\nb".into(),
            "a\r\nb\r\n".into(),
            "a\rb\rc".into(),
            "a\r".into(),
            "b\n\n\na\n".into(),
            "--- a\n+++ b\n@@ -1 +1 @@\n".into(),
            "ünï\u{2028}code\n\u{85}".into(),
            many.replace("line 7\n", "").replace("line 40", "other\nlines"),
            many,
        ];
        for before in &texts {
            for after in &texts {
                let folder = tempfile::tempdir().unwrap();
                let file = folder.path().join("a b/f.txt");
                fs::create_dir(folder.path().join("a b")).unwrap();
                fs::write(&file, before).unwrap();
                let patch = diff(before, after);
                let mut process = Command::new("patch")
                    .args(["-p1", "--binary", "--silent", "--directory"])
                    .arg(folder.path())
                    .stdin(Stdio::piped())
                    .spawn()
                    .unwrap();
                process.stdin.take().unwrap().write_all(patch.as_bytes()).unwrap();
                assert!(process.wait().unwrap().success() || patch.is_empty(), "{patch}");
                // A file that becomes empty may be deleted.
                let patched = fs::read_to_string(&file).unwrap_or_default();
                assert_eq!(&patched, after, "{patch}");
            }
        }
    }
}
