//! The list of a generation's files, beside its row so that lists never read it.

use sea_orm::entity::prelude::*;

/// Path, size and checksum of every file.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "generation_manifest")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub generation_id: Uuid,
    pub owner_id: String,
    /// JSON; see `runledger::domain::manifest`.
    #[sea_orm(column_type = "Text")]
    pub files: String,
}

impl ActiveModelBehavior for ActiveModel {}
