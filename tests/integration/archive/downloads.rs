//! The whole log in one click.

use serde_json::json;

use super::{Archive, NEVER, messages_of};
use crate::harness::{Backend, Claims, for_each_backend, get, line, lines};

for_each_backend!(
    a_link_that_is_changed_or_expired_or_of_something_deleted_gives_nothing,
    only_who_may_read_a_log_gets_a_link,
    a_download_has_every_acknowledged_line_archived_or_not,
    downloads_while_lines_are_archived_have_each_line_once,
);

async fn a_link_that_is_changed_or_expired_or_of_something_deleted_gives_nothing(archive: Archive) {
    let owner = archive.owner();
    let (id, other) = (owner.start_any().await, owner.start_any().await);
    for id in [&id, &other] {
        owner.append(id, &[line("a secret")]).await;
    }
    let link = owner.link_to_log(&id).await;
    assert_eq!(get(&link, &[]).await.status, 200);
    let (head, token) = link.split_once("token=").expect("a link has a token");
    let mut changed = token.to_owned();
    let last = changed.pop().expect("it is long");
    changed.push(if last == 'A' { 'B' } else { 'A' });
    for token in [changed.as_str(), "", "nonsense", &token[1..]] {
        let refused = get(&format!("{head}token={token}"), &[]).await;
        assert_eq!(refused.status, 403, "{token}");
        assert!(!String::from_utf8_lossy(&refused.body).contains("a secret"));
    }
    // The name in the path is only what a browser calls the file: the token says what it is.
    let renamed = get(&link.replace(&id, &other), &[]).await;
    assert_eq!(renamed.body, get(&link, &[]).await.body);

    let document = "query ($id: ID!, $seconds: Int!) {
        execution(id: $id) { logObject { download(expiresInSeconds: $seconds) { url } } }
    }";
    for seconds in [0, -1, 604_801] {
        let refusal = owner.refused(document, json!({ "id": id, "seconds": seconds })).await;
        assert_eq!(refusal.code(), "BAD_INPUT", "{seconds}");
    }
    let short = owner.query(document, json!({ "id": id, "seconds": 1 })).await;
    let short = short["execution"]["logObject"]["download"]["url"].as_str().expect("a text").to_owned();
    let deadline = std::time::Instant::now() + crate::harness::PATIENCE;
    while get(&short, &[]).await.status != 403 {
        assert!(std::time::Instant::now() < deadline, "the link ends");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }

    let delete = "mutation ($id: ID!) { deleteExecution(id: $id) { deletedCount } }";
    owner.query(delete, json!({ "id": id })).await;
    assert_eq!(get(&link, &[]).await.status, 404);
}

async fn only_who_may_read_a_log_gets_a_link(archive: Archive) {
    let id = archive.owner().start_any().await;
    archive.owner().append(&id, &[line("a line")]).await;
    let document = "query ($id: ID!) { execution(id: $id) { logObject { download { url } } } }";
    for client in [&archive.team.owner, &archive.team.colleague, &archive.team.admin, &archive.team.service] {
        assert!(
            client.query(document, json!({ "id": id })).await["execution"]["logObject"]["download"]
                .is_object()
        );
    }
    let theirs = archive.team.stranger.query(document, json!({ "id": id })).await;
    assert_eq!(theirs["execution"], json!(null));
    let nobody = archive.server.client(&Claims::user("nobody")).query(document, json!({ "id": id })).await;
    assert_eq!(nobody["execution"], json!(null));
}

async fn a_download_has_every_acknowledged_line_archived_or_not(backend: Backend) {
    let archive = Archive::after(backend, NEVER).await;
    let id = archive.owner().start_any().await;
    let link = archive.owner().link_to_log(&id).await;
    assert_eq!(get(&link, &[]).await.body, b"", "there are none yet");
    archive.owner().append(&id, &lines("archived", 1_000)).await;
    archive.owner().archived(&id, 1_000).await;
    archive.owner().append(&id, &lines("waiting", 10)).await;
    assert_eq!(archive.owner().archived_lines(&id).await, 1_000);

    let whole = get(&link, &[]).await;
    assert_eq!(whole.status, 200);
    assert_eq!(whole.header("content-type"), "application/x-ndjson");
    assert_eq!(whole.header("content-disposition"), format!("attachment; filename=\"job-{id}.log\""));
    let whole = String::from_utf8(whole.body).expect("it is UTF-8");
    assert_eq!(messages_of(&whole).len(), 1_010);
    archive.owner().complete(&id).await;
    archive.owner().archived(&id, 1_010).await;
    assert_eq!(archive.object(&id).expect("it is there"), whole, "byte for byte what the object will be");
}

async fn downloads_while_lines_are_archived_have_each_line_once(archive: Archive) {
    let id = archive.owner().start_any().await;
    let link = archive.owner().link_to_log(&id).await;
    let mut written = Vec::new();
    for call in 0..60 {
        // Several pieces, so that lines are archived between them.
        let lines: Vec<_> = (0..40).map(|number| format!("{call} {number} {}", "x".repeat(2_000))).collect();
        archive.owner().append(&id, &lines.iter().map(|message| line(message)).collect::<Vec<_>>()).await;
        written.extend(lines);
        let downloaded = get(&link, &[]).await;
        assert_eq!(downloaded.status, 200);
        let messages = messages_of(&String::from_utf8(downloaded.body).expect("it is UTF-8"));
        assert_eq!(messages, written, "every acknowledged line, once");
    }
    assert!(archive.owner().archived_lines(&id).await > 0, "some were archived meanwhile");
}
