//! Media types: which one an answer has, by the quality values of `Accept`, and which one a body has.

use axum::http::{HeaderMap, header};

use crate::http::PREFLIGHT;

use super::failure::Failure;

/// The type of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaType {
    /// `application/graphql-response+json`: the status says whether the request was executed.
    GraphqlResponse,
    /// `application/json`: a request that was understood is 200.
    Json,
}

impl MediaType {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }

    fn subtype(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "graphql-response+json",
            Self::Json => "json",
        }
    }
}

/// The type of a body that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    Json,
    Multipart,
}

/// The type that the caller likes best, or `None` when it takes neither. Without `Accept` it is JSON.
pub(super) fn negotiate(headers: &HeaderMap) -> Option<MediaType> {
    let ranges = accepted(headers);
    if ranges.is_empty() {
        return Some(MediaType::Json);
    }
    let graphql_response = preference(&ranges, "application", MediaType::GraphqlResponse.subtype());
    let json = preference(&ranges, "application", MediaType::Json.subtype());
    match (graphql_response, json) {
        (None, None) => None,
        (graphql_response, json) if graphql_response > json => Some(MediaType::GraphqlResponse),
        _ => Some(MediaType::Json),
    }
}

/// Whether this is a browser that was given the address, and takes web pages before anything else.
pub(super) fn prefers_html(headers: &HeaderMap) -> bool {
    let ranges = accepted(headers);
    let is_named = ranges.iter().any(|range| range.specificity() == 2 && range.matches("text", "html"));
    is_named
        && preference(&ranges, "text", "html") > preference(&ranges, "application", "graphql-response+json")
        && preference(&ranges, "text", "html") > preference(&ranges, "application", "json")
}

/// The type of a posted body.
pub(super) fn body(headers: &HeaderMap) -> Result<Body, Failure> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut parts = content_type.unwrap_or_default().split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    if essence.eq_ignore_ascii_case("multipart/form-data") {
        // A web form of a foreign page can send this type, but no header of its own.
        if headers.get(PREFLIGHT).is_none_or(|value| value.is_empty()) {
            let message = "multipart requests need a graphql-require-preflight header";
            return Err(Failure::malformed("graphql-require-preflight", message));
        }
        return Ok(Body::Multipart);
    }
    let is_utf8 = parts.filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| {
        let charset = value.trim().trim_matches('"');
        !name.trim().eq_ignore_ascii_case("charset")
            || charset.eq_ignore_ascii_case("utf-8")
            || charset.eq_ignore_ascii_case("utf8")
    });
    if essence.eq_ignore_ascii_case("application/json") && is_utf8 {
        Ok(Body::Json)
    } else {
        Err(Failure::unsupported_media_type())
    }
}

/// How much a type is liked: by quality, then by how exactly it is named, then by who is named first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Preference {
    quality_thousandths: u16,
    specificity: u8,
    earliness: std::cmp::Reverse<usize>,
}

fn preference(ranges: &[Range<'_>], kind: &str, subtype: &str) -> Option<Preference> {
    let matching = ranges.iter().enumerate().filter(|(_, range)| range.matches(kind, subtype));
    // The most specific range decides the quality; of two that are as specific, the first.
    let (position, range) =
        matching.max_by_key(|(position, range)| (range.specificity(), std::cmp::Reverse(*position)))?;
    (range.quality_thousandths > 0).then_some(Preference {
        quality_thousandths: range.quality_thousandths,
        specificity: range.specificity(),
        earliness: std::cmp::Reverse(position),
    })
}

/// One range of `Accept`, such as `application/*;q=0.5`.
#[derive(Debug, Clone, Copy)]
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    quality_thousandths: u16,
}

impl Range<'_> {
    fn matches(&self, kind: &str, subtype: &str) -> bool {
        (self.kind == "*" || self.kind.eq_ignore_ascii_case(kind))
            && (self.subtype == "*" || self.subtype.eq_ignore_ascii_case(subtype))
    }

    fn specificity(&self) -> u8 {
        u8::from(self.kind != "*") + u8::from(self.subtype != "*")
    }
}

fn accepted(headers: &HeaderMap) -> Vec<Range<'_>> {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(range).collect()
}

fn range(text: &str) -> Option<Range<'_>> {
    let mut parts = text.split(';').map(str::trim);
    let (kind, subtype) = parts.next()?.split_once('/')?;
    let mut quality_thousandths = 1_000;
    for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
        if name.trim().eq_ignore_ascii_case("q") {
            quality_thousandths = quality(value.trim())?;
        }
    }
    Some(Range { kind, subtype, quality_thousandths })
}

/// A quality value, `0` to `1` with at most three decimals; a range with another one does not count.
fn quality(text: &str) -> Option<u16> {
    let quality: f32 = text.parse().ok().filter(|quality| (0.0..=1.0).contains(quality))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
    let thousandths = (quality * 1_000.0).round() as u16;
    Some(thousandths)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn negotiated(accept: &'static str) -> Option<MediaType> {
        negotiate(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]))
    }

    #[test]
    fn the_quality_value_decides_then_the_exact_name_then_the_order() {
        use MediaType::{GraphqlResponse, Json};
        for (accept, expected) in [
            ("*/*", Some(Json)),
            ("application/*", Some(Json)),
            ("application/json", Some(Json)),
            ("application/graphql-response+json", Some(GraphqlResponse)),
            ("application/graphql-response+json, application/json;q=0.9", Some(GraphqlResponse)),
            ("application/graphql-response+json;q=0.8, application/json", Some(Json)),
            ("application/graphql-response+json, application/json", Some(GraphqlResponse)),
            ("application/json, application/graphql-response+json", Some(Json)),
            ("application/graphql-response+json, */*", Some(GraphqlResponse)),
            ("application/json;q=0, */*", Some(GraphqlResponse)),
            ("*/*;q=0.5, application/graphql-response+json;q=0", Some(Json)),
            ("text/html, application/json;q=0.1", Some(Json)),
            ("APPLICATION/JSON; charset=utf-8", Some(Json)),
            ("text/html", None),
            ("application/xml", None),
            ("*/*;q=0", None),
        ] {
            assert_eq!(negotiated(accept), expected, "{accept}");
        }
    }

    #[test]
    fn without_accept_the_answer_is_json() {
        assert_eq!(negotiate(&HeaderMap::new()), Some(MediaType::Json));
    }

    #[test]
    fn only_a_browser_prefers_html() {
        for (accept, expected) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("*/*", false),
            ("application/json, text/html;q=0.9", false),
            ("text/*", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(prefers_html(&headers), expected, "{accept}");
        }
    }

    #[test]
    fn a_body_is_json_in_utf_8_or_multipart_behind_a_header() {
        let read = |content_type: &'static str, preflight: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            if preflight {
                headers.insert(PREFLIGHT, HeaderValue::from_static("1"));
            }
            body(&headers).map_err(|failure| failure.status.as_u16())
        };
        assert_eq!(read("application/json", false).ok(), Some(Body::Json));
        assert_eq!(read("Application/JSON; Charset=\"UTF-8\"", false).ok(), Some(Body::Json));
        assert_eq!(read("application/json; charset=latin1", false).err(), Some(415));
        assert_eq!(read("text/plain", false).err(), Some(415));
        assert_eq!(read("application/x-www-form-urlencoded", true).err(), Some(415));
        assert_eq!(read("multipart/form-data; boundary=x", false).err(), Some(400));
        assert_eq!(read("multipart/form-data; boundary=x", true).ok(), Some(Body::Multipart));
        assert_eq!(body(&HeaderMap::new()).err().map(|failure| failure.status.as_u16()), Some(415));
    }
}
