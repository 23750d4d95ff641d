//! `logTail`: everything from any line on, then live; each line once, in order; it ends with the execution.

use serde_json::json;

use crate::harness::{ResumingTail, Session, Socket, Tail, Team, for_each_backend, line, lines, unique};

for_each_backend!(
    a_tail_of_a_missing_execution_is_refused,
    a_tail_of_another_tenants_execution_is_refused_as_if_it_were_missing,
    a_tail_without_a_token_is_refused,
    a_tail_gives_stored_lines_then_live_ones,
    a_tail_starts_at_any_line,
    a_tail_starts_with_the_newest_lines,
    a_tail_opened_before_any_line_gets_the_first,
    a_tail_says_when_it_has_caught_up,
    a_tail_gives_only_lines_that_match_its_filter,
    a_long_backlog_comes_whole_and_in_order,
    a_tail_of_a_finished_execution_gives_everything_and_ends,
    a_tail_of_a_finished_execution_without_lines_ends,
    a_tail_ends_after_the_last_line_of_an_execution_however_it_ends,
    all_tails_of_one_execution_see_the_same_lines_in_the_same_order,
    a_tail_that_was_completed_by_its_client_gets_nothing_more,
    a_tail_resumes_after_cuts_without_holes_or_repeats,
    a_batch_of_long_lines_is_bounded_by_their_text,
    a_backlog_of_short_and_long_lines_comes_whole_and_in_order,
    a_tail_that_finds_nothing_says_how_far_it_has_looked,
    a_tail_of_an_execution_that_is_deleted_fails,
);

async fn a_tail_of_a_missing_execution_is_refused(team: Team) {
    let socket = Socket::connect(&team.owner).await;
    let refusal = Tail::open(&socket, json!({ "execution": runledger::clock::new_id() })).refused().await;
    assert_eq!(refusal.code(), "NOT_FOUND");
}

async fn a_tail_of_another_tenants_execution_is_refused_as_if_it_were_missing(team: Team) {
    let execution = team.owner.start_any().await;
    let socket = Socket::connect(&team.stranger).await;
    let theirs = Tail::open(&socket, json!({ "execution": execution })).refused().await;
    let missing = Tail::open(&socket, json!({ "execution": runledger::clock::new_id() })).refused().await;
    assert_eq!(theirs.code(), "NOT_FOUND");
    assert_eq!(theirs.message(), missing.message());
}

async fn a_tail_without_a_token_is_refused(team: Team) {
    let execution = team.owner.start_any().await;
    match Socket::try_connect(&team.server, None).await {
        // Either the socket is refused, or the operation on it.
        Err(cut) => assert_eq!(cut.0, 4403),
        Ok(socket) => {
            let refusal = Tail::open(&socket, json!({ "execution": execution })).refused().await;
            assert_eq!(refusal.code(), "UNAUTHENTICATED");
        }
    }
}

async fn a_tail_gives_stored_lines_then_live_ones(team: Team) {
    let (execution, socket) = execution_and_socket(&team).await;
    team.owner.append(&execution, &lines("stored", 3)).await;

    let mut tail = Tail::open(&socket, json!({ "execution": execution }));
    assert_eq!(tail.lines(3).await, [(0, "stored 0".into()), (1, "stored 1".into()), (2, "stored 2".into())]);

    team.owner.append(&execution, &lines("live", 2)).await;
    assert_eq!(tail.lines(2).await, [(3, "live 0".into()), (4, "live 1".into())]);
}

async fn a_tail_starts_at_any_line(team: Team) {
    let (execution, socket) = execution_and_socket(&team).await;
    // In several calls, so that a start lies in the middle of what one call stored.
    for number in 0..4 {
        team.owner.append(&execution, &lines(&format!("call {number} line"), 5)).await;
    }
    for from in [0_i64, 1, 4, 5, 13, 19] {
        let mut tail = Tail::open(&socket, json!({ "execution": execution, "from": from }));
        let received = tail.lines((20 - from) as usize).await;
        assert!(received.iter().map(|(seq, _)| *seq).eq(from..20), "from {from}: {received:?}");
    }
    let mut from_the_next = Tail::open(&socket, json!({ "execution": execution, "from": 20 }));
    team.owner.append(&execution, &[line("the next")]).await;
    assert_eq!(from_the_next.lines(1).await, [(20, "the next".into())]);
}

async fn a_tail_starts_with_the_newest_lines(team: Team) {
    let (execution, socket) = execution_and_socket(&team).await;
    team.owner.append(&execution, &lines("stored", 10)).await;

    let mut newest = Tail::open(&socket, json!({ "execution": execution, "last": 2 }));
    let mut all = Tail::open(&socket, json!({ "execution": execution, "last": 100 }));
    let mut none = Tail::open(&socket, json!({ "execution": execution, "last": 0 }));
    none.until_caught_up().await;
    team.owner.append(&execution, &[line("live")]).await;

    assert_eq!(newest.lines(3).await, [(8, "stored 8".into()), (9, "stored 9".into()), (10, "live".into())]);
    assert_eq!(all.lines(11).await.first(), Some(&(0, "stored 0".into())));
    assert_eq!(none.lines(1).await, [(10, "live".into())]);
}

async fn a_tail_opened_before_any_line_gets_the_first(team: Team) {
    let (execution, socket) = execution_and_socket(&team).await;
    let mut tail = Tail::open(&socket, json!({ "execution": execution }));
    assert_eq!(tail.until_caught_up().await, []);
    team.owner.append(&execution, &[line("the first")]).await;
    assert_eq!(tail.lines(1).await, [(0, "the first".into())]);
}

async fn a_tail_says_when_it_has_caught_up(team: Team) {
    let (execution, socket) = execution_and_socket(&team).await;
    for _ in 0..3 {
        team.owner.append(&execution, &lines("stored", 700)).await;
    }
    let mut tail = Tail::open(&socket, json!({ "execution": execution }));
    assert_eq!(tail.until_caught_up().await.len(), 2_100, "everything stored comes before it has caught up");

    team.owner.append(&execution, &[line("live")]).await;
    let batch = tail.batch().await;
    assert_eq!(batch["caughtUp"], true, "and it stays so");
    assert_eq!(batch["ended"], false);
    assert_eq!(batch["nextSeq"], 2_101);
}

async fn a_tail_gives_only_lines_that_match_its_filter(team: Team) {
    let (execution, socket) = execution_and_socket(&team).await;
    let mut by_level =
        Tail::open(&socket, json!({ "execution": execution, "filter": { "levels": ["WARN", "ERROR"] } }));
    let mut by_stream =
        Tail::open(&socket, json!({ "execution": execution, "filter": { "stream": "stderr" } }));
    let mut by_text = Tail::open(&socket, json!({ "execution": execution, "filter": { "search": "DISK" } }));
    let mut by_all = Tail::open(
        &socket,
        json!({ "execution": execution, "filter": { "levels": ["ERROR"], "stream": "stderr", "search": "disk" } }),
    );
    let mixed = [
        json!({ "message": "started", "stream": "stdout" }),
        json!({ "message": "disk is slow", "stream": "stderr", "level": "WARN" }),
        json!({ "message": "disk is full", "stream": "stderr", "level": "ERROR" }),
        json!({ "message": "giving up", "stream": "stderr", "level": "ERROR" }),
        json!({ "message": "bye", "stream": "stdout" }),
    ];
    team.owner.append(&execution, &mixed).await;
    team.owner.complete(&execution).await;

    assert_eq!(by_level.seqs_to_the_end().await, [1, 2, 3]);
    assert_eq!(by_stream.seqs_to_the_end().await, [1, 2, 3]);
    assert_eq!(by_text.seqs_to_the_end().await, [1, 2]);
    assert_eq!(by_all.seqs_to_the_end().await, [2]);
    assert_eq!(by_all.next_seq(), 5, "a resumed tail need not look at the lines again that did not match");
}

async fn a_long_backlog_comes_whole_and_in_order(team: Team) {
    const CALLS: usize = 20;
    const LINES: usize = 1_000;
    let (execution, socket) = execution_and_socket(&team).await;
    for _ in 0..CALLS {
        team.owner.append(&execution, &lines(&unique("line"), LINES)).await;
    }
    team.owner.complete(&execution).await;
    let seqs = Tail::open(&socket, json!({ "execution": execution })).seqs_to_the_end().await;
    assert_eq!(seqs, (0..(CALLS * LINES) as i64).collect::<Vec<_>>());
}

async fn a_tail_of_a_finished_execution_gives_everything_and_ends(team: Team) {
    let (execution, socket) = execution_and_socket(&team).await;
    team.owner.append(&execution, &lines("stored", 5)).await;
    team.owner.complete(&execution).await;
    assert_eq!(
        Tail::open(&socket, json!({ "execution": execution })).seqs_to_the_end().await,
        [0, 1, 2, 3, 4]
    );
    assert_eq!(
        Tail::open(&socket, json!({ "execution": execution, "from": 3 })).seqs_to_the_end().await,
        [3, 4],
        "from the middle, too"
    );
    assert_eq!(
        Tail::open(&socket, json!({ "execution": execution, "from": 5 })).seqs_to_the_end().await,
        [] as [i64; 0],
        "and a tail that resumes after the last line learns that it was the last"
    );
}

async fn a_tail_of_a_finished_execution_without_lines_ends(team: Team) {
    let (execution, socket) = execution_and_socket(&team).await;
    team.owner.complete(&execution).await;
    let mut tail = Tail::open(&socket, json!({ "execution": execution }));
    assert_eq!(tail.seqs_to_the_end().await, [] as [i64; 0]);
}

async fn a_tail_ends_after_the_last_line_of_an_execution_however_it_ends(team: Team) {
    for status in ["COMPLETED", "FAILED", "CANCELLED"] {
        let (execution, socket) = execution_and_socket(&team).await;
        let mut tail = Tail::open(&socket, json!({ "execution": execution }));
        team.owner.append(&execution, &lines("line", 2)).await;
        assert_eq!(tail.lines(2).await.len(), 2);
        team.owner.append(&execution, &lines("last", 2)).await;
        team.owner
            .finish(json!({ "id": execution, "status": status }))
            .await
            .expect("a running execution can end");
        assert_eq!(tail.seqs_to_the_end().await, [2, 3], "{status}");
    }
}

async fn all_tails_of_one_execution_see_the_same_lines_in_the_same_order(team: Team) {
    const APPENDERS: usize = 10;
    const CALLS: usize = 20;
    let (execution, socket) = execution_and_socket(&team).await;
    let colleagues_socket = Socket::connect(&team.colleague).await;
    let mut tails: Vec<_> = [&socket, &socket, &socket, &colleagues_socket]
        .map(|socket| Tail::open(socket, json!({ "execution": execution })))
        .into();

    let appenders = (0..APPENDERS).map(|appender| {
        let (owner, execution) = (team.owner.clone(), execution.clone());
        tokio::spawn(async move {
            for call in 0..CALLS {
                owner.append(&execution, &lines(&format!("{appender} {call}"), 2)).await;
            }
        })
    });
    for appender in futures_util::future::join_all(appenders).await {
        appender.expect("no append fails");
    }
    team.owner.complete(&execution).await;

    let first = tails.pop().expect("there are four").lines(APPENDERS * CALLS * 2).await;
    for mut tail in tails {
        assert_eq!(tail.lines(APPENDERS * CALLS * 2).await, first);
    }
    for appender in 0..APPENDERS {
        let prefix = format!("{appender} ");
        let theirs: Vec<_> = first.iter().filter(|(_, message)| message.starts_with(&prefix)).collect();
        let sent =
            (0..CALLS).flat_map(|call| (0..2).map(move |number| format!("{appender} {call} {number}")));
        assert!(
            theirs.iter().map(|(_, message)| message.clone()).eq(sent),
            "each appender's lines keep their order"
        );
    }
}

async fn a_tail_that_was_completed_by_its_client_gets_nothing_more(team: Team) {
    let (execution, socket) = execution_and_socket(&team).await;
    let mut completed = Tail::open(&socket, json!({ "execution": execution }));
    team.owner.append(&execution, &[line("wanted")]).await;
    assert_eq!(completed.lines(1).await, [(0, "wanted".into())]);

    completed.complete();
    // Messages are handled in order: when this one is answered, the completion has been seen.
    let mut other = Tail::open(&socket, json!({ "execution": execution }));
    assert_eq!(other.lines(1).await, [(0, "wanted".into())]);
    team.owner.append(&execution, &[line("not wanted")]).await;
    assert_eq!(other.lines(1).await, [(1, "not wanted".into())]);
    assert!(completed.is_silent(), "nothing follows a completion");
}

async fn a_tail_resumes_after_cuts_without_holes_or_repeats(team: Team) {
    const CUTS: usize = 10;
    let execution = team.owner.start_any().await;
    let mut tail = ResumingTail::start(&team.server, &execution, Session::long(team.owner_claims()));
    for cut in 0..CUTS {
        let appended = team.owner.append(&execution, &lines(&format!("before cut {cut}"), 50)).await;
        if cut % 2 == 0 {
            // Sometimes with everything received, sometimes in the middle of it.
            tail.reached(appended["nextSeq"].as_i64().expect("it is a number")).await;
        }
        tail.cut();
    }
    team.owner.complete(&execution).await;
    assert_eq!(tail.finish().await.messages.len(), CUTS * 50);
}

async fn a_batch_of_long_lines_is_bounded_by_their_text(team: Team) {
    const LINE_BYTES: usize = 60 * 1024;
    const BATCH_BYTES_MAX: usize = 256 * 1024;
    let (execution, socket) = execution_and_socket(&team).await;
    team.owner.append(&execution, &vec![line(&"x".repeat(LINE_BYTES)); 30]).await;
    team.owner.complete(&execution).await;
    let mut tail = Tail::open(&socket, json!({ "execution": execution }));
    let mut received = 0;
    loop {
        let batch = tail.batch().await;
        let count = batch["lines"].as_array().expect("a batch has lines").len();
        assert!(count * LINE_BYTES <= BATCH_BYTES_MAX, "{count} lines in one batch");
        received += count;
        if batch["ended"] == true {
            break;
        }
    }
    assert_eq!(received, 30);
}

async fn a_backlog_of_short_and_long_lines_comes_whole_and_in_order(team: Team) {
    let (execution, socket) = execution_and_socket(&team).await;
    let (short, long) = (line("short"), line(&"x".repeat(60 * 1024)));
    for _ in 0..3 {
        for _ in 0..30 {
            team.owner.append(&execution, std::slice::from_ref(&short)).await;
        }
        team.owner.append(&execution, &vec![long.clone(); 30]).await;
    }
    team.owner.complete(&execution).await;
    let seqs = Tail::open(&socket, json!({ "execution": execution })).seqs_to_the_end().await;
    assert_eq!(seqs, (0..180).collect::<Vec<_>>());
    let few = json!({ "execution": execution, "filter": { "search": "SHORT" } });
    let seqs = Tail::open(&socket, few).seqs_to_the_end().await;
    assert!(seqs.into_iter().eq((0..180).filter(|seq| seq % 60 < 30)));
}

async fn a_tail_that_finds_nothing_says_how_far_it_has_looked(team: Team) {
    let (execution, socket) = execution_and_socket(&team).await;
    for _ in 0..2 {
        team.owner.append(&execution, &vec![line(&"x".repeat(60 * 1024)); 100]).await;
    }
    let mut tail = Tail::open(&socket, json!({ "execution": execution, "filter": { "search": "nowhere" } }));
    let batch = tail.batch().await;
    let next_seq = batch["nextSeq"].as_i64().expect("it is a number");
    assert_eq!(batch["lines"], json!([]));
    assert!(0 < next_seq && next_seq < 200, "{next_seq}: it speaks before it has read all");
    assert_eq!(batch["caughtUp"], false);
    assert_eq!(tail.until_caught_up().await, []);
    assert_eq!(tail.next_seq(), 200);
    team.owner.append(&execution, &[line("now here, not nowhere")]).await;
    assert_eq!(tail.lines(1).await, [(200, "now here, not nowhere".into())], "and goes on");
}

async fn a_tail_of_an_execution_that_is_deleted_fails(team: Team) {
    let (execution, socket) = execution_and_socket(&team).await;
    team.owner.append(&execution, &[line("a line")]).await;
    let mut tail = Tail::open(&socket, json!({ "execution": execution }));
    assert_eq!(tail.lines(1).await.len(), 1);
    let delete = "mutation ($id: ID!) { deleteExecution(id: $id) { deletedCount } }";
    team.owner.query(delete, json!({ "id": execution })).await;
    assert_eq!(tail.refused().await.code(), "NOT_FOUND", "that is not the end of the log");
}

async fn execution_and_socket(team: &Team) -> (String, Socket) {
    (team.owner.start_any().await, Socket::connect(&team.owner).await)
}
