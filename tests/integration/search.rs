//! Finding executions by words: exactly those that have them, on both databases, and only one's own.

use std::collections::BTreeSet;

use runledger::domain::limits::{SEARCH_WORDS_MAX, SHORT_TEXT_CHARS_MAX};
use serde_json::{Value, json};

use crate::harness::{
    Backend, Client, Server, Socket, Team, chance, for_each_backend, for_sqlite, id_of, one_over, soon,
    too_long,
};

for_each_backend!(
    a_search_that_cannot_be_is_refused,
    what_a_query_language_would_obey_is_only_words,
    any_words_find_exactly_the_executions_that_have_them_all,
    words_of_each_text_are_found_and_those_that_were_replaced_are_not,
    words_find_nothing_of_another_tenant,
    what_is_gone_is_not_found,
    a_search_is_paged_counted_sorted_and_filtered_like_any_list,
    executions_of_any_time_are_found_in_order_however_many_have_the_words,
    a_deletion_by_words_removes_what_has_them_and_nothing_else,
    changes_are_followed_by_words,
    executions_from_before_there_was_a_search_are_found_after_a_start,
);

for_sqlite!(the_index_of_words_is_merged_beside_those_who_write);

const EXECUTIONS: &str =
    "query ($filter: ExecutionFilter, $order: ExecutionOrder, $first: Int, $after: String) {
    executions(filter: $filter, orderBy: $order, first: $first, after: $after) {
        nodes { id } pageInfo { hasNextPage endCursor } totalCount
    }
}";

async fn found(client: &Client, search: &str) -> BTreeSet<String> {
    let variables = json!({ "filter": { "search": search }, "first": 200 });
    let list = client.query(EXECUTIONS, variables).await["executions"].take();
    let ids: BTreeSet<_> = list["nodes"].as_array().expect("a list").iter().map(id_of).collect();
    assert_eq!(list["totalCount"], ids.len(), "the count of {search:?}");
    ids
}

fn only(id: &str) -> BTreeSet<String> {
    BTreeSet::from([id.to_owned()])
}

async fn a_search_that_cannot_be_is_refused(team: Team) {
    let many = vec!["a b"; one_over(SEARCH_WORDS_MAX)].concat();
    let many = many.chars().enumerate().map(|(at, letter)| format!("{letter}{at} ")).collect::<String>();
    for (search, code, limit) in [
        (String::new(), "BAD_INPUT", None),
        ("-- \"' *()".into(), "BAD_INPUT", None),
        (too_long(SHORT_TEXT_CHARS_MAX), "TOO_LARGE", Some(SHORT_TEXT_CHARS_MAX)),
        (many, "TOO_LARGE", Some(SEARCH_WORDS_MAX)),
    ] {
        let refusal = team.owner.refused(EXECUTIONS, json!({ "filter": { "search": search } })).await;
        assert_eq!((refusal.code(), refusal.field()), (code, Some("filter.search")), "{search}");
        if let Some(limit) = limit {
            assert!(format!("{refusal:?}").contains(limit.name), "{refusal:?}");
        }
    }
}

async fn what_a_query_language_would_obey_is_only_words(team: Team) {
    let id = id_of(&team.owner.start(json!({ "name": "not a near b and words or c" })).await);
    for search in [
        "NOT",
        "a AND b",
        "\"a NEAR b",
        "words:*",
        "-c",
        "^not",
        "{words}: a",
        "a') OR 1=1 --",
        "a & !b | c <-> not:*",
        "a\u{0}b",
        "near(a b, 2",
        "{a,\"b\"}",
    ] {
        let expected = if search.contains('1') || search.contains('2') { BTreeSet::new() } else { only(&id) };
        assert_eq!(found(&team.owner, search).await, expected, "{search}");
    }
}

/// Words, each in several spellings of the same.
const VOCABULARY: [&[&str]; 14] = [
    &["build", "BUILD", "Build"],
    &["42"],
    &["Straße", "STRASSE", "strasse"],
    &["été", "e\u{301}te\u{301}", "ÉTÉ"],
    &["ete"],
    &["ΟΔΟΣ", "οδος", "οδοσ"],
    &["\u{fb01}le", "file"],
    &["日本語"],
    &["हिन्दी"],
    &["nfoo"],
    &["null0", "NULL0"],
    &["e8"],
    &["don"],
    &["t"],
];
/// What stands between words.
const BETWEEN: [&str; 8] = [" ", "_", "-", ", ", "\n", "\"", "\\", "'"];

fn any<T: Copy>(of: &[T]) -> T {
    of[usize::try_from(chance(of.len() as u64)).expect("it is small")]
}

/// Some of the vocabulary as text, noting which.
fn some_text(words: &mut BTreeSet<usize>, between: &[&str]) -> String {
    (0..chance(4)).fold(String::new(), |text, _| {
        let word = usize::try_from(chance(VOCABULARY.len() as u64)).expect("it is small");
        words.insert(word);
        text + any(VOCABULARY[word]) + any(between)
    })
}

async fn any_words_find_exactly_the_executions_that_have_them_all(team: Team) {
    let mut documents = Vec::new();
    let mut inputs = Vec::new();
    for _ in 0..150 {
        let id = runledger::clock::new_id().to_string();
        let mut words = BTreeSet::new();
        let name = format!("{}.", some_text(&mut words, &BETWEEN[..4]));
        let mut text = || some_text(&mut words, &BETWEEN);
        inputs.push(json!({
            "id": id, "name": name, "status": "COMPLETED", "inputs": [text(), null, { "deep": [text()] }],
            "result": { text(): 0 }, "error": text(),
            "startedAt": "2026-11-20T10:00:00Z", "completedAt": "2026-11-20T10:00:01Z",
        }));
        documents.push((id, words));
    }
    team.owner.record(json!(inputs)).await.expect("they are fine");
    team.stranger.start(json!({ "name": "build 42 Straße été" })).await;
    for _ in 0..60 {
        let mut asked = BTreeSet::from([0]);
        let mut search = some_text(&mut asked, &BETWEEN);
        // Most ask for one word and some for several.
        match chance(2) {
            0 => search += "Build",
            _ => {
                let word = usize::try_from(chance(VOCABULARY.len() as u64)).expect("it is small");
                (asked, search) = (BTreeSet::from([word]), any(VOCABULARY[word]).to_owned());
            }
        }
        let with_all = documents.iter().filter(|(_, words)| asked.is_subset(words));
        let expected: BTreeSet<_> = with_all.map(|(id, _)| id.clone()).collect();
        assert_eq!(found(&team.owner, &search).await, expected, "{search:?}");
    }
}

async fn words_of_each_text_are_found_and_those_that_were_replaced_are_not(team: Team) {
    let owner = &team.owner;
    let input =
        json!({ "name": "Nightly build", "inputs": { "branch": "main", "n": [1.5, true, null, "l\né"] } });
    let id = id_of(&owner.start(input).await);
    for search in ["nightly", "BUILD main", "branch", "1.5", "true", "l", "É", "e\u{301}", "main nightly"] {
        assert_eq!(found(owner, search).await, only(&id), "{search}");
    }
    for search in ["night", "null", "né", "e", "main other", "mainbranch"] {
        assert_eq!(found(owner, search).await, BTreeSet::new(), "{search}");
    }
    owner.update(json!({ "id": id, "result": { "first": "draft" } })).await.expect("it runs");
    assert_eq!(found(owner, "draft nightly").await, only(&id), "words of several texts together");
    owner.update(json!({ "id": id, "result": "second" })).await.expect("it runs");
    assert_eq!(found(owner, "draft").await, BTreeSet::new());
    owner
        .finish(json!({ "id": id, "status": "FAILED", "error": "Connection refused!" }))
        .await
        .expect("it runs");
    assert_eq!(found(owner, "refused second branch").await, only(&id));

    let bare = owner.start(json!({})).await;
    owner.cancel(&id_of(&bare), Some("superseded")).await.expect("it runs");
    assert_eq!(found(owner, "superseded").await, only(&id_of(&bare)), "one that had no words before");
}

async fn words_find_nothing_of_another_tenant(team: Team) {
    let word = format!("w{}", runledger::clock::new_id().simple());
    let id = id_of(&team.owner.start(json!({ "name": word })).await);
    for (client, expected) in [
        (&team.owner, only(&id)),
        (&team.colleague, only(&id)),
        (&team.service, only(&id)),
        (&team.stranger, BTreeSet::new()),
    ] {
        assert_eq!(found(client, &word).await, expected);
    }
    let org = team.org.replace('-', " ");
    assert_eq!(
        found(&team.stranger, &org[..20]).await,
        BTreeSet::new(),
        "a tenant's name is no word of its rows"
    );
    assert_eq!(found(&team.owner, &org[..20]).await, BTreeSet::new());
}

async fn what_is_gone_is_not_found(team: Team) {
    let owner = &team.owner;
    let deleted = id_of(&owner.start(json!({ "name": "short lived" })).await);
    let unkept = id_of(&owner.start(json!({ "name": "short lived", "keepHistory": false })).await);
    assert_eq!(found(owner, "lived").await.len(), 2);
    owner
        .query("mutation ($id: ID!) { deleteExecution(id: $id) { deletedCount } }", json!({ "id": deleted }))
        .await;
    owner.complete(&unkept).await;
    assert_eq!(found(owner, "lived").await, BTreeSet::new());
}

async fn a_search_is_paged_counted_sorted_and_filtered_like_any_list(team: Team) {
    let owner = &team.owner;
    let recorded = |number: usize| {
        json!({
            "name": format!("page {}", if number.is_multiple_of(3) { "fizz" } else { "other" }),
            "status": if number.is_multiple_of(2) { "COMPLETED" } else { "FAILED" }, "durationMs": number,
            // Several in one second, and not in the order in which they come.
            "startedAt": format!("2026-11-20T10:00:{:02}.{:03}Z", (number * 7 % 30) / 3, number % 10),
            "completedAt": "2026-11-20T11:00:00Z",
        })
    };
    owner.record(json!((0..60).map(recorded).collect::<Vec<_>>())).await.expect("they are fine");
    for order in ["NEWEST", "OLDEST", "LONGEST", "COSTLIEST"] {
        for filter in [json!({}), json!({ "statuses": ["FAILED"] })] {
            let all =
                owner.query(EXECUTIONS, json!({ "filter": filter, "order": order, "first": 200 })).await;
            let mut with_words = filter.clone();
            with_words["search"] = json!("FIZZ page");
            let with =
                owner.query(EXECUTIONS, json!({ "filter": with_words, "order": order, "first": 200 })).await;
            let with: Vec<_> =
                with["executions"]["nodes"].as_array().expect("a list").iter().map(id_of).collect();
            let all = all["executions"]["nodes"].as_array().expect("a list").iter().map(id_of);
            assert_eq!(with.len(), if filter == json!({}) { 20 } else { 10 });
            assert!(all.filter(|id| with.contains(id)).eq(with.iter().cloned()), "{order}: as without words");

            let backwards = "query ($filter: ExecutionFilter, $order: ExecutionOrder, $before: String) {
                executions(filter: $filter, orderBy: $order, last: 4, before: $before) {
                    nodes { id } pageInfo { hasPreviousPage startCursor }
                }
            }";
            let (mut pages, mut before) = (Vec::new(), Value::Null);
            loop {
                let arguments = json!({ "filter": with_words, "order": order, "before": before });
                let page = owner.query(backwards, arguments).await["executions"].take();
                let ids = page["nodes"].as_array().expect("a list").iter().map(id_of);
                pages.splice(0..0, ids);
                before = page["pageInfo"]["startCursor"].clone();
                if page["pageInfo"]["hasPreviousPage"] == false {
                    break;
                }
            }
            assert_eq!(pages, with, "{order} by pages from the end");

            let (mut pages, mut after) = (Vec::new(), Value::Null);
            loop {
                let arguments = json!({ "filter": with_words, "order": order, "first": 3, "after": after });
                let page = owner.query(EXECUTIONS, arguments).await["executions"].take();
                assert_eq!(page["totalCount"], with.len());
                pages.extend(page["nodes"].as_array().expect("a list").iter().map(id_of));
                after = page["pageInfo"]["endCursor"].clone();
                if page["pageInfo"]["hasNextPage"] == false {
                    break;
                }
            }
            assert_eq!(pages, with, "{order} by pages");
        }
    }
}

/// More than are read at once have the words, most of them long ago and many of them at one moment.
async fn executions_of_any_time_are_found_in_order_however_many_have_the_words(team: Team) {
    const SPREAD: u32 = 2_400;
    const BURSTS: u32 = SPREAD + 2_100;
    let owner = &team.owner;
    let recorded = |number: u32| {
        let clump = "2019-03-01T10:00:00Z".parse().expect("it is a time");
        let started = match number % 8 {
            // Five seconds one after the other, each of which has more than are looked at together.
            _ if number >= BURSTS => {
                clump + chrono::TimeDelta::seconds(60 + i64::from((number - BURSTS) / 120))
            }
            // There the order is that of the ids.
            _ if number >= SPREAD => clump,
            0 => clump,
            1 => runledger::clock::now() - chrono::TimeDelta::seconds(i64::from(number)),
            2 => runledger::clock::Timestamp::UNIX_EPOCH - chrono::TimeDelta::days(i64::from(number % 40)),
            _ => runledger::clock::Timestamp::UNIX_EPOCH + chrono::TimeDelta::hours(i64::from(number) * 100),
        };
        json!({
            "id": runledger::clock::new_id(), "startedAt": started, "completedAt": started,
            "name": match number {
                BURSTS.. => "burst",
                SPREAD.. => "clump",
                _ if number % 8 == 1 => "recent",
                _ => "common",
            },
            "status": if number.is_multiple_of(300) { "FAILED" } else { "COMPLETED" },
        })
    };
    let recorded: Vec<_> = (0..BURSTS + 600).map(recorded).collect();
    for part in recorded.chunks(400) {
        owner.record(json!(part)).await.expect("they are fine");
    }
    let uncounted = EXECUTIONS.replace("totalCount", "");
    let time_of = |one: &Value| one["startedAt"].as_str().expect("it has a time").parse().expect("it is one");
    let newest_first = |name: &str, status: &str| {
        let mut of_name: Vec<(runledger::clock::Timestamp, String)> = recorded
            .iter()
            .filter(|one| one["name"] == name && (status.is_empty() || one["status"] == status))
            .map(|one| (time_of(one), id_of(one)))
            .collect();
        of_name.sort_by(|one, other| other.cmp(one));
        of_name
    };
    for (name, status, rows) in [
        ("common", "", 200),
        ("recent", "", 200),
        ("clump", "", 200),
        ("burst", "", 50),
        ("burst", "FAILED", 50),
        ("common", "FAILED", 200),
        ("absent", "", 200),
    ] {
        let mut filter = json!({ "search": name });
        if !status.is_empty() {
            filter["statuses"] = json!([status]);
        }
        for order in ["NEWEST", "OLDEST"] {
            let mut expected = newest_first(name, status);
            if order == "OLDEST" {
                expected.reverse();
            }
            let (mut pages, mut after) = (Vec::new(), Value::Null);
            loop {
                let arguments = json!({ "filter": filter, "order": order, "first": rows, "after": after });
                let page = owner.query(&uncounted, arguments).await["executions"].take();
                pages.extend(page["nodes"].as_array().expect("a list").iter().map(id_of));
                after = page["pageInfo"]["endCursor"].clone();
                if page["pageInfo"]["hasNextPage"] == false {
                    break;
                }
            }
            let expected: Vec<_> = expected.into_iter().map(|(_, id)| id).collect();
            assert!(pages == expected, "{name} {status} {order}: {} of {}", pages.len(), expected.len());
        }
    }
    let between = json!({ "from": "1975-01-01T00:00:00Z", "to": "2019-03-01T10:00:00Z" });
    let arguments = json!({ "filter": { "search": "common", "createdAt": between }, "first": 1 });
    let page = owner.query(EXECUTIONS, arguments).await["executions"].take();
    let range =
        time_of(&json!({ "startedAt": between["from"] }))..time_of(&json!({ "startedAt": between["to"] }));
    let mut expected = newest_first("common", "");
    expected.retain(|(time, _)| range.contains(time));
    assert_eq!(
        (&page["nodes"][0]["id"], &page["totalCount"]),
        (&json!(expected[0].1), &json!(expected.len()))
    );
    assert_eq!(found(&team.stranger, "common").await, BTreeSet::new());
}

async fn a_deletion_by_words_removes_what_has_them_and_nothing_else(team: Team) {
    let owner = &team.owner;
    let kept = id_of(&owner.start(json!({ "name": "keep me" })).await);
    for _ in 0..3 {
        owner.start(json!({ "name": "drop me" })).await;
    }
    let document =
        "mutation ($filter: ExecutionFilter!) { deleteExecutions(filter: $filter) { deletedCount } }";
    let deleted = owner.query(document, json!({ "filter": { "search": "drop" } })).await;
    assert_eq!(deleted["deleteExecutions"]["deletedCount"], 3);
    assert_eq!(found(owner, "me").await, only(&kept));
}

async fn changes_are_followed_by_words(team: Team) {
    let socket = Socket::connect(&team.owner).await;
    let document = "subscription ($filter: ExecutionFilter, $after: String) {
        executionsChanged(filter: $filter, after: $after) { executionId }
    }";
    let after = team.owner.query("{ changesCursor }", json!({})).await["changesCursor"].take();
    let mut changes =
        socket.subscribe(document, json!({ "filter": { "search": "watched" }, "after": after }));
    team.owner.start(json!({ "name": "unseen" })).await;
    let id = id_of(&team.owner.start(json!({ "name": "watched" })).await);
    let event = soon("the change", changes.next()).await;
    assert!(format!("{event:?}").contains(&id), "{event:?}");
}

async fn executions_from_before_there_was_a_search_are_found_after_a_start(server: Server) {
    let team = Team::of(&server);
    let inputs = (0..130).map(|number| {
        json!({ "name": format!("old {number}"), "status": "FAILED", "inputs": { "k": number }, "error": "boom",
                "startedAt": "2026-11-20T10:00:00Z", "completedAt": "2026-11-20T10:00:01Z" })
    });
    team.owner.record(json!(inputs.collect::<Vec<_>>())).await.expect("they are fine");
    let running = id_of(&team.owner.start(json!({ "inputs": "running" })).await);
    server.kill9();
    // As the schema change leaves them.
    server
        .alter("UPDATE execution_search SET start_words = NULL, result_words = NULL, error_words = NULL, pending = true")
        .await;
    server.restart().await;
    let team = team.after_a_restart();
    team.owner.update(json!({ "id": running, "result": "changed" })).await.expect("it runs");
    let all = async { while found(&team.owner, "old boom").await.len() < 130 {} };
    soon("the words of old executions", all).await;
    assert_eq!(found(&team.owner, "17 k").await.len(), 1);
    soon("the running one", async { while found(&team.owner, "running changed").await.is_empty() {} }).await;
}

async fn the_index_of_words_is_merged_beside_those_who_write(backend: Backend) {
    /// Each a commit with a part of its own. Whoever writes would make one of 200.
    const COMMITS: usize = 60;
    /// Of eight on one level a server makes one: seven that are new, and as many that each were made of eight.
    const PARTS_MAX: i64 = 14;
    let server = Server::builder(backend).await.start().await;
    let team = Team::of(&server);
    for _ in 0..COMMITS {
        team.owner.start(json!({ "name": "merged" })).await;
    }
    let parts = "(SELECT DISTINCT segid FROM execution_words_idx)";
    soon("few parts", async { while server.count_rows(parts).await > PARTS_MAX {} }).await;
    let variables = json!({ "filter": { "search": "merged" }, "first": 1 });
    assert_eq!(team.owner.query(EXECUTIONS, variables).await["executions"]["totalCount"], COMMITS);
}
