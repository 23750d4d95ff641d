//! Tails that are alike are executed once for all of them, and nobody can tell: each gets what it would get alone, every
//! line once, in order, whenever it joins and whatever becomes of the others.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue};

use crate::harness::{
    Client, LOG_TAIL, ResumingTail, Server, Session, Socket, Tail, Team, Watch, chance, event, events,
    for_each_backend, get, line, lines, soon,
};

/// What the benchmarks load a server with.
#[path = "../benchmarks/subscribers.rs"]
#[expect(dead_code, reason = "the benchmarks use all of it")]
mod subscribers;

use subscribers::{Pace, Subscribers, start_many};

for_each_backend!(
    many_subscribers_get_every_line_with_and_without_others,
    tails_that_join_at_any_moment_get_every_line_once,
    tails_that_are_alike_share_wherever_they_began,
    tails_of_viewers_who_may_read_different_things_never_share,
    tails_that_ask_for_something_else_do_not_share,
    a_reader_that_falls_far_behind_gets_every_line_once_and_holds_up_nobody,
    everybody_who_shares_is_told_of_the_end,
    everybody_who_shares_is_told_of_a_deletion_under_a_request_id_of_their_own,
    whoever_leaves_takes_nothing_from_the_others,
    a_shared_tail_can_be_completed_by_its_client,
    visual_sessions_are_shared_as_logs_are,
);

/// How many subscriptions of a server are executed together with others.
async fn shared(server: &Server) -> usize {
    const NAME: &str = "\nrunledger_subscriptions_shared ";
    let metrics = get(&format!("{}/metrics", server.url()), &[]).await.body;
    let metrics = String::from_utf8(metrics).expect("it is text");
    let (_, rest) = metrics.split_once(NAME).expect("it is counted");
    rest.lines().next().and_then(|count| count.parse().ok()).expect("it is a number")
}

/// Waits until so many share.
async fn until_shared(server: &Server, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let shared = shared(server).await;
        if shared == count {
            return;
        }
        assert!(Instant::now() < deadline, "{shared} share, not {count}");
        // Nothing tells when that changes.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Tails that have caught up and share: each has got `line`, the execution's next line, so that all of them have noticed.
async fn alike(team: &Team, sockets: &[&Socket], variables: &Value, count: usize) -> Vec<Tail> {
    let mut tails: Vec<_> =
        (0..count).map(|number| Tail::open(sockets[number % sockets.len()], variables.clone())).collect();
    for tail in &mut tails {
        tail.until_caught_up().await;
    }
    let execution = variables["execution"].as_str().expect("it is an id");
    team.owner.append(execution, &[line("for everybody")]).await;
    for tail in &mut tails {
        assert_eq!(tail.lines(1).await[0].1, "for everybody");
    }
    until_shared(&team.server, count).await;
    tails
}

async fn many_subscribers_get_every_line_with_and_without_others(server: Server) {
    const SUBSCRIBERS: usize = 100;
    const LONG: Duration = Duration::from_millis(300);
    let team = Team::of(&server);
    let executions = start_many(&team.owner, SUBSCRIBERS).await;

    let on_one = Subscribers::open(&team.owner, &executions[..1], SUBSCRIBERS).await;
    let figures = on_one.follow_one(&server, &team.owner, &executions[0], Pace::Full, LONG).await;
    assert_eq!(figures.lines, figures.appends * SUBSCRIBERS as u64);
    assert_eq!(figures.latency_micros.len() as u64, figures.lines);
    until_shared(&server, SUBSCRIBERS).await;
    on_one.close().await;
    until_shared(&server, 0).await;

    let on_each = Subscribers::open(&team.owner, &executions[1..], SUBSCRIBERS - 1).await;
    let pace = Pace::PerSecond(500);
    let figures = on_each.follow_each(&server, &team.owner, &executions[1..], pace, LONG).await;
    assert_eq!(figures.lines, figures.appends);
    assert_eq!(shared(&server).await, 0);
    on_each.close().await;
}

async fn tails_that_join_at_any_moment_get_every_line_once(server: Server) {
    const CALLS: usize = 150;
    const ALIKE: usize = 90;
    let team = Team::of(&server);
    let execution = team.owner.start_any().await;

    let appending = tokio::spawn(append_in_fits(team.owner.clone(), execution.clone(), CALLS));

    let mut resuming = Vec::new();
    let mut plain = Vec::new();
    let mut filtered = Vec::new();
    let owners = Socket::connect(&team.owner).await;
    let colleagues = Socket::connect(&team.colleague).await;
    let strangers = Socket::connect(&team.stranger).await;
    for number in 0..ALIKE {
        tokio::time::sleep(Duration::from_millis(chance(20))).await;
        let socket = if number % 2 == 0 { &owners } else { &colleagues };
        match number % 9 {
            0 => resuming.push(ResumingTail::start(&server, &execution, Session::long(team.owner_claims()))),
            1 => filtered.push(Tail::open(
                socket,
                json!({ "execution": execution, "filter": { "levels": ["ERROR"] } }),
            )),
            2 => {
                let refusal = Tail::open(&strangers, json!({ "execution": execution })).refused().await;
                assert_eq!(refusal.code(), "NOT_FOUND");
            }
            _ => plain.push(Tail::open(socket, json!({ "execution": execution }))),
        }
        if number % 5 == 0 {
            resuming.iter().for_each(ResumingTail::cut);
        }
    }
    let sent = soon_long(appending).await;
    resuming.iter().for_each(ResumingTail::cut);
    team.owner.complete(&execution).await;

    let expected: Vec<_> = sent.iter().enumerate().map(|(seq, line)| (seq as i64, message(line))).collect();
    for mut tail in plain {
        assert_eq!(tail.rest().await, expected);
    }
    let errors: Vec<_> = sent
        .iter()
        .enumerate()
        .filter(|(_, line)| line["level"] == "ERROR")
        .map(|(seq, line)| (seq as i64, message(line)))
        .collect();
    for mut tail in filtered {
        assert_eq!(tail.rest().await, errors);
    }
    let messages: Vec<_> = sent.iter().map(message).collect();
    for tail in resuming {
        assert_eq!(tail.finish().await.messages, messages);
    }
}

async fn soon_long<T>(task: tokio::task::JoinHandle<T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), task).await.expect("it ends").expect("it does not panic")
}

fn message(line: &Value) -> String {
    line["message"].as_str().expect("it has one").to_owned()
}

/// Appends single lines and bursts, quickly and with pauses; gives them all.
async fn append_in_fits(owner: Client, execution: String, calls: usize) -> Vec<Value> {
    let mut sent = Vec::new();
    for call in 0..calls {
        let count = if chance(4) == 0 { 1 + chance(700) as usize } else { 1 };
        let lines: Vec<_> = (0..count)
            .map(|number| {
                let level = if chance(10) == 0 { "ERROR" } else { "INFO" };
                json!({ "message": format!("call {call} line {number}"), "level": level })
            })
            .collect();
        owner.append(&execution, &lines).await;
        sent.extend(lines);
        if chance(3) == 0 {
            tokio::time::sleep(Duration::from_millis(chance(40))).await;
        }
    }
    sent
}

async fn tails_that_are_alike_share_wherever_they_began(server: Server) {
    let team = Team::of(&server);
    let execution = team.owner.start_any().await;
    team.owner.append(&execution, &lines("stored", 10)).await;
    let sockets = [Socket::connect(&team.owner).await, Socket::connect(&team.colleague).await];
    let mut tails = vec![
        Tail::open(&sockets[0], json!({ "execution": execution })),
        Tail::open(&sockets[0], json!({ "execution": execution, "from": 4 })),
        Tail::open(&sockets[1], json!({ "execution": execution, "from": 10 })),
        Tail::open(&sockets[1], json!({ "execution": execution, "last": 3 })),
    ];
    for (tail, stored) in tails.iter_mut().zip([10, 6, 0, 3]) {
        assert_eq!(tail.until_caught_up().await.len(), stored);
    }
    for seq in 10..15 {
        team.owner.append(&execution, &[line("live")]).await;
        for tail in &mut tails {
            let batch = tail.batch().await;
            assert_eq!(batch["lines"][0]["seq"], seq);
            assert_eq!(batch["lines"].as_array().expect("a list").len(), 1, "a single line comes at once");
            assert_eq!((&batch["caughtUp"], &batch["ended"]), (&json!(true), &json!(false)));
        }
    }
    until_shared(&server, 4).await;
}

async fn tails_of_viewers_who_may_read_different_things_never_share(server: Server) {
    let team = Team::of(&server);
    let execution = team.owner.start_any().await;
    let mut tails = Vec::new();
    for client in [&team.owner, &team.admin, &team.service] {
        let socket = Socket::connect(client).await;
        let mut tail = Tail::open(&socket, json!({ "execution": execution }));
        tail.until_caught_up().await;
        tails.push((socket, tail));
    }
    for _ in 0..3 {
        team.owner.append(&execution, &[line("live")]).await;
        for (_, tail) in &mut tails {
            assert_eq!(tail.lines(1).await.len(), 1);
        }
    }
    assert_eq!(shared(&server).await, 0);
    // And one that is like the first does share: so they could.
    let socket = Socket::connect(&team.colleague).await;
    let mut like_the_first = Tail::open(&socket, json!({ "execution": execution }));
    like_the_first.until_caught_up().await;
    team.owner.append(&execution, &[line("live")]).await;
    until_shared(&server, 2).await;
}

async fn tails_that_ask_for_something_else_do_not_share(server: Server) {
    let team = Team::of(&server);
    let execution = team.owner.start_any().await;
    let socket = Socket::connect(&team.owner).await;
    let documents = [
        "subscription ($id: ID!) { logTail(executionId: $id) { nextSeq } }",
        "subscription ($id: ID!) { logTail(executionId: $id) { nextSeq lines { message } } }",
        "subscription ($id: ID!, $with: Boolean! = false) { logTail(executionId: $id) { nextSeq lines @include(if: $with) { seq } } }",
        "subscription ($id: ID!, $from: BigInt! = 0) { logTail(executionId: $id, fromSeq: $from) { nextSeq ...F } } fragment F on LogBatch { caughtUp }",
    ];
    let mut subscriptions = Vec::new();
    for document in documents {
        subscriptions.push((document, socket.subscribe(document, json!({ "id": execution }))));
    }
    let with = documents[2];
    subscriptions.push((with, socket.subscribe(with, json!({ "id": execution, "with": true }))));
    for (_, subscription) in &mut subscriptions {
        subscription.next().await;
    }
    for seq in 0..3 {
        team.owner.append(&execution, &[line("live")]).await;
        for (document, subscription) in &mut subscriptions {
            let batch = subscription.next().await["logTail"].take();
            assert_eq!(batch["nextSeq"], seq + 1, "{document}");
        }
    }
    assert_eq!(shared(&server).await, 0);
    let last = subscriptions.last_mut().expect("there are some");
    team.owner.append(&execution, &[line("live")]).await;
    assert_eq!(last.1.next().await["logTail"]["lines"], json!([{ "seq": 3 }]));
}

/// One that does not read until it is told to.
async fn sleeping_reader(
    client: &Client,
    execution: &str,
) -> tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>> {
    let mut request = client.server().socket_url().into_client_request().expect("it is a URL");
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("graphql-transport-ws"));
    let (mut stream, _) = connect_async(request).await.expect("the server listens");
    let authorization = format!("Bearer {}", client.token().expect("it has one"));
    for message in [
        json!({ "type": "connection_init", "payload": { "authorization": authorization } }),
        json!({ "type": "subscribe", "id": "slow", "payload": { "query": LOG_TAIL, "variables": { "execution": execution } } }),
    ] {
        stream.send(Message::text(message.to_string())).await.expect("it is open");
    }
    stream
}

async fn a_reader_that_falls_far_behind_gets_every_line_once_and_holds_up_nobody(server: Server) {
    // More than the buffers of a connection take, in less time than a peer has that does not read.
    const CALLS: usize = 80;
    const LINES: usize = 4;
    const LINE_BYTES: usize = 60_000;
    let team = Team::of(&server);
    let execution = team.owner.start_any().await;
    let socket = Socket::connect(&team.owner).await;
    let mut slow = sleeping_reader(&team.owner, &execution).await;
    let mut tails = alike_with_a_sleeper(&team, &socket, &execution).await;
    let long = vec![line(&"x".repeat(LINE_BYTES)); LINES];
    for call in 0..CALLS {
        team.owner.append(&execution, &long).await;
        for tail in &mut tails {
            let seq = tail.lines(LINES).await[0].0;
            assert_eq!(seq, (call * LINES) as i64 + 1, "nobody waits for the slow one");
        }
    }
    team.owner.complete(&execution).await;
    for tail in &mut tails {
        assert_eq!(tail.seqs_to_the_end().await, [] as [i64; 0]);
    }
    let mut next_seq = 0;
    loop {
        let message = soon("a message", slow.next()).await.expect("it is not cut").expect("it is whole");
        let Message::Text(text) = message else { continue };
        let message: Value = serde_json::from_str(&text).expect("it is JSON");
        if message["type"] == "complete" {
            break;
        }
        for line in message["payload"]["data"]["logTail"]["lines"].as_array().unwrap_or(&Vec::new()) {
            assert_eq!(line["seq"], next_seq);
            next_seq += 1;
        }
    }
    assert_eq!(next_seq, (CALLS * LINES) as i64 + 1);
}

async fn alike_with_a_sleeper(team: &Team, socket: &Socket, execution: &str) -> Vec<Tail> {
    let mut tails: Vec<_> = (0..2).map(|_| Tail::open(socket, json!({ "execution": execution }))).collect();
    for tail in &mut tails {
        tail.until_caught_up().await;
    }
    team.owner.append(execution, &[line("the first")]).await;
    for tail in &mut tails {
        tail.lines(1).await;
    }
    until_shared(&team.server, 3).await;
    tails
}

async fn everybody_who_shares_is_told_of_the_end(server: Server) {
    let team = Team::of(&server);
    let execution = team.owner.start_any().await;
    let socket = Socket::connect(&team.owner).await;
    let mut tails = alike(&team, &[&socket], &json!({ "execution": execution }), 20).await;
    team.owner.append(&execution, &lines("last", 2)).await;
    team.owner.complete(&execution).await;
    for tail in &mut tails {
        assert_eq!(tail.seqs_to_the_end().await, [1, 2]);
    }
    until_shared(&server, 0).await;
    assert!(tails.iter_mut().all(Tail::is_silent));
}

async fn everybody_who_shares_is_told_of_a_deletion_under_a_request_id_of_their_own(server: Server) {
    let team = Team::of(&server);
    let execution = team.owner.start_any().await;
    let socket = Socket::connect(&team.owner).await;
    let mut tails = alike(&team, &[&socket], &json!({ "execution": execution }), 5).await;
    let delete = "mutation ($id: ID!) { deleteExecution(id: $id) { deletedCount } }";
    team.owner.query(delete, json!({ "id": execution })).await;
    let mut request_ids = std::collections::BTreeSet::new();
    for tail in &mut tails {
        let refusal = tail.refused().await;
        assert_eq!(refusal.code(), "NOT_FOUND");
        request_ids.insert(refusal.errors[0]["extensions"]["requestId"].to_string());
    }
    assert_eq!(request_ids.len(), 5);
    until_shared(&server, 0).await;
}

async fn whoever_leaves_takes_nothing_from_the_others(server: Server) {
    let team = Team::of(&server);
    let execution = team.owner.start_any().await;
    let sockets: Vec<_> = futures_util::future::join_all((0..6).map(|_| Socket::connect(&team.owner))).await;
    let all: Vec<_> = sockets.iter().collect();
    let mut tails = alike(&team, &all, &json!({ "execution": execution }), 6).await;
    // Also the one whose execution it was.
    for (left, socket) in sockets.iter().enumerate() {
        socket.cut();
        let seq = left as i64 + 1;
        team.owner.append(&execution, &[line("live")]).await;
        for tail in &mut tails[left + 1..] {
            assert_eq!(tail.lines(1).await, [(seq, "live".into())]);
        }
    }
    until_shared(&server, 0).await;
    // And those who come later begin anew.
    let socket = Socket::connect(&team.owner).await;
    let mut later: Vec<_> = (0..2).map(|_| Tail::open(&socket, json!({ "execution": execution }))).collect();
    for tail in &mut later {
        assert_eq!(tail.lines(7).await.len(), 7);
    }
    team.owner.complete(&execution).await;
    for tail in &mut later {
        assert_eq!(tail.seqs_to_the_end().await, [] as [i64; 0]);
    }
}

async fn a_shared_tail_can_be_completed_by_its_client(server: Server) {
    let team = Team::of(&server);
    let execution = team.owner.start_any().await;
    let socket = Socket::connect(&team.owner).await;
    let mut tails = alike(&team, &[&socket], &json!({ "execution": execution }), 3).await;
    let mut completed = tails.pop().expect("there are three");
    completed.complete();
    until_shared(&server, 2).await;
    team.owner.append(&execution, &[line("not for all")]).await;
    for tail in &mut tails {
        assert_eq!(tail.lines(1).await, [(1, "not for all".into())]);
    }
    assert!(completed.is_silent());
}

async fn visual_sessions_are_shared_as_logs_are(server: Server) {
    let team = Team::of(&server);
    let execution = team.owner.start_any().await;
    team.owner.append_events(&execution, &events(0..3)).await;
    let socket = Socket::connect(&team.owner).await;
    let mut watches: Vec<_> = (0..3).map(|from| Watch::open(&socket, &execution, from)).collect();
    for (from, watch) in (0..).zip(&mut watches) {
        assert_eq!(watch.events(3 - from).await.len(), 3 - from);
    }
    for number in 3..6 {
        team.owner.append_events(&execution, &events(number..number + 1)).await;
        for watch in &mut watches {
            assert_eq!(watch.events(1).await, [event(number)]);
        }
    }
    until_shared(&server, 3).await;
    team.owner.complete(&execution).await;
    for watch in &mut watches {
        assert!(watch.rest().await.is_empty());
    }
}
