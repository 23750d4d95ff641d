//! Work in the background: there until it is done, whoever does it.

use sea_orm::entity::prelude::*;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Kind {
    /// Put the archive of a generation into cloud storage.
    #[sea_orm(string_value = "UPLOAD_GENERATION")]
    UploadGeneration,
    /// Move the source of a version out of the database, or from this machine to cloud storage.
    #[sea_orm(string_value = "MOVE_SOURCE")]
    MoveSource,
    /// Delete what a deleted generation, code agent or log has left in storage.
    #[sea_orm(string_value = "DELETE_OBJECTS")]
    DeleteObjects,
    /// Delete the executions that a deletion lists.
    #[sea_orm(string_value = "DELETE_EXECUTIONS")]
    DeleteExecutions,
    /// Delete what a deleted visual session has left in storage.
    #[sea_orm(string_value = "DELETE_VISUAL_OBJECTS")]
    DeleteVisualObjects,
}

/// A piece of work.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "job")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub kind: Kind,
    pub tenant_id: String,
    /// Whom it is about; there is one job of a kind for each.
    pub subject_id: Uuid,
    /// The server that must do it; null for any.
    pub node_id: Option<Uuid>,
    /// What else it needs to know, as JSON.
    #[sea_orm(column_type = "Text", nullable)]
    pub detail: Option<String>,
    /// How often it was tried.
    pub attempts: i32,
    /// Not before.
    pub run_at: DateTimeUtc,
    /// Who is at it: each claim has a lease of its own.
    pub lease_id: Option<Uuid>,
    /// Until when nobody else is.
    pub leased_until: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
