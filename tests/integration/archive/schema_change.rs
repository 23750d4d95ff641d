//! The tables can be taken back to the time before there were objects, and forward again, with rows in them.

use super::{Archive, NEVER};
use crate::harness::{Backend, for_each_backend, lines, steps_before};

for_each_backend!(waiting_lines_survive_the_schema_change_back_and_forth);

async fn waiting_lines_survive_the_schema_change_back_and_forth(backend: Backend) {
    let mut archive = Archive::after(backend, NEVER).await;
    let id = archive.owner().start_any().await;
    archive.owner().append(&id, &lines("line", 30)).await;
    archive.server.kill9();
    let steps = steps_before("m0005");
    for arguments in [&["migrate", "--down", &steps][..], &["migrate"]] {
        let output = archive.server.run(arguments).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    archive.restart().await;
    // They are of a time before there were objects: they are archived at once.
    archive.owner().archived(&id, 30).await;
    assert_eq!(archive.messages_in_object(&id).len(), 30);
    assert!(archive.owner().log_object(&id).await["expiresAt"].is_null());
    archive.owner().complete(&id).await;
    assert!(archive.owner().log_object(&id).await["expiresAt"].is_string(), "its age is known");
}
