//! A generated project: one archive of its files, never changed once it is there.

use sea_orm::entity::prelude::*;

/// Whether the archive is in cloud storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum UploadState {
    /// It stays where it was saved: there is no cloud storage, or it is switched off.
    #[sea_orm(string_value = "LOCAL_ONLY")]
    LocalOnly,
    /// It will be uploaded.
    #[sea_orm(string_value = "PENDING")]
    Pending,
    /// Cloud storage has it, and says so by size and checksum.
    #[sea_orm(string_value = "UPLOADED")]
    Uploaded,
    /// It was not uploaded, and is not tried again until somebody asks for it.
    #[sea_orm(string_value = "FAILED")]
    Failed,
}

/// A generation without the list of its files, which is in [`super::generation_manifest`].
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "generation")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Who saved it.
    pub owner_id: String,
    pub project_id: Uuid,
    /// From 1, without gaps, in the order of saving; a deleted one's is not given again.
    pub version: i32,
    #[sea_orm(column_type = "Text", nullable)]
    pub message: Option<String>,
    /// Of the archive.
    pub size_bytes: i64,
    /// Of the archive, in hexadecimal.
    pub sha256: String,
    pub file_count: i32,
    /// Of the files, unpacked.
    pub files_bytes: i64,
    pub upload_state: UploadState,
    /// Why the last attempt failed; null when it did not.
    #[sea_orm(column_type = "Text", nullable)]
    pub upload_error: Option<String>,
    /// The server whose disk has the archive until cloud storage has it.
    pub node_id: Uuid,
    /// Grows by one with every change of the upload's state.
    pub revision: i32,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
