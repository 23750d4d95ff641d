//! A deletion of so many executions that it goes on in the background.

use sea_orm::entity::prelude::*;

/// How far a deletion is.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "deletion")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Who asked for it.
    pub owner_id: String,
    /// Executions that it deletes, those that are gone already included.
    pub matched: i64,
    /// Executions that it has deleted so far.
    pub deleted: i64,
    pub created_at: DateTimeUtc,
    /// Null while it goes on.
    pub finished_at: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}
