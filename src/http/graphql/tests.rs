//! What HTTP promises beyond the official audits (`tests/clients/audit.mjs`), on a real connection.

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::auth::toy::token;
use crate::http::toy::Server;
use crate::http::{TransportSettings, toy};

async fn server() -> Server {
    Server::start(toy::settings()).await
}

fn post(server: &Server, params: &Value) -> RequestBuilder {
    Client::new().post(server.url()).header("accept", "application/graphql-response+json").json(params)
}

fn as_alice(request: RequestBuilder) -> RequestBuilder {
    request.bearer_auth(token("alice", "acme", 60_000))
}

async fn body(response: Response) -> Value {
    response.json().await.unwrap()
}

async fn answer(server: &Server, query: &str) -> Value {
    body(as_alice(post(server, &json!({ "query": query }))).send().await.unwrap()).await
}

#[tokio::test]
async fn a_mutation_that_is_repeated_runs_once() {
    let server = server().await;
    let start = "startExecution(input: { name: \"x\" }) { execution { id } }";
    let answer = answer(&server, &format!("mutation {{ {start} {start} {start} }}")).await;
    assert_eq!(answer, json!({ "data": { "startExecution": { "execution": { "id": "1" } } } }));
    assert_eq!(server.started.count(), 1);
}

#[tokio::test]
async fn what_is_refused_has_not_begun() {
    let server = server().await;
    let start = "startExecution(input: { name: \"x\" }) { execution { id } }";
    for query in [
        format!("mutation {{ {start} noSuchField }}"),
        format!("mutation($a: Int!) {{ {start} }}"),
        format!("mutation {{ {start} ...F }} fragment F on Mutation {{ {start} }}"),
    ] {
        let answer = answer(&server, &query).await;
        assert!(answer.get("data").is_none(), "{answer}");
    }
    assert_eq!(server.started.count(), 0);
}

#[tokio::test]
async fn a_nullable_field_that_fails_is_null_and_the_rest_stays() {
    let server = server().await;
    let answer = answer(&server, "{ viewer { userId } execution(id: \"broken\") { id } }").await;
    assert_eq!(answer["data"], json!({ "viewer": { "userId": "alice" }, "execution": null }));
    let error = &answer["errors"][0];
    assert_eq!(error["path"], json!(["execution"]));
    assert_eq!(error["extensions"]["code"], "INTERNAL");
    assert_eq!(error["extensions"]["retryable"], true);
    assert!(!answer.to_string().contains("disk"), "internal text left the server: {answer}");
}

#[tokio::test]
async fn a_field_that_may_not_be_null_takes_its_parent_with_it_and_is_still_an_execution() {
    let server = server().await;
    let response = as_alice(post(&server, &json!({ "query": "{ viewer { userId } broken }" })));
    let response = response.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let answer = body(response).await;
    assert_eq!(answer["data"], Value::Null);
    assert!(answer.as_object().unwrap().contains_key("data"));
    assert_eq!(answer["errors"][0]["extensions"]["code"], "CONFLICT");
}

#[tokio::test]
async fn a_panic_and_a_foreign_error_say_nothing_of_their_cause() {
    let server = server().await;
    for query in ["{ panics }", "{ leaky }"] {
        let answer = answer(&server, query).await;
        assert_eq!(answer["data"], Value::Null, "{query}");
        assert_eq!(answer["errors"][0]["extensions"]["code"], "INTERNAL", "{query}");
        assert!(!answer.to_string().contains("password"), "{answer}");
        assert!(!answer.to_string().contains("this resolver"), "{answer}");
    }
    assert_eq!(answer(&server, "{ __typename }").await, json!({ "data": { "__typename": "Query" } }));
}

#[tokio::test]
async fn an_answer_has_at_most_25_errors() {
    let server = server().await;
    let answer = answer(&server, "{ many(count: 100) }").await;
    assert_eq!(answer["errors"].as_array().unwrap().len(), 25);
    assert_eq!(answer["data"]["many"].as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn the_request_id_of_an_error_is_the_header_and_nobody_elses() {
    let server = server().await;
    let request = post(&server, &json!({ "query": "{ viewer { userId } }" })).header("x-request-id", "mine");
    let response = request.send().await.unwrap();
    let request_id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(request_id.len(), 36);
    assert_eq!(body(response).await["errors"][0]["extensions"]["requestId"], request_id);
}

#[tokio::test]
async fn a_token_that_has_expired_is_401_with_a_challenge() {
    let server = server().await;
    let request = post(&server, &json!({ "query": "{ __typename }" }));
    let response = request.bearer_auth(token("alice", "acme", -1)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(response.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    assert_eq!(body(response).await["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_body_without_a_length_is_cut_at_8_mib() {
    let server = server().await;
    let mut connection = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let head = "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    connection.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("100000\r\n{}\r\n", " ".repeat(0x10_0000));
    for _ in 0..9 {
        if connection.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let mut answer = [0; 12];
    connection.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

/// A multipart body; each part is a name, an optional file name, and its content.
fn multipart(server: &Server, parts: &[(&str, Option<&str>, &str)]) -> RequestBuilder {
    let mut body = String::new();
    for (name, filename, content) in parts {
        let filename = filename.map(|filename| format!("; filename=\"{filename}\"")).unwrap_or_default();
        body += &format!(
            "--cut\r\ncontent-disposition: form-data; name=\"{name}\"{filename}\r\n\r\n{content}\r\n"
        );
    }
    let request = Client::new().post(server.url()).header("accept", "application/graphql-response+json");
    request.header("content-type", "multipart/form-data; boundary=cut").body(body + "--cut--\r\n")
}

const UPLOAD: &str =
    r#"{"query":"mutation($file: Upload!) { upload(file: $file) }","variables":{"file":null}}"#;

#[tokio::test]
async fn a_file_reaches_its_resolver() {
    let server = server().await;
    let parts = [
        ("operations", None, UPLOAD),
        ("map", None, r#"{"0":["variables.file"]}"#),
        ("0", Some("a.txt"), "hello"),
    ];
    let request = as_alice(multipart(&server, &parts)).header("graphql-require-preflight", "1");
    assert_eq!(body(request.send().await.unwrap()).await, json!({ "data": { "upload": "a.txt 5" } }));
}

#[tokio::test]
async fn a_multipart_request_that_is_not_whole_is_400() {
    let server = server().await;
    let (operations, map) = (("operations", None, UPLOAD), ("map", None, r#"{"0":["variables.file"]}"#));
    let file = ("0", Some("a.txt"), "hello");
    let many: String = (0..11).map(|index| format!("\"{index}\":[],")).collect();
    let many = format!("{{{}}}", many.trim_end_matches(','));
    for (parts, status) in [
        (vec![], StatusCode::BAD_REQUEST),
        (vec![operations], StatusCode::BAD_REQUEST),
        (vec![map, operations, file], StatusCode::BAD_REQUEST),
        (vec![operations, map], StatusCode::BAD_REQUEST),
        (vec![operations, map, file, file], StatusCode::BAD_REQUEST),
        (vec![operations, ("map", None, r#"{"0":["variables.nothing"]}"#), file], StatusCode::BAD_REQUEST),
        (vec![operations, ("map", None, "[]"), file], StatusCode::BAD_REQUEST),
        (vec![operations, ("map", None, &many), file], StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let request = as_alice(multipart(&server, &parts)).header("graphql-require-preflight", "1");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{parts:?}");
        assert!(body(response).await["errors"][0]["extensions"]["code"].is_string());
    }
}

#[tokio::test]
async fn files_need_the_preflight_header_and_a_token() {
    let server = server().await;
    let parts = [
        ("operations", None, UPLOAD),
        ("map", None, r#"{"0":["variables.file"]}"#),
        ("0", Some("a.txt"), "hello"),
    ];
    let response = as_alice(multipart(&server, &parts)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let request = multipart(&server, &parts).header("graphql-require-preflight", "1");
    assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn other_origins_may_call_only_when_they_are_named() {
    let preflight = |server: &Server| {
        let request = Client::new().request(reqwest::Method::OPTIONS, server.url());
        request
            .header("origin", "https://dashboard.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization, content-type")
            .send()
    };
    let closed = server().await;
    let response = preflight(&closed).await.unwrap();
    assert!(!response.headers().contains_key("access-control-allow-origin"));

    let allowed_origins = crate::config::AllowedOrigins::These(vec!["https://dashboard.example".into()]);
    let open = Server::start(TransportSettings { allowed_origins, ..toy::settings() }).await;
    let response = preflight(&open).await.unwrap();
    assert_eq!(response.headers()["access-control-allow-origin"], "https://dashboard.example");
    assert!(!response.headers().contains_key("access-control-allow-credentials"));
    let response = post(&open, &json!({ "query": "{ __typename }" }))
        .header("origin", "https://dashboard.example")
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["access-control-expose-headers"], "x-request-id");
}
