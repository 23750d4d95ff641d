//! S3 for tests: s3s-fs, which checks signatures and the least size of a part, with what it lacks.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use axum::{
    body::Body,
    http::{HeaderValue, Request, Response},
};
use futures_util::future::BoxFuture;
use s3s::{
    S3Request, S3Result,
    access::S3Access,
    auth::SimpleAuth,
    dto::{CompleteMultipartUploadInput, PutObjectInput},
    service::{S3Service, S3ServiceBuilder},
};
use tempfile::TempDir;

use super::{
    faults::{Front, On, Storage, answer, locked, parameter},
    lifecycle::Rules,
};

pub(crate) const ACCESS_KEY_ID: &str = "AKIAFORTESTS";
pub(crate) const SECRET_ACCESS_KEY: &str = "a-secret-access-key-for-tests";

/// A way in which the public can read a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exposure {
    Policy,
    Acl,
    Listing,
}

/// How a server differs from AWS's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quirk {
    /// Conditions of a write are not looked at, as by garage and Supabase.
    IgnoresConditions,
    /// 501 for a write with a condition.
    RefusesConditions,
    /// 501 for copying into a part of an upload.
    RefusesCopies,
    /// ETags are no checksums, as those of encrypted objects.
    OpaqueEtags,
    /// ETags are weak, as behind a proxy that compresses.
    WeakEtags,
}

/// An S3 server.
pub(crate) struct FakeS3 {
    front: Front,
    inner: Arc<Inner>,
}

struct Inner {
    folder: TempDir,
    service: S3Service,
    exposed: Mutex<Vec<(String, Exposure)>>,
    quirks: Arc<Mutex<Vec<Quirk>>>,
    rules: Rules,
}

/// Looks at requests once their signatures are checked.
struct Signed(Arc<Mutex<Vec<Quirk>>>);

impl Signed {
    fn ignores_conditions(&self) -> bool {
        locked(&self.0).contains(&Quirk::IgnoresConditions)
    }
}

#[async_trait]
impl S3Access for Signed {
    async fn put_object(&self, request: &mut S3Request<PutObjectInput>) -> S3Result<()> {
        if self.ignores_conditions() {
            (request.input.if_match, request.input.if_none_match) = (None, None);
        }
        Ok(())
    }

    async fn complete_multipart_upload(
        &self,
        request: &mut S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<()> {
        if self.ignores_conditions() {
            (request.input.if_match, request.input.if_none_match) = (None, None);
        }
        Ok(())
    }
}

impl FakeS3 {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("runledger-s3-").tempdir().expect("a temporary folder");
        let storage = s3s_fs::FileSystem::new(folder.path()).expect("the folder is there");
        let mut builder = S3ServiceBuilder::new(storage);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, SECRET_ACCESS_KEY));
        let quirks = Arc::<Mutex<Vec<Quirk>>>::default();
        builder.set_access(Signed(quirks.clone()));
        let inner = Arc::new(Inner {
            folder,
            service: builder.build(),
            exposed: Mutex::default(),
            quirks,
            rules: Rules::default(),
        });
        Self { front: Front::start(inner.clone()).await, inner }
    }

    /// What goes wrong, and what was asked.
    pub(crate) fn front(&self) -> &Front {
        &self.front
    }

    /// Lets the public read a bucket.
    pub(crate) fn expose(&self, bucket: &str, exposure: Exposure) {
        locked(&self.inner.exposed).push((bucket.into(), exposure));
    }

    /// From now on, it is like this.
    pub(crate) fn has(&self, quirk: Quirk) {
        locked(&self.inner.quirks).push(quirk);
    }

    /// What it does about rules for the age of objects.
    pub(crate) fn rules(&self) -> &Rules {
        &self.inner.rules
    }

    /// All objects of a bucket.
    pub(crate) fn objects(&self, bucket: &str) -> BTreeMap<String, Vec<u8>> {
        let root = self.inner.bucket(bucket);
        let (mut objects, mut folders) = (BTreeMap::new(), vec![root.clone()]);
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let key = path.strip_prefix(&root).expect("it is below").display().to_string();
                    objects.insert(key, fs::read(&path).expect("it is readable"));
                }
            }
        }
        objects
    }

    /// Changes a stored object behind the server's back.
    pub(crate) fn corrupt(&self, bucket: &str, key: &str) {
        let path = self.inner.bucket(bucket).join(key);
        let mut bytes = fs::read(&path).expect("the object is there");
        bytes[0] ^= 1;
        fs::write(path, bytes).expect("the folder is ours");
    }

    /// Multipart uploads that were begun and neither finished nor aborted.
    pub(crate) fn unfinished(&self) -> usize {
        let entries = fs::read_dir(self.inner.folder.path()).expect("the folder is ours").flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(".upload_id-")).count()
    }
}

impl Inner {
    fn bucket(&self, bucket: &str) -> PathBuf {
        self.folder.path().join(bucket)
    }

    fn has(&self, quirk: Quirk) -> bool {
        locked(&self.quirks).contains(&quirk)
    }

    /// What s3s-fs does not do, or not as others do.
    fn instead(&self, request: &Request<Body>) -> Option<Response<Body>> {
        let (bucket, key) = names(request);
        let is_signed = request.headers().contains_key("authorization");
        let has = |exposure| locked(&self.exposed).contains(&(bucket.to_owned(), exposure));
        if key.is_empty() && request.method() == "GET" {
            if parameter(request, "policyStatus").is_some() && has(Exposure::Policy) {
                return Some(answer(
                    200,
                    "application/xml",
                    "<PolicyStatus><IsPublic>TRUE</IsPublic></PolicyStatus>",
                ));
            }
            if parameter(request, "acl").is_some() && has(Exposure::Acl) {
                let group = "http://acs.amazonaws.com/groups/global/AllUsers";
                let grant = format!(
                    "<Grant><Grantee><URI>{group}</URI></Grantee><Permission>READ</Permission></Grant>"
                );
                return Some(answer(200, "application/xml", grant));
            }
            if parameter(request, "list-type").is_some() && !is_signed && has(Exposure::Listing) {
                return Some(answer(200, "application/xml", "<ListBucketResult></ListBucketResult>"));
            }
        }
        let headers = request.headers();
        let has_condition = headers.contains_key("if-match") || headers.contains_key("if-none-match");
        if headers.contains_key("x-amz-copy-source") && self.has(Quirk::RefusesCopies)
            || has_condition && self.has(Quirk::RefusesConditions)
        {
            return Some(answer(501, "application/xml", "<Error><Code>NotImplemented</Code></Error>"));
        }
        let is_missing = !Path::new(&self.bucket(bucket)).exists();
        // It would take a PUT into a missing bucket, and call its objects missing.
        (is_missing && !key.is_empty() && is_signed).then(|| {
            answer(
                404,
                "application/xml",
                "<Error><Code>NoSuchBucket</Code><Message>no such bucket</Message></Error>",
            )
        })
    }
}

impl Storage for Inner {
    fn kind(&self, request: &Request<Body>) -> On {
        let (_, key) = names(request);
        match request.method().as_str() {
            "PUT" if !key.is_empty() => On::Upload,
            "POST" if parameter(request, "uploadId").is_some() => On::Finish,
            "GET" if !key.is_empty() => On::Download,
            _ => On::Other,
        }
    }

    fn call(self: Arc<Self>, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        Box::pin(async move {
            let request = match self.rules.answer(request).await {
                Ok(answer) => return answer,
                Err(request) => request,
            };
            if let Some(answer) = self.instead(&request) {
                return answer;
            }
            let disposition = parameter(&request, "response-content-disposition");
            let request = request.map(s3s::Body::http_body_unsync);
            let Ok(answered) = self.service.call(request).await else {
                return answer(500, "application/xml", "<Error><Code>InternalError</Code></Error>");
            };
            let mut answered = answered.map(Body::new);
            if let Some(etag) = answered.headers_mut().get_mut("etag") {
                let given = etag.to_str().expect("an ETag is text").to_owned();
                if self.has(Quirk::OpaqueEtags) {
                    *etag = HeaderValue::from_static("\"0123456789abcdef0123456789abcdef\"");
                } else if self.has(Quirk::WeakEtags) {
                    *etag = format!("W/{given}").parse().expect("a header");
                }
            }
            if let Some(disposition) = disposition.and_then(|value| HeaderValue::from_str(&value).ok())
                && answered.status().is_success()
            {
                answered.headers_mut().insert("content-disposition", disposition);
            }
            answered
        })
    }
}

/// The bucket and the key of a path.
fn names(request: &Request<Body>) -> (&str, &str) {
    let path = request.uri().path().trim_start_matches('/');
    path.split_once('/').unwrap_or((path, ""))
}
