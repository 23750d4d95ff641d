//! Which storage has an object.

use sea_orm::entity::prelude::*;

/// Which storage has an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Place {
    /// The server's own disk.
    #[sea_orm(string_value = "LOCAL")]
    Local,
    /// Cloud storage.
    #[sea_orm(string_value = "CLOUD")]
    Cloud,
}
