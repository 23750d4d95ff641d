//! Answers as JSON text.

use async_graphql::Value;
use async_graphql_value::RAW_VALUE_TOKEN;
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

/// A value of an answer. What is in it as JSON text ([`super::scalars::Json::from_text`]) was written by this program, or checked
/// before it was stored or when it was read; async-graphql would copy and check it once more.
pub(super) struct Trusted<'v>(pub(super) &'v Value);

impl Serialize for Trusted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::List(items) => serializer.collect_seq(items.iter().map(Trusted)),
            Value::Object(fields) => match fields.get(RAW_VALUE_TOKEN) {
                Some(Value::String(text)) if fields.len() == 1 => {
                    // How serde_json is told that a text is JSON: https://docs.rs/serde_json/1/src/serde_json/raw.rs.html
                    let mut raw = serializer.serialize_struct(RAW_VALUE_TOKEN, 1)?;
                    raw.serialize_field(RAW_VALUE_TOKEN, text)?;
                    raw.end()
                }
                _ => serializer.collect_map(fields.iter().map(|(name, value)| (name, Trusted(value)))),
            },
            leaf => leaf.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::{Name, Response, ServerError, value};

    use super::*;
    use crate::graphql::engine::Outcome;
    use crate::graphql::scalars::Json;

    #[test]
    fn text_that_is_json_stands_in_an_answer_as_it_is() {
        let mut answer = value!({ "a": [1, null, { "b": "c\"d" }], "e": true });
        let Value::Object(fields) = &mut answer else { unreachable!("it is one") };
        fields.insert(Name::new("raw"), Json::from_text(r#"{ "x" : 1.50 }"#.to_owned()).into_value());
        let text = serde_json::to_string(&Trusted(&answer)).expect("it is written");
        assert_eq!(text, r#"{"a":[1,null,{"b":"c\"d"}],"e":true,"raw":{ "x" : 1.50 }}"#);
    }

    #[test]
    fn an_answer_with_everything_reads_as_async_graphqls_own() {
        let mut response =
            Response::new(value!({ "a": null, "b": [{ "c": 1.5 }] })).extension("x", value!([1]));
        response.errors.push(ServerError::new("it failed", None));
        let own = serde_json::to_string(&response).expect("it is written");
        let written = serde_json::to_string(&Outcome::Executed(response)).expect("it is written");
        assert_eq!(written, own);
    }
}
