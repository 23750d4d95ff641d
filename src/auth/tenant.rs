//! The tenant rule, in Rust and in SQL.
//!
//! A token acts in exactly one tenant: `org:<id>` for the organisation that it names, else `user:<sub>`, the user's
//! own. The prefix keeps the two apart: an organisation whose id happens to be somebody's user id is still another
//! tenant.

use std::fmt::Write as _;

use crate::config::ClaimPath;

/// The tenant of a user who acts for an organisation, or for themselves.
pub fn tenant_of(organisation: Option<&str>, user: &str) -> String {
    match organisation {
        Some(organisation) => format!("org:{organisation}"),
        None => format!("user:{user}"),
    }
}

/// A PostgreSQL expression of the same rule on `request.jwt.claims`, for row-level security.
///
/// It is NULL, and so matches no row, when there are no claims, or they are not what Runledger accepts.
pub fn tenant_sql(org_claims: &[ClaimPath]) -> String {
    let mut organisation = String::new();
    for path in org_claims {
        let names = path.names().iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
        // `write!` to a String cannot fail.
        let _ = write!(organisation, "nullif(claims #> array[{names}], 'null'), ");
    }
    let text = |value: &str| format!("jsonb_typeof({value}) = 'string' and {value} #>> '{{}}' <> ''");
    format!(
        "(select case \
         when organisation is not null then case when {} then 'org:' || (organisation #>> '{{}}') end \
         when {} then 'user:' || (claims ->> 'sub') end \
         from (select claims, coalesce({organisation}null) as organisation \
         from (select nullif(current_setting('request.jwt.claims', true), '')::jsonb as claims) as setting) as named)",
        text("organisation"),
        text("(claims -> 'sub')"),
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
        assert!(sql.contains("claims #> array['org_id']"), "{sql}");
        assert!(sql.contains("claims #> array['app_metadata', 'org_id']"), "{sql}");
    }
}
