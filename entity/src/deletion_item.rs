//! An execution that a deletion has still to delete.

use sea_orm::entity::prelude::*;

/// Listed when the deletion was asked for: nothing that comes later is deleted.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "deletion_item")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub deletion_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub execution_id: Uuid,
    /// The execution's: one that has come into being with the same id since is another.
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
