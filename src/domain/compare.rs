//! Where several JSON values differ. The libraries compare two; here are as many as there are executions.

use std::collections::HashSet;

use serde_json::Value;

/// A place where values differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// An RFC 6901 pointer; empty for the whole value.
    pub path: String,
    /// What each value has there: null where it has nothing.
    pub values: Vec<Value>,
}

/// The places where values differ, in the order of the first that has them, at most `max`; and whether there are more.
///
/// Objects are compared by their fields and lists by position, as long as all values have one there; what is missing
/// counts as null. Numbers are the same when they are written the same.
pub fn differences(values: &[Value], max: usize) -> (Vec<Difference>, bool) {
    let mut found = Found { differences: Vec::new(), max, has_more: false };
    found.compare(&mut String::new(), &values.iter().collect::<Vec<_>>());
    (found.differences, found.has_more)
}

struct Found {
    differences: Vec<Difference>,
    max: usize,
    has_more: bool,
}

impl Found {
    fn compare(&mut self, path: &mut String, values: &[&Value]) {
        if self.has_more || values.windows(2).all(|pair| pair[0] == pair[1]) {
            return;
        }
        if let Some(objects) = all(values, Value::as_object) {
            let mut seen = HashSet::new();
            for key in objects.iter().flat_map(|object| object.keys()).filter(|key| seen.insert(*key)) {
                let below = objects.iter().map(|object| object.get(key).unwrap_or(&Value::Null));
                self.compare_below(
                    path,
                    &key.replace('~', "~0").replace('/', "~1"),
                    &below.collect::<Vec<_>>(),
                );
            }
        } else if let Some(lists) = all(values, Value::as_array) {
            for index in 0..lists.iter().map(|list| list.len()).max().unwrap_or(0) {
                let below = lists.iter().map(|list| list.get(index).unwrap_or(&Value::Null));
                self.compare_below(path, &index.to_string(), &below.collect::<Vec<_>>());
            }
        } else if self.differences.len() == self.max {
            self.has_more = true;
        } else {
            let values = values.iter().map(|value| (*value).clone()).collect();
            self.differences.push(Difference { path: path.clone(), values });
        }
    }

    fn compare_below(&mut self, path: &mut String, token: &str, values: &[&Value]) {
        let length = path.len();
        path.push('/');
        path.push_str(token);
        self.compare(path, values);
        path.truncate(length);
    }
}

/// All of the values as the kind that they have in common, if they do.
fn all<'v, T>(values: &[&'v Value], as_kind: impl Fn(&'v Value) -> Option<T>) -> Option<Vec<T>> {
    values.iter().map(|value| as_kind(value)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(values: &[Value]) -> Vec<String> {
        differences(values, 100).0.into_iter().map(|difference| difference.path).collect()
    }

    #[test]
    fn differences_are_as_deep_as_values_are_alike() {
        let left = json!({ "a/b": 1, "same": [1, { "x": 2 }], "list": [1, 2], "kind": {}, "gone": true, "m~n": "1" });
        let right = json!({ "same": [1, { "x": 2 }], "list": [1, 3, 4], "kind": [], "m~n": 1, "new": null, "a/b": 1 });
        assert_eq!(paths(&[left.clone(), right.clone()]), ["/list/1", "/list/2", "/kind", "/gone", "/m~0n"]);
        assert_eq!(paths(&[left.clone(), left]), Vec::<String>::new());
        assert_eq!(
            differences(&[json!(1), json!(2), json!(1)], 100).0[0].values,
            [json!(1), json!(2), json!(1)]
        );
        assert_eq!(paths(&[json!({ "a": 1 }), Value::Null]), [""], "the whole value");
        assert_eq!(paths(&[json!({ "a/b": 1 }), json!({ "a/b": 2 })]), ["/a~1b"]);
    }

    #[test]
    fn what_a_pointer_points_at_is_what_is_shown_and_nothing_else_differs() {
        let mut state = 1_u64;
        let mut random = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        for _ in 0..500 {
            let values: Vec<_> = (0..3).map(|_| any(&mut random, 3)).collect();
            let (found, has_more) = differences(&values, usize::MAX);
            assert!(!has_more);
            let mut same = values.clone();
            for Difference { path, values: shown } in &found {
                for (value, shown) in values.iter().zip(shown) {
                    assert_eq!(value.pointer(path).unwrap_or(&Value::Null), shown, "{path} of {value}");
                }
                assert!(shown.iter().any(|value| value != &shown[0]));
                for value in &mut same {
                    if let Some(place) = value.pointer_mut(path) {
                        *place = Value::Null;
                    }
                }
            }
            assert_eq!(
                differences(&same, 1),
                (Vec::new(), false),
                "without them, these are the same: {values:?}"
            );
            if found.len() > 1 {
                assert_eq!(differences(&values, 1), (found[..1].to_vec(), true));
            }
        }
    }

    fn any(random: &mut impl FnMut(u64) -> u64, depth: u64) -> Value {
        let keys = ["a", "b/c", "d~e", ""];
        match random(if depth == 0 { 3 } else { 6 }) {
            0 => Value::Null,
            1 => json!(random(2)),
            2 => json!("text"),
            3 => (0..random(3)).map(|_| any(random, depth - 1)).collect(),
            _ => {
                let mut fields = serde_json::Map::new();
                for _ in 0..random(4) {
                    let key = keys[usize::try_from(random(4)).unwrap()];
                    fields.insert(key.to_owned(), any(random, depth - 1));
                }
                Value::Object(fields)
            }
        }
    }
}
