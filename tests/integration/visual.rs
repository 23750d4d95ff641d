//! Visual events: stored in order as they were given, read by number, followed live, counted, and gone with their execution.

use runledger::domain::limits::{VISUAL_CALL_EVENTS_MAX, VISUAL_EVENT_BYTES_MAX};
use serde_json::{Value, json};

use crate::harness::{
    Backend, FIRST_MS, Server, Socket, Team, Watch, event, events, for_each_backend, id_of, line, one_over,
    unique,
};

for_each_backend!(
    what_is_no_event_is_refused_and_stores_nothing,
    too_much_at_once_is_refused_by_the_name_of_the_limit,
    a_repeated_call_stores_nothing_twice_and_a_hole_is_refused,
    an_execution_that_has_ended_takes_no_events_but_repeats_of_stored_ones,
    events_read_back_as_they_were_by_number,
    large_events_come_in_pages_that_are_bounded,
    the_first_events_mark_the_execution_and_all_are_counted,
    counts_of_a_runner_that_stores_no_events_stay_as_it_says,
    a_follower_gets_stored_events_then_live_ones_and_the_end,
    a_follower_before_the_first_event_gets_it_and_the_end_of_an_execution_without_any,
    a_follower_resumes_after_a_cut_without_holes_or_repeats,
    a_follower_of_an_execution_that_is_deleted_is_told,
    a_follower_whose_token_expires_is_cut_off,
    events_outlive_a_crash_of_the_server,
    log_lines_and_events_do_not_meet,
    visual_sessions_are_listed_newest_first_page_by_page,
    deleting_an_execution_removes_its_events,
    another_tenants_events_are_nowhere_to_be_found,
);

async fn what_is_no_event_is_refused_and_stores_nothing(team: Team) {
    let id = team.owner.start_any().await;
    for bad in [
        json!(null),
        json!(1),
        json!("text"),
        json!([3, 1]),
        json!({}),
        json!({ "type": 3 }),
        json!({ "type": "3", "timestamp": 1 }),
        json!({ "type": 3, "timestamp": "1" }),
        json!({ "type": 3, "timestamp": -1 }),
    ] {
        let refusal = team.owner.try_append_events(&id, &[event(0), bad.clone()], None).await;
        let refusal = refusal.expect_err("it is no event");
        assert_eq!(refusal.code(), "BAD_INPUT", "{bad}");
        if !bad.is_null() {
            assert_eq!(refusal.field(), Some("input.events.1"), "{bad}");
        }
    }
    let refusal = team.owner.try_append_events(&id, &[], None).await.expect_err("there is none");
    assert_eq!((refusal.code(), refusal.field()), ("BAD_INPUT", Some("input.events")));
    let refusal = team.owner.try_append_events(&id, &[event(0)], Some(-1)).await.expect_err("no such number");
    assert_eq!(refusal.field(), Some("input.firstSeq"));
    assert_eq!(team.owner.visual_events(&id, 0, 10).await["events"], json!([]));
    assert_eq!(team.owner.execution(&id).await["visual"]["enabled"], false);
}

async fn too_much_at_once_is_refused_by_the_name_of_the_limit(team: Team) {
    let id = team.owner.start_any().await;
    let many = vec![event(0); one_over(VISUAL_CALL_EVENTS_MAX)];
    let long = |bytes| json!({ "type": 2, "data": "x".repeat(bytes), "timestamp": 1 });
    let largest = VISUAL_EVENT_BYTES_MAX.to_usize() - r#"{"type":2,"data":"","timestamp":1}"#.len();
    for (events, limit, field) in [
        (many, "visual_call_events_max", "input.events"),
        (vec![event(0), long(largest + 1)], "visual_event_bytes_max", "input.events.1"),
        (vec![long(largest), long(largest / 2), event(0)], "visual_call_bytes_max", "input.events"),
    ] {
        let refusal = team.owner.try_append_events(&id, &events, None).await.expect_err("it is too much");
        assert_eq!(refusal.code(), "TOO_LARGE");
        assert_eq!(refusal.errors[0]["extensions"]["limit"]["name"], limit);
        assert_eq!(refusal.field(), Some(field));
    }
    assert_eq!(team.owner.append_events(&id, &[long(largest)]).await["nextSeq"], 1);
    assert_eq!(team.owner.all_visual_events(&id).await, [long(largest)]);
}

async fn a_repeated_call_stores_nothing_twice_and_a_hole_is_refused(team: Team) {
    let id = team.owner.start_any().await;
    let refusal = team.owner.try_append_events(&id, &events(1..3), Some(1)).await.expect_err("0 is missing");
    assert_eq!((refusal.code(), refusal.field()), ("CONFLICT", Some("input.firstSeq")));
    for (numbers, first_seq, appended, next_seq) in
        [(0..3, 0, 3, 3), (0..3, 0, 0, 3), (1..5, 1, 2, 5), (0..2, 0, 0, 5), (4..5, 4, 0, 5), (5..7, 5, 2, 7)]
    {
        let answer = team.owner.try_append_events(&id, &events(numbers), Some(first_seq)).await;
        assert_eq!(answer.expect("it fits"), json!({ "appended": appended, "nextSeq": next_seq }));
    }
    assert_eq!(team.owner.all_visual_events(&id).await, events(0..7));
}

async fn an_execution_that_has_ended_takes_no_events_but_repeats_of_stored_ones(team: Team) {
    let id = team.owner.start_any().await;
    team.owner.append_events(&id, &events(0..3)).await;
    let without_any = team.owner.start_any().await;
    team.owner.complete(&id).await;
    team.owner.cancel(&without_any, None).await.expect("it is running");
    let again = team.owner.try_append_events(&id, &events(1..3), Some(1)).await.expect("they are there");
    assert_eq!(again, json!({ "appended": 0, "nextSeq": 3 }));
    for (id, first_seq) in [(&id, Some(3)), (&id, None), (&without_any, None), (&without_any, Some(0))] {
        let refusal =
            team.owner.try_append_events(id, &[event(3)], first_seq).await.expect_err("it has ended");
        assert_eq!(refusal.code(), "CONFLICT");
    }
    assert_eq!(team.owner.execution(&without_any).await["visual"]["enabled"], false);
}

async fn events_read_back_as_they_were_by_number(team: Team) {
    let id = team.owner.start_any().await;
    let document =
        "mutation { appendVisualEvents(input: { executionId: \"ID\", events: [EVENT] }) { nextSeq } }";
    // As text, so that nothing on the way can tidy it up.
    let literal = r#"{ type: 2, data: { z: 1, a: [null, true, 1.5e2, -0.1, "\u00e9\u2028"] }, timestamp: 1763700000000.5 }"#;
    team.owner.query(&document.replace("ID", &id).replace("EVENT", literal), json!({})).await;
    let data = json!({ "z": 1, "a": [null, true, 150.0, -0.1, "\u{e9}\u{2028}"] });
    let first = json!({ "type": 2, "data": data, "timestamp": 1_763_700_000_000.5 });
    for numbers in [1..4, 4..5, 5..100] {
        team.owner.append_events(&id, &events(numbers)).await;
    }
    let all: Vec<_> = std::iter::once(first).chain(events(1..100)).collect();
    assert_eq!(team.owner.all_visual_events(&id).await, all);
    for (from, first) in [(0, 1), (0, 100), (1, 2), (3, 3), (4, 1), (50, 50), (99, 5)] {
        let page = team.owner.visual_events(&id, from, first).await;
        let end = (from + first).min(100);
        assert_eq!(page["events"], json!(all[from as usize..end as usize]), "{first} from {from}");
        assert_eq!(
            (&page["nextSeq"], &page["caughtUp"], &page["ended"]),
            (&json!(end), &json!(end == 100), &json!(false))
        );
    }
    let beyond = team.owner.visual_events(&id, 100, 5).await;
    assert_eq!(beyond, json!({ "events": [], "nextSeq": 100, "caughtUp": true, "ended": false }));
    team.owner.complete(&id).await;
    assert_eq!(team.owner.visual_events(&id, 99, 5).await["ended"], true);
    assert_eq!(team.owner.visual_events(&id, 98, 1).await["ended"], false);
    let document = "query ($id: ID!, $from: BigInt!, $first: Int!) { execution(id: $id) { visualEvents(fromSeq: $from, first: $first) { nextSeq } } }";
    for (from, first, code) in [(-1, 1, "BAD_INPUT"), (0, -1, "BAD_INPUT"), (0, 1_001, "TOO_LARGE")] {
        let refusal = team.owner.refused(document, json!({ "id": id, "from": from, "first": first })).await;
        assert_eq!(refusal.code(), code, "{first} from {from}");
    }
}

async fn large_events_come_in_pages_that_are_bounded(team: Team) {
    let id = team.owner.start_any().await;
    let large = |number: i64| json!({ "type": 2, "data": format!("{number}{}", "x".repeat(900 * 1024)), "timestamp": FIRST_MS });
    let all: Vec<_> = (0..12).map(large).collect();
    for events in all.chunks(4) {
        team.owner.append_events(&id, events).await;
    }
    let page = team.owner.visual_events(&id, 0, 1_000).await;
    assert!(page["nextSeq"].as_i64().is_some_and(|next| (1..12).contains(&next)), "{}", page["nextSeq"]);
    assert_eq!(page["caughtUp"], false);
    assert!(team.owner.all_visual_events(&id).await == all);
    let socket = Socket::connect(&team.owner).await;
    team.owner.complete(&id).await;
    assert!(Watch::open(&socket, &id, 0).rest().await == all);
}

async fn visual(team: &Team, id: &str) -> Value {
    team.owner.execution(id).await["visual"].take()
}

async fn the_first_events_mark_the_execution_and_all_are_counted(team: Team) {
    for end in ["COMPLETED", "CANCELLED"] {
        let id = team.owner.start_any().await;
        let before = team.owner.execution(&id).await["revision"].as_i64().expect("a number");
        team.owner.append_events(&id, &events(10..13)).await;
        let marked = team.owner.execution(&id).await;
        assert_eq!(marked["revision"], before + 1, "it changed");
        assert_eq!(
            (&marked["visual"]["enabled"], &marked["visual"]["eventsCaptured"]),
            (&json!(true), &json!(3))
        );
        assert_eq!(marked["visual"]["streamDurationMs"], 80);
        // What happened before the first can arrive later; the duration never becomes less.
        for (numbers, captured, duration) in [(20..21, 4, 400), (15..16, 5, 400), (5..6, 6, 600)] {
            team.owner.append_events(&id, &events(numbers)).await;
            let visual = visual(&team, &id).await;
            assert_eq!(
                (&visual["eventsCaptured"], &visual["streamDurationMs"]),
                (&json!(captured), &json!(duration))
            );
        }
        assert_eq!(team.owner.execution(&id).await["revision"], before + 1, "further events are no change");
        let said = json!({ "eventsCaptured": 1, "streamDurationMs": 2, "quality": "high" });
        team.owner.update(json!({ "id": id, "visual": said })).await.expect("it is running");
        assert_eq!(visual(&team, &id).await["eventsCaptured"], 6, "what is stored counts");
        if end == "CANCELLED" {
            team.owner.cancel(&id, None).await.expect("it is running");
        } else {
            team.owner
                .finish(json!({ "id": id, "status": end, "visual": said }))
                .await
                .expect("it is running");
        }
        let ended = visual(&team, &id).await;
        assert_eq!((&ended["eventsCaptured"], &ended["streamDurationMs"]), (&json!(6), &json!(600)), "{end}");
        assert_eq!(ended["quality"], "high");
    }
}

async fn counts_of_a_runner_that_stores_no_events_stay_as_it_says(team: Team) {
    let said = json!({ "enabled": true, "eventsCaptured": 42, "streamDurationMs": 4_200 });
    let id = id_of(&team.owner.start(json!({ "visual": said })).await);
    assert_eq!(visual(&team, &id).await["eventsCaptured"], 42);
    team.owner.complete(&id).await;
    let visual = visual(&team, &id).await;
    assert_eq!((&visual["eventsCaptured"], &visual["streamDurationMs"]), (&json!(42), &json!(4_200)));
}

async fn a_follower_gets_stored_events_then_live_ones_and_the_end(team: Team) {
    let id = team.owner.start_any().await;
    team.owner.append_events(&id, &events(0..700)).await;
    let socket = Socket::connect(&team.owner).await;
    let (mut all, mut newest) = (Watch::open(&socket, &id, 0), Watch::open(&socket, &id, 698));
    assert_eq!(all.events(700).await, events(0..700));
    assert_eq!(newest.events(2).await, events(698..700));
    for number in 700..710 {
        team.owner.append_events(&id, &[event(number)]).await;
        for watch in [&mut all, &mut newest] {
            let batch = watch.batch().await;
            assert_eq!(
                batch,
                json!({ "events": [event(number)], "nextSeq": number + 1, "caughtUp": true, "ended": false })
            );
        }
    }
    team.owner.append_events(&id, &events(710..712)).await;
    team.owner.complete(&id).await;
    for watch in [&mut all, &mut newest] {
        assert_eq!(watch.rest().await, events(710..712));
    }
    assert_eq!(Watch::open(&socket, &id, 5).rest().await, events(5..712));
    assert_eq!(Watch::open(&socket, &id, 712).rest().await, [] as [Value; 0]);
}

async fn a_follower_before_the_first_event_gets_it_and_the_end_of_an_execution_without_any(team: Team) {
    let (id, without_any) = (team.owner.start_any().await, team.owner.start_any().await);
    let socket = Socket::connect(&team.owner).await;
    let mut watch = Watch::open(&socket, &id, 0);
    let mut of_none = Watch::open(&socket, &without_any, 0);
    for watch in [&mut watch, &mut of_none] {
        let batch = watch.batch().await;
        assert_eq!(batch, json!({ "events": [], "nextSeq": 0, "caughtUp": true, "ended": false }));
    }
    team.owner.append_events(&id, &events(0..2)).await;
    assert_eq!(watch.events(2).await, events(0..2));
    team.owner.complete(&without_any).await;
    assert_eq!(of_none.rest().await, [] as [Value; 0]);
}

async fn a_follower_resumes_after_a_cut_without_holes_or_repeats(team: Team) {
    let id = team.owner.start_any().await;
    let mut seen = Vec::new();
    let mut next_seq = 0;
    for round in 0..5 {
        let socket = Socket::connect(&team.owner).await;
        let mut watch = Watch::open(&socket, &id, next_seq);
        team.owner.append_events(&id, &events(round * 7..round * 7 + 7)).await;
        seen.extend(watch.events(7).await);
        next_seq = watch.next_seq();
        socket.cut();
    }
    assert_eq!(seen, events(0..35));
}

async fn a_follower_of_an_execution_that_is_deleted_is_told(team: Team) {
    for has_events in [true, false] {
        let id = team.owner.start_any().await;
        if has_events {
            team.owner.append_events(&id, &[event(0)]).await;
        }
        let socket = Socket::connect(&team.owner).await;
        let mut watch = Watch::open(&socket, &id, 0);
        watch.batch().await;
        team.owner
            .query("mutation ($id: ID!) { deleteExecution(id: $id) { deletedCount } }", json!({ "id": id }))
            .await;
        assert_eq!(watch.refused().await.code(), "NOT_FOUND");
    }
}

async fn a_follower_whose_token_expires_is_cut_off(team: Team) {
    let id = team.owner.start_any().await;
    let token = team.owner_claims().expiring_in(2).token();
    let socket = Socket::try_connect(&team.server, Some(&token)).await.expect("it is good for two seconds");
    let mut watch = Watch::open(&socket, &id, 0);
    watch.batch().await;
    assert_eq!(socket.closed().await, 4403);
}

async fn events_outlive_a_crash_of_the_server(backend: Backend) {
    let server = Server::builder(backend).await.start().await;
    let team = Team::of(&server);
    let id = team.owner.start_any().await;
    team.owner.append_events(&id, &events(0..20)).await;
    server.kill9();
    server.restart().await;
    let team = team.after_a_restart();
    assert_eq!(team.owner.all_visual_events(&id).await, events(0..20));
    let again = team.owner.try_append_events(&id, &events(18..22), Some(18)).await.expect("it fits");
    assert_eq!(again, json!({ "appended": 2, "nextSeq": 22 }));
    assert_eq!(visual(&team, &id).await["eventsCaptured"], 22);
    assert_eq!(visual(&team, &id).await["streamDurationMs"], 21 * 40);
}

async fn log_lines_and_events_do_not_meet(team: Team) {
    let run = unique("run");
    let id = id_of(&team.owner.start(json!({ "workflowRunId": run })).await);
    for number in 0..3 {
        team.owner.append(&id, &[line("a line")]).await;
        team.owner.append_events(&id, &[event(number)]).await;
    }
    let document = "query ($id: ID!, $run: String!) {
        execution(id: $id) { heartbeatAt logs { nodes { seq message } totalCount } logObject { lineCount } }
        workflowRun(id: $run) { logs { message } }
    }";
    let data = team.owner.query(document, json!({ "id": id, "run": run })).await;
    let log = &data["execution"]["logs"];
    assert_eq!((log["nodes"].as_array().map(Vec::len), &log["totalCount"]), (Some(3), &json!(3)));
    assert_eq!(data["execution"]["logObject"]["lineCount"], 3);
    assert_eq!(data["workflowRun"]["logs"].as_array().map(Vec::len), Some(3));
    assert_eq!(team.owner.all_visual_events(&id).await, events(0..3));
    // Whoever captures events lives.
    let before = data["execution"]["heartbeatAt"].clone();
    team.owner.append_events(&id, &[event(3)]).await;
    let after = team.owner.execution(&id).await["heartbeatAt"].take();
    assert!(after.as_str() > before.as_str(), "{before} {after}");
}

async fn visual_sessions_are_listed_newest_first_page_by_page(team: Team) {
    let mut with_session = Vec::new();
    for number in 0..7 {
        let id = id_of(&team.owner.start(json!({ "workflowId": format!("w{}", number % 2) })).await);
        if number != 3 {
            team.owner.append_events(&id, &events(0..number + 1)).await;
            with_session.insert(0, id);
        }
    }
    let document = "query ($first: Int, $after: String, $filter: ExecutionFilter) {
        visualSessions(first: $first, after: $after, filter: $filter) {
            nodes { id workflowId visual { enabled eventsCaptured } visualEvents(first: 1) { events caughtUp } }
            pageInfo { hasNextPage endCursor } totalCount
        }
    }";
    let (mut seen, mut after) = (Vec::new(), json!(null));
    loop {
        let page =
            team.owner.query(document, json!({ "first": 4, "after": after })).await["visualSessions"].take();
        assert_eq!(page["totalCount"], 6);
        for node in page["nodes"].as_array().expect("a list") {
            assert_eq!(node["visualEvents"]["events"], json!([event(0)]));
            assert_eq!(node["visualEvents"]["caughtUp"], node["visual"]["eventsCaptured"] == 1);
            seen.push(id_of(node));
        }
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    assert_eq!(seen, with_session);
    let filter = json!({ "workflowIds": ["w1"], "visualOnly": false });
    let filtered = team.owner.query(document, json!({ "filter": filter })).await["visualSessions"].take();
    assert_eq!(filtered["totalCount"], 2, "of w1 one has no session");
    let none = team.stranger.query(document, json!({})).await["visualSessions"].take();
    assert_eq!((&none["nodes"], &none["totalCount"]), (&json!([]), &json!(0)));
}

async fn deleting_an_execution_removes_its_events(backend: Backend) {
    let server = Server::builder(backend).await.start().await;
    let team = Team::of(&server);
    let run = unique("run");
    let (single, kept) = (team.owner.start_any().await, team.owner.start_any().await);
    let many = id_of(&team.owner.start(json!({ "workflowRunId": run })).await);
    for id in [&single, &kept, &many] {
        team.owner.append_events(id, &events(0..3)).await;
    }
    let of_visual = "log_chunk WHERE kind = 'VISUAL'";
    assert_eq!(server.count_rows(of_visual).await, 3);
    team.owner
        .query("mutation ($id: ID!) { deleteExecution(id: $id) { deletedCount } }", json!({ "id": single }))
        .await;
    let delete =
        "mutation ($run: String!) { deleteExecutions(filter: { workflowRunIds: [$run] }) { deletedCount } }";
    team.owner.query(delete, json!({ "run": run })).await;
    assert_eq!(server.count_rows(of_visual).await, 1);
    assert_eq!(server.count_rows("log_stream WHERE kind = 'VISUAL'").await, 1);
    assert_eq!(team.owner.all_visual_events(&kept).await, events(0..3));
}

async fn another_tenants_events_are_nowhere_to_be_found(team: Team) {
    let id = team.owner.start_any().await;
    team.owner.append_events(&id, &events(0..3)).await;
    let refusal =
        team.stranger.try_append_events(&id, &[event(3)], None).await.expect_err("it is not theirs");
    assert_eq!(refusal.code(), "NOT_FOUND");
    let refusal =
        team.colleague.try_append_events(&id, &[event(3)], None).await.expect_err("it is not theirs");
    assert_eq!(refusal.code(), "FORBIDDEN");
    let fresh = team.owner.start_any().await;
    let refusal =
        team.colleague.try_append_events(&fresh, &[event(3)], None).await.expect_err("it is not theirs");
    assert_eq!(refusal.code(), "FORBIDDEN");
    assert_eq!(team.owner.execution(&fresh).await["visual"]["enabled"], false);
    assert_eq!(team.colleague.all_visual_events(&id).await, events(0..3), "the organisation may read them");
    let socket = Socket::connect(&team.stranger).await;
    assert_eq!(Watch::open(&socket, &id, 0).refused().await.code(), "NOT_FOUND");
    assert_eq!(team.service.append_events(&id, &[event(3)]).await["nextSeq"], 4);
    assert_eq!(team.admin.append_events(&id, &[event(4)]).await["nextSeq"], 5);
}
