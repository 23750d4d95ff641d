//! What executions add up to, for one set of conditions and one stretch of time.

use sea_orm::entity::prelude::*;

use crate::execution::Mode;

/// How much time a row covers; all of them in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Width {
    #[sea_orm(string_value = "HOUR")]
    Hour,
    #[sea_orm(string_value = "DAY")]
    Day,
    #[sea_orm(string_value = "MONTH")]
    Month,
    #[sea_orm(string_value = "ALL")]
    All,
}

/// The figures of the executions that were created in that time and have those values. A column that is null is no
/// condition; where there are several, it says that the executions have none.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "statistic")]
pub struct Model {
    /// Made of everything that tells rows apart, but for `epoch`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Which count it belongs to: a recount makes rows of the next one.
    #[sea_orm(primary_key, auto_increment = false)]
    pub epoch: i32,
    /// Empty for all tenants together.
    pub tenant_id: String,
    /// Made of the conditions but for the tenant, so that one column finds them; null when there are several, which are
    /// found by any of them.
    pub subject: Option<Uuid>,
    pub width: Width,
    /// The beginning of the time; 1970 for all time.
    pub start: DateTimeUtc,
    pub mode: Mode,
    pub owner_id: Option<String>,
    pub code_agent_id: Option<Uuid>,
    pub workflow_id: Option<String>,
    pub project_key: Option<String>,
    /// See `runledger::domain::stats::Figures`.
    pub figures: Vec<u8>,
}

impl ActiveModelBehavior for ActiveModel {}
