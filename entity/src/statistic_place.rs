//! How far the change feed of one tenant has been added to its statistics.

use sea_orm::entity::prelude::*;

/// The place up to which a tenant's figures are in its rows. Those who have none are where `statistic_state` is.
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
