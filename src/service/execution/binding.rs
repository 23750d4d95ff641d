//! What an execution names: the version of a code agent that it runs, settled when it is started and never changed
//! afterwards; and the generation that it runs or makes.

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::store::{CodeAgentRow, ExecutionRow, Reader};

/// Checks the version that the input at `at` asks for.
pub(super) fn asked_version(
    at: &str,
    code_agent_id: Option<Uuid>,
    code_version: Option<i32>,
) -> Result<Option<i32>> {
    if code_version.is_some() && code_agent_id.is_none() {
        return Err(Error::bad_input(
            format!("{at}.codeVersion"),
            "codeVersion is a number of codeAgentId's; give both",
        ));
    }
    Ok(code_version)
}

/// Settles the version of the agent that an execution of this tenant names, if it is there: the one asked for, or the newest
/// by now; none while the agent has none.
///
/// # Errors
/// `NOT_FOUND` for an agent or a version that is not there.
pub(super) fn bind_to_version(
    row: &mut ExecutionRow,
    tenant_id: &str,
    agent: Option<&CodeAgentRow>,
) -> Result<()> {
    let agent = agent.filter(|agent| agent.tenant_id == tenant_id);
    let newest = agent.ok_or(Error::NotFound { what: "code agent" })?.latest_version;
    row.code_version = match row.code_version {
        // Numbers have no gaps.
        Some(number) if (1..=newest).contains(&number) => Some(number),
        Some(_) => return Err(Error::NotFound { what: "version of the code agent" }),
        None => Some(newest).filter(|newest| *newest > 0),
    };
    Ok(())
}

/// The same for many executions.
///
/// # Errors
/// `NOT_FOUND` for an agent or a version that is not there.
pub(super) async fn bind_to_versions<'r>(
    reader: &Reader<'_>,
    tenant_id: &str,
    rows: impl IntoIterator<Item = &'r mut ExecutionRow>,
) -> Result<()> {
    let rows: Vec<_> = rows.into_iter().filter(|row| row.code_agent_id.is_some()).collect();
    let ids: Vec<_> = rows.iter().filter_map(|row| row.code_agent_id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let agents = reader.code_agents_by_ids(&ids).await?;
    for row in rows {
        let agent = row.code_agent_id.and_then(|id| agents.get(&id));
        bind_to_version(row, tenant_id, agent)?;
    }
    Ok(())
}

/// Checks that the generations that executions of these tenants name are there.
///
/// # Errors
/// `NOT_FOUND`.
pub(super) async fn check_generations(reader: &Reader<'_>, named: &[(String, Uuid)]) -> Result<()> {
    if named.is_empty() {
        return Ok(());
    }
    let there = reader.generations_by_key(named).await?;
    let is_there = |(tenant_id, id): &(String, Uuid)| {
        there.iter().any(|row| row.id == *id && row.tenant_id == *tenant_id)
    };
    if named.iter().all(is_there) { Ok(()) } else { Err(Error::NotFound { what: "generation" }) }
}
