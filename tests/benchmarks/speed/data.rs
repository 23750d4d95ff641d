//! The data that is asked for: many tenants with as many executions each, of which the API has made the first tenant's.
//!
//! Every other tenant is a copy in SQL, with its own ids. The last five digits of an id are the number of its tenant.

use std::time::{Duration, Instant};

use serde_json::json;
use uuid::Uuid;

use crate::database::Address;
use crate::harness::{Backend, Claims, Client, Server, id_of, line};

/// Tenants that one statement makes.
const TENANTS_AT_ONCE: usize = 50;
const LINES: usize = 5;
const HOURS: i64 = 6;

/// The tables with the rows of a tenant, those that others point to first.
const TABLES: [&str; 8] = [
    "project",
    "code_agent",
    "code_version",
    "execution",
    "execution_payload",
    "log_stream",
    "log_chunk",
    "execution_search",
];

pub(crate) struct Data {
    pub(crate) server: Server,
    pub(crate) address: Address,
    pub(crate) tenants: Vec<Tenant>,
    /// The executions of the first tenant.
    pub(crate) templates: Vec<Uuid>,
}

#[derive(Clone)]
pub(crate) struct Tenant {
    /// Of the first one 0: the others are its copies.
    pub(crate) number: usize,
    /// As the database has it.
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) agent: Uuid,
}

impl Tenant {
    /// This tenant's copy.
    pub(crate) fn own(&self, template: Uuid) -> Uuid {
        if self.number == 0 {
            template
        } else {
            Uuid::from_u128(template.as_u128() >> 20 << 20 | self.number as u128)
        }
    }
}

impl Data {
    pub(crate) async fn make(backend: Backend, executions: usize, tenants: usize) -> Self {
        let mut server = Server::builder(backend).await.env("RUNLEDGER_LOG_RETENTION_DAYS", "0");
        for (name, value) in std::env::vars()
            .filter(|(name, _)| name.starts_with("RUNLEDGER_") || name.starts_with("MIMALLOC_"))
        {
            server = server.env(&name, &value);
        }
        let server = server.start().await;
        let address = Address::of(&server);
        let began = Instant::now();
        let org = |number: usize| format!("bench-{number:04}");
        let claims = |number| Claims::member("olga", &org(number)).expiring_in(HOURS * 3_600);
        let archives = backend == Backend::Sqlite; // with PostgreSQL only into object storage
        let (agent, templates) =
            first_tenant(&server.client(&claims(0)), executions / tenants, archives).await;
        assert!(server.terminate().await.success(), "it stops");
        copy(&address, templates.len(), tenants).await;
        println!(
            "  {executions} executions of {tenants} tenants made in {:.0} s",
            began.elapsed().as_secs_f64()
        );
        let began = Instant::now();
        let counted = server.run_long(&["recompute"]).await;
        // It says that the statistics were wrong, which they were.
        assert!(counted.status.code() == Some(1) || counted.status.success(), "{counted:?}");
        println!(
            "  counted in {:.0} s: {}",
            began.elapsed().as_secs_f64(),
            String::from_utf8_lossy(&counted.stdout).trim()
        );
        server.restart().await;
        let tenant = |number| {
            let of =
                Tenant { number, id: format!("org:{}", org(number)), token: claims(number).token(), agent };
            Tenant { agent: of.own(agent), ..of }
        };
        let tenants = (0..tenants).map(tenant).collect();
        Self { server, address, tenants, templates }
    }
}

/// Makes the executions of the first tenant through the API; gives its code agent, and them.
async fn first_tenant(client: &Client, executions: usize, archives: bool) -> (Uuid, Vec<Uuid>) {
    let create =
        "mutation ($input: CreateCodeAgentInput!) { createCodeAgent(input: $input) { codeAgent { id } } }";
    let input = json!({ "name": "builder", "language": "PYTHON", "source": "print('built')\n" });
    let made = client.query(create, json!({ "input": input })).await;
    let agent = made["createCodeAgent"]["codeAgent"]["id"].as_str().expect("it has an id").to_owned();
    let mut ids = Vec::with_capacity(executions);
    for number in 0..executions {
        let id = runledger::clock::new_id().to_string();
        let id = format!("{}00000", &id[..31]);
        let started = client
            .start(json!({
                "id": id, "name": format!("nightly build {number}"), "mode": "LOCAL_RUN", "status": "RUNNING",
                "workflowId": format!("workflow {}", number % 10), "projectKey": format!("project {}", number % 10),
                "codeAgentId": agent, "inputs": { "branch": "main", "number": number },
            }))
            .await;
        let id = id_of(&started);
        let lines: Vec<_> =
            (0..LINES).map(|index| line(&format!("step {index} of {number} is done"))).collect();
        client.append(&id, &lines).await;
        let status = if number.is_multiple_of(7) { "FAILED" } else { "COMPLETED" };
        let finish = json!({
            "id": id, "status": status, "durationMs": 50 + (number * number) % 90_000, "costUsd": "0.012500",
            "tokens": { "input": number, "output": 7 }, "result": { "files": number % 90 },
        });
        let document = "mutation ($input: FinishExecutionInput!) { finishExecution(input: $input) { execution { id } } }";
        client.query(document, json!({ "input": finish })).await;
        ids.push(Uuid::parse_str(&id).expect("it is one"));
    }
    let last = ids.last().expect("there is one").to_string();
    let document = "query ($id: ID!) { execution(id: $id) { logObject { archivedLineCount } } }";
    while archives
        && client.query(document, json!({ "id": last })).await["execution"]["logObject"]["archivedLineCount"]
            != LINES
    {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    (Uuid::parse_str(&agent).expect("it is one"), ids)
}

/// Spreads the executions of the first tenant over a year, and gives the others theirs.
async fn copy(address: &Address, templates: usize, tenants: usize) {
    let step_seconds = 365 * 24 * 3_600 / templates.max(1);
    let later = |column: &str| match address {
        Address::Postgres(_) => format!("{column} - interval '1 second' * (n * {step_seconds})"),
        Address::Sqlite(_) => {
            let at = format!("substr({column}, 1, 19), (-n * {step_seconds}) || ' seconds'");
            format!(
                "strftime('%Y-%m-%d', {at}) || substr({column}, 11, 1) || strftime('%H:%M:%S', {at}) || substr({column}, 20)"
            )
        }
    };
    let times = ["created_at", "started_at", "completed_at", "updated_at"];
    let times: Vec<_> = times.iter().map(|column| format!("{column} = {}", later(column))).collect();
    let spread = format!(
        "UPDATE execution SET {} FROM (SELECT id AS numbered, row_number() OVER (ORDER BY id DESC) AS n FROM execution) AS spread
         WHERE id = numbered",
        times.join(", ")
    );
    address.run(&spread).await;
    address.run("CREATE TABLE bench_tenant (n bigint PRIMARY KEY, name text NOT NULL)").await;
    for from in (1..tenants).step_by(TENANTS_AT_ONCE) {
        let numbers = from..tenants.min(from + TENANTS_AT_ONCE);
        let rows: Vec<_> = numbers.map(|number| format!("({number}, 'org:bench-{number:04}')")).collect();
        address.run("DELETE FROM bench_tenant").await;
        address.run(&format!("INSERT INTO bench_tenant VALUES {}", rows.join(", "))).await;
        for table in TABLES {
            let names = address.columns(table).await;
            let value = |name: &String| match name.as_str() {
                "tenant_id" => "tenant.name".to_owned(),
                "id" | "execution_id" | "code_agent_id" | "code_version_id" => own_id(address, name),
                _ => format!("row.{name}"),
            };
            let values: Vec<_> = names.iter().map(value).collect();
            let insert = format!(
                "INSERT INTO {table} ({}) SELECT {} FROM bench_tenant AS tenant CROSS JOIN {table} AS row
                 WHERE row.tenant_id = 'org:bench-0000'",
                names.join(", "),
                values.join(", ")
            );
            address.run(&insert).await;
        }
    }
    address.run("DROP TABLE bench_tenant").await;
    address.settle().await;
}

fn own_id(address: &Address, column: &str) -> String {
    match address {
        Address::Postgres(_) => {
            format!("(left(row.{column}::text, 31) || lpad(to_hex(tenant.n), 5, '0'))::uuid")
        }
        Address::Sqlite(_) => format!("unhex(substr(hex(row.{column}), 1, 27) || printf('%05X', tenant.n))"),
    }
}
