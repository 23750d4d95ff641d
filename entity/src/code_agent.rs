//! A code agent: a program whose source is published here, version by version.

use sea_orm::entity::prelude::*;

/// What is known of a code agent besides its versions.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "code_agent")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub owner_id: String,
    /// Several agents may have the same.
    pub name: String,
    pub description: Option<String>,
    /// In lower case.
    pub language: String,
    /// Each tag between line feeds, which no tag contains: `\na\nb\n`; a single line feed when there is none.
    pub tags: String,
    /// Name and description in lower case: what a search looks through.
    pub search_text: String,
    /// The number of the newest version, which is how many there are; 0 before the first.
    pub latest_version: i32,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
