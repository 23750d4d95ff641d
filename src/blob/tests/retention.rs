//! Rules by which storage itself removes old logs.

use super::fixture::{Behind, Fixture, Kind, bucket, is_unavailable};
use super::support::faults::{Fault, On};
use super::support::lifecycle::{Manner, Rules};

const FOREIGN: &str = "<Rule><ID>theirs</ID><Filter><Prefix>job-</Prefix></Filter><Status>Enabled</Status>\
    <Transition><Days>1</Days><StorageClass>GLACIER_IR</StorageClass></Transition></Rule>";
const HEADER: &str = "varies_by_storage_class";

fn rules(fixture: &Fixture) -> &Rules {
    let Behind::S3(server) = &fixture.behind else { unreachable!("it is S3") };
    server.rules()
}

async fn ensure(fixture: &Fixture, days: Option<u32>) -> bool {
    fixture.store.ensure_retention(&bucket(), days).await.unwrap()
}

fn kept(fixture: &Fixture) -> String {
    rules(fixture).kept().unwrap().0
}

#[tokio::test]
async fn a_storage_without_rules_says_so() {
    for kind in [Kind::Local, Kind::S3, Kind::Supabase] {
        let fixture = Fixture::new(kind).await;
        assert!(!ensure(&fixture, Some(7)).await, "{kind:?}");
        assert!(!ensure(&fixture, None).await, "{kind:?}");
    }
}

#[tokio::test]
async fn what_is_no_configuration_is_never_written_over() {
    for manner in [
        Manner::Listed,
        Manner::Answered(403, "<Error><Code>AccessDenied</Code></Error>"),
        Manner::Answered(404, ""),
        Manner::Answered(400, "<Error><Code>NotImplemented</Code></Error>"),
        Manner::Answered(501, ""),
        Manner::Answered(405, "no"),
        Manner::Answered(200, "hello"),
        Manner::Answered(200, ""),
        Manner::Answered(200, "<LifecycleConfiguration><Rule>"),
    ] {
        let fixture = Fixture::new(Kind::S3).await;
        rules(&fixture).be(manner.clone());
        assert!(!ensure(&fixture, Some(7)).await, "{manner:?}");
        assert!(!ensure(&fixture, None).await, "{manner:?}");
        let is_about_rules = |path: &str| path.contains("lifecycle");
        let asked = fixture.front().seen().into_iter().filter(|seen| is_about_rules(&seen.path));
        assert!(asked.into_iter().all(|seen| seen.method == "GET"), "{manner:?}");
    }
}

#[tokio::test]
async fn a_rule_counts_only_once_it_is_seen() {
    let fixture = Fixture::new(Kind::S3).await;
    rules(&fixture).be(Manner::Forgotten);
    assert!(!ensure(&fixture, Some(7)).await);
    assert_eq!(rules(&fixture).writes(), 1);
}

#[tokio::test]
async fn our_rule_comes_changes_and_goes() {
    let fixture = Fixture::new(Kind::S3).await;
    rules(&fixture).be(Manner::Kept);
    assert!(ensure(&fixture, Some(7)).await);
    let root = "<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
    let rule = |days| {
        format!(
            "<Rule><ID>runledger-logs</ID><Filter><Prefix>job-</Prefix></Filter><Status>Enabled</Status>\
             <Expiration><Days>{days}</Days></Expiration><AbortIncompleteMultipartUpload>\
             <DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>"
        )
    };
    assert_eq!(kept(&fixture), format!("{root}{}</LifecycleConfiguration>", rule(7)));
    assert!(ensure(&fixture, Some(30)).await);
    assert_eq!(kept(&fixture), format!("{root}{}</LifecycleConfiguration>", rule(30)));
    assert_eq!(rules(&fixture).writes(), 2);
    assert!(ensure(&fixture, Some(30)).await);
    assert_eq!(rules(&fixture).writes(), 2, "what is there already is not written again");
    assert!(ensure(&fixture, None).await);
    assert_eq!(rules(&fixture).kept(), None);
    assert!(ensure(&fixture, None).await);
    assert_eq!(rules(&fixture).writes(), 3);
}

#[tokio::test]
async fn rules_of_others_stay() {
    let fixture = Fixture::new(Kind::S3).await;
    rules(&fixture).be(Manner::Kept);
    let theirs = format!("<LifecycleConfiguration xmlns=\"http://x/\">{FOREIGN}</LifecycleConfiguration>");
    rules(&fixture).set(&theirs, Some(HEADER));
    for days in [7, 14] {
        assert!(ensure(&fixture, Some(days)).await);
        let (both, header) = rules(&fixture).kept().unwrap();
        assert!(both.starts_with(theirs.trim_end_matches("</LifecycleConfiguration>")), "{both}");
        assert_eq!(both.matches("<Rule>").count(), 2, "{both}");
        assert_eq!(header.as_deref(), Some(HEADER), "what belongs to their rules stays, too");
    }
    assert!(ensure(&fixture, None).await);
    assert_eq!(rules(&fixture).kept(), Some((theirs, Some(HEADER.into()))));
}

#[tokio::test]
async fn versions_that_appends_leave_go_after_a_day() {
    let fixture = Fixture::new(Kind::S3).await;
    rules(&fixture).be(Manner::Kept);
    assert!(ensure(&fixture, Some(7)).await);
    let versions = "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>";
    assert!(!kept(&fixture).contains(versions));
    rules(&fixture).keep_versions();
    assert!(ensure(&fixture, Some(7)).await);
    assert!(kept(&fixture).contains(versions));
}

#[tokio::test]
async fn a_storage_that_is_away_is_no_storage_without_rules() {
    let fixture = Fixture::new(Kind::S3).await;
    rules(&fixture).be(Manner::Kept);
    fixture.front().next(On::Any, 3, Fault::status(503));
    assert!(is_unavailable(&fixture.store.ensure_retention(&bucket(), Some(7)).await));
    assert_eq!(rules(&fixture).kept(), None);
}
