//! A version of a code agent's source: never changed once it is there.

use sea_orm::entity::prelude::*;

use crate::place::Place;

/// Where the source of a version is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Storage {
    /// In [`super::code_source`].
    #[sea_orm(string_value = "DATABASE")]
    Database,
    /// In object storage.
    #[sea_orm(string_value = "OBJECT")]
    Object,
}

/// A version without its source.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "code_version")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The agent's owner.
    pub owner_id: String,
    pub code_agent_id: Uuid,
    /// From 1, without gaps, in the order of publishing.
    pub number: i32,
    pub size_bytes: i32,
    /// Of the bytes of the source, in hexadecimal.
    pub sha256: String,
    pub storage: Storage,
    pub storage_key: Option<String>,
    /// Null while the source is in the database.
    pub object_place: Option<Place>,
    /// Whether a parser has looked at it.
    pub is_checked: bool,
    /// What the parser found, as JSON; null when nothing.
    #[sea_orm(column_type = "Text", nullable)]
    pub problems: Option<String>,
    /// Who published it.
    pub created_by: String,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
