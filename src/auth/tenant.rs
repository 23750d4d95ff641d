//! The tenant rule, in Rust and in SQL.
//!
//! A token acts in exactly one tenant: `org:<id>` for the organisation that it names, else `user:<sub>`, the user's
//! own. The prefix keeps the two apart: an organisation whose id happens to be somebody's user id is still another
//! tenant.

use crate::config::ClaimPath;

/// The tenant of a user who acts for an organisation, or for themselves.
pub fn tenant_of(organisation: Option<&str>, user: &str) -> String {
    match organisation {
        Some(organisation) => format!("org:{organisation}"),
        None => format!("user:{user}"),
    }
}

/// A tenant's id without its prefix: the organisation's id or the user's own, as people know them.
pub fn tenant_name(tenant_id: &str) -> &str {
    tenant_id.split_once(':').map_or(tenant_id, |(_, name)| name)
}

/// A PostgreSQL expression of the same rule on `request.jwt.claims`, for row-level security.
///
/// It is NULL, and so matches no row, when there are no claims, or they are not what Runledger accepts. It has brackets
/// around it, refers to no row, and is evaluated once per statement.
pub fn tenant_sql(org_claims: &[ClaimPath]) -> String {
    let organisation = org_claims.iter().map(|path| {
        let names: Vec<String> = path.names().iter().map(|name| format!("'{name}'")).collect();
        format!("nullif(claims #> array[{}], 'null')", names.join(", "))
    });
    let organisation = organisation.collect::<Vec<_>>().join(", ");
    format!(
        "(select case \
         when jsonb_typeof(organisation) = 'string' and organisation #>> '{{}}' <> '' \
         then 'org:' || (organisation #>> '{{}}') \
         when organisation is null and jsonb_typeof(claims -> 'sub') = 'string' and claims ->> 'sub' <> '' \
         then 'user:' || (claims ->> 'sub') end \
         from (select claims, coalesce({organisation}) as organisation \
         from (select nullif(current_setting('request.jwt.claims', true), '')::jsonb as claims) as setting) as named)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organisation_is_never_somebodys_own_tenant() {
        assert_eq!(tenant_of(Some("ada"), "bob"), "org:ada");
        assert_eq!(tenant_of(None, "ada"), "user:ada");
    }

    #[test]
    fn the_sql_reads_the_configured_claims() {
        let paths = ["org_id", "app_metadata.org_id"].map(|path| ClaimPath::parse(path).unwrap());
        let sql = tenant_sql(&paths);
        assert_eq!(
            sql,
            "(select case when jsonb_typeof(organisation) = 'string' and organisation #>> '{}' <> '' \
             then 'org:' || (organisation #>> '{}') \
             when organisation is null and jsonb_typeof(claims -> 'sub') = 'string' and claims ->> 'sub' <> '' \
             then 'user:' || (claims ->> 'sub') end \
             from (select claims, coalesce(nullif(claims #> array['org_id'], 'null'), \
             nullif(claims #> array['app_metadata', 'org_id'], 'null')) as organisation \
             from (select nullif(current_setting('request.jwt.claims', true), '')::jsonb as claims) as setting) \
             as named)"
        );
    }
}
