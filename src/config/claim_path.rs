//! Where a claim is in a token.

use std::fmt;

use serde_json::{Map, Value};

/// A path into a token's claims: `app_metadata.org_id`, or one whole name such as `https://example.com/org`.
///
/// Its names are safe to put between single quotes in SQL, because the row-level-security policy reads the same path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath(Vec<String>);

impl ClaimPath {
    /// Reads a path. An error completes the sentence "it must be …".
    pub fn parse(value: &str) -> Result<Self, String> {
        let is_url = value.starts_with("https://") || value.starts_with("http://");
        let names: Vec<&str> = if is_url { vec![value] } else { value.split('.').collect() };
        let is_valid = if is_url { is_url_name } else { is_name };
        if !names.iter().all(|name| is_valid(name)) {
            return Err("names of letters, digits, - and _ joined by dots, such as app_metadata.org_id, or one claim \
                        name that begins with https://"
                .into());
        }
        Ok(Self(names.into_iter().map(str::to_owned).collect()))
    }

    /// The names, outermost first; never empty.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// What the claims have there; a JSON `null` counts as nothing.
    pub fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let (first, rest) = self.0.split_first()?;
        let found = rest.iter().try_fold(claims.get(first)?, |value, name| value.as_object()?.get(name))?;
        (!found.is_null()).then_some(found)
    }

    /// Puts a value there, making objects on the way.
    pub fn set(&self, claims: &mut Map<String, Value>, value: Value) {
        let Some((last, parents)) = self.0.split_last() else { return };
        let mut object = claims;
        for name in parents {
            let next = object.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(next) = next else { return };
            object = next;
        }
        object.insert(last.clone(), value);
    }
}

/// A name cannot begin with a digit: PostgreSQL would read it as an index into an array.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

fn is_url_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '\'' | '"' | '\\' | '{' | '}' | ','))
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_is_names_or_one_url() {
        assert_eq!(ClaimPath::parse("a.b-c").unwrap().names(), ["a", "b-c"]);
        assert_eq!(ClaimPath::parse("https://x.example/org").unwrap().names(), ["https://x.example/org"]);
        for wrong in ["", ".", "a.", "a..b", "a.0", "a b", "it's", "https://x/'", "https://x y"] {
            assert!(ClaimPath::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_set_is_found() {
        for path in ["org", "a.b.c"] {
            let path = ClaimPath::parse(path).unwrap();
            let mut claims = json!({ "a": { "x": 1 } }).as_object().unwrap().clone();
            assert_eq!(path.find(&claims), None);
            path.set(&mut claims, json!("acme"));
            assert_eq!(path.find(&claims), Some(&json!("acme")));
            assert_eq!(claims["a"]["x"], 1);
        }
    }
}
