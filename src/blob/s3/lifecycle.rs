//! The rule by which storage itself deletes old logs, among the rules that others have made for the bucket.
//!
//! S3 only replaces all rules of a bucket at once. So those of others are sent back exactly as they came, and nothing is
//! sent when ours is there already. What a server can is known by the result: Supabase's answers a question for rules
//! with a list of objects, and others may take a new rule for a new bucket.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use md5::{Digest as _, Md5};
use quick_xml::Reader;
use quick_xml::events::Event;
use reqwest::{Method, StatusCode};

use super::answer;
use super::requests::Requests;
use crate::blob::{BlobError, Result};
use crate::domain::object::{Bucket, ObjectKey};

/// The name of our rule.
const RULE_ID: &str = "runledger-logs";
/// What a crash leaves of an upload in parts, and old versions of logs, are kept for so long.
const LEFTOVERS_DAYS: u32 = 1;

const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
/// A setting of AWS's that comes and goes with the rules, in a header.
const TRANSITION_SIZE: HeaderName = HeaderName::from_static("x-amz-transition-default-minimum-object-size");
const ROOT: &str = "LifecycleConfiguration";
const EMPTY_ROOT: &str = "<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";

impl Requests {
    /// See [`BlobStore::ensure_retention`](crate::blob::BlobStore::ensure_retention).
    pub(super) async fn ensure_retention(&self, bucket: &Bucket, days: Option<u32>) -> Result<bool> {
        let Some((found, headers)) = self.lifecycle(bucket).await? else { return Ok(false) };
        let ours = match days {
            Some(days) => Some(Ours { days, is_versioned: self.is_versioned(bucket).await? }),
            None => None,
        };
        if found.has(ours) {
            return Ok(true);
        }
        let body = found.with(ours);
        let method = if body.is_empty() { Method::DELETE } else { Method::PUT };
        let answer =
            self.ask_with(method, bucket, "?lifecycle=", with_checksum(headers, &body), body).await?;
        if !answer.status.is_success() {
            return match answer.meaning(bucket) {
                error @ BlobError::Unavailable { .. } => Err(error),
                error => {
                    tracing::debug!(%error, "storage does not take a rule for old logs");
                    Ok(false)
                }
            };
        }
        let after = self.lifecycle(bucket).await?;
        Ok(after.is_some_and(|(after, _)| after.has_essentials_of(ours)))
    }

    /// The rules of a bucket, and the header that belongs to them; `None` from a server that has no rules, or does not
    /// show them to us.
    async fn lifecycle(&self, bucket: &Bucket) -> Result<Option<(Rules, HeaderMap)>> {
        let answer = self.ask(Method::GET, bucket, "?lifecycle=", true).await?;
        let body = std::str::from_utf8(&answer.body).unwrap_or_default();
        let rules = match answer.status {
            StatusCode::OK => Rules::read(body),
            StatusCode::NO_CONTENT => Some(Rules::none()),
            StatusCode::NOT_FOUND
                if answer::element(body, "Code") == Some("NoSuchLifecycleConfiguration") =>
            {
                Some(Rules::none())
            }
            _ => match answer.meaning(bucket) {
                error @ BlobError::Unavailable { .. } => return Err(error),
                _ => None,
            },
        };
        let kept = answer.headers.get(TRANSITION_SIZE).cloned();
        Ok(rules.map(|rules| (rules, kept.map(|value| (TRANSITION_SIZE, value)).into_iter().collect())))
    }

    /// Whether the bucket keeps what is overwritten: each append leaves a version then. Who does not say, does not.
    async fn is_versioned(&self, bucket: &Bucket) -> Result<bool> {
        let text = self.text(bucket, "?versioning=", true).await?;
        Ok(text.contains("VersioningConfiguration")
            && matches!(answer::element(&text, "Status"), Some("Enabled" | "Suspended")))
    }
}

/// S3 does not take rules without.
fn with_checksum(mut headers: HeaderMap, body: &Bytes) -> HeaderMap {
    if !body.is_empty()
        && let Ok(checksum) = HeaderValue::from_str(&BASE64.encode(Md5::digest(body)))
    {
        headers.insert(CONTENT_MD5, checksum);
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    }
    headers
}

/// Our rule as it is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ours {
    days: u32,
    is_versioned: bool,
}

impl Ours {
    /// What it says, as paths below `Rule`. AWS takes no bucket's rules in which some are of the form of before 2016,
    /// without `Filter`, and others are not.
    fn facts(self, has_filter: bool) -> Vec<(&'static str, String)> {
        let mut facts = vec![
            ("ID", RULE_ID.to_owned()),
            (if has_filter { "Filter/Prefix" } else { "Prefix" }, ObjectKey::LOG_PREFIX.to_owned()),
            ("Status", "Enabled".to_owned()),
            ("Expiration/Days", self.days.to_string()),
            ("AbortIncompleteMultipartUpload/DaysAfterInitiation", LEFTOVERS_DAYS.to_string()),
        ];
        if self.is_versioned {
            facts.push(("NoncurrentVersionExpiration/NoncurrentDays", LEFTOVERS_DAYS.to_string()));
        }
        facts
    }

    fn xml(self, has_filter: bool) -> String {
        let element = |(path, text): (&str, String)| {
            path.rsplit('/').fold(text, |inner, name| format!("<{name}>{inner}</{name}>"))
        };
        let facts: String = self.facts(has_filter).into_iter().map(element).collect();
        format!("<Rule>{facts}</Rule>")
    }
}

/// The rules of a bucket.
#[derive(Debug, PartialEq, Eq)]
struct Rules {
    /// The tag that they are in, as it came: it may declare what is used in them.
    root: String,
    rules: Vec<Rule>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Rule {
    /// As it came.
    text: String,
    /// The elements without elements in them: their paths below `Rule`, and their texts.
    facts: Vec<(String, String)>,
}

impl Rule {
    fn says(&self, path: &str, text: &str) -> bool {
        self.facts.iter().any(|(found, said)| found == path && said == text)
    }

    fn is_ours(&self) -> bool {
        self.says("ID", RULE_ID)
    }
}

impl Rules {
    fn none() -> Self {
        Self { root: EMPTY_ROOT.to_owned(), rules: Vec::new() }
    }

    /// Reads a configuration; `None` for anything else.
    fn read(xml: &str) -> Option<Self> {
        let mut reader = Reader::from_str(xml);
        let mut found = None::<Self>;
        let mut path: Vec<String> = Vec::new();
        let (mut rule, mut rule_begin, mut text, mut is_leaf) = (Rule::default(), 0, String::new(), false);
        loop {
            let begin = usize::try_from(reader.buffer_position()).ok()?;
            let event = reader.read_event().ok()?;
            let end = usize::try_from(reader.buffer_position()).ok()?;
            match event {
                Event::Start(tag) => {
                    let name = name(tag.name().as_ref())?;
                    match path.as_slice() {
                        [] if found.is_none() && name == ROOT => {
                            found = Some(Self { root: xml.get(begin..end)?.to_owned(), rules: Vec::new() });
                        }
                        [] => return None,
                        [_] => (rule, rule_begin) = (Rule::default(), begin),
                        _ => {}
                    }
                    path.push(name);
                    text.clear();
                    is_leaf = true;
                }
                Event::Empty(tag) => {
                    let name = name(tag.name().as_ref())?;
                    match path.as_slice() {
                        [] if found.is_none() && name == ROOT => found = Some(Self::none()),
                        [] => return None,
                        [_] => {}
                        [_, _, above @ ..] => rule.facts.push((path_of(above, &name), String::new())),
                    }
                    is_leaf = false;
                }
                Event::Text(piece) => text.push_str(piece.as_ref()),
                Event::CData(piece) => text.push_str(piece.as_ref()),
                // Kept as it is written: none of ours has one.
                Event::GeneralRef(piece) => {
                    text.extend(["&", piece.as_ref(), ";"]);
                }
                Event::End(_) => {
                    let name = path.pop()?;
                    match path.as_slice() {
                        [_] if name == "Rule" => {
                            rule.text = xml.get(rule_begin..end)?.to_owned();
                            found.as_mut()?.rules.push(std::mem::take(&mut rule));
                        }
                        [_, _, above @ ..] if is_leaf => {
                            rule.facts.push((path_of(above, &name), text.trim().to_owned()));
                        }
                        _ => {}
                    }
                    is_leaf = false;
                }
                Event::Eof => return found.filter(|_| path.is_empty()),
                _ => {}
            }
        }
    }

    fn foreign(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| !rule.is_ours())
    }

    /// Whether rules of others are of the present form, as far as can be seen.
    fn have_filters(&self) -> bool {
        !self.foreign().any(|rule| rule.facts.iter().any(|(path, _)| path == "Prefix"))
    }

    /// Whether our rule is there just like this, once; or not there.
    fn has(&self, ours: Option<Ours>) -> bool {
        let found: Vec<_> = self.rules.iter().filter(|rule| rule.is_ours()).collect();
        match (ours, found.as_slice()) {
            (None, []) => true,
            (Some(ours), [rule]) => {
                let facts = ours.facts(self.have_filters());
                facts.len() == rule.facts.len() && facts.iter().all(|(path, text)| rule.says(path, text))
            }
            _ => false,
        }
    }

    /// Whether our rule is there so far that logs are deleted by it; or not there. A server may keep only what it knows.
    fn has_essentials_of(&self, ours: Option<Ours>) -> bool {
        let mut found = self.rules.iter().filter(|rule| rule.is_ours());
        match ours {
            None => found.next().is_none(),
            Some(Ours { days, .. }) => found.any(|rule| {
                rule.says("Status", "Enabled")
                    && rule.says("Expiration/Days", &days.to_string())
                    && ["Filter/Prefix", "Prefix"].iter().any(|path| rule.says(path, ObjectKey::LOG_PREFIX))
            }),
        }
    }

    /// The rules of others, and ours; empty when there is none.
    fn with(&self, ours: Option<Ours>) -> Bytes {
        let mut rules: String = self.foreign().map(|rule| rule.text.as_str()).collect();
        if let Some(ours) = ours {
            rules.push_str(&ours.xml(self.have_filters()));
        }
        if rules.is_empty() {
            return Bytes::new();
        }
        format!("{}{rules}</{ROOT}>", self.root).into()
    }
}

/// The name of an element; none for one with a prefix, which no server is known to use.
fn name(name: &str) -> Option<String> {
    (!name.contains(':')).then(|| name.to_owned())
}

fn path_of(above: &[String], name: &str) -> String {
    above.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Ours = Ours { days: 7, is_versioned: false };
    /// As AWS might give it: attributes, white space, entities, comments, elements of every depth.
    const FOREIGN: &str = "<Rule>\n  <ID>a &amp; b</ID><!-- theirs -->\n  \
        <Filter><And><Prefix>x/</Prefix><Tag><Key>k</Key><Value><![CDATA[<v>]]></Value></Tag></And></Filter>\
        <Status>Disabled</Status>\
        <Transition xsi:type=\"t\"><Days>30</Days><StorageClass>GLACIER</StorageClass></Transition>\n</Rule>";

    fn text(bytes: &Bytes) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn rules_of_others_are_sent_back_as_they_came() {
        let root = "<LifecycleConfiguration xmlns=\"http://x/\" xmlns:xsi=\"http://y/\">";
        let xml = format!("<?xml version=\"1.0\"?>\n{root}\n{FOREIGN}\n</LifecycleConfiguration>\n");
        let rules = Rules::read(&xml).unwrap();
        assert!(!rules.has(Some(OURS)) && rules.has(None));
        let with = rules.with(Some(OURS));
        assert_eq!(text(&with), format!("{root}{FOREIGN}{}</LifecycleConfiguration>", OURS.xml(true)));
        let again = Rules::read(text(&with)).unwrap();
        assert!(again.has(Some(OURS)) && again.has_essentials_of(Some(OURS)) && !again.has(None));
        assert_eq!(text(&again.with(None)), format!("{root}{FOREIGN}</LifecycleConfiguration>"));
    }

    #[test]
    fn our_rule_is_replaced_and_never_doubled() {
        let other = Ours { days: 30, is_versioned: true };
        let rules = Rules::read(text(&Rules::none().with(Some(other)))).unwrap();
        assert!(rules.has(Some(other)) && !rules.has(Some(OURS)));
        let rules = Rules::read(text(&rules.with(Some(OURS)))).unwrap();
        assert_eq!(rules.rules.len(), 1);
        assert!(rules.has(Some(OURS)));
        assert!(rules.with(None).is_empty(), "the last rule goes with the configuration");
    }

    #[test]
    fn our_rule_takes_the_form_of_the_others() {
        let old = "<Rule><ID>old</ID><Prefix>x/</Prefix><Status>Enabled</Status></Rule>";
        let xml = format!("<{ROOT}>{old}</{ROOT}>");
        let with = Rules::read(&xml).unwrap().with(Some(OURS));
        assert!(text(&with).contains("<ID>runledger-logs</ID><Prefix>job-</Prefix>"), "{with:?}");
        assert!(Rules::read(text(&with)).unwrap().has(Some(OURS)));
    }

    #[test]
    fn what_is_no_configuration_is_none() {
        for xml in [
            "",
            "{}",
            "<html><LifecycleConfiguration></LifecycleConfiguration></html>",
            "<ListBucketResult><Name>agent-logs</Name></ListBucketResult>",
            "<LifecycleConfiguration><Rule>",
            "<LifecycleConfiguration></Rule></LifecycleConfiguration>",
            "<a:LifecycleConfiguration></a:LifecycleConfiguration>",
            "<LifecycleConfiguration/><LifecycleConfiguration/>",
        ] {
            assert_eq!(Rules::read(xml), None, "{xml}");
        }
        assert_eq!(Rules::read("<LifecycleConfiguration/>"), Some(Rules::none()));
    }

    #[test]
    fn what_a_server_leaves_out_is_seen() {
        let rules = |status: &str, days: u32| {
            let filter = "<Filter><Prefix>job-</Prefix></Filter>";
            let days = format!("<Expiration><Days>{days}</Days></Expiration>");
            let rule = format!("<Rule><ID>{RULE_ID}</ID>{filter}<Status>{status}</Status>{days}</Rule>");
            Rules::read(&format!("<{ROOT}>{rule}</{ROOT}>")).unwrap()
        };
        assert!(rules("Enabled", 7).has_essentials_of(Some(OURS)));
        assert!(!rules("Enabled", 7).has(Some(OURS)));
        assert!(!rules("Disabled", 7).has_essentials_of(Some(OURS)));
        assert!(!rules("Enabled", 8).has_essentials_of(Some(OURS)));
        assert!(!Rules::none().has_essentials_of(Some(OURS)));
    }
}
