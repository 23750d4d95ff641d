//! Supabase Storage for tests. It answers as storage-api 1.11 does, which was measured: nearly every error is HTTP 400 with
//! its meaning in the body.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    body::{Body, to_bytes},
    http::{Method, Request, Response},
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::faults::{Front, On, Storage, answer, locked, parameter};

/// A key of the new kind.
pub(crate) const SECRET_KEY: &str = "sb_secret_for_tests";
/// A legacy service_role key.
pub(crate) const LEGACY_KEY: &str = "eyJhbGciOiJIUzI1NiJ9.for-tests.only";
/// The limit of the project for one file.
pub(crate) const FILE_SIZE_LIMIT: u64 = 50 * 1024 * 1024;

const LINK_SECRET: &[u8] = b"signs the links of the fake";
const BASE_PATH: &str = "/storage/v1";

/// A Supabase project's storage.
pub(crate) struct FakeSupabase {
    front: Front,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    /// How ETags look when they are no MD5.
    has_opaque_etags: Mutex<bool>,
    buckets: Mutex<BTreeMap<String, BucketState>>,
    objects: Mutex<BTreeMap<(String, String), Stored>>,
}

#[derive(Debug, Clone, Default)]
struct BucketState {
    public: bool,
    file_size_limit: Option<u64>,
}

#[derive(Debug, Clone)]
struct Stored {
    bytes: Bytes,
    etag: String,
    content_type: String,
}

#[derive(Serialize, Deserialize)]
struct LinkClaims {
    url: String,
    exp: i64,
}

impl FakeSupabase {
    pub(crate) async fn start() -> Self {
        let inner = Arc::new(Inner::default());
        Self { front: Front::start(inner.clone()).await, inner }
    }

    /// What goes wrong, and what was asked.
    pub(crate) fn front(&self) -> &Front {
        &self.front
    }

    /// Makes a bucket with these properties, or changes one.
    pub(crate) fn set_bucket(&self, bucket: &str, public: bool, file_size_limit: Option<u64>) {
        locked(&self.inner.buckets).insert(bucket.into(), BucketState { public, file_size_limit });
    }

    /// Whether a bucket is there, and public.
    pub(crate) fn is_public(&self, bucket: &str) -> Option<bool> {
        locked(&self.inner.buckets).get(bucket).map(|found| found.public)
    }

    /// From now on, ETags are no checksums.
    pub(crate) fn use_opaque_etags(&self) {
        *locked(&self.inner.has_opaque_etags) = true;
    }

    /// All objects of a bucket.
    pub(crate) fn objects(&self, bucket: &str) -> BTreeMap<String, Vec<u8>> {
        let objects = locked(&self.inner.objects);
        let of_bucket = objects.iter().filter(|((found, _), _)| found == bucket);
        of_bucket.map(|((_, key), stored)| (key.clone(), stored.bytes.to_vec())).collect()
    }

    /// Changes a stored object behind the server's back.
    pub(crate) fn corrupt(&self, bucket: &str, key: &str) {
        let mut objects = locked(&self.inner.objects);
        let stored = objects.get_mut(&(bucket.into(), key.into())).expect("the object is there");
        let mut bytes = stored.bytes.to_vec();
        bytes[0] ^= 1;
        stored.bytes = bytes.into();
    }
}

impl Storage for Inner {
    fn kind(&self, request: &Request<Body>) -> On {
        match route(request) {
            Route::Upload(..) => On::Upload,
            Route::Download(..) | Route::Link(..) => On::Download,
            _ => On::Other,
        }
    }

    fn call(self: Arc<Self>, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        Box::pin(async move { self.answer(request).await.unwrap_or_else(Refusal::into_answer) })
    }
}

/// What is asked for.
enum Route {
    Bucket(String),
    CreateBucket,
    List(String),
    Info(String, String),
    Sign(String, String),
    Link(String, String),
    Upload(String, String),
    Download(String, String),
    Delete(String, String),
    Unknown,
}

fn route(request: &Request<Body>) -> Route {
    let Some(path) = request.uri().path().strip_prefix(BASE_PATH) else { return Route::Unknown };
    let names = |rest: &str| {
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        (bucket.to_owned(), key.to_owned())
    };
    let method = request.method();
    if path == "/bucket" && method == Method::POST {
        return Route::CreateBucket;
    }
    if let Some(bucket) = path.strip_prefix("/bucket/") {
        return Route::Bucket(bucket.into());
    }
    if let Some(bucket) = path.strip_prefix("/object/list-v2/") {
        return Route::List(bucket.into());
    }
    if let Some((bucket, key)) = path.strip_prefix("/object/info/").map(names) {
        return Route::Info(bucket, key);
    }
    if let Some((bucket, key)) = path.strip_prefix("/object/sign/").map(names) {
        return if method == Method::POST { Route::Sign(bucket, key) } else { Route::Link(bucket, key) };
    }
    let Some((bucket, key)) = path.strip_prefix("/object/").map(names) else { return Route::Unknown };
    match method.as_str() {
        "POST" | "PUT" => Route::Upload(bucket, key),
        "GET" | "HEAD" => Route::Download(bucket, key),
        "DELETE" => Route::Delete(bucket, key),
        _ => Route::Unknown,
    }
}

impl Inner {
    async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, Refusal> {
        let route = route(&request);
        if !matches!(route, Route::Link(..)) {
            signed_in(&request)?;
        }
        match route {
            Route::Bucket(bucket) => {
                let found = self.bucket(&bucket)?;
                Ok(good(&json!({
                    "id": bucket,
                    "name": bucket,
                    "public": found.public,
                    "file_size_limit": found.file_size_limit,
                    "allowed_mime_types": null,
                })))
            }
            Route::CreateBucket => {
                let wanted = body(request).await;
                let name = wanted["name"].as_str().unwrap_or_default().to_owned();
                let mut buckets = locked(&self.buckets);
                if buckets.contains_key(&name) {
                    return Err(refusal("409", "BucketAlreadyExists", "The resource already exists"));
                }
                let public = wanted["public"].as_bool().unwrap_or_default();
                let file_size_limit = wanted["file_size_limit"].as_u64();
                buckets.insert(name.clone(), BucketState { public, file_size_limit });
                Ok(good(&json!({ "name": name })))
            }
            Route::List(bucket) => Ok(good(&self.list(&bucket, &body(request).await))),
            Route::Info(bucket, key) => {
                let stored = self.object(&bucket, &key)?;
                Ok(good(&json!({
                    "name": key,
                    "bucket_id": bucket,
                    "version": "1",
                    "size": stored.bytes.len(),
                    "etag": stored.etag,
                    "content_type": stored.content_type,
                    "metadata": {},
                })))
            }
            Route::Sign(bucket, key) => {
                self.object(&bucket, &key)?;
                let seconds = body(request).await["expiresIn"].as_i64().unwrap_or_default();
                let claims = LinkClaims { url: format!("{bucket}/{key}"), exp: now() + seconds };
                let secret = EncodingKey::from_secret(LINK_SECRET);
                let token = jsonwebtoken::encode(&Header::default(), &claims, &secret).expect("it signs");
                Ok(good(&json!({ "signedURL": format!("/object/sign/{bucket}/{key}?token={token}") })))
            }
            Route::Link(bucket, key) => {
                let token = parameter(&request, "token").unwrap_or_default();
                let mut validation = Validation::new(Algorithm::HS256);
                validation.leeway = 0;
                let claims: LinkClaims =
                    jsonwebtoken::decode(&token, &DecodingKey::from_secret(LINK_SECRET), &validation)
                        .map_err(|error| refusal("400", "InvalidJWT", &error.to_string()))?
                        .claims;
                if claims.url != format!("{bucket}/{key}") {
                    return Err(refusal("400", "InvalidSignature", "The url do not match the signature"));
                }
                let mut answer = download(&self.object(&bucket, &key)?, &request);
                if let Some(name) = parameter(&request, "download") {
                    let disposition = format!("attachment; filename=\"{name}\"");
                    answer
                        .headers_mut()
                        .insert("content-disposition", disposition.parse().expect("a header"));
                }
                Ok(answer)
            }
            Route::Upload(bucket, key) => self.upload(&bucket, &key, request).await,
            Route::Download(bucket, key) => {
                self.bucket(&bucket)?;
                Ok(download(&self.object(&bucket, &key)?, &request))
            }
            Route::Delete(bucket, key) => {
                let deleted = locked(&self.objects).remove(&(bucket, key));
                deleted.map(|_| good(&json!({ "message": "Successfully deleted" }))).ok_or_else(no_key)
            }
            Route::Unknown => Err(refusal("404", "RouteNotFound", "Route not found")),
        }
    }

    async fn upload(
        &self,
        bucket: &str,
        key: &str,
        request: Request<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let limit = self.bucket(bucket)?.file_size_limit.unwrap_or(FILE_SIZE_LIMIT);
        let (head, body) = request.into_parts();
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        // Only a length that is told is compared; the connection is closed unread.
        if header("content-length")
            .and_then(|length| length.parse::<u64>().ok())
            .is_some_and(|size| size > limit)
        {
            return Err(refusal("413", "EntityTooLarge", "The object exceeded the maximum allowed size"));
        }
        let is_upsert = head.method == Method::PUT || header("x-upsert").as_deref() == Some("true");
        let content_type = header("content-type").unwrap_or_default();
        let Ok(bytes) = to_bytes(body, usize::MAX).await else {
            return Err(refusal("400", "InvalidRequest", "the body ended early"));
        };
        let name = (bucket.to_owned(), key.to_owned());
        if !is_upsert && locked(&self.objects).contains_key(&name) {
            return Err(refusal("409", "KeyAlreadyExists", "The resource already exists"));
        }
        let md5: String = Md5::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let etag = if *locked(&self.has_opaque_etags) { "\"opaque-1\"".into() } else { format!("\"{md5}\"") };
        locked(&self.objects).insert(name, Stored { bytes, etag, content_type });
        Ok(good(&json!({ "Key": format!("{bucket}/{key}"), "Id": "1" })))
    }

    fn list(&self, bucket: &str, wanted: &Value) -> Value {
        let prefix = wanted["prefix"].as_str().unwrap_or_default();
        let limit = wanted["limit"].as_u64().unwrap_or(1000).min(1000) as usize;
        let after = wanted["cursor"].as_str().unwrap_or_default();
        // A missing bucket is listed as an empty one.
        let objects = locked(&self.objects);
        let mut found = objects
            .iter()
            .filter(|((found, key), _)| found == bucket && key.starts_with(prefix) && key.as_str() > after);
        let page: Vec<_> = found.by_ref().take(limit).collect();
        let has_next = found.next().is_some();
        let rows: Vec<Value> = page
            .iter()
            .map(|((_, key), stored)| {
                json!({ "name": key, "id": "1", "metadata": { "size": stored.bytes.len(), "eTag": stored.etag } })
            })
            .collect();
        let cursor = page.last().map(|((_, key), _)| key.clone()).filter(|_| has_next);
        json!({ "hasNext": has_next, "nextCursor": cursor, "folders": [], "objects": rows })
    }

    fn bucket(&self, bucket: &str) -> Result<BucketState, Refusal> {
        let missing = || refusal("404", "NoSuchBucket", "Bucket not found");
        locked(&self.buckets).get(bucket).cloned().ok_or_else(missing)
    }

    fn object(&self, bucket: &str, key: &str) -> Result<Stored, Refusal> {
        locked(&self.objects).get(&(bucket.to_owned(), key.to_owned())).cloned().ok_or_else(no_key)
    }
}

/// New keys go into `apikey` alone; the legacy ones are tokens, too.
fn signed_in(request: &Request<Body>) -> Result<(), Refusal> {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match (header("apikey"), header("authorization")) {
        (SECRET_KEY, "") => Ok(()),
        (LEGACY_KEY, bearer) if bearer.strip_prefix("Bearer ") == Some(LEGACY_KEY) => Ok(()),
        // As a gateway might: it repeats what it was sent.
        (key, _) => Err(refusal("403", "AccessDenied", &format!("Invalid Compact JWS {key}"))),
    }
}

fn download(stored: &Stored, request: &Request<Body>) -> Response<Body> {
    let range = request.headers().get("range").and_then(|value| value.to_str().ok());
    let Some(range) = range.and_then(|range| range.strip_prefix("bytes=")) else {
        let mut whole = answer(200, &stored.content_type, stored.bytes.clone());
        whole.headers_mut().insert("etag", stored.etag.parse().expect("a header"));
        return whole;
    };
    let size = stored.bytes.len();
    let (start, last) = range.split_once('-').unwrap_or((range, ""));
    let start: usize = start.parse().unwrap_or_default();
    if start >= size {
        let body = error_body("416", "InvalidRange", "The requested range is not satisfiable");
        return answer(416, "application/json", body);
    }
    let end = last.parse().map_or(size, |last: usize| size.min(last.saturating_add(1)));
    answer(206, &stored.content_type, stored.bytes.slice(start..end))
}

async fn body(request: Request<Body>) -> Value {
    let bytes = to_bytes(request.into_body(), 1 << 20).await.unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn good(body: &Value) -> Response<Body> {
    answer(200, "application/json", body.to_string())
}

/// An error: HTTP 400, whatever it is; its meaning is in the body.
struct Refusal {
    status: u16,
    status_code: &'static str,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn into_answer(self) -> Response<Body> {
        let body = error_body(self.status_code, self.code, &self.message);
        answer(self.status, "application/json", body)
    }
}

fn refusal(status_code: &'static str, code: &'static str, message: &str) -> Refusal {
    Refusal { status: 400, status_code, code, message: message.into() }
}

fn no_key() -> Refusal {
    refusal("404", "NoSuchKey", "Object not found")
}

/// The body of an error, for faults.
pub(crate) fn error_body(status_code: &str, code: &str, message: &str) -> String {
    json!({ "statusCode": status_code, "error": code, "message": message, "code": code }).to_string()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the fake is no part of Runledger, whose clock it must not share"
)]
fn now() -> i64 {
    chrono::Utc::now().timestamp()
}
