//! What a generation's `manifest.json` says of it, as far as Runledger has a place for it.
//!
//! Many tools have written such files. Each thing has several names; what is unknown, or of another type than it should
//! be, is left alone. The file itself stays one of the project's files.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use chrono::{DateTime, NaiveDateTime};
use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::domain::limits::GENERATION_MESSAGE_BYTES_MAX;

/// Its name.
const FILE: &str = "manifest.json";
/// A larger one is no description.
const BYTES_MAX: u64 = 1024 * 1024;

/// What is known of a generation besides its files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Described {
    pub project: Option<String>,
    pub version: Option<u64>,
    pub message: Option<String>,
    pub created_at: Option<Timestamp>,
}

/// Reads what is in `folder`; nothing when there is no such file.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn read(folder: &Path) -> Result<Described, String> {
    let path = folder.join(FILE);
    // A link is refused with the folder that it is in.
    if !path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Ok(Described::default());
    }
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut text))
        .map_err(|error| format!("{FILE} cannot be read: {error}"))?;
    if text.len() as u64 > BYTES_MAX {
        return Err(format!("{FILE} is not read: it has more than {BYTES_MAX} bytes"));
    }
    let fields =
        serde_json::from_slice(&text).map_err(|error| format!("{FILE} is no JSON object: {error}"))?;
    Ok(describe(&fields))
}

fn describe(fields: &Map<String, Value>) -> Described {
    Described {
        project: first(fields, &["project_id", "projectId", "project"], text),
        version: first(fields, &["version", "version_number", "versionNumber"], version),
        message: first(fields, &["message", "prompt", "description"], text).map(|text| message(&text)),
        created_at: first(fields, &["created_at", "createdAt", "created", "generated_at", "timestamp"], time),
    }
}

fn first<T>(fields: &Map<String, Value>, names: &[&str], read: impl Fn(&Value) -> Option<T>) -> Option<T> {
    names.iter().find_map(|name| fields.get(*name).and_then(&read))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `3`, `"3"` or `"v3"`.
fn version(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.strip_prefix('v').unwrap_or(text).parse().ok(),
        value => value.as_u64(),
    }
}

/// As much as a server takes.
fn message(text: &str) -> String {
    let mut text = text.replace('\0', "");
    text.truncate(text.floor_char_boundary(GENERATION_MESSAGE_BYTES_MAX.to_usize()));
    text
}

/// RFC 3339, the same without a time zone (UTC then), or seconds since 1970.
fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => DateTime::parse_from_rfc3339(text).map_or_else(
            |_| text.parse().ok().map(|time: NaiveDateTime| time.and_utc()),
            |time| Some(time.to_utc()),
        ),
        #[expect(clippy::cast_possible_truncation, reason = "a time that does not fit is none")]
        value => DateTime::from_timestamp_micros((value.as_f64()? * 1e6) as i64),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn described(text: &str) -> Result<Described, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), text).unwrap();
        read(folder.path())
    }

    #[test]
    fn what_is_no_description_is_told_and_harms_nobody() {
        for bad in ["", "{", "[]", "\"x\"", "{\"a\":1}x", &format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20))] {
            assert!(described(bad).is_err(), "{bad:.20}");
        }
        let odd =
            r#"{"project_id": {"x": 1}, "version": -1, "message": [], "created_at": true, "other": null}"#;
        assert_eq!(described(odd).unwrap(), Described::default());
        assert_eq!(described(r#"{"created_at": 1e300, "version": 1.5}"#).unwrap().version, None);

        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), Described::default());
        symlink("/dev/zero", folder.path().join(FILE)).unwrap();
        assert_eq!(read(folder.path()).unwrap(), Described::default());
    }

    #[test]
    fn each_thing_is_known_by_its_usual_names() {
        let time = "2025-03-04T05:06:07.5Z".parse().unwrap();
        let expected = Described {
            project: Some("shop".into()),
            version: Some(3),
            message: Some("Add a cart".into()),
            created_at: Some(time),
        };
        for text in [
            r#"{"project_id":"shop","version":3,"message":"Add a cart","created_at":"2025-03-04T05:06:07.500Z","files":[]}"#,
            r#"{"projectId":"shop","version":"v3","prompt":"Add a cart","createdAt":"2025-03-04T06:06:07.5+01:00"}"#,
            r#"{"project":"shop","version":"3","message":" ","prompt":"Add a cart","created":"2025-03-04T05:06:07.500000"}"#,
            r#"{"project":"shop","versionNumber":3,"description":"Add a cart","timestamp":1741064767.5}"#,
        ] {
            assert_eq!(described(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_long_message_is_cut_between_two_characters() {
        let max = GENERATION_MESSAGE_BYTES_MAX.to_usize();
        let text = format!(r#"{{"message":"a\u0000{}"}}"#, "é".repeat(max));
        let message = described(&text).unwrap().message.unwrap();
        assert_eq!(message.len(), max - 1);
        assert!(message.starts_with("aé"));
    }
}
