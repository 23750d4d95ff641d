//! Links that anybody can follow, for a while.

use std::time::{Duration, Instant};

use reqwest::{Client, Response, Url};

use super::fixture::{Fixture, Kind, for_each_cloud, fresh};
use crate::domain::object::ObjectName;

const HOUR: Duration = Duration::from_secs(3_600);

for_each_cloud!(
    a_link_needs_no_key_and_names_the_file,
    a_link_is_for_its_object_alone,
    a_link_expires,
    a_file_name_cannot_end_its_header,
);

async fn a_link_needs_no_key_and_names_the_file(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let name = fresh();
    fixture.put(&name, "0123456789").await.unwrap();
    let link = signed(&fixture, &name, HOUR, "shop v3.tar.gz").await;
    let answer = follow(&link, None).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-disposition"], "attachment; filename=\"shop v3.tar.gz\"");
    assert_eq!(answer.text().await.unwrap(), "0123456789");
    let part = follow(&link, Some("bytes=2-4")).await;
    assert_eq!((part.status().as_u16(), part.text().await.unwrap().as_str()), (206, "234"));
}

async fn a_link_is_for_its_object_alone(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let (name, other) = (fresh(), fresh());
    fixture.put(&name, "mine").await.unwrap();
    fixture.put(&other, "another").await.unwrap();
    let link = signed(&fixture, &name, HOUR, "x").await.to_string();
    let moved = link.replace(name.key.as_str(), other.key.as_str());
    assert_ne!(moved, link);
    // In the middle of the signature, where every bit counts.
    let parameter = if kind == Kind::S3 { "X-Amz-Signature=" } else { "token=" };
    let at = link.find(parameter).unwrap() + parameter.len() + 20;
    let turned = if &link[at..=at] == "a" { "b" } else { "a" };
    let tampered = format!("{}{turned}{}", &link[..at], &link[at + 1..]);
    let bare = link.split('?').next().unwrap().to_owned();
    for refused in [moved, tampered, bare] {
        let answer = follow(&refused.parse().unwrap(), None).await;
        assert!(answer.status().is_client_error(), "{refused}: {}", answer.status());
    }
}

async fn a_link_expires(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let name = fresh();
    fixture.put(&name, "x").await.unwrap();
    let link = signed(&fixture, &name, Duration::from_secs(1), "x").await;
    let begun = Instant::now();
    while !follow(&link, None).await.status().is_client_error() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it expires");
    }
}

async fn a_file_name_cannot_end_its_header(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let name = fresh();
    fixture.put(&name, "x").await.unwrap();
    let link = signed(&fixture, &name, HOUR, "a\"; filename=\"b\r\nx: y/..\\ü&token=1").await;
    let answer = follow(&link, None).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.headers()["content-disposition"],
        "attachment; filename=\"a_; filename=_b__x: y_..__&token=1\""
    );
}

#[tokio::test]
async fn a_disk_signs_nothing() {
    let fixture = Fixture::new(Kind::Local).await;
    assert_eq!(fixture.store.sign_get(&fresh(), HOUR, "x").await, Ok(None));
}

async fn signed(fixture: &Fixture, name: &ObjectName, expires_in: Duration, file_name: &str) -> Url {
    fixture.store.sign_get(name, expires_in, file_name).await.unwrap().unwrap()
}

async fn follow(link: &Url, range: Option<&str>) -> Response {
    let request = Client::new().get(link.clone());
    let request = match range {
        Some(range) => request.header("range", range),
        None => request,
    };
    request.send().await.unwrap()
}
