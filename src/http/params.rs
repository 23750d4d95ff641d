//! The parameters of a request, strictly: a parameter of another type is malformed, and so is a list of requests.
//! Bodies, URLs and `subscribe` messages have the same ones.

use std::collections::HashMap;

use async_graphql::Variables;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::domain::limits::REQUEST_VALUES_MAX;
use crate::error::Limit;
use crate::graphql::guard::Params;

/// What is wrong with the shape of a request.
#[derive(Debug)]
pub(super) struct Malformed {
    pub(super) field: &'static str,
    pub(super) message: String,
}

impl Malformed {
    fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: message.into() }
    }
}

/// As JSON bodies have them; `extensions` are checked and have no meaning here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<Variables>,
    #[serde(rename = "extensions")]
    _extensions: Option<HashMap<String, IgnoredAny>>,
}

/// From a JSON body, or the `operations` part of a multipart one.
pub(super) fn from_json(json: &[u8]) -> Result<Params, Malformed> {
    // serde would also read a struct from a list of its values.
    match json.trim_ascii_start().first() {
        Some(b'{') => {}
        Some(b'[') => return Err(Malformed::new("body", "send one request at a time, not a list")),
        _ => return Err(Malformed::new("body", "the body must be a JSON object")),
    }
    if REQUEST_VALUES_MAX.is_passed_by(values_at_most(json)) {
        let Limit { name, max } = REQUEST_VALUES_MAX;
        return Err(Malformed::new("body", format!("the body has too many values: {name} is {max}")));
    }
    let body: Body = serde_json::from_slice(json)
        .map_err(|error| Malformed::new("body", format!("the body is not a GraphQL request: {error}")))?;
    params(body.query, body.operation_name, body.variables)
}

/// How many values the JSON has, or a little more: each but the first of a list or object follows a comma.
fn values_at_most(json: &[u8]) -> usize {
    json.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count()
}

/// From the parameters of a URL.
pub(super) fn from_query_string(query_string: &str) -> Result<Params, Malformed> {
    let (mut query, mut operation_name, mut variables, mut extensions) = (None, None, None, None);
    for (name, value) in form_urlencoded::parse(query_string.as_bytes()) {
        let (name, parameter) = match &*name {
            "query" => ("query", &mut query),
            "operationName" => ("operationName", &mut operation_name),
            "variables" => ("variables", &mut variables),
            "extensions" => ("extensions", &mut extensions),
            _ => continue,
        };
        if parameter.replace(value.into_owned()).is_some() {
            return Err(Malformed::new(name, "the parameter is given twice"));
        }
    }
    json_parameter::<Option<HashMap<String, IgnoredAny>>>("extensions", extensions.as_deref())?;
    let variables = json_parameter::<Option<Variables>>("variables", variables.as_deref())?.flatten();
    params(query, operation_name, variables)
}

fn json_parameter<T: DeserializeOwned>(
    name: &'static str,
    json: Option<&str>,
) -> Result<Option<T>, Malformed> {
    json.map(serde_json::from_str)
        .transpose()
        .map_err(|error| Malformed::new(name, format!("the parameter is not a JSON object: {error}")))
}

fn params(
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<Variables>,
) -> Result<Params, Malformed> {
    let query = query.ok_or_else(|| Malformed::new("query", "the parameter is required"))?;
    Ok(Params { query, operation_name, variables: variables.unwrap_or_default(), uploads: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_has_its_type_or_is_null() {
        let accepted = [
            r#"{"query":"{a}"}"#,
            r#" {"query":"{a}","operationName":null,"variables":null,"extensions":null}"#,
            r#"{"query":"{a}","operationName":"A","variables":{"b":[1]},"extensions":{"c":1},"more":1}"#,
        ];
        for json in accepted {
            assert!(from_json(json.as_bytes()).is_ok(), "{json}");
        }
        let refused = [
            "",
            "null",
            "[]",
            r#"[{"query":"{a}"}]"#,
            r#"["{a}"]"#,
            "{",
            "{}",
            r#"{"query":null}"#,
            r#"{"query":1}"#,
            r#"{"query":"{a}","operationName":1}"#,
            r#"{"query":"{a}","variables":"{}"}"#,
            r#"{"query":"{a}","variables":[]}"#,
            r#"{"query":"{a}","extensions":[]}"#,
            r#"{"query":"{a}","extensions":"x"}"#,
            r#"{"query":"{a}","query":"{b}"}"#,
        ];
        for json in refused {
            assert!(from_json(json.as_bytes()).is_err(), "{json}");
        }
        assert!(from_json(b"{\"query\":\"\xff\"}").is_err(), "not UTF-8");
    }

    #[test]
    fn a_url_names_the_operation_and_carries_variables_as_json() {
        let params =
            from_query_string("query=query%20A%20%7Ba%7D&operationName=A&variables=%7B%22b%22%3A1%7D&x=y");
        let params = params.ok().unwrap();
        assert_eq!(params.query, "query A {a}");
        assert_eq!(params.operation_name.as_deref(), Some("A"));
        assert_eq!(params.variables.len(), 1);
        for refused in [
            "",
            "operationName=A",
            "query=%7Ba%7D&query=%7Bb%7D",
            "query=%7Ba%7D&variables=1",
            "query=%7Ba%7D&variables=%5B%5D",
            "query=%7Ba%7D&extensions=%22x%22",
        ] {
            assert!(from_query_string(refused).is_err(), "{refused}");
        }
    }
}
