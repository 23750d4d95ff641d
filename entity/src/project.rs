//! A project: what executions and generated code belong to, named by a key within its tenant.

use sea_orm::entity::prelude::*;

/// A project.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "project")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub owner_id: String,
    /// Unique within the tenant.
    pub key: String,
    pub name: String,
    /// The version of the generation that was saved last; 0 before the first.
    pub latest_version: i32,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
