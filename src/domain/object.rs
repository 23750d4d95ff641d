//! The names of objects: types that can only be made valid, so that nobody formats a path.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use entity::place::Place;

/// A bucket: 3 to 63 lower-case letters, digits and hyphens, which every storage takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bucket(String);

impl Bucket {
    /// Reads a name.
    ///
    /// # Errors
    /// What is allowed.
    pub fn parse(name: &str) -> Result<Self, String> {
        let plain =
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if plain && (3..=63).contains(&name.len()) && !name.starts_with('-') && !name.ends_with('-') {
            Ok(Self(name.to_owned()))
        } else {
            Err("must be 3 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends"
                .into())
        }
    }

    /// As storage knows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key of an object in its bucket: relative, of ASCII letters, digits and `/ - _ .`, without `..`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// How the keys of logs and visual sessions begin, and no others.
    pub const LOG_PREFIX: &str = "job-";

    /// The archive of a generation.
    pub fn generation(project_id: Uuid, version: i32, generation_id: Uuid) -> Self {
        Self(format!("{project_id}/generations/v{version}__{generation_id}.tar.gz"))
    }

    /// The source of a version of a code agent.
    pub fn source(code_agent_id: Uuid, number: i32) -> Self {
        Self(format!("code-blobs/{code_agent_id}/{number}.txt"))
    }

    /// The log of an execution.
    pub fn log(execution_id: Uuid) -> Self {
        Self(format!("{}{execution_id}.log", Self::LOG_PREFIX))
    }

    /// The visual session of an execution.
    pub fn visual(execution_id: Uuid) -> Self {
        Self(format!("{}{execution_id}.visual.ndjson", Self::LOG_PREFIX))
    }

    /// As storage knows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An object: its bucket and its key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectName {
    /// Where it is.
    pub bucket: Bucket,
    /// Its name there.
    pub key: ObjectKey,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.bucket, self.key)
    }
}

/// What the deletion of something leaves to be deleted in storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "camelCase")]
pub enum Doomed {
    /// The archive of a generation.
    #[serde(rename_all = "camelCase")]
    Archive { project_id: Uuid, version: i32, generation_id: Uuid },
    /// All sources of a code agent; whether cloud storage is known to have one.
    #[serde(rename_all = "camelCase")]
    Sources { code_agent_id: Uuid, in_cloud: bool },
    /// The log of an execution; whether that is in the cloud, if it is known.
    #[serde(rename_all = "camelCase")]
    Log { execution_id: Uuid, in_cloud: Option<bool> },
    /// The visual session of an execution, as its log.
    #[serde(rename_all = "camelCase")]
    Visual { execution_id: Uuid, in_cloud: Option<bool> },
}

/// What the keys of all sources of a code agent begin with.
pub fn sources_prefix(code_agent_id: Uuid) -> String {
    format!("code-blobs/{code_agent_id}/")
}

/// The number of the version that the key of a source names.
pub fn source_number(key: &str) -> Option<i32> {
    key.rsplit_once('/')?.1.strip_suffix(".txt")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_as_they_are_documented() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let archive = ObjectKey::generation(one, 3, two);
        assert_eq!(archive.as_str(), format!("{one}/generations/v3__{two}.tar.gz"));
        let source = ObjectKey::source(one, 12);
        assert_eq!(source.as_str(), format!("code-blobs/{one}/12.txt"));
        assert_eq!(ObjectKey::visual(two).as_str(), format!("job-{two}.visual.ndjson"));
        assert!(source.as_str().starts_with(&sources_prefix(one)));
        assert_eq!(source_number(source.as_str()), Some(12));
    }

    #[test]
    fn a_bucket_is_what_every_storage_takes() {
        for name in ["code-agents", "a1b", "0-0"] {
            assert!(Bucket::parse(name).is_ok(), "{name}");
        }
        for name in ["", "ab", "-ab", "ab-", "Ab1", "a_b", "a.b", "a/b", "é-é", &"a".repeat(64)] {
            assert!(Bucket::parse(name).is_err(), "{name}");
        }
    }
}
