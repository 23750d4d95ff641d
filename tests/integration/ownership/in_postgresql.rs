//! Row-level security: a direct connection with a user's claims sees what the API shows them.

use super::*;

for_postgres!(
    a_direct_connection_sees_the_same_executions_as_the_api,
    a_direct_connection_sees_the_same_code_agents_as_the_api,
    a_direct_connection_sees_the_same_generations_as_the_api,
    what_is_the_servers_own_is_hidden_from_everybody_else,
    a_direct_connection_without_claims_sees_nothing,
    a_direct_connection_cannot_write,
    every_table_with_a_tenant_is_secured,
);

async fn a_direct_connection_sees_the_same_executions_as_the_api(server: Server) {
    let (team, other) = (Team::of(&server), Team::of(&server));
    for client in [&team.owner, &team.owner, &team.colleague, &team.admin, &team.stranger, &other.owner] {
        let id = client.start_any().await;
        client.append(&id, &[line("a line")]).await;
    }
    let gone = id_of(&team.owner.start(json!({ "keepHistory": false })).await);
    team.owner.complete(&gone).await;

    let mut connection = connect(&server).await;
    for claims in [
        team.owner_claims(),
        Claims::member(Team::COLLEAGUE, &team.org),
        Claims::admin(Team::ADMIN, &team.org),
        other.owner_claims(),
        Claims::member("nobody", &unique("org")),
        Claims::user(&team.org),
        Claims::service(Team::SERVICE),
    ] {
        become_user(&mut connection, &claims.json()).await;
        let rows = connection.fetch_all("SELECT id::text FROM execution").await.expect("it may read");
        let direct: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
        let list =
            server.client(&claims).query("{ executions(first: 200) { nodes { id } } }", json!({})).await;
        let nodes = list["executions"]["nodes"].as_array().expect("nodes are a list");
        assert_eq!(direct, nodes.iter().map(id_of).collect(), "{claims:?}");
    }
}

/// Two who see their own, two who see a whole tenant or nothing of it, and one who sees all tenants.
fn readers(team: &Team, other: &Team) -> [Claims; 5] {
    [
        team.owner_claims(),
        Claims::admin(Team::ADMIN, &team.org),
        other.owner_claims(),
        Claims::member("nobody", &unique("org")),
        Claims::service(Team::SERVICE),
    ]
}

async fn a_direct_connection_sees_the_same_code_agents_as_the_api(server: Server) {
    let (team, other) = (Team::of(&server), Team::of(&server));
    for client in [&team.owner, &team.colleague, &team.stranger, &other.owner] {
        client.new_code_agent(&unique("agent"), "[1]").await;
    }
    let mut connection = connect(&server).await;
    for claims in readers(&team, &other) {
        become_user(&mut connection, &claims.json()).await;
        let list = "{ codeAgents(first: 200) { nodes { id latestVersion { source } } } }";
        let list = server.client(&claims).query(list, json!({})).await;
        let nodes = list["codeAgents"]["nodes"].as_array().expect("nodes are a list");
        let rows = connection.fetch_all("SELECT id::text FROM code_agent").await.expect("it may read");
        let direct: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(direct, nodes.iter().map(id_of).collect(), "{claims:?}");
        for table in ["code_version", "code_source", "code_publish"] {
            let query = format!("SELECT count(*) FROM {table}");
            let row = connection.fetch_one(AssertSqlSafe(query)).await.expect("it may read");
            assert_eq!(row.get::<i64, _>(0), nodes.len() as i64, "{table} with {claims:?}");
        }
    }
}

async fn a_direct_connection_sees_the_same_generations_as_the_api(server: Server) {
    let (team, other) = (Team::of(&server), Team::of(&server));
    for client in [&team.owner, &team.colleague, &team.stranger, &other.owner, &other.owner] {
        client.save_any().await;
    }
    let mut connection = connect(&server).await;
    for claims in readers(&team, &other) {
        become_user(&mut connection, &claims.json()).await;
        let list = "{ projects { nodes { generations { nodes { id } } } } }";
        let list = server.client(&claims).query(list, json!({})).await;
        let projects = list["projects"]["nodes"].as_array().expect("nodes are a list").iter();
        let ids: BTreeSet<_> = projects
            .flat_map(|project| project["generations"]["nodes"].as_array().expect("nodes are a list"))
            .map(id_of)
            .collect();
        for (table, column) in [("generation", "id"), ("generation_manifest", "generation_id")] {
            let query = format!("SELECT {column}::text FROM {table}");
            let rows = connection.fetch_all(AssertSqlSafe(query)).await.expect("it may read");
            let direct: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
            assert_eq!(direct, ids, "{table} with {claims:?}");
        }
    }
}

async fn what_is_the_servers_own_is_hidden_from_everybody_else(server: Server) {
    let team = Team::of(&server);
    let mut connection = connect(&server).await;
    for claims in [team.owner_claims(), Claims::service(Team::SERVICE)] {
        become_user(&mut connection, &claims.json()).await;
        for table in SYSTEM_TABLES {
            for statement in [format!("SELECT count(*) FROM {table}"), format!("DELETE FROM {table}")] {
                let error =
                    connection.execute(AssertSqlSafe(statement.clone())).await.expect_err("it is hidden");
                let code = error.as_database_error().and_then(|error| error.code());
                assert_eq!(code.as_deref(), Some("42501"), "insufficient privilege for {statement}");
            }
        }
    }
    // Should somebody be given the right to read them by a default of the database: they are empty.
    connection.execute("RESET ROLE").await.expect("it is a superuser");
    for table in SYSTEM_TABLES {
        let query = format!("SELECT relrowsecurity FROM pg_class WHERE oid = '{table}'::regclass");
        let row = connection.fetch_one(AssertSqlSafe(query)).await.expect("the catalogue is readable");
        assert!(row.get::<bool, _>(0), "{table} has row-level security");
        let grant = format!("GRANT SELECT ON {table} TO authenticated");
        connection.execute(AssertSqlSafe(grant)).await.expect("it is a superuser");
    }
    become_user(&mut connection, &Claims::service(Team::SERVICE).json()).await;
    let secrets = connection.fetch_all("SELECT name FROM server_secret").await.expect("it may read now");
    assert!(secrets.is_empty(), "the key of the links is there, and nobody sees it");
}

async fn a_direct_connection_without_claims_sees_nothing(server: Server) {
    let owner = Team::of(&server).owner;
    owner.start_any().await;
    owner.save_any().await;
    let mut connection = connect(&server).await;
    for claims in ["", "{}"] {
        become_user(&mut connection, claims).await;
        for table in tables_with_a_tenant(&mut connection).await {
            let query = format!("SELECT count(*) FROM {table}");
            let row = connection.fetch_one(AssertSqlSafe(query)).await.expect("it may read");
            assert_eq!(row.get::<i64, _>(0), 0, "{table} with the claims {claims:?}");
        }
    }
}

async fn a_direct_connection_cannot_write(server: Server) {
    let team = Team::of(&server);
    team.owner.start_any().await;
    let mut connection = connect(&server).await;
    become_user(&mut connection, &team.owner_claims().json()).await;
    for table in tables_with_a_tenant(&mut connection).await {
        for statement in [
            format!("DELETE FROM {table}"),
            format!("UPDATE {table} SET owner_id = 'thief'"),
            format!("INSERT INTO {table} DEFAULT VALUES"),
            format!("TRUNCATE {table} CASCADE"),
        ] {
            let error =
                connection.execute(AssertSqlSafe(statement.clone())).await.expect_err("it may not write");
            let code =
                error.as_database_error().and_then(|error| error.code()).expect("the database refuses");
            assert_eq!(code, "42501", "insufficient privilege for {statement}");
        }
    }
}

async fn every_table_with_a_tenant_is_secured(server: Server) {
    let mut connection = connect(&server).await;
    for table in tables_with_a_tenant(&mut connection).await {
        let query = format!("SELECT relrowsecurity FROM pg_class WHERE oid = '{table}'::regclass");
        let row = connection.fetch_one(AssertSqlSafe(query)).await.expect("the catalogue is readable");
        assert!(row.get::<bool, _>(0), "{table} has row-level security");
    }
}

/// Tables that belong to nobody but the server.
const SYSTEM_TABLES: [&str; 5] =
    ["job", "server_secret", "deletion_item", "statistic_place", "statistic_state"];

async fn connect(server: &Server) -> PgConnection {
    let Database::Postgres { superuser_url, .. } = server.database() else { panic!("it runs on PostgreSQL") };
    PgConnection::connect(superuser_url).await.expect("PostgreSQL accepts connections")
}

/// Acts as Supabase's API does for a user's request.
async fn become_user(connection: &mut PgConnection, claims: &str) {
    connection.execute("SET ROLE authenticated").await.expect("the role is there");
    let set = sqlx::query("SELECT set_config('request.jwt.claims', $1, false)").bind(claims.to_owned());
    set.execute(connection).await.expect("any setting can be set");
}

/// The tables whose rows belong to somebody.
async fn tables_with_a_tenant(connection: &mut PgConnection) -> Vec<String> {
    let query = "SELECT relname::text FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
                 WHERE attname = 'tenant_id' AND relkind = 'r' AND relnamespace = 'public'::regnamespace";
    let rows = connection.fetch_all(query).await.expect("the catalogue is readable");
    assert!(rows.len() > 3, "the tables are there");
    let tables = rows.iter().map(|row| row.get::<String, _>(0));
    tables.filter(|table| !SYSTEM_TABLES.contains(&table.as_str())).collect()
}
