//! The calls of Supabase Storage that we make, one method each.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RANGE};
use reqwest::{Method, Request, Response, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{SUPABASE_LIST_ROWS, answer};
use crate::blob::wire::{Upload, Wire, range_header};
use crate::blob::{BlobError, ObjectInfo, Result};
use crate::config::{self, Secret};
use crate::domain::object::{Bucket, ObjectName};

/// Where storage is in a project.
const BASE_PATH: &str = "/storage/v1";
/// How the legacy keys begin, which are JWTs. The new ones must not be sent as a token.
const JWT_BEGINNING: &str = "eyJ";

/// Storage of one project.
#[derive(Debug, Clone)]
pub(super) struct Api {
    wire: Wire,
    base: String,
    key: Secret,
    headers: HeaderMap,
}

/// What storage says of a bucket.
#[derive(Debug, Deserialize)]
pub(super) struct BucketInfo {
    pub(super) public: bool,
    /// In bytes; absent or null: only the project's limit counts.
    #[serde(default)]
    pub(super) file_size_limit: Option<u64>,
}

/// What storage says of an object, by itself or in a list.
#[derive(Debug, Deserialize)]
pub(super) struct Found {
    #[serde(default)]
    name: String,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    pub(super) etag: Option<String>,
    #[serde(default)]
    metadata: Option<Metadata>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    #[serde(default)]
    size: Option<u64>,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    #[serde(default)]
    pub(super) has_next: bool,
    #[serde(default)]
    pub(super) next_cursor: Option<String>,
    pub(super) objects: Vec<Found>,
}

#[derive(Debug, Deserialize)]
struct Signed {
    /// Relative to the base path.
    #[serde(rename = "signedURL")]
    signed_url: String,
}

impl Api {
    pub(super) fn new(settings: &config::Supabase, wire: Wire) -> Result<Self> {
        let key = settings.service_key.expose();
        let header = |text: &str| {
            let mut value = HeaderValue::from_str(text)
                .map_err(|_| BlobError::Refused("SUPABASE_SERVICE_KEY cannot be sent in a header".into()))?;
            value.set_sensitive(true);
            Ok(value)
        };
        let mut headers = HeaderMap::from_iter([(HeaderName::from_static("apikey"), header(key)?)]);
        if key.starts_with(JWT_BEGINNING) {
            headers.insert(AUTHORIZATION, header(&format!("Bearer {key}"))?);
        }
        let base = format!("{}{BASE_PATH}", settings.url.as_str().trim_end_matches('/'));
        Ok(Self { wire, base, key: settings.service_key.clone(), headers })
    }

    pub(super) fn wire(&self) -> &Wire {
        &self.wire
    }

    pub(super) async fn bucket(&self, bucket: &Bucket) -> Result<BucketInfo> {
        let request = self.request(Method::GET, &format!("/bucket/{bucket}"))?;
        match self.json(request, None).await {
            Err(BlobError::NotFound | BlobError::NoBucket(_)) => Err(BlobError::NoBucket(bucket.to_string())),
            result => result,
        }
    }

    /// Makes a private bucket; one that is there, perhaps since a moment ago, is as good.
    pub(super) async fn create_bucket(&self, bucket: &Bucket) -> Result<()> {
        let body = json!({
            "id": bucket.as_str(),
            "name": bucket.as_str(),
            "public": false,
            "file_size_limit": null,
            "allowed_mime_types": null,
        });
        let made = self.send(self.request(Method::POST, "/bucket")?, Some(&body)).await;
        match made {
            Err(BlobError::Refused(message)) => {
                self.bucket(bucket).await.map(|_| ()).map_err(|_| BlobError::Refused(message))
            }
            result => result.map(|_| ()),
        }
    }

    /// Stores an object in place of the one that is there.
    pub(super) async fn upload(&self, name: &ObjectName, content_type: &str, upload: Upload) -> Result<()> {
        let mut request = self.request(Method::POST, &format!("/object/{name}"))?;
        let content_type = HeaderValue::from_str(content_type)
            .map_err(|_| BlobError::Refused("the content type cannot be sent in a header".into()))?;
        request.headers_mut().insert(CONTENT_TYPE, content_type);
        request.headers_mut().insert("x-upsert", HeaderValue::from_static("true"));
        let answer = self.answer(request, Some(upload)).await.map_err(|error| in_bucket(error, name))?;
        self.wire.whole(answer).await.map(|_| ())
    }

    /// The bytes of an object, or status 416 when nothing of the range exists.
    pub(super) async fn object(&self, name: &ObjectName, range: Option<&Range<u64>>) -> Result<Response> {
        let mut request = self.request(Method::GET, &format!("/object/{name}"))?;
        if let Some(range) = range {
            request.headers_mut().insert(RANGE, range_header(range)?);
        }
        self.answer(request, None).await.map_err(|error| in_bucket(error, name))
    }

    pub(super) async fn info(&self, name: &ObjectName) -> Result<Found> {
        let request = self.request(Method::GET, &format!("/object/info/{name}"))?;
        self.json(request, None).await.map_err(|error| in_bucket(error, name))
    }

    pub(super) async fn delete(&self, name: &ObjectName) -> Result<()> {
        let request = self.request(Method::DELETE, &format!("/object/{name}"))?;
        let answer = self.answer(request, None).await.map_err(|error| in_bucket(error, name))?;
        self.wire.whole(answer).await.map(|_| ())
    }

    pub(super) async fn page(&self, bucket: &Bucket, prefix: &str, cursor: Option<&str>) -> Result<Page> {
        let mut body = json!({ "prefix": prefix, "limit": SUPABASE_LIST_ROWS, "with_delimiter": false });
        if let (Some(cursor), Value::Object(body)) = (cursor, &mut body) {
            body.insert("cursor".into(), cursor.into());
        }
        let request = self.request(Method::POST, &format!("/object/list-v2/{bucket}"))?;
        self.json(request, Some(&body)).await.map_err(|error| match error {
            BlobError::NoBucket(_) => BlobError::NoBucket(bucket.to_string()),
            error => error,
        })
    }

    /// A link that anybody can follow.
    pub(super) async fn sign(&self, name: &ObjectName, expires_in: Duration) -> Result<Url> {
        let body = json!({ "expiresIn": expires_in.as_secs().max(1) });
        let request = self.request(Method::POST, &format!("/object/sign/{name}"))?;
        let signed: Signed = self.json(request, Some(&body)).await.map_err(|error| in_bucket(error, name))?;
        // A parser's error could quote the link, which is a secret.
        Url::parse(&format!("{}{}", self.base, signed.signed_url))
            .map_err(|_| BlobError::unavailable("Supabase Storage signs a link that is no URL"))
    }

    /// A request with our key. Names of buckets and objects have only characters that a path can have.
    fn request(&self, method: Method, path: &str) -> Result<Request> {
        let url = Url::parse(&format!("{}{path}", self.base))
            .map_err(|_| BlobError::Refused("SUPABASE_URL is no URL that a path can be put behind".into()))?;
        let mut request = Request::new(method, url);
        *request.headers_mut() = self.headers.clone();
        Ok(request)
    }

    async fn json<T: DeserializeOwned>(&self, request: Request, body: Option<&Value>) -> Result<T> {
        let answer = self.send(request, body).await?;
        serde_json::from_slice(&answer)
            .map_err(|_| BlobError::unavailable("Supabase Storage gives an answer that is not understood"))
    }

    async fn send(&self, mut request: Request, body: Option<&Value>) -> Result<Bytes> {
        let upload = body.map(|body| {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            Upload::of_bytes(vec![body.to_string().into()])
        });
        let answer = self.answer(request, upload).await?;
        self.wire.whole(answer).await
    }

    async fn answer(&self, request: Request, upload: Option<Upload>) -> Result<Response> {
        let method = request.method().clone();
        let answer = self.wire.send(request, upload).await?;
        let status = answer.status();
        // Nothing of a range exists: an object that is empty or shorter.
        if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok(answer);
        }
        let headers = answer.headers().clone();
        let body = self.wire.whole(answer).await?;
        Err(self.without_key(answer::meaning(method.as_str(), status, &headers, &body)))
    }

    /// A gateway that echoes what it was sent would echo our key.
    fn without_key(&self, error: BlobError) -> BlobError {
        let clean = |message: String| message.replace(self.key.expose(), "***");
        match error {
            BlobError::Refused(message) => BlobError::Refused(clean(message)),
            BlobError::TooLarge(message) => BlobError::TooLarge(clean(message)),
            BlobError::Unavailable { message, retry_after } => {
                BlobError::Unavailable { message: clean(message), retry_after }
            }
            error => error,
        }
    }
}

fn in_bucket(error: BlobError, name: &ObjectName) -> BlobError {
    match error {
        BlobError::NoBucket(_) => BlobError::NoBucket(name.bucket.to_string()),
        error => error,
    }
}

impl Found {
    pub(super) fn size_bytes(&self) -> Option<u64> {
        self.size.or_else(|| self.metadata.as_ref()?.size)
    }
}

impl From<Found> for ObjectInfo {
    fn from(found: Found) -> Self {
        Self { size_bytes: found.size_bytes().unwrap_or_default(), key: found.name }
    }
}
