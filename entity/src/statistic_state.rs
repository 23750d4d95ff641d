//! How far the change feed has been added to the statistics: one row.

use sea_orm::entity::prelude::*;

/// How far the change feed has been added to the statistics.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "statistic_state")]
pub struct Model {
    /// Always 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    /// Which rows of the statistics count.
    pub epoch: i32,
    /// False until the executions from before there were statistics have been counted.
    pub is_complete: bool,
    /// The place in the change feed, as `xid` and `seq` have it, up to which its figures are in the rows; those of some
    /// tenants are there further: see `statistic_place`.
    pub xid: i64,
    pub seq: i64,
    /// Who is counting anew.
    pub recount_id: Option<Uuid>,
    /// Until when nobody else does, nor adds to the rows.
    pub recount_until: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}
