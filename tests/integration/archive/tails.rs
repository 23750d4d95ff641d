//! A tail gives every line once, in order, whether it is opened before, while or after lines are archived.

use serde_json::json;

use super::Archive;
use crate::harness::{ResumingTail, Session, Socket, Tail, for_each_backend, line};

for_each_backend!(tails_opened_before_while_and_after_archiving_give_the_same_lines);

const CALLS: usize = 150;

async fn tails_opened_before_while_and_after_archiving_give_the_same_lines(archive: Archive) {
    let id = archive.owner().start_any().await;
    let open = || ResumingTail::start(&archive.server, &id, Session::long(archive.team.owner_claims()));
    let mut tails = vec![open()];
    let (mut written, mut opened_while_archiving) = (Vec::new(), 0);
    for call in 0..CALLS {
        let lines: Vec<_> = (0..7).map(|number| format!("call {call} line {number}")).collect();
        archive.owner().append(&id, &lines.iter().map(|message| line(message)).collect::<Vec<_>>()).await;
        written.extend(lines);
        if call % 25 == 24 {
            // Some of the lines are in the object, some in the database.
            archive.owner().archived(&id, written.len() / 2).await;
            opened_while_archiving +=
                usize::from(archive.owner().archived_lines(&id).await < written.len() as i64);
            tails.push(open());
            // And one comes back in the middle.
            tails[0].cut();
        }
    }
    archive.owner().complete(&id).await;
    archive.owner().archived(&id, written.len()).await;
    tails.push(open());
    for tail in tails {
        assert_eq!(tail.finish().await.messages, written);
    }
    let socket = Socket::connect(archive.owner()).await;
    let mut from_the_middle = Tail::open(&socket, json!({ "execution": id, "from": 500 }));
    assert!(
        from_the_middle
            .rest()
            .await
            .into_iter()
            .map(|(_, message)| message)
            .eq(written[500..].iter().cloned())
    );
    let mut last = Tail::open(&socket, json!({ "execution": id, "last": 10 }));
    assert_eq!(last.rest().await.len(), 10);
    assert!(opened_while_archiving > 0, "some tails were opened while lines waited");
}
