//! GraphiQL at `/graphiql`, out of the binary: using it needs no network, and building it no Node.
//!
//! `graphiql/dist` is checked in, as `graphiql/ui` builds it. Every file in it but the page and the licence
//! texts is stored gzipped under a name that holds a hash of its content, so that a browser asks for it once
//! and never again; the page names the current ones and is asked for each time. The page may load scripts,
//! styles and data from this server only, and no site may frame it: a token is typed into it.

use std::borrow::Cow;
use std::io::{self, Read};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use flate2::read::GzDecoder;
use rust_embed::{EmbeddedFile, RustEmbed};

const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; \
    style-src 'self' 'unsafe-inline'; font-src 'self' data:; img-src 'self' data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The browser asks each time whether its copy is still good, and is mostly told so in a few bytes.
const ASK_EACH_TIME: &str = "no-cache";
const KEEP_FOR_A_YEAR: &str = "public, max-age=31536000, immutable";

#[derive(RustEmbed)]
#[folder = "src/http/graphiql/dist"]
struct Dist;

/// The page and its files. They are public: what they show comes from `/graphql`, which asks for a token.
pub fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    Router::new()
        .route("/graphiql", get(page))
        // The page finds its files relative to its own address, which is the one without the slash.
        .route("/graphiql/", get(async || Redirect::permanent("../graphiql")))
        .route("/graphiql/{file}", get(file))
}

async fn page(headers: HeaderMap) -> Response {
    serve(Asset::page(), &headers)
}

async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    serve(Asset::named(&name), &headers)
}

fn serve(asset: Option<Asset>, request: &HeaderMap) -> Response {
    let Some(asset) = asset else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let gzip = asset.gzipped && accepts_gzip(request);
    let etag = asset.etag(gzip);
    let caching = [
        (header::ETAG, etag.as_str()),
        (header::CACHE_CONTROL, asset.cache_control()),
        (header::VARY, "accept-encoding"),
    ];
    if has_copy(request, &etag) {
        return (StatusCode::NOT_MODIFIED, caching, security_headers()).into_response();
    }
    let content_type = [(header::CONTENT_TYPE, asset.content_type)];
    let encoding = gzip.then_some([(header::CONTENT_ENCODING, "gzip")]);
    match asset.body(gzip) {
        Ok(body) => (encoding, content_type, caching, security_headers(), body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn security_headers() -> [(HeaderName, &'static str); 3] {
    [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ]
}

struct Asset {
    stored: EmbeddedFile,
    gzipped: bool,
    content_type: &'static str,
}

impl Asset {
    fn page() -> Option<Self> {
        Self::plain("index.html", "text/html; charset=utf-8")
    }

    fn named(name: &str) -> Option<Self> {
        match name.rsplit_once('.') {
            None if name == "NOTICE" => Self::plain(name, "text/plain; charset=utf-8"),
            Some((_, "js")) => Self::gzipped(name, "text/javascript; charset=utf-8"),
            Some((_, "css")) => Self::gzipped(name, "text/css; charset=utf-8"),
            _ => None,
        }
    }

    fn plain(name: &str, content_type: &'static str) -> Option<Self> {
        Dist::get(name).map(|stored| Self { stored, gzipped: false, content_type })
    }

    fn gzipped(name: &str, content_type: &'static str) -> Option<Self> {
        Dist::get(&format!("{name}.gz")).map(|stored| Self { stored, gzipped: true, content_type })
    }

    /// Strong, so the two encodings of one file need a tag each.
    fn etag(&self, gzip: bool) -> String {
        let hash = self.stored.metadata.sha256_hash();
        let hash = hash.iter().take(16).fold(0, |hash, byte| hash << 8 | u128::from(*byte));
        let suffix = if gzip { "-gzip" } else { "" };
        format!("\"{hash:032x}{suffix}\"")
    }

    fn cache_control(&self) -> &'static str {
        if self.gzipped { KEEP_FOR_A_YEAR } else { ASK_EACH_TIME }
    }

    /// Clients without gzip are rare (no browser is one), so what is inflated for them is not kept.
    fn body(self, gzip: bool) -> io::Result<Body> {
        if self.gzipped && !gzip {
            return inflate(&self.stored.data).map(Body::from);
        }
        Ok(match self.stored.data {
            Cow::Borrowed(data) => Body::from(data),
            Cow::Owned(data) => Body::from(data),
        })
    }
}

fn inflate(data: &[u8]) -> io::Result<Vec<u8>> {
    let mut inflated = Vec::new();
    GzDecoder::new(data).read_to_end(&mut inflated)?;
    Ok(inflated)
}

/// Whether `If-None-Match` names this tag. A proxy may have weakened it on the way; the content is the same.
fn has_copy(request: &HeaderMap, etag: &str) -> bool {
    elements(request, header::IF_NONE_MATCH).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

fn accepts_gzip(request: &HeaderMap) -> bool {
    let accepts = |coding: &str| {
        elements(request, header::ACCEPT_ENCODING)
            .map(|element| element.split_once(';').unwrap_or((element, "")))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case(coding))
            .map(|(_, parameters)| !is_refusal(parameters))
    };
    accepts("gzip").or_else(|| accepts("*")).unwrap_or(false)
}

/// `q=0`, in any of its spellings, means "anything but this".
fn is_refusal(parameters: &str) -> bool {
    let value = parameters.trim().trim_start_matches(['q', 'Q']).trim_start_matches('=');
    value.parse::<f32>().is_ok_and(|weight| weight == 0.0)
}

/// The elements of a header that is a list, over all its lines.
fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_goes_only_to_those_who_accept_it() {
        let accepts = |value: &str| {
            accepts_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.parse().unwrap())]))
        };
        for value in ["gzip", "GZIP, br", "br;q=1, gzip;q=0.5", "*"] {
            assert!(accepts(value), "{value:?}");
        }
        for value in ["", "br", "gzip;q=0, *", "gzip; q=0.000", "*;q=0"] {
            assert!(!accepts(value), "{value:?}");
        }
    }
}
