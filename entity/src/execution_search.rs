//! The words by which an execution is found, with a space between two; the index of them follows by itself.

use sea_orm::entity::prelude::*;

/// What is null has no words, or is not known yet.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "execution_search")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub execution_id: Uuid,
    pub owner_id: String,
    /// The execution's.
    pub created_at: DateTimeUtc,
    /// Of its name and inputs.
    #[sea_orm(column_type = "Text", nullable)]
    pub start_words: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub result_words: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub error_words: Option<String>,
    /// The execution is from before there was a search: its words are still to be filled in.
    pub pending: bool,
}

impl ActiveModelBehavior for ActiveModel {}
