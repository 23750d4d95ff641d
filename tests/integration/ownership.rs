//! Who may do what: every root field of the schema, tried by every kind of caller, and the same rule in PostgreSQL.

mod in_postgresql;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};

use crate::harness::{
    Backend, Claims, Client, Database, Event, Refusal, Server, Socket, Team, event as visual_event, files,
    for_each_backend, for_postgres, id_of, line, unique,
};

for_each_backend!(
    every_root_field_answers_every_caller_as_the_table_says,
    every_root_field_has_a_row_in_the_table,
    a_token_that_is_expired_or_forged_is_refused_before_anything_is_read,
    an_execution_belongs_to_whoever_started_it_and_never_to_whom_the_input_names,
    only_the_service_role_acts_on_behalf_of_others,
    a_service_role_writes_into_the_tenant_it_names,
    a_user_without_an_organisation_is_a_tenant_of_their_own,
    a_token_of_supabase_works_as_it_comes,
    a_change_of_somebody_elses_execution_changes_nothing,
    a_generation_of_another_tenant_is_nowhere_to_be_found,
    those_who_ask_at_the_same_time_see_each_what_they_may,
);

/// What a caller gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// What was asked for.
    Data,
    /// Null, an empty list, a count of zero, or no event: as if the row did not exist.
    Nothing,
    NotFound,
    Forbidden,
    Unauthenticated,
    /// What only those are told who may do it: that it cannot be done.
    Conflict,
}
use Outcome::{Conflict, Data, Forbidden, NotFound, Nothing, Unauthenticated};

/// A caller of each kind, as a table's columns.
const CALLERS: [&str; 8] =
    ["owner", "colleague", "admin", "stranger", "service", "expired token", "forged token", "no token"];

type Outcomes = [Outcome; 8];

const fn outcomes(of: [Outcome; 5]) -> Outcomes {
    let [owner, colleague, admin, stranger, service] = of;
    [owner, colleague, admin, stranger, service, Unauthenticated, Unauthenticated, Unauthenticated]
}

/// Something about the caller alone, or a new row of their own.
const OWN: Outcomes = outcomes([Data, Data, Data, Data, Data]);
/// A row that is read or a list that it is in.
const READ: Outcomes = outcomes([Data, Data, Data, Nothing, Data]);
/// A row that nobody has.
const NONE: Outcomes = outcomes([Nothing; 5]);
/// A row that is followed.
const FOLLOW: Outcomes = outcomes([Data, Data, Data, NotFound, Data]);
/// A row that is changed.
const WRITE: Outcomes = outcomes([Data, Forbidden, Data, NotFound, Data]);
/// A row that is deleted: there is nothing wrong with one that is not there.
const DELETE: Outcomes = outcomes([Data, Forbidden, Data, Nothing, Data]);
/// An upload where there is no cloud storage.
const UPLOAD: Outcomes = outcomes([Conflict, Forbidden, Conflict, NotFound, Conflict]);
/// Rows that are changed where a filter matches them and the caller may.
const WRITE_MATCHING: Outcomes = outcomes([Data, Nothing, Data, Nothing, Data]);

/// A root field, an operation that uses it on a row of the owner's, and what each caller gets.
struct Field {
    name: &'static str,
    document: &'static str,
    /// Where the answer shows whether the caller got anything.
    pointer: &'static str,
    outcomes: Outcomes,
}

const fn field(
    name: &'static str,
    outcomes: Outcomes,
    pointer: &'static str,
    document: &'static str,
) -> Field {
    Field { name, document, pointer, outcomes }
}

/// One row for each root field. The variables are those of [`Target::variables`].
const FIELDS: &[Field] = &[
    field("Query.viewer", OWN, "/viewer/userId", "{ viewer { userId tenantId role expiresAt } }"),
    field("Query.node", READ, "/node", "query ($id: ID!) { node(id: $id) { id } }"),
    field("Query.nodes", READ, "/nodes/0", "query ($id: ID!) { nodes(ids: [$id]) { id } }"),
    field(
        "Query.codeAgent",
        READ,
        "/codeAgent",
        "query ($agent: ID!) { codeAgent(id: $agent) { id latestVersion { source } executions { nodes { id } }
            versions { nodes { source } } logs { message } } }",
    ),
    field(
        "Query.codeAgents",
        READ,
        "/codeAgents/totalCount",
        "query ($run: String!) { codeAgents(filter: { name: $run }) { nodes { id } totalCount } }",
    ),
    field("Query.project", READ, "/project", "query ($project: ID!) { project(id: $project) { id } }"),
    field("Query.projects", READ, "/projects/totalCount", "{ projects { nodes { id } totalCount } }"),
    field("Query.execution", READ, "/execution", "query ($id: ID!) { execution(id: $id) { id inputs } }"),
    field(
        "Query.executions",
        READ,
        "/executions/nodes",
        "query ($id: ID!) { executions(filter: { ids: [$id] }) { nodes { id inputs } } }",
    ),
    field(
        "Query.activeExecutions",
        READ,
        "/activeExecutions/totalCount",
        "{ activeExecutions { nodes { id } totalCount } }",
    ),
    field(
        "Query.visualSessions",
        READ,
        "/visualSessions/nodes",
        "query ($id: ID!) { visualSessions(filter: { ids: [$id] }) {
            nodes { id visual { eventsCaptured download { url } } visualEvents { events } }
        } }",
    ),
    field(
        "Query.workflowRun",
        READ,
        "/workflowRun",
        "query ($run: String!) { workflowRun(id: $run) { id executions { nodes { id } } logs { message } } }",
    ),
    field(
        "Query.generation",
        READ,
        "/generation",
        "query ($generation: ID!) { generation(id: $generation) {
            id files { path text } project { id } download { url } storage { key }
        } }",
    ),
    field(
        "Query.compareGenerations",
        FOLLOW,
        "/compareGenerations/changed",
        "query ($generation: ID!, $newer: ID!) {
            compareGenerations(from: $generation, to: $newer) { changed { path diff before { text } } }
        }",
    ),
    field(
        "Query.compareExecutions",
        FOLLOW,
        "/compareExecutions/executions",
        "query ($id: ID!, $sibling: ID!) { compareExecutions(ids: [$id, $sibling]) { executions { id } inputs { values } } }",
    ),
    // Those of others are tried where there is one: `deletions` needs a thousand executions for it.
    field("Query.deletion", NONE, "/deletion", "query ($id: ID!) { deletion(id: $id) { id } }"),
    field(
        "Query.stats",
        READ,
        "/stats/totalExecutions",
        "query ($agent: ID!) { stats(filter: { codeAgentId: $agent }) {
            totalExecutions series(by: HOUR) { stats { totalExecutions } }
        } }",
    ),
    field(
        "Query.registryStats",
        READ,
        "/registryStats/publishes",
        "{ registryStats { codeAgents versions publishes validationFailures agentExecutions reuseRate } }",
    ),
    field("Query.changesCursor", OWN, "/changesCursor", "{ changesCursor }"),
    field(
        "Mutation.createCodeAgent",
        OWN,
        "/createCodeAgent/codeAgent",
        r#"mutation ($new: String!) {
            createCodeAgent(input: { name: $new, language: "json", source: "[]" }) { codeAgent { id } }
        }"#,
    ),
    field(
        "Mutation.updateCodeAgent",
        WRITE,
        "/updateCodeAgent/codeAgent",
        r#"mutation ($agent: ID!) { updateCodeAgent(input: { id: $agent, name: "other" }) { codeAgent { id } } }"#,
    ),
    field(
        "Mutation.publishCodeVersion",
        WRITE,
        "/publishCodeVersion/version",
        r#"mutation ($agent: ID!) {
            publishCodeVersion(input: { codeAgentId: $agent, source: "[2]" }) { version { source } }
        }"#,
    ),
    field(
        "Mutation.deleteCodeAgent",
        DELETE,
        "/deleteCodeAgent/deletedCount",
        "mutation ($agent: ID!) { deleteCodeAgent(id: $agent) { deletedCount } }",
    ),
    field(
        "Mutation.createProject",
        OWN,
        "/createProject/project",
        "mutation ($new: String!) { createProject(input: { key: $new }) { project { id } } }",
    ),
    field(
        "Mutation.saveGeneration",
        OWN,
        "/saveGeneration/generation",
        r#"mutation ($new: String!) {
            saveGeneration(input: { projectKey: $new, files: [{ path: "a", text: "b" }] }) { generation { id } }
        }"#,
    ),
    field(
        "Mutation.deleteGeneration",
        DELETE,
        "/deleteGeneration/deletedCount",
        "mutation ($generation: ID!) { deleteGeneration(id: $generation) { deletedCount } }",
    ),
    field(
        "Mutation.retryUpload",
        UPLOAD,
        "/retryUpload/generation",
        "mutation ($generation: ID!) { retryUpload(generationId: $generation) { generation { id } } }",
    ),
    field(
        "Mutation.exportExecutions",
        OWN,
        "/exportExecutions/url",
        "mutation { exportExecutions(format: CSV) { url } }",
    ),
    field(
        "Mutation.startExecution",
        OWN,
        "/startExecution/execution",
        "mutation { startExecution(input: {}) { execution { id } } }",
    ),
    field(
        "Mutation.updateExecution",
        WRITE,
        "/updateExecution/execution",
        r#"mutation ($id: ID!) { updateExecution(input: { id: $id, costUsd: "1" }) { execution { id } } }"#,
    ),
    field(
        "Mutation.updateExecutions",
        WRITE,
        "/updateExecutions/executions",
        r#"mutation ($id: ID!) { updateExecutions(inputs: [{ id: $id, costUsd: "1" }]) { executions { id } } }"#,
    ),
    field(
        "Mutation.heartbeat",
        WRITE,
        "/heartbeat/execution",
        "mutation ($id: ID!) { heartbeat(id: $id) { execution { id } } }",
    ),
    field(
        "Mutation.finishExecution",
        WRITE,
        "/finishExecution/execution",
        "mutation ($id: ID!) { finishExecution(input: { id: $id, status: FAILED }) { execution { id } } }",
    ),
    field(
        "Mutation.cancelExecution",
        WRITE,
        "/cancelExecution/execution",
        "mutation ($id: ID!) { cancelExecution(id: $id) { execution { id } } }",
    ),
    field(
        "Mutation.recordExecutions",
        OWN,
        "/recordExecutions/executions",
        r#"mutation { recordExecutions(inputs: [{ status: FAILED, startedAt: "2026-11-21T09:30:00Z",
            completedAt: "2026-11-21T09:30:01Z" }]) { executions { id } } }"#,
    ),
    field(
        "Mutation.deleteExecution",
        DELETE,
        "/deleteExecution/deletedCount",
        "mutation ($id: ID!) { deleteExecution(id: $id) { deletedCount } }",
    ),
    field(
        "Mutation.deleteExecutions",
        WRITE_MATCHING,
        "/deleteExecutions/deletedCount",
        "mutation ($id: ID!) { deleteExecutions(filter: { ids: [$id] }) { deletedCount } }",
    ),
    field(
        "Mutation.appendLogs",
        WRITE,
        "/appendLogs/appended",
        r#"mutation ($id: ID!) { appendLogs(input: { executionId: $id, lines: [{ message: "m" }] }) { appended } }"#,
    ),
    field(
        "Mutation.appendVisualEvents",
        WRITE,
        "/appendVisualEvents/appended",
        r#"mutation ($id: ID!) {
            appendVisualEvents(input: { executionId: $id, events: [{ type: 4, timestamp: 1 }] }) { appended }
        }"#,
    ),
    field(
        "Subscription.executionChanged",
        FOLLOW,
        "/executionChanged",
        "subscription ($id: ID!) { executionChanged(id: $id) { id } }",
    ),
    field(
        "Subscription.executionsChanged",
        READ,
        // The first change is of the owner's execution, or else of one of the caller's own.
        "/executionsChanged/execution/inputs/isTarget",
        "subscription ($ids: [ID!], $after: String) {
            executionsChanged(filter: { ids: $ids }, after: $after) { executionId execution { inputs } }
        }",
    ),
    field(
        "Subscription.logTail",
        FOLLOW,
        "/logTail/lines",
        "subscription ($id: ID!) { logTail(executionId: $id) { lines { message } } }",
    ),
    field(
        "Subscription.statsChanged",
        READ,
        "/statsChanged/totalExecutions",
        "subscription ($agent: ID!) { statsChanged(filter: { codeAgentId: $agent }) { totalExecutions } }",
    ),
    field(
        "Subscription.visualEvents",
        FOLLOW,
        "/visualEvents/events",
        "subscription ($id: ID!) { visualEvents(executionId: $id) { events } }",
    ),
    field(
        "Subscription.generationChanged",
        FOLLOW,
        "/generationChanged",
        "subscription ($generation: ID!) { generationChanged(id: $generation) { id files { path } } }",
    ),
    field("Query.__typename", [Data; 8], "/__typename", "{ __typename }"),
];

async fn every_root_field_answers_every_caller_as_the_table_says(team: Team) {
    for field in FIELDS {
        for ((caller, client), expected) in callers(&team).into_iter().zip(field.outcomes) {
            if field.name == "Query.__typename" && caller.ends_with(" token") && caller != "no token" {
                continue; // A bad token is refused whatever is asked for.
            }
            let target = Target::new(&team, &client, field).await;
            assert_eq!(target.outcome(&client, field).await, expected, "{} as {caller}", field.name);
        }
    }
}

async fn every_root_field_has_a_row_in_the_table(team: Team) {
    let document = "{ __schema { types { name fields { name } } } }";
    let data = team.owner.query(document, json!({})).await;
    let types = data["__schema"]["types"].as_array().expect("types are a list").clone();
    let fields: BTreeSet<_> = types
        .iter()
        .filter(|of| ["Query", "Mutation", "Subscription"].iter().any(|root| of["name"] == *root))
        .flat_map(|of| {
            let fields = of["fields"].as_array().expect("a root type has fields").iter();
            fields.map(|field| {
                format!("{}.{}", of["name"].as_str().unwrap_or(""), field["name"].as_str().unwrap_or(""))
            })
        })
        .collect();
    let rows: BTreeSet<_> = FIELDS.iter().map(|field| field.name.to_owned()).collect();
    let missing: Vec<_> = fields.difference(&rows).collect();
    assert!(fields.len() > 10 && missing.is_empty(), "FIELDS needs a row for each of {missing:?}");
}

async fn a_token_that_is_expired_or_forged_is_refused_before_anything_is_read(team: Team) {
    let claims = team.owner_claims();
    let no_expiry = json!({ "sub": "olga" });
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJvbGdhIiwiZXhwIjo0MTAyNDQ0ODAwfQ.";
    for token in [
        claims.clone().expiring_in(-1).token(),
        claims.forged(),
        Claims::sign_any(&no_expiry),
        Claims::sign_any(&json!({ "exp": 4_102_444_800_i64 })),
        unsigned.to_owned(),
        "nonsense".to_owned(),
    ] {
        let client = team.anonymous.with_token(Some(token.clone()));
        let refusal = client.refused("{ __typename }", json!({})).await;
        assert_eq!((refusal.status, refusal.code()), (401, "UNAUTHENTICATED"), "{token}");
        let cut = Socket::try_connect(&team.server, Some(&token)).await.expect_err("the socket is refused");
        assert_eq!(cut.0, 4403, "{token}");
    }
}

async fn an_execution_belongs_to_whoever_started_it_and_never_to_whom_the_input_names(team: Team) {
    for (client, owner) in
        [(&team.owner, Team::OWNER), (&team.admin, Team::ADMIN), (&team.service, Team::SERVICE)]
    {
        assert_eq!(client.start(json!({})).await["ownerId"], owner);
    }
    let viewer = &team.admin.query("{ viewer { userId role } }", json!({})).await["viewer"];
    assert_eq!(*viewer, json!({ "userId": Team::ADMIN, "role": "ADMIN" }));
}

const START: &str = "mutation ($input: StartExecutionInput!) {
    startExecution(input: $input) { execution { id ownerId } }
}";

async fn only_the_service_role_acts_on_behalf_of_others(team: Team) {
    for client in [&team.owner, &team.colleague, &team.admin, &team.stranger] {
        let on_behalf_of = json!({ "userId": "victim", "orgId": team.org });
        let refusal = client.refused(START, json!({ "input": { "onBehalfOf": on_behalf_of } })).await;
        assert_eq!(refusal.code(), "FORBIDDEN");
    }
}

async fn a_service_role_writes_into_the_tenant_it_names(team: Team) {
    let on_behalf_of = json!({ "userId": Team::OWNER, "orgId": team.org });
    let execution = team.service.start(json!({ "onBehalfOf": on_behalf_of })).await;
    let id = id_of(&execution);
    assert_eq!(execution["ownerId"], Team::OWNER);
    assert_eq!(team.colleague.execution(&id).await, execution, "it is the tenant's");
    team.owner.complete(&id).await;
    assert!(team.stranger.execution(&id).await.is_null());

    let loner = unique("loner");
    let execution = team.service.start(json!({ "onBehalfOf": { "userId": loner } })).await;
    let as_loner = team.server.client(&Claims::user(&loner));
    assert_eq!(
        as_loner.execution(&id_of(&execution)).await,
        execution,
        "without an organisation it is the user's own"
    );
}

async fn a_user_without_an_organisation_is_a_tenant_of_their_own(team: Team) {
    // Also when an organisation has the same name.
    let loner = team.server.client(&Claims::user(&team.org));
    let id = loner.start_any().await;
    assert!(loner.execution(&id).await.is_object());
    for client in [&team.owner, &team.admin, &team.stranger] {
        assert!(client.execution(&id).await.is_null());
    }
    let of_the_team = team.owner.start_any().await;
    assert!(loner.execution(&of_the_team).await.is_null());
}

async fn a_token_of_supabase_works_as_it_comes(team: Team) {
    let token = Claims::sign_any(&json!({
        "aud": "authenticated", "role": "authenticated", "sub": "5e3dd1b2-4a5e-4f5c-9b5e-1c2d3e4f5a6b",
        "email": "olga@example.com", "phone": "", "aal": "aal1", "is_anonymous": false, "session_id": "s",
        "app_metadata": { "provider": "email", "providers": ["email"], "org_id": team.org }, "user_metadata": {},
        "iss": "https://project.supabase.co/auth/v1", "iat": 1_763_700_000, "exp": 4_102_444_800_i64,
    }));
    let id = team.owner.start_any().await;
    let client = team.anonymous.with_token(Some(token));
    assert!(client.execution(&id).await.is_object(), "the organisation is that of app_metadata");
    let viewer = &client.query("{ viewer { role } }", json!({})).await["viewer"];
    assert_eq!(viewer["role"], "MEMBER");
}

async fn a_change_of_somebody_elses_execution_changes_nothing(team: Team) {
    let id = team.owner.start_any().await;
    team.owner.append(&id, &[line("the owner's")]).await;
    let before = team.owner.execution(&id).await;
    for client in [&team.colleague, &team.stranger] {
        client.update(json!({ "id": id, "costUsd": "1" })).await.expect_err("it is not theirs");
        client.finish(json!({ "id": id, "status": "FAILED" })).await.expect_err("it is not theirs");
        client.cancel(&id, None).await.expect_err("it is not theirs");
        client.try_append(&id, &[line("mine")], None).await.expect_err("it is not theirs");
    }
    assert_eq!(team.owner.execution(&id).await, before);
    assert_eq!(team.owner.append(&id, &[line("the next")]).await["nextSeq"], 2);
}

async fn a_generation_of_another_tenant_is_nowhere_to_be_found(team: Team) {
    let (theirs, ours) = (team.owner.save_any().await, team.stranger.save_any().await);
    let stranger = &team.stranger;
    let document = "query ($id: ID!) { generation(id: $id) { download { url } } node(id: $id) { id } }";
    assert!(team.owner.query(document, json!({ "id": theirs })).await["generation"]["download"].is_object());
    let nothing = stranger.query(document, json!({ "id": theirs })).await;
    assert_eq!(nothing, json!({ "generation": null, "node": null }));

    let compare =
        "query ($from: ID!, $to: ID!) { compareGenerations(from: $from, to: $to) { added { path } } }";
    for (from, to) in [(&theirs, &ours), (&ours, &theirs)] {
        let refusal = stranger.refused(compare, json!({ "from": from, "to": to })).await;
        assert_eq!(refusal.code(), "NOT_FOUND");
    }

    let refusal = stranger.refused(START, json!({ "input": { "generationId": theirs } })).await;
    assert_eq!(refusal.code(), "NOT_FOUND", "an execution cannot name it");
    let execution = id_of(&stranger.start(json!({ "generationId": ours })).await);
    for change in [
        stranger.update(json!({ "id": execution, "generationId": theirs })).await,
        stranger.finish(json!({ "id": execution, "status": "COMPLETED", "generationId": theirs })).await,
        stranger
            .record(json!([{ "status": "FAILED", "startedAt": "2026-11-21T09:30:00Z",
                             "completedAt": "2026-11-21T09:30:01Z", "generationId": theirs }]))
            .await,
    ] {
        assert_eq!(change.expect_err("it is not theirs").code(), "NOT_FOUND");
    }
    let named = "query ($id: ID!) { execution(id: $id) { status generation { id } } }";
    let named = stranger.query(named, json!({ "id": execution })).await;
    assert_eq!(named["execution"], json!({ "status": "RUNNING", "generation": { "id": ours } }));
}

/// A row of the owner's that one caller tries one field on.
struct Target {
    variables: Value,
}

impl Target {
    async fn new(team: &Team, caller: &Client, field: &Field) -> Self {
        let run = unique("run");
        // Where the feed stands for this caller; a caller without a valid token does not come so far.
        let after = caller.try_query("{ changesCursor }", json!({})).await.ok();
        let agent = "mutation ($name: String!) {
            createCodeAgent(input: { name: $name, language: \"json\", source: \"[1]\" }) { codeAgent { id } }
        }";
        let agent = team.owner.query(agent, json!({ "name": run })).await;
        let agent = &agent["createCodeAgent"]["codeAgent"]["id"];
        let generation = team.owner.save(&run, &files(&[("a.txt", b"old\n")])).await;
        let newer = team.owner.save(&run, &files(&[("a.txt", b"new\n")])).await;
        let input = json!({ "workflowRunId": run, "codeAgentId": agent, "projectKey": "owned",
                            "generationId": generation["id"], "inputs": { "isTarget": true } });
        let target = team.owner.start(input).await;
        team.owner.append(&id_of(&target), &[line("a line")]).await;
        team.owner.append_events(&id_of(&target), &[visual_event(0)]).await;
        let own = match &after {
            Some(_) => caller.start(json!({ "inputs": { "isTarget": null } })).await,
            None => json!({}),
        };
        // Lists that have no filter must not show the caller's own rows.
        if let (Some(id), true) = (own["id"].as_str(), field.name != "Subscription.executionsChanged") {
            caller.complete(id).await;
        }
        let sibling = match field.name {
            "Query.compareExecutions" => team.owner.start(json!({ "inputs": { "isTarget": false } })).await,
            _ => json!({}),
        };
        let project = "{ projects(first: 1) { nodes { id } } }";
        let variables = json!({
            "id": target["id"],
            "ids": [target["id"], own["id"]],
            "run": run,
            "sibling": sibling["id"],
            "agent": agent,
            "generation": generation["id"],
            "newer": newer["id"],
            "new": unique("project"),
            "project": team.owner.query(project, json!({})).await["projects"]["nodes"][0]["id"],
            "after": after.map(|data| data["changesCursor"].clone()),
        });
        Self { variables }
    }

    async fn outcome(&self, client: &Client, field: &Field) -> Outcome {
        let variables = self.declared_in(field.document);
        let answer = if field.name.starts_with("Subscription.") {
            first_event(client, field.document, variables).await
        } else {
            client.try_query(field.document, variables).await
        };
        match answer {
            Ok(data) if is_nothing(data.pointer(field.pointer)) => Nothing,
            Ok(_) => Data,
            Err(refusal) => match refusal.code() {
                "NOT_FOUND" => NotFound,
                "FORBIDDEN" => Forbidden,
                "UNAUTHENTICATED" => Unauthenticated,
                "CONFLICT" => Conflict,
                other => panic!("{}: {other}: {refusal:?}", field.name),
            },
        }
    }

    fn declared_in(&self, document: &str) -> Value {
        let all = self.variables.as_object().expect("variables are an object");
        let declared = all.iter().filter(|(name, _)| document.contains(&format!("${name}:")));
        declared.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

fn is_nothing(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Number(count)) => count.as_u64() == Some(0),
        Some(_) => false,
    }
}

async fn first_event(client: &Client, document: &str, variables: Value) -> Result<Value, Refusal> {
    let unauthenticated = || Refusal::with_code("UNAUTHENTICATED");
    let socket = Socket::try_connect(client.server(), client.token()).await.map_err(|_| unauthenticated())?;
    // The service role is told of what other tests delete: that is sent whatever the filter says.
    let asked = variables["ids"].as_array().cloned().unwrap_or_default();
    let is_of_another_test =
        |data: &Value| data.pointer("/executionsChanged/executionId").is_some_and(|id| !asked.contains(id));
    let mut subscription = socket.subscribe(document, variables);
    loop {
        match subscription.event().await {
            Event::Next(data) if is_of_another_test(&data) => {}
            Event::Next(data) => return Ok(data),
            Event::Refused(refusal) => return Err(refusal),
            other => panic!("an event or a refusal was due: {other:?}"),
        }
    }
}

fn callers(team: &Team) -> Vec<(&'static str, Client)> {
    let claims = team.owner_claims();
    let clients = [
        team.owner.clone(),
        team.colleague.clone(),
        team.admin.clone(),
        team.stranger.clone(),
        team.service.clone(),
        team.anonymous.with_token(Some(claims.clone().expiring_in(-3600).token())),
        team.anonymous.with_token(Some(claims.forged())),
        team.anonymous.clone(),
    ];
    CALLERS.into_iter().zip(clients).collect()
}

async fn those_who_ask_at_the_same_time_see_each_what_they_may(backend: Backend) {
    const ROUNDS: usize = 20;
    let server = Server::builder(backend).await.env("RUNLEDGER_OWNERSHIP", "user").start().await;
    let team = Team::of(&server);
    let owners =
        [(&team.owner, Team::OWNER), (&team.colleague, Team::COLLEAGUE), (&team.stranger, Team::STRANGER)];
    let mut there = vec![("execution", json!(runledger::clock::new_id()), "nobody")];
    for (client, owner) in owners {
        there.push(("execution", json!(client.start_any().await), owner));
        there.push(("codeAgent", client.new_code_agent("asked for", "[1]").await, owner));
    }
    let documents = |field: &str| {
        let more = if field == "execution" { "workflowId tokens { total }" } else { "language" };
        [
            format!("query ($id: ID!) {{ found: {field}(id: $id) {{ id ownerId }} }}"),
            format!("query ($id: ID!) {{ found: {field}(id: $id) {{ name ownerId {more} id }} }}"),
        ]
    };
    let mut asked = Vec::new();
    for round in 0..ROUNDS {
        for (client, may_see) in [
            (&team.owner, vec![Team::OWNER]),
            (&team.colleague, vec![Team::COLLEAGUE]),
            (&team.admin, vec![Team::OWNER, Team::COLLEAGUE]),
            (&team.stranger, vec![Team::STRANGER]),
            (&team.service, vec![Team::OWNER, Team::COLLEAGUE, Team::STRANGER]),
        ] {
            for (field, id, owner) in &there {
                let document = documents(field)[round % 2].clone();
                let expected = if may_see.contains(owner) { json!([id, owner]) } else { json!([null, null]) };
                asked.push(async move {
                    let found = client.query(&document, json!({ "id": id })).await["found"].take();
                    assert_eq!(json!([found["id"], found["ownerId"]]), expected);
                });
            }
        }
    }
    futures_util::future::join_all(asked).await;
}
