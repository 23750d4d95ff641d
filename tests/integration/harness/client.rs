//! A caller of the HTTP API.

use std::fmt;

use serde_json::{Value, json};

use super::Server;

/// One caller: a token, or none, and a server.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    server: Server,
    http: reqwest::Client,
    token: Option<String>,
}

/// An HTTP answer, whatever it says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

/// Why a request was refused: the `errors` of an answer.
#[derive(Clone)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) errors: Vec<Value>,
}

impl Client {
    pub(crate) fn new(server: &Server, token: Option<String>) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client needs nothing");
        Self { server: server.clone(), http, token }
    }

    /// Another caller of the same server.
    pub(crate) fn with_token(&self, token: Option<String>) -> Self {
        Self { token, ..self.clone() }
    }

    /// The same caller at another server.
    pub(crate) fn at(&self, server: &Server) -> Self {
        Self { server: server.clone(), ..self.clone() }
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The data of an operation that succeeds.
    pub(crate) async fn query(&self, document: &str, variables: Value) -> Value {
        match self.try_query(document, variables).await {
            Ok(data) => data,
            Err(refusal) => panic!("refused: {refusal:?}\nin: {document}"),
        }
    }

    /// The refusal of an operation that must not succeed.
    pub(crate) async fn refused(&self, document: &str, variables: Value) -> Refusal {
        match self.try_query(document, variables).await {
            Ok(data) => panic!("not refused, but answered with {data}\nin: {document}"),
            Err(refusal) => refusal,
        }
    }

    /// The data, when there are no errors with it.
    pub(crate) async fn try_query(&self, document: &str, variables: Value) -> Result<Value, Refusal> {
        let answer = self.try_post(document, variables).await.expect("the server answers");
        answer.into_result()
    }

    /// As [`Client::try_query`], for callers that expect the server to go away.
    pub(crate) async fn try_post(&self, document: &str, variables: Value) -> reqwest::Result<Answer> {
        let body = json!({ "query": document, "variables": variables }).to_string();
        self.send(body.into_bytes()).await
    }

    /// Posts any bytes as `application/json`.
    pub(crate) async fn post(&self, body: impl Into<Vec<u8>>) -> Answer {
        self.send(body.into()).await.expect("the server answers")
    }

    /// Posts a GraphQL multipart request with one file, the value of the variables at `paths`.
    pub(crate) async fn upload(
        &self,
        operations: &Value,
        paths: &[&str],
        file: &[u8],
    ) -> reqwest::Result<Answer> {
        const BOUNDARY: &str = "no-test-sends-this";
        let part = |name: &str| format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"");
        let mut body = format!(
            "{}\r\n\r\n{operations}\r\n{}\r\n\r\n{}\r\n{}; filename=\"project.tar.gz\"\r\n\r\n",
            part("operations"),
            part("map"),
            json!({ "file": paths }),
            part("file"),
        )
        .into_bytes();
        body.extend_from_slice(file);
        body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
        self.send_as(&format!("multipart/form-data; boundary={BOUNDARY}"), body).await
    }

    async fn send(&self, body: Vec<u8>) -> reqwest::Result<Answer> {
        self.send_as("application/json", body).await
    }

    async fn send_as(&self, content_type: &str, body: Vec<u8>) -> reqwest::Result<Answer> {
        let mut request = self
            .http
            .post(format!("{}/graphql", self.server.url()))
            .header("content-type", content_type)
            .header("accept", "application/json")
            .header("graphql-require-preflight", "1")
            .body(body);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        let body = serde_json::from_str(&text)
            .unwrap_or_else(|_| panic!("{status} with a body of JSON, not: {text}"));
        Ok(Answer { status, body })
    }
}

impl Answer {
    pub(crate) fn into_result(self) -> Result<Value, Refusal> {
        match self.body.get("errors") {
            None => Ok(self.body["data"].clone()),
            Some(errors) => Err(Refusal {
                status: self.status,
                errors: errors.as_array().expect("errors are a list").clone(),
            }),
        }
    }

    /// The refusal in an answer that must be one.
    pub(crate) fn refusal(self) -> Refusal {
        self.into_result().expect_err("the answer is a refusal")
    }
}

impl Refusal {
    /// The refusal that stands for a socket that was closed instead of an answer.
    pub(crate) fn with_code(code: &str) -> Self {
        Self { status: 200, errors: vec![json!({ "message": code, "extensions": { "code": code } })] }
    }

    /// The code of the first error.
    pub(crate) fn code(&self) -> &str {
        self.extension("code").as_str().unwrap_or("(no code)")
    }

    /// The part of the input that the first error is about.
    pub(crate) fn field(&self) -> Option<&str> {
        self.extension("field").as_str()
    }

    pub(crate) fn message(&self) -> &str {
        self.errors[0]["message"].as_str().expect("an error has a message")
    }

    fn extension(&self, name: &str) -> &Value {
        &self.errors[0]["extensions"][name]
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, Value::from(self.errors.clone()))
    }
}
