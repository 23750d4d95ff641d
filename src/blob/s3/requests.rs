//! What opendal has no calls for, or not as we need them: whether a bucket is there and private, making one, and reading
//! what exists of a range (opendal calls it an error when the object ends before the range).

use std::ops::Range;

use bytes::Bytes;
use http::request::Parts;
use reqsign_aws_v4::{Credential, RequestSigner, StaticCredentialProvider};
use reqsign_core::{Context, Signer};
use reqwest::header::{HeaderMap, RANGE};
use reqwest::{Method, Request, Response, StatusCode, Url};

use super::{answer, endpoint};
use crate::blob::wire::{Upload, Wire, a_few_times, range_header};
use crate::blob::{BlobError, Result};
use crate::config;
use crate::domain::object::{Bucket, ObjectName};

/// Groups of AWS that anybody belongs to.
const EVERYBODY: [&str; 2] = [
    "http://acs.amazonaws.com/groups/global/AllUsers",
    "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
];
/// The regions that must not be named when a bucket is made: one is AWS's first, one is R2's.
const UNNAMED_REGIONS: [&str; 2] = ["us-east-1", "auto"];

/// Requests to a server.
#[derive(Debug)]
pub(super) struct Requests {
    wire: Wire,
    endpoint: String,
    path_style: bool,
    region: String,
    signer: Signer<Credential>,
}

/// An answer about a bucket.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Requests {
    pub(super) fn new(settings: &config::S3, wire: Wire) -> Self {
        let secret = settings.secret_access_key.expose();
        let credentials = StaticCredentialProvider::new(&settings.access_key_id, secret);
        let signer = Signer::new(Context::new(), credentials, RequestSigner::new("s3", &settings.region));
        Self {
            wire,
            endpoint: endpoint(settings),
            path_style: settings.endpoint.is_some(),
            region: settings.region.clone(),
            signer,
        }
    }

    /// Whether the bucket is there.
    pub(super) async fn exists(&self, bucket: &Bucket) -> Result<bool> {
        let answer = self.ask(Method::HEAD, bucket, "", true).await?;
        match answer.status {
            status if status.is_success() => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            StatusCode::FORBIDDEN => Err(BlobError::Refused(format!(
                "S3 does not let us see the bucket {bucket}: the keys are wrong, or lack the right s3:ListBucket \
                 on it, or the bucket is somebody else's"
            ))),
            _ => Err(answer.meaning(bucket)),
        }
    }

    /// Makes the bucket.
    pub(super) async fn create(&self, bucket: &Bucket) -> Result<()> {
        let answer = self.ask_with(Method::PUT, bucket, "", HeaderMap::new(), self.place()).await?;
        let body = String::from_utf8_lossy(&answer.body);
        match answer::element(&body, "Code") {
            _ if answer.status.is_success() => Ok(()),
            Some("BucketAlreadyOwnedByYou") => Ok(()),
            // Some servers say so of our own, which another process has just made.
            Some("BucketAlreadyExists") if self.exists(bucket).await? => Ok(()),
            Some("BucketAlreadyExists") => Err(BlobError::Refused(format!(
                "the name {bucket} is taken by somebody else: S3's names are the same for everybody"
            ))),
            _ => Err(answer.meaning(bucket)),
        }
    }

    /// Refuses a bucket that the public can read, by whichever of three ways. What a server does not know or does not
    /// let us see is passed over.
    pub(super) async fn refuse_public(&self, bucket: &Bucket) -> Result<()> {
        let public = |by: &str| {
            Err(BlobError::Public(format!(
                "the public can read the bucket {bucket}, by its {by}; make it private"
            )))
        };
        let policy = self.text(bucket, "?policyStatus=", true).await?;
        if answer::element(&policy, "IsPublic").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            return public("policy");
        }
        let grants = self.text(bucket, "?acl=", true).await?;
        if EVERYBODY.iter().any(|group| grants.contains(group)) {
            return public("access control list");
        }
        let listing = self.text(bucket, "?list-type=2&max-keys=1", false).await?;
        if listing.contains("ListBucketResult") { public("listing, which needs no key") } else { Ok(()) }
    }

    /// The text of an answer with status 200, else none.
    pub(super) async fn text(&self, bucket: &Bucket, query: &str, signed: bool) -> Result<String> {
        let answer = self.ask(Method::GET, bucket, query, signed).await?;
        if answer.status == StatusCode::OK {
            return Ok(String::from_utf8_lossy(&answer.body).into_owned());
        }
        match answer.meaning(bucket) {
            error @ BlobError::Unavailable { .. } => Err(error),
            _ => Ok(String::new()),
        }
    }

    /// The bytes of an object, or of a range of it; `None` when nothing of the range exists.
    pub(super) async fn read(
        &self,
        name: &ObjectName,
        range: Option<&Range<u64>>,
    ) -> Result<Option<Response>> {
        // Keys have only characters that a path can have.
        let url = self.url(&name.bucket, name.key.as_str())?;
        let range = range.map(range_header).transpose()?;
        a_few_times(|| async {
            let mut request = self.request(Method::GET, &url, true, HeaderMap::new()).await?;
            if let Some(range) = &range {
                request.headers_mut().insert(RANGE, range.clone());
            }
            let answer = self.wire.send(request, None).await?;
            match answer.status() {
                StatusCode::RANGE_NOT_SATISFIABLE => Ok(None),
                StatusCode::OK if range.is_some() => {
                    Err(BlobError::unavailable("S3 sends everything where a part was asked for"))
                }
                status if status.is_success() => Ok(Some(answer)),
                status => {
                    let headers = answer.headers().clone();
                    let body = self.wire.whole(answer).await?;
                    Err(match answer::meaning("GET", status, &headers, &body) {
                        BlobError::NoBucket(_) => BlobError::NoBucket(name.bucket.to_string()),
                        error => error,
                    })
                }
            }
        })
        .await
    }

    /// Asks without a body.
    pub(super) async fn ask(
        &self,
        method: Method,
        bucket: &Bucket,
        query: &str,
        signed: bool,
    ) -> Result<Answer> {
        let url = self.url(bucket, query)?;
        a_few_times(|| async {
            let request = self.request(method.clone(), &url, signed, HeaderMap::new()).await?;
            self.attempt(request, Bytes::new()).await
        })
        .await
    }

    /// Asks, signed, with headers and a body.
    pub(super) async fn ask_with(
        &self,
        method: Method,
        bucket: &Bucket,
        query: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer> {
        let url = self.url(bucket, query)?;
        a_few_times(|| async {
            let request = self.request(method.clone(), &url, true, headers.clone()).await?;
            self.attempt(request, body.clone()).await
        })
        .await
    }

    async fn attempt(&self, request: Request, body: Bytes) -> Result<Answer> {
        let method = request.method().clone();
        // The length of an empty body must be said, too.
        let upload = (method == Method::PUT).then(|| Upload::of_bytes(vec![body]));
        let answer = self.wire.send(request, upload).await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let answer = Answer { status, headers, body: self.wire.whole(answer).await? };
        // So that it is tried again.
        if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED {
            return Err(answer::meaning(method.as_str(), status, &answer.headers, &answer.body));
        }
        Ok(answer)
    }

    /// Where something in a bucket is; the bucket itself when that is empty.
    fn url(&self, bucket: &Bucket, below: &str) -> Result<Url> {
        let url = match (self.path_style, below.is_empty()) {
            (true, true) => format!("{}/{bucket}", self.endpoint),
            (true, false) if below.starts_with('?') => format!("{}/{bucket}{below}", self.endpoint),
            (true, false) => format!("{}/{bucket}/{below}", self.endpoint),
            (false, _) => format!("{}/{below}", self.endpoint.replacen("//", &format!("//{bucket}."), 1)),
        };
        Url::parse(&url).map_err(|_| no_url())
    }

    async fn request(&self, method: Method, url: &Url, signed: bool, headers: HeaderMap) -> Result<Request> {
        let head = http::Request::builder().method(&method).uri(url.as_str()).body(());
        let mut head = head.map_err(|_| no_url())?.into_parts().0;
        head.headers = headers;
        if signed {
            self.sign(&mut head).await?;
        }
        let mut request = Request::new(method, url.clone());
        *request.headers_mut() = head.headers;
        Ok(request)
    }

    async fn sign(&self, head: &mut Parts) -> Result<()> {
        let signed = self.signer.sign(head, None).await;
        signed.map_err(|_| BlobError::Refused("a request to S3 cannot be signed with these keys".into()))
    }

    /// Where a new bucket is to be.
    fn place(&self) -> Bytes {
        if UNNAMED_REGIONS.contains(&self.region.as_str()) {
            return Bytes::new();
        }
        format!(
            "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
            self.region
        )
        .into()
    }
}

fn no_url() -> BlobError {
    BlobError::Refused("AWS_ENDPOINT_URL is no URL that a path can be put behind".into())
}

impl Answer {
    pub(super) fn meaning(&self, bucket: &Bucket) -> BlobError {
        match answer::meaning("bucket", self.status, &self.headers, &self.body) {
            BlobError::NoBucket(_) | BlobError::NotFound => BlobError::NoBucket(bucket.to_string()),
            error => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::wire::Patience;

    fn requests(endpoint: Option<&str>, region: &str) -> Requests {
        let settings = config::S3 {
            endpoint: endpoint.map(|url| url.parse().unwrap()),
            region: region.into(),
            access_key_id: "key".into(),
            secret_access_key: "secret".into(),
        };
        Requests::new(&settings, Wire::new(Patience::default()).unwrap())
    }

    #[test]
    fn a_bucket_is_in_the_host_at_aws_and_in_the_path_elsewhere() {
        let bucket = Bucket::parse("code-agents").unwrap();
        for (endpoint, region, root, separator) in [
            (None, "eu-central-1", "https://code-agents.s3.eu-central-1.amazonaws.com", "/"),
            (None, "cn-north-1", "https://code-agents.s3.cn-north-1.amazonaws.com.cn", "/"),
            (Some("http://127.0.0.1:9000"), "us-east-1", "http://127.0.0.1:9000/code-agents", ""),
            (
                Some("https://p.example/storage/v1/s3/"),
                "x",
                "https://p.example/storage/v1/s3/code-agents",
                "",
            ),
        ] {
            let requests = requests(endpoint, region);
            let url = |below| requests.url(&bucket, below).unwrap().to_string();
            assert_eq!(url(""), format!("{root}{separator}"));
            assert_eq!(url("?acl="), format!("{root}{separator}?acl="));
            assert_eq!(url("a/b.txt"), format!("{root}/a/b.txt"));
        }
    }

    #[test]
    fn a_new_bucket_is_in_the_configured_region() {
        for region in UNNAMED_REGIONS {
            assert!(requests(None, region).place().is_empty());
        }
        let place = requests(None, "eu-central-1").place();
        assert!(
            place.ends_with(
                b"<LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>"
            )
        );
    }
}
