//! The source of a version, beside its row so that lists never read it.

use sea_orm::entity::prelude::*;

/// Kept as bytes: PostgreSQL's `text` would refuse NUL.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "code_source")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub code_version_id: Uuid,
    pub owner_id: String,
    pub source: Vec<u8>,
}

impl ActiveModelBehavior for ActiveModel {}
