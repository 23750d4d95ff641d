//! placeholder

/// Tenant of claims.
pub(super) fn of(org_id: Option<&str>, user_id: &str) -> String {
    org_id.map_or_else(|| format!("user:{user_id}"), |org_id| format!("org:{org_id}"))
}
