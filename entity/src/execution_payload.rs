//! The large values of an execution, beside its row so that lists never read them.

use sea_orm::entity::prelude::*;

/// JSON is kept as the text that was given: PostgreSQL's `jsonb` would refuse `\u0000` and lose the order of keys.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "execution_payload")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub execution_id: Uuid,
    pub owner_id: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub inputs: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub result: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub error: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}
