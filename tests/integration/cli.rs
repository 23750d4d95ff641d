//! The command line: what it prints is true, and `exec` records a program as it ran.

use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Child,
};

use crate::harness::{
    Backend, Client, ForBackend as _, ResumingTail, SECRET, Server, Session, Socket, Tail, Team, id_of,
    runledger, signal, soon,
    support::supabase::{FakeSupabase, SECRET_KEY},
    unique,
};

#[test]
fn help_explains_each_command() {
    let help = text(&runledger_says(&["--help"]).stdout);
    for command in ["serve", "migrate", "check", "schema", "token", "exec", "import"] {
        assert!(help.contains(&format!("\n  {command} ")), "--help names {command}");
        let of_command = runledger_says(&[command, "--help"]);
        assert!(
            of_command.status.success() && text(&of_command.stdout).contains("Usage:"),
            "{command} --help"
        );
    }
    assert!(help.contains("RUNLEDGER_LISTEN") && help.contains("DATABASE_URL"), "--help names the settings");
}

#[test]
fn what_is_no_command_is_refused() {
    for arguments in
        [&["fly"][..], &["serve", "--wings"], &["token"], &["exec"], &["import"], &["schema", "twice"]]
    {
        let output = runledger_says(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn every_wrong_setting_is_reported_at_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = runledger(folder.path())
        .arg("check")
        .env("RUNLEDGER_LISTEN", "nowhere")
        .env("DATABASE_URL", "mysql://localhost/x")
        .env("RUNLEDGER_JWT_SECRET", "short")
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let problems = text(&output.stderr);
    for name in ["RUNLEDGER_LISTEN", "DATABASE_URL", "RUNLEDGER_JWT_SECRET"] {
        assert!(problems.contains(name), "{name} in {problems}");
    }
}

#[test]
fn without_a_key_it_refuses_to_serve_others() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = runledger(folder.path()).env("RUNLEDGER_LISTEN", "0.0.0.0:0").output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("RUNLEDGER_JWT_SECRET"),
        "it says what to set: {}",
        text(&output.stderr)
    );
}

#[test]
fn the_printed_schema_is_the_one_that_is_checked_in() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql");
    let checked_in = std::fs::read_to_string(path).expect("schema.graphql is checked in");
    let printed = text(&runledger_says(&["schema"]).stdout);
    assert!(
        printed == checked_in,
        "schema.graphql is stale: `cargo run -- schema > schema.graphql` and review the change"
    );
}

#[tokio::test]
async fn a_printed_token_is_that_of_whom_it_names() {
    let server = sqlite_server().await;
    for (arguments, viewer) in [
        (&["--user", "ada"][..], json!({ "userId": "ada", "role": "MEMBER" })),
        (&["--user", "ada", "--org", "acme", "--role", "admin"], json!({ "userId": "ada", "role": "ADMIN" })),
        (
            &["--user", "bot", "--role", "service", "--expires-in", "5m"],
            json!({ "userId": "bot", "role": "SERVICE" }),
        ),
    ] {
        let output = runledger_says(&[&["token"], arguments].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let client = Client::new(&server, Some(text(&output.stdout).trim().to_owned()));
        assert_eq!(client.query("{ viewer { userId role } }", json!({})).await["viewer"], viewer);
    }
}

#[test]
fn check_says_that_all_is_well() {
    let output = runledger_says(&["check"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!text(&output.stdout).contains(SECRET), "secrets are not shown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_says_how_storage_is_and_makes_nothing() {
    let storage = FakeSupabase::start().await;
    let check = async |key: &'static str| {
        let (folder, url) = (tempfile::tempdir().expect("a temporary folder"), storage.front().url());
        let run = move || {
            let mut command = runledger(folder.path());
            command.arg("check").env("RUNLEDGER_JWT_SECRET", SECRET).env("SUPABASE_URL", url);
            command.env("SUPABASE_SERVICE_KEY", key).output().expect("it runs")
        };
        tokio::task::spawn_blocking(run).await.expect("it does not panic")
    };
    let missing = check(SECRET_KEY).await;
    assert!(missing.status.success(), "{}", text(&missing.stderr));
    for bucket in ["codebegen-projects", "code-agents", "agent-logs"] {
        assert!(text(&missing.stdout).contains(&format!("There is no bucket {bucket} yet")));
        assert_eq!(storage.is_public(bucket), None, "it is not made");
        storage.set_bucket(bucket, false, None);
    }
    let good = check(SECRET_KEY).await;
    assert!(
        good.status.success() && text(&good.stdout).contains("Storage answers: Supabase Storage at http://")
    );
    assert!(!text(&good.stdout).contains("no bucket") && !text(&good.stdout).contains(SECRET_KEY));

    storage.set_bucket("code-agents", true, None);
    let public = check(SECRET_KEY).await;
    assert_eq!(public.status.code(), Some(1));
    assert!(text(&public.stderr).contains("the bucket code-agents is public; make it private"));
    let refused = check("sb_secret_wrong").await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("check the keys")
            && !text(&refused.stderr).contains("sb_secret_wrong")
    );
    storage.front().go_away().await;
    let away = check(SECRET_KEY).await;
    assert_eq!(away.status.code(), Some(1));
    assert!(text(&away.stderr).contains("cannot be reached"), "{}", text(&away.stderr));
}

#[tokio::test]
async fn with_nothing_configured_it_prints_where_graphiql_is_and_a_token_for_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = runledger(folder.path());
    command.env("RUNLEDGER_LISTEN", "127.0.0.1:0");
    let mut server = started(command);
    let mut lines = BufReader::new(server.stdout.take().expect("it is piped")).lines();
    let link = loop {
        let line = soon("the link to GraphiQL", lines.next_line()).await.expect("it prints text");
        let line = line.expect("it prints the link before it ends");
        if let Some(link) = line.split_whitespace().find(|word| word.contains("/graphiql")) {
            break link.to_owned();
        }
    };
    let (page, token) = link.split_once("#token=").expect("the link carries a token");
    let http = reqwest::Client::builder().no_proxy().build().expect("a client needs nothing");
    assert!(http.get(page).send().await.expect("it answers").status().is_success());
    let query = http.post(page.replace("/graphiql", "/graphql")).bearer_auth(token);
    let answer = query.json(&json!({ "query": "{ viewer { userId } }" })).send().await.expect("it answers");
    let answer: Value = answer.json().await.expect("it answers in JSON");
    assert!(answer["data"]["viewer"]["userId"].is_string(), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_folder_is_used_by_one_server_at_a_time() {
    let server = Server::builder(Backend::Sqlite).await.start().await;
    let team = Team::of(&server);
    let generation = team.owner.save_any().await;
    // Another database, the same folder: it would remove files that it does not know.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let database = format!("sqlite://{}", folder.path().join("other.db").display());
    server.set_env("DATABASE_URL", &database);
    server.set_env("RUNLEDGER_LISTEN", "127.0.0.1:0");
    let said = server.restart_fails().await;
    assert!(said.contains("data folder") && said.contains("RUNLEDGER_DATA_DIR"), "{said}");
    assert!(team.owner.archive(&generation).await.len() > 20, "the first one is not disturbed");
    // Held by the process alone: not by what it leaves behind.
    server.kill9();
    server.restart().await;
}

#[tokio::test]
async fn sigterm_ends_a_server_cleanly_and_its_sockets_with_1001() {
    let server = Server::builder(Backend::Sqlite).await.start().await;
    let team = Team::of(&server);
    let id = team.owner.start_any().await;
    let socket = Socket::connect(&team.owner).await;
    let mut tail = Tail::open(&socket, json!({ "execution": id }));
    tail.until_caught_up().await;
    assert!(server.terminate().await.success());
    assert_eq!(socket.closed().await, 1001);
}

/// Prints on both streams, with everything that a line can hold.
const TALKATIVE: &str = r#"
    i=0
    while [ $i -lt 300 ]; do
        echo "out $i"
        echo "err $i" >&2
        i=$((i + 1))
    done
    printf '\n  indented\ttabs \033[31mred\033[0m  \n\n'
    echo 'ünïcödé 🦀 "quoted" \back' >&2
    printf 'no line break at the end'
"#;

#[tokio::test]
async fn two_subscribers_receive_byte_for_byte_what_the_program_prints() {
    let team = Team::on(Backend::Sqlite).await.expect("SQLite is built in");
    let id = queued(&team.owner).await;
    let mut subscribers = Vec::new();
    for client in [&team.owner, &team.colleague] {
        let socket = Socket::connect(client).await;
        let tail =
            |stream: &str| Tail::open(&socket, json!({ "execution": id, "filter": { "stream": stream } }));
        subscribers.push((tail("stdout"), tail("stderr"), socket));
    }
    let output = ended(exec(&team, &["--id", &id], TALKATIVE)).await;
    assert!(output.status.success());
    assert!(output.stdout.ends_with(b"no line break at the end"), "the program's output still appears");

    for (mut stdout, mut stderr, _socket) in subscribers {
        assert_eq!(joined(&mut stdout).await, text(&output.stdout));
        assert_eq!(joined(&mut stderr).await, text(&output.stderr).trim_end());
    }
    assert_eq!(team.owner.execution(&id).await["status"], "COMPLETED");
}

#[tokio::test]
async fn the_exit_code_is_the_programs_and_decides_the_status() {
    let team = Team::on(Backend::Sqlite).await.expect("SQLite is built in");
    for (code, status) in [(0, "COMPLETED"), (1, "FAILED"), (42, "FAILED")] {
        let id = queued(&team.owner).await;
        let output = ended(exec(&team, &["--id", &id], &format!("exit {code}"))).await;
        assert_eq!(output.status.code(), Some(code));
        assert_eq!(team.owner.execution(&id).await["status"], status, "{}", text(&output.stderr));
    }
}

#[tokio::test]
async fn what_is_given_on_the_command_line_is_recorded() {
    let team = Team::on(Backend::Sqlite).await.expect("SQLite is built in");
    let id = runledger::clock::new_id().to_string();
    let given = [
        "--id",
        &id,
        "--name",
        "nightly",
        "--workflow",
        "build",
        "--workflow-run",
        "build-7",
        "--project",
        "website",
        "--mode",
        "cloud-run",
        "--inputs",
        r#"{"branch":"main"}"#,
    ];
    ended(exec(&team, &given, "true")).await;
    let execution = team.owner.execution(&id).await;
    for (field, value) in [
        ("name", json!("nightly")),
        ("workflowId", json!("build")),
        ("workflowRunId", json!("build-7")),
        ("project", json!({ "key": "website" })),
        ("mode", json!("CLOUD_RUN")),
        ("inputs", json!({ "branch": "main" })),
        ("ownerId", json!(Team::OWNER)),
    ] {
        assert_eq!(execution[field], value, "{field}");
    }
    assert!(execution["durationMs"].is_i64());
}

#[tokio::test]
async fn exec_records_the_version_of_the_agent_that_it_is_told() {
    let team = Team::on(Backend::Sqlite).await.expect("SQLite is built in");
    let name = unique("agent");
    let agent = team.owner.new_code_agent(&name, "[1]").await;
    let agent = agent.as_str().expect("it has an id");
    let publish =
        "mutation ($input: PublishCodeVersionInput!) { publishCodeVersion(input: $input) { created } }";
    team.owner.query(publish, json!({ "input": { "codeAgentId": agent, "source": "[2]" } })).await;
    let ran = async |options: &[&str]| {
        let id = runledger::clock::new_id().to_string();
        let output = ended(exec(&team, &[&["--id", &id], options].concat(), "exit 3")).await;
        assert_eq!(output.status.code(), Some(3), "the command comes first");
        let document = "query ($id: ID!) { execution(id: $id) { codeAgent { id } codeVersion { number } } }";
        let data = team.owner.query(document, json!({ "id": id })).await;
        (data["execution"].clone(), text(&output.stderr))
    };
    for (options, number) in [
        (&["--agent", &name][..], 2),
        (&["--agent", agent], 2),
        (&["--agent", &name, "--agent-version", "1"], 1),
    ] {
        let (execution, notices) = ran(options).await;
        let expected = json!({ "codeAgent": { "id": agent }, "codeVersion": { "number": number } });
        assert_eq!(execution, expected, "{options:?}: {notices}");
    }
    team.owner.new_code_agent(&name, "[1]").await;
    for (options, reason) in [
        (&["--agent", &name][..], "several code agents"),
        (&["--agent", "nobody"], "no code agent is named nobody"),
        (&["--agent", agent, "--agent-version", "3"], "not found"),
    ] {
        let (execution, notices) = ran(options).await;
        assert!(execution.is_null() && notices.contains(reason), "{options:?}: {notices}");
    }
}

#[tokio::test]
async fn a_signal_is_passed_on_and_ends_in_cancelled() {
    let team = Team::on(Backend::Sqlite).await.expect("SQLite is built in");
    let id = queued(&team.owner).await;
    let socket = Socket::connect(&team.owner).await;
    let mut tail = Tail::open(&socket, json!({ "execution": id }));
    let program = "trap 'echo cleaning up; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    let exec = exec(&team, &["--id", &id], program);
    assert_eq!(tail.lines(1).await, [(0, "ready".into())]);

    signal(exec.id().expect("it runs"), "TERM");
    let output = ended(exec).await;
    assert_eq!(text(&output.stdout), "ready\ncleaning up\n", "the program could clean up");
    assert_eq!(tail.rest().await, [(1, "cleaning up".into())]);
    assert_eq!(team.owner.execution(&id).await["status"], "CANCELLED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_meanwhile_loses_no_line() {
    const LINES: i64 = 200;
    let server = Server::builder(Backend::Sqlite).await.start().await;
    let team = Team::of(&server);
    let id = queued(&team.owner).await;
    let mut tail = ResumingTail::start(&server, &id, Session::long(team.owner_claims()));
    let program =
        format!("i=0; while [ $i -lt {LINES} ]; do echo \"line $i\"; i=$((i + 1)); sleep 0.01; done");
    let exec = exec(&team, &["--id", &id], &program);
    for seq in [20, 80] {
        tail.reached(seq).await;
        server.kill9();
        server.restart().await;
    }
    let output = ended(exec).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let received = tail.finish().await.messages;
    assert!(received.iter().cloned().eq((0..LINES).map(|number| format!("line {number}"))), "{received:?}");
    assert_eq!(team.owner.execution(&id).await["status"], "COMPLETED");
}

#[tokio::test]
async fn a_server_that_is_away_does_not_hold_the_program_up_and_its_output_is_kept() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let spool = folder.path().join("spool");
    let mut command = runledger(folder.path());
    command
        .args(["exec", "--server", "http://127.0.0.1:9", "--token", "t", "--drain-timeout", "1s"])
        .args(["--spool-dir".as_ref(), spool.as_os_str()])
        .args(["--", "sh", "-c", "echo out; exit 5"]);
    let output = ended(started(command)).await;
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("out\n", Some(5)));
    let kept = std::fs::read_dir(&spool).expect("the folder is made").count();
    assert_eq!(kept, 1, "what was not delivered is kept: {}", text(&output.stderr));
}

async fn sqlite_server() -> Server {
    Server::shared(Backend::Sqlite).await.expect("SQLite is built in")
}

/// Runs a command that needs no server, with the tests' secret.
fn runledger_says(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    runledger(folder.path()).args(arguments).env("RUNLEDGER_JWT_SECRET", SECRET).output().expect("it runs")
}

/// Starts `runledger exec` with the owner's token on a shell program.
fn exec(team: &Team, options: &[&str], program: &str) -> Child {
    let mut command = runledger(&std::env::temp_dir());
    command.arg("exec").args(options).args(["--", "sh", "-c", program]);
    command.env("RUNLEDGER_SERVER", team.server.url()).env("RUNLEDGER_TOKEN", team.owner_claims().token());
    started(command)
}

/// A process that does not outlive its test.
fn started(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    tokio::process::Command::from(command).kill_on_drop(true).spawn().expect("it starts")
}

/// What a process has printed, once it has ended.
async fn ended(process: Child) -> Output {
    soon("the end of the process", process.wait_with_output()).await.expect("it is our child")
}

/// An execution that waits for a program, so that it can be tailed before there is one.
async fn queued(client: &Client) -> String {
    id_of(&client.start(json!({ "status": "QUEUED" })).await)
}

/// The lines of a tail up to its end, as a program would print them.
async fn joined(tail: &mut Tail) -> String {
    let lines: Vec<_> = tail.rest().await.into_iter().map(|(_, message)| message).collect();
    lines.join("\n")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it prints text")
}
