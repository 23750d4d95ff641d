//! A small GraphQL-over-HTTP client, for the commands that talk to a Runledger server.
//!
//! One call is one `POST`. The client never tries again by itself: it says by [`ClientError::retryable`] whether that
//! could help, and the caller, who knows whether its operation is idempotent, decides. It follows no redirects (a
//! redirected `POST` would arrive as a `GET`) and uses no proxy for a server on this machine, whatever `HTTP_PROXY`
//! says.

mod error;
mod export;
mod token;
mod upload;

use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{RequestBuilder, Url, redirect};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::Code;

pub use error::ClientError;
pub use export::Export;
pub use token::TokenSource;
pub use upload::Upload;

use error::GraphqlError;
use token::Tokens;

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call may take, from the first byte sent to the last byte received.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// An answer larger than this is refused, so that a wrong address cannot fill the memory.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A connection to one server, with one identity.
pub struct Client {
    http: reqwest::Client,
    endpoint: Url,
    tokens: Tokens,
}

impl Client {
    /// For the server at `server`, for example `http://127.0.0.1:8080`. Nothing is sent yet.
    pub fn new(server: &Url, token: TokenSource) -> Result<Self, ClientError> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("runledger/", env!("CARGO_PKG_VERSION")));
        if is_loopback(server) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(ClientError::setup)?;
        Ok(Self { http, endpoint: endpoint(server), tokens: Tokens::new(token) })
    }

    /// Runs `document` with `variables` and returns its `data`. An answer with any error in it is an error.
    pub async fn graphql<T: DeserializeOwned>(
        &self,
        document: &str,
        variables: impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(&Request { query: document, variables }).map_err(ClientError::setup)?;
        self.call(|| Ok(self.post()?.header(CONTENT_TYPE, "application/json").body(body.clone()))).await
    }

    /// [`graphql`](Self::graphql) with a file. It may take longer: as long as a slow connection needs for a file of this
    /// size.
    pub async fn graphql_with_file<T: DeserializeOwned>(
        &self,
        document: &str,
        variables: impl Serialize,
        upload: &Upload,
    ) -> Result<T, ClientError> {
        let operations = Request { query: document, variables };
        self.call(|| {
            let multipart = upload.body(&operations)?;
            Ok(self
                .post()?
                .header(CONTENT_TYPE, multipart.content_type)
                .header(CONTENT_LENGTH, multipart.content_length)
                .header("graphql-require-preflight", "1")
                .timeout(multipart.timeout)
                .body(multipart.body))
        })
        .await
    }

    fn post(&self) -> Result<RequestBuilder, ClientError> {
        let accept = "application/graphql-response+json, application/json;q=0.9";
        Ok(self.http.post(self.endpoint.clone()).bearer_auth(self.tokens.token()?).header(ACCEPT, accept))
    }

    /// Makes a call, once more when its token was refused and there can be a better one: the secret may have been
    /// replaced since the token was signed.
    async fn call<T: DeserializeOwned>(
        &self,
        request: impl Fn() -> Result<RequestBuilder, ClientError>,
    ) -> Result<T, ClientError> {
        match self.send(request()?).await {
            Err(error) if error.is(Code::Unauthenticated) && self.tokens.renew() => {
                self.send(request()?).await
            }
            answer => answer,
        }
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let mut response = request.send().await.map_err(ClientError::transport)?;
        let status = response.status();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);

        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(ClientError::transport)? {
            if text.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(ClientError::answer(format!(
                    "the answer is larger than {ANSWER_BYTES_MAX} bytes"
                )));
            }
            text.extend_from_slice(&chunk);
        }
        read_answer(status, &text).map_err(|error| error.after(retry_after))
    }
}

#[derive(Serialize)]
struct Request<'a, V> {
    query: &'a str,
    variables: V,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    errors: Vec<GraphqlError>,
}

/// The body decides when it is GraphQL, whatever the status; else the status does.
fn read_answer<T: DeserializeOwned>(status: reqwest::StatusCode, text: &[u8]) -> Result<T, ClientError> {
    let answer: Answer<'_> = match serde_json::from_slice(text) {
        Ok(answer) => answer,
        Err(_) if !status.is_success() => return Err(ClientError::http(status)),
        Err(error) if error.is_eof() => return Err(ClientError::cut_off()),
        Err(_) => return Err(ClientError::answer("the server does not answer as a GraphQL server would")),
    };
    if let Some(error) = answer.errors.into_iter().next() {
        return Err(error.into());
    }
    match answer.data {
        Some(data) => serde_json::from_str(data.get())
            .map_err(|error| ClientError::answer(format!("the server's answer is not as expected: {error}"))),
        None if status.is_success() => {
            Err(ClientError::answer("the server's answer has neither data nor errors"))
        }
        None => Err(ClientError::http(status)),
    }
}

/// Whether the server is on this machine, so that its data folder may be here too.
pub fn is_loopback(server: &Url) -> bool {
    let Some(host) = server.host_str() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// `/graphql` below the server's address; an address that ends with it already is taken as it is.
fn endpoint(server: &Url) -> Url {
    let mut url = server.clone();
    let path = url.path().trim_end_matches('/');
    if !path.ends_with("/graphql") {
        let path = format!("{path}/graphql");
        url.set_path(&path);
    }
    url
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use serde_json::Value;

    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn the_endpoint_is_below_the_address_of_the_server() {
        assert_eq!(endpoint(&url("http://127.0.0.1:8080")).as_str(), "http://127.0.0.1:8080/graphql");
        assert_eq!(endpoint(&url("https://h.example/ledger/")).as_str(), "https://h.example/ledger/graphql");
        assert_eq!(endpoint(&url("https://h.example/graphql")).as_str(), "https://h.example/graphql");
    }

    #[test]
    fn loopback_is_recognised_in_all_its_spellings() {
        for yes in ["http://localhost:1", "http://127.0.0.1", "http://127.8.0.1:2", "http://[::1]:8080"] {
            assert!(is_loopback(&url(yes)), "{yes}");
        }
        for no in ["http://192.0.2.1", "http://localhost.example", "http://[2001:db8::1]"] {
            assert!(!is_loopback(&url(no)), "{no}");
        }
    }

    fn error(status: u16, text: &str) -> ClientError {
        read_answer::<Value>(StatusCode::from_u16(status).unwrap(), text.as_bytes()).unwrap_err()
    }

    #[test]
    fn the_servers_own_words_decide_whether_to_try_again() {
        let text = r#"{"data":null,"errors":[{"message":"busy","extensions":{"code":"UNAVAILABLE","retryable":true}}]}"#;
        let busy = error(200, text);
        assert!(busy.is(Code::Unavailable) && busy.retryable);
        assert_eq!(busy.message, "busy");

        let text =
            r#"{"errors":[{"message":"who?","extensions":{"code":"UNAUTHENTICATED","retryable":false}}]}"#;
        let who = error(401, text);
        assert!(who.is(Code::Unauthenticated) && !who.retryable);

        assert!(!error(400, r#"{"errors":[{"message":"Unknown field"}]}"#).retryable);
    }

    #[test]
    fn without_graphql_in_the_answer_its_status_decides() {
        assert!(error(502, "<html>bad gateway</html>").retryable);
        assert!(error(503, "").retryable);
        assert!(error(429, "slow down").retryable);
        assert!(!error(404, "no such page").retryable);
        assert!(error(401, "").is(Code::Unauthenticated));
    }

    #[test]
    fn half_an_answer_is_worth_another_try_and_a_web_page_is_not() {
        assert!(error(200, r#"{"data":{"a":"#).retryable);
        assert!(!error(200, "<html>hello</html>").retryable);
        assert!(!error(200, "{}").retryable);
    }
}
