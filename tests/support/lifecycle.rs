//! Rules of buckets for the age of objects, as far as our S3 client needs them.

use std::sync::Mutex;

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use md5::{Digest as _, Md5};

use super::faults::{answer, locked, parameter};

const HEADER: &str = "x-amz-transition-default-minimum-object-size";

/// What a server does about rules.
#[derive(Debug, Default)]
pub(crate) struct Rules(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    manner: Manner,
    /// The configuration, and the header that belongs to it.
    kept: Option<(String, Option<String>)>,
    is_versioned: bool,
    writes: usize,
}

/// How a server takes them.
#[derive(Debug, Clone, Default)]
pub(crate) enum Manner {
    /// As s3s-fs does: 501.
    #[default]
    NotImplemented,
    /// As AWS does.
    Kept,
    /// As Supabase does: a question for rules is taken for one for objects.
    Listed,
    /// New rules are taken, and forgotten.
    Forgotten,
    /// Every request is answered by this.
    Answered(u16, &'static str),
}

impl Rules {
    pub(crate) fn be(&self, manner: Manner) {
        locked(&self.0).manner = manner;
    }

    /// Somebody else's configuration, and the header that belongs to it.
    pub(crate) fn set(&self, xml: &str, header: Option<&str>) {
        locked(&self.0).kept = Some((xml.into(), header.map(Into::into)));
    }

    pub(crate) fn kept(&self) -> Option<(String, Option<String>)> {
        locked(&self.0).kept.clone()
    }

    pub(crate) fn keep_versions(&self) {
        locked(&self.0).is_versioned = true;
    }

    /// How often rules were changed.
    pub(crate) fn writes(&self) -> usize {
        locked(&self.0).writes
    }

    /// The answer to a request about rules; any other request is given back.
    pub(crate) async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, Request<Body>> {
        if parameter(&request, "versioning").is_some() && locked(&self.0).is_versioned {
            let xml = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
            return Ok(answer(200, "application/xml", xml));
        }
        let manner = locked(&self.0).manner.clone();
        if parameter(&request, "lifecycle").is_none() || matches!(manner, Manner::NotImplemented) {
            return Err(request);
        }
        if !request.headers().contains_key("authorization") {
            return Ok(error(403, "AccessDenied"));
        }
        let (head, body) = request.into_parts();
        let body = to_bytes(body, 1 << 20).await.expect("a short body");
        let body = String::from_utf8(body.to_vec()).expect("XML is text");
        Ok(match manner {
            Manner::Answered(status, body) => answer(status, "application/xml", body),
            Manner::Listed if head.method == "GET" => {
                answer(200, "application/xml", "<ListBucketResult><Name>b</Name></ListBucketResult>")
            }
            Manner::Listed => error(409, "BucketAlreadyExists"),
            _ => self.keep(head.method.as_str(), &head.headers, body, matches!(manner, Manner::Kept)),
        })
    }

    fn keep(&self, method: &str, headers: &HeaderMap, body: String, keeps: bool) -> Response<Body> {
        let mut state = locked(&self.0);
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        match method {
            "GET" => match &state.kept {
                None => error(404, "NoSuchLifecycleConfiguration"),
                Some((xml, header)) => {
                    let mut found = answer(200, "application/xml", xml.clone());
                    if let Some(header) = header {
                        found.headers_mut().insert(HEADER, header.parse().expect("a header"));
                    }
                    found
                }
            },
            "PUT" => {
                if header("content-md5") != Some(&BASE64.encode(Md5::digest(&body))) {
                    return error(400, "InvalidDigest");
                }
                let signed = header("authorization").unwrap_or_default();
                if !signed.contains("content-md5") {
                    return error(403, "AccessDenied");
                }
                state.writes += 1;
                if keeps {
                    state.kept = Some((body, header(HEADER).map(Into::into)));
                }
                answer(200, "application/xml", "")
            }
            "DELETE" => {
                state.writes += 1;
                state.kept = None;
                answer(204, "application/xml", "")
            }
            _ => error(405, "MethodNotAllowed"),
        }
    }
}

fn error(status: u16, code: &str) -> Response<Body> {
    answer(status, "application/xml", format!("<Error><Code>{code}</Code></Error>"))
}
