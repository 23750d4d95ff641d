//! What became of each attempt to publish source: a row each, only ever inserted, so that counting locks nothing.

use sea_orm::entity::prelude::*;

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Outcome {
    /// A version was made of source that is valid, or whose language cannot be checked.
    #[sea_orm(string_value = "CREATED")]
    Created,
    /// The newest version has this source already.
    #[sea_orm(string_value = "UNCHANGED")]
    Unchanged,
    /// A version was made of source that is not valid, because the caller wanted it.
    #[sea_orm(string_value = "KEPT_INVALID")]
    KeptInvalid,
    /// The source is not valid, and no version was made.
    #[sea_orm(string_value = "REFUSED")]
    Refused,
}

/// An attempt to publish. It outlives its agent: history does not change when an agent goes.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "code_publish")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Who published.
    pub owner_id: String,
    /// Null when the agent was not made because its first source was refused.
    pub code_agent_id: Option<Uuid>,
    pub outcome: Outcome,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
