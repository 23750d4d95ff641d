//! How far the change feed of one tenant has been added to its statistics.

use sea_orm::entity::prelude::*;

/// A place after that of `statistic_state`, up to which a tenant's figures are in its rows.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "statistic_place")]
pub struct Model {
    /// Empty for all tenants together.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    pub xid: i64,
    pub seq: i64,
}

impl ActiveModelBehavior for ActiveModel {}
