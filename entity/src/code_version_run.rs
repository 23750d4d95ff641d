//! The first execution of each version of a code agent, so that reuse can be told.

use sea_orm::entity::prelude::*;

/// The first execution of a version; it may be gone by now.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "code_version_run")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub code_agent_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub code_version: i32,
    /// Whose execution that was.
    pub owner_id: String,
    pub execution_id: Uuid,
}

impl ActiveModelBehavior for ActiveModel {}
