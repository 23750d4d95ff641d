//! Links: whoever has one downloads one archive until it expires, and nothing else.

use reqwest::Method;
use serde_json::{Value, json};

use super::project;
use crate::harness::{
    Downloaded, Server, Team, files, for_each_backend, get, id_of, request, sha256, soon, unique,
};

for_each_backend!(
    a_link_works_without_a_token,
    a_part_of_an_archive_is_sent_when_it_is_asked_for,
    a_part_of_another_archive_is_never_sent,
    a_client_that_has_it_is_told_so,
    a_link_ends_when_it_says,
    a_link_lives_from_a_second_to_seven_days,
    a_link_that_was_tampered_with_is_refused,
    a_link_is_for_its_archive_only,
    a_link_to_what_was_deleted_leads_nowhere,
    a_link_survives_a_restart,
    only_reading_is_allowed,
);

async fn a_link_works_without_a_token(team: Team) {
    let key = format!("../my \"shop\" é {}", unique("project"));
    let saved = team.owner.save(&key, &project()).await;
    let link = team.colleague.try_link(&id_of(&saved), 3_600).await.expect("it is the tenant's");
    assert_eq!(link["expiresInSeconds"], 3_600);
    let downloaded = get(link["url"].as_str().expect("a text"), &[]).await;
    assert_eq!(downloaded.status, 200);
    assert_eq!(json!(sha256(&downloaded.body)), saved["sha256"]);
    let length = saved["sizeBytes"].to_string();
    for (name, value) in [
        ("content-type", "application/gzip"),
        ("content-length", &length),
        ("accept-ranges", "bytes"),
        ("x-content-type-options", "nosniff"),
        ("content-encoding", ""),
    ] {
        assert_eq!(downloaded.header(name), value, "{name}");
    }
    let disposition = downloaded.header("content-disposition");
    let name = disposition.strip_prefix("attachment; filename=\"").and_then(|rest| rest.strip_suffix('"'));
    let name = name.expect("it is saved as a file");
    assert!(name.starts_with("my--shop") && name.ends_with("-v1.tar.gz"), "{name}");
    assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{name}");
}

/// A link to the archive of something, and the archive.
async fn linked(team: &Team) -> (String, Vec<u8>) {
    let link = team.owner.link(&id_of(&team.owner.save(&unique("project"), &project()).await)).await;
    let archive = get(&link, &[]).await.body;
    assert!(archive.len() > 200);
    (link, archive)
}

async fn a_part_of_an_archive_is_sent_when_it_is_asked_for(team: Team) {
    let (link, archive) = linked(&team).await;
    let size = archive.len();
    for (range, part) in [
        ("bytes=0-9".to_owned(), 0..10),
        ("bytes=100-".to_owned(), 100..size),
        ("bytes=-7".to_owned(), size - 7..size),
        (format!("bytes=5-{}", size + 100), 5..size),
        (format!("bytes={0}-{0}", size - 1), size - 1..size),
    ] {
        let sent = get(&link, &[("range", &range)]).await;
        assert_eq!((sent.status, &sent.body[..]), (206, &archive[part.clone()]), "{range}");
        let content_range = format!("bytes {}-{}/{size}", part.start, part.end - 1);
        assert_eq!(sent.header("content-range"), content_range, "{range}");
    }
    let beyond = get(&link, &[("range", &format!("bytes={size}-"))]).await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, &*format!("bytes */{size}")));
    for nonsense in ["lines=0-9", "bytes=9-0", "bytes=a-b", "bytes=0-1,5-6"] {
        let whole = get(&link, &[("range", nonsense)]).await;
        assert!(whole.status == 200 && whole.body == archive, "{nonsense} is {}", whole.status);
    }
}

async fn a_part_of_another_archive_is_never_sent(team: Team) {
    let (link, archive) = linked(&team).await;
    let etag = get(&link, &[]).await.header("etag").to_owned();
    assert_eq!(etag, format!("\"{}\"", sha256(&archive)));
    let same = get(&link, &[("range", "bytes=0-9"), ("if-range", &etag)]).await;
    assert_eq!((same.status, &same.body[..]), (206, &archive[..10]));
    for other in ["\"of something else\"", "Sat, 21 Nov 2026 09:30:00 GMT", "Fri, 21 Nov 2036 09:30:00 GMT"] {
        let whole = get(&link, &[("range", "bytes=0-9"), ("if-range", other)]).await;
        assert!(whole.status == 200 && whole.body == archive, "{other}: {}", whole.status);
    }
}

async fn a_client_that_has_it_is_told_so(team: Team) {
    let (link, archive) = linked(&team).await;
    let etag = get(&link, &[]).await.header("etag").to_owned();
    for known in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
        let answer = get(&link, &[("if-none-match", &known)]).await;
        assert_eq!((answer.status, answer.body.len(), answer.header("etag")), (304, 0, &*etag), "{known}");
    }
    // Another copy of the same bytes has another time: it says nothing.
    for (name, value) in [
        ("if-none-match", "\"x\""),
        ("if-modified-since", "Fri, 21 Nov 2036 09:30:00 GMT"),
        ("if-unmodified-since", "Fri, 21 Nov 2025 09:30:00 GMT"),
    ] {
        let answer = get(&link, &[(name, value)]).await;
        assert!(answer.status == 200 && answer.body == archive, "{name}: {}", answer.status);
    }
}

async fn a_link_ends_when_it_says(team: Team) {
    let id = team.owner.save_any().await;
    let link = team.owner.try_link(&id, 1).await.expect("a second is allowed");
    let url = link["url"].as_str().expect("a text").to_owned();
    let expires_at = link["expiresAt"].as_str().expect("a text").to_owned();
    let said = |now: runledger::clock::Timestamp| {
        let at = chrono::DateTime::parse_from_rfc3339(&expires_at).expect("a time");
        now.fixed_offset() < at
    };
    let refused = soon("the end of the link", async {
        loop {
            let before = runledger::clock::now();
            let answer = get(&url, &[]).await;
            match answer.status {
                200 => assert!(said(before), "it worked after {expires_at}"),
                _ => break answer,
            }
        }
    });
    let refused = refused.await;
    assert!(!said(runledger::clock::now()), "it ended before {expires_at}");
    assert_refused(&refused, 403, "FORBIDDEN");
}

fn assert_refused(answer: &Downloaded, status: u16, code: &str) {
    let body: Value = serde_json::from_slice(&answer.body).expect("it says why, as JSON");
    assert_eq!((answer.status, &body["errors"][0]["extensions"]["code"]), (status, &json!(code)));
    assert_eq!(answer.header("content-disposition"), "", "an error is no archive");
}

async fn a_link_lives_from_a_second_to_seven_days(team: Team) {
    let id = team.owner.save_any().await;
    for seconds in [0, -1, 604_801, i64::from(i32::MAX), i64::from(i32::MIN)] {
        let refusal = team.owner.try_link(&id, seconds).await.expect_err("it is too short or too long");
        assert_eq!((refusal.code(), refusal.field()), ("BAD_INPUT", Some("expiresInSeconds")), "{seconds}");
    }
    let week = team.owner.try_link(&id, 604_800).await.expect("a week is allowed");
    assert_eq!(get(week["url"].as_str().expect("a text"), &[]).await.status, 200);
    let usual = "query ($id: ID!) { generation(id: $id) { download { expiresInSeconds } } }";
    let usual = team.owner.query(usual, json!({ "id": id })).await;
    assert_eq!(usual["generation"]["download"]["expiresInSeconds"], 3_600);
}

async fn a_link_that_was_tampered_with_is_refused(team: Team) {
    let (link, _) = linked(&team).await;
    let (address, token) = link.split_once("?token=").expect("it carries a token");
    assert_eq!(get(&format!("{address}?token={token}"), &[]).await.status, 200);
    let mut tampered = vec![String::new(), "nonsense".into(), team.owner.token().expect("it has one").into()];
    for (at, part) in token.split('.').enumerate() {
        // Another letter in the middle: not one whose last bits count for nothing.
        let middle = part.len() / 2;
        let other = if &part[middle..=middle] == "A" { "B" } else { "A" };
        let changed = format!("{}{other}{}", &part[..middle], &part[middle + 1..]);
        let parts = token.split('.').enumerate();
        let parts: Vec<_> = parts.map(|(of, part)| if of == at { &*changed } else { part }).collect();
        tampered.push(parts.join("."));
    }
    let unsigned = token.rsplit_once('.').expect("it is signed").0;
    tampered.push(format!("{unsigned}."));
    for token in tampered {
        assert_refused(&get(&format!("{address}?token={token}"), &[]).await, 403, "FORBIDDEN");
    }
    assert_refused(&get(address, &[]).await, 403, "FORBIDDEN");
    // Nor does it open anything else.
    let client = team.anonymous.with_token(Some(token.to_owned()));
    let refusal = client.refused("{ viewer { userId } }", json!({})).await;
    assert_eq!(refusal.code(), "UNAUTHENTICATED");
}

async fn a_link_is_for_its_archive_only(team: Team) {
    let one = team.owner.save(&unique("one"), &files(&[("one", b"1")])).await;
    let other = team.owner.save(&unique("other"), &files(&[("other", b"2")])).await;
    let (of_one, of_other) = (team.owner.link(&id_of(&one)).await, team.owner.link(&id_of(&other)).await);
    let (address, _) = of_one.split_once('?').expect("it carries a token");
    let (_, token) = of_other.split_once('?').expect("it carries a token");
    let mixed = get(&format!("{address}?{token}"), &[]).await;
    assert_eq!(json!(sha256(&mixed.body)), other["sha256"], "the token decides");
    let name = mixed.header("content-disposition");
    assert!(name.contains("other-"), "also what it is called: {name}");
}

async fn a_link_to_what_was_deleted_leads_nowhere(team: Team) {
    let id = team.owner.save_any().await;
    let link = team.owner.link(&id).await;
    assert_eq!(get(&link, &[]).await.status, 200);
    team.owner.delete_generation(&id).await.expect("it is ours");
    assert_refused(&get(&link, &[]).await, 404, "NOT_FOUND");
}

async fn a_link_survives_a_restart(server: Server) {
    let (link, archive) = linked(&Team::of(&server)).await;
    server.kill9();
    server.restart().await;
    let again = get(&link, &[]).await;
    assert!(again.status == 200 && again.body == archive);
}

async fn only_reading_is_allowed(team: Team) {
    let (link, archive) = linked(&team).await;
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        let answer = request(method.clone(), &link, &[]).await;
        assert_eq!(answer.status, 405, "{method}");
        let allowed = answer.header("allow");
        assert!(allowed.contains("GET") && allowed.contains("HEAD"), "{allowed}");
    }
    let head = request(Method::HEAD, &link, &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), archive.len().to_string());
    assert_eq!(get(&link, &[]).await.body, archive);
}
